//! The time buckets of a query (spec/traceql.md §11.3): open on the left, closed on the right, named by their right edge.

use crate::model::UnixNanos;

/// Stands for "in no bucket".
pub const NO_BUCKET: u32 = u32::MAX;

/// Equal pieces of a stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buckets {
    /// Left edge of the first bucket, which does not belong to it.
    start: u64,
    step: u64,
    count: u32,
    /// 2^64 / step, so that finding a bucket takes a multiplication.
    reciprocal: u64,
}

impl Buckets {
    /// The buckets of a range query: aligned to multiples of `step` since the epoch, with one more in front. An end after `newest`
    /// is cut there. `None` if there are more than 2^32 - 2, or a step of 0.
    pub fn of_range(start: UnixNanos, end: UnixNanos, step_nanos: u64, newest: Option<UnixNanos>) -> Option<Self> {
        let first = (start.0.checked_div(step_nanos)? * step_nanos).saturating_sub(step_nanos);
        let mut last = end.0.div_ceil(step_nanos).checked_mul(step_nanos)?;
        if let Some(newest) = newest.filter(|newest| last > newest.0) {
            last = newest.0 / step_nanos * step_nanos;
        }
        Self::new(first, step_nanos, last.saturating_sub(first) / step_nanos)
    }

    /// The one bucket of an instant query, from `start` to `end`. `None` if it is empty.
    pub fn of_instant(start: UnixNanos, end: UnixNanos) -> Option<Self> {
        let step = end.0.checked_sub(start.0).filter(|step| *step > 0)?;
        Self::new(start.0, step, 1)
    }

    fn new(start: u64, step: u64, count: u64) -> Option<Self> {
        let count = u32::try_from(count).ok().filter(|count| *count != NO_BUCKET)?;
        Some(Buckets { start, step, count, reciprocal: u64::MAX.checked_div(step)? })
    }

    /// Number of buckets.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// True if there is no bucket.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Width of a bucket in seconds.
    pub fn step_seconds(&self) -> f64 {
        self.step as f64 / 1e9
    }

    /// The time that all buckets cover: after the first moment, until the second one.
    pub fn span(&self) -> (u64, u64) {
        (self.start, self.start.saturating_add(self.step.saturating_mul(u64::from(self.count))))
    }

    /// Whether every edge is a multiple of so many nanoseconds since the epoch.
    pub fn are_multiples_of(&self, nanos: u64) -> bool {
        self.start.is_multiple_of(nanos) && self.step.is_multiple_of(nanos)
    }

    /// Right edge of a bucket, Unix nanoseconds.
    pub fn edge(&self, bucket: usize) -> u64 {
        self.start.saturating_add(self.step.saturating_mul(bucket as u64 + 1))
    }

    /// The bucket that all moments from `min` to `max` lie in, [`NO_BUCKET`] if all lie in none; `None` if they lie in several.
    pub fn of_all(&self, min: u64, max: u64) -> Option<u32> {
        let (start, end) = self.span();
        if max <= start || min > end {
            return Some(NO_BUCKET);
        }
        Some(self.of(min)).filter(|bucket| *bucket != NO_BUCKET && *bucket == self.of(max))
    }

    /// The bucket of a moment, or [`NO_BUCKET`].
    #[inline]
    pub fn of(&self, unix_nanos: u64) -> u32 {
        // A moment at or before the start wraps to a number that is beyond every bucket, or is caught by the next line.
        let offset = unix_nanos.wrapping_sub(self.start).wrapping_sub(1);
        if unix_nanos <= self.start {
            return NO_BUCKET;
        }
        let mut bucket = ((u128::from(offset) * u128::from(self.reciprocal)) >> 64) as u64;
        // The reciprocal is rounded down, so the product may be one short, never more.
        bucket += u64::from(offset - bucket * self.step >= self.step);
        if bucket < u64::from(self.count) { bucket as u32 } else { NO_BUCKET }
    }
}

/// Finds the buckets of many moments of which most lie in the bucket of the one before.
#[derive(Clone, Debug)]
pub struct BucketCursor<'b> {
    buckets: &'b Buckets,
    /// First moment of the bucket that was found last; with the step it is a half-open stretch.
    first: u64,
    /// Its length, 0 before any was found.
    len: u64,
    bucket: u32,
}

impl<'b> BucketCursor<'b> {
    /// Has found none.
    pub fn new(buckets: &'b Buckets) -> Self {
        BucketCursor { buckets, first: 0, len: 0, bucket: NO_BUCKET }
    }

    /// The bucket of a moment, or [`NO_BUCKET`].
    #[inline]
    pub fn of(&mut self, unix_nanos: u64) -> u32 {
        if unix_nanos.wrapping_sub(self.first) < self.len {
            return self.bucket;
        }
        let bucket = self.buckets.of(unix_nanos);
        if bucket != NO_BUCKET {
            self.bucket = bucket;
            self.len = self.buckets.step;
            self.first = self.buckets.start + u64::from(bucket) * self.buckets.step + 1;
        }
        bucket
    }
}

