//! What goes into a chunk comes out of it: arbitrary requests, damaged requests, copies.

use super::chunk::{Chunk, NO_ROW, TraceSummary};
use super::validate::{Refusal, validate};
use super::value::{MAX_DEPTH, ValueKind};
use super::wire::Malformed;
use super::{copy, decode, export};
use crate::model::TraceId;
use crate::proto::otlp::{AnyValue, Event, ExportTraceServiceRequest, KeyValue, Link, Resource, ResourceSpans, ScopeSpans, Span, Value};
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message;
use requests::{MARK, Random, Sent, attributes, nested_arrays, request, sent, sorted, told};
use std::collections::BTreeMap;

pub(crate) mod requests;

/// A chunk of these requests; each arrived a millisecond after the one before.
pub(crate) fn chunk_of(requests: &[Sent]) -> Chunk {
    let mut chunk = Chunk::default();
    for (millis, request) in (1..).zip(requests) {
        decode::append(&mut chunk, &request.bytes, millis, None).expect("validated");
    }
    chunk
}

/// All batches of these requests.
pub(crate) fn batches_of(requests: &[Sent]) -> Vec<ResourceSpans> {
    requests.iter().flat_map(|request| request.message.resource_spans.iter().cloned()).collect()
}

fn spans_of(request: &ExportTraceServiceRequest) -> impl Iterator<Item = &Span> {
    request.resource_spans.iter().flat_map(|batch| &batch.scope_spans).flat_map(|group| &group.spans)
}

fn export_all(chunk: &Chunk) -> Vec<ResourceSpans> {
    export::export(chunk, 0..chunk.num_rows() as u32)
}

/// The rule of spec/traceql.md §1.
pub(crate) fn is_root(span: &Span) -> bool {
    let is_child_of = |attribute: &KeyValue| {
        let value = attribute.value.as_ref().and_then(|value| value.value.as_ref());
        attribute.key == "opentracing.ref_type" && value == Some(&Value::StringValue("child_of".to_string()))
    };
    let is_parent = |link: &Link| link.trace_id == span.trace_id && link.attributes.iter().any(is_child_of);
    span.parent_span_id.iter().all(|byte| *byte == 0) && !span.links.iter().any(is_parent)
}

/// What a chunk has to know of a trace.
#[derive(Debug, PartialEq)]
struct Facts {
    start: u64,
    end: u64,
    rows: Vec<u32>,
    root_row: u32,
    touched_millis: u64,
}

fn expected_facts(requests: &[Sent]) -> BTreeMap<TraceId, Facts> {
    let mut facts: BTreeMap<TraceId, Facts> = BTreeMap::new();
    let spans = (1..).zip(requests).flat_map(|(millis, request)| spans_of(&request.message).map(move |span| (millis, span)));
    for (row, (millis, span)) in (0..).zip(spans) {
        let id = TraceId::from_slice(&span.trace_id).expect("16 bytes");
        let trace = facts.entry(id).or_insert(Facts { start: u64::MAX, end: 0, rows: Vec::new(), root_row: NO_ROW, touched_millis: 0 });
        trace.start = trace.start.min(span.start_time_unix_nano);
        trace.end = trace.end.max(span.end_time_unix_nano);
        trace.rows.push(row);
        trace.touched_millis = millis;
        if is_root(span) {
            trace.root_row = row;
        }
    }
    facts
}

fn facts_of(chunk: &Chunk) -> BTreeMap<TraceId, Facts> {
    let of_trace = |(ordinal, summary): (usize, &TraceSummary)| {
        assert_eq!(chunk.traces.find(&summary.id), Some(ordinal as u32));
        let rows: Vec<u32> = chunk.rows_of(ordinal as u32).collect();
        assert_eq!((rows.first(), rows.last()), (Some(&summary.first_row), Some(&summary.last_row)));
        assert_eq!(rows.len(), summary.num_spans as usize);
        assert!(rows.iter().all(|row| chunk.trace[*row as usize] == ordinal as u32));
        let facts =
            Facts { start: summary.start, end: summary.end, rows, root_row: summary.root_row, touched_millis: summary.touched_millis };
        (summary.id, facts)
    };
    chunk.traces.summaries().iter().enumerate().map(of_trace).collect()
}

