//! `server` and `internal_server` ("spec/config.md §5").

use crate::config::draft::Draft;
use crate::config::schema::{Action, Key, Table, When};
use crate::config::{LogFormat, LogLevel};

const PLAINTEXT: &str = "TLS is not served yet: this listener speaks plaintext";

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
        Key::new("http_tls_config", Action::Ignore).note(When::Set, PLAINTEXT),
        Key::new("grpc_tls_config", Action::Ignore).note(When::Set, PLAINTEXT),
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
        "tls_cipher_suites",
        "tls_min_version",
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
