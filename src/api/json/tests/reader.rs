//! A strict reader of our own trace JSON, and the property that it gives back every trace that was written.
//! It knows the members by name and fails on any other.

use crate::api::json::trace_v1;
use crate::api::protobuf::fill_in;
use crate::proto::otlp::*;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::{Map, Value as Json};

/// The members of an object, taken one by one.
struct Members(Map<String, Json>);

impl Members {
    fn of(json: Json) -> Self {
        match json {
            Json::Object(members) => Members(members),
            other => panic!("not an object: {other}"),
        }
    }

    /// Takes a member that is left out when it is zero.
    fn take<T: Default + PartialEq + std::fmt::Debug>(&mut self, name: &str, read: impl FnOnce(Json) -> T) -> T {
        let Some(json) = self.0.remove(name) else { return T::default() };
        let value = read(json);
        assert_ne!(value, T::default(), "{name} is written although it is zero");
        value
    }

    fn always(&mut self, name: &str) -> Json {
        self.0.remove(name).unwrap_or_else(|| panic!("{name} is missing"))
    }

    fn end(self) {
        assert!(self.0.is_empty(), "unexpected members: {:?}", self.0);
    }
}

fn read_string(json: Json) -> String {
    json.as_str().expect("a text").to_string()
}

fn read_bytes(json: Json) -> Vec<u8> {
    STANDARD.decode(read_string(json)).expect("base64")
}

fn read_u32(json: Json) -> u32 {
    json.as_u64().and_then(|number| number.try_into().ok()).expect("a number of 32 bits")
}

fn read_i32(json: Json) -> i32 {
    json.as_i64().and_then(|number| number.try_into().ok()).expect("a number of 32 bits")
}

fn read_u64(json: Json) -> u64 {
    read_string(json).parse().expect("a number of 64 bits")
}

fn read_list<T>(json: Json, read: impl FnMut(Json) -> T) -> Vec<T> {
    match json {
        Json::Array(items) => items.into_iter().map(read).collect(),
        other => panic!("not an array: {other}"),
    }
}

fn read_kind(json: Json) -> i32 {
    json.as_str().map_or_else(|| read_i32(json.clone()), |word| SpanKind::from_str_name(word).expect("a kind") as i32)
}

fn read_code(json: Json) -> i32 {
    json.as_str().map_or_else(|| read_i32(json.clone()), |word| StatusCode::from_str_name(word).expect("a code") as i32)
}

fn read_attributes(json: Json) -> Vec<KeyValue> {
    read_list(json, read_attribute)
}

fn read_attribute(json: Json) -> KeyValue {
    let mut m = Members::of(json);
    let attribute = KeyValue {
        key: m.take("key", read_string),
        value: Some(read_value(m.always("value"))),
        key_strindex: m.take("keyStrindex", read_i32),
    };
    m.end();
    attribute
}

fn read_value(json: Json) -> AnyValue {
    let mut members = Members::of(json).0.into_iter();
    let value = members.next().map(|(name, json)| match name.as_str() {
        "stringValue" => Value::StringValue(read_string(json)),
        "boolValue" => Value::BoolValue(json.as_bool().expect("a bool")),
        "intValue" => Value::IntValue(read_string(json).parse().expect("an integer")),
        "doubleValue" => Value::DoubleValue(json.as_f64().expect("a number")),
        "arrayValue" => Value::ArrayValue(ArrayValue { values: read_values(json, read_value) }),
        "kvlistValue" => Value::KvlistValue(KeyValueList { values: read_values(json, read_attribute) }),
        "bytesValue" => Value::BytesValue(read_bytes(json)),
        "stringValueStrindex" => Value::StringValueStrindex(read_i32(json)),
        other => panic!("no type of value: {other}"),
    });
    assert_eq!(members.next(), None);
    AnyValue { value }
}

fn read_values<T: PartialEq + std::fmt::Debug>(json: Json, read: impl FnMut(Json) -> T) -> Vec<T> {
    let mut m = Members::of(json);
    let values = m.take("values", |json| read_list(json, read));
    m.end();
    values
}

fn read_trace(json: Json) -> Vec<ResourceSpans> {
    let mut m = Members::of(json);
    let batches = m.take("batches", |json| read_list(json, read_batch));
    m.end();
    batches
}

fn read_batch(json: Json) -> ResourceSpans {
    let mut m = Members::of(json);
    let batch = ResourceSpans {
        resource: Some(read_resource(m.always("resource"))),
        scope_spans: m.take("scopeSpans", |json| read_list(json, read_scope_spans)),
        schema_url: m.take("schemaUrl", read_string),
    };
    m.end();
    batch
}

