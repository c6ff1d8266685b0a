//! How far a query has come, for those who show it while they wait.

use super::Snapshot;
use crate::proto::tempopb::{MetadataMetrics, SearchMetrics};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// Counted by the query, read by its caller; cheap to clone, all clones are one.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    units: AtomicU32,
    done: AtomicU32,
    blocks: AtomicU32,
    block_bytes: AtomicU64,
}

impl Progress {
    /// A query begins to look at a moment of head and blocks.
    pub fn begin(&self, snapshot: &Snapshot) {
        let groups: usize = snapshot.blocks.iter().map(|block| block.row_groups().len()).sum();
        self.0.units.store(saturated(snapshot.chunks.len() + groups), Relaxed);
        self.0.done.store(0, Relaxed);
        self.0.blocks.store(saturated(snapshot.blocks.len()), Relaxed);
        self.0.block_bytes.store(snapshot.blocks.iter().map(|block| block.meta().total_bytes()).sum(), Relaxed);
    }

    /// The query turns to another unit.
    pub fn count_unit(&self) {
        self.0.done.fetch_add(1, Relaxed);
    }

    /// As the metrics of a partial answer: jobs are units, and never all of them are done.
    pub fn metrics(&self) -> SearchMetrics {
        let total_jobs = self.0.units.load(Relaxed);
        SearchMetrics {
            total_jobs,
            // What is counted may be looked at more than once, as by the two halves of an arithmetic expression.
            completed_jobs: self.0.done.load(Relaxed).min(total_jobs.saturating_sub(1)),
            total_blocks: self.0.blocks.load(Relaxed),
            total_block_bytes: self.0.block_bytes.load(Relaxed),
            ..SearchMetrics::default()
        }
    }

    /// The same for tags and their values.
    pub fn metadata_metrics(&self) -> MetadataMetrics {
        let SearchMetrics { total_jobs, completed_jobs, total_blocks, total_block_bytes, .. } = self.metrics();
        MetadataMetrics { total_jobs, completed_jobs, total_blocks, total_block_bytes, ..MetadataMetrics::default() }
    }
}

fn saturated(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_under_way_is_never_done() {
        let progress = Progress::default();
        assert_eq!((progress.metrics().completed_jobs, progress.metrics().total_jobs), (0, 0));
        let counted = progress.clone();
        counted.begin(&Snapshot::default());
        counted.0.units.store(2, Relaxed);
        assert_eq!(progress.metrics().completed_jobs, 0);
        (0..5).for_each(|_| counted.count_unit());
        assert_eq!((progress.metadata_metrics().completed_jobs, progress.metadata_metrics().total_jobs), (1, 2));
    }
}
