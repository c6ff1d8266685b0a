//! Record framing.
//!
//! A record is a 28-byte header, the tenant's name and the payload. All numbers are little-endian.
//!
//! | offset | bytes | field | written by |
//! |---|---|---|---|
//! | 0 | 4 | CRC32C of bytes 4..28 | writer thread |
//! | 4 | 4 | payload length as stored | caller |
//! | 8 | 8 | sequence number, 1..2^63 | writer thread |
//! | 16 | 4 | payload length before compression, at most 64 MiB | caller |
//! | 20 | 4 | CRC32C of tenant and stored payload | caller |
//! | 24 | 1 | version, 2 | caller |
//! | 25 | 1 | flags: 0 payload is raw, 2 payload is a snappy block; no other value | caller |
//! | 26 | 2 | tenant length, 1..=150 | caller |
//! | 28 | … | tenant | caller |
//! | … | … | payload | caller |
//!
//! Two checksums, because the expensive one covers what the caller's thread already has in its cache, and the writer
//! thread, of which there is one, only checksums the 24 bytes that it patches. The first one covers the second, so every
//! bit of a record is covered; it also makes the lengths trustworthy before a byte is allocated for them.
//! Version 1 had lz4 (flag 1) instead of snappy, and is read: lz4 makes records a tenth smaller and takes half as long again (both
//! crates over the requests that `tracebench write` makes), which was a ninth of what an ingest costs (docs/performance.md).
//! A later version keeps bytes 0..28 as they are up to the version byte, so that an older server can name what it refuses.

use std::cell::RefCell;

use snap::raw::{Decoder, Encoder, decompress_len, max_compress_len};

use super::error::WalError;
use crate::model::TenantId;

/// Largest payload, before compression, that one record takes: 64 MiB.
pub const MAX_RAW_BYTES: usize = 64 << 20;

/// Sequence and segment numbers stay below this, so that "one more" never overflows, whatever a damaged file says.
pub(super) const NUMBER_LIMIT: u64 = 1 << 63;

pub(super) const HEADER_BYTES: usize = 28;
pub(super) const VERSION: u8 = 2;
/// The version with lz4.
const FIRST_VERSION: u8 = 1;
const MAX_TENANT_BYTES: usize = 150;
const CODEC_RAW: u8 = 0;
const CODEC_LZ4: u8 = 1;
const CODEC_SNAPPY: u8 = 2;
/// A scratch buffer that is larger than this is given back after use.
const SCRATCH_KEPT_BYTES: usize = 4 << 20;

/// One record, compressed and ready to be written; it lacks only its sequence number.
#[derive(Debug)]
pub struct Frame {
    bytes: Vec<u8>,
    raw_bytes: u32,
}

impl Frame {
    /// Frames `raw` for `tenant`: with snappy if that is smaller, as it is if not. CPU work below 1 ms per MiB, done on
    /// the calling thread with buffers that the thread keeps.
    ///
    /// # Errors
    /// [`WalError::TooLarge`] if `raw` is larger than [`MAX_RAW_BYTES`].
    pub fn encode(tenant: &TenantId, raw: &[u8]) -> Result<Frame, WalError> {
        let too_large = || WalError::TooLarge { bytes: raw.len(), max_bytes: MAX_RAW_BYTES };
        if raw.len() > MAX_RAW_BYTES {
            return Err(too_large());
        }
        let raw_bytes = u32::try_from(raw.len()).map_err(|_| too_large())?;
        let bytes = SCRATCH.with_borrow_mut(|scratch| {
            let bytes = match scratch.compress(raw) {
                Some(packed) => assemble(tenant, raw_bytes, CODEC_SNAPPY, packed),
                None => assemble(tenant, raw_bytes, CODEC_RAW, raw),
            };
            scratch.shrink();
            bytes
        });
        Ok(Frame { bytes, raw_bytes })
    }

    /// Payload bytes before compression.
    pub fn raw_bytes(&self) -> usize {
        self.raw_bytes as usize
    }

