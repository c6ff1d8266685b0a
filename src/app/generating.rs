//! The generator: its start, its stop, and what it says of itself.

use super::adapters::InProcessFeed;
use crate::config::Config;
use crate::generator::remote_write::RemoteWriter;
use crate::generator::settings::TenantSettings;
use crate::generator::{Generator, Tenant};
use crate::ingester::Ingester;
use crate::telemetry::registry::{Behaviour, Reading};
use anyhow::Context;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

/// A generator of the spans that arrive from now on, with its queue beside the log unless the configuration has another place.
pub(super) fn generator(
    config: &Config,
    tenants: &Arc<TenantSettings>,
    ingester: &Arc<Ingester>,
    wal_dir: &Path,
) -> anyhow::Result<Arc<Generator>> {
    let settings = &config.generator;
    if makes_any(config) {
        ingester.watch();
    }
    let directory = settings.storage_path.clone().unwrap_or_else(|| wal_dir.join("generator"));
    let remote = RemoteWriter::open(settings, tenants, &directory).context("could not prepare remote write of generated metrics")?;
    Ok(Generator::new(settings.clone(), Arc::clone(tenants), Arc::new(InProcessFeed(Arc::clone(ingester))), remote))
}

/// Whether metrics are made of any spans, or may be as soon as a file with limits of single tenants, or a tenant, says so.
fn makes_any(config: &Config) -> bool {
    config.generator.defaults.processors.any() || config.overrides.file.is_some() || config.overrides.by_users.is_some()
}

/// What runs.
pub(super) struct Generating {
    thread: Option<JoinHandle<()>>,
}

/// Starts the thread that counts, and those that send.
pub(super) fn start(generator: &Arc<Generator>, config: &Config) -> anyhow::Result<Generating> {
    if let Some(remote) = generator.remote() {
        remote.start();
    }
    let thread = makes_any(config).then(|| generator.start()).transpose().context("could not start the generator")?;
    Ok(Generating { thread })
}

impl Generating {
    /// Counts what has come, sends what is counted, and ends.
    pub(super) async fn stop(self, generator: &Arc<Generator>) {
        generator.stop();
        if let Some(thread) = self.thread {
            let ended = tokio::task::spawn_blocking(move || thread.join().is_ok()).await;
            if !ended.unwrap_or(false) {
                tracing::error!("the thread that makes metrics of spans had ended before");
            }
        }
        if let Some(remote) = generator.remote() {
            remote.stop(generator.config().flush_deadline).await;
        }
    }
}

/// What the generator says of itself; Tempo's names where the meaning is the same (spec/metrics-generator.md §12).
pub(super) fn readings(generator: &Generator) -> Vec<Reading> {
    let tenants = generator.tenants();
    let mut values: Vec<Labelled> = vec![Vec::new(); METRICS.len() + 3];
    for (name, tenant) in &tenants {
        let tenant = tenant.lock();
        for (metric, values) in METRICS.iter().zip(&mut values) {
            values.push((vec![("tenant", name.to_string())], (metric.3)(&tenant)));
        }
        let discards = tenant.discards();
        let reasons = [
            ("outside_metrics_ingestion_slack", "", discards.outside_slack),
            ("span_metrics_filtered", "span-metrics", discards.span_metrics_filtered),
            ("service_graphs_filtered", "service-graphs", discards.service_graphs_filtered),
            ("generator_too_slow", "", discards.missed),
        ];
        for (reason, processor, num) in reasons {
            let labels = vec![("tenant", name.to_string()), ("reason", reason.to_string()), ("processor", processor.to_string())];
            values[METRICS.len()].push((labels, num as f64));
        }
        let graph = tenant.graph_counts();
        for (kind, num) in [("client", graph.expired_clients), ("server", graph.expired_servers)] {
            values[METRICS.len() + 1].push((vec![("tenant", name.to_string()), ("unmatched_span_kind", kind.to_string())], num as f64));
        }
        for (processor, is_on) in tenant.settings().processors.by_name() {
            let labels = vec![("tenant", name.to_string()), ("processor", processor.to_string())];
            values[METRICS.len() + 2].push((labels, f64::from(u8::from(is_on))));
        }
    }
    let more = [
        ("tempo_metrics_generator_spans_discarded", "Spans not counted", Behaviour::Counter),
        ("tempo_metrics_generator_processor_service_graphs_expired_edges", "Edges with one side", Behaviour::Counter),
        ("tempo_metrics_generator_active_processors", "1 for each processor that runs", Behaviour::Gauge),
    ];
    let described = METRICS.iter().map(|(name, help, behaviour, _)| (*name, *help, *behaviour)).chain(more);
    let mut readings: Vec<Reading> =
        described.zip(values).map(|((name, help, behaviour), values)| Reading { name, help, behaviour, values }).collect();
    readings.extend(generator.remote().map(remote_readings).unwrap_or_default());
    readings
}

