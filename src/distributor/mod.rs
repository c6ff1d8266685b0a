//! The way in, after a receiver has read a request and before the ingester makes it durable.
//!
//! Every receiver hands over OTLP bytes (as received, or as translated). They are walked once: a request with anything
//! malformed or an illegal id is refused whole, as senders expect of Tempo (spec/ingest.md §9.2). What passes goes to the
//! [`PushTarget`], with long attributes cut if the operator wants it so (`truncate`), and without spans of traces that are
//! too large or too many (`trace_limits`, from `pieces`). Spans that are not stored are counted
//! by reason ([`Discards`]), all by the receiver that they came through ([`Passages`]); for debugging, each span can be
//! logged ([`SpanLog`]).

mod discards;
mod origins;
mod pieces;
mod received_spans;
mod span_log;
mod tally;
#[cfg(test)]
mod tests;
mod trace_limits;
mod truncate;

pub use discards::{DiscardReason, Discards};
pub use origins::{Origin, Passage, Passages};
pub use received_spans::{ReceivedSpans, SpanCounting};
pub use span_log::SpanLog;
pub use tally::Tally;
pub use truncate::AttributeScope;

pub mod limited;
pub mod usage;

use crate::columns::validate::{Refusal, Validated, validate};
use crate::columns::wire::Malformed;
use crate::model::{TenantId, TraceId, UnixNanos};
use crate::overrides::{Limits, Overrides};
use crate::runtime::offload::offload;
use crate::telemetry::registry::Durations;
use bytes::Bytes;
use pieces::Piece;
use std::collections::HashSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use trace_limits::{Refused, TraceLimits};

/// A validated request on its way to an ingester.
#[derive(Clone, Debug)]
pub struct Push {
    /// Whose spans they are.
    pub tenant: TenantId,
    /// An `ExportTraceServiceRequest` that passed [`validate`].
    pub request: Bytes,
    /// Number of spans in it, at least 1.
    pub num_spans: usize,
}

/// Why a request was not stored; nothing of it is.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PushError {
    /// The request itself is wrong; sending it again will not help.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// The tenant has sent more than it may in this time; the sender should try again after the delay.
    #[error("{message}")]
    RateLimited {
        /// Which rate.
        message: String,
        /// When to try again; zero tells nothing.
        retry_after: Duration,
    },
    /// The server is at its limits; the sender should try again after the delay.
    #[error("{message}")]
    Overloaded {
        /// What is exhausted.
        message: String,
        /// When to try again.
        retry_after: Duration,
    },
    /// The server cannot store it now (disk full, shutting down); the sender should try again.
    #[error("{0}")]
    Unavailable(String),
}

/// The answer of a push: it resolves once the spans are durable and searchable.
pub type PushFuture<'a> = Pin<Box<dyn Future<Output = Result<(), PushError>> + Send + 'a>>;

/// Seam: where validated requests go; in process today, another process in distributed mode.
pub trait PushTarget: Send + Sync + 'static {
    /// Stores the request; `Ok` means that it is durable and visible to every query.
    fn push(&self, push: Push) -> PushFuture<'_>;
}

/// Which spans are logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpanLogs {
    /// Those that come in, stored or not (`log_received_spans`).
    pub received: SpanLog,
    /// Those that are not stored (`log_discarded_spans`).
    pub discarded: SpanLog,
}

/// What became of a request that was not refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pushed {
    /// Spans that are durable and searchable.
    pub num_spans: usize,
    /// Spans that are not stored, as a limit of the tenant demands.
    pub num_refused: usize,
    /// Why; empty if there are none.
    pub message: String,
}

