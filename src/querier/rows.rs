//! What a pipeline runs over: the traces of a row group where they lie, or traces joined from their pieces.

use super::QueryError;
use super::facts::{JoinedTraces, UnitFacts};
use super::forest::Forest;
use super::unit::{UnitId, UnitSource, Units};
use crate::columns::view::SourceError;
use crate::traceql::eval::pipeline::{Pipeline, TraceRows};
use crate::traceql::eval::tree::Tree;
use crate::traceql::eval::{Bitmap, EvalError, Scalar};
use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// What the filters of a pipeline keep in each unit; found out once.
pub(super) struct Matches<'u, 's> {
    units: &'u Units<'s>,
    joined: &'u JoinedTraces<'u, 's>,
    pipeline: &'u Pipeline,
    found: RefCell<HashMap<(UnitId, usize), Arc<Bitmap>>>,
    /// Units that a filter was asked of, with their numbers of rows.
    inspected: RefCell<HashMap<UnitId, usize>>,
    /// For blocks and filters, whether the catalogue rules a match out.
    ruled_out: RefCell<HashMap<(usize, usize), bool>>,
}

impl<'u, 's> Matches<'u, 's> {
    /// Of a pipeline over a snapshot's units.
    pub fn of(joined: &'u JoinedTraces<'u, 's>, pipeline: &'u Pipeline) -> Self {
        Matches {
            units: joined.units(),
            joined,
            pipeline,
            found: RefCell::default(),
            inspected: RefCell::default(),
            ruled_out: RefCell::default(),
        }
    }

    /// The units of the snapshot.
    pub fn units(&self) -> &'u Units<'s> {
        self.units
    }

    /// The rows of a unit that a filter keeps.
    pub fn matches(&self, unit: UnitId, filter: usize) -> Result<Arc<Bitmap>, EvalError> {
        if let Some(found) = self.found.borrow().get(&(unit, filter)) {
            return Ok(Arc::clone(found));
        }
        let found = if self.rules_out_filter(unit, filter).map_err(source_error)? {
            Bitmap::empty(self.units.num_rows(unit))
        } else {
            let source = self.units.source(unit).map_err(source_error)?.as_source();
            let found = self.pipeline.filters()[filter].select(source, &UnitFacts::of(self.joined, unit))?;
            self.inspected.borrow_mut().insert(unit, found.len());
            found
        };
        let found = Arc::new(found);
        self.found.borrow_mut().insert((unit, filter), Arc::clone(&found));
        Ok(found)
    }

    /// Forgets what was found in a unit that is done with.
    pub fn forget(&self, unit: UnitId) {
        self.found.borrow_mut().retain(|(known, _), _| *known != unit);
    }

    fn rules_out_filter(&self, unit: UnitId, filter: usize) -> Result<bool, QueryError> {
        let UnitId::Group(block, _) = unit else { return Ok(false) };
        if let Some(known) = self.ruled_out.borrow().get(&(block, filter)) {
            return Ok(*known);
        }
        let is_ruled_out = self.units.rules_out(block, &self.pipeline.filters()[filter])?;
        self.ruled_out.borrow_mut().insert((block, filter), is_ruled_out);
        Ok(is_ruled_out)
    }

    /// Whether nothing is found in a row group, known without opening it. Spans of the head may have a part in what is found, so with
    /// a head a row group counts as long as any filter may keep a span of it.
    pub fn rules_out(&self, unit: UnitId) -> Result<bool, QueryError> {
        let mut may_keep = Vec::with_capacity(self.pipeline.filters().len());
        for filter in 0..self.pipeline.filters().len() {
            may_keep.push(!self.rules_out_filter(unit, filter)?);
        }
        if !self.units.snapshot().chunks.is_empty() && may_keep.contains(&true) {
            return Ok(false);
        }
        Ok(!self.pipeline.may_match(&|filter| may_keep[filter]))
    }

    /// Whether it is known what a filter keeps in a unit.
    pub fn is_known(&self, unit: UnitId, filter: usize) -> bool {
        self.found.borrow().contains_key(&(unit, filter))
    }

    /// Number of spans that a filter was asked of.
    pub fn num_inspected(&self) -> usize {
        self.inspected.borrow().values().sum()
    }

    fn values(&self, unit: UnitId, expression: usize, rows: &[u32]) -> Result<Vec<Scalar>, EvalError> {
        let source = self.units.source(unit).map_err(source_error)?.as_source();
        self.pipeline.expressions()[expression].values(source, &UnitFacts::of(self.joined, unit), rows)
    }
}

