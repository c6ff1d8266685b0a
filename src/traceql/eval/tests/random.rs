//! Random expressions over random spans, compared with the row-by-row evaluator.

use super::super::{EvalError, Filter};
use super::reference::{keeps, rows_of};
use super::{Facts, append, array, key_value, request, text};
use crate::columns::Chunk;
use crate::proto::otlp::{AnyValue, Event, InstrumentationScope, KeyValue, KeyValueList, Span, Status, Value};
use crate::traceql::ast::{self, Attribute, BinaryOp, FieldExpr, Intrinsic, Kind, Scope, Static, UnaryOp};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

const KEYS: [&str; 3] = ["a", "b", "service.name"];
const TEXTS: [&str; 5] = ["", "x", "xy", "nil", "0000000000000001"];
const PATTERNS: [&str; 4] = ["x", "x?y?", "(?i)X.*", ""];
const INTRINSICS: [Intrinsic; 14] = [
    Intrinsic::Name,
    Intrinsic::Status,
    Intrinsic::StatusMessage,
    Intrinsic::Kind,
    Intrinsic::Duration,
    Intrinsic::SpanId,
    Intrinsic::ParentSpanId,
    Intrinsic::TraceDuration,
    Intrinsic::RootName,
    Intrinsic::RootServiceName,
    Intrinsic::TraceId,
    Intrinsic::InstrumentationName,
    Intrinsic::InstrumentationVersion,
    Intrinsic::Name,
];
const COMPARISONS: [BinaryOp; 6] = [BinaryOp::Eq, BinaryOp::Ne, BinaryOp::Lt, BinaryOp::Le, BinaryOp::Gt, BinaryOp::Ge];
const ARITHMETIC: [BinaryOp; 6] = [BinaryOp::Add, BinaryOp::Sub, BinaryOp::Mul, BinaryOp::Div, BinaryOp::Mod, BinaryOp::Pow];

fn a_text() -> impl Strategy<Value = String> {
    select(&TEXTS[..]).prop_map(str::to_owned)
}

fn plain_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        a_text().prop_map(Value::StringValue),
        (-2i64..3).prop_map(Value::IntValue),
        select(vec![-1.0, 0.0, 0.5, 1.0, 2.0, f64::NAN]).prop_map(Value::DoubleValue),
        any::<bool>().prop_map(Value::BoolValue),
    ]
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        6 => plain_value(),
        1 => vec(a_text().prop_map(Value::StringValue), 0..4).prop_map(array),
        1 => vec((-2i64..3).prop_map(Value::IntValue), 0..4).prop_map(array),
        1 => vec(any::<bool>().prop_map(Value::BoolValue), 0..4).prop_map(array),
        1 => vec(plain_value(), 0..3).prop_map(array),
        1 => Just(array([array([text("x")])])),
        1 => Just(Value::BytesValue(b"x".to_vec())),
        1 => Just(Value::KvlistValue(KeyValueList::default())),
    ]
}

fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    let one = |key: &'static str| {
        let without = KeyValue { key: key.to_owned(), value: Some(AnyValue::default()), ..KeyValue::default() };
        prop_oneof![3 => Just(None), 6 => any_value().prop_map(move |value| Some(key_value(key, value))), 1 => Just(Some(without))]
    };
    KEYS.map(one).prop_map(|list| list.into_iter().flatten().collect())
}

fn span() -> impl Strategy<Value = Span> {
    let times = (1u64..4, 0u64..5);
    (attributes(), a_text(), a_text(), -1i32..7, -1i32..4, times, 1u64..20, 0u64..3, 1u8..4).prop_map(
        |(attributes, name, message, kind, code, (start, end), id, parent, trace)| Span {
            trace_id: [[0; 15].as_slice(), &[trace]].concat(),
            span_id: id.to_be_bytes().to_vec(),
            parent_span_id: if parent == 0 { Vec::new() } else { parent.to_be_bytes().to_vec() },
            name,
            kind,
            start_time_unix_nano: start,
            end_time_unix_nano: end,
            events: if id % 4 == 1 {
                vec![Event { name: "x".to_owned(), attributes: attributes.clone(), ..Event::default() }]
            } else {
                Vec::new()
            },
            attributes,
            status: Some(Status { message, code }),
            ..Span::default()
        },
    )
}

/// The attributes of a resource, its scope and its spans.
pub(crate) type Origin = (Vec<KeyValue>, InstrumentationScope, Vec<Span>);

pub(crate) fn origins() -> impl Strategy<Value = Vec<Origin>> {
    let scope = (attributes(), a_text(), a_text()).prop_map(|(attributes, name, version)| InstrumentationScope {
        attributes,
        name,
        version,
        ..InstrumentationScope::default()
    });
    vec((attributes(), scope, vec(span(), 0..6)), 0..5)
}

pub(crate) fn chunk_of(origins: Vec<Origin>) -> Chunk {
    let mut chunk = Chunk::default();
    for (resource, scope, spans) in origins {
        append(&mut chunk, &request(resource, scope, spans));
    }
    chunk
}

fn attribute() -> impl Strategy<Value = Attribute> {
    let scopes = vec![Scope::Span, Scope::Span, Scope::Resource, Scope::None, Scope::None, Scope::Instrumentation];
    prop_oneof![
        3 => (select(scopes), select(&KEYS[..])).prop_map(|(scope, key)| Attribute::scoped(scope, key)),
        1 => select(&INTRINSICS[..]).prop_map(Attribute::Intrinsic),
    ]
}

