//! Far more requests than the server can take: memory stays within the budget, what was acknowledged is there, and nothing
//! is left behind that does not drain.

use crate::support::client::matched;
use crate::support::data::{MILLISECOND, With, shop, span, text};
use crate::support::http::send;
use crate::support::server::{DataDir, Server};
use crate::support::until;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

const SENDERS: u64 = 32;
const SPANS: u64 = 4000;
/// Every span of a request is of one trace; its id is put in the place of this one.
const PLACEHOLDER: u128 = 0xa5a5_5a5a_a5a5_5a5a_1234_5678_9abc_def1;

/// What came of an overload.
pub struct Outcome {
    pub acknowledged_requests: usize,
    pub refused: u64,
    pub most_rss_bytes: u64,
    pub limit_bytes: u64,
    pub seconds_to_drain: f64,
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcome { acknowledged_requests, refused, most_rss_bytes, limit_bytes, seconds_to_drain } = self;
        let mib = |bytes: &u64| bytes >> 20;
        write!(out, "{acknowledged_requests} requests acknowledged and found, {refused} refused; ")?;
        write!(
            out,
            "at most {} MiB of RSS with a limit of {} MiB; all flushed {seconds_to_drain:.1} s later",
            mib(most_rss_bytes),
            mib(limit_bytes)
        )
    }
}

/// 32 senders, each with a request of 4,000 spans and about 1 MB after the other, as fast as answers come.
pub fn run(length: Duration, limit_bytes: u64) -> Outcome {
    let data = DataDir::new();
    let server = Server::start_with(&data, &format!("{}memory_limit_bytes: {limit_bytes}\n", data.config()), &[]);
    let spans = (1..=SPANS).map(|id| span(PLACEHOLDER, id, "work", id * MILLISECOND).with("text", text(&format!("{id:0200}")))).collect();
    let template = shop(spans);
    let needle = PLACEHOLDER.to_be_bytes();
    let places: Vec<usize> = template.windows(16).enumerate().filter(|(_, bytes)| **bytes == needle).map(|(at, _)| at).collect();
    assert_eq!(places.len() as u64, SPANS);
    let (acknowledged, refused) = (Mutex::new(BTreeSet::new()), AtomicU64::new(0));
    let (is_over, most_rss) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for sender in 0..SENDERS {
            let (mut request, server, places) = (template.clone(), &server, &places);
            let (acknowledged, refused, is_over) = (&acknowledged, &refused, &is_over);
            scope.spawn(move || {
                for number in 1_u64.. {
                    if is_over.load(SeqCst) {
                        return;
                    }
                    let trace = u128::from(sender + 1) << 64 | u128::from(number);
                    places.iter().for_each(|at| request[*at..*at + 16].copy_from_slice(&trace.to_be_bytes()));
                    // A connection that breaks was not acknowledged.
                    let Ok(answer) = server.try_push(&request) else { continue };
                    match answer.status {
                        200 => drop(acknowledged.lock().expect("no panic").insert(trace)),
                        429 => {
                            assert!(!answer.header("retry-after").is_empty(), "{}", answer.text());
                            refused.fetch_add(1, SeqCst);
                        }
                        status => panic!("{status}: {}", answer.text()),
                    }
                }
            });
        }
        let began = Instant::now();
        while began.elapsed() < length {
            most_rss.fetch_max(rss_bytes(&server), SeqCst);
            std::thread::sleep(Duration::from_millis(20));
        }
        is_over.store(true, SeqCst);
    });
    let drained = Instant::now();
    until("end of the backlog", || (server.metric("conmoto_memory_held_bytes") < limit_bytes as f64 * 0.75).then_some(()));
    assert_eq!(send(server.api, "POST", "/flush", &[], b"").expect("an answer").status, 204);
    let seconds_to_drain = drained.elapsed().as_secs_f64();
    let acknowledged = acknowledged.into_inner().expect("no panic");
    check(&server, &acknowledged);
    most_rss.fetch_max(rss_bytes(&server), SeqCst);
    let (refused, most_rss_bytes) = (refused.into_inner(), most_rss.into_inner());
    Outcome { acknowledged_requests: acknowledged.len(), refused, most_rss_bytes, limit_bytes, seconds_to_drain }
}

/// Memory of the process now.
fn rss_bytes(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.process.id())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().map_or(0, |kib| kib * 1024)
}

/// Every acknowledged request is there whole, and so is any other that is there.
fn check(server: &Server, acknowledged: &BTreeSet<u128>) {
    let found: BTreeMap<String, u64> =
        server.search("{ }").iter().map(|trace| (trace["traceID"].as_str().unwrap_or_default().to_string(), matched(trace))).collect();
    assert!(found.values().all(|num_spans| *num_spans == SPANS), "requests in part");
    let lost = acknowledged.iter().filter(|trace| !found.contains_key(&format!("{trace:x}"))).count();
    assert_eq!(lost, 0, "of {} acknowledged requests", acknowledged.len());
}
