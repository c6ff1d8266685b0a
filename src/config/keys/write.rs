//! The write path: `distributor`, `ingester`, `live_store`, and what only Kafka layouts use ("spec/config.md §6", "§7").

use std::path::PathBuf;

use super::{limit, receivers, size};
use crate::config::draft::Draft;
use crate::config::schema::{Action, Key, Table, When};

const DEBUGGING_ONLY: &str = "span logging is for debugging only";

/// What is done to spans before they are kept.
pub(super) static DISTRIBUTOR: Table<Draft> = Table::new(
    "distributor.Config",
    &[
        Key::new("receivers", Action::Custom(receivers::read)),
        Key::alias("max_span_attr_byte", "distributor.max_attribute_bytes"),
        Key::count("max_attribute_bytes", |draft, bytes| draft.config.distributor.max_attribute_bytes = limit(bytes)),
        Key::duration("retry_after_on_resource_exhausted", |draft, delay| draft.config.distributor.retry_after = delay),
        Key::bool("log_received_traces", |draft: &mut Draft, on| draft.config.distributor.span_logs.received.enabled = on)
            .warning(When::Set, DEBUGGING_ONLY),
        Key::section("log_received_spans", &LOG_RECEIVED_SPANS),
        Key::section("log_discarded_spans", &LOG_DISCARDED_SPANS),
        Key::section("metric_received_spans", &METRIC_RECEIVED_SPANS),
        Key::not_yet("forwarders"),
        Key::section("usage", &USAGE),
        Key::duration("artificial_delay", |draft, delay| draft.config.ingestion.artificial_delay = delay),
        Key::not_yet("search_tags_deny_list"),
    ],
    &["extend_writes", "ingester_write_path_enabled", "kafka_config", "kafka_write_path_enabled", "override_ring_key", "ring"],
);

static LOG_RECEIVED_SPANS: Table<Draft> = Table::new(
    "distributor.LogSpansConfig",
    &[
        Key::bool("enabled", |draft: &mut Draft, on| draft.config.distributor.span_logs.received.enabled = on)
            .warning(When::Set, DEBUGGING_ONLY),
        Key::bool("include_all_attributes", |draft: &mut Draft, on| {
            draft.config.distributor.span_logs.received.include_all_attributes = on
        }),
        Key::bool("filter_by_status_error", |draft: &mut Draft, on| {
            draft.config.distributor.span_logs.received.filter_by_status_error = on
        }),
    ],
    &[],
);

static LOG_DISCARDED_SPANS: Table<Draft> = Table::new(
    "distributor.LogSpansConfig",
    &[
        Key::bool("enabled", |draft: &mut Draft, on| draft.config.distributor.span_logs.discarded.enabled = on)
            .warning(When::Set, DEBUGGING_ONLY),
        Key::bool("include_all_attributes", |draft: &mut Draft, on| {
            draft.config.distributor.span_logs.discarded.include_all_attributes = on
        }),
        Key::bool("filter_by_status_error", |draft: &mut Draft, on| {
            draft.config.distributor.span_logs.discarded.filter_by_status_error = on
        }),
    ],
    &[],
);

static METRIC_RECEIVED_SPANS: Table<Draft> = Table::new(
    "distributor.MetricReceivedSpansConfig",
    &[
        Key::bool("enabled", |draft, on| draft.config.distributor.span_counting.enabled = on),
        Key::bool("root_only", |draft, on| draft.config.distributor.span_counting.root_only = on),
    ],
    &[],
);

static USAGE: Table<Draft> = Table::new("usage.Config", &[Key::section("cost_attribution", &COST_ATTRIBUTION)], &[]);

static COST_ATTRIBUTION: Table<Draft> = Table::new(
    "usage.PerTrackerConfig",
    &[
        Key::bool("enabled", |draft, on| draft.usage_enabled = on),
        Key::count("max_cardinality", |draft, most| draft.usage.max_cardinality = size(most)),
        Key::duration("stale_duration", |draft, duration| draft.usage.stale_duration = duration),
    ],
    &[],
);

