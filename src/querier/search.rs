//! Search: which traces match, newest first.
//!
//! Row groups are searched from the newest on, whole traces at once. Of a trace that lies in one row group everything is known
//! there. One that has spans in the head, or in several blocks, is joined from its pieces first and judged then; to find out
//! which of these are worth it, each filter's hits in every piece are collected as a mask. Candidates are tried in the order of
//! an upper bound of their start, as long as they can still enter the answer. A row group whose newest trace is older than the
//! worst of a full answer is not read at all.

use super::budget::Charge;
use super::facts::JoinedTraces;
use super::forest::Forest;
use super::results::Results;
use super::rows::{GroupRows, JoinedRows, Matches};
use super::unit::{Piece, UnitId, Units};
use super::{QueryError, Snapshot};
use crate::model::{TimeRange, TraceId};
use crate::proto::tempopb;
use crate::traceql::ast::Query;
use crate::traceql::eval::Scalar;
use crate::traceql::eval::pipeline::{Pipeline, SpanSet, TraceRows};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::sync::Arc;

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

/// Takes what a search has found while it goes on.
pub trait Watcher {
    /// Whether it wants something now.
    fn is_due(&mut self) -> bool;

    /// Traces that were found since it was told last, newest first, and how far the search has come.
    fn tell(&mut self, partial: tempopb::SearchResponse);
}

/// Nobody watches.
struct Unwatched;

impl Watcher for Unwatched {
    fn is_due(&mut self) -> bool {
        false
    }

    fn tell(&mut self, _: tempopb::SearchResponse) {}
}

/// Runs a search. Waits for the store and computes.
pub fn search(snapshot: &Snapshot, params: &SearchParams) -> Result<tempopb::SearchResponse, QueryError> {
    search_watched(snapshot, params, &mut Unwatched)
}

/// Runs a search and tells what it finds on the way. A trace that is told of is in the answer, with the same content, unless traces
/// that were cut in two push it out.
pub fn search_watched(
    snapshot: &Snapshot,
    params: &SearchParams,
    watcher: &mut dyn Watcher,
) -> Result<tempopb::SearchResponse, QueryError> {
    let pipeline = match &params.query {
        Some(query) => Pipeline::compile(query)?,
        None => Pipeline::everything(),
    };
    let units = Units::of(snapshot);
    let joined = JoinedTraces::of(&units);
    let matches = Matches::of(&joined, &pipeline);
    let mut search = Search::new(&matches, &joined, &pipeline, params);
    if pipeline.can_match() {
        search.run(&mut Told { watcher, params, ids: HashSet::new() })?;
    }
    let found = search.ranked(0);
    Results::of(&search, params, found)?.response()
}

/// A trace of the answer: earlier is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ranked {
    /// Newest first.
    pub start: Reverse<u64>,
    /// Then by id.
    pub id: TraceId,
}

/// A trace that matches.
pub(super) struct FoundTrace {
    /// Where its spans lie.
    pub pieces: Vec<Piece>,
    /// Its spansets, at least one.
    pub sets: Vec<FoundSet>,
}

/// A spanset of the answer.
pub(super) struct FoundSet {
    /// Unit and row of the spans that are shown, in the order of the trace's tree.
    pub shown: Vec<(UnitId, u32)>,
    /// Number of its spans.
    pub matched: usize,
    /// What stages have added.
    pub attributes: Vec<(Arc<str>, Scalar)>,
}

/// Which filters keep some span of a trace. Filters from the 64th on share a bit.
type Mask = u64;

fn bit(filter: usize) -> Mask {
    1 << filter.min(Mask::BITS as usize - 1)
}

/// A watcher with what it has been told.
struct Told<'w> {
    watcher: &'w mut dyn Watcher,
    params: &'w SearchParams,
    ids: HashSet<TraceId>,
}

/// A trace that has to be joined before it can be judged.
#[derive(Clone, Copy)]
struct Candidate {
    /// The trace starts no later, Unix nanoseconds.
    bound: u64,
    mask: Mask,
}

