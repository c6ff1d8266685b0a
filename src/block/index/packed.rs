//! Numbers of a fixed width in bits, one after the other, from the least bit of each byte.

use std::io::{self, Write};

/// Bits that a number needs.
pub(super) fn bits_of(number: usize) -> usize {
    (usize::BITS - number.leading_zeros()) as usize
}

/// Bytes that so many numbers take.
pub(super) fn packed_len(num_values: usize, bits: usize) -> usize {
    (num_values * bits).div_ceil(8)
}

/// The number at a position; what is behind the end of the bytes reads as zero. At most 32 bits.
pub(super) fn packed_at(bytes: &[u8], bits: usize, position: usize) -> u32 {
    let first_bit = position * bits;
    let rest = bytes.get(first_bit / 8..).unwrap_or_default();
    let word = match rest.first_chunk() {
        Some(word) => u64::from_le_bytes(*word),
        None => rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    };
    ((word >> (first_bit % 8)) & ((1 << bits) - 1)) as u32
}

/// Writes numbers of at most 32 bits.
pub(super) struct PackedWriter {
    bits: usize,
    /// Bits that are not written yet, less than eight between calls.
    pending: u64,
    num_pending: usize,
}

impl PackedWriter {
    pub(super) fn new(bits: usize) -> Self {
        PackedWriter { bits, pending: 0, num_pending: 0 }
    }

    /// Writes the next number.
    pub(super) fn push(&mut self, value: u32, out: &mut impl Write) -> io::Result<()> {
        self.pending |= u64::from(value) << self.num_pending;
        self.num_pending += self.bits;
        let num_bytes = self.num_pending / 8;
        out.write_all(&self.pending.to_le_bytes()[..num_bytes])?;
        self.pending >>= 8 * num_bytes;
        self.num_pending %= 8;
        Ok(())
    }

    /// Writes what is left.
    pub(super) fn finish(self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(&self.pending.to_le_bytes()[..self.num_pending.div_ceil(8)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_come_back(bits in 0usize..=32, mut values in prop::collection::vec(any::<u32>(), 0..100)) {
            values.iter_mut().for_each(|value| *value &= ((1u64 << bits) - 1) as u32);
            let mut bytes = Vec::new();
            let mut writer = PackedWriter::new(bits);
            values.iter().for_each(|value| writer.push(*value, &mut bytes).expect("in memory"));
            writer.finish(&mut bytes).expect("in memory");
            prop_assert_eq!(bytes.len(), packed_len(values.len(), bits));
            prop_assert!(values.iter().enumerate().all(|(position, value)| packed_at(&bytes, bits, position) == *value));
        }
    }
}
