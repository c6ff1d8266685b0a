//! What a query may cost, in time and memory, and whether anybody still waits for it.
//!
//! Parts of a query say what they hold when they are done with a unit of work, not for each row ([`Charge`]). What all parts of a
//! query hold is bounded by the query's own limit, and is taken from the memory of the process in steps; these are given back when
//! the last who holds the [`Allowance`] is done, which is after the answer has been written.

use super::QueryError;
use super::progress::Progress;
use crate::runtime::memory::{Exhausted, Memory, Reservation, Use};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Memory is taken from that of the process in pieces of at least so many bytes.
const STEP_BYTES: u64 = 4 << 20;

/// Of the memory of the process, one part in so many is never denied to queries: under overload there are readers, too.
const SHARE_OF_QUERIES: u64 = 4;

/// A bound of time, and the key that sets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeLimit {
    /// How long.
    pub timeout: Duration,
    /// The key in the configuration, for the message about it.
    pub key: &'static str,
}

/// Handed to everything that works for one query; asked now and then. The default one has no end.
#[derive(Clone, Debug, Default)]
pub struct Budget {
    deadline: Option<(Instant, TimeLimit)>,
    is_abandoned: Arc<AtomicBool>,
    /// What it may hold.
    pub allowance: Allowance,
    /// Where the query tells how far it has come.
    pub progress: Progress,
}

impl Budget {
    /// A query that begins now and may take this long; zero means no bound.
    pub fn starting_now(limit: TimeLimit) -> Self {
        let deadline = Some(limit.timeout).filter(|timeout| !timeout.is_zero()).and_then(|timeout| Instant::now().checked_add(timeout));
        Budget { deadline: deadline.map(|end| (end, limit)), ..Budget::default() }
    }

    /// Marks the query as abandoned when the guard is dropped.
    pub fn abandoned_on_drop(&self) -> AbandonedOnDrop {
        AbandonedOnDrop(Arc::clone(&self.is_abandoned))
    }

    /// An error if the time is over or nobody waits for the answer.
    pub fn check(&self) -> Result<(), QueryError> {
        if self.is_abandoned.load(Relaxed) {
            return Err(QueryError::Abandoned);
        }
        match self.deadline {
            Some((end, limit)) if Instant::now() >= end => Err(QueryError::TimedOut(limit)),
            _ => Ok(()),
        }
    }

    /// For a part of the query that will say what it holds.
    pub fn charge(&self) -> Charge {
        Charge { allowance: self.allowance.clone(), bytes: 0 }
    }
}

/// See [`Budget::abandoned_on_drop`].
pub struct AbandonedOnDrop(Arc<AtomicBool>);

impl Drop for AbandonedOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// The memory of one query, shared by its clones. The default one has no bound.
#[derive(Clone, Debug, Default)]
pub struct Allowance(Option<Arc<Held>>);

#[derive(Debug)]
struct Held {
    max_bytes: u64,
    bytes: AtomicU64,
    /// What the process has given.
    granted: Mutex<Granted>,
}

#[derive(Debug)]
struct Granted {
    memory: Memory,
    bytes: u64,
    pieces: Vec<Reservation>,
}

impl Allowance {
    /// At most `max_bytes`, as far as `memory` has them.
    pub fn of(memory: Memory, max_bytes: u64) -> Self {
        let granted = Mutex::new(Granted { memory, bytes: 0, pieces: Vec::new() });
        Allowance(Some(Arc::new(Held { max_bytes, bytes: AtomicU64::new(0), granted })))
    }

    /// Most bytes that it may hold; `u64::MAX` without a bound.
    pub fn max_bytes(&self) -> u64 {
        self.0.as_ref().map_or(u64::MAX, |held| held.max_bytes)
    }

    /// Counts `more` bytes that take the place of `less`.
    fn replace(&self, less: u64, more: u64) -> Result<(), QueryError> {
        let Some(held) = &self.0 else { return Ok(()) };
        let bytes = held.bytes.fetch_add(more, Relaxed).wrapping_add(more).wrapping_sub(less);
        held.bytes.fetch_sub(less, Relaxed);
        if more <= less {
            return Ok(());
        }
        if bytes > held.max_bytes {
            return Err(QueryError::TooLarge { max_bytes: held.max_bytes });
        }
        held.granted.lock().cover(bytes).map_err(QueryError::NoMemory)
    }
}

