//! Page headers: the few fields of Thrift's `PageHeader` that decoding needs.
//!
//! ```text
//! PageHeader { 1: type, 2: uncompressed size, 3: compressed size, 4: crc, 5: DataPageHeader, 7: DictionaryPageHeader, 8: DataPageHeaderV2 }
//! DataPageHeader { 1: values, 2: encoding, 3: encoding of definition levels, 4: of repetition levels, 5: statistics }
//! DictionaryPageHeader { 1: values, 2: encoding, 3: sorted }
//! ```
//! Compact protocol: a field starts with a byte `id delta << 4 | type`; a delta of 0 means that the id follows as a zigzag integer.

use super::error::ReadError;
use super::varint::Cursor;

/// Structures nested deeper than any version of the format are refused.
const MAX_DEPTH: u32 = 8;

const STOP: u8 = 0;
const BOOL_TRUE: u8 = 1;
const BOOL_FALSE: u8 = 2;
const BYTE: u8 = 3;
const I16: u8 = 4;
const I32: u8 = 5;
const I64: u8 = 6;
const DOUBLE: u8 = 7;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const SET: u8 = 10;
const MAP: u8 = 11;
const STRUCT: u8 = 12;

/// How the values of a page are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Plain,
    /// Codes of the dictionary page, run-length and bit-packed (`PLAIN_DICTIONARY` or `RLE_DICTIONARY`).
    Dictionary,
    /// Booleans, or levels.
    Rle,
    DeltaBinaryPacked,
    /// One that blocks of this server never use; the number is the format's.
    Other(i64),
}

impl Encoding {
    fn from_number(number: i64) -> Self {
        match number {
            0 => Self::Plain,
            2 | 8 => Self::Dictionary,
            3 => Self::Rle,
            5 => Self::DeltaBinaryPacked,
            other => Self::Other(other),
        }
    }
}

/// What a page holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PageKind {
    /// Data page of version 1; values count nulls too.
    Data {
        num_values: usize,
        encoding: Encoding,
        level_encoding: Encoding,
    },
    Dictionary {
        num_values: usize,
        encoding: Encoding,
    },
    /// The number is the format's page type.
    Other(i64),
}

/// A page header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PageHeader {
    pub(super) kind: PageKind,
    /// Length of the page without its header, once decompressed.
    pub(super) uncompressed_len: usize,
    /// Length of the page without its header as it lies in the file.
    pub(super) compressed_len: usize,
    /// CRC-32 of the page without its header as it lies in the file; absent in files of other writers.
    pub(super) checksum: Option<u32>,
}

impl PageHeader {
    /// Number of values (nulls too) of a data page of version 1; `None` for another kind of page.
    pub(super) fn num_data_values(&self) -> Option<usize> {
        match self.kind {
            PageKind::Data { num_values, .. } => Some(num_values),
            _ => None,
        }
    }
}

/// Reads the header at the start of the bytes; also gives its own length in bytes.
pub(super) fn parse(bytes: &[u8]) -> Result<(PageHeader, usize), ReadError> {
    let mut cursor = Cursor::new(bytes);
    let (mut page_type, mut uncompressed, mut compressed, mut checksum) = (None, None, None, None);
    let (mut data, mut dictionary) = (None, None);
    let mut id = 0;
    while let Some(kind) = next_field(&mut cursor, &mut id)? {
        match (id, kind) {
            (1, I32) => page_type = Some(cursor.zigzag()?),
            (2, I32) => uncompressed = Some(length(&mut cursor)?),
            (3, I32) => compressed = Some(length(&mut cursor)?),
            (4, I32) => checksum = Some(cursor.zigzag()? as u32),
            (5, STRUCT) => data = Some(inner_fields(&mut cursor)?),
            (7, STRUCT) => dictionary = Some(inner_fields(&mut cursor)?),
            _ => skip(&mut cursor, kind, 0)?,
        }
    }
    let (Some(page_type), Some(uncompressed_len), Some(compressed_len)) = (page_type, uncompressed, compressed) else {
        return Err(ReadError::corrupt("page header without type or sizes"));
    };
    let kind = match (page_type, data, dictionary) {
        (0, Some([num_values, encoding, level_encoding]), _) => PageKind::Data {
            num_values: count(num_values)?,
            encoding: encoding.map_or(Encoding::Other(-1), Encoding::from_number),
            level_encoding: level_encoding.map_or(Encoding::Other(-1), Encoding::from_number),
        },
        (2, _, Some([num_values, encoding, _])) => {
            PageKind::Dictionary { num_values: count(num_values)?, encoding: encoding.map_or(Encoding::Other(-1), Encoding::from_number) }
        }
        (0 | 2, _, _) => return Err(ReadError::corrupt("page header without the header of its type")),
        (other, _, _) => PageKind::Other(other),
    };
    Ok((PageHeader { kind, uncompressed_len, compressed_len, checksum }, bytes.len() - cursor.len()))
}

