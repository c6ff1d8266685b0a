//! JSON answers read by types that know every member and refuse any other, as the data source and tempo-cli do.

use crate::support::data::{self, SECOND, T0, With, shop, span};
use crate::support::http::with_query;
use crate::support::server::Server;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

macro_rules! message {
    ($name:ident { $($member:ident : $type:ty),* $(,)? }) => {
        #[derive(Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields, default, rename_all = "camelCase")]
        #[allow(dead_code, reason = "what matters is that it can be read")]
        struct $name { $($member: $type),* }
    };
}

/// 64 bits as text.
type Long = String;

message!(AnyValue {
    string_value: Option<String>, bool_value: Option<bool>, int_value: Option<Long>, double_value: Option<serde_json::Value>,
    array_value: Option<ArrayValue>, kvlist_value: Option<KeyValueList>, bytes_value: Option<String>,
});
message!(ArrayValue { values: Vec<AnyValue> });
message!(KeyValueList { values: Vec<KeyValue> });
message!(KeyValue { key: String, value: AnyValue });
message!(Counters {
    inspected_traces: u32, inspected_bytes: Long, total_blocks: u32, completed_jobs: u32, total_jobs: u32, total_block_bytes: Long,
    inspected_spans: Long, backend_reads: Long, backend_bytes: Long, additional_metrics: BTreeMap<String, Long>,
});
message!(SearchAnswer { traces: Option<Vec<FoundTrace>>, metrics: Option<Counters> });

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, non_snake_case, reason = "the members' own names")]
struct FoundTrace {
    traceID: String,
    rootServiceName: String,
    #[serde(default)]
    rootTraceName: String,
    startTimeUnixNano: Long,
    #[serde(default)]
    durationMs: u32,
    #[serde(default)]
    spanSet: Option<SpanSet>,
    #[serde(default)]
    spanSets: Vec<SpanSet>,
    #[serde(default)]
    serviceStats: BTreeMap<String, ServiceStats>,
}

message!(ServiceStats { span_count: u32, error_count: u32 });
message!(SpanSet { spans: Vec<FoundSpan>, matched: u32, attributes: Vec<KeyValue> });

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, non_snake_case, reason = "the members' own names")]
struct FoundSpan {
    spanID: String,
    #[serde(default)]
    name: String,
    startTimeUnixNano: Long,
    #[serde(default)]
    durationNanos: Long,
    #[serde(default)]
    attributes: Vec<KeyValue>,
}

