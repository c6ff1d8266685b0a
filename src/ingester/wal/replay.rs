//! Reading the log back at start.
//!
//! Order: ledgers first (those of blocks that never came to exist are deleted), then the segments, ascending. What is
//! wrong with a file decides what becomes of it:
//!
//! | found | done |
//! |---|---|
//! | bad contents behind a good header, then a good record | that record is skipped; the segment keeps its name until the pins of its good records are released, then becomes `.corrupt` ([`DamagedSegment`]) |
//! | bad record in the last segment, no good one behind it that a good header leads to | cut off durably with all that follows ([`Cut`]; kept aside if records seem to follow) |
//! | the same in an earlier segment | the rest of that segment is skipped, and kept as above |
//! | no whole file header, nothing else | removed: a crash while the segment was created |
//! | foreign or damaged file header, damaged ledger | renamed to `.corrupt` at once |
//! | intact header of an unknown version | replay fails and changes nothing more: a newer server wrote acknowledged spans here |
//! | read error | replay fails: it says nothing about the contents |
//!
//! An earlier segment was fsynced before the next one was created, by the writer or by replay, so damage there is not a torn
//! write.
//! Replay is repeatable: until segments are released, doing it again gives the same records.

use std::path::{Path, PathBuf};

use super::files::{Disk, WalFiles};
use super::frame::Damage;
use super::ledger::{self, Found, Ledger, LedgerSet};
use super::registry::{HeldLedger, HeldSegment};
use super::segment::{self, Buffers, Next, Opened, Record};
use super::tail;
use crate::model::{BlockId, TenantId, TraceId};

/// Any error of the closures that [`replay`] calls.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// One record of the log.
pub struct ReplayedRecord<'a> {
    /// Whose spans these are.
    pub tenant: &'a TenantId,
    /// The number that the record was acknowledged with.
    pub sequence: u64,
    /// The segment that it lies in; what a pin names.
    pub segment: u64,
    /// The payload as it was appended.
    pub payload: &'a [u8],
    /// Which of its spans are in blocks already.
    pub skip: SkipFilter<'a>,
}

/// Tells which spans of one record are in blocks already.
pub struct SkipFilter<'a> {
    covering: &'a [&'a Ledger],
}

impl SkipFilter<'_> {
    /// True if the spans that the record has of `trace` are in a block. Costs nothing if no ledger covers the record.
    pub fn skips(&self, trace: &TraceId) -> bool {
        self.covering.iter().any(|ledger| !ledger.carries(trace))
    }

    /// True if every span of the record is in a block: it need not be decoded.
    pub fn skips_all(&self) -> bool {
        self.covering.iter().any(|ledger| ledger.carries_nothing())
    }

    /// True if no span of the record is known to be in a block.
    pub fn skips_nothing(&self) -> bool {
        self.covering.is_empty()
    }
}

/// What the caller did with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// Spans of it are in memory again; the record pins its segment until the caller releases it.
    Held,
    /// All its spans are in blocks; no pin.
    Covered,
}

/// The end that was cut off the last segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// Which segment.
    pub segment: u64,
    /// Its length now, in bytes.
    pub offset: u64,
    /// Bytes cut off.
    pub bytes: u64,
    /// What was wrong with the first of them.
    pub damage: Damage,
    /// A copy of them, made because they seem to hold records.
    pub kept: Option<PathBuf>,
}

/// A part of a segment that could not be read and is no torn tail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedSegment {
    /// Which segment.
    pub segment: u64,
    /// Where the part starts, in bytes.
    pub offset: u64,
    /// Bytes that were not replayed.
    pub lost_bytes: u64,
    /// What was wrong with the first of them.
    pub damage: Damage,
}

/// What replay found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplayReport {
    /// Records handed on.
    pub records: u64,
    /// Their payload bytes before compression.
    pub raw_bytes: u64,
    /// The torn tail, if there was one.
    pub cut: Option<Cut>,
    /// Parts of segments that could not be read. Acknowledged spans may be lost in them.
    pub damaged: Vec<DamagedSegment>,
    /// Files renamed to `.corrupt`; the names they have now.
    pub quarantined: Vec<PathBuf>,
    /// Highest sequence number that any record or ledger mentions; 0 if there is none.
    pub highest_sequence: u64,
    /// Highest segment number that any file name mentions, those set aside included; 0 if there is none.
    pub highest_segment: u64,
    /// The segments, ascending, with the pins that the caller now holds.
    pub segments: Vec<HeldSegment>,
    /// Ledgers of existing blocks.
    pub ledgers: Vec<HeldLedger>,
    /// Ledgers deleted because their block does not exist.
    pub ledgers_without_block: u64,
}

