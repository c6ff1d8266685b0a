//! Damage in each region of each file of a block: the block is left out and reported once, answers say so, nothing wrong is ever
//! shown. Some bits of pages mean nothing to a reader (a statistic, a column for other programs): then every answer is as before.
//! One block for each kind of damage, all in one directory.

use crate::support::client::flattened;
use crate::support::data::{MILLISECOND, With, shop, span, text};
use crate::support::http::with_query;
use crate::support::server::{DataDir, Server};
use conmoto::proto::otlp::{Event, Link, Span};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The Parquet files of a block, and the others.
const TABLES: [&str; 6] = ["data.parquet", "traces.parquet", "events.parquet", "links.parquet", "resources.parquet", "scopes.parquet"];
const OTHERS: [&str; 3] = ["index", "bloom-0", "catalogue"];
/// Members of `meta.json`.
const MEMBERS: [&str; 16] = [
    "format",
    "version",
    "block_id",
    "tenant",
    "start_unix_nano",
    "end_unix_nano",
    "created_unix_nano",
    "num_spans",
    "num_traces",
    "level",
    "bloom_shards",
    "replaces",
    "split",
    "row_groups",
    "files",
    "crc32c",
];

/// Where a bit is flipped.
#[derive(Clone, Copy, Debug)]
enum Region {
    /// So many hundredths into the pages of a Parquet file.
    Pages(usize),
    /// The first byte after them: indexes of pages.
    PageIndex,
    /// The middle of the footer.
    Footer,
    /// The length of the footer, and the magic at the end.
    FooterLength,
    Magic,
    First,
    Middle,
    Last,
    /// The value of a member.
    Member(&'static str),
}

#[derive(Clone, Copy, Debug)]
enum Harm {
    Flip(Region),
    Truncate,
    Empty,
    Zero,
    Remove,
}

/// Each file with what is done to it.
fn cases() -> Vec<(&'static str, Harm)> {
    let mut cases = Vec::new();
    for file in TABLES {
        let regions = [Region::Pages(50), Region::PageIndex, Region::Footer, Region::FooterLength, Region::Magic];
        cases.extend(regions.map(|region| (file, Harm::Flip(region))));
    }
    cases.extend((0..100).step_by(9).map(|part| ("data.parquet", Harm::Flip(Region::Pages(part)))));
    for file in OTHERS {
        cases.extend([Region::First, Region::Middle, Region::Last].map(|region| (file, Harm::Flip(region))));
    }
    for file in TABLES.iter().chain(&OTHERS) {
        cases.extend([Harm::Truncate, Harm::Empty, Harm::Zero, Harm::Remove].map(|harm| (*file, harm)));
    }
    cases.extend(MEMBERS.map(|member| ("meta.json", Harm::Flip(Region::Member(member)))));
    // Without it there is no block.
    cases.extend([Harm::Truncate, Harm::Empty, Harm::Zero].map(|harm| ("meta.json", harm)));
    cases
}

fn offset(file: &Path, bytes: &[u8], region: Region) -> usize {
    let footer = || u32::from_le_bytes(bytes[bytes.len() - 8..bytes.len() - 4].try_into().expect("four bytes")) as usize;
    let pages = || bytes.len() - tail_bytes(file);
    match region {
        Region::Pages(part) => 4 + (pages() - 4) * part / 100,
        Region::PageIndex => pages(),
        Region::Footer => bytes.len() - 8 - footer() / 2,
        Region::FooterLength => bytes.len() - 8,
        Region::Magic => bytes.len() - 1,
        Region::First => 0,
        Region::Middle => bytes.len() / 2,
        Region::Last => bytes.len() - 1,
        Region::Member(member) => {
            let key = format!("\"{member}\":");
            // The last one: files have checksums, too.
            let at = bytes.windows(key.len()).rposition(|window| window == key.as_bytes()).expect("a member");
            at + key.len() + usize::from(bytes[at + key.len()] == b'"')
        }
    }
}

/// Bytes of a Parquet file from its first page index on.
fn tail_bytes(file: &Path) -> usize {
    let meta: Value = serde_json::from_slice(&fs::read(file.with_file_name("meta.json")).expect("readable")).expect("JSON");
    let files = meta["files"].as_array().expect("a list");
    let listed = files.iter().find(|listed| file.ends_with(listed["name"].as_str().expect("a name"))).expect("listed");
    listed["footer"]["bytes"].as_u64().expect("a Parquet file") as usize
}

fn harm(file: &Path, how: Harm) {
    let mut bytes = fs::read(file).expect("readable");
    match how {
        Harm::Flip(region) => {
            let at = offset(file, &bytes, region);
            bytes[at] ^= 0x01;
        }
        Harm::Truncate => bytes.truncate(bytes.len() / 2),
        Harm::Empty => bytes.clear(),
        Harm::Zero => bytes.fill(0),
        Harm::Remove => return fs::remove_file(file).expect("writable"),
    }
    fs::write(file, bytes).expect("writable");
}

/// Three spans with something in every table.
fn spans(trace: u128) -> Vec<Span> {
    let detailed = |id: u64| Span {
        events: vec![Event { time_unix_nano: id, name: format!("event of {trace}"), ..Event::default() }],
        links: vec![Link { trace_id: vec![7; 16], span_id: vec![id as u8; 8], ..Link::default() }],
        ..span(trace, id, &format!("work of {trace}"), id * MILLISECOND).with("key", text(&format!("value of {trace}, {id}")))
    };
    (1..=3).map(detailed).collect()
}

/// Questions that between them look at every file.
const QUESTIONS: [&str; 8] = [
    "{ }",
    "{ name =~ \"work.*\" }",
    "{ .key =~ \".*\" } | select(.key, event:name)",
    "{ event:name =~ \"event.*\" }",
    "{ link:traceID != \"\" }",
    "{ instrumentation:name = \"it\" && resource.service.name = \"shop\" }",
    "{ } && { kind = unspecified }",
    "{ duration > 0ms } | count() > 2",
];

/// What search shows of each trace, by its id, question by question.
fn ask_everything(server: &Server) -> Vec<BTreeMap<String, Value>> {
    let ask = |question: &str| {
        let answer = server.get(&with_query("/api/search", &[("q", question), ("limit", "10000")]));
        assert_eq!(answer.status, 200, "{question}: {}", answer.text());
        let traces = answer.json()["traces"].as_array().cloned().unwrap_or_default();
        traces.into_iter().map(|trace| (trace["traceID"].as_str().unwrap_or_default().to_string(), trace)).collect()
    };
    let answers = QUESTIONS.map(ask).to_vec();
    for path in ["/api/v2/search/tags", "/api/v2/search/tag/.key/values", "/api/v2/search/tag/event:name/values"] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    let metrics = with_query("/api/metrics/query", &[("q", "{ } | count_over_time() by (.key, name)"), ("since", "1h")]);
    assert_eq!(server.get(&metrics).status, 200);
    answers
}

/// Whether every question finds the trace as it did.
fn ask_everything_of(before: &[BTreeMap<String, Value>], server: &Server, trace: u128) -> bool {
    let id = format!("{trace:x}");
    before.iter().zip(ask_everything(server)).all(|(before, now)| now.contains_key(&id) && now.get(&id) == before.get(&id))
}

/// The spans of a trace, if it is there.
fn trace(server: &Server, trace: u128) -> Option<Value> {
    server.trace(trace).map(|trace| flattened(&trace))
}

#[test]
fn every_region_of_every_file() {
    let (data, cases) = (DataDir::new(), cases());
    let config = format!("{}compactor:\n  disabled: true\n", data.config());
    let server = Server::start_with(&data, &config, &[]);
    let mut blocks = Vec::new();
    for number in 0..=cases.len() {
        server.push(&shop(spans(number as u128 + 1)));
        server.flush();
        let new = data.blocks().into_iter().find(|block| !blocks.contains(block));
        blocks.push(new.expect("a new block"));
    }
    let before: Vec<Option<Value>> = (0..blocks.len()).map(|number| trace(&server, number as u128 + 1)).collect();
    assert!(before.iter().all(Option::is_some));
    let answers = ask_everything(&server);
    assert!(answers.iter().all(|answer| answer.len() == blocks.len()), "each question is about all");
    assert!(server.terminate().success());
    drop(server);
    for ((file, how), block) in cases.iter().zip(&blocks) {
        harm(&block.join(file), *how);
    }

    let mut server = Server::start_with(&data, &config, &[]);
    server.expect_log("is left out of answers");
    for (number, expected) in before.iter().enumerate() {
        let found = trace(&server, number as u128 + 1);
        assert!(found.is_none() || found == *expected, "{:?}: something that was never sent", cases.get(number));
    }
    ask_everything(&server);
    for (before, now) in answers.iter().zip(ask_everything(&server)) {
        assert!(now.iter().all(|(id, trace)| before.get(id) == Some(trace)), "something that was never sent");
    }
    let log = server.log();
    let is_told = |block: &Path| {
        let id = block.file_name().expect("named").to_string_lossy().into_owned();
        log.lines().filter(|line| line.contains("is left out of answers") && line.contains(&id)).count()
    };
    let mut num_told = 0;
    for (number, ((file, how), block)) in cases.iter().zip(&blocks).enumerate() {
        let times = is_told(block);
        num_told += times;
        if times == 0 && matches!(how, Harm::Flip(Region::Pages(_))) {
            let is_shown = ask_everything_of(&answers, &server, number as u128 + 1);
            assert!(is_shown && trace(&server, number as u128 + 1) == before[number], "{file} {how:?}: neither told nor whole");
        } else {
            assert_eq!(times, 1, "{file} {how:?}: to be told once");
        }
    }
    assert!(num_told > cases.len() * 9 / 10, "{num_told} of {}", cases.len());
    assert_eq!(server.metric("conmoto_unreadable_blocks"), num_told as f64);
    let partial = server.get("/api/search?q=%7B%7D");
    assert_eq!(partial.header("x-conmoto-partial"), format!("{num_told} blocks cannot be read"));
    assert_eq!(server.count("{}") as usize, 3 * (blocks.len() - num_told), "those that are whole");
    assert_eq!(trace(&server, blocks.len() as u128), before[blocks.len() - 1]);
    assert_eq!(fs::read_dir(data.blocks()[0].parent().expect("a tenant")).expect("readable").count(), blocks.len(), "nothing is deleted");
}
