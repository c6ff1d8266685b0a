//! What the compactor counts of itself.

use crate::model::TenantId;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

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

/// Blocks that a merge will take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Their number.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Counters of the compactor.
#[derive(Debug, Default)]
pub struct CompactorInstruments {
    /// Merges done.
    pub runs: Count,
    /// Blocks that went into them.
    pub input_blocks: Count,
    /// Spans that were written by them.
    pub spans: Count,
    /// Bytes that were written by them.
    pub bytes: Count,
    /// Traces whose pieces were joined.
    pub joined_traces: Count,
    /// Identical spans that were left out.
    pub duplicates: Count,
    /// Merges that failed; they are tried again.
    pub failures: Count,
    /// Blocks deleted because of their age.
    pub expired_blocks: Count,
    /// Blocks out of use whose files are not yet deleted.
    pub remains: AtomicU64,
    waiting: Mutex<HashMap<TenantId, Waiting>>,
}

impl CompactorInstruments {
    /// How far behind the compactor is, by tenant. Blocks in a job that runs count until it is done.
    pub fn waiting(&self) -> Vec<(TenantId, Waiting)> {
        let mut waiting: Vec<_> = self.waiting.lock().iter().map(|(tenant, waiting)| (tenant.clone(), *waiting)).collect();
        waiting.sort_by(|(a, _), (b, _)| a.cmp(b));
        waiting
    }

    pub(super) fn set_waiting(&self, tenant: &TenantId, waiting: Waiting) {
        self.waiting.lock().insert(tenant.clone(), waiting);
    }
}
