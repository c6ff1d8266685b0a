//! The values of one attribute for many rows, read a column at a time.

use super::EvalError;
use super::condition::span_id_text;
use super::details::DetailValues;
use super::place::{Context, Place, SpanColumn, TraceFact, TraceFacts, resource_value, scope_value};
use super::scalar::Scalar;
use crate::columns::resources::Origin;
use crate::columns::value::ValueRef;
use crate::columns::view::{Column, ColumnId, Rows, SourceError, Strings, Values, Wanted};
use crate::traceql::ast::{Kind, Status};
use std::borrow::Cow;

/// A column much longer than the list of rows asked for is searched, not walked.
const SEARCH_FACTOR: usize = 16;

/// The columns that hold the values of an attribute.
pub(super) enum AttributeColumns<'s> {
    /// One column for each kind of value.
    Span(Vec<Decoder<'s>>),
    /// A number for each row, and the value of each number.
    Numbered(Option<Column<'s>>, Vec<Scalar>),
    /// The second counts where the first has no value.
    Shadowing(Box<AttributeColumns<'s>>, Box<AttributeColumns<'s>>),
    /// An intrinsic of the span.
    Intrinsic(SpanColumn, Option<Decoder<'s>>),
    /// The number of each row's trace.
    Trace(TraceFact, &'s dyn TraceFacts, Option<Column<'s>>),
    /// A number of each row.
    Tree(Cow<'s, [i64]>),
    /// Of the events or links of a row the first that has the attribute counts (spec/traceql.md §5.4).
    Detail(DetailValues),
}

impl<'s> AttributeColumns<'s> {
    /// Reads what is needed for the values of `place`. With many rows to come, what rows share is prepared once.
    pub(super) fn read(place: &Place, context: Context<'s>, wanted: Wanted<'_>) -> Result<Self, EvalError> {
        let reading = Reading { context, wanted };
        Ok(match place {
            Place::Span(key) => reading.span(key)?,
            Place::Resource(key) => reading.resource(key)?,
            Place::Unscoped(key) => Self::Shadowing(Box::new(reading.span(key)?), Box::new(reading.resource(key)?)),
            Place::Scope(key) => reading.scope(|origin| scope_value(origin, key))?,
            Place::ScopeName => reading.scope(|origin| Scalar::Str((&*origin.name).into()))?,
            Place::ScopeVersion => reading.scope(|origin| Scalar::Str((&*origin.version).into()))?,
            Place::Column(column) => {
                let values = reading.column(column.id())?;
                Self::Intrinsic(*column, values.map(|values| Decoder::new(values, reading.num_rows())))
            }
            Place::Trace(fact) => reading.trace(*fact)?,
            Place::Tree(number) => Self::Tree(context.traces.tree(*number)?),
            Place::Detail(of, inner) => Self::Detail(DetailValues::read(*of, inner, &[], context)?),
        })
    }

    /// The values of ascending rows, nil where there is none.
    pub(super) fn values(&self, rows: &[u32]) -> Vec<Scalar> {
        let mut out = vec![Scalar::Nil; rows.len()];
        match self {
            Self::Span(columns) => columns.iter().for_each(|column| fill_nils(&mut out, rows, column)),
            Self::Shadowing(first, second) => {
                out = first.values(rows);
                let lacking: Vec<usize> = (0..rows.len()).filter(|&at| out[at].is_nil()).collect();
                let rest: Vec<u32> = lacking.iter().map(|&at| rows[at]).collect();
                lacking.into_iter().zip(second.values(&rest)).for_each(|(at, value)| out[at] = value);
            }
            Self::Numbered(Some(column), values) => fill(&mut out, rows, column, |at| numbered_value(column, values, at)),
            Self::Numbered(None, _) => {}
            Self::Intrinsic(which, column) => {
                out.fill(which.missing());
                column.iter().for_each(|decoder| fill(&mut out, rows, &decoder.column, |at| decoder.intrinsic(*which, at)));
            }
            Self::Trace(fact, traces, column) => {
                column.iter().for_each(|column| fill(&mut out, rows, column, |at| trace_value(*fact, *traces, column, at)));
            }
            Self::Tree(numbers) => out.iter_mut().zip(rows).for_each(|(value, &row)| *value = Scalar::Int(numbers[row as usize])),
            Self::Detail(values) => {
                out.iter_mut().zip(rows).for_each(|(value, &row)| *value = values.of(row).first().cloned().unwrap_or_default());
            }
        }
        out
    }

    /// The value of one row.
    pub(super) fn value(&self, row: u32) -> Scalar {
        self.values(&[row]).pop().unwrap_or_default()
    }
}

/// What is read, and for which rows.
struct Reading<'s, 'r> {
    context: Context<'s>,
    wanted: Wanted<'r>,
}

impl<'s> Reading<'s, '_> {
    fn num_rows(&self) -> usize {
        self.wanted.count(self.context.source.num_rows())
    }

    fn column(&self, id: ColumnId<'_>) -> Result<Option<Column<'s>>, SourceError> {
        self.wanted.column(self.context.source, id)
    }

    fn span(&self, key: &str) -> Result<AttributeColumns<'s>, EvalError> {
        let mut kinds = self.context.source.attribute_kinds(key);
        // A span with a key twice, as values of two kinds, reads as the same one whatever the source.
        kinds.sort_unstable();
        let mut columns = Vec::with_capacity(kinds.len());
        for kind in kinds {
            let column = self.column(ColumnId::Attribute { key, kind })?;
            columns.extend(column.map(|column| Decoder::new(column, self.num_rows())));
        }
        Ok(AttributeColumns::Span(columns))
    }

    fn resource(&self, key: &str) -> Result<AttributeColumns<'s>, EvalError> {
        let values = self.context.source.resources().iter().map(|origin| resource_value(origin, key)).collect();
        self.numbered(ColumnId::Resource, values)
    }

    fn scope(&self, value: impl Fn(&Origin) -> Scalar) -> Result<AttributeColumns<'s>, EvalError> {
        self.numbered(ColumnId::Scope, self.context.source.scopes().iter().map(value).collect())
    }

    fn numbered(&self, id: ColumnId<'_>, values: Vec<Scalar>) -> Result<AttributeColumns<'s>, EvalError> {
        let has_value = values.iter().any(|value| !value.is_nil());
        Ok(AttributeColumns::Numbered(if has_value { self.column(id)? } else { None }, values))
    }

    fn trace(&self, fact: TraceFact) -> Result<AttributeColumns<'s>, EvalError> {
        let column = self.column(ColumnId::Trace)?;
        if let Some(Column { values: Values::U32(ordinals), .. }) = &column
            && self.num_rows() >= MANY_ROWS
        {
            let num_traces = ordinals.iter().max().map_or(0, |last| last + 1);
            let facts = (0..num_traces).map(|ordinal| fact.of(self.context.traces, ordinal)).collect();
            return Ok(AttributeColumns::Numbered(column, facts));
        }
        Ok(AttributeColumns::Trace(fact, self.context.traces, column))
    }
}

