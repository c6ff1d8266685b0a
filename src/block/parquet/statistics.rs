//! What footer and column index tell about a chunk before any page is read.

use super::column::ColumnReader;
use parquet::basic::Encoding;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::page_index::column_index::{ColumnIndexMetaData, PrimitiveColumnIndex};
use parquet::file::statistics::Statistics;

impl ColumnReader {
    /// Number of rows without a value; `None` if the footer does not tell.
    pub fn null_count(&self) -> Option<usize> {
        if !self.is_optional() {
            return Some(0);
        }
        let count = self.chunk_metadata().statistics()?.null_count_opt()?;
        usize::try_from(count).ok().filter(|&count| count <= self.num_rows())
    }

    /// True if the footer tells that no row has a value. Such a chunk is answered without any bytes.
    pub fn is_all_null(&self) -> bool {
        self.is_optional() && self.null_count() == Some(self.num_rows())
    }

    /// True if the footer tells that every value is in the dictionary, so that a value that is not there is nowhere in the chunk.
    pub fn is_fully_dictionary_coded(&self) -> bool {
        self.layout.dictionary.is_some() && only_dictionary_pages(self.chunk_metadata())
    }

    /// Least and greatest value of an integer column, read as signed; `None` if unknown, or if the file orders it in another way.
    pub fn int_bounds(&self) -> Option<(i64, i64)> {
        let (min, max) = match self.chunk_metadata().statistics()? {
            Statistics::Int32(statistics) => (i64::from(*statistics.min_opt()?), i64::from(*statistics.max_opt()?)),
            Statistics::Int64(statistics) => (*statistics.min_opt()?, *statistics.max_opt()?),
            _ => return None,
        };
        ordered(min, max)
    }

    /// Least and greatest value of an integer column, read as unsigned; `None` if unknown, or if the file orders it in another way.
    pub fn uint_bounds(&self) -> Option<(u64, u64)> {
        let (min, max) = match self.chunk_metadata().statistics()? {
            Statistics::Int32(statistics) => (u64::from(*statistics.min_opt()? as u32), u64::from(*statistics.max_opt()? as u32)),
            Statistics::Int64(statistics) => (*statistics.min_opt()? as u64, *statistics.max_opt()? as u64),
            _ => return None,
        };
        ordered(min, max)
    }

    /// Least and greatest value of a column of doubles, not counting NaN, which may be there nevertheless; `None` if unknown.
    pub fn double_bounds(&self) -> Option<(f64, f64)> {
        match self.chunk_metadata().statistics()? {
            Statistics::Double(statistics) => ordered(*statistics.min_opt()?, *statistics.max_opt()?),
            _ => None,
        }
    }

    /// Least and greatest integer of a page, read as signed; `None` if unknown.
    pub(super) fn page_bounds(&self, page: usize) -> Option<(i64, i64)> {
        let bounds = match self.column_index()? {
            ColumnIndexMetaData::INT32(index) => page_bounds(index, page),
            ColumnIndexMetaData::INT64(index) => page_bounds(index, page),
            _ => return None,
        };
        if let PageBounds::Known(min, max) = bounds { Some((min, max)) } else { None }
    }

    /// Whether a page may hold an integer that passes, told by its bounds in the column index; `true` when unknown.
    pub(super) fn page_may_pass(&self, page: usize, may_pass: &dyn Fn(i64, i64) -> bool) -> bool {
        let bounds = match self.column_index() {
            Some(ColumnIndexMetaData::INT32(index)) => page_bounds(index, page),
            Some(ColumnIndexMetaData::INT64(index)) => page_bounds(index, page),
            _ => return true,
        };
        match bounds {
            PageBounds::NoValue => false,
            PageBounds::Known(min, max) => may_pass(min, max),
            PageBounds::Unknown => true,
        }
    }
}

enum PageBounds {
    NoValue,
    Known(i64, i64),
    Unknown,
}

fn page_bounds<T: Copy + Into<i64>>(index: &PrimitiveColumnIndex<T>, page: usize) -> PageBounds {
    // The crate checks that the lists of the index are of one length, but not that this is the number of pages; it panics past the end.
    if page as u64 >= index.num_pages() {
        return PageBounds::Unknown;
    }
    if index.is_null_page(page) {
        return PageBounds::NoValue;
    }
    let bounds = index.min_value(page).zip(index.max_value(page));
    match bounds.and_then(|(&min, &max)| ordered(min.into(), max.into())) {
        Some((min, max)) => PageBounds::Known(min, max),
        None => PageBounds::Unknown,
    }
}

/// Bounds in the order that they are read in. If that is not the order that the file took them in (signed, unsigned), then they are
/// still right when all values are on one side of the sign, and come out in the wrong order when they are not.
fn ordered<T: PartialOrd>(min: T, max: T) -> Option<(T, T)> {
    (min <= max).then_some((min, max))
}

fn only_dictionary_pages(column: &ColumnChunkMetaData) -> bool {
    let is_dictionary = |encoding| matches!(encoding, Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY);
    if let Some(mask) = column.page_encoding_stats_mask() {
        return mask.is_only(Encoding::RLE_DICTIONARY) || mask.is_only(Encoding::PLAIN_DICTIONARY);
    }
    column.page_encoding_stats().is_some_and(|pages| {
        let mut data_pages = pages.iter().filter(|page| page.page_type != parquet::basic::PageType::DICTIONARY_PAGE);
        data_pages.all(|page| is_dictionary(page.encoding))
    })
}
