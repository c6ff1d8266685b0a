//! Spans that were not stored, by reason and tenant (spec/ingest.md §9.5).

use super::PushError;
use crate::columns::validate::Refusal;
use crate::columns::wire::{Malformed, Reader};
use crate::model::TenantId;
use parking_lot::Mutex;
use std::collections::BTreeMap;

/// Tenants that are counted by name. Names come from senders, so their number has to end somewhere.
const MAX_TENANTS: usize = 1000;

/// What the others are counted as.
const OTHER_TENANTS: &str = "other";

/// Why spans were not stored, as the label of the metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DiscardReason {
    /// A span of the request has no legal trace id.
    InvalidTraceId,
    /// A span of the request has no legal id.
    InvalidSpanId,
    /// They could not be written.
    UnknownError,
}

impl DiscardReason {
    /// The label.
    pub fn as_str(self) -> &'static str {
        match self {
            DiscardReason::InvalidTraceId => "invalid_trace_id",
            DiscardReason::InvalidSpanId => "invalid_span_id",
            DiscardReason::UnknownError => "unknown_error",
        }
    }

    /// Why the spans of a refused request were not stored; `None` for one of which nobody can say how many it had.
    pub(super) fn of(error: &PushError) -> Option<Self> {
        match error {
            PushError::Refused(Refusal::Malformed(_)) => None,
            PushError::Refused(Refusal::TraceId { .. }) => Some(DiscardReason::InvalidTraceId),
            PushError::Refused(Refusal::SpanId { .. }) => Some(DiscardReason::InvalidSpanId),
            PushError::Overloaded { .. } | PushError::Unavailable(_) => Some(DiscardReason::UnknownError),
        }
    }
}

/// Numbers of discarded spans.
#[derive(Debug, Default)]
pub struct Discards(Mutex<BTreeMap<(String, DiscardReason), u64>>);

impl Discards {
    /// Adds to the number of a tenant.
    pub(super) fn add(&self, tenant: &TenantId, reason: DiscardReason, num_spans: usize) {
        let mut counts = self.0.lock();
        let mut key = (tenant.to_string(), reason);
        // Each tenant has a few reasons, so this bounds tenants closely enough.
        if counts.len() >= MAX_TENANTS && !counts.contains_key(&key) {
            key.0 = OTHER_TENANTS.to_string();
        }
        *counts.entry(key).or_default() += num_spans as u64;
    }

    /// All numbers, with tenant and reason.
    pub fn counts(&self) -> Vec<(String, DiscardReason, u64)> {
        self.0.lock().iter().map(|((tenant, reason), count)| (tenant.clone(), *reason, *count)).collect()
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_tenants_is_bounded() {
        let discards = Discards::default();
        for number in 0..MAX_TENANTS + 5 {
            let tenant = TenantId::parse(&format!("tenant-{number}")).expect("a legal name");
            discards.add(&tenant, DiscardReason::InvalidSpanId, 2);
            discards.add(&TenantId::single(), DiscardReason::UnknownError, 1);
        }
        let counts = discards.counts();
        assert_eq!(counts.len(), MAX_TENANTS + 1);
        assert!(counts.contains(&(TenantId::single().to_string(), DiscardReason::UnknownError, MAX_TENANTS as u64 + 5)));
        assert!(counts.contains(&(OTHER_TENANTS.to_string(), DiscardReason::InvalidSpanId, 2 * 6)));
    }
}
