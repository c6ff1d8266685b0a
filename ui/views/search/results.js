// What a search found: a picture over time, a table, and what to do when there is nothing.

import { html, useMemo, useRef, useState } from "../../components/html.js";
import { Failure, Service, SortHeading, sorted } from "../../components/parts.js";
import { Icon } from "../../components/icon.js";
import { useKeys } from "../../components/keys.js";
import { change, go, link } from "../../location.js";
import { huesOf } from "../../model/colours.js";
import { columnValues } from "../../model/found_trace.js";
import { ago, count, counted, duration, exactMoment, moment } from "../../model/format.js";
import { withColumns } from "../../model/query_form.js";
import { NothingFound } from "./nothing_found.js";
import { Scatter } from "./scatter.js";
import { useSearch } from "./use_search.js";

export function Results({ asked, between, run, onRun, options }) {
  const { rows, progress, isRunning, error, millis } = useSearch(withColumns(asked.q, asked.columns), between, asked.limit, run);
  const [sort, setSort] = useState({ column: "start", descending: true });
  const [picked, setPicked] = useState([]);
  const hues = useMemo(() => huesOf(rows.flatMap((row) => row.services.map(({ name }) => name))), [rows]);
  if (error !== undefined) return html`<${Failure} error=${error} />`;
  if (rows.length === 0 && !isRunning) return html`<${NothingFound} asked=${asked} onRun=${onRun} />`;
  return html`
    <section class="results" aria-busy=${isRunning} aria-label="Results">
      <div class="results-line">
        <span class="results-count" role="status">${summary(rows, isRunning, millis, asked.limit)}</span>
        <progress class=${isRunning ? "" : "hidden"} max="1" value=${progress} aria-label="Share of the range that was searched"></progress>
        <span class="spacer"></span>
        ${picked.length === 2 && html`<a class="button" href=${link("compare", undefined, { a: picked[0], b: picked[1] })}>Compare the two</a>`}
        ${options}
      </div>
      ${rows.length > 0 && html`
        <${Scatter} rows=${rows} between=${between} />
        <${Table} rows=${sorted(rows, sort)} sort=${sort} onSort=${setSort} columns=${asked.columns} hues=${hues} picked=${picked} onPick=${setPicked} />`}
    </section>
  `;
}

function summary(rows, isRunning, millis, limit) {
  if (isRunning) return rows.length === 0 ? "Searching …" : `${counted(rows.length, "trace")} so far …`;
  if (rows.length === 0) return "";
  const isFull = rows.length >= limit ? `the newest ${count(rows.length)} traces` : counted(rows.length, "trace");
  return `${isFull} in ${duration(millis * 1e6)}`;
}

function Table({ rows, sort, onSort, columns, hues, picked, onPick }) {
  const [opened, setOpened] = useState(new Set());
  const body = useRef(null);
  useRowKeys(body);
  const toggle = (id) => setOpened(toggled(opened, id));
  const longest = Math.max(1, ...rows.map((row) => row.durationNanos));
  const heading = (column, label, numeric) => html`<${SortHeading} column=${column} sort=${sort} onSort=${onSort} numeric=${numeric}>${label}<//>`;
  return html`
    <div class="table-scroll">
      <table class="found">
        <thead><tr>
          <th class="narrow"><span class="sr">Spans</span></th>
          ${heading("rootService", "Trace")} ${heading("start", "Start", true)} ${heading("durationNanos", "Duration", true)} ${heading("numSpans", "Spans", true)}
          ${columns.map((column) => html`<th key=${column}><span class="column-name">${column}<button class="icon-button" aria-label=${`Remove the column ${column}`} onClick=${() => removeColumn(columns, column)}><${Icon} name="close" /></button></span></th>`)}
          <th class="narrow" title="Choose two to compare">Pick</th>
        </tr></thead>
        <tbody ref=${body}>
          ${rows.map((row) => html`
            <${TraceRow} key=${row.id} row=${row} columns=${columns} hues=${hues} longest=${longest} isOpen=${opened.has(row.id)} onToggle=${() => toggle(row.id)}
              isPicked=${picked.includes(row.id)} onPick=${() => onPick(pickedWith(picked, row.id))} />`)}
        </tbody>
      </table>
    </div>
  `;
}

