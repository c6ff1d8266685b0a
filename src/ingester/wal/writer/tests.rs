use std::io::ErrorKind;
use std::path::Path;
use std::time::Instant;

use tokio::runtime::Runtime;

use super::*;
use crate::ingester::wal::files::faulty::{FaultyFiles, Op};
use crate::ingester::wal::prepare;
use crate::ingester::wal::replay::Applied;
use crate::ingester::wal::replay::tests::{replay_with, start_behind};
use crate::ingester::wal::segment;
use crate::model::{BlockId, TenantId};

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime")
}

fn frame(text: &str) -> Frame {
    Frame::encode(&TenantId::single(), text.as_bytes()).expect("small")
}

fn open(files: &FaultyFiles, sync: SyncMode) -> Wal {
    let options = Options { segment_bytes: 400, sync, ..Options::default() };
    Wal::open_with(Arc::new(files.clone()), "/wal".into(), options, Start::default()).expect("no faults")
}

fn texts(files: &FaultyFiles) -> Vec<String> {
    let mut texts = Vec::new();
    let report = replay_with(
        files,
        Path::new("/wal"),
        |_, _| Ok(true),
        |record| {
            texts.push(String::from_utf8_lossy(record.payload).into_owned());
            Ok(Applied::Held)
        },
    );
    assert!(report.expect("no faults").damaged.is_empty());
    texts
}

#[test]
fn real_files_survive_close_replay_and_release() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("deep/wal");
    let runtime = runtime();
    let options = Options { segment_bytes: 100_000, ..Options::default() };
    let wal = Wal::open(&path, options.clone(), Start::default()).expect("an empty directory");
    let big: Vec<String> = (0..20).map(|n| format!("{n} ").repeat(20_000 + n)).collect();
    let receipts: Vec<Receipt> = big.iter().map(|text| runtime.block_on(wal.append(frame(text))).expect("space")).collect();
    let noise: Vec<u8> = (0u32..50_000).flat_map(|n| crc32c::crc32c(&n.to_le_bytes()).to_le_bytes()).collect();
    let noisy = Frame::encode(&TenantId::single(), &noise).expect("small enough");
    runtime.block_on(wal.append(noisy)).expect("space");
    let ledger = Ledger::new(BlockId::random(), TenantId::single(), receipts.iter().map(|receipt| receipt.sequence), []);
    wal.write_ledger(&ledger).expect("space");
    runtime.block_on(wal.close()).expect("synced");
    assert_eq!(wal.instruments().appends.get(), 21);
    assert!(Wal::open(&path, options.clone(), Start::default()).is_err(), "segments exist that it does not know of");

    let mut got = Vec::new();
    let replay = prepare(&path, |_, _| Ok(true)).expect("intact");
    let report = replay.read_all(|record| {
        got.push(record.payload.to_vec());
        Ok(if record.skip.skips_all() { Applied::Covered } else { Applied::Held })
    });
    let report = report.expect("intact");
    assert!(got.iter().zip(&big).all(|(got, text)| got == text.as_bytes()) && got[20] == noise);
    assert_eq!((report.records, report.segments.iter().map(|held| held.pins).sum::<u64>()), (21, 1));
    let wal = Wal::open(&path, options, start_behind(&report)).expect("replayed");
    let held: Vec<(u64, u64)> = wal.pins().into_iter().filter(|(_, count)| *count > 0).collect();
    wal.release(&held);
    let names: Vec<String> = Disk.list(&path).expect("there");
    assert_eq!(names, [format!("{:016x}.wal", report.highest_segment + 1)]);
    runtime.block_on(wal.close()).expect("synced");
}

