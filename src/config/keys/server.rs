//! `server` and `internal_server` ("spec/config.md §5").

use super::tls;
use crate::config::draft::Draft;
use crate::config::schema::{Action, Key, Table};
use crate::config::{LogFormat, LogLevel};
use crate::runtime::tls::TlsVersion;

/// The query API's listeners, and the log.
pub(super) static SERVER: Table<Draft> = Table::new(
    "server.Config",
    &[
        Key::text("http_listen_address", |draft, text| {
            draft.config.server.http_listen_address = text.to_owned();
            Ok(())
        }),
        Key::port("http_listen_port", |draft, port| draft.config.server.http_listen_port = port),
        Key::text("grpc_listen_address", |draft, text| {
            draft.config.server.grpc_listen_address = text.to_owned();
            Ok(())
        }),
        Key::port("grpc_listen_port", |draft, port| draft.config.server.grpc_listen_port = port),
        Key::text("http_path_prefix", |draft, text| {
            draft.config.server.http_path_prefix = text.to_owned();
            Ok(())
        }),
        Key::text("log_level", |draft, text| {
            draft.config.server.log_level = LogLevel::parse(text)?;
            Ok(())
        }),
        Key::text("log_format", |draft, text| {
            draft.config.server.log_format = LogFormat::parse(text)?;
            Ok(())
        }),
        Key::duration("graceful_shutdown_timeout", |draft, timeout| draft.config.server.graceful_shutdown_timeout = timeout),
        Key::new(
            "http_tls_config",
            Action::Custom(|draft, node, report| tls::read_server(&mut draft.config.server.http_tls, node, report)),
        ),
        Key::new(
            "grpc_tls_config",
            Action::Custom(|draft, node, report| tls::read_server(&mut draft.config.server.grpc_tls, node, report)),
        ),
        Key::text("tls_min_version", |draft, text| {
            // Go's names: VersionTLS12.
            let version = match text {
                "" | "VersionTLS10" | "VersionTLS11" | "VersionTLS12" => TlsVersion::V1_2,
                "VersionTLS13" => TlsVersion::V1_3,
                _ => return Err(format!("unknown TLS version {text}")),
            };
            draft.config.server.http_tls.min_version = version;
            draft.config.server.grpc_tls.min_version = version;
            Ok(())
        }),
        Key::text("tls_cipher_suites", |draft, text| {
            let names: Vec<String> = text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
            draft.config.server.http_tls.cipher_suites.clone_from(&names);
            draft.config.server.grpc_tls.cipher_suites = names;
            Ok(())
        }),
    ],
    &[
        "cluster_validation",
        "create_new_traces",
        "grpc_collect_max_streams_by_conn",
        "grpc_listen_conn_limit",
        "grpc_listen_network",
        "grpc_server_*",
        "http_listen_conn_limit",
        "http_listen_network",
        "http_log_closed_connections_without_response_enabled",
        "http_server_idle_timeout",
        "http_server_read_header_timeout",
        "http_server_read_timeout",
        "http_server_write_timeout",
        "log_request_at_info_level_enabled",
        "log_request_exclude_headers_list",
        "log_request_headers",
        "log_source_ips_enabled",
        "log_source_ips_full",
        "log_source_ips_header",
        "log_source_ips_regex",
        "proxy_protocol_enabled",
        "register_instrumentation",
        "report_grpc_codes_in_instrumentation_label_enabled",
        "trace_request_*",
    ],
);

/// The second listener, which this server does not open.
pub(super) static INTERNAL: Table<Draft> = Table::new(
    "server.InternalConfig",
    &[Key::not_yet("enable")],
    &[
        "cluster_validation",
        "create_new_traces",
        "graceful_shutdown_timeout",
        "grpc_*",
        "http_*",
        "log_*",
        "proxy_protocol_enabled",
        "register_instrumentation",
        "report_grpc_codes_in_instrumentation_label_enabled",
        "tls_cipher_suites",
        "tls_min_version",
        "trace_request_*",
    ],
);
