//! Blocks on their way to a bucket.
//!
//! A flush writes its block into the spool, a directory beside the log, and is done: the block exists, is queried from
//! there, and the log lets go of its spans. The bucket may be slow or gone; then blocks gather on disk, not in memory. What
//! bounds the spool is the disk: when it is full, flushes fail and senders are told to try again, as without a bucket. A
//! disk that is lost takes the spool with it, as it does the log.
//!
//! The mover takes one block after the other: all files, `meta.json` last, so that other readers of the bucket see the block
//! whole or not at all; then the copy on local disk goes from the spool to `kept`, where it serves reads for a while, as young
//! blocks are those that are asked for. A crash in between leaves the block in both places, which is one block, as its id is
//! the same; the next start moves it once more, over the same keys.
//!
//! Nothing changes in the block list: the files of a listed block are read from local disk for as long as they are there,
//! then from the bucket ([`super::files`]). So a query that began before the move goes on.
//!
//! The directories themselves say what is where; there is no second list that could differ from them. They are looked at
//! every second, which costs a few system calls.

use super::blocklist::BlockLists;
use super::client::{Remote, Store, StoreError};
use super::paths;
use crate::block::schema::META_FILE;
use crate::model::{BlockId, TenantId};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How often the spool is looked at, and the first pause after a failure.
const PERIOD: Duration = Duration::from_secs(1);
/// Longest pause after failures; a bucket that is back is used this soon.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Moves blocks from the spool to the bucket.
#[derive(Clone)]
pub struct Mover {
    store: Store,
    lists: Arc<BlockLists>,
    kept_for: Duration,
}

impl Mover {
    /// For the blocks of these lists. Moved blocks stay on local disk, too, until they were written `kept_for` ago.
    pub fn new(store: Store, lists: Arc<BlockLists>, kept_for: Duration) -> Self {
        Mover { store, lists, kept_for }
    }

    /// Moves what is in the spool until `stop` is dropped; returns at once for a local store.
    pub async fn run(self, mut stop: watch::Receiver<()>) {
        if self.store.remote().is_none() {
            return;
        }
        let mut pause = PERIOD;
        loop {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = stop.changed() => return,
            }
            let moved = tokio::select! {
                moved = self.round() => moved,
                // The block stays in the spool; the next start moves it.
                _ = stop.changed() => return,
            };
            pause = match moved {
                Ok(()) => PERIOD,
                Err(error) => {
                    let pause = (pause * 2).min(LONGEST_PAUSE);
                    tracing::error!(%error, next = ?pause, "a block could not be moved to the bucket; it stays on local disk and is served from there");
                    pause
                }
            };
        }
    }

    /// While the bucket is not what it should be, nothing is given up that is on local disk.
    async fn round(&self) -> Result<(), StoreError> {
        self.move_all().await?;
        self.forget_old().await
    }

    /// Moves every block that is in the spool now.
    ///
    /// # Errors
    /// What the store said of a block that could not be moved. The others are tried nevertheless: it may be that block's fault.
    pub async fn move_all(&self) -> Result<(), StoreError> {
        let Some(remote) = self.store.remote() else { return Ok(()) };
        let mut result = Ok(());
        for tenant in remote.spool.own_tenants().await? {
            for id in remote.spool.own_blocks(&tenant).await? {
                if let Err(error) = self.move_block(remote, &tenant, &id).await {
                    remote.instruments.upload_failures.inc(1);
                    result = Err(error);
                }
            }
        }
        result
    }

    async fn move_block(&self, remote: &Remote, tenant: &TenantId, id: &BlockId) -> Result<(), StoreError> {
        // One that is not listed is just being written, or damaged: then nobody should get it.
        let is_listed = |block: &Arc<crate::block::reader::Block>| block.id() == *id;
        if !self.lists.existing(tenant).is_some_and(|list| list.snapshot().iter().any(is_listed)) {
            return Ok(());
        }
        let _moves = remote.moving.lock().await;
        if !remote.spool.block_exists(tenant, id).await? {
            return Ok(());
        }
        for file in remote.spool.files(tenant, id).await? {
            if file.filename() != Some(META_FILE) {
                self.store.copy_from(&remote.spool, &file).await?;
                self.store.failpoints().hit("upload.file");
            }
        }
        self.store.failpoints().hit("upload.files");
        self.store.copy_from(&remote.spool, &paths::meta(tenant, id)).await?;
        self.store.failpoints().hit("upload.meta");
        if !keep(remote, tenant, id).await {
            remote.spool.delete_own_block(tenant, id).await?;
        }
        self.store.failpoints().hit("upload.kept");
        remote.instruments.uploads.inc(1);
        tracing::info!(%tenant, block = %id, "block moved to the bucket");
        Ok(())
    }

    /// Deletes the copies of blocks that are old enough.
    async fn forget_old(&self) -> Result<(), StoreError> {
        let Some(remote) = self.store.remote() else { return Ok(()) };
        for tenant in remote.kept.own_tenants().await? {
            for id in remote.kept.own_blocks(&tenant).await? {
                if age(&remote.kept, &tenant, &id).await.is_none_or(|age| age >= self.kept_for) {
                    remote.kept.delete_own_block(&tenant, &id).await?;
                }
            }
        }
        Ok(())
    }
}

/// Takes a block from the spool to the copies; false if that cannot be done.
async fn keep(remote: &Remote, tenant: &TenantId, id: &BlockId) -> bool {
    let (Some(from), Some(to)) = (remote.spool.directory_of(tenant, id), remote.kept.directory_of(tenant, id)) else { return false };
    let Some(folder) = to.parent() else { return false };
    // No need to be durable: after a power loss the block is in one of the places, or in the bucket alone.
    tokio::fs::create_dir_all(folder).await.is_ok() && tokio::fs::rename(from, &to).await.is_ok()
}

/// How long ago a block was written; unknown if it is not whole, as after a crash while it was deleted.
async fn age(kept: &Store, tenant: &TenantId, id: &BlockId) -> Option<Duration> {
    let meta = tokio::fs::metadata(kept.directory_of(tenant, id)?.join(META_FILE)).await.ok()?;
    // A clock that was set back makes it young, and it is looked at again.
    Some(meta.modified().ok()?.elapsed().unwrap_or_default())
}
