//! The write path, retention and the query API: times, sizes and limits.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::UserOverridesConfig;
use crate::distributor::usage::UsageConfig;
use crate::distributor::{SpanCounting, SpanLogs};

/// What is done to spans before they are kept ("spec/config.md §6").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DistributorConfig {
    /// Longest attribute key or value in bytes; longer ones are cut. `None` (default) keeps them whole, where Tempo cuts at
    /// 2048 (`distributor.max_attribute_bytes`, 0 = unlimited).
    pub max_attribute_bytes: Option<usize>,
    /// Spans that are logged, for debugging; none by default (`distributor.log_received_spans`, `log_discarded_spans`).
    pub span_logs: SpanLogs,
    /// Spans that are counted by name and service, for debugging; none by default (`distributor.metric_received_spans`).
    pub span_counting: SpanCounting,
    /// When a sender is told to come again that was refused for its rate, default 5 s; zero tells nothing
    /// (`distributor.retry_after_on_resource_exhausted`).
    pub retry_after: Duration,
    /// Whether bytes are told apart by attributes, and within which bounds; `None` (default) if not
    /// (`distributor.usage.cost_attribution`).
    pub usage: Option<UsageConfig>,
    /// By which, and what labels they become; default none (`overrides.defaults.cost_attribution.dimensions`).
    pub cost_dimensions: Arc<BTreeMap<String, String>>,
    /// Most combinations of a tenant; `None` (default) for the bound of all (`overrides.defaults.cost_attribution.max_cardinality`).
    pub max_cost_cardinality: Option<usize>,
}

impl Default for DistributorConfig {
    fn default() -> Self {
        DistributorConfig {
            max_attribute_bytes: None,
            span_logs: SpanLogs::default(),
            span_counting: SpanCounting::default(),
            retry_after: Duration::from_secs(5),
            usage: None,
            cost_dimensions: Arc::default(),
            max_cost_cardinality: None,
        }
    }
}

/// What a tenant may send ("spec/config.md §11").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngestionConfig {
    /// Bytes of OTLP protobuf per second; `None` (default) for no bound, where Tempo has 30000000
    /// (`overrides.defaults.ingestion.rate_limit_bytes`, 0 = unlimited).
    pub rate_limit_bytes: Option<u64>,
    /// Bytes at once; `None` (default) for those of a second (`overrides.defaults.ingestion.burst_size_bytes`).
    pub burst_size_bytes: Option<u64>,
    /// Whether a sender over its rate is told when to come again, default true
    /// (`overrides.defaults.ingestion.retry_info_enabled`).
    pub retry_info_enabled: bool,
    /// Most bytes of spans of one trace; `None` (default) for no bound, where Tempo has 5000000
    /// (`overrides.defaults.global.max_bytes_per_trace`, 0 = unlimited).
    pub max_bytes_per_trace: Option<u64>,
    /// Most traces that get spans at a time; `None` (default) for no bound, where Tempo has 10000
    /// (`overrides.defaults.ingestion.max_traces_per_user`, 0 = unlimited).
    pub max_traces_per_user: Option<u64>,
    /// The same for all processes together, of which there is one; `None` (default) for no bound
    /// (`overrides.defaults.ingestion.max_global_traces_per_user`).
    pub max_global_traces_per_user: Option<u64>,
    /// How long a push takes at least, give or take a tenth; default 0 (`distributor.artificial_delay`,
    /// `overrides.defaults.ingestion.artificial_delay`).
    pub artificial_delay: Duration,
}

impl Default for IngestionConfig {
    fn default() -> Self {
        IngestionConfig {
            rate_limit_bytes: None,
            burst_size_bytes: None,
            retry_info_enabled: true,
            max_bytes_per_trace: None,
            max_traces_per_user: None,
            max_global_traces_per_user: None,
            artificial_delay: Duration::ZERO,
        }
    }
}

/// Where the limits of single tenants are ("spec/config.md §11").
#[derive(Clone, Debug, PartialEq)]
pub struct OverridesConfig {
    /// A file with an entry for each tenant that differs (`overrides.per_tenant_override_config`).
    pub file: Option<PathBuf>,
    /// How often that file is read again, default 10 s (`overrides.per_tenant_override_period`).
    pub period: Duration,
    /// How tenants set some of their limits themselves; `None` (default) if they do not (`overrides.user_configurable_overrides`).
    pub by_users: Option<UserOverridesConfig>,
    /// Whether `${VARIABLE}` is expanded in it (`-config.expand-env`).
    pub expand_env: bool,
}

