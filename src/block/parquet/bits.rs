//! From words of bits to row numbers.

/// Writes `first + bit` for each set bit, ascending, from `out[at]` on; gives where the next one goes.
///
/// There must be room for 64 numbers, for they are written eight at a time, whether there are so many or not: that costs less than a
/// mispredicted branch on their number.
#[inline]
pub(super) fn write_bits(mut word: u64, first: u32, out: &mut [u32], at: usize) -> usize {
    let end = at + word.count_ones() as usize;
    let mut next = at;
    while next < end {
        for slot in &mut out[next..next + 8] {
            *slot = first.wrapping_add(word.trailing_zeros());
            word &= word.wrapping_sub(1);
        }
        next += 8;
    }
    end
}

/// Appends `base + i` for each value `i` that passes, without a branch on whether it does.
#[inline]
pub(super) fn push_passing<T>(values: &[T], base: u32, out: &mut Vec<u32>, passes: impl Fn(&T) -> bool) {
    let mut found = [0; 64];
    let (chunks, rest) = values.as_chunks::<64>();
    let mut first = base;
    for chunk in chunks {
        push_bits(word_of(chunk, &passes), first, out, &mut found);
        first += 64;
    }
    push_bits(word_of(rest, &passes), first, out, &mut found);
}

#[inline]
fn push_bits(word: u64, first: u32, out: &mut Vec<u32>, found: &mut [u32; 64]) {
    match word {
        0 => {}
        u64::MAX => out.extend(first..first + 64),
        word => {
            let num_found = write_bits(word, first, found, 0);
            out.extend_from_slice(&found[..num_found]);
        }
    }
}

/// Bit `i` says whether value `i` passes, of at most 64. Put together from bytes, for the shifts by constants take half the time of others.
#[inline]
fn word_of<T>(values: &[T], passes: impl Fn(&T) -> bool) -> u64 {
    let mut bytes = [0; 8];
    let (eights, rest) = values.as_chunks::<8>();
    for (byte, eight) in bytes.iter_mut().zip(eights) {
        for (bit, value) in eight.iter().enumerate() {
            *byte |= u8::from(passes(value)) << bit;
        }
    }
    let mut word = u64::from_le_bytes(bytes);
    for (value, bit) in rest.iter().zip(eights.len() * 8..) {
        word |= u64::from(passes(value)) << bit;
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn finds_what_passes(values in prop::collection::vec(0u8..4, 0..300), base in 0u32..1000, wanted in 0u8..5) {
            let mut out = vec![5];
            push_passing(&values, base, &mut out, |&value| value == wanted || wanted == 4);
            let expected = values.iter().zip(base..).filter(|&(&value, _)| value == wanted || wanted == 4).map(|(_, row)| row);
            prop_assert!(out[1..].iter().copied().eq(expected));
        }
    }
}
