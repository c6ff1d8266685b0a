// One search: its slices are asked one after the other, newest first, and what is found is shown as it comes.

import { useEffect, useState } from "../../components/html.js";
import { isAbort, search } from "../../api/client.js";
import { Found, slices } from "../../model/search_slices.js";
import { rowOf } from "../../model/found_trace.js";
import { toSeconds } from "../../model/range.js";

// Spans shown below a trace.
const SPANS_PER_SET = 10;

const NOTHING = { rows: [], progress: 0, isRunning: true, error: undefined, millis: 0 };

export function useSearch(query, between, limit, run) {
  const [state, setState] = useState(NOTHING);
  useEffect(() => {
    const controller = new AbortController();
    setState((old) => ({ ...old, isRunning: true, progress: 0, error: undefined }));
    searchSlices(query, toSeconds(between), limit, controller.signal, setState).catch((error) => {
      if (!isAbort(error)) setState({ ...NOTHING, isRunning: false, error });
    });
    return () => controller.abort();
  }, [query, between.from, between.to, limit, run]);
  return state;
}

async function searchSlices(query, range, limit, signal, show) {
  const started = performance.now();
  const found = new Found(limit);
  for (const { start, end } of slices(range)) {
    const answer = await search(query, { start, end }, limit, SPANS_PER_SET, { signal });
    found.add(answer.traces ?? [], start);
    const isRunning = !found.isComplete && start > range.start;
    const progress = isRunning ? (range.end - start) / (range.end - range.start) : 1;
    show({ rows: found.newest().map(rowOf), progress, isRunning, error: undefined, millis: performance.now() - started });
    if (!isRunning) return;
  }
}
