//! `distributor.receivers` ("spec/ingest.md §1.1"): receivers by type and name, protocols that a null value switches on.
//!
//! Tempo reads this part with another decoder, so its messages have another shape.

use super::generator_lists::texts;
use super::tls;
use crate::config::draft::Draft;
use crate::config::receivers::{
    JAEGER_BINARY_PORT, JAEGER_COMPACT_PORT, JAEGER_GRPC_PORT, JAEGER_HTTP_PORT, OPENCENSUS_PORT, OTLP_GRPC_PORT, OTLP_HTTP_PORT,
    ZIPKIN_PORT,
};
use crate::config::schema::{Action, Key, RemarkKind, Report, Table, Walk, When, mismatch};
use crate::config::yaml::{Entry, Node, Problem, Value};
use crate::config::{GrpcReceiver, HttpReceiver, ListenAddress, Receivers, UdpReceiver, ZipkinReceiver};
use crate::receiver::edge::EdgeSettings;
use crate::runtime::tls::TlsSettings;
use std::time::Duration;

/// Where the paths of messages start.
const PATH: &str = "distributor.receivers";

const NO_SAMPLING: &str = "has no effect: sampling strategies are not served, as they are not by Tempo";

/// What a listener of any protocol can be told.
struct Listener {
    endpoint: ListenAddress,
    max_bytes: Option<usize>,
    enabled: bool,
    tls: TlsSettings,
    parse_string_tags: bool,
    max_waiting: Option<usize>,
    edge: EdgeSettings,
    traces_path: Option<String>,
    read_header_timeout: Option<Duration>,
    max_concurrent_streams: Option<u32>,
    keep_alive_interval: Option<Duration>,
}

/// A protocol of a receiver: its name, its keys, and where it goes. The slot answers false if it is taken.
struct Protocol {
    name: &'static str,
    port: u16,
    table: &'static Table<Listener>,
    slot: fn(&mut Receivers, Listener) -> bool,
}

/// Receivers of one type, with the keys beside `protocols`.
struct MultiProtocol {
    protocols: &'static [Protocol],
    other_keys: &'static [&'static str],
}

static OTLP: MultiProtocol = MultiProtocol {
    protocols: &[
        Protocol {
            name: "grpc",
            port: OTLP_GRPC_PORT,
            table: &GRPC,
            slot: |receivers, listener| fill(&mut receivers.otlp_grpc, grpc_receiver(listener)),
        },
        Protocol {
            name: "http",
            port: OTLP_HTTP_PORT,
            table: &HTTP,
            slot: |receivers, listener| fill(&mut receivers.otlp_http, http_receiver(listener)),
        },
    ],
    other_keys: &[],
};

static JAEGER: MultiProtocol = MultiProtocol {
    protocols: &[
        Protocol {
            name: "grpc",
            port: JAEGER_GRPC_PORT,
            table: &GRPC,
            slot: |receivers, listener| fill(&mut receivers.jaeger_grpc, grpc_receiver(listener)),
        },
        Protocol {
            name: "thrift_http",
            port: JAEGER_HTTP_PORT,
            table: &HTTP,
            slot: |receivers, listener| fill(&mut receivers.jaeger_thrift_http, http_receiver(listener)),
        },
        Protocol {
            name: "thrift_compact",
            port: JAEGER_COMPACT_PORT,
            table: &UDP,
            slot: |receivers, listener| fill(&mut receivers.jaeger_thrift_compact, udp_receiver(listener)),
        },
        Protocol {
            name: "thrift_binary",
            port: JAEGER_BINARY_PORT,
            table: &UDP,
            slot: |receivers, listener| fill(&mut receivers.jaeger_thrift_binary, udp_receiver(listener)),
        },
    ],
    other_keys: &["remote_sampling"],
};

static ZIPKIN: Protocol = Protocol {
    name: "zipkin",
    port: ZIPKIN_PORT,
    table: &ZIPKIN_HTTP,
    slot: |receivers, listener| {
        let parse_string_tags = listener.parse_string_tags;
        fill(&mut receivers.zipkin, ZipkinReceiver { http: http_receiver(listener), parse_string_tags })
    },
};

