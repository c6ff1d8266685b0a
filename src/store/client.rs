//! Reading and writing objects.

use super::backend::{Bucket, Labels, Place};
use super::cache::ChunkCache;
use super::explain::told;
use super::files::BlockFiles;
use super::instruments::StoreInstruments;
use super::paths;
use crate::block::parts::PartCache;
use crate::block::schema::META_FILE;
use crate::model::{BlockId, TenantId};
use crate::runtime::directories::create_durably;
use crate::runtime::failpoints::Failpoints;
use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, WriteMultipart};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

/// An access to the store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The object is not there.
    #[error("{0} does not exist")]
    NotFound(Path),
    /// Anything else; trying again may help.
    #[error("could not {operation} {}: {}", shown(.path), told(.source))]
    Unavailable {
        /// What was tried.
        operation: &'static str,
        /// On which object.
        path: Path,
        /// What the store said.
        source: object_store::Error,
    },
    /// The data directory cannot be used.
    #[error("could not use the block directory {path}: {source}")]
    Directory {
        /// The directory.
        path: std::path::PathBuf,
        /// What the file system said.
        source: std::io::Error,
    },
    /// A file is shorter than `meta.json` says.
    #[error("{path} has no bytes {range:?}, only {bytes}")]
    OutOfFile {
        /// The file.
        path: Path,
        /// What was to be read.
        range: Range<u64>,
        /// How many there are.
        bytes: u64,
    },
    /// The bucket answers, but too slowly to be of use to anybody.
    #[error("could not read {path}: {bytes} bytes have not come within {seconds} s")]
    TooSlow {
        /// The file.
        path: Path,
        /// How many bytes were to be read.
        bytes: u64,
        /// How long they were waited for.
        seconds: u64,
    },
    /// The process ends.
    #[error("the server is shutting down")]
    Interrupted,
}

/// The object store that holds the blocks: a directory, or a bucket with a spool on local disk. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    /// Of a local store: its directory.
    root: Option<PathBuf>,
    /// Whether the objects are the files below `root`, and nothing stands between.
    are_files: bool,
    /// Of a bucket: what belongs to it.
    remote: Option<Arc<Remote>>,
    /// Parts of the blocks in here that are kept in memory.
    parts: Arc<PartCache>,
    /// Where a test has the process die.
    failpoints: Failpoints,
}

/// What belongs to a bucket.
pub(super) struct Remote {
    /// Blocks on their way to the bucket, on local disk; see [`super::spool`].
    pub spool: Store,
    /// Copies of blocks that were moved a short time ago.
    pub kept: Store,
    pub cache: ChunkCache,
    pub instruments: Arc<StoreInstruments>,
    pub place: Place,
    /// Held while a block is moved or deleted, so that a block that is deleted does not come back.
    pub moving: tokio::sync::Mutex<()>,
    labels: Labels,
    /// Size of the parts in which larger objects are written.
    part_bytes: u64,
}

#[cfg(test)]
impl Remote {
    /// For a bucket that needs no labels.
    pub(super) fn new(spool: Store, kept: Store, cache: ChunkCache, instruments: Arc<StoreInstruments>, place: Place) -> Self {
        Remote {
            spool,
            kept,
            cache,
            instruments,
            place,
            moving: tokio::sync::Mutex::new(()),
            labels: Labels::default(),
            part_bytes: 8 << 20,
        }
    }
}

/// Memory for parts of blocks where no budget is given.
pub const DEFAULT_PART_BYTES: u64 = 128 << 20;

fn default_parts() -> Arc<PartCache> {
    Arc::new(PartCache::new(DEFAULT_PART_BYTES))
}

/// Parts of one object that are on their way at the same time.
const PARTS_AT_ONCE: usize = 3;

