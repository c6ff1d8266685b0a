//! Blocks give back what their chunks hold, whole traces and columns, and never panic over damaged files.

use super::arrange::ROW_GROUP_ROWS;
use super::reader::Block;
use super::schema::{self, span};
use super::source::RowGroupSource;
use super::summaries::ServiceCount;
use super::writer::NewBlock;
use crate::columns::tests::chunk_of;
use crate::columns::tests::requests::{Sent, sent, sorted, told};
use crate::columns::view::{ColumnId, SpanSource, Values};
use crate::columns::{Chunk, export};
use crate::model::{TimeRange, TraceId, UnixNanos};
use crate::proto::otlp::{AnyValue, Event, ExportTraceServiceRequest, KeyValue, Link, Resource, ResourceSpans, ScopeSpans, Span, Value};
use columns::{KINDS, check_column, keys};
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message;
use std::collections::{BTreeMap, BTreeSet};
use support::{Expected, chunks_of, expected, open, span_of, write, write_some};

mod catalogue;
mod columns;
mod counts;
mod damage;
mod merge;
mod meta;
mod support;

fn runs() -> impl Strategy<Value = Vec<Vec<Sent>>> {
    vec(vec(sent(), 1..3), 1..4)
}

fn group_rows() -> impl Strategy<Value = usize> {
    prop_oneof![Just(1), Just(4), Just(ROW_GROUP_ROWS)]
}

fn read_all(block: &Block, ordinal: u32) -> Vec<ResourceSpans> {
    let chunk = block.read_trace(ordinal).expect("own files");
    export::export(&chunk, 0..chunk.num_rows() as u32)
}

/// Number of traces, and spans in all of them, identical ones once.
fn sizes(traces: &BTreeMap<TraceId, Expected>) -> (usize, usize) {
    (traces.len(), traces.values().map(|trace| trace.spans.len()).sum())
}

fn check_trace(block: &Block, id: &TraceId, trace: &Expected) -> Result<(), TestCaseError> {
    let ordinal = block.find(id).expect("own files").expect("the block has the trace");
    prop_assert_eq!(block.trace_id(ordinal).expect("own files"), *id);
    prop_assert_eq!(sorted(&read_all(block, ordinal)), Vec::from_iter(trace.spans.iter().cloned()));

    let traces = block.traces().expect("own files");
    let spans: Vec<Span> = trace.spans.iter().map(span_of).collect();
    prop_assert_eq!((traces.start(ordinal), traces.end(ordinal)), (trace.start, trace.end));
    prop_assert_eq!(traces.rows(ordinal).len(), spans.len());
    prop_assert_eq!(traces.events(ordinal).len(), spans.iter().map(|span| span.events.len()).sum::<usize>());
    prop_assert_eq!(traces.links(ordinal).len(), spans.iter().map(|span| span.links.len()).sum::<usize>());
    let root = traces.root_service(ordinal).zip(traces.root_name(ordinal));
    prop_assert_eq!(root, trace.root.as_ref().map(|(service, name)| (service.as_str(), name.as_str())));
    let counts = |(name, count): (&str, ServiceCount)| (name.to_string(), (count.spans, count.errors));
    prop_assert_eq!(traces.service_counts(ordinal).map(counts).collect::<BTreeMap<_, _>>(), trace.services());
    let group = traces.group_of(ordinal);
    prop_assert!(traces.traces_of(group).contains(&ordinal));
    Ok(())
}

