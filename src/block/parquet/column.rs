//! One column chunk of one row group.

use super::chunk_bytes::FetchedRanges;
use super::decompress::{Codec, Workspace};
use super::error::ReadError;
use super::header::PageHeader;
use super::layout::{ChunkLayout, MAX_ROWS, RawPage};
use super::levels::{Bitmap, PageRows};
use super::page::{DataPage, Physical, ValuesBuilder, decode_dictionary};
use super::shared::{SharedPages, Sharing};
use super::values::{Decoded, Dictionary};
use parquet::basic::Type;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::schema::types::ColumnDescriptor;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// Reads one column chunk of one row group from bytes in memory.
///
/// Rows are counted from the start of the row group. Without an offset index in the metadata everything still works, but every request
/// needs the whole chunk. Cheap to make: no bytes are read before the first request.
#[derive(Debug)]
pub struct ColumnReader {
    metadata: Arc<ParquetMetaData>,
    row_group: usize,
    leaf: usize,
    pub(super) physical: Physical,
    pub(super) is_optional: bool,
    pub(super) layout: ChunkLayout,
    /// Decoded once, since a query first looks for its values there and then decodes the rows.
    dictionary: OnceLock<Arc<Dictionary>>,
    /// Of a chunk that others read pages of, too.
    sharing: Option<Sharing>,
}

impl ColumnReader {
    /// For column `leaf` (ordinal among the leaves of the schema) of a row group.
    ///
    /// Errors: `Misuse` if there is no such row group or column, `Unsupported` if the column is nested or of a type or codec that blocks
    /// never have, `CorruptPage` if footer or offset index contradict themselves.
    pub fn new(metadata: Arc<ParquetMetaData>, row_group: usize, leaf: usize) -> Result<Self, ReadError> {
        let group = metadata.row_groups().get(row_group).ok_or_else(|| ReadError::misuse(format!("no row group {row_group}")))?;
        let column = group.columns().get(leaf).ok_or_else(|| ReadError::misuse(format!("no column {leaf}")))?;
        let num_rows = usize::try_from(group.num_rows()).ok().filter(|&rows| rows <= MAX_ROWS);
        let num_rows = num_rows.ok_or_else(|| ReadError::corrupt(format!("row group of {} rows", group.num_rows())))?;
        let (physical, is_optional) = shape(column.column_descr())?;
        let locations = metadata.page_index().and_then(|index| index.offset_index(row_group, leaf)).map(|index| index.page_locations());
        let layout = ChunkLayout::new(column, locations.map(Vec::as_slice), num_rows)?;
        Ok(Self { physical, is_optional, layout, row_group, leaf, dictionary: OnceLock::new(), sharing: None, metadata })
    }

    /// The same with the dictionary that another reader of the chunk has decoded.
    pub fn with_dictionary(self, dictionary: Arc<Dictionary>) -> Self {
        Self { dictionary: OnceLock::from(dictionary), ..self }
    }

    /// The same taking pages from other readers of the chunk, and leaving pages to them. Has an effect on compressed pages only, and
    /// where there is an offset index.
    pub fn with_shared_pages(self, pages: Arc<dyn SharedPages>) -> Self {
        let sharing = (self.layout.codec != Codec::Uncompressed).then(|| Sharing::new(pages));
        Self { sharing, ..self }
    }

    /// The dictionary for other readers of the chunk; `None` if it has none, or if it was not decoded so far.
    pub fn decoded_dictionary(&self) -> Option<&Arc<Dictionary>> {
        self.dictionary.get()
    }

    /// The row group, and the ordinal of the leaf.
    pub fn place(&self) -> (usize, usize) {
        (self.row_group, self.leaf)
    }

    /// Number of rows of the row group.
    pub fn num_rows(&self) -> usize {
        self.layout.num_rows
    }

    /// Bytes of the file that decoding all rows needs; none if no row has a value.
    pub fn bytes_of_all(&self) -> Vec<Range<u64>> {
        if self.is_all_null() { Vec::new() } else { vec![self.layout.chunk.clone()] }
    }

