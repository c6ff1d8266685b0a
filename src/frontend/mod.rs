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
use crate::querier::{RecentSource, Snapshot, metrics, search, tags, trace_by_id};
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
}

impl Frontend {
    /// A frontend over recent data and its blocks; `max_concurrent` scans and as many lookups compute at once, at least one. A scan
    /// that takes longer than `timeout`, the wait for its turn included, ends with an error; zero means no bound.
    pub fn new(recent: Arc<dyn RecentSource>, max_concurrent: usize, timeout: Duration) -> Self {
        let permits = || Arc::new(Semaphore::new(max_concurrent.max(1)));
        Frontend { recent, scans: permits(), lookups: permits(), timeout }
    }

    /// The whole trace, from head and blocks; blocks outside `range` are left out.
    pub async fn find_trace(&self, tenant: &TenantId, id: TraceId, range: Option<TimeRange>) -> Result<FoundTrace, QueryError> {
        let (recent, tenant) = (Arc::clone(&self.recent), tenant.clone());
        compute(&self.lookups, move || {
            let found = trace_by_id::find_trace(recent.find_trace(&tenant, &id), &id, range)?;
            Ok(FoundTrace { resource_spans: combine(found.pieces), inspected_bytes: found.inspected_bytes })
        })
        .await
    }

    /// Traces that match, newest first.
    pub async fn search(&self, tenant: &TenantId, params: SearchParams) -> Result<tempopb::SearchResponse, QueryError> {
        self.scan(tenant, move |snapshot| search::search(snapshot, &params)).await
    }

    /// The series of a metrics query over a range.
    pub async fn metrics_range(&self, tenant: &TenantId, params: MetricsParams) -> Result<tempopb::QueryRangeResponse, QueryError> {
        self.scan(tenant, move |snapshot| Ok(metrics::metrics(snapshot, &params)?.into_range_response())).await
    }

    /// The values of a metrics query with one bucket.
    pub async fn metrics_instant(&self, tenant: &TenantId, params: MetricsParams) -> Result<tempopb::QueryInstantResponse, QueryError> {
        self.scan(tenant, move |snapshot| Ok(metrics::metrics(snapshot, &params)?.into_instant_response())).await
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

    /// Works on a moment of head and blocks within the time that a query has; stops early when the caller goes away.
    async fn scan<T: Send + 'static>(
        &self,
        tenant: &TenantId,
        work: impl FnOnce(&Snapshot) -> Result<T, QueryError> + Send + 'static,
    ) -> Result<T, QueryError> {
        let (recent, tenant) = (Arc::clone(&self.recent), tenant.clone());
        let budget = if self.timeout.is_zero() { Budget::default() } else { Budget::starting_now(self.timeout) };
        let _caller = budget.abandoned_on_drop();
        compute(&self.scans, move || {
            budget.check()?;
            let snapshot = Snapshot { budget, ..recent.snapshot(&tenant) };
            work(&snapshot)
        })
        .await
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
