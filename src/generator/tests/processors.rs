//! Rules that the recorded data do not touch: edges with one side, filters, multipliers, hosts, targets.

use super::super::settings::{
    DimensionMapping, IntrinsicDimensions, MultiplierSettings, Processors, ServiceGraphSettings, Settings, SpanMetricsSettings,
    SpanNameMode,
};
use super::super::{Condition, Field, FilterPolicy, NewRows, PolicyMatch, Tenant, Wanted};
use super::{SeriesKey, scraped};
use crate::columns::{self, Chunk, decode};
use crate::model::{TenantId, UnixNanos};
use crate::proto::otlp::{
    AnyValue, ExportTraceServiceRequest, KeyValue, Resource, ResourceSpans, ScopeSpans, Span, SpanKind, Status, Value,
};
use prost::Message;
use std::collections::BTreeMap;
use std::time::Duration;

pub(super) const NOW: u64 = 1_790_000_040;

fn text(value: &str) -> Value {
    Value::StringValue(value.to_owned())
}

fn attributes(pairs: &[(&str, Value)]) -> Vec<KeyValue> {
    let pair = |(key, value): &(&str, Value)| KeyValue {
        key: (*key).to_owned(),
        value: Some(AnyValue { value: Some(value.clone()) }),
        ..KeyValue::default()
    };
    pairs.iter().map(pair).collect()
}

/// A span of 50 ms that ended a second ago.
pub(super) fn span(id: u64, parent: u64, kind: SpanKind, pairs: &[(&str, Value)]) -> Span {
    let parent_span_id = if parent == 0 { Vec::new() } else { parent.to_be_bytes().to_vec() };
    let start = (NOW - 1) * 1_000_000_000 - 50_000_000;
    Span {
        trace_id: vec![1; 16],
        span_id: id.to_be_bytes().to_vec(),
        parent_span_id,
        name: "name".to_owned(),
        kind: kind.into(),
        start_time_unix_nano: start,
        end_time_unix_nano: start + 50_000_000,
        attributes: attributes(pairs),
        ..Span::default()
    }
}

fn of(resource: &[(&str, Value)], spans: Vec<Span>) -> ResourceSpans {
    let resource = Some(Resource { attributes: attributes(resource), ..Resource::default() });
    ResourceSpans { resource, scope_spans: vec![ScopeSpans { spans, ..ScopeSpans::default() }], ..ResourceSpans::default() }
}

pub(super) fn service(name: &str, spans: Vec<Span>) -> ResourceSpans {
    of(&[("service.name", text(name))], spans)
}

