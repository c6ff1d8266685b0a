//! Counting spans while their columns are written, row group by row group, whether the block is cut or merged.

use super::cells::{Cell, Cells, Sample};
use super::joined::Pairs;
use super::{BIN_SECONDS, MAX_CELLS, MAX_COMBINATIONS, NANOS_PER_SECOND};
use crate::block::catalogue::message::SpanCountsMessage;
use crate::block::dictionary_chunk::Entries;
use crate::block::schema::span;
use crate::block::table::Cells as ColumnCells;
use crate::columns::counting::{duration_exponent, rank};
use crate::columns::{Dictionary, counting};
use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// In a row group there may be one cell for so many rows, and [`MIN_GROUP_CELLS`] besides; else bins become coarser.
const ROWS_PER_CELL: usize = 16;
const MIN_GROUP_CELLS: usize = 256;

/// Exponents of durations: 0 to 63.
const NUM_EXPONENTS: usize = 64;

/// What spans are counted by, in the order in which the columns are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountedColumn {
    /// Ids of traces, in the order of their ordinals.
    Trace,
    /// Starts.
    Start,
    /// Durations.
    Duration,
    /// Names.
    Name,
    /// Kinds.
    Kind,
    /// Status codes.
    Status,
    /// Names of services; with these a row group is complete.
    Service,
}

impl CountedColumn {
    /// What a leaf of `data.parquet` is counted by, if it is.
    pub fn of_leaf(leaf: &str) -> Option<Self> {
        Some(match leaf {
            span::TRACE_ID => CountedColumn::Trace,
            span::START => CountedColumn::Start,
            span::DURATION => CountedColumn::Duration,
            span::NAME => CountedColumn::Name,
            span::KIND => CountedColumn::Kind,
            span::STATUS => CountedColumn::Status,
            span::SERVICE_NAME => CountedColumn::Service,
            _ => return None,
        })
    }
}

/// Service, name, kind and status: texts by their numbers, OTLP's numbers.
pub(super) type Combination = (u32, u32, i32, i32);

/// Counts the spans of a block under construction.
#[derive(Default)]
pub struct SpanCounter {
    pub(super) services: Dictionary,
    pub(super) names: Dictionary,
    numbers: HashMap<Combination, u32, FixedState>,
    pub(super) combinations: Vec<Combination>,
    pub(super) cells: Cells,
    /// Position in [`BIN_SECONDS`]; beyond it nothing is counted any more.
    pub(super) width: usize,
    /// Traces of the row groups before.
    num_traces: u32,
    group: Group,
}

/// The columns of the row group that is being written.
#[derive(Default)]
struct Group {
    traces: Codes,
    starts: Vec<u64>,
    durations: Vec<u64>,
    /// The codes of several columns as one.
    joined: Vec<u32>,
    /// For each column joined so far, the code of each joined code.
    parts: Vec<Vec<u32>>,
    names: Entries,
    kinds: Vec<i32>,
    statuses: Vec<i32>,
}

#[derive(Default)]
struct Codes {
    codes: Vec<u32>,
    entries: Vec<[u8; 16]>,
}

impl SpanCounter {
    /// Takes a column of the row group that is being written.
    pub fn add(&mut self, column: CountedColumn, cells: &ColumnCells<'_>) {
        if self.has_given_up() {
            return;
        }
        let is_taken = match (column, cells) {
            (CountedColumn::Start, ColumnCells::I64(values)) => copy(values, &mut self.group.starts),
            (CountedColumn::Duration, ColumnCells::I64(values)) => copy(values, &mut self.group.durations),
            (_, ColumnCells::Coded(codes, entries)) => self.add_codes(column, codes, entries),
            _ => None,
        };
        if is_taken.is_none() || self.combinations.len() > MAX_COMBINATIONS {
            self.give_up();
        }
    }

    pub(super) fn has_given_up(&self) -> bool {
        self.width == BIN_SECONDS.len()
    }

    fn give_up(&mut self) {
        *self = SpanCounter { width: BIN_SECONDS.len(), ..SpanCounter::default() };
    }

