// The worker that holds an open trace: decoding and searching 100,000 spans must not hold up the page.
//
// Takes `{call, request, …}`, answers `{request, result}` or `{request, error}`.

import { TraceStore } from "../model/trace_store.js";

let store;

const CALLS = {
  open({ buffer }) {
    store = new TraceStore(new Uint8Array(buffer));
    const { wire, ...drawn } = store.trace;
    return { trace: drawn, isPartial: store.isPartial, message: store.message };
  },
  details: ({ row }) => store.details(row),
  find: ({ text }) => store.find(text),
  rowOf: ({ id }) => store.rowOf(id),
};

self.onmessage = ({ data }) => {
  try {
    const result = CALLS[data.call](data);
    self.postMessage({ request: data.request, result });
  } catch (error) {
    self.postMessage({ request: data.request, error: String(error?.message ?? error) });
  }
};
