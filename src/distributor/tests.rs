use super::*;
use crate::proto::otlp::{ExportTraceServiceRequest, ResourceSpans, ScopeSpans, Span};
use prost::Message;

struct Target(Result<(), PushError>);

impl PushTarget for Target {
    fn push(&self, _: Push) -> PushFuture<'_> {
        Box::pin(std::future::ready(self.0.clone()))
    }
}

fn request(spans: Vec<Span>) -> Bytes {
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec().into()
}

fn good() -> Span {
    Span { trace_id: vec![1; 16], span_id: vec![2; 8], ..Span::default() }
}

/// The counts after one push.
async fn discarded(answer: Result<(), PushError>, request: Bytes) -> Vec<(String, DiscardReason, u64)> {
    let distributor = Distributor::new(Arc::new(Target(answer)));
    // What is counted is the question, not the answer.
    let _ = distributor.push(TenantId::single(), request).await;
    distributor.discards().counts()
}

#[tokio::test]
async fn every_span_of_a_refused_request_is_counted() {
    let tenant = TenantId::single().to_string();
    let no_trace = Span { trace_id: vec![0; 16], ..good() };
    let no_id = Span { span_id: vec![], ..good() };
    let full = || Err(PushError::Unavailable("disk full".to_string()));
    let overloaded = || Err(PushError::Overloaded { message: String::new(), retry_after: Duration::ZERO });
    let limited = || Err(PushError::RateLimited { message: String::new(), retry_after: Duration::ZERO });
    for (answer, spans, reason, count) in [
        (Ok(()), vec![good(), no_trace, good()], DiscardReason::InvalidTraceId, 3),
        (Ok(()), vec![good(), no_id], DiscardReason::InvalidSpanId, 2),
        (full(), vec![good()], DiscardReason::UnknownError, 1),
        (overloaded(), vec![good()], DiscardReason::UnknownError, 1),
        (limited(), vec![good()], DiscardReason::RateLimited, 1),
    ] {
        assert_eq!(discarded(answer, request(spans)).await, [(tenant.clone(), reason, count)]);
    }
    assert_eq!(discarded(Ok(()), request(vec![good()])).await, []);
    assert_eq!(discarded(Ok(()), Bytes::from_static(b"\xff")).await, []);
    assert_eq!(discarded(full(), Bytes::new()).await, [], "nothing is nothing lost");
}
