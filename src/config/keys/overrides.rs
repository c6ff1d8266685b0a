//! `overrides` in both forms ("spec/config.md §11"). The flat form is the older one: its keys are names for paths of the
//! scoped form, and may be mixed with it.

use super::generator_lists::label_map;
use super::limit;
use crate::config::draft::Draft;
use crate::config::schema::{Action, Key, Report, Table, Walk, When};
use crate::config::yaml::Node;
use crate::config::{Backend, StorageConfig};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Limits of all tenants, and where those of single tenants are.
pub(in crate::config) static OVERRIDES: Table<Draft> = Table::new(
    "overrides.Config",
    &[
        flat("ingestion_rate_strategy", "overrides.defaults.ingestion.rate_strategy"),
        flat("ingestion_rate_limit_bytes", "overrides.defaults.ingestion.rate_limit_bytes"),
        flat("ingestion_burst_size_bytes", "overrides.defaults.ingestion.burst_size_bytes"),
        flat("ingestion_tenant_shard_size", "overrides.defaults.ingestion.tenant_shard_size"),
        flat("ingestion_max_attribute_bytes", "overrides.defaults.ingestion.max_attribute_bytes"),
        flat("ingestion_artificial_delay", "overrides.defaults.ingestion.artificial_delay"),
        flat("ingestion_retry_info_enabled", "overrides.defaults.ingestion.retry_info_enabled"),
        flat("max_traces_per_user", "overrides.defaults.ingestion.max_traces_per_user"),
        flat("max_global_traces_per_user", "overrides.defaults.ingestion.max_global_traces_per_user"),
        flat("max_bytes_per_trace", "overrides.defaults.global.max_bytes_per_trace"),
        flat("max_bytes_per_tag_values_query", "overrides.defaults.read.max_bytes_per_tag_values_query"),
        flat("max_blocks_per_tag_values_query", "overrides.defaults.read.max_blocks_per_tag_values_query"),
        flat("max_condition_groups_per_tag_query", "overrides.defaults.read.max_condition_groups_per_tag_query"),
        flat("max_search_duration", "overrides.defaults.read.max_search_duration"),
        flat("max_metrics_duration", "overrides.defaults.read.max_metrics_duration"),
        flat("unsafe_query_hints", "overrides.defaults.read.unsafe_query_hints"),
        flat("left_pad_trace_ids", "overrides.defaults.read.left_pad_trace_ids"),
        flat("metrics_spanonly_fetch", "overrides.defaults.read.metrics_spanonly_fetch"),
        flat("span_pruning_awareness", "overrides.defaults.read.span_pruning_awareness"),
        flat("span_pruning_enabled", "overrides.defaults.read.span_pruning_enabled"),
        flat("engine_bytes_tracking", "overrides.defaults.read.engine_bytes_tracking"),
        flat("block_retention", "overrides.defaults.compaction.block_retention"),
        flat("compaction_window", "overrides.defaults.compaction.compaction_window"),
        flat("compaction_disabled", "overrides.defaults.compaction.compaction_disabled"),
        flat("forwarders", "overrides.defaults.forwarders"),
        flat("cost_attribution", "overrides.defaults.cost_attribution"),
        flat("parquet_dedicated_columns", "overrides.defaults.storage.parquet_dedicated_columns"),
        flat("metrics_generator_processors", "overrides.defaults.metrics_generator.processors"),
        flat("metrics_generator_max_active_series", "overrides.defaults.metrics_generator.max_active_series"),
        flat("metrics_generator_max_active_entities", "overrides.defaults.metrics_generator.max_active_entities"),
        flat("metrics_generator_max_cardinality_per_label", "overrides.defaults.metrics_generator.max_cardinality_per_label"),
        flat("metrics_generator_collection_interval", "overrides.defaults.metrics_generator.collection_interval"),
        flat("metrics_generator_disable_collection", "overrides.defaults.metrics_generator.disable_collection"),
        flat("metrics_generator_generate_native_histograms", "overrides.defaults.metrics_generator.generate_native_histograms"),
        flat("metrics_generator_native_histogram_bucket_factor", "overrides.defaults.metrics_generator.native_histogram_bucket_factor"),
        flat(
            "metrics_generator_native_histogram_max_bucket_number",
            "overrides.defaults.metrics_generator.native_histogram_max_bucket_number",
        ),
        flat(
            "metrics_generator_native_histogram_min_reset_duration",
            "overrides.defaults.metrics_generator.native_histogram_min_reset_duration",
        ),
        flat("metrics_generator_trace_id_label_name", "overrides.defaults.metrics_generator.trace_id_label_name"),
        flat("metrics_generator_ingestion_time_range_slack", "overrides.defaults.metrics_generator.ingestion_time_range_slack"),
        flat("metrics_generator_remote_write_headers", "overrides.defaults.metrics_generator.remote_write_headers"),
        flat("metrics_generator_span_name_sanitization", "overrides.defaults.metrics_generator.span_name_sanitization"),
        flat("metrics_generator_processor_service_graphs_wait", "overrides.defaults.metrics_generator.processor.service_graphs.wait"),
        flat(
            "metrics_generator_processor_service_graphs_max_items",
            "overrides.defaults.metrics_generator.processor.service_graphs.max_items",
        ),
        flat(
            "metrics_generator_processor_service_graphs_histogram_buckets",
            "overrides.defaults.metrics_generator.processor.service_graphs.histogram_buckets",
        ),
        flat(
            "metrics_generator_processor_service_graphs_dimensions",
            "overrides.defaults.metrics_generator.processor.service_graphs.dimensions",
        ),
        flat(
            "metrics_generator_processor_service_graphs_peer_attributes",
            "overrides.defaults.metrics_generator.processor.service_graphs.peer_attributes",
        ),
        flat(
            "metrics_generator_processor_service_graphs_filter_policies",
            "overrides.defaults.metrics_generator.processor.service_graphs.filter_policies",
        ),
        flat(
            "metrics_generator_processor_service_graphs_enable_client_server_prefix",
            "overrides.defaults.metrics_generator.processor.service_graphs.enable_client_server_prefix",
        ),
        flat(
            "metrics_generator_processor_service_graphs_enable_messaging_system_latency_histogram",
            "overrides.defaults.metrics_generator.processor.service_graphs.enable_messaging_system_latency_histogram",
        ),
        flat(
            "metrics_generator_processor_service_graphs_enable_virtual_node_label",
            "overrides.defaults.metrics_generator.processor.service_graphs.enable_virtual_node_label",
        ),
        flat(
            "metrics_generator_processor_service_graphs_span_multiplier_key",
            "overrides.defaults.metrics_generator.processor.service_graphs.span_multiplier_key",
        ),
        flat(
            "metrics_generator_processor_service_graphs_enable_tracestate_span_multiplier",
            "overrides.defaults.metrics_generator.processor.service_graphs.enable_tracestate_span_multiplier",
        ),
        flat(
            "metrics_generator_processor_span_metrics_histogram_buckets",
            "overrides.defaults.metrics_generator.processor.span_metrics.histogram_buckets",
        ),
        flat(
            "metrics_generator_processor_span_metrics_dimensions",
            "overrides.defaults.metrics_generator.processor.span_metrics.dimensions",
        ),
        flat(
            "metrics_generator_processor_span_metrics_intrinsic_dimensions",
            "overrides.defaults.metrics_generator.processor.span_metrics.intrinsic_dimensions",
        ),
        flat(
            "metrics_generator_processor_span_metrics_filter_policies",
            "overrides.defaults.metrics_generator.processor.span_metrics.filter_policies",
        ),
        flat(
            "metrics_generator_processor_span_metrics_dimension_mappings",
            "overrides.defaults.metrics_generator.processor.span_metrics.dimension_mappings",
        ),
        flat(
            "metrics_generator_processor_span_metrics_enable_target_info",
            "overrides.defaults.metrics_generator.processor.span_metrics.enable_target_info",
        ),
        flat(
            "metrics_generator_processor_span_metrics_target_info_excluded_dimensions",
            "overrides.defaults.metrics_generator.processor.span_metrics.target_info_excluded_dimensions",
        ),
        flat(
            "metrics_generator_processor_span_metrics_enable_instance_label",
            "overrides.defaults.metrics_generator.processor.span_metrics.enable_instance_label",
        ),
        flat(
            "metrics_generator_processor_span_metrics_span_multiplier_key",
            "overrides.defaults.metrics_generator.processor.span_metrics.span_multiplier_key",
        ),
        flat(
            "metrics_generator_processor_span_metrics_enable_tracestate_span_multiplier",
            "overrides.defaults.metrics_generator.processor.span_metrics.enable_tracestate_span_multiplier",
        ),
        flat(
            "metrics_generator_processor_host_info_host_identifiers",
            "overrides.defaults.metrics_generator.processor.host_info.host_identifiers",
        ),
        flat("metrics_generator_processor_host_info_metric_name", "overrides.defaults.metrics_generator.processor.host_info.metric_name"),
        // Rings, queues and local blocks.
        legacy("metrics_generator_*"),
        legacy("search_tags_allow_list"),
        legacy("max_search_bytes_per_trace"),
        Key::section("defaults", &DEFAULTS),
        Key::text("per_tenant_override_config", |draft, path| {
            draft.config.overrides.file = (!path.is_empty()).then(|| PathBuf::from(path));
            Ok(())
        }),
        Key::duration("per_tenant_override_period", |draft, period| {
            if !period.is_zero() {
                draft.config.overrides.period = period;
            }
        }),
        Key::section("user_configurable_overrides", &USER_CONFIGURABLE),
    ],
    &["enable_legacy_overrides"],
);

