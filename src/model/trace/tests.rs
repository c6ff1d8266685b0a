use super::*;
use crate::proto::otlp::{AnyValue, Event, InstrumentationScope, KeyValue, Link, Resource, Value};
use proptest::prelude::*;

const CLIENT: i32 = SpanKind::Client as i32;
const SERVER: i32 = SpanKind::Server as i32;
const INTERNAL: i32 = SpanKind::Internal as i32;

fn span(id: u64, parent: u64, kind: i32, start: u64) -> Span {
    Span {
        trace_id: vec![7; 16],
        span_id: id.to_be_bytes().to_vec(),
        parent_span_id: if parent == 0 { Vec::new() } else { parent.to_be_bytes().to_vec() },
        kind,
        start_time_unix_nano: start,
        end_time_unix_nano: start + 1,
        ..Default::default()
    }
}

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(Value::StringValue(value.to_string())) };
    KeyValue { key: key.to_string(), value: Some(value), ..Default::default() }
}

fn batch(service: &str, scopes: Vec<Vec<Span>>) -> ResourceSpans {
    let scope_spans = scopes.into_iter().enumerate().map(|(n, spans)| ScopeSpans {
        scope: Some(InstrumentationScope { name: format!("scope {n}"), ..Default::default() }),
        spans,
        ..Default::default()
    });
    let resource = Resource { attributes: vec![attribute("service.name", service)], ..Default::default() };
    ResourceSpans { resource: Some(resource), scope_spans: scope_spans.collect(), ..Default::default() }
}

/// The ids of the spans, one list per scope of each batch.
fn shape(batches: &[ResourceSpans]) -> Vec<Vec<u64>> {
    let scopes = batches.iter().flat_map(|batch| &batch.scope_spans);
    scopes.map(|scope| scope.spans.iter().map(|span| number(&span.span_id)).collect()).collect()
}

