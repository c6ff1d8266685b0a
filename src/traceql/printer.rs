//! The canonical text of a tree (spec/traceql.md §14): labels, cache keys, logs, messages. It parses back to an equal tree.

use std::fmt::{self, Display, Formatter, Write};

use super::ast::{
    Aggregate, AggregateOp, Attribute, BinaryOp, Body, Compare, FieldExpr, Hint, MathExpr, MathQuery, MetricsFunction, MetricsQuery,
    Pipeline, Query, ScalarExpr, ScalarFilter, SecondStage, SpansetExpr, Stage, Static,
};
use super::duration::format_duration;

/// The text of a double as in Go's shortest form, with `.0` where it would look like an int: `1.0`, `0.5`, `1e+06` (§14).
pub fn format_float(value: f64) -> String {
    if !value.is_finite() {
        return if value.is_nan() {
            "NaN".to_owned()
        } else if value > 0.0 {
            "+Inf".to_owned()
        } else {
            "-Inf".to_owned()
        };
    }
    let scientific = format!("{value:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..6).contains(&exponent) {
        format!("{value:?}") // always has a point in this range
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
    }
}

impl Display for Query {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        self.body.fmt(out)?;
        if !self.hints.is_empty() {
            out.write_str(" with(")?;
            write_list(out, &self.hints, ",")?;
            out.write_char(')')?;
        }
        Ok(())
    }
}

impl Display for Hint {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, "{}={}", self.name, self.value)
    }
}

impl Display for Body {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pipeline(pipeline) => pipeline.fmt(out),
            Self::ScalarComparison(filter) => filter.fmt(out),
            Self::Metrics(query) => query.fmt(out),
            Self::Math(math) => math.fmt(out),
        }
    }
}

impl Display for Pipeline {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write_list(out, &self.stages, "|")
    }
}

impl Display for Stage {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spansets(expr) => expr.fmt(out),
            Self::ScalarFilter(filter) => filter.fmt(out),
            Self::GroupBy(expr) => write!(out, "by({expr})"),
            Self::Coalesce => out.write_str("coalesce()"),
            Self::Select(attributes) => {
                out.write_str("select(")?;
                write_list(out, attributes, ", ")?;
                out.write_char(')')
            }
        }
    }
}

impl Display for SpansetExpr {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Filter(expr) => write!(out, "{{ {expr} }}"),
            // The operand position writes the parentheses.
            Self::Wrapped(pipeline) => pipeline.fmt(out),
            Self::Binary { op, left, right } => {
                left.write_operand(out)?;
                write!(out, " {} ", op.symbol())?;
                right.write_operand(out)
            }
        }
    }
}

impl SpansetExpr {
    fn write_operand(&self, out: &mut Formatter<'_>) -> fmt::Result {
        // `({ a }) > ({ b }|by(c))` cannot be read in parentheses of its own, only as part of a longer chain that begins with a
        // pipeline (§3.3). The parser builds it nowhere else, and there precedence makes the parentheses superfluous.
        if self.holds_pipeline() && !self.begins_with_pipeline() { self.fmt(out) } else { write!(out, "({self})") }
    }

    fn begins_with_pipeline(&self) -> bool {
        match self {
            Self::Filter(_) => false,
            Self::Wrapped(_) => true,
            Self::Binary { left, .. } => left.begins_with_pipeline(),
        }
    }

    fn holds_pipeline(&self) -> bool {
        match self {
            Self::Filter(_) => false,
            Self::Wrapped(_) => true,
            Self::Binary { left, right, .. } => left.holds_pipeline() || right.holds_pipeline(),
        }
    }
}

impl Display for ScalarFilter {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        self.left.write_operand(out)?;
        write!(out, " {} ", self.op.symbol())?;
        self.right.write_operand(out)
    }
}

impl Display for ScalarExpr {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Static(value) => ScalarText(value).fmt(out),
            Self::Aggregate(aggregate) => aggregate.fmt(out),
            Self::Wrapped { pipeline, aggregate } => write!(out, "{pipeline}|{aggregate}"),
            Self::Binary { op, left, right } => {
                left.write_operand(out)?;
                write!(out, " {} ", op.symbol())?;
                right.write_operand(out)
            }
        }
    }
}

impl ScalarExpr {
    fn write_operand(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Static(value) => ScalarText(value).fmt(out),
            _ => write!(out, "({self})"),
        }
    }
}

impl Display for Aggregate {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count => out.write_str("count()"),
            Self::Over { op, operand } => write!(out, "{}({operand})", op.as_str()),
        }
    }
}

impl AggregateOp {
    /// The word of the language.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Max => "max",
            Self::Min => "min",
            Self::Avg => "avg",
            Self::Sum => "sum",
        }
    }
}

impl Display for FieldExpr {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Static(value) => value.fmt(out),
            Self::Attribute(attribute) => attribute.fmt(out),
            Self::Unary { op, operand } => {
                out.write_str(op.symbol())?;
                operand.write_operand(out)
            }
            Self::Binary { op, left, right } => {
                write_left(out, *op, left)?;
                write!(out, " {} ", op.symbol())?;
                right.write_operand(out)
            }
            Self::IsNil(operand) => {
                operand.write_operand(out)?;
                out.write_str(" = nil")
            }
            Self::NotNil(operand) => {
                operand.write_operand(out)?;
                out.write_str(" != nil")
            }
        }
    }
}

