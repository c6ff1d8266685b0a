//! Traces whose spans lie in several units, or in the order of their arrival: put together into depth-first trees.

use super::QueryError;
use super::budget::Charge;
use super::unit::{Piece, UnitId, Units};
use crate::block::depth_first::{DepthFirst, Node, SourceRow};
use crate::columns::Chunk;
use crate::columns::view::{Column, ColumnId, Rows, SpanSource, Values};
use crate::model::TraceId;
use crate::traceql::eval::tree::Tree;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// How some spans of a unit hang together: the columns that say so, for ascending rows.
struct Linkage<'a> {
    /// The rows; `None` for all.
    rows: Option<Vec<u32>>,
    ids: Cow<'a, [u64]>,
    /// Parents' ids, 0 for none.
    parents: Cow<'a, [u64]>,
    starts: Cow<'a, [u64]>,
    kinds: Cow<'a, [i32]>,
}

impl<'a> Linkage<'a> {
    fn of_chunk(chunk: &'a Chunk) -> Self {
        Linkage {
            rows: None,
            ids: Cow::Borrowed(&chunk.span_id),
            parents: Cow::Borrowed(&chunk.parent_id),
            starts: Cow::Borrowed(&chunk.start),
            kinds: Cow::Borrowed(&chunk.kind),
        }
    }

    /// Reads the columns for some ascending rows. Waits for the store.
    fn read(source: &'a dyn SpanSource, rows: Vec<u32>) -> Result<Self, QueryError> {
        let numbers = |id| match source.column_of(id, &rows)?.map(|column| of_rows(column, &rows)) {
            Some(Values::U64(numbers)) if numbers.len() == rows.len() => Ok(numbers),
            _ => Err(QueryError::Internal(format!("column {id:?} has another type"))),
        };
        let kinds = match source.column_of(ColumnId::Kind, &rows)?.map(|column| of_rows(column, &rows)) {
            Some(Values::Enum(kinds)) if kinds.len() == rows.len() => kinds,
            _ => return Err(QueryError::Internal("the column of kinds has another type".to_string())),
        };
        let (ids, parents, starts) = (numbers(ColumnId::SpanId)?, numbers(ColumnId::ParentId)?, numbers(ColumnId::Start)?);
        Ok(Linkage { ids, parents, starts, kinds, rows: Some(rows) })
    }

    /// The span of a row.
    fn node(&self, origin: SourceRow) -> Option<Node> {
        let at = match &self.rows {
            None => origin.row as usize,
            Some(rows) => rows.binary_search(&origin.row).ok()?,
        };
        let (id, parent_id) = (*self.ids.get(at)?, *self.parents.get(at)?);
        Some(Node { origin, id, parent_id, start: *self.starts.get(at)?, kind: *self.kinds.get(at)? })
    }
}

/// The values of a dense column for some ascending rows; a source may have read more than it was asked for.
fn of_rows<'c>(column: Column<'c>, rows: &[u32]) -> Values<'c> {
    let Rows::All = column.rows else { return column.values };
    match column.values {
        Values::U64(values) => Values::U64(rows.iter().filter_map(|row| values.get(*row as usize)).copied().collect()),
        Values::Enum(values) => Values::Enum(rows.iter().filter_map(|row| values.get(*row as usize)).copied().collect()),
        other => other,
    }
}

/// What a row of a row group takes while it is linked, and a row of the forest.
const LINKED_BYTES: usize = 36;
const ROW_BYTES: usize = 48;
/// Rows are counted when so many have come.
const ROWS_PER_CHARGE: usize = 1 << 14;

/// Traces joined from their pieces, each span once, each trace depth-first.
pub(super) struct Forest {
    /// The units that rows come from.
    units: Vec<UnitId>,
    /// Where each row comes from: a position in `units` and the row there.
    rows: Vec<SourceRow>,
    traces: Vec<Range<usize>>,
    tree: Tree,
    /// Counts until the forest goes.
    _charge: Charge,
}

