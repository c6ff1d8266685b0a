//! One page, decompressed: its parts, and the decoding of its values.

use super::error::ReadError;
use super::header::{Encoding, PageHeader, PageKind};
use super::plain::{self, StringParts};
use super::rle;
use super::values::{DecodedValues, Dictionary, StringTable};
use super::{delta, rle::Run};
use std::sync::Arc;

/// The physical types that blocks have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Physical {
    Bool,
    Int32,
    Int64,
    Double,
    Bytes,
    /// With the length in bytes of each string, not 0.
    Fixed(usize),
}

/// A data page of version 1.
pub(super) struct DataPage<'a> {
    pub(super) encoding: Encoding,
    /// Definition levels; `None` if the column is required.
    pub(super) levels: Option<&'a [u8]>,
    /// The values of the rows that have one.
    pub(super) values: &'a [u8],
}

impl<'a> DataPage<'a> {
    /// Splits the payload of a page of `num_rows` rows.
    ///
    /// Error: `CorruptPage` if the page is none of data, has another number of rows or bad levels; `Unsupported` for version 2.
    pub(super) fn new(header: &PageHeader, payload: &'a [u8], num_rows: usize, is_optional: bool) -> Result<Self, ReadError> {
        let (num_values, encoding, level_encoding) = match header.kind {
            PageKind::Data { num_values, encoding, level_encoding } => (num_values, encoding, level_encoding),
            PageKind::Dictionary { .. } => return Err(ReadError::corrupt("dictionary page where a data page should be")),
            PageKind::Other(kind) => return Err(ReadError::unsupported(format!("page of type {kind}"))),
        };
        if num_values != num_rows {
            return Err(ReadError::corrupt(format!("page of {num_values} values with {num_rows} rows")));
        }
        if !is_optional {
            return Ok(Self { encoding, levels: None, values: payload });
        }
        if level_encoding != Encoding::Rle {
            return Err(ReadError::unsupported(format!("definition levels in encoding {level_encoding:?}")));
        }
        let (levels, values) = rle::length_prefixed(payload)?;
        Ok(Self { encoding, levels: Some(levels), values })
    }

    /// Calls with the booleans `skip..skip + take`, with their number from 0.
    pub(super) fn visit_booleans(&self, skip: usize, take: usize, mut visit: impl FnMut(usize, bool)) -> Result<(), ReadError> {
        match self.encoding {
            Encoding::Plain => plain::visit_booleans(self.values, skip, take, visit),
            Encoding::Rle => {
                let mut index = 0;
                rle::visit_runs(rle::boolean_runs(self.values, skip + take)?, skip, take, |run, first| {
                    match run {
                        Run::Repeated { value, len } => (index..index + len).for_each(|index| visit(index, value == 1)),
                        Run::Packed { bytes, len } => plain::visit_booleans(bytes, first, len, |at, value| visit(index + at, value))?,
                    }
                    let (Run::Repeated { len, .. } | Run::Packed { len, .. }) = run;
                    index += len;
                    Ok(())
                })
            }
            other => Err(other_encoding(other)),
        }
    }

    fn append_strings(&self, skip: usize, take: usize, codes: &mut Vec<u32>, tables: &mut Tables) -> Result<(), ReadError> {
        match self.encoding {
            Encoding::Dictionary => rle::decode_codes(self.values, skip, take, tables.dictionary.0.len(), codes),
            Encoding::Plain => {
                let parts = tables.extended.get_or_insert_with(|| StringParts::clone(&tables.dictionary));
                let first = parts.0.len();
                plain::decode_strings(self.values, skip, take, parts)?;
                // At most one entry for each four bytes of the table, which has less than 4 GiB.
                codes.extend(first as u32..parts.0.len() as u32);
                Ok(())
            }
            other => Err(other_encoding(other)),
        }
    }

