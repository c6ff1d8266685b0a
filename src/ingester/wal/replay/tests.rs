use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::ingester::wal::files::faulty::{FaultyFiles, Op};
use crate::ingester::wal::ledger::{self, Standing};
use crate::ingester::wal::prepare::prepare_with;
use crate::ingester::wal::{Frame, Options, SyncMode, Wal, prepare};

const DIR: &str = "/wal";

/// Reads a whole log, as a start does before and while it serves.
pub(in crate::ingester::wal) fn replay_with(
    files: &FaultyFiles,
    dir: &Path,
    mut block_exists: impl FnMut(&TenantId, &BlockId) -> Result<bool, BoxError>,
    apply: impl FnMut(ReplayedRecord<'_>) -> Result<Applied, BoxError>,
) -> Result<ReplayReport, ReplayError> {
    prepare_with(Arc::new(files.clone()), dir, &mut block_exists)?.read_all(apply)
}

/// Where a log goes on that was read whole.
pub(in crate::ingester::wal) fn start_behind(report: &ReplayReport) -> Start {
    Start {
        next_sequence: report.highest_sequence + 1,
        next_segment: report.highest_segment + 1,
        segments: report.segments.clone(),
        ledgers: report.ledgers.clone(),
    }
}

/// A record as replay gave it.
#[derive(Debug, Clone, PartialEq)]
struct Got {
    segment: u64,
    sequence: u64,
    tenant: String,
    payload: Vec<u8>,
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

fn payload(number: u32) -> Vec<u8> {
    let mut bytes = vec![number as u8; 40 * (number as usize % 7)];
    bytes.extend((0..30 + number).map(|at| crc32c::crc32c(&at.to_le_bytes()) as u8));
    bytes
}

fn open(files: &FaultyFiles, report: &ReplayReport) -> Wal {
    let options = Options { segment_bytes: 800, ..Options::default() };
    Wal::open_with(Arc::new(files.clone()), DIR.into(), options, start_behind(report)).expect("no faults")
}

/// A directory with `num_records` records in a few segments.
fn good_directory(num_records: u32) -> (FaultyFiles, Vec<Got>) {
    let files = FaultyFiles::new(1);
    let wal = open(&files, &ReplayReport::default());
    let mut records = Vec::new();
    for number in 0..num_records {
        let tenant = if number % 3 == 0 { "a" } else { "bcd" };
        let frame = Frame::encode(&TenantId::parse(tenant).expect("a name"), &payload(number)).expect("small");
        let receipt = block_on(wal.append(frame)).expect("no faults");
        let tenant = tenant.to_string();
        records.push(Got { segment: receipt.segment, sequence: receipt.sequence, tenant, payload: payload(number) });
    }
    block_on(wal.close()).expect("no faults");
    (files, records)
}

fn try_replay(files: &FaultyFiles) -> (Result<ReplayReport, ReplayError>, Vec<Got>) {
    let mut got = Vec::new();
    let report = replay_with(
        files,
        Path::new(DIR),
        |_, _| Ok(true),
        |record| {
            let ReplayedRecord { tenant, sequence, segment, payload, .. } = record;
            got.push(Got { segment, sequence, tenant: tenant.to_string(), payload: payload.to_vec() });
            Ok(Applied::Held)
        },
    );
    (report, got)
}

fn replay_all(files: &FaultyFiles) -> (ReplayReport, Vec<Got>) {
    let (report, got) = try_replay(files);
    (report.expect("no faults"), got)
}

fn edit(files: &FaultyFiles, segment: u64, change: impl FnOnce(&mut Vec<u8>)) {
    let path = segment::path(Path::new(DIR), segment);
    let mut bytes = files.contents(&path).expect("the segment exists");
    change(&mut bytes);
    files.put(&path, bytes);
}

#[test]
fn an_empty_directory_is_an_empty_log() {
    assert_eq!(replay_all(&FaultyFiles::new(1)), (ReplayReport::default(), Vec::new()));
    let missing = prepare(Path::new("/nonexistent/wal"), |_, _| Ok(true)).expect("an empty log");
    assert_eq!(missing.start(), Start::default());
    assert_eq!(missing.read_all(|_| Ok(Applied::Held)).expect("an empty log"), ReplayReport::default());
}

#[test]
fn everything_comes_back_with_pins() {
    let (files, records) = good_directory(20);
    let (report, got) = replay_all(&files);
    assert_eq!(got, records);
    assert_eq!((report.records, report.highest_sequence), (20, 20));
    assert_eq!(report.raw_bytes, records.iter().map(|record| record.payload.len() as u64).sum::<u64>());
    assert!(report.segments.len() > 1);
    assert_eq!(report.highest_segment, report.segments.last().expect("some").number);
    for held in &report.segments {
        let of_segment: Vec<&Got> = records.iter().filter(|record| record.segment == held.number).collect();
        assert_eq!(held.pins, of_segment.len() as u64);
        assert_eq!(held.first_sequence, of_segment.first().map(|record| record.sequence));
    }
    assert_eq!(replay_all(&files), (report, got), "replay is repeatable");
}

#[test]
fn a_torn_tail_is_cut_and_the_log_goes_on() {
    let (files, records) = good_directory(3);
    let last = records[2].segment;
    let whole = files.contents(&segment::path(Path::new(DIR), last)).expect("there").len() as u64;
    for (damage, tail) in [(Damage::Torn, vec![1; 27]), (Damage::Zeros, vec![0; 5000]), (Damage::HeaderChecksum, vec![7; 100])] {
        edit(&files, last, |bytes| bytes.extend_from_slice(&tail));
        let (report, got) = replay_all(&files);
        assert_eq!(got, records);
        assert_eq!(report.cut, Some(Cut { segment: last, offset: whole, bytes: tail.len() as u64, damage, kept: None }));
        assert_eq!(replay_all(&files).0.cut, None);
    }
    let report = replay_all(&files).0;
    let wal = open(&files, &report);
    let receipt = block_on(wal.append(Frame::encode(&TenantId::single(), b"next").expect("small"))).expect("no faults");
    assert!(receipt.sequence > records[2].sequence && receipt.segment > last);
    assert_eq!(replay_all(&files).1.len(), 4);
}

#[test]
fn what_a_kill_left_in_the_page_cache_is_durable_after_replay() {
    let files = FaultyFiles::new(1);
    let options = Options { segment_bytes: 1 << 20, sync: SyncMode::None, ..Options::default() };
    let wal = Wal::open_with(Arc::new(files.clone()), DIR.into(), options, Start::default()).expect("no faults");
    block_on(wal.append(Frame::encode(&TenantId::single(), b"unsynced").expect("small"))).expect("no faults");
    assert_eq!(replay_all(&files).1.len(), 1);
    let (report, got) = replay_all(&files.power_loss());
    assert_eq!((got.len(), report.cut), (1, None));
}

#[test]
fn a_cut_tail_that_holds_records_is_kept_aside() {
    let (files, records) = good_directory(2);
    assert_eq!(records[0].segment, records[1].segment, "the test needs them in one segment");
    let path = segment::path(Path::new(DIR), 1);
    edit(&files, 1, |bytes| bytes[20] ^= 1);
    let tail = files.contents(&path).expect("there")[16..].to_vec();
    let (report, got) = replay_all(&files);
    assert!(got.is_empty());
    let kept = report.cut.expect("a cut").kept.expect("a copy");
    assert_eq!(kept, Path::new("/wal/0000000000000001.wal.10.corrupt"));
    assert_eq!(files.contents(&kept), Some(tail));
    assert_eq!(files.contents(&path).map(|bytes| bytes.len()), Some(16));
}

#[test]
fn a_damaged_record_does_not_hide_those_behind_it() {
    let (files, records) = good_directory(2);
    let path = |number| segment::path(Path::new(DIR), number);
    assert_eq!(records[0].segment, records[1].segment, "the test needs them in one segment");
    edit(&files, 1, |bytes| bytes[60] ^= 1);
    let num_lost = Frame::encode(&TenantId::parse("a").expect("a name"), &records[0].payload).expect("small").stored_bytes();
    for is_last in [true, false] {
        if !is_last {
            files.put(&path(2), files.contents(&path(1)).expect("there")[..16].to_vec());
        }
        let (report, got) = replay_all(&files);
        assert_eq!(got, records[1..]);
        assert_eq!((report.cut.clone(), report.damaged.len()), (None, 1));
        assert_eq!((report.damaged[0].offset, report.damaged[0].lost_bytes), (16, num_lost as u64));
        assert!(report.segments[0].damaged && report.segments[0].pins == 1);
    }
}

#[test]
fn damage_in_an_earlier_segment_is_kept_until_released() {
    let (files, records) = good_directory(20);
    let lengths = records.iter().filter(|record| record.segment == 1).count();
    assert!(lengths > 1, "the test needs a good record before the bad one");
    edit(&files, 1, |bytes| *bytes.last_mut().expect("not empty") ^= 1);
    let survivors: Vec<Got> = records.iter().enumerate().filter(|(at, _)| at + 1 != lengths).map(|(_, record)| record.clone()).collect();
    for _ in 0..2 {
        let (report, got) = replay_all(&files);
        assert_eq!(got, survivors, "also when the server crashes again before the good part is in blocks");
        assert_eq!(report.damaged.len(), 1);
        assert_eq!((report.damaged[0].segment, report.damaged[0].damage), (1, Damage::BodyChecksum));
    }
    let report = replay_all(&files).0;
    let wal = open(&files, &report);
    let pins: Vec<(u64, u64)> = report.segments.iter().map(|held| (held.number, held.pins)).collect();
    wal.release(&pins);
    assert_eq!(files.names(), ["0000000000000001.wal.corrupt".to_string(), format!("{:016x}.wal", report.highest_segment + 1)]);
    let report = replay_all(&files).0;
    assert!(report.highest_segment > 1 && report.damaged.is_empty());
}

#[test]
fn foreign_files_are_set_aside_and_torn_creations_removed() {
    let (files, records) = good_directory(3);
    let at = |number: u64| segment::path(Path::new(DIR), number);
    files.put(&at(0x20), b"#!/bin/sh\n".to_vec());
    files.put(&at(0x21), vec![b'x'; 100]);
    files.put(&at(0x22), b"CONMO".to_vec());
    files.put(&at(0x23), vec![0; 16]);
    files.put(&at(0x24), Vec::new());
    files.put(Path::new("/wal/notes.txt"), b"mine".to_vec());
    let (report, got) = replay_all(&files);
    assert_eq!(got, records);
    assert_eq!(report.quarantined, [segment::corrupt_path(&at(0x20)), segment::corrupt_path(&at(0x21))]);
    assert_eq!(report.highest_segment, 0x24);
    assert!(report.quarantined.iter().all(|path| files.contents(path).is_some()));
    assert!([0x22, 0x23, 0x24].iter().all(|number| files.contents(&at(*number)).is_none()));
    assert!(files.contents(Path::new("/wal/notes.txt")).is_some());
    assert_eq!(replay_all(&files).0.highest_segment, 0x21, "names set aside still count");
}

#[test]
fn later_versions_are_refused_and_left_alone() {
    let (files, _) = good_directory(3);
    let (later_record, later_file) = (files.copy(), files.copy());
    edit(&later_record, 1, |bytes| {
        bytes[16 + 24] = 3;
        let checksum = crc32c::crc32c(&bytes[20..44]);
        bytes[16..20].copy_from_slice(&checksum.to_le_bytes());
    });
    edit(&later_file, 1, |bytes| {
        bytes[8] = 9;
        let checksum = crc32c::crc32c(&bytes[..12]);
        bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
    });
    for (files, expected) in [(later_record, 3), (later_file, 9)] {
        let before = files.contents(&segment::path(Path::new(DIR), 1));
        let error = try_replay(&files).0.expect_err("refused");
        assert!(matches!(error, ReplayError::UnknownVersion { version, .. } if version == expected));
        assert_eq!(files.contents(&segment::path(Path::new(DIR), 1)), before);
    }
}

#[test]
fn ledgers_decide_what_is_skipped() {
    let (files, records) = good_directory(9);
    let of = |tenant: &str| TenantId::parse(tenant).expect("a name");
    let sequences =
        |tenant: &str| records.iter().filter(|record| record.tenant == tenant).map(|record| record.sequence).collect::<Vec<_>>();
    let carried = TraceId([7; 16]);
    let blocks = [BlockId::random(), BlockId::random(), BlockId::random()];
    let put = |ledger: Ledger| ledger::write(&files, Path::new(DIR), &ledger).expect("no faults");
    put(Ledger::new(blocks[0], of("a"), sequences("a"), [carried]));
    put(Ledger::new(blocks[1], of("a"), sequences("a").into_iter().take(1), []));
    put(Ledger::new(blocks[2], of("bcd"), sequences("bcd").into_iter().chain([500]), []));
    let mut skipped = Vec::new();
    let report = replay_with(
        &files,
        Path::new(DIR),
        |_, block| Ok(*block != blocks[2]),
        |record| {
            let skip = &record.skip;
            skipped.push((skip.skips(&carried), skip.skips(&TraceId([8; 16])), skip.skips_all(), skip.skips_nothing()));
            Ok(if skip.skips_all() { Applied::Covered } else { Applied::Held })
        },
    );
    let report = report.expect("no faults");
    let (later_a, b) = ((false, true, false, false), (false, false, false, true));
    assert_eq!(skipped, [(true, true, true, false), b, b, later_a, b, b, later_a, b, b]);
    assert_eq!(report.segments.iter().map(|held| held.pins).sum::<u64>(), 8);
    assert_eq!((report.ledgers.len(), report.ledgers_without_block), (2, 1));
    assert_eq!(report.highest_sequence, 500, "numbers of a void ledger are not used again");
    assert!(files.contents(&ledger::path(Path::new(DIR), &blocks[2], Standing::Depends)).is_none());
}

#[test]
fn damaged_ledgers_hide_nothing() {
    let (files, records) = good_directory(3);
    let ledger = Ledger::new(BlockId::random(), TenantId::parse("a").expect("a name"), [1, 2, 3], []);
    ledger::write(&files, Path::new(DIR), &ledger).expect("no faults");
    let path = ledger::path(Path::new(DIR), ledger.block(), Standing::Depends);
    let mut bytes = files.contents(&path).expect("there");
    bytes[70] ^= 1;
    files.put(&path, bytes);
    let (report, got) = replay_all(&files);
    assert_eq!(got, records);
    assert_eq!((report.quarantined.len(), report.ledgers.len()), (1, 0));
}

#[test]
fn closures_and_files_can_fail() {
    let (files, _) = good_directory(3);
    ledger::write(&files, Path::new(DIR), &Ledger::new(BlockId::random(), TenantId::single(), [1], [])).expect("no faults");
    let lookup = replay_with(&files, Path::new(DIR), |_, _| Err("bucket is away".into()), |_| Ok(Applied::Held));
    assert!(matches!(lookup, Err(ReplayError::BlockLookup { .. })));
    let apply = replay_with(&files, Path::new(DIR), |_, _| Ok(true), |_| Err("no memory".into()));
    assert_eq!(apply.expect_err("refused").to_string(), "could not apply record 1 of write-ahead log segment 0000000000000001: no memory");
    files.fail([(Op::SyncDir, std::io::ErrorKind::Other)]);
    assert!(matches!(try_replay(&files).0, Err(ReplayError::Storage { .. })));
}

#[derive(Debug, Clone)]
enum Mutation {
    Flip { at: prop::sample::Index, bits: u8 },
    Overwrite { at: prop::sample::Index, with: Vec<u8> },
    Zero { at: prop::sample::Index, length: usize },
    Truncate { at: prop::sample::Index },
    Append { with: Vec<u8> },
    Remove { at: prop::sample::Index, length: usize },
    Repeat { at: prop::sample::Index, length: usize },
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let index = any::<prop::sample::Index>;
    let bytes = || proptest::collection::vec(any::<u8>(), 1..100);
    prop_oneof![
        (index(), 1u8..).prop_map(|(at, bits)| Mutation::Flip { at, bits }),
        (index(), bytes()).prop_map(|(at, with)| Mutation::Overwrite { at, with }),
        (index(), 1usize..600).prop_map(|(at, length)| Mutation::Zero { at, length }),
        index().prop_map(|at| Mutation::Truncate { at }),
        bytes().prop_map(|with| Mutation::Append { with }),
        (index(), 1usize..300).prop_map(|(at, length)| Mutation::Remove { at, length }),
        (index(), 1usize..600).prop_map(|(at, length)| Mutation::Repeat { at, length }),
    ]
}

/// Applies it and says where the damage starts.
fn mutate(bytes: &mut Vec<u8>, mutation: &Mutation) -> usize {
    let length_before = bytes.len();
    let place = |at: &prop::sample::Index| at.index(length_before);
    match mutation {
        Mutation::Flip { at, bits } => {
            bytes[place(at)] ^= bits;
            place(at)
        }
        Mutation::Overwrite { at, with } => {
            let end = (place(at) + with.len()).min(length_before);
            bytes[place(at)..end].copy_from_slice(&with[..end - place(at)]);
            place(at)
        }
        Mutation::Zero { at, length } => {
            let end = (place(at) + length).min(length_before);
            bytes[place(at)..end].fill(0);
            place(at)
        }
        Mutation::Truncate { at } => {
            bytes.truncate(place(at));
            place(at)
        }
        Mutation::Append { with } => {
            bytes.extend_from_slice(with);
            length_before
        }
        Mutation::Remove { at, length } => {
            drop(bytes.drain(place(at)..(place(at) + length).min(length_before)));
            place(at)
        }
        Mutation::Repeat { at, length } => {
            let copy = bytes[place(at)..(place(at) + length).min(length_before)].to_vec();
            let after = place(at) + copy.len();
            drop(bytes.splice(after..after, copy));
            after
        }
    }
}

/// The records of a segment that end at or before `damage`.
fn intact_before(records: &[Got], segment: u64, damage: usize) -> Vec<Got> {
    let mut end = 16;
    let of_segment = records.iter().filter(|record| record.segment == segment);
    let before = of_segment.take_while(|record| {
        let tenant = TenantId::parse(&record.tenant).expect("a name");
        end += Frame::encode(&tenant, &record.payload).expect("small").stored_bytes();
        damage >= 16 && end <= damage
    });
    before.cloned().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn whatever_happens_to_the_bytes(mutations in proptest::collection::vec((any::<prop::sample::Index>(), mutation()), 1..4)) {
        let (files, records) = good_directory(14);
        let segments: Vec<u64> = segment::list(&files.names()).segments;
        let mut damage: std::collections::HashMap<u64, usize> = std::collections::HashMap::new();
        for (which, mutation) in &mutations {
            let number = *which.get(&segments);
            edit(&files, number, |bytes| {
                if !bytes.is_empty() {
                    let at = mutate(bytes, mutation);
                    let first = damage.entry(number).or_insert(at);
                    *first = at.min(*first);
                }
            });
        }
        let (report, got) = replay_all(&files);
        for number in &segments {
            let at_least = intact_before(&records, *number, damage.get(number).copied().unwrap_or(usize::MAX));
            let of_segment: Vec<Got> = got.iter().filter(|record| record.segment == *number).cloned().collect();
            let all: Vec<Got> = records.iter().filter(|record| record.segment == *number).cloned().collect();
            prop_assert!(of_segment.len() >= at_least.len(), "segment {}: {:?}", number, report);
            let mut rest = all.iter();
            prop_assert!(of_segment.iter().all(|got| rest.any(|record| record == got)), "only what was there, in order, segment {}", number);
        }
        prop_assert!(got.is_sorted_by(|a, b| a.sequence < b.sequence));
        prop_assert_eq!(report.records, got.len() as u64);
        prop_assert_eq!(replay_all(&files).1, got);
    }
}

#[test]
fn a_read_error_at_start_refuses_and_a_later_one_is_tried_again() {
    let (files, records) = good_directory(60);
    let prepare = |files: &FaultyFiles| prepare_with(Arc::new(files.clone()), Path::new(DIR), &mut |_, _| Ok(true));
    files.fail([(Op::Read, std::io::ErrorKind::Other)]);
    assert!(matches!(prepare(&files), Err(ReplayError::Storage { operation: "read", .. })));

    let mut replay = prepare(&files).expect("no faults");
    let wal = Wal::open_with(Arc::new(files.clone()), DIR.into(), Options::default(), replay.start()).expect("no faults");
    let num_segments = replay.pending.len();
    assert!(num_segments > 2, "the test needs some");
    // The first read of a reader is its header, the second the records.
    files.fail([(Op::Read, std::io::ErrorKind::Other)]);
    let (mut got, mut failures) = (Vec::new(), 0);
    loop {
        let went_on = wal.replay_segment(&mut replay, |record| {
            got.push((record.segment, record.sequence));
            Ok(Applied::Held)
        });
        match went_on {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                assert!(matches!(error, ReplayError::Storage { .. }));
                failures += 1;
            }
        }
        let pins = wal.pins().iter().map(|(_, pins)| pins).sum::<u64>();
        assert_eq!(pins, got.len() as u64, "each record is pinned once");
    }
    assert_eq!((failures, replay.report().damaged.len()), (1, 0), "an error of the disk is no damage");
    assert_eq!(got.first().map(|(segment, _)| *segment), Some(2), "the others go on meanwhile");
    got.sort_unstable();
    assert_eq!(got, records.iter().map(|record| (record.segment, record.sequence)).collect::<Vec<_>>());
}

#[test]
fn what_cannot_be_decoded_is_kept_and_reported() {
    let (files, records) = good_directory(6);
    let mut replay = prepare_with(Arc::new(files.clone()), Path::new(DIR), &mut |_, _| Ok(true)).expect("no faults");
    let wal = Wal::open_with(Arc::new(files.clone()), DIR.into(), Options::default(), replay.start()).expect("no faults");
    let bad = records[1].sequence;
    let mut apply = |record: ReplayedRecord<'_>| Ok(if record.sequence == bad { Applied::Undecodable } else { Applied::Held });
    while wal.replay_segment(&mut replay, &mut apply).expect("no faults") {}
    let damage: Vec<Damage> = replay.report().damaged.iter().map(|damaged| damaged.damage).collect();
    assert_eq!(damage, [Damage::Payload]);
    let counts = wal.instruments();
    assert_eq!((counts.damaged_segments.get(), counts.damaged_bytes.get()), (1, replay.report().damaged[0].lost_bytes));
    wal.release(&wal.pins());
    assert!(files.names().contains(&"0000000000000001.wal.corrupt".to_string()), "{:?}", files.names());
}

#[test]
fn while_a_segment_is_read_neither_it_nor_a_ledger_goes() {
    let (files, _) = good_directory(60);
    let block = BlockId::random();
    let tenant = TenantId::parse("a").expect("a name");
    ledger::write(&files, Path::new(DIR), &Ledger::new(block, tenant, [1], [])).expect("no faults");
    let mut replay = prepare_with(Arc::new(files.clone()), Path::new(DIR), &mut |_, _| Ok(true)).expect("no faults");
    let wal = Wal::open_with(Arc::new(files.clone()), DIR.into(), Options::default(), replay.start()).expect("no faults");
    let before = files.names();
    let ledger_name = format!("flush-{block}.settled");
    assert!(before.contains(&ledger_name), "its block is there, so it holds: {before:?}");
    // Everything is released as soon as it is read, as by a flush.
    let mut num_read = 0;
    while wal.replay_segment(&mut replay, |_| Ok(Applied::Held)).expect("no faults") {
        let pins = wal.pins();
        wal.release(&pins);
        num_read += 1;
        assert_eq!(files.names().contains(&ledger_name), !replay.pending.is_empty());
        assert_eq!(files.names().iter().filter(|name| name.ends_with(".wal")).count(), replay.pending.len() + 1);
    }
    assert!(num_read > 2, "the test needs some");
}