    /// Bytes that the record takes in a segment, header included.
    pub fn stored_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Gives the record its number; the bytes are complete afterwards.
    pub(super) fn seal(&mut self, sequence: u64) {
        self.bytes[8..16].copy_from_slice(&sequence.to_le_bytes());
        let checksum = crc32c::crc32c(&self.bytes[4..HEADER_BYTES]);
        self.bytes[0..4].copy_from_slice(&checksum.to_le_bytes());
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Everything but sequence and header checksum, which [`Frame::seal`] adds.
fn assemble(tenant: &TenantId, raw_bytes: u32, codec: u8, payload: &[u8]) -> Vec<u8> {
    let name = tenant.as_str().as_bytes();
    let body_checksum = crc32c::crc32c_append(crc32c::crc32c(name), payload);
    let mut bytes = Vec::with_capacity(HEADER_BYTES + name.len() + payload.len());
    bytes.extend_from_slice(&[0; 4]);
    // Not larger than `raw_bytes`, which fits; a tenant name has 150 bytes at most.
    bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend_from_slice(&raw_bytes.to_le_bytes());
    bytes.extend_from_slice(&body_checksum.to_le_bytes());
    bytes.extend_from_slice(&[VERSION, codec]);
    bytes.extend_from_slice(&(name.len() as u16).to_le_bytes());
    bytes.extend_from_slice(name);
    bytes.extend_from_slice(payload);
    bytes
}

/// What compression needs and what is dear to allocate per record: the output may be larger than the input, and glibc
/// answers such sizes with fresh zero pages each time.
struct Scratch {
    encoder: Encoder,
    output: Vec<u8>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch { encoder: Encoder::new(), output: Vec::new() });
}

impl Scratch {
    /// The snappy block of `raw`, or nothing if it is not smaller.
    fn compress(&mut self, raw: &[u8]) -> Option<&[u8]> {
        let bound = max_compress_len(raw.len());
        if self.output.len() < bound {
            self.output.resize(bound, 0);
        }
        let packed = self.encoder.compress(raw, &mut self.output).ok()?;
        (packed < raw.len()).then(|| &self.output[..packed])
    }

    /// One large record must not cost its size in every thread for ever.
    fn shrink(&mut self) {
        if self.output.len() > SCRATCH_KEPT_BYTES {
            self.output = Vec::new();
        }
    }
}

/// Why bytes are not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The file ends inside the record.
    #[error("the file ends inside a record")]
    Torn,
    /// Zeros where a header should be: space that the file system gave to the file before its data arrived.
    #[error("zeros instead of a record")]
    Zeros,
    /// The header does not match its checksum.
    #[error("the checksum of a record header is wrong")]
    HeaderChecksum,
    /// The header is intact, but says something impossible.
    #[error("a record header holds an impossible value")]
    Header,
    /// A number that is not above the one of the record before: a piece of the file lies in the wrong place.
    #[error("the records are out of order")]
    Order,
    /// Tenant or payload do not match their checksum.
    #[error("the checksum of a record is wrong")]
    BodyChecksum,
    /// The tenant's name is against the rules, although its checksum is right.
    #[error("the tenant of a record is against the rules")]
    Tenant,
    /// The payload does not decompress to the length that the header names, although its checksum is right.
    #[error("a record does not decompress")]
    Compression,
    /// Bytes that match their checksum and are no spans: a defect of whoever wrote or reads them.
    #[error("the spans of a record cannot be decoded")]
    Payload,
    /// The header is intact and of another format. Not damage: see `ReplayError::UnknownVersion`.
    #[error("a record has format version {0}, which this server does not know")]
    UnknownVersion(u8),
}

/// A record's header, checked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    pub(super) sequence: u64,
    stored_bytes: usize,
    raw_bytes: usize,
    body_checksum: u32,
    codec: u8,
    tenant_bytes: usize,
}