pub(super) fn only(names: &[&'static str]) -> Settings {
    Settings { processors: Processors::named(names.iter().copied()).expect("known"), ..Settings::default() }
}

pub(super) fn consume(tenant: &mut Tenant, serial: u64, resource_spans: Vec<ResourceSpans>, now: UnixNanos) {
    let mut chunk = Chunk::default();
    let request = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
    decode::append(&mut chunk, &request, 0, None).expect("well formed");
    let rows = 0..chunk.num_rows() as u32;
    tenant.consume(NewRows { chunk: &chunk, serial, rows, is_last: true }, now);
}

/// A tenant that has seen each of these batches, a second apart, and waited for edges.
fn seen(settings: Settings, batches: Vec<Vec<ResourceSpans>>) -> Tenant {
    let mut tenant = Tenant::new(TenantId::single(), settings);
    for (second, resource_spans) in (0..).zip(batches) {
        consume(&mut tenant, second, resource_spans, UnixNanos::from_seconds(NOW + second));
    }
    tenant.collect(UnixNanos::from_seconds(NOW + 60), usize::MAX);
    tenant
}

/// Values of a metric by its labels, written one after the other.
pub(super) fn values(tenant: &Tenant, name: &str) -> Vec<(String, f64)> {
    let text = |key: &SeriesKey| {
        let labels = key.iter().filter(|(name, _)| *name != "__name__").map(|(name, value)| format!("{name}={value}"));
        labels.collect::<Vec<_>>().join(" ")
    };
    let of_name = scraped(tenant).into_iter().filter(|(key, _)| key["__name__"] == name);
    of_name.map(|(key, value)| (text(&key), value)).collect()
}

fn one(labels: &str, value: f64) -> Vec<(String, f64)> {
    vec![(labels.to_owned(), value)]
}

#[test]
fn names_of_spans_can_be_sanitised() {
    let settings = Settings { span_names: SpanNameMode::Sanitised, ..only(&["span-metrics-count"]) };
    let named = |id: u64| Span { name: format!("GET /users/{id}"), ..span(id, 0, SpanKind::Server, &[]) };
    let tenant = seen(settings, vec![vec![service("shop", (1..=5).map(named).collect())]]);
    let labels = "service=shop span_kind=SPAN_KIND_SERVER span_name=GET /users/<_> status_code=STATUS_CODE_UNSET";
    assert_eq!(values(&tenant, CALLS), one(labels, 5.0));
    assert_eq!(tenant.num_renamed(), 5);
}

const TOTAL: &str = "traces_service_graph_request_total";
const CALLS: &str = "traces_spanmetrics_calls_total";

#[test]
fn a_client_without_a_server_calls_its_peer() {
    let client = span(1, 0, SpanKind::Client, &[("peer.service", text("payments"))]);
    let mut settings = only(&["service-graphs"]);
    settings.service_graphs.virtual_node_label = true;
    let tenant = seen(settings, vec![vec![service("shop", vec![client])]]);
    assert_eq!(values(&tenant, TOTAL), one("client=shop connection_type=virtual_node server=payments virtual_node=server", 1.0));
    assert_eq!(tenant.graph_counts(), Default::default());
}

#[test]
fn what_nobody_can_name_is_no_edge() {
    let lonely = vec![span(1, 0, SpanKind::Client, &[]), span(2, 7, SpanKind::Server, &[]), span(3, 0, SpanKind::Internal, &[])];
    let nameless = of(&[("service.name", text(""))], vec![span(4, 0, SpanKind::Server, &[])]);
    let tenant = seen(only(&["service-graphs"]), vec![vec![service("shop", lonely), nameless]]);
    assert_eq!(values(&tenant, TOTAL), []);
    assert_eq!((tenant.graph_counts().expired_clients, tenant.graph_counts().expired_servers), (1, 1));
}

#[test]
fn databases_are_named_by_the_best_that_is_known() {
    let query = |id, pairs: &[(&str, Value)]| span(id, 0, SpanKind::Client, &[&[("db.name", text("orders"))], pairs].concat());
    let spans = vec![
        query(1, &[]),
        query(2, &[("server.address", text("db-1"))]),
        query(3, &[("network.peer.address", text("10.0.0.1")), ("network.peer.port", Value::IntValue(5432))]),
        query(4, &[("peer.service", text("postgres")), ("server.address", text("db-1"))]),
    ];
    let tenant = seen(only(&["service-graphs"]), vec![vec![service("shop", spans)]]);
    let servers: Vec<String> = ["10.0.0.1:5432", "db-1", "orders", "postgres"].map(str::to_owned).into();
    let edges = values(&tenant, TOTAL);
    let wanted: Vec<(String, f64)> =
        servers.iter().map(|server| (format!("client=shop connection_type=database server={server}"), 1.0)).collect();
    assert_eq!(edges, wanted);
    assert_eq!(values(&tenant, "traces_service_graph_request_server_seconds_sum")[0].1, 0.05, "that of the client");
}

#[test]
fn both_orders_of_sides_make_an_edge_and_waiting_ends() {
    let client = || service("shop", vec![span(1, 0, SpanKind::Client, &[])]);
    let server =
        || service("cart", vec![Span { status: Some(Status { code: 2, ..Status::default() }), ..span(2, 1, SpanKind::Server, &[]) }]);
    for batches in [vec![vec![client()], vec![server()]], vec![vec![server()], vec![client()]]] {
        let tenant = seen(only(&["service-graphs"]), batches);
        assert_eq!(values(&tenant, TOTAL), one("client=shop server=cart", 1.0));
        assert_eq!(values(&tenant, "traces_service_graph_request_failed_total"), one("client=shop server=cart", 1.0));
    }
    let mut settings = only(&["service-graphs"]);
    settings.service_graphs.wait = Duration::from_secs(1);
    let tenant = seen(settings, vec![vec![client()], vec![], vec![server()]]);
    assert_eq!(values(&tenant, TOTAL), []);
}

#[test]
fn edges_without_room_are_counted() {
    let clients = (1..=5).map(|id| span(id, 0, SpanKind::Client, &[])).collect();
    let mut settings = only(&["service-graphs"]);
    settings.service_graphs.max_items = 3;
    let tenant = seen(settings, vec![vec![service("shop", clients)]]);
    assert_eq!(tenant.graph_counts().dropped_spans, 2);
}

#[test]
fn dimensions_without_prefixes_share_a_label() {
    let client = of(&[("service.name", text("shop")), ("region", text("a"))], vec![span(1, 0, SpanKind::Client, &[])]);
    let server = of(&[("service.name", text("cart"))], vec![span(2, 1, SpanKind::Server, &[("region", text("b"))])]);
    for (batches, region) in [(vec![vec![client.clone()], vec![server.clone()]], "b"), (vec![vec![server], vec![client]], "a")] {
        let mut settings = only(&["service-graphs"]);
        settings.service_graphs.dimensions = vec!["region".to_owned()];
        assert_eq!(values(&seen(settings, batches), TOTAL), one(&format!("client=shop region={region} server=cart"), 1.0));
    }
}

#[test]
fn connections_are_told_when_asked_for() {
    let batches =
        || vec![vec![service("shop", vec![span(1, 0, SpanKind::Client, &[])]), service("cart", vec![span(2, 1, SpanKind::Server, &[])])]];
    let tenant = seen(only(&["service-graphs-connection-info"]), batches());
    assert_eq!(scraped(&tenant).len(), 1);
    assert_eq!(values(&tenant, "traces_service_graph_connection_info"), one("client=shop server=cart", 1.0));
    let tenant = seen(only(&["service-graphs-request"]), batches());
    assert_eq!(scraped(&tenant).len(), 1);
}

fn exactly(field: Field, value: &str) -> PolicyMatch {
    PolicyMatch(vec![Condition { field, wanted: Wanted::Exactly(columns::Value::Str(value.into())) }])
}

#[test]
fn a_side_that_is_filtered_out_takes_the_other_with_it() {
    let filters = vec![FilterPolicy { exclude: Some(exactly(Field::Span("secret".to_owned()), "yes")), ..FilterPolicy::default() }];
    let graphs = ServiceGraphSettings { filters, ..ServiceGraphSettings::default() };
    let settings = || Settings { service_graphs: graphs.clone(), ..only(&["service-graphs"]) };
    let secret = [("secret", text("yes")), ("peer.service", text("cart"))];
    let client = || service("shop", vec![span(1, 0, SpanKind::Client, &[("peer.service", text("cart"))])]);
    let server = || service("cart", vec![span(2, 1, SpanKind::Server, &secret)]);
    for batches in [vec![vec![client()], vec![server()]], vec![vec![server()], vec![client()]]] {
        let tenant = seen(settings(), batches);
        assert_eq!((values(&tenant, TOTAL), tenant.graph_counts().dropped_edges), (vec![], 1));
        assert_eq!(tenant.discards().service_graphs_filtered, 1);
    }
}

#[test]
fn policies_are_weighed_in_their_order() {
    let policy = |include: Option<&str>, any: Option<&str>, exclude: Option<&str>| {
        let of = |value: Option<&str>| value.map(|value| exactly(Field::Resource("service.name".to_owned()), value));
        FilterPolicy { include: of(include), include_any: of(any), exclude: of(exclude) }
    };
    for (filters, kept) in [
        (vec![], "a b c"),
        (vec![policy(Some("a"), None, None)], "a"),
        (vec![policy(Some("a"), None, None), policy(None, Some("b"), None)], "a b"),
        (vec![policy(None, Some("b"), None)], "b"),
        (vec![policy(None, None, Some("b"))], "a c"),
        (vec![policy(None, Some("b"), None), policy(None, None, Some("b"))], ""),
        (vec![policy(Some("a"), None, None), policy(Some("b"), None, None)], ""),
    ] {
        let batch = ["a", "b", "c"].map(|name| service(name, vec![span(1, 0, SpanKind::Server, &[])])).into();
        let span_metrics = SpanMetricsSettings { filters, ..SpanMetricsSettings::default() };
        let tenant = seen(Settings { span_metrics, ..only(&["span-metrics-count"]) }, vec![batch]);
        let services: Vec<String> = scraped(&tenant).into_keys().map(|key| key["service"].clone()).collect();
        assert_eq!(services.join(" "), kept);
    }
}

#[test]
fn a_span_may_stand_for_several() {
    let multiplier = MultiplierSettings { key: "ratio".to_owned(), from_trace_state: true };
    let span_metrics = SpanMetricsSettings { multiplier, ..SpanMetricsSettings::default() };
    let settings = Settings { span_metrics, ..only(&["span-metrics"]) };
    let sampled = span(1, 0, SpanKind::Server, &[("ratio", Value::DoubleValue(0.25))]);
    let stated = Span { trace_state: "ot=th:8".to_owned(), ..span(2, 0, SpanKind::Server, &[("ratio", Value::DoubleValue(0.25))]) };
    let plain = span(3, 0, SpanKind::Server, &[("ratio", Value::IntValue(9))]);
    let tenant = seen(settings, vec![vec![service("shop", vec![sampled, stated, plain])]]);
    assert_eq!(values(&tenant, CALLS)[0].1, 7.0);
    let sums: BTreeMap<SeriesKey, f64> = scraped(&tenant);
    let sum = |name: &str| sums.iter().find(|(key, _)| key["__name__"] == name).map(|(_, value)| *value).expect("there");
    assert!((sum("traces_spanmetrics_latency_sum") - 0.35).abs() < 1e-9);
    assert!(sum("traces_spanmetrics_size_total") < 600.0, "sizes are not multiplied");
}

#[test]
fn labels_of_all_kinds() {
    let intrinsic = IntrinsicDimensions { service: false, span_name: false, span_kind: false, status_code: false, status_message: true };
    let mappings = vec![DimensionMapping {
        name: "where.is".to_owned(),
        source_labels: vec!["zone".to_owned(), "gone".to_owned(), "rack".to_owned()],
        join: "/".to_owned(),
    }];
    let dimensions = ["status.code", "both", "1st"].map(str::to_owned).into();
    let span_metrics = SpanMetricsSettings { intrinsic, mappings, dimensions, ..SpanMetricsSettings::default() };
    let settings = Settings { span_metrics, ..only(&["span-metrics-count"]) };
    let resource = [("service.name", text("shop")), ("zone", text("z")), ("both", text("of the resource"))];
    let pairs = [
        ("status.code", Value::IntValue(7)),
        ("both", text("of the span")),
        ("1st", Value::BoolValue(true)),
        ("rack", Value::DoubleValue(1.5)),
    ];
    let span = Span { status: Some(Status { message: "broken".to_owned(), code: 2 }), ..span(1, 0, SpanKind::Server, &pairs) };
    let tenant = seen(settings, vec![vec![of(&resource, vec![span])]]);
    let labels = "_1st=true __status_code=7 both=of the resource status_message=broken where_is=z/1.5";
    assert_eq!(values(&tenant, CALLS), one(labels, 1.0));
}

#[test]
fn targets_and_hosts() {
    let mut settings = only(&["span-metrics-count", "host-info"]);
    settings.span_metrics.target_info = true;
    settings.span_metrics.target_info_excluded = vec!["secret".to_owned()];
    let resource = [
        ("service.name", text("shop")),
        ("service.namespace", text("web")),
        ("service.instance.id", text("i-1")),
        ("host.id", text("h-1")),
        ("secret", text("x")),
        ("1st", text("x")),
    ];
    let bare = service("cart", vec![span(2, 0, SpanKind::Server, &[])]);
    let tenant = seen(settings, vec![vec![of(&resource, vec![span(1, 0, SpanKind::Server, &[])]), bare]]);
    let text = super::text(&tenant, super::TextFormat::Prometheus);
    let has = |line: &str| assert!(text.lines().any(|other| other == line), "{line}\n{text}");
    has("traces_target_info{host_id=\"h-1\",instance=\"i-1\",job=\"web/shop\"} 1");
    has("traces_host_info{grafana_host_id=\"h-1\",host_source=\"host.id\"} 1");
    assert_eq!(text.matches("traces_target_info{").count(), 1, "nothing is known of the other target but its name");
    assert!(text.contains("instance=\"i-1\",job=\"web/shop\",service=\"shop\""));
}

#[test]
fn exemplars_lead_to_traces_in_openmetrics() {
    let tenant = seen(only(&["span-metrics"]), vec![vec![service("shop", vec![span(1, 0, SpanKind::Server, &[])])]]);
    let text = super::text(&tenant, super::TextFormat::OpenMetrics);
    let exemplar = format!(" # {{traceID=\"{}\"}} 0.05", "01".repeat(16));
    assert_eq!(text.matches(&exemplar).count(), 1, "{text}");
    assert!(text.contains("# TYPE traces_spanmetrics_calls counter\n") && text.ends_with("# EOF\n"));
}

#[test]
fn stale_series_go() {
    let mut tenant = seen(only(&["span-metrics-count"]), vec![vec![service("shop", vec![span(1, 0, SpanKind::Server, &[])])]]);
    tenant.collect(UnixNanos::from_seconds(NOW + 900), usize::MAX);
    assert_eq!(scraped(&tenant).len(), 1);
    tenant.collect(UnixNanos::from_seconds(NOW + 901), usize::MAX);
    assert_eq!(scraped(&tenant).len(), 0);
}
