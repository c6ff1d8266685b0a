// Loads a trace. What a search knows of it is asked first, shortly: a trace of many spans is opened only when somebody wants
// it, because it takes seconds and much memory.

import { useEffect, useRef, useState } from "../../components/html.js";
import { TraceClient } from "../../api/trace_client.js";
import { getJson, getTrace, isAbort } from "../../api/client.js";
import { rowOf } from "../../model/found_trace.js";

// More spans than this are opened on request only.
export const MANY_SPANS = 20000;

// The summary is a courtesy: after this time the trace is asked for anyway.
const SUMMARY_MILLIS = 200;

export function useTrace(id) {
  const [state, setState] = useState({});
  const openAll = useRef(() => {});
  useEffect(() => {
    const controller = new AbortController();
    const client = new TraceClient();
    const show = (more) => setState((old) => ({ ...old, ...more }));
    const failed = (error) => isAbort(error) || controller.signal.aborted || show({ error });
    const open = () => openTrace(id, client, controller.signal).then(show, failed);
    openAll.current = () => {
      show({ isTooLarge: false });
      open();
    };
    setState({});
    decide(id, controller.signal, show).then((isSmall) => (isSmall && !controller.signal.aborted ? open() : undefined), failed);
    return () => {
      controller.abort();
      client.close();
    };
  }, [id]);
  return { state, openAll: () => openAll.current() };
}

// Whether the trace may be opened without asking.
async function decide(id, signal, show) {
  const asked = summaryOf(id, signal).catch(() => undefined);
  const late = new Promise((resolve) => setTimeout(resolve, SUMMARY_MILLIS));
  const summary = await Promise.race([asked, late]);
  if (summary === undefined) return true;
  show({ summary, isTooLarge: summary.numSpans > MANY_SPANS });
  return summary.numSpans <= MANY_SPANS;
}

async function summaryOf(id, signal) {
  const answer = await getJson("search", { q: `{ trace:id = "${id.replace(/[^0-9a-fA-F]/g, "").toLowerCase()}" }`, limit: 1, spss: 1 }, { signal });
  return answer.traces?.[0] === undefined ? undefined : rowOf(answer.traces[0]);
}

async function openTrace(id, client, signal) {
  const buffer = await getTrace(id, { signal });
  return { ...(await client.open(buffer)), client };
}
