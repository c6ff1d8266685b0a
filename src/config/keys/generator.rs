//! `metrics_generator` ("spec/config.md §12"): its keys are known, and have no effect yet.

use crate::config::draft::Draft;
use crate::config::schema::{Key, Table};

/// Metrics made from spans.
pub(super) static GENERATOR: Table<Draft> = Table::new(
    "generator.Config",
    &[Key::section("storage", &STORAGE), Key::section("registry", &REGISTRY), Key::section("processor", &PROCESSOR)],
    &[
        "codec",
        "disable_grpc",
        "disable_local_blocks",
        "ingest_concurrency",
        "instance_id",
        "leave_consumer_group_on_shutdown",
        "limiter_type",
        "metrics_ingestion_time_range_slack",
        "override_ring_key",
        "query_timeout",
        "ring",
        "ring_mode",
        "skip_stale_backlog_on_startup",
        "traces_query_storage",
        "traces_storage",
    ],
);

static STORAGE: Table<Draft> =
    Table::ignoring("storage.Config", &["path", "wal", "remote_write", "remote_write_add_org_id_header", "remote_write_flush_deadline"]);

static REGISTRY: Table<Draft> = Table::ignoring(
    "registry.Config",
    &["collection_interval", "external_labels", "inject_tenant_id_as", "max_label_name_length", "max_label_value_length", "stale_duration"],
);

static PROCESSOR: Table<Draft> = Table::new(
    "generator.ProcessorConfig",
    &[Key::section("service_graphs", &SERVICE_GRAPHS), Key::section("span_metrics", &SPAN_METRICS), Key::section("host_info", &HOST_INFO)],
    &["local_blocks"],
);

static SERVICE_GRAPHS: Table<Draft> = Table::ignoring(
    "servicegraphs.Config",
    &[
        "database_name_attributes",
        "dimensions",
        "enable_client_server_prefix",
        "enable_messaging_system_latency_histogram",
        "enable_tracestate_span_multiplier",
        "enable_virtual_node_label",
        "filter_policies",
        "histogram_buckets",
        "histogram_override",
        "max_items",
        "peer_attributes",
        "span_multiplier_key",
        "wait",
        "workers",
        // Asked for by early 1.4 files.
        "success_codes",
    ],
);

static SPAN_METRICS: Table<Draft> = Table::ignoring(
    "spanmetrics.Config",
    &[
        "dimension_mappings",
        "dimensions",
        "enable_instance_label",
        "enable_target_info",
        "enable_tracestate_span_multiplier",
        "filter_policies",
        "histogram_buckets",
        "histogram_override",
        "intrinsic_dimensions",
        "span_multiplier_key",
        "subprocessors",
        "target_info_excluded_dimensions",
    ],
);

static HOST_INFO: Table<Draft> = Table::ignoring("hostinfo.Config", &["host_identifiers", "metric_name"]);
