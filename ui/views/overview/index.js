// Overview: what the services do over the range, and the way from a point of a curve to its traces.

import { html, useEffect, useMemo, useState } from "../../components/html.js";
import { Plot } from "../../components/plot.js";
import { Failure } from "../../components/parts.js";
import { RangePicker } from "../../components/range_picker.js";
import { NothingFound } from "../search/nothing_found.js";
import { change, go } from "../../location.js";
import { huesOf } from "../../model/colours.js";
import { duration, percent, rate } from "../../model/format.js";
import { QUANTILES, shares, spansBehind } from "../../model/red.js";
import { LONGEST_METRICS_MILLIS, fromParams, resolve, toParams } from "../../model/range.js";
import { Services } from "./services.js";
import { useRed } from "./use_red.js";

// Curves in one plot; more cannot be told apart.
const MOST_CURVES = 10;
const QUANTILE_COLOURS = ["var(--muted)", "var(--accent)", "var(--error-strong)"];

export function OverviewView({ location }) {
  const range = useMemo(() => fromParams(location.params), [location]);
  const [runs, setRuns] = useState(0);
  const between = useMemo(() => resolve(range), [range.last, range.from, range.to, runs]);
  const red = useRed(between, runs);
  useEffect(() => void (document.title = "Overview · Conmoto"), []);
  const chosen = location.params.service;
  return html`
    <div class="overview" aria-busy=${red.isRunning}>
      <div class="view-line">
        <h1>${chosen ?? "Services"}</h1>
        ${chosen !== undefined && html`<button onClick=${() => change({ service: undefined })}>All services</button>`}
        <span class="spacer"></span>
        <${RangePicker} longest=${LONGEST_METRICS_MILLIS} range=${range} isBusy=${red.isRunning} onChange=${(picked) => change(toParams(picked))} onRefresh=${() => setRuns(runs + 1)} />
      </div>
      ${red.error !== undefined && html`<${Failure} error=${red.error} />`}
      ${red.rows === undefined && red.error === undefined && html`<p class="loading">Counting spans …</p>`}
      ${red.rows?.length === 0 && html`<${NothingFound} asked=${{ q: "" }} onRun=${() => {}} />`}
      ${red.rows?.length > 0 && html`<${Filled} red=${red} chosen=${chosen} />`}
    </div>
  `;
}

function Filled({ red, chosen }) {
  const hues = useMemo(() => huesOf(red.rows.map(({ service }) => service)), [red.rows]);
  const shown = chosen === undefined ? red.rows.slice(0, MOST_CURVES).map(({ service }) => service) : [chosen];
  const plots = useMemo(() => plotsOf(red, shown, hues, chosen), [red, chosen, hues]);
  const pick = (which) => ({ name, time, value }) => {
    const service = chosen ?? name;
    // A bucket ends at its time.
    go("search", undefined, { q: spansBehind(service, which, value), from: Math.floor((time - red.step) * 1000), to: Math.ceil(time * 1000) });
  };
  return html`
    <div class="plots">
      <${PlotCard} title="Requests per second" plot=${plots.rate} format=${rate} onPick=${pick("rate")} />
      <${PlotCard} title="Failed" plot=${plots.errors} format=${percent} onPick=${pick("errors")} />
      <${PlotCard} title=${chosen === undefined ? "Duration, 95 % are faster" : "Duration: p50, p95, p99"} plot=${plots.duration} format=${(seconds) => duration(seconds * 1e9)} onPick=${pick("duration")} />
    </div>
    <${Services} rows=${red.rows} red=${red} hues=${hues} chosen=${chosen} />
    <p class="muted">Counted are spans of kind server and consumer, and those without a parent. A click on a point opens its traces.
      ${red.rows.length > MOST_CURVES && chosen === undefined && ` The plots show the ${MOST_CURVES} busiest of ${red.rows.length} services.`}</p>
  `;
}

function PlotCard({ title, plot, format, onPick }) {
  return html`<section class="card plot-card"><h2>${title}</h2><${Plot} times=${plot.times} series=${plot.series} format=${format} onPick=${onPick} label=${title} /></section>`;
}

function plotsOf(red, services, hues, chosen) {
  const line = (name, values) => ({ name, hue: hues.get(name), values: values ?? [] });
  const none = (times) => times.map(() => null);
  const errors = (service) => shares(valuesAt(red.errors, red.rate.times, service), red.rate.curves.get(service) ?? none(red.rate.times));
  const quantile = (service, p) => red.duration.curves.get(`${service}\n${p}`) ?? none(red.duration.times);
  const quantiles = QUANTILES.map((p, at) => ({ name: `p${p * 100}`, colour: QUANTILE_COLOURS[at], values: idle(quantile(chosen, p)) }));
  return {
    rate: { times: red.rate.times, series: services.map((service) => line(service, red.rate.curves.get(service) ?? none(red.rate.times))) },
    errors: { times: red.rate.times, series: services.map((service) => line(service, errors(service))) },
    duration: { times: red.duration.times, series: chosen !== undefined ? quantiles : services.map((service) => line(service, idle(quantile(service, 0.95)))) },
  };
}

// Where nothing ran there is no duration; the server writes 0.
const idle = (values) => values.map((value) => (value === 0 ? null : value));

// A curve at the times of another answer; the two may have been asked a moment apart.
function valuesAt({ times, curves }, wanted, service) {
  const values = curves.get(service);
  if (values === undefined) return undefined;
  const at = new Map(times.map((time, place) => [time, values[place]]));
  return wanted.map((time) => at.get(time) ?? 0);
}