/// Bytes with a few of them changed, left out or put in.
fn damaged(mut bytes: Vec<u8>, seed: u64) -> Vec<u8> {
    let mut random = Random(seed);
    for _ in 0..1 + random.below(4) {
        if bytes.is_empty() {
            return bytes;
        }
        let at = random.below(bytes.len());
        match random.below(5) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.below(256) as u8,
            2 => drop(bytes.remove(at)),
            3 => bytes.insert(at, random.below(256) as u8),
            _ => bytes.truncate(at),
        }
    }
    bytes
}

/// Whatever the bytes are: if they are taken, they are stored, and as many spans as another decoder sees.
fn check_taken_or_refused(bytes: &[u8]) -> Result<(), TestCaseError> {
    let reference = ExportTraceServiceRequest::decode(bytes);
    let validated = match validate(bytes) {
        Ok(validated) => validated,
        Err(Refusal::Malformed(_)) => return Ok(()),
        Err(refusal) => {
            // Only ids are wrong, so the other decoder must be able to see them, unless it refuses text that is not UTF-8.
            if let Ok(message) = reference {
                let is_illegal = |span: &Span| [&span.trace_id, &span.span_id].iter().any(|id| id.iter().all(|byte| *byte == 0));
                prop_assert!(has_library_spans(bytes) || spans_of(&message).any(is_illegal), "{}", refusal);
            }
            return Ok(());
        }
    };
    let mut chunk = Chunk::default();
    let appended = decode::append(&mut chunk, bytes, 1, None).expect("validated");
    prop_assert_eq!((appended, chunk.num_rows()), (validated.num_spans, validated.num_spans));
    if let (Ok(message), false) = (reference, has_library_spans(bytes)) {
        prop_assert_eq!(spans_of(&message).count(), appended);
    }
    let exported = export_all(&chunk);
    prop_assert_eq!(told(&exported).len(), appended);
    let mut copied = Chunk::default();
    copy::copy_traces(&chunk, &|_| true, &mut copied).expect("stored before");
    prop_assert_eq!(sorted(&export_all(&copied)), sorted(&exported));
    facts_of(&chunk);
    Ok(())
}

