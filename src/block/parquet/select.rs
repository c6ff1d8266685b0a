//! Rows whose value passes a condition, without decoding the column into memory.
//!
//! Page by page: the values are scanned first, a run of equal codes at once; only if one passes are the definition levels turned into
//! row numbers. Chunks without any value are answered from the footer, and pages of integers are left out by their bounds.

use super::bits::push_passing;
use super::chunk_bytes::FetchedRanges;
use super::column::ColumnReader;
use super::error::ReadError;
use super::header::Encoding;
use super::page::{DataPage, Number, Physical, no_dictionary, other_encoding};
use super::plain;
use super::rle::{Run, Runs, check_codes, visit_runs};
use super::unpack::unpack;
use super::values::Dictionary;
use memchr::memmem::Finder;
use std::ops::Range;

/// Codes are unpacked so many at a time: a packed run of the crate's writer (504 values), which stays in the first-level cache.
const CHUNK: usize = 512;

impl ColumnReader {
    /// Rows whose byte string passes: dictionary-coded ones by `passes[code]`, plain ones by the closure. Ascending, counted from the start
    /// of the range. Needs [`Self::bytes_of_rows`].
    ///
    /// Every string that passes contains the `required` bytes, which may be none.
    ///
    /// Errors: `Misuse` unless the column is one of byte strings and the table has an entry for each of [`Self::dictionary`].
    pub fn select_codes(
        &self,
        fetched: &FetchedRanges,
        rows: Range<usize>,
        passes: &[bool],
        required: &[u8],
        mut plain_passes: impl FnMut(&[u8]) -> bool,
    ) -> Result<Vec<u32>, ReadError> {
        let required = Finder::new(required);
        let physical = self.physical;
        if !matches!(physical, Physical::Bytes | Physical::Fixed(_)) {
            return Err(ReadError::misuse("selection of strings in a column of another type"));
        }
        if self.have_no_value(&rows)? {
            return Ok(Vec::new());
        }
        let num_codes = self.dictionary(fetched)?.map_or(0, Dictionary::len);
        if passes.len() != num_codes {
            return Err(ReadError::misuse(format!("table of {} codes for a dictionary of {num_codes}", passes.len())));
        }
        self.select(
            fetched,
            rows,
            |_| true,
            |page, values, base, out| match (page.encoding, physical) {
                (Encoding::Dictionary, _) => scan_codes(page, values, passes, base, out),
                (Encoding::Plain, Physical::Fixed(width)) => scan_fixed(page, values, width, &mut plain_passes, base, out),
                // The strings stand in the page as they are, so one look at the whole page tells that none has these bytes.
                (Encoding::Plain, _) if !required.needle().is_empty() && required.find(page.values).is_none() => Ok(()),
                (Encoding::Plain, _) => scan_strings(page, values, &mut plain_passes, base, out),
                (other, _) => Err(other_encoding(other)),
            },
        )
    }

    /// Rows whose byte string passes; the condition is tried once for each entry of the dictionary and each plain string. If no entry
    /// passes and the chunk is fully dictionary-coded, then the bytes of the dictionary suffice. Otherwise as [`Self::select_codes`].
    pub fn select_strings(
        &self,
        fetched: &FetchedRanges,
        rows: Range<usize>,
        required: &[u8],
        mut passes: impl FnMut(&[u8]) -> bool,
    ) -> Result<Vec<u32>, ReadError> {
        if self.have_no_value(&rows)? {
            return Ok(Vec::new());
        }
        let table: Vec<bool> = match self.dictionary(fetched)? {
            Some(dictionary) => dictionary.strings().map(&mut passes).collect(),
            None => Vec::new(),
        };
        if self.is_fully_dictionary_coded() && !table.contains(&true) {
            return Ok(Vec::new());
        }
        self.select_codes(fetched, rows, &table, required, passes)
    }

