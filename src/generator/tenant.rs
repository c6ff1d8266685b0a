//! One tenant: its processors, its series, its history.

use super::Batch;
use super::feed::NewRows;
use super::history::{Log, Timeline};
use super::labels::LabelSet;
use super::running::{KnownChunk, Running};
use super::series::{MetricKind, Registry, Series, SeriesValue};
use super::service_graph::GraphCounts;
use super::settings::Settings;
use crate::columns::Chunk;
use crate::model::{TenantId, UnixNanos};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// Chunks of which something is known. There are no more that grow; others were left out before they were seen whole.
const MAX_CHUNKS: usize = 64;

/// Time between two lines in the log about the same loss.
const TOLD_EVERY_MILLIS: i64 = 60_000;

/// Spans that were not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Discards {
    /// They ended too long ago, or will.
    pub outside_slack: u64,
    /// A filter of span metrics.
    pub span_metrics_filtered: u64,
    /// A filter of service graphs.
    pub service_graphs_filtered: u64,
    /// The generator did not come for them in time.
    pub missed: u64,
}

/// A series that is no longer counted into.
pub(super) struct Retired {
    pub(super) metric: Arc<str>,
    pub(super) kind: MetricKind,
    pub(super) labels: Arc<LabelSet>,
    pub(super) log: Log,
}

/// What is made of the spans of one tenant.
pub struct Tenant {
    name: TenantId,
    settings: Arc<Settings>,
    registry: Registry,
    running: Running,
    chunks: BTreeMap<u64, KnownChunk>,
    timeline: Timeline,
    retired: Vec<Retired>,
    collected_millis: Option<i64>,
    num_received: u64,
    num_collections: u64,
    discards: Discards,
    told: Told,
    rows: Vec<u32>,
}

/// What the log was told of, so that it is not told all the time.
#[derive(Default)]
struct Told {
    limited: u64,
    missed: u64,
    dropped_spans: u64,
    next_millis: i64,
}

impl Tenant {
    /// One that has seen nothing yet.
    pub fn new(name: TenantId, settings: impl Into<Arc<Settings>>) -> Self {
        let settings = settings.into();
        let mut registry = Registry::new(&settings);
        Tenant {
            running: Running::new(&settings, &mut registry),
            name,
            settings,
            registry,
            chunks: BTreeMap::new(),
            timeline: Timeline::default(),
            retired: Vec::new(),
            collected_millis: None,
            num_received: 0,
            num_collections: 0,
            discards: Discards::default(),
            told: Told::default(),
            rows: Vec::new(),
        }
    }

    /// Goes on with other settings. Series that these do not concern are counted on.
    pub fn reconfigure(&mut self, settings: &Arc<Settings>) {
        if Arc::ptr_eq(settings, &self.settings) || **settings == *self.settings {
            return;
        }
        let before = std::mem::replace(&mut self.settings, Arc::clone(settings));
        let next_tick = self.next_tick();
        let retired = &mut self.retired;
        self.registry.reconfigure(settings, |metric, kind, series| retire(retired, next_tick, (metric, kind, series)));
        self.running.change(&before, settings, &mut self.registry);
        // Samples of a histogram with other buckets cannot be read beside those of its successor.
        let registry = &self.registry;
        retired.retain(|retired| registry.kind_of(&retired.metric).is_none_or(|kind| *kind == retired.kind));
        tracing::info!(tenant = %self.name, "metrics from spans are made by other settings from now on");
    }

    /// Counts new spans.
    pub fn consume(&mut self, new: NewRows<'_>, now: UnixNanos) {
        let NewRows { chunk, serial, rows, is_last } = new;
        if !rows.is_empty() && self.settings.processors.any() {
            let mut known = self.chunks.remove(&serial).unwrap_or_default();
            if known.epoch != self.registry.epoch() {
                // Slots that were looked up may be those of other series now.
                known = KnownChunk::in_epoch(self.registry.epoch());
            }
            self.count(&mut known, chunk, rows, now);
            self.chunks.insert(serial, known);
        }
        if is_last {
            self.chunks.remove(&serial);
        }
        while self.chunks.len() > MAX_CHUNKS {
            self.chunks.pop_first();
        }
    }

