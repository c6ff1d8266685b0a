//! A stock gRPC client: tonic's own channel.

use super::DEADLINE;
use conmoto::proto::otlp::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use conmoto::proto::tempopb::streaming_querier_client::StreamingQuerierClient;
use prost::Message;
use std::net::SocketAddr;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

/// Runs a client on a runtime of its own.
pub fn wait<T>(client: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(DEADLINE, client).await }).expect("an answer in time")
}

/// A connection with prior knowledge of HTTP/2.
pub async fn channel(address: SocketAddr) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    endpoint.connect().await.expect("listening")
}

/// The streaming query API.
pub async fn querier(address: SocketAddr) -> StreamingQuerierClient<Channel> {
    StreamingQuerierClient::new(channel(address).await)
}

/// A message with its tenant in the metadata.
pub fn of_tenant<M>(tenant: &str, message: M) -> Request<M> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("x-scope-orgid", tenant.parse().expect("visible characters"));
    request
}

/// All messages of a stream.
pub async fn messages<M>(answer: Result<Response<Streaming<M>>, Status>) -> Result<Vec<M>, Status> {
    let mut stream = answer?.into_inner();
    let mut messages = Vec::new();
    while let Some(message) = stream.message().await? {
        messages.push(message);
    }
    Ok(messages)
}

/// Sends spans over OTLP.
pub async fn export(address: SocketAddr, tenant: &str, request: &[u8]) -> Result<ExportTraceServiceResponse, Status> {
    let mut client = tonic::client::Grpc::new(channel(address).await);
    client.ready().await.expect("connected");
    let path = http::uri::PathAndQuery::from_static(super::grpc::EXPORT);
    let message = ExportTraceServiceRequest::decode(request).expect("OTLP");
    let codec = ProstCodec::<ExportTraceServiceRequest, ExportTraceServiceResponse>::default();
    client.unary(of_tenant(tenant, message), path, codec).await.map(Response::into_inner)
}