    fn add_codes(&mut self, column: CountedColumn, codes: &[u32], entries: &Entries) -> Option<()> {
        let group = &mut self.group;
        match column {
            CountedColumn::Trace => {
                group.traces.codes.clear();
                group.traces.codes.extend_from_slice(codes);
                group.traces.entries.clear();
                group.traces.entries.extend_from_slice(entries.plain.as_chunks().0);
            }
            CountedColumn::Name => {
                group.joined.clear();
                group.joined.extend_from_slice(codes);
                group.parts = vec![(0..entries.num).collect()];
                group.names = entries.clone();
            }
            CountedColumn::Kind => {
                group.kinds = numbers(entries);
                group.join(codes, entries.num as usize)?;
            }
            CountedColumn::Status => {
                group.statuses = numbers(entries);
                group.join(codes, entries.num as usize)?;
            }
            CountedColumn::Service => {
                group.join(codes, entries.num as usize)?;
                self.count(entries)?;
            }
            CountedColumn::Start | CountedColumn::Duration => return None,
        }
        Some(())
    }

    /// Counts the spans of a row group whose columns are all there.
    fn count(&mut self, services: &Entries) -> Option<()> {
        let group = std::mem::take(&mut self.group);
        let num_rows = group.joined.len();
        if [group.traces.codes.len(), group.starts.len(), group.durations.len()] != [num_rows; 3] {
            return None;
        }
        let combinations = self.combinations_of(&group, services)?;
        loop {
            let width = BIN_SECONDS.get(self.width)? * NANOS_PER_SECOND;
            let Some(cells) = group.cells(width, self.num_traces) else {
                self.coarsen();
                continue;
            };
            for (code, bin, cell) in cells {
                self.cells.add(combinations[code as usize], bin, cell);
            }
            break;
        }
        while self.cells.len() > MAX_CELLS {
            self.coarsen();
        }
        self.num_traces += group.traces.entries.len() as u32;
        self.group = group;
        Some(())
    }

    /// Makes bins as wide as the next width, or gives up.
    pub(super) fn coarsen(&mut self) {
        match BIN_SECONDS.get(self.width + 1) {
            Some(next) => {
                self.cells = std::mem::take(&mut self.cells).coarser(next / BIN_SECONDS[self.width]);
                self.width += 1;
            }
            None => self.give_up(),
        }
    }

    /// The combination that each joined code of a row group stands for.
    fn combinations_of(&mut self, group: &Group, services: &Entries) -> Option<Vec<u32>> {
        let (names, services) = (interned(&mut self.names, &group.names)?, interned(&mut self.services, services)?);
        let [of_names, of_kinds, of_statuses, of_services] = &group.parts[..] else { return None };
        let mut found = Vec::with_capacity(of_names.len());
        for code in 0..of_names.len() {
            let combination = (
                *services.get(of_services[code] as usize)?,
                *names.get(of_names[code] as usize)?,
                *group.kinds.get(of_kinds[code] as usize)?,
                *group.statuses.get(of_statuses[code] as usize)?,
            );
            let all = &mut self.combinations;
            found.push(*self.numbers.entry(combination).or_insert_with(|| {
                all.push(combination);
                all.len() as u32 - 1
            }));
        }
        Some(found)
    }

    /// What the catalogue has of it; `None` if there would be too much of it.
    pub(in crate::block::catalogue) fn finish(mut self, num_spans: usize) -> Option<SpanCountsMessage> {
        loop {
            let message = (!self.has_given_up()).then(|| self.message())?;
            if super::write::fits(&message, num_spans) {
                return Some(message);
            }
            self.coarsen();
        }
    }
}

impl Group {
    /// Joins one more column to the codes.
    fn join(&mut self, codes: &[u32], num_codes: usize) -> Option<()> {
        if codes.len() != self.joined.len() {
            return None;
        }
        let mut pairs = Pairs::new(self.parts.first()?.len(), num_codes, codes.len());
        for (joined, code) in self.joined.iter_mut().zip(codes) {
            *joined = pairs.number(*joined, *code);
        }
        for part in &mut self.parts {
            *part = pairs.pairs().iter().map(|(left, _)| part[*left as usize]).collect();
        }
        self.parts.push(pairs.pairs().iter().map(|(_, right)| *right).collect());
        Some(())
    }

