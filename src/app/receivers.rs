//! Each receiver with its settings, on its port.

use super::listeners::{Bound, BoundUdp, Receiver};
use super::stopped;
use crate::config::{Config, GrpcReceiver, HttpReceiver};
use crate::distributor::Distributor;
use crate::receiver::jaeger_grpc::{self, JaegerGrpc};
use crate::receiver::jaeger_http::{self, JaegerHttp};
use crate::receiver::jaeger_udp::{self, JaegerUdp, PacketFormat};
use crate::receiver::opencensus_grpc::{self, OpenCensusGrpc};
use crate::receiver::otlp_grpc::{self, OtlpGrpc};
use crate::receiver::otlp_http::{self, OtlpHttp};
use crate::receiver::tenant::Tenancy;
use crate::receiver::zipkin::TagTypes;
use crate::receiver::zipkin_http::{self, ZipkinHttp};
use crate::runtime::serve::{Router, ServeOptions, serve};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Starts all receivers that are bound, those for connections behind `entrance`; they end when `stop` is dropped.
pub(super) fn start(
    config: &Config,
    distributor: &Distributor,
    entrance: &dyn Fn(Receiver, Router) -> Router,
    bound: Vec<(Receiver, Bound)>,
    bound_udp: Vec<(Receiver, BoundUdp)>,
    stop: &watch::Sender<()>,
) -> JoinSet<()> {
    let mut running = JoinSet::new();
    for (receiver, bound) in bound {
        if let Some(router) = router(receiver, config, distributor.for_origin(receiver.origin()), stop.subscribe()) {
            let graceful_timeout = config.server.graceful_shutdown_timeout;
            let options = ServeOptions { tls: bound.tls, graceful_timeout, ..options(receiver, config, bound.name) };
            running.spawn(serve(bound.listener, entrance(receiver, router), options, stopped(stop)));
        }
    }
    for (receiver, bound) in bound_udp {
        if let Some(receiver) = datagrams(receiver, config, distributor.for_origin(receiver.origin())) {
            running.spawn(jaeger_udp::serve(bound.socket, receiver, stopped(stop)));
        }
    }
    running
}

/// How connections to a receiver are treated.
fn options(receiver: Receiver, config: &Config, name: &'static str) -> ServeOptions {
    let (receivers, default) = (&config.receivers, ServeOptions::named(name));
    let http = |receiver: Option<&HttpReceiver>| ServeOptions {
        header_read_timeout: receiver.and_then(|receiver| receiver.read_header_timeout).unwrap_or(default.header_read_timeout),
        ..default.clone()
    };
    let grpc = |receiver: Option<&GrpcReceiver>| ServeOptions {
        max_concurrent_streams: receiver.and_then(|receiver| receiver.max_concurrent_streams).unwrap_or(default.max_concurrent_streams),
        keep_alive_interval: receiver.and_then(|receiver| receiver.keep_alive_interval).unwrap_or(default.keep_alive_interval),
        ..default.clone()
    };
    match receiver {
        Receiver::OtlpGrpc => grpc(receivers.otlp_grpc.as_ref()),
        Receiver::JaegerGrpc => grpc(receivers.jaeger_grpc.as_ref()),
        Receiver::OpenCensus => grpc(receivers.opencensus.as_ref()),
        Receiver::OtlpHttp => http(receivers.otlp_http.as_ref()),
        Receiver::Zipkin => http(receivers.zipkin.as_ref().map(|zipkin| &zipkin.http)),
        Receiver::JaegerHttp => http(receivers.jaeger_thrift_http.as_ref()),
        Receiver::JaegerCompact | Receiver::JaegerBinary => default,
    }
}

fn tenancy(config: &Config) -> Tenancy {
    if config.multitenancy_enabled { Tenancy::Header } else { Tenancy::Single }
}

/// What a port for connections serves; nothing if its receiver is off, or takes datagrams.
fn router(receiver: Receiver, config: &Config, distributor: Distributor, stopping: watch::Receiver<()>) -> Option<Router> {
    let (receivers, tenancy) = (&config.receivers, tenancy(config));
    Some(match receiver {
        Receiver::OtlpGrpc => {
            let max_message_bytes = receivers.otlp_grpc.as_ref()?.max_message_bytes;
            otlp_grpc::router(OtlpGrpc { distributor, tenancy, max_message_bytes })
        }
        Receiver::OtlpHttp => {
            let http = receivers.otlp_http.as_ref()?;
            let (max_body_bytes, path) = (http.max_body_bytes, http.traces_path.clone());
            http.edge.around(otlp_http::router(OtlpHttp { distributor, tenancy, max_body_bytes, path }))
        }
        Receiver::Zipkin => {
            let zipkin = receivers.zipkin.as_ref()?;
            let tag_types = if zipkin.parse_string_tags { TagTypes::Guessed } else { TagTypes::Text };
            let max_body_bytes = zipkin.http.max_body_bytes;
            zipkin.http.edge.around(zipkin_http::router(ZipkinHttp { distributor, tenancy, max_body_bytes, tag_types }))
        }
        Receiver::JaegerGrpc => {
            let max_message_bytes = receivers.jaeger_grpc.as_ref()?.max_message_bytes;
            jaeger_grpc::router(JaegerGrpc { distributor, tenancy, max_message_bytes })
        }
        Receiver::JaegerHttp => {
            let http = receivers.jaeger_thrift_http.as_ref()?;
            http.edge.around(jaeger_http::router(JaegerHttp { distributor, tenancy, max_body_bytes: http.max_body_bytes }))
        }
        Receiver::OpenCensus => {
            let opencensus = receivers.opencensus.as_ref()?;
            let max_message_bytes = opencensus.max_message_bytes;
            opencensus.edge.around(opencensus_grpc::router(OpenCensusGrpc { distributor, tenancy, max_message_bytes, stopping }))
        }
        Receiver::JaegerCompact | Receiver::JaegerBinary => return None,
    })
}

/// What a port for datagrams serves; nothing if its receiver is off, or takes connections.
fn datagrams(receiver: Receiver, config: &Config, distributor: Distributor) -> Option<JaegerUdp> {
    let (settings, format) = match receiver {
        Receiver::JaegerCompact => (&config.receivers.jaeger_thrift_compact, PacketFormat::Compact),
        Receiver::JaegerBinary => (&config.receivers.jaeger_thrift_binary, PacketFormat::Binary),
        _ => return None,
    };
    let settings = settings.as_ref()?;
    let (max_packet_bytes, max_waiting) = (settings.max_packet_bytes, settings.max_waiting);
    Some(JaegerUdp { distributor, tenancy: tenancy(config), format, max_packet_bytes, max_waiting })
}
