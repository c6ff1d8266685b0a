//! What the ingester counts of itself.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds to it.
    pub fn inc(&self, by: usize) {
        self.0.fetch_add(by as u64, Relaxed);
    }

    /// Its value.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// What one tenant has sent.
#[derive(Debug, Default)]
pub struct Received {
    /// Spans acknowledged.
    pub spans: Count,
    /// Bytes of requests acknowledged.
    pub bytes: Count,
}

/// Counters of the ingester.
#[derive(Debug, Default)]
pub struct IngesterInstruments {
    /// Blocks written.
    pub blocks: Count,
    /// Spans in them.
    pub block_spans: Count,
    /// Bytes of them.
    pub block_bytes: Count,
    /// Identical spans left out of blocks.
    pub duplicates: Count,
    /// Flushes that failed; they are tried again.
    pub flush_failures: Count,
}