impl Forest {
    /// Joins traces, each given by all its pieces. A span that is in several pieces, or several times in one, is taken once:
    /// by its id and kind (spec/query-api.md §3.4).
    pub fn join<'p>(units: &Units<'_>, traces: impl Iterator<Item = &'p [Piece]>) -> Result<Self, QueryError> {
        let traces: Vec<&[Piece]> = traces.collect();
        let budget = &units.snapshot().budget;
        let mut joining = Joining { charge: budget.charge(), ..Joining::default() };
        let (mut linking, mut num_counted) = (budget.charge(), 0);
        let linkages = joining.link(units, &traces, &mut linking)?;
        for pieces in traces {
            joining.add_trace(units, pieces, &linkages)?;
            if joining.rows.len() >= num_counted + ROWS_PER_CHARGE {
                num_counted = joining.rows.len();
                budget.check()?;
                joining.charge.set(num_counted * ROW_BYTES)?;
            }
        }
        Ok(joining.finish())
    }

    /// Number of rows.
    pub fn num_rows(&self) -> usize {
        self.rows.len()
    }

    /// The rows of each trace.
    pub fn traces(&self) -> &[Range<usize>] {
        &self.traces
    }

    /// The trees.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The units that rows come from.
    pub fn units(&self) -> &[UnitId] {
        &self.units
    }

    /// The position in [`units`](Self::units) of a row's unit, and the row there.
    pub fn place(&self, row: u32) -> (usize, u32) {
        let at = self.rows[row as usize];
        (at.source as usize, at.row)
    }

    /// The unit of a row, and the row there.
    pub fn origin(&self, row: u32) -> (UnitId, u32) {
        let (unit, row) = self.place(row);
        (self.units[unit], row)
    }
}

/// A forest under construction.
#[derive(Default)]
struct Joining {
    units: Vec<UnitId>,
    numbers: HashMap<UnitId, u32>,
    walk: DepthFirst,
    seen: HashSet<(u64, i32)>,
    rows: Vec<SourceRow>,
    traces: Vec<Range<usize>>,
    first_rows: Vec<u32>,
    parent_offset: Vec<u32>,
    subtree: Vec<u32>,
    orphans: Vec<u32>,
    charge: Charge,
}

impl Joining {
    /// Reads how the spans of all pieces hang together, unit by unit.
    fn link<'u>(&mut self, units: &'u Units<'_>, traces: &[&[Piece]], charge: &mut Charge) -> Result<Vec<Linkage<'u>>, QueryError> {
        let mut wanted: Vec<Vec<u32>> = Vec::new();
        for piece in traces.iter().copied().flatten() {
            let source = self.number(piece.unit) as usize;
            wanted.resize_with(self.units.len(), Vec::new);
            if let UnitId::Group(..) = piece.unit {
                wanted[source].extend(units.group_rows(*piece)?.map(|row| row as u32));
            }
        }
        charge.set(wanted.iter().map(Vec::len).sum::<usize>() * LINKED_BYTES)?;
        let linkage = |(unit, mut rows): (&UnitId, Vec<u32>)| match unit {
            UnitId::Chunk(at) => Ok(Linkage::of_chunk(&units.snapshot().chunks[*at])),
            UnitId::Group(..) => {
                rows.sort_unstable();
                Linkage::read(units.source(*unit)?.as_source(), rows)
            }
        };
        self.units.iter().zip(wanted).map(linkage).collect()
    }

    fn add_trace(&mut self, units: &Units<'_>, pieces: &[Piece], linkages: &[Linkage<'_>]) -> Result<(), QueryError> {
        self.walk.clear();
        self.seen.clear();
        for piece in pieces {
            let source = self.number(piece.unit);
            for row in units.rows(*piece)? {
                let node = linkages[source as usize].node(SourceRow { source, row });
                let node = node.ok_or_else(|| QueryError::Internal("a span of a trace is missing".to_string()))?;
                if self.seen.insert((node.id, node.kind)) {
                    self.walk.add(node);
                }
            }
        }
        let first = self.rows.len();
        let Joining { walk, rows, parent_offset, subtree, orphans, .. } = self;
        walk.run(|node, offset, below| {
            if offset == 0 && node.parent_id != 0 {
                orphans.push(rows.len() as u32);
            }
            rows.push(node.origin);
            parent_offset.push(offset);
            subtree.push(below);
        });
        self.first_rows.push(first as u32);
        self.traces.push(first..self.rows.len());
        Ok(())
    }

    fn number(&mut self, unit: UnitId) -> u32 {
        *self.numbers.entry(unit).or_insert_with(|| {
            self.units.push(unit);
            self.units.len() as u32 - 1
        })
    }

    fn finish(mut self) -> Forest {
        self.first_rows.push(self.rows.len() as u32);
        let tree = Tree::new(self.first_rows, &self.parent_offset, self.subtree, &self.orphans);
        Forest { units: self.units, rows: self.rows, traces: self.traces, tree, _charge: self.charge }
    }
}

impl Units<'_> {
    /// The traces of the head and those of `split`, each with its pieces, where they are several or not in order.
    pub(super) fn all_pieces<'i>(&self, split: impl Iterator<Item = &'i TraceId>) -> Result<HashMap<TraceId, Vec<Piece>>, QueryError> {
        let head = self.snapshot().chunks.iter().flat_map(|chunk| chunk.traces.summaries()).map(|summary| summary.id);
        let mut found = HashMap::new();
        for id in head.chain(split.copied()) {
            if let std::collections::hash_map::Entry::Vacant(entry) = found.entry(id) {
                entry.insert(self.pieces_of(&id)?);
            }
        }
        Ok(found)
    }
}
