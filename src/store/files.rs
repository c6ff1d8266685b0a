//! Reading the files of one block: from local disk, or through the cache from the bucket.
//!
//! A request to a bucket costs tens of milliseconds however little it brings, so few large ones are better than many small
//! ones: a file up to [`WHOLE_BYTES`] is fetched whole when anything of it is asked for, and of larger ones the missing
//! chunks are fetched in runs, gaps up to [`GAP_BYTES`] included. What came along is cached, too: the columns of a trace are
//! read in two rounds, and the second one mostly finds what the first one brought.

use super::cache::{CHUNK_BYTES, ChunkKey};
use super::client::{Remote, Store, StoreError};
use super::{local, paths};
use crate::block::BlockMeta;
use crate::block::reader::{RangeRead, ReadFailure};
use crate::block::schema::INDEX_FILE;
use crate::model::{BlockId, TenantId};
use bytes::{Bytes, BytesMut};
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

/// Files up to this size are fetched whole.
const WHOLE_BYTES: u64 = 4 << 20;
/// Chunks that are this far apart are fetched with one request: at 100 MB/s the gap takes less time than a second request.
const GAP_BYTES: u64 = 1 << 20;
/// More than this is fetched with several requests at the same time, which is faster, and none of which takes too long.
const MOST_BYTES: u64 = 16 << 20;

/// How long a read of the bucket may take, repetitions included, and how much longer for what it brings. A bucket that sends a
/// byte a second is no better than one that is gone: whoever waits for it keeps others from their turn.
const PATIENCE: Duration = Duration::from_secs(15);
const SLOWEST_BYTES_A_SECOND: u64 = 512 << 10;

/// Reads the files of one block; only outside of async code, since it waits.
pub struct BlockFiles {
    store: Store,
    tenant: TenantId,
    id: BlockId,
    runtime: Handle,
    /// Of a remote store: the block may be in the spool, or kept after it was moved. From where it has gone it stays away.
    may_be_local: [AtomicBool; 2],
    /// Of a remote store: the files' sizes, by which chunks are cut.
    sizes: OnceLock<HashMap<Arc<str>, u64>>,
}

impl BlockFiles {
    pub(super) fn new(store: Store, tenant: TenantId, id: BlockId) -> Self {
        let may_be_local = [AtomicBool::new(true), AtomicBool::new(true)];
        BlockFiles { store, tenant, id, runtime: Handle::current(), may_be_local, sizes: OnceLock::new() }
    }

    /// The same files with their sizes, which else would have to be asked for.
    pub(super) fn of(self, meta: &BlockMeta) -> Self {
        // It was made a moment ago, so nobody has set them.
        let _ = self.sizes.set(sizes_of(meta));
        self
    }

    async fn read_async(&self, file: &str, ranges: &[Range<u64>], cached: bool) -> Result<Vec<Bytes>, StoreError> {
        let path = paths::file(&self.tenant, &self.id, file);
        let Some(remote) = self.store.remote() else { return near_ranges(&self.store, &path, ranges).await };
        // In this order: a block that is moved meanwhile is found where it goes to.
        for (place, may_be_there) in [&remote.spool, &remote.kept].into_iter().zip(&self.may_be_local) {
            if !may_be_there.load(Relaxed) {
                continue;
            }
            match near_ranges(place, &path, ranges).await {
                Ok(parts) => return Ok(parts),
                // Only the spool has something that is nowhere else; a copy that cannot be read is none.
                Err(StoreError::NotFound(_)) => may_be_there.store(place.block_exists(&self.tenant, &self.id).await?, Relaxed),
                Err(error) if std::ptr::eq(place, &remote.spool) => return Err(error),
                Err(_) => may_be_there.store(false, Relaxed),
            }
        }
        match self.size(file).await.filter(|_| cached) {
            Some((file, bytes)) => Reading { files: self, remote, file, bytes }.ranges(ranges).await,
            None => read_in_time(&self.store, &path, ranges).await,
        }
    }

    /// Name and size of a file. Nothing is known of the files of a block that is just being written.
    async fn size(&self, file: &str) -> Option<(Arc<str>, u64)> {
        if self.sizes.get().is_none() {
            let bytes = self.store.get(&paths::meta(&self.tenant, &self.id)).await.ok()?;
            let _ = self.sizes.set(sizes_of(&BlockMeta::parse(&bytes).ok()?));
        }
        self.sizes.get()?.get_key_value(file).map(|(name, bytes)| (Arc::clone(name), *bytes))
    }
}

