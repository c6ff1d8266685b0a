//! Histograms of seconds: Prometheus' classic form with fixed buckets, and beside it its native one.

use super::settings::NativeSettings;
use crate::model::TraceId;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A value that somebody can look up the trace of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exemplar {
    /// The trace; zero for none.
    pub trace: TraceId,
    /// Seconds.
    pub value: f64,
}

const NONE: Exemplar = Exemplar { trace: TraceId([0; 16]), value: 0.0 };

/// A classic histogram, and a native one where that is asked for.
#[derive(Clone, Debug)]
pub struct Histogram {
    bounds: Arc<[f64]>,
    /// Not cumulative; one more than bounds.
    counts: Box<[f64]>,
    sum: f64,
    /// The last of each bucket since they were last taken.
    exemplars: Box<[Exemplar]>,
    native: Option<Box<NativeHistogram>>,
}

impl Histogram {
    /// An empty one.
    pub fn new(bounds: Arc<[f64]>, native: Option<&NativeSettings>) -> Self {
        let num_buckets = bounds.len() + 1;
        Histogram {
            bounds,
            counts: vec![0.0; num_buckets].into(),
            sum: 0.0,
            exemplars: vec![NONE; num_buckets].into(),
            native: native.map(|settings| Box::new(NativeHistogram::new(settings))),
        }
    }

    /// Counts a value as often as `times` says.
    #[inline]
    pub fn observe(&mut self, seconds: f64, times: f64, trace: TraceId) {
        let bucket = self.bounds.partition_point(|bound| *bound < seconds);
        self.counts[bucket] += times;
        self.sum += seconds * times;
        self.exemplars[bucket] = Exemplar { trace, value: seconds };
        if let Some(native) = &mut self.native {
            native.observe(seconds, times);
        }
    }

    /// Upper bounds of the buckets but the last, whose is infinite.
    pub fn bounds(&self) -> &[f64] {
        &self.bounds
    }

    /// The count of each bucket alone.
    pub fn counts(&self) -> &[f64] {
        &self.counts
    }

    /// Sum of all values in seconds.
    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// Number of values.
    pub fn count(&self) -> f64 {
        self.counts.iter().sum()
    }

    /// The last value of a bucket that has a trace.
    pub fn exemplar(&self, bucket: usize) -> Option<Exemplar> {
        Some(self.exemplars[bucket]).filter(|exemplar| !exemplar.trace.is_zero())
    }

    /// Forgets exemplars, which were sent.
    pub(super) fn forget_exemplars(&mut self) {
        self.exemplars.fill(NONE);
    }

    /// The native form.
    pub fn native(&self) -> Option<&NativeHistogram> {
        self.native.as_deref()
    }

    /// The native form, to be reset if it has grown too large.
    pub(super) fn native_mut(&mut self) -> Option<&mut NativeHistogram> {
        self.native.as_deref_mut()
    }

    /// Series that Prometheus has of it: buckets, the infinite one, sum, count.
    pub(super) fn num_series(bounds: &[f64]) -> usize {
        bounds.len() + 3
    }
}

/// The width of the bucket around zero that Prometheus' clients start with.
pub const ZERO_THRESHOLD: f64 = f64::from_bits(0x37f0_0000_0000_0000);

/// Coarsest schema of native histograms.
const MIN_SCHEMA: i32 = -4;
/// Finest schema.
const MAX_SCHEMA: i32 = 8;

/// A histogram whose bucket `i` ends at `2^(i / 2^schema)`.
#[derive(Clone, Debug, PartialEq)]
pub struct NativeHistogram {
    finest: i32,
    schema: i32,
    max_buckets: usize,
    min_reset_millis: i64,
    reset_millis: i64,
    zero: f64,
    buckets: BTreeMap<i32, f64>,
    sum: f64,
}

impl NativeHistogram {
    fn new(settings: &NativeSettings) -> Self {
        let finest = schema_of(settings.bucket_factor);
        NativeHistogram {
            finest,
            schema: finest,
            max_buckets: settings.max_buckets,
            min_reset_millis: i64::try_from(settings.min_reset.as_millis()).unwrap_or(i64::MAX),
            reset_millis: 0,
            zero: 0.0,
            buckets: BTreeMap::new(),
            sum: 0.0,
        }
    }

    fn observe(&mut self, value: f64, times: f64) {
        // A span that stands for part of a span counts as a whole one here (spec/metrics-generator.md §14).
        let times = times.ceil();
        self.sum += value * times;
        if value <= ZERO_THRESHOLD {
            self.zero += times;
            return;
        }
        *self.buckets.entry(bucket_of(value, self.schema)).or_default() += times;
        while self.max_buckets > 0 && self.buckets.len() > self.max_buckets && self.schema > MIN_SCHEMA {
            self.halve();
        }
    }

