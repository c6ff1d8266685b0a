//! Binding all ports before anything else happens.

use crate::config::{Config, ListenAddress};
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
        let (server, receivers) = (&config.server, &config.receivers);
        let http = bind("http", &server.http_listener(), &server.http_tls, "server.http_listen_port", "server.http_tls_config").await?;
        let grpc = bind("grpc", &server.grpc_listener(), &server.grpc_tls, "server.grpc_listen_port", "server.grpc_tls_config").await?;
        let http_receiver = |receiver: &crate::config::HttpReceiver| (receiver.endpoint.clone(), receiver.tls.clone());
        let grpc_receiver = |receiver: &crate::config::GrpcReceiver| (receiver.endpoint.clone(), receiver.tls.clone());
        let wanted = [
            (Receiver::OtlpGrpc, receivers.otlp_grpc.as_ref().map(grpc_receiver)),
            (Receiver::OtlpHttp, receivers.otlp_http.as_ref().map(http_receiver)),
            (Receiver::Zipkin, receivers.zipkin.as_ref().map(|receiver| http_receiver(&receiver.http))),
            (Receiver::JaegerGrpc, receivers.jaeger_grpc.as_ref().map(grpc_receiver)),
            (Receiver::JaegerHttp, receivers.jaeger_thrift_http.as_ref().map(http_receiver)),
            (Receiver::OpenCensus, receivers.opencensus.as_ref().map(grpc_receiver)),
        ];
        let mut bound = Vec::new();
        for (receiver, settings) in wanted {
            if let Some((endpoint, tls)) = settings {
                let key = format!("distributor.receivers.{}", receiver.key());
                bound.push((receiver, bind(receiver.name(), &endpoint, &tls, &format!("{key}.endpoint"), &format!("{key}.tls")).await?));
            }
        }
        let wanted =
            [(Receiver::JaegerCompact, &receivers.jaeger_thrift_compact), (Receiver::JaegerBinary, &receivers.jaeger_thrift_binary)];
        let mut udp_receivers = Vec::new();
        for (receiver, settings) in wanted {
            if let Some(settings) = settings {
                udp_receivers.push((receiver, bind_udp(receiver, &settings.endpoint).await?));
            }
        }
        Ok(Listeners { http, grpc, receivers: bound, udp_receivers })
    }

    /// The address of a receiver, if it is served, and whether it speaks TLS.
    pub fn receiver(&self, wanted: Receiver) -> Option<(SocketAddr, bool)> {
        let tcp = self.receivers.iter().find(|(receiver, _)| *receiver == wanted);
        let udp = self.udp_receivers.iter().find(|(receiver, _)| *receiver == wanted);
        tcp.map(|(_, bound)| (bound.address, bound.tls.is_some())).or_else(|| udp.map(|(_, bound)| (bound.address, false)))
    }
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
