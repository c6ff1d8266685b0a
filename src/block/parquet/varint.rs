//! Variable-length integers, as in Thrift's compact protocol and Parquet's encodings.

use super::error::ReadError;

/// Bytes that are read from the front.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Number of bytes left.
    pub(super) fn len(&self) -> usize {
        self.rest.len()
    }

    #[inline]
    pub(super) fn byte(&mut self) -> Result<u8, ReadError> {
        let (&first, rest) = self.rest.split_first().ok_or_else(ends_early)?;
        self.rest = rest;
        Ok(first)
    }

    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], ReadError> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or_else(ends_early)?;
        self.rest = rest;
        Ok(taken)
    }

    /// At most `len` bytes: fewer only if no more are there.
    pub(super) fn take_up_to(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(len.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    /// One to eight bytes as a little-endian word.
    #[inline]
    pub(super) fn word_of(&mut self, num_bytes: usize) -> Result<u64, ReadError> {
        // Mostly more than the wanted bytes are there, and a load of fixed length is several times faster than a copy.
        if let Some(word) = self.rest.first_chunk::<8>() {
            self.rest = &self.rest[num_bytes..];
            return Ok(u64::from_le_bytes(*word) & (u64::MAX >> (64 - 8 * num_bytes)));
        }
        let mut word = [0; 8];
        word[..num_bytes].copy_from_slice(self.take(num_bytes)?);
        Ok(u64::from_le_bytes(word))
    }

    /// Base 128, least significant group first.
    #[inline]
    pub(super) fn varint(&mut self) -> Result<u64, ReadError> {
        if let Some((&byte, rest)) = self.rest.split_first()
            && byte < 0x80
        {
            self.rest = rest;
            return Ok(u64::from(byte));
        }
        self.long_varint()
    }

    fn long_varint(&mut self) -> Result<u64, ReadError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(ReadError::corrupt("variable-length integer of more than ten bytes"))
    }

    /// Signed: the sign is the lowest bit.
    pub(super) fn zigzag(&mut self) -> Result<i64, ReadError> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// A varint that is a length or count.
    #[inline]
    pub(super) fn size(&mut self) -> Result<usize, ReadError> {
        usize::try_from(self.varint()?).map_err(|_| ReadError::corrupt("length does not fit the address space"))
    }
}

#[cold]
fn ends_early() -> ReadError {
    ReadError::corrupt("bytes end early")
}
