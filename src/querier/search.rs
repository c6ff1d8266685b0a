//! Search: which traces match, newest first.
//!
//! Units are searched from the newest on. Of a trace that lies in one unit everything is known there. Of one that lies in
//! several, a unit gives only an upper bound of its start, so these are set aside and resolved afterwards, best bound
//! first, as long as they can still enter the answer. A unit whose newest trace is older than the worst of a full answer
//! is not read at all.

use super::facts::{JoinedTraces, UnitFacts};
use super::results::Results;
use super::unit::{Piece, UnitId, Units};
use super::{QueryError, Snapshot};
use crate::model::{TimeRange, TraceId};
use crate::proto::tempopb;
use crate::traceql::ast::{Body, FieldExpr, Query, SpansetExpr, Stage};
use crate::traceql::eval::{Bitmap, Filter};
use std::cell::OnceCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet};

/// A search as the API has checked it.
#[derive(Clone, Debug)]
pub struct SearchParams {
    /// The query; `None` matches every trace and answers without span sets (the legacy form without `q` and `tags`).
    pub query: Option<Query>,
    /// Largest number of traces in the answer, at least 1.
    pub limit: usize,
    /// Largest number of spans in a span set, at least 1.
    pub spans_per_span_set: usize,
    /// Only traces that overlap it.
    pub range: TimeRange,
}

/// Runs a search. Waits for the store and computes.
pub fn search(snapshot: &Snapshot, params: &SearchParams) -> Result<tempopb::SearchResponse, QueryError> {
    let filter = params.query.as_ref().map(|query| Filter::compile(only_filter(query)?).map_err(QueryError::from)).transpose()?;
    let units = Units::of(snapshot);
    let joined = JoinedTraces::of(&units);
    let mut search = Search::new(&units, &joined, filter.as_ref(), params);
    if filter.as_ref().and_then(Filter::constant) != Some(false) {
        search.run()?;
    }
    Results::of(&search, params)?.response()
}

/// The filter of a query that is nothing but a filter.
fn only_filter(query: &Query) -> Result<&FieldExpr, QueryError> {
    let unsupported = || QueryError::Unsupported("only a single filter { … } can be searched for yet".to_string());
    let Body::Pipeline(pipeline) = &query.body else { return Err(unsupported()) };
    match &pipeline.stages[..] {
        [Stage::Spansets(SpansetExpr::Filter(filter))] => Ok(filter),
        _ => Err(unsupported()),
    }
}

/// A trace of the answer: earlier is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ranked {
    /// Newest first.
    pub start: Reverse<u64>,
    /// Then by id.
    pub id: TraceId,
}

/// A search under way.
pub(super) struct Search<'u, 's> {
    pub units: &'u Units<'s>,
    pub joined: &'u JoinedTraces<'u, 's>,
    filter: Option<&'u Filter>,
    limit: usize,
    range: TimeRange,
    matches: HashMap<UnitId, OnceCell<Bitmap>>,
    /// The best so far; its greatest element is the worst.
    best: BinaryHeap<Ranked>,
    /// Pieces of the traces in `best` that lie in one unit.
    pub homes: HashMap<TraceId, Piece>,
    /// Traces with several pieces, with an upper bound of their start.
    pending: BTreeMap<TraceId, u64>,
}

impl<'u, 's> Search<'u, 's> {
    fn new(units: &'u Units<'s>, joined: &'u JoinedTraces<'u, 's>, filter: Option<&'u Filter>, params: &SearchParams) -> Self {
        let mut matches: HashMap<UnitId, OnceCell<Bitmap>> = units.chunk_ids().map(|unit| (unit, OnceCell::new())).collect();
        matches.extend(units.groups_newest_first(&TimeRange::ALL).into_iter().map(|unit| (unit, OnceCell::new())));
        Search {
            units,
            joined,
            filter,
            limit: params.limit,
            range: params.range,
            matches,
            best: BinaryHeap::new(),
            homes: HashMap::new(),
            pending: BTreeMap::new(),
        }
    }

    fn run(&mut self) -> Result<(), QueryError> {
        for unit in self.units.chunk_ids().collect::<Vec<_>>() {
            self.search_chunk(unit)?;
        }
        let groups = self.units.groups_newest_first(&self.range);
        for unit in &groups {
            if self.is_beaten(self.units.newest_start(*unit)) {
                break;
            }
            self.search_group(*unit)?;
        }
        self.search_split_outside(&groups)?;
        self.resolve_pending()
    }

    /// The rows of a unit that match.
    pub fn matches(&self, unit: UnitId) -> Result<&Bitmap, QueryError> {
        let cell = self.matches.get(&unit).ok_or_else(|| QueryError::Internal("a unit outside of the snapshot".to_string()))?;
        if let Some(bitmap) = cell.get() {
            return Ok(bitmap);
        }
        let source = self.units.source(unit)?.as_source();
        let bitmap = match self.filter {
            Some(filter) => filter.select(source, &UnitFacts::of(self.joined, unit))?,
            None => Bitmap::full(source.num_rows()),
        };
        Ok(cell.get_or_init(|| bitmap))
    }