    /// The cells of the row group by joined code and bin; `None` if they are too many.
    fn cells(&self, width: u64, first_trace: u32) -> Option<Vec<(u32, u64, Cell)>> {
        let bins = Bins::of(&self.starts, width);
        let num_codes = self.parts.first().map_or(0, Vec::len);
        let mut pairs = Pairs::new(num_codes, bins.len(), self.starts.len());
        let mut tallies: Vec<Tally> = Vec::new();
        let mut counts: Vec<[u32; NUM_EXPONENTS]> = Vec::new();
        let mut cursor = BinCursor::new(&bins);
        for (row, start) in self.starts.iter().enumerate() {
            let Some(bin) = cursor.of(*start) else { continue };
            let cell = pairs.number(self.joined[row], bin) as usize;
            if cell == tallies.len() {
                if cell > self.starts.len() / ROWS_PER_CELL + MIN_GROUP_CELLS {
                    return None;
                }
                tallies.push(Tally { rank: rank(*start), row });
                counts.push([0; NUM_EXPONENTS]);
            }
            counts[cell][usize::from(duration_exponent(self.durations[row]))] += 1;
            let rank = counting::rank(*start);
            if rank < tallies[cell].rank
                || rank == tallies[cell].rank && self.sample(row, 0).order(&self.sample(tallies[cell].row, 0)).is_lt()
            {
                tallies[cell] = Tally { rank, row };
            }
        }
        let cell = |((pair, tally), counts): ((&(u32, u32), &Tally), &[u32; NUM_EXPONENTS])| {
            let counts = counts.iter().enumerate().filter(|(_, count)| **count > 0);
            let counts = counts.map(|(exponent, count)| (exponent as u8, *count)).collect();
            (pair.0, bins.first + u64::from(pair.1), Cell { counts, sample: self.sample(tally.row, first_trace) })
        };
        Some(pairs.pairs().iter().zip(&tallies).zip(&counts).map(cell).collect())
    }

    fn sample(&self, row: usize, first_trace: u32) -> Sample {
        let code = self.traces.codes[row];
        let trace_id = self.traces.entries.get(code as usize).copied().unwrap_or_default();
        Sample { start: self.starts[row], duration: self.durations[row], trace: first_trace + code, trace_id }
    }
}

/// The sample of a cell so far.
struct Tally {
    rank: u64,
    row: usize,
}

/// The bins that some starts lie in.
struct Bins {
    width: u64,
    first: u64,
    last: u64,
}

impl Bins {
    fn of(starts: &[u64], width: u64) -> Self {
        let bin = |start: u64| start.saturating_sub(1) / width;
        let (min, max) =
            starts.iter().filter(|start| **start > 0).fold((u64::MAX, 0), |(min, max), start| (min.min(*start), max.max(*start)));
        Bins { width, first: bin(min.min(max)), last: bin(max) }
    }

    /// Number of bins from the first to the last; those may be far from each other.
    fn len(&self) -> usize {
        usize::try_from(self.last - self.first + 1).unwrap_or(usize::MAX)
    }
}

/// Finds the bins of many starts of which most lie in the bin of the one before.
struct BinCursor<'b> {
    bins: &'b Bins,
    /// First moment of the bin that was found last.
    first: u64,
    bin: u32,
}

impl<'b> BinCursor<'b> {
    fn new(bins: &'b Bins) -> Self {
        BinCursor { bins, first: bins.first.saturating_mul(bins.width).saturating_add(1), bin: 0 }
    }

    /// The bin of a start, counted from the first; none of 0, which is in no bucket of any query.
    #[inline]
    fn of(&mut self, start: u64) -> Option<u32> {
        if start < self.first || start - self.first >= self.bins.width {
            let bin = start.checked_sub(1)? / self.bins.width;
            self.first = bin * self.bins.width + 1;
            // 2^64 nanoseconds have fewer than 2^32 bins of five seconds.
            self.bin = (bin - self.bins.first) as u32;
        }
        Some(self.bin)
    }
}

fn copy(values: &[i64], to: &mut Vec<u64>) -> Option<()> {
    to.clear();
    to.extend(values.iter().map(|value| *value as u64));
    Some(())
}

/// The numbers of a dictionary of 32-bit integers.
fn numbers(entries: &Entries) -> Vec<i32> {
    entries.plain.as_chunks().0.iter().map(|bytes| i32::from_le_bytes(*bytes)).collect()
}

/// The number of each text of a dictionary.
fn interned(texts: &mut Dictionary, entries: &Entries) -> Option<Vec<u32>> {
    let mut numbers = Vec::with_capacity(entries.num as usize);
    let mut rest = &entries.plain[..];
    while let Some((length, after)) = rest.split_first_chunk() {
        let (text, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        numbers.push(texts.intern(text));
        rest = after;
    }
    Some(numbers)
}