/// Whether the bytes may have the field that `opentelemetry-proto` does not know.
fn has_library_spans(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|pair| pair == [0xc2, 0x3e])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_went_in_comes_out(requests in vec(sent(), 1..4)) {
        for request in &requests {
            prop_assert_eq!(validate(&request.bytes).map(|found| found.num_spans), Ok(spans_of(&request.message).count()));
        }
        let chunk = chunk_of(&requests);
        prop_assert_eq!(sorted(&export_all(&chunk)), sorted(&batches_of(&requests)));
        prop_assert_eq!(facts_of(&chunk), expected_facts(&requests));
    }

    #[test]
    fn every_trace_comes_out_alone(requests in vec(sent(), 1..3)) {
        let chunk = chunk_of(&requests);
        for (ordinal, summary) in chunk.traces.summaries().iter().enumerate() {
            let exported = export::export(&chunk, chunk.rows_of(ordinal as u32));
            let mut expected = batches_of(&requests);
            for group in expected.iter_mut().flat_map(|batch| &mut batch.scope_spans) {
                group.spans.retain(|span| span.trace_id == summary.id.0);
            }
            prop_assert_eq!(sorted(&exported), sorted(&expected));
        }
    }

    #[test]
    fn copies_are_equal(requests in vec(sent(), 1..3), before in sent(), seed: u64) {
        let chunk = chunk_of(&requests);
        let mut random = Random(seed);
        let takes: Vec<bool> = chunk.traces.summaries().iter().map(|_| random.below(3) > 0).collect();
        let mut copied = chunk_of(std::slice::from_ref(&before));
        copy::copy_traces(&chunk, &|trace| takes[trace as usize], &mut copied).expect("stored before");

        let is_taken = |span: &Span| {
            let id = TraceId::from_slice(&span.trace_id).expect("16 bytes");
            chunk.traces.find(&id).is_some_and(|trace| takes[trace as usize])
        };
        let mut taken = requests.clone();
        for request in &mut taken {
            let groups = request.message.resource_spans.iter_mut().flat_map(|batch| &mut batch.scope_spans);
            groups.for_each(|group| group.spans.retain(is_taken));
        }
        let mut expected = batches_of(std::slice::from_ref(&before));
        expected.extend(batches_of(&taken));
        prop_assert_eq!(sorted(&export_all(&copied)), sorted(&expected));

        let mut facts = expected_facts(&[&[before][..], &taken].concat());
        // The chunk before counted its milliseconds anew.
        facts.values_mut().for_each(|trace| trace.touched_millis = trace.touched_millis.saturating_sub(1).max(1));
        prop_assert_eq!(facts_of(&copied), facts);
    }

    #[test]
    fn replay_leaves_out_what_it_is_told_to(requests in vec(sent(), 1..3), seed: u64) {
        let pick = |id: &TraceId| (u128::from_be_bytes(id.0) ^ u128::from(seed)).count_ones().is_multiple_of(2);
        let mut chunk = Chunk::default();
        let mut expected = Vec::new();
        for request in &requests {
            let appended = decode::append(&mut chunk, &request.bytes, 1, Some(&pick)).expect("validated");
            let mut taken = request.message.resource_spans.clone();
            let groups = taken.iter_mut().flat_map(|batch| &mut batch.scope_spans);
            groups.for_each(|group| group.spans.retain(|span| TraceId::from_slice(&span.trace_id).is_some_and(|id| pick(&id))));
            prop_assert_eq!(appended, told(&taken).len());
            expected.extend(taken);
        }
        prop_assert_eq!(sorted(&export_all(&chunk)), sorted(&expected));
    }

    #[test]
    fn ids_of_another_length_are_refused(mut message in request(), which in 0usize..5, length in 0usize..20, byte: u8) {
        let id = vec![byte; length];
        let spans = message.resource_spans.iter_mut().flat_map(|batch| &mut batch.scope_spans).flat_map(|group| &mut group.spans);
        let Some(span) = spans.last() else { return Ok(()) };
        let is_zero = id.iter().all(|byte| *byte == 0);
        let legal_length = if which == 0 || which == 3 { length == 16 || length == 0 } else { length == 8 || length == 0 };
        match which {
            0 => span.trace_id = id,
            1 => span.span_id = id,
            2 => span.parent_span_id = id,
            3 => span.links.push(Link { trace_id: id, ..Link::default() }),
            _ => span.links.push(Link { span_id: id, ..Link::default() }),
        }
        let found = validate(&message.encode_to_vec());
        match (legal_length, which) {
            (false, 0 | 3) => prop_assert_eq!(found, Err(Refusal::Malformed(Malformed::TraceIdLength))),
            (false, _) => prop_assert_eq!(found, Err(Refusal::Malformed(Malformed::SpanIdLength))),
            (true, 0) if is_zero => prop_assert_eq!(found, Err(Refusal::TraceId { bits: 0 })),
            (true, 1) if is_zero => prop_assert_eq!(found, Err(Refusal::SpanId { bits: 8 * length })),
            (true, _) => prop_assert_eq!(found.map(|found| found.num_spans), Ok(spans_of(&message).count())),
        }
    }

    #[test]
    fn attributes_keep_their_kinds(attributes in attributes()) {
        let span = Span { attributes, ..a_span(1) };
        let sent = request_of(vec![span.clone()]);
        let chunk = chunk_of(&[sent]);
        for attribute in &span.attributes {
            let Some(AnyValue { value }) = &attribute.value else { continue };
            let kind = match value {
                Some(Value::StringValue(_)) => ValueKind::Str,
                Some(Value::IntValue(_)) => ValueKind::Int,
                Some(Value::DoubleValue(_)) => ValueKind::Double,
                Some(Value::BoolValue(_)) => ValueKind::Bool,
                _ => ValueKind::Any,
            };
            // Of a repeated key the first value of a kind is in the column.
            let first = span.attributes.iter().filter(|other| other.key == attribute.key).find_map(|other| {
                let other = other.value.clone()?;
                (std::mem::discriminant(&column_of(&other)) == std::mem::discriminant(&column_of(&AnyValue { value: value.clone() }))).then_some(other)
            });
            let column = chunk.attributes.column(&attribute.key, kind).expect("the attribute has a column");
            let stored = column.get(0).map(export::any_value).expect("the row has a value");
            prop_assert_eq!(stored.encode_to_vec(), first.expect("itself, if no other").encode_to_vec());
        }
    }
}

