//! `tempopb.StreamingQuerier`: the query API over gRPC (spec/query-api.md §7).
//!
//! While a query goes on, its client is told every half second how far it has come, and by a search what is found so far; the
//! complete answer comes last, and alone if it is there at once. An answer is cut into messages that clients can receive; its
//! metrics are in each of them. A client that goes away ends its query.

use super::metrics_query::{MetricsArgs, run_instant, run_range};
use super::search::SearchArgs;
use super::tags::{NamesQuery, TagFilter, ValuesQuery};
use super::tenant::caller_of;
use super::times::RangeArgs;
use super::{ApiError, ApiState};
use crate::frontend::{Caller, RHYTHM};
use crate::model::UnixNanos;
use crate::proto::tempopb::streaming_querier_server::{StreamingQuerier, StreamingQuerierServer};
use crate::proto::tempopb::{
    QueryInstantRequest, QueryInstantResponse, QueryRangeRequest, QueryRangeResponse, SearchRequest, SearchResponse,
    SearchTagValuesRequest, SearchTagValuesResponse, SearchTagValuesV2Response, SearchTagsRequest, SearchTagsResponse,
    SearchTagsV2Response,
};
use prost::Message;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codec::CompressionEncoding;
use tonic::{Request, Response, Status};
use tracing::Instrument;

/// Largest message that is sent (`max_grpc_streaming_packet_size`); Grafana takes no more than 4 MiB.
const MAX_PACKET_BYTES: usize = 1 << 20;

/// Largest message that is received, as on Tempo's port (spec/query-api.md §1.1).
const MAX_REQUEST_BYTES: usize = 16 << 20;

/// Bytes around an item of a list: a tag and a length.
const FRAME_BYTES: usize = 5;

/// Messages that wait for a client that reads slowly.
const MAX_UNREAD_PACKETS: usize = 4;

/// The calls, over one state.
pub struct Querier {
    state: Arc<ApiState>,
}

/// The service as tonic serves it.
pub(super) fn service(state: Arc<ApiState>) -> StreamingQuerierServer<Querier> {
    StreamingQuerierServer::new(Querier { state })
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd)
        .max_decoding_message_size(MAX_REQUEST_BYTES)
}

type Packets<T> = ReceiverStream<Result<T, Status>>;
type Answer<T> = Result<Response<Packets<T>>, Status>;

impl Querier {
    fn caller<T>(&self, request: &Request<T>) -> Result<Caller, ApiError> {
        Ok(caller_of(request.metadata().as_ref(), &self.state.config)?)
    }

    fn names(request: SearchTagsRequest) -> Result<NamesQuery, ApiError> {
        let SearchTagsRequest { scope, query, start, end, max_tags_per_scope: limit, .. } = request;
        NamesQuery::new(&scope, TagFilter { query, range: RangeArgs::of_seconds(start, end), limit })
    }

    fn values(request: SearchTagValuesRequest) -> Result<ValuesQuery, ApiError> {
        let SearchTagValuesRequest { tag_name, query, start, end, max_tag_values: limit, .. } = request;
        ValuesQuery::new(&tag_name, TagFilter { query, range: RangeArgs::of_seconds(start, end), limit })
    }
}

#[tonic::async_trait]
impl StreamingQuerier for Querier {
    type SearchStream = Packets<SearchResponse>;
    type SearchTagsStream = Packets<SearchTagsResponse>;
    type SearchTagsV2Stream = Packets<SearchTagsV2Response>;
    type SearchTagValuesStream = Packets<SearchTagValuesResponse>;
    type SearchTagValuesV2Stream = Packets<SearchTagValuesV2Response>;
    type MetricsQueryRangeStream = Packets<QueryRangeResponse>;
    type MetricsQueryInstantStream = Packets<QueryInstantResponse>;

