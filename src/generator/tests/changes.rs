//! What a change of settings does to the series of a tenant.

use super::processors::{consume, only, service, span, values};
use crate::generator::Tenant;
use crate::generator::promql::{Moments, Outcome, Past, evaluate, parse};
use crate::generator::settings::{HistogramMode, Settings};
use crate::model::{TenantId, UnixNanos};
use crate::proto::otlp::{SpanKind, Value};
use std::sync::Arc;
use std::time::Duration;

const CALLS: &str = "traces_spanmetrics_calls_total";
const GRAPH: &str = "traces_service_graph_request_total";
const BUCKETS: &str = "traces_spanmetrics_latency_bucket";

/// A tenant that is told one thing after the other.
struct Told {
    tenant: Tenant,
    second: u64,
}

impl Told {
    fn new(settings: Settings) -> Self {
        Told { tenant: Tenant::new(TenantId::single(), settings), second: 0 }
    }

    fn now(&self) -> UnixNanos {
        UnixNanos::from_seconds(super::processors::NOW + self.second)
    }

    /// A call of `cart` by `shop`, and a collection.
    fn call(&mut self) -> &mut Self {
        let caller = span(1, 7, SpanKind::Client, &[("region", Value::StringValue("eu".to_owned()))]);
        let called = span(2, 1, SpanKind::Server, &[]);
        let now = self.now();
        consume(&mut self.tenant, self.second, vec![service("shop", vec![caller]), service("cart", vec![called])], now);
        self.tenant.collect(now, usize::MAX);
        self.second += 1;
        self
    }

    fn change(&mut self, settings: Settings) -> &mut Self {
        self.tenant.reconfigure(&Arc::new(settings));
        self
    }

    fn sum(&self, name: &str) -> f64 {
        values(&self.tenant, name).iter().map(|(_, value)| value).sum()
    }

    fn num_series(&self, name: &str) -> usize {
        values(&self.tenant, name).len()
    }
}

/// Spans stay where they are while the time goes on.
fn some(processors: &[&'static str]) -> Settings {
    Settings { time_range_slack: Duration::from_secs(3600), ..only(processors) }
}

fn both() -> Settings {
    some(&["span-metrics", "service-graphs"])
}

#[test]
fn what_a_change_does_not_concern_is_counted_on() {
    let mut told = Told::new(both());
    told.call().change(Settings { max_active_series: Some(7), ..both() }).call();
    assert_eq!((told.sum(CALLS), told.sum(GRAPH)), (4.0, 2.0));
    let mut dimensions = both();
    dimensions.service_graphs.dimensions = vec!["region".to_owned()];
    told.change(dimensions).call();
    // Span metrics go on; the edge has other labels now and begins anew, while the old one waits to become stale.
    assert_eq!((told.sum(CALLS), told.num_series(CALLS)), (6.0, 2));
    assert_eq!(
        values(&told.tenant, GRAPH),
        [("client=shop region=eu server=cart".to_owned(), 1.0), ("client=shop server=cart".to_owned(), 2.0)]
    );
}

#[test]
fn the_series_of_what_is_off_become_stale() {
    let mut told = Told::new(both());
    told.call().change(some(&["span-metrics-count"])).call();
    assert_eq!((told.sum(CALLS), told.sum(GRAPH), told.num_series("traces_spanmetrics_size_total")), (4.0, 1.0, 2));
    told.second += 901;
    told.tenant.collect(told.now(), usize::MAX);
    assert_eq!((told.num_series(GRAPH), told.num_series(CALLS)), (0, 0), "nothing came for longer than stale_duration");
    told.change(both()).call();
    assert_eq!((told.sum(CALLS), told.sum(GRAPH)), (2.0, 1.0));
    told.change(some(&[])).call();
    assert_eq!(told.sum(CALLS), 2.0);
}

#[test]
fn other_buckets_begin_anew() {
    let mut told = Told::new(both());
    let num_before = told.call().num_series(BUCKETS);
    let mut coarse = both();
    coarse.span_metrics.buckets = vec![0.01, 1.0];
    told.change(coarse.clone()).call();
    assert_eq!((num_before, told.num_series(BUCKETS), told.sum("traces_spanmetrics_latency_count")), (30, 6, 2.0));
    assert_eq!(told.sum(CALLS), 4.0);
    let count = |told: &Told| {
        let expr = parse("sum(traces_spanmetrics_latency_bucket{le=\"+Inf\"})").expect("parses");
        let moment = Moments::one(i64::try_from(told.now().0 / 1_000_000).expect("small"));
        match evaluate(&Past::of(&told.tenant, &expr.selectors()), &expr, moment).expect("an answer") {
            Outcome::Series(series) => series[0].values[0],
            Outcome::Number(_) => None,
        }
    };
    assert_eq!(count(&told), Some(2.0), "the history has no samples of other buckets");
    told.change(Settings { histograms: HistogramMode::Both, ..coarse }).call();
    assert_eq!((told.sum("traces_spanmetrics_latency_count"), told.sum(CALLS)), (2.0, 6.0));
    let has_native = |metric: &crate::generator::series::Metric| {
        metric.series().all(|series| match &series.value {
            crate::generator::series::SeriesValue::Histogram(histogram) => histogram.native().is_some(),
            crate::generator::series::SeriesValue::Number(_) => true,
        })
    };
    assert!(told.tenant.registry().metrics().iter().all(has_native));
}

#[test]
fn a_lower_limit_keeps_what_there_is_and_a_higher_one_makes_room() {
    let mut told = Told::new(Settings { max_active_series: Some(1), ..some(&["span-metrics-count"]) });
    told.call();
    assert_eq!(values(&told.tenant, CALLS).iter().filter(|(labels, _)| labels == "metric_overflow=true").count(), 1);
    told.change(some(&["span-metrics-count"])).call();
    assert_eq!((told.num_series(CALLS), told.sum(CALLS)), (3, 4.0), "what was over the limit has a series of its own now");
    told.change(Settings { max_active_series: Some(1), ..some(&["span-metrics-count"]) }).call();
    assert_eq!((told.num_series(CALLS), told.sum(CALLS)), (3, 6.0));
}
