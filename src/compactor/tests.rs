//! The compactor over a store in a directory.

use super::*;
use crate::block::output::FilesInMemory;
use crate::block::reader::Block;
use crate::block::{BlockInput, BlockMeta, NewBlock, write_block};
use crate::columns::Chunk;
use crate::columns::decode::append;
use crate::model::{TraceId, UnixNanos};
use crate::proto::otlp::{ExportTraceServiceRequest, ResourceSpans, ScopeSpans, Span};
use crate::store::paths;
use bytes::Bytes;
use prost::Message;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;
use tempfile::TempDir;

/// Now, so that retention leaves blocks alone.
fn now() -> u64 {
    UnixNanos::now().0
}

fn trace_id(trace: u64) -> TraceId {
    TraceId((u128::from(trace) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_be_bytes())
}

fn span(trace: u64, id: u64, start: u64) -> Span {
    Span {
        trace_id: trace_id(trace).0.to_vec(),
        span_id: (id + 1).to_be_bytes().to_vec(),
        name: format!("step {}", id % 5),
        start_time_unix_nano: start + id,
        end_time_unix_nano: start + id + 1000,
        ..Span::default()
    }
}

fn encode(spans: Vec<Span>, created: u64) -> NewBlock {
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let request = ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }] };
    let mut chunk = Chunk::default();
    append(&mut chunk, &request.encode_to_vec(), 1, None).expect("well formed");
    let tenant = TenantId::single();
    let input = BlockInput { id: BlockId::random(), tenant: &tenant, sources: &[&chunk], takes: &|_| true, created: UnixNanos(created) };
    write_block(&input).expect("own spans").expect("there are spans")
}

/// Two spans of each trace; which two is told by `ids`.
fn block_of(traces: Range<u64>, ids: Range<u64>, start: u64) -> NewBlock {
    encode(traces.flat_map(|trace| ids.clone().map(move |id| span(trace, id, start))).collect(), start)
}

/// A store with a compactor.
struct Place {
    dir: TempDir,
    store: Store,
    lists: Arc<BlockLists>,
    compactor: Arc<Compactor>,
    settled: Arc<Settled>,
    tenant: TenantId,
}

/// A log that remembers blocks, or cannot.
#[derive(Default)]
struct Settled {
    blocks: Mutex<HashSet<BlockId>>,
    is_broken: AtomicBool,
}

impl Settled {
    fn settle(&self, block: &BlockId) -> std::io::Result<()> {
        if self.is_broken.load(Relaxed) {
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        self.blocks.lock().insert(*block);
        Ok(())
    }
}

impl Place {
    fn new(retention: Option<Duration>) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let store = Store::local(dir.path()).expect("writable");
        let lists = Arc::new(BlockLists::default());
        let config = CompactorConfig {
            is_enabled: true,
            window: Duration::from_secs(3600),
            cycle: Duration::from_millis(1),
            max_block_bytes: 1 << 30,
            max_block_traces: 1_000_000,
            num_jobs: 2,
        };
        let memory = crate::runtime::memory::Memory::new(0);
        let settled = Arc::new(Settled::default());
        let settling = Arc::clone(&settled);
        let settle = Arc::new(move |block: &BlockId| settling.settle(block));
        let surroundings = Surroundings { is_quiet: Box::new(|_| true), retention: Box::new(move |_| retention), settle, memory };
        let compactor = Compactor::new(config, store.clone(), Arc::clone(&lists), surroundings);
        Place { dir, store, lists, compactor, settled, tenant: TenantId::single() }
    }

    /// Writes the files of a block, `meta.json` too if it is to exist.
    async fn put(&self, new: &NewBlock, exists: bool) -> BlockId {
        let id = BlockId::parse(&new.meta.block_id).expect("our own");
        for (name, bytes) in &new.files {
            self.store.put(&paths::file(&self.tenant, &id, name), bytes.clone()).await.expect("writable");
        }
        if exists {
            self.store.put(&paths::meta(&self.tenant, &id), new.meta.to_json().into()).await.expect("writable");
        }
        id
    }

