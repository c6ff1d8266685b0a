//! One user query becomes work on a moment of head and blocks, then one answer.
//!
//! Queries compute and wait for storage, so they run on threads that may block; a bounded number of them at once, so that
//! ingest keeps its share of the machine. A caller that goes away before its query starts costs nothing; one that goes away later
//! ends it before its next unit of work, and so does the end of the time that a query has.

use crate::model::trace::combine;
use crate::model::{TenantId, TimeRange, TraceId};
use crate::proto::otlp::ResourceSpans;
use crate::proto::tempopb;
use crate::querier::budget::Budget;
use crate::querier::trace_by_id::TracePieces;
use crate::querier::{RecentSource, Snapshot, metrics, search, tags, trace_by_id};
use crate::runtime::memory::{Memory, Use};
use crate::traceql::ast::Attribute;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

pub use crate::querier::QueryError;
pub use crate::querier::metrics::MetricsParams;
pub use crate::querier::search::SearchParams;
pub use crate::querier::tags::{ScopeTags, TagParams};

/// A trace with what it cost to find it.
#[derive(Clone, Debug, Default)]
pub struct FoundTrace {
    /// The joined, deduplicated trace; empty if there is none.
    pub resource_spans: Vec<ResourceSpans>,
    /// Bytes read for it.
    pub inspected_bytes: u64,
    /// Blocks that could not be read: it may have more spans.
    pub num_unreadable: usize,
}

/// What an answer without the spans of so many blocks says of itself.
pub fn partial_message(num_unreadable: usize) -> String {
    match num_unreadable {
        1 => "1 block cannot be read".to_string(),
        _ => format!("{num_unreadable} blocks cannot be read"),
    }
}

/// Answers queries over everything that is stored.
pub struct Frontend {
    recent: Arc<dyn RecentSource>,
    /// For queries that scan.
    scans: Arc<Semaphore>,
    /// For traces by id, which must not wait behind scans.
    lookups: Arc<Semaphore>,
    /// How long a scan may take.
    timeout: Duration,
    /// Where a scan says what it holds.
    memory: Option<Memory>,
}

/// What a scan holds, about: columns of a row group for each of its threads, and its matches.
const SCAN_BYTES: u64 = 24 << 20;

impl Frontend {
    /// A frontend over recent data and its blocks; `max_concurrent` scans and as many lookups compute at once, at least one. A scan
    /// that takes longer than `timeout`, the wait for its turn included, ends with an error; zero means no bound.
    pub fn new(recent: Arc<dyn RecentSource>, max_concurrent: usize, timeout: Duration) -> Self {
        let permits = || Arc::new(Semaphore::new(max_concurrent.max(1)));
        Frontend { recent, scans: permits(), lookups: permits(), timeout, memory: None }
    }

    /// Scans count against this budget while they run; requests with spans wait for them.
    pub fn with_memory(self, memory: Memory) -> Self {
        Frontend { memory: Some(memory), ..self }
    }

    /// The whole trace, from head and blocks; blocks outside `range` are left out.
    pub async fn find_trace(&self, tenant: &TenantId, id: TraceId, range: Option<TimeRange>) -> Result<FoundTrace, QueryError> {
        let (recent, tenant) = (Arc::clone(&self.recent), tenant.clone());
        compute(&self.lookups, move || {
            loop {
                let found_recently = recent.find_trace(&tenant, &id);
                let blocks = Arc::clone(&found_recently.blocks);
                let found = trace_by_id::find_trace(found_recently, &id, range);
                if recent.leave_out_damaged(&tenant, &blocks) {
                    continue;
                }
                let TracePieces { pieces, inspected_bytes } = found?;
                return Ok(FoundTrace { resource_spans: combine(pieces), inspected_bytes, num_unreadable: recent.num_unreadable(&tenant) });
            }
        })
        .await
    }

    /// Traces that match, newest first.
    pub async fn search(&self, tenant: &TenantId, params: SearchParams) -> Result<tempopb::SearchResponse, QueryError> {
        self.scan(tenant, move |snapshot| search::search(snapshot, &params)).await
    }

