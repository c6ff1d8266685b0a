//! Answers as protobuf. Some readers look into sub-messages without asking whether they are there, so those are filled
//! in first, even if they stay empty (spec/query-api.md §3.5). Writing to memory cannot fail.
//!
//! Search, tag and metrics answers have no such demands: `prost::Message::encode_to_vec` is all they need.

use prost::Message;

use crate::proto::otlp::ResourceSpans;
use crate::proto::tempopb::{Trace, TraceByIdResponse};

/// The answer of `/api/traces/{id}`: a bare trace (spec/query-api.md §3.2).
pub fn trace_v1(batches: Vec<ResourceSpans>) -> Vec<u8> {
    let mut trace = Trace { resource_spans: batches };
    fill_in(&mut trace.resource_spans);
    trace.encode_to_vec()
}

/// The answer of `/api/v2/traces/{id}`, in which `trace` and `metrics` are always present (spec/query-api.md §3.3).
pub fn trace_by_id(mut response: TraceByIdResponse) -> Vec<u8> {
    fill_in(&mut response.trace.get_or_insert_default().resource_spans);
    response.metrics.get_or_insert_default();
    response.encode_to_vec()
}

/// Makes `resource`, `scope` and `status` present everywhere.
pub fn fill_in(batches: &mut [ResourceSpans]) {
    for batch in batches {
        batch.resource.get_or_insert_default();
        for scope in &mut batch.scope_spans {
            scope.scope.get_or_insert_default();
            for span in &mut scope.spans {
                span.status.get_or_insert_default();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::otlp::{ScopeSpans, Span};

    fn bare() -> Vec<ResourceSpans> {
        let scope = ScopeSpans { spans: vec![Span::default()], ..Default::default() };
        vec![ResourceSpans { scope_spans: vec![scope], ..Default::default() }]
    }

    #[test]
    fn sub_messages_are_present_even_when_empty() {
        // resource_spans { resource {} scope_spans { scope {} spans { status {} } } }
        let expected = [0x0a, 0x0a, 0x0a, 0x00, 0x12, 0x06, 0x0a, 0x00, 0x12, 0x02, 0x7a, 0x00];
        assert_eq!(trace_v1(bare()), expected);
        let response = TraceByIdResponse { trace: Some(Trace { resource_spans: bare() }), ..Default::default() };
        assert_eq!(trace_by_id(response), [&[0x0a, 0x0c], expected.as_slice(), &[0x12, 0x00]].concat());
    }

    #[test]
    fn a_missing_trace_is_an_empty_one() {
        assert_eq!(trace_by_id(TraceByIdResponse::default()), [0x0a, 0x00, 0x12, 0x00]);
    }
}
