//! What is kept for each group and bucket while spans are observed (spec/traceql.md §11.4).

use super::groups::{GroupOf, NO_GROUP};
use crate::traceql::ast::OverTimeOp;

/// A dense table: the cells of a group follow each other.
#[derive(Clone, Debug)]
pub enum Cells {
    /// Number of spans.
    Counts(Vec<u64>),
    /// Smallest or largest value, NaN where there is none.
    Extremes {
        /// `min` or `max`.
        of: fn(f64, f64) -> f64,
        /// One for each cell.
        cells: Vec<f64>,
    },
    /// Sum and number of values.
    Sums(Vec<Sum>),
}

/// A compensated sum (Neumaier), so that the order in which units are read does not show.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sum {
    sum: f64,
    compensation: f64,
    count: u64,
}

impl Sum {
    #[inline]
    fn add(&mut self, value: f64) {
        let sum = self.sum + value;
        let lost = if self.sum.abs() >= value.abs() { (self.sum - sum) + value } else { (value - sum) + self.sum };
        self.sum = sum;
        self.compensation += lost;
        self.count += 1;
    }

    fn merge(&mut self, other: &Sum) {
        let count = self.count + other.count;
        self.add(other.sum);
        self.compensation += other.compensation;
        self.count = count;
    }

    fn total(&self) -> f64 {
        match self.count {
            0 => f64::NAN,
            // An infinite sum has no compensation.
            _ if !self.sum.is_finite() => self.sum,
            _ => self.sum + self.compensation,
        }
    }
}

impl Cells {
    /// No cells, for a function that counts.
    pub fn counts() -> Self {
        Cells::Counts(Vec::new())
    }

    /// No cells, for a function over values; histograms are counts by bucket.
    pub fn over_time(op: OverTimeOp) -> Self {
        match op {
            OverTimeOp::Min => Cells::Extremes { of: f64::min, cells: Vec::new() },
            OverTimeOp::Max => Cells::Extremes { of: f64::max, cells: Vec::new() },
            OverTimeOp::Avg | OverTimeOp::Sum => Cells::Sums(Vec::new()),
            OverTimeOp::Histogram => Cells::counts(),
        }
    }

    /// Bytes that a cell takes.
    pub fn cell_bytes(&self) -> usize {
        match self {
            Cells::Counts(_) => size_of::<u64>(),
            Cells::Extremes { .. } => size_of::<f64>(),
            Cells::Sums(_) => size_of::<Sum>(),
        }
    }

    /// Makes room for so many cells.
    pub fn grow(&mut self, len: usize) {
        match self {
            Cells::Counts(cells) => cells.resize(len, 0),
            Cells::Extremes { cells, .. } => cells.resize(len, f64::NAN),
            Cells::Sums(cells) => cells.resize(len, Sum::default()),
        }
    }

    /// Observes spans by their group, bucket and, for functions over values, value.
    pub fn observe(&mut self, num_buckets: usize, groups: &GroupOf, buckets: &[u32], values: &[f64]) {
        if let (Cells::Counts(counts), GroupOf::All(group)) = (&mut *self, groups)
            && *group != NO_GROUP
        {
            return count_runs(&mut counts[*group as usize * num_buckets..], buckets);
        }
        if let (Cells::Counts(counts), GroupOf::Each(groups)) = (&mut *self, groups)
            && counts.len() <= MOST_LANE_CELLS
            && buckets.len() >= counts.len()
        {
            return count_in_lanes(counts, num_buckets, groups, buckets);
        }
        let cells = buckets.iter().enumerate().filter_map(|(index, bucket)| {
            let group = groups.get(index);
            (group != NO_GROUP).then_some((index, group as usize * num_buckets + *bucket as usize))
        });
        match self {
            Cells::Counts(counts) => cells.for_each(|(_, cell)| counts[cell] += 1),
            Cells::Extremes { of, cells: extremes } => {
                // The functions give the other operand where one is NaN.
                cells.for_each(|(index, cell)| extremes[cell] = of(extremes[cell], values[index]));
            }
            Cells::Sums(sums) => {
                cells.filter(|(index, _)| !values[*index].is_nan()).for_each(|(index, cell)| sums[cell].add(values[index]))
            }
        }
    }

    /// Observes rows that count more than once, or are taken back, by their group, bucket and weight; for functions that count.
    pub fn observe_weighted(&mut self, num_buckets: usize, groups: &GroupOf, buckets: &[u32], weights: impl Iterator<Item = u64>) {
        let Cells::Counts(counts) = self else { return debug_assert!(false, "only counts have weights") };
        for ((index, bucket), weight) in buckets.iter().enumerate().zip(weights) {
            let group = groups.get(index);
            if group != NO_GROUP {
                let count = &mut counts[group as usize * num_buckets + *bucket as usize];
                *count = count.wrapping_add(weight);
            }
        }
    }

    /// Whether all spans of a group were taken back that it ever had.
    pub fn are_emptied(&self, group: usize, num_buckets: usize) -> bool {
        match self {
            Cells::Counts(_) => self.counts_of(group, num_buckets).iter().all(|count| *count == 0),
            Cells::Extremes { .. } | Cells::Sums(_) => false,
        }
    }

