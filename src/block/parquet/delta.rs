//! `DELTA_BINARY_PACKED`: integers as differences, bit-packed in miniblocks.
//!
//! ```text
//! page      = values a block, miniblocks a block, values (varints), first value (zigzag), block*
//! block     = least difference (zigzag), width of each miniblock (a byte each), miniblock*
//! miniblock = differences minus the least one, bit-packed at its width
//! ```
//! Additions wrap, in 32 as in 64 bits, so that computing in 64 bits and cutting the result serves both.

use super::error::ReadError;
use super::unpack::{packed_len, unpack};
use super::varint::Cursor;

/// Differences are unpacked so many at a time: a miniblock of the crate's writer, small enough for the first-level cache.
const CHUNK: usize = 64;

/// Above any real layout (the crate's writer: 256 values a block, four miniblocks).
const MAX_BLOCK_VALUES: usize = 1 << 16;

/// Appends the values `skip..skip + take` of a page, each made of 64 wrapped bits.
///
/// Error: `CorruptPage` if the page is malformed or has fewer values.
pub(super) fn decode<T>(page: &[u8], skip: usize, take: usize, from_bits: impl Fn(i64) -> T, out: &mut Vec<T>) -> Result<(), ReadError> {
    if take == 0 {
        return Ok(());
    }
    let mut cursor = Cursor::new(page);
    let layout = Layout::read(&mut cursor)?;
    let end = skip + take;
    if layout.num_values < end {
        return Err(ReadError::corrupt(format!("delta page of {} values where {end} are needed", layout.num_values)));
    }
    let mut previous = cursor.zigzag()?;
    out.reserve(take);
    if skip == 0 {
        out.push(from_bits(previous));
    }
    let mut done = 1;
    while done < end {
        let least = cursor.zigzag()?;
        let widths = cursor.take(layout.num_miniblocks)?;
        for &width in widths {
            let len = layout.miniblock_values.min(end - done);
            if len == 0 {
                break;
            }
            let bytes = miniblock_bytes(&mut cursor, layout.miniblock_values, len, width)?;
            let first_wanted = skip.saturating_sub(done).min(len);
            decode_miniblock(bytes, usize::from(width), len, first_wanted, least, &mut previous, &from_bits, out);
            done += len;
        }
    }
    Ok(())
}

struct Layout {
    miniblock_values: usize,
    num_miniblocks: usize,
    num_values: usize,
}

impl Layout {
    fn read(cursor: &mut Cursor<'_>) -> Result<Self, ReadError> {
        let (block_values, num_miniblocks, num_values) = (cursor.size()?, cursor.size()?, cursor.size()?);
        let is_sound = block_values <= MAX_BLOCK_VALUES && num_miniblocks > 0 && block_values.is_multiple_of(num_miniblocks);
        let miniblock_values = block_values.checked_div(num_miniblocks).unwrap_or(0);
        if !is_sound || miniblock_values == 0 || !miniblock_values.is_multiple_of(8) {
            return Err(ReadError::corrupt(format!("delta blocks of {block_values} values in {num_miniblocks} miniblocks")));
        }
        Ok(Self { miniblock_values, num_miniblocks, num_values })
    }
}

/// The bytes of a miniblock of which `len` values are wanted.
fn miniblock_bytes<'a>(cursor: &mut Cursor<'a>, num_values: usize, len: usize, width: u8) -> Result<&'a [u8], ReadError> {
    if width > 64 {
        return Err(ReadError::corrupt(format!("differences of {width} bits")));
    }
    // Some writers cut the padding of the last miniblock off.
    let bytes = cursor.take_up_to(packed_len(num_values, usize::from(width)));
    if bytes.len() < packed_len(len, usize::from(width)) {
        return Err(ReadError::corrupt("delta page ends early"));
    }
    Ok(bytes)
}

/// Adds the differences up and appends the sums from `first_wanted` on.
#[allow(clippy::too_many_arguments, reason = "the state of one loop, kept in registers")]
#[inline]
fn decode_miniblock<T>(
    bytes: &[u8],
    width: usize,
    len: usize,
    first_wanted: usize,
    least: i64,
    previous: &mut i64,
    from_bits: &impl Fn(i64) -> T,
    out: &mut Vec<T>,
) {
    let mut differences = [0u64; CHUNK];
    let mut value = *previous;
    for start in (0..len).step_by(CHUNK) {
        let differences = &mut differences[..CHUNK.min(len - start)];
        unpack(bytes, width, start, differences);
        let num_skipped = first_wanted.saturating_sub(start).min(differences.len());
        let (skipped, wanted) = differences.split_at(num_skipped);
        // A sum that need not be known on the way is computed several at a time.
        let sum = skipped.iter().fold(0u64, |sum, difference| sum.wrapping_add(*difference));
        value = value.wrapping_add(least.wrapping_mul(num_skipped as i64)).wrapping_add(sum as i64);
        let mut next = |difference: &u64| {
            value = value.wrapping_add(least).wrapping_add(*difference as i64);
            value
        };
        out.extend(wanted.iter().map(|difference| from_bits(next(difference))));
    }
    *previous = value;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn absurd_layouts_are_errors() {
        let mut out: Vec<i64> = Vec::new();
        for page in
            [&[0, 0, 9, 0][..], &[128, 1, 0, 9, 0], &[128, 1, 3, 9, 0], &[0xff, 0xff, 0xff, 0xff, 0x0f, 4, 9, 0], &[128, 1, 4, 3, 0], &[]]
        {
            assert!(decode(page, 0, 2, |bits| bits, &mut out).is_err(), "{page:?}");
        }
    }

    proptest! {
        #[test]
        fn noise_never_panics(tail in prop::collection::vec(any::<u8>(), 0..400), skip in 0usize..300, take in 0usize..300) {
            // 256 values a block, 4 miniblocks, 300 values: what follows is decoded, not refused.
            let page = [&[0x80, 0x02, 4, 0xac, 0x02][..], &tail].concat();
            let mut out: Vec<i64> = Vec::new();
            let _ = decode(&page, skip, take, |bits| bits, &mut out);
            prop_assert!(out.len() <= take);
            let _ = decode(&tail, skip, take, |bits| bits, &mut out);
        }
    }
}
