use std::io::ErrorKind;
use std::path::Path;

use super::*;
use crate::ingester::wal::files::faulty::{FaultyFiles, Op};

fn held(number: u64, first_sequence: u64, pins: u64, damaged: bool) -> HeldSegment {
    HeldSegment { number, first_sequence: Some(first_sequence), pins, damaged, is_loading: false }
}

fn registry(files: &FaultyFiles, segments: &[HeldSegment], ledgers: &[HeldLedger]) -> Registry {
    for segment in segments {
        files.put(&segment::path(Path::new("/wal"), segment.number), Vec::new());
    }
    for ledger in ledgers {
        files.put(&ledger::path(Path::new("/wal"), &ledger.block, ledger.standing), Vec::new());
    }
    Registry::new("/wal".into(), Arc::new(files.clone()), Arc::default(), segments, ledgers)
}

fn num_ledgers(files: &FaultyFiles) -> usize {
    files.names().iter().filter(|name| name.ends_with(".ledger")).count()
}

#[test]
fn a_segment_goes_with_its_last_pin_and_not_before_it_is_closed() {
    let files = FaultyFiles::new(1);
    let registry = registry(&files, &[held(1, 1, 2, false)], &[]);
    files.put(&segment::path(Path::new("/wal"), 2), Vec::new());
    registry.add_active(2);
    registry.pin(2, 5, 1);
    registry.release(&[(1, 1), (2, 1)]);
    assert_eq!(registry.pins(), [(1, 1), (2, 0)]);
    registry.release(&[(1, 1)]);
    assert_eq!(files.names(), ["0000000000000002.wal"]);
    registry.close(2);
    registry.release(&[]);
    assert!(files.names().is_empty());
    assert_eq!(registry.instruments.segments_dropped.get(), 2);
}

#[test]
fn ledgers_go_after_segments_are_durably_gone() {
    let files = FaultyFiles::new(1);
    let ledger = |end_sequence| HeldLedger { block: BlockId::random(), end_sequence, standing: Standing::Depends };
    let ledgers = [ledger(10), ledger(11), ledger(20)];
    let registry = registry(&files, &[held(1, 1, 1, false), held(2, 10, 1, false)], &ledgers);
    registry.sweep();
    assert_eq!(num_ledgers(&files), 3);
    files.fail([(Op::SyncDir, ErrorKind::Other)]);
    registry.release(&[(1, 1)]);
    assert_eq!(num_ledgers(&files), 3, "the deletion of segment 1 is not durable");
    files.take_log();
    registry.release(&[]);
    assert_eq!(files.take_log(), ["sync".to_string(), format!("remove flush-{}.ledger", ledgers[0].block)]);
    files.fail([(Op::Remove, ErrorKind::Other)]);
    registry.release(&[(2, 1)]);
    assert_eq!((registry.pins().len(), num_ledgers(&files)), (1, 2), "segment 2 could not be deleted");
    registry.release(&[]);
    assert!(files.names().is_empty());
}

#[test]
fn a_damaged_segment_is_set_aside() {
    let files = FaultyFiles::new(1);
    let registry = registry(&files, &[held(1, 1, 1, true)], &[]);
    registry.release(&[]);
    assert_eq!(files.names(), ["0000000000000001.wal"]);
    registry.release(&[(1, 1)]);
    assert_eq!(files.names(), ["0000000000000001.wal.corrupt"]);
}

#[test]
fn releasing_too_much_never_deletes() {
    let files = FaultyFiles::new(1);
    let registry = registry(&files, &[held(1, 1, 2, false)], &[]);
    registry.release(&[(1, 3), (9, 1)]);
    registry.release(&[(1, 2)]);
    assert_eq!(files.names(), ["0000000000000001.wal"]);
}
