//! Starting: the log is looked at and opened; what the last process left in it becomes the head again afterwards
//! ([`super::loading`]).

use super::instruments::IngesterInstruments;
use super::loading::Loading;
use super::wal::{Replay, ReplayError, Wal, WalError, prepare};
use super::{Ingester, IngesterConfig};
use crate::store::{BlockLists, Store};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tokio::runtime::Handle;
use tokio::sync::Notify;

/// Why the ingester cannot start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The log cannot be replayed; starting anyway would lose acknowledged spans.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The log cannot be opened for writing.
    #[error(transparent)]
    Wal(#[from] WalError),
    /// The task was lost.
    #[error("the start was interrupted")]
    Interrupted,
}

impl Ingester {
    /// Opens the log behind what is in it. `blocks` must be loaded: late spans are told from them. The second is to be
    /// given to [`load`](Self::load).
    pub async fn open(config: IngesterConfig, store: Store, blocks: Arc<BlockLists>) -> Result<(Arc<Self>, Replay), OpenError> {
        let opening = move || open(config, store, blocks);
        tokio::task::spawn_blocking(opening).await.map_err(|_| OpenError::Interrupted)?
    }
}

fn open(config: IngesterConfig, store: Store, blocks: Arc<BlockLists>) -> Result<(Arc<Ingester>, Replay), OpenError> {
    let runtime = Handle::current();
    let replay = prepare(&config.wal_dir, |tenant, block| {
        // One that was merged into another is not there any more, and its spans are.
        let name = block.to_string();
        let is_merged = blocks.of(tenant).snapshot().iter().any(|other| other.meta().replaces.contains(&name));
        Ok(is_merged || runtime.block_on(store.block_exists(tenant, block))?)
    })?;
    let wal = Wal::open(&config.wal_dir, config.wal.clone(), replay.start())?;
    wal.instruments().replay_bytes_left.set(replay.bytes_left());
    wal.instruments().cut_bytes.set(replay.report().cut.as_ref().map_or(0, |cut| cut.bytes));
    wal.instruments().damaged_segments.set(replay.report().num_set_aside());
    let ingester = Ingester {
        config,
        wal,
        store,
        blocks,
        heads: RwLock::new(HashMap::new()),
        is_watched: AtomicBool::new(false),
        loading: Loading::default(),
        instruments: Arc::new(IngesterInstruments::default()),
        work: Notify::new(),
        room: Notify::new(),
    };
    Ok((Arc::new(ingester), replay))
}
