//! Where the pages of a column chunk lie in the file.

use super::chunk_bytes::FetchedRanges;
use super::decompress::Codec;
use super::error::ReadError;
use super::header::{self, PageHeader};
use bytes::Bytes;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::page_index::offset_index::PageLocation;
use std::ops::Range;

/// The most rows that a row group may have: above the 128k that are written, low enough that decoding a column of a forged file cannot
/// exhaust memory.
pub const MAX_ROWS: usize = 1 << 24;

/// A data page, as the offset index tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PageSpan {
    /// Header and body in the file.
    pub(super) bytes: Range<u64>,
    /// Its rows within the row group.
    pub(super) rows: Range<usize>,
}

/// Where the parts of a column chunk lie, checked to be within it and in order.
#[derive(Debug)]
pub(super) struct ChunkLayout {
    pub(super) codec: Codec,
    pub(super) num_rows: usize,
    /// No page can be longer once decompressed.
    uncompressed_len: usize,
    /// Dictionary page, if there is one, and data pages.
    pub(super) chunk: Range<u64>,
    pub(super) dictionary: Option<Range<u64>>,
    /// Ascending; `None` if the file has no offset index or it was not loaded.
    pub(super) pages: Option<Vec<PageSpan>>,
}

/// A page out of the file, still compressed.
pub(super) struct RawPage {
    pub(super) header: PageHeader,
    pub(super) body: Bytes,
}

impl ChunkLayout {
    /// Error: `CorruptPage` if the footer or offset index contradict themselves, `Unsupported` for the codec.
    pub(super) fn new(column: &ColumnChunkMetaData, locations: Option<&[PageLocation]>, num_rows: usize) -> Result<Self, ReadError> {
        let data = offset(column.data_page_offset(), "data page")?;
        let dictionary = column.dictionary_page_offset().map(|at| offset(at, "dictionary page")).transpose()?;
        // Some writers set the dictionary's offset to 0 when there is none.
        let dictionary = dictionary.filter(|&at| at > 0 && at < data);
        let start = dictionary.unwrap_or(data);
        let len = offset(column.compressed_size(), "length of the column chunk")?;
        let end = start.checked_add(len).filter(|&end| end >= data).ok_or_else(|| ReadError::corrupt("data pages outside of the chunk"))?;
        let pages = locations.map(|locations| page_spans(locations, &(data..end), num_rows)).transpose()?;
        Ok(Self {
            codec: Codec::new(column.compression())?,
            num_rows,
            uncompressed_len: usize::try_from(column.uncompressed_size()).map_err(|_| ReadError::corrupt("uncompressed size"))?,
            chunk: start..end,
            dictionary: dictionary.map(|at| at..data),
            pages,
        })
    }

    /// Numbers of the pages that hold any of the rows; `None` without offset index.
    pub(super) fn pages_of(&self, rows: &Range<usize>) -> Option<Range<usize>> {
        let pages = self.pages.as_ref()?;
        if rows.is_empty() {
            return Some(0..0);
        }
        let first = pages.partition_point(|page| page.rows.end <= rows.start);
        let last = pages.partition_point(|page| page.rows.start < rows.end);
        Some(first..last)
    }

    /// The dictionary page.
    pub(super) fn dictionary_page(&self, fetched: &FetchedRanges) -> Result<Option<RawPage>, ReadError> {
        let Some(range) = self.dictionary.clone() else { return Ok(None) };
        Ok(Some(self.split_page(&fetched.get(range)?)?.0))
    }

    /// A data page that the offset index tells.
    pub(super) fn data_page(&self, fetched: &FetchedRanges, span: &PageSpan) -> Result<RawPage, ReadError> {
        Ok(self.split_page(&fetched.get(span.bytes.clone())?)?.0)
    }

    /// The data pages in a row, for files without offset index.
    pub(super) fn walk(&self, fetched: &FetchedRanges) -> Result<impl Iterator<Item = Result<RawPage, ReadError>> + '_, ReadError> {
        let data_start = self.dictionary.as_ref().map_or(self.chunk.start, |dictionary| dictionary.end);
        let mut rest = fetched.get(data_start..self.chunk.end)?;
        Ok(std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let page = self.split_page(&rest);
            rest = match &page {
                Ok((_, len)) => rest.slice(*len..),
                Err(_) => Bytes::new(),
            };
            Some(page.map(|(page, _)| page))
        }))
    }

    /// The page at the start of the bytes, and its length with header.
    ///
    /// Error: `CorruptPage` if its header makes no sense or its checksum is wrong.
    fn split_page(&self, bytes: &Bytes) -> Result<(RawPage, usize), ReadError> {
        let (header, header_len) = header::parse(bytes)?;
        let end = header_len.checked_add(header.compressed_len).filter(|&end| end <= bytes.len());
        let end = end.ok_or_else(|| ReadError::corrupt("page runs over its end"))?;
        if header.uncompressed_len > self.uncompressed_len {
            return Err(ReadError::corrupt(format!("page of {} bytes in a chunk of {}", header.uncompressed_len, self.uncompressed_len)));
        }
        let body = bytes.slice(header_len..end);
        if header.checksum.is_some_and(|checksum| checksum != crc32fast::hash(&body)) {
            return Err(ReadError::corrupt("the checksum of a page is wrong"));
        }
        Ok((RawPage { header, body }, end))
    }
}

fn offset(value: i64, what: &str) -> Result<u64, ReadError> {
    u64::try_from(value).map_err(|_| ReadError::corrupt(format!("{what} at {value}")))
}

/// Error: `CorruptPage` unless the pages lie one after another within the chunk and their rows add up to those of the row group.
fn page_spans(locations: &[PageLocation], chunk: &Range<u64>, num_rows: usize) -> Result<Vec<PageSpan>, ReadError> {
    let row_after = |index: usize| locations.get(index + 1).map_or(i64::try_from(num_rows).ok(), |next| Some(next.first_row_index));
    let mut spans: Vec<PageSpan> = Vec::with_capacity(locations.len());
    for (index, location) in locations.iter().enumerate() {
        let previous = spans.last();
        let (least_offset, least_row) = previous.map_or((chunk.start, 0), |previous| (previous.bytes.end, previous.rows.end));
        let start = offset(location.offset, "page")?;
        let end = start.checked_add(offset(i64::from(location.compressed_page_size), "end of page")?);
        let row = usize::try_from(location.first_row_index).ok();
        let next_row = row_after(index).and_then(|row| usize::try_from(row).ok());
        match (end, row, next_row) {
            (Some(end), Some(row), Some(next_row))
                if start >= least_offset && end <= chunk.end && row == least_row && row <= next_row && next_row <= num_rows =>
            {
                spans.push(PageSpan { bytes: start..end, rows: row..next_row });
            }
            _ => return Err(ReadError::corrupt(format!("offset index: page {index} is out of order or out of its chunk"))),
        }
    }
    let covered = spans.last().map_or(0, |page| page.rows.end);
    if covered != num_rows {
        return Err(ReadError::corrupt(format!("offset index covers {covered} of {num_rows} rows")));
    }
    Ok(spans)
}
