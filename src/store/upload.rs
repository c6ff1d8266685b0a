//! Writing the files of a block as they come about, without holding them in memory.

use super::client::{Store, StoreError, failure};
use super::paths;
use crate::block::output::{BlockSink, SinkFile};
use crate::model::{BlockId, TenantId};
use bytes::Bytes;
use object_store::MultipartUpload;
use object_store::path::Path;
use std::io::{self, Write};
use tokio::runtime::Handle;

/// Bytes of a part, if the operator has not set more: S3 takes at most 10,000 parts of at least 5 MiB.
const PART_BYTES: usize = 8 << 20;

/// Writes the files of one block; only outside of async code, since it waits. A file of less than 8 MiB is one request, a
/// larger one an upload in parts. A crash leaves parts behind: a local store's are swept with the block's folder, those in
/// a bucket by its rule for unfinished uploads.
pub struct StoreSink {
    store: Store,
    tenant: TenantId,
    id: BlockId,
    runtime: Handle,
}

impl Store {
    /// Takes the files of a new block, from threads that may block.
    pub fn block_sink(&self, tenant: &TenantId, id: &BlockId) -> StoreSink {
        StoreSink { store: self.clone(), tenant: tenant.clone(), id: *id, runtime: Handle::current() }
    }
}

impl BlockSink for StoreSink {
    fn create(&self, file: &str) -> io::Result<Box<dyn SinkFile>> {
        let path = paths::file(&self.tenant, &self.id, file);
        Ok(Box::new(Upload { store: self.store.clone(), path, runtime: self.runtime.clone(), buffer: Vec::new(), parts: None }))
    }
}

/// A file on its way.
struct Upload {
    store: Store,
    path: Path,
    runtime: Handle,
    /// What is not yet a part.
    buffer: Vec<u8>,
    /// Set once there was a first part.
    parts: Option<Box<dyn MultipartUpload>>,
}

impl Upload {
    fn send_part(&mut self) -> Result<(), StoreError> {
        let part = Bytes::from(std::mem::take(&mut self.buffer));
        let failed = |error| failure("write", &self.path, error);
        self.runtime.block_on(async {
            let parts = match &mut self.parts {
                Some(parts) => parts,
                None => {
                    self.store.make_folder(&self.path).await?;
                    self.parts.insert(self.store.start_upload(&self.path).await.map_err(failed)?)
                }
            };
            parts.put_part(part.into()).await.map_err(failed)
        })
    }
}

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PART_BYTES.max(usize::try_from(self.store.part_bytes()).unwrap_or(0)) {
            self.send_part().map_err(io::Error::other)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl SinkFile for Upload {
    fn finish(mut self: Box<Self>) -> io::Result<()> {
        if self.parts.is_none() {
            let whole = Bytes::from(std::mem::take(&mut self.buffer));
            return self.runtime.block_on(self.store.put(&self.path, whole)).map_err(io::Error::other);
        }
        if !self.buffer.is_empty() {
            self.send_part().map_err(io::Error::other)?;
        }
        let Some(parts) = &mut self.parts else { return Ok(()) };
        let completed = self.runtime.block_on(parts.complete());
        completed.map_err(|error| io::Error::other(failure("write", &self.path, error)))?;
        self.parts = None;
        Ok(())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(mut parts) = self.parts.take() {
            // Best effort; what stays is no block.
            let _ = self.runtime.block_on(parts.abort());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn files_of_any_length_arrive_whole_or_not_at_all() {
        let root = tempfile::tempdir().expect("a temporary directory");
        let store = Store::local(root.path()).expect("writable");
        let (tenant, id) = (TenantId::single(), BlockId::random());
        let sink = store.block_sink(&tenant, &id);
        let lengths = [0, 10, PART_BYTES, PART_BYTES + 1, 3 * PART_BYTES - 5];
        let write = move || {
            for length in lengths {
                let mut file = sink.create(&format!("f{length}")).expect("writable");
                for piece in contents(length).chunks(777_777) {
                    file.write_all(piece).expect("writable");
                }
                file.finish().expect("writable");
            }
            let mut unfinished = sink.create("unfinished").expect("writable");
            unfinished.write_all(&contents(PART_BYTES + 5)).expect("writable");
        };
        tokio::task::spawn_blocking(write).await.expect("no panic");
        for length in lengths {
            let path = paths::file(&tenant, &id, &format!("f{length}"));
            assert_eq!(store.get(&path).await.expect("readable"), contents(length), "{length} bytes");
        }
        let unfinished = paths::file(&tenant, &id, "unfinished");
        assert!(matches!(store.get(&unfinished).await, Err(StoreError::NotFound(_))));
    }

    fn contents(length: usize) -> Vec<u8> {
        (0..length).map(|at| (at % 251) as u8).collect()
    }
}
