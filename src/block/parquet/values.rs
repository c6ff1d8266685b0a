//! What decoding gives.

use std::sync::Arc;

/// Byte strings, one after another: end of each in the bytes, and the bytes. The form that `columns::view::Strings::Shared` takes.
pub type StringTable = Arc<(Vec<u32>, Vec<u8>)>;

/// A range of rows of a column, decoded.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// Rows that have a value, ascending, counted from the start of the range; `None` if every row of it has one.
    pub rows: Option<Vec<u32>>,
    /// One value for each of these rows.
    pub values: DecodedValues,
}

/// Values by physical type.
#[derive(Debug, Clone, PartialEq)]
pub enum DecodedValues {
    /// Byte strings as positions in a table: first the entries of the chunk's dictionary, then one for each string that is not
    /// dictionary-coded, in row order. Every code is below the number of entries; the bytes are not checked to be UTF-8.
    Codes(Vec<u32>, StringTable),
    /// `INT32`; unsigned numbers as their bit pattern.
    Int32(Vec<i32>),
    /// `INT64`; unsigned numbers as their bit pattern.
    Int64(Vec<i64>),
    /// `DOUBLE`.
    Double(Vec<f64>),
    /// `BOOLEAN`.
    Bool(Vec<bool>),
    /// `FIXED_LEN_BYTE_ARRAY`: the strings one after another, and the length of each in bytes.
    Fixed(Vec<u8>, usize),
}

impl DecodedValues {
    /// The entries of a dictionary, as if they were a column; `None` for byte strings of one length.
    pub fn of_entries(dictionary: &Dictionary) -> Option<Self> {
        match dictionary {
            Dictionary::Strings(table) => Some(Self::Codes((0..table.0.len() as u32).collect(), StringTable::clone(table))),
            numbers => Self::of_dictionary(numbers),
        }
    }

    /// The entries of a dictionary of numbers, as if they were a column; `None` for one of byte strings.
    pub fn of_dictionary(dictionary: &Dictionary) -> Option<Self> {
        match dictionary {
            Dictionary::Int32(entries) => Some(Self::Int32(entries.clone())),
            Dictionary::Int64(entries) => Some(Self::Int64(entries.clone())),
            Dictionary::Double(entries) => Some(Self::Double(entries.clone())),
            Dictionary::Strings(_) | Dictionary::Fixed(..) => None,
        }
    }

    /// Number of values; that of strings of no bytes is not known here and given as 0.
    pub fn len(&self) -> usize {
        match self {
            Self::Codes(codes, _) => codes.len(),
            Self::Int32(values) => values.len(),
            Self::Int64(values) => values.len(),
            Self::Double(values) => values.len(),
            Self::Bool(values) => values.len(),
            Self::Fixed(bytes, width) => bytes.len().checked_div(*width).unwrap_or(0),
        }
    }

    /// True if there is no value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Of the values from a number on, keeps those at some ascending positions, counted from that number.
    pub(super) fn keep(&mut self, start: usize, positions: impl Iterator<Item = usize>) {
        match self {
            Self::Codes(codes, _) => keep(codes, start, positions),
            Self::Int32(values) => keep(values, start, positions),
            Self::Int64(values) => keep(values, start, positions),
            Self::Double(values) => keep(values, start, positions),
            Self::Bool(values) => keep(values, start, positions),
            Self::Fixed(bytes, width) => {
                let width = *width;
                keep(bytes, start * width, positions.flat_map(|position| position * width..(position + 1) * width));
            }
        }
    }

    /// `INT64` values as the unsigned numbers whose bit patterns they are, in the same memory; `None` for another type.
    pub fn into_u64(self) -> Option<Vec<u64>> {
        match self {
            Self::Int64(values) => Some(values.into_iter().map(|value| value as u64).collect()),
            _ => None,
        }
    }

    /// `INT32` values as the unsigned numbers whose bit patterns they are, in the same memory; `None` for another type.
    pub fn into_u32(self) -> Option<Vec<u32>> {
        match self {
            Self::Int32(values) => Some(values.into_iter().map(|value| value as u32).collect()),
            _ => None,
        }
    }
}

fn keep<T: Copy>(values: &mut Vec<T>, start: usize, positions: impl Iterator<Item = usize>) {
    let mut end = start;
    for position in positions {
        values[end] = values[start + position];
        end += 1;
    }
    values.truncate(end);
}

/// The distinct values of a dictionary page, by code.
#[derive(Debug, Clone, PartialEq)]
pub enum Dictionary {
    /// Of a column of byte strings.
    Strings(StringTable),
    /// Of an `INT32` column.
    Int32(Vec<i32>),
    /// Of an `INT64` column.
    Int64(Vec<i64>),
    /// Of a `DOUBLE` column.
    Double(Vec<f64>),
    /// Of a column of byte strings of one length: these, and the length in bytes (not 0).
    Fixed(Vec<u8>, usize),
}

impl Dictionary {
    /// Number of entries.
    pub fn len(&self) -> usize {
        match self {
            Self::Strings(table) => table.0.len(),
            Self::Int32(values) => values.len(),
            Self::Int64(values) => values.len(),
            Self::Double(values) => values.len(),
            Self::Fixed(bytes, width) => bytes.len() / width,
        }
    }

    /// True if there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        match self {
            Self::Strings(table) => 4 * table.0.capacity() + table.1.capacity(),
            Self::Int32(values) => 4 * values.capacity(),
            Self::Int64(values) => 8 * values.capacity(),
            Self::Double(values) => 8 * values.capacity(),
            Self::Fixed(bytes, _) => bytes.capacity(),
        }
    }

    /// False if no byte string has these bytes in it.
    pub fn may_hold(&self, bytes: &[u8]) -> bool {
        match self {
            Self::Strings(table) => bytes.is_empty() || memchr::memmem::find(&table.1, bytes).is_some(),
            _ => true,
        }
    }

    /// The byte strings by code; none for a column of numbers.
    pub fn strings(&self) -> Box<dyn Iterator<Item = &[u8]> + '_> {
        match self {
            Self::Strings(table) => {
                let (ends, bytes) = (&table.0, &table.1);
                let starts = std::iter::once(0).chain(ends.iter().copied());
                Box::new(starts.zip(ends).map(|(start, &end)| &bytes[start as usize..end as usize]))
            }
            Self::Fixed(bytes, width) => Box::new(bytes.chunks_exact(*width)),
            _ => Box::new(std::iter::empty()),
        }
    }
}
