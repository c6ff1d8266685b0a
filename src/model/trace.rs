//! A trace as groups of spans: joining the pieces that lie in different places, measuring it, cutting it.
//!
//! Pieces arrive in any number from live data, blocks and tenants, and overlap: the same span may lie in several.
//! [`Combiner`] takes each span once and never touches what is inside of one. [`rewrite_shared_ids`] changes ids and is
//! therefore the last step before an answer: combining its output with further pieces would take spans twice.

use std::collections::{HashMap, HashSet};

use prost::Message;
use prost::encoding::encoded_len_varint;

use crate::proto::otlp::{ResourceSpans, ScopeSpans, Span, SpanKind};

#[cfg(test)]
mod tests;

/// Joins all pieces and gives shared ids away, as readers of a whole trace expect it (spec/query-api.md §3.4).
pub fn combine(pieces: impl IntoIterator<Item = Vec<ResourceSpans>>) -> Vec<ResourceSpans> {
    let mut combiner = Combiner::default();
    for piece in pieces {
        combiner.add(piece);
    }
    let mut trace = combiner.finish();
    rewrite_shared_ids(&mut trace);
    trace
}

/// Collects the pieces of one trace.
///
/// A span is taken if none with its id and kind was taken before; groups without spans vanish; groups of different
/// pieces are not merged, even if their resources are equal.
#[derive(Debug, Default)]
pub struct Combiner {
    batches: Vec<ResourceSpans>,
    taken: HashSet<(SpanKey, i32)>,
    /// Pieces that were not empty; from two on, the order of arrival says nothing and the result is sorted.
    num_pieces: usize,
}

impl Combiner {
    /// Takes the spans of `piece` that are new.
    pub fn add(&mut self, mut piece: Vec<ResourceSpans>) {
        self.num_pieces += usize::from(!piece.is_empty());
        let taken = &mut self.taken;
        retain_spans(&mut piece, |span| taken.insert((key(span), span.kind)));
        self.batches.append(&mut piece);
    }

    /// True if no span was taken so far.
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// The trace so far, in the order of arrival.
    pub fn batches(&self) -> &[ResourceSpans] {
        &self.batches
    }

    /// The whole trace, sorted if it came in several pieces. Shared ids are still shared.
    pub fn finish(mut self) -> Vec<ResourceSpans> {
        if self.num_pieces > 1 {
            sort(&mut self.batches);
        }
        self.batches
    }
}

/// A span id as a key; valid ids have 8 bytes and need no memory of their own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum SpanKey {
    Usual([u8; 8]),
    Odd(Vec<u8>),
}

impl SpanKey {
    fn of(id: &[u8]) -> Self {
        id.try_into().map_or_else(|_| SpanKey::Odd(id.to_vec()), SpanKey::Usual)
    }

    /// No bytes or only zero bytes name no span.
    fn is_none(&self) -> bool {
        match self {
            SpanKey::Usual(id) => id.iter().all(|byte| *byte == 0),
            SpanKey::Odd(id) => id.iter().all(|byte| *byte == 0),
        }
    }
}

/// Keeps the spans that `keep` says, in their order, and the groups that still have one.
pub fn retain_spans(batches: &mut Vec<ResourceSpans>, mut keep: impl FnMut(&Span) -> bool) {
    batches.retain_mut(|batch| {
        batch.scope_spans.retain_mut(|scope| {
            scope.spans.retain(&mut keep);
            !scope.spans.is_empty()
        });
        !batch.scope_spans.is_empty()
    });
}

/// Puts spans in the order of start and id, events of time and name, links of trace and span, and groups in the order
/// of their first spans. What is equal stays in its order, and so do attributes.
pub fn sort(batches: &mut [ResourceSpans]) {
    for batch in batches.iter_mut() {
        for scope in &mut batch.scope_spans {
            scope.spans.iter_mut().for_each(sort_span);
            scope.spans.sort_by(|a, b| start_and_id(a).cmp(&start_and_id(b)));
        }
        batch.scope_spans.sort_by(|a, b| first_of_scope(a).cmp(&first_of_scope(b)));
    }
    batches.sort_by(|a, b| first_of_batch(a).cmp(&first_of_batch(b)));
}

fn sort_span(span: &mut Span) {
    span.events.sort_by(|a, b| (a.time_unix_nano, &a.name).cmp(&(b.time_unix_nano, &b.name)));
    span.links.sort_by(|a, b| (&a.trace_id, &a.span_id).cmp(&(&b.trace_id, &b.span_id)));
}

fn start_and_id(span: &Span) -> (u64, &[u8]) {
    (span.start_time_unix_nano, &span.span_id)
}

fn first_of_scope(scope: &ScopeSpans) -> Option<(u64, &[u8])> {
    scope.spans.first().map(start_and_id)
}

fn first_of_batch(batch: &ResourceSpans) -> Option<(u64, &[u8])> {
    batch.scope_spans.first().and_then(first_of_scope)
}

