//! `compare` over many units: one attribute after the other, each over all units.
//!
//! First every unit tells which of its rows are compared. Then threads take one subject after the other and count it over all units
//! in their order. So nothing has to be merged, and the values of a thread's subject are the only ones in memory; what the answer does not
//! show of them is forgotten before the next one.

use super::facts::{JoinedTraces, UnitFacts};
use super::unit::{UnitId, Units};
use super::{QueryError, Snapshot};
use crate::traceql::metrics::{ComparedRows, Comparison, Counted, Function, Spans, Subject};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The rows of units that are compared.
pub(super) type RowsOfUnits = Vec<(UnitId, ComparedRows)>;

/// What a comparison is run over.
pub(super) struct Compare<'c> {
    pub snapshot: &'c Snapshot,
    pub function: &'c Function,
    pub comparison: &'c Comparison,
    pub num_buckets: usize,
    pub num_threads: usize,
}

impl Compare<'_> {
    /// Counts everything on these rows.
    pub fn count(&self, mut rows: RowsOfUnits) -> Result<Counted, QueryError> {
        rows.sort_by_key(|(unit, _)| *unit);
        let subjects: BTreeSet<Subject> = rows.iter().flat_map(|(_, rows)| rows.subjects()).collect();
        let subjects: Vec<Subject> = subjects.into_iter().collect();
        let next = AtomicUsize::new(0);
        let work = || self.work(&rows, &subjects, &next);
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..self.num_threads).map(|_| scope.spawn(work)).collect();
            let mut counted = work()?;
            for other in others {
                let theirs = other.join().map_err(|_| QueryError::Internal("a part of the query was lost".to_string()))??;
                self.comparison.merge(&mut counted, theirs, self.function.max_bytes());
            }
            Ok(counted)
        })
    }

    /// Counts one subject after the other, as long as there are any.
    fn work(&self, rows: &RowsOfUnits, subjects: &[Subject], next: &AtomicUsize) -> Result<Counted, QueryError> {
        let units = Units::of(self.snapshot);
        let joined = JoinedTraces::of(&units);
        let max_bytes = self.function.max_bytes() / self.num_threads.max(1);
        let mut all = Counted::new(max_bytes);
        while let Some(subject) = subjects.get(next.fetch_add(1, Relaxed)) {
            let mut counted = Counted::new(max_bytes);
            for (unit, rows) in rows {
                units.check_budget()?;
                let spans = Spans { source: units.source(*unit)?.as_source(), traces: &UnitFacts::of(&joined, *unit) };
                self.comparison.count(subject, spans, rows, self.num_buckets, &mut counted)?;
            }
            self.comparison.keep_frequent(&mut counted, self.num_buckets);
            self.comparison.merge(&mut all, counted, max_bytes);
        }
        Ok(all)
    }
}
