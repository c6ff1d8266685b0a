//! Bodies of HTTP requests: from the bytes on the wire to the bytes the sender meant.
//!
//! Memory rule: no more than the limit is held for a decompressed body, whatever the compressed one claims or unfolds to.
//! Every decoder is therefore read in chunks into a buffer that grows up to the limit and never beyond. On top of it come
//! the decoders' own windows: 8 MiB or less, for zstd up to the larger of 8 MiB and the limit.

use std::io::{ErrorKind, Read};

use bytes::Bytes;
use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

/// How a body is compressed, as named by `Content-Encoding` (spec/ingest.md §1.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Not compressed.
    Identity,
    /// RFC 1952, one member or several.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// RFC 1950.
    Zlib,
    /// RFC 1950 as HTTP wants it, or bare RFC 1951 as many senders understand the name.
    Deflate,
    /// The block format, or the framed one when the body starts with its magic.
    Snappy,
    /// The framed format.
    SnappyFramed,
    /// The LZ4 frame format.
    Lz4,
}

/// Why a body could not be decompressed.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// An encoding we do not know, by its name in the header.
    #[error("unsupported Content-Encoding: {0}")]
    Unsupported(String),
    /// The body is larger than the limit, compressed or decompressed.
    #[error("http: request body too large")]
    TooLarge,
    /// The body is not what its encoding says.
    #[error("{}: {source}", encoding.name())]
    Broken {
        /// The encoding that was expected.
        encoding: Encoding,
        /// What the decoder found.
        source: std::io::Error,
    },
}

impl Encoding {
    /// The encoding named by a `Content-Encoding` header; no header and an empty one mean [`Encoding::Identity`].
    ///
    /// The case of the name does not matter.
    ///
    /// # Errors
    ///
    /// [`BodyError::Unsupported`] for any other name and for lists of names.
    pub fn from_header(value: Option<&str>) -> Result<Self, BodyError> {
        let name = value.unwrap_or_default().trim();
        match name.to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(Encoding::Identity),
            "gzip" => Ok(Encoding::Gzip),
            "zstd" => Ok(Encoding::Zstd),
            "zlib" => Ok(Encoding::Zlib),
            "deflate" => Ok(Encoding::Deflate),
            "snappy" => Ok(Encoding::Snappy),
            "x-snappy-framed" => Ok(Encoding::SnappyFramed),
            "lz4" => Ok(Encoding::Lz4),
            _ => Err(BodyError::Unsupported(name.to_owned())),
        }
    }

    /// The name in the header.
    pub fn name(self) -> &'static str {
        match self {
            Encoding::Identity => "identity",
            Encoding::Gzip => "gzip",
            Encoding::Zstd => "zstd",
            Encoding::Zlib => "zlib",
            Encoding::Deflate => "deflate",
            Encoding::Snappy => "snappy",
            Encoding::SnappyFramed => "x-snappy-framed",
            Encoding::Lz4 => "lz4",
        }
    }
}

/// The decompressed body; an uncompressed one is handed through without a copy.
///
/// `limit` counts bytes and holds for the compressed and for the decompressed body (spec/ingest.md §1.2).
///
/// # Errors
///
/// [`BodyError::TooLarge`] when either form exceeds the limit, [`BodyError::Broken`] when the body is not in its encoding.
pub fn decompress(encoding: Encoding, body: Bytes, limit: usize) -> Result<Bytes, BodyError> {
    if body.len() > limit {
        return Err(BodyError::TooLarge);
    }
    match encoding {
        Encoding::Identity => Ok(body),
        Encoding::Gzip => read_bounded(encoding, MultiGzDecoder::new(&body[..]), limit),
        Encoding::Zlib => read_bounded(encoding, ZlibDecoder::new(&body[..]), limit),
        Encoding::Deflate if has_zlib_header(&body) => read_bounded(encoding, ZlibDecoder::new(&body[..]), limit),
        Encoding::Deflate => read_bounded(encoding, DeflateDecoder::new(&body[..]), limit),
        Encoding::Zstd => read_zstd(&body, limit),
        Encoding::Snappy if !body.starts_with(SNAPPY_STREAM_START) => read_snappy_block(&body, limit),
        Encoding::Snappy | Encoding::SnappyFramed => read_bounded(encoding, snap::read::FrameDecoder::new(&body[..]), limit),
        Encoding::Lz4 => read_bounded(encoding, lz4_flex::frame::FrameDecoder::new(&body[..]), limit),
    }
}

/// The stream identifier chunk that every framed snappy stream starts with.
const SNAPPY_STREAM_START: &[u8] = b"\xff\x06\x00\x00sNaPpY";

/// How much is read from a decoder at once.
const CHUNK_BYTES: usize = 16 * 1024;

/// zstd senders may rely on windows of this size (RFC 8878 §3.1.1.1.2), as a power of two.
const ZSTD_WINDOW_LOG_FLOOR: u32 = 23;

/// True if the first two bytes are a zlib header: method 8, and a check sum that a bare deflate stream has by chance only.
fn has_zlib_header(body: &[u8]) -> bool {
    match body {
        [method_and_window, flags, ..] => {
            method_and_window & 0x0f == 8 && u16::from_be_bytes([*method_and_window, *flags]).is_multiple_of(31)
        }
        _ => false,
    }
}

fn read_zstd(body: &[u8], limit: usize) -> Result<Bytes, BodyError> {
    let broken = |source| BodyError::Broken { encoding: Encoding::Zstd, source };
    let mut decoder = zstd::stream::read::Decoder::with_buffer(body).map_err(broken)?;
    // The window is allocated on the word of the frame header, so its size is bounded before reading.
    let window_log = limit.max(1).ilog2().clamp(ZSTD_WINDOW_LOG_FLOOR, 30);
    decoder.window_log_max(window_log).map_err(broken)?;
    read_bounded(Encoding::Zstd, decoder, limit)
}

fn read_snappy_block(body: &[u8], limit: usize) -> Result<Bytes, BodyError> {
    let broken = |error: snap::Error| BodyError::Broken { encoding: Encoding::Snappy, source: error.into() };
    // The block names its decompressed length up front; it is allocated only when the limit allows.
    if snap::raw::decompress_len(body).map_err(broken)? > limit {
        return Err(BodyError::TooLarge);
    }
    snap::raw::Decoder::new().decompress_vec(body).map(Bytes::from).map_err(broken)
}

/// Everything `decoder` yields, unless that is more than `limit` bytes.
fn read_bounded(encoding: Encoding, mut decoder: impl Read, limit: usize) -> Result<Bytes, BodyError> {
    let mut decompressed = Vec::new();
    let mut chunk = [0; CHUNK_BYTES];
    loop {
        match decoder.read(&mut chunk) {
            Ok(0) => return Ok(Bytes::from(decompressed)),
            Ok(num_read) if num_read > limit - decompressed.len() => return Err(BodyError::TooLarge),
            Ok(num_read) => append_bounded(&mut decompressed, &chunk[..num_read], limit),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(source) => return Err(BodyError::Broken { encoding, source }),
        }
    }
}

/// Appends bytes that fit the limit, doubling the capacity as a `Vec` would but not past the limit.
fn append_bounded(buffer: &mut Vec<u8>, bytes: &[u8], limit: usize) {
    let needed = buffer.len() + bytes.len();
    if needed > buffer.capacity() {
        let capacity = needed.max(buffer.capacity() * 2).min(limit);
        buffer.reserve_exact(capacity - buffer.len());
    }
    buffer.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests;