/// Checks requests and passes them on.
#[derive(Clone)]
pub struct Distributor {
    target: Arc<dyn PushTarget>,
    overrides: Arc<Overrides>,
    trace_limits: Arc<TraceLimits>,
    logs: SpanLogs,
    discards: Arc<Discards>,
    truncated: Arc<Tally<AttributeScope>>,
    counting: SpanCounting,
    received_spans: Arc<ReceivedSpans>,
    /// Bytes of all requests, before any limit.
    ingress_bytes: Arc<Tally<()>>,
    durations: Durations,
    origin: Option<Origin>,
    passages: Arc<Passages>,
}

impl Distributor {
    /// A distributor in front of `target` without limits that logs no spans.
    pub fn new(target: Arc<dyn PushTarget>) -> Self {
        Distributor {
            target,
            overrides: Arc::new(Overrides::new(Limits::default())),
            trace_limits: Arc::new(TraceLimits::new(Duration::ZERO, Duration::ZERO)),
            logs: SpanLogs::default(),
            discards: Arc::default(),
            truncated: Arc::default(),
            counting: SpanCounting::default(),
            received_spans: Arc::default(),
            ingress_bytes: Arc::default(),
            durations: Durations::default(),
            origin: None,
            passages: Arc::default(),
        }
    }

    /// The same distributor, logging spans.
    pub fn with_logs(self, logs: SpanLogs) -> Self {
        Distributor { logs, ..self }
    }

    /// The same distributor, counting spans by name and service.
    pub fn with_counting(self, counting: SpanCounting) -> Self {
        Distributor { counting, ..self }
    }

    /// The same distributor, holding tenants to their limits. A trace is live until nothing has come for `live_for`; how large
    /// it is is remembered for `remembered_for` after that.
    pub fn with_limits(self, overrides: Arc<Overrides>, live_for: Duration, remembered_for: Duration) -> Self {
        Distributor { overrides, trace_limits: Arc::new(TraceLimits::new(live_for, remembered_for)), ..self }
    }

    /// The same distributor for spans that come through one receiver.
    pub fn for_origin(&self, origin: Origin) -> Self {
        Distributor { origin: Some(origin), ..self.clone() }
    }

    /// Numbers of keys and texts of attributes that were cut, of this distributor and its clones.
    pub fn truncated(&self) -> &Tally<AttributeScope> {
        &self.truncated
    }

    /// Numbers of spans by name and service, of this distributor and its clones; none unless they are counted.
    pub fn received_spans(&self) -> &ReceivedSpans {
        &self.received_spans
    }

    /// Bytes of requests by tenant, refused ones among them, of this distributor and its clones.
    pub fn ingress_bytes(&self) -> &Tally<()> {
        &self.ingress_bytes
    }

    /// How long pushes take, of this distributor and its clones.
    pub fn durations(&self) -> &Durations {
        &self.durations
    }

    /// Numbers of spans by receiver, of this distributor and its clones.
    pub fn passages(&self) -> &Passages {
        &self.passages
    }

    /// Numbers of spans that were not stored, of this distributor and its clones.
    pub fn discards(&self) -> &Discards {
        &self.discards
    }

    /// Checks an `ExportTraceServiceRequest` and stores it, all of it or what the tenant's limits leave of it; the answer comes
    /// once the spans are durable.
    pub async fn push(&self, tenant: TenantId, request: Bytes) -> Result<Pushed, PushError> {
        let (start, limits) = (Instant::now(), self.overrides.limits_for(&tenant));
        self.ingress_bytes.add(&tenant, (), request.len());
        let pushed = self.check_and_store(&tenant, &limits, request.clone()).await;
        self.count(&tenant, &request, &pushed);
        if !limits.artificial_delay.is_zero() {
            tokio::time::sleep(about(limits.artificial_delay).saturating_sub(start.elapsed())).await;
        }
        self.durations.observe(Vec::new(), start.elapsed().as_secs_f64());
        pushed
    }

