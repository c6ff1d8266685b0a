//! Segment files: names, the file header, and reading one record after the other.
//!
//! `<dir>/<segment number, 16 hex digits>.wal` starts with 16 bytes; records follow without gaps.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | `CONMOWAL` |
//! | 8 | 4 | format version, 1, little-endian |
//! | 12 | 4 | CRC32C of bytes 0..12, little-endian |
//!
//! The checksum tells a version that this server does not know (it refuses to start) from a damaged header (it sets the
//! file aside). Names that end in `.corrupt` are kept for people and never read again.

use std::io::{self, BufReader, IoSlice, Read};
use std::path::{Path, PathBuf};

use super::files::{WalFile, WalFiles, write_fully};
use super::frame::{Damage, HEADER_BYTES, Header, NUMBER_LIMIT};
use crate::model::TenantId;

/// Bytes before the first record.
pub(super) const FILE_HEADER_BYTES: u64 = 16;
const MAGIC: &[u8; 8] = b"CONMOWAL";
const FORMAT_VERSION: u32 = 1;
const SUFFIX: &str = ".wal";
const CORRUPT_SUFFIX: &str = ".corrupt";
const READ_BUFFER_BYTES: usize = 256 << 10;

/// Where segment `number` lies.
pub(super) fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:016x}{SUFFIX}"))
}

/// The name under which a file is set aside: its own with `.corrupt` after it.
pub(super) fn corrupt_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(CORRUPT_SUFFIX);
    name.into()
}

/// Where the cut tail of segment `number` is kept, if it seems to hold records.
pub(super) fn tail_path(dir: &Path, number: u64, offset: u64) -> PathBuf {
    dir.join(format!("{number:016x}{SUFFIX}.{offset:x}{CORRUPT_SUFFIX}"))
}

/// What a directory holds of the log.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Segments to be replayed, ascending.
    pub(super) segments: Vec<u64>,
    /// The highest number that any segment has or had as far as the names tell, those set aside included; 0 if there is none.
    pub(super) highest: u64,
}

/// Reads the names in `dir`.
pub(super) fn list(names: &[String]) -> Listing {
    let mut listing = Listing::default();
    for (number, rest) in names.iter().filter_map(|name| parse_name(name)) {
        listing.highest = listing.highest.max(number);
        if rest.is_empty() {
            listing.segments.push(number);
        }
    }
    listing.segments.sort_unstable();
    listing
}

/// True of a segment that was set aside because of damage; not of a piece that was cut off a torn end.
pub(super) fn is_set_aside(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.and_then(parse_name).is_some_and(|(_, rest)| rest == CORRUPT_SUFFIX)
}

/// The number in a name, and what follows `.wal`.
fn parse_name(name: &str) -> Option<(u64, &str)> {
    let (digits, rest) = name.split_once(SUFFIX)?;
    let is_ours = digits.len() == 16 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let number = u64::from_str_radix(digits, 16).ok()?;
    (is_ours && number < NUMBER_LIMIT && (rest.is_empty() || rest.ends_with(CORRUPT_SUFFIX))).then_some((number, rest))
}

fn file_header() -> [u8; FILE_HEADER_BYTES as usize] {
    let mut header = [0; FILE_HEADER_BYTES as usize];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    let checksum = crc32c::crc32c(&header[..12]);
    header[12..].copy_from_slice(&checksum.to_le_bytes());
    header
}

/// Creates segment `number`; when this returns, a power loss leaves it there with its header.
pub(super) fn create(files: &dyn WalFiles, dir: &Path, number: u64) -> io::Result<Box<dyn WalFile>> {
    let path = path(dir, number);
    // A file of that name is not ours to clean up: whatever it is, this must fail and leave it alone.
    let mut file = files.create(&path)?;
    match write_header(files, dir, file.as_mut()) {
        Ok(()) => Ok(file),
        Err(error) => {
            // Best effort: replay removes what is left of a segment without a whole header.
            let _ = files.remove(&path);
            Err(error)
        }
    }
}

fn write_header(files: &dyn WalFiles, dir: &Path, file: &mut dyn WalFile) -> io::Result<()> {
    write_fully(file, &mut [IoSlice::new(&file_header())])?;
    file.sync_data()?;
    files.sync_dir(dir)
}

/// What the first bytes of a file say.
pub(super) enum Opened {
    /// A segment; records can be read.
    Ready(SegmentReader),
    /// The crash came while the header was written: the file never held a record.
    HeaderTorn,
    /// Not a segment, or one whose header was damaged.
    Foreign,
    /// A whole header of a format that this server does not know.
    UnknownVersion(u32),
}

