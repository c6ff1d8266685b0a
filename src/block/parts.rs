//! The parts of blocks that are kept in memory: one budget for all blocks of the process.
//!
//! What a query needs of a block before it reads columns (footers, index, filters, summaries, resources) costs 150 KiB and more
//! per block. It stays as long as there is room, and is read again, and verified again, when it is needed after it had to
//! go. Filters have a quarter of the budget for themselves: every lookup of a trace asks those of every block, and one search
//! over many blocks must not push them out. So has another quarter what lookups decode of row groups, of which there is much. Which
//! parts stay is quick_cache's business.

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Bytes of memory that something holds, about.
pub(super) trait Weighed: Send + Sync + 'static {
    /// Bytes held.
    fn memory(&self) -> usize;
}

/// Which part of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum PartKind {
    /// `bloom-<n>`, all of them.
    Bloom,
    /// `index`.
    Index,
    /// The footer of one of the Parquet files.
    Table(u8),
    /// Rows of `traces.parquet`.
    Traces,
    /// Rows of `resources.parquet`.
    Resources,
    /// Rows of `scopes.parquet`.
    Scopes,
    /// `catalogue`.
    Catalogue,
    /// The dictionary of a column chunk, by table, row group and leaf.
    Dictionary(u8, u32, u32),
    /// A decompressed page, by table, row group, leaf and number in its chunk.
    Page(u8, u32, u32, u32),
    /// Which rows have rare attributes, by table of these and row group.
    RareRows(u8, u32),
}

/// An opened block (not its id: what a block was taken out for must not come back with it), and which part.
type Key = (u64, PartKind);

#[derive(Clone)]
struct Held {
    part: Arc<dyn Any + Send + Sync>,
    bytes: u64,
}

#[derive(Clone)]
struct Bytewise;

impl Weighter<Key, Held> for Bytewise {
    fn weight(&self, _: &Key, held: &Held) -> u64 {
        held.bytes
    }
}

/// Parts of blocks, bounded by their bytes.
pub struct PartCache {
    filters: Cache<Key, Held, Bytewise>,
    of_groups: Cache<Key, Held, Bytewise>,
    others: Cache<Key, Held, Bytewise>,
    num_blocks: AtomicU64,
}

/// What an entry costs besides its part.
const ENTRY_BYTES: usize = 128;

impl PartCache {
    /// At most so many bytes. What is larger than that is not kept.
    pub fn new(max_bytes: u64) -> Self {
        let (filters, of_groups) = (max_bytes / 4, max_bytes / 4);
        let others = bounded(max_bytes - filters - of_groups);
        PartCache { filters: bounded(filters), of_groups: bounded(of_groups), others, num_blocks: AtomicU64::new(0) }
    }

    /// A number for a block whose parts will be here.
    pub(super) fn number_block(&self) -> u64 {
        self.num_blocks.fetch_add(1, Relaxed)
    }

    pub(super) fn get<T: Weighed>(&self, block: u64, kind: PartKind) -> Option<Arc<T>> {
        self.of(kind).get(&(block, kind)).and_then(|held| held.part.downcast().ok())
    }

    pub(super) fn insert<T: Weighed>(&self, block: u64, kind: PartKind, part: &Arc<T>) {
        let bytes = (part.memory() + ENTRY_BYTES) as u64;
        self.of(kind).insert((block, kind), Held { part: Arc::clone(part) as Arc<dyn Any + Send + Sync>, bytes });
    }

    /// Forgets a block.
    pub(super) fn remove(&self, block: u64) {
        use PartKind::{Bloom, Catalogue, Index, Resources, Scopes, Table, Traces};
        let tables = (0..super::reader::NUM_TABLES as u8).map(Table);
        for kind in [Bloom, Index, Traces, Resources, Scopes, Catalogue].into_iter().chain(tables) {
            self.of(kind).remove(&(block, kind));
        }
        self.of_groups.retain(|(of, _), _| *of != block);
    }

    /// Bytes held now.
    pub fn bytes(&self) -> u64 {
        self.filters.weight() + self.of_groups.weight() + self.others.weight()
    }

    fn of(&self, kind: PartKind) -> &Cache<Key, Held, Bytewise> {
        match kind {
            PartKind::Bloom => &self.filters,
            PartKind::Dictionary(..) | PartKind::Page(..) | PartKind::RareRows(..) => &self.of_groups,
            _ => &self.others,
        }
    }
}

/// One shard, since parts are large against the budget and a shard takes none that is larger than itself.
fn bounded(max_bytes: u64) -> Cache<Key, Held, Bytewise> {
    let options = OptionsBuilder::new().shards(1).estimated_items_capacity(1024).weight_capacity(max_bytes).build();
    let options = options.expect("all that is required is set");
    Cache::with_options(options, Bytewise, DefaultHashBuilder::default(), DefaultLifecycle::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Weighed for Vec<u8> {
        fn memory(&self) -> usize {
            self.len()
        }
    }

    #[test]
    fn bytes_are_bounded_and_filters_kept_from_the_rest() {
        let cache = PartCache::new(1 << 20);
        let bloom = Arc::new(vec![1u8; 100_000]);
        cache.insert(0, PartKind::Bloom, &bloom);
        for block in 0..1_000 {
            cache.insert(block, PartKind::Table(0), &Arc::new(vec![block as u8; 10_000]));
            assert!(cache.bytes() <= 1 << 20, "{}", cache.bytes());
        }
        assert_eq!(cache.get::<Vec<u8>>(0, PartKind::Bloom), Some(bloom));
        let kept: Vec<u64> = (0..1_000).filter(|block| cache.get::<Vec<u8>>(*block, PartKind::Table(0)).is_some()).collect();
        assert!(kept.len() > 50, "{}", kept.len());
        kept.iter().for_each(|block| cache.remove(*block));
        assert!(kept.iter().all(|block| cache.get::<Vec<u8>>(*block, PartKind::Table(0)).is_none()));
        // What belongs to row groups is bounded by itself, and goes with its block.
        for group in 0..100 {
            cache.insert(2, PartKind::Dictionary(0, group, 7), &Arc::new(vec![0u8; 10_000]));
        }
        let kept = |block| (0..100).filter(|group| cache.get::<Vec<u8>>(block, PartKind::Dictionary(0, *group, 7)).is_some()).count();
        assert!((1..=26).contains(&kept(2)) && kept(1) == 0, "{}", kept(2));
        cache.remove(2);
        assert_eq!(kept(2), 0);
        // More than all others together may have.
        cache.insert(1, PartKind::Traces, &Arc::new(vec![0u8; 2 << 20]));
        assert!(cache.bytes() <= 1 << 20, "{}", cache.bytes());
    }
}
