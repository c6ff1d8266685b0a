//! TraceQL metrics: every unit that overlaps the range is observed once, a column at a time.
//!
//! Units that share no trace with others are spread over a few threads; which unit goes where depends on nothing but the
//! snapshot, so the same query over the same data gives the same answer to the last digit.

use super::budget::Charge;
use super::compare::{Compare, RowsOfUnits};
use super::counted::CountedBlocks;
use super::duplicates::Duplicates;
use super::facts::{JoinedTraces, UnitFacts};
use super::kept::{JoinedSpans, kept_rows};
use super::rows::Matches;
use super::unit::{UnitId, UnitSource, Units};
use super::{QueryError, Snapshot};
use crate::model::{TimeRange, UnixNanos};
use crate::traceql::ast::Query;
use crate::traceql::eval::pipeline::Pipeline;
use crate::traceql::eval::{Bitmap, OnFailure};
pub use crate::traceql::metrics::Limits;
use crate::traceql::metrics::{Buckets, Function, NO_BUCKET, Observed, Outcome, Plan, Request, Spans};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// A query of fewer spans is not worth a second thread.
const SPANS_PER_THREAD: usize = 1 << 18;

/// To compare a span takes as long as to count so many.
const ROWS_PER_COMPARED: usize = 16;

/// Most rows that are compared attribute by attribute; more are compared unit by unit.
const MAX_COMPARED_ROWS: usize = 1 << 23;

/// What is remembered of each.
const COMPARED_BYTES: usize = 8;

/// Most threads of a query.
const MAX_THREADS: usize = 8;

/// A metrics query as the API has checked it.
#[derive(Clone, Debug)]
pub struct MetricsParams {
    /// The query.
    pub query: Query,
    /// The buckets of the answer, and all else that is asked.
    pub request: Request,
}

/// The series of an answer, and what they cost.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub(super) outcome: Outcome,
    pub(super) buckets: Buckets,
    pub(super) num_spans: usize,
    pub(super) num_blocks: usize,
    pub(super) num_units: usize,
}

/// Runs a metrics query. Waits for the store and computes.
///
/// # Errors
/// [`QueryError::Invalid`] if it is no metrics query, [`QueryError::Unsupported`] for what the evaluator does not know.
pub fn metrics(snapshot: &Snapshot, params: &MetricsParams, limits: Limits) -> Result<Metrics, QueryError> {
    // Half is for the groups, half for all else that the query holds.
    let of_groups = usize::try_from(snapshot.budget.allowance.max_bytes() / 2).unwrap_or(usize::MAX);
    let limits = Limits { max_bytes: limits.max_bytes.min(of_groups), ..limits };
    let plan =
        Plan::compile(&params.query, params.request, limits)?.ok_or_else(|| QueryError::Invalid("not a metrics query".to_string()))?;
    let (start, end) = plan.buckets().span();
    let range = TimeRange { start: UnixNanos(start.saturating_add(1)), end: UnixNanos(end) };
    let units = Units::of(snapshot);
    let observed = units_in(&units, &range, plan.buckets())?;
    let num_spans = observed.iter().map(|unit| num_rows(snapshot, *unit)).sum();
    let results =
        plan.functions().iter().map(|function| Run { snapshot, units: &observed, function, buckets: plan.buckets() }.result(num_spans));
    let results = results.collect::<Result<Vec<_>, QueryError>>()?;
    Ok(Metrics {
        outcome: plan.finish(results),
        buckets: *plan.buckets(),
        num_spans,
        num_blocks: snapshot.blocks.len(),
        num_units: observed.len(),
    })
}

/// Units that may have a span in the range, in the order in which they are observed.
fn units_in(units: &Units<'_>, range: &TimeRange, buckets: &Buckets) -> Result<Vec<UnitId>, QueryError> {
    let has_span = |unit: &UnitId| match unit {
        UnitId::Chunk(at) => units.snapshot().chunks[*at].start.iter().any(|start| buckets.of(*start) != NO_BUCKET),
        UnitId::Group(..) => true,
    };
    Ok(units.chunk_ids().filter(has_span).chain(units.groups_of_starts(range)?).collect())
}

