//! The spans that a pipeline keeps, unit by unit, for what is computed from spans and not from traces.

use super::QueryError;
use super::facts::JoinedTraces;
use super::forest::Forest;
use super::rows::{GroupRows, JoinedRows, Matches};
use super::unit::{UnitId, Units};
use crate::traceql::eval::Bitmap;
use crate::traceql::eval::pipeline::{Pipeline, TraceRows};
use std::collections::HashMap;

/// What a pipeline keeps of traces that have to be joined before they can be judged: those of the head, and split ones.
#[derive(Default)]
pub(super) struct JoinedSpans {
    by_unit: HashMap<UnitId, UnitSpans>,
}

/// Rows of joined traces in one unit.
struct UnitSpans {
    /// All of them, those that repeat a span elsewhere left out.
    all: Bitmap,
    /// Those that the pipeline keeps.
    kept: Bitmap,
}

impl JoinedSpans {
    /// Joins and judges. Nothing has to be joined for a pipeline of filters alone.
    pub fn of(pipeline: &Pipeline, units: &Units<'_>) -> Result<Self, QueryError> {
        let mut spans = JoinedSpans::default();
        if pipeline.filters_only().is_some() {
            return Ok(spans);
        }
        let joined = JoinedTraces::of(units);
        let pieces = units.all_pieces(joined.split())?;
        let forest = Forest::join(units, pieces.values().map(Vec::as_slice))?;
        let matches = Matches::of(&joined, pipeline);
        let rows = JoinedRows::of(&matches, &forest);
        let found = pipeline.run(&rows)?.rows(rows.num_rows());
        for row in 0..rows.num_rows() as u32 {
            let (unit, origin) = forest.origin(row);
            let spans = spans.by_unit.entry(unit).or_insert_with(|| UnitSpans::none(units, unit));
            spans.all.insert(origin);
            if found.contains(row) {
                spans.kept.insert(origin);
            }
        }
        Ok(spans)
    }
}

impl UnitSpans {
    fn none(units: &Units<'_>, unit: UnitId) -> Self {
        let num_rows = match unit {
            UnitId::Chunk(at) => units.snapshot().chunks[at].num_rows(),
            UnitId::Group(block, group) => units.snapshot().blocks[block].row_groups()[group].num_spans as usize,
        };
        UnitSpans { all: Bitmap::empty(num_rows), kept: Bitmap::empty(num_rows) }
    }
}

/// The rows of a unit that a pipeline keeps. Of a pipeline of filters alone a span may be in several units.
pub(super) fn kept_rows(pipeline: &Pipeline, matches: &Matches<'_, '_>, unit: UnitId, joined: &JoinedSpans) -> Result<Bitmap, QueryError> {
    matches.units().check_budget()?;
    if let Some(filters) = pipeline.filters_only() {
        let mut filters = filters.into_iter();
        let mut kept = match filters.next() {
            Some(filter) => Bitmap::clone(&*matches.matches(unit, filter)?),
            None => return Err(QueryError::Internal("a pipeline without a filter".to_string())),
        };
        for filter in filters {
            if kept.is_empty() {
                break;
            }
            kept.and_with(&*matches.matches(unit, filter)?);
        }
        return Ok(kept);
    }
    let of_joined = joined.by_unit.get(&unit);
    match unit {
        // A chunk whose spans are all somewhere else, too, has none of its own.
        UnitId::Chunk(_) => Ok(of_joined.map_or_else(|| UnitSpans::none(matches.units(), unit).kept, |spans| spans.kept.clone())),
        UnitId::Group(block, group) => {
            let mut kept = if matches.rules_out(unit)? {
                Bitmap::empty(matches.units().num_rows(unit))
            } else {
                let rows = GroupRows::of(matches, block, group)?;
                pipeline.run(&rows)?.rows(rows.num_rows())
            };
            if let Some(spans) = of_joined {
                kept.and_not_with(&spans.all);
                kept.or_with(&spans.kept);
            }
            Ok(kept)
        }
    }
}