#[test]
fn waiters_share_rounds_and_order_is_the_order_of_the_log() {
    let files = FaultyFiles::new(1);
    let wal = Arc::new(open(&files, SyncMode::Group));
    let runtime = runtime();
    let tasks: Vec<_> = (0..200)
        .map(|n| (n, Arc::clone(&wal)))
        .map(|(n, wal)| runtime.spawn(async move { wal.append(frame(&n.to_string())).await }))
        .collect();
    let receipts: Vec<Receipt> = tasks.into_iter().map(|task| runtime.block_on(task).expect("no panic").expect("no faults")).collect();
    assert!(receipts.is_sorted_by(|a, b| a.sequence < b.sequence && a.segment <= b.segment));
    assert!(wal.instruments().rounds.get() <= 200);
    assert_eq!(wal.pins().iter().map(|(_, count)| count).sum::<u64>(), 200);
    assert_eq!(texts(&files), (0..200).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[test]
fn a_full_disk_refuses_and_recovers() {
    let files = FaultyFiles::new(1);
    let wal = open(&files, SyncMode::Group);
    let runtime = runtime();
    runtime.block_on(wal.append(frame("one"))).expect("space");
    files.set_space_bytes(Some(20));
    let error = runtime.block_on(wal.append(frame("two"))).expect_err("20 bytes are not enough");
    assert!(error.is_retryable());
    assert_eq!(texts(&files.copy()), ["one"]);
    files.set_space_bytes(None);
    runtime.block_on(wal.append(frame("three"))).expect("space");
    assert_eq!(texts(&files), ["one", "three"]);
    assert_eq!(wal.pins(), [(1, 2)], "the refused one holds no pin, the segment lives on");
}

#[test]
fn a_refused_round_that_cannot_be_removed_ends_the_segment() {
    let files = FaultyFiles::new(1);
    let wal = open(&files, SyncMode::Group);
    let runtime = runtime();
    runtime.block_on(wal.append(frame("one"))).expect("space");
    files.set_space_bytes(Some(20));
    files.fail([(Op::SetLen, ErrorKind::Other), (Op::SetLen, ErrorKind::Other)]);
    runtime.block_on(wal.append(frame("two"))).expect_err("no space");
    runtime.block_on(wal.append(frame("three"))).expect_err("no space for a new segment");
    files.set_space_bytes(None);
    let receipt = runtime.block_on(wal.append(frame("four"))).expect("space");
    assert!(receipt.segment > 1);
    assert_eq!(files.faults_left(), 0);
    let report = replay_with(&files, Path::new("/wal"), |_, _| Ok(true), |_| Ok(Applied::Held)).expect("readable");
    assert_eq!((report.records, report.damaged.len()), (2, 1));
}

#[test]
fn a_failed_sync_retires_the_segment() {
    let files = FaultyFiles::new(1);
    let wal = open(&files, SyncMode::Group);
    let runtime = runtime();
    runtime.block_on(wal.append(frame("one"))).expect("no faults");
    files.fail([(Op::Sync, ErrorKind::Other)]);
    let error = runtime.block_on(wal.append(frame("two"))).expect_err("not durable");
    assert!(error.is_retryable());
    let receipt = runtime.block_on(wal.append(frame("three"))).expect("a new segment");
    assert_eq!(receipt.segment, 2);
    assert_eq!(texts(&files.power_loss()), ["one", "three"]);
    wal.release(&[(1, 1)]);
    assert_eq!(files.names(), ["0000000000000002.wal"]);
    assert_eq!(wal.instruments().sync_errors.get(), 1);
}

#[test]
fn rotation_that_fails_goes_on_in_the_old_segment() {
    let files = FaultyFiles::new(1);
    let wal = open(&files, SyncMode::Group);
    let runtime = runtime();
    let long = (0..500u32).map(|n| char::from(b'a' + (crc32c::crc32c(&n.to_le_bytes()) % 26) as u8)).collect::<String>();
    files.fail([(Op::Create, ErrorKind::StorageFull)]);
    assert_eq!(runtime.block_on(wal.append(frame(&long))).expect("no faults").segment, 1);
    assert_eq!(runtime.block_on(wal.append(frame("next"))).expect("no faults").segment, 1);
    let third = runtime.block_on(wal.append(frame("third"))).expect("no faults");
    assert_eq!(third.segment, 3, "number 2 was used up by the failure");
    assert_eq!(texts(&files).len(), 3);
}

#[test]
fn a_dropped_append_leaves_no_pin() {
    let files = FaultyFiles::new(1);
    let wal = open(&files, SyncMode::Group);
    let runtime = runtime();
    for _ in 0..50 {
        runtime.block_on(async {
            tokio::select! {
                biased;
                _ = wal.append(frame("dropped")) => {}
                () = tokio::task::yield_now() => {}
            }
        });
    }
    runtime.block_on(wal.close()).expect("no faults");
    let acknowledged = wal.instruments().appends.get();
    // Those that were fast enough to be acknowledged within one yield were claimed, and still count.
    assert!(wal.pins().iter().map(|(_, count)| count).sum::<u64>() <= acknowledged);
    let receipt = Receipt { sequence: 1, segment: 1 };
    wal.registry.pin(1, 1, 1);
    let before = wal.pins();
    drop(UnclaimedPin::new(Arc::clone(&wal.registry), receipt));
    assert_eq!(wal.pins()[0].1 + 1, before[0].1);
    UnclaimedPin::new(Arc::clone(&wal.registry), receipt).claim();
    assert_eq!(wal.pins()[0].1 + 1, before[0].1);
}

#[test]
fn the_queue_is_bounded_in_bytes() {
    let files = FaultyFiles::new(1);
    let wal = open(&files, SyncMode::Group);
    let runtime = runtime();
    let all = Arc::clone(&wal.space).try_acquire_many_owned(QUEUE_UNITS as u32).expect("idle");
    let waits = runtime.block_on(async { tokio::time::timeout(Duration::from_millis(20), wal.append(frame("waits"))).await });
    assert!(waits.is_err());
    drop(all);
    runtime.block_on(wal.append(frame("goes"))).expect("room again");
    let mut noise = vec![0; 20 << 20];
    let mut state = 1u64;
    for word in noise.as_chunks_mut::<8>().0 {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        *word = (state ^ (state >> 31)).to_le_bytes();
    }
    let larger_than_the_queue = Frame::encode(&TenantId::single(), &noise).expect("20 MiB");
    runtime.block_on(wal.append(larger_than_the_queue)).expect("takes the whole queue");
}

#[test]
fn closing_writes_what_is_queued_and_refuses_the_rest() {
    let files = FaultyFiles::new(1);
    let wal = Arc::new(open(&files, SyncMode::None));
    let runtime = runtime();
    let tasks: Vec<_> =
        (0..50).map(|_| Arc::clone(&wal)).map(|wal| runtime.spawn(async move { wal.append(frame("queued")).await })).collect();
    runtime.block_on(async {
        tokio::task::yield_now().await;
        wal.close().await.expect("no faults");
        wal.close().await.expect("a second time is nothing");
    });
    let accepted = tasks.into_iter().map(|task| runtime.block_on(task).expect("no panic")).filter(Result::is_ok).count();
    assert_eq!(accepted, 50);
    let refused = runtime.block_on(wal.append(frame("late"))).expect_err("closed");
    assert!(matches!(refused, WalError::Closed) && !refused.is_retryable());
    assert_eq!(texts(&files.power_loss()).len(), 50, "closing syncs in every mode");
}

#[test]
fn dropping_the_log_syncs() {
    let files = FaultyFiles::new(1);
    let wal = open(&files, SyncMode::None);
    runtime().block_on(wal.append(frame("one"))).expect("no faults");
    let instruments = wal.instruments();
    drop(wal);
    let start = Instant::now();
    while instruments.syncs.get() == 0 {
        assert!(start.elapsed() < Duration::from_secs(20), "the thread never synced");
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(texts(&files.power_loss()), ["one"]);
}

#[test]
fn interval_mode_syncs_later() {
    let files = FaultyFiles::new(1);
    let wal = open(&files, SyncMode::Interval(Duration::from_millis(5)));
    let runtime = runtime();
    runtime.block_on(wal.append(frame("one"))).expect("no faults");
    let start = Instant::now();
    while wal.instruments().syncs.get() == 0 {
        assert!(start.elapsed() < Duration::from_secs(20), "the thread never synced");
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(texts(&files.power_loss()), ["one"]);
    files.fail([(Op::Sync, ErrorKind::Other)]);
    runtime.block_on(wal.append(frame("two"))).expect("acknowledged before the sync");
    while wal.instruments().sync_errors.get() == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(runtime.block_on(wal.append(frame("three"))).expect("a new segment").segment, 2);
    assert_eq!(texts(&files), ["one", "two", "three"], "what was acknowledged is not cut off");
}

#[test]
fn segments_are_rotated_by_size() {
    let files = FaultyFiles::new(1);
    let wal = open(&files, SyncMode::None);
    let runtime = runtime();
    let receipts: Vec<Receipt> = (0..30).map(|n| runtime.block_on(wal.append(frame(&n.to_string()))).expect("no faults")).collect();
    let last = receipts[29].segment;
    assert!((3..10).contains(&last));
    // Whatever the mode: a segment with a successor is durable.
    let left = texts(&files.power_loss());
    let expected = receipts.iter().filter(|receipt| receipt.segment < last).count();
    assert!(left.len() >= expected);
    assert!(files.contents(&segment::path(Path::new("/wal"), 1)).is_some_and(|bytes| bytes.len() >= 400));
}
