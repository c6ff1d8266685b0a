//! Which blocks are merged next.
//!
//! Blocks whose newest spans lie in the same window are merged with each other only, so that a query for a range of time
//! finds few of them. While a window fills, blocks are merged by size classes: eight of one class become one of the next, each
//! eight times as large. Once it is settled, that is, over or without traffic, and no block has come for a cycle, what is left
//! is merged, smallest first, if that does not copy a large block for the sake of small ones. So a span is written anew about
//! twice: in its class, and at the end.

use super::instruments::Waiting;
use crate::block::BlockMeta;
use crate::model::{BlockId, UnixNanos};
use std::collections::BTreeMap;
use std::time::Duration;

/// Blocks of a size class that are merged while a window fills.
const CLASS_BLOCKS: usize = 8;

/// Most blocks of one merge: each holds some memory while it runs.
const MAX_INPUTS: usize = 32;

/// Blocks below this are of the smallest class; above, a class has blocks up to eight times as large.
const SMALLEST_CLASS_BYTES: u64 = 64 << 10;

/// How much larger than all others together the largest block of a merge of leftovers may be.
const GAIN: u64 = 2;

/// The same once nothing has come for a window: it will be the last merge.
const LAST_GAIN: u64 = 8;

/// What the policy knows of a block.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Candidate {
    pub id: BlockId,
    pub bytes: u64,
    pub traces: u64,
    pub spans: u64,
    /// End of its newest span, Unix nanoseconds.
    pub end: u64,
    /// When its newest spans arrived, Unix nanoseconds.
    pub created: u64,
}

impl Candidate {
    pub fn of(id: BlockId, meta: &BlockMeta) -> Self {
        Candidate {
            id,
            bytes: meta.total_bytes(),
            traces: meta.num_traces,
            spans: meta.num_spans,
            end: meta.end_unix_nano,
            created: meta.created_unix_nano,
        }
    }
}

/// How the choice is made.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    pub window: Duration,
    /// How long no block must have come before leftovers are merged.
    pub settle: Duration,
    pub max_bytes: u64,
    pub max_traces: u64,
}

/// What to do.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Choice {
    /// Blocks to merge now, job by job; no block is in two.
    pub jobs: Vec<Vec<BlockId>>,
    /// Blocks in these jobs, and in those that will follow if nothing else comes.
    pub waiting: Waiting,
}

impl Policy {
    /// Chooses from a tenant's blocks; `is_quiet` says that it has no recent spans.
    pub fn choose(&self, blocks: &[Candidate], now: UnixNanos, is_quiet: bool) -> Choice {
        let mut choice = Choice::default();
        for mut group in self.groups(blocks) {
            let is_ready = self.is_settled(&group, now, is_quiet);
            let gain = self.gain(&group, now);
            while let Some(job) = self.class_job(&mut group) {
                choice.add(&job, true);
            }
            while let Some(job) = self.leftover_job(&mut group, gain) {
                choice.add(&job, is_ready);
            }
        }
        choice
    }

    /// Blocks that may be merged with each other, smallest first.
    fn groups(&self, blocks: &[Candidate]) -> Vec<Vec<Candidate>> {
        let window = self.window_nanos();
        // A span from the future does not put its block into a window of its own.
        let mut by_window: BTreeMap<u64, Vec<Candidate>> = BTreeMap::new();
        for block in blocks {
            by_window.entry(block.end.min(block.created) / window).or_default().push(block.clone());
        }
        let mut groups = Vec::new();
        for mut blocks in by_window.into_values() {
            blocks.sort_by_key(|block| (block.created, block.id));
            // Retention counts from the arrival of the newest spans; spans of other times that arrived much earlier must not
            // be kept for their sake.
            let mut rest = &blocks[..];
            while let Some(first) = rest.first() {
                let near = rest.partition_point(|block| block.created - first.created <= 2 * window);
                groups.push(rest[..near].to_vec());
                rest = &rest[near..];
            }
        }
        for group in &mut groups {
            group.sort_by_key(|block| (block.bytes, block.created, block.id));
        }
        groups
    }

    fn window_nanos(&self) -> u64 {
        // Sums with moments of today stay far below 2^64.
        u64::try_from(self.window.as_nanos()).unwrap_or(u64::MAX).clamp(1, u64::MAX / 8)
    }

    fn is_settled(&self, group: &[Candidate], now: UnixNanos, is_quiet: bool) -> bool {
        let window = self.window_nanos();
        let newest = group.iter().map(|block| block.created).max().unwrap_or(0);
        let window_end = group.first().map_or(0, |block| (block.end.min(block.created) / window + 1).saturating_mul(window));
        let settle = u64::try_from(self.settle.as_nanos()).unwrap_or(u64::MAX);
        (is_quiet || now.0 >= window_end.saturating_add(settle)) && now.0 >= newest.saturating_add(settle)
    }

    fn gain(&self, group: &[Candidate], now: UnixNanos) -> u64 {
        let newest = group.iter().map(|block| block.created).max().unwrap_or(0);
        if now.0 >= newest.saturating_add(self.window_nanos()) { LAST_GAIN } else { GAIN }
    }

    /// Takes a full size class, with all that is smaller, out of the group.
    fn class_job(&self, group: &mut Vec<Candidate>) -> Option<Vec<Candidate>> {
        let ends = (0..group.len()).filter(|&at| at + 1 == group.len() || class(&group[at]) != class(&group[at + 1]));
        let mut first = 0;
        for end in ends {
            if end + 1 - first >= CLASS_BLOCKS {
                let fitting = self.fitting(&group[..=end]);
                return (fitting >= CLASS_BLOCKS).then(|| group.drain(..fitting).collect());
            }
            first = end + 1;
        }
        None
    }

    /// Takes the largest merge that is worth it out of the group.
    fn leftover_job(&self, group: &mut Vec<Candidate>, gain: u64) -> Option<Vec<Candidate>> {
        let fitting = self.fitting(group);
        let mut sum = group.first()?.bytes;
        let mut worth = 1;
        for (at, block) in group.iter().enumerate().take(fitting).skip(1) {
            if block.bytes <= sum.saturating_mul(gain) {
                worth = at + 1;
            }
            sum = sum.saturating_add(block.bytes);
        }
        (worth > 1).then(|| group.drain(..worth).collect())
    }

    /// How many of the first blocks one block can hold.
    fn fitting(&self, blocks: &[Candidate]) -> usize {
        let (mut bytes, mut traces, mut spans) = (0u64, 0u64, 0u64);
        let fits = |block: &&Candidate| {
            bytes = bytes.saturating_add(block.bytes);
            traces = traces.saturating_add(block.traces);
            spans = spans.saturating_add(block.spans);
            // Rows are numbered with 31 bits; events are as many as spans, or few more.
            bytes <= self.max_bytes && traces <= self.max_traces && spans <= i32::MAX as u64 / 2
        };
        blocks.iter().take(MAX_INPUTS).take_while(fits).count()
    }
}

fn class(block: &Candidate) -> u32 {
    (block.bytes / SMALLEST_CLASS_BYTES).checked_ilog(8).map_or(0, |class| class + 1)
}

impl Choice {
    fn add(&mut self, job: &[Candidate], is_ready: bool) {
        self.waiting.blocks += job.len() as u64;
        self.waiting.bytes += job.iter().map(|block| block.bytes).sum::<u64>();
        if is_ready {
            self.jobs.push(job.iter().map(|block| block.id).collect());
        }
    }
}

#[cfg(test)]
mod tests;
