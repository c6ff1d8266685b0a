//! The rules of spec/ingest.md §3.2 one by one, and that JSON printed from any message reads as that message.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use proptest::prelude::*;
use prost::Message as _;
use serde_json::json;

use super::*;
use crate::proto::otlp::{
    AnyValue, ArrayValue, Event, InstrumentationScope, KeyValue, KeyValueList, Link, Resource, ResourceSpans, ScopeSpans, Span, SpanKind,
    Status, StatusCode, Value,
};

fn decode_span(span: serde_json::Value) -> Result<Span, DecodeError> {
    let body = json!({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).to_string();
    decode(body.as_bytes()).map(|request| request.resource_spans[0].scope_spans[0].spans[0].clone())
}

fn read_span(span: serde_json::Value) -> Span {
    decode_span(span.clone()).unwrap_or_else(|error| panic!("{span}: {error}"))
}

/// The value of an attribute whose `value` is the JSON text `value`.
fn read_value(value: &str) -> Option<Value> {
    let body = format!(r#"{{"resourceSpans":[{{"resource":{{"attributes":[{{"key":"a","value":{value}}}]}}}}]}}"#);
    let request = decode(body.as_bytes()).unwrap_or_else(|error| panic!("{value}: {error}"));
    let resource = request.resource_spans[0].resource.clone().expect("a resource was sent");
    resource.attributes[0].value.clone().and_then(|value| value.value)
}

#[test]
fn both_spellings_of_keys_are_read() {
    let camel = read_span(json!({"traceId": "0abc0000000000000000000000560056", "startTimeUnixNano": "5", "droppedLinksCount": 1}));
    let snake = read_span(json!({"trace_id": "0ABC0000000000000000000000560056", "start_time_unix_nano": 5, "dropped_links_count": "1"}));
    assert_eq!(camel, snake);
    assert_eq!(camel.start_time_unix_nano, 5);
    assert_eq!(camel.trace_id, [0x0a, 0xbc, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x56, 0, 0x56]);
}

#[test]
fn of_a_repeated_key_the_last_one_wins() {
    let body = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"a","name":"b","traceState":"x","trace_state":"y"}]}]}]}"#;
    let request = decode(body.as_bytes()).expect("repeated keys are no error");
    let span = &request.resource_spans[0].scope_spans[0].spans[0];
    assert_eq!((span.name.as_str(), span.trace_state.as_str()), ("b", "y"));
}

#[test]
fn ids_of_a_wrong_length_or_with_other_characters_are_refused() {
    for id in ["abcd", "zabc0000000000000000000000560056", "0abc00000000000000000000005600560", "+abc0000000000000000000000560056"] {
        let error = decode_span(json!({"traceId": id})).expect_err(id);
        assert!(error.to_string().contains("length mismatch"), "{error}");
    }
    for key in ["spanId", "parentSpanId"] {
        let error = decode_span(json!({key: "0abc0000000000000000000000560056"})).expect_err(key);
        assert!(error.to_string().contains("length mismatch"), "{error}");
    }
    assert!(decode_span(json!({"links": [{"spanId": "00"}]})).is_err());
}

#[test]
fn an_empty_id_is_no_id() {
    let span = read_span(json!({"traceId": "", "spanId": "", "parentSpanId": null}));
    assert_eq!(span, Span::default());
}

