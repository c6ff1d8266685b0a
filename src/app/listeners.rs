//! Binding all ports before anything else happens.

use crate::config::{Config, ListenAddress};
use crate::distributor::Origin;
use crate::receiver::zipkin_http;
use crate::runtime::tls::{Tls, TlsSettings};
use anyhow::{Context, anyhow};
use std::net::SocketAddr;
use tokio::net::{TcpListener, UdpSocket};

/// The receivers, in the order of the banner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Receiver {
    OtlpGrpc,
    OtlpHttp,
    Zipkin,
    JaegerGrpc,
    JaegerHttp,
    JaegerCompact,
    JaegerBinary,
    OpenCensus,
}

impl Receiver {
    /// The name in log lines.
    pub(super) fn name(self) -> &'static str {
        match self {
            Receiver::OtlpGrpc => "otlp_grpc",
            Receiver::OtlpHttp => "otlp_http",
            Receiver::Zipkin => "zipkin",
            Receiver::JaegerGrpc => "jaeger_grpc",
            Receiver::JaegerHttp => "jaeger_thrift_http",
            Receiver::JaegerCompact => "jaeger_thrift_compact",
            Receiver::JaegerBinary => "jaeger_thrift_binary",
            Receiver::OpenCensus => "opencensus",
        }
    }

    /// The labels in metrics of spans (spec/ingest.md §9.5). Zipkin's transport depends on the request.
    pub(super) fn origin(self) -> Origin {
        let (receiver, transport) = match self {
            Receiver::OtlpGrpc => ("otlp/otlp_receiver", "grpc"),
            Receiver::OtlpHttp => ("otlp/otlp_receiver", "http"),
            Receiver::Zipkin => (zipkin_http::RECEIVER, "http"),
            Receiver::JaegerGrpc => ("jaeger/jaeger_receiver", "grpc"),
            Receiver::JaegerHttp => ("jaeger/jaeger_receiver", "collector_http"),
            Receiver::JaegerCompact => ("jaeger/jaeger_receiver", "udp_thrift_compact"),
            Receiver::JaegerBinary => ("jaeger/jaeger_receiver", "udp_thrift_binary"),
            Receiver::OpenCensus => ("opencensus/opencensus_receiver", "grpc"),
        };
        Origin { receiver, transport }
    }

    /// The key in `distributor.receivers` under which it is configured.
    fn key(self) -> &'static str {
        match self {
            Receiver::OtlpGrpc => "otlp.protocols.grpc",
            Receiver::OtlpHttp => "otlp.protocols.http",
            Receiver::Zipkin => "zipkin",
            Receiver::JaegerGrpc => "jaeger.protocols.grpc",
            Receiver::JaegerHttp => "jaeger.protocols.thrift_http",
            Receiver::JaegerCompact => "jaeger.protocols.thrift_compact",
            Receiver::JaegerBinary => "jaeger.protocols.thrift_binary",
            Receiver::OpenCensus => "opencensus",
        }
    }
}

/// A bound port for connections.
pub(super) struct Bound {
    pub name: &'static str,
    pub address: SocketAddr,
    pub listener: TcpListener,
    pub tls: Option<Tls>,
}

/// A bound port for datagrams.
pub(super) struct BoundUdp {
    pub address: SocketAddr,
    pub socket: UdpSocket,
}

/// All ports of the server.
pub(super) struct Listeners {
    pub http: Bound,
    pub grpc: Bound,
    pub receivers: Vec<(Receiver, Bound)>,
    pub udp_receivers: Vec<(Receiver, BoundUdp)>,
}

impl Listeners {
    /// Binds every port of the configuration; an error names the port and the key that sets it.
    pub async fn bind(config: &Config) -> anyhow::Result<Self> {
        let http = bind_http(config).await?;
        let grpc = bind_grpc(config).await?;
        let (mut receivers, mut udp_receivers) = (Vec::new(), Vec::new());
        for (receiver, endpoint, tls) in wanted(config) {
            receivers.push((receiver, bind_receiver(receiver, &endpoint, &tls).await?));
        }
        // Datagrams carry no token.
        let udp = if config.tokens.file.is_some() { Vec::new() } else { wanted_udp(config) };
        for (receiver, endpoint) in udp {
            udp_receivers.push((receiver, bind_udp(receiver, &endpoint).await?));
        }
        Ok(Listeners { http, grpc, receivers, udp_receivers })
    }

    /// Tries every port, also after one that cannot be had, and gives all back. Names, and the addresses as configured.
    pub async fn examine(config: &Config) -> Vec<(&'static str, ListenAddress, anyhow::Result<()>)> {
        let mut tried = Vec::new();
        // Held until the end, so that the same port twice is found.
        let (mut bound, mut bound_udp) = (Vec::new(), Vec::new());
        tried.push(("http", config.server.http_listener(), bind_http(config).await.map(|port| bound.push(port))));
        tried.push(("grpc", config.server.grpc_listener(), bind_grpc(config).await.map(|port| bound.push(port))));
        for (receiver, endpoint, tls) in wanted(config) {
            let result = bind_receiver(receiver, &endpoint, &tls).await;
            tried.push((receiver.name(), endpoint, result.map(|port| bound.push(port))));
        }
        for (receiver, endpoint) in wanted_udp(config) {
            let result = bind_udp(receiver, &endpoint).await;
            tried.push((receiver.name(), endpoint, result.map(|port| bound_udp.push(port))));
        }
        tried
    }

