// What a trace is, in two lines: root, when, how long, how many, and what one can do with it.

import { html, useMemo } from "../../components/html.js";
import { Copy, Service } from "../../components/parts.js";
import { link } from "../../location.js";
import { traceUrl } from "../../api/client.js";
import { isMultitenant } from "../../settings.js";
import { ago, counted, duration, exactMoment, millisOfNanos } from "../../model/format.js";
import { rootRows } from "../../model/trace.js";

export function Head({ id, trace, hues }) {
  const facts = useMemo(() => factsOf(trace), [trace]);
  const start = millisOfNanos(trace.base);
  // A plain link carries no header, so it cannot name a tenant.
  return html`
    <header class="trace-head">
      <h1><${Service} name=${trace.services[trace.service[facts.root]]} hues=${hues} /> ${trace.names[trace.name[facts.root]]}</h1>
      <span class="spacer"></span>
      <div class="trace-actions">
        <a class="button" href=${link("compare", undefined, { a: id })}>Compare</a>
        ${!isMultitenant && html`<a class="button" href=${traceUrl(id)} download=${`${id}.json`}>JSON</a>`}
      </div>
      <dl class="facts">
        <div><dt>Trace</dt><dd class="mono">${id}<${Copy} text=${id} label="Copy the id" /></dd></div>
        <div><dt>Start</dt><dd title=${ago(start)}>${exactMoment(start)}</dd></div>
        <div><dt>Duration</dt><dd>${duration(trace.duration)}</dd></div>
        <div><dt>Spans</dt><dd>${trace.count.toLocaleString("en-GB")}</dd></div>
        <div><dt>Services</dt><dd>${trace.services.length}</dd></div>
        <div><dt>Depth</dt><dd>${facts.depth}</dd></div>
        <div><dt>Errors</dt><dd class=${facts.errors > 0 ? "error-count" : ""}>${facts.errors}</dd></div>
      </dl>
      ${facts.orphans > 0 && html`<p class="notice">${counted(facts.orphans, "span")} of this trace name${facts.orphans === 1 ? "s" : ""} a parent that is not here; they stand at the first level.</p>`}
    </header>
  `;
}

function factsOf(trace) {
  let [depth, errors, orphans] = [0, 0, 0];
  for (let row = 0; row < trace.count; row++) {
    depth = Math.max(depth, trace.depth[row] + 1);
    errors += trace.isError[row];
    orphans += trace.isOrphan[row];
  }
  let root = 0;
  for (const row of rootRows(trace)) if (trace.isOrphan[root] && !trace.isOrphan[row]) root = row;
  return { depth, errors, orphans, root };
}