    fn count(&self, tenant: &TenantId, request: &[u8], pushed: &Result<Pushed, PushError>) {
        let (mut num_stored, mut num_refused) = (0, 0);
        match pushed {
            Ok(pushed) => (num_stored, num_refused) = (pushed.num_spans, pushed.num_refused),
            Err(error) => {
                if let Some(reason) = DiscardReason::of(error) {
                    num_refused = discards::count_spans(request);
                    self.discards.add(tenant, reason, num_refused);
                    self.logs.discarded.discarded(tenant, request);
                }
            }
        }
        if let Some(origin) = self.origin {
            self.passages.add(origin, num_stored, num_refused);
        }
    }

    async fn check_and_store(&self, tenant: &TenantId, limits: &Arc<Limits>, request: Bytes) -> Result<Pushed, PushError> {
        let (distributor, of, bounds) = (self.clone(), tenant.clone(), Arc::clone(limits));
        let stopping = |_| PushError::Unavailable("the server is shutting down".to_string());
        let checked = offload(request.len(), move || distributor.check(&of, &bounds, request)).await.map_err(stopping)??;
        let Checked { num_spans, request, cuts, pieces, refused } = checked;
        let num_refused = refused.iter().map(|one| one.piece.num_spans).sum();
        let num_spans = num_spans - num_refused;
        if num_spans > 0 {
            let push = Push { tenant: tenant.clone(), request, num_spans };
            if let Err(error) = self.target.push(push).await {
                self.trace_limits.give_back(tenant, &pieces);
                return Err(error);
            }
            cuts.into_iter().for_each(|(scope, number)| self.truncated.add(tenant, scope, number));
        }
        refused.iter().for_each(|one| self.discards.add(tenant, one.reason, one.piece.num_spans));
        Ok(Pushed { num_spans, num_refused, message: trace_limits::message(tenant, limits, &refused) })
    }

    /// What of a request is to be stored, and in which form.
    fn check(&self, tenant: &TenantId, limits: &Limits, request: Bytes) -> Result<Checked, Refusal> {
        self.logs.received.received(&request);
        self.received_spans.count(self.counting, tenant, &request);
        let Validated { num_spans } = validate(&request)?;
        let (request, cuts) = match limits.max_attribute_bytes {
            Some(max_bytes) => truncate::truncate(request, max_bytes)?,
            None => (request, truncate::Cuts::default()),
        };
        let checked = Checked { num_spans, request, cuts, pieces: Vec::new(), refused: Vec::new() };
        if num_spans > 0 && TraceLimits::concern(limits) { Ok(self.limit_traces(tenant, limits, checked)?) } else { Ok(checked) }
    }

    fn limit_traces(&self, tenant: &TenantId, limits: &Limits, checked: Checked) -> Result<Checked, Malformed> {
        let mut pieces = pieces::pieces(&checked.request)?;
        let refused = self.trace_limits.take(tenant, limits, &pieces, Instant::now());
        if refused.is_empty() {
            return Ok(Checked { pieces, ..checked });
        }
        let traces: HashSet<TraceId> = refused.iter().map(|one| one.trace).collect();
        if self.logs.discarded.enabled {
            self.logs.discarded.discarded(tenant, &pieces::only(&checked.request, &|trace| traces.contains(trace))?);
        }
        let request = pieces::only(&checked.request, &|trace| !traces.contains(trace))?.into();
        pieces.retain(|(trace, _)| !traces.contains(trace));
        Ok(Checked { request, pieces, refused, ..checked })
    }
}

/// A request on its way through the checks.
struct Checked {
    /// Those that are refused among them.
    num_spans: usize,
    request: Bytes,
    cuts: truncate::Cuts,
    /// What counts towards limits on traces.
    pieces: Vec<(TraceId, Piece)>,
    refused: Vec<Refused>,
}

/// A tenth more or less (spec/ingest.md §9.12).
fn about(delay: Duration) -> Duration {
    let percent = 90 + u32::try_from(UnixNanos::now().0 / 1000 % 21).unwrap_or(10);
    delay * percent / 100
}