    /// Rows whose value passes by the table, which has an entry for each of [`Self::dictionary`]; of a chunk whose values are all in
    /// the dictionary. Ascending. Needs [`Self::bytes_of_all`].
    ///
    /// Errors: `Misuse` for another table, `Unsupported` for a page in another encoding.
    pub fn select_entries(&self, fetched: &FetchedRanges, passes: &[bool]) -> Result<Vec<u32>, ReadError> {
        let num_codes = self.dictionary(fetched)?.map_or(0, Dictionary::len);
        if passes.len() != num_codes {
            return Err(ReadError::misuse(format!("table of {} codes for a dictionary of {num_codes}", passes.len())));
        }
        self.select(
            fetched,
            0..self.num_rows(),
            |_| true,
            |page, values, base, out| match page.encoding {
                Encoding::Dictionary => scan_codes(page, values, passes, base, out),
                other => Err(other_encoding(other)),
            },
        )
    }

    /// Rows whose integer (`INT32` or `INT64`, read as signed) passes. Ascending, counted from the start of the range.
    ///
    /// `may_pass(min, max)` says whether any integer in these bounds (both included) may pass; pages where none may are not read. Needs
    /// [`Self::bytes_of_int_selection`]. Error: `Misuse` for a column of another type.
    pub fn select_ints(
        &self,
        fetched: &FetchedRanges,
        rows: Range<usize>,
        may_pass: &dyn Fn(i64, i64) -> bool,
        passes: impl Fn(i64) -> bool,
    ) -> Result<Vec<u32>, ReadError> {
        let keep = |page| self.page_may_pass(page, may_pass);
        match self.physical {
            Physical::Int32 => self.select_numbers(fetched, rows, keep, |value: i32| passes(i64::from(value))),
            Physical::Int64 => self.select_numbers(fetched, rows, keep, passes),
            _ => Err(ReadError::misuse("selection of integers in a column of another type")),
        }
    }

    /// Bytes of the file that [`Self::select_ints`] needs with the same arguments: as [`Self::bytes_of_rows`] without the pages that are
    /// left out.
    pub fn bytes_of_int_selection(&self, rows: Range<usize>, may_pass: &dyn Fn(i64, i64) -> bool) -> Vec<Range<u64>> {
        self.bytes_of_pages(rows, |page| self.page_may_pass(page, may_pass))
    }

    /// Rows whose double passes. Ascending, counted from the start of the range. Needs [`Self::bytes_of_rows`].
    ///
    /// Error: `Misuse` for a column of another type.
    pub fn select_doubles(&self, fetched: &FetchedRanges, rows: Range<usize>, passes: impl Fn(f64) -> bool) -> Result<Vec<u32>, ReadError> {
        match self.physical {
            Physical::Double => self.select_numbers(fetched, rows, |_| true, passes),
            _ => Err(ReadError::misuse("selection of doubles in a column of another type")),
        }
    }

    /// Rows whose boolean passes. Ascending, counted from the start of the range. Needs [`Self::bytes_of_rows`].
    ///
    /// Error: `Misuse` for a column of another type.
    pub fn select_bools(&self, fetched: &FetchedRanges, rows: Range<usize>, passes: impl Fn(bool) -> bool) -> Result<Vec<u32>, ReadError> {
        if self.physical != Physical::Bool {
            return Err(ReadError::misuse("selection of booleans in a column of another type"));
        }
        self.select(
            fetched,
            rows,
            |_| true,
            |page, (skip, take), base, out| {
                page.visit_booleans(skip, take, |index, value| {
                    if passes(value) {
                        out.push(base + index as u32);
                    }
                })
            },
        )
    }

