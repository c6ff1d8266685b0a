// A trace in the order of its waterfall: spans depth-first, children by their start. Everything a view draws is a typed
// array over these rows, so it can be handed from the worker to the page without copying.

import { STATUS_ERROR } from "./otlp.js";
import { criticalPath } from "./critical_path.js";
import { selfTimes } from "./self_time.js";

// Puts decoded spans into order. `wire[row]` is where the span stands in the columns as they came.
export function arrange(spans) {
  const base = earliest(spans);
  const { start, end } = relativeTimes(spans, base);
  const forest = depthFirst(parentsOf(spans), start);
  const trace = { count: spans.count, base: base.nanos, ...forest, ...inOrder(spans, start, end, forest.wire) };
  trace.duration = trace.end.reduce((latest, end) => Math.max(latest, end), 0);
  trace.self = selfTimes(trace);
  trace.critical = criticalPath(trace);
  return trace;
}

// The earliest start, as two 32-bit words and as text of nanoseconds.
function earliest(spans) {
  let [high, low] = [Infinity, Infinity];
  for (let i = 0; i < spans.count; i++) {
    if (spans.startHigh[i] < high || (spans.startHigh[i] === high && spans.startLow[i] < low)) {
      high = spans.startHigh[i];
      low = spans.startLow[i];
    }
  }
  if (high === Infinity) return { high: 0, low: 0, nanos: "0" };
  return { high, low, nanos: ((BigInt(high) << 32n) + BigInt(low)).toString() };
}

// Nanoseconds since the base: exact as long as a trace lasts less than a hundred days.
function relativeTimes(spans, base) {
  const start = new Float64Array(spans.count);
  const end = new Float64Array(spans.count);
  for (let i = 0; i < spans.count; i++) {
    start[i] = (spans.startHigh[i] - base.high) * 4294967296 + (spans.startLow[i] - base.low);
    const ends = (spans.endHigh[i] - base.high) * 4294967296 + (spans.endLow[i] - base.low);
    // A span that ends before it starts is a clock that was set back; it is drawn as a moment.
    end[i] = Math.max(ends, start[i]);
  }
  return { start, end };
}

// Index of the parent, -1 for roots, -2 where the parent is not in the trace.
function parentsOf(spans) {
  const indexes = new Map();
  for (let i = spans.count - 1; i >= 0; i--) indexes.set(spans.id[i], i);
  return Int32Array.from({ length: spans.count }, (_, i) => {
    const id = spans.parentId[i];
    if (id === "" || /^\0+$/.test(id)) return -1;
    const parent = indexes.get(id);
    return parent === undefined || parent === i ? -2 : parent;
  });
}

// Children of each span and the roots, as lists linked by index, sorted by start.
function childLists(parents, start) {
  const byStart = Array.from(parents.keys()).sort((a, b) => start[b] - start[a] || b - a);
  const first = new Int32Array(parents.length).fill(-1);
  const next = new Int32Array(parents.length).fill(-1);
  let roots = -1;
  for (const i of byStart) {
    if (parents[i] < 0) {
      next[i] = roots;
      roots = i;
    } else {
      next[i] = first[parents[i]];
      first[parents[i]] = i;
    }
  }
  return { first, next, roots };
}

// The order of rows, with the depth, the parent's row and the number of rows of each subtree. Spans whose parents go round
// in a circle hang on no root; each circle is opened at its first span.
function depthFirst(parents, start) {
  const count = parents.length;
  const { first, next, roots } = childLists(parents, start);
  const out = { wire: new Int32Array(count), parent: new Int32Array(count), depth: new Uint32Array(count), subtree: new Uint32Array(count).fill(1), isOrphan: new Uint8Array(count) };
  const seen = new Uint8Array(count);
  const place = { row: 0 };
  for (let root = roots; root >= 0; root = next[root]) placeTree(root, { first, next, seen, place, out });
  for (let i = 0; i < count; i++) {
    if (!seen[i]) {
      out.isOrphan[place.row] = 1;
      placeTree(i, { first, next, seen, place, out });
    }
  }
  for (let row = 0; row < count; row++) if (parents[out.wire[row]] === -2) out.isOrphan[row] = 1;
  for (let row = count - 1; row > 0; row--) if (out.parent[row] >= 0) out.subtree[out.parent[row]] += out.subtree[row];
  return out;
}

// One tree, without recursion: chains of 100,000 spans exist.
function placeTree(root, { first, next, seen, place, out }) {
  const waiting = [[root, -1, 0]];
  while (waiting.length > 0) {
    const [index, parent, depth] = waiting.pop();
    if (seen[index]) continue;
    seen[index] = 1;
    const row = place.row++;
    out.wire[row] = index;
    out.parent[row] = parent;
    out.depth[row] = depth;
    const children = [];
    for (let child = first[index]; child >= 0; child = next[child]) children.push(child);
    for (let i = children.length - 1; i >= 0; i--) waiting.push([children[i], row, depth + 1]);
  }
}

function inOrder(spans, start, end, wire) {
  const services = [...new Set(spans.resources.map((resource) => resource.service))].sort();
  const serviceOf = spans.resources.map((resource) => services.indexOf(resource.service));
  return {
    start: Float64Array.from(wire, (i) => start[i]),
    end: Float64Array.from(wire, (i) => end[i]),
    name: Uint32Array.from(wire, (i) => spans.name[i]),
    service: Uint32Array.from(wire, (i) => serviceOf[spans.resource[i]]),
    kind: Uint8Array.from(wire, (i) => spans.kind[i]),
    isError: Uint8Array.from(wire, (i) => (spans.status[i] === STATUS_ERROR ? 1 : 0)),
    status: Uint8Array.from(wire, (i) => spans.status[i]),
    numEvents: Uint32Array.from(wire, (i) => spans.numEvents[i]),
    numLinks: Uint32Array.from(wire, (i) => spans.numLinks[i]),
    names: spans.names.texts,
    services,
  };
}

// The rows of a span's children, by start.
export function* childRows(trace, row) {
  const end = row + trace.subtree[row];
  for (let child = row + 1; child < end; child += trace.subtree[child]) yield child;
}

// Rows without a parent.
export function* rootRows(trace) {
  for (let row = 0; row < trace.count; row += trace.subtree[row]) yield row;
}
