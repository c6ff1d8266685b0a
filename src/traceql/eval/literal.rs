//! `attribute op literal` as a typed test (spec/traceql.md §7 item 3).

use super::EvalError;
use super::condition::{Compare, OneOf, Test, TextTest};
use super::leaf::without_leading_zeros;
use super::place::{Place, SpanColumn, TraceFact};
use crate::traceql::ast::{BinaryOp, Static};
use crate::traceql::regex::compile_regex;

/// The test of `place op literal`; `None` if no value can pass it.
pub(super) fn test(place: &Place, op: BinaryOp, literal: &Static) -> Result<Option<Test>, EvalError> {
    Ok(match place {
        Place::Span(_) | Place::Resource(_) | Place::Unscoped(_) | Place::Scope(_) => attribute_test(op, literal)?,
        Place::ScopeName | Place::ScopeVersion => text_test(op, literal)?.map(Test::Text),
        Place::Column(SpanColumn::Name | SpanColumn::StatusMessage | SpanColumn::LinkedTrace) => text_test(op, literal)?.map(Test::Text),
        Place::Trace(TraceFact::RootName | TraceFact::RootService) => text_test(op, literal)?.map(Test::Text),
        Place::Trace(TraceFact::Id) => text_test(op, literal)?.map(without_leading_zeros).map(Test::Text),
        Place::Column(SpanColumn::SpanId | SpanColumn::ParentId) => text_test(op, literal)?.map(Test::SpanId),
        Place::Column(SpanColumn::Duration | SpanColumn::SinceStart) | Place::Trace(TraceFact::Duration) => duration_test(op, literal),
        Place::Tree(_) => tree_test(op, literal),
        Place::Detail(_, inner) => return test(inner, op, literal),
        Place::Column(SpanColumn::Status) => match literal {
            Static::Status(status) => one_of(op, *status).map(Test::Status),
            _ => None,
        },
        Place::Column(SpanColumn::Kind) => match literal {
            Static::Kind(kind) => one_of(op, *kind).map(Test::Kind),
            _ => None,
        },
    })
}

/// Attributes have no durations, statuses and kinds, so such literals never match them.
fn attribute_test(op: BinaryOp, literal: &Static) -> Result<Option<Test>, EvalError> {
    Ok(match literal {
        Static::Str(_) => text_test(op, literal)?.map(Test::Text),
        Static::Int(int) => compare(op, *int).map(Test::Int),
        Static::Float(double) => compare(op, *double).map(Test::Double),
        Static::Bool(bit) if matches!(op, BinaryOp::Eq | BinaryOp::Ne) => compare(op, *bit).map(Test::Bool),
        _ => None,
    })
}

fn text_test(op: BinaryOp, literal: &Static) -> Result<Option<TextTest>, EvalError> {
    let Static::Str(text) = literal else { return Ok(None) };
    Ok(match op {
        BinaryOp::Regex | BinaryOp::NotRegex => Some(regex_test(op, text)?),
        _ => compare(op, text.as_bytes().into()).map(TextTest::Compare),
    })
}

/// The test of `=~ pattern` or `!~ pattern`.
pub(super) fn regex_test(op: BinaryOp, pattern: &str) -> Result<TextTest, EvalError> {
    let regex = compile_regex(pattern).map_err(|_| EvalError::Pattern(pattern.to_owned()))?;
    Ok(match op {
        BinaryOp::NotRegex => TextTest::MatchesNone(vec![regex]),
        _ => TextTest::MatchesAny(vec![regex]),
    })
}

fn duration_test(op: BinaryOp, literal: &Static) -> Option<Test> {
    match literal {
        Static::Int(nanos) | Static::Duration(nanos) => compare(op, i128::from(*nanos)).map(Test::Nanos),
        Static::Float(nanos) => compare(op, *nanos).map(Test::NanosDouble),
        _ => None,
    }
}

fn tree_test(op: BinaryOp, literal: &Static) -> Option<Test> {
    match literal {
        Static::Int(int) | Static::Duration(int) => compare(op, *int).map(Test::Int),
        Static::Float(double) => compare(op, *double).map(Test::NanosDouble),
        _ => None,
    }
}

fn one_of<T>(op: BinaryOp, word: T) -> Option<OneOf<T>> {
    match op {
        BinaryOp::Eq => Some(OneOf::In(vec![word])),
        BinaryOp::Ne => Some(OneOf::NotIn(vec![word])),
        _ => None,
    }
}

fn compare<T>(op: BinaryOp, literal: T) -> Option<Compare<T>> {
    match op {
        BinaryOp::Eq => Some(Compare::In(vec![literal])),
        BinaryOp::Ne => Some(Compare::NotIn(vec![literal])),
        BinaryOp::Lt => Some(Compare::Lt(literal)),
        BinaryOp::Le => Some(Compare::Le(literal)),
        BinaryOp::Gt => Some(Compare::Gt(literal)),
        BinaryOp::Ge => Some(Compare::Ge(literal)),
        _ => None,
    }
}