fn read_resource(json: Json) -> Resource {
    let mut m = Members::of(json);
    let resource = Resource {
        attributes: m.take("attributes", read_attributes),
        dropped_attributes_count: m.take("droppedAttributesCount", read_u32),
        entity_refs: m.take("entityRefs", |json| read_list(json, read_entity)),
    };
    m.end();
    resource
}

fn read_entity(json: Json) -> EntityRef {
    let mut m = Members::of(json);
    let entity = EntityRef {
        schema_url: m.take("schemaUrl", read_string),
        r#type: m.take("type", read_string),
        id_keys: m.take("idKeys", |json| read_list(json, read_string)),
        description_keys: m.take("descriptionKeys", |json| read_list(json, read_string)),
    };
    m.end();
    entity
}

fn read_scope_spans(json: Json) -> ScopeSpans {
    let mut m = Members::of(json);
    let group = ScopeSpans {
        scope: Some(read_scope(m.always("scope"))),
        spans: m.take("spans", |json| read_list(json, read_span)),
        schema_url: m.take("schemaUrl", read_string),
    };
    m.end();
    group
}

fn read_scope(json: Json) -> InstrumentationScope {
    let mut m = Members::of(json);
    let scope = InstrumentationScope {
        name: m.take("name", read_string),
        version: m.take("version", read_string),
        attributes: m.take("attributes", read_attributes),
        dropped_attributes_count: m.take("droppedAttributesCount", read_u32),
    };
    m.end();
    scope
}

fn read_span(json: Json) -> Span {
    let mut m = Members::of(json);
    let span = Span {
        trace_id: m.take("traceId", read_bytes),
        span_id: m.take("spanId", read_bytes),
        trace_state: m.take("traceState", read_string),
        parent_span_id: m.take("parentSpanId", read_bytes),
        flags: m.take("flags", read_u32),
        name: m.take("name", read_string),
        kind: m.take("kind", read_kind),
        start_time_unix_nano: m.take("startTimeUnixNano", read_u64),
        end_time_unix_nano: m.take("endTimeUnixNano", read_u64),
        attributes: m.take("attributes", read_attributes),
        dropped_attributes_count: m.take("droppedAttributesCount", read_u32),
        events: m.take("events", |json| read_list(json, read_event)),
        dropped_events_count: m.take("droppedEventsCount", read_u32),
        links: m.take("links", |json| read_list(json, read_link)),
        dropped_links_count: m.take("droppedLinksCount", read_u32),
        status: Some(read_status(m.always("status"))),
    };
    m.end();
    span
}

fn read_status(json: Json) -> Status {
    let mut m = Members::of(json);
    let status = Status { message: m.take("message", read_string), code: m.take("code", read_code) };
    m.end();
    status
}

fn read_event(json: Json) -> Event {
    let mut m = Members::of(json);
    let event = Event {
        time_unix_nano: m.take("timeUnixNano", read_u64),
        name: m.take("name", read_string),
        attributes: m.take("attributes", read_attributes),
        dropped_attributes_count: m.take("droppedAttributesCount", read_u32),
    };
    m.end();
    event
}

fn read_link(json: Json) -> Link {
    let mut m = Members::of(json);
    let link = Link {
        trace_id: m.take("traceId", read_bytes),
        span_id: m.take("spanId", read_bytes),
        trace_state: m.take("traceState", read_string),
        attributes: m.take("attributes", read_attributes),
        dropped_attributes_count: m.take("droppedAttributesCount", read_u32),
        flags: m.take("flags", read_u32),
    };
    m.end();
    link
}

fn any_text() -> impl Strategy<Value = String> {
    // Whatever a string can hold, and more often than by chance what has to be escaped.
    prop_oneof![Just(String::new()), any::<String>(), "[a<>&\"\\\\\u{0}-\u{1f}\u{2028}\u{2029}µ]{0,8}"]
}

fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..17)
}

