//! The limits of tenants: from the configuration, and from the operator's file as often as that changes.

use super::user_overrides::Layers;
use crate::config::{Config, load_tenants};
use crate::generator::settings::TenantSettings;
use crate::overrides::{CostAttribution, Limits, Overrides, strictest};
use anyhow::Context;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// What holds for each tenant.
#[derive(Clone)]
pub(super) struct Tenants {
    pub limits: Arc<Overrides>,
    pub generator: Arc<TenantSettings>,
}

impl Tenants {
    /// Puts new entries in the place of all there are. True if that changes anything.
    fn replace(&self, entries: BTreeMap<String, Config>) -> bool {
        let limits = entries.iter().map(|(name, config)| (name.clone(), limits(config))).collect();
        let generator = entries.into_iter().map(|(name, config)| (name, config.generator.defaults)).collect();
        // Both, whatever the first says.
        self.limits.replace(limits) | self.generator.replace(generator)
    }
}

/// What holds at the start. What cannot be read is an error now, while later everything stays as it was.
pub(super) async fn start(config: &Config) -> anyhow::Result<(Tenants, Arc<Layers>)> {
    let generator = Arc::new(TenantSettings::new(config.generator.defaults.clone()));
    let tenants = Tenants { limits: Arc::new(Overrides::new(limits(config))), generator };
    let kept = tenants.clone();
    let layers = Layers::new(config, Box::new(move |entries| kept.replace(entries)))?;
    if let Some(file) = &config.overrides.file {
        layers.set_entries(read(file, config).context("the limits of single tenants (overrides.per_tenant_override_config)")?);
    }
    layers.load_documents().await.context("the limits that tenants set (overrides.user_configurable_overrides)")?;
    Ok((tenants, layers))
}

/// Reads the file again and again until told to stop.
pub(super) async fn run(tenants: Tenants, layers: Arc<Layers>, mut stop: watch::Receiver<()>) {
    let Some(file) = layers.base().overrides.file.clone() else { return };
    let period = layers.base().overrides.period.max(Duration::from_millis(10));
    loop {
        tokio::select! {
            _ = stop.changed() => return,
            () = tokio::time::sleep(period) => reload(&tenants, &file, &layers).await,
        }
    }
}

async fn reload(tenants: &Tenants, file: &Path, layers: &Arc<Layers>) {
    let (file, read_by) = (PathBuf::from(file), Arc::clone(layers));
    let read = tokio::task::spawn_blocking(move || read(&file, read_by.base())).await;
    match read {
        Ok(Ok(entries)) => {
            if layers.set_entries(entries) {
                tracing::info!(tenants = tenants.limits.entries().len(), "limits of tenants have changed");
            }
        }
        Ok(Err(error)) => {
            // The same file is read every few seconds; its error is told once.
            if tenants.limits.last_reload_succeeded() {
                tracing::error!(%error, "the limits of tenants cannot be read; those that hold go on to hold");
            }
            tenants.limits.keep();
        }
        Err(_) => tenants.limits.keep(),
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
        max_attribute_bytes: distributor.max_attribute_bytes,
        max_ingested_bytes_per_trace: ingestion.max_bytes_per_trace,
        max_live_traces: strictest(ingestion.max_traces_per_user, ingestion.max_global_traces_per_user),
        artificial_delay: ingestion.artificial_delay,
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
