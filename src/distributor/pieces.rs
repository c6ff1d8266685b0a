//! Which traces a request has spans of, and the request without some of them.
//!
//! Only ids are read; everything that stays is copied as it is. The request has passed validation.

use crate::columns::wire::{Field, Malformed, Reader, put_bytes};
use crate::model::TraceId;
use foldhash::fast::RandomState;
use std::collections::HashMap;

/// Field numbers of `ScopeSpans` in `ResourceSpans`: now, and of old. Where a message has both, the old ones do not count.
const SCOPE_SPANS: u32 = 2;
const LIBRARY_SPANS: u32 = 1000;

/// The spans that a request has of one trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) num_spans: usize,
    /// Of its spans as they were sent, and of the resources and scopes that they came with.
    pub(super) num_bytes: u64,
}

/// The traces of a request, in order of their first span.
pub(super) fn pieces(request: &[u8]) -> Result<Vec<(TraceId, Piece)>, Malformed> {
    let mut found = Found::default();
    each(request, |number, resource_spans| if number == 1 { found.add(resource_spans) } else { Ok(()) })?;
    Ok(found.pieces)
}

#[derive(Default)]
struct Found {
    pieces: Vec<(TraceId, Piece)>,
    places: HashMap<TraceId, usize, RandomState>,
    last: usize,
    /// Places of the traces that the present `ResourceSpans` has.
    here: Vec<usize>,
}

impl Found {
    fn add(&mut self, resource_spans: &[u8]) -> Result<(), Malformed> {
        let holder = holder_of_spans(resource_spans)?;
        let mut beside_spans = resource_spans.len() as u64;
        self.here.clear();
        each(resource_spans, |number, scope_spans| {
            if number != holder {
                return Ok(());
            }
            each(scope_spans, |number, span| {
                if number == 2 {
                    beside_spans -= span.len() as u64;
                    self.count(trace_of(span)?, span.len() as u64);
                }
                Ok(())
            })
        })?;
        self.here.sort_unstable();
        self.here.dedup();
        self.here.iter().for_each(|at| self.pieces[*at].1.num_bytes += beside_spans);
        Ok(())
    }

    fn count(&mut self, trace: TraceId, num_bytes: u64) {
        // Neighbours are mostly of one trace.
        let is_last = self.pieces.get(self.last).is_some_and(|(known, _)| *known == trace);
        if !is_last {
            self.last = *self.places.entry(trace).or_insert_with(|| {
                self.pieces.push((trace, Piece::default()));
                self.pieces.len() - 1
            });
        }
        if self.here.last() != Some(&self.last) {
            self.here.push(self.last);
        }
        let piece = &mut self.pieces[self.last].1;
        piece.num_spans += 1;
        piece.num_bytes += num_bytes;
    }
}

/// The field of a `ResourceSpans` whose spans count.
fn holder_of_spans(resource_spans: &[u8]) -> Result<u32, Malformed> {
    let mut holder = LIBRARY_SPANS;
    each(resource_spans, |number, _| {
        if number == SCOPE_SPANS {
            holder = SCOPE_SPANS;
        }
        Ok(())
    })?;
    Ok(holder)
}

/// Calls `see` with each field of a message that has bytes.
fn each<'b>(message: &'b [u8], mut see: impl FnMut(u32, &'b [u8]) -> Result<(), Malformed>) -> Result<(), Malformed> {
    let mut reader = Reader::new(message);
    while let Some((number, field)) = reader.next_field()? {
        if let Field::Bytes(bytes) = field {
            see(number, bytes)?;
        }
    }
    Ok(())
}

fn trace_of(span: &[u8]) -> Result<TraceId, Malformed> {
    let mut id = TraceId::default();
    let mut reader = Reader::new(span);
    while let Some((number, field)) = reader.next_field()? {
        if let (1, Field::Bytes(bytes)) = (number, field)
            && let Ok(bytes) = <[u8; 16]>::try_from(bytes)
        {
            id = TraceId(bytes);
            // Senders write fields in order, and a second one would have been the same.
            break;
        }
    }
    Ok(id)
}

/// The request with those spans only whose trace is wanted.
pub(super) fn only(request: &[u8], is_wanted: &impl Fn(&TraceId) -> bool) -> Result<Vec<u8>, Malformed> {
    rebuilt(request, |number, field, out| {
        let Field::Bytes(resource_spans) = field else { return Ok(false) };
        if number != 1 {
            return Ok(false);
        }
        let kept = resource_spans_of(resource_spans, is_wanted)?;
        kept.into_iter().for_each(|kept| put_bytes(out, 1, &kept));
        Ok(true)
    })
}

fn resource_spans_of(message: &[u8], is_wanted: &impl Fn(&TraceId) -> bool) -> Result<Option<Vec<u8>>, Malformed> {
    let holder = holder_of_spans(message)?;
    let mut has_any = false;
    let kept = rebuilt(message, |number, field, out| {
        let (Field::Bytes(scope_spans), SCOPE_SPANS | LIBRARY_SPANS) = (field, number) else { return Ok(false) };
        let kept = if number == holder { scope_spans_of(scope_spans, is_wanted)? } else { None };
        has_any |= kept.is_some();
        kept.into_iter().for_each(|kept| put_bytes(out, number, &kept));
        Ok(true)
    })?;
    Ok(has_any.then_some(kept))
}

fn scope_spans_of(message: &[u8], is_wanted: &impl Fn(&TraceId) -> bool) -> Result<Option<Vec<u8>>, Malformed> {
    let mut has_any = false;
    let kept = rebuilt(message, |number, field, _| {
        let (Field::Bytes(span), 2) = (field, number) else { return Ok(false) };
        let is_kept = is_wanted(&trace_of(span)?);
        has_any |= is_kept;
        Ok(!is_kept)
    })?;
    Ok(has_any.then_some(kept))
}