/// Opens segment `number` for reading.
pub(super) fn open(files: &dyn WalFiles, dir: &Path, number: u64) -> io::Result<Opened> {
    let file = files.open(&path(dir, number))?;
    let length = file.length()?;
    let mut input = BufReader::with_capacity(READ_BUFFER_BYTES, file);
    let mut start = Vec::with_capacity(FILE_HEADER_BYTES as usize);
    input.by_ref().take(FILE_HEADER_BYTES).read_to_end(&mut start)?;
    let expected = file_header();
    if start == expected {
        return Ok(Opened::Ready(SegmentReader { input, length, offset: FILE_HEADER_BYTES, last_sequence: 0 }));
    }
    let Some(whole) = start.first_chunk::<{ FILE_HEADER_BYTES as usize }>() else {
        let is_torn = expected.starts_with(&start) || start.iter().all(|byte| *byte == 0);
        return Ok(if is_torn { Opened::HeaderTorn } else { Opened::Foreign });
    };
    if length == FILE_HEADER_BYTES && whole.iter().all(|byte| *byte == 0) {
        return Ok(Opened::HeaderTorn);
    }
    let version = u32::from_le_bytes([whole[8], whole[9], whole[10], whole[11]]);
    let checksum = u32::from_le_bytes([whole[12], whole[13], whole[14], whole[15]]);
    let is_ours = whole.starts_with(MAGIC) && crc32c::crc32c(&whole[..12]) == checksum;
    Ok(if is_ours { Opened::UnknownVersion(version) } else { Opened::Foreign })
}

/// Space for one record, used again for the next.
#[derive(Default)]
pub(super) struct Buffers {
    body: Vec<u8>,
    raw: Vec<u8>,
    /// That of the record before, which is mostly that of the next.
    tenant: Option<TenantId>,
}

/// A record as it lies in the buffers.
pub(super) struct Record<'a> {
    pub(super) sequence: u64,
    pub(super) tenant: &'a TenantId,
    pub(super) payload: &'a [u8],
}

/// What comes next in a segment.
pub(super) enum Next<'a> {
    /// A good record.
    Record(Record<'a>),
    /// Something that is not a good record; it starts at [`SegmentReader::offset`]. Where another one starts is not known.
    Bad(Damage),
    /// A record whose contents are damaged, from here on; its header is not, so reading goes on behind it.
    Skipped(u64, Damage),
    /// The end, exactly after a record.
    End,
}

/// Reads a segment from its first record on.
pub(super) struct SegmentReader {
    input: BufReader<Box<dyn WalFile>>,
    length: u64,
    offset: u64,
    last_sequence: u64,
}

impl SegmentReader {
    /// Where the records read so far end, in bytes from the start of the file.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Length of the file when it was opened, in bytes.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Number of the last record, read or skipped; 0 before the first.
    pub(super) fn last_sequence(&self) -> u64 {
        self.last_sequence
    }

    /// Goes on behind a record that an earlier reader has read: it ended at `offset` and had this number.
    pub(super) fn skip_to(&mut self, offset: u64, last_sequence: u64) -> io::Result<()> {
        let skipped = io::copy(&mut self.input.by_ref().take(offset.saturating_sub(self.offset)), &mut io::sink())?;
        (self.offset, self.last_sequence) = (self.offset + skipped, last_sequence);
        Ok(())
    }

    /// Reads one record. After `Bad` or `End` it must not be called again.
    ///
    /// # Errors
    /// Only those of reading; they say nothing about the contents.
    pub(super) fn next<'a>(&mut self, buffers: &'a mut Buffers) -> io::Result<Next<'a>> {
        let left = self.length - self.offset;
        if left == 0 {
            return Ok(Next::End);
        }
        if left < HEADER_BYTES as u64 {
            return Ok(Next::Bad(Damage::Torn));
        }
        let mut header = [0; HEADER_BYTES];
        self.input.read_exact(&mut header)?;
        let header = match Header::parse(&header) {
            Ok(header) if header.sequence <= self.last_sequence => return Ok(Next::Bad(Damage::Order)),
            Ok(header) => header,
            Err(damage) => return Ok(Next::Bad(damage)),
        };
        let record_bytes = (HEADER_BYTES + header.body_bytes()) as u64;
        if left < record_bytes {
            return Ok(Next::Bad(Damage::Torn));
        }
        let Buffers { body, raw, tenant } = buffers;
        body.resize(header.body_bytes(), 0);
        self.input.read_exact(body)?;
        let start = self.offset;
        self.offset += record_bytes;
        self.last_sequence = header.sequence;
        let (name, payload) = match header.open_body(body, raw) {
            Ok(opened) => opened,
            Err(damage) => return Ok(Next::Skipped(start, damage)),
        };
        if tenant.as_ref().is_none_or(|known| known.as_str() != name) {
            *tenant = TenantId::parse(name).ok();
        }
        let Some(tenant) = tenant else {
            return Ok(Next::Skipped(start, Damage::Tenant));
        };
        Ok(Next::Record(Record { sequence: header.sequence, tenant, payload }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_strict() {
        let names = ["00000000000000ff.wal", "0000000000000002.wal", "00000000000001ff.wal.corrupt", "00000000000001fe.wal.10.corrupt"];
        let others = ["ff.wal", "00000000000000FF.wal", "flush-x.ledger", "0000000000000003.wal.tmp", "ffffffffffffffff.wal", "é.wal"];
        let listing = list(&names.iter().chain(&others).map(|name| name.to_string()).collect::<Vec<_>>());
        assert_eq!(listing.segments, [2, 0xff]);
        assert_eq!(listing.highest, 0x1ff);
        assert_eq!(parse_name("00000000000000ff.wal"), path(Path::new(""), 0xff).to_str().and_then(parse_name));
        assert_eq!(parse_name("0000000000000001.wal.20.corrupt"), tail_path(Path::new(""), 1, 32).to_str().and_then(parse_name));
    }

    #[test]
    fn header_is_pinned() {
        assert_eq!(file_header(), *b"CONMOWAL\x01\x00\x00\x00\x31\xa4\x75\xd6");
    }
}
