//! Search answers as JSON (spec/query-api.md §4.3).

use super::writer::JsonWriter;
use super::{counters_member, key_values_member, text};
use crate::proto::tempopb::{SearchMetrics, SearchResponse, ServiceStats, Span, SpanSet, TraceSearchMetadata};

/// The answer of `/api/search`; `traces` is `[]` when nothing was found.
pub fn search(response: &SearchResponse) -> String {
    text(|w| {
        w.object(|w| {
            w.full_list_member("traces", &response.traces, found_trace);
            search_metrics_member(w, response.metrics.as_ref());
        });
    })
}

fn found_trace(w: &mut JsonWriter, trace: &TraceSearchMetadata) {
    w.object(|w| {
        w.string_member("traceID", &trace.trace_id);
        w.string_member("rootServiceName", &trace.root_service_name);
        w.string_member("rootTraceName", &trace.root_trace_name);
        w.quoted_member("startTimeUnixNano", trace.start_time_unix_nano);
        w.number_member("durationMs", trace.duration_ms);
        if let Some(set) = &trace.span_set {
            w.key("spanSet");
            span_set(w, set);
        }
        w.list_member("spanSets", &trace.span_sets, span_set);
        if !trace.service_stats.is_empty() {
            w.key("serviceStats");
            w.object(|w| {
                for (service, stats) in &trace.service_stats {
                    w.key(service);
                    service_stats(w, stats);
                }
            });
        }
    });
}

fn span_set(w: &mut JsonWriter, set: &SpanSet) {
    w.object(|w| {
        w.list_member("spans", &set.spans, span);
        w.number_member("matched", set.matched);
        key_values_member(w, "attributes", &set.attributes);
    });
}

fn span(w: &mut JsonWriter, span: &Span) {
    w.object(|w| {
        w.string_member("spanID", &span.span_id);
        w.string_member("name", &span.name);
        w.quoted_member("startTimeUnixNano", span.start_time_unix_nano);
        w.quoted_member("durationNanos", span.duration_nanos);
        key_values_member(w, "attributes", &span.attributes);
    });
}

fn service_stats(w: &mut JsonWriter, stats: &ServiceStats) {
    w.object(|w| {
        w.number_member("spanCount", stats.span_count);
        w.number_member("errorCount", stats.error_count);
    });
}

/// The member `metrics` of search and metrics answers.
pub(super) fn search_metrics_member(w: &mut JsonWriter, metrics: Option<&SearchMetrics>) {
    let Some(metrics) = metrics else { return };
    w.key("metrics");
    w.object(|w| {
        w.number_member("inspectedTraces", metrics.inspected_traces);
        w.quoted_member("inspectedBytes", metrics.inspected_bytes);
        w.number_member("totalBlocks", metrics.total_blocks);
        w.number_member("completedJobs", metrics.completed_jobs);
        w.number_member("totalJobs", metrics.total_jobs);
        w.quoted_member("totalBlockBytes", metrics.total_block_bytes);
        w.quoted_member("inspectedSpans", metrics.inspected_spans);
        w.quoted_member("backendReads", metrics.backend_reads);
        w.quoted_member("backendBytes", metrics.backend_bytes);
        counters_member(w, &metrics.additional_metrics);
    });
}
