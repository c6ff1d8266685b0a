//! The spans of a source that a query observes, with their buckets.

use super::buckets::{BucketCursor, Buckets, NO_BUCKET};
use super::keys::Spans;
use crate::columns::view::{StartVisitor, StartsOf};
use crate::traceql::eval::{Bitmap, EvalError};
use std::cell::OnceCell;

/// Rows that the pipeline keeps and whose start lies in a bucket.
pub struct Selected {
    /// Ascending; made when they are first asked for where they are simply all rows.
    rows: OnceCell<Vec<u32>>,
    /// The bucket of each of the rows.
    pub buckets: Vec<u32>,
    /// Some of the rows by their index, with their starts in Unix nanoseconds: candidates for exemplars.
    pub samples: Vec<(usize, u64)>,
}

/// Which starts are wanted besides the buckets.
pub trait Sampling {
    /// Whether those of some stretch of time are, both ends included.
    fn wants(&self, min: u64, max: u64) -> bool;
}

/// Of a source with more spans, only so many are sampled.
const MOST_SAMPLES: usize = 1024;

impl Selected {
    /// Of the rows that the pipeline keeps.
    pub fn of(spans: Spans<'_>, kept: &Bitmap, buckets: &Buckets, sampling: &dyn Sampling) -> Result<Self, EvalError> {
        let num_kept = kept.count();
        let mut selection = Selection {
            kept,
            buckets,
            sampling,
            stride: num_kept.div_ceil(MOST_SAMPLES).max(1),
            rows: (num_kept < kept.len()).then(|| Vec::with_capacity(num_kept)),
            buckets_of: Vec::with_capacity(num_kept),
            samples: Vec::new(),
        };
        if num_kept > 0 {
            spans.source.visit_starts(&mut selection)?;
        }
        let Selection { rows, buckets_of, samples, .. } = selection;
        Ok(Selected { rows: rows.map_or_else(OnceCell::new, OnceCell::from), buckets: buckets_of, samples })
    }

    /// The rows, ascending.
    pub fn rows(&self) -> &[u32] {
        self.rows.get_or_init(|| (0..self.buckets.len() as u32).collect())
    }

    /// The row of an index.
    pub fn row(&self, index: usize) -> u32 {
        self.rows.get().map_or(index as u32, |rows| rows[index])
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.buckets.len()
    }

    /// True if there is no row.
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }
}

/// The state of a selection between two parts of a source.
struct Selection<'s> {
    kept: &'s Bitmap,
    buckets: &'s Buckets,
    sampling: &'s dyn Sampling,
    /// Of so many rows one is sampled.
    stride: usize,
    /// `None` for as long as they are all rows so far.
    rows: Option<Vec<u32>>,
    buckets_of: Vec<u32>,
    samples: Vec<(usize, u64)>,
}

impl Selection<'_> {
    /// From now on there are rows that are left out.
    fn leave_out(&mut self) -> &mut Vec<u32> {
        let so_far = self.buckets_of.len() as u32;
        self.rows.get_or_insert_with(|| (0..so_far).collect())
    }

    /// The rows of a part that has starts of all buckets, or of none; `start` tells that of a row.
    fn choose(&mut self, first_row: usize, starts: &[u64]) {
        let mut cursor = BucketCursor::new(self.buckets);
        let mut first_left_out = None;
        if self.rows.is_none() {
            let chosen = starts.iter().map(|start| cursor.of(*start)).take_while(|bucket| *bucket != NO_BUCKET);
            let before = self.buckets_of.len();
            self.buckets_of.extend(chosen);
            let num_chosen = self.buckets_of.len() - before;
            if num_chosen == starts.len() {
                return;
            }
            first_left_out = Some(first_row + num_chosen);
            self.leave_out();
        }
        let Some(rows) = &mut self.rows else { return };
        for row in self.kept.iter_in(first_left_out.unwrap_or(first_row)..first_row + starts.len()) {
            let bucket = cursor.of(starts[row as usize - first_row]);
            if bucket != NO_BUCKET {
                rows.push(row);
                self.buckets_of.push(bucket);
            }
        }
    }

    /// Samples those of the rows that were chosen from an index on.
    fn sample(&mut self, from: usize, first_row: usize, starts: &[u64]) {
        for index in (from.next_multiple_of(self.stride)..self.buckets_of.len()).step_by(self.stride) {
            let row = self.rows.as_ref().map_or(index, |rows| rows[index] as usize);
            let start = starts[row - first_row];
            if self.sampling.wants(start, start) {
                self.samples.push((index, start));
            }
        }
    }
}

