//! The compact format: numbers as varints, field ids as differences.

use super::{Fields, Kind, MessageType, Reader, Rest, ThriftError};

/// The first byte of a message.
const PROTOCOL: u8 = 0x82;
/// The low five bits of its second byte.
const VERSION: u8 = 1;

/// Reads the compact format.
#[derive(Debug)]
pub(in crate::receiver) struct Compact<'a>(Rest<'a>);

impl<'a> Compact<'a> {
    /// Starts at the first byte.
    pub(in crate::receiver) fn new(bytes: &'a [u8]) -> Self {
        Compact(Rest(bytes))
    }

    fn varint(&mut self) -> Result<u64, ThriftError> {
        let mut value = 0;
        for at in 0..10 {
            let byte = self.0.byte()?;
            value |= u64::from(byte & 0x7f) << (7 * at);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(ThriftError::Varint)
    }

    fn zigzag(&mut self) -> Result<i64, ThriftError> {
        let value = self.varint()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    fn narrow<T: TryFrom<i64>>(&mut self) -> Result<T, ThriftError> {
        T::try_from(self.zigzag()?).map_err(|_| ThriftError::Varint)
    }

    fn length(&mut self) -> Result<usize, ThriftError> {
        usize::try_from(self.varint()?).map_err(|_| ThriftError::Truncated)
    }
}

fn kind(number: u8) -> Result<Kind, ThriftError> {
    Ok(match number {
        1 => Kind::True,
        2 => Kind::False,
        3 => Kind::Byte,
        4 => Kind::I16,
        5 => Kind::I32,
        6 => Kind::I64,
        7 => Kind::Double,
        8 => Kind::Bytes,
        9 => Kind::List,
        10 => Kind::Set,
        11 => Kind::Map,
        12 => Kind::Struct,
        13 => Kind::Uuid,
        _ => return Err(ThriftError::Type(number)),
    })
}

/// The type of an element: truth values take a byte there, under either number.
fn element_kind(number: u8) -> Result<Kind, ThriftError> {
    match kind(number)? {
        Kind::True | Kind::False => Ok(Kind::Bool),
        other => Ok(other),
    }
}

impl<'a> Reader<'a> for Compact<'a> {
    fn message(&mut self) -> Result<(MessageType, &'a [u8]), ThriftError> {
        let (protocol, version) = (self.byte()?, self.byte()?);
        if protocol != PROTOCOL || version & 0x1f != VERSION {
            return Err(ThriftError::Version);
        }
        self.varint()?;
        Ok((version >> 5, self.bytes()?))
    }

    fn field(&mut self, fields: &mut Fields) -> Result<Option<(i16, Kind)>, ThriftError> {
        let header = self.byte()?;
        if header == 0 {
            return Ok(None);
        }
        let kind = kind(header & 0x0f)?;
        // An id out of range is none that anybody knows.
        let id = match header >> 4 {
            0 => self.narrow()?,
            difference => fields.last_id.wrapping_add(difference.into()),
        };
        fields.last_id = id;
        Ok(Some((id, kind)))
    }

    fn list(&mut self) -> Result<(Kind, usize), ThriftError> {
        let header = self.byte()?;
        let kind = element_kind(header & 0x0f)?;
        let count = match header >> 4 {
            15 => self.length()?,
            few => few.into(),
        };
        Ok((kind, self.0.count(count)?))
    }

    fn map(&mut self) -> Result<(Kind, Kind, usize), ThriftError> {
        let count = self.length()?;
        if count == 0 {
            return Ok((Kind::Byte, Kind::Byte, 0));
        }
        let kinds = self.byte()?;
        Ok((element_kind(kinds >> 4)?, element_kind(kinds & 0x0f)?, self.0.count(count)?))
    }

    fn bool(&mut self, kind: Kind) -> Result<bool, ThriftError> {
        match kind {
            Kind::True => Ok(true),
            Kind::False => Ok(false),
            _ => Ok(self.byte()? == 1),
        }
    }

    fn byte(&mut self) -> Result<u8, ThriftError> {
        self.0.byte()
    }

    fn i16(&mut self) -> Result<i16, ThriftError> {
        self.narrow()
    }

    fn i32(&mut self) -> Result<i32, ThriftError> {
        self.narrow()
    }

    fn i64(&mut self) -> Result<i64, ThriftError> {
        self.zigzag()
    }

    fn double(&mut self) -> Result<f64, ThriftError> {
        self.0.array().map(f64::from_le_bytes)
    }

    fn bytes(&mut self) -> Result<&'a [u8], ThriftError> {
        let length = self.length()?;
        self.0.take(length)
    }

    fn uuid(&mut self) -> Result<(), ThriftError> {
        self.0.take(16).map(drop)
    }
}
