//! `traces_spanmetrics_*`: requests, latencies and sizes by service, name, kind and status (spec/metrics-generator.md §2).
//!
//! Rows are first told apart by codes: resource and name, then kind and status, then each label that is asked for besides.
//! Each combination that a chunk has, its *group*, gets its labels and slots once.

use super::attributes::{self, ABSENT, KeyCodes, Pairs, Texts};
use super::filter::{accepts, kind_name, status_name};
use super::labels::{beside, sanitised};
use super::series::{MetricId, MetricKind, Registry, Slot, seconds};
use super::settings::{Settings, SpanMetricsSettings};
use super::span_names::SpanNames;
use super::{Batch, multiplier, sizes};
use crate::columns::resources::Origin;
use crate::columns::{Chunk, Value};
use std::sync::Arc;

const INTRINSIC: [&str; 5] = ["service", "span_name", "span_kind", "status_code", "status_message"];
const TARGET: [&str; 7] = ["service", "span_name", "span_kind", "status_code", "status_message", "job", "instance"];

/// The processor.
pub(super) struct SpanMetrics {
    settings: SpanMetricsSettings,
    calls: Option<MetricId>,
    latency: Option<MetricId>,
    size: Option<MetricId>,
    target_info: Option<MetricId>,
    names: Names,
    /// Span attributes that labels need, each once.
    keys: Vec<String>,
    span_names: SpanNames,
    num_renamed: u64,
}

/// Names of labels, made once.
struct Names {
    intrinsic: [Arc<str>; 5],
    job: Arc<str>,
    instance: Arc<str>,
    dimensions: Vec<Arc<str>>,
    mappings: Vec<Arc<str>>,
}

/// What is known of one chunk.
#[derive(Default)]
pub(super) struct SpanMetricsChunk {
    levels: Vec<Pairs>,
    texts: Texts,
    keys: Vec<KeyCodes>,
    groups: Vec<Option<Slots>>,
}

#[derive(Clone, Copy, Default)]
struct Slots {
    calls: Slot,
    latency: Slot,
    size: Slot,
    target_info: Option<Slot>,
    is_renamed: bool,
}

impl SpanMetrics {
    /// Adds its metrics.
    pub(super) fn new(settings: &Settings, registry: &mut Registry) -> Self {
        let (parts, span_names) = (settings.processors, SpanNames::new(settings.span_names));
        let settings = &settings.span_metrics;
        let mut add = |wanted: bool, name: &str, help, kind| wanted.then(|| registry.metric(name, help, kind));
        let latency = MetricKind::Histogram(settings.buckets.clone().into());
        let mut keys = settings.dimensions.clone();
        keys.extend(settings.mappings.iter().flat_map(|mapping| mapping.source_labels.iter().cloned()));
        keys.sort_unstable();
        keys.dedup();
        SpanMetrics {
            calls: add(parts.span_count, "traces_spanmetrics_calls_total", "Spans", MetricKind::Counter),
            latency: add(parts.span_latency, "traces_spanmetrics_latency", "Seconds that spans took", latency),
            size: add(parts.span_size, "traces_spanmetrics_size_total", "Bytes of spans", MetricKind::Counter),
            target_info: add(settings.target_info, "traces_target_info", "Resource attributes", MetricKind::Info),
            names: Names {
                intrinsic: INTRINSIC.map(Into::into),
                job: "job".into(),
                instance: "instance".into(),
                dimensions: settings.dimensions.iter().map(|key| beside(key, &INTRINSIC)).collect(),
                mappings: settings.mappings.iter().map(|mapping| sanitised(&mapping.name).into()).collect(),
            },
            keys,
            span_names,
            num_renamed: 0,
            settings: settings.clone(),
        }
    }

    /// Spans whose name has another template.
    pub(super) fn num_renamed(&self) -> u64 {
        self.num_renamed
    }

