//! The standard gRPC health service, `grpc.health.v1.Health`, as balancers and probes ask for it.

use super::{ApiState, Readiness};
use crate::proto::tempopb::streaming_querier_server;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::any;
use prost::Message;
use std::future::Ready;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tonic::server::{Grpc, ServerStreamingService, UnaryService};
use tonic_prost::ProstCodec;

const SERVING: i32 = 1;
const NOT_SERVING: i32 = 2;
const SERVICE_UNKNOWN: i32 = 3;

/// The two calls of the service.
pub(super) fn routes() -> Router<Arc<ApiState>> {
    Router::new().route("/grpc.health.v1.Health/Check", any(check)).route("/grpc.health.v1.Health/Watch", any(watch_changes))
}

/// `grpc.health.v1.HealthCheckRequest`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct HealthCheckRequest {
    /// Empty for the server as a whole.
    #[prost(string, tag = "1")]
    pub(super) service: String,
}

/// `grpc.health.v1.HealthCheckResponse`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct HealthCheckResponse {
    #[prost(int32, tag = "1")]
    pub(super) status: i32,
}

async fn check(State(state): State<Arc<ApiState>>, request: Request) -> Response {
    Grpc::new(Codec::default()).unary(Health(state.readiness.clone()), request).await.map(Body::new)
}

async fn watch_changes(State(state): State<Arc<ApiState>>, request: Request) -> Response {
    Grpc::new(Codec::default()).server_streaming(Health(state.readiness.clone()), request).await.map(Body::new)
}

type Codec = ProstCodec<HealthCheckResponse, HealthCheckRequest>;
type Changes = ReceiverStream<Result<HealthCheckResponse, Status>>;

struct Health(watch::Receiver<Readiness>);

fn is_known(service: &str) -> bool {
    service.is_empty() || service == streaming_querier_server::SERVICE_NAME
}

fn response(readiness: Readiness) -> HealthCheckResponse {
    HealthCheckResponse { status: if readiness == Readiness::Ready { SERVING } else { NOT_SERVING } }
}

impl UnaryService<HealthCheckRequest> for Health {
    type Response = HealthCheckResponse;
    type Future = Ready<Result<tonic::Response<HealthCheckResponse>, Status>>;

    fn call(&mut self, request: tonic::Request<HealthCheckRequest>) -> Self::Future {
        let known = is_known(&request.get_ref().service);
        let answer = if known { Ok(tonic::Response::new(response(*self.0.borrow()))) } else { Err(Status::not_found("unknown service")) };
        std::future::ready(answer)
    }
}

impl ServerStreamingService<HealthCheckRequest> for Health {
    type Response = HealthCheckResponse;
    type ResponseStream = Changes;
    type Future = Ready<Result<tonic::Response<Changes>, Status>>;

    /// The state now and after every change. The task behind it ends with the client or with the process.
    fn call(&mut self, request: tonic::Request<HealthCheckRequest>) -> Self::Future {
        let (sender, receiver) = mpsc::channel(1);
        let mut readiness = self.0.clone();
        let known = is_known(&request.get_ref().service);
        tokio::spawn(async move {
            loop {
                let now = if known { response(*readiness.borrow_and_update()) } else { HealthCheckResponse { status: SERVICE_UNKNOWN } };
                if sender.send(Ok(now)).await.is_err() {
                    return;
                }
                tokio::select! {
                    changed = readiness.changed() => if changed.is_err() { return },
                    () = sender.closed() => return,
                }
            }
        });
        std::future::ready(Ok(tonic::Response::new(ReceiverStream::new(receiver))))
    }
}