/// Something of the same variant for all values that share a column.
fn column_of(value: &AnyValue) -> Value {
    match &value.value {
        Some(Value::StringValue(_)) => Value::StringValue(String::new()),
        Some(Value::IntValue(_)) => Value::IntValue(0),
        Some(Value::DoubleValue(_)) => Value::DoubleValue(0.0),
        Some(Value::BoolValue(_)) => Value::BoolValue(false),
        _ => Value::BytesValue(Vec::new()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn damaged_requests_are_taken_or_refused(sent in sent(), seed: u64) {
        check_taken_or_refused(&damaged(sent.bytes, seed))?;
    }

    #[test]
    fn any_bytes_are_taken_or_refused(bytes in vec(any::<u8>(), 0..60)) {
        check_taken_or_refused(&bytes)?;
    }
}

fn a_span(n: u8) -> Span {
    Span { trace_id: vec![n; 16], span_id: vec![n; 8], name: format!("span {n}"), ..Span::default() }
}

fn request_of(spans: Vec<Span>) -> Sent {
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let message = ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }] };
    Sent { bytes: message.encode_to_vec(), message }
}

fn string_attribute(key: &str, value: &str) -> KeyValue {
    KeyValue { key: key.to_string(), value: Some(AnyValue { value: Some(Value::StringValue(value.to_string())) }), key_strindex: 0 }
}

/// Bytes of a `ResourceSpans` whose list of spans has the deprecated field number.
fn library_spans(list: &ScopeSpans) -> Vec<u8> {
    let mut bytes = Vec::new();
    prost::encoding::message::encode(1000, list, &mut bytes);
    bytes
}

fn request_bytes(resource_spans: &[u8]) -> Vec<u8> {
    let mut bytes = vec![1 << 3 | 2];
    prost::encoding::encode_varint(resource_spans.len() as u64, &mut bytes);
    bytes.extend_from_slice(resource_spans);
    bytes
}

#[test]
fn the_deprecated_list_counts_when_there_is_no_other() {
    let old = ScopeSpans { spans: vec![a_span(1), a_span(2)], schema_url: "old".to_string(), ..ScopeSpans::default() };
    let resource = Resource { attributes: vec![string_attribute("service.name", "s")], ..Resource::default() };
    let expected = ResourceSpans { resource: Some(resource.clone()), scope_spans: vec![old.clone()], ..ResourceSpans::default() };
    let rest = ResourceSpans { resource: Some(resource), ..ResourceSpans::default() }.encode_to_vec();
    // The list comes before and after the resource that it belongs to.
    for bytes in [[rest.clone(), library_spans(&old)].concat(), [library_spans(&old), rest].concat()] {
        let bytes = request_bytes(&bytes);
        assert_eq!(validate(&bytes).map(|found| found.num_spans), Ok(2));
        let mut chunk = Chunk::default();
        assert_eq!(decode::append(&mut chunk, &bytes, 1, None), Ok(2));
        assert_eq!(sorted(&export_all(&chunk)), sorted(std::slice::from_ref(&expected)));
    }
}

