//! Validation of a parsed query: types, and what has no meaning or no implementation (spec/traceql.md §4 and §13.2).
//!
//! Operands are checked before the operation they belong to, so the innermost violation is reported.

use super::ast::{
    Aggregate, Attribute, BinaryOp, Body, Compare, FieldExpr, Intrinsic, MathExpr, MetricsFunction, MetricsQuery, OverTimeOp, Pipeline,
    Query, ScalarExpr, ScalarFilter, Scope, SecondStage, SpansetExpr, Stage, Static, Type, UnaryOp,
};
use super::error::ErrorKind;
use super::regex::compile_regex;
use super::types::{type_allows, type_allows_unary, types_match};

type Checked = Result<(), ErrorKind>;

/// Labels a series can have.
const MAX_LABELS: usize = 5;

/// Largest number of values a `compare` can keep.
const MAX_TOP_N: i64 = 1000;

pub(super) fn check_query(query: &Query) -> Checked {
    match &query.body {
        Body::Pipeline(pipeline) => check_pipeline(pipeline),
        Body::ScalarComparison(filter) => check_scalar_filter(filter),
        Body::Metrics(query) => check_metrics(query),
        Body::Math(math) => {
            check_math(&math.expr)?;
            math.second_stages.iter().try_for_each(check_second_stage)
        }
    }
}

fn check_pipeline(pipeline: &Pipeline) -> Checked {
    pipeline.stages.iter().try_for_each(|stage| match stage {
        Stage::Spansets(expr) => check_spansets(expr),
        Stage::ScalarFilter(filter) => check_scalar_filter(filter),
        Stage::GroupBy(expr) => check_group_by(expr),
        Stage::Coalesce => Ok(()),
        Stage::Select(attributes) => attributes.iter().try_for_each(check_attribute),
    })
}

fn check_spansets(expr: &SpansetExpr) -> Checked {
    match expr {
        SpansetExpr::Filter(filter) => check_filter(filter),
        SpansetExpr::Wrapped(pipeline) => check_pipeline(pipeline),
        SpansetExpr::Binary { left, right, .. } => {
            check_spansets(left)?;
            check_spansets(right)
        }
    }
}

/// A bare attribute may turn out to be a bool; anything else must be one.
fn check_filter(filter: &FieldExpr) -> Checked {
    check_field(filter)?;
    match filter.static_type() {
        Type::Bool | Type::Attribute => Ok(()),
        _ => Err(ErrorKind::FilterNotBoolean(format!("{{ {filter} }}"))),
    }
}

fn check_group_by(expr: &FieldExpr) -> Checked {
    check_field(expr)?;
    if expr.references_span() { Ok(()) } else { Err(ErrorKind::GroupingWithoutSpan(format!("by({expr})"))) }
}

/// Only `aggregate op constant` has a meaning.
fn check_scalar_filter(filter: &ScalarFilter) -> Checked {
    let ScalarExpr::Aggregate(aggregate) = &filter.left else {
        return Err(ErrorKind::ScalarFilterLeft);
    };
    check_aggregate(aggregate)?;
    match filter.right {
        ScalarExpr::Static(_) => Ok(()),
        _ => Err(ErrorKind::ScalarFilterRight),
    }
}

fn check_aggregate(aggregate: &Aggregate) -> Checked {
    let Aggregate::Over { operand, .. } = aggregate else {
        return Ok(());
    };
    check_field(operand)?;
    let operand_type = operand.static_type();
    if !operand_type.is_number() && operand_type != Type::Attribute {
        return Err(ErrorKind::AggregateNotNumber(aggregate.to_string()));
    }
    if !operand.references_span() {
        return Err(ErrorKind::AggregateWithoutSpan(aggregate.to_string()));
    }
    Ok(())
}

fn check_attribute(attribute: &Attribute) -> Checked {
    match attribute {
        Attribute::Intrinsic(Intrinsic::Parent) => Err(ErrorKind::ParentIntrinsic),
        Attribute::Scoped { scope, .. } if scope.is_parent() => Err(ErrorKind::ParentScope),
        _ => Ok(()),
    }
}

fn check_field(expr: &FieldExpr) -> Checked {
    match expr {
        FieldExpr::Static(_) => Ok(()),
        FieldExpr::Attribute(attribute) => check_attribute(attribute),
        FieldExpr::Unary { op, operand } => {
            check_field(operand)?;
            check_unary(*op, operand, expr)
        }
        FieldExpr::Binary { op, left, right } => {
            check_field(left)?;
            check_field(right)?;
            check_binary(*op, left, right, expr)
        }
        FieldExpr::NotNil(operand) => check_field(operand),
        FieldExpr::IsNil(operand) => {
            check_field(operand)?;
            check_can_be_nil(operand)
        }
    }
}

