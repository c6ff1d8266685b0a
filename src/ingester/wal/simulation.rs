//! The whole log over files that fail and lose power: what was acknowledged comes back, once, and nothing else does.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use tokio::runtime::Runtime;

use super::files::faulty::FaultyFiles;
use super::prepare::prepare_with;
use super::{Applied, Frame, Ledger, Options, Receipt, Replay, Wal};
use crate::model::{BlockId, TenantId, TraceId};

/// What the world knows of one record. A record holds one span of one trace, named by its number.
struct Known {
    tenant: usize,
    /// Where it lies, if it was acknowledged or came back; refused records may do that.
    receipt: Option<Receipt>,
    acknowledged: bool,
    in_block: bool,
    pinned: bool,
}

struct World {
    files: FaultyFiles,
    random: u64,
    known: BTreeMap<u32, Known>,
    blocks: Vec<BlockId>,
    /// Records that this life has replayed.
    seen: HashSet<u32>,
    tenants: Vec<TenantId>,
}

fn payload(record: u32) -> Vec<u8> {
    let noise = crc32c::crc32c(&record.to_le_bytes());
    let mut bytes = record.to_le_bytes().to_vec();
    bytes.resize(4 + (noise % 700) as usize, noise as u8);
    bytes.extend((0..noise % 50).map(|at| crc32c::crc32c(&at.to_le_bytes()) as u8));
    bytes
}

fn trace(record: u32) -> TraceId {
    TraceId(u128::from(record).to_be_bytes())
}

fn dir() -> PathBuf {
    PathBuf::from("/wal")
}

impl World {
    fn new(seed: u64) -> Self {
        let tenants = ["a", "b"].map(|name| TenantId::parse(name).expect("a tenant name")).to_vec();
        World { files: FaultyFiles::new(seed), random: seed | 1, known: BTreeMap::new(), blocks: Vec::new(), seen: HashSet::new(), tenants }
    }

    fn draw(&mut self, below: u32) -> u32 {
        self.random = self.random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        ((self.random >> 33) as u32) % below
    }

    /// Looks at the log, as a start does before it serves.
    fn prepare(&mut self) -> Replay {
        self.files.set_faults_per_mille(0);
        self.known.values_mut().for_each(|known| known.pinned = false);
        self.seen.clear();
        let blocks = &self.blocks;
        let mut exists = |_: &TenantId, block: &BlockId| Ok(blocks.contains(block));
        prepare_with(Arc::new(self.files.clone()), &dir(), &mut exists).expect("nothing fails at a start")
    }

    /// Replays one more segment and compares with what is known; true if it was the last.
    fn replay(&mut self, wal: &Wal, replay: &mut Replay) -> bool {
        let (known, tenants, seen) = (&mut self.known, &self.tenants, &mut self.seen);
        let went_on = wal.replay_segment(replay, |replayed| {
            let (start, _) = replayed.payload.split_first_chunk().expect("every payload has a number");
            let record = u32::from_le_bytes(*start);
            let expected = known.get_mut(&record).expect("nothing is invented");
            assert_eq!(replayed.payload, payload(record));
            assert_eq!(*replayed.tenant, tenants[expected.tenant]);
            let receipt = Receipt { sequence: replayed.sequence, segment: replayed.segment };
            assert!(seen.insert(record), "record {record} twice");
            assert!(expected.receipt.is_none_or(|known| receipt == known));
            assert_eq!(replayed.skip.skips(&trace(record)), expected.in_block, "record {record} {receipt:?}");
            assert!(expected.in_block || !replayed.skip.skips_all());
            (expected.receipt, expected.pinned) = (Some(receipt), !expected.in_block);
            Ok(if expected.in_block { Applied::Covered } else { Applied::Held })
        });
        // Only reading may fail, and is tried again.
        went_on.is_ok_and(|went_on| !went_on)
    }

    /// Replays what is left, and sees that nothing is missing.
    fn replay_rest(&mut self, wal: &Wal, replay: &mut Replay, first_of_this_life: u32) {
        while !self.replay(wal, replay) {}
        for (record, known) in self.known.range_mut(..first_of_this_life) {
            let found = self.seen.contains(record);
            assert!(found || !known.acknowledged || known.in_block, "record {record} lost: {:?}", known.receipt);
            known.receipt = known.receipt.filter(|_| found);
        }
    }

    fn append(&mut self, runtime: &Runtime, wal: &Arc<Wal>) {
        let first = self.known.len() as u32;
        let num_records = 1 + self.draw(4);
        let mut appends = Vec::new();
        for record in first..first + num_records {
            let tenant = self.draw(2) as usize;
            self.known.insert(record, Known { tenant, receipt: None, acknowledged: false, in_block: false, pinned: false });
            let frame = Frame::encode(&self.tenants[tenant], &payload(record)).expect("small");
            let wal = Arc::clone(wal);
            appends.push((record, runtime.spawn(async move { wal.append(frame).await })));
        }
        // All have started; some callers go away, before or after their record was written.
        runtime.block_on(tokio::task::yield_now());
        appends.iter().filter(|_| self.draw(20) == 0).for_each(|(_, task)| task.abort());
        for (record, task) in appends {
            if let Ok(Ok(receipt)) = runtime.block_on(task) {
                let known = self.known.get_mut(&record).expect("just added");
                (known.receipt, known.acknowledged, known.pinned) = (Some(receipt), true, true);
            }
        }
    }

