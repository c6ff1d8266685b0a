// Rate, errors and duration of services, from answers of TraceQL metrics.

import { anyText } from "./found_trace.js";
import { quote } from "./traceql_tokens.js";

const SERVICE = "resource.service.name";

// What enters a service from outside: requests, messages, and spans that nobody called.
export const ENTRIES = "{ kind = server || kind = consumer || nestedSetParent < 0 }";
export const QUANTILES = [0.5, 0.95, 0.99];

const also = (condition) => (condition === undefined ? ENTRIES : `${ENTRIES.slice(0, 2)}(${ENTRIES.slice(2, -2)}) && ${condition} }`);

export const QUERIES = {
  rate: `${also()} | rate() by (${SERVICE})`,
  errors: `${also("status = error")} | rate() by (${SERVICE})`,
  duration: `${also()} | quantile_over_time(duration, ${QUANTILES.join(", ")}) by (${SERVICE})`,
};

// The spans behind a point of a service's curve.
export function spansBehind(service, which, seconds) {
  const conditions = [`resource.service.name = ${quote(service)}`, "(kind = server || kind = consumer || nestedSetParent < 0)"];
  if (which === "errors") conditions.push("status = error");
  if (which === "duration" && seconds > 0) conditions.push(`duration >= ${Math.max(1, Math.floor(seconds * 0.9e6))}us`);
  return `{ ${conditions.join(" && ")} }`;
}

// Curves by service (and quantile, as text) over common times in seconds: `{times, curves: Map}`; what is missing is null.
export function curves(series, keyOf = (labels) => labels[SERVICE] ?? "") {
  const times = [...new Set(series.flatMap(({ samples = [] }) => samples.map(({ timestampMs }) => Number(timestampMs) / 1000)))].sort((a, b) => a - b);
  const placeOf = new Map(times.map((time, place) => [time, place]));
  const found = new Map();
  for (const { labels = [], samples = [] } of series) {
    const values = new Array(times.length).fill(null);
    for (const { timestampMs, value = 0 } of samples) values[placeOf.get(Number(timestampMs) / 1000)] = value;
    found.set(keyOf(labelsOf(labels)), values);
  }
  return { times, curves: found };
}

export function labelsOf(labels) {
  return Object.fromEntries(labels.map(({ key, value }) => [key, anyText(value)]));
}

export const quantileKey = (labels) => `${labels[SERVICE] ?? ""}\n${labels.p}`;

// The table: one row a service, out of answers to the three queries over the whole range at once (instant).
export function table({ rate = [], errors = [], duration = [] }) {
  const rows = new Map();
  const rowOf = (labels) => {
    const service = labels[SERVICE] ?? "";
    if (!rows.has(service)) rows.set(service, { service, rate: 0, errors: 0, quantiles: {} });
    return rows.get(service);
  };
  for (const { labels = [], value = 0 } of rate) rowOf(labelsOf(labels)).rate = value;
  for (const { labels = [], value = 0 } of errors) rowOf(labelsOf(labels)).errors = value;
  for (const { labels = [], value = 0 } of duration) {
    const named = labelsOf(labels);
    rowOf(named).quantiles[named.p] = value;
  }
  const kept = [...rows.values()].filter((row) => row.service !== "nil" && row.rate > 0);
  return kept.map((row) => ({ ...row, errorShare: row.rate > 0 ? row.errors / row.rate : 0 })).sort((a, b) => b.rate - a.rate);
}

// Errors as a share of requests, point by point.
export function shares(errors, rates) {
  return rates.map((rate, at) => (rate === null || rate === 0 ? null : Math.min(1, (errors?.[at] ?? 0) / rate)));
}
