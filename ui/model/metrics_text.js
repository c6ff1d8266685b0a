// The text of /metrics (OpenMetrics) as samples.

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;

// Samples `{labels, value}` by name, and the help text of each family.
export function parse(text) {
  const samples = new Map();
  for (const line of text.split("\n")) {
    if (line.startsWith("#")) continue;
    const match = LINE.exec(line);
    if (match === null) continue;
    const labels = {};
    for (const [, key, value] of (match[2] ?? "").matchAll(LABEL)) labels[key] = value.replace(/\\(.)/g, (_, c) => (c === "n" ? "\n" : c));
    const list = samples.get(match[1]) ?? [];
    list.push({ labels, value: Number(match[3]) });
    samples.set(match[1], list);
  }
  return samples;
}

// The sum over all label sets that fit; undefined if the server has no such metric.
export function sum(samples, name, fits = () => true) {
  const found = samples.get(name)?.filter(({ labels }) => fits(labels));
  return found === undefined || found.length === 0 ? undefined : found.reduce((total, { value }) => total + value, 0);
}

// Sums by the value of a label, largest first.
export function sumBy(samples, name, label) {
  const sums = new Map();
  for (const { labels, value } of samples.get(name) ?? []) {
    const key = labels[label] ?? "";
    sums.set(key, (sums.get(key) ?? 0) + value);
  }
  return [...sums].sort((a, b) => b[1] - a[1]);
}

// What a counter grew by in each second between two readings; a restart counts from zero.
export function perSecond(before, after, name, fits) {
  const [old, now] = [sum(before.samples, name, fits), sum(after.samples, name, fits)];
  const seconds = (after.at - before.at) / 1000;
  if (now === undefined || seconds <= 0) return undefined;
  return Math.max(0, now - (old === undefined || now < old ? 0 : old)) / seconds;
}