impl Store {
    /// Blocks in a local directory, which is made if it is missing. What is written is synced, its directory too.
    pub fn local(directory: &std::path::Path) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Directory { path: directory.to_path_buf(), source };
        create_durably(directory).map_err(failed)?;
        let objects = LocalFileSystem::new_with_prefix(directory).map_err(|error| failed(std::io::Error::other(error)))?;
        Ok(Store {
            objects: Arc::new(objects.with_fsync(true)),
            root: Some(directory.to_path_buf()),
            are_files: true,
            remote: None,
            parts: default_parts(),
            failpoints: Failpoints::default(),
        })
    }

    /// The same store with other objects below it.
    #[cfg(test)]
    pub(super) fn over(self, objects: Arc<dyn ObjectStore>) -> Self {
        Store { objects, are_files: false, ..self }
    }

    /// The same objects as those of a bucket.
    #[cfg(test)]
    pub(super) fn with_remote(self, remote: Remote) -> Self {
        Store { root: None, are_files: false, remote: Some(Arc::new(remote)), ..self }
    }

    /// Blocks in a bucket. New ones are written to `directory` first, which is made if it is missing; up to `cache_bytes` of
    /// what was read are kept in memory.
    pub fn remote_with(bucket: Bucket, directory: &std::path::Path, cache_bytes: u64) -> Result<Self, StoreError> {
        let Bucket { objects, labels, part_bytes, place, instruments } = bucket;
        let remote = Remote {
            spool: Store::local(&directory.join("spool"))?,
            kept: Store::local(&directory.join("kept"))?,
            cache: ChunkCache::new(cache_bytes),
            instruments,
            place,
            moving: tokio::sync::Mutex::new(()),
            labels,
            part_bytes,
        };
        let (parts, failpoints) = (default_parts(), Failpoints::default());
        Ok(Store { objects, root: None, are_files: false, remote: Some(Arc::new(remote)), parts, failpoints })
    }

    /// Keeps up to so many bytes of what queries need of blocks before they read columns.
    pub fn with_part_bytes(self, max_bytes: u64) -> Self {
        Store { parts: Arc::new(PartCache::new(max_bytes)), ..self }
    }

    /// Dies where a test says, and so do those who ask [`failpoints`](Self::failpoints).
    pub fn with_failpoints(self, failpoints: Failpoints) -> Self {
        Store { failpoints, ..self }
    }

    /// Where a test has the process die while blocks are written, moved or deleted.
    pub fn failpoints(&self) -> &Failpoints {
        &self.failpoints
    }

    /// Where parts of blocks are kept.
    pub fn parts(&self) -> Arc<PartCache> {
        Arc::clone(&self.parts)
    }

    /// Of a local store: where a block's files are.
    pub(super) fn directory_of(&self, tenant: &TenantId, id: &BlockId) -> Option<PathBuf> {
        self.root.as_ref().map(|root| root.join(paths::block(tenant, id).as_ref()))
    }

    /// What belongs to the bucket, if this is one.
    pub(super) fn remote(&self) -> Option<&Remote> {
        self.remote.as_deref()
    }

    /// Where new blocks are written: into the spool of a bucket, else into the store itself.
    pub fn for_new_blocks(&self) -> &Store {
        self.remote().map_or(self, |remote| &remote.spool)
    }

    /// Counters, if this is a bucket.
    pub fn instruments(&self) -> Option<&StoreInstruments> {
        self.remote().map(|remote| &*remote.instruments)
    }

    /// Bytes of files of the bucket that are kept in memory.
    pub fn cached_bytes(&self) -> u64 {
        self.remote().map_or(0, |remote| remote.cache.bytes())
    }

    /// Writes an object; it is durable afterwards. A large one goes to a bucket in parts.
    pub async fn put(&self, path: &Path, bytes: Bytes) -> Result<(), StoreError> {
        let failed = |error| failure("write", path, error);
        let Some(remote) = self.remote() else {
            self.make_folder(path).await?;
            return self.objects.put(path, bytes.into()).await.map(drop).map_err(failed);
        };
        if bytes.len() as u64 > remote.part_bytes {
            let mut parts = self.start_parts(remote, path).await.map_err(failed)?;
            parts.put(bytes);
            return parts.finish().await.map(drop).map_err(failed);
        }
        let Labels { attributes, tags } = remote.labels.clone();
        let options = PutOptions { attributes, tags, ..PutOptions::default() };
        self.objects.put_opts(path, bytes.into(), options).await.map(drop).map_err(failed)
    }

    async fn start_parts(&self, remote: &Remote, path: &Path) -> object_store::Result<WriteMultipart> {
        let upload = self.start_upload(path).await?;
        Ok(WriteMultipart::new_with_chunk_size(upload, usize::try_from(remote.part_bytes).unwrap_or(usize::MAX)))
    }

    /// Begins to write an object in parts, with the labels that all objects get.
    pub(super) async fn start_upload(&self, path: &Path) -> object_store::Result<Box<dyn MultipartUpload>> {
        let Labels { attributes, tags } = self.remote().map(|remote| remote.labels.clone()).unwrap_or_default();
        let options = PutMultipartOptions { attributes, tags, ..PutMultipartOptions::default() };
        self.objects.put_multipart_opts(path, options).await
    }

    /// The least size of a part, if the operator has set one.
    pub(super) fn part_bytes(&self) -> u64 {
        self.remote().map_or(0, |remote| remote.part_bytes)
    }

    /// Copies an object of another store, a few parts in memory at a time.
    pub(super) async fn copy_from(&self, from: &Store, path: &Path) -> Result<(), StoreError> {
        let bytes = from.objects.head(path).await.map_err(|error| failure("read", path, error))?.size;
        let Some(remote) = self.remote().filter(|remote| bytes > remote.part_bytes) else {
            return self.put(path, from.get(path).await?).await;
        };
        let failed = |error| failure("write", path, error);
        let mut parts = self.start_parts(remote, path).await.map_err(failed)?;
        let mut at = 0;
        while at < bytes {
            let end = (at + remote.part_bytes).min(bytes);
            let part = from.objects.get_range(path, at..end).await.map_err(|error| failure("read", path, error));
            let sent = match part {
                Ok(part) => {
                    parts.put(part);
                    parts.wait_for_capacity(PARTS_AT_ONCE).await.map_err(failed)
                }
                Err(error) => Err(error),
            };
            if let Err(error) = sent {
                // Parts that stay cost money; a bucket should have a rule that deletes them after some days.
                let _ = parts.abort().await;
                return Err(error);
            }
            at = end;
        }
        parts.finish().await.map(drop).map_err(failed)
    }

    /// The local store syncs a file and its folder, but not the folder's own entry when it makes one.
    pub(super) async fn make_folder(&self, path: &Path) -> Result<(), StoreError> {
        let Some(root) = &self.root else { return Ok(()) };
        let folder = root.join(path.as_ref()).parent().map(std::path::Path::to_path_buf).unwrap_or_else(|| root.clone());
        let made = folder.clone();
        let result =
            tokio::task::spawn_blocking(move || create_durably(&made)).await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        result.map_err(|source| StoreError::Directory { path: folder, source })
    }

    /// Reads an object whole.
    pub async fn get(&self, path: &Path) -> Result<Bytes, StoreError> {
        let result = self.objects.get(path).await.map_err(|error| failure("read", path, error))?;
        result.bytes().await.map_err(|error| failure("read", path, error))
    }

    /// Of a local store: where an object is, if it may be read as a file.
    pub(super) fn file_of(&self, path: &Path) -> Option<PathBuf> {
        self.root.as_ref().filter(|_| self.are_files).map(|root| root.join(path.as_ref()))
    }

    /// Reads parts of an object.
    pub async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, StoreError> {
        self.objects.get_ranges(path, ranges).await.map_err(|error| failure("read", path, error))
    }

    /// Deletes an object; one that is not there is no error.
    pub async fn delete(&self, path: &Path) -> Result<(), StoreError> {
        match self.objects.delete(path).await.map_err(|error| failure("delete", path, error)) {
            Err(StoreError::NotFound(_)) => Ok(()),
            other => other,
        }
    }

    /// The tenants that have blocks, in the spool or in the bucket.
    pub async fn tenants(&self) -> Result<Vec<TenantId>, StoreError> {
        let Some(remote) = self.remote() else { return self.own_tenants().await };
        let mut tenants = remote.spool.own_tenants().await?;
        tenants.extend(self.own_tenants().await?);
        tenants.sort_unstable();
        tenants.dedup();
        Ok(tenants)
    }

    /// As [`tenants`](Self::tenants), without the spool.
    pub(super) async fn own_tenants(&self) -> Result<Vec<TenantId>, StoreError> {
        let root = Path::default();
        let listed = self.objects.list_with_delimiter(None).await.map_err(|error| failure("list", &root, error))?;
        let (mut tenants, mut others) = (Vec::new(), Vec::new());
        for folder in &listed.common_prefixes {
            match folder.filename().map(TenantId::parse) {
                Some(Ok(tenant)) => tenants.push(tenant),
                _ => others.push(folder.to_string()),
            }
        }
        if !others.is_empty() {
            tracing::warn!(folders = others.join(", "), "folders in the store are no tenants and are left alone");
        }
        Ok(tenants)
    }

    /// The folders of a tenant that look like blocks, whether they are complete or not. A block that moves from the spool to
    /// the bucket meanwhile is among them.
    pub async fn blocks(&self, tenant: &TenantId) -> Result<Vec<BlockId>, StoreError> {
        let Some(remote) = self.remote() else { return self.own_blocks(tenant).await };
        let mut blocks = remote.spool.own_blocks(tenant).await?;
        blocks.extend(self.own_blocks(tenant).await?);
        blocks.sort_unstable();
        blocks.dedup();
        Ok(blocks)
    }

    /// As [`blocks`](Self::blocks), without the spool.
    pub(super) async fn own_blocks(&self, tenant: &TenantId) -> Result<Vec<BlockId>, StoreError> {
        let folder = paths::tenant(tenant);
        let listed = self.objects.list_with_delimiter(Some(&folder)).await.map_err(|error| failure("list", &folder, error))?;
        Ok(listed.common_prefixes.iter().filter_map(|path| path.filename().and_then(BlockId::parse)).collect())
    }

    /// Whether a block exists, in the spool or in the bucket: whether its `meta.json` does.
    pub async fn block_exists(&self, tenant: &TenantId, id: &BlockId) -> Result<bool, StoreError> {
        let path = paths::meta(tenant, id);
        if let Some(remote) = self.remote()
            && Box::pin(remote.spool.block_exists(tenant, id)).await?
        {
            return Ok(true);
        }
        match self.objects.head(&path).await.map_err(|error| failure("look up", &path, error)) {
            Ok(_) => Ok(true),
            Err(StoreError::NotFound(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The `meta.json` of a block, from the spool or the bucket.
    pub(super) async fn get_meta(&self, tenant: &TenantId, id: &BlockId) -> Result<Bytes, StoreError> {
        let path = paths::meta(tenant, id);
        if let Some(remote) = self.remote() {
            match Box::pin(remote.spool.get(&path)).await {
                Err(StoreError::NotFound(_)) => {}
                other => return other,
            }
        }
        self.get(&path).await
    }

    /// Deletes the files of a block that never came to exist, as its writer died before `meta.json`. Only on local disk:
    /// the caller holds the lock of the data directory, so nobody else writes there. In a bucket others may.
    pub(super) async fn sweep(&self, tenant: &TenantId, id: &BlockId) -> Result<(), StoreError> {
        let local = self.for_new_blocks();
        let files = local.files(tenant, id).await?;
        if let Some(foreign) = files.iter().find(|file| !file.filename().is_some_and(paths::is_file_of_block)) {
            tracing::warn!(%tenant, block = %id, file = %foreign, "a folder without meta.json holds files of another program and is left alone");
            return Ok(());
        }
        if !files.is_empty() || self.root.is_some() {
            tracing::info!(%tenant, block = %id, "the rest of an unfinished block is deleted");
        }
        local.delete_own_block(tenant, id).await
    }

    /// Deletes a block, from local disk and bucket: `meta.json` first, so that it ceases to exist at once.
    pub async fn delete_block(&self, tenant: &TenantId, id: &BlockId) -> Result<(), StoreError> {
        let Some(remote) = self.remote() else { return self.delete_own_block(tenant, id).await };
        let _moves = remote.moving.lock().await;
        remote.spool.delete_own_block(tenant, id).await?;
        remote.kept.delete_own_block(tenant, id).await?;
        self.delete_own_block(tenant, id).await
    }

    /// As [`delete_block`](Self::delete_block), without the spool.
    pub(super) async fn delete_own_block(&self, tenant: &TenantId, id: &BlockId) -> Result<(), StoreError> {
        self.delete(&paths::file(tenant, id, META_FILE)).await?;
        for file in self.files(tenant, id).await? {
            self.delete(&file).await?;
        }
        if let Some(folder) = self.directory_of(tenant, id) {
            // With what a listing does not show: parts of an upload that was never finished. The next start sweeps a folder
            // that stays.
            let _ = tokio::fs::remove_dir_all(folder).await;
        }
        Ok(())
    }

    /// The objects in the folder of a block.
    pub(super) async fn files(&self, tenant: &TenantId, id: &BlockId) -> Result<Vec<Path>, StoreError> {
        let folder = paths::block(tenant, id);
        let listed = self.objects.list_with_delimiter(Some(&folder)).await.map_err(|error| failure("list", &folder, error))?;
        Ok(listed.objects.into_iter().map(|object| object.location).collect())
    }

    /// The files of a block, read from threads that may block.
    pub fn block_files(&self, tenant: &TenantId, id: &BlockId) -> BlockFiles {
        BlockFiles::new(self.clone(), tenant.clone(), *id)
    }

    /// The client itself, for the probe.
    pub(super) fn objects(&self) -> &dyn ObjectStore {
        &*self.objects
    }
}

/// The path of everything is empty, which is no word for a message.
fn shown(path: &Path) -> &str {
    if path.as_ref().is_empty() { "the store" } else { path.as_ref() }
}

pub(super) fn failure(operation: &'static str, path: &Path, source: object_store::Error) -> StoreError {
    match source {
        object_store::Error::NotFound { .. } => StoreError::NotFound(path.clone()),
        source => StoreError::Unavailable { operation, path: path.clone(), source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tenants_and_blocks_are_listed_by_the_names_they_were_written_with() {
        let root = tempfile::tempdir().expect("a temporary directory");
        let store = Store::local(root.path()).expect("writable");
        let mut names = ["team-a_1.x", "a*b", "it's", "(all)!", "..."].map(|name| TenantId::parse(name).expect("legal"));
        names.sort();
        let id = BlockId::random();
        for tenant in &names {
            store.put(&paths::file(tenant, &id, META_FILE), Bytes::from_static(b"{}")).await.expect("writable");
            assert_eq!(store.blocks(tenant).await.expect("readable"), [id]);
            assert!(store.block_exists(tenant, &id).await.expect("readable"));
        }
        let mut listed = store.tenants().await.expect("readable");
        listed.sort();
        assert_eq!(listed, names);
        store.delete_block(&names[0], &id).await.expect("writable");
        assert!(!store.block_exists(&names[0], &id).await.expect("readable"));
    }
    #[tokio::test]
    async fn unfinished_blocks_are_swept_and_those_of_others_left() {
        let root = tempfile::tempdir().expect("a temporary directory");
        let store = Store::local(root.path()).expect("writable");
        let tenant = TenantId::single();
        let (ours, others) = (BlockId::random(), BlockId::random());
        let put = async |id, name| store.put(&paths::file(&tenant, id, name), Bytes::from_static(b"x")).await.expect("writable");
        for name in ["data.parquet", "index", "bloom-0"] {
            put(&ours, name).await;
            put(&others, name).await;
        }
        // A block that Tempo has compacted away has no meta.json either.
        put(&others, "meta.compacted.json").await;
        for id in [&ours, &others] {
            store.sweep(&tenant, id).await.expect("writable");
        }
        assert_eq!(store.blocks(&tenant).await.expect("readable"), [others]);
        assert_eq!(store.files(&tenant, &others).await.expect("readable").len(), 4);
    }
}
