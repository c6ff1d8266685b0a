// The six queries of the overview: curves over the range and one number for all of it, for rate, errors and duration.

import { useEffect, useState } from "../../components/html.js";
import { getJson, isAbort } from "../../api/client.js";
import { QUERIES, curves, quantileKey, table } from "../../model/red.js";
import { stepFor, toSeconds } from "../../model/range.js";

const POINTS = 60;

export function useRed(between, run) {
  const [state, setState] = useState({ isRunning: true });
  useEffect(() => {
    const controller = new AbortController();
    setState((old) => ({ ...old, isRunning: true, error: undefined }));
    load(between, controller.signal).then(
      (loaded) => setState({ ...loaded, isRunning: false }),
      (error) => isAbort(error) || setState({ error, isRunning: false }),
    );
    return () => controller.abort();
  }, [between.from, between.to, run]);
  return state;
}

async function load(between, signal) {
  const range = toSeconds(between);
  const step = stepFor(between, POINTS);
  const ask = (path, q, more) => getJson(`metrics/${path}`, { q, ...range, ...more }, { signal }).then(({ series = [] }) => series);
  const instant = (name) => ask("query", QUERIES[name]);
  const overTime = (name) => ask("query_range", QUERIES[name], { step, exemplars: 0 });
  const [rate, errors, duration, rateCurves, errorCurves, durationCurves] = await Promise.all([
    instant("rate"), instant("errors"), instant("duration"), overTime("rate"), overTime("errors"), overTime("duration"),
  ]);
  return {
    step,
    rows: table({ rate, errors, duration }),
    rate: curves(rateCurves),
    errors: curves(errorCurves),
    duration: curves(durationCurves, quantileKey),
  };
}
