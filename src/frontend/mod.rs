//! One user query becomes work on a moment of head and blocks, then one answer.
//!
//! Queries compute and wait for storage, so they run on threads that may block; a bounded number of them at once, so that
//! ingest keeps its share of the machine, and tenants take turns ([`turns`]). A caller that goes away before its query starts costs nothing; one that goes away later
//! ends it before its next unit of work, and so does the end of the time that a query has.

mod caller;
mod instruments;
mod turns;

use crate::model::trace::combine;
use crate::model::{TenantId, TimeRange, TraceId};
use crate::proto::otlp::ResourceSpans;
use crate::proto::tempopb;
use crate::querier::budget::{Allowance, Budget, Charge, TimeLimit, take};
use crate::querier::search::Watcher;
use crate::querier::trace_by_id::TracePieces;
use crate::querier::{RecentSource, Snapshot, metrics, search, tags, trace_by_id};
use crate::runtime::memory::{Memory, Reservation, Use};
use crate::telemetry::spans::own_span;
use crate::traceql::ast::Attribute;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tracing::Instrument;
use tracing::field::Empty;
use turns::Turns;

pub use crate::querier::Gaps;
pub use crate::querier::QueryError;
pub use crate::querier::metrics::{Limits as MetricsLimits, MetricsParams};
pub use crate::querier::progress::Progress;
pub use crate::querier::search::SearchParams;
pub use crate::querier::tags::{ScopeTags, TagParams};
pub use crate::querier::trace_filter::{SpanKeys, matching_spans};
pub use caller::{Caller, Tenants};
pub use instruments::{FrontendInstruments, Operation};

/// A trace with what it cost to find it.
#[derive(Clone, Debug, Default)]
pub struct FoundTrace {
    /// The joined, deduplicated trace; empty if there is none.
    pub resource_spans: Vec<ResourceSpans>,
    /// Bytes read for it.
    pub inspected_bytes: u64,
    /// Why it may have more spans.
    pub gaps: Gaps,
    /// It counts as part of the query until it goes.
    pub charges: Arc<Vec<Charge>>,
}

/// How many queries run and wait, for how long, and what they may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrontendConfig {
    /// Scans that compute at once, and as many lookups of traces by id; at least one.
    pub max_concurrent: usize,
    /// How long a scan may take, the wait for its turn included; zero means no bound (`querier.search.query_timeout`).
    pub timeout: Duration,
    /// The same for a trace by id (`querier.trace_by_id.query_timeout`).
    pub lookup_timeout: Duration,
    /// Most bytes that a query may hold besides the columns that it reads (`query_memory_limit_bytes`).
    pub max_query_bytes: u64,
    /// Most queries of a tenant that wait; 0 means no bound (`query_frontend.max_outstanding_per_tenant`).
    pub max_waiting: usize,
    /// Bounds of metrics queries.
    pub metrics: MetricsLimits,
}

impl Default for FrontendConfig {
    fn default() -> Self {
        FrontendConfig {
            max_concurrent: 1,
            timeout: Duration::from_secs(30),
            lookup_timeout: Duration::from_secs(10),
            max_query_bytes: 256 << 20,
            max_waiting: 2000,
            metrics: MetricsLimits::default(),
        }
    }
}

/// Answers queries over everything that is stored.
pub struct Frontend {
    recent: Arc<dyn RecentSource>,
    /// For queries that scan.
    scans: Arc<Turns>,
    /// For traces by id, which must not wait behind scans.
    lookups: Arc<Turns>,
    config: FrontendConfig,
    instruments: FrontendInstruments,
    /// Where queries take what they hold.
    memory: Option<Memory>,
}

/// What a scan holds from its start, about: columns of a row group for each of its threads.
const SCAN_BYTES: u64 = 24 << 20;

/// How long a scan waits for memory, in its turn, before it is refused.
const PATIENCE: Duration = Duration::from_secs(1);

