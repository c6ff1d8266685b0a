// Which rows of a trace are shown, and where on the time axis.

// Rows that are not below a collapsed one, as Int32Array. With `keep` (one byte a row) only those and their ancestors.
export function visibleRows(trace, collapsed, keep) {
  const shown = keep === undefined ? undefined : withAncestors(trace, keep);
  const rows = new Int32Array(trace.count);
  let length = 0;
  for (let row = 0; row < trace.count; ) {
    if (shown === undefined || shown[row]) rows[length++] = row;
    row += collapsed.has(row) ? trace.subtree[row] : 1;
  }
  return rows.subarray(0, length);
}

function withAncestors(trace, keep) {
  const shown = Uint8Array.from(keep);
  // Parents stand before their children, so one pass backwards reaches the root.
  for (let row = trace.count - 1; row >= 0; row--) if (shown[row] && trace.parent[row] >= 0) shown[trace.parent[row]] = 1;
  return shown;
}

// The part of `visible` that a viewport shows, with a few rows more on both sides.
export function window(numRows, rowHeight, scrollTop, height, margin = 8) {
  const first = Math.max(0, Math.floor(scrollTop / rowHeight) - margin);
  const last = Math.min(numRows, Math.ceil((scrollTop + height) / rowHeight) + margin);
  return { first, last: Math.max(first, last) };
}

// Where a span lies within `view` `{from, to}`, in percent; bars have a smallest width, or a span of a microsecond in a trace
// of a minute would not be seen.
export function bar(start, end, view) {
  const length = view.to - view.from || 1;
  const left = ((start - view.from) / length) * 100;
  const right = ((end - view.from) / length) * 100;
  return { left: Math.max(left, -1), width: Math.max(0, Math.min(right, 101) - Math.max(left, -1)), isInside: right >= 0 && left <= 100 };
}

// Round marks on the axis: about `wanted` of them, as nanoseconds.
export function ticks(view, wanted) {
  const length = view.to - view.from;
  if (!(length > 0)) return [view.from];
  const rough = length / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough) ?? rough;
  const marks = [];
  for (let at = Math.ceil(view.from / step) * step; at <= view.to; at += step) marks.push(at);
  return marks;
}

// All ancestors of a row, so that it can be brought into view.
export function ancestors(trace, row) {
  const rows = [];
  for (let parent = trace.parent[row]; parent >= 0; parent = trace.parent[parent]) rows.push(parent);
  return rows;
}

// Rows to collapse so that nothing deeper than `depth` is shown.
export function collapsedBelow(trace, depth) {
  const rows = new Set();
  for (let row = 0; row < trace.count; row++) if (trace.depth[row] >= depth && trace.subtree[row] > 1) rows.add(row);
  return rows;
}