    fn append_some_strings(&self, positions: &[usize], codes: &mut Vec<u32>, tables: &mut Tables) -> Result<(), ReadError> {
        let (Some(&first), Some(&last)) = (positions.first(), positions.last()) else { return Ok(()) };
        let parts = tables.extended.get_or_insert_with(|| StringParts::clone(&tables.dictionary));
        let (mut at, mut wanted) = (first, positions.iter().copied().peekable());
        plain::visit_strings(self.values, first, last + 1 - first, |string| {
            if wanted.next_if_eq(&at).is_some() {
                codes.push(parts.0.len() as u32);
                plain::push_string(string, (&mut parts.0, &mut parts.1))?;
            }
            at += 1;
            Ok(())
        })
    }

    fn append_fixed(
        &self,
        range: (usize, usize),
        width: usize,
        dictionary: &Option<&Dictionary>,
        out: &mut Vec<u8>,
    ) -> Result<(), ReadError> {
        let (skip, take) = range;
        match (self.encoding, dictionary) {
            (Encoding::Plain, _) => out.extend_from_slice(plain::fixed(self.values, width, skip, take)?),
            (Encoding::Dictionary, Some(Dictionary::Fixed(entries, _))) => {
                let mut codes = Vec::new();
                rle::decode_codes(self.values, skip, take, entries.len() / width, &mut codes)?;
                let len = take.saturating_mul(width);
                out.try_reserve(len).map_err(|_| ReadError::corrupt(format!("{take} strings of {width} bytes")))?;
                codes.iter().for_each(|&code| out.extend_from_slice(&entries[code as usize * width..][..width]));
            }
            (Encoding::Dictionary, _) => return Err(no_dictionary()),
            (other, _) => return Err(other_encoding(other)),
        }
        Ok(())
    }
}

/// A number that columns have.
pub(super) trait Number: Copy {
    /// Appends the values `skip..skip + take` of a page that is not dictionary-coded.
    fn append(page: &DataPage<'_>, skip: usize, take: usize, out: &mut Vec<Self>) -> Result<(), ReadError>;
    /// The entries of a dictionary of this type.
    fn entries(dictionary: &Dictionary) -> Option<&[Self]>;
}

impl Number for i32 {
    fn append(page: &DataPage<'_>, skip: usize, take: usize, out: &mut Vec<Self>) -> Result<(), ReadError> {
        match page.encoding {
            Encoding::Plain => plain::decode_numbers(page.values, skip, take, i32::from_le_bytes, out),
            Encoding::DeltaBinaryPacked => delta::decode(page.values, skip, take, |bits| bits as i32, out),
            other => Err(other_encoding(other)),
        }
    }

    fn entries(dictionary: &Dictionary) -> Option<&[Self]> {
        if let Dictionary::Int32(entries) = dictionary { Some(entries) } else { None }
    }
}

impl Number for i64 {
    fn append(page: &DataPage<'_>, skip: usize, take: usize, out: &mut Vec<Self>) -> Result<(), ReadError> {
        match page.encoding {
            Encoding::Plain => plain::decode_numbers(page.values, skip, take, i64::from_le_bytes, out),
            Encoding::DeltaBinaryPacked => delta::decode(page.values, skip, take, |bits| bits, out),
            other => Err(other_encoding(other)),
        }
    }

    fn entries(dictionary: &Dictionary) -> Option<&[Self]> {
        if let Dictionary::Int64(entries) = dictionary { Some(entries) } else { None }
    }
}

impl Number for f64 {
    fn append(page: &DataPage<'_>, skip: usize, take: usize, out: &mut Vec<Self>) -> Result<(), ReadError> {
        match page.encoding {
            Encoding::Plain => plain::decode_numbers(page.values, skip, take, f64::from_le_bytes, out),
            other => Err(other_encoding(other)),
        }
    }

