//! `tempopb.StreamingQuerier`: the query API over gRPC (spec/query-api.md §7).
//!
//! Every call sends the complete answer and nothing before it, which all clients take. An answer is cut into messages that
//! they can receive; its metrics are in each of them.

use super::metrics_query::{MetricsArgs, run_instant, run_range};
use super::search::SearchArgs;
use super::tags::{NamesQuery, TagFilter, ValuesQuery};
use super::tenant::tenant_of;
use super::times::RangeArgs;
use super::{ApiError, ApiState};
use crate::model::{TenantId, UnixNanos};
use crate::proto::tempopb::streaming_querier_server::{StreamingQuerier, StreamingQuerierServer};
use crate::proto::tempopb::{
    QueryInstantRequest, QueryInstantResponse, QueryRangeRequest, QueryRangeResponse, SearchRequest, SearchResponse,
    SearchTagValuesRequest, SearchTagValuesResponse, SearchTagValuesV2Response, SearchTagsRequest, SearchTagsResponse,
    SearchTagsV2Response,
};
use prost::Message;
use std::sync::Arc;
use tonic::codec::CompressionEncoding;
use tonic::{Request, Response, Status};

/// Largest message that is sent (`max_grpc_streaming_packet_size`); Grafana takes no more than 4 MiB.
const MAX_PACKET_BYTES: usize = 1 << 20;

/// Largest message that is received, as on Tempo's port (spec/query-api.md §1.1).
const MAX_REQUEST_BYTES: usize = 16 << 20;

/// Bytes around an item of a list: a tag and a length.
const FRAME_BYTES: usize = 5;

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

type Packets<T> = tokio_stream::Iter<std::vec::IntoIter<Result<T, Status>>>;
type Answer<T> = Result<Response<Packets<T>>, Status>;

impl Querier {
    fn tenant<T>(&self, request: &Request<T>) -> Result<TenantId, ApiError> {
        Ok(tenant_of(request.metadata().as_ref(), self.state.config.multitenancy_enabled)?)
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
        let tenant = self.tenant(&request)?;
        let checked = SearchArgs::of_message(request.into_inner()).check(&self.state.config, UnixNanos::now())?;
        let SearchResponse { traces, metrics } = checked.run(&self.state, &tenant).await?;
        Ok(packets(traces, Message::encoded_len, |traces| SearchResponse { traces, metrics: metrics.clone() }))
    }

    async fn search_tags(&self, request: Request<SearchTagsRequest>) -> Answer<SearchTagsResponse> {
        let tenant = self.tenant(&request)?;
        // Version 1 has no filter.
        let request = SearchTagsRequest { query: String::new(), ..request.into_inner() };
        let SearchTagsResponse { tag_names, metrics } = Self::names(request)?.version_1(&self.state, &tenant).await?;
        Ok(packets(tag_names, String::len, |tag_names| SearchTagsResponse { tag_names, metrics: metrics.clone() }))
    }

    async fn search_tags_v2(&self, request: Request<SearchTagsRequest>) -> Answer<SearchTagsV2Response> {
        let tenant = self.tenant(&request)?;
        let SearchTagsV2Response { scopes, metrics } = Self::names(request.into_inner())?.version_2(&self.state, &tenant).await?;
        Ok(packets(scopes, Message::encoded_len, |scopes| SearchTagsV2Response { scopes, metrics: metrics.clone() }))
    }

    async fn search_tag_values(&self, request: Request<SearchTagValuesRequest>) -> Answer<SearchTagValuesResponse> {
        let tenant = self.tenant(&request)?;
        // Version 1 has no filter.
        let request = SearchTagValuesRequest { query: String::new(), ..request.into_inner() };
        let SearchTagValuesResponse { tag_values, metrics } = Self::values(request)?.version_1(&self.state, &tenant).await?;
        Ok(packets(tag_values, String::len, |tag_values| SearchTagValuesResponse { tag_values, metrics: metrics.clone() }))
    }

    async fn search_tag_values_v2(&self, request: Request<SearchTagValuesRequest>) -> Answer<SearchTagValuesV2Response> {
        let tenant = self.tenant(&request)?;
        let response = Self::values(request.into_inner())?.version_2(&self.state, &tenant).await?;
        let SearchTagValuesV2Response { tag_values, metrics } = response;
        Ok(packets(tag_values, Message::encoded_len, |tag_values| SearchTagValuesV2Response { tag_values, metrics: metrics.clone() }))
    }

    async fn metrics_query_range(&self, request: Request<QueryRangeRequest>) -> Answer<QueryRangeResponse> {
        let tenant = self.tenant(&request)?;
        let now = UnixNanos::now();
        let params = MetricsArgs::of_range_message(request.into_inner(), now).check_range(&self.state.config, now)?;
        let QueryRangeResponse { series, metrics, status, message } = run_range(&self.state, &tenant, params).await?;
        let mut messages: Vec<_> = dealt(series, Message::encoded_len)
            .into_iter()
            .map(|series| QueryRangeResponse { series, metrics: metrics.clone(), ..QueryRangeResponse::default() })
            .collect();
        // Only the last message says that series are missing.
        messages.last_mut().into_iter().for_each(|last| (last.status, last.message) = (status, message.clone()));
        Ok(stream(messages))
    }

    async fn metrics_query_instant(&self, request: Request<QueryInstantRequest>) -> Answer<QueryInstantResponse> {
        let tenant = self.tenant(&request)?;
        let now = UnixNanos::now();
        let params = MetricsArgs::of_instant_message(request.into_inner(), now).check_instant(&self.state.config, now)?;
        let QueryInstantResponse { series, metrics, status, message } = run_instant(&self.state, &tenant, params).await?;
        let mut messages: Vec<_> = dealt(series, Message::encoded_len)
            .into_iter()
            .map(|series| QueryInstantResponse { series, metrics: metrics.clone(), ..QueryInstantResponse::default() })
            .collect();
        messages.last_mut().into_iter().for_each(|last| (last.status, last.message) = (status, message.clone()));
        Ok(stream(messages))
    }
}

/// An answer as messages, each with some of the items.
fn packets<I, M>(items: Vec<I>, num_bytes: impl Fn(&I) -> usize, message: impl Fn(Vec<I>) -> M) -> Response<Packets<M>> {
    stream(dealt(items, num_bytes).into_iter().map(message).collect())
}

fn stream<M>(messages: Vec<M>) -> Response<Packets<M>> {
    let messages: Vec<_> = messages.into_iter().map(Ok).collect();
    Response::new(tokio_stream::iter(messages))
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
