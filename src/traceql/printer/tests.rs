use proptest::prelude::*;

use super::*;
use crate::traceql::ast::{
    BinaryOp, CompareOp, CompareWindow, CountingOp, Intrinsic, Kind, MathOp, OverTimeOp, Relation, Scope, SpansetOp, Status, UnaryOp,
};
use crate::traceql::operators::PRECEDENCE;
use crate::traceql::{fold, parse};

#[test]
fn floats_are_those_of_go() {
    for (value, text) in [
        (1.0, "1.0"),
        (0.5, "0.5"),
        (100_000.0, "100000.0"),
        (1e6, "1e+06"),
        (1_234_567.0, "1.234567e+06"),
        (123_456.75, "123456.75"),
        (0.0001, "0.0001"),
        (0.00001, "1e-05"),
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (1e100, "1e+100"),
        (f64::INFINITY, "+Inf"),
    ] {
        assert_eq!(format_float(value), text);
    }
}

#[test]
fn texts_with_backticks_are_escaped() {
    assert_eq!(Static::Str("a\\\"b".to_owned()).to_string(), "`a\\\"b`");
    assert_eq!(Static::Str("`\\\"\n".to_owned()).to_string(), "\"`\\\\\\\"\\n\"");
}

fn one_of<T: Clone + std::fmt::Debug + 'static>(values: &[T]) -> impl Strategy<Value = T> + use<T> {
    prop::sample::select(values.to_vec())
}

fn attribute() -> impl Strategy<Value = Attribute> {
    let scopes = [
        Scope::None,
        Scope::Span,
        Scope::Resource,
        Scope::Event,
        Scope::Link,
        Scope::Instrumentation,
        Scope::Parent,
        Scope::ParentSpan,
        Scope::ParentResource,
    ];
    let key = prop_oneof!["[a-z][a-z0-9.]{0,6}", "[ -~]{0,5}", any::<String>(), Just("span.x".to_owned())];
    prop_oneof![
        one_of(&Intrinsic::all().collect::<Vec<_>>()).prop_map(Attribute::Intrinsic),
        (one_of(&scopes), key).prop_map(|(scope, key)| Attribute::Scoped { scope, key }),
    ]
}

/// Constants of scalars; also the largest and smallest.
fn number() -> impl Strategy<Value = Static> + Clone {
    prop_oneof![
        prop_oneof![any::<i64>(), Just(i64::MIN), -3..3_i64].prop_map(Static::Int),
        prop_oneof![any::<f64>(), Just(0.5), Just(f64::INFINITY)].prop_map(Static::Float),
        (-i64::MAX..=i64::MAX).prop_map(Static::Duration),
    ]
}

/// Constants of metrics math, which has no durations.
fn plain_number() -> impl Strategy<Value = Static> {
    number().prop_filter("a duration", |value| !matches!(value, Static::Duration(_)))
}

fn constant() -> impl Strategy<Value = Static> + Clone {
    prop_oneof![
        number(),
        prop_oneof!["[a-z`\\\\\"\n]{0,4}", any::<String>()].prop_map(Static::Str),
        any::<bool>().prop_map(Static::Bool),
        one_of(&Status::ALL).prop_map(Static::Status),
        one_of(&Kind::ALL).prop_map(Static::Kind),
    ]
}

/// Expressions as the parser builds them: folded.
fn field_expr() -> BoxedStrategy<FieldExpr> {
    let leaf = prop_oneof![constant().prop_map(FieldExpr::Static), attribute().prop_map(FieldExpr::Attribute)];
    let operators: Vec<BinaryOp> = PRECEDENCE.iter().filter_map(|row| row.field).collect();
    leaf.prop_recursive(4, 16, 2, move |inner| {
        prop_oneof![
            4 => (one_of(&operators), inner.clone(), inner.clone()).prop_map(|(op, left, right)| fold::binary(op, left, right)),
            1 => (one_of(&[UnaryOp::Not, UnaryOp::Neg]), inner.clone()).prop_map(|(op, operand)| fold::unary(op, operand)),
            1 => inner.clone().prop_map(|operand| FieldExpr::IsNil(Box::new(operand))),
            1 => inner.prop_map(|operand| FieldExpr::NotNil(Box::new(operand))),
        ]
    })
    .boxed()
}

fn compare_op() -> impl Strategy<Value = CompareOp> {
    one_of(&[CompareOp::Eq, CompareOp::Ne, CompareOp::Lt, CompareOp::Le, CompareOp::Gt, CompareOp::Ge])
}

fn aggregate() -> impl Strategy<Value = Aggregate> {
    let over = (one_of(&[AggregateOp::Max, AggregateOp::Min, AggregateOp::Avg, AggregateOp::Sum]), field_expr());
    prop_oneof![Just(Aggregate::Count), over.prop_map(|(op, operand)| Aggregate::Over { op, operand })]
}