    fn entries(dictionary: &Dictionary) -> Option<&[Self]> {
        if let Dictionary::Double(entries) = dictionary { Some(entries) } else { None }
    }
}

/// Appends the values `skip..skip + take` of a page of numbers.
fn append_numbers<T: Number>(
    page: &DataPage<'_>,
    (skip, take): (usize, usize),
    dictionary: &Option<&Dictionary>,
    out: &mut Vec<T>,
) -> Result<(), ReadError> {
    if page.encoding != Encoding::Dictionary {
        return T::append(page, skip, take, out);
    }
    let entries = dictionary.and_then(T::entries).ok_or_else(no_dictionary)?;
    let mut codes = Vec::new();
    rle::decode_codes(page.values, skip, take, entries.len(), &mut codes)?;
    out.extend(codes.iter().map(|&code| entries[code as usize]));
    Ok(())
}

/// If less than one value of so many is wanted, codes are taken out one by one: that takes as long as unpacking so many.
const VALUES_OF_ONE_WANTED: usize = 16;

/// Appends the numbers at some ascending positions of a dictionary-coded page.
fn append_some_numbers<T: Number>(
    page: &DataPage<'_>,
    positions: &[usize],
    dictionary: Option<&Dictionary>,
    out: &mut Vec<T>,
) -> Result<(), ReadError> {
    let entries = dictionary.and_then(T::entries).ok_or_else(no_dictionary)?;
    let mut codes = Vec::with_capacity(positions.len());
    rle::decode_some_codes(page.values, positions, entries.len(), &mut codes)?;
    out.extend(codes.iter().map(|&code| entries[code as usize]));
    Ok(())
}

#[cold]
pub(super) fn other_encoding(encoding: Encoding) -> ReadError {
    ReadError::unsupported(format!("values in encoding {encoding:?}"))
}

#[cold]
pub(super) fn no_dictionary() -> ReadError {
    ReadError::corrupt("dictionary codes in a chunk without dictionary")
}

/// The table that codes of byte strings point into.
pub(super) struct Tables {
    dictionary: StringTable,
    /// The dictionary and the plain strings after it; only made when there are any.
    extended: Option<StringParts>,
}

/// Collects the values of page after page.
pub(super) struct ValuesBuilder<'a> {
    values: DecodedValues,
    tables: Tables,
    dictionary: Option<&'a Dictionary>,
}

impl<'a> ValuesBuilder<'a> {
    /// With room for `capacity` values.
    pub(super) fn new(physical: Physical, dictionary: Option<&'a Dictionary>, capacity: usize) -> Self {
        let table = match dictionary {
            Some(Dictionary::Strings(table)) => Arc::clone(table),
            _ => StringTable::default(),
        };
        let values = match physical {
            Physical::Bool => DecodedValues::Bool(Vec::with_capacity(capacity)),
            Physical::Int32 => DecodedValues::Int32(Vec::with_capacity(capacity)),
            Physical::Int64 => DecodedValues::Int64(Vec::with_capacity(capacity)),
            Physical::Double => DecodedValues::Double(Vec::with_capacity(capacity)),
            Physical::Bytes => DecodedValues::Codes(Vec::with_capacity(capacity), StringTable::default()),
            Physical::Fixed(width) => DecodedValues::Fixed(Vec::new(), width),
        };
        Self { values, tables: Tables { dictionary: table, extended: None }, dictionary }
    }

    /// Appends the values `skip..skip + take` of a page.
    pub(super) fn append(&mut self, page: &DataPage<'_>, skip: usize, take: usize) -> Result<(), ReadError> {
        // Pages without any value may have no bytes at all.
        if take == 0 {
            return Ok(());
        }
        let (range, dictionary) = ((skip, take), &self.dictionary);
        match &mut self.values {
            DecodedValues::Codes(codes, _) => page.append_strings(skip, take, codes, &mut self.tables),
            DecodedValues::Int32(out) => append_numbers(page, range, dictionary, out),
            DecodedValues::Int64(out) => append_numbers(page, range, dictionary, out),
            DecodedValues::Double(out) => append_numbers(page, range, dictionary, out),
            DecodedValues::Bool(out) => page.visit_booleans(skip, take, |_, value| out.push(value)),
            DecodedValues::Fixed(out, width) => page.append_fixed(range, *width, dictionary, out),
        }
    }

