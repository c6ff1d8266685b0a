//! The values of one attribute for many rows, read a column at a time.

use super::EvalError;
use super::condition::span_id_text;
use super::place::{Context, Place, SpanColumn, TraceFact, TraceFacts, resource_value, scope_value};
use super::scalar::Scalar;
use crate::columns::resources::Origin;
use crate::columns::value::{ValueKind, ValueRef};
use crate::columns::view::{Column, ColumnId, Rows, Strings, Values};
use crate::traceql::ast::{Kind, Status};

/// A column much longer than the list of rows asked for is searched, not walked.
const SEARCH_FACTOR: usize = 16;

/// The columns that hold the values of an attribute.
pub(super) enum AttributeColumns<'s> {
    /// One column for each kind of value.
    Span(Vec<Column<'s>>),
    /// A number for each row, and the value of each number.
    Numbered(Option<Column<'s>>, Vec<Scalar>),
    /// The second counts where the first has no value.
    Shadowing(Box<AttributeColumns<'s>>, Box<AttributeColumns<'s>>),
    /// An intrinsic of the span.
    Intrinsic(SpanColumn, Option<Column<'s>>),
    /// The number of each row's trace.
    Trace(TraceFact, &'s dyn TraceFacts, Option<Column<'s>>),
}

impl<'s> AttributeColumns<'s> {
    /// Reads what is needed for the values of `place`.
    pub(super) fn read(place: &Place, context: Context<'s>) -> Result<Self, EvalError> {
        let source = context.source;
        Ok(match place {
            Place::Span(key) => Self::span(key, context)?,
            Place::Resource(key) => Self::resource(key, context)?,
            Place::Unscoped(key) => Self::Shadowing(Box::new(Self::span(key, context)?), Box::new(Self::resource(key, context)?)),
            Place::Scope(key) => Self::scope(context, |origin| scope_value(origin, key))?,
            Place::ScopeName => Self::scope(context, |origin| Scalar::Str((&*origin.name).into()))?,
            Place::ScopeVersion => Self::scope(context, |origin| Scalar::Str((&*origin.version).into()))?,
            Place::Column(column) => Self::Intrinsic(*column, source.column(column.id())?),
            Place::Trace(fact) => Self::Trace(*fact, context.traces, source.column(ColumnId::Trace)?),
        })
    }

    fn span(key: &str, context: Context<'s>) -> Result<Self, EvalError> {
        let mut columns = Vec::new();
        for kind in context.source.attribute_kinds(key) {
            columns.extend(context.source.column(ColumnId::Attribute { key, kind })?.map(|column| (kind, column)));
        }
        // A span with a key twice, as values of two kinds, reads as the same one whatever the source.
        columns.sort_by_key(|(kind, _): &(ValueKind, Column<'_>)| *kind);
        Ok(Self::Span(columns.into_iter().map(|(_, column)| column).collect()))
    }

    fn resource(key: &str, context: Context<'s>) -> Result<Self, EvalError> {
        let values = context.source.resources().iter().map(|origin| resource_value(origin, key)).collect();
        Self::numbered(ColumnId::Resource, values, context)
    }

    fn scope(context: Context<'s>, value: impl Fn(&Origin) -> Scalar) -> Result<Self, EvalError> {
        Self::numbered(ColumnId::Scope, context.source.scopes().iter().map(value).collect(), context)
    }

    fn numbered(id: ColumnId<'_>, values: Vec<Scalar>, context: Context<'s>) -> Result<Self, EvalError> {
        let has_value = values.iter().any(|value| !value.is_nil());
        Ok(Self::Numbered(if has_value { context.source.column(id)? } else { None }, values))
    }

    /// The values of ascending rows, nil where there is none.
    pub(super) fn values(&self, rows: &[u32]) -> Vec<Scalar> {
        let mut out = vec![Scalar::Nil; rows.len()];
        match self {
            Self::Span(columns) => columns.iter().for_each(|column| fill(&mut out, rows, column, &Decoder::new(column, rows.len()))),
            Self::Shadowing(first, second) => {
                out = first.values(rows);
                let lacking: Vec<usize> = (0..rows.len()).filter(|&at| out[at].is_nil()).collect();
                let rest: Vec<u32> = lacking.iter().map(|&at| rows[at]).collect();
                lacking.into_iter().zip(second.values(&rest)).for_each(|(at, value)| out[at] = value);
            }
            Self::Numbered(column, values) => {
                column.iter().for_each(|column| fill_from(&mut out, rows, column, |at| numbered_value(column, values, at)));
            }
            Self::Intrinsic(which, column) => {
                out.fill(which.missing());
                let read = |column: &Column<'_>, at| intrinsic_value(*which, &column.values, at);
                column.iter().for_each(|column| fill_from(&mut out, rows, column, |at| read(column, at)));
            }
            Self::Trace(fact, traces, column) => {
                column.iter().for_each(|column| fill_from(&mut out, rows, column, |at| trace_value(*fact, *traces, column, at)));
            }
        }
        out
    }

    /// The value of one row.
    pub(super) fn value(&self, row: u32) -> Scalar {
        self.values(&[row]).pop().unwrap_or_default()
    }
}

fn fill(out: &mut [Scalar], rows: &[u32], column: &Column<'_>, decoder: &Decoder<'_, '_>) {
    each_position(rows, column, |index, at| {
        if out[index].is_nil() {
            out[index] = decoder.value(at);
        }
    });
}

fn fill_from(out: &mut [Scalar], rows: &[u32], column: &Column<'_>, value: impl Fn(usize) -> Scalar) {
    each_position(rows, column, |index, at| out[index] = value(at));
}

/// Calls `found` with the index into `rows` and the position in the column of every row that has a value.
fn each_position(rows: &[u32], column: &Column<'_>, mut found: impl FnMut(usize, usize)) {
    match &column.rows {
        Rows::All => rows.iter().enumerate().for_each(|(index, &row)| found(index, row as usize)),
        Rows::Some(filled) if filled.len() > SEARCH_FACTOR * rows.len() => {
            let at = |row: u32| filled.binary_search(&row).ok();
            rows.iter().enumerate().filter_map(|(index, &row)| Some((index, at(row)?))).for_each(|(index, at)| found(index, at));
        }
        Rows::Some(filled) => {
            let mut index = 0;
            for (at, row) in filled.iter().enumerate() {
                index += rows[index..].iter().take_while(|wanted| *wanted < row).count();
                if rows.get(index) == Some(row) {
                    found(index, at);
                }
            }
        }
    }
}

/// Turns positions of a column of attribute values into scalars, each distinct string once if many are asked for.
struct Decoder<'c, 's> {
    column: &'c Column<'s>,
    strings: Vec<Scalar>,
}

impl<'c, 's> Decoder<'c, 's> {
    fn new(column: &'c Column<'s>, num_rows: usize) -> Self {
        let decode = |strings: &Strings<'_>, read: fn(&[u8]) -> Scalar| -> Vec<Scalar> {
            if strings.len() > num_rows {
                return Vec::new();
            }
            (0..strings.len() as u32).map(|code| read(strings.get(code))).collect()
        };
        let strings = match &column.values {
            Values::Text(_, strings) => decode(strings, Scalar::text),
            Values::Any(_, strings) => decode(strings, |message| Scalar::from(ValueRef::Any(message))),
            _ => Vec::new(),
        };
        Decoder { column, strings }
    }

    fn value(&self, at: usize) -> Scalar {
        match &self.column.values {
            Values::Text(codes, _) | Values::Any(codes, _) if !self.strings.is_empty() => self.strings[codes[at] as usize].clone(),
            Values::Text(codes, strings) => Scalar::text(strings.get(codes[at])),
            Values::Any(codes, strings) => Scalar::from(ValueRef::Any(strings.get(codes[at]))),
            Values::Int(values) => Scalar::Int(values[at]),
            Values::Double(values) => Scalar::Float(values[at]),
            Values::Bool(values) => Scalar::Bool(values[at]),
            Values::Enum(_) | Values::U32(_) | Values::U64(_) => Scalar::Nil,
        }
    }
}

fn numbered_value(column: &Column<'_>, values: &[Scalar], at: usize) -> Scalar {
    match &column.values {
        Values::U32(numbers) => values.get(numbers[at] as usize).cloned().unwrap_or_default(),
        _ => Scalar::Nil,
    }
}

fn trace_value(fact: TraceFact, traces: &dyn TraceFacts, column: &Column<'_>, at: usize) -> Scalar {
    match &column.values {
        Values::U32(ordinals) => fact.of(traces, ordinals[at]),
        _ => Scalar::Nil,
    }
}

fn intrinsic_value(which: SpanColumn, values: &Values<'_>, at: usize) -> Scalar {
    match (which, values) {
        (SpanColumn::Name | SpanColumn::StatusMessage, Values::Text(codes, strings)) => Scalar::text(strings.get(codes[at])),
        (SpanColumn::Status, Values::Enum(codes)) => Scalar::Status(Status::from_otlp_code(codes[at])),
        (SpanColumn::Kind, Values::Enum(kinds)) => Scalar::Kind(Kind::from_otlp_kind(kinds[at])),
        (SpanColumn::Duration, Values::U64(nanos)) => Scalar::duration(nanos[at]),
        (SpanColumn::SpanId | SpanColumn::ParentId, Values::U64(ids)) => Scalar::Str(span_id_text(ids[at]).into()),
        _ => Scalar::Nil,
    }
}
