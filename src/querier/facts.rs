//! What is true of a trace as a whole, whichever units its spans lie in.

use super::QueryError;
use super::forest::Forest;
use super::rows::group_tree;
use super::unit::{Piece, UnitId, UnitSource, Units};
use crate::block::trace_table::TraceTable;
use crate::columns::chunk::NO_ROW;
use crate::columns::view::{ColumnId, SourceError, Values};
use crate::model::{TimeRange, TraceId, UnixNanos};
use crate::traceql::eval::{Bitmap, TraceFacts, TreeNumber};
use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap, HashSet};

const STATUS_ERROR: i32 = 2;

/// A trace, joined from its pieces.
#[derive(Clone, Debug, Default)]
pub struct TraceInfo<'s> {
    /// Earliest span start, Unix nanoseconds.
    pub start: u64,
    /// Latest span end, Unix nanoseconds.
    pub end: u64,
    /// Service and name of the root span, if there is one.
    pub root: Option<(&'s str, &'s str)>,
}

impl TraceInfo<'_> {
    /// True if the trace shares a moment with the range (spec/traceql.md §10.1).
    pub fn overlaps(&self, range: &TimeRange) -> bool {
        TimeRange { start: UnixNanos(self.start), end: UnixNanos(self.end.max(self.start)) }.overlaps(range)
    }
}

impl<'s> Units<'s> {
    /// What one piece says of its trace.
    fn piece_info(&self, piece: Piece) -> Result<TraceInfo<'s>, QueryError> {
        match piece.unit {
            UnitId::Chunk(at) => {
                let chunk = &self.snapshot().chunks[at];
                let summary = &chunk.traces.summaries()[piece.ordinal as usize];
                let root = (summary.root_row != NO_ROW)
                    .then(|| (chunk.service_name(summary.root_row), chunk.names.text(chunk.name[summary.root_row as usize])));
                Ok(TraceInfo { start: summary.start, end: summary.end, root })
            }
            UnitId::Group(block, _) => {
                let traces = self.snapshot().blocks[block].traces()?;
                let ordinal = self.block_ordinal(piece)?;
                let root = traces.root_service(ordinal).zip(traces.root_name(ordinal));
                Ok(TraceInfo { start: traces.start(ordinal), end: traces.end(ordinal), root })
            }
        }
    }

    /// What all pieces together say.
    pub fn info(&self, pieces: &[Piece]) -> Result<TraceInfo<'s>, QueryError> {
        let mut joined = TraceInfo { start: u64::MAX, end: 0, root: None };
        for piece in pieces {
            let part = self.piece_info(*piece)?;
            joined.start = joined.start.min(part.start);
            joined.end = joined.end.max(part.end);
            joined.root = joined.root.or(part.root);
        }
        Ok(joined)
    }

    /// Spans and errors of a trace by service, each span once.
    pub fn service_stats(&self, pieces: &[Piece]) -> Result<ServiceStats, QueryError> {
        let mut stats = ServiceStats::new();
        if let [Piece { unit: UnitId::Group(block, _), .. }] = pieces {
            let traces = self.snapshot().blocks[*block].traces()?;
            for (name, count) in traces.service_counts(self.block_ordinal(pieces[0])?) {
                stats.insert(name.to_string(), (count.spans, count.errors));
            }
            return Ok(stats);
        }
        // A span may be in the head as often as it was sent, and in a block besides.
        let mut seen = HashSet::new();
        for piece in pieces {
            self.count_spans(*piece, &mut seen, &mut stats)?;
        }
        Ok(stats)
    }

    fn count_spans(&self, piece: Piece, seen: &mut HashSet<(u64, i32)>, stats: &mut ServiceStats) -> Result<(), QueryError> {
        let source = self.source(piece.unit)?.as_source();
        let column = |id: ColumnId<'_>| source.column(id)?.ok_or_else(|| QueryError::Internal("a column is missing".to_string()));
        let (ids, kinds) = (column(ColumnId::SpanId)?.values, column(ColumnId::Kind)?.values);
        let (statuses, resources) = (column(ColumnId::Status)?.values, column(ColumnId::Resource)?.values);
        let (Values::U64(ids), Values::Enum(kinds), Values::Enum(statuses), Values::U32(resources)) = (ids, kinds, statuses, resources)
        else {
            return Err(QueryError::Internal("a column has another type".to_string()));
        };
        for row in self.rows(piece)?.into_iter().map(|row| row as usize) {
            if seen.insert((ids[row], kinds[row])) {
                let service = source.resources().get(resources[row] as usize).map_or("", |resource| resource.service_name());
                let count = stats.entry(service.to_string()).or_default();
                count.0 += 1;
                count.1 += u32::from(statuses[row] == STATUS_ERROR);
            }
        }
        Ok(())
    }

    /// The rows of a piece within its unit, in the order of that unit.
    pub(super) fn rows(&self, piece: Piece) -> Result<Vec<u32>, QueryError> {
        Ok(match piece.unit {
            UnitId::Chunk(at) => self.snapshot().chunks[at].rows_of(piece.ordinal).collect(),
            UnitId::Group(..) => self.group_rows(piece)?.map(|row| row as u32).collect(),
        })
    }
}

