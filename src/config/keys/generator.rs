//! `metrics_generator` ("spec/config.md §12"), and the keys of the same things under `overrides` (§11).
//!
//! The tables of the processors serve both: overrides come later in the file's table, and so win where they are set.

use std::path::PathBuf;
use std::time::Duration;

use super::generator_lists::{filter_policies, floats, label_map, mappings, remote_writes, texts};
use super::size;
use crate::config::draft::Draft;
use crate::config::schema::{Action, Key, Table, When};
use crate::generator::settings::{HistogramMode, Limiter, Settings, SpanNameMode};

const REMOVED: &str = "has no effect: TraceQL metrics need no processor";

/// Settings of all tenants, as a setter sees them.
fn of(draft: &mut Draft) -> &mut Settings {
    &mut draft.config.generator.defaults
}

/// Metrics made from spans.
pub(super) static GENERATOR: Table<Draft> = Table::new(
    "generator.Config",
    &[
        Key::section("storage", &STORAGE),
        Key::section("registry", &REGISTRY),
        Key::section("processor", &PROCESSOR),
        Key::duration("metrics_ingestion_time_range_slack", |draft, slack| of(draft).time_range_slack = slack),
        Key::text("limiter_type", |draft, text| {
            of(draft).limiter = match text {
                "" | "series" => Limiter::Series,
                "entity" => Limiter::Entity,
                _ => return Err(format!("{text} is none of series and entity")),
            };
            Ok(())
        }),
        Key::count("history_bytes", |draft, bytes| draft.config.generator.history_bytes = size(bytes)),
        Key::new("traces_storage", Action::Ignore).note(When::Set, REMOVED),
    ],
    &[
        "codec",
        "disable_grpc",
        "disable_local_blocks",
        "ingest_concurrency",
        "instance_id",
        "leave_consumer_group_on_shutdown",
        "override_ring_key",
        "query_timeout",
        "ring",
        "ring_mode",
        "skip_stale_backlog_on_startup",
        "traces_query_storage",
    ],
);

static STORAGE: Table<Draft> = Table::new(
    "storage.Config",
    &[
        Key::text("path", |draft, text| {
            draft.config.generator.storage_path = (!text.is_empty()).then(|| PathBuf::from(text));
            Ok(())
        }),
        Key::new(
            "remote_write",
            Action::Custom(|draft, node, report| remote_writes(&mut draft.config.generator.remote_write, node, report)),
        ),
        Key::bool("remote_write_add_org_id_header", |draft, on| draft.config.generator.add_org_id_header = on),
        Key::duration("remote_write_flush_deadline", |draft, deadline| draft.config.generator.flush_deadline = deadline),
    ],
    &["wal"],
);

static REGISTRY: Table<Draft> = Table::new(
    "registry.Config",
    &[
        Key::duration("collection_interval", set_interval),
        Key::duration("stale_duration", |draft, duration| of(draft).stale_duration = duration),
        Key::new("external_labels", Action::Custom(|draft, node, report| label_map(&mut of(draft).external_labels, node, report))),
        Key::text("inject_tenant_id_as", |draft, text| {
            of(draft).inject_tenant_id_as = text.to_owned();
            Ok(())
        }),
        Key::count("max_label_name_length", |draft, bytes| of(draft).max_label_name_length = size(bytes)),
        Key::count("max_label_value_length", |draft, bytes| of(draft).max_label_value_length = size(bytes)),
    ],
    &[],
);

/// 0 is no wish of its own.
fn set_interval(draft: &mut Draft, interval: Duration) {
    if !interval.is_zero() {
        of(draft).collection_interval = interval;
    }
}

static PROCESSOR: Table<Draft> = Table::new(
    "generator.ProcessorConfig",
    &[Key::section("service_graphs", &SERVICE_GRAPHS), Key::section("span_metrics", &SPAN_METRICS), Key::section("host_info", &HOST_INFO)],
    &["local_blocks"],
);

static SERVICE_GRAPHS: Table<Draft> = Table::new(
    "servicegraphs.Config",
    &[
        Key::duration("wait", |draft, wait| of(draft).service_graphs.wait = wait),
        Key::count("max_items", |draft, most| of(draft).service_graphs.max_items = size(most)),
        Key::new("histogram_buckets", Action::Custom(|draft, node, report| floats(&mut of(draft).service_graphs.buckets, node, report))),
        Key::new("dimensions", Action::Custom(|draft, node, report| texts(&mut of(draft).service_graphs.dimensions, node, report))),
        Key::bool("enable_client_server_prefix", |draft, on| of(draft).service_graphs.client_server_prefix = on),
        Key::bool("enable_messaging_system_latency_histogram", |draft, on| of(draft).service_graphs.messaging_latency = on),
        Key::bool("enable_virtual_node_label", |draft, on| of(draft).service_graphs.virtual_node_label = on),
        Key::new(
            "peer_attributes",
            Action::Custom(|draft, node, report| texts(&mut of(draft).service_graphs.peer_attributes, node, report)),
        ),
        Key::new(
            "database_name_attributes",
            Action::Custom(|draft, node, report| texts(&mut of(draft).service_graphs.database_attributes, node, report)),
        ),
        Key::text("span_multiplier_key", |draft, text| {
            of(draft).service_graphs.multiplier.key = text.to_owned();
            Ok(())
        }),
        Key::bool("enable_tracestate_span_multiplier", |draft, on| of(draft).service_graphs.multiplier.from_trace_state = on),
        Key::new(
            "filter_policies",
            Action::Custom(|draft, node, report| filter_policies(&mut of(draft).service_graphs.filters, node, report)),
        ),
        // Early 1.4 files name the codes that do not count as failures; a span's own status is looked at here.
        Key::not_yet("success_codes"),
    ],
    &["histogram_override", "workers"],
);