    /// The series of a metrics query over a range.
    pub async fn metrics_range(&self, tenant: &TenantId, params: MetricsParams) -> Result<tempopb::QueryRangeResponse, QueryError> {
        let mut response = self.scan(tenant, move |snapshot| Ok(metrics::metrics(snapshot, &params)?.into_range_response())).await?;
        tell_partial(self.num_unreadable(tenant), &mut response.status, &mut response.message);
        Ok(response)
    }

    /// The values of a metrics query with one bucket.
    pub async fn metrics_instant(&self, tenant: &TenantId, params: MetricsParams) -> Result<tempopb::QueryInstantResponse, QueryError> {
        let mut response = self.scan(tenant, move |snapshot| Ok(metrics::metrics(snapshot, &params)?.into_instant_response())).await?;
        tell_partial(self.num_unreadable(tenant), &mut response.status, &mut response.message);
        Ok(response)
    }

    /// Attribute names by scope; without the intrinsics, which are the API's constant.
    pub async fn tag_names(&self, tenant: &TenantId, params: TagParams) -> Result<Vec<ScopeTags>, QueryError> {
        self.scan(tenant, move |snapshot| tags::tag_names(snapshot, &params)).await
    }

    /// Typed values of an attribute or intrinsic, sorted by type and text.
    pub async fn tag_values(&self, tenant: &TenantId, tag: &Attribute, params: TagParams) -> Result<Vec<tempopb::TagValue>, QueryError> {
        let tag = tag.clone();
        self.scan(tenant, move |snapshot| tags::tag_values(snapshot, &tag, &params)).await
    }

    /// Blocks of a tenant that cannot be read: what was answered just now may lack their spans.
    pub fn num_unreadable(&self, tenant: &TenantId) -> usize {
        self.recent.num_unreadable(tenant)
    }

    /// Asks a moment of head and blocks within the time that a query has; stops early when the caller goes away. If a block turns out
    /// to be damaged, the rest is asked again without it.
    async fn scan<T: Send + 'static>(
        &self,
        tenant: &TenantId,
        ask: impl Fn(&Snapshot) -> Result<T, QueryError> + Send + 'static,
    ) -> Result<T, QueryError> {
        let (recent, tenant) = (Arc::clone(&self.recent), tenant.clone());
        let budget = if self.timeout.is_zero() { Budget::default() } else { Budget::starting_now(self.timeout) };
        let _caller = budget.abandoned_on_drop();
        let memory = self.memory.clone();
        compute(&self.scans, move || {
            let _held = memory.map(|memory| memory.hold(Use::Queries, SCAN_BYTES));
            loop {
                budget.check()?;
                let snapshot = Snapshot { budget: budget.clone(), ..recent.snapshot(&tenant) };
                let answer = ask(&snapshot);
                if !recent.leave_out_damaged(&tenant, &snapshot.blocks) {
                    return answer;
                }
            }
        })
        .await
    }
}

fn tell_partial(num_unreadable: usize, status: &mut i32, message: &mut String) {
    if num_unreadable > 0 {
        *status = tempopb::PartialStatus::Partial.into();
        if !message.is_empty() {
            message.push_str("; ");
        }
        message.push_str(&partial_message(num_unreadable));
    }
}

/// Does work on a thread that may block, once there is a permit.
async fn compute<T: Send + 'static>(
    permits: &Arc<Semaphore>,
    work: impl FnOnce() -> Result<T, QueryError> + Send + 'static,
) -> Result<T, QueryError> {
    let gone = |_| QueryError::Internal("the server is shutting down".to_string());
    let permit = Arc::clone(permits).acquire_owned().await.map_err(gone)?;
    let run = move || {
        let result = work();
        drop(permit);
        result
    };
    tokio::task::spawn_blocking(run).await.map_err(|error| QueryError::Internal(format!("the query was lost: {error}")))?
}