impl FieldExpr {
    fn write_operand(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Static(value) => value.fmt(out),
            Self::Attribute(attribute) => attribute.fmt(out),
            _ => write!(out, "({self})"),
        }
    }
}

/// `-2 * .a` would read as the negative of a product, so a negative number is parenthesised before tighter operators.
fn write_left(out: &mut Formatter<'_>, op: BinaryOp, left: &FieldExpr) -> fmt::Result {
    match left {
        FieldExpr::Static(value) if op.binds_tighter_than_minus() && is_negative(value) => write!(out, "({value})"),
        _ => left.write_operand(out),
    }
}

fn is_negative(value: &Static) -> bool {
    match value {
        Static::Int(value) | Static::Duration(value) => *value < 0,
        Static::Float(value) => value.is_sign_negative(),
        _ => false,
    }
}

impl Display for Static {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nil => out.write_str("nil"),
            // Its digits alone are no literal (§2.2).
            Self::Int(i64::MIN) => out.write_str("minInt"),
            Self::Int(value) => value.fmt(out),
            Self::Float(value) => write_float(out, *value),
            Self::Str(text) => write_text(out, text),
            Self::Bool(value) => value.fmt(out),
            Self::Duration(nanos) => out.write_str(&format_duration(*nanos)),
            Self::Status(status) => out.write_str(status.as_str()),
            Self::Kind(kind) => out.write_str(kind.as_str()),
        }
    }
}

/// A constant where `minInt` is no word: in scalars.
struct ScalarText<'a>(&'a Static);

impl Display for ScalarText<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Static::Int(i64::MIN) => write!(out, "({} - 1)", i64::MIN + 1),
            value => value.fmt(out),
        }
    }
}

/// Doubles that are not finite come only from folding and are written as what folds to them.
fn write_float(out: &mut Formatter<'_>, value: f64) -> fmt::Result {
    if value.is_finite() {
        return out.write_str(&format_float(value));
    }
    out.write_str(if value.is_nan() {
        "(0.0 / 0.0)"
    } else if value > 0.0 {
        "(1.0 / 0.0)"
    } else {
        "(-1.0 / 0.0)"
    })
}

/// Between backticks, unless the text holds one.
fn write_text(out: &mut Formatter<'_>, text: &str) -> fmt::Result {
    if !text.contains('`') {
        return write!(out, "`{text}`");
    }
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    write!(out, "\"{escaped}\"")
}

impl Display for MetricsQuery {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, "{}|{}", self.pipeline, self.function)?;
        write_list(out, &self.second_stages, "")
    }
}

impl Display for MetricsFunction {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, "{}(", self.name())?;
        match self {
            Self::Counting { .. } => {}
            Self::OverTime { attribute, .. } => attribute.fmt(out)?,
            Self::Quantile { attribute, quantiles, .. } => {
                attribute.fmt(out)?;
                quantiles.iter().try_for_each(|quantile| write_quantile(out, *quantile))?;
            }
            Self::Compare(compare) => compare.fmt(out)?,
        }
        out.write_char(')')?;
        write_group_list(out, self.group_by())
    }
}

/// Five decimals (§14), more where these are not exact.
fn write_quantile(out: &mut Formatter<'_>, quantile: f64) -> fmt::Result {
    let short = format!("{quantile:.5}");
    if short.parse() == Ok(quantile) { write!(out, ",{short}") } else { write!(out, ",{quantile:?}") }
}

fn write_group_list(out: &mut Formatter<'_>, by: &[Attribute]) -> fmt::Result {
    if by.is_empty() {
        return Ok(());
    }
    out.write_str("by(")?;
    write_list(out, by, ",")?;
    out.write_char(')')
}

impl Display for Compare {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, "{{ {} }},{}", self.selection, self.top_n)?;
        match self.window {
            Some(window) => write!(out, ",{},{}", window.start_unix_nanos, window.end_unix_nanos),
            None => Ok(()),
        }
    }
}

impl Display for SecondStage {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::TopK(count) => write!(out, "|topk({count})"),
            Self::BottomK(count) => write!(out, "|bottomk({count})"),
            Self::Compare { op, value } => write!(out, " {} {}", op.symbol(), ScalarText(value)),
        }
    }
}

impl Display for MathQuery {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        self.expr.fmt(out)?;
        write_list(out, &self.second_stages, "")
    }
}

impl Display for MathExpr {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scalar(value) => ScalarText(value).fmt(out),
            Self::Query(query) => write!(out, "({query})"),
            Self::Binary { op, left, right } => {
                left.write_operand(out)?;
                write!(out, " {} ", op.symbol())?;
                right.write_operand(out)
            }
        }
    }
}

impl MathExpr {
    /// Queries have parentheses of their own.
    fn write_operand(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Binary { .. } => write!(out, "({self})"),
            Self::Scalar(_) | Self::Query(_) => self.fmt(out),
        }
    }
}

fn write_list<T: Display>(out: &mut Formatter<'_>, items: &[T], separator: &str) -> fmt::Result {
    for (position, item) in items.iter().enumerate() {
        if position > 0 {
            out.write_str(separator)?;
        }
        item.fmt(out)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