/// Scalars with an aggregate in them.
fn scalar() -> impl Strategy<Value = ScalarExpr> {
    let arithmetic: Vec<BinaryOp> = PRECEDENCE.iter().filter_map(|row| row.field).filter(|op| op.is_arithmetic()).collect();
    aggregate().prop_map(ScalarExpr::Aggregate).prop_recursive(2, 4, 2, move |inner| {
        let other = prop_oneof![number().prop_map(ScalarExpr::Static), inner.clone()];
        (one_of(&arithmetic), inner, other, any::<bool>()).prop_map(|(op, scalar, other, swap)| {
            let (left, right) = if swap { (other, scalar) } else { (scalar, other) };
            ScalarExpr::Binary { op, left: Box::new(left), right: Box::new(right) }
        })
    })
}

fn scalar_filter() -> impl Strategy<Value = ScalarFilter> {
    let other = prop_oneof![number().prop_map(ScalarExpr::Static), scalar()];
    (compare_op(), scalar(), other, any::<bool>()).prop_map(|(op, scalar, other, swap)| {
        let (left, right) = if swap { (other, scalar) } else { (scalar, other) };
        ScalarFilter { op, left, right }
    })
}

fn spanset_op() -> impl Strategy<Value = SpansetOp> {
    let relations = [Relation::Child, Relation::Parent, Relation::Descendant, Relation::Ancestor, Relation::Sibling];
    prop_oneof![
        Just(SpansetOp::And),
        Just(SpansetOp::Or),
        one_of(&relations).prop_map(SpansetOp::Related),
        one_of(&relations).prop_map(SpansetOp::NotRelated),
        one_of(&relations).prop_map(SpansetOp::UnionRelated),
    ]
}

fn joined(op: SpansetOp, left: SpansetExpr, right: SpansetExpr) -> SpansetExpr {
    SpansetExpr::Binary { op, left: Box::new(left), right: Box::new(right) }
}

/// Spansets without pipelines.
fn spansets() -> BoxedStrategy<SpansetExpr> {
    let leaf = field_expr().prop_map(SpansetExpr::Filter);
    let grow =
        |inner: BoxedStrategy<SpansetExpr>| (spanset_op(), inner.clone(), inner).prop_map(|(op, left, right)| joined(op, left, right));
    leaf.prop_recursive(3, 4, 2, grow).boxed()
}

fn stage() -> BoxedStrategy<Stage> {
    prop_oneof![
        3 => spansets().prop_map(Stage::Spansets),
        1 => scalar_filter().prop_map(Stage::ScalarFilter),
        1 => field_expr().prop_map(Stage::GroupBy),
        1 => prop::collection::vec(attribute(), 1..4).prop_map(Stage::Select),
    ]
    .boxed()
}

fn pipeline() -> BoxedStrategy<Pipeline> {
    let later = prop_oneof![5 => stage(), 1 => Just(Stage::Coalesce)];
    let stages = (stage(), prop::collection::vec(later, 0..3));
    stages.prop_map(|(first, later)| Pipeline { stages: std::iter::once(first).chain(later).collect() }).boxed()
}

/// Pipelines in parentheses and operators between them; the leftmost operand is always one.
fn wrapped() -> BoxedStrategy<SpansetExpr> {
    let is_more_than_spansets = |pipeline: &Pipeline| !matches!(pipeline.stages.as_slice(), [Stage::Spansets(_)]);
    let leaf = pipeline().prop_filter("a lone spanset expression", is_more_than_spansets).prop_map(SpansetExpr::Wrapped);
    leaf.prop_recursive(2, 4, 2, |inner| {
        let right = prop_oneof![inner.clone(), spansets()];
        (spanset_op(), inner, right).prop_map(|(op, left, right)| joined(op, left, right))
    })
    .boxed()
}

fn function() -> impl Strategy<Value = MetricsFunction> {
    let by = || prop::collection::vec(attribute(), 0..3);
    let over_time = [OverTimeOp::Min, OverTimeOp::Max, OverTimeOp::Avg, OverTimeOp::Sum, OverTimeOp::Histogram];
    let quantile = prop_oneof![0.0..=1.0, Just(0.99), Just(99.0)];
    let window = prop::option::of((1..i64::MAX, 0..i64::MAX));
    prop_oneof![
        (one_of(&[CountingOp::Rate, CountingOp::CountOverTime]), by()).prop_map(|(op, by)| MetricsFunction::Counting { op, by }),
        (one_of(&over_time), attribute(), by()).prop_map(|(op, attribute, by)| MetricsFunction::OverTime { op, attribute, by }),
        (attribute(), prop::collection::vec(quantile, 1..3), by()).prop_map(|(attribute, quantiles, by)| MetricsFunction::Quantile {
            attribute,
            quantiles,
            by
        }),
        (field_expr(), 0..i64::MAX, window).prop_map(|(selection, top_n, window)| {
            let window = window.map(|(start_unix_nanos, end_unix_nanos)| CompareWindow { start_unix_nanos, end_unix_nanos });
            MetricsFunction::Compare(Compare { selection, top_n, window })
        }),
    ]
}

