//! The message, read: rows that stand for many spans, and samples that stand for themselves.

use super::super::message::SpanCountsMessage;
use super::NANOS_PER_SECOND;
use crate::columns::resources::Origin;
use crate::columns::view::{Column, ColumnId, Detail, Rows, SourceError, SpanSource, Strings, Values};
use crate::columns::{Value, ValueKind};
use std::ops::Range;
use std::sync::Arc;

/// Exponents of durations are below.
const NUM_EXPONENTS: u32 = 64;

/// The counts of a block's spans.
pub struct SpanCounts {
    bin_nanos: u64,
    /// A resource for each service.
    services: Vec<Origin>,
    names: Arc<(Vec<u32>, Vec<u8>)>,
    combinations: Vec<Combination>,
    cells: Vec<Cell>,
    counts: Vec<u32>,
}

struct Combination {
    service: u32,
    name: u32,
    kind: i32,
    status: i32,
}

struct Cell {
    combination: u32,
    /// First moment that is not in the bin any more, minus 1.
    end: u64,
    first_exponent: u8,
    /// Positions of its counts.
    counts: Range<usize>,
    sample_start: u64,
    sample_duration: u64,
    sample_trace: u32,
}

/// Spans by what they are counted by: [`ColumnId::Name`], [`ColumnId::Kind`], [`ColumnId::Status`], [`ColumnId::Start`],
/// [`ColumnId::Duration`], [`ColumnId::Resource`] with `service.name` as the only attribute, and [`ColumnId::Trace`].
pub struct SpanRows<'c> {
    of: &'c SpanCounts,
    combinations: Vec<u32>,
    starts: Vec<u64>,
    durations: Vec<u64>,
    traces: Vec<u32>,
    weights: Vec<u64>,
}

impl SpanCounts {
    /// Checks and reads the message; fails with what is wrong with it.
    pub(in crate::block::catalogue) fn read(message: SpanCountsMessage) -> Result<Self, &'static str> {
        let bin_nanos = message.bin_seconds.checked_mul(NANOS_PER_SECOND).filter(|nanos| *nanos > 0).ok_or("bins have no width")?;
        let (services, names) = (&message.services, texts(&message.names).ok_or("the names are too long")?);
        let combinations = combinations(&message).ok_or("combinations do not fit")?;
        let cells = cells(&message, bin_nanos).ok_or("cells do not fit")?;
        Ok(SpanCounts {
            bin_nanos,
            services: services.iter().map(|name| resource_of(name)).collect(),
            names: Arc::new(names),
            combinations,
            cells,
            counts: message.counts,
        })
    }

    /// Width of the bins; each has the moments after a multiple of it, until the next.
    pub fn bin_nanos(&self) -> u64 {
        self.bin_nanos
    }

    /// Rows that stand for all spans that start after a moment, until another one; both must be multiples of the width. Each stands for
    /// as many as its weight. Its start is the end of its bin; its duration is 0, or with `has_durations` a power of two, or 0, that
    /// those of its spans are rounded up to.
    pub fn counted(&self, after: u64, until: u64, has_durations: bool) -> SpanRows<'_> {
        let mut rows = SpanRows::none(self);
        for cell in self.cells_of(after, until) {
            let counts = self.counts[cell.counts.clone()].iter().map(|count| u64::from(*count));
            if !has_durations {
                rows.push(cell, cell.end, 0, counts.sum());
                continue;
            }
            for (exponent, count) in (cell.first_exponent..).zip(counts).filter(|(_, count)| *count > 0) {
                let duration = if exponent == 0 { 0 } else { 1 << exponent };
                rows.push(cell, cell.end, duration, count);
            }
        }
        rows
    }

    /// The samples of the cells that lie after a moment, until another one; both must be multiples of the width.
    pub fn samples(&self, after: u64, until: u64) -> SpanRows<'_> {
        let mut rows = SpanRows::none(self);
        self.cells_of(after, until).for_each(|cell| rows.push(cell, cell.sample_start, cell.sample_duration, 1));
        rows
    }

    fn cells_of(&self, after: u64, until: u64) -> impl Iterator<Item = &Cell> {
        self.cells.iter().filter(move |cell| cell.end > after && cell.end <= until)
    }
}