/// Candidates that are joined at once: few at first, because the best of them may fill the answer.
const FIRST_BATCH: usize = 64;
const LARGEST_BATCH: usize = 4096;

/// A span or spanset of an answer takes about so many bytes once it is written out.
const SHOWN_BYTES: usize = 256;
/// So does a trace besides them.
const FOUND_BYTES: usize = 512;
/// And a trace that is waiting to be judged, or was.
const CANDIDATE_BYTES: usize = 64;

/// A search under way.
pub(super) struct Search<'u, 's> {
    pub units: &'u Units<'s>,
    pub joined: &'u JoinedTraces<'u, 's>,
    matches: &'u Matches<'u, 's>,
    pipeline: &'u Pipeline,
    limit: usize,
    spans_per_span_set: usize,
    range: TimeRange,
    /// The best so far; its greatest element is the worst.
    best: BinaryHeap<Ranked>,
    found: HashMap<TraceId, FoundTrace>,
    /// Spans and spansets in `found`.
    num_held: usize,
    candidates: HashMap<TraceId, Candidate>,
    /// Traces that were joined and judged.
    judged: HashSet<TraceId>,
    charge: Charge,
}

impl FoundTrace {
    fn num_held(&self) -> usize {
        self.sets.iter().map(|set| 1 + set.shown.len()).sum()
    }
}

impl<'u, 's> Search<'u, 's> {
    fn new(matches: &'u Matches<'u, 's>, joined: &'u JoinedTraces<'u, 's>, pipeline: &'u Pipeline, params: &SearchParams) -> Self {
        Search {
            units: joined.units(),
            joined,
            matches,
            pipeline,
            limit: params.limit,
            spans_per_span_set: params.spans_per_span_set,
            range: params.range,
            best: BinaryHeap::new(),
            found: HashMap::new(),
            num_held: 0,
            candidates: HashMap::new(),
            judged: HashSet::new(),
            charge: joined.units().snapshot().budget.charge(),
        }
    }

    /// Counts what is held by now.
    fn count_memory(&mut self) -> Result<(), QueryError> {
        let waiting = self.candidates.len() + self.judged.len();
        self.charge.set(self.num_held * SHOWN_BYTES + self.found.len() * FOUND_BYTES + waiting * CANDIDATE_BYTES)
    }

    fn run(&mut self, told: &mut Told<'_>) -> Result<(), QueryError> {
        for unit in self.units.chunk_ids().collect::<Vec<_>>() {
            self.search_chunk(unit)?;
        }
        self.judge_candidates()?;
        for unit in self.units.groups_newest_first(&self.range) {
            let newest = self.units.newest_start(unit);
            if self.is_beaten(newest) {
                break;
            }
            if told.watcher.is_due() {
                self.tell(newest, told)?;
            }
            self.search_group(unit)?;
        }
        self.search_split()?;
        self.judge_candidates()
    }

    /// Tells of the traces that start after all that is still to be searched.
    fn tell(&self, newest_left: u64, told: &mut Told<'_>) -> Result<(), QueryError> {
        let mut found = self.ranked(newest_left.saturating_add(1));
        found.retain(|(id, _)| told.ids.insert(*id));
        let mut partial = Results::of(self, told.params, found)?.response()?;
        let progress = self.units.snapshot().budget.progress.metrics();
        partial.metrics = Some(tempopb::SearchMetrics { inspected_spans: self.num_inspected() as u64, ..progress });
        told.watcher.tell(partial);
        Ok(())
    }

    /// True if a trace that starts at `start` at the latest cannot enter the answer any more.
    fn is_beaten(&self, start: u64) -> bool {
        self.best.len() >= self.limit && self.best.peek().is_some_and(|worst| Reverse(start) > worst.start)
    }

    fn add(&mut self, start: u64, id: TraceId, found: FoundTrace) {
        self.best.push(Ranked { start: Reverse(start), id });
        self.num_held += found.num_held();
        self.found.insert(id, found);
        if self.best.len() > self.limit
            && let Some(beaten) = self.best.pop()
        {
            self.num_held -= self.found.remove(&beaten.id).map_or(0, |found| found.num_held());
        }
    }