impl Header {
    /// Checks everything that can be checked without the body; lengths in the result are safe to allocate.
    pub(super) fn parse(bytes: &[u8; HEADER_BYTES]) -> Result<Header, Damage> {
        if bytes.iter().all(|byte| *byte == 0) {
            return Err(Damage::Zeros);
        }
        if crc32c::crc32c(&bytes[4..]) != u32_at(bytes, 0) {
            return Err(Damage::HeaderChecksum);
        }
        if !(FIRST_VERSION..=VERSION).contains(&bytes[24]) {
            return Err(Damage::UnknownVersion(bytes[24]));
        }
        let header = Header {
            sequence: u64::from(u32_at(bytes, 8)) | u64::from(u32_at(bytes, 12)) << 32,
            stored_bytes: u32_at(bytes, 4) as usize,
            raw_bytes: u32_at(bytes, 16) as usize,
            body_checksum: u32_at(bytes, 20),
            codec: bytes[25],
            tenant_bytes: usize::from(u16::from_le_bytes([bytes[26], bytes[27]])),
        };
        if header.is_possible(bytes[24]) { Ok(header) } else { Err(Damage::Header) }
    }

    fn is_possible(&self, version: u8) -> bool {
        let lengths_fit_codec = match (version, self.codec) {
            (_, CODEC_RAW) => self.stored_bytes == self.raw_bytes,
            (FIRST_VERSION, CODEC_LZ4) | (VERSION, CODEC_SNAPPY) => self.stored_bytes < self.raw_bytes,
            _ => false,
        };
        lengths_fit_codec
            && self.raw_bytes <= MAX_RAW_BYTES
            && (1..=MAX_TENANT_BYTES).contains(&self.tenant_bytes)
            && (1..NUMBER_LIMIT).contains(&self.sequence)
    }

    /// Bytes of tenant and stored payload, which follow the header.
    pub(super) fn body_bytes(&self) -> usize {
        self.tenant_bytes + self.stored_bytes
    }

    /// The tenant's name and the raw payload of `body`; `raw` is only the place to decompress into.
    pub(super) fn open_body<'a>(&self, body: &'a [u8], raw: &'a mut Vec<u8>) -> Result<(&'a str, &'a [u8]), Damage> {
        if body.len() != self.body_bytes() {
            return Err(Damage::Torn);
        }
        if crc32c::crc32c(body) != self.body_checksum {
            return Err(Damage::BodyChecksum);
        }
        let (tenant, stored) = body.split_at(self.tenant_bytes);
        let tenant = std::str::from_utf8(tenant).map_err(|_| Damage::Tenant)?;
        if self.codec == CODEC_RAW {
            return Ok((tenant, stored));
        }
        raw.resize(self.raw_bytes, 0);
        match self.decompress(stored, raw) {
            Some(length) if length == self.raw_bytes => Ok((tenant, raw)),
            _ => Err(Damage::Compression),
        }
    }

    fn decompress(&self, stored: &[u8], raw: &mut [u8]) -> Option<usize> {
        match self.codec {
            CODEC_LZ4 => lz4_flex::block::decompress_into(stored, raw).ok(),
            _ if decompress_len(stored).ok()? == raw.len() => Decoder::new().decompress(stored, raw).ok(),
            _ => None,
        }
    }
}

