//! What a start looks at before it serves: ledgers, the headers of all segments, and the end of the last one.
//!
//! It has to know where the log goes on, so it reads the last segment that holds records; and it has to cut the torn tail, since
//! only a last segment can be torn and this one is about to get a successor. Everything else is read later, by [`Replay`].

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::{Disk, WalFiles};
use super::frame::Damage;
use super::ledger::{self, Found, LedgerSet, Standing};
use super::registry::HeldLedger;
use super::replay::{BoxError, Cut, Pending, Replay, ReplayError, ReplayReport, storage, sync_segment};
use super::segment::{self, Buffers, Next, Opened, SegmentReader};
use super::tail;
use crate::model::{BlockId, TenantId};

/// Whether a block exists, or existed and was merged into one that does.
type BlockExists<'a> = dyn FnMut(&TenantId, &BlockId) -> Result<bool, BoxError> + 'a;

/// Looks at the log in `dir`. Blocking: to be called before [`super::Wal::open`], which takes [`Replay::start`]; a missing
/// directory is an empty log.
///
/// `block_exists` is asked once per ledger that is not settled and must also answer true for a block that existed and was
/// compacted away: its spans are in its successor.
///
/// # Errors
/// [`ReplayError`]; the log is as it was, except that torn and foreign parts found so far are already set aside.
pub fn prepare(dir: &Path, mut block_exists: impl FnMut(&TenantId, &BlockId) -> Result<bool, BoxError>) -> Result<Replay, ReplayError> {
    prepare_with(Arc::new(Disk), dir, &mut block_exists)
}

/// [`prepare`] over any files.
pub(super) fn prepare_with(files: Arc<dyn WalFiles>, dir: &Path, block_exists: &mut BlockExists<'_>) -> Result<Replay, ReplayError> {
    let names = files.list(dir).map_err(storage("list", dir))?;
    let replay = Replay {
        files,
        dir: dir.to_path_buf(),
        ledgers: LedgerSet::default(),
        pending: Default::default(),
        report: ReplayReport {
            set_aside: names.iter().filter(|name| segment::is_set_aside(Path::new(name))).count() as u64,
            ..ReplayReport::default()
        },
    };
    if names.is_empty() {
        return Ok(replay);
    }
    let mut preparation = Preparation(replay);
    preparation.load_ledgers(&names, block_exists)?;
    // Deleted ledgers must not come back behind the records that they would hide, and settled ones must be.
    preparation.sync_dir()?;
    let listing = segment::list(&names);
    preparation.0.report.highest_segment = listing.highest;
    for number in &listing.segments {
        preparation.look_at(*number)?;
    }
    preparation.look_at_end(&listing.segments)?;
    preparation.sync_dir()?;
    Ok(preparation.0)
}

struct Preparation(Replay);

/// What reading a segment without looking at its spans tells.
struct Walked {
    /// Where its bad end begins.
    bad: Option<(u64, Damage)>,
    last_sequence: u64,
    length: u64,
}

impl Preparation {
    fn load_ledgers(&mut self, names: &[String], block_exists: &mut BlockExists<'_>) -> Result<(), ReplayError> {
        let (paths, unfinished) = ledger::list(&self.0.dir, names);
        for path in unfinished {
            self.remove(&path)?;
        }
        for (path, standing) in paths {
            let ledger = match ledger::read(self.files(), &path).map_err(storage("read", &path))? {
                Found::Intact(ledger) => ledger,
                Found::Damaged => {
                    self.quarantine(&path)?;
                    continue;
                }
                Found::UnknownVersion(version) => return Err(ReplayError::UnknownVersion { path, version }),
            };
            let report = &mut self.0.report;
            // Also those without a block: no number that was ever given to a record is given again.
            report.highest_sequence = report.highest_sequence.max(ledger.end_sequence().saturating_sub(1));
            let block = *ledger.block();
            let lookup = |source| ReplayError::BlockLookup { block, source };
            if standing == Standing::Depends {
                if !block_exists(ledger.tenant(), &block).map_err(lookup)? {
                    report.ledgers_without_block += 1;
                    self.remove(&path)?;
                    continue;
                }
                // From now on the block may be merged and its successor, too, and nobody would know of it any more.
                let settled = ledger::path(&self.0.dir, &block, Standing::Settled);
                self.files().rename(&path, &settled).map_err(storage("rename", &path))?;
            }
            self.0.report.ledgers.push(HeldLedger { block, end_sequence: ledger.end_sequence(), standing: Standing::Settled });
            self.0.ledgers.add(ledger);
        }
        Ok(())
    }

