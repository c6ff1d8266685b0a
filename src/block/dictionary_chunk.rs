//! Writing a dictionary-coded column chunk from codes.
//!
//! The `parquet` crate takes values and finds their codes by hashing each; here the codes are known already. Pages are
//! laid out as the crate does it (data pages v1, [`PAGE_ROWS`] rows each, definition levels as RLE) and handed to it as a
//! finished chunk, so that footer, offset index and file stay its business.

use super::checked_pages::CheckedPages;
use super::hybrid::{bit_width, encode};
use bytes::Bytes;
use parquet::basic::{Compression, Encoding, PageType, Type as Physical};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, OffsetIndexBuilder, PageEncodingStats};
use parquet::file::statistics::Statistics;
use parquet::schema::types::ColumnDescPtr;
use std::cell::Cell;
use zstd::bulk::Compressor;

/// Rows a page (shared/design-measurements.md, recommendation 6).
pub const PAGE_ROWS: usize = 8 * 1024;

/// Distinct values in PLAIN form.
#[derive(Clone, Debug, Default)]
pub struct Entries {
    /// The bytes of the dictionary page.
    pub plain: Vec<u8>,
    /// Number of values.
    pub num: u32,
    /// Least and greatest of 64-bit integers, for the footer.
    pub int_bounds: Option<(i64, i64)>,
}

impl Entries {
    /// Byte strings, each with its length in front.
    pub fn strings<'a>(values: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut entries = Entries::default();
        for value in values {
            entries.plain.extend_from_slice(&(value.len() as u32).to_le_bytes());
            entries.plain.extend_from_slice(value);
            entries.num += 1;
        }
        entries
    }

    /// Values of a fixed width, in their little-endian form or as the bytes they are.
    pub fn fixed<const N: usize>(values: impl Iterator<Item = [u8; N]>) -> Self {
        let mut entries = Entries::default();
        for value in values {
            entries.plain.extend_from_slice(&value);
            entries.num += 1;
        }
        entries
    }
}

/// One column of a row group as codes.
pub struct Coded<'a> {
    /// The code of each row that has a value, in row order.
    pub codes: &'a [u32],
    /// What the codes stand for.
    pub entries: &'a Entries,
    /// One entry a row, 1 where there is a value; absent for required columns.
    pub levels: Option<&'a [i16]>,
}

/// The bytes of a column chunk, and what the footer says of it.
pub fn encode_chunk(column: &ColumnDescPtr, codec: Compression, coded: &Coded<'_>) -> Result<(Bytes, ColumnCloseResult), ParquetError> {
    let mut chunk = Vec::new();
    let mut pages = Pages { writer: CheckedPages::new(&mut chunk), codec, uncompressed: 0, compressed: 0 };
    let dictionary = Page::DictionaryPage {
        buf: Bytes::copy_from_slice(&coded.entries.plain),
        num_values: coded.entries.num,
        encoding: Encoding::PLAIN,
        is_sorted: false,
    };
    let (dictionary_offset, _) = pages.write(dictionary)?;
    let num_rows = coded.levels.map_or(coded.codes.len(), <[i16]>::len);
    let mut offsets = OffsetIndexBuilder::new();
    let (mut first_offset, mut num_pages, mut next_code) = (None, 0, 0);
    for first in (0..num_rows.max(1)).step_by(PAGE_ROWS) {
        let rows = first..(first + PAGE_ROWS).min(num_rows);
        let (page, taken) = data_page(coded, codec, rows.clone(), next_code);
        next_code += taken;
        let (offset, bytes) = pages.write(page)?;
        offsets.append_row_count(rows.len() as i64);
        offsets.append_offset_and_size(offset as i64, bytes as i32);
        first_offset.get_or_insert(offset);
        num_pages += 1;
    }
    let Pages { uncompressed, compressed, .. } = pages;
    let num_nulls = (num_rows - coded.codes.len()) as u64;
    let metadata = ColumnChunkMetaData::builder(column.clone())
        .set_compression(codec)
        .set_encodings(vec![Encoding::PLAIN, Encoding::RLE, Encoding::RLE_DICTIONARY])
        .set_num_values(num_rows as i64)
        .set_total_compressed_size(compressed as i64)
        .set_total_uncompressed_size(uncompressed as i64)
        .set_dictionary_page_offset(Some(dictionary_offset as i64))
        .set_data_page_offset(first_offset.unwrap_or(dictionary_offset) as i64)
        .set_statistics(statistics(column, coded.entries, num_nulls))
        .set_page_encoding_stats(vec![
            PageEncodingStats { page_type: PageType::DICTIONARY_PAGE, encoding: Encoding::PLAIN, count: 1 },
            PageEncodingStats { page_type: PageType::DATA_PAGE, encoding: Encoding::RLE_DICTIONARY, count: num_pages },
        ])
        .build()?;
    let close = ColumnCloseResult {
        bytes_written: compressed,
        rows_written: num_rows as u64,
        metadata,
        bloom_filter: None,
        column_index: None,
        offset_index: Some(offsets.build()),
    };
    Ok((chunk.into(), close))
}

