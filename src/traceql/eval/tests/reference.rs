//! A slow evaluator that looks at one span after the other and follows spec/traceql.md chapter 6 sentence by sentence, with the
//! literal rule of §7 item 3. It shares no code with the real one.

use crate::columns::Chunk;
use crate::columns::export::export;
use crate::proto::otlp::{AnyValue, InstrumentationScope, KeyValue, Span, Value};
use crate::traceql::ast::{Attribute, BinaryOp, FieldExpr, Intrinsic, Scope, Static, UnaryOp};
use regex::Regex;
use std::cmp::Ordering;

/// An evaluation error (§13.4); which one does not matter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Failed;

#[derive(Debug, Clone, PartialEq)]
enum Val {
    Nil,
    Int(i64),
    Float(f64),
    Str(String),
    Bool(bool),
    Duration(u64),
    Status(i32),
    Kind(i32),
    Array(Vec<Val>),
}

/// A span with all that surrounds it.
pub(super) struct Row {
    span: Span,
    resource: Vec<KeyValue>,
    scope: InstrumentationScope,
    trace_duration: u64,
    root_name: String,
    root_service: String,
}

/// Every row of a chunk as a span, with the facts of its trace computed anew.
pub(super) fn rows_of(chunk: &Chunk) -> Vec<Row> {
    let mut rows: Vec<Row> = (0..chunk.num_rows() as u32).map(|row| row_of(chunk, row)).collect();
    let traces: Vec<Vec<u8>> = rows.iter().map(|row| row.span.trace_id.clone()).collect();
    for trace in traces {
        let is_member = |row: &&Row| row.span.trace_id == trace;
        let start = rows.iter().filter(is_member).map(|row| row.span.start_time_unix_nano).min().unwrap_or(0);
        let end = rows.iter().filter(is_member).map(|row| row.span.end_time_unix_nano).max().unwrap_or(0);
        let root = rows.iter().filter(is_member).rfind(|row| row.span.parent_span_id.is_empty());
        let (name, service) = root.map(|root| (root.span.name.clone(), service_name(&root.resource))).unwrap_or_default();
        for row in rows.iter_mut().filter(|row| row.span.trace_id == trace) {
            row.trace_duration = end.wrapping_sub(start);
            (row.root_name, row.root_service) = (name.clone(), service.clone());
        }
    }
    rows
}

fn row_of(chunk: &Chunk, row: u32) -> Row {
    let mut exported = export(chunk, std::iter::once(row)).pop().expect("one row");
    let mut scope_spans = exported.scope_spans.pop().expect("one scope");
    Row {
        span: scope_spans.spans.pop().expect("one span"),
        resource: exported.resource.unwrap_or_default().attributes,
        scope: scope_spans.scope.unwrap_or_default(),
        trace_duration: 0,
        root_name: String::new(),
        root_service: String::new(),
    }
}

