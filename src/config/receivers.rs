//! The `distributor.receivers` section: which protocols are open, and where.

use super::ListenAddress;
use crate::receiver::edge::EdgeSettings;
use crate::runtime::tls::TlsSettings;
use std::time::Duration;

/// Default port of OTLP over gRPC.
pub(super) const OTLP_GRPC_PORT: u16 = 4317;
/// Default port of OTLP over HTTP.
pub(super) const OTLP_HTTP_PORT: u16 = 4318;
/// Default port of Zipkin.
pub(super) const ZIPKIN_PORT: u16 = 9411;
/// Default port of Jaeger over gRPC.
pub(super) const JAEGER_GRPC_PORT: u16 = 14250;
/// Default port of Jaeger's thrift over HTTP.
pub(super) const JAEGER_HTTP_PORT: u16 = 14268;
/// Default port of Jaeger's compact thrift over UDP.
pub(super) const JAEGER_COMPACT_PORT: u16 = 6831;
/// Default port of Jaeger's binary thrift over UDP.
pub(super) const JAEGER_BINARY_PORT: u16 = 6832;
/// Default port of OpenCensus.
pub(super) const OPENCENSUS_PORT: u16 = 55678;

/// Receivers that are switched on ("spec/ingest.md §1.1"): `None` is off.
///
/// The default is our own set: OTLP, Zipkin and Jaeger in all their forms. A file that names receivers gets those and no
/// other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receivers {
    /// OTLP over gRPC, default port 4317.
    pub otlp_grpc: Option<GrpcReceiver>,
    /// OTLP over HTTP, default port 4318.
    pub otlp_http: Option<HttpReceiver>,
    /// Zipkin v1 and v2 over HTTP, default port 9411.
    pub zipkin: Option<ZipkinReceiver>,
    /// Jaeger over gRPC, default port 14250.
    pub jaeger_grpc: Option<GrpcReceiver>,
    /// Jaeger's thrift over HTTP, default port 14268.
    pub jaeger_thrift_http: Option<HttpReceiver>,
    /// Jaeger's compact thrift over UDP, default port 6831.
    pub jaeger_thrift_compact: Option<UdpReceiver>,
    /// Jaeger's binary thrift over UDP, default port 6832.
    pub jaeger_thrift_binary: Option<UdpReceiver>,
    /// OpenCensus over gRPC, default port 55678; off unless the file names it.
    pub opencensus: Option<GrpcReceiver>,
    /// Reading spans from Kafka, asked for but not served yet.
    pub kafka: bool,
}

impl Default for Receivers {
    fn default() -> Self {
        Receivers {
            otlp_grpc: Some(GrpcReceiver::new(OTLP_GRPC_PORT)),
            otlp_http: Some(HttpReceiver::new(OTLP_HTTP_PORT)),
            zipkin: Some(ZipkinReceiver::new(ZIPKIN_PORT)),
            jaeger_grpc: Some(GrpcReceiver::new(JAEGER_GRPC_PORT)),
            jaeger_thrift_http: Some(HttpReceiver::new(JAEGER_HTTP_PORT)),
            jaeger_thrift_compact: Some(UdpReceiver::new(JAEGER_COMPACT_PORT)),
            jaeger_thrift_binary: Some(UdpReceiver::new(JAEGER_BINARY_PORT)),
            ..Receivers::none()
        }
    }
}

impl Receivers {
    /// Nothing is open: the start of a set that a file names one by one.
    pub fn none() -> Self {
        Receivers {
            otlp_grpc: None,
            otlp_http: None,
            zipkin: None,
            jaeger_grpc: None,
            jaeger_thrift_http: None,
            jaeger_thrift_compact: None,
            jaeger_thrift_binary: None,
            opencensus: None,
            kafka: false,
        }
    }

    /// Names, as in the file, of the receivers that are asked for but not served yet, for a warning at start.
    pub fn not_served(&self) -> Vec<&'static str> {
        self.kafka.then_some("kafka").into_iter().collect()
    }
}