/// The step of a range query that names none (spec/query-api.md §6.2), nanoseconds, for a range of that many nanoseconds.
pub fn default_step(range_nanos: u64) -> u64 {
    const SECOND: u64 = 1_000_000_000;
    const SHORT: u64 = 50_000_000;
    let baseline = range_nanos / 240;
    if range_nanos < 60 * SECOND {
        return (baseline / SHORT * SHORT).max(SHORT);
    }
    // A range of exactly 240 times the granularity takes the next finer one, so the remainder of the division counts.
    let is_above = |granularity: &u64| range_nanos > granularity * 240;
    let granularity = [3600, 300, 60, 15, 5, 1].map(|seconds| seconds * SECOND).into_iter().find(is_above);
    granularity.map_or(SECOND, |granularity| baseline / granularity * granularity)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;

    fn range(start: u64, end: u64, step: u64, newest: Option<u64>) -> Buckets {
        let at = |seconds: u64| UnixNanos(seconds * SECOND);
        Buckets::of_range(at(start), at(end), step * SECOND, newest.map(at)).expect("few buckets")
    }

    #[test]
    fn the_example_of_the_spec() {
        let buckets = range(1000, 1090, 30, None);
        assert_eq!(buckets.span(), (960 * SECOND, 1110 * SECOND));
        let edges: Vec<u64> = (0..buckets.len()).map(|bucket| buckets.edge(bucket) / SECOND).collect();
        assert_eq!(edges, [990, 1020, 1050, 1080, 1110]);
        assert_eq!((buckets.of(990 * SECOND), buckets.of(990 * SECOND + 1)), (0, 1));
        assert_eq!((buckets.of(960 * SECOND), buckets.of(960 * SECOND + 1)), (NO_BUCKET, 0));
        assert_eq!((buckets.of(1110 * SECOND), buckets.of(1110 * SECOND + 1)), (4, NO_BUCKET));
        assert_eq!(buckets.of(0), NO_BUCKET);
    }

    #[test]
    fn an_end_in_the_future_is_cut() {
        assert_eq!(range(1000, 1090, 30, Some(1075)).span(), (960 * SECOND, 1050 * SECOND));
        assert_eq!(range(1000, 1090, 30, Some(1110)).span(), (960 * SECOND, 1110 * SECOND));
        assert!(range(1000, 1090, 30, Some(3)).is_empty());
        assert_eq!(range(10, 90, 30, None).span().0, 0, "there is nothing before 1970");
    }

    #[test]
    fn an_instant_query_has_one_bucket() {
        let buckets = Buckets::of_instant(UnixNanos(5), UnixNanos(9)).expect("not empty");
        assert_eq!((5..11).map(|at| buckets.of(at)).collect::<Vec<_>>(), [NO_BUCKET, 0, 0, 0, 0, NO_BUCKET]);
        assert_eq!(Buckets::of_instant(UnixNanos(5), UnixNanos(5)), None);
    }

    #[test]
    fn what_cannot_be_cut() {
        assert_eq!(Buckets::of_range(UnixNanos(0), UnixNanos(5), 0, None), None);
        assert_eq!(Buckets::of_range(UnixNanos(0), UnixNanos(u64::MAX), 1, None), None);
    }

    #[test]
    fn default_steps() {
        for (seconds, millis) in [
            (1, 50),
            (59, 200),
            (60, 1000),
            (900, 3000),
            (1800, 5000),
            (3600, 15_000),
            (3 * 3600, 45_000),
            (6 * 3600, 60_000),
            (12 * 3600, 180_000),
            (24 * 3600, 300_000),
            (7 * 86_400, 2_400_000),
        ] {
            assert_eq!(default_step(seconds * SECOND), millis * SECOND / 1000, "{seconds} s");
        }
    }

    proptest! {
        #[test]
        fn buckets_are_found_as_by_division(start in 0u64..1 << 62, step in 1u64..1 << 45, count in 1u64..20_000, at: u64, near in 0u64..9, edge in 0u64..20_000) {
            let buckets = Buckets::new(start, step, count).expect("few buckets");
            let mut cursor = BucketCursor::new(&buckets);
            let close = start.saturating_add(edge * step).saturating_add(near).saturating_sub(4);
            for at in [at, close] {
                let expected = at.checked_sub(start + 1).map(|offset| offset / step).filter(|bucket| *bucket < count);
                prop_assert_eq!(cursor.of(at), buckets.of(at));
                let (low, high) = (at.min(close), at.max(close));
                let ends = (buckets.of(low), buckets.of(high));
                let is_within = ends.0 == ends.1 && (ends.0 != NO_BUCKET || high <= start || low > start);
                match buckets.of_all(low, high) {
                    Some(bucket) => prop_assert!(is_within && bucket == ends.0),
                    None => prop_assert!(ends.0 != ends.1 || ends.0 == NO_BUCKET && low <= start && high > start),
                }
                prop_assert_eq!(buckets.of(at), expected.map_or(NO_BUCKET, |bucket| bucket as u32));
            }
        }
    }
}
