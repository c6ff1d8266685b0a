//! What the store counts of itself.

use parking_lot::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::SystemTime;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds to it.
    pub fn inc(&self, by: u64) {
        self.0.fetch_add(by, Relaxed);
    }

    /// Its value.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Counters of a remote store. Requests are those that went over the wire, repetitions included.
#[derive(Debug, Default)]
pub struct StoreInstruments {
    /// GET requests: reads and lists.
    pub gets: Count,
    /// HEAD requests.
    pub heads: Count,
    /// PUT and POST requests: writes.
    pub puts: Count,
    /// DELETE requests.
    pub deletes: Count,
    /// Requests that failed: no answer, or a status of 500 and above.
    pub failures: Count,
    /// Reads of block files that the cache served.
    pub cache_hits: Count,
    /// Reads of block files that needed a request.
    pub cache_misses: Count,
    /// Blocks moved from the spool to the bucket.
    pub uploads: Count,
    /// Moves that failed and are tried again.
    pub upload_failures: Count,
    /// Readings of the block list.
    pub polls: Count,
    /// Readings that failed; the list stays as it was.
    pub poll_failures: Count,
    /// What the service's clock showed when it last answered; `None` if it did not say.
    pub answered_at: Mutex<Option<SystemTime>>,
}