static OPENCENSUS: Protocol = Protocol {
    name: "opencensus",
    port: OPENCENSUS_PORT,
    table: &GRPC,
    slot: |receivers, listener| fill(&mut receivers.opencensus, grpc_receiver(listener)),
};

/// Keys that every listener has.
const ENDPOINT: Key<Listener> = Key::text("endpoint", |listener, text| {
    if !text.is_empty() {
        listener.endpoint = ListenAddress::parse(text)?;
    }
    Ok(())
});
const ENABLED: Key<Listener> = Key::bool("enabled", |listener, on| listener.enabled = on);
const TRANSPORT: Key<Listener> = Key::text("transport", |_, text| match text {
    "" | "tcp" | "tcp4" | "tcp6" | "udp" | "udp4" | "udp6" => Ok(()),
    _ => Err(format!("transport {text} is not supported")),
});
const TLS: Key<Listener> = Key::new("tls", Action::Custom(|listener, node, report| tls::read_receiver(&mut listener.tls, node, report)));

/// Keys of every listener over HTTP.
const MAX_BODY: Key<Listener> = Key::count("max_request_body_size", |listener, bytes| listener.max_bytes = super::limit(bytes));
const CORS: Key<Listener> = Key::section("cors", &CORS_KEYS);
const RESPONSE_HEADERS: Key<Listener> = Key::new(
    "response_headers",
    Action::Custom(|listener, node, report| super::generator_lists::label_map(&mut listener.edge.response_headers, node, report)),
);
const KEEP_ALIVES: Key<Listener> = Key::bool("keep_alives_enabled", |listener, on| listener.edge.keep_alives = on);
const READ_HEADER_TIMEOUT: Key<Listener> = Key::duration("read_header_timeout", |listener, timeout| {
    listener.read_header_timeout = (!timeout.is_zero()).then_some(timeout);
});

/// Who may send must not be decided by a key that nobody looks at.
const AUTH: Key<Listener> = Key::new(
    "auth",
    Action::Custom(|_, node, report| {
        if !node.is_trivial() {
            report.problems.push(Problem::new(
                node.line,
                "auth: authenticators of receivers are not supported, as they are not by Tempo; ask for certificates of clients \
                 (tls.client_ca_file), or put a proxy in front",
            ));
        }
    }),
);

static CORS_KEYS: Table<Listener> = Table::new(
    "confighttp.CORSConfig",
    &[
        Key::new("allowed_origins", Action::Custom(|listener, node, report| texts(&mut listener.edge.allowed_origins, node, report))),
        Key::new("allowed_headers", Action::Custom(|listener, node, report| texts(&mut listener.edge.allowed_headers, node, report))),
        Key::new("exposed_headers", Action::Custom(|listener, node, report| texts(&mut listener.edge.exposed_headers, node, report))),
        Key::count("max_age", |listener, seconds| listener.edge.max_age_seconds = seconds),
    ],
    &[],
);

static KEEPALIVE: Table<Listener> =
    Table::new("configgrpc.KeepaliveServerConfig", &[Key::section("server_parameters", &SERVER_PARAMETERS)], &["enforcement_policy"]);

static SERVER_PARAMETERS: Table<Listener> = Table::new(
    "configgrpc.KeepaliveServerParameters",
    &[
        Key::duration("time", |listener, time| listener.keep_alive_interval = (!time.is_zero()).then_some(time)),
        Key::not_yet("max_connection_idle"),
        Key::not_yet("max_connection_age"),
        Key::not_yet("max_connection_age_grace"),
        Key::not_yet("timeout"),
    ],
    &[],
);

const COMPRESSION: Key<Listener> = Key::not_yet("compression_algorithms");

/// Metadata is always included, and a body or an answer may pause for 30 s at most.
const HTTP_IGNORED: &[&str] = &["idle_timeout", "include_metadata", "logs_url_path", "metrics_url_path", "read_timeout", "write_timeout"];

