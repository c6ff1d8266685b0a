//! Conditions on events and links (spec/traceql.md §5.4): asked of their own source, then carried over to the spans.

use super::EvalError;
use super::bitmap::Bitmap;
use super::column::AttributeColumns;
use super::leaf::Leaf;
use super::place::{Context, Place};
use super::scalar::Scalar;
use crate::columns::view::{ColumnId, Detail, SourceError, Values, Wanted};

/// The spans that have an event (or link) among those that `select` finds. Spans without events fulfil nothing.
pub(super) fn spans_with(
    of: Detail,
    context: Context<'_>,
    select: impl FnOnce(Context<'_>) -> Result<Bitmap, EvalError>,
) -> Result<Bitmap, EvalError> {
    let mut spans = Bitmap::empty(context.source.num_rows());
    let Some(source) = context.source.details(of)? else { return Ok(spans) };
    let details = Context { source: &*source, traces: context.traces };
    let found = select(details)?;
    if !found.is_empty() {
        let rows = span_rows(details)?;
        found.iter().for_each(|detail| spans.insert(rows[detail as usize]));
    }
    Ok(spans)
}

/// The events (or links) that fulfil every condition; `context` is their own.
pub(super) fn fulfilling(conditions: &[Leaf], context: Context<'_>) -> Result<Bitmap, EvalError> {
    let mut found = Bitmap::full(context.source.num_rows());
    for condition in conditions {
        if found.is_empty() {
            break;
        }
        found.and_with(&condition.select(context)?);
    }
    Ok(found)
}

fn span_rows(context: Context<'_>) -> Result<Vec<u32>, EvalError> {
    match context.source.column(ColumnId::Span)?.map(|column| column.values) {
        Some(Values::U32(rows)) if rows.len() == context.source.num_rows() => Ok(rows.into_owned()),
        _ => Err(SourceError("events or links do not tell their spans".to_string()).into()),
    }
}

/// The values of one attribute of all events (or links) of a source, in their order.
#[derive(Default)]
pub(super) struct DetailValues {
    /// Ascending span rows, one for each value.
    spans: Vec<u32>,
    values: Vec<Scalar>,
}

impl DetailValues {
    /// Reads the values of `inner`, a place of the details' own source, of those that fulfil the conditions.
    pub(super) fn read(of: Detail, inner: &Place, conditions: &[Leaf], context: Context<'_>) -> Result<Self, EvalError> {
        let Some(source) = context.source.details(of)? else { return Ok(DetailValues::default()) };
        let details = Context { source: &*source, traces: context.traces };
        let rows = fulfilling(conditions, details)?.to_rows();
        let mut read = DetailValues::default();
        let spans = span_rows(details)?;
        let values = AttributeColumns::read(inner, details, Wanted::Some(&rows))?.values(&rows);
        for (row, value) in rows.into_iter().zip(values).filter(|(_, value)| !value.is_nil()) {
            read.spans.push(spans[row as usize]);
            read.values.push(value);
        }
        Ok(read)
    }

    /// The values of one span's details, those that have none left out.
    pub(super) fn of(&self, span: u32) -> &[Scalar] {
        let first = self.spans.partition_point(|&other| other < span);
        let length = self.spans[first..].partition_point(|&other| other == span);
        &self.values[first..first + length]
    }
}