impl Default for OverridesConfig {
    fn default() -> Self {
        OverridesConfig { file: None, period: Duration::from_secs(10), by_users: None, expand_env: false }
    }
}

/// How recent traces become blocks ("spec/config.md §7").
///
/// A file with an `ingester` section starts from the defaults of Tempo 2.10 (named below); every other file, also one with
/// the `live_store` section of Tempo 3, from ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngesterConfig {
    /// A trace without new spans for this long is complete, default 5 s (`max_trace_idle`, 2.x `trace_idle_period`).
    pub max_trace_idle: Duration,
    /// A trace is not held back longer than this, default 30 s (`max_trace_live`, 2.x `trace_live_period`).
    pub max_trace_live: Duration,
    /// Age at which the head is cut into a block, default 5 min (2.10: 30 min).
    pub max_block_duration: Duration,
    /// Size in bytes at which the head is cut, default 100 MiB (2.10: 524288000).
    pub max_block_bytes: u64,
    /// Time between two looks for traces and heads to cut, default 5 s (2.10: 10 s).
    pub flush_check_period: Duration,
    /// How long a block that is in the store stays readable on local disk, default 15 min.
    pub complete_block_timeout: Duration,
    /// Whether a clean stop turns everything into blocks in the store instead of leaving it to the WAL; default false.
    pub flush_all_on_shutdown: bool,
}

impl Default for IngesterConfig {
    fn default() -> Self {
        IngesterConfig {
            max_trace_idle: Duration::from_secs(5),
            max_trace_live: Duration::from_secs(30),
            max_block_duration: Duration::from_secs(300),
            max_block_bytes: 100 << 20,
            flush_check_period: Duration::from_secs(5),
            complete_block_timeout: Duration::from_secs(900),
            flush_all_on_shutdown: false,
        }
    }
}

impl IngesterConfig {
    /// What an `ingester` section starts from: the defaults of Tempo 2.10.
    pub(super) fn of_tempo_2() -> Self {
        IngesterConfig {
            max_block_duration: Duration::from_secs(1800),
            max_block_bytes: 524_288_000,
            flush_check_period: Duration::from_secs(10),
            ..IngesterConfig::default()
        }
    }
}

/// How long blocks are kept ("spec/config.md §9").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionConfig {
    /// Age, by the later of its newest span's end and its arrival, at which a block is removed; default 336 h. `None` keeps
    /// blocks for ever (`block_retention: 0`, or `compactor.disabled`).
    pub block_retention: Option<Duration>,
}

impl Default for RetentionConfig {
    fn default() -> Self {
        RetentionConfig { block_retention: Some(Duration::from_secs(336 * 3600)) }
    }
}

/// How blocks are merged ("spec/config.md §9").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompactionConfig {
    /// Whether they are; default true (`compactor.disabled`, `overrides.defaults.compaction.compaction_disabled`).
    pub enabled: bool,
    /// Blocks whose newest spans lie in one window of this length are merged with each other; default 1 h
    /// (`compaction_window`).
    pub window: Duration,
    /// How often the blocks are looked at, and how long nothing must have come before the last blocks of a window are merged;
    /// default 30 s (`compaction_cycle`).
    pub cycle: Duration,
    /// Most bytes of a merged block; default 100 GiB (`max_block_bytes`).
    pub max_block_bytes: u64,
    /// Most traces of a merged block; default 6,000,000 (`max_compaction_objects`).
    pub max_block_traces: u64,
}

impl Default for CompactionConfig {
    fn default() -> Self {
        CompactionConfig {
            enabled: true,
            window: Duration::from_secs(3600),
            cycle: Duration::from_secs(30),
            max_block_bytes: 100 << 30,
            max_block_traces: 6_000_000,
        }
    }
}

