//! Which processors run, and what each of them is told (spec/metrics-generator.md §1 to §4).

use crate::generator::filter::FilterPolicy;
use std::time::Duration;

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
        self.of_service_graphs().contains(&true)
    }

    /// Whether span metrics are made, in part or whole.
    pub fn span_metrics(&self) -> bool {
        self.of_span_metrics().contains(&true)
    }

    /// The parts of service graphs.
    pub(in crate::generator) fn of_service_graphs(&self) -> [bool; 3] {
        [self.graph_requests, self.graph_latency, self.graph_connections]
    }

    /// The parts of span metrics.
    pub(in crate::generator) fn of_span_metrics(&self) -> [bool; 3] {
        [self.span_count, self.span_latency, self.span_size]
    }

    /// The processors by name, and whether each runs, in part or whole.
    pub fn by_name(&self) -> [(&'static str, bool); 3] {
        [("service-graphs", self.service_graphs()), ("span-metrics", self.span_metrics()), ("host-info", self.host_info)]
    }

    /// Whether anything is made.
    pub fn any(&self) -> bool {
        self.service_graphs() || self.span_metrics() || self.host_info
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
