// A search in slices of time, newest first: Tempo's API answers a search as one piece, so what is found early can only be
// shown early if the range is asked for in parts.

const SHORTEST_SECONDS = 30;

// A server refuses a search over a longer range, unless it is configured otherwise (spec/query-api.md §4.1).
const LONGEST_SECONDS = 168 * 3600;

// Slices `{start, end}` of whole seconds that cover the range; each is twice as long as the one after it in time.
export function slices({ start, end }) {
  const length = end - start;
  let size = Math.min(LONGEST_SECONDS, Math.max(SHORTEST_SECONDS, Math.ceil(length / 63)));
  const out = [];
  let to = end;
  while (to > start) {
    const isLast = to - size * 1.5 <= start && to - start <= LONGEST_SECONDS;
    const from = isLast ? start : Math.max(start, to - size);
    out.push({ start: from, end: to });
    to = from;
    size = Math.min(size * 2, LONGEST_SECONDS);
  }
  return out;
}

// What has been found so far. A trace that lies in two slices is found twice; the later answer knows no less.
export class Found {
  constructor(limit) {
    this.limit = limit;
    this.byId = new Map();
    this.isComplete = false;
  }

  // Takes the answer of a slice that starts at `start` (seconds). Afterwards `isComplete` says that nothing older can enter.
  add(traces, start) {
    for (const trace of traces) this.byId.set(trace.traceID.padStart(32, "0"), trace);
    const since = BigInt(start) * 1000000000n;
    const certain = [...this.byId.values()].filter((trace) => BigInt(trace.startTimeUnixNano) >= since).length;
    this.isComplete = certain >= this.limit;
  }

  // The newest traces, in the server's order: start, then id.
  newest() {
    const compare = (a, b) => {
      const [first, second] = [BigInt(a.startTimeUnixNano), BigInt(b.startTimeUnixNano)];
      if (first !== second) return first > second ? -1 : 1;
      return a.traceID.padStart(32, "0") < b.traceID.padStart(32, "0") ? -1 : 1;
    };
    return [...this.byId.values()].sort(compare).slice(0, this.limit);
  }
}
