//! A start with a log: requests are served while it is read, answers say that they are partial until it has ended, and a kill
//! in its middle does no harm.

use super::ledger::{Ledger, Sent, SpanKey};
use crate::support::data::{MILLISECOND, With, shop, span, text};
use crate::support::http::Response;
use crate::support::rng::Rng;
use crate::support::server::{DataDir, Server};
use crate::support::until;

const LOADING: &str = "recent spans are still being loaded";

/// One whose log has many segments.
fn config(data: &DataDir, more: &str) -> String {
    format!("{}{more}", data.config().replace("    wal:\n", "    wal:\n      segment_bytes: 65536\n"))
}

/// Two spans of a trace, with noise that does not compress.
fn sent(trace: u64) -> Sent {
    let mut rng = Rng::seeded(trace);
    let noise: String = (0..100).map(|_| format!("{:016x}", rng.next())).collect();
    let keys: Vec<SpanKey> = (1..=2).map(|id| (u128::from(trace), trace << 8 | id)).collect();
    let spans = keys.iter().map(|(trace, id)| span(*trace, *id, "logged", id * MILLISECOND).with("noise", text(&noise)));
    Sent { request: shop(spans.collect()), spans: keys }
}

fn push(server: &Server, ledger: &mut Ledger, traces: std::ops::Range<u64>) {
    for trace in traces {
        let sent = sent(trace);
        server.push(&sent.request);
        ledger.acknowledge(&sent);
    }
}

/// A log with these traces, and nobody who uses it.
fn logged(data: &DataDir, ledger: &mut Ledger, traces: std::ops::Range<u64>) {
    let server = Server::start_with(data, &config(data, ""), &[]);
    push(&server, ledger, traces);
    server.kill();
}

/// A server that stops reading its log at the n-th record until the file is there.
fn held(data: &DataDir, at_record: u64) -> (Server, std::path::PathBuf) {
    let go_on = data.path().join("go on");
    let failpoint = format!("replay.record:{at_record}:{}", go_on.display());
    let server = Server::start_loading(data, &config(data, ""), &[("CONMOTO_FAILPOINT", &failpoint)]);
    until("the record", || (server.metric("conmoto_wal_replay_waiting_bytes") > 0.0 && server.count("{}") > 0).then_some(()));
    (server, go_on)
}

fn partial(answer: &Response) -> &str {
    answer.header("x-conmoto-partial")
}

#[test]
fn queries_and_requests_are_served_while_the_log_is_read() {
    let (data, mut ledger) = (DataDir::new(), Ledger::default());
    logged(&data, &mut ledger, 1..120);
    let (server, go_on) = held(&data, 30);
    assert_eq!(server.metric("conmoto_wal_loading"), 1.0);

    let search = server.get("/api/search?q=%7B%7D&limit=1000");
    let num_found = search.json()["traces"].as_array().map_or(0, Vec::len);
    assert_eq!((search.status, partial(&search)), (200, LOADING));
    assert!(num_found > 0 && num_found < 119, "{num_found}");
    let missing = server.get(&format!("/api/traces/{:032x}", 119));
    assert_eq!((missing.status, partial(&missing)), (404, LOADING));
    let trace = server.get(&format!("/api/v2/traces/{:032x}", 1));
    assert_eq!((trace.json()["status"].as_str(), trace.json()["message"].as_str()), (Some("PARTIAL"), Some(LOADING)));
    let metrics = server.get("/api/metrics/query?q=%7B%7D%20%7C%20count_over_time()&since=1h");
    assert_eq!((metrics.json()["status"].as_str(), metrics.json()["message"].as_str()), (Some("PARTIAL"), Some(LOADING)));
    push(&server, &mut ledger, 200..210);
    assert_eq!(server.span_ids(205_u128).len(), 2, "what is acknowledged is visible at once");

    std::fs::write(&go_on, b"").expect("writable");
    until("end of the log", || server.has_loaded().then_some(()));
    ledger.check(&server);
    assert_eq!(partial(&server.get("/api/search?q=%7B%7D")), "");
    server.flush();
    ledger.check(&server);
}

#[test]
fn a_kill_while_the_log_is_read_loses_and_doubles_nothing() {
    let (data, mut ledger) = (DataDir::new(), Ledger::default());
    logged(&data, &mut ledger, 1..80);
    for (life, at_record) in [20, 50, 79].into_iter().enumerate() {
        let (server, _) = held(&data, at_record);
        let first = 100 * (life as u64 + 1);
        push(&server, &mut ledger, first..first + 10);
        server.kill();
    }
    let server = Server::start_with(&data, &config(&data, ""), &[]);
    ledger.check(&server);
    server.flush();
    ledger.check(&server);
    server.kill();
    drop(server);
    ledger.check(&Server::start(&data));
}

#[test]
fn a_flush_means_what_is_still_in_the_log_too() {
    let (data, mut ledger) = (DataDir::new(), Ledger::default());
    logged(&data, &mut ledger, 1..60);
    let (server, go_on) = held(&data, 30);
    std::thread::scope(|scope| {
        let flushing = scope.spawn(|| server.flush());
        push(&server, &mut ledger, 100..110);
        assert!(!flushing.is_finished(), "half of the spans are not read yet");
        std::fs::write(&go_on, b"").expect("writable");
    });
    assert_eq!(server.metric("conmoto_block_spans_total"), 2.0 * 69.0);
    ledger.check(&server);
}

#[test]
fn heads_are_cut_while_the_log_is_read() {
    let (data, mut ledger) = (DataDir::new(), Ledger::default());
    logged(&data, &mut ledger, 1..800);
    let most = 500_000.0;
    let small = config(&data, "ingester:\n  max_block_bytes: 500000\n  trace_idle_period: 1ms\n  flush_check_period: 20ms\n");
    let server = Server::start_with(&data, &small, &[]);
    assert!(server.metric("tempo_ingester_blocks_flushed_total") >= 2.0, "2.5 MB of spans were read");
    assert!(server.metric("conmoto_head_bytes") < 2.0 * most);
    ledger.check(&server);
    server.kill();
    drop(server);
    ledger.check(&Server::start(&data));
}

#[test]
fn the_server_stops_while_the_log_is_read() {
    let (data, mut ledger) = (DataDir::new(), Ledger::default());
    logged(&data, &mut ledger, 1..60);
    let (server, go_on) = held(&data, 30);
    server.process.terminate();
    until("its stopping", || server.log().contains("shutting down").then_some(()));
    std::fs::write(&go_on, b"").expect("writable");
    assert!(server.wait().success());
    drop(server);
    ledger.check(&Server::start(&data));
}