    /// Appends the values of a page at some ascending positions.
    pub(super) fn append_some(&mut self, page: &DataPage<'_>, positions: &[usize]) -> Result<(), ReadError> {
        let (Some(&first), Some(&last)) = (positions.first(), positions.last()) else { return Ok(()) };
        let take = last + 1 - first;
        if let (DecodedValues::Codes(codes, _), Encoding::Plain) = (&mut self.values, page.encoding) {
            return page.append_some_strings(positions, codes, &mut self.tables);
        }
        if page.encoding == Encoding::Dictionary && positions.len() < take / VALUES_OF_ONE_WANTED && self.append_entries(page, positions)? {
            return Ok(());
        }
        let start = self.values.len();
        self.append(page, first, take)?;
        if take > positions.len() {
            self.values.keep(start, positions.iter().map(|position| position - first));
        }
        Ok(())
    }

    /// Appends the values of a dictionary-coded page at some ascending positions, one by one; false for a type that has no such way.
    fn append_entries(&mut self, page: &DataPage<'_>, positions: &[usize]) -> Result<bool, ReadError> {
        match &mut self.values {
            DecodedValues::Codes(codes, _) => rle::decode_some_codes(page.values, positions, self.tables.dictionary.0.len(), codes)?,
            DecodedValues::Int32(out) => append_some_numbers(page, positions, self.dictionary, out)?,
            DecodedValues::Int64(out) => append_some_numbers(page, positions, self.dictionary, out)?,
            DecodedValues::Double(out) => append_some_numbers(page, positions, self.dictionary, out)?,
            DecodedValues::Bool(_) | DecodedValues::Fixed(..) => return Ok(false),
        }
        Ok(true)
    }

    pub(super) fn finish(self) -> DecodedValues {
        match self.values {
            DecodedValues::Codes(codes, _) => DecodedValues::Codes(codes, self.tables.extended.map_or(self.tables.dictionary, Arc::new)),
            values => values,
        }
    }
}

/// Decodes the payload of a dictionary page.
pub(super) fn decode_dictionary(header: &PageHeader, payload: &[u8], physical: Physical) -> Result<Dictionary, ReadError> {
    let num_values = match header.kind {
        PageKind::Dictionary { num_values, encoding: Encoding::Plain | Encoding::Dictionary } => num_values,
        PageKind::Dictionary { encoding, .. } => return Err(other_encoding(encoding)),
        _ => return Err(ReadError::corrupt("no dictionary page where one should be")),
    };
    let page = DataPage { encoding: Encoding::Plain, levels: None, values: payload };
    let (range, none) = ((0, num_values), &None);
    match physical {
        Physical::Bytes => {
            let mut parts = StringParts::default();
            plain::decode_strings(payload, 0, num_values, &mut parts)?;
            Ok(Dictionary::Strings(Arc::new(parts)))
        }
        Physical::Int32 => collect(|out| append_numbers(&page, range, none, out)).map(Dictionary::Int32),
        Physical::Int64 => collect(|out| append_numbers(&page, range, none, out)).map(Dictionary::Int64),
        Physical::Double => collect(|out| append_numbers(&page, range, none, out)).map(Dictionary::Double),
        Physical::Fixed(width) => collect(|out| page.append_fixed(range, width, none, out)).map(|bytes| Dictionary::Fixed(bytes, width)),
        Physical::Bool => Err(ReadError::unsupported("dictionary of booleans")),
    }
}

fn collect<T>(fill: impl FnOnce(&mut Vec<T>) -> Result<(), ReadError>) -> Result<Vec<T>, ReadError> {
    let mut out = Vec::new();
    fill(&mut out)?;
    Ok(out)
}