    /// Adds the cells of another table; `groups` has the number here of each group there.
    pub fn merge(&mut self, other: &Cells, groups: &[u32], num_buckets: usize) {
        let places = |cell: usize| {
            let group = groups[cell / num_buckets];
            (group != NO_GROUP).then(|| group as usize * num_buckets + cell % num_buckets)
        };
        match (self, other) {
            (Cells::Counts(own), Cells::Counts(theirs)) => {
                theirs.iter().enumerate().for_each(|(cell, count)| places(cell).into_iter().for_each(|cell| own[cell] += count));
            }
            (Cells::Extremes { of, cells: own }, Cells::Extremes { cells: theirs, .. }) => {
                theirs.iter().enumerate().for_each(|(at, value)| places(at).into_iter().for_each(|cell| own[cell] = of(own[cell], *value)));
            }
            (Cells::Sums(own), Cells::Sums(theirs)) => {
                theirs.iter().enumerate().for_each(|(at, sum)| places(at).into_iter().for_each(|cell| own[cell].merge(sum)));
            }
            _ => debug_assert!(false, "tables of different functions"),
        }
    }

    /// The counts of a group, if these are counts.
    pub fn counts_of(&self, group: usize, num_buckets: usize) -> &[u64] {
        match self {
            Cells::Counts(counts) => &counts[group * num_buckets..(group + 1) * num_buckets],
            _ => &[],
        }
    }

    /// The samples of a group, NaN where there is none. Counts are divided by `per`; sums become means if `is_mean` is set.
    pub fn samples(&self, group: usize, num_buckets: usize, per: f64, is_mean: bool) -> Vec<f64> {
        let range = group * num_buckets..(group + 1) * num_buckets;
        match self {
            Cells::Counts(counts) => counts[range].iter().map(|count| *count as f64 / per).collect(),
            Cells::Extremes { cells, .. } => cells[range].to_vec(),
            Cells::Sums(sums) => sums[range].iter().map(|sum| if is_mean { sum.total() / sum.count as f64 } else { sum.total() }).collect(),
        }
    }
}

/// Tables that count next to each other, so that spans of one cell that follow each other do not wait for each other.
const LANES: usize = 4;

/// Up to so many cells, a table for each lane stays in a core's first cache.
const MOST_LANE_CELLS: usize = 2048;

fn count_in_lanes(counts: &mut [u64], num_buckets: usize, groups: &[u32], buckets: &[u32]) {
    let num_cells = counts.len();
    // The last cell is that of spans in no group. Rows of a source are counted with 32 bits.
    let mut lanes = vec![0u32; LANES * (num_cells + 1)];
    let cell = |group: u32, bucket: u32| {
        let cell = group as usize * num_buckets + bucket as usize;
        if group == NO_GROUP { num_cells } else { cell }
    };
    for (groups, buckets) in groups.chunks(LANES).zip(buckets.chunks(LANES)) {
        for (lane, (group, bucket)) in groups.iter().zip(buckets).enumerate() {
            lanes[LANES * cell(*group, *bucket) + lane] += 1;
        }
    }
    for (count, lanes) in counts.iter_mut().zip(lanes.chunks_exact(LANES)) {
        *count += lanes.iter().map(|count| u64::from(*count)).sum::<u64>();
    }
}

/// Counts runs of equal buckets at once: adding to one cell again and again would wait for memory each time.
fn count_runs(counts: &mut [u64], buckets: &[u32]) {
    for run in buckets.chunk_by(|left, right| left == right) {
        counts[run[0] as usize] += run.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    #[test]
    fn sums_are_compensated() {
        let mut sum = Sum::default();
        [1.0, 1e100, 1.0, -1e100].into_iter().for_each(|value| sum.add(value));
        assert_eq!(sum.total(), 2.0);
        assert!(Sum::default().total().is_nan());
        let mut infinite = Sum::default();
        [f64::INFINITY, 1.0].into_iter().for_each(|value| infinite.add(value));
        assert_eq!(infinite.total(), f64::INFINITY);
    }

    proptest! {
        #[test]
        fn merged_tables_are_those_of_all_spans(
            spans in vec((0u32..3, 0u32..2, prop_oneof![Just(f64::NAN), -9f64..9.0]), 0..40), at in 0usize..40, op in 0..5usize
        ) {
            const OPS: [OverTimeOp; 5] = [OverTimeOp::Min, OverTimeOp::Max, OverTimeOp::Avg, OverTimeOp::Sum, OverTimeOp::Histogram];
            let table = |spans: &[(u32, u32, f64)]| {
                let mut cells = Cells::over_time(OPS[op]);
                cells.grow(6);
                let groups = GroupOf::Each(spans.iter().map(|span| span.0).collect());
                let (buckets, values): (Vec<u32>, Vec<f64>) = spans.iter().map(|span| (span.1, span.2)).unzip();
                cells.observe(2, &groups, &buckets, &values);
                cells
            };
            let (left, right) = spans.split_at(at.min(spans.len()));
            let mut merged = table(left);
            merged.merge(&table(right), &[0, 1, 2], 2);
            for group in 0..3 {
                let (one, other) = (table(&spans), &merged);
                for (whole, parts) in one.samples(group, 2, 1.0, op == 2).iter().zip(other.samples(group, 2, 1.0, op == 2)) {
                    prop_assert!((whole.is_nan() && parts.is_nan()) || (whole - parts).abs() < 1e-9, "{whole} {parts}");
                }
            }
        }
    }
}
