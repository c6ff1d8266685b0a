//! The units of work of a snapshot.

use super::{QueryError, Snapshot};
use crate::block::reader::Block;
use crate::block::source::{RowGroupSource, newest_span_start};
use crate::columns::Chunk;
use crate::columns::view::SpanSource;
use crate::model::{TimeRange, TraceId, UnixNanos};
use crate::traceql::eval::Filter;
use std::cell::OnceCell;
use std::ops::Range;

/// A chunk of the head or a row group of a block, by position in the snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum UnitId {
    /// A chunk.
    Chunk(usize),
    /// A block and one of its row groups.
    Group(usize, usize),
}

/// The columns of a unit.
pub enum UnitSource<'s> {
    /// Of a chunk.
    Chunk(&'s Chunk),
    /// Of a row group.
    Group(Box<RowGroupSource<'s>>),
}

impl UnitSource<'_> {
    /// As what the evaluator takes.
    pub fn as_source(&self) -> &dyn SpanSource {
        match self {
            UnitSource::Chunk(chunk) => *chunk,
            UnitSource::Group(group) => &**group,
        }
    }
}

/// A trace's part in one unit.
#[derive(Clone, Copy, Debug)]
pub struct Piece {
    /// The unit.
    pub unit: UnitId,
    /// The trace's ordinal within the unit.
    pub ordinal: u32,
}

/// The units of a snapshot, opened as they are needed.
pub struct Units<'s> {
    snapshot: &'s Snapshot,
    chunks: Vec<UnitSource<'s>>,
    groups: Vec<Vec<OnceCell<UnitSource<'s>>>>,
}

impl<'s> Units<'s> {
    /// All units of a snapshot, none opened.
    pub fn of(snapshot: &'s Snapshot) -> Self {
        let groups = |block: &std::sync::Arc<Block>| block.row_groups().iter().map(|_| OnceCell::new()).collect();
        Units {
            snapshot,
            chunks: snapshot.chunks.iter().map(|chunk| UnitSource::Chunk(chunk)).collect(),
            groups: snapshot.blocks.iter().map(groups).collect(),
        }
    }

