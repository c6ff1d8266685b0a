//! One budget for the memory of the process (docs/durability.md, "Memory").
//!
//! Stages say what they hold: requests on their way, recent spans, flushes, merges, queries, caches. What may be refused asks
//! first ([`Memory::reserve`]); what must go on, as a flush that makes room, only says so ([`Memory::hold`]), and the others
//! wait for it. Bytes are estimates: the count is there to refuse work in time, not to replace the allocator's.

use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;
use tokio::sync::Notify;

/// Most that is taken where nobody says how much: more does not make the server faster.
const MOST_BY_DEFAULT: u64 = 1 << 30;
/// Least that the server works with.
const LEAST_BYTES: u64 = 64 << 20;
/// The process before it has done anything.
const BASE_BYTES: u64 = 24 << 20;
/// What the process takes for each two bytes that are counted: the allocator cannot give all back at once, and estimates miss
/// something (measured under overload, 1.4 to 1.5 a byte).
const TAKEN_FOR_TWO: u64 = 3;

/// Who holds memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Requests with spans, from their head to their answer.
    Requests,
    /// Recent spans.
    Heads,
    /// Blocks that are written.
    Flushes,
    /// Blocks that are merged.
    Merges,
    /// Queries that run.
    Queries,
    /// What is kept of blocks; all that may be kept counts from the start.
    Caches,
}

impl Use {
    /// Every use, with its name in metrics.
    pub const ALL: [(Use, &'static str); 6] = [
        (Use::Requests, "requests"),
        (Use::Heads, "heads"),
        (Use::Flushes, "flushes"),
        (Use::Merges, "merges"),
        (Use::Queries, "queries"),
        (Use::Caches, "caches"),
    ];
}

/// There is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{wanted_bytes} bytes of memory are wanted and {held_bytes} of {limit_bytes} held (memory_limit_bytes)")]
pub struct Exhausted {
    /// What was asked for.
    pub wanted_bytes: u64,
    /// What is held by all.
    pub held_bytes: u64,
    /// What may be held.
    pub limit_bytes: u64,
}

/// The budget. Cheap to clone; clones share it.
#[derive(Clone, Debug)]
pub struct Memory(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limit_bytes: u64,
    held: [AtomicU64; Use::ALL.len()],
    refused: AtomicU64,
    granting: Mutex<()>,
    /// Rung when something is given back.
    room: Notify,
}

impl Memory {
    /// A budget of so many bytes, at least 64 MiB.
    pub fn new(limit_bytes: u64) -> Self {
        let held = std::array::from_fn(|_| AtomicU64::new(0));
        Memory(Arc::new(Shared {
            limit_bytes: limit_bytes.max(LEAST_BYTES),
            held,
            refused: AtomicU64::new(0),
            granting: Mutex::new(()),
            room: Notify::new(),
        }))
    }

    /// Bytes that the process is meant to take at most.
    pub fn limit_bytes(&self) -> u64 {
        self.0.limit_bytes
    }

    /// Bytes that are held for a use.
    pub fn held_bytes(&self, of: Use) -> u64 {
        self.0.held[of as usize].load(SeqCst)
    }

    /// Requests that were refused for want of memory.
    pub fn num_refused(&self) -> u64 {
        self.0.refused.load(SeqCst)
    }

    /// Takes `bytes`, waiting for room for at most `patience`. More than half of what there is to share is never given to
    /// one: such a request gets that half, so that it can be served at all.
    ///
    /// # Errors
    /// [`Exhausted`] if there is no room in time.
    pub async fn reserve(&self, of: Use, bytes: u64, patience: Duration) -> Result<Reservation, Exhausted> {
        let bytes = bytes.min(self.shared_bytes().saturating_sub(self.held_bytes(Use::Caches)) / 2);
        let wait = async {
            loop {
                let room = self.0.room.notified();
                if let Some(reservation) = self.grant(of, bytes) {
                    return reservation;
                }
                room.await;
            }
        };
        tokio::time::timeout(patience, wait).await.map_err(|_| self.refused(bytes))
    }

    /// Takes `bytes` if there is room for all of them at once.
    ///
    /// # Errors
    /// [`Exhausted`] if there is none.
    pub fn try_reserve(&self, of: Use, bytes: u64) -> Result<Reservation, Exhausted> {
        self.grant(of, bytes).ok_or_else(|| self.refused(bytes))
    }

    fn grant(&self, of: Use, bytes: u64) -> Option<Reservation> {
        // Of two who ask at once, not both get the same room.
        let _one_at_a_time = self.0.granting.lock();
        (self.all_held_bytes() + bytes <= self.shared_bytes()).then(|| self.hold(of, bytes))
    }