fn sizes_of(meta: &BlockMeta) -> HashMap<Arc<str>, u64> {
    meta.files.iter().map(|file| (Arc::from(file.name.as_str()), file.bytes)).collect()
}

impl RangeRead for BlockFiles {
    fn read(&self, file: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, ReadFailure> {
        self.runtime.block_on(self.read_async(file, ranges, true)).map_err(|error| ReadFailure(error.to_string()))
    }
}

/// The files of a block while it is opened. Index, filters and footers are kept by the reader, so they need not be in the
/// cache, too; but a short file is fetched whole instead of its footer alone, so that what is read of it later is there.
pub(super) struct Opening(pub Arc<BlockFiles>);

impl RangeRead for Opening {
    fn read(&self, file: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, ReadFailure> {
        let is_kept_whole = file == INDEX_FILE || file.starts_with("bloom-");
        let is_short = self.0.sizes.get().and_then(|sizes| sizes.get(file)).is_some_and(|bytes| *bytes <= CHUNK_BYTES);
        let read = self.0.read_async(file, ranges, is_short && !is_kept_whole);
        self.0.runtime.block_on(read).map_err(|error| ReadFailure(error.to_string()))
    }
}

/// One read of one file of the bucket.
struct Reading<'a> {
    files: &'a BlockFiles,
    remote: &'a Remote,
    file: Arc<str>,
    /// Size of the file.
    bytes: u64,
}

impl Reading<'_> {
    async fn ranges(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, StoreError> {
        let mut chunks = HashMap::new();
        let mut missing = BTreeSet::new();
        for range in ranges {
            if range.start > range.end || range.end > self.bytes {
                return Err(StoreError::OutOfFile { path: self.path(), range: range.clone(), bytes: self.bytes });
            }
            for chunk in chunks_of(range) {
                if chunks.contains_key(&chunk) || missing.contains(&chunk) {
                    continue;
                }
                match self.remote.cache.get(&self.key(chunk)) {
                    Some(bytes) => drop(chunks.insert(chunk, bytes)),
                    None => drop(missing.insert(chunk)),
                }
            }
        }
        let counts = &self.remote.instruments;
        if missing.is_empty() {
            counts.cache_hits.inc(1)
        } else {
            counts.cache_misses.inc(1)
        }
        self.fetch(missing, &mut chunks).await?;
        Ok(ranges.iter().map(|range| join(range, &chunks)).collect())
    }

    /// Fetches runs of chunks at the same time, and caches what they bring.
    async fn fetch(&self, missing: BTreeSet<u64>, chunks: &mut HashMap<u64, Bytes>) -> Result<(), StoreError> {
        let mut requests = JoinSet::new();
        for run in runs(&missing, self.bytes) {
            let (store, path) = (self.files.store.clone(), self.path());
            requests.spawn(async move { (run.clone(), read_in_time(&store, &path, &[run]).await) });
        }
        while let Some(done) = requests.join_next().await {
            let (run, read) = done.map_err(|_| StoreError::Interrupted)?;
            let bytes = read?.pop().unwrap_or_default();
            if bytes.len() as u64 != run.end - run.start {
                return Err(StoreError::OutOfFile { path: self.path(), range: run, bytes: bytes.len() as u64 });
            }
            for chunk in chunks_of(&run) {
                let at = (chunk * CHUNK_BYTES - run.start) as usize;
                let end = (at + CHUNK_BYTES as usize).min(bytes.len());
                // A copy, since a slice would keep the whole answer in memory.
                let part = Bytes::copy_from_slice(&bytes[at..end]);
                self.remote.cache.insert(self.key(chunk), part.clone());
                chunks.insert(chunk, part);
            }
        }
        Ok(())
    }

    fn key(&self, chunk: u64) -> ChunkKey {
        ChunkKey { block: self.files.id, file: Arc::clone(&self.file), chunk }
    }

    fn path(&self) -> object_store::path::Path {
        paths::file(&self.files.tenant, &self.files.id, &self.file)
    }
}

/// Reads ranges of an object on local disk. They are mostly in the page cache, and going to another thread for them would take
/// longer than reading; whoever reads a block is on a thread that may wait.
async fn near_ranges(store: &Store, path: &object_store::path::Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, StoreError> {
    match store.file_of(path) {
        Some(file) => local::read(&file, path, ranges),
        None => store.get_ranges(path, ranges).await,
    }
}

/// Reads ranges of an object of the bucket, unless that takes too long.
async fn read_in_time(store: &Store, path: &object_store::path::Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, StoreError> {
    let bytes = ranges.iter().map(|range| range.end.saturating_sub(range.start)).sum();
    let patience = PATIENCE + Duration::from_secs(bytes / SLOWEST_BYTES_A_SECOND);
    let late = |_| StoreError::TooSlow { path: path.clone(), bytes, seconds: patience.as_secs() };
    tokio::time::timeout(patience, store.get_ranges(path, ranges)).await.map_err(late)?
}

/// Numbers of the chunks that hold a range.
fn chunks_of(range: &Range<u64>) -> Range<u64> {
    if range.is_empty() { 0..0 } else { range.start / CHUNK_BYTES..range.end.div_ceil(CHUNK_BYTES) }
}

/// The ranges to fetch for missing chunks, ascending, of a file of so many bytes.
fn runs(missing: &BTreeSet<u64>, bytes: u64) -> Vec<Range<u64>> {
    if missing.is_empty() {
        return Vec::new();
    }
    if bytes <= WHOLE_BYTES {
        return std::iter::once(0..bytes).collect();
    }
    let mut runs: Vec<Range<u64>> = Vec::new();
    for chunk in missing {
        let range = chunk * CHUNK_BYTES..((chunk + 1) * CHUNK_BYTES).min(bytes);
        match runs.last_mut() {
            Some(last) if range.start - last.end <= GAP_BYTES && range.end - last.start <= MOST_BYTES => last.end = range.end,
            _ => runs.push(range),
        }
    }
    runs
}

/// The bytes of a range from its chunks, which are all there.
fn join(range: &Range<u64>, chunks: &HashMap<u64, Bytes>) -> Bytes {
    let part = |chunk: u64| {
        let start = chunk * CHUNK_BYTES;
        let bytes = chunks.get(&chunk).cloned().unwrap_or_default();
        let end = ((range.end - start) as usize).min(bytes.len());
        bytes.slice((range.start.saturating_sub(start) as usize).min(end)..end)
    };
    let wanted = chunks_of(range);
    if wanted.end - wanted.start <= 1 {
        return wanted.map(part).next().unwrap_or_default();
    }
    let mut joined = BytesMut::with_capacity((range.end - range.start) as usize);
    wanted.for_each(|chunk| joined.extend_from_slice(&part(chunk)));
    joined.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn near_chunks_are_fetched_together_and_short_files_whole() {
        const C: u64 = CHUNK_BYTES;
        let runs = |missing: &[u64], bytes: u64| runs(&missing.iter().copied().collect(), bytes);
        assert_eq!(runs(&[], 100 * C), []);
        assert_eq!(runs(&[1], WHOLE_BYTES), std::iter::once(0..WHOLE_BYTES).collect::<Vec<_>>());
        let far = 5 + GAP_BYTES / C + 1;
        assert_eq!(runs(&[1, 3, 4, far + 1], 100 * C + 7), [C..5 * C, (far + 1) * C..(far + 2) * C]);
        assert_eq!(runs(&[1, 4, far - 1, 100], 100 * C + 7), [C..far * C, 100 * C..100 * C + 7]);
        let most = MOST_BYTES / C;
        assert_eq!(runs(&(0..most + 1).collect::<Vec<_>>(), 1000 * C), [0..MOST_BYTES, MOST_BYTES..MOST_BYTES + C]);
    }

    proptest! {
        #[test]
        fn chunks_give_back_every_range(bytes in 1u64..1_200_000, ends in (any::<prop::sample::Index>(), any::<prop::sample::Index>())) {
            let file: Vec<u8> = (0..bytes).map(|at| ((at * 31) >> 3) as u8).collect();
            let (one, other) = (ends.0.index(file.len() + 1) as u64, ends.1.index(file.len() + 1) as u64);
            let range = one.min(other)..one.max(other);
            let chunks = file.chunks(CHUNK_BYTES as usize).enumerate().map(|(at, part)| (at as u64, Bytes::copy_from_slice(part)));
            let joined = join(&range, &chunks.collect());
            prop_assert_eq!(&joined[..], &file[range.start as usize..range.end as usize]);
        }
    }
}
