// Search: a query, a form beside it, what was found.

import { html, useEffect, useMemo, useState } from "../../components/html.js";
import { RangePicker } from "../../components/range_picker.js";
import { change } from "../../location.js";
import { fromParams, resolve, toParams, toSeconds } from "../../model/range.js";
import { isMetricsQuery } from "../../model/query_form.js";
import { QueryEditor } from "./query_editor.js";
import { QueryForm } from "./query_form.js";
import { Results } from "./results.js";
import { Columns } from "./columns.js";
import { MetricsResult } from "./metrics_result.js";

const LIMITS = [20, 50, 100, 200, 500, 1000];

// What a link says about the search.
function readParams(params) {
  const columns = (params.columns ?? "").split(",").filter((column) => column !== "");
  return { q: params.q ?? "", range: fromParams(params), limit: LIMITS.includes(Number(params.limit)) ? Number(params.limit) : 50, columns };
}

export function SearchView({ location }) {
  const asked = useMemo(() => readParams(location.params), [location]);
  const [text, setText] = useState(asked.q);
  const [runs, setRuns] = useState(0);
  useEffect(() => setText(asked.q), [asked.q]);
  useEffect(() => void (document.title = asked.q === "" ? "Search · Conmoto" : `${asked.q} · Conmoto`), [asked.q]);
  // A range that moves with the clock is fixed when a search starts, so that all its parts ask for the same.
  const between = useMemo(() => resolve(asked.range), [asked, runs]);

  const run = (query = text) => {
    setText(query);
    // A new query makes a new place, which starts the search; the same one is looked at again.
    if (query.trim() === asked.q) setRuns((number) => number + 1);
    else change({ q: query.trim() });
  };
  const isMetrics = isMetricsQuery(asked.q);
  return html`
    <div class="search">
      <${QueryForm} query=${text} range=${toSeconds(between)} onChange=${setText} onRun=${run} />
      <div class="search-main">
        <div class="query-line">
          <${QueryEditor} text=${text} range=${toSeconds(between)} onChange=${setText} onRun=${run} />
          <div class="query-side">
            <${RangePicker} range=${asked.range} onChange=${(range) => change(toParams(range))} onRefresh=${() => run()} />
            <button class="primary" onClick=${() => run()} title="Ctrl Enter">Search</button>
          </div>
        </div>
        ${isMetrics
          ? html`<${MetricsResult} query=${asked.q} between=${between} run=${runs} />`
          : html`<${Results} asked=${asked} between=${between} run=${runs} onRun=${run}
              options=${html`<${Options} asked=${asked} range=${toSeconds(between)} />`} />`}
      </div>
    </div>
  `;
}

function Options({ asked, range }) {
  return html`
    <${Columns} columns=${asked.columns} range=${range} onChange=${(columns) => change({ columns: columns.join(",") || undefined })} />
    <label class="limit">Limit
      <select value=${asked.limit} onChange=${(event) => change({ limit: event.target.value })}>${LIMITS.map((limit) => html`<option key=${limit} value=${limit}>${limit}</option>`)}</select>
    </label>
  `;
}