    /// Joins every two buckets.
    fn halve(&mut self) {
        self.schema -= 1;
        let mut joined = BTreeMap::new();
        for (bucket, count) in std::mem::take(&mut self.buckets) {
            // Bucket i is (b^(i-1), b^i], so pairs are (odd, even).
            *joined.entry((bucket + 1).div_euclid(2)).or_default() += count;
        }
        self.buckets = joined;
    }

    /// Starts anew with fine buckets if it has become coarse, and was not reset lately.
    pub(super) fn reset_if_coarse(&mut self, now_millis: i64) {
        if self.reset_millis == 0 {
            self.reset_millis = now_millis;
        }
        if self.schema < self.finest && now_millis - self.reset_millis >= self.min_reset_millis {
            (self.schema, self.zero, self.sum, self.reset_millis) = (self.finest, 0.0, 0.0, now_millis);
            self.buckets.clear();
        }
    }

    /// Resolution.
    pub fn schema(&self) -> i32 {
        self.schema
    }

    /// Count of values that are zero.
    pub fn zero(&self) -> f64 {
        self.zero
    }

    /// Buckets with their counts, ascending.
    pub fn buckets(&self) -> impl Iterator<Item = (i32, f64)> {
        self.buckets.iter().map(|(bucket, count)| (*bucket, *count))
    }

    /// Sum of all values.
    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// Number of values.
    pub fn count(&self) -> f64 {
        self.zero + self.buckets.values().sum::<f64>()
    }
}

/// The coarsest schema whose buckets do not grow by more than the factor.
fn schema_of(factor: f64) -> i32 {
    if factor <= 1.0 {
        return MAX_SCHEMA;
    }
    // The conversion saturates, and the range is small.
    #[allow(clippy::cast_possible_truncation)]
    let schema = -(factor.log2().log2().floor() as i32);
    schema.clamp(MIN_SCHEMA, MAX_SCHEMA)
}

/// The least `i` with `value <= 2^(i / 2^schema)`.
fn bucket_of(value: f64, schema: i32) -> i32 {
    let per_power = f64::from(schema).exp2();
    #[allow(clippy::cast_possible_truncation)]
    let near = (value.log2() * per_power).ceil() as i32;
    let bound = |bucket: i32| (f64::from(bucket) / per_power).exp2();
    // The logarithm is not exact at the bounds.
    if value > bound(near) {
        near + 1
    } else if value <= bound(near - 1) {
        near - 1
    } else {
        near
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bounds_belong_to_the_bucket_below() {
        let mut histogram = Histogram::new([0.1, 0.2].into(), None);
        for seconds in [0.0, 0.1, 0.100_000_1, 0.2, 5.0] {
            histogram.observe(seconds, 1.0, TraceId([1; 16]));
        }
        histogram.observe(0.15, 2.5, TraceId::default());
        assert_eq!(histogram.counts(), [2.0, 4.5, 1.0]);
        assert_eq!((histogram.count(), histogram.exemplar(0).map(|e| e.value)), (7.5, Some(0.1)));
        assert_eq!(histogram.exemplar(1), None, "the last value of the bucket has no trace");
        histogram.forget_exemplars();
        assert_eq!(histogram.exemplar(0), None);
    }

    #[test]
    fn a_factor_has_the_schema_of_prometheus_clients() {
        for (factor, schema) in [(1.1, 3), (2.0, 0), (1.05, 4), (4.0, -1), (1.0, 8), (65536.0, -4)] {
            assert_eq!(schema_of(factor), schema, "{factor}");
        }
    }

    #[test]
    fn powers_of_two_end_their_bucket() {
        for (value, schema, bucket) in [(1.0, 0, 0), (2.0, 0, 1), (2.1, 0, 2), (0.5, 3, -8), (0.51, 3, -7), (4.0, -1, 1), (5.0, -1, 2)] {
            assert_eq!(bucket_of(value, schema), bucket, "{value}");
        }
    }

    #[test]
    fn too_many_buckets_become_coarser_and_later_fine_again() {
        let settings = NativeSettings { max_buckets: 4, ..NativeSettings::default() };
        let mut native = NativeHistogram::new(&settings);
        (0..100).for_each(|n| native.observe(1.05f64.powi(n), 1.0));
        assert!(native.buckets().count() <= 4 && native.schema() < 3);
        assert_eq!(native.count(), 100.0);
        native.reset_if_coarse(1);
        native.reset_if_coarse(899_999);
        assert_eq!(native.count(), 100.0);
        native.reset_if_coarse(900_001);
        assert_eq!((native.count(), native.schema()), (0.0, 3));
    }

    proptest! {
        #[test]
        fn a_coarser_bucket_holds_its_finer_ones(value in 1e-9f64..1e6, schema in -3i32..8) {
            let mut native = NativeHistogram::new(&NativeSettings { max_buckets: 0, ..NativeSettings::default() });
            native.schema = schema;
            native.observe(value, 1.0);
            native.halve();
            prop_assert_eq!(native.buckets().next().map(|(bucket, _)| bucket), Some(bucket_of(value, schema - 1)));
        }
    }
}
