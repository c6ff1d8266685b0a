//! Limits on single traces and on their number (`max_bytes_per_trace`, `max_traces_per_user`; spec/ingest.md §9.4).
//!
//! Both are off unless the operator sets them. Where one is set, a table has the traces of the tenant that got spans lately, and
//! how many bytes of spans each has. A trace is live until nothing has come for it for a while; its size is remembered longer,
//! so that one which comes in pieces does not begin anew with each. Nothing of this survives a restart.

use super::DiscardReason;
use super::pieces::Piece;
use crate::model::{TenantId, TraceId};
use crate::overrides::Limits;
use foldhash::fast::RandomState;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Traces of a tenant whose size is remembered though they are not live any more: about 40 MB.
const MAX_RESTING: usize = 500_000;

/// Tenants that are watched; beyond, the one that was silent longest is forgotten.
const MAX_TENANTS: usize = 1000;

/// Spans of one trace that are not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) trace: TraceId,
    pub(super) piece: Piece,
    pub(super) reason: DiscardReason,
}

/// The traces of all tenants that have such limits.
pub(super) struct TraceLimits {
    live_for: Duration,
    remembered_for: Duration,
    start: Instant,
    tenants: Mutex<HashMap<TenantId, Arc<Mutex<Table>>>>,
}

impl TraceLimits {
    /// A trace is live for so long after its last span, and its size is remembered for so long after that.
    pub(super) fn new(live_for: Duration, remembered_for: Duration) -> Self {
        TraceLimits { live_for, remembered_for, start: Instant::now(), tenants: Mutex::default() }
    }

    /// Whether there is anything to look at.
    pub(super) fn concern(limits: &Limits) -> bool {
        limits.max_ingested_bytes_per_trace.is_some() || limits.max_live_traces.is_some()
    }

    /// Counts the pieces of a request that fit, and returns those that do not.
    pub(super) fn take(&self, tenant: &TenantId, limits: &Limits, pieces: &[(TraceId, Piece)], now: Instant) -> Vec<Refused> {
        let table = self.table(tenant);
        let mut table = table.lock();
        let now_millis = self.millis(now);
        table.expire(now_millis, millis_of(self.live_for), millis_of(self.remembered_for));
        let refuse = |(trace, piece): &(TraceId, Piece)| {
            let reason = table.take(*trace, piece.num_bytes, limits, now_millis)?;
            Some(Refused { trace: *trace, piece: *piece, reason })
        };
        pieces.iter().filter_map(refuse).collect()
    }

    /// What was taken was not stored after all.
    pub(super) fn give_back(&self, tenant: &TenantId, pieces: &[(TraceId, Piece)]) {
        let table = self.table(tenant);
        let mut table = table.lock();
        for (trace, piece) in pieces {
            if let Some(known) = table.traces.get_mut(trace) {
                known.num_bytes = known.num_bytes.saturating_sub(piece.num_bytes);
            }
        }
    }

    fn table(&self, tenant: &TenantId) -> Arc<Mutex<Table>> {
        let mut tenants = self.tenants.lock();
        if let Some(table) = tenants.get(tenant) {
            return Arc::clone(table);
        }
        if tenants.len() >= MAX_TENANTS {
            let silent = tenants.iter().min_by_key(|(_, table)| table.lock().used_millis).map(|(tenant, _)| tenant.clone());
            silent.and_then(|tenant| tenants.remove(&tenant));
        }
        Arc::clone(tenants.entry(tenant.clone()).or_default())
    }

    fn millis(&self, now: Instant) -> u64 {
        millis_of(now.saturating_duration_since(self.start))
    }
}