/// A key of the flat form that is a name for one of the scoped form.
const fn flat(name: &'static str, path: &'static str) -> Key<Draft> {
    Key::alias(name, path).warning(When::Present, DEPRECATED)
}

/// A key of the flat form without effect.
const fn legacy(name: &'static str) -> Key<Draft> {
    Key::new(name, Action::Ignore).warning(When::Present, DEPRECATED)
}

const DEPRECATED: &str = "the flat form of overrides is deprecated: write it under overrides.defaults";

static USER_CONFIGURABLE: Table<Draft> = Table::new(
    "overrides.UserConfigurableOverridesConfig",
    &[
        Key::bool("enabled", |draft, on| draft.by_users.enabled = on),
        Key::duration("poll_interval", |draft, period| draft.by_users.poll = Some(period).filter(|period| !period.is_zero())),
        Key::new("client", Action::Custom(read_client)),
        Key::section("api", &USER_API),
    ],
    &[],
);

static USER_API: Table<Draft> = Table::new(
    "api.Config",
    &[Key::bool("check_for_conflicting_runtime_overrides", |draft, on| draft.by_users.refuses_conflicts = on)],
    &[],
);

/// The store of documents has the keys of that of blocks, so it is read by the same tables, into a draft of its own.
fn read_client(draft: &mut Draft, node: &Node, report: &mut Report) {
    let mut own = Draft::default();
    Walk::new(&super::ROOT, report).section(&mut own, &CLIENT, node, "overrides.user_configurable_overrides.client");
    own.config.storage.s3.encryption = std::mem::take(&mut own.sse).finish();
    own.config.storage.local_path = own.local_path.take().unwrap_or_default();
    draft.by_users.storage = own.by_users.backend.map(|backend| StorageConfig { backend, ..own.config.storage });
}

