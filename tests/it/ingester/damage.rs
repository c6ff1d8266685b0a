//! Damage in each region of each file of the log: found, reported with one line and a number, never served as truth; and answers
//! that may lack spans say so. What looks like the end of an unfinished write is cut off, as it must be.

use crate::support::data::{MILLISECOND, With, shop, span, text};
use crate::support::server::{DataDir, Server};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Bytes before the first record, and of a record's header.
const FILE_HEADER: usize = 16;
const RECORD_HEADER: usize = 28;
/// The first segment has this many requests, and the second, which is the last, two.
const IN_FIRST: usize = 3;
const NUM_REQUESTS: usize = 5;

fn request(number: usize) -> Vec<u8> {
    let trace = number as u128 + 1;
    shop(vec![span(trace, trace as u64, "logged", trace as u64 * MILLISECOND).with("text", text(&format!("{number:032}")))])
}

/// Two segments with requests that are in no block.
fn log() -> DataDir {
    let data = DataDir::new();
    for requests in [0..IN_FIRST, IN_FIRST..NUM_REQUESTS] {
        let server = Server::start(&data);
        requests.for_each(|number| server.push(&request(number)));
        server.kill();
    }
    data
}

fn wal_files(data: &DataDir, end: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(data.path().join("wal")).expect("a log").map(|entry| entry.expect("readable").path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.to_string_lossy().ends_with(end)).collect();
    files.sort();
    files
}

/// The same files in another directory.
fn copy_of(data: &DataDir) -> DataDir {
    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).expect("writable");
        for entry in fs::read_dir(from).expect("readable").map(|entry| entry.expect("readable")) {
            let target = to.join(entry.file_name());
            match entry.file_type().expect("readable").is_dir() {
                true => copy(&entry.path(), &target),
                false => drop(fs::copy(entry.path(), target).expect("writable")),
            }
        }
    }
    let copied = DataDir::new();
    for folder in ["wal", "blocks"].map(|name| data.path().join(name)).iter().filter(|folder| folder.exists()) {
        copy(folder, &copied.path().join(folder.file_name().expect("named")));
    }
    copied
}

/// Where the records of a segment are.
fn records(segment: &Path) -> Vec<Range<usize>> {
    let bytes = fs::read(segment).expect("readable");
    let mut records = Vec::new();
    let mut at = FILE_HEADER;
    while let Some(header) = bytes.get(at..at + RECORD_HEADER) {
        let stored = u32::from_le_bytes(header[4..8].try_into().expect("four bytes")) as usize;
        let tenant = u16::from_le_bytes(header[26..28].try_into().expect("two bytes")) as usize;
        let end = at + RECORD_HEADER + tenant + stored;
        records.push(at..end);
        at = end;
    }
    records
}

#[derive(Clone, Copy, Debug)]
enum Harm {
    Flip,
    Truncate,
    Zero,
}

