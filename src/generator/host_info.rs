//! `traces_host_info`: which hosts send spans (spec/metrics-generator.md §4).

use super::series::{MetricId, MetricKind, Registry, Slot};
use super::settings::HostInfoSettings;
use crate::columns::{Chunk, Value};
use std::collections::HashMap;
use std::sync::Arc;

/// The processor.
pub(super) struct HostInfo {
    identifiers: Vec<String>,
    metric: MetricId,
    names: [Arc<str>; 2],
}

/// What is known of the resources of one chunk.
#[derive(Default)]
pub(super) struct HostInfoChunk {
    slots: HashMap<u32, Option<Slot>>,
}

impl HostInfo {
    /// Adds its metric.
    pub(super) fn new(settings: &HostInfoSettings, registry: &mut Registry) -> Self {
        let metric = registry.metric(settings.metric_name.as_str(), "Hosts that send spans", MetricKind::Info);
        HostInfo { identifiers: settings.host_identifiers.clone(), metric, names: ["grafana_host_id".into(), "host_source".into()] }
    }

    /// Sees some rows.
    pub(super) fn process(&self, known: &mut HostInfoChunk, chunk: &Chunk, rows: &[u32], registry: &mut Registry, now_millis: i64) {
        let mut last = None;
        for row in rows {
            let resource = chunk.resource[*row as usize];
            if last == Some(resource) {
                continue;
            }
            last = Some(resource);
            let slot = *known.slots.entry(resource).or_insert_with(|| self.slot(chunk, resource, registry, now_millis));
            if let Some(slot) = slot {
                registry.touch(self.metric, slot, now_millis);
            }
        }
    }

    fn slot(&self, chunk: &Chunk, resource: u32, registry: &mut Registry, now_millis: i64) -> Option<Slot> {
        let resource = &chunk.resources.entries()[resource as usize];
        let (source, host) = self.identifiers.iter().find_map(|key| match resource.attribute(key) {
            Some(Value::Str(host)) if !host.is_empty() => Some((key.as_str(), &**host)),
            _ => None,
        })?;
        let [host_name, source_name] = &self.names;
        let labels = registry.rules().set([(Arc::clone(host_name), host), (Arc::clone(source_name), source)]);
        let labels = registry.limited(labels);
        Some(registry.slot(self.metric, &labels, now_millis))
    }
}
