//! The series of a tenant as requests of remote write.

use super::relabel::relabel;
use crate::generator::exposition::bound_text;
use crate::generator::histogram::{Histogram, NativeHistogram, ZERO_THRESHOLD};
use crate::generator::series::{Metric, MetricKind, Series, SeriesValue};
use crate::generator::settings::{RelabelRule, RemoteWrite};
use crate::generator::tenant::{Tenant, first_zero};
use crate::model::UnixNanos;
use crate::proto::prometheus::histogram::{Count, ZeroCount};
use crate::proto::prometheus::metric_metadata::MetricType;
use crate::proto::prometheus::{
    BucketSpan, Exemplar as ExemplarMessage, Histogram as HistogramMessage, Label, MetricMetadata, Sample, TimeSeries, WriteRequest,
};
use prost::Message;

/// The label that tells one generator from another.
const INSTANCE: &str = "__metrics_gen_instance";

/// A request, compressed.
pub(super) struct Request {
    pub(super) num_samples: usize,
    pub(super) body: Vec<u8>,
}

/// Calls `put` with the requests for all series, one after the other, so that few are in memory. Those with the zeros of new
/// series come first and alone: a receiver that knows the series from before a restart may refuse them.
pub(super) fn requests(tenant: &Tenant, now: UnixNanos, receiver: &RemoteWrite, mut put: impl FnMut(Request)) {
    let (max_samples, rules) = (receiver.max_samples_per_send.max(1), &receiver.relabel);
    let millis = i64::try_from(now.0 / 1_000_000).unwrap_or(i64::MAX);
    let mut external = tenant.external_labels();
    external.push((INSTANCE.to_owned(), host_name()));
    for pass in [Pass::Zeros, Pass::Samples] {
        let metadata = if pass == Pass::Samples { metadata(tenant) } else { Vec::new() };
        let request = WriteRequest { metadata, ..WriteRequest::default() };
        let mut builder = Builder { tenant, millis, external: &external, pass, max_samples, rules, request, put: &mut put };
        tenant.registry().metrics().iter().for_each(|metric| builder.metric(metric));
        builder.flush();
    }
}

/// What is sent of the series.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    /// Where new ones began.
    Zeros,
    /// Their values.
    Samples,
}

fn metadata(tenant: &Tenant) -> Vec<MetricMetadata> {
    let of_metric = |metric: &Metric| {
        let kind = match metric.kind {
            MetricKind::Counter => MetricType::Counter,
            MetricKind::Info => MetricType::Gauge,
            MetricKind::Histogram(_) => MetricType::Histogram,
        };
        let (metric_family_name, help) = (metric.name.to_string(), metric.help.to_owned());
        MetricMetadata { r#type: kind.into(), metric_family_name, help, unit: String::new() }
    };
    tenant.registry().metrics().iter().map(of_metric).collect()
}

/// The name of this machine.
fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").map_or_else(|_| "localhost".to_owned(), |name| name.trim().to_owned())
}

struct Builder<'t> {
    tenant: &'t Tenant,
    millis: i64,
    external: &'t [(String, String)],
    pass: Pass,
    max_samples: usize,
    rules: &'t [RelabelRule],
    request: WriteRequest,
    put: &'t mut dyn FnMut(Request),
}

