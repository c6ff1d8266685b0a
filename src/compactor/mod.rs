//! Merges small blocks into large ones, and deletes old ones.
//!
//! - [`policy`] chooses what is merged, from what the blocks say of themselves; it does nothing itself.
//! - [`job`] merges one choice and puts the result into the store.
//! - [`swap`] puts the new block in the place of the old ones, for queries and for the next start.
//! - [`retention`] tells which blocks are too old.
//! - [`remains`] deletes the files of blocks that are out of use, once no query reads them any more.
//! - [`run`] is the loop that calls the others.
//!
//! One process compacts a store: the one that holds the lock of the data directory.

pub mod instruments;
mod job;
mod policy;
mod remains;
mod retention;
mod run;
mod swap;
#[cfg(test)]
mod tests;

use crate::model::{BlockId, TenantId};
use crate::runtime::memory::Memory;
use crate::store::{BlockLists, Store};
use instruments::CompactorInstruments;
use parking_lot::Mutex;
use policy::Policy;
use remains::Remains;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// What an operator can decide.
#[derive(Clone, Debug, PartialEq)]
pub struct CompactorConfig {
    /// Whether blocks are merged.
    pub is_enabled: bool,
    /// Blocks are merged with others whose newest spans lie in the same window of this length.
    pub window: Duration,
    /// How often blocks are looked at, and how long a window must be quiet before its last blocks are merged.
    pub cycle: Duration,
    /// Most bytes of a merged block.
    pub max_block_bytes: u64,
    /// Most traces of a merged block.
    pub max_block_traces: u64,
    /// Merges at the same time, at least 1.
    pub num_jobs: usize,
}

/// Answers a question about a tenant.
pub type OfTenant<T> = Box<dyn Fn(&TenantId) -> T + Send + Sync>;

/// What the compactor has to know of others.
pub struct Surroundings {
    /// Whether a tenant has no recent spans, so that no block is about to come.
    pub is_quiet: OfTenant<bool>,
    /// How long a tenant's blocks are kept; `None` for ever.
    pub retention: OfTenant<Option<Duration>>,
    /// Called before a block is deleted, and until it succeeds: makes the log remember which of its spans the block had, so that
    /// a crash does not bring them back. May block.
    pub settle: Settle,
    /// Where a merge says what it holds.
    pub memory: Memory,
}

/// Tells the log that a block is about to go.
pub type Settle = Arc<dyn Fn(&BlockId) -> std::io::Result<()> + Send + Sync>;

/// Merges and deletes blocks.
pub struct Compactor {
    config: CompactorConfig,
    policy: Policy,
    store: Store,
    blocks: Arc<BlockLists>,
    surroundings: Surroundings,
    instruments: Arc<CompactorInstruments>,
    state: Mutex<State>,
    remains: Remains,
    is_stopping: AtomicBool,
}

/// Blocks that are left alone for now.
#[derive(Default)]
struct State {
    /// Inputs of jobs that run.
    busy: HashSet<BlockId>,
    /// Blocks that a merge failed with, and when they may be tried again.
    failed: HashMap<BlockId, Failed>,
}

struct Failed {
    until: Instant,
    times: u32,
}

impl Compactor {
    /// A compactor of these blocks; [`run`](Self::run) sets it to work.
    pub fn new(config: CompactorConfig, store: Store, blocks: Arc<BlockLists>, surroundings: Surroundings) -> Arc<Self> {
        let policy = Policy {
            window: config.window.max(Duration::from_secs(1)),
            settle: config.cycle,
            max_bytes: config.max_block_bytes,
            max_traces: config.max_block_traces,
        };
        let instruments = Arc::<CompactorInstruments>::default();
        Arc::new(Compactor {
            config,
            policy,
            remains: Remains::new(store.clone(), Arc::clone(&surroundings.settle), Arc::clone(&instruments)),
            store,
            blocks,
            surroundings,
            instruments,
            state: Mutex::default(),
            is_stopping: AtomicBool::new(false),
        })
    }

    /// What the compactor counts.
    pub fn instruments(&self) -> &Arc<CompactorInstruments> {
        &self.instruments
    }
}
