//! Small documents of tenants in a directory or bucket of their own: `overrides/<tenant>/overrides.json`
//! (spec/operations.md §3.4).
//!
//! A document has a version, which changes with every write; who writes says which version it has seen. Writers of this process
//! wait for each other; several processes over one bucket are not kept apart.

use super::backend::Bucket;
use super::client::{StoreError, failure};
use crate::model::TenantId;
use crate::runtime::directories::create_durably;
use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use std::path::PathBuf;
use std::sync::Arc;

/// The documents of all tenants.
pub struct Documents {
    objects: Arc<dyn ObjectStore>,
    /// Of a directory: itself.
    root: Option<PathBuf>,
    /// Held from reading a version to writing the next.
    writing: tokio::sync::Mutex<()>,
}

/// A document with its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// What is written.
    pub bytes: Bytes,
    /// Which writing that was; visible characters without blanks or quotes.
    pub version: String,
}

/// What a writer has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// No document.
    None,
    /// This version.
    Version(String),
}

/// Why a document was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// There is another version than the writer has seen, or none.
    #[error("the version does not match: the limits were changed meanwhile")]
    OtherVersion,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Documents {
    /// In a directory, which is made if it is missing.
    pub fn local(directory: &std::path::Path) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Directory { path: directory.to_path_buf(), source };
        create_durably(directory).map_err(failed)?;
        let objects = LocalFileSystem::new_with_prefix(directory).map_err(|error| failed(std::io::Error::other(error)))?;
        Ok(Documents {
            objects: Arc::new(objects.with_fsync(true)),
            root: Some(directory.to_path_buf()),
            writing: tokio::sync::Mutex::new(()),
        })
    }

    /// In a bucket.
    pub fn remote(bucket: Bucket) -> Self {
        Documents { objects: bucket.objects, root: None, writing: tokio::sync::Mutex::new(()) }
    }

    /// The tenants that have a document.
    pub async fn tenants(&self) -> Result<Vec<TenantId>, StoreError> {
        let folder = folder();
        let listed = match self.objects.list_with_delimiter(Some(&folder)).await {
            Err(object_store::Error::NotFound { .. }) => return Ok(Vec::new()),
            listed => listed.map_err(|error| failure("list", &folder, error))?,
        };
        let name = |path: &Path| path.filename().and_then(|name| TenantId::parse(name).ok());
        Ok(listed.common_prefixes.iter().filter_map(name).collect())
    }

    /// A tenant's document, if it has one.
    pub async fn read(&self, tenant: &TenantId) -> Result<Option<Document>, StoreError> {
        let path = path(tenant);
        let failed = |error| failure("read", &path, error);
        let found = match self.objects.get(&path).await {
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            found => found.map_err(failed)?,
        };
        let version = found.meta.e_tag.clone();
        let bytes = found.bytes().await.map_err(failed)?;
        let version = version_of(version.as_deref(), &bytes);
        Ok(Some(Document { bytes, version }))
    }

    /// Puts a document in the place of the one that the writer has seen. Gives the new version.
    ///
    /// # Errors
    /// [`WriteError::OtherVersion`] if there is another one.
    pub async fn replace(&self, tenant: &TenantId, seen: &Seen, bytes: Bytes) -> Result<String, WriteError> {
        let _writing = self.writing.lock().await;
        self.check(tenant, seen).await?;
        Ok(self.write(tenant, bytes).await?)
    }

    /// Puts what `change` makes of a document in its place, whatever its version.
    ///
    /// # Errors
    /// Those of `change`.
    pub async fn change<E: From<StoreError>>(
        &self,
        tenant: &TenantId,
        change: impl FnOnce(Option<Document>) -> Result<Bytes, E>,
    ) -> Result<Document, E> {
        let _writing = self.writing.lock().await;
        let bytes = change(self.read(tenant).await?)?;
        let version = self.write(tenant, bytes.clone()).await?;
        Ok(Document { bytes, version })
    }

    /// Deletes the document that the writer has seen.
    ///
    /// # Errors
    /// [`WriteError::OtherVersion`] if there is another one.
    pub async fn delete(&self, tenant: &TenantId, seen: &Seen) -> Result<(), WriteError> {
        let _writing = self.writing.lock().await;
        self.check(tenant, seen).await?;
        let path = path(tenant);
        match self.objects.delete(&path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(WriteError::Store(failure("delete", &path, error))),
        }
    }

    async fn check(&self, tenant: &TenantId, seen: &Seen) -> Result<(), WriteError> {
        let there = self.read(tenant).await?.map_or(Seen::None, |document| Seen::Version(document.version));
        if there == *seen { Ok(()) } else { Err(WriteError::OtherVersion) }
    }

    async fn write(&self, tenant: &TenantId, bytes: Bytes) -> Result<String, StoreError> {
        let path = path(tenant);
        if let Some(root) = &self.root {
            let folder = root.join(folder().as_ref()).join(tenant.as_str());
            let made = folder.clone();
            let done = tokio::task::spawn_blocking(move || create_durably(&made)).await;
            let done = done.unwrap_or_else(|error| Err(std::io::Error::other(error)));
            done.map_err(|source| StoreError::Directory { path: folder, source })?;
        }
        let put = self.objects.put(&path, bytes.clone().into()).await.map_err(|error| failure("write", &path, error))?;
        Ok(version_of(put.e_tag.as_deref(), &bytes))
    }
}

fn folder() -> Path {
    Path::from("overrides")
}

fn path(tenant: &TenantId) -> Path {
    let text = format!("overrides/{tenant}/overrides.json");
    Path::parse(&text).unwrap_or_else(|_| Path::from(text))
}

/// A store that gives no tag has the checksum of what is written as its version.
fn version_of(tag: Option<&str>, bytes: &[u8]) -> String {
    let tag = tag.map(|tag| tag.trim_start_matches("W/").trim_matches('"')).filter(|tag| !tag.is_empty());
    tag.map_or_else(|| format!("{:08x}", crc32c::crc32c(bytes)), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_writer_has_to_have_seen_the_version() {
        let directory = tempfile::tempdir().expect("a directory");
        let documents = Documents::local(directory.path()).expect("a directory");
        let tenant = TenantId::parse("a*b").expect("legal");
        assert_eq!((documents.tenants().await.expect("listed"), documents.read(&tenant).await.expect("read")), (vec![], None));
        let other = Seen::Version("x".to_string());
        assert!(matches!(documents.replace(&tenant, &other, Bytes::from("1")).await, Err(WriteError::OtherVersion)));
        let first = documents.replace(&tenant, &Seen::None, Bytes::from("1")).await.expect("written");
        let read = documents.read(&tenant).await.expect("read").expect("there");
        assert_eq!(read, Document { bytes: Bytes::from("1"), version: first.clone() });
        assert!(matches!(documents.replace(&tenant, &Seen::None, Bytes::from("2")).await, Err(WriteError::OtherVersion)));
        let second = documents.replace(&tenant, &Seen::Version(first.clone()), Bytes::from("22")).await.expect("written");
        assert_ne!(first, second);
        assert_eq!(documents.tenants().await.expect("listed"), std::slice::from_ref(&tenant));
        let changed = documents.change::<StoreError>(&tenant, |read| Ok(read.expect("there").bytes)).await.expect("written");
        assert_eq!(changed.bytes, "22");
        assert_ne!(second, changed.version);
        assert!(matches!(documents.delete(&tenant, &Seen::Version(second)).await, Err(WriteError::OtherVersion)));
        documents.delete(&tenant, &Seen::Version(changed.version)).await.expect("deleted");
        assert_eq!(documents.read(&tenant).await.expect("read"), None);
    }
}