/// §6.4: whether the filter keeps the span.
pub(super) fn keeps(expression: &FieldExpr, row: &Row) -> Result<bool, Failed> {
    Ok(eval(expression, row)? == Val::Bool(true))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// §1: what is no string as it was sent reads as empty.
fn service_name(attributes: &[KeyValue]) -> String {
    let value = attributes.iter().find(|attribute| attribute.key == "service.name").and_then(|attribute| attribute.value.clone());
    match value {
        Some(AnyValue { value: Some(Value::StringValue(name)) }) => name,
        _ => String::new(),
    }
}

/// §1: what is visible of an attribute.
fn look_up(attributes: &[KeyValue], key: &str) -> Val {
    let value = attributes.iter().find(|attribute| attribute.key == key).and_then(|attribute| attribute.value.as_ref());
    let Some(AnyValue { value: Some(value) }) = value else { return Val::Nil };
    match value {
        Value::ArrayValue(array) => {
            let elements: Vec<Option<Val>> = array.values.iter().map(|any| any.value.as_ref().and_then(plain)).collect();
            let Some(mut elements) = elements.into_iter().collect::<Option<Vec<Val>>>() else { return Val::Nil };
            let type_of = |value: &Val| std::mem::discriminant(value);
            match elements.len() {
                0 => Val::Nil,
                1 => elements.remove(0),
                _ if elements.iter().any(|element| type_of(element) != type_of(&elements[0])) => Val::Nil,
                _ => Val::Array(elements),
            }
        }
        value => plain(value).unwrap_or(Val::Nil),
    }
}

fn plain(value: &Value) -> Option<Val> {
    match value {
        Value::StringValue(text) => Some(Val::Str(text.clone())),
        Value::IntValue(int) => Some(Val::Int(*int)),
        Value::DoubleValue(double) => Some(Val::Float(*double)),
        Value::BoolValue(bit) => Some(Val::Bool(*bit)),
        _ => None,
    }
}

impl Row {
    fn in_resource(&self, key: &str) -> Val {
        if key == "service.name" { Val::Str(service_name(&self.resource)) } else { look_up(&self.resource, key) }
    }

    /// §6.1, §5.2, §5.3.
    fn value(&self, attribute: &Attribute) -> Val {
        match attribute {
            Attribute::Scoped { scope: Scope::Span, key } => look_up(&self.span.attributes, key),
            Attribute::Scoped { scope: Scope::Resource, key } => self.in_resource(key),
            Attribute::Scoped { scope: Scope::Instrumentation, key } => look_up(&self.scope.attributes, key),
            Attribute::Scoped { key, .. } => match look_up(&self.span.attributes, key) {
                Val::Nil => self.in_resource(key),
                value => value,
            },
            Attribute::Intrinsic(intrinsic) => self.intrinsic(*intrinsic),
        }
    }

    fn intrinsic(&self, intrinsic: Intrinsic) -> Val {
        let span = &self.span;
        let status = span.status.clone().unwrap_or_default();
        match intrinsic {
            Intrinsic::Name => Val::Str(span.name.clone()),
            Intrinsic::Status => Val::Status(if matches!(status.code, 1 | 2) { status.code } else { 0 }),
            Intrinsic::StatusMessage => Val::Str(status.message),
            Intrinsic::Kind => Val::Kind(if (1..=5).contains(&span.kind) { span.kind } else { 0 }),
            Intrinsic::Duration => Val::Duration(span.end_time_unix_nano.wrapping_sub(span.start_time_unix_nano)),
            Intrinsic::SpanId => Val::Str(hex(&span.span_id)),
            Intrinsic::ParentSpanId if span.parent_span_id.is_empty() => Val::Str("0".repeat(16)),
            Intrinsic::ParentSpanId => Val::Str(hex(&span.parent_span_id)),
            Intrinsic::TraceDuration => Val::Duration(self.trace_duration),
            Intrinsic::RootName => Val::Str(self.root_name.clone()),
            Intrinsic::RootServiceName => Val::Str(self.root_service.clone()),
            Intrinsic::TraceId => Val::Str(hex(&span.trace_id).trim_start_matches('0').to_owned()),
            Intrinsic::InstrumentationName => Val::Str(self.scope.name.clone()),
            Intrinsic::InstrumentationVersion => Val::Str(self.scope.version.clone()),
            other => panic!("{other:?} is not in the tests"),
        }
    }

    /// §6.5: unscoped, either scope counts.
    fn is_nil(&self, attribute: &Attribute) -> bool {
        match attribute {
            Attribute::Scoped { scope: Scope::None, key } => {
                look_up(&self.span.attributes, key) == Val::Nil || self.in_resource(key) == Val::Nil
            }
            _ => self.value(attribute) == Val::Nil,
        }
    }
}

fn eval(expression: &FieldExpr, row: &Row) -> Result<Val, Failed> {
    Ok(match expression {
        FieldExpr::Static(value) => constant(value),
        // In computations a wrapped duration is the largest one.
        FieldExpr::Attribute(attribute) => match row.value(attribute) {
            Val::Duration(nanos) => Val::Duration(nanos.min(i64::MAX as u64)),
            value => value,
        },
        FieldExpr::IsNil(operand) => Val::Bool(match &**operand {
            FieldExpr::Attribute(attribute) => row.is_nil(attribute),
            _ => false,
        }),
        FieldExpr::NotNil(operand) => Val::Bool(eval(operand, row)? != Val::Nil),
        FieldExpr::Unary { op, operand } => match (op, eval(operand, row)?) {
            (UnaryOp::Not, Val::Bool(bit)) => Val::Bool(!bit),
            (UnaryOp::Neg, Val::Int(int)) => Val::Int(int.wrapping_neg()),
            (UnaryOp::Neg, Val::Float(double)) => Val::Float(-double),
            _ => return Err(Failed),
        },
        FieldExpr::Binary { op, left, right } => match (&**left, &**right) {
            (FieldExpr::Attribute(attribute), FieldExpr::Static(literal)) if !op.is_arithmetic() && !op.is_logical() => {
                Val::Bool(!passing(*op, row.value(attribute), &as_compared(*op, attribute, literal)).is_empty())
            }
            (FieldExpr::Static(literal), FieldExpr::Attribute(attribute)) if !op.is_arithmetic() && !op.is_logical() => {
                // Not turned around when it is looked up, then evaluated as written.
                let literal = as_compared(*op, attribute, literal);
                let found = passing(*op, row.value(attribute), &literal);
                Val::Bool(found.iter().any(|value| compare(*op, &constant(&literal), value)))
            }
            _ => binary(*op, eval(left, row)?, eval(right, row)?)?,
        },
    })
}

/// §5.2: `=` and `!=` strip the leading zeros of a literal for a trace id.
fn as_compared(op: BinaryOp, attribute: &Attribute, literal: &Static) -> Static {
    match (op, attribute, literal) {
        (BinaryOp::Eq | BinaryOp::Ne, Attribute::Intrinsic(Intrinsic::TraceId), Static::Str(id)) => {
            Static::Str(id.trim_start_matches('0').to_owned())
        }
        _ => literal.clone(),
    }
}

/// The elements of a value that pass `value op literal`, if it is of the literal's type (§7 item 3, §6.6 right column).
fn passing(op: BinaryOp, value: Val, literal: &Static) -> Vec<Val> {
    let elements = if let Val::Array(elements) = value { elements } else { vec![value] };
    let passes = |element: &Val| match (element, literal) {
        (Val::Str(text), Static::Str(pattern)) if matches!(op, BinaryOp::Regex | BinaryOp::NotRegex) => {
            let regex = Regex::new(&format!("^(?s:{pattern})$")).expect("pattern of the tests");
            regex.is_match(text) == (op == BinaryOp::Regex)
        }
        (Val::Str(_), Static::Str(_))
        | (Val::Int(_), Static::Int(_))
        | (Val::Float(_), Static::Float(_))
        | (Val::Duration(_), Static::Int(_) | Static::Float(_) | Static::Duration(_)) => compare(op, element, &constant(literal)),
        (Val::Bool(_), Static::Bool(_)) | (Val::Status(_), Static::Status(_)) | (Val::Kind(_), Static::Kind(_)) => {
            matches!(op, BinaryOp::Eq | BinaryOp::Ne) && compare(op, element, &constant(literal))
        }
        _ => false,
    };
    elements.into_iter().filter(passes).collect()
}

fn constant(value: &Static) -> Val {
    match value {
        Static::Nil => Val::Nil,
        Static::Int(int) => Val::Int(*int),
        Static::Float(double) => Val::Float(*double),
        Static::Str(text) => Val::Str(text.clone()),
        Static::Bool(bit) => Val::Bool(*bit),
        Static::Duration(nanos) => Val::Int(*nanos),
        Static::Status(status) => Val::Status(status.otlp_code()),
        Static::Kind(kind) => Val::Kind(kind.otlp_kind()),
    }
}

fn is_true(value: &Val) -> bool {
    match value {
        Val::Array(elements) => elements.contains(&Val::Bool(true)),
        value => *value == Val::Bool(true),
    }
}

/// §6.2, §6.6, §6.7.
fn binary(op: BinaryOp, left: Val, right: Val) -> Result<Val, Failed> {
    let are_arrays = matches!((&left, &right), (Val::Array(_), Val::Array(_)));
    match op {
        _ if are_arrays => return Err(Failed),
        BinaryOp::And => return Ok(Val::Bool(is_true(&left) && is_true(&right))),
        BinaryOp::Or => return Ok(Val::Bool(is_true(&left) || is_true(&right))),
        _ => {}
    }
    let (type_left, type_right) = (type_of(&left), type_of(&right));
    if type_left != type_right || !allowed(type_left, op) {
        return Ok(Val::Bool(false));
    }
    let all = op == BinaryOp::Ne;
    let each = |elements: &[Val], passes: &dyn Fn(&Val) -> bool| {
        Val::Bool(if all { elements.iter().all(passes) } else { elements.iter().any(passes) })
    };
    match (&left, &right) {
        (Val::Array(_), _) | (_, Val::Array(_)) if op.is_arithmetic() => Err(Failed),
        (Val::Array(elements), _) => Ok(each(elements, &|element| compare(op, element, &right))),
        (_, Val::Array(elements)) => Ok(each(elements, &|element| compare(op, &left, element))),
        (Val::Int(left), Val::Int(right)) if op.is_arithmetic() => int_arithmetic(op, *left, *right),
        _ if op.is_arithmetic() => Ok(Val::Float(float_arithmetic(op, double(&left), double(&right)))),
        _ => Ok(Val::Bool(compare(op, &left, &right))),
    }
}

fn type_of(value: &Val) -> &'static str {
    match value {
        Val::Nil => "nil",
        Val::Int(_) | Val::Float(_) | Val::Duration(_) => "number",
        Val::Str(_) => "string",
        Val::Bool(_) => "bool",
        Val::Status(_) => "status",
        Val::Kind(_) => "kind",
        Val::Array(elements) => type_of(&elements[0]),
    }
}

