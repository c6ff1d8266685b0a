//! Counters of the log. Plain atomics: the exporter reads them, nothing here knows a metrics library.

use std::sync::atomic::{AtomicU64, Ordering};

/// One number that only code of this folder changes.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// The present value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    pub(in crate::ingester) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

/// Everything that the log counts since the process started. All are totals, except `segments_held`.
#[derive(Debug, Default)]
pub struct WalInstruments {
    /// Records acknowledged.
    pub appends: Counter,
    /// Payload bytes of acknowledged records before compression.
    pub append_raw_bytes: Counter,
    /// Bytes of acknowledged records as they lie in the segments, headers included.
    pub append_stored_bytes: Counter,
    /// Records refused because their round could not be made durable.
    pub append_errors: Counter,
    /// Rounds written; `appends / rounds` is the mean size of a group commit.
    pub rounds: Counter,
    /// Successful fdatasync calls on segments.
    pub syncs: Counter,
    /// Time spent in them, in nanoseconds.
    pub sync_nanos: Counter,
    /// Failed writes to a segment.
    pub write_errors: Counter,
    /// Failed fdatasync calls; each one retires a segment.
    pub sync_errors: Counter,
    /// Segments that could not be created, deleted or set aside at the first try.
    pub segment_errors: Counter,
    /// Segments created.
    pub segments_created: Counter,
    /// Segments deleted, or set aside as damaged, because all their records are in blocks.
    pub segments_dropped: Counter,
    /// Gauge: segments that exist now, the active one included.
    pub segments_held: Counter,
    /// Flush ledgers written.
    pub ledgers_written: Counter,
    /// Gauge: bytes of segments that replay has not read yet.
    pub replay_bytes_left: Counter,
    /// Gauge: segments that acknowledged spans may be missing of, since they could not be read; those that earlier starts have
    /// set aside and that lie there still are among them.
    pub damaged_segments: Counter,
    /// Bytes that the start cut off the end of the log.
    pub cut_bytes: Counter,
    /// Bytes that could not be read.
    pub damaged_bytes: Counter,
    /// Records that replay handed on.
    pub replayed_records: Counter,
    /// Their payload bytes before compression.
    pub replayed_raw_bytes: Counter,
}