fn millis_of(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

struct Trace {
    num_bytes: u64,
    seen_millis: u64,
    is_live: bool,
}

/// The traces of one tenant.
#[derive(Default)]
struct Table {
    traces: HashMap<TraceId, Trace, RandomState>,
    num_live: usize,
    /// Live traces, each once, with when they were seen then.
    live: VecDeque<(TraceId, u64)>,
    /// The others, those that rest longest first.
    resting: VecDeque<(TraceId, u64)>,
    used_millis: u64,
}

impl Table {
    /// Counts a piece, or says why it does not fit.
    fn take(&mut self, trace: TraceId, num_bytes: u64, limits: &Limits, now_millis: u64) -> Option<DiscardReason> {
        self.used_millis = now_millis;
        let known = self.traces.get_mut(&trace);
        let (before, is_live) = known.as_ref().map_or((0, false), |known| (known.num_bytes, known.is_live));
        if !is_live && limits.max_live_traces.is_some_and(|max| self.num_live as u64 >= max) {
            return Some(DiscardReason::LiveTracesExceeded);
        }
        if limits.max_ingested_bytes_per_trace.is_some_and(|max| before.saturating_add(num_bytes) > max) {
            return Some(DiscardReason::TraceTooLarge);
        }
        if !is_live {
            self.num_live += 1;
            self.live.push_back((trace, now_millis));
        }
        let counted = Trace { num_bytes: before.saturating_add(num_bytes), seen_millis: now_millis, is_live: true };
        match known {
            Some(known) => *known = counted,
            None => drop(self.traces.insert(trace, counted)),
        }
        None
    }

    /// Ends the life of traces that nothing came for, and forgets those for which nothing has come for longer.
    fn expire(&mut self, now_millis: u64, live_for: u64, remembered_for: u64) {
        while let Some((trace, _)) = self.live.pop_front_if(|(_, seen)| seen.saturating_add(live_for) <= now_millis) {
            let Some(known) = self.traces.get_mut(&trace) else { continue };
            if known.seen_millis.saturating_add(live_for) > now_millis {
                self.live.push_back((trace, known.seen_millis));
                continue;
            }
            known.is_live = false;
            self.num_live -= 1;
            self.resting.push_back((trace, known.seen_millis));
        }
        let is_over = |resting: &VecDeque<(TraceId, u64)>| {
            let is_old = |(_, seen): &(TraceId, u64)| seen.saturating_add(live_for).saturating_add(remembered_for) <= now_millis;
            resting.len() > MAX_RESTING || resting.front().is_some_and(is_old)
        };
        while is_over(&self.resting) {
            let Some((trace, seen)) = self.resting.pop_front() else { return };
            // One that came back meanwhile is live, or rests once more further behind.
            if self.traces.get(&trace).is_some_and(|known| !known.is_live && known.seen_millis == seen) {
                self.traces.remove(&trace);
            }
        }
    }
}

/// What a sender is told, in the words that tools look for (spec/ingest.md §9.4).
pub(super) fn message(tenant: &TenantId, limits: &Limits, refused: &[Refused]) -> String {
    let Some(first) = refused.first() else { return String::new() };
    let text = match first.reason {
        DiscardReason::TraceTooLarge => format!(
            "TRACE_TOO_LARGE max size of trace ({}) exceeded while adding {} bytes to trace {} for tenant {tenant}",
            limits.max_ingested_bytes_per_trace.unwrap_or_default(),
            first.piece.num_bytes,
            first.trace
        ),
        _ => format!(
            "LIVE_TRACES_EXCEEDED max live traces exceeded for tenant {tenant}: per-user traces limit (local: {}) exceeded",
            limits.max_live_traces.unwrap_or_default()
        ),
    };
    match refused.len() {
        1 => text,
        num => format!("{text}; {} more traces were refused", num - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIVE: Duration = Duration::from_secs(5);

    struct Asked {
        limits: TraceLimits,
        tenant: TenantId,
        start: Instant,
        max: Limits,
    }

    fn asked(max_bytes: Option<u64>, max_live: Option<u64>) -> Asked {
        let max = Limits { max_ingested_bytes_per_trace: max_bytes, max_live_traces: max_live, ..Limits::default() };
        let limits = TraceLimits::new(LIVE, Duration::from_secs(60));
        Asked { start: limits.start, limits, tenant: TenantId::single(), max }
    }

    impl Asked {
        /// Why each of these pieces, of trace and bytes, is refused.
        fn at(&self, second: u64, pieces: &[(u8, u64)]) -> Vec<(u8, DiscardReason)> {
            let piece = |(trace, num_bytes): &(u8, u64)| (TraceId([*trace; 16]), Piece { num_spans: 1, num_bytes: *num_bytes });
            let pieces: Vec<_> = pieces.iter().map(piece).collect();
            let refused = self.limits.take(&self.tenant, &self.max, &pieces, self.start + Duration::from_secs(second));
            refused.iter().map(|one| (one.trace.0[0], one.reason)).collect()
        }
    }

    #[test]
    fn a_trace_grows_up_to_its_limit_and_may_begin_anew_when_it_is_forgotten() {
        let asked = asked(Some(100), None);
        assert_eq!(asked.at(0, &[(1, 60), (2, 101), (3, 100)]), [(2, DiscardReason::TraceTooLarge)]);
        assert_eq!(asked.at(1, &[(1, 41), (2, 100)]), [(1, DiscardReason::TraceTooLarge)]);
        assert_eq!(asked.at(30, &[(1, 40)]), [], "it is not live any more, and its size is known");
        assert_eq!(asked.at(31, &[(1, 1)]), [(1, DiscardReason::TraceTooLarge)]);
        assert_eq!(asked.at(30 + 5 + 60, &[(1, 100), (2, 100)]), []);
    }

    #[test]
    fn what_was_not_stored_is_given_back() {
        let asked = asked(Some(100), None);
        let piece = (TraceId([1; 16]), Piece { num_spans: 1, num_bytes: 80 });
        assert_eq!(asked.at(0, &[(1, 80)]), []);
        asked.limits.give_back(&asked.tenant, &[piece]);
        assert_eq!(asked.at(0, &[(1, 80)]), []);
    }

    #[test]
    fn new_traces_wait_until_others_are_idle() {
        let asked = asked(None, Some(2));
        assert_eq!(asked.at(0, &[(1, 1), (2, 1), (3, 1)]), [(3, DiscardReason::LiveTracesExceeded)]);
        assert_eq!(asked.at(4, &[(1, 1), (3, 1)]), [(3, DiscardReason::LiveTracesExceeded)]);
        assert_eq!(asked.at(5, &[(3, 1)]), [], "the second one is idle");
        assert_eq!(asked.at(6, &[(2, 1), (1, 1), (3, 1)]), [(2, DiscardReason::LiveTracesExceeded)]);
        assert_eq!(asked.at(20, &[(4, 1), (5, 1)]), []);
    }

    #[test]
    fn nothing_is_kept_for_ever() {
        let asked = asked(Some(1), None);
        for second in 0..300 {
            asked.at(second, &[((second % 200) as u8 + 1, 1)]);
        }
        let table = asked.limits.table(&asked.tenant);
        let table = table.lock();
        assert!(table.traces.len() <= 66 && table.live.len() <= 6 && table.resting.len() <= 66, "{}", table.traces.len());
        assert_eq!(table.num_live, table.live.len());
    }

    #[test]
    fn senders_are_told_in_words_that_tools_know() {
        let limits = Limits { max_ingested_bytes_per_trace: Some(10), max_live_traces: Some(3), ..Limits::default() };
        let one = |reason| Refused { trace: TraceId([1; 16]), piece: Piece { num_spans: 1, num_bytes: 7 }, reason };
        let tenant = TenantId::single();
        assert_eq!(
            message(&tenant, &limits, &[one(DiscardReason::TraceTooLarge); 3]),
            "TRACE_TOO_LARGE max size of trace (10) exceeded while adding 7 bytes to trace 01010101010101010101010101010101 for tenant \
             single-tenant; 2 more traces were refused"
        );
        assert!(message(&tenant, &limits, &[one(DiscardReason::LiveTracesExceeded)]).starts_with("LIVE_TRACES_EXCEEDED max live traces"));
    }
}
