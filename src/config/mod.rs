//! Command line and configuration: what an operator writes becomes one plain [`Config`].
//!
//! The order of precedence is built-in defaults < file < command line ("spec/config.md §1"). The parts, in the order in
//! which [`load`] uses them:
//!
//! 1. `flags`: Go-style flags; a flag that stands for a YAML key is applied through that key's row of the table.
//! 2. `env`: `-config.expand-env`, a textual replacement before YAML is parsed.
//! 3. `yaml`: text to a tree whose keys know their line; anchors, merge keys, duplicate keys.
//! 4. `schema` and `keys`: the table of every key of Tempo 1.x, 2.x and 3.x, with what becomes of it; `schema` walks a
//!    tree along the table, and refuses what the table does not name.
//! 5. `draft`: collects what was set, settles conflicts between generations of keys, and makes the [`Config`].
//!
//! The sections (`server`, `receivers`, `storage`, `limits`) hold settings that the server uses in effect, and nothing
//! else. Keys without effect live in the table only.

mod address;
mod draft;
mod env;
mod error;
mod flags;
mod keys;
mod limits;
mod load;
mod overrides;
mod receivers;
mod scalar;
mod schema;
mod server;
mod shown;
mod storage;
#[cfg(test)]
mod tests;
mod tokens;
mod user_overrides;
mod yaml;

use crate::generator::settings::GeneratorConfig;
use std::time::Duration;

pub use address::ListenAddress;
pub use error::ConfigError;
pub use flags::usage;
pub use limits::{CompactionConfig, DistributorConfig, IngesterConfig, IngestionConfig, OverridesConfig, QueryConfig, RetentionConfig};
pub use load::{Command, Loaded, load};
pub use overrides::load_tenants;
pub use receivers::{GrpcReceiver, HttpReceiver, Receivers, UdpReceiver, ZipkinReceiver};
pub use server::{LogFormat, LogLevel, ServerConfig};
pub use shown::ShownConfig;
pub use storage::{Backend, StorageConfig, WalFsync};
pub use tokens::{TokensConfig, load_tokens};
pub use user_overrides::{UserOverridesConfig, effective, with_user_overrides};
pub use yaml::Problem;

/// Every setting that the server uses. Plain data: built by [`load`], or by `Config::default()` in tests.
///
/// The default is a server without a configuration file: local storage under `./conmoto-data`, OTLP, Zipkin and Jaeger open.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Which part of the server runs. Only names that mean "everything" pass: `all` (default), `scalable-single-binary`,
    /// `all-3.0` ("spec/config.md §1").
    pub target: String,
    /// Prefix of the `/api/…` paths, `""` (default) or `/x` without a final slash ("spec/config.md §4").
    pub http_api_prefix: String,
    /// Whether each request must name its tenant in `X-Scope-OrgID`; default false ("spec/config.md §4").
    pub multitenancy_enabled: bool,
    /// Whether the HTTP port also answers the streaming gRPC query API (h2c). Default true, where Tempo has false: Grafana
    /// then streams without further settings ("spec/config.md §4").
    pub stream_over_http_enabled: bool,
    /// How long `/ready` answers 503 before the listeners close; default 0 ("spec/config.md §15.5").
    pub shutdown_delay: Duration,
    /// Bytes that requests, head, flush, compaction, queries and caches may take together; `None` (default) lets the server
    /// choose (`runtime::memory`). A key of our own.
    pub memory_limit_bytes: Option<u64>,
    /// Bytes that one query may hold besides the columns it reads; `None` (default) for a quarter of the memory of the process. A
    /// key of our own.
    pub query_memory_limit_bytes: Option<u64>,
    /// The query API's listeners, and the log.
    pub server: ServerConfig,
    /// Which tokens requests must have.
    pub tokens: TokensConfig,
    /// Where spans come in.
    pub receivers: Receivers,
    /// What is done to spans before they are kept.
    pub distributor: DistributorConfig,
    /// What a tenant may send.
    pub ingestion: IngestionConfig,
    /// Where the limits of single tenants are.
    pub overrides: OverridesConfig,
    /// How recent traces become blocks.
    pub ingester: IngesterConfig,
    /// Where blocks and the write-ahead log are.
    pub storage: StorageConfig,
    /// How blocks are merged.
    pub compaction: CompactionConfig,
    /// How long blocks are kept.
    pub retention: RetentionConfig,
    /// Bounds of the query API.
    pub query: QueryConfig,
    /// What metrics are made of spans ("spec/config.md §12").
    pub generator: GeneratorConfig,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            target: "all".to_owned(),
            http_api_prefix: String::new(),
            multitenancy_enabled: false,
            stream_over_http_enabled: true,
            shutdown_delay: Duration::ZERO,
            memory_limit_bytes: None,
            query_memory_limit_bytes: None,
            server: ServerConfig::default(),
            tokens: TokensConfig::default(),
            receivers: Receivers::default(),
            distributor: DistributorConfig::default(),
            ingestion: IngestionConfig::default(),
            overrides: OverridesConfig::default(),
            ingester: IngesterConfig::default(),
            storage: StorageConfig::default(),
            compaction: CompactionConfig::default(),
            retention: RetentionConfig::default(),
            query: QueryConfig::default(),
            generator: GeneratorConfig::default(),
        }
    }
}
