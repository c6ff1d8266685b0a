//! Spans by the receiver that they came through (spec/ingest.md §9.5: `tempo_receiver_accepted_spans`, `…_refused_spans`).

use parking_lot::Mutex;
use std::collections::BTreeMap;

/// The receiver and the way into it, as the labels of the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// As `otlp/otlp_receiver`.
    pub receiver: &'static str,
    /// As `grpc`.
    pub transport: &'static str,
}

/// What became of the spans of an origin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passage {
    /// Stored.
    pub accepted: u64,
    /// Not stored, as far as they could be counted.
    pub refused: u64,
}

/// Numbers by origin. Origins are constants of the receivers, so there are few.
#[derive(Debug, Default)]
pub struct Passages(Mutex<BTreeMap<Origin, Passage>>);

impl Passages {
    pub(super) fn add(&self, origin: Origin, num_accepted: usize, num_refused: usize) {
        let mut passages = self.0.lock();
        let passage = passages.entry(origin).or_default();
        passage.accepted += num_accepted as u64;
        passage.refused += num_refused as u64;
    }

    /// All numbers.
    pub fn counts(&self) -> Vec<(Origin, Passage)> {
        self.0.lock().iter().map(|(origin, passage)| (*origin, *passage)).collect()
    }
}
