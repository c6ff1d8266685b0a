//! Bit-packed integers, least significant bit first, in groups of eight.
//!
//! ```text
//! width 3:   byte 0    byte 1    byte 2
//!            22111000  54443332  77766655      (digit = number of the value that the bit belongs to)
//! ```
//! Eight values of `w` bits fill exactly `w` bytes, so every group starts at a byte. One kernel per width, with the shifts known to the
//! compiler, takes 0.2-0.4 ns a value; a loop with the width as a variable takes three times that.

/// An integer that values are unpacked to.
pub(super) trait Lane: Copy + Default + 'static {
    /// Kernel of each width up to the number of bits of the type.
    const KERNELS: &'static [Kernel<Self>];
    /// The lowest bits of a word; nothing is lost, for no width exceeds the type.
    fn from_word(word: u64) -> Self;
}

/// Unpacks as many groups as the bytes hold, [`SLACK_BYTES`] to spare; gives their number.
type Kernel<T> = fn(&[u8], &mut [[T; 8]]) -> usize;

/// A kernel reads whole words, hence up to so many bytes past the group that it needs.
const SLACK_BYTES: usize = 16;

/// Values above this width may not fit into the eight bytes from the one that they start in.
const MAX_WORD_WIDTH: usize = 57;

fn unpack_groups<T: Lane, const WIDTH: usize>(bytes: &[u8], groups: &mut [[T; 8]]) -> usize {
    if WIDTH == 0 {
        groups.fill([T::default(); 8]);
        return groups.len();
    }
    let num_groups = (bytes.len().saturating_sub(SLACK_BYTES) / WIDTH).min(groups.len());
    let mask = if WIDTH == 64 { u64::MAX } else { (1u64 << (WIDTH % 64)) - 1 };
    for (index, group) in groups[..num_groups].iter_mut().enumerate() {
        let window = &bytes[index * WIDTH..index * WIDTH + WIDTH + SLACK_BYTES];
        if WIDTH <= 8 {
            let all = word(window, 0);
            for (lane, value) in group.iter_mut().enumerate() {
                *value = T::from_word((all >> (lane * WIDTH)) & mask);
            }
        } else {
            for (lane, value) in group.iter_mut().enumerate() {
                let (byte, bit) = (lane * WIDTH / 8, lane * WIDTH % 8);
                let mut bits = word(window, byte) >> bit;
                if WIDTH > MAX_WORD_WIDTH && bit > 0 {
                    bits |= word(window, byte + 8) << (64 - bit);
                }
                *value = T::from_word(bits & mask);
            }
        }
    }
    num_groups
}

#[inline(always)]
fn word(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

/// Unpacks values `first..first + out.len()` of a run that starts with `bytes`.
///
/// The caller has checked that the bytes hold them ([`packed_len`]) and that the width does not exceed the type's bits; what is not there
/// reads as zero.
pub(super) fn unpack<T: Lane>(bytes: &[u8], width: usize, first: usize, out: &mut [T]) {
    let kernel = T::KERNELS[width];
    let mut bytes = bytes.get(first / 8 * width..).unwrap_or_default();
    let mut out = out;
    if !first.is_multiple_of(8) {
        let group = last_group(kernel, bytes, width);
        let (head, rest) = out.split_at_mut((8 - first % 8).min(out.len()));
        head.copy_from_slice(&group[first % 8..][..head.len()]);
        bytes = bytes.get(width..).unwrap_or_default();
        out = rest;
    }
    let (groups, tail) = out.as_chunks_mut::<8>();
    let done = kernel(bytes, groups);
    bytes = &bytes[(done * width).min(bytes.len())..];
    for group in &mut groups[done..] {
        *group = last_group(kernel, bytes, width);
        bytes = bytes.get(width..).unwrap_or_default();
    }
    let group = if tail.is_empty() { [T::default(); 8] } else { last_group(kernel, bytes, width) };
    tail.copy_from_slice(&group[..tail.len()]);
}

/// A group near the end of the bytes, read from a padded copy.
fn last_group<T: Lane>(kernel: Kernel<T>, bytes: &[u8], width: usize) -> [T; 8] {
    let mut padded = [0; 64 + SLACK_BYTES];
    let len = width.min(bytes.len());
    padded[..len].copy_from_slice(&bytes[..len]);
    let mut group = [[T::default(); 8]];
    kernel(&padded[..width + SLACK_BYTES], &mut group);
    let [group] = group;
    group
}

/// Bytes that so many values take.
pub(super) fn packed_len(num_values: usize, width: usize) -> usize {
    // 64 * num_values cannot overflow: callers bound the number by the rows of a row group.
    (num_values * width).div_ceil(8)
}

impl Lane for u32 {
    #[rustfmt::skip]
    const KERNELS: &'static [Kernel<u32>] = &[
        unpack_groups::<u32, 0>, unpack_groups::<u32, 1>, unpack_groups::<u32, 2>, unpack_groups::<u32, 3>, unpack_groups::<u32, 4>,
        unpack_groups::<u32, 5>, unpack_groups::<u32, 6>, unpack_groups::<u32, 7>, unpack_groups::<u32, 8>, unpack_groups::<u32, 9>,
        unpack_groups::<u32, 10>, unpack_groups::<u32, 11>, unpack_groups::<u32, 12>, unpack_groups::<u32, 13>, unpack_groups::<u32, 14>,
        unpack_groups::<u32, 15>, unpack_groups::<u32, 16>, unpack_groups::<u32, 17>, unpack_groups::<u32, 18>, unpack_groups::<u32, 19>,
        unpack_groups::<u32, 20>, unpack_groups::<u32, 21>, unpack_groups::<u32, 22>, unpack_groups::<u32, 23>, unpack_groups::<u32, 24>,
        unpack_groups::<u32, 25>, unpack_groups::<u32, 26>, unpack_groups::<u32, 27>, unpack_groups::<u32, 28>, unpack_groups::<u32, 29>,
        unpack_groups::<u32, 30>, unpack_groups::<u32, 31>, unpack_groups::<u32, 32>,
    ];

    #[inline(always)]
    fn from_word(word: u64) -> Self {
        word as u32
    }
}