    /// The snapshot.
    pub fn snapshot(&self) -> &'s Snapshot {
        self.snapshot
    }

    /// Chunks of the head.
    pub fn chunk_ids(&self) -> impl Iterator<Item = UnitId> {
        (0..self.chunks.len()).map(UnitId::Chunk)
    }

    /// Row groups that overlap a range, those with the newest traces first.
    pub fn groups_newest_first(&self, range: &TimeRange) -> Vec<UnitId> {
        let mut found = Vec::new();
        for (at, block) in self.snapshot.blocks.iter().enumerate() {
            for (group, meta) in block.row_groups().iter().enumerate() {
                let own = TimeRange { start: UnixNanos(meta.start_unix_nano), end: UnixNanos(meta.end_unix_nano) };
                // The end of a span may be before its start; then the newest start counts.
                let own = TimeRange { end: own.end.max(UnixNanos(meta.newest_start_unix_nano)), ..own };
                if own.overlaps(range) {
                    found.push((meta.newest_start_unix_nano, UnitId::Group(at, group)));
                }
            }
        }
        found.sort_unstable_by_key(|(newest, unit)| (std::cmp::Reverse(*newest), *unit));
        found.into_iter().map(|(_, unit)| unit).collect()
    }

    /// As [`groups_newest_first`](Self::groups_newest_first), and in front of them the row groups in which only spans overlap the range
    /// that end before they start: they may start after every end in their row group.
    pub fn groups_of_starts(&self, range: &TimeRange) -> Result<Vec<UnitId>, QueryError> {
        let known = self.groups_newest_first(range);
        let mut found = Vec::new();
        for (at, block) in self.snapshot.blocks.iter().enumerate() {
            for (group, meta) in block.row_groups().iter().enumerate() {
                let (unit, latest) = (UnitId::Group(at, group), meta.end_unix_nano.max(meta.newest_start_unix_nano));
                let may_lack = latest < range.start.0 && meta.start_unix_nano < range.end.0;
                if may_lack && newest_span_start(block, group)?.is_none_or(|newest| newest >= range.start.0) {
                    found.push(unit);
                }
            }
        }
        found.retain(|unit| !known.contains(unit));
        Ok(found.into_iter().chain(known).collect())
    }

    /// No trace of the unit starts later, Unix nanoseconds.
    pub fn newest_start(&self, unit: UnitId) -> u64 {
        match unit {
            UnitId::Chunk(_) => u64::MAX,
            UnitId::Group(block, group) => self.snapshot.blocks[block].row_groups()[group].newest_start_unix_nano,
        }
    }

    /// An error once the query has used up its time; to be asked before each unit.
    pub fn check_budget(&self) -> Result<(), QueryError> {
        self.snapshot.budget.progress.count_unit();
        self.snapshot.budget.check()
    }

    /// Number of spans of a unit.
    pub fn num_rows(&self, unit: UnitId) -> usize {
        match unit {
            UnitId::Chunk(at) => self.snapshot.chunks[at].num_rows(),
            UnitId::Group(block, group) => self.snapshot.blocks[block].row_groups()[group].num_spans as usize,
        }
    }

    /// The columns of a unit.
    pub fn source(&self, unit: UnitId) -> Result<&UnitSource<'s>, QueryError> {
        match unit {
            UnitId::Chunk(at) => Ok(&self.chunks[at]),
            UnitId::Group(block, group) => {
                let cell = &self.groups[block][group];
                if let Some(source) = cell.get() {
                    return Ok(source);
                }
                let opened = RowGroupSource::open(&self.snapshot.blocks[block], group)?;
                Ok(cell.get_or_init(|| UnitSource::Group(Box::new(opened))))
            }
        }
    }

    /// Whether a block's catalogue tells that a filter keeps none of its spans. Waits for the store, but opens no row group.
    pub fn rules_out(&self, block: usize, filter: &Filter) -> Result<bool, QueryError> {
        if filter.constant().is_some() {
            return Ok(filter.constant() == Some(false));
        }
        let catalogue = self.snapshot.blocks[block].catalogue()?;
        Ok(catalogue.is_some_and(|catalogue| !filter.may_match(catalogue)))
    }

    /// The trace of a unit's ordinal.
    pub fn trace_id(&self, piece: Piece) -> Result<TraceId, QueryError> {
        Ok(match piece.unit {
            UnitId::Chunk(at) => self.snapshot.chunks[at].traces.summaries()[piece.ordinal as usize].id,
            UnitId::Group(block, _) => self.snapshot.blocks[block].trace_id(self.block_ordinal(piece)?)?,
        })
    }

    /// The ordinal within the block of a piece in a row group.
    pub fn block_ordinal(&self, piece: Piece) -> Result<u32, QueryError> {
        let UnitId::Group(block, group) = piece.unit else { return Ok(piece.ordinal) };
        Ok(self.snapshot.blocks[block].traces()?.traces_of(group).start + piece.ordinal)
    }

    /// The rows of a piece in a row group, counted from the group's first.
    pub fn group_rows(&self, piece: Piece) -> Result<Range<usize>, QueryError> {
        let UnitId::Group(block, group) = piece.unit else { return Ok(0..0) };
        let traces = self.snapshot.blocks[block].traces()?;
        let (rows, first) = (traces.rows(self.block_ordinal(piece)?), traces.first_row_of(group));
        Ok((rows.start - first) as usize..(rows.end - first) as usize)
    }

    /// The rows of each trace of a row group, counted from the group's first.
    pub(super) fn group_traces(&self, block: usize, group: usize) -> Result<Vec<Range<usize>>, QueryError> {
        let traces = self.snapshot.blocks[block].traces()?;
        let first = traces.first_row_of(group);
        let rows = |trace| {
            let rows = traces.rows(trace);
            (rows.start - first) as usize..(rows.end - first) as usize
        };
        Ok(traces.traces_of(group).map(rows).collect())
    }

    /// All pieces of a trace.
    pub fn pieces_of(&self, id: &TraceId) -> Result<Vec<Piece>, QueryError> {
        let chunks = self.snapshot.chunks.iter().enumerate();
        let mut pieces: Vec<Piece> =
            chunks.filter_map(|(at, chunk)| chunk.traces.find(id).map(|ordinal| Piece { unit: UnitId::Chunk(at), ordinal })).collect();
        for (at, block) in self.snapshot.blocks.iter().enumerate() {
            if let Some(ordinal) = block.find(id)? {
                let traces = block.traces()?;
                let group = traces.group_of(ordinal);
                pieces.push(Piece { unit: UnitId::Group(at, group), ordinal: ordinal - traces.traces_of(group).start });
            }
        }
        Ok(pieces)
    }

    /// Whether the head has spans of a trace.
    pub fn is_in_head(&self, id: &TraceId) -> bool {
        self.snapshot.chunks.iter().any(|chunk| chunk.traces.find(id).is_some())
    }
}