    /// The address of a receiver, if it is served, and whether it speaks TLS.
    pub fn receiver(&self, wanted: Receiver) -> Option<(SocketAddr, bool)> {
        let tcp = self.receivers.iter().find(|(receiver, _)| *receiver == wanted);
        let udp = self.udp_receivers.iter().find(|(receiver, _)| *receiver == wanted);
        tcp.map(|(_, bound)| (bound.address, bound.tls.is_some())).or_else(|| udp.map(|(_, bound)| (bound.address, false)))
    }
}

/// Receivers that take connections, and where.
fn wanted(config: &Config) -> Vec<(Receiver, ListenAddress, TlsSettings)> {
    let receivers = &config.receivers;
    let http = |receiver: &crate::config::HttpReceiver| (receiver.endpoint.clone(), receiver.tls.clone());
    let grpc = |receiver: &crate::config::GrpcReceiver| (receiver.endpoint.clone(), receiver.tls.clone());
    let all = [
        (Receiver::OtlpGrpc, receivers.otlp_grpc.as_ref().map(grpc)),
        (Receiver::OtlpHttp, receivers.otlp_http.as_ref().map(http)),
        (Receiver::Zipkin, receivers.zipkin.as_ref().map(|receiver| http(&receiver.http))),
        (Receiver::JaegerGrpc, receivers.jaeger_grpc.as_ref().map(grpc)),
        (Receiver::JaegerHttp, receivers.jaeger_thrift_http.as_ref().map(http)),
        (Receiver::OpenCensus, receivers.opencensus.as_ref().map(grpc)),
    ];
    all.into_iter().filter_map(|(receiver, settings)| settings.map(|(endpoint, tls)| (receiver, endpoint, tls))).collect()
}

/// Receivers that take datagrams, and where.
pub(super) fn wanted_udp(config: &Config) -> Vec<(Receiver, ListenAddress)> {
    let receivers = &config.receivers;
    let all = [(Receiver::JaegerCompact, &receivers.jaeger_thrift_compact), (Receiver::JaegerBinary, &receivers.jaeger_thrift_binary)];
    all.into_iter().filter_map(|(receiver, settings)| Some((receiver, settings.as_ref()?.endpoint.clone()))).collect()
}

async fn bind_http(config: &Config) -> anyhow::Result<Bound> {
    let server = &config.server;
    bind("http", &server.http_listener(), &server.http_tls, "server.http_listen_port", "server.http_tls_config").await
}

async fn bind_grpc(config: &Config) -> anyhow::Result<Bound> {
    let server = &config.server;
    bind("grpc", &server.grpc_listener(), &server.grpc_tls, "server.grpc_listen_port", "server.grpc_tls_config").await
}

async fn bind_receiver(receiver: Receiver, endpoint: &ListenAddress, tls: &TlsSettings) -> anyhow::Result<Bound> {
    let key = format!("distributor.receivers.{}", receiver.key());
    bind(receiver.name(), endpoint, tls, &format!("{key}.endpoint"), &format!("{key}.tls")).await
}

async fn bind(name: &'static str, endpoint: &ListenAddress, tls: &TlsSettings, key: &str, tls_key: &str) -> anyhow::Result<Bound> {
    let failed = |error| could_not_listen(name, endpoint, key, &error);
    let listener = TcpListener::bind((endpoint.host.as_str(), endpoint.port)).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let tls = Tls::load(tls).with_context(|| format!("could not set up TLS ({tls_key})"))?;
    Ok(Bound { name, address, listener, tls })
}

async fn bind_udp(receiver: Receiver, endpoint: &ListenAddress) -> anyhow::Result<BoundUdp> {
    let key = format!("distributor.receivers.{}.endpoint", receiver.key());
    let failed = |error| could_not_listen(receiver.name(), endpoint, &key, &error);
    let socket = UdpSocket::bind((endpoint.host.as_str(), endpoint.port)).await.map_err(failed)?;
    Ok(BoundUdp { address: socket.local_addr().map_err(failed)?, socket })
}

fn could_not_listen(name: &str, endpoint: &ListenAddress, key: &str, error: &std::io::Error) -> anyhow::Error {
    let (host, port) = (endpoint.host.as_str(), endpoint.port);
    let hint = match error.kind() {
        std::io::ErrorKind::AddrInUse => format!("port {port} is in use by another process; stop it or set {key} to another port"),
        std::io::ErrorKind::PermissionDenied => format!("ports below 1024 need privileges; set {key} to a higher port"),
        _ => format!("the address is set by {key}"),
    };
    anyhow!("could not listen on {host}:{port} ({name}): {error}: {hint}")
}