/// Names one after the other, with the end of each.
fn texts(names: &[Vec<u8>]) -> Option<(Vec<u32>, Vec<u8>)> {
    let bytes = names.concat();
    let mut end = 0usize;
    let end_of = |name: &Vec<u8>| {
        end += name.len();
        u32::try_from(end).ok()
    };
    Some((names.iter().map(end_of).collect::<Option<_>>()?, bytes))
}

fn resource_of(service: &[u8]) -> Origin {
    let name = String::from_utf8_lossy(service);
    Origin { attributes: vec![("service.name".into(), Value::Str(name.into()))], ..Origin::default() }
}

fn combinations(message: &SpanCountsMessage) -> Option<Vec<Combination>> {
    let num = message.combination_services.len();
    let lens = [message.combination_names.len(), message.combination_kinds.len(), message.combination_statuses.len()];
    let combination = |at: usize| {
        let (service, name) = (message.combination_services[at], message.combination_names[at]);
        let is_known = (service as usize) < message.services.len() && (name as usize) < message.names.len();
        let (kind, status) = (message.combination_kinds[at], message.combination_statuses[at]);
        is_known.then_some(Combination { service, name, kind, status })
    };
    if lens == [num; 3] && message.combination_cells.len() == num { (0..num).map(combination).collect() } else { None }
}

fn cells(message: &SpanCountsMessage, bin_nanos: u64) -> Option<Vec<Cell>> {
    let num = message.bin_steps.len();
    let of_cells = [message.first_exponents.len(), message.num_exponents.len()];
    let of_samples = [message.sample_starts.len(), message.sample_durations.len(), message.sample_traces.len()];
    if of_cells != [num; 2] || of_samples != [num; 3] {
        return None;
    }
    let mut cells = Vec::with_capacity(num);
    let mut next_count = 0usize;
    for (combination, num_cells) in message.combination_cells.iter().enumerate() {
        let mut bin = message.first_bin;
        for _ in 0..*num_cells {
            let at = cells.len();
            bin = bin.checked_add(*message.bin_steps.get(at)?)?;
            let start = bin.checked_mul(bin_nanos)?;
            let (first_exponent, num_exponents) = (message.first_exponents[at], message.num_exponents[at]);
            if first_exponent.checked_add(num_exponents)? > NUM_EXPONENTS {
                return None;
            }
            let counts = next_count..next_count + num_exponents as usize;
            next_count = counts.end;
            cells.push(Cell {
                combination: combination as u32,
                end: start.saturating_add(bin_nanos),
                first_exponent: first_exponent as u8,
                counts,
                sample_start: start.checked_add(message.sample_starts[at])?,
                sample_duration: message.sample_durations[at],
                sample_trace: message.sample_traces[at],
            });
        }
    }
    (cells.len() == num && next_count == message.counts.len()).then_some(cells)
}

impl<'c> SpanRows<'c> {
    fn none(of: &'c SpanCounts) -> Self {
        let (combinations, traces) = (Vec::new(), Vec::new());
        SpanRows { of, combinations, starts: Vec::new(), durations: Vec::new(), traces, weights: Vec::new() }
    }

    fn push(&mut self, cell: &Cell, start: u64, duration: u64, weight: u64) {
        self.combinations.push(cell.combination);
        self.starts.push(start);
        self.durations.push(duration);
        self.traces.push(cell.sample_trace);
        self.weights.push(weight);
    }

    /// Number of spans that each row stands for.
    pub fn weights(&self) -> &[u64] {
        &self.weights
    }

    fn each<T>(&self, value: impl Fn(&Combination) -> T) -> Vec<T> {
        self.combinations.iter().map(|number| value(&self.of.combinations[*number as usize])).collect()
    }
}