static SPAN_METRICS: Table<Draft> = Table::new(
    "spanmetrics.Config",
    &[
        Key::new("histogram_buckets", Action::Custom(|draft, node, report| floats(&mut of(draft).span_metrics.buckets, node, report))),
        Key::section("intrinsic_dimensions", &INTRINSIC),
        Key::new("dimensions", Action::Custom(|draft, node, report| texts(&mut of(draft).span_metrics.dimensions, node, report))),
        Key::new("dimension_mappings", Action::Custom(|draft, node, report| mappings(&mut of(draft).span_metrics.mappings, node, report))),
        Key::bool("enable_target_info", |draft, on| of(draft).span_metrics.target_info = on),
        Key::new(
            "target_info_excluded_dimensions",
            Action::Custom(|draft, node, report| texts(&mut of(draft).span_metrics.target_info_excluded, node, report)),
        ),
        Key::bool("enable_instance_label", |draft, on| of(draft).span_metrics.instance_label = on),
        Key::text("span_multiplier_key", |draft, text| {
            of(draft).span_metrics.multiplier.key = text.to_owned();
            Ok(())
        }),
        Key::bool("enable_tracestate_span_multiplier", |draft, on| of(draft).span_metrics.multiplier.from_trace_state = on),
        Key::new(
            "filter_policies",
            Action::Custom(|draft, node, report| filter_policies(&mut of(draft).span_metrics.filters, node, report)),
        ),
        Key::not_yet("subprocessors"),
    ],
    &["histogram_override"],
);

static INTRINSIC: Table<Draft> = Table::new(
    "spanmetrics.IntrinsicDimensions",
    &[
        Key::bool("service", |draft, on| of(draft).span_metrics.intrinsic.service = on),
        Key::bool("span_name", |draft, on| of(draft).span_metrics.intrinsic.span_name = on),
        Key::bool("span_kind", |draft, on| of(draft).span_metrics.intrinsic.span_kind = on),
        Key::bool("status_code", |draft, on| of(draft).span_metrics.intrinsic.status_code = on),
        Key::bool("status_message", |draft, on| of(draft).span_metrics.intrinsic.status_message = on),
    ],
    &[],
);

static HOST_INFO: Table<Draft> = Table::new(
    "hostinfo.Config",
    &[
        Key::new("host_identifiers", Action::Custom(|draft, node, report| texts(&mut of(draft).host_info.host_identifiers, node, report))),
        Key::text("metric_name", |draft, text| {
            if !text.is_empty() {
                of(draft).host_info.metric_name = text.to_owned();
            }
            Ok(())
        }),
    ],
    &[],
);

/// `overrides.defaults.metrics_generator` ("spec/metrics-generator.md §10").
pub(super) static OVERRIDES: Table<Draft> = Table::new(
    "overrides.MetricsGeneratorOverrides",
    &[
        Key::new("processors", Action::Custom(super::generator_lists::processors)),
        Key::section("processor", &PROCESSOR),
        Key::duration("collection_interval", set_interval),
        Key::bool("disable_collection", |draft, off| of(draft).disable_collection = off),
        Key::count("max_active_series", |draft, most| of(draft).max_active_series = super::limit(most)),
        Key::count("max_active_entities", |draft, most| of(draft).max_active_entities = super::limit(most)),
        Key::count("max_cardinality_per_label", |draft, most| of(draft).max_cardinality_per_label = super::limit(most)),
        Key::text("generate_native_histograms", |draft, text| {
            of(draft).histograms = match text {
                "" | "classic" => HistogramMode::Classic,
                "native" => HistogramMode::Native,
                "both" => HistogramMode::Both,
                _ => return Err(format!("{text} is none of classic, native and both")),
            };
            Ok(())
        }),
        Key::float("native_histogram_bucket_factor", |draft, factor| {
            if factor != 0.0 {
                of(draft).native.bucket_factor = factor;
            }
            Ok(())
        }),
        Key::count("native_histogram_max_bucket_number", |draft, most| of(draft).native.max_buckets = size(most)),
        Key::duration("native_histogram_min_reset_duration", |draft, duration| of(draft).native.min_reset = duration),
        Key::text("trace_id_label_name", |draft, text| {
            if !text.is_empty() {
                of(draft).trace_id_label = text.to_owned();
            }
            Ok(())
        }),
        Key::duration("ingestion_time_range_slack", |draft, slack| {
            if !slack.is_zero() {
                of(draft).time_range_slack = slack;
            }
        }),
        Key::new(
            "remote_write_headers",
            Action::Custom(|draft, node, report| label_map(&mut of(draft).remote_write_headers.0, node, report)),
        ),
        Key::text("span_name_sanitization", |draft, text| {
            of(draft).span_names = match text {
                "" => SpanNameMode::AsItIs,
                "dry_run" => SpanNameMode::DryRun,
                "enabled" => SpanNameMode::Sanitised,
                _ => return Err(format!("{text} is none of enabled and dry_run")),
            };
            Ok(())
        }),
    ],
    &["forwarder", "ring_size"],
);