    /// Counts some rows; returns how many a filter left out.
    pub(super) fn process(&mut self, known: &mut SpanMetricsChunk, batch: &Batch<'_>, registry: &mut Registry) -> usize {
        let (chunk, now) = (batch.chunk, batch.now_millis);
        let groups = self.groups(known, batch);
        let sizes = if self.size.is_some() { sizes::of_spans(chunk, &batch.range) } else { Vec::new() };
        let (counts_once, takes_all) = (self.settings.multiplier.is_off(), self.settings.filters.is_empty());
        let mut num_filtered = 0;
        for (&row, &group) in batch.rows.iter().zip(&groups) {
            if !takes_all && !accepts(&self.settings.filters, chunk, row) {
                num_filtered += 1;
                continue;
            }
            if known.groups.len() <= group as usize {
                known.groups.resize(group as usize + 1, None);
            }
            let slots = match known.groups[group as usize] {
                Some(slots) => slots,
                None => *known.groups[group as usize].insert(self.slots(batch, row, registry)),
            };
            self.num_renamed += u64::from(slots.is_renamed);
            let times = if counts_once { 1.0 } else { multiplier::of_row(&self.settings.multiplier, chunk, row) };
            if let Some(calls) = self.calls {
                registry.count(calls, slots.calls, times, now);
            }
            if let Some(latency) = self.latency {
                registry.observe(latency, slots.latency, seconds(batch.seconds(row), batch.trace(row)), times, now);
            }
            if let Some(size) = self.size {
                registry.count(size, slots.size, f64::from(sizes[(row - batch.range.start) as usize]), now);
            }
            if let (Some(target_info), Some(slot)) = (self.target_info, slots.target_info) {
                registry.touch(target_info, slot, now);
            }
        }
        num_filtered
    }

    /// The group of each row.
    fn groups(&self, known: &mut SpanMetricsChunk, batch: &Batch<'_>) -> Vec<u32> {
        let SpanMetricsChunk { levels, texts, keys, .. } = known;
        levels.resize_with(3 + self.keys.len(), Pairs::default);
        keys.resize_with(self.keys.len(), KeyCodes::default);
        let chunk = batch.chunk;
        let [names, kinds, messages, attributes @ ..] = levels.as_mut_slice() else { return Vec::new() };
        let mut group = |row: &u32| {
            let at = *row as usize;
            let group = names.number(chunk.resource[at], chunk.name[at]);
            kinds.number(group, (chunk.kind[at] as u32) << 8 | (chunk.status[at] as u32 & 0xff))
        };
        let mut groups: Vec<u32> = batch.rows.iter().map(&mut group).collect();
        if self.settings.intrinsic.status_message {
            for (group, row) in groups.iter_mut().zip(batch.rows) {
                *group = messages.number(*group, chunk.status_message.codes.get(*row).map_or(ABSENT, |code| code + 1));
            }
        }
        let mut codes = Vec::new();
        for ((key, known), level) in self.keys.iter().zip(keys).zip(attributes) {
            codes.clear();
            codes.resize(batch.range.len(), ABSENT);
            known.visit(chunk, key, &batch.range, texts, |at, code| codes[at] = if codes[at] == ABSENT { code } else { codes[at] });
            for (group, row) in groups.iter_mut().zip(batch.rows) {
                *group = level.number(*group, codes[(row - batch.range.start) as usize]);
            }
        }
        groups
    }

