//! Queries over a history that is known by heart.

use super::{Lookup, Moments, Outcome, Past, PromqlError, evaluate, label_names, label_values, parse, parse_selector};
use crate::columns::chunk::SpanFields;
use crate::columns::{Chunk, wire};
use crate::generator::settings::{Processors, Settings};
use crate::generator::{NewRows, Tenant};
use crate::model::{TenantId, TraceId, UnixNanos};
use proptest::prelude::*;

/// 0 s of the tests: a whole minute.
const START: u64 = 1_790_000_040;

fn resource(service: &str) -> Vec<u8> {
    let (mut any, mut pair, mut resource) = (Vec::new(), Vec::new(), Vec::new());
    wire::put_bytes(&mut any, 1, service.as_bytes());
    wire::put_bytes(&mut pair, 1, b"service.name");
    wire::put_bytes(&mut pair, 2, &any);
    wire::put_bytes(&mut resource, 1, &pair);
    resource
}

/// Spans of a service, all of so many milliseconds.
fn spans(tenant: &mut Tenant, serial: u64, service: &str, num: u64, millis: u64, now: UnixNanos) {
    let mut chunk = Chunk::default();
    let resource = chunk.resources.intern(&resource(service), b"").expect("well formed");
    let scope = chunk.scopes.intern(b"", b"").expect("well formed");
    for id in 0..num {
        let (trace_id, start) = (TraceId([1; 16]), now.0 - millis * 1_000_000);
        let span =
            SpanFields { trace_id, span_id: id + 1, start, end: now.0, name: b"GET", kind: 2, resource, scope, ..SpanFields::default() };
        chunk.push_span(&span, 0);
    }
    tenant.consume(NewRows { chunk: &chunk, serial, rows: 0..num as u32, is_last: true }, now);
}

fn at(seconds: u64) -> UnixNanos {
    UnixNanos::from_seconds(START + seconds)
}

fn millis(seconds: u64) -> i64 {
    (START + seconds) as i64 * 1000
}

/// Two services, of which `a` gets 15 spans of 5 ms and `b` 30 of 100 ms every 15 s, for ten minutes.
fn tenant() -> Tenant {
    let processors = Processors::named(["span-metrics"]).expect("known");
    let mut tenant = Tenant::new(TenantId::single(), Settings { processors, ..Settings::default() });
    for tick in 0..40 {
        let now = at(30 + tick * 15);
        spans(&mut tenant, tick, "a", 15, 5, now);
        spans(&mut tenant, tick + 100, "b", 30, 100, now);
        tenant.collect(now, usize::MAX);
    }
    tenant
}

fn values(tenant: &Tenant, query: &str, moments: Moments) -> Vec<(String, Vec<Option<f64>>)> {
    let expr = parse(query).expect("parses");
    match evaluate(&Past::of(tenant, &expr.selectors()), &expr, moments).expect("an answer") {
        Outcome::Number(number) => vec![("number".to_owned(), vec![Some(number)])],
        Outcome::Series(series) => {
            let text =
                |labels: super::Labels| labels.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",");
            series.into_iter().map(|one| (text(one.labels), one.values)).collect()
        }
    }
}

/// The values at 10 minutes.
fn now(tenant: &Tenant, query: &str) -> Vec<(String, f64)> {
    let one = |(labels, values): (String, Vec<Option<f64>>)| Some((labels, values[0]?));
    values(tenant, query, Moments::one(millis(615))).into_iter().filter_map(one).collect()
}