/// Values of a metric, each with its labels.
type Labelled = Vec<(Vec<(&'static str, String)>, f64)>;

/// Name, help, behaviour, and where the value is.
type Metric = (&'static str, &'static str, Behaviour, fn(&Tenant) -> f64);

const METRICS: [Metric; 16] = [
    ("tempo_metrics_generator_spans_received", "Spans looked at", Behaviour::Counter, |tenant| tenant.num_received() as f64),
    ("tempo_metrics_generator_registry_active_series", "Series there are", Behaviour::Gauge, |tenant| {
        tenant.registry().counts().active_series as f64
    }),
    ("tempo_metrics_generator_registry_max_active_series", "Most series, 0 for no bound", Behaviour::Gauge, |tenant| {
        tenant.settings().max_active_series.unwrap_or(0) as f64
    }),
    ("tempo_metrics_generator_registry_active_entities", "Distinct label sets", Behaviour::Gauge, |tenant| {
        tenant.registry().counts().active_entities as f64
    }),
    ("tempo_metrics_generator_registry_series_added", "Series made", Behaviour::Counter, |tenant| tenant.registry().counts().added as f64),
    ("tempo_metrics_generator_registry_series_removed", "Series that became stale", Behaviour::Counter, |tenant| {
        tenant.registry().counts().removed as f64
    }),
    ("tempo_metrics_generator_registry_series_limited", "Label sets refused by the limit", Behaviour::Counter, |tenant| {
        tenant.registry().counts().limited as f64
    }),
    ("tempo_metrics_generator_registry_label_values_limited", "Label values over the limit of their label", Behaviour::Counter, |tenant| {
        tenant.registry().counts().values_limited as f64
    }),
    ("tempo_metrics_generator_registry_collections", "Collections", Behaviour::Counter, |tenant| tenant.num_collections() as f64),
    ("tempo_metrics_generator_processor_service_graphs_edges", "Edges that wait", Behaviour::Gauge, |tenant| {
        tenant.graph_counts().edges as f64
    }),
    ("tempo_metrics_generator_processor_service_graphs_dropped_spans", "Spans without room for their edge", Behaviour::Counter, |tenant| {
        tenant.graph_counts().dropped_spans as f64
    }),
    ("tempo_metrics_generator_processor_service_graphs_dropped_edges", "Edges with a side left out", Behaviour::Counter, |tenant| {
        tenant.graph_counts().dropped_edges as f64
    }),
    (
        "tempo_metrics_generator_processor_service_graphs_dropped_span_side_cache_overflow",
        "Sides left out by a filter, and not remembered for want of room",
        Behaviour::Counter,
        |tenant| tenant.graph_counts().marker_overflows as f64,
    ),
    ("tempo_metrics_generator_registry_spans_sanitized", "Spans whose name has a template", Behaviour::Counter, |tenant| {
        tenant.num_renamed() as f64
    }),
    ("tempo_metrics_generator_registry_max_active_entities", "Most label sets, 0 for no bound", Behaviour::Gauge, |tenant| {
        tenant.settings().max_active_entities.unwrap_or(0) as f64
    }),
    ("conmoto_generator_history_bytes", "Memory of the samples of the last hours", Behaviour::Gauge, |tenant| {
        tenant.history_bytes() as f64
    }),
];

fn remote_readings(remote: &RemoteWriter) -> Vec<Reading> {
    let mut readings = Vec::new();
    let counts = remote.counts();
    let mut add = |name, help, behaviour, value: fn(&crate::generator::remote_write::EndpointCounts) -> f64| {
        let values = counts.iter().map(|counts| (vec![("url", counts.url.clone())], value(counts))).collect();
        readings.push(Reading { name, help, behaviour, values });
    };
    add("prometheus_remote_storage_samples", "Samples put into the queue", Behaviour::Counter, |counts| counts.queued as f64);
    add("conmoto_remote_write_samples_sent", "Samples that a receiver took", Behaviour::Counter, |counts| counts.sent as f64);
    add("prometheus_remote_storage_samples_failed", "Samples that a receiver refused", Behaviour::Counter, |counts| counts.refused as f64);
    add("prometheus_remote_storage_samples_dropped", "Samples the queue had no room for", Behaviour::Counter, |counts| {
        counts.dropped as f64
    });
    add("prometheus_remote_storage_samples_retried", "Samples sent again", Behaviour::Counter, |counts| counts.retried as f64);
    add("conmoto_remote_write_queue_bytes", "Bytes that wait on disk", Behaviour::Gauge, |counts| counts.queue_bytes as f64);
    readings
}