impl Granted {
    fn cover(&mut self, bytes: u64) -> Result<(), Exhausted> {
        if bytes > self.bytes {
            let step = (bytes - self.bytes).max(STEP_BYTES);
            self.pieces.push(take(&self.memory, step)?);
            self.bytes += step;
        }
        Ok(())
    }
}

/// Memory for queries, if there is room at once.
///
/// # Errors
/// [`Exhausted`] if there is none, neither in the share of queries nor in what all share.
pub fn take(memory: &Memory, bytes: u64) -> Result<Reservation, Exhausted> {
    // Two who ask at once may both get the last of the share; estimates are no better than that.
    if memory.held_bytes(Use::Queries) + bytes <= memory.limit_bytes() / SHARE_OF_QUERIES {
        return Ok(memory.hold(Use::Queries, bytes));
    }
    memory.try_reserve(Use::Queries, bytes)
}

/// What one part of a query holds; counts until it is dropped.
#[derive(Debug, Default)]
pub struct Charge {
    allowance: Allowance,
    bytes: u64,
}

impl Charge {
    /// Says how much it is now.
    ///
    /// # Errors
    /// [`QueryError::TooLarge`] if that is more than the query may hold, [`QueryError::NoMemory`] if the process has not so much.
    pub fn set(&mut self, bytes: usize) -> Result<(), QueryError> {
        let before = std::mem::replace(&mut self.bytes, bytes as u64);
        if before == self.bytes { Ok(()) } else { self.allowance.replace(before, self.bytes) }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if let Some(held) = &self.allowance.0 {
            held.bytes.fetch_sub(self.bytes, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn time_ends_a_query() {
        let after = |timeout| Budget::starting_now(TimeLimit { timeout, key: "x.timeout" });
        assert!(Budget::default().check().is_ok() && after(Duration::ZERO).check().is_ok());
        assert!(after(Duration::from_secs(3600)).check().is_ok());
        let error = after(Duration::from_nanos(1)).check().expect_err("over");
        assert!(error.to_string().ends_with("(x.timeout)"), "{error}");
    }

    #[test]
    fn a_client_that_leaves_ends_its_query() {
        let budget = Budget::default();
        let guard = budget.abandoned_on_drop();
        let elsewhere = budget.clone();
        assert!(elsewhere.check().is_ok());
        drop(guard);
        assert!(matches!(elsewhere.check(), Err(QueryError::Abandoned)));
    }

    #[test]
    fn all_parts_of_a_query_share_its_limit() {
        let memory = Memory::new(1 << 30);
        let budget = Budget { allowance: Allowance::of(memory.clone(), 10 << 20), ..Budget::default() };
        let (mut one, mut other) = (budget.charge(), budget.clone().charge());
        one.set(6 * MIB).expect("room");
        assert_eq!(memory.held_bytes(Use::Queries), 6 << 20);
        assert!(matches!(other.set(5 * MIB), Err(QueryError::TooLarge { max_bytes: 10485760 })));
        other.set(MIB).expect("room");
        one.set(MIB).expect("less");
        other.set(9 * MIB).expect("room again");
        assert_eq!(memory.held_bytes(Use::Queries), 10 << 20, "6, and a step of 4");
        drop((one, other));
        budget.charge().set(10 * MIB).expect("nothing is held any more");
        assert_eq!(memory.held_bytes(Use::Queries), 10 << 20);
        drop(budget);
        assert_eq!(memory.held_bytes(Use::Queries), 0);
    }

    #[test]
    fn queries_have_a_share_and_beyond_it_what_is_left() {
        // 26 MiB are shared, 16 of them are for queries in any case.
        let memory = Memory::new(64 << 20);
        memory.set(Use::Heads, 60 << 20);
        let query = || Budget { allowance: Allowance::of(memory.clone(), 1 << 30), ..Budget::default() };
        let (first, second) = (query(), query());
        let mut charge = first.charge();
        charge.set(14 * MIB).expect("of the share");
        assert!(matches!(second.charge().set(4 * MIB), Err(QueryError::NoMemory(_))));
        memory.set(Use::Heads, 0);
        second.charge().set(4 * MIB).expect("there is room now");
        drop((charge, first));
        memory.set(Use::Heads, 60 << 20);
        second.charge().set(15 * MIB).expect("the share is free again");
    }
}