    async fn search(&self, request: Request<SearchRequest>) -> Answer<SearchResponse> {
        let (caller, state) = (self.caller(&request)?, Arc::clone(&self.state));
        let config = state.config_for(&caller.tenants);
        let checked = SearchArgs::of_message(request.into_inner()).check(&config, UnixNanos::now())?;
        let (sender, mut partial) = mpsc::channel(1);
        let progress = caller.progress.clone();
        // With nothing new to show, how far the search has come is shown.
        let form = checked.form();
        let under_way = move || match partial.try_recv() {
            Ok(found) => form.shape(found),
            Err(_) => SearchResponse { metrics: Some(progress.metrics()), ..Default::default() },
        };
        let work = async move {
            let SearchResponse { traces, metrics } = checked.run_streamed(&state, &caller, sender).await?;
            Ok(packets(traces, Message::encoded_len, |traces| SearchResponse { traces, metrics: metrics.clone() }))
        };
        Ok(stream(work, under_way))
    }

    async fn search_tags(&self, request: Request<SearchTagsRequest>) -> Answer<SearchTagsResponse> {
        let (caller, state) = (self.caller(&request)?, Arc::clone(&self.state));
        let config = state.config_for(&caller.tenants);
        // Version 1 has no filter.
        let query = Self::names(SearchTagsRequest { query: String::new(), ..request.into_inner() })?;
        query.check(&config)?;
        let progress = caller.progress.clone();
        let under_way = move || SearchTagsResponse { metrics: Some(progress.metadata_metrics()), ..Default::default() };
        let work = async move {
            let SearchTagsResponse { tag_names, metrics } = query.version_1(&state, &caller).await?;
            Ok(packets(tag_names, String::len, |tag_names| SearchTagsResponse { tag_names, metrics: metrics.clone() }))
        };
        Ok(stream(work, under_way))
    }

    async fn search_tags_v2(&self, request: Request<SearchTagsRequest>) -> Answer<SearchTagsV2Response> {
        let (caller, state) = (self.caller(&request)?, Arc::clone(&self.state));
        let config = state.config_for(&caller.tenants);
        let query = Self::names(request.into_inner())?;
        query.check(&config)?;
        let progress = caller.progress.clone();
        let under_way = move || SearchTagsV2Response { metrics: Some(progress.metadata_metrics()), ..Default::default() };
        let work = async move {
            let SearchTagsV2Response { scopes, metrics } = query.version_2(&state, &caller).await?;
            Ok(packets(scopes, Message::encoded_len, |scopes| SearchTagsV2Response { scopes, metrics: metrics.clone() }))
        };
        Ok(stream(work, under_way))
    }

    async fn search_tag_values(&self, request: Request<SearchTagValuesRequest>) -> Answer<SearchTagValuesResponse> {
        let (caller, state) = (self.caller(&request)?, Arc::clone(&self.state));
        let config = state.config_for(&caller.tenants);
        // Version 1 has no filter.
        let query = Self::values(SearchTagValuesRequest { query: String::new(), ..request.into_inner() })?;
        query.check(&config)?;
        let progress = caller.progress.clone();
        let under_way = move || SearchTagValuesResponse { metrics: Some(progress.metadata_metrics()), ..Default::default() };
        let work = async move {
            let SearchTagValuesResponse { tag_values, metrics } = query.version_1(&state, &caller).await?;
            Ok(packets(tag_values, String::len, |tag_values| SearchTagValuesResponse { tag_values, metrics: metrics.clone() }))
        };
        Ok(stream(work, under_way))
    }

    async fn search_tag_values_v2(&self, request: Request<SearchTagValuesRequest>) -> Answer<SearchTagValuesV2Response> {
        let (caller, state) = (self.caller(&request)?, Arc::clone(&self.state));
        let config = state.config_for(&caller.tenants);
        let query = Self::values(request.into_inner())?;
        query.check(&config)?;
        let progress = caller.progress.clone();
        let under_way = move || SearchTagValuesV2Response { metrics: Some(progress.metadata_metrics()), ..Default::default() };
        let work = async move {
            let SearchTagValuesV2Response { tag_values, metrics } = query.version_2(&state, &caller).await?;
            Ok(packets(tag_values, Message::encoded_len, |tag_values| SearchTagValuesV2Response { tag_values, metrics: metrics.clone() }))
        };
        Ok(stream(work, under_way))
    }

