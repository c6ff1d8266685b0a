//! Spans that were not stored, by reason and tenant (spec/ingest.md §9.5).

use super::PushError;
use super::tally::Tally;
use crate::columns::validate::Refusal;
use crate::columns::wire::{Malformed, Reader};

/// Why spans were not stored, as the label of the metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DiscardReason {
    /// A span of the request has no legal trace id.
    InvalidTraceId,
    /// A span of the request has no legal id.
    InvalidSpanId,
    /// The tenant sent more than it may.
    RateLimited,
    /// Their trace is too large.
    TraceTooLarge,
    /// There are too many other traces.
    LiveTracesExceeded,
    /// They could not be written.
    UnknownError,
}

impl DiscardReason {
    /// The label.
    pub fn as_str(self) -> &'static str {
        match self {
            DiscardReason::InvalidTraceId => "invalid_trace_id",
            DiscardReason::InvalidSpanId => "invalid_span_id",
            DiscardReason::RateLimited => "rate_limited",
            DiscardReason::TraceTooLarge => "trace_too_large",
            DiscardReason::LiveTracesExceeded => "live_traces_exceeded",
            DiscardReason::UnknownError => "unknown_error",
        }
    }

    /// Why the spans of a refused request were not stored; `None` for one of which nobody can say how many it had.
    pub(super) fn of(error: &PushError) -> Option<Self> {
        match error {
            PushError::Refused(Refusal::Malformed(_)) => None,
            PushError::Refused(Refusal::TraceId { .. }) => Some(DiscardReason::InvalidTraceId),
            PushError::Refused(Refusal::SpanId { .. }) => Some(DiscardReason::InvalidSpanId),
            PushError::RateLimited { .. } => Some(DiscardReason::RateLimited),
            PushError::Overloaded { .. } | PushError::Unavailable(_) => Some(DiscardReason::UnknownError),
        }
    }
}

/// Numbers of discarded spans.
pub type Discards = Tally<DiscardReason>;

/// The number of spans in a request that was refused for an id, as far as it can be read.
pub(super) fn count_spans(request: &[u8]) -> usize {
    /// `ResourceSpans`, `ScopeSpans` in their present and their old field, `Span`.
    const PATH: [&[u32]; 3] = [&[1], &[2, 1000], &[2]];
    fn count(message: &[u8], path: &[&[u32]]) -> Result<usize, Malformed> {
        let Some((numbers, deeper)) = path.split_first() else { return Ok(1) };
        let mut total = 0;
        let mut reader = Reader::new(message);
        while let Some((number, field)) = reader.next_field()? {
            if numbers.contains(&number) {
                total += count(field.bytes(number)?, deeper)?;
            }
        }
        Ok(total)
    }
    count(request, &PATH).unwrap_or(0)
}