    /// Sees that a segment is one of ours, by its header and its first record.
    fn look_at(&mut self, number: u64) -> Result<(), ReplayError> {
        let path = segment::path(&self.0.dir, number);
        let mut reader = match self.open(number)? {
            Opened::Ready(reader) => reader,
            Opened::HeaderTorn => return self.remove(&path),
            Opened::Foreign => return self.quarantine(&path),
            Opened::UnknownVersion(version) => return Err(ReplayError::UnknownVersion { path, version }),
        };
        if let Next::Bad(Damage::UnknownVersion(version)) = reader.next(&mut Buffers::default()).map_err(storage("read", &path))? {
            return Err(ReplayError::UnknownVersion { path, version: version.into() });
        }
        self.0.pending.push_back(Pending::new(number, reader.length()));
        Ok(())
    }

    /// Cuts the last segment where its bad end begins, and finds the highest number that was given.
    fn look_at_end(&mut self, listed: &[u64]) -> Result<(), ReplayError> {
        for number in listed.iter().rev() {
            let path = segment::path(&self.0.dir, *number);
            let Opened::Ready(reader) = self.open_if_pending(*number)? else { continue };
            let walked = walk(reader, &path)?;
            if Some(number) == listed.last() {
                match walked.bad {
                    Some(bad) => self.cut_tail(*number, bad, walked.length)?,
                    None => sync_segment(self.files(), &path)?,
                }
            }
            let highest = &mut self.0.report.highest_sequence;
            *highest = walked.last_sequence.max(*highest);
            if walked.last_sequence > 0 {
                // Numbers ascend from segment to segment.
                break;
            }
        }
        Ok(())
    }

    fn cut_tail(&mut self, number: u64, (offset, damage): (u64, Damage), length: u64) -> Result<(), ReplayError> {
        let path = segment::path(&self.0.dir, number);
        let kept = tail::cut(self.files(), &self.0.dir, number, offset).map_err(storage("cut", &path))?;
        self.0.report.cut = Some(Cut { segment: number, offset, bytes: length - offset, damage, kept });
        if let Some(last) = self.0.pending.back_mut() {
            *last = Pending::new(number, offset);
        }
        Ok(())
    }

    fn open_if_pending(&self, number: u64) -> Result<Opened, ReplayError> {
        if self.0.pending.iter().any(|pending| pending.is_of(number)) { self.open(number) } else { Ok(Opened::Foreign) }
    }

    fn open(&self, number: u64) -> Result<Opened, ReplayError> {
        let path = segment::path(&self.0.dir, number);
        segment::open(self.files(), &self.0.dir, number).map_err(storage("read", &path))
    }

    fn files(&self) -> &dyn WalFiles {
        self.0.files.as_ref()
    }

    fn sync_dir(&self) -> Result<(), ReplayError> {
        self.files().sync_dir(&self.0.dir).map_err(storage("sync", &self.0.dir))
    }

    fn quarantine(&mut self, path: &Path) -> Result<(), ReplayError> {
        let aside: PathBuf = segment::corrupt_path(path);
        self.files().rename(path, &aside).map_err(storage("set aside", path))?;
        self.0.report.quarantined.push(aside);
        Ok(())
    }

    fn remove(&self, path: &Path) -> Result<(), ReplayError> {
        self.files().remove(path).map_err(storage("remove", path))
    }
}

/// Reads a segment to its end.
fn walk(mut reader: SegmentReader, path: &Path) -> Result<Walked, ReplayError> {
    let (mut bad, mut buffers) = (None, Buffers::default());
    loop {
        let start = reader.offset();
        match reader.next(&mut buffers).map_err(storage("read", path))? {
            Next::Record(_) => bad = None,
            Next::Skipped(start, damage) => drop(bad.get_or_insert((start, damage))),
            Next::Bad(Damage::UnknownVersion(version)) => {
                return Err(ReplayError::UnknownVersion { path: path.to_path_buf(), version: version.into() });
            }
            Next::Bad(damage) => {
                bad.get_or_insert((start, damage));
                break;
            }
            Next::End => break,
        }
    }
    Ok(Walked { bad, last_sequence: reader.last_sequence(), length: reader.length() })
}
