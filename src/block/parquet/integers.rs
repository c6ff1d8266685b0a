//! The integers of columns without nulls, a page at a time: nothing is kept of a page when the next one comes.

use super::chunk_bytes::FetchedRanges;
use super::column::ColumnReader;
use super::error::ReadError;
use super::header::Encoding;
use super::page::{DataPage, Physical, no_dictionary, other_encoding};
use super::values::Dictionary;
use super::{delta, plain, rle};
use std::ops::Range;

impl ColumnReader {
    /// Calls with the integers of every row, a page at a time, and the row of the first of them.
    ///
    /// Pages that `keep` leaves out are not even decompressed; it is told the rows of each page and the bounds of its integers, where
    /// the file tells them. Needs [`Self::bytes_of_all`]. Error: `Misuse` for a column with nulls or of another type.
    pub fn visit_integers<T: Copy>(
        &self,
        fetched: &FetchedRanges,
        from: impl Fn(i64) -> T,
        keep: impl FnMut(Range<usize>, Option<(i64, i64)>) -> bool,
        mut visit: impl FnMut(usize, &[T]),
    ) -> Result<(), ReadError> {
        if self.is_optional || !matches!(self.physical, Physical::Int32 | Physical::Int64) {
            return Err(ReadError::misuse("integers of a column of another shape"));
        }
        let entries: Vec<T> = match self.dictionary(fetched)? {
            Some(Dictionary::Int32(entries)) => entries.iter().map(|&entry| from(i64::from(entry))).collect(),
            Some(Dictionary::Int64(entries)) => entries.iter().map(|&entry| from(entry)).collect(),
            _ => Vec::new(),
        };
        let mut buffer = Buffer { physical: self.physical, entries, codes: Vec::new(), values: Vec::new() };
        let is_kept = self.kept_pages(keep);
        self.visit_pages(
            fetched,
            0..self.num_rows(),
            |page| is_kept.get(page).copied().unwrap_or(true),
            |page, rows| {
                visit(rows.base as usize, buffer.decode(page, rows.skip, rows.take, &from)?);
                Ok(())
            },
        )
    }

    /// Which pages are kept; nothing if the file does not tell where they are.
    fn kept_pages(&self, mut keep: impl FnMut(Range<usize>, Option<(i64, i64)>) -> bool) -> Vec<bool> {
        let pages = self.layout.pages.as_deref().unwrap_or_default();
        pages.iter().enumerate().map(|(page, span)| keep(span.rows.clone(), self.page_bounds(page))).collect()
    }
}

/// What the pages of a chunk are decoded into, one after another.
struct Buffer<T> {
    physical: Physical,
    /// The dictionary; empty if there is none.
    entries: Vec<T>,
    codes: Vec<u32>,
    values: Vec<T>,
}

impl<T: Copy> Buffer<T> {
    fn decode(&mut self, page: &DataPage<'_>, skip: usize, take: usize, from: &impl Fn(i64) -> T) -> Result<&[T], ReadError> {
        self.values.clear();
        match (page.encoding, self.physical) {
            (Encoding::DeltaBinaryPacked, Physical::Int32) => {
                delta::decode(page.values, skip, take, |bits| from(i64::from(bits as i32)), &mut self.values)?;
            }
            (Encoding::DeltaBinaryPacked, _) => delta::decode(page.values, skip, take, from, &mut self.values)?,
            (Encoding::Plain, Physical::Int32) => {
                plain::decode_numbers(page.values, skip, take, |bytes| from(i64::from(i32::from_le_bytes(bytes))), &mut self.values)?;
            }
            (Encoding::Plain, _) => {
                plain::decode_numbers(page.values, skip, take, |bytes| from(i64::from_le_bytes(bytes)), &mut self.values)?
            }
            (Encoding::Dictionary, _) if self.entries.is_empty() => return Err(no_dictionary()),
            (Encoding::Dictionary, _) => {
                self.codes.clear();
                rle::decode_codes(page.values, skip, take, self.entries.len(), &mut self.codes)?;
                self.values.extend(self.codes.iter().map(|&code| self.entries[code as usize]));
            }
            (other, _) => return Err(other_encoding(other)),
        }
        Ok(&self.values)
    }
}
