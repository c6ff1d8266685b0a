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
    let fits = |rows: usize| {
        budget = budget.checked_sub(rows)?;
        Some(())
    };
    let mut fits = fits;
    by_touch.into_iter().map_while(|(id, (_, rows))| fits(rows).map(|()| id)).collect()
}