    fn add_candidate(&mut self, id: TraceId, bound: u64, mask: Mask) {
        if !self.judged.contains(&id) {
            let candidate = self.candidates.entry(id).or_insert(Candidate { bound, mask: 0 });
            candidate.bound = candidate.bound.min(bound);
            candidate.mask |= mask;
        }
    }

    /// Traces of the head are in the order of their arrival and often in several chunks, so all of them are joined.
    fn search_chunk(&mut self, unit: UnitId) -> Result<(), QueryError> {
        let UnitId::Chunk(at) = unit else { return Ok(()) };
        let chunk = &self.units.snapshot().chunks[at];
        let mut masks: Vec<Mask> = vec![0; chunk.traces.summaries().len()];
        for filter in 0..self.pipeline.filters().len() {
            let kept = self.matches.matches(unit, filter)?;
            kept.iter().for_each(|row| masks[chunk.trace[row as usize] as usize] |= bit(filter));
        }
        for (summary, mask) in chunk.traces.summaries().iter().zip(masks).filter(|(_, mask)| *mask != 0) {
            self.add_candidate(summary.id, summary.start, mask);
        }
        self.count_memory()
    }

    fn search_group(&mut self, unit: UnitId) -> Result<(), QueryError> {
        let UnitId::Group(block, group) = unit else { return Ok(()) };
        self.units.check_budget()?;
        if self.matches.rules_out(unit)? {
            return Ok(());
        }
        let rows = GroupRows::of(self.matches, block, group)?;
        let found = self.pipeline.run(&rows)?;
        self.collect_masks(unit, rows.traces())?;
        let block = &self.units.snapshot().blocks[block];
        let (traces, ids) = (block.traces()?, block.index()?);
        let first = traces.traces_of(group).start;
        let ranked = |at: u32| (Reverse(traces.start(first + at)), ids.id_of(first + at), at);
        let mut hits: Vec<_> = found.traces(rows.traces()).into_iter().map(ranked).collect();
        hits.sort_unstable();
        for (Reverse(start), id, at) in hits {
            if self.is_beaten(start) {
                break;
            }
            let piece = Piece { unit, ordinal: at };
            if self.joined.is_split(&id) {
                continue;
            }
            if self.units.info(&[piece])?.overlaps(&self.range) {
                let sets = found.sets_of(at, rows.traces()).into_iter().map(|set| self.found_set(set, |row| (unit, row))).collect();
                self.add(start, id, FoundTrace { pieces: vec![piece], sets });
            }
        }
        self.matches.forget(unit);
        self.count_memory()
    }

    fn found_set(&self, set: SpanSet, place: impl Fn(u32) -> (UnitId, u32)) -> FoundSet {
        let shown = set.rows.iter().take(self.spans_per_span_set).map(|row| place(*row)).collect();
        FoundSet { shown, matched: set.rows.len(), attributes: set.attributes }
    }

    /// What the row group adds to traces that are in the head, too. Split traces are looked at by themselves.
    fn collect_masks(&mut self, unit: UnitId, ranges: &[std::ops::Range<usize>]) -> Result<(), QueryError> {
        let UnitId::Group(block, group) = unit else { return Ok(()) };
        let num_filters = self.pipeline.filters().len();
        let is_known = (0..num_filters).all(|filter| self.matches.is_known(unit, filter));
        // Where a filter was not asked because another one keeps nothing here, only the head can make up for it.
        if self.units.snapshot().chunks.is_empty() || (!is_known && self.candidates.is_empty()) {
            return Ok(());
        }
        let kept = (0..num_filters).map(|filter| self.matches.matches(unit, filter)).collect::<Result<Vec<_>, _>>()?;
        let block = &self.units.snapshot().blocks[block];
        let traces = block.traces()?;
        for (ordinal, rows) in traces.traces_of(group).zip(ranges) {
            let hits = kept.iter().enumerate().filter(|(_, kept)| kept.any_in(rows.clone()));
            let mask = hits.fold(0, |mask, (filter, _)| mask | bit(filter));
            if mask != 0 {
                let id = block.trace_id(ordinal)?;
                if self.units.is_in_head(&id) {
                    self.add_candidate(id, traces.start(ordinal), mask);
                }
            }
        }
        Ok(())
    }

