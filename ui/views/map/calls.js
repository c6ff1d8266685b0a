// The edges as a table: for reading numbers, and for those who cannot see the drawing.

import { html, useState } from "../../components/html.js";
import { Service, SortHeading, sorted } from "../../components/parts.js";
import { link } from "../../location.js";
import { duration, percent, rate } from "../../model/format.js";
import { spansOfCall } from "../../model/service_graph.js";

export function Calls({ edges, hues, chosen, params: { last, from, to } }) {
  const [sort, setSort] = useState({ column: "rate", descending: true });
  const shown = edges.filter((edge) => chosen === undefined || edge.client === chosen || edge.server === chosen).map((edge) => ({ ...edge, share: edge.errors / edge.rate }));
  const heading = (column, label, numeric) => html`<${SortHeading} column=${column} sort=${sort} onSort=${setSort} numeric=${numeric}>${label}<//>`;
  return html`
    <section class="card table-scroll">
      <table class="services">
        <thead><tr>${heading("client", "Caller")}${heading("server", "Called")}${heading("rate", "Calls / s", true)}${heading("share", "Failed", true)}${heading("p95", "p95", true)}<th><span class="sr">Traces</span></th></tr></thead>
        <tbody>${sorted(shown, sort).map((edge) => html`<tr key=${`${edge.client} ${edge.server} ${edge.type}`}>
          <td><${Service} name=${edge.client} hues=${hues} /></td><td><${Service} name=${edge.server} hues=${hues} /> ${edge.type !== "" && html`<span class="chip">${edge.type.replace("_", " ")}</span>`}</td>
          <td class="number">${rate(edge.rate)}</td><td class=${`number ${edge.share >= 0.01 ? "error-count" : ""}`}>${percent(edge.share)}</td><td class="number">${duration(edge.p95 * 1e9)}</td>
          <td class="number"><a href=${link("search", undefined, { q: spansOfCall(edge), last, from, to })}>Traces</a>${edge.errors > 0 && html` · <a href=${link("search", undefined, { q: spansOfCall(edge, "status = error"), last, from, to })}>Errors</a>`}</td>
        </tr>`)}</tbody>
      </table>
    </section>
  `;
}
