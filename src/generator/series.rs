//! The series of one tenant: their values, their limit, their end (spec/metrics-generator.md §8).
//!
//! A series is a slot of its metric. Processors look a slot up once per chunk and label set, then count into it. A slot is
//! good as long as [`Registry::epoch`] stays the same: it changes when stale series are removed.

use super::histogram::{Exemplar, Histogram};
use super::history::Log;
use super::labels::{CARDINALITY_OVERFLOW, LabelRules, LabelSet};
use super::settings::{Limiter, NativeSettings, Settings};
use crate::model::TraceId;
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// What a metric counts.
#[derive(Clone, Debug, PartialEq)]
pub enum MetricKind {
    /// Only grows.
    Counter,
    /// Is 1 as long as there are spans.
    Info,
    /// Seconds, with these upper bounds of buckets.
    Histogram(Arc<[f64]>),
}

impl MetricKind {
    /// Series that Prometheus has for one label set.
    fn num_series(&self) -> usize {
        match self {
            MetricKind::Counter | MetricKind::Info => 1,
            MetricKind::Histogram(bounds) => Histogram::num_series(bounds),
        }
    }
}

/// The value of a series.
#[derive(Clone, Debug)]
pub enum SeriesValue {
    /// Of a counter or info.
    Number(f64),
    /// Of a histogram.
    Histogram(Box<Histogram>),
}

/// One label set of a metric.
#[derive(Clone, Debug)]
pub struct Series {
    /// What it is of.
    pub labels: Arc<LabelSet>,
    /// Its value now.
    pub value: SeriesValue,
    /// Its values before.
    pub(super) log: Log,
    /// When it was last counted into, Unix milliseconds.
    updated_millis: i64,
    /// Whether it was never collected.
    pub(super) is_new: bool,
}

/// A metric with its series.
pub struct Metric {
    /// Its name; that of a histogram has no suffix.
    pub name: Arc<str>,
    /// What it means, in words.
    pub help: &'static str,
    /// What it counts.
    pub kind: MetricKind,
    by_labels: HashTable<u32>,
    slots: Vec<Option<Series>>,
    free: Vec<u32>,
    overflow: Option<u32>,
}

impl Metric {
    /// All series, in order of their making.
    pub fn series(&self) -> impl Iterator<Item = &Series> {
        self.slots.iter().flatten()
    }

    fn find(&self, hash: u64, labels: &LabelSet) -> Option<u32> {
        let is_it = |slot: &u32| self.slots[*slot as usize].as_ref().is_some_and(|series| *series.labels == *labels);
        self.by_labels.find(hash, is_it).copied()
    }
}

/// Names a metric of a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MetricId(usize);

/// Names a series of a metric.
pub(super) type Slot = u32;

/// What a registry counts of itself; the names are those of Tempo's metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RegistryCounts {
    /// Series there are.
    pub active_series: usize,
    /// Distinct label sets there are.
    pub active_entities: usize,
    /// Series that were made.
    pub added: u64,
    /// Series that became stale.
    pub removed: u64,
    /// Refusals of a label set that was over the limit.
    pub limited: u64,
    /// Label values that were over the limit of their label.
    pub values_limited: u64,
}

/// The series of one tenant.
pub struct Registry {
    metrics: Vec<Metric>,
    rules: LabelRules,
    limits: Limits,
    native: Option<NativeSettings>,
    entities: HashMap<u64, u32, RandomState>,
    /// Hashes of the values of each label.
    values: HashMap<Arc<str>, HashSet<u64, RandomState>>,
    epoch: u64,
    counts: RegistryCounts,
}

struct Limits {
    max_series: Option<usize>,
    max_entities: Option<usize>,
    max_values: Option<usize>,
}

impl Limits {
    fn of(settings: &Settings) -> Self {
        let by_series = settings.limiter == Limiter::Series;
        Limits {
            max_series: settings.max_active_series.filter(|_| by_series),
            max_entities: settings.max_active_entities.filter(|_| !by_series),
            max_values: settings.max_cardinality_per_label,
        }
    }
}

impl Registry {
    /// One without series.
    pub(super) fn new(settings: &Settings) -> Self {
        Registry {
            metrics: Vec::new(),
            rules: LabelRules::new(settings),
            limits: Limits::of(settings),
            native: native_of(settings),
            entities: HashMap::default(),
            values: HashMap::new(),
            epoch: 0,
            counts: RegistryCounts::default(),
        }
    }