impl Lane for u64 {
    #[rustfmt::skip]
    const KERNELS: &'static [Kernel<u64>] = &[
        unpack_groups::<u64, 0>, unpack_groups::<u64, 1>, unpack_groups::<u64, 2>, unpack_groups::<u64, 3>, unpack_groups::<u64, 4>,
        unpack_groups::<u64, 5>, unpack_groups::<u64, 6>, unpack_groups::<u64, 7>, unpack_groups::<u64, 8>, unpack_groups::<u64, 9>,
        unpack_groups::<u64, 10>, unpack_groups::<u64, 11>, unpack_groups::<u64, 12>, unpack_groups::<u64, 13>, unpack_groups::<u64, 14>,
        unpack_groups::<u64, 15>, unpack_groups::<u64, 16>, unpack_groups::<u64, 17>, unpack_groups::<u64, 18>, unpack_groups::<u64, 19>,
        unpack_groups::<u64, 20>, unpack_groups::<u64, 21>, unpack_groups::<u64, 22>, unpack_groups::<u64, 23>, unpack_groups::<u64, 24>,
        unpack_groups::<u64, 25>, unpack_groups::<u64, 26>, unpack_groups::<u64, 27>, unpack_groups::<u64, 28>, unpack_groups::<u64, 29>,
        unpack_groups::<u64, 30>, unpack_groups::<u64, 31>, unpack_groups::<u64, 32>, unpack_groups::<u64, 33>, unpack_groups::<u64, 34>,
        unpack_groups::<u64, 35>, unpack_groups::<u64, 36>, unpack_groups::<u64, 37>, unpack_groups::<u64, 38>, unpack_groups::<u64, 39>,
        unpack_groups::<u64, 40>, unpack_groups::<u64, 41>, unpack_groups::<u64, 42>, unpack_groups::<u64, 43>, unpack_groups::<u64, 44>,
        unpack_groups::<u64, 45>, unpack_groups::<u64, 46>, unpack_groups::<u64, 47>, unpack_groups::<u64, 48>, unpack_groups::<u64, 49>,
        unpack_groups::<u64, 50>, unpack_groups::<u64, 51>, unpack_groups::<u64, 52>, unpack_groups::<u64, 53>, unpack_groups::<u64, 54>,
        unpack_groups::<u64, 55>, unpack_groups::<u64, 56>, unpack_groups::<u64, 57>, unpack_groups::<u64, 58>, unpack_groups::<u64, 59>,
        unpack_groups::<u64, 60>, unpack_groups::<u64, 61>, unpack_groups::<u64, 62>, unpack_groups::<u64, 63>, unpack_groups::<u64, 64>,
    ];

    #[inline(always)]
    fn from_word(word: u64) -> Self {
        word
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Packs values as the format says.
    pub(in super::super) fn pack(values: &[u64], width: usize) -> Vec<u8> {
        let mut bytes = vec![0; packed_len(values.len(), width)];
        for (index, value) in values.iter().enumerate() {
            for bit in (0..width).filter(|bit| value >> bit & 1 == 1) {
                let at = index * width + bit;
                bytes[at / 8] |= 1 << (at % 8);
            }
        }
        bytes
    }

    proptest! {
        #[test]
        fn unpacks_what_was_packed(
            width in 0usize..=64,
            mut values in prop::collection::vec(any::<u64>(), 0..100),
            first in 0usize..100,
            spare in 0usize..40,
        ) {
            let mask = if width == 64 { u64::MAX } else { (1 << width) - 1 };
            values.iter_mut().for_each(|value| *value &= mask);
            let mut bytes = pack(&values, width);
            bytes.extend(std::iter::repeat_n(0xa5, spare));
            let expected = values.get(first..).unwrap_or_default();
            let mut out = vec![7u64; expected.len()];
            unpack(&bytes, width, first, &mut out);
            prop_assert_eq!(&out, expected);
            if width <= 32 {
                let mut out = vec![7u32; expected.len()];
                unpack(&bytes, width, first, &mut out);
                prop_assert!(out.iter().map(|&value| u64::from(value)).eq(expected.iter().copied()));
            }
        }
    }
}
