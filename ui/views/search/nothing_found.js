// Nothing in the range: is there anything at all, and when?

import { html, useEffect, useState } from "../../components/html.js";
import { SendSpans } from "../../components/send_spans.js";
import { getJson } from "../../api/client.js";
import { change } from "../../location.js";
import { rowOf } from "../../model/found_trace.js";
import { ago, moment } from "../../model/format.js";
import { toParams } from "../../model/range.js";

export function NothingFound({ asked, onRun }) {
  const newest = useNewest(asked.q);
  if (newest === undefined) return html`<p class="loading">Looking further back …</p>`;
  if (newest.all === undefined) return html`<section class="empty"><h1>No trace matches in this range</h1></section>`;
  if (newest.all === null) return html`<${SendSpans} />`;
  return html`
    <section class="empty">
      <h1>No trace matches in this range</h1>
      ${newest.matching !== null
        ? html`<p>The newest one that matches is from ${moment(newest.matching.start)}, ${ago(newest.matching.start)}.</p>
            <button class="primary" onClick=${() => jumpTo(newest.matching.start)}>Go there</button>`
        : html`<p>None matches at any other time either. The newest trace of all is from ${moment(newest.all.start)}, ${ago(newest.all.start)}.</p>
            <button onClick=${() => { onRun("{}"); jumpTo(newest.all.start); }}>Show it</button>`}
    </section>
  `;
}

const AROUND_MILLIS = 15 * 60e3;

function jumpTo(moment) {
  change(toParams({ from: Math.floor(moment - AROUND_MILLIS), to: Math.ceil(moment + AROUND_MILLIS) }));
}

// Without a range this server looks at all its data.
function useNewest(query) {
  const [newest, setNewest] = useState(undefined);
  useEffect(() => {
    let isCurrent = true;
    const first = async (q) => {
      const [found] = (await getJson("search", { q, limit: 1 })).traces ?? [];
      return found === undefined ? null : rowOf(found);
    };
    const look = async () => {
      const all = await first("{}");
      const matching = all === null || query.trim() === "" ? all : await first(query);
      if (isCurrent) setNewest({ all, matching });
    };
    look().catch(() => isCurrent && setNewest({ all: undefined, matching: null }));
    return () => {
      isCurrent = false;
    };
  }, [query]);
  return newest;
}
