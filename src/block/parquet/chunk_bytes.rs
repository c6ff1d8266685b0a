//! Ranges of a file that are already in memory.

use super::error::ReadError;
use bytes::buf::Reader;
use bytes::{Buf, Bytes, BytesMut};
use parquet::file::reader::{ChunkReader, Length};
use std::ops::Range;

/// Ranges of one file, already fetched.
///
/// Also a [`ChunkReader`] of the `parquet` crate, so that its footer, page index and bloom filter parsers can read from it.
#[derive(Debug, Clone, Default)]
pub struct FetchedRanges {
    /// Ascending by offset; no part lies wholly in its predecessor, so the ends ascend too.
    parts: Vec<(u64, Bytes)>,
}

impl FetchedRanges {
    /// From pairs of file offset and bytes, in any order; they may touch or overlap.
    pub fn new(mut parts: Vec<(u64, Bytes)>) -> Self {
        // An offset so high that the end overflows can never be asked for.
        parts.retain(|(offset, bytes)| !bytes.is_empty() && offset.checked_add(bytes.len() as u64).is_some());
        parts.sort_by_key(|(offset, bytes)| (*offset, std::cmp::Reverse(bytes.len())));
        let mut covered = 0;
        parts.retain(|(offset, bytes)| {
            let end = offset + bytes.len() as u64;
            let adds = end > covered;
            covered = covered.max(end);
            adds
        });
        Self { parts }
    }

    /// The bytes of a range of the file; copied only if the range was fetched in several pieces.
    ///
    /// Error: `MissingBytes` if a part of the range was not fetched.
    pub fn get(&self, range: Range<u64>) -> Result<Bytes, ReadError> {
        if range.start >= range.end {
            return Ok(Bytes::new());
        }
        let first = self.bytes_from(range.start)?;
        let len = range.end - range.start;
        if len <= first.len() as u64 {
            return Ok(first.slice(..len as usize));
        }
        let mut joined = BytesMut::from(first);
        while (joined.len() as u64) < len {
            let next = self.bytes_from(range.start + joined.len() as u64)?;
            let wanted = (len - joined.len() as u64).min(next.len() as u64);
            joined.extend_from_slice(&next[..wanted as usize]);
        }
        Ok(joined.freeze())
    }

    /// What was fetched in one piece from an offset on; never empty.
    pub(super) fn bytes_from(&self, offset: u64) -> Result<Bytes, ReadError> {
        let following = self.parts.partition_point(|(start, _)| *start <= offset);
        if let Some((start, bytes)) = following.checked_sub(1).and_then(|index| self.parts.get(index)) {
            let skipped = offset - start;
            if skipped < bytes.len() as u64 {
                return Ok(bytes.slice(skipped as usize..));
            }
        }
        Err(ReadError::missing(format!("file offset {offset}")))
    }
}

impl Length for FetchedRanges {
    /// End of the last range; the length of the file only if its end was fetched.
    fn len(&self) -> u64 {
        self.parts.last().map_or(0, |(offset, bytes)| offset + bytes.len() as u64)
    }
}

impl ChunkReader for FetchedRanges {
    type T = Reader<Bytes>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        Ok(self.bytes_from(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        let end = start.checked_add(length as u64).ok_or_else(|| ReadError::missing(format!("{length} bytes from {start}")))?;
        Ok(self.get(start..end)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn missing_range_is_an_error() {
        let fetched = FetchedRanges::new(vec![(10, Bytes::from_static(b"abc"))]);
        assert_eq!(fetched.get(10..13).expect("fetched"), Bytes::from_static(b"abc"));
        assert_eq!(fetched.get(5..5).expect("empty"), Bytes::new());
        for range in [9..11, 12..14, 13..14, 0..1, 0..u64::MAX] {
            assert!(fetched.get(range).is_err());
        }
        assert!(fetched.get_bytes(u64::MAX, usize::MAX).is_err());
        assert_eq!(Length::len(&fetched), 13);
    }

    proptest! {
        #[test]
        fn any_pieces_give_the_file(pieces in prop::collection::vec((0usize..200, 0usize..60), 0..12), start in 0usize..200, len in 0usize..80) {
            let file: Vec<u8> = (0..=255).collect();
            let parts = pieces.iter().map(|&(at, len)| (at as u64, Bytes::copy_from_slice(&file[at..(at + len).min(256)]))).collect();
            let fetched = FetchedRanges::new(parts);
            let end = (start + len).min(256);
            let covered = (start..end).all(|byte| pieces.iter().any(|&(at, len)| (at..at + len).contains(&byte)));
            match fetched.get(start as u64..end as u64) {
                Ok(bytes) => prop_assert_eq!(&bytes[..], &file[start..end]),
                Err(_) => prop_assert!(!covered),
            }
            prop_assert!(!covered || fetched.get(start as u64..end as u64).is_ok());
        }
    }
}
