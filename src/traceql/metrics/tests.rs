//! Queries over spans as a whole: computed by hand, split over sources at random, and compared with a direct computation.

mod comparisons;
mod splits;

use super::{Buckets, LabelValue, Limits, Outcome, Plan, Request, Series, Spans};
use crate::columns::Chunk;
use crate::model::UnixNanos;
use crate::proto::otlp::{InstrumentationScope, KeyValue, Span, Status, Value};
use crate::traceql;
use crate::traceql::ast::{SpansetExpr, Stage};
use crate::traceql::eval::tests::{Facts, append, key_value, request, text};
use crate::traceql::eval::{Bitmap, Filter};

const SECOND: u64 = 1_000_000_000;

/// Buckets of 10 s that end at 100 s, 110 s, 120 s and 130 s.
fn four_buckets() -> Request {
    let buckets = Buckets::of_range(UnixNanos(100 * SECOND), UnixNanos(130 * SECOND), 10 * SECOND, None).expect("few buckets");
    Request { buckets, exemplars: None, max_series: 0 }
}

fn plan(query: &str, request: Request) -> Plan {
    let query = traceql::compile(query).unwrap_or_else(|error| panic!("{query}: {error}"));
    Plan::compile(&query, request, Limits::default()).expect("supported").expect("a metrics query")
}

/// The rows that the filter of a query keeps.
fn kept(function: &super::Function, chunk: &Chunk) -> Bitmap {
    let [Stage::Spansets(SpansetExpr::Filter(filter))] = &function.pipeline().stages[..] else { panic!("more than a filter") };
    Filter::compile(filter).expect("supported").select(chunk, &Facts(chunk)).expect("readable")
}

/// Runs a query over chunks, one after the other.
fn run(query: &str, request: Request, chunks: &[Chunk]) -> Outcome {
    let plan = plan(query, request);
    let observed = plan.functions().iter().map(|function| {
        let mut observed = function.start(1);
        for chunk in chunks {
            let spans = Spans { source: chunk, traces: &Facts(chunk) };
            function.observe(spans, &kept(function, chunk), &mut observed).expect("readable");
        }
        (observed, true)
    });
    plan.finish(observed.collect())
}

/// `a=x b=5: 1 2 -`, where a missing sample is a dash.
fn line(series: &Series) -> String {
    let label = |label: &super::Label| match &label.value {
        LabelValue::Str(text) => format!("{}={text}", label.name),
        LabelValue::Int(int) => format!("{}={int}i", label.name),
        LabelValue::Double(double) => format!("{}={double}d", label.name),
        LabelValue::Bool(bit) => format!("{}={bit}b", label.name),
    };
    let sample = |sample: &f64| if sample.is_nan() { "-".to_owned() } else { sample.to_string() };
    let labels: Vec<String> = series.labels.iter().map(label).collect();
    let samples: Vec<String> = series.samples.iter().map(sample).collect();
    format!("{}: {}", labels.join(" "), samples.join(" "))
}

fn span(id: u64, start_seconds: f64, name: &str, millis: u64, attributes: Vec<KeyValue>) -> Span {
    let start = (start_seconds * 1e9) as u64;
    Span {
        trace_id: vec![(id / 10) as u8; 16],
        span_id: id.to_be_bytes().to_vec(),
        name: name.to_owned(),
        kind: if id.is_multiple_of(10) { 2 } else { 3 },
        start_time_unix_nano: start,
        end_time_unix_nano: start + millis * 1_000_000,
        attributes,
        status: id.is_multiple_of(2).then(|| Status { code: 2, ..Status::default() }),
        ..Span::default()
    }
}

/// Seven spans, five of them in the buckets; two services.
fn shop() -> Chunk {
    let int = |key: &str, value| key_value(key, Value::IntValue(value));
    let mut chunk = Chunk::default();
    let cart = vec![
        span(10, 95.0, "a", 3, vec![int("n", 4)]),
        span(11, 100.0, "b", 5, vec![key_value("n", Value::DoubleValue(2.5))]),
        span(12, 100.5, "a", 9, vec![key_value("n", text("4"))]),
        span(13, 130.5, "late", 1, vec![int("n", 100)]),
        span(14, 90.0, "early", 1, vec![int("n", 100)]),
    ];
    append(&mut chunk, &request(vec![key_value("service.name", text("cart"))], InstrumentationScope::default(), cart));
    let pay = vec![span(20, 121.0, "a", 12, vec![int("n", 7)]), span(21, 130.0, "c", 100, vec![])];
    append(&mut chunk, &request(vec![key_value("service.name", text("pay"))], InstrumentationScope::default(), pay));
    chunk
}