/// The table of §4; nil allows `=` and `!=`, but comparisons with it are false.
fn allowed(type_name: &str, op: BinaryOp) -> bool {
    let is_equality = matches!(op, BinaryOp::Eq | BinaryOp::Ne);
    let is_order = matches!(op, BinaryOp::Lt | BinaryOp::Le | BinaryOp::Gt | BinaryOp::Ge);
    match type_name {
        "number" => is_equality || is_order || op.is_arithmetic(),
        "string" => is_equality || is_order,
        "bool" | "status" | "kind" => is_equality,
        _ => false,
    }
}

fn double(value: &Val) -> f64 {
    match value {
        Val::Int(int) => *int as f64,
        Val::Duration(nanos) => *nanos as f64,
        Val::Float(double) => *double,
        _ => f64::NAN,
    }
}

fn order(left: &Val, right: &Val) -> Option<Ordering> {
    let whole = |value: &Val| match value {
        Val::Int(int) => Some(i128::from(*int)),
        Val::Duration(nanos) => Some(i128::from(*nanos)),
        _ => None,
    };
    match (left, right) {
        (Val::Str(left), Val::Str(right)) => Some(left.as_bytes().cmp(right.as_bytes())),
        (Val::Bool(left), Val::Bool(right)) => Some(left.cmp(right)),
        (Val::Status(left), Val::Status(right)) | (Val::Kind(left), Val::Kind(right)) => Some(left.cmp(right)),
        _ => match (whole(left), whole(right)) {
            (Some(left), Some(right)) => Some(left.cmp(&right)),
            _ => double(left).partial_cmp(&double(right)),
        },
    }
}