    /// Flushes some of a tenant's records, carries some over, and is stopped at any point.
    fn flush(&mut self, wal: &Wal) {
        let tenant = self.draw(2) as usize;
        let candidates = self.known.iter().filter(|(_, known)| known.pinned && known.tenant == tenant);
        let candidates: Vec<u32> = candidates.map(|(record, _)| *record).collect();
        let (mut covered, mut carried) = (Vec::new(), Vec::new());
        for record in candidates {
            match self.draw(4) {
                0 => {}
                1 => carried.push(record),
                _ => covered.push(record),
            }
        }
        let block = BlockId::random();
        let sequences = covered.iter().chain(&carried).filter_map(|record| Some(self.known[record].receipt?.sequence));
        let ledger = Ledger::new(block, self.tenants[tenant].clone(), sequences, carried.iter().copied().map(trace));
        if wal.write_ledger(&ledger).is_err() || self.draw(4) == 0 {
            return;
        }
        self.blocks.push(block);
        let mut pins: BTreeMap<u64, u64> = BTreeMap::new();
        for record in covered {
            let known = self.known.get_mut(&record).expect("a candidate");
            (known.in_block, known.pinned) = (true, false);
            *pins.entry(known.receipt.expect("pinned records have one").segment).or_default() += 1;
        }
        wal.release(&pins.into_iter().collect::<Vec<_>>());
    }

    /// A block is deleted, as its ledger must be told before.
    fn delete_a_block(&mut self, wal: &Wal) {
        if self.blocks.is_empty() {
            return;
        }
        let at = self.draw(self.blocks.len() as u32) as usize;
        if wal.settle(&self.blocks[at]).is_ok() {
            self.blocks.remove(at);
        }
    }

    fn live(&mut self, runtime: &Runtime, replay: &mut Replay, faults_per_mille: u64) -> Arc<Wal> {
        let options = Options { segment_bytes: 3000, ..Options::default() };
        let wal = Arc::new(Wal::open_with(Arc::new(self.files.clone()), dir(), options, replay.start()).expect("no faults yet"));
        let first_of_this_life = self.known.len() as u32;
        self.files.set_faults_per_mille(faults_per_mille);
        for _ in 0..self.draw(40) {
            match self.draw(8) {
                0 => self.flush(&wal),
                1 => self.delete_a_block(&wal),
                2 | 3 => drop(self.replay(&wal, replay)),
                _ => self.append(runtime, &wal),
            }
        }
        // Some lives end before all is read.
        if self.draw(3) > 0 {
            self.replay_rest(&wal, replay, first_of_this_life);
        }
        wal
    }

    /// Without faults, releasing everything leaves one segment and no ledger.
    fn check_that_all_can_go(&mut self, wal: &Wal) {
        self.files.set_faults_per_mille(0);
        let mut pins: BTreeMap<u64, u64> = BTreeMap::new();
        for known in self.known.values().filter(|known| known.pinned) {
            *pins.entry(known.receipt.expect("pinned records have one").segment).or_default() += 1;
        }
        wal.release(&pins.into_iter().collect::<Vec<_>>());
        let pins = wal.pins();
        assert!(pins.iter().all(|(_, count)| *count == 0), "pins left: {pins:?}");
        // None if the last one was retired.
        assert!(pins.len() <= 1, "segments left: {pins:?}");
    }
}

fn simulate(seed: u64, faults_per_mille: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let mut world = World::new(seed);
    for life in 0..5 {
        let mut replay = world.prepare();
        let first_of_this_life = world.known.len() as u32;
        let wal = world.live(&runtime, &mut replay, if life == 4 { 0 } else { faults_per_mille });
        if life == 4 {
            world.replay_rest(&wal, &mut replay, first_of_this_life);
            runtime.block_on(wal.close()).expect("nothing is left to be synced");
            world.check_that_all_can_go(&wal);
        } else if world.draw(2) == 0 {
            world.files = world.files.power_loss();
        } else {
            runtime.block_on(wal.close()).expect("nothing is left to be synced");
        }
        assert!(faults_per_mille > 0 || replay.report().damaged.is_empty(), "{:?}", replay.report());
    }
}

#[test]
fn power_loss_loses_nothing_acknowledged() {
    (0..150).for_each(|seed| simulate(seed, 0));
}

#[test]
fn faults_and_power_loss_lose_nothing_acknowledged() {
    (1000..1150).for_each(|seed| simulate(seed, 20));
    (2000..2050).for_each(|seed| simulate(seed, 150));
}
