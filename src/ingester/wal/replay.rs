//! Reading the log back at start, while the server works already.
//!
//! [`prepare`](super::prepare::prepare) comes first and is short: ledgers (those of blocks that never came to exist are deleted),
//! headers of files, the end of the last segment. Then the log is opened behind what is there, requests are served, and [`Replay`]
//! reads one segment after the other, ascending. What is wrong with a file decides what becomes of it:
//!
//! | found | done |
//! |---|---|
//! | bad contents behind a good header, then a good record | that record is skipped; the segment keeps its name until the pins of its good records are released, then becomes `.corrupt` ([`DamagedSegment`]) |
//! | bad record in the last segment, no good one behind it that a good header leads to | cut off durably with all that follows ([`Cut`]; kept aside if records seem to follow) |
//! | the same in an earlier segment | the rest of that segment is skipped, and kept as above |
//! | no whole file header, nothing else | removed: a crash while the segment was created |
//! | foreign or damaged file header, damaged ledger | renamed to `.corrupt` at once |
//! | a good record whose contents the caller cannot decode | as bad contents |
//! | intact header of an unknown version | the start fails and changes nothing more: a newer server wrote acknowledged spans here |
//! | the same behind records of a known version | the rest of that segment is left as it is for another start |
//! | read error at start | the start fails: it says nothing about the contents |
//! | read error later | that segment is tried again, from where it failed, when the others are read |
//!
//! While it is read, a segment is not dropped, and no ledger is. A record is pinned before its spans are in memory, so that a flush
//! that takes them at once gives back a pin that is there. The ledgers are those of the start: what is flushed from then on was
//! read before, and is not read again.
//!
//! An earlier segment was fsynced before the next one was created, by the writer or by replay, so damage there is not a torn
//! write.
//! Replay is repeatable: until segments are released, doing it again gives the same records. So a crash in its middle does no harm.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::WalFiles;
use super::frame::Damage;
use super::ledger::{Ledger, LedgerSet};
use super::registry::{HeldLedger, HeldSegment, Registry};
use super::segment::{self, Buffers, Next, Opened, SegmentReader};
use super::writer::Start;
use crate::model::{BlockId, TenantId, TraceId};

/// Any error of the closures that replay calls.
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
    /// Its contents make no sense, although their checksum is right; no pin, and the segment is kept.
    Undecodable,
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
    /// Segments that earlier starts have set aside and that lie there still. Acknowledged spans may be in them.
    pub set_aside: u64,
}

impl ReplayReport {
    /// Segments that are set aside, by this start or earlier ones: acknowledged spans may be in them.
    pub fn num_set_aside(&self) -> u64 {
        self.set_aside + self.quarantined.iter().filter(|path| segment::is_set_aside(path)).count() as u64
    }
}

/// What a part of a replay has done, for the counters.
pub(super) struct Progress {
    pub(super) records: u64,
    pub(super) raw_bytes: u64,
    pub(super) damaged_bytes: u64,
    pub(super) damaged_segments: u64,
}

impl Progress {
    /// From nothing to this report.
    pub(super) fn of(report: &ReplayReport) -> Self {
        let mut segments: Vec<u64> = report.damaged.iter().map(|damaged| damaged.segment).collect();
        segments.dedup();
        Progress {
            records: report.records,
            raw_bytes: report.raw_bytes,
            damaged_bytes: report.damaged.iter().map(|damaged| damaged.lost_bytes).sum(),
            damaged_segments: segments.len() as u64,
        }
    }
}

/// Why replay could not go on. At start that means that the server must not start: it would lose acknowledged spans.
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

/// Gets every good record.
pub(super) type Apply<'a> = dyn FnMut(ReplayedRecord<'_>) -> Result<Applied, BoxError> + 'a;