/// Row groups and `meta.json` against what has to be in the block.
fn check_meta(written: &NewBlock, block: &Block, traces: &BTreeMap<TraceId, Expected>, group_rows: usize) -> Result<(), TestCaseError> {
    let meta = block.meta();
    prop_assert_eq!((meta.num_traces as usize, meta.num_spans as usize), sizes(traces));
    prop_assert_eq!(written.num_duplicates, traces.values().map(|trace| trace.num_sent - trace.spans.len()).sum::<usize>());
    let range = |traces: &mut dyn Iterator<Item = &Expected>| {
        traces.fold((u64::MAX, 0, 0), |(start, newest, end), trace| (start.min(trace.start), newest.max(trace.start), end.max(trace.end)))
    };
    let (start, _, end) = range(&mut traces.values());
    prop_assert_eq!(meta.range(), TimeRange { start: UnixNanos(start), end: UnixNanos(end) });
    prop_assert_eq!(meta.total_bytes(), written.files.iter().map(|(_, bytes)| bytes.len() as u64).sum::<u64>());
    prop_assert_eq!(BTreeSet::from_iter(&written.trace_ids), BTreeSet::from_iter(traces.keys()));

    let table = block.traces().expect("own files");
    for (group, listed) in block.row_groups().iter().enumerate() {
        let of_group: Vec<&Expected> =
            table.traces_of(group).map(|ordinal| &traces[&block.trace_id(ordinal).expect("own files")]).collect();
        let (start, newest, end) = range(&mut of_group.iter().copied());
        prop_assert_eq!((listed.start_unix_nano, listed.newest_start_unix_nano, listed.end_unix_nano), (start, newest, end));
        let sizes: Vec<usize> = of_group.iter().map(|trace| trace.spans.len()).collect();
        prop_assert_eq!((listed.num_traces as usize, listed.num_spans as usize), (sizes.len(), sizes.iter().sum()));
        let spans = || of_group.iter().flat_map(|trace| &trace.spans).map(span_of);
        prop_assert_eq!(listed.num_events as usize, spans().map(|span| span.events.len()).sum::<usize>());
        prop_assert_eq!(listed.num_links as usize, spans().map(|span| span.links.len()).sum::<usize>());
        // A row group ends as soon as it is large enough.
        let is_last = group + 1 == block.row_groups().len();
        prop_assert!(is_last || sizes.iter().sum::<usize>() >= group_rows);
        prop_assert!(sizes[..sizes.len() - 1].iter().sum::<usize>() < group_rows);
    }
    Ok(())
}

/// A span as its place in the tree is told.
struct Row {
    id: u64,
    parent_id: u64,
    kind: i32,
    offset: usize,
    subtree: usize,
}

fn numbers(source: &RowGroupSource<'_>, id: ColumnId<'_>) -> Vec<u64> {
    match source.column(id).expect("own files").expect("every row has a value").values {
        Values::U64(values) => values.into_owned(),
        Values::U32(values) => values.iter().map(|value| u64::from(*value)).collect(),
        Values::Enum(values) => values.iter().map(|value| *value as u32 as u64).collect(),
        _ => panic!("no column of numbers"),
    }
}

fn rows_of_group(block: &Block, group: usize) -> Vec<Row> {
    let source = RowGroupSource::open(block, group).expect("own files");
    let stored = |leaf: &str| {
        let decoded = block.data().expect("own files").decode_required(block.files(), group, leaf).expect("own files");
        decoded.values.into_u32().expect("32-bit integers")
    };
    let (offsets, subtrees) = (stored(span::PARENT_OFFSET), stored(span::SUBTREE));
    let (ids, parents) = (numbers(&source, ColumnId::SpanId), numbers(&source, ColumnId::ParentId));
    let kinds = numbers(&source, ColumnId::Kind);
    let row = |at: usize| Row {
        id: ids[at],
        parent_id: parents[at],
        kind: kinds[at] as u32 as i32,
        offset: offsets[at] as usize,
        subtree: subtrees[at] as usize,
    };
    (0..ids.len()).map(row).collect()
}

/// The rows that may be the parent of a row, by spec/traceql.md §8.1.
fn parents_of(rows: &[Row], at: usize) -> Vec<usize> {
    let same_id: Vec<usize> = (0..rows.len()).filter(|other| rows[at].parent_id != 0 && rows[*other].id == rows[at].parent_id).collect();
    let wanted = if rows[at].kind == 2 { 3 } else { 2 };
    match same_id.len() {
        1 => same_id.into_iter().filter(|other| *other != at).collect(),
        2 => same_id.into_iter().filter(|other| *other != at && rows[*other].kind == wanted).collect(),
        _ => Vec::new(),
    }
}

/// Whether the ancestors of a row may never end; where two spans may be the parent, either may be taken.
fn is_above_or_in_a_cycle(rows: &[Row], at: usize) -> bool {
    let mut current = BTreeSet::from([at]);
    for _ in 0..=rows.len() {
        current = current.into_iter().flat_map(|row| parents_of(rows, row)).collect();
    }
    !current.is_empty()
}

