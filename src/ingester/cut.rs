//! Which traces leave the head.
//!
//! A trace should be whole in one block. So a cut takes traces that have been idle for a while and leaves running ones for
//! the next, up to a share of the head, and not for ever. A forced cut takes everything.

use super::head::Sealed;
use crate::model::TraceId;
use std::collections::{HashMap, HashSet};

/// At most one row in this many is left behind.
const MAX_LEFT_SHARE: usize = 8;
/// Rows that were left behind this often are taken in any case.
const MAX_CARRIED: u32 = 5;

/// Traces that stay in the head: those touched last, within `idle_millis` of `now_millis`.
pub fn traces_left(sealed: &[Sealed], now_millis: u64, idle_millis: u64) -> HashSet<TraceId> {
    let mut running: HashMap<TraceId, (u64, usize)> = HashMap::new();
    let mut worn = HashSet::new();
    let mut num_rows = 0;
    for part in sealed {
        num_rows += part.chunk.num_rows();
        for summary in part.chunk.traces.summaries() {
            if part.carried >= MAX_CARRIED {
                worn.insert(summary.id);
            }
            let (touched, rows) = running.entry(summary.id).or_default();
            *touched = summary.touched_millis.max(*touched);
            *rows += summary.num_spans as usize;
        }
    }
    let is_running = |id: &TraceId, touched: u64| touched + idle_millis > now_millis && !worn.contains(id);
    let mut by_touch: Vec<_> = running.into_iter().filter(|(id, (touched, _))| is_running(id, *touched)).collect();
    by_touch.sort_unstable_by_key(|(id, (touched, _))| (std::cmp::Reverse(*touched), *id));
    let mut budget = num_rows / MAX_LEFT_SHARE;
    let mut fits = |rows: usize| match budget.checked_sub(rows) {
        Some(rest) => {
            budget = rest;
            true
        }
        None => false,
    };
    by_touch.into_iter().filter(|(_, (_, rows))| fits(*rows)).map(|(id, _)| id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::Chunk;
    use crate::columns::chunk::SpanFields;

    /// A sealed chunk with (trace, spans, touched) traces.
    fn sealed(traces: &[(u8, usize, u64)], carried: u32) -> Sealed {
        let mut chunk = Chunk::default();
        let resource = chunk.resources.intern(b"", b"").expect("an empty message is well formed");
        let scope = chunk.scopes.intern(b"", b"").expect("an empty message is well formed");
        for &(trace, num_spans, touched) in traces {
            for span in 0..num_spans as u64 {
                let span = SpanFields { trace_id: TraceId([trace; 16]), span_id: span + 1, resource, scope, ..SpanFields::default() };
                chunk.push_span(&span, touched);
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
    fn a_trace_is_as_fresh_as_its_last_span_anywhere() {
        let parts = [sealed(&[(1, 2, 1_000), (2, 90, 1_000)], 0), sealed(&[(1, 2, 9_000)], 0)];
        assert_eq!(left(&parts), [1]);
    }

    #[test]
    fn the_share_that_stays_is_bounded_and_the_freshest_stay() {
        // One row in eight may stay: 5 of 41. A trace that does not fit does not keep a smaller one out.
        assert_eq!(left(&[sealed(&[(1, 30, 9_900), (2, 4, 9_500), (3, 6, 9_400), (4, 1, 9_300)], 0)]), [2, 4]);
    }

    #[test]
    fn nothing_stays_for_ever() {
        assert!(left(&[sealed(&[(1, 1, 9_000), (2, 90, 1_000)], MAX_CARRIED)]).is_empty());
    }
}