    /// Bytes of the file that [`Self::dictionary`] needs; none if the chunk has no dictionary.
    pub fn bytes_of_dictionary(&self) -> Vec<Range<u64>> {
        self.layout.dictionary.clone().into_iter().collect()
    }

    /// Bytes of the file that decoding a range of rows needs: dictionary page, unless it is decoded already, and the data pages that
    /// hold any of the rows, unless they are shared. Ascending, neighbours joined.
    pub fn bytes_of_rows(&self, rows: Range<usize>) -> Vec<Range<u64>> {
        self.bytes_of_pages(rows, |_| true)
    }

    /// As [`Self::bytes_of_rows`], without the pages that a selection will leave out.
    pub(super) fn bytes_of_pages(&self, rows: Range<usize>, keep: impl Fn(usize) -> bool) -> Vec<Range<u64>> {
        if self.is_all_null() || rows.is_empty() {
            return Vec::new();
        }
        let (Some(pages), Some(wanted)) = (&self.layout.pages, self.layout.pages_of(&rows)) else {
            return vec![self.layout.chunk.clone()];
        };
        let (mut ranges, mut is_any_kept): (Vec<Range<u64>>, bool) = (Vec::new(), false);
        for page in wanted.filter(|&page| keep(page)) {
            is_any_kept = true;
            if self.sharing.as_ref().is_some_and(|sharing| sharing.get(page).is_some()) {
                continue;
            }
            let range = pages[page].bytes.clone();
            match ranges.last_mut() {
                Some(last) if last.end == range.start => last.end = range.end,
                _ => ranges.push(range),
            }
        }
        let dictionary = self.layout.dictionary.as_ref().filter(|_| is_any_kept && self.dictionary.get().is_none());
        match (dictionary, ranges.first_mut()) {
            (Some(dictionary), Some(first)) if dictionary.end == first.start => first.start = dictionary.start,
            (Some(dictionary), _) => ranges.insert(0, dictionary.clone()),
            _ => {}
        }
        ranges
    }

    /// The dictionary; `None` if the chunk has none. Needs [`Self::bytes_of_dictionary`], on the first call only.
    ///
    /// Whether it holds every value of the chunk is told by [`Self::is_fully_dictionary_coded`].
    pub fn dictionary(&self, fetched: &FetchedRanges) -> Result<Option<&Dictionary>, ReadError> {
        if let Some(dictionary) = self.dictionary.get() {
            return Ok(Some(dictionary));
        }
        let Some(RawPage { header, body }) = self.layout.dictionary_page(fetched)? else { return Ok(None) };
        let decoded = Workspace::lend(|workspace| {
            let payload = workspace.payload(self.layout.codec, &body, header.uncompressed_len)?;
            decode_dictionary(&header, payload, self.physical)
        })?;
        Ok(Some(self.dictionary.get_or_init(|| Arc::new(decoded))))
    }

    /// Decodes every row. Needs [`Self::bytes_of_all`].
    pub fn decode_all(&self, fetched: &FetchedRanges) -> Result<Decoded, ReadError> {
        self.decode_rows(fetched, 0..self.layout.num_rows)
    }

    /// Decodes a range of rows. Needs [`Self::bytes_of_rows`].
    ///
    /// Error: `Misuse` if the range ends after the last row.
    pub fn decode_rows(&self, fetched: &FetchedRanges, rows: Range<usize>) -> Result<Decoded, ReadError> {
        if self.have_no_value(&rows)? {
            let present = if rows.is_empty() { None } else { Some(Vec::new()) };
            return Ok(Decoded { rows: present, values: ValuesBuilder::new(self.physical, None, 0).finish() });
        }
        let mut values = ValuesBuilder::new(self.physical, self.dictionary(fetched)?, self.most_values(&rows));
        // `None` for as long as every row has a value.
        let mut present: Option<Vec<u32>> = None;
        self.visit_pages(
            fetched,
            rows,
            |_| true,
            |page, page_rows| {
                if present.is_none() && !page_rows.is_full() {
                    present = Some((0..page_rows.base).collect());
                }
                if let Some(present) = &mut present {
                    page_rows.push_present(present);
                }
                values.append(page, page_rows.skip, page_rows.take)
            },
        )?;
        Ok(Decoded { rows: present, values: values.finish() })
    }