fn u32_at(bytes: &[u8; HEADER_BYTES], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(bytes: &[u8]) -> Result<(u64, String, Vec<u8>), Damage> {
        let (header, body) = bytes.split_first_chunk().ok_or(Damage::Torn)?;
        let header = Header::parse(header)?;
        let mut raw = Vec::new();
        let (tenant, payload) = header.open_body(body, &mut raw)?;
        Ok((header.sequence, tenant.to_string(), payload.to_vec()))
    }

    fn payload() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..2000),
            (any::<u8>(), 0usize..100_000).prop_map(|(byte, length)| vec![byte; length]),
            ("[a-z]{1,20}", 0usize..5000).prop_map(|(word, times)| word.repeat(times).into_bytes()),
        ]
    }

    fn sealed(tenant: &str, raw: &[u8], sequence: u64) -> Vec<u8> {
        let tenant = TenantId::parse(tenant).expect("a tenant name");
        let mut frame = Frame::encode(&tenant, raw).expect("small enough");
        frame.seal(sequence);
        frame.as_bytes().to_vec()
    }

    #[test]
    fn text_shrinks_and_noise_does_not_grow() {
        let text = "checkout /cart 200 ".repeat(1000);
        assert!(sealed("a", text.as_bytes(), 1).len() < text.len() / 10);
        let noise: Vec<u8> = (0u32..1000).flat_map(|n| crc32c::crc32c(&n.to_le_bytes()).to_le_bytes()).collect();
        assert_eq!(sealed("a", &noise, 1).len(), HEADER_BYTES + 1 + noise.len());
    }

    #[test]
    fn too_large_is_refused_before_work() {
        let raw = vec![0; MAX_RAW_BYTES + 1];
        let error = Frame::encode(&TenantId::single(), &raw).expect_err("one byte too many");
        assert!(!error.is_retryable());
        assert!(Frame::encode(&TenantId::single(), &raw[1..]).is_ok());
    }

    #[test]
    fn layout_is_pinned() {
        let bytes = sealed("ab", b"xyz", 0x0102);
        assert_eq!(bytes[4..20], [3, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0]);
        assert_eq!(bytes[20..24], crc32c::crc32c(b"abxyz").to_le_bytes());
        assert_eq!(&bytes[24..], b"\x02\x00\x02\x00abxyz");
        assert_eq!(bytes[0..4], crc32c::crc32c(&bytes[4..28]).to_le_bytes());
    }

    #[test]
    fn records_of_the_first_version_are_read() {
        let raw = "checkout /cart 200 ".repeat(100).into_bytes();
        let mut bytes = assemble(&TenantId::single(), raw.len() as u32, CODEC_LZ4, &lz4_flex::block::compress(&raw));
        bytes[8] = 7;
        bytes[24] = FIRST_VERSION;
        let checksum = crc32c::crc32c(&bytes[4..HEADER_BYTES]);
        bytes[0..4].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(decode(&bytes), Ok((7, TenantId::single().to_string(), raw)));
    }

    #[test]
    fn intact_but_impossible_headers_are_damage() {
        let spoil = |at: usize, value: u8| {
            let mut bytes = sealed("ab", b"xyz", 7);
            bytes[at] = value;
            let checksum = crc32c::crc32c(&bytes[4..HEADER_BYTES]);
            bytes[0..4].copy_from_slice(&checksum.to_le_bytes());
            decode(&bytes).expect_err("spoilt")
        };
        assert_eq!(spoil(24, 3), Damage::UnknownVersion(3));
        assert_eq!(spoil(24, 0), Damage::UnknownVersion(0));
        assert_eq!(spoil(25, 1), Damage::Header);
        assert_eq!(spoil(25, 2), Damage::Header);
        assert_eq!(spoil(27, 1), Damage::Header);
        assert_eq!(spoil(15, 0x80), Damage::Header);
        assert_eq!(spoil(8, 0), Damage::Header);
        assert_eq!(spoil(7, 0xff), Damage::Header);
        assert_eq!(spoil(4, 4), Damage::Header);
        assert_eq!(decode(&[0; 40]).expect_err("zeros"), Damage::Zeros);
    }

    proptest! {
        #[test]
        fn round_trip(tenant in "[a-zA-Z0-9_-]{1,150}", raw in payload(), sequence in 1u64..NUMBER_LIMIT) {
            let bytes = sealed(&tenant, &raw, sequence);
            prop_assert_eq!(decode(&bytes), Ok((sequence, tenant, raw)));
        }

        #[test]
        fn a_flipped_bit_is_noticed(tenant in "[a-z]{1,20}", raw in payload(), sequence in 1u64..NUMBER_LIMIT, at: prop::sample::Index) {
            let mut bytes = sealed(&tenant, &raw, sequence);
            let bit = at.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(decode(&bytes).is_err());
        }

        #[test]
        fn any_bytes_are_safe(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(decode(&bytes).is_err());
        }
    }
}
