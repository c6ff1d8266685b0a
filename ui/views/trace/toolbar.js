// Search inside the trace, and switches of the waterfall.

import { html } from "../../components/html.js";

export function Toolbar({ find, selected, onJump, onlyMatches, onOnlyMatches, isCritical, onCritical, onCollapse, onExpand, isZoomed, onWhole }) {
  const keyDown = (event) => {
    if (event.key === "Enter") onJump(event.shiftKey ? -1 : 1);
    if (event.key === "Escape") event.target.blur();
  };
  const at = find.placeOf(selected);
  const state = find.text === "" ? "" : find.rows.length === 0 ? "no match" : `${at < 0 ? "–" : at + 1} / ${find.rows.length.toLocaleString("en-GB")}`;
  return html`
    <div class="trace-tools">
      <input type="search" placeholder="Find in trace: name, attribute, value" aria-label="Find in this trace" value=${find.text} onInput=${(event) => find.setText(event.target.value)} onKeyDown=${keyDown} spellcheck=${false} />
      <span class="find-state" role="status">${state}</span>
      <button class="quiet" disabled=${find.rows.length === 0} onClick=${() => onJump(-1)} aria-label="Previous match">↑</button>
      <button class="quiet" disabled=${find.rows.length === 0} onClick=${() => onJump(1)} aria-label="Next match">↓</button>
      <label class="check"><input type="checkbox" checked=${onlyMatches} disabled=${find.text === ""} onChange=${(event) => onOnlyMatches(event.target.checked)} />Only matches</label>
      <span class="spacer"></span>
      ${isZoomed && html`<button onClick=${onWhole}>Whole trace</button>`}
      <label class="check"><input type="checkbox" checked=${isCritical} onChange=${(event) => onCritical(event.target.checked)} />Critical path</label>
      <button class="quiet" onClick=${onCollapse}>Collapse</button>
      <button class="quiet" onClick=${onExpand}>Expand</button>
    </div>
  `;
}
