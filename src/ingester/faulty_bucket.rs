//! The ingester over a disk and a bucket that fail in every way, from a seed: what is acknowledged is found once, always.

use super::wal::Options;
use super::{Ingester, IngesterConfig, Taking};
use crate::model::{TenantId, TraceId};
use crate::proto::otlp::{ExportTraceServiceRequest, ResourceSpans, ScopeSpans, Span};
use crate::runtime::memory::Memory;
use crate::store::faulty::{self, BucketInMemory, Faults};
use crate::store::spool::Mover;
use crate::store::{BlockLists, Store};
use bytes::Bytes;
use prost::Message;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A process on the directory.
struct Process {
    ingester: Arc<Ingester>,
    lists: Arc<BlockLists>,
    store: Store,
}

impl Process {
    /// Started while nothing fails: a start that cannot read its blocks rightly refuses.
    async fn start(directory: &Path, bucket: &BucketInMemory, faults: &Faults) -> Self {
        faults.set_per_mille(0);
        let store = faulty::open(bucket, directory, faults);
        let lists = Arc::new(BlockLists::default());
        lists.load(&store).await.expect("no faults");
        let config = IngesterConfig {
            wal_dir: directory.join("wal"),
            wal: Options { segment_bytes: 2000, ..Options::default() },
            max_trace_idle: Duration::ZERO,
            max_block_duration: Duration::from_secs(3600),
            max_head_bytes: 64 << 20,
            check_period: Duration::from_secs(3600),
            memory: Memory::new(0),
        };
        let (ingester, replay) = Ingester::open(config, store.clone(), Arc::clone(&lists)).await.expect("no faults");
        let stop = tokio::sync::watch::channel(()).0;
        Arc::clone(&ingester).load(replay, stop.subscribe()).await;
        assert!(!ingester.is_loading());
        Process { ingester, lists, store }
    }

    /// Spans by trace, as often as they are stored in the head and in blocks.
    async fn spans(&self, tenant: &TenantId) -> BTreeMap<u64, usize> {
        assert_eq!(self.lists.of(tenant).num_unreadable(), 0, "a fault is no damage");
        let snapshot = self.ingester.head(tenant).snapshot();
        let counting = move || {
            let mut found = BTreeMap::new();
            let mut count = |ids: &[u64]| ids.iter().for_each(|id| *found.entry(*id).or_default() += 1);
            snapshot.chunks.iter().for_each(|chunk| count(&chunk.span_id));
            for block in snapshot.blocks.iter() {
                for ordinal in 0..block.meta().num_traces as u32 {
                    count(&block.read_trace(ordinal).expect("no faults now").span_id);
                }
            }
            found
        };
        tokio::task::spawn_blocking(counting).await.expect("no panic")
    }
}

fn request(spans: std::ops::Range<u64>) -> Bytes {
    let span = |id: u64| Span {
        trace_id: TraceId(u128::from(1 + id % 5).to_be_bytes()).0.to_vec(),
        span_id: id.to_be_bytes().to_vec(),
        ..Span::default()
    };
    let scope_spans = vec![ScopeSpans { spans: spans.map(span).collect(), ..ScopeSpans::default() }];
    ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }] }.encode_to_vec().into()
}

/// What happened in a run, for comparison.
type Story = Vec<String>;

async fn run(seed: u64, per_mille: u64) -> Story {
    let (directory, bucket, faults) =
        (tempfile::tempdir().expect("a temporary directory"), BucketInMemory::default(), Faults::seeded(seed));
    let (tenant, mut random, mut next_span) = (TenantId::single(), seed | 1, 1);
    let mut process = Process::start(directory.path(), &bucket, &faults).await;
    let mut story = Story::new();
    for _ in 0..40 {
        faults.set_per_mille(per_mille);
        random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        let mover = Mover::new(process.store.clone(), Arc::clone(&process.lists), Duration::ZERO);
        story.push(match (random >> 33) % 10 {
            0..=3 => {
                let spans = next_span..next_span + 1 + (random >> 40) % 6;
                next_span = spans.end;
                // The log's disk is another matter (`wal::simulation`): here nothing may refuse.
                process.ingester.push(tenant.clone(), request(spans)).await.expect("the log works");
                "push".to_owned()
            }
            4..=6 => format!("flush {}", process.ingester.flush(&tenant, Taking::Everything).await.is_ok()),
            7 | 8 => format!("move {}", mover.move_all().await.is_ok()),
            _ => {
                // As after a kill: nothing of the process is told to end.
                process = Process::start_again(process, directory.path(), &bucket, &faults).await;
                "start".to_owned()
            }
        });
        faults.set_per_mille(0);
        let (found, expected) = (process.spans(&tenant).await, (1..next_span).map(|id| (id, 1)).collect::<BTreeMap<u64, usize>>());
        assert_eq!(found, expected, "seed {seed}: {story:?} {:?}", faults.log());
    }
    // It recovers by itself: everything gets to the bucket.
    process.ingester.flush(&tenant, Taking::Everything).await.expect("no faults");
    Mover::new(process.store.clone(), Arc::clone(&process.lists), Duration::ZERO).move_all().await.expect("no faults");
    let elsewhere = tempfile::tempdir().expect("a temporary directory");
    let other = Process::start(elsewhere.path(), &bucket, &faults).await;
    assert_eq!(other.spans(&tenant).await.len() as u64, next_span - 1, "seed {seed}");
    story.extend(faults.log());
    story
}

impl Process {
    async fn start_again(self, directory: &Path, bucket: &BucketInMemory, faults: &Faults) -> Self {
        // Only so that no two threads write one log; what is acknowledged is in it either way.
        self.ingester.wal().close().await.expect("the log works");
        drop(self);
        Process::start(directory, bucket, faults).await
    }
}

#[tokio::test]
async fn faults_lose_and_double_nothing() {
    for seed in 0..12 {
        let story = run(seed, 120).await;
        assert!(story.len() > 40, "something should fail: {story:?}");
    }
}

#[tokio::test]
async fn the_same_seed_gives_the_same_run() {
    assert_eq!(run(77, 200).await, run(77, 200).await);
}
