//! Which segments are still needed.
//!
//! Every record in the log pins its segment until it is in durable blocks. A segment that is closed, that is no longer
//! written, and has no pins is dropped: deleted, or set aside under a `.corrupt` name if replay found it damaged.
//!
//! Rules:
//! - Only [`Registry::release`] gives pins back. There are no guards: something dropped by accident, by a panic or by a
//!   cancelled task costs disk space until the next start, never data.
//! - Giving back more than was pinned is a bug in the caller; the segment is then kept until the next start.
//! - Order of deletion: segments, directory fsync, then the ledgers that only concerned deleted segments. The other way
//!   round, a power loss could bring a segment back without the ledger that says which of its spans are in blocks.
//! - A segment that could not be deleted is tried again at the next release.
//! - A segment that replay has not read to its end is not dropped, and as long as there is one no ledger is, since it may be
//!   about any record of it.
//! - A ledger whose block is about to be deleted is settled first: then it holds although the block is gone.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use super::files::WalFiles;
use super::instruments::WalInstruments;
use super::ledger::{self, Standing};
use super::segment;
use crate::model::BlockId;
use crate::runtime::failpoints::Failpoints;

/// A segment that replay found and that [`super::Wal::open`] takes over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldSegment {
    /// Its number.
    pub number: u64,
    /// Sequence number of its first good record; none if it holds none.
    pub first_sequence: Option<u64>,
    /// Records that the caller of replay holds, each to be released once.
    pub pins: u64,
    /// True if a part of it could not be read. It is then set aside and not deleted when its pins are gone; until then
    /// it keeps its name, so that another start finds its good records again.
    pub damaged: bool,
    /// True if replay has not read it to its end yet: neither pins nor damage are all known.
    pub is_loading: bool,
}

/// A flush ledger that is still needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldLedger {
    /// The block that it belongs to.
    pub block: BlockId,
    /// One past the highest sequence number that it covers.
    pub end_sequence: u64,
    /// Whether it holds without the block.
    pub standing: Standing,
}

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Condition {
    Active,
    /// Replay is reading it or is about to.
    Loading,
    Closed,
    /// Closed, and what is in it is not all known.
    Damaged,
}

#[derive(Debug)]
struct SegmentState {
    first_sequence: Option<u64>,
    pins: u64,
    condition: Condition,
    over_released: bool,
}

impl SegmentState {
    fn is_droppable(&self) -> bool {
        matches!(self.condition, Condition::Closed | Condition::Damaged) && self.pins == 0 && !self.over_released
    }
}

fn condition_of(held: &HeldSegment) -> Condition {
    match held {
        HeldSegment { is_loading: true, .. } => Condition::Loading,
        HeldSegment { damaged: true, .. } => Condition::Damaged,
        _ => Condition::Closed,
    }
}

#[derive(Default)]
struct State {
    segments: BTreeMap<u64, SegmentState>,
    ledgers: Vec<HeldLedger>,
}

/// Counts pins per segment and drops what nobody needs.
pub(super) struct Registry {
    dir: PathBuf,
    files: Arc<dyn WalFiles>,
    instruments: Arc<WalInstruments>,
    state: Mutex<State>,
    /// Held while files are deleted, so that two sweeps do not take each other's half-done work for done. The writer
    /// thread never waits for it.
    sweeping: Mutex<()>,
    failpoints: Failpoints,
}

impl Registry {
    /// Takes over what replay found.
    pub(super) fn new(
        dir: PathBuf,
        files: Arc<dyn WalFiles>,
        instruments: Arc<WalInstruments>,
        held: &[HeldSegment],
        ledgers: &[HeldLedger],
    ) -> Self {
        let segments = held.iter().map(|segment| {
            let condition = condition_of(segment);
            let state = SegmentState { first_sequence: segment.first_sequence, pins: segment.pins, condition, over_released: false };
            (segment.number, state)
        });
        let state = State { segments: segments.collect(), ledgers: ledgers.to_vec() };
        Registry { dir, files, instruments, state: Mutex::new(state), sweeping: Mutex::new(()), failpoints: Failpoints::default() }
    }

    /// Dies where a test says.
    pub(super) fn with_failpoints(self, failpoints: &Failpoints) -> Self {
        Registry { failpoints: failpoints.clone(), ..self }
    }

    /// A new segment that records go to from now on.
    pub(super) fn add_active(&self, number: u64) {
        let mut state = self.state.lock();
        let fresh = SegmentState { first_sequence: None, pins: 0, condition: Condition::Active, over_released: false };
        state.segments.insert(number, fresh);
        self.instruments.segments_held.set(state.segments.len() as u64);
    }

    /// Pins `num_records` records, the first of which has `first_sequence`. Called before anyone hears of them.
    pub(super) fn pin(&self, number: u64, first_sequence: u64, num_records: u64) {
        if let Some(segment) = self.state.lock().segments.get_mut(&number) {
            segment.first_sequence.get_or_insert(first_sequence);
            segment.pins += num_records;
        }
    }

    /// No record goes to this segment any more; the next sweep may drop it.
    pub(super) fn close(&self, number: u64) {
        if let Some(segment) = self.state.lock().segments.get_mut(&number) {
            segment.condition = Condition::Closed;
        }
    }

    /// Replay has read a segment to its end. Its pins were counted one by one.
    pub(super) fn loaded(&self, held: &HeldSegment) {
        if let Some(segment) = self.state.lock().segments.get_mut(&held.number) {
            segment.first_sequence = held.first_sequence;
            segment.condition = condition_of(held);
        }
    }

