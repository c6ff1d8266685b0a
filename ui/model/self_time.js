// Self time: what of a span's duration no child of it covers.

export function selfTimes(trace) {
  const self = new Float64Array(trace.count);
  // How far the children seen so far cover each span; children come by start, so one number is enough.
  const covered = Float64Array.from(trace.start);
  for (let row = 0; row < trace.count; row++) self[row] = trace.end[row] - trace.start[row];
  for (let row = 0; row < trace.count; row++) {
    const parent = trace.parent[row];
    if (parent < 0) continue;
    const from = Math.max(trace.start[row], covered[parent]);
    const to = Math.min(trace.end[row], trace.end[parent]);
    if (to > from) {
      self[parent] -= to - from;
      covered[parent] = to;
    }
  }
  return self;
}
