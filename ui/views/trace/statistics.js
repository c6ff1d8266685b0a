// Sums over the spans of a trace, by service, by name, or by both.

import { html, useMemo, useState } from "../../components/html.js";
import { Service, SortHeading, sorted } from "../../components/parts.js";
import { change } from "../../location.js";
import { count, duration, percent } from "../../model/format.js";
import { GROUPINGS, statistics } from "../../model/statistics.js";

const NUMBERS = [["count", "Spans"], ["errors", "Failed"], ["self", "Self time"], ["share", "Share"], ["total", "Total"], ["mean", "Mean"], ["p95", "p95"], ["max", "Longest"]];

export function Statistics({ trace, hues }) {
  const [grouping, setGrouping] = useState(GROUPINGS[0]);
  const [sort, setSort] = useState({ column: "self", descending: true });
  const rows = useMemo(() => statistics(trace, grouping), [trace, grouping]);
  const heading = ([column, label]) => html`<${SortHeading} key=${column} column=${column} sort=${sort} onSort=${setSort} numeric>${label}<//>`;
  const most = Math.max(...rows.map((row) => row.share));
  return html`
    <section class="card">
      <div class="results-line"><label class="limit">By <select value=${grouping} onChange=${(event) => setGrouping(event.target.value)}>${GROUPINGS.map((name) => html`<option key=${name} value=${name}>${name}</option>`)}</select></label></div>
      <div class="table-scroll">
        <table class="statistics">
          <thead><tr>
            ${grouping !== "name" && html`<${SortHeading} column="service" sort=${sort} onSort=${setSort}>Service<//>`}
            ${grouping !== "service" && html`<${SortHeading} column="name" sort=${sort} onSort=${setSort}>Name<//>`}
            ${NUMBERS.map(heading)}
          </tr></thead>
          <tbody>${sorted(rows, sort).map((row) => html`<tr key=${`${row.service}\n${row.name}`}>
            ${grouping !== "name" && html`<td><${Service} name=${row.service} hues=${hues} /></td>`}
            ${grouping !== "service" && html`<td class="wide"><button class="as-link" title="Find in the waterfall" onClick=${() => change({ tab: undefined, find: row.name })}>${row.name}</button></td>`}
            <td class="number">${count(row.count)}</td>
            <td class=${`number ${row.errors > 0 ? "error-count" : ""}`}>${count(row.errors)}</td>
            <td class="number">${duration(row.self)}</td>
            <td class="number duration-cell">${percent(row.share)}<i class="duration-bar" style=${{ "--share": row.share / (most || 1) }}></i></td>
            <td class="number">${duration(row.total)}</td><td class="number">${duration(row.mean)}</td><td class="number">${duration(row.p95)}</td><td class="number">${duration(row.max)}</td>
          </tr>`)}</tbody>
        </table>
      </div>
    </section>
  `;
}