/// Bounds of the query API ("spec/config.md §8", "§11").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryConfig {
    /// Traces that a search returns when it names no `limit`, default 20 (`search.default_result_limit`).
    pub default_result_limit: usize,
    /// Largest `limit` that a search may name, default 262144; `None` for no bound (`search.max_result_limit: 0`).
    pub max_result_limit: Option<usize>,
    /// Longest time range of a search, default 168 h; `None` for no bound (`search.max_duration: 0`).
    pub max_search_duration: Option<Duration>,
    /// Longest time range of a metrics query, default 24 h; `None` for no bound (`metrics.max_duration: 0`).
    pub max_metrics_duration: Option<Duration>,
    /// Most buckets of a metrics query, default 10000; 0 for no bound (`metrics.max_intervals`).
    pub max_metrics_intervals: u64,
    /// Spans per span set when a search names no `spss`, default 3 (`search.default_spans_per_span_set`).
    pub default_spans_per_span_set: usize,
    /// Largest `spss` that a search may name, default 100; `None` for no bound (`search.max_spans_per_span_set: 0`).
    pub max_spans_per_span_set: Option<usize>,
    /// Longest TraceQL text in bytes, default 131072 (`max_query_expression_size_bytes`).
    pub max_query_expression_size_bytes: usize,
    /// Newest spans that search and metrics leave out; default 0, where Tempo 3 hides 30 s (`query_end_cutoff`).
    pub query_end_cutoff: Duration,
    /// Most exemplars of a metrics query, and how many it has if it does not say, default 100 (`metrics.max_exemplars`).
    pub max_exemplars: usize,
    /// Most series of a metrics query, default 0 for no bound (`metrics.max_response_series`).
    pub max_response_series: usize,
    /// How long a search, a metrics query or a query for tags may take, default 30 s (`querier.search.query_timeout`).
    pub query_timeout: Duration,
    /// How long a trace by id may take, default 10 s; 0 means no bound (`querier.trace_by_id.query_timeout`).
    pub trace_timeout: Duration,
    /// Patterns of URLs that are refused; default none (`url_deny_list`).
    pub url_deny_list: Vec<String>,
    /// How long a request over HTTP may take, default 0: no bound of its own (`api_timeout`).
    pub api_timeout: Duration,
    /// Whether a query may name several tenants, `a|b`; default true (`multi_tenant_queries_enabled`).
    pub multi_tenant_queries_enabled: bool,
    /// Most queries of a tenant that wait for their turn, default 2000; 0 means no bound (`max_outstanding_per_tenant`).
    pub max_outstanding_per_tenant: usize,
    /// Most bytes of names or values in an answer about tags; `None` (default) for no bound, where Tempo cuts off in silence at
    /// 1000000 (`overrides.defaults.read.max_bytes_per_tag_values_query`, 0 = unlimited).
    pub max_bytes_per_tag_values: Option<u64>,
    /// Largest number of alternatives in a filter of tags, default 100; `None` for no bound
    /// (`overrides.defaults.read.max_condition_groups_per_tag_query`).
    pub max_condition_groups: Option<usize>,
    /// Whether searches write trace ids with all their zeros, default false (`overrides.defaults.read.left_pad_trace_ids`).
    pub left_pad_trace_ids: bool,
    /// Largest trace in bytes that is given out, default 5000000; `None` for no bound
    /// (`overrides.defaults.global.max_bytes_per_trace: 0`).
    pub max_bytes_per_trace: Option<u64>,
}

impl Default for QueryConfig {
    fn default() -> Self {
        QueryConfig {
            default_result_limit: 20,
            max_result_limit: Some(262_144),
            max_search_duration: Some(Duration::from_secs(168 * 3600)),
            max_metrics_duration: Some(Duration::from_secs(24 * 3600)),
            max_metrics_intervals: 10_000,
            default_spans_per_span_set: 3,
            max_spans_per_span_set: Some(100),
            max_query_expression_size_bytes: 131_072,
            query_end_cutoff: Duration::ZERO,
            max_exemplars: 100,
            max_response_series: 0,
            query_timeout: Duration::from_secs(30),
            trace_timeout: Duration::from_secs(10),
            url_deny_list: Vec::new(),
            api_timeout: Duration::ZERO,
            multi_tenant_queries_enabled: true,
            max_outstanding_per_tenant: 2000,
            max_bytes_per_tag_values: None,
            max_condition_groups: Some(100),
            left_pad_trace_ids: false,
            max_bytes_per_trace: Some(5_000_000),
        }
    }
}