impl Builder<'_> {
    fn push(&mut self, mut series: TimeSeries) {
        if !relabel(&mut series.labels, self.rules) {
            return;
        }
        self.request.timeseries.push(series);
        if self.request.timeseries.len() >= self.max_samples {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let request = std::mem::take(&mut self.request);
        if !request.timeseries.is_empty() {
            // Only messages beyond 4 GiB cannot be compressed.
            let body = snap::raw::Encoder::new().compress_vec(&request.encode_to_vec()).unwrap_or_default();
            (self.put)(Request { num_samples: request.timeseries.len(), body });
        }
    }

    fn metric(&mut self, metric: &Metric) {
        let pass = self.pass;
        for series in metric.series().filter(|series| pass == Pass::Samples || series.is_new) {
            match &series.value {
                SeriesValue::Number(_) if self.pass == Pass::Zeros && metric.kind != MetricKind::Counter => {}
                SeriesValue::Number(value) => self.sample(self.labels(series, &metric.name, None), *value, None),
                SeriesValue::Histogram(histogram) => self.histogram(metric, series, histogram),
            }
        }
    }

    fn histogram(&mut self, metric: &Metric, series: &Series, histogram: &Histogram) {
        let mode = self.tenant.settings().histograms;
        if let Some(native) = histogram.native().filter(|_| self.pass == Pass::Samples) {
            let labels = self.labels(series, &metric.name, None);
            let exemplars = (0..histogram.counts().len()).rev().find_map(|bucket| self.exemplar(histogram, bucket));
            let histograms = vec![native_message(native, self.millis)];
            self.push(TimeSeries { labels, histograms, exemplars: exemplars.into_iter().collect(), ..TimeSeries::default() });
        }
        if !mode.has_classic() {
            return;
        }
        let named = |suffix: &str| format!("{}{suffix}", metric.name);
        let bounds = histogram.bounds().iter().map(|bound| Some(*bound)).chain([None]);
        let mut cumulative = 0.0;
        for (bucket, bound) in bounds.enumerate() {
            cumulative += histogram.counts()[bucket];
            let labels = self.labels(series, &named("_bucket"), Some(bound_text(bound)));
            self.sample(labels, cumulative, self.exemplar(histogram, bucket));
        }
        self.sample(self.labels(series, &named("_count"), None), cumulative, None);
        if self.pass == Pass::Samples {
            self.sample(self.labels(series, &named("_sum"), None), histogram.sum(), None);
        }
    }

    /// A sample, or in the first pass the zero before it.
    fn sample(&mut self, labels: Vec<Label>, value: f64, exemplar: Option<ExemplarMessage>) {
        let series = match self.pass {
            Pass::Zeros => {
                let samples = vec![Sample { value: 0.0, timestamp: first_zero(self.millis) }];
                TimeSeries { labels, samples, ..TimeSeries::default() }
            }
            Pass::Samples => {
                let samples = vec![Sample { value, timestamp: self.millis }];
                TimeSeries { labels, samples, exemplars: exemplar.into_iter().collect(), ..TimeSeries::default() }
            }
        };
        self.push(series);
    }

    fn exemplar(&self, histogram: &Histogram, bucket: usize) -> Option<ExemplarMessage> {
        let exemplar = histogram.exemplar(bucket)?;
        let label = Label { name: self.tenant.settings().trace_id_label.clone(), value: exemplar.trace.to_string() };
        Some(ExemplarMessage { labels: vec![label], value: exemplar.value, timestamp: self.millis })
    }

    fn labels(&self, series: &Series, name: &str, le: Option<String>) -> Vec<Label> {
        let label = |name: &str, value: &str| Label { name: name.to_owned(), value: value.to_owned() };
        let external = self.external.iter().filter(|(name, _)| series.labels.get(name).is_empty());
        let mut labels: Vec<Label> = external.map(|(name, value)| label(name, value)).collect();
        labels.extend(series.labels.iter().map(|(name, value)| label(name, value)));
        labels.push(label("__name__", name));
        labels.extend(le.map(|le| label("le", &le)));
        labels.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        labels
    }
}

fn native_message(native: &NativeHistogram, millis: i64) -> HistogramMessage {
    // Counts are whole, and far below 2^53.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let whole = |count: f64| count as u64;
    let (mut spans, mut deltas): (Vec<BucketSpan>, Vec<i64>) = (Vec::new(), Vec::new());
    let (mut next, mut before) = (0, 0);
    for (bucket, count) in native.buckets() {
        match spans.last_mut().filter(|_| bucket == next) {
            Some(span) => span.length += 1,
            None => spans.push(BucketSpan { offset: bucket - next, length: 1 }),
        }
        let count = i64::try_from(whole(count)).unwrap_or(i64::MAX);
        deltas.push(count - before);
        (next, before) = (bucket + 1, count);
    }
    HistogramMessage {
        count: Some(Count::CountInt(whole(native.count()))),
        sum: native.sum(),
        schema: native.schema(),
        zero_threshold: ZERO_THRESHOLD,
        zero_count: Some(ZeroCount::ZeroCountInt(whole(native.zero()))),
        positive_spans: spans,
        positive_deltas: deltas,
        timestamp: millis,
        ..HistogramMessage::default()
    }
}