    fn select_numbers<T: Number>(
        &self,
        fetched: &FetchedRanges,
        rows: Range<usize>,
        keep: impl Fn(usize) -> bool,
        passes: impl Fn(T) -> bool,
    ) -> Result<Vec<u32>, ReadError> {
        // The dictionary belongs to the bytes that are needed only if a page is read at all.
        let mut table: Option<Vec<bool>> = None;
        let mut decoded = Vec::new();
        self.select(fetched, rows, keep, |page, values, base, out| {
            if page.encoding == Encoding::Dictionary {
                if table.is_none() {
                    let entries = self.dictionary(fetched)?.and_then(T::entries).ok_or_else(no_dictionary)?;
                    table = Some(entries.iter().map(|&entry| passes(entry)).collect());
                }
                return scan_codes(page, values, table.as_deref().unwrap_or_default(), base, out);
            }
            decoded.clear();
            T::append(page, values.0, values.1, &mut decoded)?;
            push_passing(&decoded, base, out, |&value| passes(value));
            Ok(())
        })
    }

    /// Scans the pages that are kept and hold values of the rows. `scan` gets a page, the range of its values as (skip, take), and appends
    /// `base + i` for each value `i` that passes.
    fn select(
        &self,
        fetched: &FetchedRanges,
        rows: Range<usize>,
        keep: impl Fn(usize) -> bool,
        mut scan: impl FnMut(&DataPage<'_>, (usize, usize), u32, &mut Vec<u32>) -> Result<(), ReadError>,
    ) -> Result<Vec<u32>, ReadError> {
        let (mut found, mut found_values, mut present) = (Vec::new(), Vec::new(), Vec::new());
        if self.have_no_value(&rows)? {
            return Ok(found);
        }
        self.visit_pages(fetched, rows, keep, |page, rows| {
            let values = (rows.skip, rows.take);
            if rows.take == 0 {
                return Ok(());
            }
            if rows.is_full() {
                return scan(page, values, rows.base, &mut found);
            }
            found_values.clear();
            scan(page, values, 0, &mut found_values)?;
            if !found_values.is_empty() {
                present.clear();
                rows.push_present(&mut present);
                found.extend(found_values.iter().map(|&value| present[value as usize]));
            }
            Ok(())
        })?;
        Ok(found)
    }
}

/// Appends `base + i` for each value `i` whose code passes.
fn scan_codes(page: &DataPage<'_>, (skip, take): (usize, usize), passes: &[bool], base: u32, out: &mut Vec<u32>) -> Result<(), ReadError> {
    let runs = Runs::of_codes(page.values, skip + take)?;
    let width = runs.width();
    let mut base = base;
    let mut codes = [0u32; CHUNK];
    visit_runs(runs, skip, take, |run, first| {
        match run {
            Run::Repeated { value, len } => {
                check_codes(&[value], width, passes.len())?;
                if passes[value as usize] {
                    out.extend(base..base + len as u32);
                }
                base += len as u32;
            }
            Run::Packed { bytes, len } => {
                for start in (0..len).step_by(CHUNK) {
                    let codes = &mut codes[..CHUNK.min(len - start)];
                    unpack(bytes, width, first + start, codes);
                    check_codes(codes, width, passes.len())?;
                    push_passing(codes, base, out, |&code| passes[code as usize]);
                    base += codes.len() as u32;
                }
            }
        }
        Ok(())
    })
}

fn scan_strings(
    page: &DataPage<'_>,
    (skip, take): (usize, usize),
    passes: &mut impl FnMut(&[u8]) -> bool,
    base: u32,
    out: &mut Vec<u32>,
) -> Result<(), ReadError> {
    let mut row = base;
    plain::visit_strings(page.values, skip, take, |string| {
        if passes(string) {
            out.push(row);
        }
        row += 1;
        Ok(())
    })
}

fn scan_fixed(
    page: &DataPage<'_>,
    (skip, take): (usize, usize),
    width: usize,
    passes: &mut impl FnMut(&[u8]) -> bool,
    base: u32,
    out: &mut Vec<u32>,
) -> Result<(), ReadError> {
    let strings = plain::fixed(page.values, width, skip, take)?.chunks_exact(width);
    out.extend(strings.zip(base..).filter(|(string, _)| passes(string)).map(|(_, row)| row));
    Ok(())
}
