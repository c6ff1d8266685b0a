//! The limits of tenants: from the configuration, and from the operator's file as often as that changes.

use super::user_overrides::Layers;
use crate::config::{Config, load_tenants};
use crate::overrides::{CostAttribution, Limits, Overrides};
use anyhow::Context;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// The limits at the start. What cannot be read is an error now, while later the limits stay as they were.
pub(super) async fn start(config: &Config) -> anyhow::Result<(Arc<Overrides>, Arc<Layers>)> {
    let overrides = Arc::new(Overrides::new(limits(config)));
    let kept = Arc::clone(&overrides);
    let sink = move |entries: BTreeMap<String, Config>| {
        kept.replace(entries.iter().map(|(name, config)| (name.clone(), limits(config))).collect())
    };
    let layers = Layers::new(config, Box::new(sink))?;
    if let Some(file) = &config.overrides.file {
        layers.set_entries(read(file, config).context("the limits of single tenants (overrides.per_tenant_override_config)")?);
    }
    layers.load_documents().await.context("the limits that tenants set (overrides.user_configurable_overrides)")?;
    Ok((overrides, layers))
}

/// Reads the file again and again until told to stop.
pub(super) async fn run(overrides: Arc<Overrides>, layers: Arc<Layers>, mut stop: watch::Receiver<()>) {
    let Some(file) = layers.base().overrides.file.clone() else { return };
    let period = layers.base().overrides.period.max(Duration::from_millis(10));
    loop {
        tokio::select! {
            _ = stop.changed() => return,
            () = tokio::time::sleep(period) => reload(&overrides, &file, &layers).await,
        }
    }
}

async fn reload(overrides: &Arc<Overrides>, file: &Path, layers: &Arc<Layers>) {
    let (file, read_by) = (PathBuf::from(file), Arc::clone(layers));
    let read = tokio::task::spawn_blocking(move || read(&file, read_by.base())).await;
    match read {
        Ok(Ok(entries)) => {
            if layers.set_entries(entries) {
                tracing::info!(tenants = overrides.entries().len(), "limits of tenants have changed");
            }
        }
        Ok(Err(error)) => {
            // The same file is read every few seconds; its error is told once.
            if overrides.last_reload_succeeded() {
                tracing::error!(%error, "the limits of tenants cannot be read; those that hold go on to hold");
            }
            overrides.keep();
        }
        Err(_) => overrides.keep(),
    }
}

fn read(file: &Path, config: &Config) -> anyhow::Result<BTreeMap<String, Config>> {
    Ok(load_tenants(file, config, &|name| std::env::var(name).ok())?)
}

fn limits(config: &Config) -> Limits {
    let Config { ingestion, query, retention, distributor, .. } = config;
    Limits {
        ingestion_rate_bytes: ingestion.rate_limit_bytes,
        ingestion_burst_bytes: ingestion.burst_size_bytes,
        retry_info_enabled: ingestion.retry_info_enabled,
        max_bytes_per_trace: query.max_bytes_per_trace,
        max_bytes_per_tag_values: query.max_bytes_per_tag_values,
        max_condition_groups: query.max_condition_groups,
        max_search_duration: query.max_search_duration,
        max_metrics_duration: query.max_metrics_duration,
        left_pad_trace_ids: query.left_pad_trace_ids,
        block_retention: retention.block_retention,
        cost_attribution: CostAttribution {
            dimensions: Arc::clone(&distributor.cost_dimensions),
            max_cardinality: distributor.max_cost_cardinality,
        },
    }
}