fn check(cases: &[(&str, &[&str])]) {
    let chunks = [shop()];
    for (query, lines) in cases {
        let found: Vec<String> = run(query, four_buckets(), &chunks).series.iter().map(line).collect();
        assert_eq!(found, *lines, "{query}");
    }
}

#[test]
fn counts() {
    check(&[
        ("{ } | count_over_time()", &["__name__=count_over_time: 2 1 0 2"]),
        ("{ } | rate()", &["__name__=rate: 0.2 0.1 0 0.2"]),
        ("{ name = \"x\" } | rate()", &["__name__=rate: 0 0 0 0"]),
        ("{ name = \"x\" } | rate() by (name)", &[]),
        (
            "{ } | count_over_time() by (resource.service.name)",
            &["resource.service.name=cart: 2 1 0 0", "resource.service.name=pay: 0 0 0 2"],
        ),
        (
            "{ } | count_over_time() by (name, status)",
            &["name=a status=error: 1 1 0 1", "name=b status=unset: 1 0 0 0", "name=c status=unset: 0 0 0 1"],
        ),
        // 4 and "4" are two values; a span without the attribute has no label, and with no other label the text nil.
        (
            "{ } | count_over_time() by (span.n)",
            &["span.n=2.5d: 1 0 0 0", "span.n=4i: 1 0 0 0", "span.n=7i: 0 0 0 1", "span.n=4: 0 1 0 0", "span.n=nil: 0 0 0 1"],
        ),
        ("{ name = \"c\" } | count_over_time() by (span.n, kind)", &["kind=client: 0 0 0 1"]),
        ("{ name = \"c\" } | count_over_time() by (span.n, parent.n)", &["span.n=nil: 0 0 0 1"]),
        (
            "{ } | count_over_time() by (duration)",
            &[
                "duration=100ms: 0 0 0 1",
                "duration=12ms: 0 0 0 1",
                "duration=3ms: 1 0 0 0",
                "duration=5ms: 1 0 0 0",
                "duration=9ms: 0 1 0 0",
            ],
        ),
    ]);
}

#[test]
fn values() {
    check(&[
        ("{ } | min_over_time(span.n)", &["__name__=min_over_time: 2.5 - - 7"]),
        ("{ } | max_over_time(span.n)", &["__name__=max_over_time: 4 - - 7"]),
        ("{ } | sum_over_time(span.n)", &["__name__=sum_over_time: 6.5 - - 7"]),
        ("{ } | avg_over_time(span.n)", &["__name__=avg_over_time: 3.25 - - 7"]),
        ("{ } | max_over_time(duration) by (status)", &["status=error: 0.003 0.009 - 0.012", "status=unset: 0.005 - - 0.1"]),
        (
            "{ } | max_over_time(traceDuration) by (name)",
            &["name=a: 40501000000 40501000000 - 9100000000", "name=b: 40501000000 - - -", "name=c: - - - 9100000000"],
        ),
        ("{ } | max_over_time(name)", &[]),
        ("{ } | max_over_time(parent.n)", &[]),
    ]);
}

#[test]
fn histograms() {
    check(&[
        ("{ } | histogram_over_time(span.n)", &["__bucket=4d: 1 0 0 0", "__bucket=8d: 0 0 0 1"]),
        (
            "{ } | histogram_over_time(duration) by (status)",
            &[
                "status=error __bucket=0.004194304d: 1 0 0 0",
                "status=error __bucket=0.016777216d: 0 1 0 1",
                "status=unset __bucket=0.008388608d: 1 0 0 0",
                "status=unset __bucket=0.134217728d: 0 0 0 1",
            ],
        ),
        ("{ } | quantile_over_time(span.n, 0, 1)", &["p=0d: 4 0 0 8", "p=1d: 4 0 0 8"]),
        ("{ name = \"a\" } | quantile_over_time(duration, 1) by (span.x)", &["p=1d: 0.004194304 0.016777216 0 0.016777216"]),
    ]);
}

