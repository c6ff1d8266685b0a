// One trace: its head, and the ways to look at it.

import { html, useEffect, useMemo } from "../../components/html.js";
import { Failure, Tabs } from "../../components/parts.js";
import { change } from "../../location.js";
import { huesOf } from "../../model/colours.js";
import { segmentsByRow } from "../../model/critical_path.js";
import { Head } from "./head.js";
import { Summary } from "./summary.js";
import { useTrace } from "./use_trace.js";
import { Waterfall } from "./waterfall.js";
import { FlameGraph } from "./flame_graph.js";
import { Statistics } from "./statistics.js";

const TABS = [["waterfall", "Waterfall"], ["flame", "Flame graph"], ["statistics", "Statistics"]];

export function TraceView({ location }) {
  const id = location.argument ?? "";
  const { state, openAll } = useTrace(id);
  const hues = useMemo(() => huesOf(state.trace?.services ?? []), [state.trace]);
  useEffect(() => void (document.title = `Trace ${id.slice(0, 8)} · Conmoto`), [id]);
  if (state.error !== undefined) return html`<${Failure} error=${state.error} />`;
  if (state.isTooLarge) return html`<${Summary} id=${id} row=${state.summary} onOpen=${openAll} />`;
  if (state.trace === undefined) return html`<${Waiting} summary=${state.summary} />`;
  if (state.trace.count === 0) return html`<${NoTrace} id=${id} />`;
  const tab = TABS.some(([key]) => key === location.params.tab) ? location.params.tab : "waterfall";
  return html`
    <div class="trace">
      <${Head} id=${id} trace=${state.trace} hues=${hues} />
      ${state.isPartial && html`<p class="notice" role="status">This is a part of the trace. ${state.message}</p>`}
      <${Tabs} tabs=${TABS} chosen=${tab} label="Views of the trace" onChoose=${(chosen) => change({ tab: chosen === "waterfall" ? undefined : chosen }, { replacing: true })} />
      <${Body} tab=${tab} key=${id} state=${state} hues=${hues} params=${location.params} />
    </div>
  `;
}

function Body({ tab, state, hues, params }) {
  const critical = useMemo(() => segmentsByRow(state.trace.critical), [state.trace]);
  if (tab === "flame") return html`<${FlameGraph} trace=${state.trace} hues=${hues} />`;
  if (tab === "statistics") return html`<${Statistics} trace=${state.trace} hues=${hues} />`;
  return html`<${Waterfall} client=${state.client} trace=${state.trace} critical=${critical} hues=${hues} params=${params} />`;
}

function Waiting({ summary }) {
  return html`<p class="loading">${summary === undefined ? "Loading the trace …" : `Loading ${summary.numSpans.toLocaleString("en-GB")} spans of ${summary.rootService} ${summary.rootName} …`}</p>`;
}

function NoTrace({ id }) {
  return html`
    <section class="empty">
      <h1>No trace with this id</h1>
      <p>The server knows no span of <code>${id}</code>. It may not have arrived yet, may never have been sampled, or is older than what the server keeps.</p>
      <button onClick=${() => window.location.reload()}>Look again</button>
    </section>
  `;
}
