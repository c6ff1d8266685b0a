// Two traces side by side, matched by the path of services and names.

import { html, useEffect, useMemo, useState } from "../../components/html.js";
import { Failure, Service } from "../../components/parts.js";
import { change, link } from "../../location.js";
import { compare } from "../../model/compare.js";
import { huesOf } from "../../model/colours.js";
import { duration } from "../../model/format.js";
import { window as rowsInView } from "../../model/waterfall.js";
import { useTrace } from "../trace/use_trace.js";

const ROW_HEIGHT = 28;
const CHANGES = { added: "only in the second", removed: "only in the first", slower: "slower", faster: "faster", changed: "other counts", same: "" };

export function CompareView({ location }) {
  const { a = "", b = "" } = location.params;
  useEffect(() => void (document.title = "Compare · Conmoto"), []);
  return html`
    <div class="trace compare">
      <div class="compare-heads">
        <${Choice} which="a" label="First" id=${a} /><${Choice} which="b" label="Second" id=${b} />
      </div>
      ${a !== "" && b !== "" ? html`<${Both} key=${`${a} ${b}`} a=${a} b=${b} />` : html`<${Missing} />`}
    </div>
  `;
}

function Choice({ which, label, id }) {
  const [text, setText] = useState(id);
  useEffect(() => setText(id), [id]);
  const isWrong = text !== "" && !/^[0-9a-f]{1,32}$/i.test(text.trim());
  const submit = (event) => {
    event?.preventDefault();
    if (!isWrong) change({ [which]: text.trim() || undefined });
  };
  return html`<form onSubmit=${submit} class="compare-choice"><b class=${`side side-${which}`}>${label}</b>
    <input type="text" class="mono" placeholder="Trace id" aria-label=${`${label} trace id`} value=${text} aria-invalid=${isWrong} spellcheck=${false} onInput=${(event) => setText(event.target.value)} onBlur=${submit} />
    ${id !== "" && html`<a class="button" href=${link("trace", id, {})}>Open</a>`}</form>`;
}

function Missing() {
  return html`<section class="empty"><h1>Two traces to compare</h1><p>Paste the ids above, or pick two traces in the results of a search.</p><a class="button" href=${link("search", undefined, {})}>Search</a></section>`;
}

function Both({ a, b }) {
  const [first, second] = [useTrace(a), useTrace(b)];
  const states = [first.state, second.state];
  const failed = states.find(({ error }) => error !== undefined);
  if (failed !== undefined) return html`<${Failure} error=${failed.error} />`;
  if (states.some(({ isTooLarge }) => isTooLarge)) {
    const openAll = () => [first, second].filter(({ state }) => state.isTooLarge).forEach((trace) => trace.openAll());
    return html`<section class="empty"><h1>Very many spans</h1><p>One of these traces has more than 20,000 spans.</p><button class="primary" onClick=${openAll}>Compare nevertheless</button></section>`;
  }
  if (states.some(({ trace }) => trace === undefined)) return html`<p class="loading">Loading both traces …</p>`;
  const empty = states.findIndex(({ trace }) => trace.count === 0);
  if (empty >= 0) return html`<section class="empty"><h1>The ${empty === 0 ? "first" : "second"} trace is not here</h1><p>The server knows no span with this trace id.</p></section>`;
  return html`<${Rows} first=${first.state.trace} second=${second.state.trace} />`;
}

function Rows({ first, second }) {
  const rows = useMemo(() => compare(first, second), [first, second]);
  const hues = useMemo(() => huesOf([...first.services, ...second.services]), [first, second]);
  const [onlyChanges, setOnlyChanges] = useState(false);
  const [scrolled, setScrolled] = useState({ first: 0, last: 60 });
  const shown = onlyChanges ? rows.filter(({ change }) => change !== "same") : rows;
  const longest = Math.max(first.duration, second.duration, 1);
  const scroll = ({ currentTarget: { scrollTop, clientHeight } }) => {
    const next = rowsInView(shown.length, ROW_HEIGHT, scrollTop, clientHeight);
    if (next.first !== scrolled.first || next.last !== scrolled.last) setScrolled(next);
  };
  return html`
    <div class="trace-tools"><span><b class="side side-a">First</b> ${duration(first.duration)}, ${first.count} spans</span><span><b class="side side-b">Second</b> ${duration(second.duration)}, ${second.count} spans</span>
      <span class="muted">${difference(second.duration - first.duration)}</span><span class="spacer"></span>
      <label class="check"><input type="checkbox" checked=${onlyChanges} onChange=${(event) => setOnlyChanges(event.target.checked)} />Only differences</label></div>
    <div class="waterfall">
      <div class="axis compare-axis"><div class="axis-name">Service and span</div><div>First</div><div>Second</div><div class="number">Difference</div></div>
      <div class="rows" onScroll=${scroll} tabindex="0" aria-label="Both traces">
        <div class="rows-room" style=${{ height: `${shown.length * ROW_HEIGHT}px` }}>
          ${shown.slice(scrolled.first, scrolled.last).map((row, at) => html`<${Row} row=${row} place=${scrolled.first + at} longest=${longest} hues=${hues} />`)}
        </div>
      </div>
    </div>
  `;
}

const difference = (nanos) => (nanos === 0 ? "equally long" : nanos > 0 ? `the second takes ${duration(nanos)} longer` : `the second is ${duration(-nanos)} shorter`);

function Row({ row, place, longest, hues }) {
  const delta = row.second.total - row.first.total;
  return html`
    <div class=${`row compare-row change-${row.change}`} style=${{ top: `${place * ROW_HEIGHT}px`, "--hue": hues.get(row.service) }}>
      <div class="row-name" style=${{ paddingLeft: `${10 + Math.min(row.depth, 16) * 14}px` }}><${Service} name=${row.service} hues=${hues} /><span class="row-text">${row.name}</span></div>
      <${Side} side=${row.first} longest=${longest} /><${Side} side=${row.second} longest=${longest} />
      <div class="compare-change number">${row.change === "same" ? "" : html`<span>${CHANGES[row.change]}</span>`} ${row.first.count > 0 && row.second.count > 0 ? `${delta > 0 ? "+" : ""}${duration(delta)}` : ""}</div>
    </div>
  `;
}

function Side({ side, longest }) {
  if (side.count === 0) return html`<div class="row-time absent"></div>`;
  const left = (side.start / longest) * 100;
  const width = ((side.end - side.start) / longest) * 100;
  const { place, isInside } = labelPlace(left, width);
  return html`<div class=${`row-time ${side.errors > 0 ? "failed" : ""}`}><i class="bar" style=${{ left: `${left}%`, width: `${width}%` }}></i><span class=${`bar-label ${isInside ? "inside" : ""}`} style=${place}>${duration(side.total)}${side.count > 1 ? ` · ${side.count}×` : ""}</span></div>`;
}

// Right of the bar, left of it, or on it, where there is room.
function labelPlace(left, width) {
  if (left + width < 70) return { place: { left: `calc(${left + width}% + 6px)` } };
  if (left > 30) return { place: { right: `calc(${100 - left}% + 6px)` } };
  return { place: { left: `calc(${left}% + 8px)` }, isInside: true };
}
