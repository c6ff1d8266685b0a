// A trace of a search's answer as a row of the table.

import { millisOfNanos } from "./format.js";

export function rowOf(trace) {
  const services = Object.entries(trace.serviceStats ?? {}).map(([name, stats]) => ({ name, spans: stats.spanCount ?? 0, errors: stats.errorCount ?? 0 }));
  services.sort((a, b) => b.spans - a.spans);
  const sets = trace.spanSets ?? (trace.spanSet === undefined ? [] : [trace.spanSet]);
  const spans = sets.flatMap((set) => set.spans ?? []);
  return {
    id: trace.traceID,
    start: millisOfNanos(trace.startTimeUnixNano ?? "0"),
    durationNanos: durationOf(trace, spans),
    rootService: trace.rootServiceName ?? "",
    rootName: trace.rootTraceName ?? "",
    services,
    numSpans: services.reduce((sum, service) => sum + service.spans, 0),
    numErrors: services.reduce((sum, service) => sum + service.errors, 0),
    matched: sets.reduce((sum, set) => sum + (set.matched ?? 0), 0),
    spans: spans.map(matchedSpan),
  };
}

// The answer has whole milliseconds only; a span that is known to be longer says more.
function durationOf(trace, spans) {
  const longest = Math.max(0, ...spans.map((span) => Number(span.durationNanos ?? 0)));
  const millis = trace.durationMs ?? 0;
  return longest >= millis * 1e6 && longest < (millis + 1) * 1e6 ? longest : millis * 1e6;
}

function matchedSpan(span) {
  return {
    id: span.spanID,
    name: span.name ?? "",
    start: millisOfNanos(span.startTimeUnixNano ?? "0"),
    durationNanos: Number(span.durationNanos ?? 0),
    attributes: (span.attributes ?? []).map(({ key, value }) => ({ key, text: anyText(value) })),
  };
}

// A value in the JSON dialect of the API.
export function anyText(value = {}) {
  if (value.arrayValue !== undefined) return `[${(value.arrayValue.values ?? []).map(anyText).join(", ")}]`;
  return String(Object.values(value)[0] ?? "");
}

// The different values of a column's attribute over the matched spans of a row. The answer has keys without their scope.
export function columnValues(row, column) {
  const key = column.replace(/^(?:span|resource|event|link|instrumentation|parent)?\./, "").replace(/^"(.*)"$/, "$1");
  const values = row.spans.flatMap((span) => {
    if (key === "name") return span.name === "" ? [] : [span.name];
    return span.attributes.filter((attribute) => attribute.key === key || attribute.key === column).map(({ text }) => text);
  });
  return [...new Set(values)].filter((text) => text !== "nil");
}
