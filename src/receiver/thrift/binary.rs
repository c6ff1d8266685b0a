//! The binary format: numbers of fixed width, big-endian.

use super::{Fields, Kind, MessageType, Reader, Rest, ThriftError};

/// The upper half of the first number of a message in its strict form.
const STRICT_VERSION: u32 = 0x8001_0000;

/// Reads the binary format; messages in the strict and in the old form.
#[derive(Debug)]
pub(in crate::receiver) struct Binary<'a>(Rest<'a>);

impl<'a> Binary<'a> {
    /// Starts at the first byte.
    pub(in crate::receiver) fn new(bytes: &'a [u8]) -> Self {
        Binary(Rest(bytes))
    }

    fn length(&mut self) -> Result<usize, ThriftError> {
        usize::try_from(self.i32()?).map_err(|_| ThriftError::Negative)
    }

    fn kind(&mut self) -> Result<Kind, ThriftError> {
        let number = self.byte()?;
        kind(number).ok_or(ThriftError::Type(number))
    }
}

fn kind(number: u8) -> Option<Kind> {
    Some(match number {
        2 => Kind::Bool,
        3 => Kind::Byte,
        4 => Kind::Double,
        6 => Kind::I16,
        8 => Kind::I32,
        10 => Kind::I64,
        11 => Kind::Bytes,
        12 => Kind::Struct,
        13 => Kind::Map,
        14 => Kind::Set,
        15 => Kind::List,
        16 => Kind::Uuid,
        _ => return None,
    })
}

impl<'a> Reader<'a> for Binary<'a> {
    fn message(&mut self) -> Result<(MessageType, &'a [u8]), ThriftError> {
        let first = self.i32()?;
        let (kind, name) = match usize::try_from(first) {
            // The old form starts with the length of the name, which is no negative number.
            Ok(length) => {
                let name = self.0.take(length)?;
                (self.byte()?, name)
            }
            Err(_) if first.cast_unsigned() & 0xffff_0000 == STRICT_VERSION => ((first & 0xff) as u8, self.bytes()?),
            Err(_) => return Err(ThriftError::Version),
        };
        self.i32()?;
        Ok((kind, name))
    }

    fn field(&mut self, _: &mut Fields) -> Result<Option<(i16, Kind)>, ThriftError> {
        match self.byte()? {
            0 => Ok(None),
            number => {
                let kind = kind(number).ok_or(ThriftError::Type(number))?;
                Ok(Some((self.i16()?, kind)))
            }
        }
    }

    fn list(&mut self) -> Result<(Kind, usize), ThriftError> {
        let kind = self.kind()?;
        let count = self.length()?;
        Ok((kind, self.0.count(count)?))
    }

    fn map(&mut self) -> Result<(Kind, Kind, usize), ThriftError> {
        let (key, value) = (self.byte()?, self.byte()?);
        let count = self.length()?;
        // The types of an empty map may be anything.
        if count == 0 {
            return Ok((Kind::Byte, Kind::Byte, 0));
        }
        let known = |number: u8| kind(number).ok_or(ThriftError::Type(number));
        Ok((known(key)?, known(value)?, self.0.count(count)?))
    }

    fn bool(&mut self, _: Kind) -> Result<bool, ThriftError> {
        Ok(self.byte()? != 0)
    }

    fn byte(&mut self) -> Result<u8, ThriftError> {
        self.0.byte()
    }

    fn i16(&mut self) -> Result<i16, ThriftError> {
        self.0.array().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> Result<i32, ThriftError> {
        self.0.array().map(i32::from_be_bytes)
    }

    fn i64(&mut self) -> Result<i64, ThriftError> {
        self.0.array().map(i64::from_be_bytes)
    }

    fn double(&mut self) -> Result<f64, ThriftError> {
        self.0.array().map(f64::from_be_bytes)
    }

    fn bytes(&mut self) -> Result<&'a [u8], ThriftError> {
        let length = self.length()?;
        self.0.take(length)
    }

    fn uuid(&mut self) -> Result<(), ThriftError> {
        self.0.take(16).map(drop)
    }
}
