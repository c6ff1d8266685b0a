//! How many spans there are of each service, name, kind and status in each few seconds, and of which durations.
//!
//! ```text
//! columns as they are written ─ columns (one row group) ─ combinations ┬ cells ─ coarser, if they are too many ─ write ─ catalogue
//!                                                        time bins     ┘
//! catalogue ─ read ─ rows that stand for many spans, rows that stand for themselves ─ querier
//! ```
//!
//! A cell is one combination of the four in one bin of time. It has the number of spans by the power of two that their duration
//! is rounded up to, and one of its spans as a sample: start, duration and trace. Bins are open on the left and closed on the right,
//! as the buckets of queries are, so that bins can be added up to buckets exactly.
//!
//! Cells are as fine as the bytes allow: [`BIN_SECONDS`]; a block of which even the coarsest are too many has none.

mod cells;
mod collect;
mod joined;
mod read;
mod write;

pub use collect::{CountedColumn, SpanCounter};
pub use read::{SpanCounts, SpanRows};

/// Widths of bins, each a multiple of the one before; the first that fits is taken.
const BIN_SECONDS: [u64; 3] = [5, 15, 60];

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Most bytes of a block's counts: one for so many spans, but [`MIN_BYTES`] in any case.
const SPANS_PER_BYTE: usize = 5;

/// Small blocks may have counts of that size in any case.
const MIN_BYTES: usize = 16 << 10;

/// Most bytes however large the block.
const MAX_BYTES: usize = 2 << 20;

/// Most cells of a block, so that collecting them takes about 10 MiB at most.
const MAX_CELLS: usize = 1 << 16;

/// Most combinations of a block.
const MAX_COMBINATIONS: usize = 1 << 14;
