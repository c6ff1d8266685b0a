//! Which attributes there are, and which values they have.
//!
//! `names`: attribute names by scope; `values`: the distinct values of one attribute; `told`: both from the catalogues of blocks.
//! Without a filter, names are those that the files tell of themselves, and values come from catalogues, or from dictionaries
//! where these have all of them.

mod names;
mod told;
mod values;

use super::facts::{JoinedTraces, UnitFacts};
use super::unit::{UnitId, Units};
use super::{QueryError, Snapshot};
use crate::block::reader::Block;
use crate::columns::Chunk;
use crate::model::{TimeRange, UnixNanos};
use crate::proto::tempopb::TagValue;
use crate::traceql::ast::{Attribute, FieldExpr, Scope};
use crate::traceql::eval::{Bitmap, Filter};
use std::collections::BTreeSet;
use values::{UnitValues, Values};

/// Which tag names or values are asked for.
#[derive(Clone, Debug, Default)]
pub struct TagParams {
    /// Only of spans that match; `None` means all.
    pub filter: Option<FieldExpr>,
    /// Only of data that overlaps it; `None` means all.
    pub range: Option<TimeRange>,
    /// Largest number of names per scope, or of values; 0 means no limit.
    pub limit: usize,
}

/// Names of one scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeTags {
    /// The scope's word: `resource`, `span`, `event`, `link`, `instrumentation`.
    pub scope: &'static str,
    /// Names without scope prefix, sorted.
    pub tags: Vec<String>,
}

/// Attribute names by scope, without the intrinsics. Waits for the store and computes.
pub fn tag_names(snapshot: &Snapshot, params: &TagParams) -> Result<Vec<ScopeTags>, QueryError> {
    let names = match filter_of(params)? {
        None => names::all(snapshot, params)?,
        Some(filter) => names::matching(snapshot, params, &filter)?,
    };
    let limit = if params.limit == 0 { usize::MAX } else { params.limit };
    let scope = |(scope, tags): (&'static str, BTreeSet<String>)| ScopeTags { scope, tags: tags.into_iter().take(limit).collect() };
    Ok(names.into_iter().filter(|(_, tags)| !tags.is_empty()).map(scope).collect())
}

/// Typed values of an attribute, sorted by type and text. Waits for the store and computes.
pub fn tag_values(snapshot: &Snapshot, tag: &Attribute, params: &TagParams) -> Result<Vec<TagValue>, QueryError> {
    let mut values = Values::charged(snapshot.budget.charge());
    // An unscoped name stands for the union of its scopes (spec/query-api.md §5.6).
    let parts: Vec<Attribute> = match tag {
        Attribute::Scoped { scope: Scope::None, key } => {
            let scopes = [Scope::Span, Scope::Resource, Scope::Instrumentation];
            scopes.into_iter().map(|scope| Attribute::Scoped { scope, key: key.clone() }).collect()
        }
        other => vec![other.clone()],
    };
    let filter = filter_of(params)?;
    let units = Units::of(snapshot);
    let joined = JoinedTraces::of(&units);
    let asked = units_in(&units, params);
    let told = match filter {
        None => told::add_values(&units, &asked, &parts, &mut values)?,
        Some(_) => BTreeSet::new(),
    };
    for unit in asked.into_iter().filter(|unit| !told.contains(unit)) {
        units.check_budget()?;
        let rows = filter.as_ref().map(|filter| matching(&units, &joined, unit, filter)).transpose()?;
        if rows.as_ref().is_some_and(Bitmap::is_empty) {
            continue;
        }
        let found = UnitValues::of(&joined, unit, rows.as_ref())?;
        parts.iter().try_for_each(|part| found.collect(part, &mut values))?;
    }
    Ok(values.into_sorted(if params.limit == 0 { usize::MAX } else { params.limit }))
}

fn filter_of(params: &TagParams) -> Result<Option<Filter>, QueryError> {
    let filter = params.filter.as_ref().map(Filter::compile).transpose()?;
    Ok(filter.filter(|filter| filter.constant() != Some(true)))
}

fn range_of(params: &TagParams) -> TimeRange {
    params.range.unwrap_or(TimeRange::ALL)
}

/// Chunks and row groups that overlap the range.
fn units_in(units: &Units<'_>, params: &TagParams) -> Vec<UnitId> {
    let range = range_of(params);
    let overlaps = |unit: &UnitId| match unit {
        UnitId::Chunk(at) => chunk_range(&units.snapshot().chunks[*at]).is_some_and(|own| own.overlaps(&range)),
        UnitId::Group(..) => true,
    };
    units.chunk_ids().filter(overlaps).chain(units.groups_newest_first(&range)).collect()
}

fn chunk_range(chunk: &Chunk) -> Option<TimeRange> {
    let summaries = chunk.traces.summaries();
    let start = summaries.iter().map(|trace| trace.start).min()?;
    let end = summaries.iter().map(|trace| trace.end.max(trace.start)).max()?;
    Some(TimeRange { start: UnixNanos(start), end: UnixNanos(end) })
}

fn blocks_in<'s>(snapshot: &'s Snapshot, params: &TagParams) -> impl Iterator<Item = &'s Block> {
    let range = range_of(params);
    snapshot.blocks.iter().map(|block| &**block).filter(move |block| block.meta().range().overlaps(&range))
}

/// The rows of a unit that a filter keeps.
fn matching(units: &Units<'_>, joined: &JoinedTraces<'_, '_>, unit: UnitId, filter: &Filter) -> Result<Bitmap, QueryError> {
    if let UnitId::Group(block, _) = unit
        && units.rules_out(block, filter)?
    {
        return Ok(Bitmap::empty(units.num_rows(unit)));
    }
    Ok(filter.select(units.source(unit)?.as_source(), &UnitFacts::of(joined, unit))?)
}