/// Spans and spans with status error, by service name.
pub type ServiceStats = BTreeMap<String, (u32, u32)>;

/// Traces that have pieces in several units.
pub struct JoinedTraces<'u, 's> {
    units: &'u Units<'s>,
    split: HashSet<TraceId>,
    infos: OnceCell<HashMap<TraceId, TraceInfo<'s>>>,
    trees: OnceCell<JoinedTrees>,
}

/// The trees of all traces that have to be joined.
struct JoinedTrees {
    forest: Forest,
    /// By unit: rows there, and their rows in the forest.
    rows: HashMap<UnitId, Vec<(u32, u32)>>,
    /// The numbers of all rows of the forest, by kind; made when one is asked for.
    numbers: [OnceCell<Vec<i64>>; 4],
}

impl JoinedTrees {
    fn numbers(&self, number: TreeNumber) -> &[i64] {
        self.numbers[number as usize].get_or_init(|| self.forest.tree().numbers(number))
    }
}

impl<'u, 's> JoinedTraces<'u, 's> {
    /// Of a snapshot.
    pub fn of(units: &'u Units<'s>) -> Self {
        let split = units.snapshot().blocks.iter().flat_map(|block| block.split()).chain(units.snapshot().shared.iter()).copied().collect();
        JoinedTraces { units, split, infos: OnceCell::new(), trees: OnceCell::new() }
    }

    /// The units of the same snapshot.
    pub fn units(&self) -> &'u Units<'s> {
        self.units
    }

    /// Traces that are known to have spans in several blocks.
    pub fn split(&self) -> impl Iterator<Item = &TraceId> {
        self.split.iter()
    }

    /// Whether a trace that has spans in a block may have spans elsewhere too.
    pub fn is_split(&self, id: &TraceId) -> bool {
        self.split.contains(id) || self.units.is_in_head(id)
    }

    /// Joined facts of all traces that have several pieces; made when a query first asks for whole-trace facts.
    fn infos(&self) -> Result<&HashMap<TraceId, TraceInfo<'s>>, QueryError> {
        if let Some(infos) = self.infos.get() {
            return Ok(infos);
        }
        let chunks = &self.units.snapshot().chunks;
        let ids = chunks.iter().flat_map(|chunk| chunk.traces.summaries()).map(|summary| summary.id);
        let mut infos = HashMap::new();
        for id in ids.chain(self.split.iter().copied()) {
            if infos.contains_key(&id) {
                continue;
            }
            let pieces = self.units.pieces_of(&id)?;
            if pieces.len() > 1 {
                infos.insert(id, self.units.info(&pieces)?);
            }
        }
        Ok(self.infos.get_or_init(|| infos))
    }

    /// The trees of the traces of the head and of split ones; made when a query first asks for numbers of trees.
    fn trees(&self) -> Result<&JoinedTrees, QueryError> {
        if let Some(trees) = self.trees.get() {
            return Ok(trees);
        }
        let pieces = self.units.all_pieces(self.split.iter())?;
        let forest = Forest::join(self.units, pieces.values().map(Vec::as_slice))?;
        let mut rows: HashMap<UnitId, Vec<(u32, u32)>> = HashMap::new();
        for row in 0..forest.num_rows() as u32 {
            let (unit, origin) = forest.origin(row);
            rows.entry(unit).or_default().push((origin, row));
        }
        Ok(self.trees.get_or_init(|| JoinedTrees { forest, rows, numbers: Default::default() }))
    }

    /// A number of the trees for every row of a unit. Rows that repeat a span that is elsewhere keep 0 in the head.
    fn tree_numbers(&self, unit: UnitId, number: TreeNumber) -> Result<Vec<i64>, QueryError> {
        let mut numbers = match unit {
            UnitId::Chunk(at) => vec![0; self.units.snapshot().chunks[at].num_rows()],
            UnitId::Group(block, group) => match self.children(unit, number)? {
                Some(children) => children,
                None => group_tree(self.units, unit, &self.units.group_traces(block, group)?)?.numbers(number),
            },
        };
        if self.may_join(unit) {
            let trees = self.trees()?;
            if let Some(rows) = trees.rows.get(&unit) {
                let joined = trees.numbers(number);
                rows.iter().for_each(|(row, at)| numbers[*row as usize] = joined[*at as usize]);
            }
        }
        Ok(numbers)
    }

    /// Numbers of children, where they can be told without the whole tree.
    fn children(&self, unit: UnitId, number: TreeNumber) -> Result<Option<Vec<i64>>, QueryError> {
        match (number, self.units.source(unit)?) {
            (TreeNumber::Children, UnitSource::Group(source)) => Ok(Some(source.children()?)),
            _ => Ok(None),
        }
    }

    /// Whether a unit may have rows of traces that have to be joined.
    fn may_join(&self, unit: UnitId) -> bool {
        matches!(unit, UnitId::Chunk(_)) || !self.split.is_empty() || !self.units.snapshot().chunks.is_empty()
    }

    /// The roots among the rows of a unit, as [`tree_numbers`](Self::tree_numbers) tells them, but without numbering anything that
    /// need not be joined.
    fn roots(&self, unit: UnitId) -> Result<Bitmap, QueryError> {
        let source = self.units.source(unit)?;
        let own = match source {
            UnitSource::Chunk(_) => Vec::new(),
            UnitSource::Group(source) => source.roots()?,
        };
        let mut roots = Bitmap::from_rows(source.as_source().num_rows(), &own);
        if self.may_join(unit) {
            let trees = self.trees()?;
            let (joined, rows) = (trees.numbers(TreeNumber::Parent), trees.rows.get(&unit).map_or(&[][..], Vec::as_slice));
            let mut others = Bitmap::empty(roots.len());
            for (row, at) in rows {
                let side = if joined[*at as usize] < 0 { &mut roots } else { &mut others };
                side.insert(*row);
            }
            roots.and_not_with(&others);
        }
        Ok(roots)
    }
}