static CLIENT: Table<Draft> = Table::new(
    "overrides.ClientConfig",
    &[
        Key::text("backend", |draft, text| {
            draft.by_users.backend = (!text.is_empty()).then(|| Backend::parse(text)).transpose()?;
            Ok(())
        }),
        Key::section("local", &super::storage::LOCAL),
        Key::section("s3", &super::buckets::S3),
        Key::section("gcs", &super::buckets::GCS),
        Key::section("azure", &super::buckets::AZURE),
    ],
    &["confirm_versioning"],
);

/// The limits of all tenants, and those of a tenant's entry.
pub(in crate::config) static DEFAULTS: Table<Draft> = Table::new(
    "overrides.Overrides",
    &[
        Key::section("ingestion", &INGESTION),
        Key::section("read", &READ),
        Key::section("compaction", &COMPACTION),
        Key::section("metrics_generator", &super::generator::OVERRIDES),
        Key::section("global", &GLOBAL),
        Key::section("storage", &STORAGE),
        Key::not_yet("forwarders"),
        Key::section("cost_attribution", &COST_ATTRIBUTION),
    ],
    &[],
);

/// What an operator of such a limit has to know (spec/ingest.md §9.4).
const LOSES_SPANS: &str = "spans beyond it are not stored: they are counted in tempo_discarded_spans_total, OTLP senders are told in \
                           partial_success, and all others nothing";

