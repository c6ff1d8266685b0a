//! A start with a gigabyte of log: when it serves, when it has read all, and what memory it takes.

use crate::support::data;
use crate::support::data::{MILLISECOND, With, service, span, text};
use crate::support::http::{send, with_query};
use crate::support::rng::Rng;
use crate::support::server::{DataDir, Server};
use conmoto::ingester::wal::{Frame, Options, Start, SyncMode, Wal};
use conmoto::model::TenantId;
use std::fmt;
use std::time::{Duration, Instant};

const SPANS_OF_A_REQUEST: u64 = 2000;

/// What came of it.
pub struct Outcome {
    pub log_bytes: u64,
    pub spans: u64,
    pub ready: Duration,
    pub partial_answers: u64,
    pub pushed_meanwhile: u64,
    pub complete: Duration,
    pub peak_bytes: usize,
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcome { log_bytes, spans, ready, partial_answers, pushed_meanwhile, complete, peak_bytes } = self;
        write!(out, "{} MiB of log with {spans} spans: ready after {:.2} s, ", log_bytes >> 20, ready.as_secs_f64())?;
        write!(out, "{partial_answers} partial answers and {pushed_meanwhile} requests accepted meanwhile, ")?;
        write!(out, "complete after {:.1} s, at most {} MiB of RSS", complete.as_secs_f64(), peak_bytes >> 20)
    }
}

/// Requests with half of their bytes such that do not compress.
fn request(number: u64) -> Vec<u8> {
    let mut rng = Rng::seeded(number + 1);
    let spans = (0..SPANS_OF_A_REQUEST).map(|at| {
        let id = number * SPANS_OF_A_REQUEST + at + 1;
        let noise: String = (0..4).map(|_| format!("{:016x}", rng.next())).collect();
        span(u128::from(id / 12) << 64 | 1, id, "work", id % 1000 * MILLISECOND)
            .with("noise", text(&noise))
            .with("http.route", text(&format!("/api/v1/things/{}", id % 37)))
    });
    data::request(vec![service(&format!("service {}", number % 20), spans.collect())])
}

/// A log of at least so many bytes, as a server that was killed leaves it. Gives the number of spans.
fn write_log(data: &DataDir, log_bytes: u64) -> (u64, u64) {
    let dir = data.path().join("wal");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let wal = Wal::open(&dir, Options { sync: SyncMode::None, ..Options::default() }, Start::default()).expect("writable");
    let mut number = 0;
    while wal.instruments().append_stored_bytes.get() < log_bytes {
        let frame = Frame::encode(&TenantId::single(), &request(number)).expect("small");
        runtime.block_on(wal.append(frame)).expect("writable");
        number += 1;
    }
    runtime.block_on(wal.close()).expect("writable");
    (number * SPANS_OF_A_REQUEST, wal.instruments().append_stored_bytes.get())
}

fn counted(server: &Server) -> (u64, bool) {
    let (start, end) = ((data::T0 - 60).to_string(), (data::T0 + 600).to_string());
    let query = with_query("/api/metrics/query", &[("q", "{ } | count_over_time()"), ("start", &*start), ("end", &*end)]);
    let answer = server.get(&query);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let value = answer.json()["series"][0]["value"].as_f64().unwrap_or_default();
    (value as u64, !answer.header("x-conmoto-partial").is_empty())
}

/// Starts on such a log, asks and sends all the while.
pub fn run(log_bytes: u64) -> Outcome {
    let data = DataDir::new();
    let (spans, log_bytes) = write_log(&data, log_bytes);
    let began = Instant::now();
    let server = Server::start_loading(&data, &data.config(), &[]);
    let ready = began.elapsed();
    let (mut partial_answers, mut pushed_meanwhile) = (0, 0);
    while !server.has_loaded() {
        let (_, is_partial) = counted(&server);
        partial_answers += u64::from(is_partial);
        let id = 1 + pushed_meanwhile;
        server.push(&data::shop(vec![span(0xfeed, id, "meanwhile", id)]));
        pushed_meanwhile += 1;
        assert_eq!(server.span_ids(0xfeed_u128).len() as u64, pushed_meanwhile, "what is acknowledged is visible");
    }
    let complete = began.elapsed();
    let peak_bytes = server.peak_bytes();
    assert_eq!(counted(&server), (spans + pushed_meanwhile, false));
    assert_eq!(send(server.api, "POST", "/flush", &[], b"").expect("an answer").status, 204);
    assert_eq!(counted(&server), (spans + pushed_meanwhile, false));
    Outcome { log_bytes, spans, ready, partial_answers, pushed_meanwhile, complete, peak_bytes }
}
