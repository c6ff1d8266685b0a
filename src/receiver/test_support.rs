//! What the receivers' tests have in common: a push target that remembers, and requests.

use crate::distributor::{Distributor, Push, PushError, PushFuture, PushTarget};
use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use std::sync::Arc;
use tower::ServiceExt;

/// Accepts everything, or refuses everything with one error.
#[derive(Default)]
pub(super) struct FakeTarget {
    pub(super) pushed: Mutex<Vec<Push>>,
    pub(super) refusal: Option<PushError>,
}

impl PushTarget for FakeTarget {
    fn push(&self, push: Push) -> PushFuture<'_> {
        let answer = self.refusal.clone().map_or(Ok(()), Err);
        self.pushed.lock().push(push);
        Box::pin(std::future::ready(answer))
    }
}

/// A distributor that stores into the returned target.
pub(super) fn distributor(refusal: Option<PushError>) -> (Distributor, Arc<FakeTarget>) {
    let target = Arc::new(FakeTarget { refusal, ..FakeTarget::default() });
    let seam: Arc<dyn PushTarget> = Arc::<FakeTarget>::clone(&target);
    (Distributor::new(seam), target)
}

/// An OTLP request with one span, with ids that pass.
pub(super) fn one_span() -> Vec<u8> {
    use crate::proto::otlp::{ExportTraceServiceRequest, ResourceSpans, ScopeSpans, Span};
    use prost::Message;
    let span = Span { trace_id: vec![1; 16], span_id: vec![2; 8], name: "GET /".repeat(20), ..Span::default() };
    let scope = ScopeSpans { spans: vec![span], ..ScopeSpans::default() };
    let resource_spans = vec![ResourceSpans { scope_spans: vec![scope], ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

/// An answer, read to its end.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) head: http::response::Parts,
    pub(super) body: Bytes,
    pub(super) trailers: http::HeaderMap,
}

impl Answer {
    pub(super) fn status(&self) -> u16 {
        self.head.status.as_u16()
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.head.headers.get(name).map_or("", |value| value.to_str().expect("visible characters"))
    }

    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }

    pub(super) async fn of(response: Response<Body>) -> Self {
        let (head, body) = response.into_parts();
        let body = body.collect().await.expect("our own body");
        let trailers = body.trailers().cloned().unwrap_or_default();
        Answer { head, body: body.to_bytes(), trailers }
    }
}

/// Sends one request to a router.
pub(super) async fn send(router: Router, request: Request<Body>) -> Answer {
    Answer::of(router.oneshot(request).await.expect("routers do not fail")).await
}
