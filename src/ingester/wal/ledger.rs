//! Flush ledgers: which spans of the log are in a block, so that replay does not bring them a second time.
//!
//! When a block is flushed, `<dir>/flush-<block id>.ledger` names the records whose spans the block took and the traces
//! that it did not take from them because they were still running (carried over). A span of trace *t* in record *s* is in
//! the block if *s* is covered and *t* is not carried. It is skipped at replay if that holds for any ledger of the tenant
//! whose block exists.
//!
//! | bytes | field (little-endian) |
//! |---|---|
//! | 8 | `CONMOLDG` |
//! | 4 | format version, 1 |
//! | 4 | tenant length *t* |
//! | 4 | number of ranges *r* |
//! | 4 | number of carried traces *c* |
//! | 36 | block id as text |
//! | *t* | tenant |
//! | 16 *r* | ranges of sequence numbers, first and one past the last, ascending, with gaps between them |
//! | 16 *c* | ids of carried traces, ascending |
//! | 4 | CRC32C of everything before |
//!
//! The file appears under its name whole: written as `.tmp`, fsynced, renamed, directory fsynced.
//!
//! A ledger speaks of a block that may not exist: the crash came before its `meta.json`. Once the block is known to have existed, the
//! ledger may be renamed to `flush-<block id>.settled`: it holds from then on whatever becomes of the block. Before a block is
//! deleted it has to be, or its spans would come back from segments that others still pin.

use std::collections::HashMap;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::error::WalError;
use super::files::{WalFiles, create_durably};
use super::frame::NUMBER_LIMIT;
use crate::model::{BlockId, TenantId, TraceId};

const MAGIC: &[u8; 8] = b"CONMOLDG";
const FORMAT_VERSION: u32 = 1;
const BLOCK_ID_BYTES: usize = 36;
const FIXED_BYTES: usize = 8 + 4 * 4 + BLOCK_ID_BYTES;
const CHECKSUM_BYTES: usize = 4;
/// Two million ranges and carried traces together.
const MAX_LEDGER_BYTES: usize = 32 << 20;
const PREFIX: &str = "flush-";
const SUFFIX: &str = ".ledger";
const SETTLED_SUFFIX: &str = ".settled";
const TEMPORARY_SUFFIX: &str = ".ledger.tmp";

/// What one block took from the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    block: BlockId,
    tenant: TenantId,
    ranges: Vec<Range<u64>>,
    carried: Vec<TraceId>,
}

impl Ledger {
    /// The ledger of `block`: `sequences` are the records whose spans it took, `carried` the traces that it left in the
    /// head. Both in any order, repeats allowed.
    pub fn new(
        block: BlockId,
        tenant: TenantId,
        sequences: impl IntoIterator<Item = u64>,
        carried: impl IntoIterator<Item = TraceId>,
    ) -> Ledger {
        let mut sequences: Vec<u64> = sequences.into_iter().collect();
        sequences.sort_unstable();
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for sequence in sequences {
            match ranges.last_mut() {
                Some(range) if range.end > sequence => {}
                Some(range) if range.end == sequence => range.end = sequence.saturating_add(1),
                _ => ranges.push(sequence..sequence.saturating_add(1)),
            }
        }
        let mut carried: Vec<TraceId> = carried.into_iter().collect();
        carried.sort_unstable();
        carried.dedup();
        Ledger { block, tenant, ranges, carried }
    }

    /// The block that it belongs to.
    pub fn block(&self) -> &BlockId {
        &self.block
    }

    /// The tenant whose block that is.
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// True if the block took spans of record `sequence`.
    pub fn covers(&self, sequence: u64) -> bool {
        let after = self.ranges.partition_point(|range| range.start <= sequence);
        after > 0 && self.ranges[after - 1].contains(&sequence)
    }

    /// True if the block took nothing of `trace` from the records that it covers.
    pub fn carries(&self, trace: &TraceId) -> bool {
        self.carried.binary_search(trace).is_ok()
    }

    /// True if no trace was left behind: every span of the covered records is in the block.
    pub fn carries_nothing(&self) -> bool {
        self.carried.is_empty()
    }

    /// One past the highest covered sequence number; 0 if none is covered.
    pub fn end_sequence(&self) -> u64 {
        self.ranges.last().map_or(0, |range| range.end)
    }