fn check_unary(op: UnaryOp, operand: &FieldExpr, whole: &FieldExpr) -> Checked {
    if type_allows_unary(operand.static_type(), op) { Ok(()) } else { Err(ErrorKind::IllegalUnary(whole.to_string())) }
}

fn check_binary(op: BinaryOp, left: &FieldExpr, right: &FieldExpr, whole: &FieldExpr) -> Checked {
    let (left_type, right_type) = (left.static_type(), right.static_type());
    if !types_match(left_type, right_type) {
        return Err(ErrorKind::TypeMismatch(whole.to_string()));
    }
    if !type_allows(left_type, op) || !type_allows(right_type, op) {
        return Err(ErrorKind::IllegalBinary(whole.to_string()));
    }
    if !matches!(op, BinaryOp::Regex | BinaryOp::NotRegex) {
        return Ok(());
    }
    match right {
        FieldExpr::Static(Static::Str(pattern)) => match compile_regex(pattern) {
            Ok(_) => Ok(()),
            Err(_) => Err(ErrorKind::InvalidRegex(pattern.clone())),
        },
        _ => Err(ErrorKind::RegexNotLiteral(right.to_string())),
    }
}

/// Intrinsics and the service name are columns that every span has.
fn check_can_be_nil(operand: &FieldExpr) -> Checked {
    let FieldExpr::Attribute(attribute) = operand else {
        return Ok(());
    };
    let intrinsic = match attribute {
        Attribute::Intrinsic(_) => true,
        Attribute::Scoped { scope: Scope::Resource, key } if key == "service.name" => false,
        Attribute::Scoped { .. } => return Ok(()),
    };
    Err(ErrorKind::NeverNil { name: attribute.canonical_text(), intrinsic })
}

fn check_metrics(query: &MetricsQuery) -> Checked {
    check_pipeline(&query.pipeline)?;
    check_function(&query.function)?;
    if matches!(query.function, MetricsFunction::Compare(_)) && !query.second_stages.is_empty() {
        return Err(ErrorKind::CompareNotLast);
    }
    query.second_stages.iter().try_for_each(check_second_stage)
}

fn check_math(expr: &MathExpr) -> Checked {
    match expr {
        MathExpr::Scalar(_) => Ok(()),
        MathExpr::Query(query) => {
            check_metrics(query)?;
            match query.function {
                MetricsFunction::Compare(_) => Err(ErrorKind::CompareNotLast),
                _ => Ok(()),
            }
        }
        MathExpr::Binary { left, right, .. } => {
            check_math(left)?;
            check_math(right)
        }
    }
}

/// The attributes of a function are not looked at: those of the parent scope just read as nil (§5.1).
fn check_function(function: &MetricsFunction) -> Checked {
    // These functions need one label for themselves.
    let has_own_label = match function {
        MetricsFunction::OverTime { op, .. } => matches!(op, OverTimeOp::Avg | OverTimeOp::Histogram),
        MetricsFunction::Quantile { .. } => true,
        MetricsFunction::Counting { .. } | MetricsFunction::Compare(_) => false,
    };
    let num_groups = function.group_by().len();
    if num_groups + usize::from(has_own_label) > MAX_LABELS {
        return Err(ErrorKind::TooManyGroups(num_groups));
    }
    match function {
        MetricsFunction::Quantile { quantiles, .. } => match quantiles.iter().find(|quantile| !(0.0..=1.0).contains(*quantile)) {
            Some(quantile) => Err(ErrorKind::QuantileOutOfRange(*quantile)),
            None => Ok(()),
        },
        MetricsFunction::Compare(compare) => check_compare(compare),
        MetricsFunction::Counting { .. } | MetricsFunction::OverTime { .. } => Ok(()),
    }
}

fn check_compare(compare: &Compare) -> Checked {
    check_filter(&compare.selection)?;
    if !(1..=MAX_TOP_N).contains(&compare.top_n) {
        return Err(ErrorKind::CompareTopN);
    }
    match compare.window {
        Some(window) if window.start_unix_nanos <= 0 || window.end_unix_nanos <= 0 => Err(ErrorKind::CompareTimestamps),
        Some(window) if window.end_unix_nanos <= window.start_unix_nanos => Err(ErrorKind::CompareWindow),
        _ => Ok(()),
    }
}

