//! Thrift's two wire formats, read from bytes in memory without copying them (spec/ingest.md §5.5).
//!
//! Apache's crate is not used for reading: it copies every string into a vector that it makes as large as the length on
//! the wire says, cannot bound that by what is left of the message, and refuses whole batches for text that is not UTF-8,
//! which is mended later here. The tests write with it.
//!
//! Bounds: a length or a count never exceeds the bytes that are left, every element takes at least one byte, and what is
//! skipped may be nested [`MAX_DEPTH`] levels deep. So reading takes time linear in the message, and no memory.

mod binary;
mod compact;
#[cfg(test)]
mod tests;

pub(super) use binary::Binary;
pub(super) use compact::Compact;

/// How deep unknown values may be nested; what we know nests three levels.
const MAX_DEPTH: usize = 32;

/// Why bytes are not thrift.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ThriftError {
    /// A value, a length or a count runs over the end.
    #[error("unexpected EOF")]
    Truncated,
    /// A type that the format does not have.
    #[error("unknown data type {0}")]
    Type(u8),
    /// A negative length or count.
    #[error("negative size")]
    Negative,
    /// A number of more bytes than its type can have.
    #[error("variable-length integer is too long")]
    Varint,
    /// Unknown values nested deeper than [`MAX_DEPTH`].
    #[error("values are nested too deeply")]
    Depth,
    /// The start of a message has another protocol or version.
    #[error("not a message of this protocol")]
    Version,
}

/// The type of a value, as its field or container declares it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A field of the compact format that is true: the value takes no bytes of its own.
    True,
    /// A field of the compact format that is false.
    False,
    Bool,
    Byte,
    Double,
    I16,
    I32,
    I64,
    /// Text or bytes: thrift does not tell them apart.
    Bytes,
    Struct,
    Map,
    Set,
    List,
    Uuid,
}

/// How far the fields of one struct are read; each struct has its own, made by `Fields::default()`.
#[derive(Debug, Default)]
pub(super) struct Fields {
    last_id: i16,
}

/// Call, exception and the like: what kind of message it is, by its number.
pub(super) type MessageType = u8;

/// One of the wire formats, in front of the next value.
pub(super) trait Reader<'a> {
    /// The start of a message: its type, and the name of its method.
    fn message(&mut self) -> Result<(MessageType, &'a [u8]), ThriftError>;

    /// The next field of a struct with its id, or `None` at the struct's end.
    fn field(&mut self, fields: &mut Fields) -> Result<Option<(i16, Kind)>, ThriftError>;

    /// The type of a list's or set's elements, and their number.
    fn list(&mut self) -> Result<(Kind, usize), ThriftError>;

    /// The types of a map's keys and values, and the number of its entries.
    fn map(&mut self) -> Result<(Kind, Kind, usize), ThriftError>;

    /// A truth value, of the kind that its field or list said.
    fn bool(&mut self, kind: Kind) -> Result<bool, ThriftError>;

    /// A byte.
    fn byte(&mut self) -> Result<u8, ThriftError>;

    /// A whole number of 16 bits.
    fn i16(&mut self) -> Result<i16, ThriftError>;

    /// A whole number of 32 bits.
    fn i32(&mut self) -> Result<i32, ThriftError>;

    /// A whole number of 64 bits.
    fn i64(&mut self) -> Result<i64, ThriftError>;

    /// A floating-point number.
    fn double(&mut self) -> Result<f64, ThriftError>;

    /// Text or bytes.
    fn bytes(&mut self) -> Result<&'a [u8], ThriftError>;

    /// Passes over 16 bytes.
    fn uuid(&mut self) -> Result<(), ThriftError>;

    /// Passes over a value that nobody wants.
    fn skip(&mut self, kind: Kind) -> Result<(), ThriftError>
    where
        Self: Sized,
    {
        skip(self, kind, MAX_DEPTH)
    }

    /// Reads the elements of a list of structs; a list of anything else is passed over.
    fn structs(&mut self, mut read: impl FnMut(&mut Self) -> Result<(), ThriftError>) -> Result<(), ThriftError>
    where
        Self: Sized,
    {
        let (kind, count) = self.list()?;
        for _ in 0..count {
            match kind {
                Kind::Struct => read(self)?,
                other => self.skip(other)?,
            }
        }
        Ok(())
    }
}

fn skip<'a>(reader: &mut impl Reader<'a>, kind: Kind, depth: usize) -> Result<(), ThriftError> {
    let inner = depth.checked_sub(1).ok_or(ThriftError::Depth)?;
    match kind {
        Kind::True | Kind::False | Kind::Bool => reader.bool(kind).map(drop),
        Kind::Byte => reader.byte().map(drop),
        Kind::Double => reader.double().map(drop),
        Kind::I16 => reader.i16().map(drop),
        Kind::I32 => reader.i32().map(drop),
        Kind::I64 => reader.i64().map(drop),
        Kind::Bytes => reader.bytes().map(drop),
        Kind::Uuid => reader.uuid(),
        Kind::Struct => {
            let mut fields = Fields::default();
            while let Some((_, kind)) = reader.field(&mut fields)? {
                skip(reader, kind, inner)?;
            }
            Ok(())
        }
        Kind::List | Kind::Set => {
            let (kind, count) = reader.list()?;
            (0..count).try_for_each(|_| skip(reader, kind, inner))
        }
        Kind::Map => {
            let (key, value, count) = reader.map()?;
            (0..count).try_for_each(|_| skip(reader, key, inner).and_then(|()| skip(reader, value, inner)))
        }
    }
}

/// What is left to read: the ground that both formats stand on.
#[derive(Debug, Clone, Copy)]
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], ThriftError> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(ThriftError::Truncated)?;
        self.0 = rest;
        Ok(*head)
    }

    fn byte(&mut self) -> Result<u8, ThriftError> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], ThriftError> {
        let (head, rest) = self.0.split_at_checked(length).ok_or(ThriftError::Truncated)?;
        self.0 = rest;
        Ok(head)
    }

    /// A number of elements, each of at least one byte.
    fn count(&self, count: usize) -> Result<usize, ThriftError> {
        if count > self.0.len() { Err(ThriftError::Truncated) } else { Ok(count) }
    }
}