static HTTP: Table<Listener> = Table::new(
    "confighttp.ServerConfig",
    &[
        ENDPOINT,
        ENABLED,
        TRANSPORT,
        MAX_BODY,
        TLS,
        CORS,
        AUTH,
        RESPONSE_HEADERS,
        KEEP_ALIVES,
        READ_HEADER_TIMEOUT,
        COMPRESSION,
        Key::text("traces_url_path", |listener, text| {
            if text.contains(['{', '}', '*', ':', '?', '#']) {
                return Err(format!("{text} is no path"));
            }
            listener.traces_path = (!text.is_empty()).then(|| format!("/{}", text.trim_start_matches('/')));
            Ok(())
        }),
    ],
    HTTP_IGNORED,
);

static ZIPKIN_HTTP: Table<Listener> = Table::new(
    "zipkinreceiver.Config",
    &[
        ENDPOINT,
        ENABLED,
        TRANSPORT,
        MAX_BODY,
        TLS,
        CORS,
        AUTH,
        RESPONSE_HEADERS,
        KEEP_ALIVES,
        READ_HEADER_TIMEOUT,
        COMPRESSION,
        Key::bool("parse_string_tags", |listener, on| listener.parse_string_tags = on),
        Key::new("protocols", Action::Ignore).note(When::Set, "has no effect"),
    ],
    HTTP_IGNORED,
);

static GRPC: Table<Listener> = Table::new(
    "configgrpc.ServerConfig",
    &[
        ENDPOINT,
        ENABLED,
        TRANSPORT,
        Key::count("max_recv_msg_size_mib", |listener, mebibytes| listener.max_bytes = super::limit(mebibytes.saturating_mul(1 << 20))),
        TLS,
        AUTH,
        Key::count("max_concurrent_streams", |listener, most| {
            listener.max_concurrent_streams = u32::try_from(most).ok().filter(|most| *most > 0);
        }),
        Key::section("keepalive", &KEEPALIVE),
        // Only OpenCensus has it.
        Key::new("cors_allowed_origins", Action::Custom(|listener, node, report| texts(&mut listener.edge.allowed_origins, node, report))),
    ],
    &["include_metadata", "read_buffer_size", "write_buffer_size"],
);

static UDP: Table<Listener> = Table::new(
    "jaegerreceiver.ProtocolUDP",
    &[
        ENDPOINT,
        ENABLED,
        Key::count("max_packet_size", |listener, bytes| listener.max_bytes = super::limit(bytes)),
        Key::count("queue_size", |listener, count| listener.max_waiting = super::limit(count)),
    ],
    &["socket_buffer_size", "workers"],
);

/// Reads the map of receivers. Without any, `draft.receivers` stays `None`: the default set.
pub(super) fn read(draft: &mut Draft, node: &Node, report: &mut Report) {
    let Some(entries) = entries(node, "map[string]interface {}", report) else {
        return;
    };
    if entries.is_empty() {
        return;
    }
    let mut receivers = Receivers::none();
    for entry in entries {
        let id = entry.key.as_str();
        let path = format!("{PATH}.{id}");
        match id.split_once('/').map_or(id, |(kind, _)| kind) {
            "otlp" => read_protocols(&OTLP, &mut receivers, entry, &path, report),
            "jaeger" => read_protocols(&JAEGER, &mut receivers, entry, &path, report),
            "zipkin" => read_listener(&ZIPKIN, &mut receivers, entry, &path, report),
            "opencensus" => read_listener(&OPENCENSUS, &mut receivers, entry, &path, report),
            "kafka" => receivers.kafka = true,
            kind => {
                let message = format!("unknown type: \"{kind}\" for id: \"{id}\" (valid values: [jaeger kafka opencensus otlp zipkin])");
                report.problems.push(Problem::new(entry.line, message));
            }
        }
    }
    draft.receivers = Some(receivers);
}

/// Reads a receiver with several protocols, each switched on by standing there.
fn read_protocols(kind: &MultiProtocol, receivers: &mut Receivers, receiver: &Entry, path: &str, report: &mut Report) {
    let Some(keys) = entries(&receiver.node, "protocols", report) else {
        return;
    };
    let mut num_protocols = 0;
    for key in keys {
        if key.key != "protocols" {
            match kind.other_keys.contains(&key.key.as_str()) {
                true => report.remark(RemarkKind::Note, format!("{path}.{} (line {})", key.key, key.line), NO_SAMPLING),
                false => report.problems.push(invalid_keys(key, path)),
            }
            continue;
        }
        let protocols_path = format!("{path}.protocols");
        let Some(protocols) = entries(&key.node, "protocols", report) else {
            continue;
        };
        for entry in protocols {
            num_protocols += 1;
            match kind.protocols.iter().find(|protocol| protocol.name == entry.key) {
                Some(protocol) => read_listener(protocol, receivers, entry, &format!("{protocols_path}.{}", entry.key), report),
                None => report.problems.push(invalid_keys(entry, &protocols_path)),
            }
        }
    }
    if num_protocols == 0 {
        report.remark(RemarkKind::Note, format!("{path} (line {})", receiver.line), "names no protocol, and listens on nothing");
    }
}