    /// Bytes of the file that [`Self::decode_some`] needs.
    pub fn bytes_of_some(&self, wanted: &[u32]) -> Vec<Range<u64>> {
        self.bytes_of_pages(span_of(wanted), |page| self.holds_any(page, wanted))
    }

    /// Decodes the values of some ascending rows, which the answer names by their own numbers. Needs [`Self::bytes_of_some`].
    ///
    /// Error: `Misuse` if a row is after the last row.
    pub fn decode_some(&self, fetched: &FetchedRanges, wanted: &[u32]) -> Result<Decoded, ReadError> {
        let rows = span_of(wanted);
        if self.have_no_value(&rows)? {
            return Ok(Decoded { rows: Some(Vec::new()), values: ValuesBuilder::new(self.physical, None, 0).finish() });
        }
        let mut values = ValuesBuilder::new(self.physical, self.dictionary(fetched)?, wanted.len());
        let (mut present, mut positions) = (Vec::with_capacity(wanted.len()), Vec::new());
        self.visit_pages(
            fetched,
            rows.clone(),
            |page| self.holds_any(page, wanted),
            |page, page_rows| {
                let first = rows.start + page_rows.base as usize;
                let from = wanted.partition_point(|&row| (row as usize) < first);
                let in_page = wanted[from..].iter().map(|&row| row as usize - first).take_while(|&row| row < page_rows.len());
                positions.clear();
                page_rows.values_of(in_page, |row, position| {
                    present.push((first + row) as u32);
                    positions.push(position);
                });
                values.append_some(page, &positions)
            },
        )?;
        Ok(Decoded { rows: Some(present), values: values.finish() })
    }

    /// Whether a page that the offset index tells has any of the rows.
    fn holds_any(&self, page: usize, wanted: &[u32]) -> bool {
        let Some(rows) = self.layout.pages.as_ref().map(|pages| &pages[page].rows) else { return true };
        let first = wanted.partition_point(|&row| (row as usize) < rows.start);
        wanted.get(first).is_some_and(|&row| (row as usize) < rows.end)
    }

    /// Calls with each page that holds any of the rows and is kept (by its number, if the offset index is known). The caller has checked
    /// the rows ([`Self::have_no_value`]).
    pub(super) fn visit_pages(
        &self,
        fetched: &FetchedRanges,
        rows: Range<usize>,
        keep: impl Fn(usize) -> bool,
        mut visit: impl FnMut(&DataPage<'_>, &PageRows<'_>) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        let mut bitmap = Bitmap::default();
        let mut visit_payload = |header: &PageHeader, payload: &[u8], page_rows: Range<usize>| {
            let wanted = page_rows.start.max(rows.start)..page_rows.end.min(rows.end);
            if wanted.is_empty() {
                return Ok(());
            }
            let data = DataPage::new(header, payload, page_rows.len(), self.is_optional)?;
            let base = (wanted.start - rows.start) as u32;
            let wanted = wanted.start - page_rows.start..wanted.end - page_rows.start;
            if let Some(levels) = data.levels {
                bitmap.read_levels(levels, wanted.end)?;
            }
            visit(&data, &PageRows::new(wanted, base, data.levels.map(|_| &bitmap)))
        };
        Workspace::lend(|workspace| match (&self.layout.pages, self.layout.pages_of(&rows)) {
            (Some(pages), Some(wanted)) => wanted.filter(|&page| keep(page)).try_for_each(|page| {
                let page_rows = pages[page].rows.clone();
                if let Some(shared) = self.sharing.as_ref().and_then(|sharing| sharing.get(page)) {
                    return visit_payload(&shared.header, &shared.payload, page_rows);
                }
                let RawPage { header, body } = self.layout.data_page(fetched, &pages[page])?;
                let payload = workspace.payload(self.layout.codec, &body, header.uncompressed_len)?;
                if let Some(sharing) = &self.sharing {
                    sharing.put(page, &header, payload);
                }
                visit_payload(&header, payload, page_rows)
            }),
            _ => self.walk_pages(fetched, |RawPage { header, body }, page_rows| {
                let payload = workspace.payload(self.layout.codec, &body, header.uncompressed_len)?;
                visit_payload(&header, payload, page_rows)
            }),
        })
    }