fn compare(op: BinaryOp, left: &Val, right: &Val) -> bool {
    let order = order(left, right);
    match op {
        BinaryOp::Eq => order == Some(Ordering::Equal),
        BinaryOp::Ne => order != Some(Ordering::Equal),
        BinaryOp::Lt => order == Some(Ordering::Less),
        BinaryOp::Le => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        BinaryOp::Gt => order == Some(Ordering::Greater),
        BinaryOp::Ge => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        _ => false,
    }
}

fn int_arithmetic(op: BinaryOp, left: i64, right: i64) -> Result<Val, Failed> {
    Ok(Val::Int(match op {
        BinaryOp::Add => left.wrapping_add(right),
        BinaryOp::Sub => left.wrapping_sub(right),
        BinaryOp::Mul => left.wrapping_mul(right),
        BinaryOp::Div if right != 0 => left.wrapping_div(right),
        BinaryOp::Mod if right != 0 => left.wrapping_rem(right),
        BinaryOp::Pow => (left as f64).powf(right as f64) as i64,
        _ => return Err(Failed),
    }))
}

fn float_arithmetic(op: BinaryOp, left: f64, right: f64) -> f64 {
    match op {
        BinaryOp::Add => left + right,
        BinaryOp::Sub => left - right,
        BinaryOp::Mul => left * right,
        BinaryOp::Div => left / right,
        BinaryOp::Mod => left % right,
        _ => left.powf(right),
    }
}