impl Frontend {
    /// A frontend over recent data and its blocks.
    pub fn new(recent: Arc<dyn RecentSource>, config: FrontendConfig) -> Self {
        let turns = || Turns::new(config.max_concurrent, config.max_waiting);
        Frontend { recent, scans: turns(), lookups: turns(), config, instruments: FrontendInstruments::default(), memory: None }
    }

    /// Queries take what they hold from this budget, and are refused where it has no room.
    pub fn with_memory(self, memory: Memory) -> Self {
        Frontend { memory: Some(memory), ..self }
    }

    /// The whole trace, from head and blocks; blocks outside `range` are left out.
    pub async fn find_trace(&self, caller: &Caller, id: TraceId, range: Option<TimeRange>) -> Result<FoundTrace, QueryError> {
        let (recent, tenants) = (Arc::clone(&self.recent), caller.tenants.clone());
        let budget = self.budget(caller, TimeLimit { timeout: self.config.lookup_timeout, key: "querier.trace_by_id.query_timeout" });
        let _caller = budget.abandoned_on_drop();
        let found = compute(&self.lookups, &caller.tenants, no_memory(), move |()| {
            let before = gaps(&*recent, &tenants);
            let (mut pieces, mut charges, mut inspected_bytes) = (Vec::new(), Vec::new(), 0);
            for tenant in tenants.iter() {
                let found = find_pieces(&*recent, tenant, &id, range, &budget)?;
                pieces.extend(found.pieces);
                charges.push(found.charge);
                inspected_bytes += found.inspected_bytes;
            }
            let (resource_spans, gaps) = (combine(pieces), before.or(gaps(&*recent, &tenants)));
            Ok(FoundTrace { resource_spans, inspected_bytes, gaps, charges: Arc::new(charges) })
        });
        self.counted(caller, Operation::Traces, found.await)
    }

    /// Traces that match, newest first.
    pub async fn search(&self, caller: &Caller, params: SearchParams) -> Result<tempopb::SearchResponse, QueryError> {
        let found = self.scan(caller, move |snapshot| search::search(snapshot, &params)).await;
        self.counted(caller, Operation::Search, found)
    }

    /// As [`search`](Self::search). While it goes on, what it finds is sent to `partial`, newest first and every half second at most.
    pub async fn search_streamed(
        &self,
        caller: &Caller,
        params: SearchParams,
        partial: mpsc::Sender<tempopb::SearchResponse>,
    ) -> Result<tempopb::SearchResponse, QueryError> {
        let ask = move |snapshot: &Snapshot| search::search_watched(snapshot, &params, &mut Rhythm::of(partial.clone()));
        let found = self.scan(caller, ask).await;
        self.counted(caller, Operation::Search, found)
    }

    /// The series of a metrics query over a range.
    pub async fn metrics_range(&self, caller: &Caller, params: MetricsParams) -> Result<tempopb::QueryRangeResponse, QueryError> {
        let (limits, before) = (self.config.metrics, self.gaps(&caller.tenants));
        let found = self.scan(caller, move |snapshot| Ok(metrics::metrics(snapshot, &params, limits)?.into_range_response())).await;
        let mut response = self.counted(caller, Operation::Metrics, found)?;
        tell_partial(before.or(self.gaps(&caller.tenants)), &mut response.status, &mut response.message);
        Ok(response)
    }

    /// The values of a metrics query with one bucket.
    pub async fn metrics_instant(&self, caller: &Caller, params: MetricsParams) -> Result<tempopb::QueryInstantResponse, QueryError> {
        let (limits, before) = (self.config.metrics, self.gaps(&caller.tenants));
        let found = self.scan(caller, move |snapshot| Ok(metrics::metrics(snapshot, &params, limits)?.into_instant_response())).await;
        let mut response = self.counted(caller, Operation::Metrics, found)?;
        tell_partial(before.or(self.gaps(&caller.tenants)), &mut response.status, &mut response.message);
        Ok(response)
    }