    /// Calls with every data page and its rows, which their headers tell.
    fn walk_pages(
        &self,
        fetched: &FetchedRanges,
        mut visit: impl FnMut(RawPage, Range<usize>) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        let mut next_row = 0;
        for page in self.layout.walk(fetched)? {
            let page = page?;
            let num_rows = page.header.num_data_values().unwrap_or(0);
            let end = next_row + num_rows;
            if end > self.layout.num_rows {
                return Err(ReadError::corrupt("pages with more rows than the row group"));
            }
            visit(page, next_row..end)?;
            next_row = end;
        }
        if next_row != self.layout.num_rows {
            return Err(ReadError::corrupt(format!("pages with {next_row} of {} rows", self.layout.num_rows)));
        }
        Ok(())
    }

    /// How many values to make room for; 0 if unknown.
    fn most_values(&self, rows: &Range<usize>) -> usize {
        self.null_count().map_or(0, |nulls| rows.len().min(self.layout.num_rows - nulls))
    }

    /// True if it is known without reading anything that none of the rows has a value.
    ///
    /// Error: `Misuse` if the range ends after the last row.
    pub(super) fn have_no_value(&self, rows: &Range<usize>) -> Result<bool, ReadError> {
        if rows.start > rows.end || rows.end > self.layout.num_rows {
            return Err(ReadError::misuse(format!("rows {rows:?} of {}", self.layout.num_rows)));
        }
        Ok(rows.is_empty() || self.is_all_null())
    }

    /// The chunk's entry in the footer.
    pub(super) fn chunk_metadata(&self) -> &ColumnChunkMetaData {
        // `new` has looked both up, and the metadata cannot change.
        self.metadata.row_group(self.row_group).column(self.leaf)
    }

    /// The chunk's column index, if it was loaded.
    pub(super) fn column_index(&self) -> Option<&ColumnIndexMetaData> {
        self.metadata.page_index()?.column_index(self.row_group, self.leaf)
    }

    /// True if rows may be null.
    pub fn is_optional(&self) -> bool {
        self.is_optional
    }
}

/// From the first to the last of ascending rows.
fn span_of(rows: &[u32]) -> Range<usize> {
    rows.first().map_or(0, |&first| first as usize)..rows.last().map_or(0, |&last| last as usize + 1)
}

/// Physical type, and whether rows may be null.
fn shape(column: &ColumnDescriptor) -> Result<(Physical, bool), ReadError> {
    if column.max_rep_level() != 0 || column.max_def_level() > 1 {
        return Err(ReadError::unsupported("nested column"));
    }
    let physical = match column.physical_type() {
        Type::BOOLEAN => Physical::Bool,
        Type::INT32 => Physical::Int32,
        Type::INT64 => Physical::Int64,
        Type::DOUBLE => Physical::Double,
        Type::BYTE_ARRAY => Physical::Bytes,
        Type::FIXED_LEN_BYTE_ARRAY => match usize::try_from(column.type_length()) {
            Ok(width) if width > 0 => Physical::Fixed(width),
            _ => return Err(ReadError::unsupported(format!("strings of {} bytes", column.type_length()))),
        },
        other => return Err(ReadError::unsupported(format!("type {other}"))),
    };
    Ok((physical, column.max_def_level() == 1))
}
