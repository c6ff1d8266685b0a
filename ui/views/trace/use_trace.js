// Loads a trace. What a search knows of it is asked first, shortly: a trace of many spans is opened only when somebody wants
// it, because it takes seconds and much memory.

import { useEffect, useRef, useState } from "../../components/html.js";
import { TraceClient } from "../../api/trace_client.js";
import { getJson, getTrace, isAbort } from "../../api/client.js";
import { rowOf } from "../../model/found_trace.js";

// More spans than this are opened on request only.
export const MANY_SPANS = 20000;

// After this time the trace is asked for without waiting for the summary. If that comes before the trace and tells of many
// spans, the request is taken back.
const SUMMARY_MILLIS = 150;

export function useTrace(id) {
  const [state, setState] = useState({});
  const openAll = useRef(() => {});
  useEffect(() => {
    setState({});
    const loading = new Loading(id, (more) => setState((old) => ({ ...old, ...more })));
    openAll.current = () => loading.open();
    loading.begin();
    return () => loading.end();
  }, [id]);
  return { state, openAll: () => openAll.current() };
}

class Loading {
  constructor(id, show) {
    this.id = id;
    this.show = show;
    this.client = new TraceClient();
    this.whole = new AbortController();
    this.asked = new AbortController();
    this.isThere = false;
  }

  async begin() {
    const summary = this.summary();
    const late = new Promise((resolve) => setTimeout(resolve, SUMMARY_MILLIS));
    const known = await Promise.race([summary, late]);
    if (!this.whole.signal.aborted && !isLarge(known)) await this.open();
  }

  // Shows what is known without opening, unless the trace was faster.
  async summary() {
    try {
      const row = await summaryOf(this.id, this.asked.signal);
      if (row === undefined || this.isThere) return undefined;
      if (isLarge(row)) this.takeBack();
      this.show({ summary: row, isTooLarge: isLarge(row) });
      return row;
    } catch {
      // The trace itself will tell what is wrong.
      return undefined;
    }
  }

  takeBack() {
    this.whole.abort();
    this.whole = new AbortController();
  }

  async open() {
    const { signal } = this.whole;
    this.show({ isTooLarge: false });
    try {
      const opened = await this.client.open(await getTrace(this.id, { signal }));
      if (signal.aborted) return;
      this.isThere = true;
      this.show({ ...opened, client: this.client });
    } catch (error) {
      if (!isAbort(error) && !signal.aborted) this.show({ error });
    }
  }

  end() {
    this.asked.abort();
    this.whole.abort();
    this.client.close();
  }
}

const isLarge = (row) => row !== undefined && row.numSpans > MANY_SPANS;

async function summaryOf(id, signal) {
  const answer = await getJson("search", { q: `{ trace:id = "${id.replace(/[^0-9a-fA-F]/g, "").toLowerCase()}" }`, limit: 1, spss: 1 }, { signal });
  return answer.traces?.[0] === undefined ? undefined : rowOf(answer.traces[0]);
}
