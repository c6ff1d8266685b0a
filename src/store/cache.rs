//! What was read from the bucket, kept in memory up to a number of bytes.
//!
//! Files are immutable, so nothing in here ever gets old. They are cached in chunks at fixed offsets, so that reads that
//! overlap share them. Which chunks stay is quick_cache's business (S3-FIFO: one pass over much data does not push out what
//! is used again and again). Local files are not cached: the operating system does it.

use crate::model::BlockId;
use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use std::sync::Arc;

/// Bytes of a chunk. Larger ones read more than is asked for, smaller ones cost more lookups and joints.
pub(super) const CHUNK_BYTES: u64 = 256 << 10;

/// One chunk of one file of one block.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ChunkKey {
    pub block: BlockId,
    pub file: Arc<str>,
    /// Its number; it begins at this times [`CHUNK_BYTES`].
    pub chunk: u64,
}

#[derive(Clone)]
struct Bytewise;

impl Weighter<ChunkKey, Bytes> for Bytewise {
    fn weight(&self, _: &ChunkKey, bytes: &Bytes) -> u64 {
        // The entry itself counts too, so that many short files do not grow past the bound.
        bytes.len() as u64 + 128
    }
}

/// Chunks of files, bounded by their bytes.
pub(super) struct ChunkCache {
    chunks: Cache<ChunkKey, Bytes, Bytewise>,
}

impl ChunkCache {
    /// At most so many bytes; 0 keeps nothing.
    pub fn new(max_bytes: u64) -> Self {
        let expected = usize::try_from(max_bytes / CHUNK_BYTES).unwrap_or(usize::MAX).clamp(16, 1 << 16);
        ChunkCache { chunks: Cache::with_weighter(expected, max_bytes, Bytewise) }
    }

    pub fn get(&self, key: &ChunkKey) -> Option<Bytes> {
        self.chunks.get(key)
    }

    pub fn insert(&self, key: ChunkKey, bytes: Bytes) {
        self.chunks.insert(key, bytes);
    }

    /// Bytes held now.
    pub fn bytes(&self) -> u64 {
        self.chunks.weight()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_bounded() {
        let cache = ChunkCache::new(8 << 20);
        let block = BlockId::random();
        let file: Arc<str> = "data.parquet".into();
        for chunk in 0..200 {
            let key = ChunkKey { block, file: Arc::clone(&file), chunk };
            cache.insert(key.clone(), Bytes::from(vec![chunk as u8; CHUNK_BYTES as usize]));
            assert!(cache.bytes() <= 8 << 20, "{}", cache.bytes());
        }
        let kept = (0..200).filter_map(|chunk| Some((chunk, cache.get(&ChunkKey { block, file: Arc::clone(&file), chunk })?)));
        let kept: Vec<(u64, Bytes)> = kept.collect();
        assert!(kept.len() > 8, "{}", kept.len());
        assert!(kept.iter().all(|(chunk, bytes)| bytes[0] == *chunk as u8));
    }
}
