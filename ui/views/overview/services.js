// The table of services, with a small curve of each rate.

import { html, useState } from "../../components/html.js";
import { Service, SortHeading, sorted } from "../../components/parts.js";
import { change, current, link } from "../../location.js";
import { duration, percent, rate } from "../../model/format.js";
import { spansBehind } from "../../model/red.js";

const COLUMNS = [["rate", "Requests / s"], ["errorShare", "Failed"], ["p0.5", "p50"], ["p0.95", "p95"], ["p0.99", "p99"]];
const valueOf = (column) => (row) => (column.startsWith("p0") ? row.quantiles[column.slice(1)] : row[column]);

export function Services({ rows, red, hues, chosen }) {
  const [sort, setSort] = useState({ column: "rate", descending: true });
  const { last, from, to } = current().params;
  return html`
    <section class="card table-scroll">
      <table class="services">
        <thead><tr>
          <${SortHeading} column="service" sort=${sort} onSort=${setSort}>Service<//>
          <th>Rate over time</th>
          ${COLUMNS.map(([column, label]) => html`<${SortHeading} key=${column} column=${column} sort=${sort} onSort=${setSort} numeric>${label}<//>`)}
          <th><span class="sr">Traces</span></th>
        </tr></thead>
        <tbody>${sorted(rows, sort, valueOf(sort.column)).map((row) => html`
          <tr key=${row.service} class=${row.service === chosen ? "selected" : ""}>
            <td><button class="as-link" aria-pressed=${row.service === chosen} onClick=${() => change({ service: row.service === chosen ? undefined : row.service })}><${Service} name=${row.service} hues=${hues} /></button></td>
            <td><${Spark} values=${red.rate.curves.get(row.service) ?? []} hue=${hues.get(row.service)} /></td>
            <td class="number">${rate(row.rate)}</td>
            <td class=${`number ${row.errorShare >= 0.01 ? "error-count" : ""}`}>${percent(row.errorShare)}</td>
            ${["0.5", "0.95", "0.99"].map((p) => html`<td class="number" key=${p}>${duration((row.quantiles[p] ?? NaN) * 1e9)}</td>`)}
            <td class="number"><a href=${link("search", undefined, { q: spansBehind(row.service, "rate"), last, from, to })}>Traces</a>${row.errors > 0 && html` · <a href=${link("search", undefined, { q: spansBehind(row.service, "errors"), last, from, to })}>Errors</a>`}</td>
          </tr>`)}</tbody>
      </table>
    </section>
  `;
}

const [WIDTH, HEIGHT] = [120, 22];

function Spark({ values, hue }) {
  const most = Math.max(...values, 1e-12);
  const points = values.map((value, at) => `${((at / Math.max(1, values.length - 1)) * WIDTH).toFixed(1)},${(HEIGHT - 1 - ((value ?? 0) / most) * (HEIGHT - 3)).toFixed(1)}`);
  return html`<svg class="spark" style=${{ "--hue": hue }} width=${WIDTH} height=${HEIGHT} aria-hidden="true"><polyline points=${points.join(" ")} /></svg>`;
}