impl SpanSource for SpanRows<'_> {
    fn num_rows(&self) -> usize {
        self.combinations.len()
    }

    fn column(&self, id: ColumnId<'_>) -> Result<Option<Column<'_>>, SourceError> {
        let values = match id {
            ColumnId::Name => Values::Text(self.each(|of| of.name).into(), Strings::Shared(Arc::clone(&self.of.names))),
            ColumnId::Kind => Values::Enum(self.each(|of| of.kind).into()),
            ColumnId::Status => Values::Enum(self.each(|of| of.status).into()),
            ColumnId::Resource => Values::U32(self.each(|of| of.service).into()),
            ColumnId::Start => Values::U64((&self.starts).into()),
            ColumnId::Duration => Values::U64((&self.durations).into()),
            ColumnId::Trace => Values::U32((&self.traces).into()),
            // Whoever asks for anything else takes the rows for what they are not.
            _ => return Err(SourceError(format!("spans are not counted by {id:?}"))),
        };
        Ok(Some(Column { rows: Rows::All, values }))
    }

    fn attribute_kinds(&self, _key: &str) -> Vec<ValueKind> {
        Vec::new()
    }

    fn attribute_keys(&self) -> Result<Vec<String>, SourceError> {
        Ok(Vec::new())
    }

    fn resources(&self) -> &[Origin] {
        &self.of.services
    }

    fn scopes(&self) -> &[Origin] {
        &[]
    }

    fn details(&self, _of: Detail) -> Result<Option<Box<dyn SpanSource + '_>>, SourceError> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// Two cells of one combination.
    fn sound() -> SpanCountsMessage {
        SpanCountsMessage {
            bin_seconds: 5,
            services: vec![b"cart".to_vec()],
            names: vec![b"a".to_vec(), b"b".to_vec()],
            combination_services: vec![0],
            combination_names: vec![1],
            combination_kinds: vec![2],
            combination_statuses: vec![0],
            combination_cells: vec![2],
            first_bin: 7,
            bin_steps: vec![0, 3],
            first_exponents: vec![0, 62],
            num_exponents: vec![3, 2],
            sample_starts: vec![1, 5],
            sample_durations: vec![0, u64::MAX],
            sample_traces: vec![4, 4],
            counts: vec![1, 0, 2, 0, 9],
        }
    }

    #[test]
    fn rows_stand_for_spans() {
        let counts = SpanCounts::read(sound()).expect("sound");
        let rows = counts.counted(0, 60 * NANOS_PER_SECOND, true);
        assert_eq!(rows.starts, [40, 40, 55].map(|seconds| seconds * NANOS_PER_SECOND));
        assert_eq!((&rows.durations[..], rows.weights()), (&[0, 4, 1 << 63][..], &[1, 2, 9][..]));
        assert_eq!(counts.counted(40 * NANOS_PER_SECOND, 60 * NANOS_PER_SECOND, false).weights(), [9]);
        assert_eq!(counts.samples(0, u64::MAX).starts, [35 * NANOS_PER_SECOND + 1, 50 * NANOS_PER_SECOND + 5]);
        assert!(rows.column(ColumnId::SpanId).is_err());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let changes: [fn(&mut SpanCountsMessage); 9] = [
            |message| message.bin_seconds = 0,
            |message| message.first_bin = u64::MAX,
            |message| message.combination_names[0] = 2,
            |message| message.combination_services[0] = 1,
            |message| message.combination_cells[0] = 3,
            |message| message.combination_cells[0] = 1,
            |message| message.first_exponents[1] = 63,
            |message| message.counts.push(1),
            |message| _ = message.sample_traces.pop(),
        ];
        for change in changes {
            let mut message = sound();
            change(&mut message);
            assert!(SpanCounts::read(message.clone()).is_err(), "{message:?}");
        }
    }

    proptest! {
        #[test]
        fn noise_never_panics(numbers in vec(any::<u32>(), 0..8), bin_seconds: u64, first_bin: u64, bin_steps in vec(any::<u64>(), 0..4)) {
            let message = SpanCountsMessage {
                bin_seconds,
                first_bin,
                bin_steps,
                combination_cells: numbers.clone(),
                num_exponents: numbers.clone(),
                counts: numbers,
                ..sound()
            };
            if let Ok(counts) = SpanCounts::read(message) {
                prop_assert!(counts.counted(0, u64::MAX, true).column(ColumnId::Name).is_ok());
            }
        }
    }
}
