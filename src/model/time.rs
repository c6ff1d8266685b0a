//! Moments and ranges of spans.

use std::time::{SystemTime, UNIX_EPOCH};

/// Nanoseconds since the Unix epoch, as OTLP counts them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct UnixNanos(pub u64);

impl UnixNanos {
    /// The system clock. A clock before 1970 reads as 0.
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixNanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }

    /// Whole seconds turned into nanoseconds, stopping at the largest moment that can be said.
    pub fn from_seconds(seconds: u64) -> Self {
        UnixNanos(seconds.saturating_mul(1_000_000_000))
    }

    /// Whole seconds, rounded down.
    pub fn seconds(self) -> u64 {
        self.0 / 1_000_000_000
    }
}

/// Both ends included: a trace that starts at `end` is inside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimeRange {
    /// First moment inside.
    pub start: UnixNanos,
    /// Last moment inside.
    pub end: UnixNanos,
}

impl TimeRange {
    /// Every moment there is.
    pub const ALL: TimeRange = TimeRange { start: UnixNanos(0), end: UnixNanos(u64::MAX) };

    /// True if the two share a moment.
    pub fn overlaps(&self, other: &TimeRange) -> bool {
        self.start <= other.end && other.start <= self.end
    }
}
