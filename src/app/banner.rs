//! What is printed at start.

use super::listeners::{Listeners, Receiver};
use crate::config::{Backend, Config, StorageConfig};
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;

/// Addresses, directories, retention, and a data source for Grafana to paste.
pub(super) fn text(config: &Config, listeners: &Listeners, wal_dir: &Path) -> String {
    let mut out = String::new();
    let scheme = if listeners.http.tls.is_some() { "https://" } else { "http://" };
    let api = url(scheme, listeners.http.address, &config.server.http_path_prefix);
    let mut line = |what: &str, value: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "  {what:<14} {value}");
    };
    line("page", format!("{api}/"));
    line("query API", format!("{api}  (HTTP, and gRPC on the same port)"));
    line("gRPC API", url("", listeners.grpc.address, ""));
    for (what, receiver, scheme, path) in [
        ("OTLP gRPC", Receiver::OtlpGrpc, "", ""),
        ("OTLP HTTP", Receiver::OtlpHttp, "http://", "/v1/traces"),
        ("Zipkin", Receiver::Zipkin, "http://", "/api/v2/spans"),
        ("Jaeger gRPC", Receiver::JaegerGrpc, "", ""),
        ("Jaeger HTTP", Receiver::JaegerHttp, "http://", "/api/traces"),
        ("Jaeger compact", Receiver::JaegerCompact, "", "  (UDP)"),
        ("Jaeger binary", Receiver::JaegerBinary, "", "  (UDP)"),
        ("OpenCensus", Receiver::OpenCensus, "", ""),
    ] {
        match listeners.receiver(receiver) {
            Some((address, true)) if scheme.is_empty() => line(what, format!("{}  (TLS)", url(scheme, address, path))),
            Some((address, true)) => line(what, url("https://", address, path)),
            Some((address, false)) => line(what, url(scheme, address, path)),
            None => {}
        }
    }
    line("blocks", blocks(&config.storage));
    line("log", wal_dir.display().to_string());
    let retention = config.retention.block_retention.map_or("for ever".to_string(), |kept| format!("{} h", kept.as_secs() / 3600));
    line("retention", retention);
    format!(
        "Conmoto {}\n{out}\nGrafana data source (provisioning/datasources/conmoto.yaml):\n\n\
         apiVersion: 1\ndatasources:\n  - name: Conmoto\n    type: tempo\n    uid: tempo\n    access: proxy\n    url: {api}\n    jsonData:\n      streamingEnabled: {{search: true, metrics: false}}\n      serviceMap: {{datasourceUid: conmoto-metrics}}\n  \
         - name: Conmoto metrics\n    type: prometheus\n    uid: conmoto-metrics\n    access: proxy\n    url: {api}/prometheus\n",
        env!("CARGO_PKG_VERSION")
    )
}

/// Where the blocks are: a directory, or a bucket.
fn blocks(storage: &StorageConfig) -> String {
    match storage.backend {
        Backend::Local => storage.local_path.display().to_string(),
        Backend::S3 => format!("s3 bucket {}", in_bucket(&storage.s3.bucket, &storage.s3.prefix)),
        Backend::Gcs => format!("gcs bucket {}", in_bucket(&storage.gcs.bucket, &storage.gcs.prefix)),
        Backend::Azure => format!("azure container {}", in_bucket(&storage.azure.container, &storage.azure.prefix)),
    }
}

fn in_bucket(bucket: &str, prefix: &str) -> String {
    if prefix.is_empty() { bucket.to_string() } else { format!("{bucket}/{}", prefix.trim_matches('/')) }
}

fn url(scheme: &str, address: SocketAddr, path: &str) -> String {
    match address.ip().is_unspecified() {
        true => format!("{scheme}localhost:{}{path}", address.port()),
        false => format!("{scheme}{address}{path}"),
    }
}