    fn encode(&self) -> Result<Vec<u8>, WalError> {
        let tenant = self.tenant.as_str().as_bytes();
        let size = FIXED_BYTES + tenant.len() + 16 * (self.ranges.len() + self.carried.len()) + CHECKSUM_BYTES;
        if size > MAX_LEDGER_BYTES {
            return Err(WalError::TooLarge { bytes: size, max_bytes: MAX_LEDGER_BYTES });
        }
        let mut bytes = Vec::with_capacity(size);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        // The three lengths fit: the size limit is far below 4 GiB.
        for length in [tenant.len(), self.ranges.len(), self.carried.len()] {
            bytes.extend_from_slice(&(length as u32).to_le_bytes());
        }
        bytes.extend_from_slice(self.block.to_string().as_bytes());
        bytes.extend_from_slice(tenant);
        for range in &self.ranges {
            bytes.extend_from_slice(&range.start.to_le_bytes());
            bytes.extend_from_slice(&range.end.to_le_bytes());
        }
        for trace in &self.carried {
            bytes.extend_from_slice(&trace.0);
        }
        let checksum = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        Ok(bytes)
    }

    /// The ledger in `bytes`, or what is wrong with them. Lengths are checked against the bytes that are there.
    fn decode(bytes: &[u8]) -> Result<Ledger, LedgerDamage> {
        let (content, checksum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(LedgerDamage::Torn)?;
        if crc32c::crc32c(content) != u32::from_le_bytes(*checksum) {
            return Err(LedgerDamage::Torn);
        }
        let (fixed, rest) = content.split_first_chunk::<FIXED_BYTES>().ok_or(LedgerDamage::Malformed)?;
        let number = |at: usize| u32::from_le_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]);
        if !fixed.starts_with(MAGIC) {
            return Err(LedgerDamage::Malformed);
        }
        if number(8) != FORMAT_VERSION {
            return Err(LedgerDamage::UnknownVersion(number(8)));
        }
        let block = std::str::from_utf8(&fixed[FIXED_BYTES - BLOCK_ID_BYTES..]).ok().and_then(BlockId::parse);
        let ledger = block.and_then(|block| Self::decode_lists(block, rest, number(12) as usize, number(16) as usize, number(20) as usize));
        ledger.filter(Ledger::is_ordered).ok_or(LedgerDamage::Malformed)
    }

    fn decode_lists(block: BlockId, rest: &[u8], tenant_bytes: usize, num_ranges: usize, num_carried: usize) -> Option<Ledger> {
        let (tenant, lists) = rest.split_at_checked(tenant_bytes)?;
        let tenant = TenantId::parse(std::str::from_utf8(tenant).ok()?).ok()?;
        let (lists, []) = lists.as_chunks::<16>() else { return None };
        if lists.len() != num_ranges.checked_add(num_carried)? {
            return None;
        }
        let (ranges, carried) = lists.split_at(num_ranges);
        let half = |bytes: &[u8; 16]| {
            let both = u128::from_le_bytes(*bytes);
            both as u64..(both >> 64) as u64
        };
        Some(Ledger { block, tenant, ranges: ranges.iter().map(half).collect(), carried: carried.iter().map(|id| TraceId(*id)).collect() })
    }

    /// Binary searches rely on this, and "one more" on the limit.
    fn is_ordered(&self) -> bool {
        self.ranges.iter().all(|range| range.start < range.end && range.end <= NUMBER_LIMIT)
            && self.ranges.is_sorted_by(|a, b| a.end < b.start)
            && self.carried.is_sorted_by(|a, b| a < b)
    }
}

#[derive(Debug, PartialEq, Eq)]
enum LedgerDamage {
    Torn,
    Malformed,
    UnknownVersion(u32),
}

/// Whether a ledger holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// If its block exists.
    Depends,
    /// Whatever becomes of its block, which has existed.
    Settled,
}

impl Standing {
    fn suffix(self) -> &'static str {
        match self {
            Standing::Depends => SUFFIX,
            Standing::Settled => SETTLED_SUFFIX,
        }
    }
}

/// Where the ledger of `block` lies.
pub(super) fn path(dir: &Path, block: &BlockId, standing: Standing) -> PathBuf {
    dir.join(format!("{PREFIX}{block}{}", standing.suffix()))
}