static INGESTION: Table<Draft> = Table::new(
    "overrides.IngestionOverrides",
    &[
        Key::count("rate_limit_bytes", |draft, bytes| draft.config.ingestion.rate_limit_bytes = (bytes > 0).then_some(bytes)),
        Key::count("burst_size_bytes", |draft, bytes| draft.config.ingestion.burst_size_bytes = (bytes > 0).then_some(bytes)),
        Key::bool("retry_info_enabled", |draft, on| draft.config.ingestion.retry_info_enabled = on),
        Key::count("max_traces_per_user", |draft: &mut Draft, most| {
            draft.config.ingestion.max_traces_per_user = (most > 0).then_some(most)
        })
        .note(When::Set, LOSES_SPANS),
        Key::count("max_global_traces_per_user", |draft: &mut Draft, most| {
            draft.config.ingestion.max_global_traces_per_user = (most > 0).then_some(most);
        })
        .note(When::Set, LOSES_SPANS),
        Key::duration("artificial_delay", |draft, delay| draft.config.ingestion.artificial_delay = delay),
        // 0 is no wish of its own here: distributor.max_attribute_bytes holds.
        Key::count("max_attribute_bytes", |draft, bytes| {
            if bytes > 0 {
                draft.config.distributor.max_attribute_bytes = limit(bytes);
            }
        }),
    ],
    &["rate_strategy", "tenant_shard_size"],
);

static READ: Table<Draft> = Table::new(
    "overrides.ReadOverrides",
    &[
        // 0 is no wish of its own here: query_frontend.search.max_duration holds.
        Key::duration("max_search_duration", |draft, range| {
            if !range.is_zero() {
                draft.config.query.max_search_duration = Some(range);
            }
        }),
        Key::count("max_bytes_per_tag_values_query", |draft, bytes| {
            draft.config.query.max_bytes_per_tag_values = (bytes > 0).then_some(bytes);
        }),
        Key::not_yet("max_blocks_per_tag_values_query"),
        Key::count("max_condition_groups_per_tag_query", |draft, count| draft.config.query.max_condition_groups = limit(count)),
        // As above: query_frontend.metrics.max_duration holds.
        Key::duration("max_metrics_duration", |draft, range| {
            if !range.is_zero() {
                draft.config.query.max_metrics_duration = Some(range);
            }
        }),
        Key::bool("left_pad_trace_ids", |draft, on| draft.config.query.left_pad_trace_ids = on),
    ],
    &["engine_bytes_tracking", "metrics_spanonly_fetch", "span_pruning_awareness", "span_pruning_enabled", "unsafe_query_hints"],
);

static COMPACTION: Table<Draft> = Table::new(
    "overrides.CompactionOverrides",
    &[
        Key::duration("block_retention", |draft, retention| draft.override_retention = Some(retention)),
        Key::duration("compaction_window", |draft, window| draft.override_window = Some(window)),
        Key::bool("compaction_disabled", |draft, disabled| draft.config.compaction.enabled = !disabled),
    ],
    &[],
);

static GLOBAL: Table<Draft> = Table::new(
    "overrides.GlobalOverrides",
    &[Key::count("max_bytes_per_trace", |draft: &mut Draft, bytes| {
        draft.config.query.max_bytes_per_trace = (bytes > 0).then_some(bytes);
        draft.config.ingestion.max_bytes_per_trace = (bytes > 0).then_some(bytes);
    })
    .note(When::Set, LOSES_SPANS)],
    &[],
);

static STORAGE: Table<Draft> = Table::ignoring("overrides.StorageOverrides", &["parquet_dedicated_columns"]);

static COST_ATTRIBUTION: Table<Draft> = Table::new(
    "overrides.CostAttributionOverrides",
    &[
        Key::new("dimensions", Action::Custom(read_dimensions)),
        Key::count("max_cardinality", |draft, most| draft.config.distributor.max_cost_cardinality = limit(most)),
    ],
    &[],
);

/// A map of attributes to labels, which replaces what was there.
fn read_dimensions(draft: &mut Draft, node: &Node, report: &mut Report) {
    let mut dimensions = BTreeMap::new();
    label_map(&mut dimensions, node, report);
    draft.config.distributor.cost_dimensions = Arc::new(dimensions);
}