/// A segment that is to be read, and how far that has come.
pub(super) struct Pending {
    held: HeldSegment,
    /// Bytes that are read.
    offset: u64,
    last_sequence: u64,
    length: u64,
    /// Where bad records begin that no good one has followed yet.
    bad: Option<(u64, Damage)>,
}

impl Pending {
    /// True if it is this segment.
    pub(super) fn is_of(&self, number: u64) -> bool {
        self.held.number == number
    }

    /// A segment of which nothing is read; `length` is that of its file, in bytes.
    pub(super) fn new(number: u64, length: u64) -> Self {
        let held = HeldSegment { number, first_sequence: None, pins: 0, damaged: false, is_loading: true };
        Pending { held, offset: segment::FILE_HEADER_BYTES, last_sequence: 0, length, bad: None }
    }
}

/// The log as a start found it, and what of it is still to be read.
pub struct Replay {
    pub(super) files: Arc<dyn WalFiles>,
    pub(super) dir: PathBuf,
    pub(super) ledgers: LedgerSet,
    pub(super) pending: VecDeque<Pending>,
    pub(super) report: ReplayReport,
}

impl Replay {
    /// What [`super::Wal::open`] needs to know.
    pub fn start(&self) -> Start {
        let ReplayReport { highest_sequence, highest_segment, ledgers, .. } = &self.report;
        Start {
            next_sequence: highest_sequence + 1,
            next_segment: highest_segment + 1,
            segments: self.pending.iter().map(|pending| pending.held.clone()).collect(),
            ledgers: ledgers.clone(),
        }
    }

    /// What was found and done so far.
    pub fn report(&self) -> &ReplayReport {
        &self.report
    }

    /// Segments that are still to be read.
    pub fn num_left(&self) -> usize {
        self.pending.len()
    }

    /// Bytes of segments that are still to be read.
    pub fn bytes_left(&self) -> u64 {
        self.pending.iter().map(|pending| pending.length.saturating_sub(pending.offset)).sum()
    }

    /// Reads the next segment to its end; false if there is none left. `registry` learns of its pins.
    ///
    /// # Errors
    /// [`ReplayError::Storage`]: calling this again goes on with the next segment, and with this one at the end.
    /// [`ReplayError::UnknownVersion`]: the rest of the segment stays as it is. [`ReplayError::Apply`]: the closure gave up; the record
    /// is handed to it again by the next call.
    pub(super) fn next_segment(&mut self, registry: Option<&Registry>, apply: &mut Apply<'_>) -> Result<bool, ReplayError> {
        let Some(mut pending) = self.pending.pop_front() else { return Ok(false) };
        match self.read(&mut pending, registry, apply) {
            Ok(()) => {
                pending.held.is_loading = false;
                if let Some(registry) = registry {
                    registry.loaded(&pending.held);
                }
                self.report.segments.push(pending.held);
                Ok(true)
            }
            Err(error) => {
                match &error {
                    ReplayError::Apply { .. } => self.pending.push_front(pending),
                    ReplayError::Storage { .. } => self.pending.push_back(pending),
                    ReplayError::UnknownVersion { .. } | ReplayError::BlockLookup { .. } => {}
                }
                Err(error)
            }
        }
    }