    /// Goes on by other rules and limits. Histograms end, and are handed to `retire`, where their native form is to be another.
    pub(super) fn reconfigure(&mut self, settings: &Settings, mut retire: impl FnMut(&Arc<str>, &MetricKind, Series)) {
        (self.rules, self.limits) = (LabelRules::new(settings), Limits::of(settings));
        let native = native_of(settings);
        if native != self.native {
            self.native = native;
            let is_histogram = |metric: &Metric| matches!(metric.kind, MetricKind::Histogram(_));
            (0..self.metrics.len()).filter(|at| is_histogram(&self.metrics[*at])).collect::<Vec<_>>().into_iter().for_each(|at| {
                self.remove(at, |_| true, &mut retire);
            });
        }
        self.settle_removals();
    }

    /// What a metric counts, if there is such a metric.
    pub(super) fn kind_of(&self, name: &str) -> Option<&MetricKind> {
        self.metrics.iter().find(|metric| &*metric.name == name).map(|metric| &metric.kind)
    }

    /// A metric: the one of that name that there is, with its series if these are of the same kind, else one without series.
    pub(super) fn metric(&mut self, name: impl Into<Arc<str>>, help: &'static str, kind: MetricKind) -> MetricId {
        let name = name.into();
        if let Some(at) = self.metrics.iter().position(|metric| metric.name == name) {
            if self.metrics[at].kind != kind {
                self.remove(at, |_| true, &mut |_, _, _| ());
                self.metrics[at].kind = kind;
                self.settle_removals();
            }
            return MetricId(at);
        }
        let (by_labels, slots, free) = (HashTable::new(), Vec::new(), Vec::new());
        self.metrics.push(Metric { name, help, kind, by_labels, slots, free, overflow: None });
        MetricId(self.metrics.len() - 1)
    }

    /// How label sets are made.
    pub(super) fn rules(&self) -> &LabelRules {
        &self.rules
    }

    /// All metrics.
    pub fn metrics(&self) -> &[Metric] {
        &self.metrics
    }

    /// All metrics, for a collection.
    pub(super) fn series_mut(&mut self) -> impl Iterator<Item = (&Arc<str>, &MetricKind, &mut Series)> {
        self.metrics.iter_mut().flat_map(|metric| {
            let Metric { name, kind, slots, .. } = metric;
            let (name, kind): (&Arc<str>, &MetricKind) = (name, kind);
            slots.iter_mut().flatten().map(move |series| (name, kind, series))
        })
    }

    /// Changes when slots become invalid.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// What there is, and what there was.
    pub fn counts(&self) -> RegistryCounts {
        RegistryCounts { active_entities: self.entities.len(), ..self.counts }
    }

    /// Labels as they will be counted: values of which their label has too many are replaced.
    pub(super) fn limited(&mut self, labels: LabelSet) -> Arc<LabelSet> {
        let Some(max) = self.limits.max_values else { return Arc::new(labels) };
        let mut over = Vec::new();
        for (name, value) in labels.iter() {
            let values = self.values.entry(name.into()).or_default();
            let hash = hash_of(value);
            if !values.contains(&hash) {
                if values.len() < max {
                    values.insert(hash);
                } else {
                    over.push(name.to_owned());
                }
            }
        }
        if over.is_empty() {
            return Arc::new(labels);
        }
        self.counts.values_limited += over.len() as u64;
        Arc::new(LabelRules::with_values(&labels, |name, _| over.iter().any(|one| one == name).then_some(CARDINALITY_OVERFLOW)))
    }

    /// The series with these labels; if it is new and over the limit, the one that stands for all such.
    pub(super) fn slot(&mut self, metric: MetricId, labels: &Arc<LabelSet>, now_millis: i64) -> Slot {
        let hash = labels.hash();
        if let Some(slot) = self.metrics[metric.0].find(hash, labels) {
            return slot;
        }
        if self.is_full(metric, hash) {
            self.counts.limited += 1;
            return self.overflow(metric, now_millis);
        }
        self.add(metric, hash, Arc::clone(labels), now_millis)
    }

    fn is_full(&self, metric: MetricId, hash: u64) -> bool {
        let needed = self.metrics[metric.0].kind.num_series();
        let over_series = self.limits.max_series.is_some_and(|max| self.counts.active_series + needed > max);
        let over_entities = self.limits.max_entities.is_some_and(|max| self.entities.len() >= max && !self.entities.contains_key(&hash));
        over_series || over_entities
    }

    fn overflow(&mut self, metric: MetricId, now_millis: i64) -> Slot {
        if let Some(slot) = self.metrics[metric.0].overflow {
            return slot;
        }
        let labels = Arc::new(self.rules.overflow());
        let slot = self.add(metric, labels.hash(), labels, now_millis);
        self.metrics[metric.0].overflow = Some(slot);
        slot
    }