#[test]
fn the_deprecated_list_is_left_out_beside_the_new_one() {
    let new = ScopeSpans { spans: vec![a_span(3)], ..ScopeSpans::default() };
    let expected = ResourceSpans { scope_spans: vec![new], ..ResourceSpans::default() };
    // What is left out may have any ids.
    let old = library_spans(&ScopeSpans { spans: vec![a_span(1), Span::default()], ..ScopeSpans::default() });
    for bytes in [[old.clone(), expected.encode_to_vec()].concat(), [expected.encode_to_vec(), old].concat()] {
        let bytes = request_bytes(&bytes);
        assert_eq!(validate(&bytes).map(|found| found.num_spans), Ok(1));
        let mut chunk = Chunk::default();
        assert_eq!(decode::append(&mut chunk, &bytes, 1, None), Ok(1));
        assert_eq!(sorted(&export_all(&chunk)), sorted(std::slice::from_ref(&expected)));
    }
    let malformed = request_bytes(&[library_spans(&ScopeSpans::default()), expected.encode_to_vec(), vec![0xc2, 0x3e, 1, 0x12]].concat());
    assert_eq!(validate(&malformed), Err(Refusal::Malformed(Malformed::Truncated)));
}

#[test]
fn the_first_illegal_id_is_named_unless_bytes_are_malformed() {
    let no_trace = Span { trace_id: Vec::new(), ..a_span(1) };
    let no_span = Span { span_id: vec![0; 8], ..a_span(2) };
    let bytes = request_of(vec![a_span(3), no_span.clone(), no_trace.clone()]).bytes;
    assert_eq!(validate(&bytes), Err(Refusal::SpanId { bits: 64 }));
    assert_eq!(
        validate(&bytes).map_err(|refusal| refusal.to_string()),
        Err("span ids must be 64 bit and not all zero, received 64 bits".into())
    );
    let bytes = request_of(vec![no_trace, no_span]).bytes;
    assert_eq!(validate(&bytes).map_err(|refusal| refusal.to_string()), Err("trace ids must be 128 bit, received 0 bits".into()));
    let cut = [&bytes[..], &[0x0a]].concat();
    assert_eq!(validate(&cut), Err(Refusal::Malformed(Malformed::Truncated)));
}

#[test]
fn of_a_repeated_id_the_last_counts() {
    // An empty trace id and then a real one, and the same for the span's own id and its parent's.
    let span = Span { parent_span_id: vec![9; 8], ..a_span(1) };
    let span_bytes = [&b"\x0a\x00\x12\x00\x22\x00"[..], &span.encode_to_vec()].concat();
    let mut list = vec![2 << 3 | 2, span_bytes.len() as u8];
    list.extend(span_bytes);
    let bytes = request_bytes(&[vec![2 << 3 | 2, list.len() as u8], list].concat());
    assert_eq!(validate(&bytes).map(|found| found.num_spans), Ok(1));
    let mut chunk = Chunk::default();
    assert_eq!(decode::append(&mut chunk, &bytes, 1, Some(&|id| *id == TraceId([1; 16]))), Ok(1));
    assert_eq!(told(&export_all(&chunk)), told(&request_of(vec![span]).message.resource_spans));
}

/// As the answer to a query for a trace.
#[derive(Clone, PartialEq, Message)]
struct Answer {
    #[prost(message, optional, tag = "1")]
    trace: Option<ExportTraceServiceRequest>,
}

#[test]
fn values_are_kept_to_the_greatest_depth() {
    let with = |depth: usize| {
        let value = Some(nested_arrays(depth));
        let attribute = || KeyValue { key: "deep".to_string(), value: value.clone(), key_strindex: 0 };
        // In a column, as a repeated key, and in a resource.
        let mut sent = request_of(vec![Span { attributes: vec![attribute(), attribute()], ..a_span(1) }]);
        sent.message.resource_spans[0].resource = Some(Resource { attributes: vec![attribute()], ..Resource::default() });
        sent.bytes = sent.message.encode_to_vec();
        sent
    };
    let deepest = with(MAX_DEPTH - 1);
    assert_eq!(validate(&deepest.bytes).map(|found| found.num_spans), Ok(1));
    let exported = export_all(&chunk_of(std::slice::from_ref(&deepest)));
    assert_eq!(told(&exported), told(&deepest.message.resource_spans));
    // A client must be able to read it where it lies deepest: in an event, in a trace, in an answer.
    let event = Event { attributes: exported[0].scope_spans[0].spans[0].attributes.clone(), ..Event::default() };
    let trace = request_of(vec![Span { events: vec![event], ..a_span(1) }]).message;
    let answer = Answer { trace: Some(trace) };
    assert_eq!(Answer::decode(&answer.encode_to_vec()[..]), Ok(answer));
    assert_eq!(validate(&with(MAX_DEPTH).bytes), Err(Refusal::Malformed(Malformed::Depth)));
}

