//! The limits of tenants: from the configuration, and from the operator's file as often as that changes.

use crate::config::{Config, load_tenants};
use crate::overrides::{Limits, LimitsByTenant, Overrides};
use anyhow::Context;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// The limits at the start. A file that cannot be read is an error now, while later the limits stay as they were.
pub(super) fn start(config: &Config) -> anyhow::Result<Arc<Overrides>> {
    let overrides = Overrides::new(limits(config));
    if let Some(file) = &config.overrides.file {
        overrides.replace(read(file, config).context("the limits of single tenants (overrides.per_tenant_override_config)")?);
    }
    Ok(Arc::new(overrides))
}

/// Reads the file again and again until told to stop.
pub(super) async fn run(overrides: Arc<Overrides>, config: Config, mut stop: watch::Receiver<()>) {
    let Some(file) = config.overrides.file.clone() else { return };
    let period = config.overrides.period.max(Duration::from_millis(10));
    let config = Arc::new(config);
    loop {
        tokio::select! {
            _ = stop.changed() => return,
            () = tokio::time::sleep(period) => reload(&overrides, &file, &config).await,
        }
    }
}

async fn reload(overrides: &Arc<Overrides>, file: &Path, config: &Arc<Config>) {
    let (file, read_by) = (PathBuf::from(file), Arc::clone(config));
    let read = tokio::task::spawn_blocking(move || read(&file, &read_by)).await;
    match read {
        Ok(Ok(entries)) => {
            if overrides.replace(entries) {
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

fn read(file: &Path, config: &Config) -> anyhow::Result<LimitsByTenant> {
    let tenants = load_tenants(file, config, &|name| std::env::var(name).ok())?;
    Ok(tenants.into_iter().map(|(name, config)| (name, limits(&config))).collect())
}

fn limits(config: &Config) -> Limits {
    let Config { ingestion, query, retention, .. } = config;
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
    }
}
