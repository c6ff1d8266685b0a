//! Page payloads out of their compression.
//!
//! A zstd context costs 18 µs to make, a page buffer a round of page faults: both are kept per thread and used for one column after
//! another.

use super::error::ReadError;
use parquet::basic::Compression;
use std::cell::Cell;
use zstd::bulk::Decompressor;

/// A buffer larger than this is not kept for the next column.
const MAX_KEPT_BYTES: usize = 4 << 20;

/// Highest ratios that the codecs can reach: in LZ4 a byte of match length stands for 255 bytes, in zstd a block of four bytes for
/// 128 KiB.
const MAX_LZ4_RATIO: usize = 255;
const MAX_ZSTD_RATIO: usize = 32 << 10;

/// Compression of a column chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    Uncompressed,
    Lz4,
    Zstd,
}

impl Codec {
    /// Error: `Unsupported` for a codec that blocks never use.
    pub(super) fn new(compression: Compression) -> Result<Self, ReadError> {
        match compression {
            Compression::UNCOMPRESSED => Ok(Self::Uncompressed),
            Compression::LZ4_RAW => Ok(Self::Lz4),
            Compression::ZSTD(_) => Ok(Self::Zstd),
            other => Err(ReadError::unsupported(format!("codec {other}"))),
        }
    }

    /// The most bytes that so many compressed ones can become.
    fn max_uncompressed_len(self, compressed_len: usize) -> usize {
        match self {
            Self::Uncompressed => compressed_len,
            Self::Lz4 => compressed_len.saturating_mul(MAX_LZ4_RATIO),
            Self::Zstd => compressed_len.saturating_mul(MAX_ZSTD_RATIO),
        }
    }
}

/// What decompression keeps from page to page.
#[derive(Default)]
pub(super) struct Workspace {
    zstd: Option<Decompressor<'static>>,
    /// Only grows, so that it is filled with zeros once and not for every page.
    buffer: Vec<u8>,
}

thread_local! {
    static KEPT: Cell<Option<Workspace>> = const { Cell::new(None) };
}

impl Workspace {
    /// Lends this thread's workspace. A nested call (a predicate that decodes another column) gets a fresh one.
    pub(super) fn lend<T>(work: impl FnOnce(&mut Workspace) -> T) -> T {
        let mut workspace = KEPT.take().unwrap_or_default();
        let result = work(&mut workspace);
        if workspace.buffer.len() > MAX_KEPT_BYTES {
            workspace.buffer = Vec::new();
        }
        KEPT.set(Some(workspace));
        result
    }

    /// The payload of a page: `compressed` itself if the chunk is not compressed.
    ///
    /// Error: `CorruptPage` if it does not decompress to exactly `uncompressed_len` bytes.
    pub(super) fn payload<'a>(&'a mut self, codec: Codec, compressed: &'a [u8], uncompressed_len: usize) -> Result<&'a [u8], ReadError> {
        if codec == Codec::Uncompressed {
            return Ok(compressed);
        }
        if uncompressed_len == 0 {
            return Ok(&[]);
        }
        if uncompressed_len > codec.max_uncompressed_len(compressed.len()) {
            return Err(ReadError::corrupt(format!("{} bytes cannot hold {uncompressed_len}", compressed.len())));
        }
        let Self { zstd, buffer } = self;
        if buffer.len() < uncompressed_len {
            buffer.clear();
            buffer.try_reserve_exact(uncompressed_len).map_err(|_| ReadError::corrupt(format!("page of {uncompressed_len} bytes")))?;
            buffer.resize(uncompressed_len, 0);
        }
        let output = &mut buffer[..uncompressed_len];
        let written = match codec {
            Codec::Lz4 => {
                lz4_flex::block::decompress_into(compressed, output).map_err(|error| ReadError::corrupt(format!("lz4: {error}")))?
            }
            _ => decompress_zstd(zstd, compressed, output)?,
        };
        if written != uncompressed_len {
            return Err(ReadError::corrupt(format!("page of {written} bytes where {uncompressed_len} were declared")));
        }
        Ok(&buffer[..uncompressed_len])
    }
}

fn decompress_zstd(context: &mut Option<Decompressor<'static>>, compressed: &[u8], output: &mut [u8]) -> Result<usize, ReadError> {
    let failed = |error: std::io::Error| ReadError::corrupt(format!("zstd: {error}"));
    let context = match context {
        Some(context) => context,
        None => context.insert(Decompressor::new().map_err(failed)?),
    };
    context.decompress_to_buffer(compressed, output).map_err(failed)
}