const removeColumn = (columns, column) => change({ columns: columns.filter((other) => other !== column).join(",") || undefined });

function toggled(set, item) {
  const copy = new Set(set);
  if (!copy.delete(item)) copy.add(item);
  return copy;
}

// At most two; a third takes the place of the older one.
function pickedWith(picked, id) {
  return picked.includes(id) ? picked.filter((other) => other !== id) : [...picked, id].slice(-2);
}

// j and k move between the links of the rows.
function useRowKeys(body) {
  const move = (step) => () => {
    const links = [...body.current.querySelectorAll("a.trace-link")];
    const at = links.indexOf(document.activeElement);
    links[Math.max(0, Math.min(links.length - 1, at + step))]?.focus();
  };
  useKeys({ j: move(1), k: move(-1) });
}

function TraceRow({ row, columns, hues, longest, isOpen, onToggle, isPicked, onPick }) {
  const open = (event) => {
    if (event.target.closest("a, button, input") === null) go("trace", row.id);
  };
  return html`
    <tr class=${row.numErrors > 0 ? "has-errors" : ""} onClick=${open}>
      <td class="narrow"><button class="icon-button" aria-expanded=${isOpen} aria-label="Spans that match" onClick=${onToggle}><${Icon} name=${isOpen ? "down" : "right"} /></button></td>
      <td class="trace-cell">
        <a class="trace-link" href=${link("trace", row.id, {})}><${Service} name=${row.rootService} hues=${hues} /> <span class="trace-name">${row.rootName}</span></a>
        <${Services} row=${row} hues=${hues} />
      </td>
      <td class="number" title=${exactMoment(row.start)}>${moment(row.start)}<span class="ago">${ago(row.start)}</span></td>
      <td class="number duration-cell"><span>${duration(row.durationNanos)}</span><i class="duration-bar" style=${{ "--share": Math.sqrt(row.durationNanos / longest) }}></i></td>
      <td class="number">${count(row.numSpans)}${row.numErrors > 0 && html` <span class="error-count" title=${counted(row.numErrors, "failed span")}>${count(row.numErrors)} ✕</span>`}</td>
      ${columns.map((column) => html`<td key=${column} class="value-cell">${columnValues(row, column).join(", ")}</td>`)}
      <td class="narrow"><input type="checkbox" checked=${isPicked} aria-label="Compare this trace" onChange=${onPick} /></td>
    </tr>
    ${isOpen && html`<tr class="spans-row"><td colspan=${6 + columns.length}><${MatchedSpans} row=${row} /></td></tr>`}
  `;
}

function Services({ row, hues }) {
  const others = row.services.filter(({ name }) => name !== row.rootService);
  return html`<span class="other-services">${others.slice(0, 6).map(({ name }) => html`<${Service} key=${name} name=${name} hues=${hues} />`)}${others.length > 6 && html`<span class="muted">+${others.length - 6}</span>`}</span>`;
}

function MatchedSpans({ row }) {
  if (row.spans.length === 0) return html`<p class="muted">The answer names no spans.</p>`;
  return html`
    <p class="muted">${counted(row.matched, "span")} match${row.matched === 1 ? "es" : ""}${row.matched > row.spans.length ? `; the first ${row.spans.length}:` : ":"}</p>
    <ul class="matched">
      ${row.spans.map((span) => html`<li key=${span.id}>
        <a href=${link("trace", row.id, { span: span.id })}>${span.name || span.id}</a> <span class="number">${duration(span.durationNanos)}</span>
        ${span.attributes.map(({ key, text }) => html`<span class="chip" key=${key}>${key}=${text}</span>`)}
      </li>`)}
    </ul>
  `;
}