#[test]
fn stages_and_arithmetic() {
    check(&[
        ("{ } | count_over_time() by (name) | topk(1)", &["name=a: 1 1 0 1"]),
        ("{ } | count_over_time() by (name) > 0", &["name=a: 1 1 - 1", "name=b: 1 - - -", "name=c: - - - 1"]),
        ("({ } | count_over_time()) * 2", &["__name__=count_over_time: 4 2 0 4"]),
        (
            "({ name = \"a\" } | count_over_time()) / ({ } | count_over_time())",
            &["__name__=(count_over_time / count_over_time): 0.5 1 - 0.5"],
        ),
        ("({ } | count_over_time() by (name)) / ({ } | count_over_time()) | topk(1)", &["name=a: 0.5 1 - 0.5"]),
    ]);
}

#[test]
fn an_instant_query_has_one_sample() {
    let buckets = Buckets::of_instant(UnixNanos(95 * SECOND), UnixNanos(121 * SECOND)).expect("not empty");
    let request = Request { buckets, exemplars: None, max_series: 0 };
    let lines = |query: &str| -> Vec<String> { run(query, request, &[shop()]).series.iter().map(line).collect() };
    assert_eq!(lines("{ } | count_over_time()"), ["__name__=count_over_time: 3"]);
    assert_eq!(lines("{ } | rate() by (name)"), [format!("name=a: {}", 2.0 / 26.0), format!("name=b: {}", 1.0 / 26.0)]);
}

#[test]
fn series_beyond_the_bound_are_left_out() {
    let limited = |max_series| run("{ } | count_over_time() by (name)", Request { max_series, ..four_buckets() }, &[shop()]);
    assert_eq!((limited(2).series.len(), limited(2).exceeded), (2, Some(2)));
    assert_eq!((limited(4).series.len(), limited(4).exceeded), (3, None));
}

#[test]
fn the_operator_bounds_series_and_exemplars() {
    let query = traceql::compile("{ } | count_over_time() by (name)").expect("sound");
    let bound = |max_series, limit| {
        let limits = Limits { max_series: limit, max_exemplars: 1, ..Limits::default() };
        let plan = Plan::compile(&query, Request { max_series, exemplars: Some(0), ..four_buckets() }, limits);
        let plan = plan.expect("supported").expect("a metrics query");
        (plan.request.max_series, plan.functions()[0].start(1).wants_exemplars())
    };
    assert_eq!([bound(0, 0).0, bound(5, 0).0, bound(0, 5).0, bound(5, 7).0, bound(9, 7).0], [0, 5, 5, 5, 7]);
    assert!(bound(0, 0).1);
}

#[test]
fn exemplars_have_a_value_and_the_attributes_of_the_query() {
    let request = Request { exemplars: Some(0), ..four_buckets() };
    let outcome = run("{ status = error && span.n != nil } | rate() by (name)", request, &[shop()]);
    let exemplars = &outcome.series[0].exemplars;
    // One of each trace: 95 s of the first, 121 s of the second.
    assert_eq!(
        exemplars.iter().map(|exemplar| (exemplar.unix_nanos / SECOND, exemplar.value)).collect::<Vec<_>>(),
        [(95, 0.1), (121, 0.1)]
    );
    let shown = Series::new(exemplars[1].labels.clone(), Vec::new());
    assert_eq!(line(&shown), "trace:id=2020202020202020202020202020202 status=error span.n=7i name=a: ");

    let quantiles = run("{ } | quantile_over_time(duration, 0.1, 0.99)", request, &[shop()]);
    let values = |at: usize| quantiles.series[at].exemplars.iter().map(|exemplar| exemplar.value).collect::<Vec<_>>();
    assert_eq!((values(0), values(1)), (vec![0.003, 0.012], vec![]));
    assert!(run("{ } | rate() with (exemplars=false)", request, &[shop()]).series[0].exemplars.is_empty());
    let limited = run("{ } | rate() with (exemplars=1)", request, &[shop()]);
    assert_eq!(limited.series[0].exemplars.len(), 1);
}
