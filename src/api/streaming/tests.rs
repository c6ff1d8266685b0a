use super::super::health::{HealthCheckRequest, HealthCheckResponse};
use super::super::test_support::state;
use super::super::{ApiConfig, Readiness, grpc_router};
use super::*;
use crate::proto::tempopb::streaming_querier_client::StreamingQuerierClient;
use crate::proto::tempopb::{SearchMetrics, TraceSearchMetadata};
use axum::Router;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::watch;
use tokio_stream::StreamExt;
use tonic::Code;
use tonic_prost::ProstCodec;

fn client(config: ApiConfig) -> StreamingQuerierClient<Router> {
    StreamingQuerierClient::new(grpc_router(Arc::new(state(config))))
}

#[tokio::test]
async fn one_complete_answer_and_the_end() {
    let mut client = client(ApiConfig::default());
    let request = SearchRequest { query: "{}".to_string(), start: 1, end: 2, ..SearchRequest::default() };
    let mut stream = client.search(request).await.expect("a stream").into_inner();
    let answer = stream.message().await.expect("no error").expect("one message");
    assert!(answer.traces.is_empty() && answer.metrics.is_some());
    assert_eq!(stream.message().await.expect("no error"), None);

    let mut stream = client.search_tags_v2(SearchTagsRequest::default()).await.expect("a stream").into_inner();
    let answer = stream.message().await.expect("no error").expect("one message");
    assert_eq!(answer.scopes[0].tags.len(), 25);
    client.search_tags(SearchTagsRequest::default()).await.expect("a stream");
    let query = || "{ } | rate()".to_string();
    let mut stream =
        client.metrics_query_range(QueryRangeRequest { query: query(), ..Default::default() }).await.expect("a stream").into_inner();
    let answer = stream.message().await.expect("no error").expect("one message");
    assert!(answer.series.is_empty() && answer.metrics.is_some(), "there are no data: {answer:?}");
    let mut stream =
        client.metrics_query_instant(QueryInstantRequest { query: query(), ..Default::default() }).await.expect("a stream").into_inner();
    assert!(stream.message().await.expect("no error").expect("one message").series.is_empty());
    let values = || SearchTagValuesRequest { tag_name: "status".to_string(), ..SearchTagValuesRequest::default() };
    client.search_tag_values(values()).await.expect("a stream");
    let mut stream = client.search_tag_values_v2(values()).await.expect("a stream").into_inner();
    assert_eq!(stream.message().await.expect("no error").expect("one message").tag_values.len(), 3);
}

