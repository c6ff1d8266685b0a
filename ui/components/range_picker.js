// The time range, and looking again.

import { html, useState } from "./html.js";
import { PRESETS, lengthOfPreset, resolve } from "../model/range.js";
import { moment } from "../model/format.js";
import { Icon } from "./icon.js";

// `longest`, in milliseconds, leaves out presets that the server would refuse.
export function RangePicker({ range, onChange, onRefresh, isBusy, longest = Infinity }) {
  const presets = PRESETS.filter((preset) => lengthOfPreset(preset) <= longest);
  const [isCustom, setCustom] = useState(false);
  const choose = (event) => {
    if (event.target.value !== "custom") onChange({ last: event.target.value });
    setCustom(event.target.value === "custom");
  };
  const label = range.last === undefined ? `${moment(range.from)} – ${moment(range.to)}` : "Between two moments …";
  return html`
    <div class="range">
      <select aria-label="Time range" value=${range.last ?? "custom"} onChange=${choose}>
        ${presets.map((preset) => html`<option key=${preset} value=${preset}>Last ${preset}</option>`)}
        ${range.last !== undefined && !presets.includes(range.last) && html`<option value=${range.last}>Last ${range.last}</option>`}
        <option value="custom">${label}</option>
      </select>
      ${range.last === undefined && !isCustom && html`<button class="quiet" onClick=${() => setCustom(true)}>Change</button>`}
      <button class="icon-button" title="Look again" aria-label="Look again" onClick=${onRefresh} aria-busy=${isBusy}><${Icon} name="refresh" /></button>
      ${isCustom && html`<${Between} range=${range} onChange=${(chosen) => { setCustom(false); onChange(chosen); }} onClose=${() => setCustom(false)} />`}
    </div>
  `;
}

// The value of a datetime-local field, which has no time zone.
function local(millis) {
  const at = new Date(millis - new Date(millis).getTimezoneOffset() * 60e3);
  return at.toISOString().slice(0, 19);
}

function Between({ range, onChange, onClose }) {
  const { from, to } = resolve(range);
  const [texts, setTexts] = useState({ from: local(from), to: local(to) });
  const chosen = { from: Date.parse(texts.from), to: Date.parse(texts.to) };
  const isRange = chosen.from < chosen.to;
  const field = (name, label) => html`<label>${label}<input type="datetime-local" step="1" value=${texts[name]} onInput=${(event) => setTexts({ ...texts, [name]: event.target.value })} /></label>`;
  const submit = (event) => {
    event.preventDefault();
    if (isRange) onChange(chosen);
  };
  return html`
    <form class="popover between" onSubmit=${submit} onKeyDown=${(event) => event.key === "Escape" && onClose()}>
      ${field("from", "From")} ${field("to", "To")}
      ${!isRange && html`<p class="field-error">The end must be after the start.</p>`}
      <div class="buttons"><button type="submit" class="primary" disabled=${!isRange}>Apply</button><button type="button" onClick=${onClose}>Cancel</button></div>
    </form>
  `;
}