    fn slots(&mut self, batch: &Batch<'_>, row: u32, registry: &mut Registry) -> Slots {
        let (chunk, at) = (batch.chunk, row as usize);
        let resource = &chunk.resources.entries()[chunk.resource[at] as usize];
        let target = if self.target_info.is_some() { self.target(resource) } else { [None, None] };
        let service = text(resource, "service.name");
        let (kind, status) = (kind_name(chunk.kind[at]), status_name(chunk.status[at]));
        let message = chunk.status_message.get(row).map(|message| String::from_utf8_lossy(message).into_owned());
        let (span_name, is_renamed) = self.span_names.of(chunk.names.text(chunk.name[at]));
        let intrinsic = &self.settings.intrinsic;
        let values = [
            (intrinsic.service, service.as_deref().unwrap_or_default()),
            (intrinsic.span_name, &*span_name),
            (intrinsic.span_kind, &kind),
            (intrinsic.status_code, &status),
            (intrinsic.status_message, message.as_deref().unwrap_or_default()),
        ];
        let own = self.names.intrinsic.iter().zip(values).filter(|(_, (on, _))| *on);
        let mut pairs: Vec<(Arc<str>, String)> = own.map(|(name, (_, value))| (Arc::clone(name), value.to_owned())).collect();
        let dimensions = self.names.dimensions.iter().zip(&self.settings.dimensions);
        pairs.extend(dimensions.map(|(name, key)| (Arc::clone(name), attribute(chunk, resource, key, row))));
        for (name, mapping) in self.names.mappings.iter().zip(&self.settings.mappings) {
            let values = mapping.source_labels.iter().map(|key| attribute(chunk, resource, key, row));
            let values: Vec<String> = values.filter(|value| !value.is_empty()).collect();
            pairs.push((Arc::clone(name), values.join(&mapping.join)));
        }
        pairs.extend(self.target_pairs(&target));
        let labels = registry.rules().set(pairs.iter().map(|(name, value)| (Arc::clone(name), value.as_str())));
        let labels = registry.limited(labels);
        let mut slot = |metric: Option<MetricId>| metric.map_or(0, |metric| registry.slot(metric, &labels, batch.now_millis));
        Slots {
            calls: slot(self.calls),
            latency: slot(self.latency),
            size: slot(self.size),
            target_info: self.target_info_slot(resource, &target, registry, batch.now_millis),
            is_renamed,
        }
    }

    /// `job` and `instance` (spec/metrics-generator.md §2.2).
    fn target(&self, resource: &Origin) -> [Option<String>; 2] {
        let service = text(resource, "service.name").filter(|name| !name.is_empty());
        let namespace = text(resource, "service.namespace").filter(|name| !name.is_empty());
        let job = service.map(|service| match namespace {
            Some(namespace) => format!("{namespace}/{service}"),
            None => service,
        });
        let instance = text(resource, "service.instance.id").filter(|id| self.settings.instance_label && !id.is_empty());
        [job, instance]
    }

    fn target_pairs(&self, [job, instance]: &[Option<String>; 2]) -> Vec<(Arc<str>, String)> {
        let pairs = [(&self.names.job, job), (&self.names.instance, instance)];
        pairs.into_iter().filter_map(|(name, value)| Some((Arc::clone(name), value.clone()?))).collect()
    }

    /// Target info is there if it says something of a target that has a name (spec/metrics-generator.md §2.4).
    fn target_info_slot(&self, resource: &Origin, target: &[Option<String>; 2], registry: &mut Registry, now: i64) -> Option<Slot> {
        let metric = self.target_info?;
        let is_left_out = |key: &str| {
            matches!(key, "service.name" | "service.namespace" | "service.instance.id" | "")
                || key.starts_with(|first: char| first.is_ascii_digit())
                || self.settings.target_info_excluded.iter().any(|excluded| excluded == key)
        };
        let kept = resource.attributes.iter().filter(|(key, _)| !is_left_out(key));
        let mut pairs: Vec<(Arc<str>, String)> = kept
            .map(|(key, value)| (beside(key, &TARGET), attributes::text_of_value(value)))
            .filter(|(_, value)| !value.is_empty())
            .collect();
        let of_target = self.target_pairs(target);
        if pairs.is_empty() || of_target.is_empty() {
            return None;
        }
        pairs.extend(of_target);
        let labels = registry.rules().set(pairs.iter().map(|(name, value)| (Arc::clone(name), value.as_str())));
        // These labels describe, so they are not bounded one by one.
        Some(registry.slot(metric, &Arc::new(labels), now))
    }
}

/// The text of a resource attribute.
pub(super) fn text(resource: &Origin, key: &str) -> Option<String> {
    resource.attribute(key).map(|value| match value {
        Value::Str(text) => text.to_string(),
        value => attributes::text_of_value(value),
    })
}

/// The text of an attribute, looked for in the resource first; empty if it is nowhere.
pub(super) fn attribute(chunk: &Chunk, resource: &Origin, key: &str, row: u32) -> String {
    let of_span = || attributes::of_span(chunk, key, row).map(|value| attributes::text_of(value.0));
    text(resource, key).or_else(of_span).unwrap_or_default()
}
