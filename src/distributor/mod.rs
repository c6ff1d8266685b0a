//! The way in, after a receiver has read a request and before the ingester makes it durable.
//!
//! Every receiver hands over OTLP bytes (as received, or as translated). They are walked once: a request with anything
//! malformed or an illegal id is refused whole, as senders expect of Tempo (spec/ingest.md §9.2). What passes goes to the
//! [`PushTarget`], with long attributes cut if the operator wants it so (`truncate`). Spans that are not stored are counted
//! by reason ([`Discards`]), all by the receiver that they came through ([`Passages`]); for debugging, each span can be
//! logged ([`SpanLog`]).

mod discards;
mod origins;
mod span_log;
mod tally;
#[cfg(test)]
mod tests;
mod truncate;

pub use discards::{DiscardReason, Discards};
pub use origins::{Origin, Passage, Passages};
pub use span_log::SpanLog;
pub use tally::Tally;
pub use truncate::AttributeScope;

pub mod limited;
pub mod usage;

use crate::columns::validate::{Refusal, Validated, validate};
use crate::model::TenantId;
use crate::runtime::offload::offload;
use bytes::Bytes;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

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

/// Checks requests and passes them on.
#[derive(Clone)]
pub struct Distributor {
    target: Arc<dyn PushTarget>,
    logs: SpanLogs,
    discards: Arc<Discards>,
    /// Longest key or text of an attribute.
    max_attribute_bytes: Option<usize>,
    truncated: Arc<Tally<AttributeScope>>,
    origin: Option<Origin>,
    passages: Arc<Passages>,
}

impl Distributor {
    /// A distributor in front of `target` that logs no spans.
    pub fn new(target: Arc<dyn PushTarget>) -> Self {
        Distributor {
            target,
            logs: SpanLogs::default(),
            discards: Arc::default(),
            max_attribute_bytes: None,
            truncated: Arc::default(),
            origin: None,
            passages: Arc::default(),
        }
    }

    /// The same distributor, logging spans.
    pub fn with_logs(self, logs: SpanLogs) -> Self {
        Distributor { logs, ..self }
    }

    /// The same distributor, cutting keys and texts of attributes to so many bytes; `None` keeps them whole.
    pub fn with_max_attribute_bytes(self, max_attribute_bytes: Option<usize>) -> Self {
        Distributor { max_attribute_bytes, ..self }
    }

    /// The same distributor for spans that come through one receiver.
    pub fn for_origin(&self, origin: Origin) -> Self {
        Distributor { origin: Some(origin), ..self.clone() }
    }

    /// Numbers of keys and texts of attributes that were cut, of this distributor and its clones.
    pub fn truncated(&self) -> &Tally<AttributeScope> {
        &self.truncated
    }

    /// Numbers of spans by receiver, of this distributor and its clones.
    pub fn passages(&self) -> &Passages {
        &self.passages
    }

    /// Numbers of spans that were not stored, of this distributor and its clones.
    pub fn discards(&self) -> &Discards {
        &self.discards
    }

    /// Checks an `ExportTraceServiceRequest` and stores it; returns the number of spans once they are durable.
    pub async fn push(&self, tenant: TenantId, request: Bytes) -> Result<usize, PushError> {
        let pushed = self.check_and_store(&tenant, request.clone()).await;
        let mut num_spans = pushed.as_ref().copied().unwrap_or(0);
        if let Err(error) = &pushed
            && let Some(reason) = DiscardReason::of(error)
        {
            num_spans = discards::count_spans(&request);
            self.discards.add(&tenant, reason, num_spans);
            self.logs.discarded.discarded(&tenant, &request);
        }
        if let Some(origin) = self.origin {
            self.passages.add(origin, num_spans, pushed.is_ok());
        }
        pushed
    }

    async fn check_and_store(&self, tenant: &TenantId, request: Bytes) -> Result<usize, PushError> {
        let (size, received, max_attribute_bytes) = (request.len(), self.logs.received, self.max_attribute_bytes);
        let stopping = |_| PushError::Unavailable("the server is shutting down".to_string());
        let work = move || {
            received.received(&request);
            let Validated { num_spans } = validate(&request)?;
            let (request, cuts) = match max_attribute_bytes {
                Some(max_bytes) => truncate::truncate(request, max_bytes).map_err(Refusal::Malformed)?,
                None => (request, truncate::Cuts::default()),
            };
            Ok::<_, Refusal>((num_spans, request, cuts))
        };
        let (num_spans, request, cuts) = offload(size, work).await.map_err(stopping)??;
        if num_spans > 0 {
            self.target.push(Push { tenant: tenant.clone(), request, num_spans }).await?;
            cuts.into_iter().for_each(|(scope, number)| self.truncated.add(tenant, scope, number));
        }
        Ok(num_spans)
    }
}
