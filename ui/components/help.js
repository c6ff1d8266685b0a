// Keys, and a little TraceQL.

import { html, useEffect, useRef } from "./html.js";
import { release } from "../settings.js";

const KEYS = [
  ["/", "go to the query"], ["Ctrl Enter", "run the query"], ["g s", "search"], ["g o", "overview"], ["g m", "service map"], ["g t", "status"],
  ["j k", "next and previous row (also arrows)"], ["h l", "collapse and open a span"], ["Enter", "details of the span, or open the trace"], ["n p", "next and previous match"],
  ["c", "critical path on and off"], ["Esc", "close what is open"],
];
const EXAMPLES = [
  ['{ resource.service.name = "cart" && status = error }', "failed spans of a service"],
  ["{ duration > 500ms && kind = server }", "slow requests"],
  ['{ name = "checkout" } >> { span.db.system = "redis" }', "redis below checkout"],
  ["{ status = error } | rate() by (resource.service.name)", "a plot of errors per second"],
];

export function Help({ onClose }) {
  const dialog = useRef(null);
  useEffect(() => dialog.current.showModal(), []);
  return html`
    <dialog class="help" ref=${dialog} onClose=${onClose} onClick=${(event) => event.target === dialog.current && dialog.current.close()} aria-label="Help">
      <div class="help-body">
        <h2>Keys</h2>
        <dl>${KEYS.map(([keys, text]) => html`<div key=${keys}><dt>${keys.split(" ").map((key) => html`<kbd key=${key}>${key}</kbd> `)}</dt><dd>${text}</dd></div>`)}</dl>
        <h2>TraceQL</h2>
        <dl class="examples">${EXAMPLES.map(([query, text]) => html`<div key=${query}><dt><code>${query}</code></dt><dd>${text}</dd></div>`)}</dl>
        <p class="muted">Conmoto ${release}. Everything here uses the public API of this server; nothing is sent anywhere else.</p>
        <button onClick=${() => dialog.current.close()}>Close</button>
      </div>
    </dialog>
  `;
}
