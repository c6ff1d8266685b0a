//! The `distributor.receivers` section: which protocols are open, and where.

use super::ListenAddress;

/// Default port of OTLP over gRPC.
pub(super) const OTLP_GRPC_PORT: u16 = 4317;
/// Default port of OTLP over HTTP.
pub(super) const OTLP_HTTP_PORT: u16 = 4318;
/// Default port of Zipkin.
pub(super) const ZIPKIN_PORT: u16 = 9411;

/// Receivers that are switched on ("spec/ingest.md §1.1"): `None` is off.
///
/// The default is our own set: OTLP over gRPC and HTTP, and Zipkin. A file that names receivers gets those and no other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receivers {
    /// OTLP over gRPC, default port 4317.
    pub otlp_grpc: Option<GrpcReceiver>,
    /// OTLP over HTTP, default port 4318.
    pub otlp_http: Option<HttpReceiver>,
    /// Zipkin v1 and v2 over HTTP, default port 9411.
    pub zipkin: Option<HttpReceiver>,
    /// Jaeger over gRPC, asked for but not served yet; default port 14250.
    pub jaeger_grpc: Option<ListenAddress>,
    /// Jaeger thrift over HTTP, asked for but not served yet; default port 14268.
    pub jaeger_thrift_http: Option<ListenAddress>,
    /// Jaeger compact thrift over UDP, asked for but not served yet; default port 6831.
    pub jaeger_thrift_compact: Option<ListenAddress>,
    /// Jaeger binary thrift over UDP, asked for but not served yet; default port 6832.
    pub jaeger_thrift_binary: Option<ListenAddress>,
    /// OpenCensus, asked for but not served yet; default port 55678.
    pub opencensus: Option<ListenAddress>,
    /// Reading spans from Kafka, asked for but not served yet.
    pub kafka: bool,
}

impl Default for Receivers {
    fn default() -> Self {
        Receivers {
            otlp_grpc: Some(GrpcReceiver::new(OTLP_GRPC_PORT)),
            otlp_http: Some(HttpReceiver::new(OTLP_HTTP_PORT)),
            zipkin: Some(HttpReceiver::new(ZIPKIN_PORT)),
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

    /// Names, as in the file, and addresses of the receivers that are asked for but not served yet, for a warning at start.
    pub fn not_served(&self) -> Vec<(&'static str, Option<&ListenAddress>)> {
        let with_address = [
            ("jaeger.protocols.grpc", &self.jaeger_grpc),
            ("jaeger.protocols.thrift_http", &self.jaeger_thrift_http),
            ("jaeger.protocols.thrift_compact", &self.jaeger_thrift_compact),
            ("jaeger.protocols.thrift_binary", &self.jaeger_thrift_binary),
            ("opencensus", &self.opencensus),
        ];
        let mut names: Vec<_> =
            with_address.into_iter().filter_map(|(name, address)| address.as_ref().map(|address| (name, Some(address)))).collect();
        if self.kafka {
            names.push(("kafka", None));
        }
        names
    }
}

/// A receiver over gRPC ("spec/ingest.md §1.3").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcReceiver {
    /// Where it listens; every interface unless the file says otherwise.
    pub endpoint: ListenAddress,
    /// Largest message in bytes after decompression, default 4 MiB (`max_recv_msg_size_mib`, "spec/ingest.md §1.6").
    pub max_message_bytes: usize,
}

impl GrpcReceiver {
    /// A receiver with the defaults, on every interface.
    pub fn new(port: u16) -> Self {
        GrpcReceiver { endpoint: ListenAddress::all_interfaces(port), max_message_bytes: 4 << 20 }
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
}

impl HttpReceiver {
    /// A receiver with the defaults, on every interface.
    pub fn new(port: u16) -> Self {
        HttpReceiver { endpoint: ListenAddress::all_interfaces(port), max_body_bytes: 20 << 20 }
    }
}
