//! What the generator is told to do (spec/metrics-generator.md §2.3, §3.4, §8, §10). Plain data; `config` fills it in, for all
//! tenants and for single ones ([`TenantSettings`]).

mod by_tenant;
mod endpoint;
mod processors;
mod relabel;

pub use by_tenant::TenantSettings;
pub(super) use endpoint::without_user;
pub use endpoint::{Authorization, Credential, RemoteWrite};
pub use processors::{
    DimensionMapping, HostInfoSettings, IntrinsicDimensions, MultiplierSettings, Processors, ServiceGraphSettings, SpanMetricsSettings,
};
pub(super) use relabel::is_label;
pub use relabel::{Pattern, RelabelAction, RelabelRule};

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Most active series of a tenant where nothing is configured: some thousand label sets of span metrics. Tempo has no bound.
pub const DEFAULT_MAX_ACTIVE_SERIES: usize = 100_000;

/// Settings of the generator.
#[derive(Clone, Debug, PartialEq)]
pub struct GeneratorConfig {
    /// What holds for a tenant of which nothing else is said; see [`TenantSettings`].
    pub defaults: Settings,
    /// Where samples are sent (`storage.remote_write`); default nowhere.
    pub remote_write: Vec<RemoteWrite>,
    /// Whether the tenant is named in `X-Scope-OrgID`; default true (`storage.remote_write_add_org_id_header`).
    pub add_org_id_header: bool,
    /// How long a stop waits for samples to be sent; default 1 min (`storage.remote_write_flush_deadline`).
    pub flush_deadline: Duration,
    /// Where samples wait until they are sent (`storage.path`); `None` for a directory beside the log.
    pub storage_path: Option<PathBuf>,
    /// Memory for the samples that `/prometheus` answers from, of all tenants together; default 64 MiB.
    pub history_bytes: usize,
}

impl Default for GeneratorConfig {
    fn default() -> Self {
        GeneratorConfig {
            defaults: Settings::default(),
            remote_write: Vec::new(),
            add_org_id_header: true,
            flush_deadline: Duration::from_secs(60),
            storage_path: None,
            history_bytes: 64 << 20,
        }
    }
}

/// Settings of one tenant.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// What is made from spans; by default service graphs and span metrics, where Tempo makes nothing.
    pub processors: Processors,
    /// Time between two samples of a series; default 15 s.
    pub collection_interval: Duration,
    /// A series without an update for this long is removed; default 15 min.
    pub stale_duration: Duration,
    /// Most active series, `None` for no bound; default [`DEFAULT_MAX_ACTIVE_SERIES`].
    pub max_active_series: Option<usize>,
    /// Most distinct label sets, `None` (default) for no bound; holds with [`Limiter::Entity`].
    pub max_active_entities: Option<usize>,
    /// What is limited.
    pub limiter: Limiter,
    /// Most values of one label, `None` (default) for no bound.
    pub max_cardinality_per_label: Option<usize>,
    /// Series are counted, and nothing is written; default false.
    pub disable_collection: bool,
    /// Spans that ended longer ago than this, or will end later, are left out; default 30 s.
    pub time_range_slack: Duration,
    /// Labels that every series gets.
    pub external_labels: BTreeMap<String, String>,
    /// A label with the tenant's name for every series; empty (default) for none.
    pub inject_tenant_id_as: String,
    /// Longest label name in bytes; default 1024.
    pub max_label_name_length: usize,
    /// Longest label value in bytes; default 2048.
    pub max_label_value_length: usize,
    /// The label of an exemplar's trace; default `traceID`.
    pub trace_id_label: String,
    /// What becomes of the names of spans in span metrics.
    pub span_names: SpanNameMode,
    /// Which forms of histograms are sent.
    pub histograms: HistogramMode,
    /// Shape of native histograms.
    pub native: NativeSettings,
    /// Service graphs.
    pub service_graphs: ServiceGraphSettings,
    /// Span metrics.
    pub span_metrics: SpanMetricsSettings,
    /// Host info.
    pub host_info: HostInfoSettings,
    /// Headers of remote write, before those of the endpoint.
    pub remote_write_headers: SecretHeaders,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            processors: Processors::named(["service-graphs", "span-metrics"]).unwrap_or_default(),
            collection_interval: Duration::from_secs(15),
            stale_duration: Duration::from_secs(900),
            max_active_series: Some(DEFAULT_MAX_ACTIVE_SERIES),
            max_active_entities: None,
            limiter: Limiter::Series,
            max_cardinality_per_label: None,
            disable_collection: false,
            time_range_slack: Duration::from_secs(30),
            external_labels: BTreeMap::new(),
            inject_tenant_id_as: String::new(),
            max_label_name_length: 1024,
            max_label_value_length: 2048,
            trace_id_label: "traceID".to_owned(),
            span_names: SpanNameMode::AsItIs,
            histograms: HistogramMode::Classic,
            native: NativeSettings::default(),
            service_graphs: ServiceGraphSettings::default(),
            span_metrics: SpanMetricsSettings::default(),
            host_info: HostInfoSettings::default(),
            remote_write_headers: SecretHeaders::default(),
        }
    }
}

/// Headers whose values are not printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SecretHeaders(pub BTreeMap<String, String>);

impl std::fmt::Debug for SecretHeaders {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// What the limit of a tenant counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limiter {
    /// Series, as Prometheus counts them.
    Series,
    /// Distinct label sets.
    Entity,
}

/// What becomes of the names of spans in span metrics (`span_name_sanitization`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SpanNameMode {
    /// Nothing.
    #[default]
    AsItIs,
    /// It is counted what would become of them.
    DryRun,
    /// Ids in them, and words that are always others, are left out.
    Sanitised,
}

/// Which forms of histograms are sent to remote write; scraping and queries always have the classic one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistogramMode {
    /// Fixed buckets.
    Classic,
    /// Prometheus' native histograms.
    Native,
    /// Both.
    Both,
}

impl HistogramMode {
    /// Whether native histograms are kept.
    pub fn has_native(self) -> bool {
        self != HistogramMode::Classic
    }

    /// Whether classic ones are sent.
    pub fn has_classic(self) -> bool {
        self != HistogramMode::Native
    }
}

/// Shape of native histograms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NativeSettings {
    /// Largest growth from one bucket to the next; default 1.1.
    pub bucket_factor: f64,
    /// Most buckets; default 100, 0 for no bound.
    pub max_buckets: usize,
    /// A histogram with too many buckets is emptied if that was last done this long ago; default 15 min.
    pub min_reset: Duration,
}

impl Default for NativeSettings {
    fn default() -> Self {
        NativeSettings { bucket_factor: 1.1, max_buckets: 100, min_reset: Duration::from_secs(900) }
    }
}