    fn count(&mut self, known: &mut KnownChunk, chunk: &Chunk, range: Range<u32>, now: UnixNanos) {
        let now_millis = millis(now);
        let slack = u64::try_from(self.settings.time_range_slack.as_nanos()).unwrap_or(u64::MAX);
        let ends = now.0.saturating_sub(slack)..=now.0.saturating_add(slack);
        let mut rows = std::mem::take(&mut self.rows);
        rows.clear();
        rows.extend(range.clone().filter(|row| ends.contains(&chunk.end(*row))));
        self.num_received += range.len() as u64;
        self.discards.outside_slack += (range.len() - rows.len()) as u64;
        // Late spans are most of what a load test sends; nothing is looked up for those outside the range.
        if let (Some(first), Some(last)) = (rows.first(), rows.last()) {
            let batch = Batch { chunk, range: *first..last + 1, rows: &rows, now_millis };
            self.running.process(known, &batch, &mut self.registry, &mut self.discards);
        }
        self.rows = rows;
    }

    /// Notes how many spans were left out before they got here, in all.
    pub(super) fn note_missed(&mut self, num_missed: u64) {
        self.discards.missed = num_missed;
    }

    /// Whether the next collection is due.
    pub(super) fn is_due(&self, now: UnixNanos) -> bool {
        let interval = i64::try_from(self.settings.collection_interval.as_millis()).unwrap_or(i64::MAX);
        self.collected_millis.is_none_or(|last| millis(now).saturating_sub(last) >= interval)
    }

    /// Ends the wait of edges, removes stale series, and adds a sample of each other one to the history, of which at most
    /// `history_bytes` are kept.
    pub fn collect(&mut self, now: UnixNanos, history_bytes: usize) {
        let now_millis = millis(now);
        self.collected_millis = Some(now_millis);
        self.num_collections += 1;
        self.running.expire(&mut self.registry, now_millis);
        self.sweep(now_millis);
        if !self.settings.disable_collection {
            self.record(now_millis);
            self.bound_history(history_bytes);
        }
        self.tell_losses(now_millis);
    }

    fn sweep(&mut self, now_millis: i64) {
        let stale = i64::try_from(self.settings.stale_duration.as_millis()).unwrap_or(i64::MAX);
        let next_tick = self.next_tick();
        let retired = &mut self.retired;
        self.registry.sweep(now_millis.saturating_sub(stale), |metric, kind, series| retire(retired, next_tick, (metric, kind, series)));
    }

    fn next_tick(&self) -> u64 {
        self.timeline.last().map_or(0, |last| last + 1)
    }

    fn record(&mut self, now_millis: i64) {
        let tick = self.timeline.push(now_millis);
        let mut values = Vec::new();
        for (_, kind, series) in self.registry.series_mut() {
            if series.is_new && series.log.is_empty() {
                series.log.zero = (*kind != MetricKind::Info).then_some((first_zero(now_millis), tick));
            }
            values.clear();
            let sum_at = match &series.value {
                SeriesValue::Number(value) => {
                    values.push(*value);
                    None
                }
                SeriesValue::Histogram(histogram) => {
                    values.extend_from_slice(histogram.counts());
                    values.push(histogram.sum());
                    Some(values.len() - 1)
                }
            };
            series.log.record(tick, &values, sum_at);
        }
    }

    fn bound_history(&mut self, max_bytes: usize) {
        let mut is_over = self.timeline.is_full() || self.history_bytes() > max_bytes;
        while is_over && self.timeline.drop_oldest() {
            let first = self.timeline.first();
            self.registry.series_mut().for_each(|(_, _, series)| series.log.trim(first));
            self.retired.iter_mut().for_each(|retired| retired.log.trim(first));
            self.retired.retain(|retired| !retired.log.is_empty());
            is_over = self.timeline.is_full() || self.history_bytes() > max_bytes;
        }
    }