#[test]
fn a_query_reads_one_moment_while_counting_goes_on() {
    let mut tenant = tenant();
    let expr = parse("sum by (service) (traces_spanmetrics_calls_total)").expect("parses");
    let past = Past::of(&tenant, &expr.selectors());
    // As long as the copy lives, samples that it shares are added to beside it.
    for tick in 40..44 {
        spans(&mut tenant, tick, "a", 15, 5, at(30 + tick * 15));
        tenant.collect(at(30 + tick * 15), usize::MAX);
    }
    let value = |past: &Past| match evaluate(past, &expr, Moments::one(millis(30 + 43 * 15))).expect("an answer") {
        Outcome::Series(series) => series.iter().map(|one| (one.labels["service"].clone(), one.values[0])).collect::<Vec<_>>(),
        Outcome::Number(_) => Vec::new(),
    };
    assert_eq!(value(&past), [("a".to_owned(), Some(600.0)), ("b".to_owned(), Some(1200.0))]);
    assert_eq!(value(&Past::of(&tenant, &expr.selectors())), [("a".to_owned(), Some(660.0)), ("b".to_owned(), Some(1200.0))]);
}

#[test]
fn rates_are_what_arrives_a_second() {
    let tenant = tenant();
    let rates = now(&tenant, "sum by (service) (rate(traces_spanmetrics_calls_total[5m]))");
    assert_eq!(rates, [("service=a".to_owned(), 1.0), ("service=b".to_owned(), 2.0)]);
    assert_eq!(now(&tenant, "sum(rate(traces_spanmetrics_calls_total[5m]))"), [(String::new(), 3.0)]);
    assert_eq!(now(&tenant, "sum(rate(traces_spanmetrics_latency_count[5m])) - sum(rate(traces_spanmetrics_calls_total[5m]))")[0].1, 0.0);
    let ratio = "sum(rate(traces_spanmetrics_latency_sum{service=\"b\"}[5m])) / sum(rate(traces_spanmetrics_latency_count{service=\"b\"}[5m])) * 1000";
    assert!((now(&tenant, ratio)[0].1 - 100.0).abs() < 1e-6);
}

#[test]
fn the_first_spans_count_too() {
    let tenant = tenant();
    // The whole life is within the range: a zero stands before the first sample.
    let grown = now(&tenant, "increase(traces_spanmetrics_calls_total{service=\"a\"}[1h])")[0].1;
    assert!((600.0..660.0).contains(&grown), "{grown}");
}

#[test]
fn selections_and_sets() {
    let tenant = tenant();
    let calls = |matchers: &str| now(&tenant, &format!("sum by (service) (traces_spanmetrics_calls_total{{{matchers}}})"));
    for (matchers, num) in [
        ("service=\"a\"", 1),
        ("service!=\"a\"", 1),
        ("service=~\"a|b\"", 2),
        ("service=~\"a.\"", 0),
        ("service!~\"a|c\"", 1),
        ("nothing=\"\"", 2),
        ("nothing!=\"\"", 0),
    ] {
        assert_eq!(calls(matchers).len(), num, "{matchers}");
    }
    assert_eq!(now(&tenant, "traces_spanmetrics_calls_total{service=\"a\"} or traces_spanmetrics_calls_total").len(), 2);
    assert_eq!(now(&tenant, "topk(1, sum(traces_spanmetrics_calls_total) by (service))"), [("service=b".to_owned(), 1200.0)]);
    assert_eq!(now(&tenant, "count(traces_spanmetrics_latency_bucket)"), [(String::new(), 30.0)]);
    assert_eq!(
        now(&tenant, "group without (le, service, span_name, status_code) (traces_spanmetrics_latency_bucket)"),
        [("span_kind=SPAN_KIND_SERVER".to_owned(), 1.0)]
    );
    assert_eq!(now(&tenant, "2 * -3 + 1"), [("number".to_owned(), -5.0)]);
}

#[test]
fn quantiles_lie_in_their_bucket() {
    let tenant = tenant();
    let quantiles = now(&tenant, "histogram_quantile(0.5, sum by (le, service) (rate(traces_spanmetrics_latency_bucket[5m])))");
    assert!(
        quantiles.len() == 2 && (0.004..=0.008).contains(&quantiles[0].1) && (0.064..=0.128).contains(&quantiles[1].1),
        "{quantiles:?}"
    );
}

