// Names and values of attributes, remembered for a while: completion asks for them at every key.

import { getJson } from "./client.js";
import { tenant } from "../location.js";

const FRESH_MILLIS = 60e3;
const LONGEST_SECONDS = 168 * 3600;
const MOST_VALUES = 500;
const known = new Map();

function remembered(key, load) {
  const entry = known.get(key);
  if (entry !== undefined && Date.now() - entry.at < FRESH_MILLIS) return entry.promise;
  const promise = load();
  known.set(key, { at: Date.now(), promise });
  promise.catch(() => known.delete(key));
  return promise;
}

// Whole minutes, so that a range that moves with the clock does not miss what is remembered; none where it is too long.
function limits({ start, end }) {
  if (end - start > LONGEST_SECONDS - 120) return {};
  return { start: Math.floor(start / 60) * 60, end: Math.ceil(end / 60) * 60 };
}

export function tagNames(range) {
  const params = limits(range);
  return remembered(JSON.stringify(["names", tenant(), params]), async () => (await getJson("v2/search/tags", params)).scopes ?? []);
}

// Values `{type, value}` of spans that the rest of the query keeps; `q` may be unfinished.
export function tagValues(attribute, q, range) {
  const params = { ...limits(range), q, limit: MOST_VALUES };
  const load = async () => (await getJson(`v2/search/tag/${encodeURIComponent(attribute)}/values`, params)).tagValues ?? [];
  return remembered(JSON.stringify(["values", tenant(), attribute, params]), load);
}
