// Requests to the server: one place that knows addresses, the tenant's header and how errors look.

import { apiBase, operationsBase } from "../settings.js";
import { tenant } from "../location.js";

export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export const isAbort = (error) => error?.name === "AbortError";

async function request(base, path, params, { signal, accept } = {}) {
  const url = new URL(path, base);
  for (const [name, value] of Object.entries(params)) if (value !== undefined && value !== "") url.searchParams.set(name, value);
  const headers = { Accept: accept ?? "application/json" };
  if (tenant() !== undefined) headers["X-Scope-OrgID"] = tenant();
  let response;
  try {
    response = await fetch(url, { headers, signal, credentials: "same-origin" });
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new ApiError(0, "The server does not answer. Is it running?");
  }
  if (!response.ok) throw new ApiError(response.status, (await response.text()).trim() || `The server answered ${response.status}.`);
  return response;
}

// JSON of the query API; `path` starts behind `/api/`.
export async function getJson(path, params = {}, options = {}) {
  return (await request(apiBase, `api/${path}`, params, options)).json();
}

// A trace, as protobuf.
export async function getTrace(id, options = {}) {
  const response = await request(apiBase, `api/v2/traces/${encodeURIComponent(id)}`, {}, { ...options, accept: "application/protobuf" });
  return response.arrayBuffer();
}

// Text of a page for operators, as `metrics` or `status/config`.
export async function getPage(path, options = {}) {
  return (await request(operationsBase, path, {}, { ...options, accept: "text/plain" })).text();
}

// An instant query to the Prometheus API that the metrics generator answers; undefined if this server has none.
export async function getGenerated(query, time, options = {}) {
  try {
    const answer = await (await request(operationsBase, "prometheus/api/v1/query", { query, time }, options)).json();
    return answer.data?.result ?? [];
  } catch (error) {
    if (error.status === 404) return undefined;
    throw error;
  }
}

export function search(q, { start, end }, limit, spansPerSet, options) {
  return getJson("search", { q, start, end, limit, spss: spansPerSet }, options);
}

// Where the JSON of a trace can be had, for a download.
export const traceUrl = (id) => new URL(`api/v2/traces/${encodeURIComponent(id)}`, apiBase).href;