    /// Memory of the history.
    pub fn history_bytes(&self) -> usize {
        let active: usize = self.registry.metrics().iter().flat_map(|metric| metric.series()).map(|series| series.log.memory()).sum();
        let retired: usize = self.retired.iter().map(|retired| retired.log.memory() + retired.labels.memory()).sum();
        active + retired
    }

    fn tell_losses(&mut self, now_millis: i64) {
        let (limited, missed, dropped) = (self.registry.counts().limited, self.discards.missed, self.graph_counts().dropped_spans);
        let told = &mut self.told;
        if now_millis < told.next_millis || (limited, missed, dropped) == (told.limited, told.missed, told.dropped_spans) {
            return;
        }
        tracing::warn!(
            tenant = %self.name,
            series_refused = limited - told.limited,
            active_series = self.registry.counts().active_series,
            spans_left_out = missed - told.missed,
            edges_without_room = dropped - told.dropped_spans,
            "metrics from spans are not complete: raise max_active_series or max_items, or make fewer labels"
        );
        *told = Told { limited, missed, dropped_spans: dropped, next_millis: now_millis + TOLD_EVERY_MILLIS };
    }

    /// Ends a collection, after its samples were sent.
    pub(super) fn end_collection(&mut self) {
        let now = self.collected_millis.unwrap_or_default();
        for (_, _, series) in self.registry.series_mut() {
            series.is_new = false;
            if let SeriesValue::Histogram(histogram) = &mut series.value {
                histogram.forget_exemplars();
                if let Some(native) = histogram.native_mut() {
                    native.reset_if_coarse(now);
                }
            }
        }
    }

    /// The series.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The series that are no longer counted into, and the times of all samples.
    pub(super) fn past(&self) -> (&[Retired], &Timeline) {
        (&self.retired, &self.timeline)
    }

    /// Settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Spans that were looked at.
    pub fn num_received(&self) -> u64 {
        self.num_received
    }

    /// Collections so far.
    pub fn num_collections(&self) -> u64 {
        self.num_collections
    }

    /// Spans that were not counted.
    pub fn discards(&self) -> Discards {
        self.discards
    }

    /// Spans whose name was, or would have been, replaced by a template.
    pub fn num_renamed(&self) -> u64 {
        self.running.num_renamed()
    }

    /// What service graphs count of themselves.
    pub fn graph_counts(&self) -> GraphCounts {
        self.running.graph_counts()
    }

    /// Labels that every series gets besides its own (spec/metrics-generator.md §8).
    pub(super) fn external_labels(&self) -> Vec<(String, String)> {
        let mut labels = self.settings.external_labels.clone();
        if !self.settings.inject_tenant_id_as.is_empty() {
            labels.insert(self.settings.inject_tenant_id_as.clone(), self.name.to_string());
        }
        labels.into_iter().collect()
    }
}

/// Keeps the samples of a series that is no longer counted into.
fn retire(retired: &mut Vec<Retired>, next_tick: u64, (metric, kind, mut series): (&Arc<str>, &MetricKind, Series)) {
    series.log.ended = Some(next_tick);
    if !series.log.is_empty() {
        retired.push(Retired { metric: Arc::clone(metric), kind: kind.clone(), labels: series.labels, log: series.log });
    }
}

/// Name, type and meaning of each metric of a tenant.
pub fn series_metadata(tenant: &Tenant) -> Vec<(String, &'static str, &'static str)> {
    let kind = |kind: &MetricKind| match kind {
        MetricKind::Counter => "counter",
        MetricKind::Info => "gauge",
        MetricKind::Histogram(_) => "histogram",
    };
    tenant.registry.metrics().iter().map(|metric| (metric.name.to_string(), kind(&metric.kind), metric.help)).collect()
}

/// Unix milliseconds.
fn millis(moment: UnixNanos) -> i64 {
    i64::try_from(moment.0 / 1_000_000).unwrap_or(i64::MAX)
}

/// When a new series counted as 0: one second before the end of the minute before (spec/metrics-generator.md §8).
pub(super) fn first_zero(now_millis: i64) -> i64 {
    now_millis - now_millis.rem_euclid(60_000) - 1000
}
