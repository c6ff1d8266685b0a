// Small parts that several views use.

import { html, useEffect, useRef, useState } from "./html.js";
import { Icon } from "./icon.js";

// A coloured mark and the name of a service.
export function Service({ name, hues }) {
  return html`<span class="service"><i class="service-mark" style=${{ "--hue": hues?.get(name) ?? 0 }}></i><span class="service-name">${name || "(no service)"}</span></span>`;
}

const SHOWN_MILLIS = 1200;

export function Copy({ text, label = "Copy" }) {
  const [isDone, setDone] = useState(false);
  const timer = useRef(0);
  useEffect(() => () => clearTimeout(timer.current), []);
  const copy = async (event) => {
    event.stopPropagation();
    await toClipboard(text);
    setDone(true);
    timer.current = setTimeout(() => setDone(false), SHOWN_MILLIS);
  };
  return html`<button class="copy" title=${label} aria-label=${isDone ? "Copied" : label} onClick=${copy}><${Icon} name=${isDone ? "done" : "copy"} /></button>`;
}

// The clipboard is there on https and localhost only; elsewhere an old way is left.
async function toClipboard(text) {
  if (navigator.clipboard !== undefined) return navigator.clipboard.writeText(text);
  const field = document.createElement("textarea");
  field.value = text;
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
}

export function Command({ text }) {
  return html`<div class="command"><pre>${text}</pre><${Copy} text=${text} label="Copy the command" /></div>`;
}

export function Failure({ error }) {
  return html`<p class="notice notice-error" role="alert"><${Icon} name="error" /> <span>${error.message}</span></p>`;
}

// Tabs that are a part of the link.
export function Tabs({ tabs, chosen, onChoose, label }) {
  return html`
    <div class="tabs" role="tablist" aria-label=${label}>
      ${tabs.map(([key, text]) => html`<button key=${key} role="tab" aria-selected=${key === chosen} onClick=${() => onChoose(key)}>${text}</button>`)}
    </div>
  `;
}

// A heading of a column that sorts.
export function SortHeading({ column, sort, onSort, children, numeric }) {
  const isChosen = sort.column === column;
  const direction = isChosen ? (sort.descending ? "descending" : "ascending") : "none";
  const next = { column, descending: isChosen ? !sort.descending : numeric === true };
  return html`<th class=${numeric ? "number" : ""} aria-sort=${direction}><button class="sort" onClick=${() => onSort(next)}>${children}<span aria-hidden="true">${isChosen ? (sort.descending ? " ↓" : " ↑") : ""}</span></button></th>`;
}

export function sorted(rows, { column, descending }, valueOf = (row) => row[column]) {
  const compare = (a, b) => (typeof a === "string" ? a.localeCompare(b) : (Number.isFinite(a) ? a : -1) - (Number.isFinite(b) ? b : -1));
  return [...rows].sort((a, b) => compare(valueOf(a), valueOf(b)) * (descending ? -1 : 1));
}