    async fn metrics_query_range(&self, request: Request<QueryRangeRequest>) -> Answer<QueryRangeResponse> {
        let (caller, state) = (self.caller(&request)?, Arc::clone(&self.state));
        let config = state.config_for(&caller.tenants);
        let now = UnixNanos::now();
        let params = MetricsArgs::of_range_message(request.into_inner(), now).check_range(&config, now)?;
        let progress = caller.progress.clone();
        let under_way = move || QueryRangeResponse { metrics: Some(progress.metrics()), ..Default::default() };
        let work = async move {
            let QueryRangeResponse { series, metrics, status, message } = run_range(&state, &caller, params).await?;
            let packet = |series| QueryRangeResponse { series, metrics: metrics.clone(), ..QueryRangeResponse::default() };
            let mut messages = packets(series, Message::encoded_len, packet);
            // Only the last message says that series are missing.
            messages.last_mut().into_iter().for_each(|last| (last.status, last.message) = (status, message.clone()));
            Ok(messages)
        };
        Ok(stream(work, under_way))
    }

    async fn metrics_query_instant(&self, request: Request<QueryInstantRequest>) -> Answer<QueryInstantResponse> {
        let (caller, state) = (self.caller(&request)?, Arc::clone(&self.state));
        let config = state.config_for(&caller.tenants);
        let now = UnixNanos::now();
        let params = MetricsArgs::of_instant_message(request.into_inner(), now).check_instant(&config, now)?;
        let progress = caller.progress.clone();
        let under_way = move || QueryInstantResponse { metrics: Some(progress.metrics()), ..Default::default() };
        let work = async move {
            let QueryInstantResponse { series, metrics, status, message } = run_instant(&state, &caller, params).await?;
            let packet = |series| QueryInstantResponse { series, metrics: metrics.clone(), ..QueryInstantResponse::default() };
            let mut messages = packets(series, Message::encoded_len, packet);
            messages.last_mut().into_iter().for_each(|last| (last.status, last.message) = (status, message.clone()));
            Ok(messages)
        };
        Ok(stream(work, under_way))
    }
}

/// An answer as messages, each with some of the items.
fn packets<I, M>(items: Vec<I>, num_bytes: impl Fn(&I) -> usize, message: impl Fn(Vec<I>) -> M) -> Vec<M> {
    dealt(items, num_bytes).into_iter().map(message).collect()
}

/// Sends what is known now and then while the work goes on, and its answer at the end. A client that goes away ends the work.
fn stream<M: Send + 'static>(
    work: impl Future<Output = Result<Vec<M>, ApiError>> + Send + 'static,
    mut under_way: impl FnMut() -> M + Send + 'static,
) -> Response<Packets<M>> {
    let (sender, receiver) = mpsc::channel(MAX_UNREAD_PACKETS);
    let work = work.in_current_span();
    tokio::spawn(async move {
        let mut work = std::pin::pin!(work);
        let mut rhythm = tokio::time::interval_at(Instant::now() + RHYTHM, RHYTHM);
        let done = loop {
            tokio::select! {
                done = &mut work => break done,
                () = sender.closed() => return,
                // A client that does not read gets everything with the complete answer.
                _ = rhythm.tick() => if let Ok(free) = sender.try_reserve() { free.send(Ok(under_way())) },
            }
        };
        let messages = match done {
            Ok(messages) => messages.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(Status::from(error))],
        };
        for message in messages {
            if sender.send(message).await.is_err() {
                return;
            }
        }
    });
    Response::new(ReceiverStream::new(receiver))
}

/// The items dealt out so that each message stays within its size, but at least one message, and no item cut.
fn dealt<I>(items: Vec<I>, num_bytes: impl Fn(&I) -> usize) -> Vec<Vec<I>> {
    let mut messages = Vec::new();
    let mut packet = Vec::new();
    let mut packet_bytes = 0;
    for item in items {
        let item_bytes = FRAME_BYTES + num_bytes(&item);
        if packet_bytes + item_bytes > MAX_PACKET_BYTES && !packet.is_empty() {
            messages.push(std::mem::take(&mut packet));
            packet_bytes = 0;
        }
        packet_bytes += item_bytes;
        packet.push(item);
    }
    if !packet.is_empty() || messages.is_empty() {
        messages.push(packet);
    }
    messages
}

#[cfg(test)]
mod tests;
