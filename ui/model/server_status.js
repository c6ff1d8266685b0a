// What of /metrics an operator wants to know, as groups of figures. Names that a server does not have are left out: older
// and newer servers have fewer and more.

import { bytes, count, rate } from "./format.js";
import { perSecond, sum, sumBy } from "./metrics_text.js";

const shown = (value, format) => (value === undefined ? undefined : format(value));
const perSecondText = (format) => (value) => `${format(value)}/s`;

// `now` and `before` are `{at, samples}`; without `before` there are no rates yet.
export function figures(now, before) {
  const total = (name, format = count) => shown(sum(now.samples, name), format);
  const speed = (name, format = rate) => (before === undefined ? undefined : shown(perSecond(before, now, name), perSecondText(format)));
  const groups = [
    ["Ingest", [
      ["Spans", speed("tempo_distributor_spans_received_total")], ["Data", speed("tempo_distributor_bytes_received_total", bytes)],
      ["Spans since start", total("tempo_distributor_spans_received_total")], ["Discarded since start", total("tempo_discarded_spans_total")],
    ]],
    ["Recent spans", [
      ["Memory of the head", total("conmoto_head_bytes", bytes)], ["Blocks written", total("tempo_ingester_blocks_flushed_total")], ["Failed flushes", total("tempo_ingester_failed_flushes_total"), true],
    ]],
    ["Log (WAL)", [
      ["Segments", total("conmoto_wal_segments")], ["Written", speed("conmoto_wal_stored_bytes_total", bytes)], ["Mean fsync", fsync(now, before)], ["Failed appends", total("conmoto_wal_append_errors_total"), true],
    ]],
    ["Blocks", [
      ["Blocks", total("tempodb_blocklist_length")], ["Size", total("conmoto_block_bytes", bytes)], ["Deleted by retention", total("tempodb_retention_deleted_total")], ["Unreadable", total("conmoto_unreadable_blocks"), true],
    ]],
    ["Compaction", [
      ["Blocks waiting", total("conmoto_compaction_waiting_blocks")], ["Data waiting", total("conmoto_compaction_waiting_bytes", bytes)], ["Merges since start", total("conmoto_compactions_total")],
      ["Failed", total("tempodb_compaction_errors_total"), true],
    ]],
    ["Metrics generator", [
      ["Spans read", speed("tempo_metrics_generator_spans_received_total")], ["Series", total("tempo_metrics_generator_registry_active_series")],
      ["Series refused", total("tempo_metrics_generator_registry_series_limited_total"), true], ["Spans left out", total("tempo_metrics_generator_spans_discarded_total")],
    ]],
  ];
  return groups.map(([title, lines]) => ({ title, lines: lines.filter(([, value]) => value !== undefined).map(([label, value, isBad]) => ({ label, value, isBad: isBad === true && value !== "0" })) }));
}

// Milliseconds that an fsync took lately.
function fsync(now, before) {
  if (before === undefined) return undefined;
  const syncs = perSecond(before, now, "conmoto_wal_syncs_total");
  const nanos = perSecond(before, now, "conmoto_wal_sync_nanoseconds_total");
  return syncs > 0 && nanos !== undefined ? `${(nanos / syncs / 1e6).toFixed(2)} ms` : undefined;
}

// Spans that were not stored, by the reason; and other counters that tell of a limit.
export function discarded(now) {
  return sumBy(now.samples, "tempo_discarded_spans_total", "reason").filter(([, value]) => value > 0);
}

// Spans that are stored, but not in the metrics made from spans, by the reason.
export function leftOutOfMetrics(now) {
  return sumBy(now.samples, "tempo_metrics_generator_spans_discarded_total", "reason").filter(([, value]) => value > 0);
}

export function limitsHit(now) {
  const names = [...now.samples.keys()].filter((name) => /_(limited|refused|rejected|overflow\w*)_total$/.test(name));
  return names.map((name) => [name, sum(now.samples, name)]).filter(([, value]) => value > 0);
}
