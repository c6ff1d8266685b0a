// A trace of very many spans: what is known without opening it.

import { html } from "../../components/html.js";
import { Copy, Service } from "../../components/parts.js";
import { huesOf } from "../../model/colours.js";
import { count, duration, exactMoment } from "../../model/format.js";

export function Summary({ id, row, onOpen }) {
  const hues = huesOf(row.services.map(({ name }) => name));
  const most = Math.max(1, ...row.services.map(({ spans }) => spans));
  return html`
    <section class="empty summary" data-test="summary">
      <h1>A trace of ${count(row.numSpans)} spans</h1>
      <p><${Service} name=${row.rootService} hues=${hues} /> <strong>${row.rootName}</strong>, ${exactMoment(row.start)}, ${duration(row.durationNanos)}</p>
      <p class="mono">${id}<${Copy} text=${id} label="Copy the id" /></p>
      <table>
        <thead><tr><th>Service</th><th class="number">Spans</th><th class="number">Failed</th></tr></thead>
        <tbody>${row.services.map(({ name, spans, errors }) => html`<tr key=${name}>
          <td><${Service} name=${name} hues=${hues} /></td>
          <td class="number duration-cell">${count(spans)}<i class="duration-bar" style=${{ "--share": spans / most }}></i></td>
          <td class=${`number ${errors > 0 ? "error-count" : ""}`}>${count(errors)}</td></tr>`)}</tbody>
      </table>
      <div class="buttons"><button class="primary" onClick=${onOpen}>Open all spans</button></div>
      <p>It may take some seconds. The server gives out at most <code>max_bytes_per_trace</code> of it and says so when it cuts.</p>
    </section>
  `;
}