/// Whole-trace facts for the evaluator, by the ordinals of one unit.
pub struct UnitFacts<'u, 's> {
    units: &'u Units<'s>,
    joined: &'u JoinedTraces<'u, 's>,
    unit: UnitId,
}

impl<'u, 's> UnitFacts<'u, 's> {
    /// Facts for a unit.
    pub fn of(joined: &'u JoinedTraces<'u, 's>, unit: UnitId) -> Self {
        UnitFacts { units: joined.units, joined, unit }
    }

    /// The table of the traces of a row group in which all are whole, with the ordinal of the first: what it says need not be joined.
    fn whole_traces(&self) -> Option<(&'s TraceTable, u32)> {
        let UnitId::Group(block, group) = self.unit else { return None };
        if self.joined.may_join(self.unit) {
            return None;
        }
        let traces = self.units.snapshot().blocks[block].traces().ok()?;
        Some((traces, traces.traces_of(group).start))
    }

    /// The facts of a trace. A block that was opened and then cannot be read makes them empty here; the query fails on the
    /// same block when it reads its columns.
    fn info(&self, ordinal: u32) -> TraceInfo<'s> {
        let piece = Piece { unit: self.unit, ordinal };
        if !self.joined.may_join(self.unit) {
            return self.units.info(&[piece]).unwrap_or_default();
        }
        let joined = self.joined.infos().ok().and_then(|infos| infos.get(&self.units.trace_id(piece).ok()?));
        joined.cloned().or_else(|| self.units.info(&[piece]).ok()).unwrap_or_default()
    }
}

impl TraceFacts for UnitFacts<'_, '_> {
    fn duration(&self, ordinal: u32) -> u64 {
        let info = self.info(ordinal);
        info.end.wrapping_sub(info.start)
    }

    fn root_name(&self, ordinal: u32) -> &str {
        if let Some((traces, first)) = self.whole_traces() {
            return traces.root_service(first + ordinal).and(traces.root_name(first + ordinal)).unwrap_or_default();
        }
        self.info(ordinal).root.map_or("", |(_, name)| name)
    }

    fn root_service(&self, ordinal: u32) -> &str {
        if let Some((traces, first)) = self.whole_traces() {
            return traces.root_name(first + ordinal).and(traces.root_service(first + ordinal)).unwrap_or_default();
        }
        self.info(ordinal).root.map_or("", |(service, _)| service)
    }

    fn tree(&self, number: TreeNumber) -> Result<Cow<'_, [i64]>, SourceError> {
        self.joined.tree_numbers(self.unit, number).map(Cow::Owned).map_err(|error| SourceError(error.to_string()))
    }

    fn roots(&self) -> Result<Bitmap, SourceError> {
        self.joined.roots(self.unit).map_err(|error| SourceError(error.to_string()))
    }

    fn id(&self, ordinal: u32) -> TraceId {
        self.units.trace_id(Piece { unit: self.unit, ordinal }).unwrap_or_default()
    }
}