/// Why replay gave up. Starting without it would lose acknowledged spans, so the server must not start.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The file system refused.
    #[error("could not {operation} {path}: {source}")]
    Storage {
        /// What was tried, to be read after "could not".
        operation: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// The answer of the file system.
        source: std::io::Error,
    },
    /// An intact file of a format that this server does not know.
    #[error("{path} has format version {version}, which this server does not know; start the version that wrote it")]
    UnknownVersion {
        /// The file.
        path: PathBuf,
        /// The version that it names.
        version: u32,
    },
    /// `block_exists` failed.
    #[error("could not find out whether block {block} exists: {source}")]
    BlockLookup {
        /// The block in question.
        block: BlockId,
        /// What the closure said.
        source: BoxError,
    },
    /// `apply` failed.
    #[error("could not apply record {sequence} of write-ahead log segment {segment:016x}: {source}")]
    Apply {
        /// The record.
        sequence: u64,
        /// The segment that it lies in.
        segment: u64,
        /// What the closure said.
        source: BoxError,
    },
}

/// Replays the log in `dir`, oldest record first. Blocking: to be called before [`super::Wal::open`], which takes
/// [`ReplayReport::start`]; a missing directory is an empty log.
///
/// `block_exists` is asked once per ledger and must also answer true for a block that existed and was compacted away:
/// its spans are in its successor. `apply` gets every good record.
///
/// # Errors
/// [`ReplayError`]; the log is as it was, except that torn and foreign parts found so far are already set aside.
pub fn replay(
    dir: &Path,
    block_exists: impl FnMut(&TenantId, &BlockId) -> Result<bool, BoxError>,
    apply: impl FnMut(ReplayedRecord<'_>) -> Result<Applied, BoxError>,
) -> Result<ReplayReport, ReplayError> {
    replay_with(&Disk, dir, block_exists, apply)
}

/// [`replay`] over any files.
pub(super) fn replay_with(
    files: &dyn WalFiles,
    dir: &Path,
    mut block_exists: impl FnMut(&TenantId, &BlockId) -> Result<bool, BoxError>,
    mut apply: impl FnMut(ReplayedRecord<'_>) -> Result<Applied, BoxError>,
) -> Result<ReplayReport, ReplayError> {
    let names = files.list(dir).map_err(storage("list", dir))?;
    if names.is_empty() {
        return Ok(ReplayReport::default());
    }
    let mut run = Replay { files, dir, ledgers: LedgerSet::default(), report: ReplayReport::default() };
    run.load_ledgers(&names, &mut block_exists)?;
    // Deleted ledgers must not come back behind the records that they would hide.
    files.sync_dir(dir).map_err(storage("sync", dir))?;
    let listing = segment::list(&names);
    run.report.highest_segment = listing.highest;
    let mut buffers = Buffers::default();
    for number in &listing.segments {
        let is_last = listing.segments.last() == Some(number);
        run.replay_segment(*number, is_last, &mut buffers, &mut apply)?;
    }
    files.sync_dir(dir).map_err(storage("sync", dir))?;
    Ok(run.report)
}

struct Replay<'a> {
    files: &'a dyn WalFiles,
    dir: &'a Path,
    ledgers: LedgerSet,
    report: ReplayReport,
}

type Apply<'a> = dyn FnMut(ReplayedRecord<'_>) -> Result<Applied, BoxError> + 'a;