fn harm(file: &Path, region: Range<usize>, how: Harm) {
    let mut bytes = fs::read(file).expect("readable");
    match how {
        Harm::Flip => bytes[region.start] ^= 0x10,
        Harm::Truncate => bytes.truncate((region.start + region.end) / 2),
        Harm::Zero => bytes[region].fill(0),
    }
    fs::write(file, bytes).expect("writable");
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Found {
    /// An error line, a number, and partial answers.
    Damage,
    /// Cut off as an unfinished write: one line and a number.
    Cut,
}
use Found::{Cut, Damage};

/// Fields of a record's header by their offset (docs/wal-format.md).
const FIELDS: [(&str, usize); 8] = [
    ("checksum", 0),
    ("stored length", 4),
    ("sequence", 8),
    ("length", 16),
    ("checksum of the contents", 20),
    ("version", 24),
    ("compression", 25),
    ("length of the tenant", 26),
];

struct Case {
    what: String,
    segment: usize,
    region: Range<usize>,
    how: Harm,
    lost: Range<usize>,
    found: Found,
}

fn cases(first: &[Range<usize>], last: &[Range<usize>]) -> Vec<Case> {
    let case = |what: &str, (segment, region): (usize, Range<usize>), how, lost, found| Case {
        what: what.to_string(),
        segment,
        region,
        how,
        lost,
        found,
    };
    let mut cases = Vec::new();
    for (field, at) in [("magic", 0), ("version", 8), ("checksum", 12)] {
        cases.push(case(&format!("{field} of a segment"), (0, at..at + 1), Harm::Flip, 0..3, Damage));
    }
    let (second, middle) = (first[1].clone(), |record: &Range<usize>| (record.start + record.end) / 2..record.end);
    for (field, at) in FIELDS {
        let region = second.start + at..second.end;
        cases.push(case(&format!("{field} of a record"), (0, region), Harm::Flip, 1..3, Damage));
    }
    let tenant = second.start + RECORD_HEADER..second.end;
    cases.push(case("tenant of a record", (0, tenant), Harm::Flip, 1..2, Damage));
    cases.push(case("contents of a record", (0, middle(&second)), Harm::Flip, 1..2, Damage));
    cases.push(case("a record that ends early", (0, second.clone()), Harm::Truncate, 1..3, Damage));
    cases.push(case("zeros instead of a record", (0, second.clone()), Harm::Zero, 1..3, Damage));
    cases.push(case("zeros in a record", (0, middle(&second)), Harm::Zero, 1..2, Damage));
    cases.push(case("magic of the last segment", (1, 0..1), Harm::Flip, 3..5, Damage));
    cases.push(case("contents before the last record", (1, middle(&last[0])), Harm::Flip, 3..4, Damage));
    cases.push(case("header before the last record", (1, last[0].clone()), Harm::Flip, 3..5, Cut));
    cases.push(case("header of the last record", (1, last[1].clone()), Harm::Flip, 4..5, Cut));
    cases.push(case("contents of the last record", (1, middle(&last[1])), Harm::Flip, 4..5, Cut));
    cases.push(case("a last record that ends early", (1, last[1].clone()), Harm::Truncate, 4..5, Cut));
    cases.push(case("zeros instead of the last record", (1, last[1].clone()), Harm::Zero, 4..5, Cut));
    cases
}

#[test]
fn every_region_of_a_segment() {
    let template = log();
    let segments = |data: &DataDir| wal_files(data, ".wal");
    let [first, last] = &segments(&template)[..] else { panic!("two segments: {:?}", segments(&template)) };
    assert_eq!((records(first).len(), records(last).len()), (IN_FIRST, NUM_REQUESTS - IN_FIRST));
    for Case { what, segment, region, how, lost, found } in cases(&records(first), &records(last)) {
        let data = copy_of(&template);
        harm(&segments(&data)[segment], region, how);
        let mut server = Server::start(&data);
        ["acknowledged spans may be lost", "does not belong into the log", "was cut off"].iter().for_each(|text| server.expect_log(text));
        let lines = server.log().lines().filter(|line| line.contains("level=error ") || line.contains("level=warn ")).count();
        assert_eq!(lines, 1, "{what}: {}", server.log());
        for number in 0..NUM_REQUESTS {
            let expected = usize::from(!lost.contains(&number));
            assert_eq!(server.span_ids(number as u128 + 1).len(), expected, "{what}: request {number}");
        }
        assert_eq!(server.count("{ .text =~ \"0+[0-4]\" }") as usize, NUM_REQUESTS - lost.len(), "{what}");
        let partial = server.get("/api/search?q=%7B%7D").header("x-conmoto-partial").to_string();
        assert_eq!(partial, if found == Damage { "1 segment of the log is damaged" } else { "" }, "{what}");
        assert_eq!(server.metric("conmoto_wal_damaged_segments"), f64::from(u8::from(found == Damage)), "{what}");
        assert_eq!(server.metric("conmoto_wal_cut_bytes") > 0.0, found == Cut, "{what}");
        assert_eq!(server.span_ids(9u128).len(), 0);
        server.push(&shop(vec![span(9, 9, "later", 1)]));
        assert_eq!(server.span_ids(9u128).len(), 1, "{what}: the log goes on");
    }
}

#[test]
fn what_was_set_aside_is_remembered_until_somebody_removes_it() {
    let data = log();
    let segment = wal_files(&data, ".wal")[0].clone();
    harm(&segment, 0..1, Harm::Flip);
    let partial = |server: &Server| server.get("/api/search?q=%7B%7D").header("x-conmoto-partial").to_string();
    for _ in 0..2 {
        let mut server = Server::start(&data);
        server.expect_log("does not belong into the log");
        server.expect_log("damaged segments of the log lie there still");
        assert_eq!(partial(&server), "1 segment of the log is damaged");
        server.flush();
    }
    wal_files(&data, ".corrupt").iter().for_each(|file| fs::remove_file(file).expect("writable"));
    assert_eq!(partial(&Server::start(&data)), "");
}

#[test]
fn every_region_of_a_ledger() {
    let template = DataDir::new();
    let process = template.spawn_with("conmoto", &template.config(), &[], &[("CONMOTO_FAILPOINT", "flush.meta")]);
    let server = Server::of(&template, process).unwrap_or_else(|process| panic!("{}", process.log()));
    (0..NUM_REQUESTS).for_each(|number| server.push(&request(number)));
    // It dies when the block is there and the log still has everything.
    assert!(server.try_flush().is_err());
    server.wait();
    drop(server);
    let [ledger] = &wal_files(&template, ".ledger")[..] else { panic!("one ledger") };
    let length = fs::metadata(ledger).expect("readable").len() as usize;
    let fields =
        [("magic", 0), ("version", 8), ("length of the tenant", 12), ("ranges", 16), ("carried", 20), ("block", 24), ("tenant", 60)];
    let flips = fields.iter().map(|(name, at)| (*name, *at..length, Harm::Flip));
    let ends = [
        ("a range", length - 20..length, Harm::Flip),
        ("checksum", length - 4..length, Harm::Flip),
        ("half", 0..length, Harm::Truncate),
        ("zeros", 0..length, Harm::Zero),
    ];
    for (what, region, how) in flips.chain(ends) {
        let data = copy_of(&template);
        harm(&wal_files(&data, ".ledger")[0], region, how);
        let mut server = Server::start(&data);
        server.expect_log("does not belong into the log");
        assert_eq!(server.count("{}") as usize, NUM_REQUESTS, "{what}: nothing is lost, and what is stored twice is shown once");
        assert_eq!(server.metric("conmoto_wal_replayed_records_total") as usize, NUM_REQUESTS, "{what}");
        assert_eq!(wal_files(&data, ".ledger.corrupt").len(), 1, "{what}");
        assert_eq!(server.get("/api/search?q=%7B%7D").header("x-conmoto-partial"), "", "{what}");
        let lines = server.log().lines().filter(|line| line.contains("level=error ")).count();
        assert_eq!(lines, 1, "{what}: {}", server.log());
    }
    let data = copy_of(&template);
    fs::remove_file(&wal_files(&data, ".ledger")[0]).expect("writable");
    assert_eq!(Server::start(&data).count("{}") as usize, NUM_REQUESTS);
}