    /// The matching rows of a piece.
    pub fn matching_rows(&self, piece: Piece) -> Result<Vec<u32>, QueryError> {
        let matches = self.matches(piece.unit)?;
        Ok(match piece.unit {
            UnitId::Chunk(at) => {
                let rows = self.units.snapshot().chunks[at].rows_of(piece.ordinal);
                rows.filter(|row| matches.contains(*row)).collect()
            }
            UnitId::Group(..) => matches.iter_in(self.units.group_rows(piece)?).collect(),
        })
    }

    /// True if a trace that starts at `start` at the latest cannot enter the answer any more.
    fn is_beaten(&self, start: u64) -> bool {
        self.best.len() >= self.limit && self.best.peek().is_some_and(|worst| Reverse(start) > worst.start)
    }

    fn add(&mut self, ranked: Ranked, home: Option<Piece>) {
        self.best.push(ranked);
        if let Some(home) = home {
            self.homes.insert(ranked.id, home);
        }
        if self.best.len() > self.limit
            && let Some(beaten) = self.best.pop()
        {
            self.homes.remove(&beaten.id);
        }
    }

    /// Traces of the head are in several chunks more often than not, so all of them are resolved later.
    fn search_chunk(&mut self, unit: UnitId) -> Result<(), QueryError> {
        let UnitId::Chunk(at) = unit else { return Ok(()) };
        let chunk = &self.units.snapshot().chunks[at];
        let mut is_hit = vec![false; chunk.traces.summaries().len()];
        self.matches(unit)?.iter().for_each(|row| is_hit[chunk.trace[row as usize] as usize] = true);
        for (summary, _) in chunk.traces.summaries().iter().zip(is_hit).filter(|(_, is_hit)| *is_hit) {
            self.add_pending(summary.id, summary.start);
        }
        Ok(())
    }

    fn add_pending(&mut self, id: TraceId, start: u64) {
        let bound = self.pending.entry(id).or_insert(start);
        *bound = start.min(*bound);
    }

    fn search_group(&mut self, unit: UnitId) -> Result<(), QueryError> {
        let UnitId::Group(block, group) = unit else { return Ok(()) };
        let block = &self.units.snapshot().blocks[block];
        let traces = block.traces()?;
        let first_row = traces.first_row_of(group);
        let mut hits = Vec::new();
        {
            let matches = self.matches(unit)?;
            for (at, ordinal) in traces.traces_of(group).enumerate() {
                let rows = traces.rows(ordinal);
                if matches.any_in((rows.start - first_row) as usize..(rows.end - first_row) as usize) {
                    hits.push((at as u32, ordinal));
                }
            }
        }
        for (at, ordinal) in hits {
            let start = traces.start(ordinal);
            if self.is_beaten(start) {
                continue;
            }
            let id = block.trace_id(ordinal);
            let piece = Piece { unit, ordinal: at };
            if self.joined.is_split(&id) {
                self.add_pending(id, start);
            } else if self.units.info(&[piece])?.overlaps(&self.range) {
                self.add(Ranked { start: Reverse(start), id }, Some(piece));
            }
        }
        Ok(())
    }

    /// A trace that was cut in two is inside the range as a whole even if the block with its matching spans is not.
    fn search_split_outside(&mut self, inside: &[UnitId]) -> Result<(), QueryError> {
        if self.range == TimeRange::ALL {
            return Ok(());
        }
        let inside: HashSet<UnitId> = inside.iter().copied().collect();
        for id in self.joined.split().copied().collect::<Vec<_>>() {
            let pieces = self.units.pieces_of(&id)?;
            let info = self.units.info(&pieces)?;
            if self.pending.contains_key(&id) || !info.overlaps(&self.range) || self.is_beaten(info.start) {
                continue;
            }
            for piece in pieces.into_iter().filter(|piece| matches!(piece.unit, UnitId::Group(..)) && !inside.contains(&piece.unit)) {
                if !self.matching_rows(piece)?.is_empty() {
                    self.add_pending(id, info.start);
                }
            }
        }
        Ok(())
    }

    fn resolve_pending(&mut self) -> Result<(), QueryError> {
        let mut pending: Vec<(TraceId, u64)> = std::mem::take(&mut self.pending).into_iter().collect();
        pending.sort_unstable_by_key(|(id, bound)| (Reverse(*bound), *id));
        for (id, bound) in pending {
            if self.is_beaten(bound) {
                break;
            }
            let info = self.units.info(&self.units.pieces_of(&id)?)?;
            if info.overlaps(&self.range) {
                self.add(Ranked { start: Reverse(info.start), id }, None);
            }
        }
        Ok(())
    }

    /// The traces of the answer, best first.
    pub fn ranked(&self) -> Vec<Ranked> {
        self.best.clone().into_sorted_vec()
    }

    /// Number of spans that were looked at.
    pub fn num_inspected(&self) -> usize {
        self.matches.values().filter_map(OnceCell::get).map(Bitmap::len).sum()
    }
}
