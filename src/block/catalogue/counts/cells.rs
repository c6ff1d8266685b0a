//! Cells of a block under construction.

use crate::columns::counting::rank;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::cmp::Ordering;

/// A span that shows what its cell's are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    /// Unix nanoseconds.
    pub start: u64,
    /// Nanoseconds modulo 2^64.
    pub duration: u64,
    /// Ordinal of the trace in the block.
    pub trace: u32,
    /// The trace's id.
    pub trace_id: [u8; 16],
}

impl Sample {
    /// The least is the sample of all, however spans are spread over cells and blocks.
    pub fn order(&self, other: &Sample) -> Ordering {
        let own = (rank(self.start), self.trace_id, self.duration);
        own.cmp(&(rank(other.start), other.trace_id, other.duration))
    }
}

/// The spans of one combination in one bin.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    /// Number of spans by exponent of the duration, ascending; none is 0.
    pub counts: Vec<(u8, u32)>,
    pub sample: Sample,
}

impl Cell {
    fn merge(&mut self, other: &Cell) {
        for (exponent, count) in &other.counts {
            match self.counts.binary_search_by_key(exponent, |(exponent, _)| *exponent) {
                // A block has fewer than 2^31 rows.
                Ok(at) => self.counts[at].1 += count,
                Err(at) => self.counts.insert(at, (*exponent, *count)),
            }
        }
        if other.sample.order(&self.sample).is_lt() {
            self.sample = other.sample;
        }
    }
}

/// Cells by combination and bin.
#[derive(Debug, Default)]
pub(super) struct Cells(HashMap<(u32, u64), Cell, FixedState>);

impl Cells {
    /// Number of cells.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Adds spans of a combination and bin.
    pub fn add(&mut self, combination: u32, bin: u64, cell: Cell) {
        match self.0.get_mut(&(combination, bin)) {
            Some(known) => known.merge(&cell),
            None => _ = self.0.insert((combination, bin), cell),
        }
    }

    /// The same spans in bins that are so many times as wide.
    pub fn coarser(self, factor: u64) -> Self {
        let mut cells = Cells::default();
        self.0.into_iter().for_each(|((combination, bin), cell)| cells.add(combination, bin / factor, cell));
        cells
    }

    /// All cells in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (u32, u64, &Cell)> {
        self.0.iter().map(|((combination, bin), cell)| (*combination, *bin, cell))
    }
}
