// The edges of the map: from the metrics generator if it has some, else counted over the spans themselves.

import { useEffect, useState } from "../../components/html.js";
import { getGenerated, getJson, isAbort } from "../../api/client.js";
import { ENTRIES } from "../../model/red.js";
import { anyText } from "../../model/found_trace.js";
import { edgesOfGenerator, edgesOfSpans, generatorQueries, spanQueries } from "../../model/service_graph.js";
import { toSeconds } from "../../model/range.js";

// Services whose calls are counted, three queries each; a map of more is not readable either.
const MOST_SERVICES = 40;
const AT_ONCE = 4;

export function useEdges(between, run) {
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
  const generated = await fromGenerator(between, signal);
  if (generated !== undefined && generated.length > 0) return { edges: generated, source: "generator" };
  return { ...(await fromSpans(between, signal)), source: generated === undefined ? "no generator" : "generator without edges" };
}

async function fromGenerator(between, signal) {
  const { start, end } = toSeconds(between);
  const queries = generatorQueries(end - start);
  const rate = await getGenerated(queries.rate, end, { signal });
  if (rate === undefined || rate.length === 0) return rate;
  const [errors, p95] = await Promise.all([getGenerated(queries.errors, end, { signal }), getGenerated(queries.p95, end, { signal })]);
  return edgesOfGenerator({ rate, errors: errors ?? [], p95: p95 ?? [] });
}

async function fromSpans(between, signal) {
  const range = toSeconds(between);
  const ask = (q) => getJson("metrics/query", { q, ...range }, { signal }).then(({ series = [] }) => series);
  const counted = await ask(`${ENTRIES} | rate() by (resource.service.name)`);
  const busiest = counted.filter(({ value = 0 }) => value > 0).sort((a, b) => b.value - a.value);
  const services = busiest.flatMap(({ labels }) => labels.map(({ value }) => anyText(value))).filter((name) => name !== "nil");
  const edges = [];
  const waiting = services.slice(0, MOST_SERVICES);
  const work = async () => {
    for (let client = waiting.shift(); client !== undefined; client = waiting.shift()) {
      const queries = spanQueries(client);
      const rate = await ask(queries.rate);
      if (rate.length === 0) continue;
      const [errors, p95] = await Promise.all([ask(queries.errors), ask(queries.p95)]);
      edges.push(...edgesOfSpans(client, { rate, errors, p95 }));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return { edges, services: services.slice(0, MOST_SERVICES), numLeftOut: Math.max(0, services.length - MOST_SERVICES) };
}