    /// Reads all that is left, of a log that nobody writes.
    ///
    /// # Errors
    /// The first that comes.
    pub fn read_all(mut self, mut apply: impl FnMut(ReplayedRecord<'_>) -> Result<Applied, BoxError>) -> Result<ReplayReport, ReplayError> {
        while self.next_segment(None, &mut apply)? {}
        Ok(self.report)
    }

    fn read(&mut self, pending: &mut Pending, registry: Option<&Registry>, apply: &mut Apply<'_>) -> Result<(), ReplayError> {
        let path = segment::path(&self.dir, pending.held.number);
        let mut reader = self.reader(pending, &path)?;
        let mut buffers = Buffers::default();
        loop {
            let start = reader.offset();
            let next = reader.next(&mut buffers).map_err(storage("read", &path))?;
            match next {
                Next::Record(record) => {
                    if let Some(bad) = pending.bad.take() {
                        self.report_damage(pending, bad, start);
                    }
                    let covering: Vec<&Ledger> = self.ledgers.covering(record.tenant, record.sequence).collect();
                    let segment::Record { sequence, tenant, payload } = record;
                    let replayed = ReplayedRecord {
                        tenant,
                        sequence,
                        segment: pending.held.number,
                        payload,
                        skip: SkipFilter { covering: &covering },
                    };
                    let raw_bytes = payload.len() as u64;
                    let applied = apply_pinned(replayed, registry, apply)?;
                    self.note(pending, (sequence, raw_bytes), applied);
                    if applied == Applied::Undecodable {
                        self.report_damage(pending, (start, Damage::Payload), reader.offset());
                    }
                }
                Next::Skipped(start, damage) => drop(pending.bad.get_or_insert((start, damage))),
                Next::Bad(Damage::UnknownVersion(version)) => {
                    return Err(ReplayError::UnknownVersion { path, version: version.into() });
                }
                Next::Bad(damage) => {
                    pending.bad.get_or_insert((start, damage));
                    break;
                }
                Next::End => break,
            }
            (pending.offset, pending.last_sequence) = (reader.offset(), reader.last_sequence());
        }
        match pending.bad.take() {
            Some(bad) => self.report_damage(pending, bad, reader.length()),
            None => sync_segment(self.files.as_ref(), &path)?,
        }
        Ok(())
    }

    /// A reader that stands where the last one failed.
    fn reader(&self, pending: &Pending, path: &Path) -> Result<SegmentReader, ReplayError> {
        match segment::open(self.files.as_ref(), &self.dir, pending.held.number).map_err(storage("read", path))? {
            Opened::Ready(mut reader) => {
                reader.skip_to(pending.offset, pending.last_sequence).map_err(storage("read", path))?;
                Ok(reader)
            }
            // It was one a moment ago.
            Opened::HeaderTorn | Opened::Foreign | Opened::UnknownVersion(_) => {
                Err(storage("read", path)(std::io::Error::other("its header has changed since the start")))
            }
        }
    }

    fn note(&mut self, pending: &mut Pending, (sequence, raw_bytes): (u64, u64), applied: Applied) {
        pending.held.first_sequence.get_or_insert(sequence);
        pending.held.pins += u64::from(applied == Applied::Held);
        self.report.records += 1;
        self.report.raw_bytes += raw_bytes;
    }

    fn report_damage(&mut self, pending: &mut Pending, (offset, damage): (u64, Damage), end: u64) {
        pending.held.damaged = true;
        self.report.damaged.push(DamagedSegment { segment: pending.held.number, offset, lost_bytes: end - offset, damage });
    }
}

/// Pins the record, then hands it on: its spans may be flushed before `apply` returns.
fn apply_pinned(record: ReplayedRecord<'_>, registry: Option<&Registry>, apply: &mut Apply<'_>) -> Result<Applied, ReplayError> {
    let (sequence, segment) = (record.sequence, record.segment);
    if let Some(registry) = registry {
        registry.pin(segment, sequence, 1);
    }
    let applied = apply(record);
    if let Some(registry) = registry
        && !matches!(applied, Ok(Applied::Held))
    {
        registry.unpin(&[(segment, 1)]);
    }
    applied.map_err(|source| ReplayError::Apply { sequence, segment, source })
}

/// After a kill, the end of a segment may be in the page cache only. It is handed on now.
pub(super) fn sync_segment(files: &dyn WalFiles, path: &Path) -> Result<(), ReplayError> {
    let synced = files.open(path).and_then(|mut file| file.sync_data());
    synced.map_err(storage("sync", path))
}

pub(super) fn storage(operation: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> ReplayError {
    move |source| ReplayError::Storage { operation, path: path.to_path_buf(), source }
}

#[cfg(test)]
pub(super) mod tests;