    /// A block as it comes from the ingester.
    async fn add(&self, mut new: NewBlock) -> Arc<Block> {
        let list = self.lists.of(&self.tenant);
        let blocks = list.snapshot();
        let is_split = |id: &&TraceId| blocks.iter().any(|block| block.find(id).expect("readable").is_some());
        new.meta.split = new.trace_ids.iter().filter(is_split).map(TraceId::to_string).collect();
        let id = self.put(&new, true).await;
        let files = Arc::new(self.store.block_files(&self.tenant, &id));
        let block = Arc::new(Block::open_with(id, new.meta, &FilesInMemory(new.files), files, Some(self.store.parts())).expect("our own"));
        list.add(Arc::clone(&block));
        block
    }

    async fn compact(&self, inputs: &[&Arc<Block>]) -> Result<(), job::JobError> {
        self.compactor.compact(&self.tenant, inputs.iter().map(|block| Arc::clone(block)).collect()).await
    }

    fn blocks(&self) -> Arc<Vec<Arc<Block>>> {
        self.lists.of(&self.tenant).snapshot()
    }

    /// The list that the next start would have, and its folders.
    async fn restart(&self) -> (Vec<Arc<Block>>, usize) {
        let lists = BlockLists::default();
        let num_blocks = lists.load(&self.store).await.expect("readable");
        let blocks = lists.of(&self.tenant).snapshot().to_vec();
        assert_eq!(num_blocks, blocks.len());
        (blocks, self.folders())
    }

    fn folders(&self) -> usize {
        std::fs::read_dir(self.dir.path().join(self.tenant.as_str())).map_or(0, Iterator::count)
    }

