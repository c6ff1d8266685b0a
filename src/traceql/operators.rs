//! The precedence table, and what each operator means between field expressions, spansets and scalars (spec/traceql.md §3.2).

use super::ast::{BinaryOp, CompareOp, MathOp, Relation, SpansetOp, UnaryOp};

/// One row of the precedence table.
#[derive(Debug)]
pub(super) struct Operator {
    pub(super) symbol: &'static str,
    /// Binding strength; a higher level binds tighter.
    pub(super) level: u8,
    /// Whether equal operators group from the right.
    pub(super) is_right_associative: bool,
    /// The meaning in field expressions and scalars.
    pub(super) field: Option<BinaryOp>,
    /// The meaning between spansets.
    pub(super) spanset: Option<SpansetOp>,
}

/// `&&` and `||` share the lowest level: they group strictly from left to right.
pub(super) const LOGICAL_LEVEL: u8 = 2;
/// Comparisons and structural operators.
pub(super) const COMPARISON_LEVEL: u8 = 3;
/// `+` and `-`, also `-` before an operand of a field expression.
pub(super) const SUM_LEVEL: u8 = 5;
/// `!` before an operand.
pub(super) const NOT_LEVEL: u8 = 6;
/// `*`, `/` and `%`.
pub(super) const PRODUCT_LEVEL: u8 = 7;
/// `^`
pub(super) const POWER_LEVEL: u8 = 8;

const fn row(symbol: &'static str, level: u8, field: Option<BinaryOp>, spanset: Option<SpansetOp>) -> Operator {
    Operator { symbol, level, is_right_associative: level == POWER_LEVEL, field, spanset }
}

/// Every binary operator. Level 1 is `|` and level 4 holds no operator, so neither appears here.
#[rustfmt::skip]
pub(super) const PRECEDENCE: &[Operator] = &[
    row("&&",  LOGICAL_LEVEL,    Some(BinaryOp::And),      Some(SpansetOp::And)),
    row("||",  LOGICAL_LEVEL,    Some(BinaryOp::Or),       Some(SpansetOp::Or)),

    row("=",   COMPARISON_LEVEL, Some(BinaryOp::Eq),       None),
    row("!=",  COMPARISON_LEVEL, Some(BinaryOp::Ne),       None),
    row("=~",  COMPARISON_LEVEL, Some(BinaryOp::Regex),    None),
    row("!~",  COMPARISON_LEVEL, Some(BinaryOp::NotRegex), Some(SpansetOp::NotRelated(Relation::Sibling))),
    row("<",   COMPARISON_LEVEL, Some(BinaryOp::Lt),       Some(SpansetOp::Related(Relation::Parent))),
    row("<=",  COMPARISON_LEVEL, Some(BinaryOp::Le),       None),
    row(">",   COMPARISON_LEVEL, Some(BinaryOp::Gt),       Some(SpansetOp::Related(Relation::Child))),
    row(">=",  COMPARISON_LEVEL, Some(BinaryOp::Ge),       None),
    row("<<",  COMPARISON_LEVEL, None,                     Some(SpansetOp::Related(Relation::Ancestor))),
    row(">>",  COMPARISON_LEVEL, None,                     Some(SpansetOp::Related(Relation::Descendant))),
    row("~",   COMPARISON_LEVEL, None,                     Some(SpansetOp::Related(Relation::Sibling))),
    row("!<",  COMPARISON_LEVEL, None,                     Some(SpansetOp::NotRelated(Relation::Parent))),
    row("!>",  COMPARISON_LEVEL, None,                     Some(SpansetOp::NotRelated(Relation::Child))),
    row("!<<", COMPARISON_LEVEL, None,                     Some(SpansetOp::NotRelated(Relation::Ancestor))),
    row("!>>", COMPARISON_LEVEL, None,                     Some(SpansetOp::NotRelated(Relation::Descendant))),
    row("&<",  COMPARISON_LEVEL, None,                     Some(SpansetOp::UnionRelated(Relation::Parent))),
    row("&>",  COMPARISON_LEVEL, None,                     Some(SpansetOp::UnionRelated(Relation::Child))),
    row("&<<", COMPARISON_LEVEL, None,                     Some(SpansetOp::UnionRelated(Relation::Ancestor))),
    row("&>>", COMPARISON_LEVEL, None,                     Some(SpansetOp::UnionRelated(Relation::Descendant))),
    row("&~",  COMPARISON_LEVEL, None,                     Some(SpansetOp::UnionRelated(Relation::Sibling))),

    row("+",   SUM_LEVEL,        Some(BinaryOp::Add),      None),
    row("-",   SUM_LEVEL,        Some(BinaryOp::Sub),      None),

    row("*",   PRODUCT_LEVEL,    Some(BinaryOp::Mul),      None),
    row("/",   PRODUCT_LEVEL,    Some(BinaryOp::Div),      None),
    row("%",   PRODUCT_LEVEL,    Some(BinaryOp::Mod),      None),

    row("^",   POWER_LEVEL,      Some(BinaryOp::Pow),      None),
];

