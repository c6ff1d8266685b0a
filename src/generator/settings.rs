//! What the generator is told to do (spec/metrics-generator.md §2.3, §3.4, §8, §10). Plain data; `config` fills it in.

use super::filter::FilterPolicy;
use crate::model::TenantId;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Most active series of a tenant where nothing is configured: some thousand label sets of span metrics. Tempo has no bound.
pub const DEFAULT_MAX_ACTIVE_SERIES: usize = 100_000;

/// Settings of the generator.
#[derive(Clone, Debug, PartialEq)]
pub struct GeneratorConfig {
    /// What holds for a tenant of which nothing else is said.
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

impl GeneratorConfig {
    /// The settings of a tenant. Limits of single tenants will be looked up here.
    pub fn for_tenant(&self, _tenant: &TenantId) -> Settings {
        self.defaults.clone()
    }
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

/// The parts of the processors that run (spec/metrics-generator.md §1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Processors {
    /// `service-graphs-request`.
    pub graph_requests: bool,
    /// `service-graphs-latency`.
    pub graph_latency: bool,
    /// `service-graphs-connection-info`.
    pub graph_connections: bool,
    /// `span-metrics-count`.
    pub span_count: bool,
    /// `span-metrics-latency`.
    pub span_latency: bool,
    /// `span-metrics-size`.
    pub span_size: bool,
    /// `host-info`.
    pub host_info: bool,
}

impl Processors {
    /// Those with these names.
    ///
    /// # Errors
    /// A name that is not known. `local-blocks`, which is none any more, is left out.
    pub fn named<'n>(names: impl IntoIterator<Item = &'n str>) -> Result<Self, String> {
        let mut all = Processors::default();
        for name in names {
            match name {
                "service-graphs" => (all.graph_requests, all.graph_latency) = (true, true),
                "service-graphs-request" => all.graph_requests = true,
                "service-graphs-latency" => all.graph_latency = true,
                "service-graphs-connection-info" => all.graph_connections = true,
                "span-metrics" => (all.span_count, all.span_latency, all.span_size) = (true, true, true),
                "span-metrics-count" => all.span_count = true,
                "span-metrics-latency" => all.span_latency = true,
                "span-metrics-size" => all.span_size = true,
                "host-info" => all.host_info = true,
                "local-blocks" => {}
                _ => return Err(format!("{name} is no processor of the metrics generator")),
            }
        }
        Ok(all)
    }

    /// Whether service graphs are made, in part or whole.
    pub fn service_graphs(&self) -> bool {
        self.graph_requests || self.graph_latency || self.graph_connections
    }

    /// Whether span metrics are made, in part or whole.
    pub fn span_metrics(&self) -> bool {
        self.span_count || self.span_latency || self.span_size
    }

    /// Whether anything is made.
    pub fn any(&self) -> bool {
        self.service_graphs() || self.span_metrics() || self.host_info
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

/// How a span tells how many it stands for (spec/metrics-generator.md §7).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MultiplierSettings {
    /// An attribute with the ratio of sampling; empty (default) for none.
    pub key: String,
    /// Whether `ot=th:…` in the trace state is looked at; default false.
    pub from_trace_state: bool,
}

impl MultiplierSettings {
    /// Whether every span counts once.
    pub fn is_off(&self) -> bool {
        self.key.is_empty() && !self.from_trace_state
    }
}

/// Settings of span metrics.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanMetricsSettings {
    /// Upper bounds of the latency buckets in seconds, ascending.
    pub buckets: Vec<f64>,
    /// Which labels of its own a series has.
    pub intrinsic: IntrinsicDimensions,
    /// Attributes that become labels.
    pub dimensions: Vec<String>,
    /// Labels that are joined from several attributes.
    pub mappings: Vec<DimensionMapping>,
    /// Whether `traces_target_info` is made.
    pub target_info: bool,
    /// Resource attributes that it leaves out.
    pub target_info_excluded: Vec<String>,
    /// Whether `service.instance.id` is a label where there is target info; default true.
    pub instance_label: bool,
    /// How many spans a span stands for.
    pub multiplier: MultiplierSettings,
    /// Which spans count.
    pub filters: Vec<FilterPolicy>,
}

impl Default for SpanMetricsSettings {
    fn default() -> Self {
        SpanMetricsSettings {
            buckets: (0..14).map(|power| f64::from(2u32 << power) / 1000.0).collect(),
            intrinsic: IntrinsicDimensions::default(),
            dimensions: Vec::new(),
            mappings: Vec::new(),
            target_info: false,
            target_info_excluded: Vec::new(),
            instance_label: true,
            multiplier: MultiplierSettings::default(),
            filters: Vec::new(),
        }
    }
}

/// Which labels of its own a series of span metrics has; the status message is off by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntrinsicDimensions {
    /// `service`.
    pub service: bool,
    /// `span_name`.
    pub span_name: bool,
    /// `span_kind`.
    pub span_kind: bool,
    /// `status_code`.
    pub status_code: bool,
    /// `status_message`.
    pub status_message: bool,
}

