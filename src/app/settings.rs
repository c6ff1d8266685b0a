//! What each stage needs of the configuration.

use crate::api::ApiConfig;
use crate::compactor::{CompactorConfig, Surroundings};
use crate::config::{Config, StorageConfig, WalFsync};
use crate::frontend::{FrontendConfig, MetricsLimits};
use crate::ingester::wal::{Options, SyncMode};
use crate::ingester::{Ingester, IngesterConfig};
use crate::overrides::Overrides;
use crate::runtime::failpoints::Failpoints;
use crate::runtime::memory::Memory;
use std::path::PathBuf;
use std::sync::Arc;

/// Memory that a head may hold where no budget is given: a fifth of the 300 MiB that the server means to need at full load
/// (shared/design.md §7); encoding a block and what arrives meanwhile take the rest, more of it where encoding is slow
/// (docs/performance.md, "400,000 traces, flushed").
const DEFAULT_HEAD_BYTES: u64 = 64 << 20;

pub(super) fn ingester_config(config: &Config, wal_dir: PathBuf, memory: &Memory, failpoints: Failpoints) -> IngesterConfig {
    let share = memory.limit_bytes() / 4;
    let budget = if config.memory_limit_bytes.is_some() { share } else { share.min(DEFAULT_HEAD_BYTES) };
    IngesterConfig {
        wal_dir,
        wal: wal_options(&config.storage, failpoints),
        max_trace_idle: config.ingester.max_trace_idle,
        max_block_duration: config.ingester.max_block_duration,
        max_head_bytes: usize::try_from(config.ingester.max_block_bytes.min(budget)).unwrap_or(usize::MAX),
        check_period: config.ingester.flush_check_period,
        memory: memory.clone(),
    }
}

fn wal_options(storage: &StorageConfig, failpoints: Failpoints) -> Options {
    let sync = match storage.wal_fsync {
        WalFsync::Group => SyncMode::Group,
        WalFsync::Interval => SyncMode::Interval(storage.wal_fsync_interval),
        WalFsync::None => SyncMode::None,
    };
    Options { segment_bytes: storage.wal_segment_bytes, sync, failpoints }
}

pub(super) fn compactor_config(config: &Config) -> CompactorConfig {
    let compaction = &config.compaction;
    CompactorConfig {
        is_enabled: compaction.enabled,
        window: compaction.window,
        cycle: compaction.cycle,
        max_block_bytes: compaction.max_block_bytes,
        max_block_traces: compaction.max_block_traces,
        // Half of the cores stay for spans and queries whatever is merged.
        num_jobs: std::thread::available_parallelism().map_or(1, |cores| cores.get() / 2).max(1),
    }
}

pub(super) fn surroundings(overrides: &Arc<Overrides>, ingester: &Arc<Ingester>, memory: &Memory) -> Surroundings {
    let (settling, ingester, overrides) = (Arc::clone(ingester), Arc::clone(ingester), Arc::clone(overrides));
    Surroundings {
        settle: Arc::new(move |block| settling.wal().settle(block).map_err(std::io::Error::other)),
        is_quiet: Box::new(move |tenant| ingester.existing_head(tenant).is_none_or(|head| head.bytes() == 0)),
        retention: Box::new(move |tenant| overrides.limits_for(tenant).block_retention),
        memory: memory.clone(),
    }
}

pub(super) fn frontend_config(config: &Config, memory: &Memory) -> FrontendConfig {
    FrontendConfig {
        max_concurrent: std::thread::available_parallelism().map_or(1, |cores| cores.get()),
        timeout: config.query.query_timeout,
        lookup_timeout: config.query.trace_timeout,
        max_query_bytes: config.query_memory_limit_bytes.unwrap_or(memory.limit_bytes() / 4),
        max_waiting: config.query.max_outstanding_per_tenant,
        metrics: MetricsLimits {
            max_exemplars: config.query.max_exemplars,
            max_series: config.query.max_response_series,
            ..MetricsLimits::default()
        },
    }
}

pub(super) fn api_config(config: &Config) -> ApiConfig {
    let query = &config.query;
    ApiConfig {
        http_path_prefix: config.server.http_path_prefix.clone(),
        http_api_prefix: config.http_api_prefix.clone(),
        multitenancy_enabled: config.multitenancy_enabled,
        multi_tenant_queries_enabled: query.multi_tenant_queries_enabled,
        stream_over_http_enabled: config.stream_over_http_enabled,
        default_result_limit: query.default_result_limit,
        max_result_limit: query.max_result_limit,
        default_spans_per_span_set: query.default_spans_per_span_set,
        max_spans_per_span_set: query.max_spans_per_span_set,
        max_metrics_intervals: query.max_metrics_intervals,
        max_query_expression_size_bytes: query.max_query_expression_size_bytes,
        query_end_cutoff: query.query_end_cutoff,
        api_timeout: query.api_timeout,
        ..ApiConfig::default()
    }
}