fn source_error(error: QueryError) -> EvalError {
    EvalError::Source(SourceError(error.to_string()))
}

/// The traces of a row group.
pub(super) struct GroupRows<'m, 'u, 's> {
    matches: &'m Matches<'u, 's>,
    unit: UnitId,
    traces: Vec<Range<usize>>,
    tree: OnceCell<Tree>,
}

impl<'m, 'u, 's> GroupRows<'m, 'u, 's> {
    /// Of a row group of a block.
    pub fn of(matches: &'m Matches<'u, 's>, block: usize, group: usize) -> Result<Self, QueryError> {
        let traces = matches.units.group_traces(block, group)?;
        Ok(GroupRows { matches, unit: UnitId::Group(block, group), traces, tree: OnceCell::new() })
    }
}

impl TraceRows for GroupRows<'_, '_, '_> {
    fn num_rows(&self) -> usize {
        self.traces.last().map_or(0, |rows| rows.end)
    }

    fn traces(&self) -> &[Range<usize>] {
        &self.traces
    }

    fn matches(&self, filter: usize) -> Result<Arc<Bitmap>, EvalError> {
        self.matches.matches(self.unit, filter)
    }

    fn values(&self, expression: usize, rows: &[u32]) -> Result<Vec<Scalar>, EvalError> {
        self.matches.values(self.unit, expression, rows)
    }

    fn tree(&self) -> Result<&Tree, EvalError> {
        if let Some(tree) = self.tree.get() {
            return Ok(tree);
        }
        let tree = group_tree(self.matches.units, self.unit, &self.traces).map_err(source_error)?;
        Ok(self.tree.get_or_init(|| tree))
    }
}

/// The trees of a row group's traces, as they are in the block.
pub(super) fn group_tree(units: &Units<'_>, unit: UnitId, traces: &[Range<usize>]) -> Result<Tree, QueryError> {
    let UnitSource::Group(source) = units.source(unit)? else {
        return Err(QueryError::Internal("a chunk has no trees".to_string()));
    };
    let columns = source.tree()?;
    let ends = traces.iter().map(|rows| rows.end as u32);
    Ok(Tree::new(std::iter::once(0).chain(ends).collect(), &columns.parent_offset, columns.subtree, &columns.orphans))
}

/// Traces joined from their pieces.
pub(super) struct JoinedRows<'m, 'u, 's> {
    matches: &'m Matches<'u, 's>,
    forest: &'m Forest,
}

impl<'m, 'u, 's> JoinedRows<'m, 'u, 's> {
    /// Of a forest of the same snapshot.
    pub fn of(matches: &'m Matches<'u, 's>, forest: &'m Forest) -> Self {
        JoinedRows { matches, forest }
    }
}

impl TraceRows for JoinedRows<'_, '_, '_> {
    fn num_rows(&self) -> usize {
        self.forest.num_rows()
    }

    fn traces(&self) -> &[Range<usize>] {
        self.forest.traces()
    }

    fn matches(&self, filter: usize) -> Result<Arc<Bitmap>, EvalError> {
        let units = self.forest.units().iter().map(|unit| self.matches.matches(*unit, filter));
        let by_unit = units.collect::<Result<Vec<_>, _>>()?;
        let mut found = Bitmap::empty(self.num_rows());
        for row in 0..self.num_rows() as u32 {
            let (unit, origin) = self.forest.place(row);
            if by_unit[unit].contains(origin) {
                found.insert(row);
            }
        }
        Ok(Arc::new(found))
    }

    fn values(&self, expression: usize, rows: &[u32]) -> Result<Vec<Scalar>, EvalError> {
        // By unit: rows there, and where their values go.
        let mut wanted: Vec<Vec<(u32, u32)>> = vec![Vec::new(); self.forest.units().len()];
        for (at, row) in rows.iter().enumerate() {
            let (unit, origin) = self.forest.place(*row);
            wanted[unit].push((origin, at as u32));
        }
        let mut values = vec![Scalar::Nil; rows.len()];
        for (unit, mut wanted) in self.forest.units().iter().zip(wanted) {
            wanted.sort_unstable();
            let rows: Vec<u32> = wanted.iter().map(|(row, _)| *row).collect();
            let found = self.matches.values(*unit, expression, &rows)?;
            wanted.into_iter().zip(found).for_each(|((_, at), value)| values[at as usize] = value);
        }
        Ok(values)
    }

    fn tree(&self) -> Result<&Tree, EvalError> {
        Ok(self.forest.tree())
    }
}