    /// Attribute names by scope; without the intrinsics, which are the API's constant.
    pub async fn tag_names(&self, caller: &Caller, params: TagParams) -> Result<Vec<ScopeTags>, QueryError> {
        let found = self.scan(caller, move |snapshot| tags::tag_names(snapshot, &params)).await;
        self.counted(caller, Operation::Metadata, found)
    }

    /// Typed values of an attribute or intrinsic, sorted by type and text.
    pub async fn tag_values(&self, caller: &Caller, tag: &Attribute, params: TagParams) -> Result<Vec<tempopb::TagValue>, QueryError> {
        let tag = tag.clone();
        let found = self.scan(caller, move |snapshot| tags::tag_values(snapshot, &tag, &params)).await;
        self.counted(caller, Operation::Metadata, found)
    }

    /// What an answer for the tenants may lack: to be asked before its query and after it.
    pub fn gaps(&self, tenants: &Tenants) -> Gaps {
        gaps(&*self.recent, tenants)
    }

    /// Queries that wait for their turn.
    pub fn num_waiting(&self) -> usize {
        self.scans.num_waiting() + self.lookups.num_waiting()
    }

    /// What has been asked so far.
    pub fn instruments(&self) -> &FrontendInstruments {
        &self.instruments
    }

    fn counted<T>(&self, caller: &Caller, operation: Operation, result: Result<T, QueryError>) -> Result<T, QueryError> {
        self.instruments.count(caller, operation, &result);
        result
    }

    /// Asks a moment of head and blocks within the time that a query has; stops early when the caller goes away. If a block turns out
    /// to be damaged, the rest is asked again without it.
    async fn scan<T: Send + 'static>(
        &self,
        caller: &Caller,
        ask: impl Fn(&Snapshot) -> Result<T, QueryError> + Send + 'static,
    ) -> Result<T, QueryError> {
        let (recent, tenants) = (Arc::clone(&self.recent), caller.tenants.clone());
        let budget = self.budget(caller, TimeLimit { timeout: self.config.timeout, key: "querier.search.query_timeout" });
        let _caller = budget.abandoned_on_drop();
        compute(&self.scans, &caller.tenants, self.memory_of_scan(), move |_held| {
            loop {
                budget.check()?;
                let moment = own_span!("query.snapshot").in_scope(|| snapshot_of(&*recent, &tenants, &budget))?;
                let snapshot = Snapshot { budget: budget.clone(), ..moment };
                budget.progress.begin(&snapshot);
                let span = own_span!("query.evaluate", units = Empty, blocks = Empty, block_bytes = Empty);
                let answer = span.in_scope(|| ask(&snapshot));
                let metrics = budget.progress.metrics();
                span.record("units", metrics.total_jobs)
                    .record("blocks", metrics.total_blocks)
                    .record("block_bytes", metrics.total_block_bytes);
                let left_out = |tenant: &TenantId| recent.leave_out_damaged(tenant, &snapshot.blocks);
                // Each tenant's list has to be told, so that this must not stop at the first.
                if tenants.iter().filter(|tenant| left_out(tenant)).count() == 0 {
                    return answer;
                }
            }
        })
        .await
    }

    /// What a query of a caller may cost that begins now.
    fn budget(&self, caller: &Caller, limit: TimeLimit) -> Budget {
        let granted = |memory: &Memory| Allowance::of(memory.clone(), self.config.max_query_bytes);
        let mut budget = Budget::starting_now(limit);
        budget.progress = caller.progress.clone();
        budget.allowance = caller.allowance(|| self.memory.as_ref().map_or_else(Allowance::default, granted));
        budget
    }

    /// What a scan has to have before it begins.
    async fn memory_of_scan(&self) -> Result<Option<Reservation>, QueryError> {
        let Some(memory) = &self.memory else { return Ok(None) };
        // Where there is little memory, two have room in the share of queries.
        let bytes = SCAN_BYTES.min(memory.limit_bytes() / 8);
        if let Ok(reservation) = take(memory, bytes) {
            return Ok(Some(reservation));
        }
        memory.reserve(Use::Queries, bytes, PATIENCE).await.map(Some).map_err(QueryError::NoMemory)
    }
}