impl StartVisitor for Selection<'_> {
    fn needs(&self, part: &StartsOf) -> bool {
        if !self.kept.any_in(part.rows.clone()) {
            return false;
        }
        match self.buckets.of_all(part.min, part.max) {
            Some(NO_BUCKET) => false,
            Some(_) => self.sampling.wants(part.min, part.max),
            None => true,
        }
    }

    fn bounded(&mut self, part: &StartsOf) {
        let bucket = self.buckets.of_all(part.min, part.max).unwrap_or(NO_BUCKET);
        let is_all = self.rows.is_none() && bucket != NO_BUCKET;
        if is_all {
            return self.buckets_of.resize(self.buckets_of.len() + part.rows.len(), bucket);
        }
        let kept = self.kept;
        let rows = self.leave_out();
        if bucket != NO_BUCKET {
            rows.extend(kept.iter_in(part.rows.clone()));
            let len = rows.len();
            self.buckets_of.resize(len, bucket);
        }
    }

    fn starts(&mut self, first_row: usize, starts: &[u64]) {
        let from = self.buckets_of.len();
        self.choose(first_row, starts);
        self.sample(from, first_row, starts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UnixNanos;
    use proptest::collection::vec;
    use proptest::prelude::*;

    struct Everything;

    impl Sampling for Everything {
        fn wants(&self, _min: u64, _max: u64) -> bool {
            true
        }
    }

    struct Nothing;

    impl Sampling for Nothing {
        fn wants(&self, _min: u64, _max: u64) -> bool {
            false
        }
    }

    /// As a source does: parts whose bounds suffice are not shown.
    fn select(starts: &[u64], part_len: usize, kept: &Bitmap, buckets: &Buckets, sampling: &dyn Sampling) -> Selected {
        let (rows, mut num_unread) = ((kept.count() < kept.len()).then(Vec::new), 0);
        let mut selection = Selection { kept, buckets, sampling, stride: 1, rows, buckets_of: Vec::new(), samples: Vec::new() };
        for (part, starts) in starts.chunks(part_len).enumerate() {
            let rows = part * part_len..part * part_len + starts.len();
            let bounds = StartsOf { rows, min: *starts.iter().min().unwrap_or(&0), max: *starts.iter().max().unwrap_or(&0) };
            if selection.needs(&bounds) {
                selection.starts(bounds.rows.start, starts);
            } else {
                num_unread += 1;
                selection.bounded(&bounds);
            }
        }
        assert!(num_unread <= starts.len());
        let Selection { rows, buckets_of, samples, .. } = selection;
        Selected { rows: rows.map_or_else(OnceCell::new, OnceCell::from), buckets: buckets_of, samples }
    }

    proptest! {
        #[test]
        fn parts_are_selected_as_rows_are(starts in vec(0u64..60, 0..80), part_len in 1usize..9, all: bool, picks in vec(any::<bool>(), 80)) {
            let buckets = Buckets::of_range(UnixNanos(20), UnixNanos(40), 10, None).expect("few buckets");
            let kept: Vec<u32> = (0..starts.len() as u32).filter(|row| all || picks[*row as usize]).collect();
            let expected: Vec<(u32, u32)> =
                kept.iter().map(|row| (*row, buckets.of(starts[*row as usize]))).filter(|(_, bucket)| *bucket != NO_BUCKET).collect();
            let kept = Bitmap::from_rows(starts.len(), &kept);
            for sampling in [&Everything as &dyn Sampling, &Nothing] {
                let selected = select(&starts, part_len, &kept, &buckets, sampling);
                let found: Vec<(u32, u32)> = selected.rows().iter().copied().zip(selected.buckets.iter().copied()).collect();
                prop_assert_eq!(&found, &expected);
                for (index, start) in &selected.samples {
                    prop_assert_eq!(*start, starts[selected.row(*index) as usize]);
                }
                prop_assert_eq!(selected.samples.len(), if sampling.wants(0, 0) { expected.len() } else { 0 });
            }
        }
    }
}
