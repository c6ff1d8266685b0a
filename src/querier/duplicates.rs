//! Spans that are stored more than once and have to count once.
//!
//! A sender that got no answer sends again. The head keeps what came twice, a block drops identical spans, and a trace that
//! was cut in two may have a span in both blocks. So a trace needs a closer look if a chunk has one of its spans twice, if it is in
//! the head and somewhere else, or if two blocks have one of its spans; all others are left alone. What is true of chunks and
//! blocks is found out once and kept with them. Of the spans that a query observes, the first of each id and kind counts
//! (spec/query-api.md §3.4), in the order in which units are observed.

use super::QueryError;
use super::unit::{Piece, UnitId, Units};
use crate::columns::view::{ColumnId, SourceError, SpanSource, Values};
use crate::model::TraceId;
use crate::traceql::eval::Bitmap;
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};

/// What has been observed of the traces that may have a span twice.
pub struct Duplicates<'u, 's> {
    units: &'u Units<'s>,
    /// Of each unit, the traces to look at, by ordinal.
    suspects: HashMap<UnitId, Vec<u32>>,
    seen: HashSet<SpanKey>,
}

impl<'u, 's> Duplicates<'u, 's> {
    /// Finds the traces to look at among the units that a query observes.
    pub fn among(units: &'u Units<'s>, observed: &[UnitId]) -> Result<Self, QueryError> {
        let mut suspects: HashMap<UnitId, Vec<u32>> = HashMap::new();
        for piece in repeated_in_chunks(units, observed).into_iter().chain(split_pieces(units, observed)?) {
            suspects.entry(piece.unit).or_default().push(piece.ordinal);
        }
        for ordinals in suspects.values_mut() {
            ordinals.sort_unstable();
            ordinals.dedup();
        }
        Ok(Duplicates { units, suspects, seen: HashSet::new() })
    }

    /// Whether what is observed of a unit depends on the units before it.
    pub fn concern(&self, unit: UnitId) -> bool {
        self.suspects.contains_key(&unit)
    }

    /// Removes the rows whose span has been observed before. `is_observed` tells by a span's start whether it counts at all.
    pub fn remove_from(&mut self, kept: &mut Bitmap, unit: UnitId, is_observed: impl Fn(u64) -> bool) -> Result<(), QueryError> {
        let Some(suspects) = self.suspects.get(&unit) else { return Ok(()) };
        let mut rows: Vec<(u32, u32)> = Vec::new();
        for ordinal in suspects {
            let piece = Piece { unit, ordinal: *ordinal };
            match unit {
                UnitId::Chunk(at) => rows.extend(self.units.snapshot().chunks[at].rows_of(*ordinal).map(|row| (*ordinal, row))),
                UnitId::Group(..) => rows.extend(self.units.group_rows(piece)?.map(|row| (*ordinal, row as u32))),
            }
        }
        rows.retain(|(_, row)| kept.contains(*row));
        if rows.is_empty() {
            return Ok(());
        }
        let source = self.units.source(unit)?.as_source();
        let (ids, kinds) = ids_and_kinds(source)?;
        let Some(Values::U64(starts)) = source.column(ColumnId::Start)?.map(|column| column.values) else {
            return Err(missing(ColumnId::Start).into());
        };
        let mut twins = Bitmap::empty(kept.len());
        for (ordinal, row) in rows {
            let at = row as usize;
            let trace = self.units.trace_id(Piece { unit, ordinal })?;
            if is_observed(starts[at]) && !self.seen.insert((trace, ids[at], kinds[at])) {
                twins.insert(row);
            }
        }
        kept.and_not_with(&twins);
        Ok(())
    }
}

fn missing(id: ColumnId<'_>) -> SourceError {
    SourceError(format!("column {id:?} is missing or of another type"))
}

fn repeated_in_chunks(units: &Units<'_>, observed: &[UnitId]) -> Vec<Piece> {
    let of_unit = |unit: &UnitId| match unit {
        UnitId::Chunk(at) => {
            units.snapshot().chunks[*at].repeated_traces().iter().map(|ordinal| Piece { unit: *unit, ordinal: *ordinal }).collect()
        }
        UnitId::Group(..) => Vec::new(),
    };
    observed.iter().flat_map(of_unit).collect()
}