#[test]
fn ranges_have_values_where_there_are_samples() {
    let tenant = tenant();
    let moments = Moments { start: millis(0), end: millis(120), step: 30_000 };
    let values = values(&tenant, "traces_spanmetrics_calls_total{service=\"a\"}", moments);
    // The zero lies a second before the first minute.
    assert_eq!(values[0].1, [Some(0.0), Some(15.0), Some(45.0), Some(75.0), Some(105.0)]);
}

#[test]
fn a_series_that_comes_again_is_one() {
    let processors = Processors::named(["span-metrics-count"]).expect("known");
    let mut tenant = Tenant::new(TenantId::single(), Settings { processors, ..Settings::default() });
    for (tick, num) in [(0, 10), (1, 10), (100, 5), (101, 5)] {
        let now = at(30 + tick * 15);
        spans(&mut tenant, tick, "a", num, 5, now);
        tenant.collect(now, usize::MAX);
    }
    let moments = Moments::one(millis(30 + 101 * 15));
    let found = values(&tenant, "increase(traces_spanmetrics_calls_total[1h])", moments);
    assert_eq!(found.len(), 1);
    let grown = found[0].1[0].expect("a value");
    assert!((29.0..36.0).contains(&grown), "{grown}");
}

#[test]
fn names_and_values() {
    let tenant = tenant();
    let selectors = [parse_selector("{__name__=~\"traces_spanmetrics_calls_total|x\"}").expect("parses")];
    let lookup = Lookup { selectors: &selectors, start: millis(0), end: millis(615) };
    let names: Vec<String> = label_names(&Past::of(&tenant, &[]), &lookup).into_iter().collect();
    assert_eq!(names, ["__name__", "service", "span_kind", "span_name", "status_code"]);
    assert_eq!(label_values(&Past::of(&tenant, &[]), &lookup, "service").into_iter().collect::<Vec<_>>(), ["a", "b"]);
    let before = Lookup { selectors: &selectors, start: 0, end: millis(0) };
    assert!(label_names(&Past::of(&tenant, &[]), &before).is_empty());
}

#[test]
fn history_is_bounded() {
    let processors = Processors::named(["span-metrics"]).expect("known");
    let mut tenant = Tenant::new(TenantId::single(), Settings { processors, ..Settings::default() });
    for tick in 0..400 {
        let now = at(30 + tick * 15);
        spans(&mut tenant, tick, &format!("service {}", tick % 50), 3, tick % 90 + 1, now);
        tenant.collect(now, 40_000);
        assert!(tenant.history_bytes() <= 40_000, "{tick}");
    }
}

#[test]
fn a_query_that_is_too_large_is_refused() {
    let tenant = tenant();
    let expr = parse("{__name__=~\".+\"}").expect("parses");
    let moments = Moments { start: millis(0), end: millis(700), step: 1 };
    assert_eq!(evaluate(&Past::of(&tenant, &[]), &expr, moments), Err(PromqlError::TooLarge));
}

#[test]
fn deep_nesting_is_refused() {
    for text in [format!("{}1", "(".repeat(10_000)), format!("{}1", "-".repeat(10_000)), format!("{}x", "sum(".repeat(10_000))] {
        assert!(matches!(parse(&text), Err(PromqlError::Syntax { .. })));
    }
}

proptest! {
    #[test]
    fn any_text_has_an_answer(text in "[a-z_(){}=~\"0-9.,+*/ \\[\\]-]{0,40}") {
        let _ = parse(&text);
    }

    #[test]
    fn any_pieces_have_an_answer(pieces in proptest::collection::vec(prop::sample::select(vec![
        "sum", "by", "(", ")", "rate", "{", "}", "a", "=", "\"x\"", "[5m]", "topk", ",", "1", "or", "-", "histogram_quantile", "[", "]", "without",
    ]), 0..30)) {
        if let Ok(expr) = parse(&pieces.join(" ")) {
            let tenant = Tenant::new(TenantId::single(), Settings::default());
            let _ = evaluate(&Past::of(&tenant, &[]), &expr, Moments::one(0));
        }
    }
}
