//! The write-ahead log's files, as replay finds them at a start.

use crate::Target;
use crate::decoders::requests;
use conmoto::ingester::wal::{Applied, Frame, Ledger, Options, Start, Wal, prepare};
use conmoto::model::{BlockId, TenantId, TraceId};
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

/// Segments and a ledger, written by the log itself.
struct Written {
    segment: Vec<u8>,
    ledger: Vec<u8>,
    payloads: HashSet<Vec<u8>>,
}

fn written() -> Written {
    let dir = TempDir::new().expect("a temporary directory");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let wal = Wal::open(dir.path(), Options::default(), Start::default()).expect("writable");
    let payloads: Vec<Vec<u8>> = requests().into_iter().take(8).collect();
    let tenant = TenantId::single();
    for payload in &payloads {
        let frame = Frame::encode(&tenant, payload).expect("small");
        runtime.block_on(wal.append(frame)).expect("writable");
    }
    let traces = [TraceId([1; 16]), TraceId([2; 16])];
    wal.write_ledger(&Ledger::new(BlockId::random(), tenant, [1, 2, 5], traces)).expect("writable");
    let file = |end: &str| {
        let mut names = std::fs::read_dir(dir.path()).expect("readable").map(|entry| entry.expect("readable").path());
        std::fs::read(names.find(|path| path.to_string_lossy().ends_with(end)).expect("just written")).expect("readable")
    };
    Written { segment: file(".wal"), ledger: file(".ledger"), payloads: payloads.into_iter().collect() }
}

/// Replays a log of these files; gives the payloads, if it started.
fn replayed(dir: &Path, files: &[(&str, &[u8])]) -> Option<Vec<Vec<u8>>> {
    std::fs::remove_dir_all(dir).expect("ours");
    std::fs::create_dir(dir).expect("ours");
    for (name, bytes) in files {
        std::fs::write(dir.join(name), bytes).expect("writable");
    }
    let mut payloads = Vec::new();
    let report = prepare(dir, |_, _| Ok(true)).and_then(|replay| {
        replay.read_all(|record| {
            payloads.push(record.payload.to_vec());
            Ok(if record.skip.skips_all() { Applied::Covered } else { Applied::Held })
        })
    });
    report.ok().map(|_| payloads)
}

/// The same bytes with checksums that fit, as far as lengths lead from record to record.
fn mended(input: &[u8]) -> Vec<u8> {
    let mut bytes = input.to_vec();
    let mut at = 16;
    while let Some(header) = bytes.get(at..at + 28) {
        let number = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let body_bytes = number(4) as usize + usize::from(u16::from_le_bytes([header[26], header[27]]));
        let end = at + 28 + body_bytes;
        if let Some(body) = bytes.get(at + 28..end) {
            let checksum = crc32c::crc32c(body).to_le_bytes();
            bytes[at + 20..at + 24].copy_from_slice(&checksum);
        }
        let checksum = crc32c::crc32c(&bytes[at + 4..at + 28]).to_le_bytes();
        bytes[at..at + 4].copy_from_slice(&checksum);
        at = end;
    }
    bytes
}

fn mended_ledger(input: &[u8]) -> Vec<u8> {
    let Some(body) = input.len().checked_sub(4).and_then(|end| input.get(..end)) else { return input.to_vec() };
    [body, &crc32c::crc32c(body).to_le_bytes()].concat()
}

/// The files of a log with an input in the place of one of them.
type Files = fn(&Written, &[u8]) -> Vec<(&'static str, Vec<u8>)>;

const SEGMENT: &str = "0000000000000001.wal";
const LEDGER: &str = "flush-6f1c2f6e-5a0b-4a51-9d0a-0a1b2c3d4e5f.ledger";

pub fn targets() -> Vec<Target> {
    let written = Arc::new(written());
    let root = Arc::new(TempDir::new().expect("a temporary directory"));
    let target = |name: &'static str, seeds: Vec<Vec<u8>>, files: Files, is_mended: bool| {
        let (written, root) = (Arc::clone(&written), Arc::clone(&root));
        let dir = root.path().join(name);
        std::fs::create_dir(&dir).expect("ours");
        let run = move |input: &[u8]| {
            let _ = &root;
            let files = files(&written, input);
            let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
            let Some(payloads) = replayed(&dir, &files) else { return false };
            // A damaged record is never served as truth.
            assert!(is_mended || payloads.iter().all(|payload| written.payloads.contains(payload)), "an invented record");
            !payloads.is_empty()
        };
        Target { name, seeds, run: Box::new(run) }
    };
    let segment = vec![written.segment.clone()];
    vec![
        target("wal segment", segment.clone(), |_, input| vec![(SEGMENT, input.to_vec())], false),
        target(
            "wal earlier segment",
            segment.clone(),
            |_, input| vec![(SEGMENT, input.to_vec()), ("0000000000000002.wal", input[..input.len().min(16)].to_vec())],
            false,
        ),
        target("wal mended segment", segment, |_, input| vec![(SEGMENT, mended(input))], true),
        target(
            "wal ledger",
            vec![written.ledger.clone()],
            |written, input| vec![(SEGMENT, written.segment.clone()), (LEDGER, input.to_vec())],
            false,
        ),
        target(
            "wal mended ledger",
            vec![written.ledger.clone()],
            |written, input| vec![(SEGMENT, written.segment.clone()), (LEDGER, mended_ledger(input))],
            false,
        ),
    ]
}