fn literal() -> impl Strategy<Value = Static> {
    prop_oneof![
        4 => a_text().prop_map(Static::Str),
        4 => (-2i64..3).prop_map(Static::Int),
        2 => select(vec![-1.0, 0.5, 1.0, 2.0]).prop_map(Static::Float),
        2 => any::<bool>().prop_map(Static::Bool),
        1 => (0i64..3).prop_map(Static::Duration),
        1 => select(&ast::Status::ALL[..]).prop_map(Static::Status),
        1 => select(&Kind::ALL[..]).prop_map(Static::Kind),
    ]
}

fn binary(op: BinaryOp, left: FieldExpr, right: FieldExpr) -> FieldExpr {
    FieldExpr::Binary { op, left: Box::new(left), right: Box::new(right) }
}

fn unary(op: UnaryOp, operand: FieldExpr) -> FieldExpr {
    FieldExpr::Unary { op, operand: Box::new(operand) }
}

fn comparison() -> impl Strategy<Value = FieldExpr> {
    (attribute(), select(&COMPARISONS[..]), literal(), any::<bool>()).prop_map(|(attribute, op, literal, is_first)| {
        let (attribute, literal) = (FieldExpr::Attribute(attribute), FieldExpr::Static(literal));
        if is_first { binary(op, literal, attribute) } else { binary(op, attribute, literal) }
    })
}

fn leaf() -> impl Strategy<Value = FieldExpr> {
    let regex = (attribute(), any::<bool>(), select(&PATTERNS[..])).prop_map(|(attribute, is_match, pattern)| {
        let op = if is_match { BinaryOp::Regex } else { BinaryOp::NotRegex };
        binary(op, FieldExpr::Attribute(attribute), FieldExpr::Static(Static::Str(pattern.to_owned())))
    });
    let number = || {
        prop_oneof![
            3 => attribute().prop_map(FieldExpr::Attribute),
            1 => attribute().prop_map(|attribute| unary(UnaryOp::Neg, FieldExpr::Attribute(attribute))),
            2 => (-2i64..3).prop_map(|int| FieldExpr::Static(Static::Int(int))),
            1 => Just(FieldExpr::Static(Static::Float(1.5))),
        ]
    };
    // The false of arithmetic with missing operands (§6.7) would equal a false attribute, but such spans are left out (§7 item 1).
    let constant = prop_oneof![(-2i64..3).prop_map(Static::Int), Just(Static::Float(0.5))].prop_map(FieldExpr::Static);
    let arithmetic = (number(), select(&ARITHMETIC[..]), number(), select(&COMPARISONS[..]), constant)
        .prop_map(|(left, op, right, comparison, other)| binary(comparison, binary(op, left, right), other));
    let attribute_pair = (attribute(), select(&COMPARISONS[..]), attribute())
        .prop_map(|(left, op, right)| binary(op, FieldExpr::Attribute(left), FieldExpr::Attribute(right)));
    prop_oneof![
        10 => comparison(),
        2 => regex,
        2 => attribute().prop_map(|attribute| FieldExpr::IsNil(Box::new(FieldExpr::Attribute(attribute)))),
        2 => attribute().prop_map(|attribute| FieldExpr::NotNil(Box::new(FieldExpr::Attribute(attribute)))),
        2 => attribute().prop_map(FieldExpr::Attribute),
        1 => attribute().prop_map(|attribute| unary(UnaryOp::Not, FieldExpr::Attribute(attribute))),
        1 => any::<bool>().prop_map(|bit| FieldExpr::Static(Static::Bool(bit))),
        2 => arithmetic,
        3 => attribute_pair,
    ]
}

fn is_comparison(expression: &FieldExpr) -> bool {
    !matches!(expression, FieldExpr::Attribute(_))
}

pub(crate) fn expression() -> impl Strategy<Value = FieldExpr> {
    leaf().prop_recursive(4, 16, 2, |inner| {
        prop_oneof![
            4 => (inner.clone(), inner.clone()).prop_map(|(left, right)| binary(BinaryOp::And, left, right)),
            4 => (inner.clone(), inner.clone()).prop_map(|(left, right)| binary(BinaryOp::Or, left, right)),
            2 => inner.clone().prop_map(|operand| unary(UnaryOp::Not, operand)),
            1 => (inner.prop_filter("not a bare attribute", is_comparison), any::<bool>())
                .prop_map(|(operand, bit)| binary(BinaryOp::Eq, operand, FieldExpr::Static(Static::Bool(bit)))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    /// Where the slow evaluator fails on a span, the other one may never have looked at it (§6.2 rule 1, §7 item 1).
    #[test]
    fn both_evaluators_agree(origins in origins(), expression in expression()) {
        let chunk = chunk_of(origins);
        let expected: Vec<_> = rows_of(&chunk).iter().map(|row| keeps(&expression, row)).collect();
        let filter = Filter::compile(&expression).expect("everything here is supported");
        match filter.select(&chunk, &Facts(&chunk)) {
            Ok(rows) => {
                for (row, kept) in expected.iter().enumerate() {
                    if let Ok(kept) = kept {
                        prop_assert_eq!(rows.contains(row as u32), *kept, "row {} of {:?}", row, filter);
                    }
                }
            }
            Err(EvalError::Runtime(text)) => prop_assert!(expected.iter().any(Result::is_err), "{}", text),
            Err(other) => prop_assert!(false, "{}", other),
        }
    }
}