/// The pieces of traces that may have a span in several of the observed units.
fn split_pieces(units: &Units<'_>, observed: &[UnitId]) -> Result<Vec<Piece>, QueryError> {
    let snapshot = units.snapshot();
    let mut blocks = BTreeSet::new();
    let mut pieces: HashMap<TraceId, Vec<Piece>> = HashMap::new();
    for unit in observed {
        match unit {
            UnitId::Chunk(at) => {
                for (ordinal, summary) in snapshot.chunks[*at].traces.summaries().iter().enumerate() {
                    pieces.entry(summary.id).or_default().push(Piece { unit: *unit, ordinal: ordinal as u32 });
                }
            }
            UnitId::Group(block, _) => _ = blocks.insert(*block),
        }
    }
    for at in 0..snapshot.blocks.len() {
        for id in repeated_in_blocks(units, at)? {
            pieces.entry(*id).or_default();
        }
    }
    let is_observed: HashSet<UnitId> = observed.iter().copied().collect();
    for (id, pieces) in &mut pieces {
        for at in &blocks {
            let block = &snapshot.blocks[*at];
            let Some(ordinal) = block.find(id)? else { continue };
            let traces = block.traces()?;
            let group = traces.group_of(ordinal);
            let unit = UnitId::Group(*at, group);
            if is_observed.contains(&unit) {
                pieces.push(Piece { unit, ordinal: ordinal - traces.traces_of(group).start });
            }
        }
    }
    Ok(pieces.into_values().filter(|pieces| pieces.len() > 1).flatten().collect())
}

/// The split traces of a block that have a span in another block too. Blocks that come later name the trace as split themselves.
fn repeated_in_blocks<'s>(units: &Units<'s>, at: usize) -> Result<&'s [TraceId], QueryError> {
    let blocks = &units.snapshot().blocks;
    let block = &blocks[at];
    if let Some(repeated) = block.repeated().get() {
        return Ok(repeated);
    }
    let mut repeated = BTreeSet::new();
    if !block.split().is_empty() {
        let own: HashSet<SpanKey> = span_keys(units, at, block.split())?.into_iter().collect();
        for other in (0..blocks.len()).filter(|other| *other != at) {
            let twins = span_keys(units, other, block.split())?.into_iter().filter(|key| own.contains(key));
            repeated.extend(twins.map(|(id, ..)| id));
        }
    }
    Ok(block.repeated().get_or_init(|| repeated.into_iter().collect()))
}

/// What makes two spans the same.
type SpanKey = (TraceId, u64, i32);

/// The spans of some traces in a block.
fn span_keys(units: &Units<'_>, at: usize, ids: &[TraceId]) -> Result<Vec<SpanKey>, QueryError> {
    let block = &units.snapshot().blocks[at];
    let mut ordinals = ids.iter().filter_map(|id| block.find(id).transpose()).collect::<Result<Vec<u32>, _>>()?;
    ordinals.sort_unstable();
    if ordinals.is_empty() {
        return Ok(Vec::new());
    }
    let traces = block.traces()?;
    let mut keys = Vec::new();
    for ordinals in ordinals.chunk_by(|left, right| traces.group_of(*left) == traces.group_of(*right)) {
        let group = traces.group_of(ordinals[0]);
        let source = units.source(UnitId::Group(at, group))?.as_source();
        let (span_ids, kinds) = ids_and_kinds(source)?;
        for ordinal in ordinals {
            let (rows, first) = (traces.rows(*ordinal), traces.first_row_of(group));
            let id = block.trace_id(*ordinal)?;
            keys.extend(rows.map(|row| (row - first) as usize).map(|row| (id, span_ids[row], kinds[row])));
        }
    }
    Ok(keys)
}

/// Span id and kind of each row.
type IdsAndKinds<'s> = (Cow<'s, [u64]>, Cow<'s, [i32]>);

fn ids_and_kinds(source: &dyn SpanSource) -> Result<IdsAndKinds<'_>, SourceError> {
    let values = |id: ColumnId<'_>| source.column(id)?.map(|column| column.values).ok_or_else(|| missing(id));
    match (values(ColumnId::SpanId)?, values(ColumnId::Kind)?) {
        (Values::U64(ids), Values::Enum(kinds)) => Ok((ids, kinds)),
        _ => Err(missing(ColumnId::SpanId)),
    }
}