/// Reads one listener and puts it into its slot, unless it is switched off.
fn read_listener(protocol: &Protocol, receivers: &mut Receivers, entry: &Entry, path: &str, report: &mut Report) {
    let mut listener = Listener {
        endpoint: ListenAddress::all_interfaces(protocol.port),
        max_bytes: None,
        enabled: true,
        tls: TlsSettings::default(),
        parse_string_tags: false,
        max_waiting: None,
        edge: EdgeSettings::default(),
        traces_path: None,
        read_header_timeout: None,
        max_concurrent_streams: None,
        keep_alive_interval: None,
    };
    Walk { root: protocol.table, report, unknown: has_invalid_keys }.section(&mut listener, protocol.table, &entry.node, path);
    if let Err(message) = listener.edge.check() {
        report.problems.push(Problem::new(entry.line, format!("{path}: {message}")));
    }
    if listener.enabled && !(protocol.slot)(receivers, listener) {
        let text = "is not served, only the first listener of a protocol is";
        report.remark(RemarkKind::Note, format!("{path} (line {})", entry.line), text);
    }
}

/// The entries of a map, none for null; anything else is a problem.
fn entries<'n>(node: &'n Node, wanted: &str, report: &mut Report) -> Option<&'n [Entry]> {
    match &node.value {
        Value::Null => Some(&[]),
        Value::Map(entries) => Some(entries),
        _ => {
            report.problems.push(mismatch(node, wanted));
            None
        }
    }
}

/// The message about an unknown key of a listener.
pub(super) fn has_invalid_keys<T>(table: &Table<T>, path: &str, key: &str) -> String {
    let meant = table.nearest(key).map_or(String::new(), |nearest| format!(" (did you mean \"{nearest}\"?)"));
    let section = path.strip_suffix(key).unwrap_or(path).trim_end_matches('.');
    format!("'{section}' has invalid keys: {key}{meant}")
}

fn invalid_keys(entry: &Entry, path: &str) -> Problem {
    Problem::new(entry.line, format!("'{path}' has invalid keys: {}", entry.key))
}

fn http_receiver(listener: Listener) -> HttpReceiver {
    let default = HttpReceiver::new(0);
    HttpReceiver {
        endpoint: listener.endpoint,
        max_body_bytes: listener.max_bytes.unwrap_or(default.max_body_bytes),
        read_header_timeout: listener.read_header_timeout,
        edge: listener.edge,
        traces_path: listener.traces_path.unwrap_or(default.traces_path),
        tls: listener.tls,
    }
}

fn grpc_receiver(listener: Listener) -> GrpcReceiver {
    let default = GrpcReceiver::new(0);
    GrpcReceiver {
        endpoint: listener.endpoint,
        max_message_bytes: listener.max_bytes.unwrap_or(default.max_message_bytes),
        max_concurrent_streams: listener.max_concurrent_streams,
        keep_alive_interval: listener.keep_alive_interval,
        edge: listener.edge,
        tls: listener.tls,
    }
}

fn udp_receiver(listener: Listener) -> UdpReceiver {
    let default = UdpReceiver::new(0);
    UdpReceiver {
        endpoint: listener.endpoint,
        // No datagram is larger, whatever is configured.
        max_packet_bytes: listener.max_bytes.unwrap_or(default.max_packet_bytes).min(65_535),
        max_waiting: listener.max_waiting.unwrap_or(default.max_waiting),
    }
}

/// Fills an empty slot.
fn fill<L>(slot: &mut Option<L>, listener: L) -> bool {
    let empty = slot.is_none();
    slot.get_or_insert(listener);
    empty
}