    /// Makes the ledger of a block that has existed hold without it; nothing if there is none any more.
    ///
    /// # Errors
    /// Those of the files: the block must not be deleted.
    pub(super) fn settle(&self, block: &BlockId) -> io::Result<()> {
        // A sweep deletes ledgers by the names that it has seen.
        let _one_at_a_time = self.sweeping.lock();
        let depends = |ledger: &HeldLedger| ledger.block == *block && ledger.standing == Standing::Depends;
        if !self.state.lock().ledgers.iter().any(depends) {
            return Ok(());
        }
        ledger::settle(self.files.as_ref(), &self.dir, block)?;
        self.state.lock().ledgers.iter_mut().filter(|ledger| depends(ledger)).for_each(|ledger| ledger.standing = Standing::Settled);
        self.failpoints.hit("wal.settled");
        Ok(())
    }

    /// A ledger that is durable now.
    pub(super) fn add_ledger(&self, ledger: HeldLedger) {
        let mut state = self.state.lock();
        state.ledgers.retain(|known| known.block != ledger.block);
        state.ledgers.push(ledger);
    }

    /// Gives pins back and deletes what that sets free (a few file operations, one directory fsync).
    pub(super) fn release(&self, pins: &[(u64, u64)]) {
        self.unpin(pins);
        self.sweep();
    }

    /// Gives pins back, without touching files.
    pub(super) fn unpin(&self, pins: &[(u64, u64)]) {
        let mut state = self.state.lock();
        for (number, count) in pins {
            let Some(segment) = state.segments.get_mut(number) else {
                tracing::error!(segment = number, count, "pins released of a write-ahead log segment that does not exist");
                continue;
            };
            match segment.pins.checked_sub(*count) {
                Some(left) => segment.pins = left,
                None => {
                    segment.over_released = true;
                    tracing::error!(segment = number, pins = segment.pins, count, "more pins released than held, the segment is kept");
                }
            }
        }
    }

    /// Pins that are held now, per segment, the active one included.
    pub(super) fn pins(&self) -> Vec<(u64, u64)> {
        self.state.lock().segments.iter().map(|(number, segment)| (*number, segment.pins)).collect()
    }

    /// Drops segments without pins, then ledgers without segments.
    pub(super) fn sweep(&self) {
        let _one_at_a_time = self.sweeping.lock();
        let dropped = self.drop_segments();
        let obsolete = {
            let mut state = self.state.lock();
            for number in &dropped {
                state.segments.remove(number);
            }
            self.instruments.segments_held.set(state.segments.len() as u64);
            let is_loading = state.segments.values().any(|segment| segment.condition == Condition::Loading);
            let first_sequences = state.segments.values().filter_map(|segment| segment.first_sequence);
            let lowest = first_sequences.chain(is_loading.then_some(0)).min();
            let is_obsolete = |ledger: &mut HeldLedger| lowest.is_none_or(|lowest| ledger.end_sequence <= lowest);
            state.ledgers.extract_if(.., is_obsolete).collect::<Vec<_>>()
        };
        self.instruments.segments_dropped.add(dropped.len() as u64);
        for ledger in obsolete {
            self.failpoints.hit("wal.drop.ledger");
            self.drop_ledger(ledger);
        }
        if !dropped.is_empty() {
            self.failpoints.hit("wal.dropped");
        }
    }

    /// The segments that are gone for good. Nothing is gone for good before the directory is durable.
    fn drop_segments(&self) -> Vec<u64> {
        let droppable: Vec<(u64, Condition)> = {
            let state = self.state.lock();
            let droppable = state.segments.iter().filter(|(_, segment)| segment.is_droppable());
            droppable.map(|(number, segment)| (*number, segment.condition)).collect()
        };
        let dropped: Vec<u64> =
            droppable.into_iter().filter(|(number, condition)| self.drop_segment(*number, *condition)).map(|(number, _)| number).collect();
        if dropped.is_empty() {
            return dropped;
        }
        self.failpoints.hit("wal.drop.segment");
        match self.files.sync_dir(&self.dir) {
            Ok(()) => dropped,
            Err(error) => {
                self.instruments.segment_errors.add(1);
                tracing::warn!(%error, "deleted write-ahead log segments could not be made durable, trying again later");
                Vec::new()
            }
        }
    }

    fn drop_segment(&self, number: u64, condition: Condition) -> bool {
        let path = segment::path(&self.dir, number);
        let outcome = match condition {
            Condition::Damaged => self.files.rename(&path, &segment::corrupt_path(&path)),
            Condition::Active | Condition::Loading | Condition::Closed => self.files.remove(&path),
        };
        match outcome {
            Ok(()) => true,
            // An earlier sweep got this far and then could not sync the directory.
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(error) => {
                self.instruments.segment_errors.add(1);
                tracing::warn!(segment = number, %error, "write-ahead log segment could not be deleted, trying again later");
                false
            }
        }
    }

    /// Not made durable here: a ledger that a power loss brings back speaks of numbers below all that are in use, and replay
    /// syncs the directory before it gives numbers anew.
    fn drop_ledger(&self, ledger: HeldLedger) {
        match self.files.remove(&ledger::path(&self.dir, &ledger.block, ledger.standing)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!(block = %ledger.block, %error, "flush ledger could not be deleted, trying again later");
                self.state.lock().ledgers.push(ledger);
            }
        }
    }
}

#[cfg(test)]
mod tests;
