//! Pages with checksums.
//!
//! Parquet has a field for a page's checksum (parquet-format, "Checksumming": CRC-32 of the page's bytes after its header, as gzip
//! computes it), but the `parquet` crate does not write it. So a column chunk is put together in memory by this writer, which the
//! crate's column writers take in place of their own, and is then handed to the file as finished.

use parquet::basic::{Encoding, PageType};
use parquet::column::page::{CompressedPage, Page, PageWriteSpec, PageWriter};
use parquet::errors::ParquetError;

/// Types of Thrift's compact protocol.
const TRUE: u8 = 1;
const FALSE: u8 = 2;
const I32: u8 = 5;
const STRUCT: u8 = 12;

/// Writes the pages of one column chunk into memory; offsets count from its start.
pub struct CheckedPages<'a> {
    chunk: &'a mut Vec<u8>,
}

impl<'a> CheckedPages<'a> {
    /// For a chunk without pages so far.
    pub fn new(chunk: &'a mut Vec<u8>) -> Self {
        CheckedPages { chunk }
    }
}

impl PageWriter for CheckedPages<'_> {
    fn write_page(&mut self, page: CompressedPage) -> Result<PageWriteSpec, ParquetError> {
        let start = self.chunk.len();
        write_header(&page, self.chunk)?;
        let header_len = self.chunk.len() - start;
        self.chunk.extend_from_slice(page.data());
        let mut spec = PageWriteSpec::new();
        spec.page_type = page.page_type();
        spec.uncompressed_size = page.uncompressed_size() + header_len;
        spec.compressed_size = page.compressed_size() + header_len;
        spec.num_values = page.num_values();
        spec.offset = start as u64;
        spec.bytes_written = (self.chunk.len() - start) as u64;
        Ok(spec)
    }

    fn close(&mut self) -> Result<(), ParquetError> {
        Ok(())
    }
}

/// Thrift's `PageHeader`, whose fields `parquet::header` lists.
fn write_header(page: &CompressedPage, out: &mut Vec<u8>) -> Result<(), ParquetError> {
    let page_type = match page.compressed_page() {
        Page::DataPage { .. } => PageType::DATA_PAGE,
        Page::DictionaryPage { .. } => PageType::DICTIONARY_PAGE,
        Page::DataPageV2 { .. } => return Err(ParquetError::General("data page of version 2".into())),
    };
    let mut fields = Fields { last_id: 0, out };
    fields.i32(1, page_type as i32);
    fields.i32(2, size(page.uncompressed_size())?);
    fields.i32(3, size(page.compressed_size())?);
    fields.i32(4, crc32fast::hash(page.data()) as i32);
    let num_values = size(page.num_values() as usize)?;
    match page.compressed_page() {
        Page::DataPage { encoding, def_level_encoding, rep_level_encoding, .. } => fields.structure(5, |fields| {
            fields.i32(1, num_values);
            fields.encoding(2, *encoding);
            fields.encoding(3, *def_level_encoding);
            fields.encoding(4, *rep_level_encoding);
        }),
        Page::DictionaryPage { encoding, is_sorted, .. } => fields.structure(7, |fields| {
            fields.i32(1, num_values);
            fields.encoding(2, *encoding);
            fields.bool(3, *is_sorted);
        }),
        Page::DataPageV2 { .. } => {}
    }
    fields.stop();
    Ok(())
}

fn size(value: usize) -> Result<i32, ParquetError> {
    i32::try_from(value).map_err(|_| ParquetError::General(format!("page with {value} bytes or values")))
}

/// Fields of one Thrift structure, ids ascending by less than 16.
struct Fields<'a> {
    last_id: u8,
    out: &'a mut Vec<u8>,
}