#[test]
fn integers_come_as_numbers_or_text() {
    for nanos in [json!(1790000100000000001u64), json!("1790000100000000001")] {
        assert_eq!(read_span(json!({"endTimeUnixNano": nanos})).end_time_unix_nano, 1790000100000000001);
    }
    assert_eq!(read_span(json!({"startTimeUnixNano": 1e9})).start_time_unix_nano, 1_000_000_000);
    assert_eq!(read_value(r#"{"intValue":"-9223372036854775808"}"#), Some(Value::IntValue(i64::MIN)));
    assert_eq!(read_value(r#"{"intValue":-5}"#), Some(Value::IntValue(-5)));
    for wrong in [json!(-1), json!(1.5), json!("soon"), json!(""), json!(true), json!([1]), json!(1e300), json!("18446744073709551616")] {
        assert!(decode_span(json!({"startTimeUnixNano": wrong})).is_err(), "{wrong}");
    }
    assert!(decode_span(json!({"flags": 4294967296u64})).is_err());
}

#[test]
fn enums_come_as_numbers_or_names() {
    for kind in [json!(2), json!("SPAN_KIND_SERVER"), json!("2")] {
        assert_eq!(read_span(json!({"kind": kind})).kind(), SpanKind::Server);
    }
    assert_eq!(read_span(json!({"kind": 99})).kind, 99);
    assert!(decode_span(json!({"kind": "server"})).is_err());
    for code in [json!(2), json!("STATUS_CODE_ERROR")] {
        let status = read_span(json!({"status": {"code": code, "message": "m"}})).status.expect("a status was sent");
        assert_eq!((status.code(), status.message.as_str()), (StatusCode::Error, "m"));
    }
}

#[test]
fn doubles_come_as_numbers_or_text() {
    let cases = [
        ("1.5", 1.5),
        ("-3", -3.0),
        ("7", 7.0),
        (r#""2.5""#, 2.5),
        (r#""Infinity""#, f64::INFINITY),
        (r#""-Infinity""#, f64::NEG_INFINITY),
        // The shortest decimals of numbers that a careless parser rounds to a neighbour.
        ("0.1", 0.1),
        ("2.2250738585072011e-308", 2.225_073_858_507_201e-308),
    ];
    for (text, number) in cases {
        assert_eq!(read_value(&format!(r#"{{"doubleValue":{text}}}"#)), Some(Value::DoubleValue(number)), "{text}");
    }
    let Some(Value::DoubleValue(number)) = read_value(r#"{"doubleValue":"NaN"}"#) else { panic!("a double was sent") };
    assert!(number.is_nan());
}

#[test]
fn bytes_come_in_either_base64_alphabet() {
    for text in ["-_8=", "+/8=", "+/8"] {
        assert_eq!(read_value(&format!(r#"{{"bytesValue":"{text}"}}"#)), Some(Value::BytesValue(vec![0xfb, 0xff])));
    }
    assert!(decode(br#"{"resourceSpans":[{"resource":{"attributes":[{"key":"a","value":{"bytesValue":"?"}}]}}]}"#).is_err());
}

#[test]
fn the_last_key_of_a_value_wins_and_null_is_no_key() {
    assert_eq!(read_value(r#"{"intValue":1,"stringValue":"s"}"#), Some(Value::StringValue("s".into())));
    assert_eq!(read_value(r#"{"stringValue":"s","intValue":"1","boolValue":null}"#), Some(Value::IntValue(1)));
    assert_eq!(read_value("{}"), None);
    assert_eq!(read_value("null"), None);
    assert_eq!(read_value(r#"{"arrayValue":{}}"#), Some(Value::ArrayValue(ArrayValue::default())));
    let one_null = ArrayValue { values: vec![AnyValue::default()] };
    assert_eq!(read_value(r#"{"arrayValue":{"values":[null]}}"#), Some(Value::ArrayValue(one_null)));
}

#[test]
fn nulls_count_as_absent() {
    let body = r#"{"resourceSpans":[null,{"resource":null,"scopeSpans":[{"scope":null,"spans":null,"schemaUrl":null}]}]}"#;
    let request = decode(body.as_bytes()).expect("nulls are no error");
    assert_eq!(request.resource_spans, [ResourceSpans { scope_spans: vec![ScopeSpans::default()], ..ResourceSpans::default() }]);
    assert_eq!(decode(b"null").expect("an empty request"), ExportTraceServiceRequest::default());
    let nulls = json!({"name": null, "kind": null, "startTimeUnixNano": null, "attributes": null, "status": null, "flags": null});
    assert_eq!(read_span(nulls), Span::default());
}

#[test]
fn libraries_become_scopes_unless_there_are_scopes() {
    let library = r#"{"instrumentationLibrary":{"name":"old"},"spans":[{"name":"a"}],"schemaUrl":"u"}"#;
    let body = format!(r#"{{"resourceSpans":[{{"instrumentationLibrarySpans":[{library}]}}]}}"#);
    let scopes = decode(body.as_bytes()).expect("libraries are read").resource_spans[0].scope_spans.clone();
    assert_eq!(scopes[0].scope.as_ref().map(|scope| scope.name.as_str()), Some("old"));
    assert_eq!((scopes[0].spans[0].name.as_str(), scopes[0].schema_url.as_str()), ("a", "u"));

    let body = format!(r#"{{"resource_spans":[{{"scopeSpans":[{{}}],"instrumentation_library_spans":[{library}]}}]}}"#);
    assert_eq!(decode(body.as_bytes()).expect("libraries are read").resource_spans[0].scope_spans, [ScopeSpans::default()]);
}

#[test]
fn broken_documents_are_refused() {
    for body in ["", " ", "nope", "{", r#"{"resourceSpans""#, "[]", "5", r#"{"resourceSpans":{}}"#, r#"{"resourceSpans":[{"a":}]}"#] {
        assert!(decode(body.as_bytes()).is_err(), "{body}");
    }
    assert!(matches!(decode(b""), Err(DecodeError::Truncated)));
}

#[test]
fn bytes_after_the_document_are_ignored() {
    let body = b"{\"resourceSpans\":[{\"schemaUrl\":\"u\"}]} trailing \xff{";
    assert_eq!(decode(body).expect("one document").resource_spans[0].schema_url, "u");
}

#[test]
fn deep_values_are_an_error_and_no_stack_overflow() {
    let nested = |depth: usize| {
        let value = format!("{}{}{}", r#"{"arrayValue":{"values":["#.repeat(depth), r#"{"intValue":1}"#, "]}}".repeat(depth));
        decode(format!(r#"{{"resourceSpans":[{{"resource":{{"attributes":[{{"value":{value}}}]}}}}]}}"#).as_bytes())
    };
    assert!(nested(38).is_ok());
    assert!(matches!(nested(64), Err(DecodeError::Json(_))));
    assert!(nested(100_000).is_err());
    assert!(decode("{\"resourceSpans\":[".repeat(100_000).as_bytes()).is_err());
    let unknown = format!(r#"{{"future":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert!(decode(unknown.as_bytes()).is_ok());
}

#[test]
fn text_that_is_not_unicode_is_repaired() {
    let name = |name: &[u8]| {
        let body = [b"{\"resourceSpans\":[{\"schemaUrl\":\"".as_slice(), name, b"\"}]}"].concat();
        decode(&body).map(|request| request.resource_spans[0].schema_url.clone())
    };
    assert_eq!(name(b"a\xffb").expect("repaired"), "a\u{fffd}b");
    assert_eq!(name(br"cut \ud83d").expect("repaired"), "cut \u{fffd}");
    assert_eq!(name(br"\ude80\ud83d\ud83d\ude80\ud83d!").expect("repaired"), "\u{fffd}\u{fffd}\u{1f680}\u{fffd}!");
    assert_eq!(name(br"\\ud83d \u00fc").expect("nothing to repair"), r"\ud83d ü");
    assert!(name(br"\ud83").is_err());
    assert!(name(b"\\").is_err());
}

/// Prints messages as the JSON exporters of the OpenTelemetry SDKs do; what has its default value is left out.
mod print {
    use super::*;

    pub(super) fn request(request: &ExportTraceServiceRequest) -> serde_json::Value {
        json!({"resourceSpans": list(&request.resource_spans, resource_spans)})
    }

    fn list<T>(items: &[T], print: impl Fn(&T) -> serde_json::Value) -> Vec<serde_json::Value> {
        items.iter().map(print).collect()
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn resource_spans(batch: &ResourceSpans) -> serde_json::Value {
        let resource = batch.resource.as_ref().map(|resource| {
            json!({"attributes": list(&resource.attributes, key_value), "droppedAttributesCount": resource.dropped_attributes_count})
        });
        json!({"resource": resource, "scopeSpans": list(&batch.scope_spans, scope_spans), "schemaUrl": batch.schema_url})
    }

    fn scope_spans(batch: &ScopeSpans) -> serde_json::Value {
        let scope = batch.scope.as_ref().map(|scope| {
            json!({"name": scope.name, "version": scope.version, "attributes": list(&scope.attributes, key_value),
                "droppedAttributesCount": scope.dropped_attributes_count})
        });
        json!({"scope": scope, "spans": list(&batch.spans, span), "schemaUrl": batch.schema_url})
    }

    fn span(span: &Span) -> serde_json::Value {
        let status = span.status.as_ref().map(|status| json!({"code": status.code, "message": status.message}));
        json!({
            "traceId": hex(&span.trace_id), "spanId": hex(&span.span_id), "parentSpanId": hex(&span.parent_span_id),
            "traceState": span.trace_state, "flags": span.flags, "name": span.name, "kind": span.kind,
            "startTimeUnixNano": span.start_time_unix_nano.to_string(), "endTimeUnixNano": span.end_time_unix_nano.to_string(),
            "attributes": list(&span.attributes, key_value), "droppedAttributesCount": span.dropped_attributes_count,
            "events": list(&span.events, event), "droppedEventsCount": span.dropped_events_count,
            "links": list(&span.links, link), "droppedLinksCount": span.dropped_links_count, "status": status,
        })
    }

    fn event(event: &Event) -> serde_json::Value {
        json!({"timeUnixNano": event.time_unix_nano.to_string(), "name": event.name,
            "attributes": list(&event.attributes, key_value), "droppedAttributesCount": event.dropped_attributes_count})
    }

    fn link(link: &Link) -> serde_json::Value {
        json!({"traceId": hex(&link.trace_id), "spanId": hex(&link.span_id), "traceState": link.trace_state, "flags": link.flags,
            "attributes": list(&link.attributes, key_value), "droppedAttributesCount": link.dropped_attributes_count})
    }

    fn key_value(attribute: &KeyValue) -> serde_json::Value {
        json!({"key": attribute.key, "value": attribute.value.as_ref().map(any_value)})
    }

    fn any_value(value: &AnyValue) -> serde_json::Value {
        match &value.value {
            None | Some(Value::StringValueStrindex(_)) => json!({}),
            Some(Value::StringValue(text)) => json!({"stringValue": text}),
            Some(Value::BoolValue(value)) => json!({"boolValue": value}),
            Some(Value::IntValue(number)) => json!({"intValue": number.to_string()}),
            Some(Value::DoubleValue(number)) if number.is_nan() => json!({"doubleValue": "NaN"}),
            Some(Value::DoubleValue(number)) if *number == f64::INFINITY => json!({"doubleValue": "Infinity"}),
            Some(Value::DoubleValue(number)) if *number == f64::NEG_INFINITY => json!({"doubleValue": "-Infinity"}),
            Some(Value::DoubleValue(number)) => json!({"doubleValue": number}),
            Some(Value::BytesValue(bytes)) => json!({"bytesValue": BASE64_STANDARD.encode(bytes)}),
            Some(Value::ArrayValue(array)) => json!({"arrayValue": {"values": list(&array.values, any_value)}}),
            Some(Value::KvlistValue(list_)) => json!({"kvlistValue": {"values": list(&list_.values, key_value)}}),
        }
    }
}

/// Arbitrary messages, small ones.
mod arbitrary {
    use super::*;
    use proptest::collection::vec;

    pub(super) fn request() -> impl Strategy<Value = ExportTraceServiceRequest> {
        vec(resource_spans(), 0..3).prop_map(|resource_spans| ExportTraceServiceRequest { resource_spans })
    }

    fn resource_spans() -> impl Strategy<Value = ResourceSpans> {
        let resource = (attributes(), any::<u32>()).prop_map(|(attributes, dropped_attributes_count)| Resource {
            attributes,
            dropped_attributes_count,
            ..Resource::default()
        });
        (proptest::option::of(resource), vec(scope_spans(), 0..3), any::<String>())
            .prop_map(|(resource, scope_spans, schema_url)| ResourceSpans { resource, scope_spans, schema_url })
    }

    fn scope_spans() -> impl Strategy<Value = ScopeSpans> {
        let scope = (any::<String>(), any::<String>(), attributes(), any::<u32>()).prop_map(
            |(name, version, attributes, dropped_attributes_count)| InstrumentationScope {
                name,
                version,
                attributes,
                dropped_attributes_count,
            },
        );
        (proptest::option::of(scope), vec(span(), 0..3), any::<String>()).prop_map(|(scope, spans, schema_url)| ScopeSpans {
            scope,
            spans,
            schema_url,
        })
    }

    fn id(num_bytes: usize) -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![Just(Vec::new()), vec(any::<u8>(), num_bytes)]
    }

    fn span() -> impl Strategy<Value = Span> {
        let status = (any::<String>(), any::<i32>()).prop_map(|(message, code)| Status { message, code });
        let ids = (id(16), id(8), id(8), any::<u32>());
        let words = (any::<String>(), any::<String>(), any::<i32>(), any::<(u64, u64)>(), any::<(u32, u32, u32)>());
        let lists = (attributes(), vec(event(), 0..3), vec(link(), 0..3), proptest::option::of(status));
        (ids, words, lists).prop_map(|(ids, words, lists)| Span {
            trace_id: ids.0,
            span_id: ids.1,
            parent_span_id: ids.2,
            flags: ids.3,
            trace_state: words.0,
            name: words.1,
            kind: words.2,
            start_time_unix_nano: words.3.0,
            end_time_unix_nano: words.3.1,
            dropped_attributes_count: words.4.0,
            dropped_events_count: words.4.1,
            dropped_links_count: words.4.2,
            attributes: lists.0,
            events: lists.1,
            links: lists.2,
            status: lists.3,
        })
    }

    fn event() -> impl Strategy<Value = Event> {
        (any::<u64>(), any::<String>(), attributes(), any::<u32>()).prop_map(
            |(time_unix_nano, name, attributes, dropped_attributes_count)| Event {
                time_unix_nano,
                name,
                attributes,
                dropped_attributes_count,
            },
        )
    }

    fn link() -> impl Strategy<Value = Link> {
        (id(16), id(8), any::<String>(), attributes(), any::<(u32, u32)>()).prop_map(
            |(trace_id, span_id, trace_state, attributes, counts)| Link {
                trace_id,
                span_id,
                trace_state,
                attributes,
                dropped_attributes_count: counts.0,
                flags: counts.1,
            },
        )
    }

    fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
        vec(key_value(any_value()), 0..3)
    }

    fn key_value(value: impl Strategy<Value = AnyValue>) -> impl Strategy<Value = KeyValue> {
        (any::<String>(), proptest::option::of(value)).prop_map(|(key, value)| KeyValue { key, value, ..KeyValue::default() })
    }

    fn any_value() -> impl Strategy<Value = AnyValue> {
        let leaf = prop_oneof![
            Just(None),
            any::<String>().prop_map(|text| Some(Value::StringValue(text))),
            any::<bool>().prop_map(|value| Some(Value::BoolValue(value))),
            any::<i64>().prop_map(|number| Some(Value::IntValue(number))),
            any::<f64>().prop_map(|number| Some(Value::DoubleValue(number))),
            vec(any::<u8>(), 0..5).prop_map(|bytes| Some(Value::BytesValue(bytes))),
        ]
        .prop_map(|value| AnyValue { value });
        leaf.prop_recursive(3, 8, 3, |inner| {
            prop_oneof![
                vec(inner.clone(), 0..3).prop_map(|values| Value::ArrayValue(ArrayValue { values })),
                vec(key_value(inner), 0..3).prop_map(|values| Value::KvlistValue(KeyValueList { values })),
            ]
            .prop_map(|value| AnyValue { value: Some(value) })
        })
    }
}

proptest! {
    #[test]
    fn printed_messages_read_as_they_were(request in arbitrary::request()) {
        let json = print::request(&request).to_string();
        let read = decode(json.as_bytes()).map_err(|error| TestCaseError::fail(error.to_string()))?;
        // Compared as bytes because NaN is not equal to itself.
        prop_assert_eq!(read.encode_to_vec(), request.encode_to_vec());
    }

    #[test]
    fn arbitrary_bytes_never_panic(body: Vec<u8>) {
        let _ = decode(&body);
    }

    #[test]
    fn mutated_documents_never_panic(request in arbitrary::request(), edits in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 1..5)) {
        let mut body = print::request(&request).to_string().into_bytes();
        for (position, byte) in edits {
            let position = position.index(body.len());
            body[position] = byte;
        }
        let _ = decode(&body);
    }

    #[test]
    fn repaired_text_differs_only_where_it_must(text: String) {
        prop_assume!(!text.contains('\\'));
        prop_assert!(matches!(reader::repair_text(text.as_bytes()), std::borrow::Cow::Borrowed(same) if same == text));
    }
}
