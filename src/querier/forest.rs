//! Traces whose spans lie in several units, or in the order of their arrival: put together into depth-first trees.

use super::QueryError;
use super::unit::{Piece, UnitId, Units};
use crate::block::depth_first::{DepthFirst, Node, SourceRow};
use crate::columns::Chunk;
use crate::columns::view::{ColumnId, SpanSource, Values};
use crate::model::TraceId;
use crate::traceql::eval::tree::Tree;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// The columns of a unit that say how its spans hang together, by row.
#[derive(Clone, Copy)]
pub(super) struct Linkage<'a> {
    /// Span ids.
    pub ids: &'a [u64],
    /// Parents' ids, 0 for none.
    pub parents: &'a [u64],
    /// Starts, Unix nanoseconds.
    pub starts: &'a [u64],
    /// OTLP's `SpanKind` numbers.
    pub kinds: &'a [i32],
}

impl<'a> Linkage<'a> {
    /// Of a chunk.
    pub fn of_chunk(chunk: &'a Chunk) -> Self {
        Linkage { ids: &chunk.span_id, parents: &chunk.parent_id, starts: &chunk.start, kinds: &chunk.kind }
    }
}

/// The same, read from a row group.
pub(super) struct GroupLinkage {
    ids: Vec<u64>,
    parents: Vec<u64>,
    starts: Vec<u64>,
    kinds: Vec<i32>,
}

impl GroupLinkage {
    /// Waits for the store.
    pub fn read(source: &dyn SpanSource) -> Result<Self, QueryError> {
        let numbers = |id| match source.column(id)?.map(|column| column.values) {
            Some(Values::U64(numbers)) => Ok(numbers.into_owned()),
            _ => Err(QueryError::Internal(format!("column {id:?} has another type"))),
        };
        let Some(Values::Enum(kinds)) = source.column(ColumnId::Kind)?.map(|column| column.values) else {
            return Err(QueryError::Internal("the column of kinds has another type".to_string()));
        };
        Ok(GroupLinkage {
            ids: numbers(ColumnId::SpanId)?,
            parents: numbers(ColumnId::ParentId)?,
            starts: numbers(ColumnId::Start)?,
            kinds: kinds.into_owned(),
        })
    }

    /// Borrowed.
    pub fn as_linkage(&self) -> Linkage<'_> {
        Linkage { ids: &self.ids, parents: &self.parents, starts: &self.starts, kinds: &self.kinds }
    }
}

/// Traces joined from their pieces, each span once, each trace depth-first.
pub(super) struct Forest {
    /// The units that rows come from.
    units: Vec<UnitId>,
    /// Where each row comes from: a position in `units` and the row there.
    rows: Vec<SourceRow>,
    traces: Vec<Range<usize>>,
    tree: Tree,
}

impl Forest {
    /// Joins traces, each given by all its pieces. A span that is in several pieces, or several times in one, is taken once:
    /// by its id and kind (spec/query-api.md §3.4).
    pub fn join<'p>(units: &Units<'_>, traces: impl Iterator<Item = &'p [Piece]>) -> Result<Self, QueryError> {
        let mut joining = Joining::default();
        for pieces in traces {
            joining.add_trace(units, pieces)?;
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
}

impl Joining {
    fn add_trace(&mut self, units: &Units<'_>, pieces: &[Piece]) -> Result<(), QueryError> {
        self.walk.clear();
        self.seen.clear();
        for piece in pieces {
            let source = self.number(piece.unit);
            let linkage = units.linkage(piece.unit)?;
            for row in units.rows(*piece)? {
                let at = row as usize;
                let (id, kind) = (linkage.ids[at], linkage.kinds[at]);
                if self.seen.insert((id, kind)) {
                    let origin = SourceRow { source, row };
                    self.walk.add(Node { origin, id, parent_id: linkage.parents[at], start: linkage.starts[at], kind });
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
        Forest { units: self.units, rows: self.rows, traces: self.traces, tree }
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