/// Tells apart the client and the server that report one call under one id, as Zipkin clients do
/// (spec/ingest.md §4.4 "Shared spans", spec/query-api.md §3.4).
///
/// The server span gets a new id, the smallest number from 1 on that no span has; its parent becomes the shared id;
/// every other span below the shared id moves below the new one. Spans without an id are left alone. Stored spans keep
/// their ids: this is for answers only.
pub fn rewrite_shared_ids(batches: &mut [ResourceSpans]) {
    let new_ids = new_server_ids(batches);
    if new_ids.is_empty() {
        return;
    }
    for span in spans_mut(batches) {
        let own = new_ids.get(&SpanKey::of(&span.span_id)).filter(|_| is(span, SpanKind::Server));
        if let Some(new_id) = own {
            span.parent_span_id = std::mem::replace(&mut span.span_id, new_id.to_vec());
        } else if let Some(new_parent) = new_ids.get(&SpanKey::of(&span.parent_span_id)) {
            span.parent_span_id = new_parent.to_vec();
        }
    }
}

/// The new id of the server span for each id that a client and a server span share.
fn new_server_ids(batches: &[ResourceSpans]) -> HashMap<SpanKey, [u8; 8]> {
    let client_ids: HashSet<SpanKey> = spans(batches).filter(|span| is(span, SpanKind::Client)).map(key).collect();
    let shared: Vec<SpanKey> =
        spans(batches).filter(|span| is(span, SpanKind::Server)).map(key).filter(|id| !id.is_none() && client_ids.contains(id)).collect();
    if shared.is_empty() {
        return HashMap::new();
    }
    let used: HashSet<SpanKey> = spans(batches).map(key).collect();
    let mut unused = (1..=u64::MAX).map(u64::to_be_bytes).filter(|id| !used.contains(&SpanKey::Usual(*id)));
    let mut new_ids = HashMap::new();
    for id in shared {
        new_ids.entry(id).or_insert_with(|| unused.next());
    }
    new_ids.into_iter().filter_map(|(id, new_id)| Some((id, new_id?))).collect()
}

fn key(span: &Span) -> SpanKey {
    SpanKey::of(&span.span_id)
}

fn is(span: &Span, kind: SpanKind) -> bool {
    span.kind == kind as i32
}

/// All spans of a trace.
pub fn spans(batches: &[ResourceSpans]) -> impl Iterator<Item = &Span> {
    batches.iter().flat_map(|batch| &batch.scope_spans).flat_map(|scope| &scope.spans)
}

fn spans_mut(batches: &mut [ResourceSpans]) -> impl Iterator<Item = &mut Span> {
    batches.iter_mut().flat_map(|batch| &mut batch.scope_spans).flat_map(|scope| &mut scope.spans)
}

/// The size of the trace as one protobuf message; this is what `max_bytes_per_trace` is compared with
/// (spec/query-api.md §3.2).
pub fn encoded_bytes(batches: &[ResourceSpans]) -> usize {
    batches.iter().map(|batch| field_bytes(batch.encoded_len())).sum()
}

/// Cuts a trace that is larger than `max_bytes` as a protobuf message: the first spans that fit stay, whole, with their
/// resources and scopes, and what follows goes. Says whether anything was cut (spec/query-api.md §3.3).
///
/// A limit of 0 leaves nothing; where 0 means "no limit", do not call this.
pub fn truncate(batches: &mut Vec<ResourceSpans>, max_bytes: usize) -> bool {
    if encoded_bytes(batches) <= max_bytes {
        return false;
    }
    let mut room = Room { left: max_bytes, header: group_header_bytes(max_bytes) };
    batches.retain_mut(|batch| {
        let scopes = std::mem::take(&mut batch.scope_spans);
        // Without its scopes, a batch is what they have in common.
        let mut pending = room.header + batch.encoded_len();
        for scope in scopes {
            batch.scope_spans.extend(room.fill(scope, &mut pending));
        }
        !batch.scope_spans.is_empty()
    });
    true
}

/// What [`truncate`] may still keep.
struct Room {
    left: usize,
    /// What a group needs at most for its own tag and length.
    header: usize,
}

impl Room {
    /// The part of `group` that fits. `pending` is what the group around it costs once it has a first span.
    fn fill(&mut self, mut group: ScopeSpans, pending: &mut usize) -> Option<ScopeSpans> {
        let spans = std::mem::take(&mut group.spans);
        let mut cost_before_span = *pending + self.header + group.encoded_len();
        for span in spans {
            let cost = cost_before_span + field_bytes(span.encoded_len());
            let Some(left) = self.left.checked_sub(cost) else {
                // Nothing after the cut is kept, even if it were small enough.
                self.left = 0;
                break;
            };
            self.left = left;
            cost_before_span = 0;
            *pending = 0;
            group.spans.push(span);
        }
        (!group.spans.is_empty()).then_some(group)
    }
}

/// Bytes of a message of `len` bytes as a field with a number below 16: tag, length, content.
fn field_bytes(len: usize) -> usize {
    1 + encoded_len_varint(len as u64) + len
}

/// Bytes of tag and length of a group inside a message of at most `max_bytes`.
fn group_header_bytes(max_bytes: usize) -> usize {
    1 + encoded_len_varint(max_bytes as u64)
}