#[test]
fn text_that_is_not_utf8_is_mended_everywhere() {
    let nested = AnyValue {
        value: Some(Value::ArrayValue(crate::proto::otlp::ArrayValue {
            values: vec![AnyValue { value: Some(Value::StringValue(format!("x{MARK}y"))) }, AnyValue { value: Some(Value::IntValue(7)) }],
        })),
    };
    let attribute = KeyValue { key: "list".to_string(), value: Some(nested), key_strindex: 0 };
    let bytes = request_of(vec![Span { attributes: vec![attribute], ..a_span(1) }]).bytes;
    let mut mark = [0; 4];
    MARK.encode_utf8(&mut mark);
    let at = bytes.windows(4).position(|four| four == mark).expect("the mark is in the request");
    let spoilt = [&bytes[..at], &b"\xff\xc3\xb6\xfe"[..], &bytes[at + 4..]].concat();
    assert_eq!(validate(&spoilt).map(|found| found.num_spans), Ok(1));
    let mut chunk = Chunk::default();
    decode::append(&mut chunk, &spoilt, 1, None).expect("validated");
    let exported = export_all(&chunk);
    let attributes = &exported[0].scope_spans[0].spans[0].attributes;
    let Some(Value::ArrayValue(array)) = attributes[0].value.clone().and_then(|value| value.value) else { panic!("{attributes:?}") };
    assert_eq!(array.values[0].value, Some(Value::StringValue("x\u{fffd}ö\u{fffd}y".to_string())));
    assert_eq!(array.values[1].value, Some(Value::IntValue(7)));
}

#[test]
fn resources_that_differ_in_anything_stay_apart() {
    let mut messages = Vec::new();
    for (service, url) in [("a", ""), ("a", "u"), ("", "u"), ("b", "u")] {
        let attributes = vec![string_attribute("service.name", service)];
        let resource = Some(Resource { attributes, ..Resource::default() });
        let scope_spans = vec![ScopeSpans { spans: vec![a_span(1)], schema_url: url.to_string(), ..ScopeSpans::default() }];
        messages.push(ResourceSpans { resource, scope_spans, schema_url: url.to_string() });
    }
    let message = ExportTraceServiceRequest { resource_spans: [messages.clone(), messages.clone()].concat() };
    let chunk = chunk_of(&[Sent { bytes: message.encode_to_vec(), message: message.clone() }]);
    assert_eq!((chunk.resources.len(), chunk.scopes.len()), (4, 2));
    assert_eq!(chunk.resources.entries().iter().map(|entry| entry.service_name()).collect::<Vec<_>>(), ["a", "a", "", "b"]);
    assert_eq!(sorted(&export_all(&chunk)), sorted(&message.resource_spans));
}

#[test]
fn a_copy_is_touched_when_the_later_of_both_was() {
    let (mut old, mut new) = (Chunk::default(), Chunk::default());
    decode::append(&mut old, &request_of(vec![a_span(1)]).bytes, 10, None).expect("well formed");
    decode::append(&mut new, &request_of(vec![a_span(1)]).bytes, 20, None).expect("well formed");
    copy::copy_traces(&old, &|_| true, &mut new).expect("stored before");
    assert_eq!(new.traces.summaries()[0].touched_millis, 20);
    assert_eq!(new.traces.summaries()[0].num_spans, 2);
}
