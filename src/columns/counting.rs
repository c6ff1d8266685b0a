//! How spans are counted. Blocks keep counts of their spans; queries count the same way, so that both can be added up.

/// The smallest power of two, by its exponent, that a value is not above; 0 for 0 and 1, which are in no histogram
/// (spec/traceql.md §11.6).
#[inline]
pub fn exponent(value: u64) -> u8 {
    // Of values below 2 the exponent is 0, of others it is 1 to 64.
    (u64::BITS - value.saturating_sub(1).leading_zeros()) as u8
}

/// The exponent of a duration as TraceQL reads it: what wrapped counts as 2^63 nanoseconds.
#[inline]
pub fn duration_exponent(nanos: u64) -> u8 {
    exponent(nanos).min(63)
}

/// Among spans that could stand for others that with the least rank of its start does, wherever they are stored. Different starts
/// have different ranks, and these say nothing about time.
#[inline]
pub fn rank(start_unix_nanos: u64) -> u64 {
    // The finalizer of SplitMix64 (public domain), a permutation of 64 bits.
    let mixed = (start_unix_nanos ^ (start_unix_nanos >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_rounded_up_to_powers_of_two() {
        for (value, expected) in [(0, 0), (1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (1 << 40, 40), ((1 << 40) + 1, 41), (u64::MAX, 64)] {
            assert_eq!(exponent(value), expected, "{value}");
        }
        assert_eq!((duration_exponent(u64::MAX), duration_exponent(1 << 63), duration_exponent((1 << 62) + 1)), (63, 63, 63));
    }

    #[test]
    fn ranks_are_those_of_splitmix64() {
        // The first outputs of the generator for seed 0, whose states are multiples of the golden ratio.
        let golden = 0x9e37_79b9_7f4a_7c15_u64;
        assert_eq!((rank(golden), rank(golden.wrapping_mul(2))), (0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4));
    }
}