    /// Runs the loop until nothing waits.
    async fn settle(&self) {
        let stop = watch::channel(()).0;
        let running = tokio::spawn(Arc::clone(&self.compactor).run(stop.subscribe()));
        let is_done = || {
            let waiting = self.compactor.instruments().waiting();
            waiting.iter().any(|_| true) && waiting.iter().all(|(_, waiting)| waiting.blocks == 0)
        };
        for _ in 0..2000 {
            if is_done() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(is_done(), "blocks still wait: {:?}", self.compactor.instruments().waiting());
        drop(stop);
        running.await.expect("no panic");
    }
}

use tokio::sync::watch;

/// Spans of each trace as often as blocks have them; a trace in several blocks must be split.
async fn spans_of(blocks: &[Arc<Block>]) -> BTreeMap<TraceId, Vec<u64>> {
    let blocks = blocks.to_vec();
    let read = move || {
        let mut all: BTreeMap<TraceId, Vec<u64>> = BTreeMap::new();
        let split: Vec<TraceId> = blocks.iter().flat_map(|block| block.split()).copied().collect();
        for block in &blocks {
            for ordinal in 0..block.meta().num_traces as u32 {
                let chunk = block.read_trace(ordinal).expect("own files");
                let id = block.trace_id(ordinal).expect("readable");
                let spans = all.entry(id).or_default();
                assert!(spans.is_empty() || split.contains(&id), "a trace in two blocks is not split");
                spans.extend(&chunk.span_id);
            }
        }
        all.values_mut().for_each(|spans| spans.sort_unstable());
        all
    };
    tokio::task::spawn_blocking(read).await.expect("no panic")
}

fn expected(traces: Range<u64>, ids: Range<u64>) -> BTreeMap<TraceId, Vec<u64>> {
    traces.map(|trace| (trace_id(trace), ids.clone().map(|id| id + 1).collect())).collect()
}

#[tokio::test]
async fn small_blocks_become_one() {
    let place = Place::new(Some(Duration::from_secs(3600)));
    let start = now();
    for ids in [0..2, 2..4, 4..6, 6..8] {
        place.add(block_of(0..50, ids, start)).await;
    }
    place.settle().await;
    let blocks = place.blocks();
    assert_eq!((blocks.len(), blocks[0].meta().level, blocks[0].split().len()), (1, 1, 0));
    assert_eq!(spans_of(&blocks).await, expected(0..50, 0..8));
    assert_eq!(place.compactor.instruments().joined_traces.get(), 50);
    let (restarted, folders) = place.restart().await;
    assert_eq!((restarted.len(), folders), (1, 1));
    assert_eq!(spans_of(&restarted).await, expected(0..50, 0..8));
}

#[tokio::test]
async fn a_query_reads_the_old_blocks_to_its_end() {
    let place = Place::new(None);
    let start = now();
    let inputs = [place.add(block_of(0..9, 0..1, start)).await, place.add(block_of(5..20, 1..2, start)).await];
    let before = place.blocks();
    place.compact(&[&inputs[0], &inputs[1]]).await.expect("own blocks");
    drop(inputs);
    assert_eq!(place.folders(), 3, "the old files stay while a query reads them");
    assert_eq!(spans_of(&before).await, spans_of(&place.blocks()).await);
    drop(before);
    place.compactor.remains.sweep().await;
    assert_eq!(place.folders(), 1);
}

#[tokio::test]
async fn a_crash_at_any_point_shows_each_trace_once() {
    let start = now();
    // How far the swap came: files, meta.json, meta.json of one input deleted, of all, files of one deleted.
    for step in 0..5 {
        let place = Place::new(None);
        let inputs = [place.add(block_of(0..9, 0..2, start)).await, place.add(block_of(4..20, 2..4, start)).await];
        let wanted = spans_of(&place.blocks()).await;
        let kept = block_of(0..9, 0..2, start);
        place.compact(&[&inputs[0], &inputs[1]]).await.expect("own blocks");
        let output = place.blocks()[0].meta().clone();
        let output_meta = paths::meta(&place.tenant, &place.blocks()[0].id());
        drop(kept);
        // Back to what the directory was like at the crash: files of inputs are still there, since the test holds them.
        let metas = inputs.iter().map(|block| (paths::meta(&place.tenant, &block.id()), Bytes::from(block.meta().to_json())));
        let present = [2, 2, 1, 0, 0][step];
        for (path, bytes) in metas.skip(2 - present) {
            place.store.put(&path, bytes).await.expect("writable");
        }
        if step == 0 {
            place.store.delete(&output_meta).await.expect("writable");
        }
        if step == 4 {
            place.store.delete(&paths::file(&place.tenant, &inputs[0].id(), "data.parquet")).await.expect("writable");
        }
        let (restarted, folders) = place.restart().await;
        assert_eq!(spans_of(&restarted).await, wanted, "step {step}");
        let is_output = restarted.iter().any(|block| block.meta().block_id == output.block_id);
        assert_eq!((restarted.len(), folders, is_output), if step == 0 { (2, 2, false) } else { (1, 1, true) }, "step {step}");
    }
}

#[tokio::test]
async fn a_chain_of_interrupted_swaps_ends_with_the_last_block() {
    let place = Place::new(None);
    let start = now();
    let first = [place.add(block_of(0..5, 0..1, start)).await, place.add(block_of(0..5, 1..2, start)).await];
    place.compact(&[&first[0], &first[1]]).await.expect("own blocks");
    let middle = Arc::clone(&place.blocks()[0]);
    let late = place.add(block_of(3..8, 2..3, start)).await;
    place.compact(&[&middle, &late]).await.expect("own blocks");
    let wanted = spans_of(&place.blocks()).await;
    for block in [&first[0], &middle, &late] {
        place.store.put(&paths::meta(&place.tenant, &block.id()), block.meta().to_json().into()).await.expect("writable");
    }
    let (restarted, folders) = place.restart().await;
    assert_eq!((restarted.len(), folders, restarted[0].meta().level), (1, 1, 2));
    assert_eq!(spans_of(&restarted).await, wanted);
}

#[tokio::test]
async fn an_output_that_cannot_be_read_replaces_nothing() {
    let place = Place::new(None);
    let start = now();
    let inputs = [place.put(&block_of(0..5, 0..1, start), true).await, place.put(&block_of(5..9, 0..1, start), true).await];
    let mut output = block_of(0..9, 0..1, start);
    output.meta.level = 1;
    output.meta.replaces = inputs.iter().map(BlockId::to_string).collect();
    for (name, bytes) in output.files.iter_mut().filter(|(name, _)| name == "index") {
        assert_eq!(name, "index");
        *bytes = bytes.slice(1..);
    }
    place.put(&output, true).await;
    let (restarted, folders) = place.restart().await;
    assert_eq!((restarted.len(), folders), (2, 3));
    assert_eq!(spans_of(&restarted).await, expected(0..9, 0..1));
}

#[tokio::test]
async fn a_block_that_claims_to_replace_itself_stays() {
    let place = Place::new(None);
    let mut new = block_of(0..5, 0..1, now());
    new.meta.replaces = vec![new.meta.block_id.clone()];
    new.meta.level = 3;
    place.put(&new, true).await;
    assert_eq!(place.restart().await.0.len(), 1);
}

#[tokio::test]
async fn a_trace_that_other_blocks_have_stays_split() {
    let place = Place::new(None);
    let start = now();
    let inputs = [place.add(block_of(0..5, 0..1, start)).await, place.add(block_of(2..8, 1..2, start)).await];
    // Later blocks list what they share; of earlier ones the inputs tell.
    place.add(block_of(7..9, 2..3, start)).await;
    let early = [place.add(block_of(20..25, 0..1, start)).await, place.add(block_of(23..28, 1..2, start)).await];
    place.compact(&[&inputs[0], &inputs[1]]).await.expect("own blocks");
    spans_of(&place.blocks()).await;
    let other = place.add(block_of(40..41, 0..1, start)).await;
    place.compact(&[&early[1], &other]).await.expect("own blocks");
    spans_of(&place.blocks()).await;
    let output =
        place.blocks().iter().find(|block| block.find(&trace_id(40)).expect("readable").is_some()).cloned().expect("it was merged");
    let mut split = vec![trace_id(23), trace_id(24)];
    split.sort();
    assert_eq!(output.split(), split);
}

#[tokio::test]
async fn a_damaged_input_is_left_alone_and_the_others_are_merged() {
    let place = Place::new(None);
    let start = now();
    let mut damaged = block_of(0..5, 0..1, start);
    for (_, bytes) in damaged.files.iter_mut().filter(|(name, _)| name == "data.parquet") {
        let mut changed = bytes.to_vec();
        changed[20] ^= 1;
        *bytes = changed.into();
    }
    let damaged = place.add(damaged).await;
    for traces in [5..9, 9..12, 12..15] {
        place.add(block_of(traces, 0..1, start)).await;
    }
    place.settle().await;
    let blocks = place.blocks();
    let mut levels: Vec<u32> = blocks.iter().map(|block| block.meta().level).collect();
    levels.sort_unstable();
    assert_eq!((levels, place.folders()), (vec![0, 1], 2));
    assert!(blocks.iter().any(|block| block.id() == damaged.id()), "its undamaged columns can still be read");
    assert_eq!(place.compactor.instruments().failures.get(), 1);
}

#[tokio::test]
async fn blocks_go_when_their_time_is_over() {
    let hour = 3_600_000_000_000;
    let place = Place::new(Some(Duration::from_secs(3600)));
    place.add(block_of(0..5, 0..1, now() - 2 * hour)).await;
    // Spans of long ago that have just arrived stay.
    let mut backfilled = block_of(5..9, 0..1, now() - 1000 * hour);
    backfilled.meta.created_unix_nano = now();
    place.add(backfilled).await;
    place.settle().await;
    assert_eq!(spans_of(&place.blocks()).await, expected(5..9, 0..1));
    assert_eq!((place.folders(), place.compactor.instruments().expired_blocks.get()), (1, 1));
}

#[test]
fn time_counts_from_the_later_of_newest_span_and_arrival() {
    let meta = |created: u64, end: u64| BlockMeta { created_unix_nano: created, end_unix_nano: end, ..block_of(0..1, 0..1, 7).meta };
    let is_expired =
        |created: u64, end: u64, now: u64| retention::is_expired(&meta(created, end), Duration::from_nanos(100), UnixNanos(now));
    assert_eq!([is_expired(1000, 900, 1100), is_expired(1000, 900, 1101)], [false, true]);
    assert_eq!([is_expired(1000, 1050, 1150), is_expired(1000, 1050, 1151)], [false, true]);
    assert_eq!([is_expired(1000, u64::MAX, 1200), is_expired(1000, u64::MAX, 1201)], [false, true]);
}

#[tokio::test]
async fn no_block_is_deleted_before_the_log_knows() {
    let place = Place::new(None);
    let start = now();
    let inputs = [place.add(block_of(0..9, 0..2, start)).await, place.add(block_of(4..20, 2..4, start)).await];
    let ids: Vec<BlockId> = inputs.iter().map(|block| block.id()).collect();
    place.settled.is_broken.store(true, Relaxed);
    place.compact(&inputs.iter().collect::<Vec<_>>()).await.expect("the merge itself needs no log");
    drop(inputs);
    for id in &ids {
        assert!(place.store.block_exists(&place.tenant, id).await.expect("readable"), "its ledger depends on it");
    }
    place.settled.is_broken.store(false, Relaxed);
    place.compactor.remains.sweep().await;
    for id in &ids {
        assert!(!place.store.block_exists(&place.tenant, id).await.expect("readable"));
    }
    assert_eq!(*place.settled.blocks.lock(), ids.into_iter().collect::<HashSet<_>>());
}