/// The block that a ledger with this file name belongs to.
fn parse_name(name: &str) -> Option<(BlockId, Standing)> {
    let rest = name.strip_prefix(PREFIX)?;
    [Standing::Depends, Standing::Settled].into_iter().find_map(|standing| {
        let text = rest.strip_suffix(standing.suffix())?;
        // Ids have other spellings; only the one that `path` gives back is ours.
        BlockId::parse(text).filter(|block| block.to_string() == text).map(|block| (block, standing))
    })
}

/// Writes `ledger` durably, over an earlier one of the same block.
///
/// # Errors
/// [`WalError::TooLarge`], and [`WalError::Storage`], after which the ledger may be there or not; both are safe as long as
/// the block does not exist.
pub(super) fn write(files: &dyn WalFiles, dir: &Path, ledger: &Ledger) -> Result<(), WalError> {
    let bytes = ledger.encode()?;
    let path = path(dir, &ledger.block, Standing::Depends);
    let temporary = dir.join(format!("{PREFIX}{}{TEMPORARY_SUFFIX}", ledger.block));
    let put = || -> io::Result<()> {
        match files.remove(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        create_durably(files, dir, &temporary, &bytes)?;
        files.rename(&temporary, &path)?;
        files.sync_dir(dir)
    };
    put().map_err(|error| {
        // Best effort: the disk may be full, and replay removes it otherwise.
        let _ = files.remove(&temporary);
        WalError::storage("write a flush ledger")(error)
    })
}

/// Makes the ledger of `block` hold whatever becomes of the block. Repeating it after a failure is right.
///
/// # Errors
/// Those of the files: it holds or not.
pub(super) fn settle(files: &dyn WalFiles, dir: &Path, block: &BlockId) -> io::Result<()> {
    match files.rename(&path(dir, block, Standing::Depends), &path(dir, block, Standing::Settled)) {
        // An earlier attempt got this far.
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => files.sync_dir(dir),
    }
}

/// The ledgers that replay goes by.
#[derive(Debug, Default)]
pub(super) struct LedgerSet {
    by_tenant: HashMap<TenantId, Vec<Ledger>>,
}

impl LedgerSet {
    pub(super) fn add(&mut self, ledger: Ledger) {
        self.by_tenant.entry(ledger.tenant.clone()).or_default().push(ledger);
    }

    /// The ledgers of `tenant` that cover record `sequence`.
    pub(super) fn covering(&self, tenant: &TenantId, sequence: u64) -> impl Iterator<Item = &Ledger> {
        self.by_tenant.get(tenant).into_iter().flatten().filter(move |ledger| ledger.covers(sequence))
    }
}

/// A ledger file as found at start.
pub(super) enum Found {
    /// Intact.
    Intact(Ledger),
    /// Not readable as a ledger. Replay then brings spans that are in the block already, which is better than losing some.
    Damaged,
    /// Intact, of a format that this server does not know.
    UnknownVersion(u32),
}

/// The paths of ledgers among `names`, and of what unfinished writes left behind.
pub(super) fn list(dir: &Path, names: &[String]) -> (Vec<(PathBuf, Standing)>, Vec<PathBuf>) {
    let ledgers = names.iter().filter_map(|name| Some((dir.join(name), parse_name(name)?.1)));
    let unfinished = names.iter().filter(|name| name.starts_with(PREFIX) && name.ends_with(TEMPORARY_SUFFIX));
    (ledgers.collect(), unfinished.map(|name| dir.join(name)).collect())
}

/// Reads the ledger at `path`.
///
/// # Errors
/// Only those of reading.
pub(super) fn read(files: &dyn WalFiles, path: &Path) -> io::Result<Found> {
    let mut file = files.open(path)?;
    if file.length()? > MAX_LEDGER_BYTES as u64 {
        return Ok(Found::Damaged);
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let named = path.file_name().and_then(|name| name.to_str()).and_then(parse_name);
    Ok(match Ledger::decode(&bytes) {
        Ok(ledger) if named.is_some_and(|(block, _)| block == ledger.block) => Found::Intact(ledger),
        Err(LedgerDamage::UnknownVersion(version)) => Found::UnknownVersion(version),
        Ok(_) | Err(_) => Found::Damaged,
    })
}

#[cfg(test)]
mod tests;
