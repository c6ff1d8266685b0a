//! The `server` section: listeners of the query API, and the log.

use std::time::Duration;

use super::ListenAddress;
use crate::runtime::tls::TlsSettings;

/// Listeners of the query API, and the log ("spec/config.md §5").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// Host of the HTTP API, default `""`: every interface ("spec/config.md §5").
    pub http_listen_address: String,
    /// Port of the HTTP API, default 3200 ("spec/config.md §5", → P: older releases had 80).
    pub http_listen_port: u16,
    /// Host of the gRPC query API, default `""`: every interface ("spec/config.md §5").
    pub grpc_listen_address: String,
    /// Port of the gRPC query API and its health service, default 9095 ("spec/config.md §5").
    pub grpc_listen_port: u16,
    /// Prefix of every HTTP path, `/ready` and `/metrics` included; `""` (default) or `/x` without a final slash
    /// ("spec/config.md §5").
    pub http_path_prefix: String,
    /// Least severe lines that are logged, default info ("spec/config.md §5").
    pub log_level: LogLevel,
    /// Form of a log line, default logfmt ("spec/config.md §5").
    pub log_format: LogFormat,
    /// How long a shutdown waits for requests under way, default 30 s ("spec/config.md §15.5").
    pub graceful_shutdown_timeout: Duration,
    /// TLS of the HTTP API; none by default (`http_tls_config`).
    pub http_tls: TlsSettings,
    /// TLS of the gRPC query API; none by default (`grpc_tls_config`).
    pub grpc_tls: TlsSettings,
}

impl Default for ServerConfig {
    fn default() -> Self {
        ServerConfig {
            http_listen_address: String::new(),
            http_listen_port: 3200,
            grpc_listen_address: String::new(),
            grpc_listen_port: 9095,
            http_path_prefix: String::new(),
            log_level: LogLevel::Info,
            log_format: LogFormat::Logfmt,
            graceful_shutdown_timeout: Duration::from_secs(30),
            http_tls: TlsSettings::default(),
            grpc_tls: TlsSettings::default(),
        }
    }
}

impl ServerConfig {
    /// Where the HTTP API listens.
    pub fn http_listener(&self) -> ListenAddress {
        ListenAddress::new(&self.http_listen_address, self.http_listen_port)
    }

    /// Where the gRPC query API listens.
    pub fn grpc_listener(&self) -> ListenAddress {
        ListenAddress::new(&self.grpc_listen_address, self.grpc_listen_port)
    }
}

/// Severity of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Every step.
    Debug,
    /// What an operator wants to know when all is well.
    Info,
    /// What an operator may want to change.
    Warn,
    /// What went wrong.
    Error,
}

impl LogLevel {
    /// The level of that name. The error has the word `unrecognized` that scripts look for ("spec/config.md §15.3").
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "debug" => Ok(LogLevel::Debug),
            "info" => Ok(LogLevel::Info),
            "warn" => Ok(LogLevel::Warn),
            "error" => Ok(LogLevel::Error),
            _ => Err(format!("unrecognized log level \"{text}\"")),
        }
    }

    /// The name as it is written in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            LogLevel::Debug => "debug",
            LogLevel::Info => "info",
            LogLevel::Warn => "warn",
            LogLevel::Error => "error",
        }
    }
}

/// Form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// `level=info ts=… msg="…"`.
    Logfmt,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    /// The format of that name. The error has the word `unrecognized` that scripts look for ("spec/config.md §15.3").
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "logfmt" => Ok(LogFormat::Logfmt),
            "json" => Ok(LogFormat::Json),
            _ => Err(format!("unrecognized log format \"{text}\"")),
        }
    }
}
