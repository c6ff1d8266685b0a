//! Whether two short byte strings are equal.

/// As `a == b`, but without a call for up to 32 bytes: keys and values of attributes are mostly that short, and an ingest compares a
/// dozen of them a span with what came last (memcmp was 4 % of its time).
#[inline]
pub(super) fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    match a.len() {
        0..4 => a.iter().eq(b),
        4..8 => ends::<4>(a) == ends::<4>(b),
        8..=16 => ends::<8>(a) == ends::<8>(b),
        17..=32 => ends::<16>(a) == ends::<16>(b),
        _ => a == b,
    }
}

/// The first and the last `N` bytes, which together are all of up to `2 * N`.
#[inline]
fn ends<const N: usize>(bytes: &[u8]) -> (Option<&[u8; N]>, Option<&[u8; N]>) {
    (bytes.first_chunk(), bytes.last_chunk())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn as_slices_compare(a in proptest::collection::vec(0u8..2, 0..40), at in 0usize..40, b: Vec<u8>) {
            let mut other = a.clone();
            prop_assert!(same(&a, &other));
            if let Some(byte) = other.get_mut(at) {
                *byte ^= 1;
                prop_assert!(!same(&a, &other));
            }
            prop_assert_eq!(same(&a, &b), a == b);
        }
    }
}