fn check_structure(rows: &[Row]) -> Result<(), TestCaseError> {
    let parent = |at: usize| (rows[at].offset > 0).then(|| at - rows[at].offset);
    let ancestors = |at: usize| std::iter::successors(parent(at), move |at| parent(*at));
    for (at, row) in rows.iter().enumerate() {
        let allowed = parents_of(rows, at);
        match parent(at) {
            Some(parent) => prop_assert!(allowed.contains(&parent)),
            None => prop_assert!(allowed.is_empty() || is_above_or_in_a_cycle(rows, at)),
        }
        let below: Vec<usize> = (0..rows.len()).filter(|other| ancestors(*other).any(|ancestor| ancestor == at)).collect();
        prop_assert_eq!(below, Vec::from_iter(at + 1..at + row.subtree));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_block_gives_back_its_traces(runs in runs(), group_rows in group_rows(), other: [u8; 16]) {
        let chunks = chunks_of(&runs);
        let traces = expected(&runs);
        let Some(written) = write(&chunks, group_rows) else {
            prop_assert!(traces.is_empty());
            return Ok(());
        };
        let block = open(&written);
        check_meta(&written, &block, &traces, group_rows)?;
        for (id, trace) in &traces {
            check_trace(&block, id, trace)?;
        }
        prop_assert_eq!(block.find(&TraceId(other)).expect("own files").is_some(), traces.contains_key(&TraceId(other)));
    }

    #[test]
    fn a_block_takes_the_traces_it_is_told_to(runs in runs(), seed: u64) {
        let chunks = chunks_of(&runs);
        let takes = |id: &TraceId| (u128::from_be_bytes(id.0) ^ u128::from(seed)).count_ones().is_multiple_of(2);
        let mut traces = expected(&runs);
        traces.retain(|id, _| takes(id));
        let Some(written) = write_some(&chunks.iter().collect::<Vec<_>>(), 4, &takes) else {
            prop_assert!(traces.is_empty());
            return Ok(());
        };
        let block = open(&written);
        check_meta(&written, &block, &traces, 4)?;
        for (id, trace) in &traces {
            check_trace(&block, id, trace)?;
        }
    }

    #[test]
    fn traces_and_spans_are_in_order(runs in runs(), group_rows in group_rows()) {
        let traces = expected(&runs);
        let Some(written) = write(&chunks_of(&runs), group_rows) else { return Ok(()) };
        let block = open(&written);
        let key = |id: &TraceId| {
            let trace = &traces[id];
            (trace.start / 60_000_000_000, trace.key().clone(), trace.start)
        };
        prop_assert!(written.trace_ids.is_sorted_by_key(key));
        let table = block.traces().expect("own files");
        for group in 0..block.row_groups().len() {
            let rows = rows_of_group(&block, group);
            for ordinal in table.traces_of(group) {
                prop_assert_eq!(block.trace_id(ordinal).expect("own files"), written.trace_ids[ordinal as usize]);
                let range = table.rows(ordinal);
                let first = table.first_row_of(group);
                check_structure(&rows[(range.start - first) as usize..(range.end - first) as usize])?;
            }
        }
    }

    #[test]
    fn a_block_of_a_block_is_the_same(runs in runs()) {
        let Some(written) = write(&chunks_of(&runs), 4) else { return Ok(()) };
        let block = open(&written);
        let mut again: Vec<Chunk> = Vec::new();
        for ordinal in 0..block.meta().num_traces as u32 {
            again.push(block.read_trace(ordinal).expect("own files"));
        }
        let rewritten = write(&again, ROW_GROUP_ROWS).expect("it had spans");
        prop_assert_eq!(rewritten.num_duplicates, 0);
        let reopened = open(&rewritten);
        for (id, trace) in &expected(&runs) {
            let ordinal = reopened.find(id).expect("own files").expect("the block has the trace");
            prop_assert_eq!(sorted(&read_all(&reopened, ordinal)), Vec::from_iter(trace.spans.iter().cloned()));
        }
    }
}

fn attribute(key: String, value: Value) -> KeyValue {
    KeyValue { key, value: Some(AnyValue { value: Some(value) }), key_strindex: 0 }
}

fn request_of(spans: Vec<Span>) -> Sent {
    let resource =
        Resource { attributes: vec![attribute("service.name".to_string(), Value::StringValue("shop".to_string()))], ..Resource::default() };
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let batch = ResourceSpans { resource: Some(resource), scope_spans, ..ResourceSpans::default() };
    let message = ExportTraceServiceRequest { resource_spans: vec![batch] };
    Sent { bytes: message.encode_to_vec(), message }
}

fn nth_span(trace: u64, n: u64) -> Span {
    Span {
        trace_id: u128::from(trace + 1).to_be_bytes().to_vec(),
        span_id: (trace << 32 | (n + 1)).to_be_bytes().to_vec(),
        parent_span_id: if n == 0 { Vec::new() } else { (trace << 32 | (n / 3 + 1)).to_be_bytes().to_vec() },
        name: format!("step {}", n % 7),
        start_time_unix_nano: 1_700_000_000_000_000_000 + trace * 1_000_000 + n,
        end_time_unix_nano: 1_700_000_000_000_000_500 + trace * 1_000_000 + n,
        ..Span::default()
    }
}

#[test]
fn more_keys_than_columns() {
    let spans = (0..900u64).map(|n| {
        let mut span = nth_span(n / 9, n % 9);
        // Every span has the first key, and three of 400 others, whose kinds vary; the last of them twice.
        span.attributes.push(attribute("common".to_string(), Value::IntValue(n as i64 % 5)));
        for key in [n % 400, (n * 7) % 400, (n * 7) % 400] {
            let value = match key % 5 {
                0 => Value::IntValue(n as i64),
                1 => Value::DoubleValue(n as f64),
                2 => Value::BoolValue(n % 2 == 0),
                3 => Value::BytesValue(n.to_be_bytes().to_vec()),
                _ => Value::StringValue(format!("value {}", n % 3)),
            };
            span.attributes.push(attribute(format!("key {key}"), value));
        }
        span.events.push(Event { attributes: span.attributes.clone(), name: "copied".to_string(), ..Event::default() });
        span
    });
    let runs = vec![vec![request_of(spans.collect())]];
    let chunks = chunks_of(&runs);
    assert_eq!(chunks[0].attributes.columns().len(), 401);
    let written = write(&chunks, 200).expect("there are spans");
    let block = open(&written);
    assert_eq!(block.row_groups().len(), 5);
    let columns: Vec<&str> = block.data().expect("own files").attributes().iter().map(|entry| entry.key.as_str()).collect();
    assert_eq!(columns, ["common"]);
    let listed: BTreeSet<String> =
        serde_json::from_str(block.data().expect("own files").metadata_entry(schema::RESIDUAL_KEYS_METADATA).expect("there are some"))
            .expect("JSON");
    let repeated: BTreeSet<String> = (0..900).map(|n| format!("key {}", (n * 7) % 400)).collect();
    assert_eq!(listed, repeated, "only what is repeated should be residual");
    let rare = block.rare_of(block.data().expect("own files")).expect("own files").expect("there are some").rare_list();
    assert_eq!(rare.entries.iter().map(|entry| &entry.key).collect::<BTreeSet<_>>().len(), 400);
    for (id, trace) in &expected(&runs) {
        check_trace(&block, id, trace).expect("as it was sent");
    }
    for key in keys(&chunks) {
        for kind in KINDS {
            check_column(&chunks, &block, ColumnId::Attribute { key: &key, kind }).expect("as in the chunk");
        }
    }
}

#[test]
fn traces_larger_than_pages_and_row_groups() {
    let spans = |trace: u64, count: u64| {
        let spans = (0..count).map(move |n| {
            let mut span = nth_span(trace, n);
            span.attributes.push(attribute("n".to_string(), Value::IntValue(n as i64)));
            span.attributes.push(attribute("unique".to_string(), Value::StringValue(format!("{trace} {n}"))));
            if n % 3 == 0 {
                span.attributes.push(attribute("some".to_string(), Value::DoubleValue(n as f64)));
                span.events.push(Event { time_unix_nano: n, name: "event".to_string(), ..Event::default() });
            }
            if n % 1000 == 7 {
                span.trace_state = format!("state {n}");
                span.links.push(Link { trace_id: vec![7; 16], span_id: vec![8; 8], ..Link::default() });
            }
            span
        });
        request_of(spans.collect())
    };
    // The large trace lies between small ones, and its spans in two chunks.
    let runs = vec![vec![spans(0, 5), spans(2, 9000)], vec![spans(1, 20_000), spans(3, 4)], vec![spans(1, 20_000)]];
    let traces = expected(&runs);
    let written = write(&chunks_of(&runs), 10_000).expect("there are spans");
    assert_eq!(written.num_duplicates, 20_000);
    let block = open(&written);
    assert_eq!(block.row_groups().iter().map(|group| group.num_spans).collect::<Vec<_>>(), [20_005, 9004]);
    check_meta(&written, &block, &traces, 10_000).expect("as it was sent");
    for (id, trace) in &traces {
        check_trace(&block, id, trace).expect("as it was sent");
    }
}

#[test]
fn spans_that_differ_in_a_bit_are_both_kept() {
    let with = |double: f64| Span { attributes: vec![attribute("d".to_string(), Value::DoubleValue(double))], ..nth_span(0, 0) };
    let spans = vec![with(0.0), with(-0.0), with(f64::NAN), with(f64::NAN), with(0.0)];
    let runs = vec![vec![request_of(spans)]];
    let written = write(&chunks_of(&runs), ROW_GROUP_ROWS).expect("there are spans");
    assert_eq!((written.meta.num_spans, written.num_duplicates), (3, 2));
    let traces = expected(&runs);
    let (id, trace) = traces.first_key_value().expect("one trace");
    check_trace(&open(&written), id, trace).expect("as it was sent");
}

#[test]
fn one_id_for_all_spans_of_a_large_trace() {
    // A broken sender: comparing every pair of spans, or of span and parent, would take hours.
    let spans = (0..60_000u64).map(|n| Span {
        span_id: vec![1; 8],
        parent_span_id: vec![1; 8],
        start_time_unix_nano: 5,
        name: n.to_string(),
        ..nth_span(0, 1)
    });
    let written = write(&[chunk_of(&[request_of(spans.collect())])], ROW_GROUP_ROWS).expect("there are spans");
    assert_eq!((written.meta.num_spans, written.num_duplicates), (60_000, 0));
}

#[test]
fn resources_with_mended_text_stay_readable() {
    // Both schema URLs read the same once they are text.
    let resource = [1 << 3 | 2, 0];
    let span = nth_span(0, 0).encode_to_vec();
    let list = [&[2 << 3 | 2, span.len() as u8][..], &span].concat();
    let batch = |url: &[u8]| [&resource[..], &[2 << 3 | 2, list.len() as u8], &list, &[3 << 3 | 2, url.len() as u8], url].concat();
    let bytes = [&b"u\xff"[..], "u\u{fffd}".as_bytes()].map(|url| {
        let batch = batch(url);
        [&[1 << 3 | 2, batch.len() as u8][..], &batch].concat()
    });
    let mut chunk = Chunk::default();
    crate::columns::decode::append(&mut chunk, &bytes.concat(), 1, None).expect("well formed");
    assert_eq!(chunk.resources.len(), 1);
    let block = open(&write(&[chunk], ROW_GROUP_ROWS).expect("there are spans"));
    assert_eq!(told(&read_all(&block, 0))[0].1, "u\u{fffd}");
}

#[test]
fn the_kind_that_fills_most_rows_has_the_plain_leaf() {
    let status = |n: u64| match n {
        3 => Value::StringValue("200".to_string()),
        n => Value::IntValue(n as i64),
    };
    let spans = (0..5).map(|n| Span { attributes: vec![attribute("http.status_code".to_string(), status(n))], ..nth_span(0, n) });
    let block = open(&write(&[chunk_of(&[request_of(spans.collect())])], ROW_GROUP_ROWS).expect("there are spans"));
    let entries = block.data().expect("own files").attributes().iter().map(|entry| (entry.leaf.as_str(), entry.kind.as_str()));
    assert_eq!(entries.collect::<Vec<_>>(), [("span.http.status_code", "int"), ("span.http.status_code:string", "string")]);
}