struct Pages<'a> {
    writer: CheckedPages<'a>,
    codec: Compression,
    uncompressed: u64,
    compressed: u64,
}

impl Pages<'_> {
    /// Compresses and writes a page; returns its offset and length, header included.
    fn write(&mut self, page: Page) -> Result<(u64, u64), ParquetError> {
        let uncompressed_size = page.buffer().len();
        let page = match self.codec {
            Compression::LZ4_RAW => with_buffer(page, |bytes| Ok(lz4_flex::block::compress(bytes)))?,
            Compression::ZSTD(level) => with_buffer(page, |bytes| zstd_compress(bytes, level.compression_level()))?,
            _ => page,
        };
        let spec = self.writer.write_page(CompressedPage::new(page, uncompressed_size))?;
        self.uncompressed += spec.uncompressed_size as u64;
        self.compressed += spec.bytes_written;
        Ok((spec.offset, spec.bytes_written))
    }
}

thread_local! {
    /// Making one costs more than compressing a page (shared/design-measurements.md, surprise 1).
    static ZSTD: Cell<Option<Compressor<'static>>> = const { Cell::new(None) };
}

fn zstd_compress(bytes: &[u8], level: i32) -> std::io::Result<Vec<u8>> {
    let mut compressor = match ZSTD.take() {
        Some(compressor) => compressor,
        None => Compressor::new(level)?,
    };
    compressor.set_compression_level(level)?;
    let compressed = compressor.compress(bytes);
    ZSTD.set(Some(compressor));
    compressed
}

fn with_buffer(page: Page, change: impl FnOnce(&[u8]) -> std::io::Result<Vec<u8>>) -> Result<Page, ParquetError> {
    Ok(match page {
        Page::DictionaryPage { buf, num_values, encoding, is_sorted } => {
            Page::DictionaryPage { buf: change(&buf)?.into(), num_values, encoding, is_sorted }
        }
        Page::DataPage { buf, num_values, encoding, def_level_encoding, rep_level_encoding, statistics } => {
            Page::DataPage { buf: change(&buf)?.into(), num_values, encoding, def_level_encoding, rep_level_encoding, statistics }
        }
        other => other,
    })
}

/// A data page of some rows, whose codes start at `first_code`; also returns the number of codes it took.
fn data_page(coded: &Coded<'_>, codec: Compression, rows: std::ops::Range<usize>, first_code: usize) -> (Page, usize) {
    let mut buffer = Vec::new();
    let num_rows = rows.len();
    let taken = match coded.levels {
        None => num_rows,
        Some(levels) => {
            let levels: Vec<u32> = levels[rows].iter().map(|&level| u32::from(level == 1)).collect();
            buffer.extend_from_slice(&[0; 4]);
            encode(&levels, 1, &mut buffer);
            let length = (buffer.len() - 4) as u32;
            buffer[..4].copy_from_slice(&length.to_le_bytes());
            levels.iter().sum::<u32>() as usize
        }
    };
    let codes = &coded.codes[first_code..first_code + taken];
    let width = code_width(codes, codec);
    buffer.push(width);
    encode(codes, width, &mut buffer);
    let page = Page::DataPage {
        buf: buffer.into(),
        num_values: num_rows as u32,
        encoding: Encoding::RLE_DICTIONARY,
        def_level_encoding: Encoding::RLE,
        rep_level_encoding: Encoding::RLE,
        statistics: None,
    };
    (page, taken)
}

/// Zstd sees codes where they are whole bytes, or halves of one: codes of 5 bits take a fifth more than if they had 8 (the
/// positions of random attributes), those of 11 bits an eighth more than if they had 16.
const MAX_UNALIGNED_WIDTH: u8 = 4;

/// Bits of a code in a page with these codes. No more than the page needs: the entries that come first occur in most pages, those
/// that come last in few.
fn code_width(codes: &[u32], codec: Compression) -> u8 {
    match (bit_width(codes.iter().copied().max().unwrap_or(0)), codec) {
        (width, Compression::ZSTD(_)) if width > MAX_UNALIGNED_WIDTH => width.next_multiple_of(8),
        (width, _) => width,
    }
}

fn statistics(column: &ColumnDescPtr, entries: &Entries, num_nulls: u64) -> Statistics {
    let nulls = Some(num_nulls);
    match column.physical_type() {
        Physical::INT32 => Statistics::int32(None, None, None, nulls, false),
        Physical::INT64 => {
            let (min, max) = entries.int_bounds.unzip();
            Statistics::int64(min, max, None, nulls, false)
        }
        Physical::DOUBLE => Statistics::double(None, None, None, nulls, false),
        Physical::FIXED_LEN_BYTE_ARRAY => Statistics::fixed_len_byte_array(None, None, None, nulls, false),
        _ => Statistics::byte_array(None, None, None, nulls, false),
    }
}
