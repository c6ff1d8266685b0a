//! Which traces leave the head.
//!
//! A trace should be whole in one block. So a cut takes traces that have been idle for a while and leaves running ones for
//! the next, up to a share of the head, and not for ever. A forced cut takes everything.
//!
//! How long "a while" is, the head itself tells: where all spans of a trace come in one request, none need stay, and what stays
//! is copied (4 % of the time of an ingest in which an eighth stays each time).

use super::head::Sealed;
use crate::columns::chunk::TraceSummary;
use crate::model::TraceId;
use foldhash::fast::FixedState;
use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;

/// At most one row in this many is left behind.
const MAX_LEFT_SHARE: usize = 8;
/// Rows that were left behind this often are taken in any case.
const MAX_CARRIED: u32 = 5;
/// Of this many traces one is looked at to learn how long traces take to arrive, if there are many.
const SAMPLED: u64 = 16;
/// A head with fewer traces is looked at whole.
const FEW_TRACES: usize = 4096;

/// Traces that stay in the head: those touched last, within `idle_millis` of `now_millis` or what the head says is enough.
pub fn traces_left(sealed: &[Sealed], now_millis: u64, idle_millis: u64) -> HashSet<TraceId> {
    let idle_millis = idle_millis.min(arrival_millis(sealed).saturating_mul(2));
    let is_recent = |summary: &TraceSummary| summary.touched_millis.saturating_add(idle_millis) > now_millis;
    let mut running: HashMap<TraceId, (u64, usize)> =
        summaries(sealed).filter(|summary| is_recent(summary)).map(|summary| (summary.id, (0, 0))).collect();
    for summary in summaries(sealed) {
        if let Some((touched, rows)) = running.get_mut(&summary.id) {
            *touched = summary.touched_millis.max(*touched);
            *rows += summary.num_spans as usize;
        }
    }
    let worn = sealed.iter().filter(|part| part.carried >= MAX_CARRIED).flat_map(|part| part.chunk.traces.summaries());
    worn.for_each(|summary| {
        running.remove(&summary.id);
    });
    let mut by_touch: Vec<_> = running.into_iter().collect();
    by_touch.sort_unstable_by_key(|(id, (touched, _))| (std::cmp::Reverse(*touched), *id));
    let mut budget = sealed.iter().map(|part| part.chunk.num_rows()).sum::<usize>() / MAX_LEFT_SHARE;
    let mut fits = |rows: usize| match budget.checked_sub(rows) {
        Some(rest) => {
            budget = rest;
            true
        }
        None => false,
    };
    by_touch.into_iter().filter(|(_, (_, rows))| fits(*rows)).map(|(id, _)| id).collect()
}

fn summaries(sealed: &[Sealed]) -> impl Iterator<Item = &TraceSummary> {
    sealed.iter().flat_map(|part| part.chunk.traces.summaries())
}

/// Milliseconds from the first to the last span, as they came: so many that 99 traces of a hundred take no longer.
fn arrival_millis(sealed: &[Sealed]) -> u64 {
    let sampled = if summaries(sealed).count() > FEW_TRACES { SAMPLED } else { 1 };
    let hash = FixedState::with_seed(0);
    let mut arrivals: HashMap<TraceId, (u64, u64)> = HashMap::new();
    for summary in summaries(sealed).filter(|summary| hash.hash_one(summary.id.0) % sampled == 0) {
        let (first, last) = arrivals.entry(summary.id).or_insert((u64::MAX, 0));
        *first = summary.arrived_millis.min(*first);
        *last = summary.touched_millis.max(*last);
    }
    let mut millis: Vec<u64> = arrivals.into_values().map(|(first, last)| last.saturating_sub(first)).collect();
    let rank = millis.len() * 99 / 100;
    if millis.is_empty() { 0 } else { *millis.select_nth_unstable(rank).1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::Chunk;
    use crate::columns::chunk::SpanFields;

    /// A sealed chunk with (trace, spans, touched) traces, whose first span came three seconds before the others.
    fn sealed(traces: &[(u8, usize, u64)], carried: u32) -> Sealed {
        let mut chunk = Chunk::default();
        let resource = chunk.resources.intern(b"", b"").expect("an empty message is well formed");
        let scope = chunk.scopes.intern(b"", b"").expect("an empty message is well formed");
        for &(trace, num_spans, touched) in traces {
            for span in 0..num_spans as u64 {
                let span = SpanFields { trace_id: TraceId([trace; 16]), span_id: span + 1, resource, scope, ..SpanFields::default() };
                chunk.push_span(&span, if span.span_id < num_spans as u64 { touched - 3_000 } else { touched });
            }
        }
        Sealed::new(chunk, Vec::new(), 0, carried)
    }

    fn left(sealed: &[Sealed]) -> Vec<u8> {
        let mut ids: Vec<u8> = traces_left(sealed, 10_000, 5_000).into_iter().map(|id| id.0[0]).collect();
        ids.sort_unstable();
        ids
    }

    #[test]
    fn running_traces_stay_and_idle_ones_go() {
        assert_eq!(left(&[sealed(&[(1, 90, 4_000), (2, 5, 9_000)], 0)]), [2]);
    }

    #[test]
    fn a_trace_that_came_at_once_goes() {
        assert!(left(&[sealed(&[(1, 1, 9_000), (2, 1, 9_900), (3, 1, 9_999)], 0)]).is_empty());
    }

    #[test]
    fn a_trace_is_as_fresh_as_its_last_span_anywhere() {
        let parts = [sealed(&[(1, 2, 4_000), (2, 90, 4_000)], 0), sealed(&[(1, 2, 9_000)], 0)];
        assert_eq!(left(&parts), [1]);
    }

    #[test]
    fn the_share_that_stays_is_bounded_and_the_freshest_stay() {
        // One row in eight may stay: 5 of 41. A trace that does not fit does not keep a smaller one out.
        assert_eq!(left(&[sealed(&[(1, 30, 9_900), (2, 4, 9_500), (3, 6, 9_400), (4, 1, 9_300)], 0)]), [2, 4]);
    }

    #[test]
    fn nothing_stays_for_ever() {
        assert!(left(&[sealed(&[(1, 1, 9_000), (2, 90, 4_000)], MAX_CARRIED)]).is_empty());
    }
}