fn num_rows(snapshot: &Snapshot, unit: UnitId) -> usize {
    match unit {
        UnitId::Chunk(at) => snapshot.chunks[at].num_rows(),
        UnitId::Group(block, group) => snapshot.blocks[block].row_groups()[group].num_spans as usize,
    }
}

/// One metrics query over units of a snapshot.
struct Run<'r> {
    snapshot: &'r Snapshot,
    units: &'r [UnitId],
    function: &'r Function,
    buckets: &'r Buckets,
}

impl Run<'_> {
    /// What was observed, and whether there was anything to look at.
    fn result(&self, num_spans: usize) -> Result<(Observed, bool), QueryError> {
        let pipeline = Pipeline::of(self.function.pipeline())?.with(OnFailure::SkipSpan);
        if !pipeline.can_match() {
            return Ok((self.function.start(1), false));
        }
        let units = Units::of(self.snapshot);
        let mut observed = self.function.start(num_threads(num_spans));
        let counted = CountedBlocks::observe(self.function, &pipeline, (&units, self.units), self.buckets, &mut observed)?;
        let joined = JoinedSpans::of(&pipeline, &units)?;
        let work = Work { pipeline: &pipeline, joined: &joined, counted: &counted };
        if let Some(comparison) = self.function.comparison()
            && let Some((rows, _charges)) = self.compared_rows(&work, &units)?
        {
            let num_threads = num_threads(rows.iter().map(|(_, rows)| ROWS_PER_COMPARED * rows.len()).sum());
            let compare =
                Compare { snapshot: self.snapshot, function: self.function, comparison, num_buckets: self.buckets.len(), num_threads };
            observed.add_counted(self.function, compare.count(rows)?);
            return Ok((observed, !self.units.is_empty()));
        }
        let start = |num_parts| (self.function.start(num_parts), self.charge());
        let see = |(observed, charge): &mut (Observed, Charge), unit: UnitId, spans: Spans<'_>, rows: &Rows| {
            if counted.have(unit) {
                self.function.take_back(spans, &rows.twins, observed)?;
            } else {
                self.function.observe(spans, &rows.kept, observed)?;
            }
            charge.set(observed.num_bytes())?;
            Ok(true)
        };
        let mut parts = self.in_parts(&work, &units, (observed, self.charge()), start, see)?.into_iter();
        let (mut observed, _charge) = parts.next().unwrap_or_else(|| start(1));
        parts.for_each(|(part, _charge)| observed.merge(part, self.function));
        Ok((observed, !self.units.is_empty()))
    }

    /// For a part of the query that will say what it holds.
    fn charge(&self) -> Charge {
        self.snapshot.budget.charge()
    }

    /// The rows that a comparison is about, and what they take; `None` if they are too many to be remembered.
    fn compared_rows(&self, work: &Work<'_>, units: &Units<'_>) -> Result<Option<(RowsOfUnits, Vec<Charge>)>, QueryError> {
        let most =
            MAX_COMPARED_ROWS.min(usize::try_from(self.snapshot.budget.allowance.max_bytes() / 4).unwrap_or(usize::MAX) / COMPARED_BYTES);
        let num_rows = AtomicUsize::new(0);
        let see = |(found, held, charge): &mut (RowsOfUnits, usize, Charge), unit: UnitId, spans: Spans<'_>, rows: &Rows| {
            if let Some(rows) = self.function.compared_rows(spans, &rows.kept)? {
                num_rows.fetch_add(rows.len(), Relaxed);
                *held += rows.len() * COMPARED_BYTES;
                found.push((unit, rows));
                charge.set(*held)?;
            }
            Ok(num_rows.load(Relaxed) <= most)
        };
        let start = |_| (Vec::new(), 0, self.charge());
        let parts = self.in_parts(work, units, start(1), start, see)?;
        let (rows, charges): (Vec<_>, Vec<_>) = parts.into_iter().map(|(found, _, charge)| (found, charge)).unzip();
        Ok((num_rows.into_inner() <= most).then(|| (rows.into_iter().flatten().collect(), charges)))
    }

    /// Shows every unit to `see`, on several threads, each with a state of its own; gives the states, that of the first thread in
    /// front. `see` says whether to go on.
    fn in_parts<T: Send>(
        &self,
        work: &Work<'_>,
        units: &Units<'_>,
        first: T,
        start: impl Fn(usize) -> T,
        see: impl Fn(&mut T, UnitId, Spans<'_>, &Rows) -> Result<bool, QueryError> + Sync,
    ) -> Result<Vec<T>, QueryError> {
        let mut duplicates = Duplicates::among(units, self.units)?;
        let (entangled, free): (Vec<UnitId>, Vec<UnitId>) = self.units.iter().partition(|unit| duplicates.concern(**unit));
        let free: Vec<UnitId> = free.into_iter().filter(|unit| !work.counted.have(*unit)).collect();
        let num_unread: usize = entangled.iter().chain(&free).map(|unit| num_rows(self.snapshot, *unit)).sum();
        let parts = dealt(&entangled, &free, num_threads(num_unread));
        let run = |part: &[UnitId], mut state: T| {
            self.in_part(work, &Units::of(self.snapshot), part, None, |unit, spans, rows| see(&mut state, unit, spans, rows))?;
            Ok::<_, QueryError>(state)
        };
        std::thread::scope(|scope| {
            let run = &run;
            let others: Vec<_> = parts[1..]
                .iter()
                .map(|part| {
                    let state = start(parts.len());
                    scope.spawn(move || run(part, state))
                })
                .collect();
            let mut state = first;
            let own = |unit: UnitId, spans: Spans<'_>, rows: &Rows| see(&mut state, unit, spans, rows);
            self.in_part(work, units, &parts[0], Some(&mut duplicates), own)?;
            let mut states = vec![state];
            for other in others {
                let lost = |_| QueryError::Internal("a part of the query was lost".to_string());
                states.push(other.join().map_err(lost)??);
            }
            Ok(states)
        })
    }

    fn in_part(
        &self,
        work: &Work<'_>,
        units: &Units<'_>,
        part: &[UnitId],
        mut duplicates: Option<&mut Duplicates<'_, '_>>,
        mut see: impl FnMut(UnitId, Spans<'_>, &Rows) -> Result<bool, QueryError>,
    ) -> Result<(), QueryError> {
        let joined = JoinedTraces::of(units);
        let matches = Matches::of(&joined, work.pipeline);
        for unit in part {
            let mut kept = kept_rows(work.pipeline, &matches, *unit, work.joined)?;
            matches.forget(*unit);
            if kept.is_empty() {
                continue;
            }
            let mut twins = kept.clone();
            if let Some(duplicates) = &mut duplicates {
                duplicates.remove_from(&mut kept, *unit, |start| self.buckets.of(start) != NO_BUCKET)?;
            }
            twins.and_not_with(&kept);
            let source: &UnitSource<'_> = units.source(*unit)?;
            let spans = Spans { source: source.as_source(), traces: &UnitFacts::of(&joined, *unit) };
            if !see(*unit, spans, &Rows { kept, twins })? {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// The rows of a unit that a pipeline keeps.
struct Rows {
    /// Those whose span was not seen before.
    kept: Bitmap,
    /// The others.
    twins: Bitmap,
}

/// What is the same for all threads of a query.
struct Work<'w> {
    pipeline: &'w Pipeline,
    joined: &'w JoinedSpans,
    /// Blocks that were observed already.
    counted: &'w CountedBlocks,
}

fn num_threads(num_spans: usize) -> usize {
    let num_cores = std::thread::available_parallelism().map_or(1, |number| number.get());
    (num_spans / SPANS_PER_THREAD).clamp(1, num_cores.min(MAX_THREADS))
}

/// Deals units out: those that depend on each other to the first part, in their order, the others in turn.
fn dealt(entangled: &[UnitId], free: &[UnitId], num_parts: usize) -> Vec<Vec<UnitId>> {
    let mut parts = vec![Vec::new(); num_parts];
    parts[0].extend(entangled);
    for unit in free {
        let shortest = (0..num_parts).min_by_key(|part| parts[*part].len()).unwrap_or(0);
        parts[shortest].push(*unit);
    }
    parts
}