/// A message without the fields that `replace` says yes to; it may write others in their place.
fn rebuilt<'b>(
    message: &'b [u8],
    mut replace: impl FnMut(u32, Field<'b>, &mut Vec<u8>) -> Result<bool, Malformed>,
) -> Result<Vec<u8>, Malformed> {
    let (mut reader, mut start) = (Reader::new(message), 0);
    let mut out = Vec::with_capacity(message.len());
    while let Some((number, field)) = reader.next_field()? {
        let end = message.len() - reader.remaining();
        if !replace(number, field, &mut out)? {
            out.extend_from_slice(&message[start..end]);
        }
        start = end;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::otlp::{ExportTraceServiceRequest, InstrumentationScope, Resource, ResourceSpans, ScopeSpans, Span};
    use proptest::prelude::*;
    use prost::Message;

    fn id(number: u8) -> TraceId {
        TraceId([number; 16])
    }

    /// One entry a resource, in it one a scope, in it the trace of each span.
    fn request(traces: &[Vec<Vec<u8>>]) -> ExportTraceServiceRequest {
        let span = |(at, trace): (usize, &u8)| Span {
            trace_id: id(*trace).0.to_vec(),
            span_id: (at as u64 + 1).to_be_bytes().to_vec(),
            name: "n".repeat(at),
            ..Span::default()
        };
        let scope = |traces: &Vec<u8>| ScopeSpans {
            scope: Some(InstrumentationScope::default()),
            spans: traces.iter().enumerate().map(span).collect(),
            schema_url: "scope".to_owned(),
        };
        let resource = |scopes: &Vec<Vec<u8>>| ResourceSpans {
            resource: Some(Resource::default()),
            scope_spans: scopes.iter().map(scope).collect(),
            schema_url: "resource".to_owned(),
        };
        ExportTraceServiceRequest { resource_spans: traces.iter().map(resource).collect() }
    }

    fn spans(request: &ExportTraceServiceRequest) -> Vec<Span> {
        request.resource_spans.iter().flat_map(|one| &one.scope_spans).flat_map(|one| one.spans.clone()).collect()
    }

    #[test]
    fn old_fields_count_where_there_are_no_new_ones() {
        let scope_spans = request(&[vec![vec![1, 2]]]).resource_spans[0].scope_spans[0].encode_to_vec();
        let mut resource_spans = Vec::new();
        put_bytes(&mut resource_spans, LIBRARY_SPANS, &scope_spans);
        let encoded = |resource_spans: &[u8]| {
            let mut request = Vec::new();
            put_bytes(&mut request, 1, resource_spans);
            request
        };
        assert_eq!(pieces(&encoded(&resource_spans)).expect("well formed").len(), 2);
        let kept = only(&encoded(&resource_spans), &|trace| *trace == id(2)).expect("well formed");
        assert_eq!(pieces(&kept).expect("well formed").iter().map(|(trace, _)| *trace).collect::<Vec<_>>(), [id(2)]);
        // With a new one the old ones were never stored, and must not come back when that goes.
        put_bytes(&mut resource_spans, SCOPE_SPANS, &request(&[vec![vec![3, 4]]]).resource_spans[0].scope_spans[0].encode_to_vec());
        let kept = only(&encoded(&resource_spans), &|trace| *trace != id(3)).expect("well formed");
        assert_eq!(pieces(&kept).expect("well formed").iter().map(|(trace, _)| *trace).collect::<Vec<_>>(), [id(4)]);
        assert!(only(&encoded(&resource_spans), &|trace| *trace == id(1)).expect("well formed").is_empty());
    }

    proptest! {
        #[test]
        fn what_is_kept_and_what_is_not_are_the_whole(traces in proptest::collection::vec(proptest::collection::vec(proptest::collection::vec(1u8..5, 0..6), 0..3), 0..4), unwanted in 1u8..5) {
            let whole = request(&traces);
            let bytes = whole.encode_to_vec();
            let parts = [true, false].map(|is_wanted| only(&bytes, &|trace| (*trace != id(unwanted)) == is_wanted).expect("well formed"));
            let [kept, left_out] = parts.map(|part| ExportTraceServiceRequest::decode(&part[..]).expect("well formed"));
            prop_assert!(spans(&kept).iter().all(|span| span.trace_id != id(unwanted).0));
            prop_assert!(spans(&left_out).iter().all(|span| span.trace_id == id(unwanted).0));
            prop_assert_eq!(spans(&kept).len() + spans(&left_out).len(), spans(&whole).len());
            prop_assert!(kept.resource_spans.iter().all(|one| one.schema_url == "resource" && one.scope_spans.iter().all(|one| one.schema_url == "scope")));
            for (trace, piece) in pieces(&bytes).expect("well formed") {
                let (mut num_spans, mut num_bytes) = (0, 0);
                for resource_spans in &whole.resource_spans {
                    let all: Vec<&Span> = resource_spans.scope_spans.iter().flat_map(|one| &one.spans).collect();
                    let of_trace: Vec<usize> = all.iter().filter(|span| span.trace_id == trace.0).map(|span| span.encoded_len()).collect();
                    if !of_trace.is_empty() {
                        let of_all: usize = all.iter().map(|span| span.encoded_len()).sum();
                        num_bytes += resource_spans.encoded_len() - of_all + of_trace.iter().sum::<usize>();
                    }
                    num_spans += of_trace.len();
                }
                prop_assert_eq!((piece.num_spans, piece.num_bytes), (num_spans, num_bytes as u64));
            }
        }
    }
}