impl Operator {
    /// The row of a symbol, if it is a binary operator at all.
    pub(super) fn of(symbol: &str) -> Option<&'static Self> {
        PRECEDENCE.iter().find(|row| row.symbol == symbol)
    }

    /// The lowest level an operator in the right operand may have.
    pub(super) fn right_level(&self) -> u8 {
        if self.is_right_associative { self.level } else { self.level + 1 }
    }
}

impl BinaryOp {
    /// The operator as written.
    pub fn symbol(self) -> &'static str {
        PRECEDENCE.iter().find(|row| row.field == Some(self)).map_or("", |row| row.symbol)
    }

    /// Whether the operator binds tighter than `+` and a minus sign.
    pub(super) fn binds_tighter_than_minus(self) -> bool {
        PRECEDENCE.iter().any(|row| row.field == Some(self) && row.level > SUM_LEVEL)
    }

    /// The operator as a comparison of scalars.
    pub(super) fn as_comparison(self) -> Option<CompareOp> {
        match self {
            Self::Eq => Some(CompareOp::Eq),
            Self::Ne => Some(CompareOp::Ne),
            Self::Lt => Some(CompareOp::Lt),
            Self::Le => Some(CompareOp::Le),
            Self::Gt => Some(CompareOp::Gt),
            Self::Ge => Some(CompareOp::Ge),
            _ => None,
        }
    }

    /// The operator as arithmetic between metrics queries.
    pub(super) fn as_math(self) -> Option<MathOp> {
        match self {
            Self::Add => Some(MathOp::Add),
            Self::Sub => Some(MathOp::Sub),
            Self::Mul => Some(MathOp::Mul),
            Self::Div => Some(MathOp::Div),
            _ => None,
        }
    }
}

impl SpansetOp {
    /// The operator as written.
    pub fn symbol(self) -> &'static str {
        PRECEDENCE.iter().find(|row| row.spanset == Some(self)).map_or("", |row| row.symbol)
    }
}

impl CompareOp {
    /// The operator as written.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Eq => "=",
            Self::Ne => "!=",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
        }
    }
}

impl MathOp {
    /// The operator as written.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
        }
    }
}

impl UnaryOp {
    /// The operator as written.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Not => "!",
            Self::Neg => "-",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_symbol_has_one_row() {
        for row in PRECEDENCE {
            assert_eq!(PRECEDENCE.iter().filter(|other| other.symbol == row.symbol).count(), 1, "{}", row.symbol);
            assert!(row.field.is_none_or(|op| op.symbol() == row.symbol));
            assert!(row.spanset.is_none_or(|op| op.symbol() == row.symbol));
            let comparison = row.field.and_then(BinaryOp::as_comparison);
            assert!(comparison.is_none_or(|op| op.symbol() == row.symbol));
            let math = row.field.and_then(BinaryOp::as_math);
            assert!(math.is_none_or(|op| op.symbol() == row.symbol));
        }
    }
}