fn number(id: &[u8]) -> u64 {
    id.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Id, parent and kind of every span, by id.
fn family(batches: &[ResourceSpans]) -> Vec<(u64, u64, i32)> {
    let mut all: Vec<_> = spans(batches).map(|span| (number(&span.span_id), number(&span.parent_span_id), span.kind)).collect();
    all.sort_unstable();
    all
}

#[test]
fn a_span_is_taken_once_and_the_first_copy_wins() {
    let mut copy = span(1, 0, SERVER, 10);
    copy.name = "second copy".to_string();
    let pieces = vec![
        vec![batch("a", vec![vec![span(1, 0, SERVER, 10), span(2, 1, CLIENT, 11)]])],
        vec![batch("a", vec![vec![copy, span(3, 1, INTERNAL, 12)], vec![span(2, 1, CLIENT, 11)]])],
        vec![batch("b", vec![vec![span(2, 1, CLIENT, 11)]])],
    ];
    let trace = combine(pieces);
    assert_eq!(shape(&trace), [vec![1, 2], vec![3]], "the second scope and batch b have nothing new and vanish");
    assert!(spans(&trace).all(|span| span.name.is_empty()));
}

#[test]
fn same_id_with_another_kind_is_another_span() {
    let mut combiner = Combiner::default();
    combiner.add(vec![batch("a", vec![vec![span(1, 0, CLIENT, 1), span(1, 0, SERVER, 2), span(1, 0, INTERNAL, 3)]])]);
    assert_eq!(shape(&combiner.finish()), [[1, 1, 1]]);
}

#[test]
fn one_piece_keeps_its_order_and_several_are_sorted() {
    let piece = || vec![batch("a", vec![vec![span(2, 0, SERVER, 30)], vec![span(5, 2, INTERNAL, 20), span(4, 2, INTERNAL, 20)]])];
    assert_eq!(shape(&combine([piece()])), [vec![2], vec![5, 4]]);
    assert_eq!(shape(&combine([piece(), Vec::new()])), [vec![2], vec![5, 4]], "an empty piece is none");
    assert_eq!(shape(&combine([piece(), piece()])), [vec![4, 5], vec![2]]);
    let earlier = vec![batch("b", vec![vec![span(9, 0, CLIENT, 10)]])];
    let trace = combine([piece(), earlier]);
    assert_eq!(shape(&trace), [vec![9], vec![4, 5], vec![2]]);
}

#[test]
fn events_and_links_are_sorted_and_attributes_are_not() {
    let event = |time, name: &str| Event { time_unix_nano: time, name: name.to_string(), ..Default::default() };
    let link = |trace: u8, id: u8| Link { trace_id: vec![trace; 16], span_id: vec![id; 8], ..Default::default() };
    let mut full = span(1, 0, SERVER, 10);
    full.events = vec![event(3, "a"), event(2, "b"), event(2, "a")];
    full.links = vec![link(2, 1), link(1, 2), link(1, 1)];
    full.attributes = vec![attribute("z", "1"), attribute("a", "2")];
    let trace = combine([vec![batch("a", vec![vec![full.clone()]])], vec![batch("a", vec![vec![span(2, 1, CLIENT, 11)]])]]);
    let sorted = &trace[0].scope_spans[0].spans[0];
    assert_eq!(sorted.events, [event(2, "a"), event(2, "b"), event(3, "a")]);
    assert_eq!(sorted.links, [link(1, 1), link(1, 2), link(2, 1)]);
    assert_eq!(sorted.attributes, full.attributes);
}

#[test]
fn the_server_of_a_shared_id_gets_a_new_one() {
    // 10 is reported by client and server; the server's children 11 and 12 hang on the shared id. 1 is taken.
    let spans = vec![span(1, 0, INTERNAL, 1), span(10, 1, CLIENT, 2), span(10, 1, SERVER, 3), span(11, 10, INTERNAL, 4)];
    let trace = combine([vec![batch("a", vec![spans]), batch("b", vec![vec![span(12, 10, CLIENT, 5)]])]]);
    assert_eq!(family(&trace), [(1, 0, INTERNAL), (2, 10, SERVER), (10, 1, CLIENT), (11, 2, INTERNAL), (12, 2, CLIENT)]);
}

#[test]
fn a_chain_of_shared_ids() {
    // As Traefik sends it: 20 and 30 are both shared, and 30 was called by the server of 20.
    let spans =
        vec![span(20, 0, CLIENT, 1), span(20, 0, SERVER, 2), span(30, 20, CLIENT, 3), span(30, 20, SERVER, 4), span(40, 30, INTERNAL, 5)];
    let trace = combine([vec![batch("a", vec![spans])]]);
    let expected = [(1, 20, SERVER), (2, 30, SERVER), (20, 0, CLIENT), (30, 1, CLIENT), (40, 2, INTERNAL)];
    assert_eq!(family(&trace), expected);
}

#[test]
fn other_duplicates_and_spans_without_id_keep_what_they_have() {
    let mut nameless = [span(0, 0, CLIENT, 1), span(0, 0, SERVER, 2)];
    nameless[0].span_id.clear();
    nameless[1].span_id.clear();
    let spans = [nameless.to_vec(), vec![span(5, 0, SERVER, 3), span(5, 0, INTERNAL, 4), span(6, 5, CLIENT, 5)]].concat();
    let trace = vec![batch("a", vec![spans])];
    let mut rewritten = trace.clone();
    rewrite_shared_ids(&mut rewritten);
    assert_eq!(rewritten, trace);
}

#[test]
fn cutting_keeps_whole_spans_from_the_start() {
    let mut trace = vec![
        batch("a", vec![vec![span(1, 0, SERVER, 1), span(2, 1, CLIENT, 2)], vec![span(3, 1, CLIENT, 3)]]),
        batch("b", vec![vec![span(4, 3, SERVER, 4)]]),
    ];
    let whole = trace.clone();
    assert!(!truncate(&mut trace, encoded_bytes(&whole)));
    assert_eq!(trace, whole);
    assert!(truncate(&mut trace, encoded_bytes(&whole) - 1));
    assert_eq!(shape(&trace), [vec![1, 2], vec![3]]);
    assert!(truncate(&mut trace, encoded_bytes(&whole[..1]) - 1));
    assert_eq!(shape(&trace), [[1, 2]]);
    assert!(truncate(&mut trace, 0));
    assert!(trace.is_empty());
}

#[test]
fn what_follows_the_cut_goes_even_if_it_is_small() {
    let mut large = span(2, 1, CLIENT, 2);
    large.name = "x".repeat(1000);
    let mut trace = vec![batch("a", vec![vec![span(1, 0, SERVER, 1), large, span(3, 1, CLIENT, 3)], vec![span(4, 1, CLIENT, 4)]])];
    assert!(truncate(&mut trace, 500));
    assert_eq!(shape(&trace), [[1]]);
}

fn any_batch() -> impl Strategy<Value = ResourceSpans> {
    let span = (1..40u64, 0..40u64, 0..6i32, 0..5u64).prop_map(|(id, parent, kind, start)| span(id, parent, kind, start));
    proptest::collection::vec(proptest::collection::vec(span, 0..6), 0..4).prop_map(|scopes| batch("svc", scopes))
}

fn any_piece() -> impl Strategy<Value = Vec<ResourceSpans>> {
    proptest::collection::vec(any_batch(), 0..4)
}

proptest! {
    #[test]
    fn combining_takes_every_id_and_kind_once(pieces in proptest::collection::vec(any_piece(), 0..4)) {
        let mut expected: Vec<_> = pieces.iter().flat_map(|piece| spans(piece)).map(|s| (key_bytes(s), s.kind)).collect();
        expected.sort_unstable();
        expected.dedup();
        let mut combiner = Combiner::default();
        pieces.iter().for_each(|piece| combiner.add(piece.clone()));
        let trace = combiner.finish();
        let mut taken: Vec<_> = spans(&trace).map(|s| (key_bytes(s), s.kind)).collect();
        taken.sort_unstable();
        prop_assert_eq!(taken, expected);
        prop_assert!(trace.iter().all(|b| !b.scope_spans.is_empty() && b.scope_spans.iter().all(|s| !s.spans.is_empty())));
    }

    #[test]
    fn no_client_and_server_share_an_id_afterwards(pieces in proptest::collection::vec(any_piece(), 1..4)) {
        let trace = combine(pieces);
        let ids = |kind: i32| -> HashSet<Vec<u8>> { spans(&trace).filter(|s| s.kind == kind).map(key_bytes).collect() };
        prop_assert!(ids(CLIENT).is_disjoint(&ids(SERVER)));
    }

    #[test]
    fn a_cut_trace_is_a_beginning_that_fits(trace in any_piece(), max_bytes in 0..3000usize) {
        let mut cut = trace.clone();
        let was_cut = truncate(&mut cut, max_bytes);
        prop_assert!(encoded_bytes(&cut) <= max_bytes);
        prop_assert_eq!(was_cut, encoded_bytes(&trace) > max_bytes);
        let all: Vec<_> = spans(&trace).collect();
        let kept: Vec<_> = spans(&cut).collect();
        prop_assert_eq!(&all[..kept.len()], &kept[..]);
    }
}

fn key_bytes(span: &Span) -> Vec<u8> {
    span.span_id.clone()
}
