//! Series as messages of the query API (spec/query-api.md §6.4, §6.5).

use super::metrics::Metrics;
use crate::proto::otlp::{AnyValue, KeyValue, Value};
use crate::proto::tempopb::{
    Exemplar, InstantSeries, PartialStatus, QueryInstantResponse, QueryRangeResponse, Sample, SearchMetrics, TimeSeries,
};
use crate::traceql::metrics::{self, Label, LabelValue};

const NANOS_PER_MILLI: u64 = 1_000_000;

impl Metrics {
    /// The answer of a range query.
    pub fn into_range_response(self) -> QueryRangeResponse {
        let (metrics, status, message) = self.about();
        let series = self.outcome.series.iter().map(|series| self.time_series(series)).collect();
        QueryRangeResponse { series, metrics: Some(metrics), status, message }
    }

    /// The answer of an instant query: the one sample of each series.
    pub fn into_instant_response(self) -> QueryInstantResponse {
        let (metrics, status, message) = self.about();
        let instant = |series: &metrics::Series| InstantSeries {
            labels: labels(&series.labels),
            value: series.samples.first().copied().unwrap_or(0.0),
        };
        QueryInstantResponse { series: self.outcome.series.iter().map(instant).collect(), metrics: Some(metrics), status, message }
    }

    fn about(&self) -> (SearchMetrics, i32, String) {
        let metrics = SearchMetrics {
            inspected_spans: self.num_spans as u64,
            total_blocks: self.num_blocks as u32,
            completed_jobs: self.num_units as u32,
            total_jobs: self.num_units as u32,
            ..SearchMetrics::default()
        };
        let Some(bound) = self.outcome.exceeded else { return (metrics, PartialStatus::default().into(), String::new()) };
        let message = format!(
            "Response exceeds maximum series limit of {bound}, a partial response is returned. Warning: the accuracy of each individual \
             value is not guaranteed."
        );
        (metrics, PartialStatus::Partial.into(), message)
    }

    fn time_series(&self, series: &metrics::Series) -> TimeSeries {
        let sample = |(bucket, value): (usize, &f64)| Sample { timestamp_ms: millis(self.buckets.edge(bucket)), value: *value };
        let samples = series.samples.iter().enumerate().filter(|(_, value)| !value.is_nan()).map(sample).collect();
        let exemplar = |exemplar: &metrics::Exemplar| Exemplar {
            labels: labels(&exemplar.labels),
            value: exemplar.value,
            timestamp_ms: millis(exemplar.unix_nanos),
        };
        TimeSeries { labels: labels(&series.labels), samples, exemplars: series.exemplars.iter().map(exemplar).collect() }
    }
}

fn millis(unix_nanos: u64) -> i64 {
    // 2^64 nanoseconds are fewer than 2^63 milliseconds.
    (unix_nanos / NANOS_PER_MILLI) as i64
}

fn labels(labels: &[Label]) -> Vec<KeyValue> {
    let value = |value: &LabelValue| match value {
        LabelValue::Str(text) => Value::StringValue(text.to_string()),
        LabelValue::Int(int) => Value::IntValue(*int),
        LabelValue::Double(double) => Value::DoubleValue(*double),
        LabelValue::Bool(bit) => Value::BoolValue(*bit),
    };
    let pair = |label: &Label| KeyValue {
        key: label.name.to_string(),
        value: Some(AnyValue { value: Some(value(&label.value)) }),
        ..KeyValue::default()
    };
    labels.iter().map(pair).collect()
}
