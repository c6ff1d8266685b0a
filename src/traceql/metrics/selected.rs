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
    /// Their starts, Unix nanoseconds; empty unless they are wanted.
    pub starts: Vec<u64>,
}

impl Selected {
    /// Of the rows that the pipeline keeps.
    pub fn of(spans: Spans<'_>, kept: &Bitmap, buckets: &Buckets, wants_starts: bool) -> Result<Self, EvalError> {
        let num_kept = kept.count();
        let mut selection = Selection {
            kept,
            buckets,
            wants_starts,
            rows: (num_kept < kept.len()).then(|| Vec::with_capacity(num_kept)),
            buckets_of: Vec::with_capacity(num_kept),
            starts_of: Vec::with_capacity(if wants_starts { num_kept } else { 0 }),
        };
        if num_kept > 0 {
            spans.source.visit_starts(&mut selection)?;
        }
        let Selection { rows, buckets_of, starts_of, .. } = selection;
        Ok(Selected { rows: rows.map_or_else(OnceCell::new, OnceCell::from), buckets: buckets_of, starts: starts_of })
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
    wants_starts: bool,
    /// `None` for as long as they are all rows so far.
    rows: Option<Vec<u32>>,
    buckets_of: Vec<u32>,
    starts_of: Vec<u64>,
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
            self.keep_starts(&starts[..num_chosen]);
            if num_chosen == starts.len() {
                return;
            }
            first_left_out = Some(first_row + num_chosen);
            self.leave_out();
        }
        let Some(rows) = &mut self.rows else { return };
        for row in self.kept.iter_in(first_left_out.unwrap_or(first_row)..first_row + starts.len()) {
            let start = starts[row as usize - first_row];
            let bucket = cursor.of(start);
            if bucket != NO_BUCKET {
                rows.push(row);
                self.buckets_of.push(bucket);
                if self.wants_starts {
                    self.starts_of.push(start);
                }
            }
        }
    }

    fn keep_starts(&mut self, starts: &[u64]) {
        if self.wants_starts {
            self.starts_of.extend_from_slice(starts);
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
            Some(_) => self.wants_starts,
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
        self.choose(first_row, starts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UnixNanos;
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// As a source does: parts whose bounds suffice are not shown.
    fn select(starts: &[u64], part_len: usize, kept: &Bitmap, buckets: &Buckets, wants_starts: bool) -> Selected {
        let (rows, mut num_unread) = ((kept.count() < kept.len()).then(Vec::new), 0);
        let mut selection = Selection { kept, buckets, wants_starts, rows, buckets_of: Vec::new(), starts_of: Vec::new() };
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
        let Selection { rows, buckets_of, starts_of, .. } = selection;
        Selected { rows: rows.map_or_else(OnceCell::new, OnceCell::from), buckets: buckets_of, starts: starts_of }
    }

    proptest! {
        #[test]
        fn parts_are_selected_as_rows_are(starts in vec(0u64..60, 0..80), part_len in 1usize..9, all: bool, picks in vec(any::<bool>(), 80)) {
            let buckets = Buckets::of_range(UnixNanos(20), UnixNanos(40), 10, None).expect("few buckets");
            let kept: Vec<u32> = (0..starts.len() as u32).filter(|row| all || picks[*row as usize]).collect();
            let expected: Vec<(u32, u32)> =
                kept.iter().map(|row| (*row, buckets.of(starts[*row as usize]))).filter(|(_, bucket)| *bucket != NO_BUCKET).collect();
            let kept = Bitmap::from_rows(starts.len(), &kept);
            for wants_starts in [true, false] {
                let selected = select(&starts, part_len, &kept, &buckets, wants_starts);
                let found: Vec<(u32, u32)> = selected.rows().iter().copied().zip(selected.buckets.iter().copied()).collect();
                prop_assert_eq!(&found, &expected);
                let of_rows: Vec<u64> = expected.iter().map(|(row, _)| starts[*row as usize]).collect();
                prop_assert_eq!(&selected.starts, &(if wants_starts { of_rows } else { Vec::new() }));
            }
        }
    }
}
