//! Fast decoding of the column chunks of a block's Parquet file into plain vectors.
//!
//! Files are written by this server: flat schema, columns required or optional, data pages of version 1, an offset index, row groups
//! of about 128k rows in pages of about 8k rows. [`ColumnReader`] stands for one column chunk of one row group. It does no IO: it says
//! which bytes of the file it needs, the caller fetches them into [`FetchedRanges`], and the reader decodes or selects from these.
//!
//! ```text
//! footer, offset index -> ColumnReader -> byte ranges -> (fetch) -> FetchedRanges -> pages: header, decompress -> levels -> present rows
//!                                                                                                               -> values -> vectors, or rows that pass
//! ```
//!
//! The page layer of the `parquet` crate is not used on purpose: it makes a new zstd compressor and decompressor for every column
//! reader (18 µs, which is more than decoding a page takes), allocates whatever a page header claims (up to 2 GiB), and asserts on negative
//! offsets. Only its footer and page index parsers are used, by the caller.
//!
//! Nothing read from the file is trusted: bad lengths, counts, offsets and codes end as [`ReadErrorKind::CorruptPage`], and no buffer grows
//! beyond what declared rows (at most [`MAX_ROWS`] a row group) and bytes justify.

mod bits;
mod chunk_bytes;
mod column;
mod decompress;
mod delta;
mod error;
mod header;
mod integers;
mod layout;
mod levels;
mod page;
mod plain;
mod rle;
mod select;
mod shared;
mod statistics;
mod unpack;
mod values;
mod varint;

#[cfg(test)]
mod tests;

pub use chunk_bytes::FetchedRanges;
pub use column::ColumnReader;
pub use error::{ReadError, ReadErrorKind};
pub use layout::MAX_ROWS;
pub use shared::{SharedPage, SharedPages};
pub use values::{Decoded, DecodedValues, Dictionary, StringTable};
