// The service map: who calls whom over the range.

import { html, useEffect, useMemo, useState } from "../../components/html.js";
import { Failure } from "../../components/parts.js";
import { RangePicker } from "../../components/range_picker.js";
import { NothingFound } from "../search/nothing_found.js";
import { change } from "../../location.js";
import { huesOf } from "../../model/colours.js";
import { place } from "../../model/graph_layout.js";
import { nodesOf } from "../../model/service_graph.js";
import { LONGEST_METRICS_MILLIS, fromParams, resolve, toParams } from "../../model/range.js";
import { Drawing } from "./drawing.js";
import { Calls } from "./calls.js";
import { useEdges } from "./use_edges.js";

export function MapView({ location }) {
  const range = useMemo(() => fromParams(location.params), [location]);
  const [runs, setRuns] = useState(0);
  const between = useMemo(() => resolve(range), [range.last, range.from, range.to, runs]);
  const state = useEdges(between, runs);
  useEffect(() => void (document.title = "Service map · Conmoto"), []);
  return html`
    <div class="overview" aria-busy=${state.isRunning}>
      <div class="view-line"><h1>Service map</h1><span class="spacer"></span>
        <${RangePicker} longest=${LONGEST_METRICS_MILLIS} range=${range} isBusy=${state.isRunning} onChange=${(picked) => change(toParams(picked))} onRefresh=${() => setRuns(runs + 1)} /></div>
      ${state.error !== undefined && html`<${Failure} error=${state.error} />`}
      ${state.edges === undefined && state.error === undefined && html`<p class="loading">Looking who calls whom …</p>`}
      ${state.edges?.length === 0 && html`<${NoEdges} services=${state.services ?? []} />`}
      ${state.edges?.length > 0 && html`<${Filled} state=${state} params=${location.params} />`}
    </div>
  `;
}

function NoEdges({ services }) {
  if (services.length === 0) return html`<${NothingFound} asked=${{ q: "" }} onRun=${() => {}} />`;
  return html`
    <section class="empty"><h1>No calls between services in this range</h1>
      <p>There are spans of ${services.join(", ")}, and none of them has a parent in another service. A call appears when both sides send spans and the caller hands on its context (the header <code>traceparent</code>).</p></section>
  `;
}

function Filled({ state, params }) {
  const nodes = useMemo(() => nodesOf(state.edges), [state.edges]);
  const hues = useMemo(() => huesOf(nodes.map(({ name }) => name)), [nodes]);
  const drawing = useMemo(() => place(nodes, state.edges), [nodes, state.edges]);
  const chosen = nodes.some(({ name }) => name === params.service) ? params.service : undefined;
  return html`
    <section class="card map-card"><${Drawing} drawing=${drawing} hues=${hues} chosen=${chosen} onChoose=${(name) => change({ service: name === chosen ? undefined : name })} /></section>
    <${Calls} edges=${state.edges} hues=${hues} chosen=${chosen} params=${params} />
    <p class="muted">${SOURCES[state.source]}${state.numLeftOut > 0 ? ` Calls of the ${state.numLeftOut} least busy services are left out.` : ""}</p>
  `;
}

const SOURCES = {
  generator: "From the metrics generator's service graph.",
  "no generator": "Counted over the spans of the range: spans whose parent is a span of another service. This server has no metrics generator, which would also know databases and uninstrumented clients.",
  "generator without edges": "Counted over the spans of the range: spans whose parent is a span of another service. The metrics generator has no edges; switch its processor service-graphs on to see databases and uninstrumented clients, too.",
};
