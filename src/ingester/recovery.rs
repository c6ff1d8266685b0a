//! Starting: what the last process left in the log becomes the head again.

use super::head::Head;
use super::instruments::IngesterInstruments;
use super::wal::{Applied, Receipt, ReplayError, ReplayReport, Wal, WalError, replay};
use super::{Ingester, IngesterConfig};
use crate::columns::validate::validate;
use crate::model::TenantId;
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

/// What a start found in the log.
#[derive(Debug, Default, Clone)]
pub struct Recovered {
    /// Spans that are in memory again.
    pub num_spans: usize,
    /// What replay says of the log's files.
    pub report: ReplayReport,
}

impl Ingester {
    /// Replays the log and opens it. `blocks` must be loaded: late spans are told from them.
    pub async fn open(config: IngesterConfig, store: Store, blocks: Arc<BlockLists>) -> Result<(Arc<Self>, Recovered), OpenError> {
        let opening = move || open(config, store, blocks);
        tokio::task::spawn_blocking(opening).await.map_err(|_| OpenError::Interrupted)?
    }
}

fn open(config: IngesterConfig, store: Store, blocks: Arc<BlockLists>) -> Result<(Arc<Ingester>, Recovered), OpenError> {
    let runtime = Handle::current();
    let mut heads: HashMap<TenantId, Arc<Head>> = HashMap::new();
    let mut num_spans = 0;
    let report = replay(
        &config.wal_dir,
        |tenant, block| {
            // One that was merged into another is not there any more, and its spans are.
            let name = block.to_string();
            let is_merged = blocks.of(tenant).snapshot().iter().any(|other| other.meta().replaces.contains(&name));
            Ok(is_merged || runtime.block_on(store.block_exists(tenant, block))?)
        },
        |record| {
            if record.skip.skips_all() {
                return Ok(Applied::Covered);
            }
            // The log's checksum says that these are the bytes that were validated; they are looked at once more so that
            // a defect here can be told from one there, and because a chunk is lost if decoding fails half-way.
            validate(record.payload)?;
            let head = heads.entry(record.tenant.clone()).or_insert_with(|| Arc::new(Head::new(blocks.of(record.tenant))));
            let receipt = Receipt { sequence: record.sequence, segment: record.segment };
            let takes = |trace: &crate::model::TraceId| !record.skip.skips(trace);
            let filter = (!record.skip.skips_nothing()).then_some(&takes as &dyn Fn(&crate::model::TraceId) -> bool);
            let held = head.append_taken(record.payload, receipt, filter)?;
            num_spans += held;
            Ok(if held > 0 { Applied::Held } else { Applied::Covered })
        },
    )?;
    let wal = Wal::open(&config.wal_dir, config.wal.clone(), report.start())?;
    let ingester = Ingester {
        config,
        wal,
        store,
        blocks,
        heads: RwLock::new(heads),
        is_watched: AtomicBool::new(false),
        instruments: Arc::new(IngesterInstruments::default()),
        work: Notify::new(),
        room: Notify::new(),
    };
    Ok((Arc::new(ingester), Recovered { num_spans, report }))
}
