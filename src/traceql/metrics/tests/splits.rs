//! However spans are spread over sources, the answer is the same.

use super::{
    Chunk, Facts, InstrumentationScope, Outcome, Request, Span, Spans, Value, append, four_buckets, kept, key_value, line, plan, request,
    run, text,
};
use crate::traceql::metrics::Observed;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

const QUERIES: [&str; 12] = [
    "{ } | count_over_time()",
    "{ kind = server } | rate() by (name, .a, resource.a, kind, status)",
    "{ } | count_over_time() by (span.a)",
    "{ } | min_over_time(span.a) by (name)",
    "{ } | max_over_time(duration) by (span.a, resource.service.name)",
    "{ } | sum_over_time(span.a)",
    "{ } | avg_over_time(span.a) by (name)",
    "{ } | histogram_over_time(duration) by (name)",
    "{ } | quantile_over_time(duration, 0.5, 0.9) by (.a)",
    "{ } | count_over_time() by (name) | topk(1)",
    "({ } | count_over_time() by (name)) / ({ kind = server } | count_over_time() by (name))",
    "{ } | compare({ span.a > 1 }, 2)",
];

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        select(vec!["", "x", "y"]).prop_map(text),
        (0i64..4).prop_map(Value::IntValue),
        // Quarters, whose sums are exact in any order.
        (-8i32..8).prop_map(|quarters| Value::DoubleValue(f64::from(quarters) / 4.0)),
        any::<bool>().prop_map(Value::BoolValue),
    ]
}

/// A span without ids, its resource's attribute, and the source it is in.
type Placed = ((u64, u64, &'static str, i32, Option<Value>), Option<Value>, usize);

fn placed() -> impl Strategy<Value = Placed> {
    let own = (80u64..140, 0u64..40, select(vec!["a", "b", "c"]), 0i32..4, proptest::option::of(value()));
    (own, proptest::option::weighted(0.5, value()), 0usize..3)
}

fn add(chunk: &mut Chunk, id: u64, ((start, millis, name, kind, value), of_resource, _): &Placed) {
    let start = start * super::SECOND;
    let span = Span {
        trace_id: vec![1 + (id / 4) as u8; 16],
        span_id: id.to_be_bytes().to_vec(),
        name: (*name).to_owned(),
        kind: *kind,
        start_time_unix_nano: start,
        end_time_unix_nano: start + millis * 1_000_000,
        attributes: value.iter().map(|value| key_value("a", value.clone())).collect(),
        ..Span::default()
    };
    let resource = of_resource.iter().map(|value| key_value("a", value.clone())).collect();
    append(chunk, &request(resource, InstrumentationScope::default(), vec![span]));
}

fn lines(outcome: &Outcome) -> Vec<String> {
    outcome.series.iter().map(line).collect()
}

/// Runs a query over each chunk by itself and merges what was observed.
fn run_merged(query: &str, request: Request, chunks: &[Chunk]) -> Outcome {
    let plan = plan(query, request);
    let observed = plan.functions().iter().map(|function| {
        let mut parts = chunks.iter().map(|chunk| {
            let mut observed: Observed = function.start(1);
            let spans = Spans { source: chunk, traces: &Facts(chunk) };
            function.observe(spans, &kept(function, chunk), &mut observed).expect("readable");
            observed
        });
        let mut merged = parts.next().unwrap_or_else(|| function.start(1));
        parts.for_each(|part| merged.merge(part, function));
        (merged, true)
    });
    plan.finish(observed.collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn answers_do_not_depend_on_sources(spans in vec(placed(), 0..40), query in select(QUERIES.to_vec())) {
        let mut whole = Chunk::default();
        let mut parts = [Chunk::default(), Chunk::default(), Chunk::default()];
        for (id, span) in spans.iter().enumerate() {
            add(&mut whole, id as u64 + 1, span);
            add(&mut parts[span.2], id as u64 + 1, span);
        }
        let expected = lines(&run(query, four_buckets(), &[whole]));
        // Facts of whole traces differ between the parts, as each part knows its own spans only; they are left out of the comparison.
        let comparable = |lines: Vec<String>| lines.into_iter().filter(|line| !line.contains("root")).collect::<Vec<_>>();
        prop_assert_eq!(comparable(lines(&run(query, four_buckets(), &parts))), comparable(expected.clone()), "{}", query);
        prop_assert_eq!(comparable(lines(&run_merged(query, four_buckets(), &parts))), comparable(expected), "{}", query);
    }
}
