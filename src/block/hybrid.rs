//! Parquet's hybrid of run-length and bit-packed numbers (Encodings.md, "RLE"), for dictionary codes and levels.

/// The shortest run that is written as a run: it takes a header of one or two bytes and one value, and often another header
/// for the packed values behind it; packed it would take `width` bits a value. Runs below eight values are not worth
/// their decoding. (Ids of traces, 14 bits and a dozen spans each: 0.3 bytes a span less than with a fixed 16.)
fn min_run(width: u8) -> usize {
    let width = usize::from(width.max(1));
    (8 * (3 + width.div_ceil(8))).div_ceil(width).max(8)
}

/// Bits needed for numbers up to `max`.
pub fn bit_width(max: u32) -> u8 {
    (32 - max.leading_zeros()) as u8
}

/// Appends `values`, each below 2^`width`, without length or width in front.
pub fn encode(values: &[u32], width: u8, out: &mut Vec<u8>) {
    let min_run = min_run(width);
    let (mut packed_from, mut at) = (0, 0);
    while let Some((start, end)) = next_run(values, at, min_run) {
        // A packed stretch has a multiple of eight values, so it takes what it lacks from the run.
        let borrowed = (start - packed_from).next_multiple_of(8) - (start - packed_from);
        if end - start >= min_run + borrowed {
            pack(&values[packed_from..start + borrowed], width, out);
            put_run(values[start], end - start - borrowed, width, out);
            packed_from = end;
        }
        at = end;
    }
    pack(&values[packed_from..], width, out);
}

/// The first run of at least `min_run` equal values that begins at `from` or later. Where there is none, one value in
/// `min_run` is looked at, and those before it that are equal.
fn next_run(values: &[u32], from: usize, min_run: usize) -> Option<(usize, usize)> {
    let mut start = from;
    while let Some(window) = values.get(start..start + min_run) {
        let last = window[min_run - 1];
        match window.iter().rposition(|value| *value != last) {
            Some(other) => start += other + 1,
            None => {
                let rest = &values[start + min_run..];
                let more = rest.iter().position(|value| *value != last).unwrap_or(rest.len());
                return Some((start, start + min_run + more));
            }
        }
    }
    None
}

fn put_varint(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_run(value: u32, length: usize, width: u8, out: &mut Vec<u8>) {
    put_varint(out, length << 1);
    out.extend_from_slice(&value.to_le_bytes()[..usize::from(width.div_ceil(8))]);
}

/// Packs values in groups of eight, each of `width` bytes; the last group is filled up with zeros.
fn pack(values: &[u32], width: u8, out: &mut Vec<u8>) {
    if values.is_empty() {
        return;
    }
    let num_groups = values.len().div_ceil(8);
    put_varint(out, num_groups << 1 | 1);
    out.reserve(num_groups * usize::from(width));
    let (groups, rest) = values.as_chunks::<8>();
    groups.iter().for_each(|group| pack_group(group, width, out));
    if !rest.is_empty() {
        let mut group = [0; 8];
        group[..rest.len()].copy_from_slice(rest);
        pack_group(&group, width, out);
    }
}

#[inline]
fn pack_group(group: &[u32; 8], width: u8, out: &mut Vec<u8>) {
    if width <= 8 {
        let bits = (0..8).fold(0u64, |bits, at| bits | u64::from(group[at]) << (at * usize::from(width)));
        return out.extend_from_slice(&bits.to_le_bytes()[..usize::from(width)]);
    }
    if width <= 16 {
        let bits = (0..8).fold(0u128, |bits, at| bits | u128::from(group[at]) << (at * usize::from(width)));
        return out.extend_from_slice(&bits.to_le_bytes()[..usize::from(width)]);
    }
    let (mut bits, mut filled) = (0u64, 0u32);
    for &value in group {
        bits |= u64::from(value) << filled;
        filled += u32::from(width);
        while filled >= 8 {
            out.push(bits as u8);
            bits >>= 8;
            filled -= 8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Decodes by the letter of the format.
    fn decode(mut bytes: &[u8], width: u8, num_values: usize) -> Vec<u32> {
        let mut values = Vec::new();
        while values.len() < num_values {
            let mut header = 0usize;
            for shift in 0.. {
                let (byte, rest) = bytes.split_first().expect("a header");
                bytes = rest;
                header |= usize::from(byte & 0x7f) << (7 * shift);
                if byte & 0x80 == 0 {
                    break;
                }
            }
            if header & 1 == 0 {
                let (value, rest) = bytes.split_at(usize::from(width.div_ceil(8)));
                bytes = rest;
                let value = value.iter().rev().fold(0u32, |n, byte| n << 8 | u32::from(*byte));
                values.resize(values.len() + (header >> 1), value);
            } else {
                let num_bytes = (header >> 1) * usize::from(width);
                let (packed, rest) = bytes.split_at(num_bytes);
                bytes = rest;
                let bit = |at: usize| u32::from(packed[at / 8] >> (at % 8) & 1);
                for at in 0..(header >> 1) * 8 {
                    values.push((0..usize::from(width)).map(|shift| bit(at * usize::from(width) + shift) << shift).sum());
                }
            }
        }
        assert!(bytes.is_empty() && values.len() < num_values + 8);
        values.truncate(num_values);
        values
    }

    proptest! {
        #[test]
        fn numbers_round_trip(runs in proptest::collection::vec((any::<u32>(), 1usize..40), 0..20), width in 1u8..=32) {
            let mask = u32::MAX >> (32 - width);
            let values: Vec<u32> = runs.iter().flat_map(|(value, length)| std::iter::repeat_n(value & mask, *length)).collect();
            let mut out = Vec::new();
            encode(&values, width, &mut out);
            prop_assert_eq!(decode(&out, width, values.len()), values);
        }
    }

    #[test]
    fn widths_fit() {
        assert_eq!([0, 1, 2, 3, 255, 256, u32::MAX].map(bit_width), [0, 1, 2, 2, 8, 9, 32]);
    }
}