/// From this number of expected rows on, the facts of all traces are asked for at once. Small in tests, which have few rows.
const MANY_ROWS: usize = if cfg!(test) { 4 } else { 1024 };

fn fill_nils(out: &mut [Scalar], rows: &[u32], decoder: &Decoder<'_>) {
    each_position(rows, &decoder.column, |index, at| {
        if out[index].is_nil() {
            out[index] = decoder.value(at);
        }
    });
}

fn fill(out: &mut [Scalar], rows: &[u32], column: &Column<'_>, value: impl Fn(usize) -> Scalar) {
    each_position(rows, column, |index, at| out[index] = value(at));
}

/// Calls `found` with the index into `rows` and the position in the column of every row that has a value.
pub(in crate::traceql) fn each_position(rows: &[u32], column: &Column<'_>, mut found: impl FnMut(usize, usize)) {
    let (Some(&first), Some(&last)) = (rows.first(), rows.last()) else { return };
    let filled = match &column.rows {
        Rows::All => return rows.iter().enumerate().for_each(|(index, &row)| found(index, row as usize)),
        Rows::Some(filled) => filled,
    };
    let start = filled.partition_point(|&row| row < first);
    let end = start + filled[start..].partition_point(|&row| row <= last);
    if (last - first) as usize + 1 == rows.len() {
        return (start..end).for_each(|at| found((filled[at] - first) as usize, at));
    }
    if end - start > SEARCH_FACTOR * rows.len() {
        let position = |row: &u32| filled[start..end].binary_search(row).ok();
        rows.iter().enumerate().filter_map(|(index, row)| Some((index, position(row)?))).for_each(|(index, at)| found(index, start + at));
        return;
    }
    let mut index = 0;
    for at in start..end {
        while rows.get(index).is_some_and(|&row| row < filled[at]) {
            index += 1;
        }
        if rows.get(index) == Some(&filled[at]) {
            found(index, at);
        }
    }
}

/// Turns positions of a column into scalars, each distinct string once if many are expected.
pub(super) struct Decoder<'s> {
    column: Column<'s>,
    strings: Vec<Scalar>,
}

impl<'s> Decoder<'s> {
    fn new(column: Column<'s>, expected_rows: usize) -> Self {
        let decode = |strings: &Strings<'_>, read: fn(&[u8]) -> Scalar| -> Vec<Scalar> {
            if strings.len() > expected_rows {
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

    fn intrinsic(&self, which: SpanColumn, at: usize) -> Scalar {
        match (which, &self.column.values) {
            (SpanColumn::Name | SpanColumn::StatusMessage | SpanColumn::LinkedTrace, _) => self.value(at),
            (SpanColumn::Status, Values::Enum(codes)) => Scalar::Status(Status::from_otlp_code(codes[at])),
            (SpanColumn::Kind, Values::Enum(kinds)) => Scalar::Kind(Kind::from_otlp_kind(kinds[at])),
            (SpanColumn::Duration | SpanColumn::SinceStart, Values::U64(nanos)) => Scalar::duration(nanos[at]),
            (SpanColumn::SpanId | SpanColumn::ParentId, Values::U64(ids)) => Scalar::Str(span_id_text(ids[at]).into()),
            _ => Scalar::Nil,
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
