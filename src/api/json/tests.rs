use super::*;
use crate::api::protobuf;
use crate::proto::otlp::*;
use crate::proto::tempopb::{self, *};
use crate::proto::tests::{Exchange, exchange, exchanges};
use prost::Message;

mod reader;

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_string(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
}

fn text_attribute(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_string()))
}

fn any(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

fn full_span() -> tempopb::Trace {
    let event = Event { time_unix_nano: 5, name: "e".to_string(), attributes: vec![text_attribute("a", "b")], dropped_attributes_count: 1 };
    let link = Link {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        trace_state: "x=y".to_string(),
        attributes: vec![text_attribute("c", "d")],
        dropped_attributes_count: 2,
        flags: 256,
    };
    let span = crate::proto::otlp::Span {
        trace_id: [0, 42].repeat(8),
        span_id: vec![0, 0, 0, 0, 0, 0, 0, 1],
        trace_state: "k=v".to_string(),
        parent_span_id: vec![9; 8],
        flags: 257,
        name: "GET /cart".to_string(),
        kind: SpanKind::Server as i32,
        start_time_unix_nano: 1_767_225_600_000_000_000,
        end_time_unix_nano: 1_767_225_600_250_000_000,
        attributes: vec![attribute("http.status_code", Value::IntValue(503))],
        dropped_attributes_count: 3,
        events: vec![event],
        dropped_events_count: 4,
        links: vec![link],
        dropped_links_count: 5,
        status: Some(Status { message: "boom".to_string(), code: StatusCode::Error as i32 }),
    };
    let scope = InstrumentationScope {
        name: "lib".to_string(),
        version: "1".to_string(),
        attributes: vec![text_attribute("s", "t")],
        dropped_attributes_count: 6,
    };
    let entity = EntityRef {
        schema_url: "u".to_string(),
        r#type: "host".to_string(),
        id_keys: vec!["host.id".to_string()],
        description_keys: vec!["host.name".to_string()],
    };
    let resource =
        Resource { attributes: vec![text_attribute("service.name", "cart")], dropped_attributes_count: 7, entity_refs: vec![entity] };
    let scope = ScopeSpans { scope: Some(scope), spans: vec![span], schema_url: "v".to_string() };
    let batch = ResourceSpans { resource: Some(resource), scope_spans: vec![scope], schema_url: "w".to_string() };
    tempopb::Trace { resource_spans: vec![batch] }
}

const FULL_BATCH: &str = concat!(
    r#"{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"cart"}}],"droppedAttributesCount":7,"#,
    r#""entityRefs":[{"schemaUrl":"u","type":"host","idKeys":["host.id"],"descriptionKeys":["host.name"]}]},"#,
    r#""scopeSpans":[{"scope":{"name":"lib","version":"1","attributes":[{"key":"s","value":{"stringValue":"t"}}],"#,
    r#""droppedAttributesCount":6},"spans":[{"traceId":"ACoAKgAqACoAKgAqACoAKg==","spanId":"AAAAAAAAAAE=","#,
    r#""traceState":"k=v","parentSpanId":"CQkJCQkJCQk=","flags":257,"#,
    r#""name":"GET /cart","kind":"SPAN_KIND_SERVER","startTimeUnixNano":"1767225600000000000","endTimeUnixNano":"1767225600250000000","#,
    r#""attributes":[{"key":"http.status_code","value":{"intValue":"503"}}],"droppedAttributesCount":3,"#,
    r#""events":[{"timeUnixNano":"5","name":"e","attributes":[{"key":"a","value":{"stringValue":"b"}}],"droppedAttributesCount":1}],"#,
    r#""droppedEventsCount":4,"#,
    r#""links":[{"traceId":"AQEBAQEBAQEBAQEBAQEBAQ==","spanId":"AgICAgICAgI=","traceState":"x=y","#,
    r#""attributes":[{"key":"c","value":{"stringValue":"d"}}],"droppedAttributesCount":2,"flags":256}],"droppedLinksCount":5,"#,
    r#""status":{"message":"boom","code":"STATUS_CODE_ERROR"}}],"schemaUrl":"v"}],"schemaUrl":"w"}"#
);

#[test]
fn every_member_of_a_trace_in_its_order() {
    assert_eq!(trace_v1(&full_span().resource_spans), format!(r#"{{"batches":[{FULL_BATCH}]}}"#));
    let metrics = TraceByIdMetrics {
        inspected_bytes: 20480,
        backend_reads: 2,
        backend_bytes: 3,
        additional_metrics: [("z".to_string(), -1), ("a".to_string(), 0)].into(),
    };
    let response = TraceByIdResponse {
        trace: Some(full_span()),
        metrics: Some(metrics),
        status: PartialStatus::Partial as i32,
        message: "cut".to_string(),
    };
    let rest = concat!(
        r#""metrics":{"inspectedBytes":"20480","backendReads":"2","backendBytes":"3","additionalMetrics":{"a":"0","z":"-1"}},"#,
        r#""status":"PARTIAL","message":"cut""#
    );
    assert_eq!(trace_by_id(&response), format!(r#"{{"trace":{{"resourceSpans":[{FULL_BATCH}]}},{rest}}}"#));
}

#[test]
fn what_is_missing_or_zero_in_a_trace() {
    let scope = ScopeSpans { spans: vec![Default::default()], ..Default::default() };
    let batches = vec![ResourceSpans { scope_spans: vec![scope], ..Default::default() }];
    assert_eq!(trace_v1(&batches), r#"{"batches":[{"resource":{},"scopeSpans":[{"scope":{},"spans":[{"status":{}}]}]}]}"#);
    assert_eq!(trace_by_id(&TraceByIdResponse::default()), r#"{"trace":{}}"#);
    let found_nothing = TraceByIdResponse { metrics: Some(Default::default()), ..Default::default() };
    assert_eq!(trace_by_id(&found_nothing), r#"{"trace":{},"metrics":{}}"#);
}

#[test]
fn enum_numbers_without_a_name_stay_numbers() {
    let span = crate::proto::otlp::Span { kind: 17, status: Some(Status { code: -2, ..Default::default() }), ..Default::default() };
    let scope = ScopeSpans { spans: vec![span], ..Default::default() };
    let text = trace_v1(&[ResourceSpans { scope_spans: vec![scope], ..Default::default() }]);
    assert!(text.contains(r#"{"kind":17,"status":{"code":-2}}"#), "{text}");
}

fn value_text(value: AnyValue) -> String {
    let attribute = KeyValue { value: Some(value), ..Default::default() };
    let text = text(|w| otlp::key_value(w, &attribute));
    text.strip_prefix(r#"{"value":"#).and_then(|text| text.strip_suffix('}')).expect("an object with a value").to_string()
}

#[test]
fn values_are_written_even_when_they_are_zero() {
    let cases = [
        (Value::StringValue(String::new()), r#"{"stringValue":""}"#),
        (Value::BoolValue(false), r#"{"boolValue":false}"#),
        (Value::IntValue(0), r#"{"intValue":"0"}"#),
        (Value::IntValue(i64::MIN), r#"{"intValue":"-9223372036854775808"}"#),
        (Value::DoubleValue(0.0), r#"{"doubleValue":0}"#),
        (Value::DoubleValue(1e-7), r#"{"doubleValue":1e-7}"#),
        (Value::DoubleValue(f64::NAN), r#"{"doubleValue":"NaN"}"#),
        (Value::DoubleValue(f64::NEG_INFINITY), r#"{"doubleValue":"-Infinity"}"#),
        (Value::ArrayValue(ArrayValue::default()), r#"{"arrayValue":{}}"#),
        (Value::KvlistValue(KeyValueList::default()), r#"{"kvlistValue":{}}"#),
        (Value::BytesValue(Vec::new()), r#"{"bytesValue":""}"#),
        (Value::StringValueStrindex(0), r#"{"stringValueStrindex":0}"#),
        (
            Value::ArrayValue(ArrayValue { values: vec![any(Value::IntValue(1)), AnyValue::default()] }),
            r#"{"arrayValue":{"values":[{"intValue":"1"},{}]}}"#,
        ),
        (
            Value::KvlistValue(KeyValueList { values: vec![text_attribute("<k>", "a&b")] }),
            r#"{"kvlistValue":{"values":[{"key":"\u003ck\u003e","value":{"stringValue":"a\u0026b"}}]}}"#,
        ),
    ];
    for (value, expected) in cases {
        assert_eq!(value_text(any(value)), expected);
    }
    assert_eq!(value_text(AnyValue::default()), "{}");
    let missing = KeyValue { key: "k".to_string(), ..Default::default() };
    assert_eq!(text(|w| otlp::key_value(w, &missing)), r#"{"key":"k","value":{}}"#);
}

#[test]
fn deep_values_end_at_a_depth() {
    let nested = |levels| (0..levels).fold(any(Value::IntValue(1)), |value, _| any(Value::ArrayValue(ArrayValue { values: vec![value] })));
    let opening = r#"{"arrayValue":{"values":["#;
    let text = value_text(nested(64));
    assert_eq!((text.matches(opening).count(), text.contains("intValue")), (64, true));
    let text = value_text(nested(65));
    assert_eq!((text.matches(opening).count(), text.contains(r#"[{}]"#)), (65, true));
    assert_eq!(value_text(nested(200)), text);

    let span = crate::proto::otlp::Span {
        attributes: vec![KeyValue { key: "k".to_string(), value: Some(nested(200)), ..Default::default() }],
        ..Default::default()
    };
    let scope = ScopeSpans { spans: vec![span], ..Default::default() };
    let trace = tempopb::Trace { resource_spans: vec![ResourceSpans { scope_spans: vec![scope], ..Default::default() }] };
    let text = trace_by_id_llm(&TraceByIdResponse { trace: Some(trace), ..Default::default() });
    assert!(text.contains(&format!("{}null{}", "[".repeat(65), "]".repeat(65))), "{text}");
}

#[test]
fn every_member_of_a_search_answer_in_its_order() {
    let span = tempopb::Span {
        span_id: "0000000000000001".to_string(),
        name: "GET".to_string(),
        start_time_unix_nano: 7,
        duration_nanos: 8,
        attributes: vec![text_attribute("status", "error")],
    };
    let set = SpanSet { spans: vec![span], matched: 4, attributes: vec![attribute("count()", Value::IntValue(4))] };
    let stats = |span_count, error_count| ServiceStats { span_count, error_count };
    let trace = TraceSearchMetadata {
        trace_id: "2a".to_string(),
        root_service_name: "cart".to_string(),
        root_trace_name: "<root>".to_string(),
        start_time_unix_nano: u64::MAX,
        duration_ms: 250,
        span_set: Some(set.clone()),
        span_sets: vec![set],
        service_stats: [("web".to_string(), stats(0, 0)), ("cart".to_string(), stats(4, 1))].into(),
    };
    let metrics = SearchMetrics {
        inspected_traces: 1,
        inspected_bytes: 2,
        total_blocks: 3,
        completed_jobs: 4,
        total_jobs: 5,
        total_block_bytes: 6,
        inspected_spans: 7,
        backend_reads: 8,
        backend_bytes: 9,
        additional_metrics: [("cacheHits".to_string(), 10)].into(),
    };
    let set = concat!(
        r#"{"spans":[{"spanID":"0000000000000001","name":"GET","startTimeUnixNano":"7","durationNanos":"8","#,
        r#""attributes":[{"key":"status","value":{"stringValue":"error"}}]}],"matched":4,"#,
        r#""attributes":[{"key":"count()","value":{"intValue":"4"}}]}"#
    );
    let metrics_text = concat!(
        r#"{"inspectedTraces":1,"inspectedBytes":"2","totalBlocks":3,"completedJobs":4,"totalJobs":5,"totalBlockBytes":"6","#,
        r#""inspectedSpans":"7","backendReads":"8","backendBytes":"9","additionalMetrics":{"cacheHits":"10"}}"#
    );
    let expected = [
        r#"{"traces":[{"traceID":"2a","rootServiceName":"cart","rootTraceName":"\u003croot\u003e","#,
        r#""startTimeUnixNano":"18446744073709551615","durationMs":250,"#,
        &format!(r#""spanSet":{set},"spanSets":[{set}],"#),
        r#""serviceStats":{"cart":{"spanCount":4,"errorCount":1},"web":{}}}],"#,
        &format!(r#""metrics":{metrics_text}}}"#),
    ];
    assert_eq!(search(&SearchResponse { traces: vec![trace], metrics: Some(metrics) }), expected.concat());
    let empty = SearchResponse { metrics: Some(Default::default()), ..Default::default() };
    assert_eq!(search(&empty), r#"{"traces":[],"metrics":{}}"#);
}

#[test]
fn tag_answers() {
    let metrics = MetadataMetrics {
        inspected_bytes: 1,
        total_jobs: 2,
        completed_jobs: 3,
        total_blocks: 4,
        total_block_bytes: 5,
        backend_reads: 6,
        backend_bytes: 7,
        additional_metrics: Default::default(),
    };
    let metrics_text = concat!(
        r#"{"inspectedBytes":"1","totalJobs":2,"completedJobs":3,"totalBlocks":4,"totalBlockBytes":"5","#,
        r#""backendReads":"6","backendBytes":"7"}"#
    );
    let names = SearchTagsResponse { tag_names: vec!["db.system".to_string(), "foo".to_string()], metrics: Some(metrics) };
    assert_eq!(search_tags(&names), format!(r#"{{"tagNames":["db.system","foo"],"metrics":{metrics_text}}}"#));
    assert_eq!(search_tags(&SearchTagsResponse::default()), r#"{"tagNames":[]}"#);

    let scope = SearchTagsV2Scope { name: "span".to_string(), tags: vec!["http.method".to_string()] };
    let scopes = SearchTagsV2Response { scopes: vec![scope], metrics: None };
    assert_eq!(search_tags_v2(&scopes), r#"{"scopes":[{"name":"span","tags":["http.method"]}]}"#);
    assert_eq!(search_tags_v2(&SearchTagsV2Response::default()), r#"{"scopes":[]}"#);

    let values = SearchTagValuesResponse { tag_values: vec![String::new(), "503".to_string()], metrics: None };
    assert_eq!(search_tag_values(&values), r#"{"tagValues":["","503"]}"#);

    let value = |kind: &str, value: &str| TagValue { r#type: kind.to_string(), value: value.to_string() };
    let tag_values = vec![value("string", "GET"), value("int", "503"), value("string", "")];
    let values = SearchTagValuesV2Response { tag_values, metrics: Some(MetadataMetrics { inspected_bytes: 4321, ..Default::default() }) };
    let expected = concat!(
        r#"{"tagValues":[{"type":"string","value":"GET"},{"type":"int","value":"503"},{"type":"string"}],"#,
        r#""metrics":{"inspectedBytes":"4321"}}"#
    );
    assert_eq!(search_tag_values_v2(&values), expected);
    let expected = r#"{"tagValues":{"int":["503"],"string":["GET",""]},"metrics":{"inspectedBytes":4321}}"#;
    assert_eq!(tag_values_llm(&values), expected);
    assert_eq!(tag_values_llm(&SearchTagValuesV2Response::default()), r#"{"tagValues":{}}"#);
}

#[test]
fn metrics_answers() {
    let sample = |timestamp_ms, value| Sample { timestamp_ms, value };
    let exemplar = Exemplar { labels: vec![text_attribute("trace:id", "2a")], value: 0.25, timestamp_ms: 1_767_225_601_000 };
    let series = TimeSeries {
        labels: vec![attribute("p", Value::DoubleValue(0.9))],
        samples: vec![sample(1, 0.0), sample(2, 0.2), sample(3, f64::INFINITY)],
        exemplars: vec![exemplar],
    };
    let response = QueryRangeResponse {
        series: vec![series, TimeSeries::default()],
        metrics: None,
        status: PartialStatus::Partial as i32,
        message: "m".to_string(),
    };
    let expected = concat!(
        r#"{"series":[{"labels":[{"key":"p","value":{"doubleValue":0.9}}],"#,
        r#""samples":[{"timestampMs":"1"},{"timestampMs":"2","value":0.2},{"timestampMs":"3","value":"Infinity"}],"#,
        r#""exemplars":[{"labels":[{"key":"trace:id","value":{"stringValue":"2a"}}],"value":0.25,"timestampMs":"1767225601000"}]},"#,
        r#"{"samples":[]}],"status":"PARTIAL","message":"m"}"#
    );
    assert_eq!(query_range(&response), expected);
    assert_eq!(query_range(&QueryRangeResponse::default()), r#"{"series":[]}"#);

    let instant = |value| InstantSeries { labels: vec![text_attribute("__name__", "rate")], value };
    let response = QueryInstantResponse { series: vec![instant(42.0), instant(0.0)], ..Default::default() };
    let expected = concat!(
        r#"{"series":[{"labels":[{"key":"__name__","value":{"stringValue":"rate"}}],"value":42},"#,
        r#"{"labels":[{"key":"__name__","value":{"stringValue":"rate"}}]}]}"#
    );
    assert_eq!(query_instant(&response), expected);
    assert_eq!(query_instant(&QueryInstantResponse::default()), "{}");
}

#[test]
fn the_llm_form_of_a_trace() {
    let metrics = TraceByIdMetrics { inspected_bytes: 9, additional_metrics: [("a".to_string(), 1)].into(), ..Default::default() };
    let mut trace = full_span();
    let attributes = &mut trace.resource_spans[0].scope_spans[0].spans[0].attributes;
    let list = vec![any(Value::BoolValue(true)), any(Value::DoubleValue(0.5)), AnyValue::default()];
    attributes.push(attribute("b", Value::ArrayValue(ArrayValue { values: list })));
    attributes.push(attribute("a", Value::KvlistValue(KeyValueList { values: vec![attribute("x", Value::BytesValue(vec![1]))] })));
    attributes.push(text_attribute("b", "last"));
    let response = TraceByIdResponse { trace: Some(trace), metrics: Some(metrics), ..Default::default() };
    let expected = concat!(
        r#"{"trace":{"traceId":"002a002a002a002a002a002a002a002a","services":[{"serviceName":"cart","#,
        r#""scopes":[{"name":"lib","version":"1","spans":[{"spanId":"0000000000000001","name":"GET /cart","#,
        r#""parentSpanId":"0909090909090909","kind":"SPAN_KIND_SERVER","startTimeUnixNano":"1767225600000000000","#,
        r#""endTimeUnixNano":"1767225600250000000","durationMs":250,"#,
        r#""attributes":{"a":{"x":"AQ=="},"b":"last","http.status_code":503},"#,
        r#""events":[{"name":"e","timeUnixNano":"5","attributes":{"a":"b"}}],"#,
        r#""links":[{"traceId":"01010101010101010101010101010101","spanId":"0202020202020202","attributes":{"c":"d"}}],"#,
        r#""status":{"code":"STATUS_CODE_ERROR","message":"boom"}}]}]}]},"#,
        r#""metrics":{"inspectedBytes":9,"additionalMetrics":{"a":1}},"status":"COMPLETE"}"#
    );
    assert_eq!(trace_by_id_llm(&response), expected);
    assert_eq!(trace_by_id_llm(&TraceByIdResponse::default()), r#"{"trace":{},"status":"COMPLETE"}"#);
}

fn recorded_text(id: &str) -> String {
    String::from_utf8(exchange(id).bytes("body")).expect("UTF-8")
}

/// An answer without its costs, which differ from run to run.
fn without_metrics(text: &str) -> &str {
    text.split_once(r#","metrics":"#).map_or(text, |(content, _)| content)
}

/// An answer without exemplars, which are drawn by chance. Only their list ends in a text, an object and an array.
fn without_exemplars(text: &str) -> String {
    let mut pieces = text.split(r#","exemplars":["#);
    let first = pieces.next().unwrap_or_default().to_string();
    pieces.fold(first, |kept, piece| kept + piece.split_once(r#""}]"#).map_or("", |(_, rest)| rest))
}

#[test]
fn a_recorded_range_answer_byte_for_byte() {
    let message = exchange("grpc-query-range").messages().pop().expect("an answer");
    let mut response = QueryRangeResponse::decode(message.as_slice()).expect("an answer");
    response.series.iter_mut().for_each(|series| series.exemplars.clear());
    let recorded = without_exemplars(&recorded_text("http-query-range"));
    assert_eq!(without_metrics(&query_range(&response)), without_metrics(&recorded));
}

#[test]
fn a_recorded_search_answer_byte_for_byte() {
    let bytes = exchange("http-search").bytes("body");
    let mut response = SearchResponse::decode(bytes.as_slice()).expect("an answer");
    // It was asked for more traces than the other.
    response.traces.truncate(20);
    assert_eq!(without_metrics(&search(&response)), without_metrics(&recorded_text("llm-search")));
}

#[test]
fn a_recorded_llm_answer_byte_for_byte() {
    let bytes = exchange("http-trace-v2-7dc18bdf102506bd").bytes("body");
    let response = TraceByIdResponse::decode(bytes.as_slice()).expect("an answer");
    let (text, recorded) = (trace_by_id_llm(&response), recorded_text("llm-trace-v2"));
    assert_eq!(without_metrics(&text), without_metrics(&recorded));
    assert!(text.ends_with(r#","status":"COMPLETE"}"#) && recorded.ends_with(r#","status":"COMPLETE"}"#));
}

#[test]
fn recorded_traces_need_nothing_filled_in() {
    let of_v1 =
        |exchange: &&Exchange| exchange.field("path").starts_with("/api/traces/") && exchange.field("id") != "http-trace-v1-missing";
    for exchange in exchanges().iter().filter(of_v1) {
        let trace = Trace::decode(exchange.bytes("body").as_slice()).expect("a trace");
        assert_eq!(protobuf::trace_v1(trace.resource_spans), exchange.bytes("body"));
    }
}
