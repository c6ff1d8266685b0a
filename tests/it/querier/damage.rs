//! A block whose pages are damaged after it was opened: the rest is answered, and answers say that something may be missing.

use crate::support::data::{shop, span};
use crate::support::http::Response;
use crate::support::server::{DataDir, Server};
use std::fs;
use std::path::Path;

/// Two blocks with a trace each; the pages of the first make no sense, its footer does.
fn damaged_server() -> Server {
    let data = DataDir::new();
    let server = Server::start(&data);
    server.push(&shop(vec![span(1u128, 1, "a", 0)]));
    server.flush();
    damage_pages(&data.blocks()[0].join("data.parquet"));
    server.push(&shop(vec![span(2u128, 2, "b", 0)]));
    server.flush();
    server
}

fn damage_pages(file: &Path) {
    let mut bytes = fs::read(file).expect("readable");
    let length = bytes.len();
    let footer = u32::from_le_bytes(bytes[length - 8..length - 4].try_into().expect("four bytes")) as usize;
    // The page indexes lie before the footer, and are small.
    let end = (length - footer) / 2;
    bytes[4..end].fill(0xff);
    fs::write(file, bytes).expect("writable");
}

fn partial(answer: &Response) -> &str {
    answer.header("x-conmoto-partial")
}

#[test]
fn answers_say_that_a_block_is_missing() {
    let mut server = damaged_server();
    server.expect_log("a block is damaged and is left out of answers");
    let search = server.get("/api/search?q=%7Bname%3D~%22.%22%7D");
    assert_eq!((search.status, partial(&search)), (200, "1 block cannot be read"));
    assert_eq!(search.json()["traces"].as_array().map(Vec::len), Some(1), "the trace of the other block");
    assert_eq!(server.metric("conmoto_unreadable_blocks"), 1.0);

    let trace = server.get(&format!("/api/v2/traces/{:032x}", 2));
    assert_eq!((trace.json()["status"].as_str(), trace.json()["message"].as_str()), (Some("PARTIAL"), Some("1 block cannot be read")));
    assert_eq!(partial(&trace), "1 block cannot be read");
    let missing = server.get(&format!("/api/traces/{:032x}", 1));
    assert_eq!((missing.status, partial(&missing)), (404, "1 block cannot be read"));
    let metrics = server.get("/api/metrics/query?q=%7B%7D%20%7C%20count_over_time()&since=1h");
    assert_eq!((metrics.status, metrics.json()["status"].as_str()), (200, Some("PARTIAL")), "{}", metrics.text());
    let lines = server.log().lines().filter(|line| line.contains("left out of answers")).count();
    assert_eq!(lines, 1, "{}", server.log());
    assert_eq!(server.data.blocks().len(), 2, "nothing is deleted");
}

#[test]
fn a_trace_by_id_finds_the_damage_too() {
    let mut server = damaged_server();
    server.expect_log("a block is damaged and is left out of answers");
    let trace = server.get(&format!("/api/v2/traces/{:032x}", 1));
    assert_eq!((trace.status, partial(&trace)), (200, "1 block cannot be read"), "{}", trace.text());
    assert_eq!(trace.json()["status"].as_str(), Some("PARTIAL"));
    assert_eq!(server.span_ids(2u128).len(), 1);
}

#[test]
fn answers_that_miss_nothing_do_not_say_so() {
    let server = Server::fresh();
    server.push(&shop(vec![span(1u128, 1, "a", 0)]));
    server.flush();
    assert_eq!(partial(&server.get("/api/search?q=%7B%7D")), "");
    assert_eq!(server.get(&format!("/api/v2/traces/{:032x}", 1)).json()["status"].as_str(), None);
}