    fn add(&mut self, metric: MetricId, hash: u64, labels: Arc<LabelSet>, now_millis: i64) -> Slot {
        *self.entities.entry(hash).or_default() += 1;
        let metric = &mut self.metrics[metric.0];
        let value = match &metric.kind {
            MetricKind::Counter => SeriesValue::Number(0.0),
            MetricKind::Info => SeriesValue::Number(1.0),
            MetricKind::Histogram(bounds) => SeriesValue::Histogram(Box::new(Histogram::new(Arc::clone(bounds), self.native.as_ref()))),
        };
        let series = Series { labels, value, log: Log::default(), updated_millis: now_millis, is_new: true };
        let slot = match metric.free.pop() {
            Some(slot) => {
                metric.slots[slot as usize] = Some(series);
                slot
            }
            None => {
                metric.slots.push(Some(series));
                metric.slots.len() as u32 - 1
            }
        };
        let slots = &metric.slots;
        metric.by_labels.insert_unique(hash, slot, |&other| slots[other as usize].as_ref().map_or(0, |series| series.labels.hash()));
        self.counts.active_series += metric.kind.num_series();
        self.counts.added += metric.kind.num_series() as u64;
        slot
    }

    /// Adds to a counter.
    #[inline]
    pub(super) fn count(&mut self, metric: MetricId, slot: Slot, by: f64, now_millis: i64) {
        if let Some(series) = &mut self.metrics[metric.0].slots[slot as usize] {
            series.updated_millis = now_millis;
            if let SeriesValue::Number(value) = &mut series.value {
                *value += by;
            }
        }
    }

    /// Sees that an info series stays.
    #[inline]
    pub(super) fn touch(&mut self, metric: MetricId, slot: Slot, now_millis: i64) {
        self.count(metric, slot, 0.0, now_millis);
    }

    /// Counts a value of a histogram.
    #[inline]
    pub(super) fn observe(&mut self, metric: MetricId, slot: Slot, observed: Exemplar, times: f64, now_millis: i64) {
        if let Some(series) = &mut self.metrics[metric.0].slots[slot as usize] {
            series.updated_millis = now_millis;
            if let SeriesValue::Histogram(histogram) = &mut series.value {
                histogram.observe(observed.value, times, observed.trace);
            }
        }
    }

    /// Removes series that nothing was counted into since `before_millis`, and hands each to `retire`.
    pub(super) fn sweep(&mut self, before_millis: i64, mut retire: impl FnMut(&Arc<str>, &MetricKind, Series)) {
        let is_stale = |series: &Series| series.updated_millis < before_millis;
        let mut num_removed = 0;
        for metric in 0..self.metrics.len() {
            num_removed += self.remove(metric, is_stale, &mut retire);
        }
        if num_removed > 0 {
            self.settle_removals();
        }
    }

    /// Removes series of a metric, and returns how many Prometheus would have of them. [`Self::settle_removals`] has to follow.
    fn remove(&mut self, metric: usize, goes: impl Fn(&Series) -> bool, retire: &mut impl FnMut(&Arc<str>, &MetricKind, Series)) -> usize {
        let metric = &mut self.metrics[metric];
        let mut num_removed = 0;
        for slot in 0..metric.slots.len() {
            let Some(series) = metric.slots[slot].take_if(|series| goes(series)) else { continue };
            let hash = series.labels.hash();
            if let Ok(entry) = metric.by_labels.find_entry(hash, |other| *other == slot as u32) {
                entry.remove();
            }
            metric.overflow = metric.overflow.filter(|overflow| *overflow != slot as u32);
            metric.free.push(slot as u32);
            num_removed += metric.kind.num_series();
            if let Some(uses) = self.entities.get_mut(&hash) {
                *uses -= 1;
            }
            retire(&metric.name, &metric.kind, series);
        }
        self.counts.active_series -= num_removed;
        self.counts.removed += num_removed as u64;
        num_removed
    }

    /// Makes slots that were looked up before invalid, and forgets what only removed series had.
    fn settle_removals(&mut self) {
        self.entities.retain(|_, uses| *uses > 0);
        self.epoch += 1;
        self.recount_values();
    }

    fn recount_values(&mut self) {
        self.values.clear();
        if self.limits.max_values.is_none() {
            return;
        }
        for series in self.metrics.iter().flat_map(Metric::series) {
            for (name, value) in series.labels.iter() {
                self.values.entry(name.into()).or_default().insert(hash_of(value));
            }
        }
    }
}

fn native_of(settings: &Settings) -> Option<NativeSettings> {
    settings.histograms.has_native().then_some(settings.native)
}

fn hash_of(value: &str) -> u64 {
    use std::hash::BuildHasher;
    foldhash::fast::FixedState::with_seed(7).hash_one(value)
}

/// A value with its trace.
#[inline]
pub(super) fn seconds(value: f64, trace: TraceId) -> Exemplar {
    Exemplar { trace, value }
}

#[cfg(test)]
mod tests;
