//! What is printed at start.

use super::listeners::{Listeners, OTLP_GRPC, OTLP_HTTP, ZIPKIN};
use crate::config::{Backend, Config, StorageConfig};
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;

/// Addresses, directories, retention, and a data source for Grafana to paste.
pub(super) fn text(config: &Config, listeners: &Listeners, wal_dir: &Path) -> String {
    let mut out = String::new();
    let api = url("http://", listeners.http.address, &config.server.http_path_prefix);
    let mut line = |what: &str, value: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "  {what:<12} {value}");
    };
    line("query API", format!("{api}  (HTTP, and gRPC on the same port)"));
    line("gRPC API", url("", listeners.grpc.address, ""));
    let receivers = [
        ("OTLP gRPC", OTLP_GRPC, "", ""),
        ("OTLP HTTP", OTLP_HTTP, "http://", "/v1/traces"),
        ("Zipkin", ZIPKIN, "http://", "/api/v2/spans"),
    ];
    for (what, name, scheme, path) in receivers {
        if let Some(address) = listeners.receiver(name) {
            line(what, url(scheme, address, path));
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