    /// Traces that were cut in two between blocks: such a trace may be inside the range as a whole even if the block with its
    /// matching spans is not.
    fn search_split(&mut self) -> Result<(), QueryError> {
        for id in self.joined.split().copied().collect::<Vec<_>>() {
            let pieces = self.units.pieces_of(&id)?;
            let info = self.units.info(&pieces)?;
            if self.judged.contains(&id) || !info.overlaps(&self.range) || self.is_beaten(info.start) {
                continue;
            }
            let mut mask = 0;
            for piece in pieces {
                mask |= self.mask_of(piece)?;
            }
            self.add_candidate(id, info.start, mask);
        }
        Ok(())
    }

    fn mask_of(&self, piece: Piece) -> Result<Mask, QueryError> {
        let rows = self.units.rows(piece)?;
        let mut mask = 0;
        for filter in 0..self.pipeline.filters().len() {
            let kept = self.matches.matches(piece.unit, filter)?;
            if rows.iter().any(|row| kept.contains(*row)) {
                mask |= bit(filter);
            }
        }
        Ok(mask)
    }

    /// Joins and judges candidates that may match, best bound first, while they can enter the answer.
    fn judge_candidates(&mut self) -> Result<(), QueryError> {
        let may_match = |mask: Mask| self.pipeline.may_match(&|filter| mask & bit(filter) != 0);
        let possible = self.candidates.iter().filter(|(_, candidate)| may_match(candidate.mask));
        let mut queue: Vec<(Reverse<u64>, TraceId)> = possible.map(|(id, candidate)| (Reverse(candidate.bound), *id)).collect();
        queue.sort_unstable();
        let (mut rest, mut batch) = (&queue[..], FIRST_BATCH);
        while let Some((Reverse(bound), _)) = rest.first()
            && !self.is_beaten(*bound)
        {
            let (now, later) = rest.split_at(batch.min(rest.len()));
            self.judge(now)?;
            (rest, batch) = (later, (2 * batch).min(LARGEST_BATCH));
        }
        Ok(())
    }

    fn judge(&mut self, batch: &[(Reverse<u64>, TraceId)]) -> Result<(), QueryError> {
        self.units.check_budget()?;
        let mut joining: Vec<(TraceId, u64, Vec<Piece>)> = Vec::with_capacity(batch.len());
        for (Reverse(bound), id) in batch {
            if self.is_beaten(*bound) {
                break;
            }
            self.candidates.remove(id);
            self.judged.insert(*id);
            let pieces = self.units.pieces_of(id)?;
            let info = self.units.info(&pieces)?;
            if info.overlaps(&self.range) && !self.is_beaten(info.start) {
                joining.push((*id, info.start, pieces));
            }
        }
        let forest = Forest::join(self.units, joining.iter().map(|(_, _, pieces)| pieces.as_slice()))?;
        let rows = JoinedRows::of(self.matches, &forest);
        let found = self.pipeline.run(&rows)?;
        for at in found.traces(rows.traces()) {
            let (id, start, pieces) = &mut joining[at as usize];
            let sets = found.sets_of(at, rows.traces()).into_iter().map(|set| self.found_set(set, |row| forest.origin(row))).collect();
            let found = FoundTrace { pieces: std::mem::take(pieces), sets };
            let (start, id) = (*start, *id);
            self.add(start, id, found);
        }
        self.count_memory()
    }

    /// The traces of the answer that start at `from` or later, best first.
    fn ranked(&self, from: u64) -> Vec<(TraceId, &FoundTrace)> {
        let mut ranked: Vec<&Ranked> = self.best.iter().filter(|ranked| ranked.start.0 >= from).collect();
        ranked.sort_unstable();
        ranked.into_iter().filter_map(|ranked| Some((ranked.id, self.found.get(&ranked.id)?))).collect()
    }

    /// Number of spans that were looked at.
    pub fn num_inspected(&self) -> usize {
        self.matches.num_inspected()
    }
}
