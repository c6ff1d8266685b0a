//! Binding all ports before anything else happens.

use crate::config::{Config, ListenAddress};
use anyhow::anyhow;
use std::net::SocketAddr;
use tokio::net::TcpListener;

pub(super) const OTLP_GRPC: &str = "otlp_grpc";
pub(super) const OTLP_HTTP: &str = "otlp_http";
pub(super) const ZIPKIN: &str = "zipkin";

/// A bound port.
pub(super) struct Bound {
    pub name: &'static str,
    pub address: SocketAddr,
    pub listener: TcpListener,
}

/// All ports of the server.
pub(super) struct Listeners {
    pub http: Bound,
    pub grpc: Bound,
    pub receivers: Vec<Bound>,
}

impl Listeners {
    /// Binds every port of the configuration; an error names the port and the key that sets it.
    pub async fn bind(config: &Config) -> anyhow::Result<Self> {
        let receivers = &config.receivers;
        let wanted = [
            (
                OTLP_GRPC,
                receivers.otlp_grpc.as_ref().map(|receiver| &receiver.endpoint),
                "distributor.receivers.otlp.protocols.grpc.endpoint",
            ),
            (
                OTLP_HTTP,
                receivers.otlp_http.as_ref().map(|receiver| &receiver.endpoint),
                "distributor.receivers.otlp.protocols.http.endpoint",
            ),
            (ZIPKIN, receivers.zipkin.as_ref().map(|receiver| &receiver.endpoint), "distributor.receivers.zipkin.endpoint"),
        ];
        let http = bind("http", &config.server.http_listener(), "server.http_listen_port").await?;
        let grpc = bind("grpc", &config.server.grpc_listener(), "server.grpc_listen_port").await?;
        let mut bound = Vec::new();
        for (name, endpoint, key) in wanted {
            if let Some(endpoint) = endpoint {
                bound.push(bind(name, endpoint, key).await?);
            }
        }
        Ok(Listeners { http, grpc, receivers: bound })
    }

    /// The address of a receiver, if it is served.
    pub fn receiver(&self, name: &str) -> Option<SocketAddr> {
        self.receivers.iter().find(|bound| bound.name == name).map(|bound| bound.address)
    }
}

async fn bind(name: &'static str, endpoint: &ListenAddress, key: &str) -> anyhow::Result<Bound> {
    let (host, port) = (endpoint.host.as_str(), endpoint.port);
    let failed = |error: std::io::Error| {
        let hint = match error.kind() {
            std::io::ErrorKind::AddrInUse => format!("port {port} is in use by another process; stop it or set {key} to another port"),
            std::io::ErrorKind::PermissionDenied => format!("ports below 1024 need privileges; set {key} to a higher port"),
            _ => format!("the address is set by {key}"),
        };
        anyhow!("could not listen on {host}:{port} ({name}): {error}: {hint}")
    };
    let listener = TcpListener::bind((host, port)).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok(Bound { name, address, listener })
}