impl Replay<'_> {
    fn load_ledgers(
        &mut self,
        names: &[String],
        block_exists: &mut dyn FnMut(&TenantId, &BlockId) -> Result<bool, BoxError>,
    ) -> Result<(), ReplayError> {
        let (paths, unfinished) = ledger::list(self.dir, names);
        for path in unfinished {
            self.remove(&path)?;
        }
        for path in paths {
            let ledger = match ledger::read(self.files, &path).map_err(storage("read", &path))? {
                Found::Intact(ledger) => ledger,
                Found::Damaged => {
                    self.quarantine(&path)?;
                    continue;
                }
                Found::UnknownVersion(version) => return Err(ReplayError::UnknownVersion { path, version }),
            };
            // Also those without a block: no number that was ever given to a record is given again.
            self.report.highest_sequence = self.report.highest_sequence.max(ledger.end_sequence().saturating_sub(1));
            let block = *ledger.block();
            if block_exists(ledger.tenant(), &block).map_err(|source| ReplayError::BlockLookup { block, source })? {
                self.report.ledgers.push(HeldLedger { block, end_sequence: ledger.end_sequence() });
                self.ledgers.add(ledger);
            } else {
                self.remove(&path)?;
                self.report.ledgers_without_block += 1;
            }
        }
        Ok(())
    }

    fn replay_segment(&mut self, number: u64, is_last: bool, buffers: &mut Buffers, apply: &mut Apply<'_>) -> Result<(), ReplayError> {
        let path = segment::path(self.dir, number);
        let mut reader = match segment::open(self.files, self.dir, number).map_err(storage("read", &path))? {
            Opened::Ready(reader) => reader,
            Opened::HeaderTorn => return self.remove(&path),
            Opened::Foreign => return self.quarantine(&path),
            Opened::UnknownVersion(version) => return Err(ReplayError::UnknownVersion { path, version }),
        };
        let mut held = HeldSegment { number, first_sequence: None, pins: 0, damaged: false };
        // Where the bad records begin that no good one has followed yet.
        let mut bad: Option<(u64, Damage)> = None;
        loop {
            let end = reader.offset();
            match reader.next(buffers).map_err(storage("read", &path))? {
                Next::Record(record) => {
                    if let Some(start) = bad.take() {
                        self.report_damage(&mut held, start, end);
                    }
                    self.apply_record(record, &mut held, apply)?;
                }
                Next::Skipped(start, damage) => drop(bad.get_or_insert((start, damage))),
                Next::Bad(Damage::UnknownVersion(version)) => {
                    return Err(ReplayError::UnknownVersion { path, version: version.into() });
                }
                Next::Bad(damage) => {
                    bad.get_or_insert((end, damage));
                    break;
                }
                Next::End => break,
            }
        }
        match bad {
            Some(start) if is_last => self.cut_tail(number, start, reader.length())?,
            Some(start) => self.report_damage(&mut held, start, reader.length()),
            None => self.sync_segment(&path)?,
        }
        self.report.segments.push(held);
        Ok(())
    }

    fn apply_record(&mut self, record: Record<'_>, held: &mut HeldSegment, apply: &mut Apply<'_>) -> Result<(), ReplayError> {
        let Record { sequence, tenant, payload } = record;
        let covering: Vec<&Ledger> = self.ledgers.covering(tenant, sequence).collect();
        let skip = SkipFilter { covering: &covering };
        let applied = apply(ReplayedRecord { tenant, sequence, segment: held.number, payload, skip });
        let applied = applied.map_err(|source| ReplayError::Apply { sequence, segment: held.number, source })?;
        held.first_sequence.get_or_insert(sequence);
        held.pins += u64::from(applied == Applied::Held);
        self.report.records += 1;
        self.report.raw_bytes += payload.len() as u64;
        self.report.highest_sequence = self.report.highest_sequence.max(sequence);
        Ok(())
    }

    fn cut_tail(&mut self, number: u64, (offset, damage): (u64, Damage), length: u64) -> Result<(), ReplayError> {
        let kept = tail::cut(self.files, self.dir, number, offset).map_err(storage("cut", &segment::path(self.dir, number)))?;
        self.report.cut = Some(Cut { segment: number, offset, bytes: length - offset, damage, kept });
        Ok(())
    }

    /// After a kill, the end of the log may be in the page cache only. It is handed on now, and the segment gets a successor.
    fn sync_segment(&self, path: &Path) -> Result<(), ReplayError> {
        let synced = self.files.open(path).and_then(|mut file| file.sync_data());
        synced.map_err(storage("sync", path))
    }

    fn report_damage(&mut self, held: &mut HeldSegment, (offset, damage): (u64, Damage), end: u64) {
        held.damaged = true;
        self.report.damaged.push(DamagedSegment { segment: held.number, offset, lost_bytes: end - offset, damage });
    }

    fn quarantine(&mut self, path: &Path) -> Result<(), ReplayError> {
        let aside = segment::corrupt_path(path);
        self.files.rename(path, &aside).map_err(storage("set aside", path))?;
        self.report.quarantined.push(aside);
        Ok(())
    }

    fn remove(&mut self, path: &Path) -> Result<(), ReplayError> {
        self.files.remove(path).map_err(storage("remove", path))
    }
}

fn storage(operation: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> ReplayError {
    move |source| ReplayError::Storage { operation, path: path.to_path_buf(), source }
}

#[cfg(test)]
mod tests;
