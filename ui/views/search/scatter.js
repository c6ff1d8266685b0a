// The found traces over time, by duration: what is slow or failed stands out before a row is read.

import { html, useMemo } from "../../components/html.js";
import { go } from "../../location.js";
import { duration, moment } from "../../model/format.js";

const WIDTH = 1000;
const HEIGHT = 110;
const ROOM = 8;

export function Scatter({ rows, between }) {
  const shown = useMemo(() => shownRange(rows, between), [rows, between]);
  const points = useMemo(() => place(rows, shown), [rows, shown]);
  const [low, high] = extent(rows);
  return html`
    <div class="scatter" aria-hidden="true">
      <span class="scatter-label top">${duration(high)}</span><span class="scatter-label bottom">${duration(low)}</span>
      <svg viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none">
        ${points.map(({ row, x, y }) => html`<line key=${row.id} class=${row.numErrors > 0 ? "dot dot-error" : "dot"} x1=${x} x2=${x} y1=${y} y2=${y} vector-effect="non-scaling-stroke"
          onClick=${() => go("trace", row.id)}><title>${row.rootService} ${row.rootName} · ${duration(row.durationNanos)} · ${moment(row.start)}</title></line>`)}
      </svg>
      <span class="scatter-time">${moment(shown.from)}</span><span class="scatter-time end">${moment(shown.to)}</span>
    </div>
  `;
}

function extent(rows) {
  const durations = rows.map((row) => Math.max(1000, row.durationNanos));
  return [Math.min(...durations), Math.max(...durations)];
}

// The range that was asked for; if what was found fills only a corner of it, as the newest few of many do, that corner.
function shownRange(rows, between) {
  const starts = rows.map((row) => row.start);
  const [first, last] = [Math.min(...starts), Math.max(...starts)];
  return last - first < (between.to - between.from) / 4 && last > first ? { from: first, to: last } : between;
}

// Durations on a logarithmic axis: they span several powers of ten.
function place(rows, { from, to }) {
  const [low, high] = extent(rows).map(Math.log);
  return rows.map((row) => {
    const height = high > low ? (Math.log(Math.max(1000, row.durationNanos)) - low) / (high - low) : 0.5;
    const along = Math.max(0, Math.min(1, (row.start - from) / (to - from || 1)));
    return { row, x: ROOM + along * (WIDTH - 2 * ROOM), y: HEIGHT - ROOM - height * (HEIGHT - 2 * ROOM) };
  });
}