impl Default for IntrinsicDimensions {
    fn default() -> Self {
        IntrinsicDimensions { service: true, span_name: true, span_kind: true, status_code: true, status_message: false }
    }
}

/// A label that is joined from several attributes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DimensionMapping {
    /// The label.
    pub name: String,
    /// The attributes; empty values are left out.
    pub source_labels: Vec<String>,
    /// What stands between them.
    pub join: String,
}

/// Settings of service graphs.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceGraphSettings {
    /// How long one side of an edge waits for the other; default 10 s.
    pub wait: Duration,
    /// Most edges that wait. Default 100,000, where Tempo has 10,000: spans come here in batches of whole chunks.
    pub max_items: usize,
    /// Upper bounds of the latency buckets in seconds, ascending.
    pub buckets: Vec<f64>,
    /// Attributes that become labels.
    pub dimensions: Vec<String>,
    /// Whether labels of dimensions begin with `client_` and `server_`.
    pub client_server_prefix: bool,
    /// Whether the time from producer to consumer is measured.
    pub messaging_latency: bool,
    /// Whether edges to virtual nodes say which side is one.
    pub virtual_node_label: bool,
    /// Span attributes that name a peer without instrumentation.
    pub peer_attributes: Vec<String>,
    /// Attributes by which a client span is a query of a database.
    pub database_attributes: Vec<String>,
    /// How many spans a span stands for.
    pub multiplier: MultiplierSettings,
    /// Which spans count.
    pub filters: Vec<FilterPolicy>,
}

impl Default for ServiceGraphSettings {
    fn default() -> Self {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        ServiceGraphSettings {
            wait: Duration::from_secs(10),
            max_items: 100_000,
            buckets: vec![0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8],
            dimensions: Vec::new(),
            client_server_prefix: false,
            messaging_latency: false,
            virtual_node_label: false,
            peer_attributes: texts(&["peer.service", "db.name", "db.system", "db.system.name"]),
            database_attributes: texts(&["db.namespace", "db.name", "db.system", "db.system.name"]),
            multiplier: MultiplierSettings::default(),
            filters: Vec::new(),
        }
    }
}

/// Settings of host info.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostInfoSettings {
    /// Resource attributes that name a host, the best first.
    pub host_identifiers: Vec<String>,
    /// Name of the series.
    pub metric_name: String,
}

impl Default for HostInfoSettings {
    fn default() -> Self {
        HostInfoSettings {
            host_identifiers: vec!["k8s.node.name".to_owned(), "host.id".to_owned()],
            metric_name: "traces_host_info".to_owned(),
        }
    }
}

/// A receiver of remote write (spec/metrics-generator.md §9). Its secrets are not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct RemoteWrite {
    /// Where samples are posted.
    pub url: String,
    /// What the log calls it; empty for its URL's host.
    pub name: String,
    /// Headers of each request.
    pub headers: BTreeMap<String, String>,
    /// Who sends.
    pub authorization: Authorization,
    /// A file with certificates to trust beside the built-in ones.
    pub ca_file: Option<PathBuf>,
    /// Whether certificates are not looked at.
    pub skip_verify: bool,
    /// How long a request may take; default 30 s.
    pub timeout: Duration,
    /// Most samples of a request; default 2000.
    pub max_samples_per_send: usize,
    /// Pause after the first failure; default 30 ms.
    pub min_backoff: Duration,
    /// Longest pause between two tries; default 5 s.
    pub max_backoff: Duration,
}

impl Default for RemoteWrite {
    fn default() -> Self {
        RemoteWrite {
            url: String::new(),
            name: String::new(),
            headers: BTreeMap::new(),
            authorization: Authorization::None,
            ca_file: None,
            skip_verify: false,
            timeout: Duration::from_secs(30),
            max_samples_per_send: 2000,
            min_backoff: Duration::from_millis(30),
            max_backoff: Duration::from_secs(5),
        }
    }
}

impl std::fmt::Debug for RemoteWrite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteWrite").field("url", &without_user(&self.url)).field("name", &self.name).finish_non_exhaustive()
    }
}

/// A URL without the name and password that may stand in it, and without a query that may hold a key.
pub(super) fn without_user(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

/// How a sender of samples names itself.
#[derive(Clone, PartialEq, Eq)]
pub enum Authorization {
    /// Not at all.
    None,
    /// Name and password.
    Basic {
        /// The name.
        user: String,
        /// The password.
        password: Credential,
    },
    /// A scheme, such as `Bearer`, and what follows it.
    Scheme {
        /// The scheme.
        scheme: String,
        /// What follows it.
        credentials: Credential,
    },
}

/// A secret as such, or the file that has it, which is read anew for each try.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// The secret.
    Text(String),
    /// Its file.
    File(PathBuf),
}