impl Fields<'_> {
    fn begin(&mut self, id: u8, kind: u8) {
        self.out.push((id - self.last_id) << 4 | kind);
        self.last_id = id;
    }

    fn i32(&mut self, id: u8, value: i32) {
        self.begin(id, I32);
        let mut rest = ((value << 1) ^ (value >> 31)) as u32;
        while rest >= 0x80 {
            self.out.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.out.push(rest as u8);
    }

    fn encoding(&mut self, id: u8, encoding: Encoding) {
        self.i32(id, encoding as i32);
    }

    fn bool(&mut self, id: u8, value: bool) {
        self.begin(id, if value { TRUE } else { FALSE });
    }

    fn structure(&mut self, id: u8, write: impl FnOnce(&mut Fields<'_>)) {
        self.begin(id, STRUCT);
        let mut inner = Fields { last_id: 0, out: self.out };
        write(&mut inner);
        inner.stop();
    }

    fn stop(&mut self) {
        self.out.push(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use parquet::basic::{Compression, Type as Physical};
    use parquet::column::page::PageReader;
    use parquet::file::metadata::ColumnChunkMetaData;
    use parquet::file::serialized_reader::SerializedPageReader;
    use parquet::schema::types::{ColumnDescriptor, ColumnPath, Type};
    use proptest::prelude::*;
    use std::sync::Arc;

    fn dictionary(bytes: &[u8], num_values: u32) -> CompressedPage {
        let page = Page::DictionaryPage { buf: Bytes::copy_from_slice(bytes), num_values, encoding: Encoding::PLAIN, is_sorted: false };
        CompressedPage::new(page, bytes.len())
    }

    fn data(bytes: &[u8], num_values: u32) -> CompressedPage {
        let page = Page::DataPage {
            buf: Bytes::copy_from_slice(bytes),
            num_values,
            encoding: Encoding::RLE_DICTIONARY,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        CompressedPage::new(page, bytes.len())
    }

    /// The crate's own reader of pages, over a chunk that holds these bytes.
    fn crate_reader(chunk: Vec<u8>, num_values: i64) -> SerializedPageReader<Bytes> {
        let leaf = Type::primitive_type_builder("x", Physical::INT32).build().expect("a type");
        let column = ColumnDescriptor::new(Arc::new(leaf), 0, 0, ColumnPath::new(vec!["x".into()]));
        let metadata = ColumnChunkMetaData::builder(Arc::new(column))
            .set_compression(Compression::UNCOMPRESSED)
            .set_num_values(num_values)
            .set_dictionary_page_offset(Some(0))
            .set_total_compressed_size(chunk.len() as i64)
            .build()
            .expect("complete");
        SerializedPageReader::new(Arc::new(Bytes::from(chunk)), &metadata, num_values as usize, None).expect("readable")
    }

    proptest! {
        /// What is written is what the crate reads.
        #[test]
        fn the_crate_reads_the_pages(
            entries in prop::collection::vec(any::<u8>(), 1..300),
            pages in prop::collection::vec((prop::collection::vec(any::<u8>(), 1..300), 1..20_000u32), 1..5),
        ) {
            let mut chunk = Vec::new();
            let mut writer = CheckedPages::new(&mut chunk);
            writer.write_page(dictionary(&entries, 7)).expect("in memory");
            let mut next = 0;
            for (bytes, num_values) in &pages {
                let spec = writer.write_page(data(bytes, *num_values)).expect("in memory");
                prop_assert!(spec.offset > next && spec.bytes_written as usize == spec.compressed_size);
                next = spec.offset;
            }
            let mut reader = crate_reader(chunk, pages.iter().map(|(_, num_values)| i64::from(*num_values)).sum());
            let first = reader.get_next_page().expect("well-formed").expect("there");
            prop_assert_eq!((first.buffer().as_ref(), first.num_values(), first.encoding()), (&entries[..], 7, Encoding::PLAIN));
            for (bytes, num_values) in &pages {
                let page = reader.get_next_page().expect("well-formed").expect("there");
                prop_assert_eq!((page.buffer().as_ref(), page.num_values()), (&bytes[..], *num_values));
            }
        }
    }
}
