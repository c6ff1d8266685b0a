// The critical path: the pieces of spans that the trace's end had to wait for.
//
// From a span's end one goes back in time to the child that ended last before it, follows that child, and goes on from its
// start. What lies between is the span's own. A child that still ran when a later one had started was not waited for. A child
// that outlasts its parent counts up to the parent's end.

import { childRows } from "./trace.js";

// Segments as flat triples row, from, to (nanoseconds since the trace's base), in no order; `ofRow` finds them by row.
export function criticalPath(trace) {
  if (trace.count === 0) return new Float64Array(0);
  const segments = [];
  const waiting = [{ row: mainRoot(trace), end: Infinity }];
  while (waiting.length > 0) {
    const { row, end } = waiting.pop();
    follow(trace, row, Math.min(end, trace.end[row]), segments, waiting);
  }
  return Float64Array.from(segments);
}

// The root with the most spans below it: a trace with several is one whose first spans are missing.
function mainRoot(trace) {
  let best = 0;
  for (let row = 0; row < trace.count; row += trace.subtree[row]) if (trace.subtree[row] > trace.subtree[best]) best = row;
  return best;
}

function follow(trace, row, end, segments, waiting) {
  const endOf = (child) => Math.min(trace.end[child], end);
  const children = [...childRows(trace, row)].filter((child) => trace.start[child] < end).sort((a, b) => endOf(b) - endOf(a));
  let time = end;
  for (const child of children) {
    const childEnd = endOf(child);
    if (childEnd > time || trace.start[child] < trace.start[row]) continue;
    if (time > childEnd) segments.push(row, childEnd, time);
    waiting.push({ row: child, end: childEnd });
    time = trace.start[child];
  }
  if (time > trace.start[row]) segments.push(row, trace.start[row], time);
}

// The segments of each row that has any.
export function segmentsByRow(segments) {
  const rows = new Map();
  for (let i = 0; i < segments.length; i += 3) {
    const list = rows.get(segments[i]) ?? [];
    list.push([segments[i + 1], segments[i + 2]]);
    rows.set(segments[i], list);
  }
  return rows;
}