/// The integers in fields 1 to 3 of a structure.
fn inner_fields(cursor: &mut Cursor<'_>) -> Result<[Option<i64>; 3], ReadError> {
    let mut fields = [None; 3];
    let mut id = 0;
    while let Some(kind) = next_field(cursor, &mut id)? {
        match (id, kind) {
            (1..=3, I32) => fields[id as usize - 1] = Some(cursor.zigzag()?),
            _ => skip(cursor, kind, 0)?,
        }
    }
    Ok(fields)
}

/// Type of the next field, whose id replaces `id`; `None` at the end of the structure.
fn next_field(cursor: &mut Cursor<'_>, id: &mut i64) -> Result<Option<u8>, ReadError> {
    let byte = cursor.byte()?;
    if byte == STOP {
        return Ok(None);
    }
    *id = match byte >> 4 {
        0 => cursor.zigzag()?,
        delta => id.wrapping_add(i64::from(delta)),
    };
    Ok(Some(byte & 0x0f))
}

fn skip(cursor: &mut Cursor<'_>, kind: u8, depth: u32) -> Result<(), ReadError> {
    if depth > MAX_DEPTH {
        return Err(ReadError::corrupt("page header is nested too deeply"));
    }
    match kind {
        BOOL_TRUE | BOOL_FALSE => {}
        BYTE => drop(cursor.byte()?),
        I16 | I32 | I64 => drop(cursor.varint()?),
        DOUBLE => drop(cursor.take(8)?),
        BINARY => {
            let len = cursor.size()?;
            cursor.take(len)?;
        }
        STRUCT => {
            let mut id = 0;
            while let Some(kind) = next_field(cursor, &mut id)? {
                skip(cursor, kind, depth + 1)?;
            }
        }
        LIST | SET => skip_list(cursor, depth)?,
        MAP => return Err(ReadError::corrupt("page header with a map")),
        other => return Err(ReadError::corrupt(format!("page header with a field of type {other}"))),
    }
    Ok(())
}

fn skip_list(cursor: &mut Cursor<'_>, depth: u32) -> Result<(), ReadError> {
    let byte = cursor.byte()?;
    let len = match byte >> 4 {
        15 => cursor.size()?,
        short => usize::from(short),
    };
    // Every element, also a boolean, takes at least a byte: longer lists are lies and would cost time.
    if len > cursor.len() {
        return Err(ReadError::corrupt("page header with a list past its end"));
    }
    for _ in 0..len {
        match byte & 0x0f {
            BOOL_TRUE | BOOL_FALSE => drop(cursor.byte()?),
            kind => skip(cursor, kind, depth + 1)?,
        }
    }
    Ok(())
}

fn length(cursor: &mut Cursor<'_>) -> Result<usize, ReadError> {
    let value = cursor.zigzag()?;
    i32::try_from(value).ok().and_then(|value| usize::try_from(value).ok()).ok_or_else(|| ReadError::corrupt(format!("page size {value}")))
}

fn count(value: Option<i64>) -> Result<usize, ReadError> {
    let value = value.ok_or_else(|| ReadError::corrupt("page header without number of values"))?;
    i32::try_from(value)
        .ok()
        .and_then(|value| usize::try_from(value).ok())
        .ok_or_else(|| ReadError::corrupt(format!("page with {value} values")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A data page header with statistics (field 5 of field 5) and a checksum, as the compact protocol writes them.
    const DATA: &[u8] = &[
        0x15, 0x00, 0x15, 0xc8, 0x01, 0x15, 0x80, 0x01, 0x15, 0x07, 0x1c, 0x15, 0x0a, 0x15, 0x10, 0x15, 0x06, 0x15, 0x06, 0x1c, 0x36, 0x00,
        0x28, 0x02, b'h', b'i', 0x18, 0x01, b'a', 0x11, 0x00, 0x00, 0x00,
    ];

    #[test]
    fn reads_a_data_page_header() {
        let (header, len) = parse(DATA).expect("well-formed");
        let kind = PageKind::Data { num_values: 5, encoding: Encoding::Dictionary, level_encoding: Encoding::Rle };
        assert_eq!(header, PageHeader { kind, uncompressed_len: 100, compressed_len: 64, checksum: Some(-4_i32 as u32) });
        assert_eq!(len, DATA.len());
    }

    #[test]
    fn every_prefix_is_an_error() {
        for len in 0..DATA.len() {
            assert!(parse(&DATA[..len]).is_err(), "{len}");
        }
    }

    #[test]
    fn deep_nesting_and_negative_sizes_are_errors() {
        assert!(parse(&[0x1c; 10_000]).is_err());
        assert!(parse(&[0x19; 10_000]).is_err());
        assert!(parse(&[0x15, 0x00, 0x15, 0x01, 0x15, 0x02, 0x00]).is_err());
    }

    proptest! {
        #[test]
        fn mutated_bytes_never_panic(at in 0..DATA.len(), byte: u8, noise in prop::collection::vec(any::<u8>(), 0..60)) {
            let mut bytes = DATA.to_vec();
            bytes[at] = byte;
            let _ = parse(&bytes);
            let _ = parse(&noise);
        }
    }
}