fn any_value() -> impl Strategy<Value = AnyValue> {
    let finite = any::<f64>().prop_filter("numbers only, the others have texts", |float| float.is_finite());
    let leaf = prop_oneof![
        any_text().prop_map(Value::StringValue),
        any::<bool>().prop_map(Value::BoolValue),
        any::<i64>().prop_map(Value::IntValue),
        finite.prop_map(Value::DoubleValue),
        any_bytes().prop_map(Value::BytesValue),
        any::<i32>().prop_map(Value::StringValueStrindex),
    ];
    let leaf = option::of(leaf).prop_map(|value| AnyValue { value });
    leaf.prop_recursive(4, 12, 4, |inner| {
        let pair = (any_text(), inner.clone()).prop_map(|(key, value)| KeyValue { key, value: Some(value), key_strindex: 0 });
        prop_oneof![
            vec(inner, 0..4).prop_map(|values| Value::ArrayValue(ArrayValue { values })),
            vec(pair, 0..4).prop_map(|values| Value::KvlistValue(KeyValueList { values })),
        ]
        .prop_map(|value| AnyValue { value: Some(value) })
    })
}

fn any_attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    let attribute = (any_text(), any_value(), 0..2i32);
    vec(attribute.prop_map(|(key, value, key_strindex)| KeyValue { key, value: Some(value), key_strindex }), 0..3)
}

/// A count that is often 0.
fn any_count() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), any::<u32>()]
}

fn any_time() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), any::<u64>()]
}

fn any_event() -> impl Strategy<Value = Event> {
    let parts = (any_time(), any_text(), any_attributes(), any_count());
    parts.prop_map(|(time_unix_nano, name, attributes, dropped_attributes_count)| Event {
        time_unix_nano,
        name,
        attributes,
        dropped_attributes_count,
    })
}

fn any_link() -> impl Strategy<Value = Link> {
    let parts = (any_bytes(), any_bytes(), any_text(), any_attributes(), any_count(), any_count());
    parts.prop_map(|(trace_id, span_id, trace_state, attributes, dropped_attributes_count, flags)| Link {
        trace_id,
        span_id,
        trace_state,
        attributes,
        dropped_attributes_count,
        flags,
    })
}

fn any_span() -> impl Strategy<Value = Span> {
    let status = (any_text(), -1..5i32).prop_map(|(message, code)| Status { message, code });
    let ids = (any_bytes(), any_bytes(), any_text(), any_bytes(), any_count());
    let names = (any_text(), -1..8i32, any_time(), any_time(), option::of(status));
    let lists = (any_attributes(), vec(any_event(), 0..3), vec(any_link(), 0..3));
    let dropped = (any_count(), any_count(), any_count());
    (ids, names, lists, dropped).prop_map(|(ids, names, lists, dropped)| Span {
        trace_id: ids.0,
        span_id: ids.1,
        trace_state: ids.2,
        parent_span_id: ids.3,
        flags: ids.4,
        name: names.0,
        kind: names.1,
        start_time_unix_nano: names.2,
        end_time_unix_nano: names.3,
        attributes: lists.0,
        dropped_attributes_count: dropped.0,
        events: lists.1,
        dropped_events_count: dropped.1,
        links: lists.2,
        dropped_links_count: dropped.2,
        status: names.4,
    })
}

fn any_scope_spans() -> impl Strategy<Value = ScopeSpans> {
    let scope = (any_text(), any_text(), any_attributes(), any_count());
    let scope = scope.prop_map(|(name, version, attributes, dropped_attributes_count)| InstrumentationScope {
        name,
        version,
        attributes,
        dropped_attributes_count,
    });
    let parts = (option::of(scope), vec(any_span(), 0..3), any_text());
    parts.prop_map(|(scope, spans, schema_url)| ScopeSpans { scope, spans, schema_url })
}

fn any_batch() -> impl Strategy<Value = ResourceSpans> {
    let texts = || vec(any_text(), 0..2);
    let entity = (any_text(), any_text(), texts(), texts());
    let entity =
        entity.prop_map(|(schema_url, r#type, id_keys, description_keys)| EntityRef { schema_url, r#type, id_keys, description_keys });
    let resource = (any_attributes(), any_count(), vec(entity, 0..2));
    let resource = resource.prop_map(|(attributes, dropped_attributes_count, entity_refs)| Resource {
        attributes,
        dropped_attributes_count,
        entity_refs,
    });
    let parts = (option::of(resource), vec(any_scope_spans(), 0..3), any_text());
    parts.prop_map(|(resource, scope_spans, schema_url)| ResourceSpans { resource, scope_spans, schema_url })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_trace_reads_back_from_its_json(mut batches in vec(any_batch(), 0..3)) {
        let text = trace_v1(&batches);
        prop_assert!(!text.contains(['<', '>', '&', '\u{2028}', '\u{2029}']), "{}", text);
        let read = read_trace(serde_json::from_str(&text).expect("JSON"));
        // What is always written is there after reading.
        fill_in(&mut batches);
        prop_assert_eq!(read, batches);
    }
}
