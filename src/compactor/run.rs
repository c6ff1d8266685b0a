//! The loop: retention, then as many merges as may run at once.

use super::instruments::Waiting;
use super::job::JobError;
use super::policy::Candidate;
use super::retention::is_expired;
use super::{Compactor, Failed};
use crate::block::merge::MergeError;
use crate::block::meta::VERSION;
use crate::block::reader::Block;
use crate::model::{BlockId, TenantId, UnixNanos};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Longest time between two looks at the blocks.
const MAX_PERIOD: Duration = Duration::from_secs(10);
const MIN_PERIOD: Duration = Duration::from_millis(50);

/// How long blocks of a failed merge are left alone; it doubles with each failure.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
const MAX_DOUBLINGS: u32 = 7;

/// Blocks to be merged.
struct Job {
    tenant: TenantId,
    inputs: Vec<Arc<Block>>,
}

/// What became of a job.
struct Done {
    tenant: TenantId,
    inputs: Vec<BlockId>,
    result: Result<(), JobError>,
}

impl Compactor {
    /// Works until `stop` is dropped. Merges that run then are cancelled; a swap that has begun is finished.
    pub async fn run(self: Arc<Self>, mut stop: watch::Receiver<()>) {
        let period = (self.config.cycle / 3).clamp(MIN_PERIOD, MAX_PERIOD);
        let mut jobs: JoinSet<Done> = JoinSet::new();
        loop {
            self.look_after(&mut jobs).await;
            tokio::select! {
                () = tokio::time::sleep(period) => {}
                Some(done) = jobs.join_next(), if !jobs.is_empty() => self.note(done),
                _ = stop.changed() => break,
            }
        }
        self.is_stopping.store(true, Relaxed);
        while let Some(done) = jobs.join_next().await {
            self.note(done);
        }
        self.remains.sweep().await;
    }

    /// Counts what waits at this moment, for somebody who asks between two looks: blocks that have just come count at once.
    pub fn measure(&self) {
        if self.config.is_enabled {
            self.blocks.tenants().iter().for_each(|tenant| drop(self.choose(tenant)));
        }
    }

    async fn look_after(self: &Arc<Self>, jobs: &mut JoinSet<Done>) {
        for tenant in self.blocks.tenants() {
            self.expire(&tenant);
        }
        self.remains.sweep().await;
        if !self.config.is_enabled {
            return;
        }
        for tenant in self.blocks.tenants() {
            for job in self.choose(&tenant) {
                if jobs.len() >= self.config.num_jobs.max(1) {
                    break;
                }
                self.start(job, jobs);
            }
        }
    }

    /// Takes blocks out of use whose time is over.
    fn expire(&self, tenant: &TenantId) {
        let Some(retention) = (self.surroundings.retention)(tenant) else { return };
        let (list, now) = (self.blocks.of(tenant), UnixNanos::now());
        let busy = self.state.lock().busy.clone();
        let is_over = |block: &&Arc<Block>| is_expired(block.meta(), retention, now) && !busy.contains(&block.id());
        let expired: Vec<Arc<Block>> = list.snapshot().iter().filter(is_over).cloned().collect();
        if expired.is_empty() {
            return;
        }
        let ids: Vec<BlockId> = expired.iter().map(|block| block.id()).collect();
        self.store.failpoints().hit("retention.chosen");
        self.remains.add(tenant, &expired);
        list.replace(&ids, None);
        self.instruments.expired_blocks.inc(ids.len() as u64);
        tracing::info!(%tenant, blocks = ids.len(), "blocks are deleted because of their age");
    }

    /// The merges that are due, and how many blocks wait.
    fn choose(&self, tenant: &TenantId) -> Vec<Job> {
        let blocks = self.blocks.of(tenant).snapshot();
        let (is_free, mut waiting) = self.free_blocks(&blocks);
        let free: Vec<&Arc<Block>> = blocks.iter().filter(|block| is_free.contains(&block.id())).collect();
        let candidates: Vec<Candidate> =
            free.iter().filter(|block| block.meta().version == VERSION).map(|block| Candidate::of(block.id(), block.meta())).collect();
        let choice = self.policy.choose(&candidates, UnixNanos::now(), (self.surroundings.is_quiet)(tenant));
        waiting.blocks += choice.waiting.blocks;
        waiting.bytes += choice.waiting.bytes;
        self.instruments.set_waiting(tenant, waiting);
        let inputs = |ids: Vec<BlockId>| free.iter().filter(|block| ids.contains(&block.id())).map(|block| Arc::clone(block)).collect();
        choice.jobs.into_iter().map(|ids| Job { tenant: tenant.clone(), inputs: inputs(ids) }).collect()
    }

    /// Blocks that may be merged, and how many are being merged.
    fn free_blocks(&self, blocks: &[Arc<Block>]) -> (HashSet<BlockId>, Waiting) {
        let with_meta = self.remains.with_meta();
        let mut state = self.state.lock();
        let now = Instant::now();
        state.failed.retain(|id, _| blocks.iter().any(|block| block.id() == *id));
        let mut waiting = Waiting::default();
        let mut free = HashSet::new();
        for block in blocks {
            if state.busy.contains(&block.id()) {
                waiting.blocks += 1;
                waiting.bytes += block.meta().total_bytes();
                continue;
            }
            let is_paused = state.failed.get(&block.id()).is_some_and(|failed| failed.until > now);
            // The next start learns from this block that the others are out of use.
            let tells_of_others = block.meta().replaces.iter().any(|id| BlockId::parse(id).is_some_and(|id| with_meta.contains(&id)));
            if !is_paused && !tells_of_others {
                free.insert(block.id());
            }
        }
        (free, waiting)
    }

    fn start(self: &Arc<Self>, job: Job, jobs: &mut JoinSet<Done>) {
        let ids: Vec<BlockId> = job.inputs.iter().map(|block| block.id()).collect();
        self.state.lock().busy.extend(&ids);
        let compactor = Arc::clone(self);
        jobs.spawn(async move {
            let result = compactor.compact(&job.tenant, job.inputs).await;
            Done { tenant: job.tenant, inputs: ids, result }
        });
    }

    fn note(&self, done: Result<Done, tokio::task::JoinError>) {
        let Ok(Done { tenant, inputs, result }) = done else {
            // Its blocks stay busy until the next start: what it did is not known.
            self.instruments.failures.inc(1);
            tracing::error!("a merge ended in a panic; its blocks are left alone");
            return;
        };
        let mut state = self.state.lock();
        state.busy.retain(|id| !inputs.contains(id));
        match result {
            Ok(()) | Err(JobError::Merge(MergeError::Cancelled)) => {}
            Err(error) => {
                self.instruments.failures.inc(1);
                // One that is damaged must not keep the others from being merged.
                let paused = match &error {
                    JobError::Merge(error) => error.bad_input().map_or(inputs, |id| vec![id]),
                    _ => inputs,
                };
                tracing::error!(%tenant, blocks = paused.len(), %error, "blocks could not be merged; they stay as they are");
                for id in paused {
                    let times = state.failed.get(&id).map_or(0, |failed| failed.times);
                    let until = Instant::now() + FIRST_PAUSE * 2u32.pow(times.min(MAX_DOUBLINGS));
                    state.failed.insert(id, Failed { until, times: times + 1 });
                }
            }
        }
    }
}