fn check_second_stage(stage: &SecondStage) -> Checked {
    match stage {
        SecondStage::TopK(count) | SecondStage::BottomK(count) if *count <= 0 => Err(ErrorKind::ZeroLimit),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use crate::traceql::compile;

    /// The message of a query that parses but is refused.
    fn message(text: &str) -> String {
        let Err(error) = compile(text) else {
            return "accepted".to_owned();
        };
        assert_eq!(error.span(), None, "{text}: {error}");
        error.to_string()
    }

    #[test]
    fn messages_of_expressions() {
        for (text, expected) in [
            ("{ name = 1 }", "binary operations must operate on the same type: name = 1"),
            ("{ status = \"error\" }", "binary operations must operate on the same type: status = `error`"),
            ("{ kind = error }", "binary operations must operate on the same type: kind = error"),
            ("{ 1 && true }", "binary operations must operate on the same type: 1 && true"),
            ("{ status > ok }", "illegal operation for the given types: status > ok"),
            ("{ \"a\" + \"b\" = \"ab\" }", "illegal operation for the given types: `a` + `b`"),
            ("{ .a + \"x\" = 1 }", "illegal operation for the given types: .a + `x`"),
            ("{ .a =~ 1 }", "illegal operation for the given types: .a =~ 1"),
            ("{ !name }", "illegal operation for the given type: !name"),
            ("{ -true }", "illegal operation for the given type: -true"),
            ("{ .a =~ .b }", "invalid type for =~ or !~: .b"),
            ("{ name =~ \"(\" }", "invalid regex: `(`"),
            ("{ .a !~ \"(?=x)\" }", "invalid regex: `(?=x)`"),
            ("{ 1 }", "span filter field expressions must resolve to a boolean: { 1 }"),
            ("{ .a + 1 }", "span filter field expressions must resolve to a boolean: { .a + 1 }"),
            ("{ name = nil }", "name=nil is not valid because intrinsics cannot be nil"),
            ("{ nil = resource.service.name }", "resource.service.name=nil is not valid because resource.service.name cannot be nil"),
            ("{ parent.span.a = 1 }", "parent not yet supported"),
            ("{ parent != nil }", "intrinsic (parent) not yet supported"),
        ] {
            assert_eq!(message(text), expected, "{text}");
        }
    }

    #[test]
    fn messages_of_stages() {
        for (text, expected) in [
            ("{} | max(name) > 1", "aggregate field expressions must resolve to a number type: max(name)"),
            ("{} | avg(1) > 1", "aggregate field expressions must reference the span: avg(1)"),
            ("{} | by(1)", "grouping field expressions must reference the span: by(1)"),
            ("{} | by(name + 1)", "binary operations must operate on the same type: name + 1"),
            ("{} | select(name, parent.a)", "parent not yet supported"),
            ("{} | 2 < count()", "scalar filter lhs of type (%v) not yet supported"),
            ("{} | count() > avg(duration)", "scalar filter rhs of type (%v) not yet supported"),
            ("({} | count()) > 1", "scalar filter lhs of type (%v) not yet supported"),
        ] {
            assert_eq!(message(text), expected, "{text}");
        }
    }

    #[test]
    fn messages_of_metrics() {
        for (text, expected) in [
            ("{} | rate() by (.a,.b,.c,.d,.e,.f)", "metrics group by 6 values not yet supported"),
            ("{} | avg_over_time(.a) by (.a,.b,.c,.d,.e)", "metrics group by 5 values not yet supported"),
            ("{} | quantile_over_time(duration, 0.5, 99)", "quantile must be between 0 and 1: 99"),
            ("{} | quantile_over_time(duration, 1.5)", "quantile must be between 0 and 1: 1.5"),
            ("{} | rate() | topk(0)", "limit must be greater than 0"),
            ("({} | rate()) * 2 | bottomk(0)", "limit must be greater than 0"),
            ("{} | compare({}, 0)", "compare() top number of values must be an integer between 1 and 1000"),
            ("{} | compare({}, 1, 0, 5)", "compare() timestamps must be positive integer unix nanoseconds"),
            ("{} | compare({}, 1, 5, 5)", "compare() end timestamp must be greater than start timestamp"),
            ("{} | compare({}) > 1", "`compare()` cannot be used with second stage functions"),
            ("1 + ({} | compare({}))", "`compare()` cannot be used with second stage functions"),
            ("{} | compare({ 1 })", "span filter field expressions must resolve to a boolean: { 1 }"),
        ] {
            assert_eq!(message(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_checked() {
        for text in [
            "{ .a }",
            "{ .a + .b }",
            "{ .a = error && .a = 1s }",
            "{ instrumentation:name > 1 }",
            "{ 1 / 0 = 1 }",
            "{ name != nil }",
            "{ (.a + .b) = nil }",
            "{} | count() > 5s",
            "{} | max(.a) > 1",
            "{} | rate() by (parent.a, parent)",
            "{} | compare({}, 1000, 0, 0)",
            "{} | rate() by (.a,.b,.c,.d,.e)",
        ] {
            assert_eq!(message(text), "accepted", "{text}");
        }
    }
}