/// How recent traces become blocks, up to 2.10.
pub(super) static INGESTER: Table<Draft> = Table {
    type_name: "ingester.Config",
    entered: Draft::enter_ingester,
    keys: &[
        Key::duration("trace_idle_period", |draft, period| draft.config.ingester.max_trace_idle = period),
        Key::duration("trace_live_period", |draft, period| draft.config.ingester.max_trace_live = period),
        Key::duration("max_block_duration", |draft, age| draft.config.ingester.max_block_duration = age),
        Key::count("max_block_bytes", |draft, bytes| draft.config.ingester.max_block_bytes = bytes),
        Key::duration("flush_check_period", |draft, period| draft.config.ingester.flush_check_period = period),
        Key::duration("complete_block_timeout", |draft, timeout| draft.config.ingester.complete_block_timeout = timeout),
        Key::bool("flush_all_on_shutdown", |draft, on| draft.config.ingester.flush_all_on_shutdown = on),
    ],
    ignored: &[
        "availability_zone",
        "concurrent_flushes",
        "flush_object_storage",
        "flush_op_timeout",
        "lifecycler",
        "override_ring_key",
        "partition_ring",
        // 1.x and 2.x wrote instance labels of the ring here.
        "ring",
    ],
};

/// How recent traces become blocks, from 2.9 on.
pub(super) static LIVE_STORE: Table<Draft> = Table {
    type_name: "livestore.Config",
    entered: |draft| draft.has_live_store = true,
    keys: &[
        Key::duration("max_trace_idle", |draft, period| draft.config.ingester.max_trace_idle = period),
        Key::duration("max_trace_live", |draft, period| draft.config.ingester.max_trace_live = period),
        Key::duration("max_block_duration", |draft, age| draft.config.ingester.max_block_duration = age),
        Key::count("max_block_bytes", |draft, bytes| draft.config.ingester.max_block_bytes = bytes),
        Key::duration("flush_check_period", |draft, period| draft.config.ingester.flush_check_period = period),
        Key::duration("complete_block_timeout", |draft, timeout| draft.config.ingester.complete_block_timeout = timeout),
        Key::bool("flush_all_on_shutdown", |draft, on| draft.config.ingester.flush_all_on_shutdown = on),
        Key::section("wal", &LIVE_STORE_WAL),
    ],
    ignored: &[
        "block_config",
        "block_reclaim_grace",
        "commit_interval",
        "complete_block_concurrency",
        "fail_on_high_lag",
        "flush_op_timeout",
        "max_live_traces_bytes",
        "metrics",
        "override_ring_key",
        "partition_ring",
        "query_block_concurrency",
        "readiness_max_wait",
        "readiness_target_lag",
        "remove_owner_on_shutdown",
        "ring",
        "shutdown_marker_dir",
        "concurrent_blocks",
    ],
};

static LIVE_STORE_WAL: Table<Draft> = Table::new(
    "wal.Config",
    &[Key::text("path", |draft, text| {
        draft.live_store_wal_path = (!text.is_empty()).then(|| PathBuf::from(text));
        Ok(())
    })],
    &["ingestion_time_range_slack", "version", "v2_encoding", "search_encoding", "encoding", "blocksfilepath", "completedfilepath"],
);

/// Makes blocks from Kafka in Tempo's microservices; this process needs none.
pub(super) static BLOCK_BUILDER: Table<Draft> = Table::ignoring(
    "blockbuilder.Config",
    &[
        "instance_id",
        "assigned_partitions",
        "partitions_per_instance",
        "consume_cycle_duration",
        "max_consuming_bytes",
        "block",
        "wal",
        "global_tag",
    ],
);

/// The Kafka between Tempo's microservices; this process needs none.
pub(super) static INGEST: Table<Draft> = Table::new("ingest.Config", &[Key::section("kafka", &INGEST_KAFKA)], &["enabled"]);

static INGEST_KAFKA: Table<Draft> = Table::new(
    "ingest.KafkaConfig",
    &[Key::new("topic", Action::Ignore).note(When::Set, "has no effect: one process needs no Kafka")],
    &["*"],
);
