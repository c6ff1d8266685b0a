//! The store that a configuration asks for.

use crate::config::Config;
use crate::runtime::memory::{Memory, Use};
use crate::store::probe::probe;
use crate::store::{BackendError, Bucket, DEFAULT_PART_BYTES, Store};
use anyhow::Context;
use std::path::Path;

/// Memory for files of a bucket where no budget is given.
const DEFAULT_CACHE_BYTES: u64 = 64 << 20;

/// What can be said of the store without sending anything: `-config.verify` refuses what a start would.
///
/// # Errors
/// Settings that no client can be made of, with the key to change.
pub fn check(config: &Config) -> Result<(), BackendError> {
    bucket(config).map(drop)
}

pub(super) fn bucket(config: &Config) -> Result<Option<Bucket>, BackendError> {
    let settings = config.storage.bucket();
    settings.map(|settings| Bucket::new(&settings, &env)).transpose()
}

/// A variable of the environment.
pub(super) fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Opens the store, and sees that it can be used.
pub(super) async fn open(config: &Config, wal_dir: &Path, memory: &Memory) -> anyhow::Result<Store> {
    let share = memory.limit_bytes() / 8;
    let chosen = |most: u64| if config.memory_limit_bytes.is_some() { share } else { share.min(most) };
    let part_bytes = config.storage.block_index_cache_bytes.unwrap_or(chosen(DEFAULT_PART_BYTES));
    memory.set(Use::Caches, part_bytes);
    let Some(bucket) = bucket(config)? else { return Ok(Store::local(&config.storage.local_path)?.with_part_bytes(part_bytes)) };
    tracing::info!(bucket = %bucket.place(), credentials = bucket.place().credentials, "trying the bucket");
    let cache_bytes = config.storage.block_cache_bytes.unwrap_or(chosen(DEFAULT_CACHE_BYTES));
    memory.set(Use::Caches, part_bytes + cache_bytes);
    // Inside the log's directory: it is as durable, and locked already.
    let store =
        Store::remote_with(bucket, wal_dir, cache_bytes).context("could not make a directory for blocks on their way to the bucket")?;
    let store = store.with_part_bytes(part_bytes);
    probe(&store).await.with_context(|| format!("storage.trace.backend: {}", config.storage.backend.as_str()))?;
    Ok(store)
}
