// A time range is `{last: "1h"}`, which moves with the clock, or `{from, to}` in milliseconds, which does not.

export const PRESETS = ["5m", "15m", "1h", "3h", "6h", "12h", "24h", "2d", "7d"];
// The longest range of a metrics query, unless a server is configured otherwise (spec/query-api.md §12).
export const LONGEST_METRICS_MILLIS = 24 * 3600e3;

const UNIT_MILLIS = { s: 1e3, m: 60e3, h: 3600e3, d: 86400e3, w: 7 * 86400e3 };

export function lengthOfPreset(text) {
  const match = /^(\d+)([smhdw])$/.exec(text);
  return match === null ? undefined : Number(match[1]) * UNIT_MILLIS[match[2]];
}

// The range as two moments in milliseconds.
export function resolve(range, now = Date.now()) {
  if (range.last !== undefined) return { from: now - lengthOfPreset(range.last), to: now };
  return { from: range.from, to: range.to };
}

// Out of a link's parameters; what makes no sense becomes the default.
export function fromParams(params) {
  const [from, to] = [Number(params.from), Number(params.to)];
  if (params.from !== undefined && Number.isFinite(from) && Number.isFinite(to) && from < to) return { from, to };
  return { last: lengthOfPreset(params.last ?? "") === undefined ? "1h" : params.last };
}

export function toParams(range) {
  return range.last !== undefined ? { last: range.last, from: undefined, to: undefined } : { from: range.from, to: range.to, last: undefined };
}

// What the server is asked: whole seconds that hold the range.
export function toSeconds({ from, to }) {
  const start = Math.max(1, Math.floor(from / 1000));
  return { start, end: Math.max(start + 1, Math.ceil(to / 1000)) };
}

// Steps that a person reads easily off an axis, in seconds.
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400];

// The step for about `points` points over a range.
export function stepFor({ from, to }, points) {
  const wanted = (to - from) / 1000 / points;
  return STEPS.find((step) => step >= wanted) ?? STEPS.at(-1);
}
