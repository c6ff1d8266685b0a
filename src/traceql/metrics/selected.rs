//! The spans of a source that a query observes, with their buckets.

use super::buckets::{Buckets, NO_BUCKET};
use super::keys::Spans;
use crate::columns::view::{Column, ColumnId, SourceError, Values};
use crate::traceql::eval::{Bitmap, EvalError};

/// Rows that the pipeline keeps and whose start lies in a bucket.
pub struct Selected<'s> {
    /// Ascending.
    pub rows: Vec<u32>,
    /// The bucket of each of the rows.
    pub buckets: Vec<u32>,
    starts: Column<'s>,
}

impl<'s> Selected<'s> {
    /// Of the rows that the pipeline keeps.
    pub fn of(spans: Spans<'s>, kept: &Bitmap, buckets: &Buckets) -> Result<Self, EvalError> {
        let missing = || EvalError::Source(SourceError("the column of span starts is missing".to_owned()));
        let starts = spans.source.column(ColumnId::Start)?.ok_or_else(missing)?;
        let Values::U64(times) = &starts.values else { return Err(missing()) };
        let (mut rows, mut buckets_of) = (Vec::new(), Vec::new());
        if kept.is_full() {
            buckets_of.extend(times.iter().map(|time| buckets.of(*time)));
            rows.extend(0..times.len() as u32);
        } else {
            rows = kept.to_rows();
            buckets_of.extend(rows.iter().map(|row| buckets.of(times[*row as usize])));
        }
        if buckets_of.contains(&NO_BUCKET) {
            let mut at = 0;
            rows.retain(|_| {
                at += 1;
                buckets_of[at - 1] != NO_BUCKET
            });
            buckets_of.retain(|bucket| *bucket != NO_BUCKET);
        }
        Ok(Selected { rows, buckets: buckets_of, starts })
    }

    /// Start of the span at an index, Unix nanoseconds.
    pub fn start(&self, index: usize) -> u64 {
        match &self.starts.values {
            Values::U64(times) => times[self.rows[index] as usize],
            _ => 0,
        }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// True if there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}
