// A TraceQL metrics query as a plot with a table of its series.

import { html, useEffect, useMemo, useState } from "../../components/html.js";
import { Failure } from "../../components/parts.js";
import { getJson, isAbort } from "../../api/client.js";
import { curves } from "../../model/red.js";
import { huesOf } from "../../model/colours.js";
import { stepFor, toSeconds } from "../../model/range.js";

const POINTS = 160;
const MOST_SHOWN = 24;

const nameOf = (labels) => Object.entries(labels).map(([key, value]) => (key === "__name__" ? value : `${key}=${value}`)).join(" ") || "value";

export function MetricsResult({ query, between, run }) {
  const [state, setState] = useState({});
  const [Plot, setPlot] = useState(undefined);
  useEffect(() => void import("../../components/plot.js").then((module) => setPlot(() => module.Plot)), []);
  useEffect(() => {
    const controller = new AbortController();
    const params = { q: query, ...toSeconds(between), step: stepFor(between, POINTS) };
    getJson("metrics/query_range", params, { signal: controller.signal }).then(
      (answer) => setState({ answer }),
      (error) => isAbort(error) || setState({ error }),
    );
    return () => controller.abort();
  }, [query, between.from, between.to, run]);
  if (state.error !== undefined) return html`<${Failure} error=${state.error} />`;
  if (state.answer === undefined || Plot === undefined) return html`<p class="loading">Counting …</p>`;
  return html`<${Series} answer=${state.answer} Plot=${Plot} />`;
}

function Series({ answer, Plot }) {
  const { times, shown, numHidden } = useMemo(() => {
    const { times, curves: found } = curves(answer.series ?? [], nameOf);
    const hues = huesOf([...found.keys()]);
    const total = (values) => values.reduce((sum, value) => sum + (value ?? 0), 0);
    const all = [...found].map(([name, values]) => ({ name, hue: hues.get(name), values, total: total(values) })).sort((a, b) => b.total - a.total);
    return { times, shown: all.slice(0, MOST_SHOWN), numHidden: Math.max(0, all.length - MOST_SHOWN) };
  }, [answer]);
  if (shown.length === 0) return html`<section class="empty"><h1>No series</h1><p>No span in this range matches.</p></section>`;
  return html`
    <section class="card plot-card">
      <${Plot} times=${times} series=${shown} height=${320} format=${(value) => String(Number(value.toPrecision(3)))} />
      <ul class="legend">${shown.map(({ name, hue }) => html`<li key=${name}><i class="service-mark" style=${{ "--hue": hue }}></i>${name}</li>`)}</ul>
      ${numHidden > 0 && html`<p class="muted">The largest ${MOST_SHOWN} of ${MOST_SHOWN + numHidden} series.</p>`}
      ${answer.message && html`<p class="notice">${answer.message}</p>`}
    </section>
  `;
}
