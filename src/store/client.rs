//! Reading and writing objects.

use super::paths;
use crate::block::reader::{RangeRead, ReadFailure};
use crate::block::schema::META_FILE;
use crate::model::{BlockId, TenantId};
use crate::runtime::directories::create_durably;
use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::runtime::Handle;

/// An access to the store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The object is not there.
    #[error("{0} does not exist")]
    NotFound(Path),
    /// Anything else; trying again may help.
    #[error("could not {operation} {path}: {source}")]
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
}

/// The object store that holds the blocks. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    /// Of a local store: its directory.
    root: Option<PathBuf>,
}

impl Store {
    /// Blocks in a local directory, which is made if it is missing. What is written is synced, its directory too.
    pub fn local(directory: &std::path::Path) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Directory { path: directory.to_path_buf(), source };
        create_durably(directory).map_err(failed)?;
        let objects = LocalFileSystem::new_with_prefix(directory).map_err(|error| failed(std::io::Error::other(error)))?;
        Ok(Store { objects: Arc::new(objects.with_fsync(true)), root: Some(directory.to_path_buf()) })
    }

    /// Blocks in any object store; for tests and later backends.
    pub fn new(objects: Arc<dyn ObjectStore>) -> Self {
        Store { objects, root: None }
    }

    /// Writes an object; it is durable afterwards.
    pub async fn put(&self, path: &Path, bytes: Bytes) -> Result<(), StoreError> {
        self.make_folder(path).await?;
        self.objects.put(path, bytes.into()).await.map(drop).map_err(|error| failure("write", path, error))
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

    /// The store as the crate knows it.
    pub(super) fn objects(&self) -> &Arc<dyn ObjectStore> {
        &self.objects
    }

    /// Reads an object whole.
    pub async fn get(&self, path: &Path) -> Result<Bytes, StoreError> {
        let result = self.objects.get(path).await.map_err(|error| failure("read", path, error))?;
        result.bytes().await.map_err(|error| failure("read", path, error))
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

    /// The tenants that have blocks.
    pub async fn tenants(&self) -> Result<Vec<TenantId>, StoreError> {
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

    /// The folders of a tenant that look like blocks, whether they are complete or not.
    pub async fn blocks(&self, tenant: &TenantId) -> Result<Vec<BlockId>, StoreError> {
        let folder = paths::tenant(tenant);
        let listed = self.objects.list_with_delimiter(Some(&folder)).await.map_err(|error| failure("list", &folder, error))?;
        Ok(listed.common_prefixes.iter().filter_map(|path| path.filename().and_then(BlockId::parse)).collect())
    }

    /// Whether a block exists: whether its `meta.json` does.
    pub async fn block_exists(&self, tenant: &TenantId, id: &BlockId) -> Result<bool, StoreError> {
        let path = paths::meta(tenant, id);
        match self.objects.head(&path).await.map_err(|error| failure("look up", &path, error)) {
            Ok(_) => Ok(true),
            Err(StoreError::NotFound(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Deletes a block: `meta.json` first, so that it ceases to exist at once.
    pub async fn delete_block(&self, tenant: &TenantId, id: &BlockId) -> Result<(), StoreError> {
        self.delete(&paths::file(tenant, id, META_FILE)).await?;
        let folder = paths::block(tenant, id);
        let listed = self.objects.list_with_delimiter(Some(&folder)).await.map_err(|error| failure("list", &folder, error))?;
        for object in listed.objects {
            self.delete(&object.location).await?;
        }
        if let Some(root) = &self.root {
            // With what a listing does not show: parts of an upload that was never finished. The next start sweeps a folder
            // that stays.
            let _ = tokio::fs::remove_dir_all(root.join(folder.as_ref())).await;
        }
        Ok(())
    }

    /// The files of a block, read from threads that may block.
    pub fn block_files(&self, tenant: &TenantId, id: &BlockId) -> BlockFiles {
        BlockFiles { store: self.clone(), tenant: tenant.clone(), id: *id, runtime: Handle::current() }
    }
}

pub(super) fn failure(operation: &'static str, path: &Path, source: object_store::Error) -> StoreError {
    match source {
        object_store::Error::NotFound { .. } => StoreError::NotFound(path.clone()),
        source => StoreError::Unavailable { operation, path: path.clone(), source },
    }
}

/// Reads the files of one block; only outside of async code, since it waits.
pub struct BlockFiles {
    store: Store,
    tenant: TenantId,
    id: BlockId,
    runtime: Handle,
}

impl RangeRead for BlockFiles {
    fn read(&self, file: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, ReadFailure> {
        let path = paths::file(&self.tenant, &self.id, file);
        self.runtime.block_on(self.store.get_ranges(&path, ranges)).map_err(|error| ReadFailure(error.to_string()))
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
}
