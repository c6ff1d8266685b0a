//! Chance from a seed: SplitMix64 (Steele, Lea and Flood, 2014). Small, fast, and the same seed tells the same story.

use std::time::Duration;

/// Spread of [`Rng::around`]: with 0.35, nine in ten durations lie between 0.56 and 1.8 times the median.
const SPREAD: f64 = 0.35;
/// Share of durations that are slow for no visible reason, as a pause of a collector or a full queue makes them.
const SLOW_SHARE: f64 = 0.015;

/// A source of numbers that look random. Not for secrets.
#[derive(Clone, Debug)]
pub(super) struct Rng {
    state: u64,
}

impl Rng {
    /// A source that depends on nothing but `seed`.
    pub(super) fn seeded(seed: u64) -> Self {
        Rng { state: seed }
    }

    /// The next number. No number comes twice within 2^64 calls, so ids made of it are unique.
    pub(super) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Eight bytes that are not all zero: a span id.
    pub(super) fn span_id(&mut self) -> [u8; 8] {
        loop {
            let number = self.next();
            if number != 0 {
                return number.to_be_bytes();
            }
        }
    }

    /// Sixteen bytes that are not all zero: a trace id.
    pub(super) fn trace_id(&mut self) -> [u8; 16] {
        let high = u128::from(u64::from_be_bytes(self.span_id()));
        (high << 64 | u128::from(self.next())).to_be_bytes()
    }

    /// A number in `0.0..1.0`.
    pub(super) fn unit(&mut self) -> f64 {
        // The 53 bits that a double holds exactly.
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A number in `0..end`; 0 if `end` is 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.unit() * end as f64) as usize
    }

    /// True in a share of the calls, `share` being in `0.0..=1.0`.
    pub(super) fn chance(&mut self, share: f64) -> bool {
        self.unit() < share
    }

    /// One of the choices, each as likely as the others.
    ///
    /// # Panics
    /// If there are none.
    pub(super) fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }

    /// How long something takes that takes `median` as a rule: log-normal around it, with a slow tail. At least 1 ns.
    pub(super) fn around(&mut self, median: Duration) -> Duration {
        // Twelve uniform numbers add up to a good bell curve with a variance of 1 around 6.
        let bell: f64 = (0..12).map(|_| self.unit()).sum::<f64>() - 6.0;
        let slow = if self.chance(SLOW_SHARE) { 4.0 + 10.0 * self.unit() } else { 1.0 };
        median.mul_f64((SPREAD * bell).exp() * slow).max(Duration::from_nanos(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_published_algorithm() {
        let mut rng = Rng::seeded(1_234_567);
        let numbers: Vec<u64> = (0..3).map(|_| rng.next()).collect();
        assert_eq!(numbers, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn numbers_stay_in_their_ranges() {
        let mut rng = Rng::seeded(7);
        for _ in 0..10_000 {
            assert!((0.0..1.0).contains(&rng.unit()));
            assert!(rng.below(3) < 3);
        }
        assert_eq!(rng.below(0), 0);
    }

    #[test]
    fn durations_lie_around_the_median_with_a_slow_tail() {
        let mut rng = Rng::seeded(7);
        let median = Duration::from_millis(10);
        let mut durations: Vec<Duration> = (0..10_000).map(|_| rng.around(median)).collect();
        durations.sort();
        assert!((9_000..11_000).contains(&durations[5_000].as_micros()), "{:?}", durations[5_000]);
        assert!(durations[9_950] > 3 * median, "{:?}", durations[9_950]);
        assert!(durations[9_500] < 3 * median, "{:?}", durations[9_500]);
    }
}
