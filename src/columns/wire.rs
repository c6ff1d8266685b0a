//! Reading protobuf fields from bytes without copying them.

/// The bytes are not a protobuf message of the expected type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A field or length runs over the end of its message.
    #[error("unexpected EOF")]
    Truncated,
    /// A varint of more than ten bytes.
    #[error("integer overflow")]
    Varint,
    /// A field number of 0 or beyond 2^29 - 1, or a wire type that proto3 does not have.
    #[error("illegal tag or wire type")]
    Tag,
    /// A known field in another wire type than its declaration.
    #[error("wrong wire type for field {0}")]
    WireType(u32),
    /// Attribute values nested deeper than [`super::value::MAX_DEPTH`].
    #[error("attribute values are nested too deeply")]
    Depth,
    /// A trace id that has neither 0 nor 16 bytes.
    #[error("invalid TraceID length")]
    TraceIdLength,
    /// A span id that has neither 0 nor 8 bytes.
    #[error("invalid SpanID length")]
    SpanIdLength,
}

/// One field's value as it lies on the wire.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Field<'a> {
    /// int32, int64, uint32, uint64, bool, enum.
    Varint(u64),
    /// fixed64, sfixed64, double.
    Fixed64(u64),
    /// string, bytes, message.
    Bytes(&'a [u8]),
    /// fixed32, sfixed32, float.
    Fixed32(u32),
}

impl<'a> Field<'a> {
    /// The payload of a length-delimited field.
    #[inline]
    pub fn bytes(self, number: u32) -> Result<&'a [u8], Malformed> {
        match self {
            Field::Bytes(bytes) => Ok(bytes),
            _ => Err(Malformed::WireType(number)),
        }
    }

    /// The value of a varint field.
    #[inline]
    pub fn varint(self, number: u32) -> Result<u64, Malformed> {
        match self {
            Field::Varint(value) => Ok(value),
            _ => Err(Malformed::WireType(number)),
        }
    }

    /// The value of a fixed64 field.
    #[inline]
    pub fn fixed64(self, number: u32) -> Result<u64, Malformed> {
        match self {
            Field::Fixed64(value) => Ok(value),
            _ => Err(Malformed::WireType(number)),
        }
    }

    /// The value of a fixed32 field.
    #[inline]
    pub fn fixed32(self, number: u32) -> Result<u32, Malformed> {
        match self {
            Field::Fixed32(value) => Ok(value),
            _ => Err(Malformed::WireType(number)),
        }
    }
}

/// Walks the fields of one message.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the first field of `message`.
    #[inline]
    pub fn new(message: &'a [u8]) -> Self {
        Reader { rest: message }
    }

    /// Bytes that were not read yet.
    #[inline]
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The next field with its number, or `None` at the end of the message.
    // Always: the compiler leaves it a call, and its answer then goes through memory, a dozen times a span.
    #[inline(always)]
    pub fn next_field(&mut self) -> Result<Option<(u32, Field<'a>)>, Malformed> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = u32::try_from(self.read_varint()?).map_err(|_| Malformed::Tag)?;
        let number = tag >> 3;
        if number == 0 {
            return Err(Malformed::Tag);
        }
        let field = match tag & 7 {
            0 => Field::Varint(self.read_varint()?),
            1 => Field::Fixed64(u64::from_le_bytes(self.take_array()?)),
            2 => {
                let length = usize::try_from(self.read_varint()?).map_err(|_| Malformed::Truncated)?;
                Field::Bytes(self.take(length)?)
            }
            5 => Field::Fixed32(u32::from_le_bytes(self.take_array()?)),
            _ => return Err(Malformed::Tag),
        };
        Ok(Some((number, field)))
    }

    #[inline]
    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (head, rest) = self.rest.split_at_checked(length).ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    #[inline]
    fn take_array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    #[inline]
    fn read_varint(&mut self) -> Result<u64, Malformed> {
        match self.rest {
            [first, rest @ ..] if *first < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*first))
            }
            _ => self.read_long_varint(),
        }
    }

    fn read_long_varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0u64;
        for at in 0..10 {
            let byte = *self.rest.get(at).ok_or(Malformed::Truncated)?;
            value |= u64::from(byte & 0x7f) << (7 * at);
            if byte < 0x80 {
                if at == 9 && byte > 1 {
                    return Err(Malformed::Varint);
                }
                self.rest = &self.rest[at + 1..];
                return Ok(value);
            }
        }
        Err(Malformed::Varint)
    }
}

/// Appends `value` as a varint.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8 & 0x7f) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a length-delimited field.
pub fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_varint(out, u64::from(number) << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a field as it was read.
pub fn put_field(out: &mut Vec<u8>, number: u32, field: Field<'_>) {
    let tag = u64::from(number) << 3;
    match field {
        Field::Varint(value) => {
            put_varint(out, tag);
            put_varint(out, value);
        }
        Field::Fixed64(value) => {
            put_varint(out, tag | 1);
            out.extend_from_slice(&value.to_le_bytes());
        }
        Field::Bytes(bytes) => put_bytes(out, number, bytes),
        Field::Fixed32(value) => {
            put_varint(out, tag | 5);
            out.extend_from_slice(&value.to_le_bytes());
        }
    }
}

/// Reads one varint off the front of `bytes`.
pub fn split_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut reader = Reader { rest: bytes };
    let value = reader.read_varint().ok()?;
    Some((value, reader.rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn varints_round_trip(value: u64, tail: Vec<u8>) {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            out.extend_from_slice(&tail);
            prop_assert_eq!(split_varint(&out), Some((value, &tail[..])));
        }

        #[test]
        fn fields_round_trip(numbers in proptest::collection::vec((1u32..1 << 29, any::<u64>(), 0..4), 0..8)) {
            let text = b"some bytes";
            let fields: Vec<(u32, Field<'_>)> = numbers
                .iter()
                .map(|&(number, value, kind)| match kind {
                    0 => (number, Field::Varint(value)),
                    1 => (number, Field::Fixed64(value)),
                    2 => (number, Field::Bytes(&text[..value as usize % 11])),
                    _ => (number, Field::Fixed32(value as u32)),
                })
                .collect();
            let mut out = Vec::new();
            fields.iter().for_each(|(number, field)| put_field(&mut out, *number, *field));
            let mut reader = Reader::new(&out);
            for field in fields {
                prop_assert_eq!(reader.next_field(), Ok(Some(field)));
            }
            prop_assert_eq!(reader.next_field(), Ok(None));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let mut reader = Reader::new(&bytes);
            while let Ok(Some(_)) = reader.next_field() {}
        }
    }

    #[test]
    fn varints_over_64_bits_are_refused() {
        assert_eq!(split_varint(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]), Some((u64::MAX, &[][..])));
        assert_eq!(split_varint(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02]), None);
        assert_eq!(split_varint(&[0x80; 11]), None);
    }
}
