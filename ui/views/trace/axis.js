// The marks of the time axis above the rows.

import { html } from "../../components/html.js";
import { duration } from "../../model/format.js";
import { ticks } from "../../model/waterfall.js";

const MARKS = 5;

export function Axis({ view }) {
  const length = view.to - view.from || 1;
  return html`
    <div class="axis" aria-hidden="true">
      <div class="axis-name">Service and span</div>
      <div class="axis-time">${ticks(view, MARKS).map((at) => {
        const left = ((at - view.from) / length) * 100;
        return left > 96 ? null : html`<span key=${at} style=${{ left: `${left}%` }}>${duration(at)}</span>`;
      })}</div>
    </div>
  `;
}