#[tokio::test]
async fn errors_have_the_recorded_texts() {
    let mut client = client(ApiConfig::default());
    let request = SearchRequest { query: "{ status = ".to_string(), ..SearchRequest::default() };
    let status = client.search(request).await.map(drop).expect_err("no query");
    let text = "invalid TraceQL query: parse error at line 1, col 12: syntax error: unexpected $end";
    assert_eq!((status.code(), status.message()), (Code::InvalidArgument, text));
    let request = SearchTagsRequest { scope: "nonsense".to_string(), ..SearchTagsRequest::default() };
    let status = client.search_tags_v2(request).await.map(drop).expect_err("no scope");
    assert_eq!((status.code(), status.message()), (Code::InvalidArgument, "invalid scope: nonsense"));
    let status = client.search_tag_values_v2(SearchTagValuesRequest::default()).await.map(drop).expect_err("no name");
    assert_eq!(status.code(), Code::InvalidArgument);
    // Recorded: a range query that does not parse is told otherwise than all other refusals.
    let query = |query: &str| QueryRangeRequest { query: query.to_string(), start: 1, end: 2_000_000_000, ..QueryRangeRequest::default() };
    for (text, code) in [("{ bad", Code::Unknown), ("{ }", Code::InvalidArgument), ("{ 1 } | rate()", Code::InvalidArgument)] {
        let status = client.metrics_query_range(query(text)).await.map(drop).expect_err("no metrics query");
        assert_eq!(status.code(), code, "{text}: {}", status.message());
    }
    let instant = QueryInstantRequest { query: "{ bad".to_string(), ..QueryInstantRequest::default() };
    let status = client.metrics_query_instant(instant).await.map(drop).expect_err("no query");
    assert_eq!(status.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn the_tenant_comes_from_the_metadata() {
    let mut client = client(ApiConfig { multitenancy_enabled: true, ..ApiConfig::default() });
    let status = client.search(SearchRequest::default()).await.map(drop).expect_err("no tenant");
    assert_eq!((status.code(), status.message()), (Code::Unknown, "no org id"));
    for (tenant, code) in [("a/b", Code::InvalidArgument), ("a", Code::Ok)] {
        let mut request = Request::new(SearchRequest::default());
        request.metadata_mut().insert("x-scope-orgid", tenant.parse().expect("visible characters"));
        assert_eq!(client.search(request).await.map_or_else(|status| status.code(), |_| Code::Ok), code);
    }
}

#[test]
fn packets_stay_within_their_size() {
    let trace = |n: usize| TraceSearchMetadata { root_trace_name: "x".repeat(n), ..TraceSearchMetadata::default() };
    let sizes = |traces: Vec<TraceSearchMetadata>| -> Vec<usize> {
        let message = |traces| SearchResponse { traces, metrics: None };
        let messages = packets(traces, Message::encoded_len, message);
        assert!(messages.iter().all(|message| message.encoded_len() <= MAX_PACKET_BYTES || message.traces.len() == 1));
        messages.iter().map(|message| message.traces.len()).collect()
    };
    assert_eq!(sizes(vec![]), [0]);
    assert_eq!(sizes(vec![trace(10); 3]), [3]);
    assert_eq!(sizes(vec![trace(400_000); 5]), [2, 2, 1]);
    assert_eq!(sizes(vec![trace(10), trace(2_000_000), trace(10)]), [1, 1, 1]);
}

/// A search that takes as long and says how often it was asked.
fn slow(takes: Duration, ended: Arc<AtomicBool>) -> Response<Packets<SearchResponse>> {
    struct Ended(Arc<AtomicBool>);
    impl Drop for Ended {
        fn drop(&mut self) {
            self.0.store(true, Relaxed);
        }
    }
    let metrics =
        |jobs| SearchResponse { metrics: Some(SearchMetrics { completed_jobs: jobs, ..Default::default() }), ..Default::default() };
    let ended = Ended(ended);
    let work = async move {
        let _ended = ended;
        tokio::time::sleep(takes).await;
        Ok(vec![metrics(100)])
    };
    let mut asked = 0;
    let under_way = move || {
        asked += 1;
        metrics(asked)
    };
    stream(work, under_way)
}

#[tokio::test(start_paused = true)]
async fn a_slow_query_tells_how_far_it_is() {
    for (takes, jobs) in [(RHYTHM / 2, vec![100]), (RHYTHM * 5 / 2, vec![1, 2, 100])] {
        let mut stream = slow(takes, Arc::default()).into_inner();
        let mut told = Vec::new();
        while let Some(message) = stream.next().await {
            told.push(message.expect("no error").metrics.expect("always there").completed_jobs);
        }
        assert_eq!(told, jobs);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_away_ends_its_query() {
    let ended = Arc::new(AtomicBool::new(false));
    let mut stream = slow(Duration::from_secs(3600), Arc::clone(&ended)).into_inner();
    assert!(stream.next().await.is_some() && !ended.load(Relaxed));
    drop(stream);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(ended.load(Relaxed));
}

#[tokio::test]
async fn health_follows_the_process() {
    let (sender, readiness) = watch::channel(Readiness::Ready);
    let router = grpc_router(Arc::new(ApiState { readiness, ..state(ApiConfig::default()) }));
    let mut client = tonic::client::Grpc::new(router);
    let codec = ProstCodec::<HealthCheckRequest, HealthCheckResponse>::default;
    let ask = |service: &str| Request::new(HealthCheckRequest { service: service.to_string() });
    let check = || http::uri::PathAndQuery::from_static("/grpc.health.v1.Health/Check");
    for (service, code) in [("", Code::Ok), ("tempopb.StreamingQuerier", Code::Ok), ("other", Code::NotFound)] {
        client.ready().await.expect("always");
        let answer = client.unary(ask(service), check(), codec()).await;
        assert_eq!(answer.map_or_else(|status| status.code(), |_| Code::Ok), code);
    }
    client.ready().await.expect("always");
    let path = http::uri::PathAndQuery::from_static("/grpc.health.v1.Health/Watch");
    let mut stream = client.server_streaming(ask(""), path, codec()).await.expect("a stream").into_inner();
    for (status, next) in [(1, Readiness::Stopping), (2, Readiness::Ready)] {
        assert_eq!(stream.message().await.expect("no error").map(|answer| answer.status), Some(status));
        sender.send_replace(next);
    }
}
