//! `meta.json`: what a block is, written after all its other files.

use crate::model::{BlockId, TimeRange, TraceId, UnixNanos};
use serde::{Deserialize, Serialize};

/// The value of `format` in every block of ours.
pub const FORMAT: &str = "conmoto";
/// The version this code writes; a higher one is refused by name. Version 1 had no tables of rare attributes: what was too much for
/// columns was residual. Such blocks are read, but not merged with others.
pub const VERSION: u32 = 2;

/// The content of `meta.json`. Unknown members are ignored, so that later minor additions stay readable.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BlockMeta {
    /// Always [`FORMAT`].
    pub format: String,
    /// Format version.
    pub version: u32,
    /// The block's id, hyphenated.
    pub block_id: String,
    /// The tenant whose spans these are.
    pub tenant: String,
    /// Earliest span start, Unix nanoseconds.
    pub start_unix_nano: u64,
    /// Latest span end, Unix nanoseconds.
    pub end_unix_nano: u64,
    /// When the block was written, Unix nanoseconds: retention counts from the later of this and the newest span.
    pub created_unix_nano: u64,
    /// Number of spans.
    pub num_spans: u64,
    /// Number of traces.
    pub num_traces: u64,
    /// Compaction level; 0 for a block that the ingester cut.
    pub level: u32,
    /// Number of Bloom filter shards.
    pub bloom_shards: u32,
    /// Blocks that this one replaces.
    #[serde(default)]
    pub replaces: Vec<String>,
    /// Traces that have spans in other blocks too, as hex: readers join the pieces.
    #[serde(default)]
    pub split: Vec<String>,
    /// Row groups in order.
    pub row_groups: Vec<RowGroupMeta>,
    /// All other files.
    pub files: Vec<FileMeta>,
}

/// A row group of `data.parquet` and what pruning needs of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowGroupMeta {
    /// Number of spans.
    pub num_spans: u32,
    /// Number of traces.
    pub num_traces: u32,
    /// Number of events.
    pub num_events: u32,
    /// Number of links.
    pub num_links: u32,
    /// Earliest start of a trace, Unix nanoseconds.
    pub start_unix_nano: u64,
    /// Latest start of a trace, Unix nanoseconds: no trace here is newer.
    pub newest_start_unix_nano: u64,
    /// Latest end of a trace, Unix nanoseconds.
    pub end_unix_nano: u64,
}

/// A file of the block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileMeta {
    /// Its name within the block.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// CRC-32C of its bytes.
    pub crc32c: u32,
    /// Of every Parquet file: its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub footer: Option<FooterMeta>,
}

/// Page indexes and footer of a Parquet file: all that follows the pages. They are read without the rest, so they have a
/// checksum of their own; it is checked before they are parsed, since a parser makes room for whatever a damaged one claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FooterMeta {
    /// Their length.
    pub bytes: u64,
    /// CRC-32C of their bytes.
    pub crc32c: u32,
}

/// The members that tell who can read the others.
#[derive(Deserialize)]
struct Origin {
    #[serde(default)]
    format: String,
    #[serde(default)]
    version: u32,
}

/// Why a `meta.json` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MetaError {
    /// Not the JSON that it should be.
    #[error("meta.json is damaged: {0}")]
    Json(#[from] serde_json::Error),
    /// Another program's file.
    #[error("meta.json has format {0:?}, not \"conmoto\"")]
    Format(String),
    /// Written by a later version.
    #[error("the block has format version {0}, this server reads up to {VERSION}")]
    Version(u32),
    /// Not the bytes that were written.
    #[error("meta.json is damaged: its checksum is wrong")]
    Checksum,
    /// A member with an impossible value.
    #[error("meta.json has a bad {0}")]
    Member(&'static str),
}

/// The last member: CRC-32C of all bytes before this text.
const CHECKSUM_MEMBER: &str = ",\"crc32c\":";

/// Compares the checksum, if there is one: earlier builds wrote none.
fn check_sum(bytes: &[u8]) -> Result<(), MetaError> {
    let member = CHECKSUM_MEMBER.as_bytes();
    let Some(at) = bytes.windows(member.len()).rposition(|window| window == member) else { return Ok(()) };
    // Files have a member of the same name, behind which more follows.
    let Some(digits) = bytes[at + member.len()..].strip_suffix(b"}") else { return Ok(()) };
    if !digits.iter().all(u8::is_ascii_digit) {
        return Ok(());
    }
    let listed = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<u32>().ok());
    if listed == Some(crc32c::crc32c(&bytes[..at])) { Ok(()) } else { Err(MetaError::Checksum) }
}

impl BlockMeta {
    /// Reads and checks a `meta.json`.
    pub fn parse(bytes: &[u8]) -> Result<Self, MetaError> {
        // What it is comes first: other programs and later versions have other members.
        let origin: Origin = serde_json::from_slice(bytes)?;
        if origin.format != FORMAT {
            return Err(MetaError::Format(origin.format));
        }
        if origin.version > VERSION {
            return Err(MetaError::Version(origin.version));
        }
        check_sum(bytes)?;
        let meta: BlockMeta = serde_json::from_slice(bytes)?;
        if BlockId::parse(&meta.block_id).is_none() {
            return Err(MetaError::Member("block_id"));
        }
        if meta.split.iter().any(|id| TraceId::parse(id).is_err()) {
            return Err(MetaError::Member("split"));
        }
        Ok(meta)
    }

    /// The file's bytes.
    pub fn to_json(&self) -> Vec<u8> {
        // Plain data with text keys always serialises; an empty file would be refused at the next start.
        let mut bytes = serde_json::to_vec(self).unwrap_or_default();
        if bytes.pop().is_some() {
            let checksum = crc32c::crc32c(&bytes);
            bytes.extend_from_slice(format!("{CHECKSUM_MEMBER}{checksum}}}").as_bytes());
        }
        bytes
    }

    /// The range of its spans.
    pub fn range(&self) -> TimeRange {
        TimeRange { start: UnixNanos(self.start_unix_nano), end: UnixNanos(self.end_unix_nano) }
    }

    /// Bytes of all files together.
    pub fn total_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}