message!(TagNames { tag_names: Option<Vec<String>>, metrics: Option<Counters> });
message!(Scope { name: String, tags: Vec<String> });
message!(Scopes { scopes: Option<Vec<Scope>>, metrics: Option<Counters> });
message!(TagTexts { tag_values: Option<Vec<String>>, metrics: Option<Counters> });
message!(TagValue { r#type: String, value: String });
message!(TagValues { tag_values: Option<Vec<TagValue>>, metrics: Option<Counters> });
message!(Sample { timestamp_ms: Long, value: f64 });
message!(Exemplar { labels: Vec<KeyValue>, value: f64, timestamp_ms: Long });
message!(Series { labels: Vec<KeyValue>, samples: Vec<Sample>, exemplars: Vec<Exemplar> });
message!(RangeAnswer { series: Option<Vec<Series>>, metrics: Option<Counters>, status: String, message: String });
message!(InstantSeries { labels: Vec<KeyValue>, value: f64 });
message!(InstantAnswer { series: Vec<InstantSeries>, metrics: Option<Counters>, status: String, message: String });
message!(Resource { attributes: Vec<KeyValue>, dropped_attributes_count: u32 });
message!(InstrumentationScope { name: String, version: String, attributes: Vec<KeyValue>, dropped_attributes_count: u32 });
message!(Event { time_unix_nano: Long, name: String, attributes: Vec<KeyValue>, dropped_attributes_count: u32 });
message!(Link {
    trace_id: String, span_id: String, trace_state: String, attributes: Vec<KeyValue>, dropped_attributes_count: u32, flags: u32,
});
message!(Status { message: String, code: String });
message!(Span {
    trace_id: String, span_id: String, trace_state: String, parent_span_id: String, flags: u32, name: String, kind: String,
    start_time_unix_nano: Long, end_time_unix_nano: Long, attributes: Vec<KeyValue>, dropped_attributes_count: u32, events: Vec<Event>,
    dropped_events_count: u32, links: Vec<Link>, dropped_links_count: u32, status: Option<Status>,
});
message!(ScopeSpans { scope: Option<InstrumentationScope>, spans: Vec<Span>, schema_url: String });
message!(ResourceSpans { resource: Option<Resource>, scope_spans: Vec<ScopeSpans>, schema_url: String });
message!(TraceVersion1 { batches: Vec<ResourceSpans> });
message!(Trace { resource_spans: Vec<ResourceSpans> });
message!(TraceVersion2 { trace: Option<Trace>, metrics: Option<Counters>, status: String, message: String });
message!(BuildInfo { version: String, revision: String, branch: String, build_user: String, build_date: String, go_version: String });

fn read<T: DeserializeOwned>(server: &Server, path: &str) -> T {
    let answer = server.get(path);
    assert_eq!((answer.status, answer.content_type()), (200, "application/json"), "{path}: {}", answer.text());
    serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{path}: {error}: {}", answer.text()))
}

fn check(server: &Server) {
    let range = [("start", (T0 - 60).to_string()), ("end", (T0 + 60).to_string())];
    let asked = |path: &str, query: &str| {
        let range = range.iter().map(|(name, value)| (*name, value.as_str()));
        with_query(path, &std::iter::once(("q", query)).chain(range).collect::<Vec<_>>())
    };
    for query in
        ["{}", "{ name = `nobody` }", "{} | select(span.size, event:name)", "{} | by(span.size)", "{} | count() > 1", "{ status = error }"]
    {
        let found: SearchAnswer = read(server, &asked("/api/search", query));
        assert!(found.traces.is_some() && found.metrics.is_some(), "{query}");
    }
    assert!(read::<SearchAnswer>(server, "/api/search?tags=size%3Da").traces.is_some());
    assert!(read::<TagNames>(server, "/api/search/tags").tag_names.is_some());
    assert!(read::<Scopes>(server, "/api/v2/search/tags").scopes.is_some());
    assert!(read::<TagTexts>(server, "/api/search/tag/size/values").tag_values.is_some());
    for tag in ["span.size", "duration", "status", "span.nothing"] {
        assert!(read::<TagValues>(server, &format!("/api/v2/search/tag/{tag}/values")).tag_values.is_some(), "{tag}");
    }
    for query in [
        "{} | rate()",
        "{} | rate() by (span.size)",
        "{} | quantile_over_time(duration, .5, .9)",
        "{} | compare({ status = error })",
        "{ name = `x` } | min_over_time(duration)",
    ] {
        assert!(read::<RangeAnswer>(server, &asked("/api/metrics/query_range", query)).series.is_some(), "{query}");
        read::<InstantAnswer>(server, &asked("/api/metrics/query", query));
    }
    assert!(!read::<TraceVersion1>(server, "/api/traces/1").batches.is_empty());
    for id in ["1", "ff"] {
        assert!(read::<TraceVersion2>(server, &format!("/api/v2/traces/{id}")).trace.is_some());
    }
    read::<BuildInfo>(server, "/api/status/buildinfo");
}

#[test]
fn no_answer_has_a_member_that_clients_do_not_know() {
    let server = Server::fresh();
    let mut rich = span(1, 1, "root", 0).lasting(SECOND).with("size", data::int(7)).with("text", data::text("<&>"));
    rich.events.push(conmoto::proto::otlp::Event { name: "e".to_string(), time_unix_nano: T0 * SECOND, ..Default::default() });
    rich.links.push(conmoto::proto::otlp::Link { trace_id: vec![1; 16], span_id: vec![2; 8], ..Default::default() });
    server.push(&shop(vec![rich, span(1, 2, "child", 5).child_of(1).failed()]));
    check(&server);
    server.flush();
    check(&server);
}