/// For work that takes memory on its way only.
async fn no_memory() -> Result<(), QueryError> {
    Ok(())
}

/// One moment of each tenant.
fn snapshot_of(recent: &dyn RecentSource, tenants: &Tenants, budget: &Budget) -> Result<Snapshot, QueryError> {
    match tenants.single() {
        Some(tenant) => Ok(recent.snapshot(tenant)),
        None => Snapshot::joined(tenants.iter().map(|tenant| recent.snapshot(tenant)).collect(), budget),
    }
}

/// What one tenant has of a trace. If a block turns out to be damaged, the rest is asked again without it.
fn find_pieces(
    recent: &dyn RecentSource,
    tenant: &TenantId,
    id: &TraceId,
    range: Option<TimeRange>,
    budget: &Budget,
) -> Result<TracePieces, QueryError> {
    loop {
        budget.check()?;
        let found_recently = recent.find_trace(tenant, id, trace_by_id::max_spans(budget));
        let blocks = Arc::clone(&found_recently.blocks);
        let found = trace_by_id::find_trace(found_recently, id, range, budget);
        if !recent.leave_out_damaged(tenant, &blocks) {
            return found;
        }
    }
}

fn gaps(recent: &dyn RecentSource, tenants: &Tenants) -> Gaps {
    tenants.iter().map(|tenant| recent.gaps(tenant)).fold(Gaps::default(), Gaps::and)
}

/// How often partial results are sent at most (spec/query-api.md §7).
pub const RHYTHM: Duration = Duration::from_millis(500);

/// Passes partial results on every now and then.
struct Rhythm {
    partial: mpsc::Sender<tempopb::SearchResponse>,
    due: Instant,
}

impl Rhythm {
    fn of(partial: mpsc::Sender<tempopb::SearchResponse>) -> Self {
        Rhythm { partial, due: Instant::now() + RHYTHM }
    }
}

impl Watcher for Rhythm {
    fn is_due(&mut self) -> bool {
        Instant::now() >= self.due && self.partial.capacity() > 0
    }

    fn tell(&mut self, partial: tempopb::SearchResponse) {
        self.due = Instant::now() + RHYTHM;
        // A client that does not read gets everything with the complete answer.
        let _ = self.partial.try_send(partial);
    }
}

fn tell_partial(gaps: Gaps, status: &mut i32, message: &mut String) {
    if gaps.are_any() {
        *status = tempopb::PartialStatus::Partial.into();
        if !message.is_empty() {
            message.push_str("; ");
        }
        message.push_str(&gaps.message());
    }
}

/// Does work on a thread that may block, once it is the tenant's turn and there is memory for it.
async fn compute<T: Send + 'static, M: Send + 'static>(
    turns: &Arc<Turns>,
    tenants: &Tenants,
    memory: impl Future<Output = Result<M, QueryError>>,
    work: impl FnOnce(M) -> Result<T, QueryError> + Send + 'static,
) -> Result<T, QueryError> {
    let permit = turns.take(&tenants.to_string()).instrument(own_span!("query.turn")).await?;
    let memory = memory.instrument(own_span!("query.memory")).await?;
    let span = own_span!("query.run", tenant = %tenants, is_error = Empty);
    let run = move || {
        let result = span.in_scope(|| work(memory));
        span.record("is_error", result.is_err());
        drop(permit);
        result
    };
    tokio::task::spawn_blocking(run).await.map_err(|error| QueryError::Internal(format!("the query was lost: {error}")))?
}