/// A receiver over gRPC ("spec/ingest.md §1.3").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcReceiver {
    /// Where it listens; every interface unless the file says otherwise.
    pub endpoint: ListenAddress,
    /// Largest message in bytes after decompression, default 4 MiB (`max_recv_msg_size_mib`, "spec/ingest.md §1.6").
    pub max_message_bytes: usize,
    /// Most calls at a time on one connection; `None` (default) lets the server choose (`max_concurrent_streams`).
    pub max_concurrent_streams: Option<u32>,
    /// Silence after which a client is asked whether it is still there; `None` (default) lets the server choose
    /// (`keepalive.server_parameters.time`).
    pub keep_alive_interval: Option<Duration>,
    /// What answers over HTTP/1.1 get besides; only OpenCensus has such (`cors_allowed_origins`).
    pub edge: EdgeSettings,
    /// TLS; none by default.
    pub tls: TlsSettings,
}

impl GrpcReceiver {
    /// A receiver with the defaults, on every interface.
    pub fn new(port: u16) -> Self {
        GrpcReceiver {
            endpoint: ListenAddress::all_interfaces(port),
            max_message_bytes: 4 << 20,
            max_concurrent_streams: None,
            keep_alive_interval: None,
            edge: EdgeSettings::default(),
            tls: TlsSettings::default(),
        }
    }
}

/// A receiver over HTTP ("spec/ingest.md §1.2").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpReceiver {
    /// Where it listens; every interface unless the file says otherwise.
    pub endpoint: ListenAddress,
    /// Largest body in bytes, compressed and decompressed alike, default 20 MiB (`max_request_body_size`,
    /// "spec/ingest.md §1.6").
    pub max_body_bytes: usize,
    /// How long a client may take for the head of a request; `None` (default) lets the server choose (`read_header_timeout`).
    pub read_header_timeout: Option<Duration>,
    /// What answers get besides (`cors`, `response_headers`, `keep_alives_enabled`).
    pub edge: EdgeSettings,
    /// The path of OTLP's requests, default `/v1/traces` (`traces_url_path`).
    pub traces_path: String,
    /// TLS; none by default.
    pub tls: TlsSettings,
}

impl HttpReceiver {
    /// A receiver with the defaults, on every interface.
    pub fn new(port: u16) -> Self {
        HttpReceiver {
            endpoint: ListenAddress::all_interfaces(port),
            max_body_bytes: 20 << 20,
            read_header_timeout: None,
            edge: EdgeSettings::default(),
            traces_path: "/v1/traces".to_owned(),
            tls: TlsSettings::default(),
        }
    }
}

/// The Zipkin receiver ("spec/ingest.md §4.1").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZipkinReceiver {
    /// Where and how it listens.
    pub http: HttpReceiver,
    /// Whether tags that look like numbers or truth values become such, default false (`parse_string_tags`).
    pub parse_string_tags: bool,
}

impl ZipkinReceiver {
    /// A receiver with the defaults, on every interface.
    pub fn new(port: u16) -> Self {
        ZipkinReceiver { http: HttpReceiver::new(port), parse_string_tags: false }
    }
}

/// A receiver of datagrams ("spec/ingest.md §5.3").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpReceiver {
    /// Where it listens; every interface unless the file says otherwise.
    pub endpoint: ListenAddress,
    /// Largest datagram in bytes, default 65000 (`max_packet_size`).
    pub max_packet_bytes: usize,
    /// Datagrams that may wait to be stored, default 1000 (`queue_size`).
    pub max_waiting: usize,
}

impl UdpReceiver {
    /// A receiver with the defaults, on every interface.
    pub fn new(port: u16) -> Self {
        UdpReceiver { endpoint: ListenAddress::all_interfaces(port), max_packet_bytes: 65_000, max_waiting: 1000 }
    }
}