fn second_stages() -> impl Strategy<Value = Vec<SecondStage>> {
    let stage = prop_oneof![
        (0..i64::MAX).prop_map(SecondStage::TopK),
        (0..i64::MAX).prop_map(SecondStage::BottomK),
        (compare_op(), number()).prop_map(|(op, value)| SecondStage::Compare { op, value }),
    ];
    prop::collection::vec(stage, 0..3)
}

fn metrics_query() -> BoxedStrategy<MetricsQuery> {
    (pipeline(), function(), second_stages())
        .prop_map(|(pipeline, function, second_stages)| MetricsQuery { pipeline, function, second_stages })
        .boxed()
}

fn math() -> impl Strategy<Value = MathExpr> {
    let leaf = metrics_query().prop_map(|query| MathExpr::Query(Box::new(query)));
    leaf.prop_recursive(2, 3, 2, |inner| {
        let other = prop_oneof![plain_number().prop_map(MathExpr::Scalar), inner.clone()];
        let op = one_of(&[MathOp::Add, MathOp::Sub, MathOp::Mul, MathOp::Div]);
        (op, inner, other, any::<bool>()).prop_map(|(op, expr, other, swap)| {
            let (left, right) = if swap { (other, expr) } else { (expr, other) };
            MathExpr::Binary { op, left: Box::new(left), right: Box::new(right) }
        })
    })
}

fn scalar_comparison() -> impl Strategy<Value = ScalarFilter> {
    let wrapped_scalar =
        || (pipeline(), aggregate()).prop_map(|(pipeline, aggregate)| ScalarExpr::Wrapped { pipeline, aggregate: Box::new(aggregate) });
    let right = prop_oneof![wrapped_scalar(), constant().prop_map(ScalarExpr::Static)];
    (compare_op(), wrapped_scalar(), right).prop_map(|(op, left, right)| ScalarFilter { op, left, right })
}

fn body() -> impl Strategy<Value = Body> {
    let is_operation = |expr: &SpansetExpr| matches!(expr, SpansetExpr::Binary { .. });
    let wrapped = wrapped().prop_filter("a lone pipeline loses its parentheses", is_operation);
    let math = (math(), second_stages()).prop_map(|(expr, second_stages)| MathQuery { expr, second_stages });
    prop_oneof![
        3 => pipeline().prop_map(Body::Pipeline),
        1 => wrapped.prop_map(|expr| Body::Pipeline(Pipeline { stages: vec![Stage::Spansets(expr)] })),
        2 => metrics_query().prop_map(Body::Metrics),
        1 => math.prop_map(Body::Math),
        1 => scalar_comparison().prop_map(Body::ScalarComparison),
    ]
}

fn hint() -> impl Strategy<Value = Hint> {
    let is_literal = |value: &Static| match value {
        Static::Int(value) => *value >= 0 || *value == i64::MIN,
        Static::Float(value) => value.is_finite() && value.is_sign_positive(),
        Static::Duration(nanos) => *nanos >= 0,
        _ => true,
    };
    ("[a-z]{1,4}_x", constant().prop_filter("hints have no sign", is_literal)).prop_map(|(name, value)| Hint { name, value })
}

fn query() -> impl Strategy<Value = Query> {
    (body(), prop::collection::vec(hint(), 0..3)).prop_map(|(body, hints)| Query { body, hints })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, max_shrink_time: 10_000, ..ProptestConfig::default() })]

    /// Compared by their debug text, in which NaN equals itself and zeros keep their sign.
    #[test]
    fn printed_queries_parse_to_the_same_tree(query in query()) {
        let printed = query.to_string();
        let parsed = parse(&printed);
        prop_assert!(parsed.is_ok(), "{} gave {}", printed, parsed.expect_err("checked").drawing());
        prop_assert_eq!(format!("{:?}", parsed.ok()), format!("{:?}", Some(query)), "{}", printed);
    }

    #[test]
    fn canonical_attribute_names_are_identifiers(attribute in attribute()) {
        prop_assert_eq!(crate::traceql::parse_attribute(&attribute.canonical_text()), Ok(attribute));
    }
}