    fn refused(&self, wanted_bytes: u64) -> Exhausted {
        self.0.refused.fetch_add(1, SeqCst);
        Exhausted { wanted_bytes, held_bytes: self.all_held_bytes(), limit_bytes: self.shared_bytes() }
    }

    /// Counts `bytes` that are taken in any case.
    pub fn hold(&self, of: Use, bytes: u64) -> Reservation {
        self.0.held[of as usize].fetch_add(bytes, SeqCst);
        Reservation { memory: self.clone(), of, bytes: AtomicU64::new(bytes) }
    }

    /// Says what a use holds now, for one that counts itself.
    pub fn set(&self, of: Use, bytes: u64) {
        if self.0.held[of as usize].swap(bytes, SeqCst) > bytes {
            self.0.room.notify_waiters();
        }
    }

    /// What all uses may be counted with so that the process stays within its limit.
    fn shared_bytes(&self) -> u64 {
        (self.0.limit_bytes - BASE_BYTES) * 2 / TAKEN_FOR_TWO
    }

    fn all_held_bytes(&self) -> u64 {
        self.0.held.iter().map(|held| held.load(SeqCst)).sum::<u64>()
    }
}

/// Bytes that somebody holds; given back when it is dropped.
#[derive(Debug)]
pub struct Reservation {
    memory: Memory,
    of: Use,
    bytes: AtomicU64,
}

impl Reservation {
    /// Raises it to `bytes` if it is less: what was reserved was a guess.
    pub fn raise_to(&self, bytes: u64) {
        let before = self.bytes.fetch_max(bytes, SeqCst);
        self.memory.0.held[self.of as usize].fetch_add(bytes.saturating_sub(before), SeqCst);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.memory.0.held[self.of as usize].fetch_sub(*self.bytes.get_mut(), SeqCst);
        self.memory.0.room.notify_waiters();
    }
}

/// What the server takes where nobody says how much: half of the machine's memory or of the control group's, at most 1 GiB.
pub fn default_limit_bytes() -> u64 {
    let group = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let of_group = group.iter().filter_map(|path| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok()).min();
    let of_machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| total_of(&text));
    let all = of_group.into_iter().chain(of_machine).min().unwrap_or(2 * MOST_BY_DEFAULT);
    (all / 2).min(MOST_BY_DEFAULT)
}

/// `MemTotal` of `/proc/meminfo`, in bytes.
fn total_of(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of which 100 MiB are shared.
    const LIMIT: u64 = 174 << 20;

    #[tokio::test]
    async fn what_does_not_fit_waits_and_is_refused() {
        let memory = Memory::new(LIMIT);
        let first = memory.reserve(Use::Requests, 30 << 20, Duration::ZERO).await.expect("room");
        memory.set(Use::Heads, 65 << 20);
        let refused = memory.reserve(Use::Requests, 10 << 20, Duration::from_millis(5)).await.expect_err("no room");
        assert_eq!((refused.wanted_bytes, refused.held_bytes), (10 << 20, 95 << 20));
        assert_eq!((memory.num_refused(), memory.held_bytes(Use::Requests)), (1, 30 << 20));
        let other = memory.clone();
        let waiting = tokio::spawn(async move { other.reserve(Use::Requests, 10 << 20, Duration::from_secs(60)).await });
        tokio::task::yield_now().await;
        drop(first);
        let second = waiting.await.expect("no panic").expect("room");
        assert_eq!(memory.held_bytes(Use::Requests), 10 << 20);
        second.raise_to(50 << 20);
        second.raise_to(1);
        assert_eq!(memory.held_bytes(Use::Requests), 50 << 20);
        drop(second);
        assert_eq!(memory.held_bytes(Use::Requests), 0);
    }

    #[tokio::test]
    async fn one_that_wants_everything_gets_half() {
        let memory = Memory::new(LIMIT);
        let _caches = memory.hold(Use::Caches, 40 << 20);
        let all = memory.reserve(Use::Requests, u64::MAX, Duration::ZERO).await.expect("room");
        assert_eq!(memory.held_bytes(Use::Requests), 30 << 20);
        drop(all);
    }

    #[test]
    fn the_machine_is_asked() {
        assert_eq!(total_of("MemTotal:       24672016 kB\nMemFree: 1 kB\n"), Some(24_672_016 * 1024));
        assert_eq!(total_of("MemFree: 1 kB\n"), None);
        assert!((1..=MOST_BY_DEFAULT).contains(&default_limit_bytes()));
    }
}
