//! Pushes, searches and flushes at the same time: nothing fails, nothing is lost, nothing is ever unseen again.

use crate::support::client::{ALL, matched};
use crate::support::data::{MILLISECOND, With, int, shop, span};
use crate::support::server::Server;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};

const WRITERS: u64 = 2;
const REQUESTS: u64 = 60;
const SPANS: u64 = 4;
/// A trace that every request adds a span to.
const SHARED: u128 = 0x5ead;

struct Load<'s> {
    server: &'s Server,
    /// Spans acknowledged so far.
    num_acknowledged: AtomicU64,
    num_writing: AtomicUsize,
}

impl Load<'_> {
    fn write(&self, writer: u64) {
        for number in 0..REQUESTS {
            let trace = u128::from(writer + 1) << 64 | u128::from(number / 3 + 1);
            let own = (1..SPANS).map(|at| span(trace, number * 10 + at, "own", number * MILLISECOND));
            let shared = span(SHARED, (writer << 32) + number + 1, "shared", number * MILLISECOND);
            self.server.push(&shop(own.chain([shared]).map(|span| span.with("writer", int(writer as i64))).collect()));
            self.num_acknowledged.fetch_add(SPANS, SeqCst);
            // What is acknowledged is there.
            assert!(self.server.span_ids(trace).len() as u64 >= SPANS - 1, "{trace:x}");
        }
        self.num_writing.fetch_sub(1, SeqCst);
    }

    fn is_writing(&self) -> bool {
        self.num_writing.load(SeqCst) > 0
    }

    /// No search sees less than was acknowledged before it, nor more than was sent, whatever moves meanwhile.
    fn search(&self) {
        while self.is_writing() {
            let before = self.num_acknowledged.load(SeqCst);
            let seen: u64 = self.server.search_with(&[("q", "{ span.writer >= 0 }"), ("limit", ALL)]).iter().map(matched).sum();
            assert!(seen >= before, "{seen} spans seen after {before} were acknowledged");
            assert!(seen <= WRITERS * REQUESTS * SPANS, "{seen}");
        }
    }

    fn read_shared(&self) {
        let mut most = 0;
        while self.is_writing() {
            let ids = self.server.span_ids(SHARED);
            assert!(ids.windows(2).all(|pair| pair[0] != pair[1]), "a span is shown twice");
            assert!(ids.len() >= most, "{} spans after {most} were seen", ids.len());
            most = ids.len();
        }
    }

    fn flush(&self) {
        while self.is_writing() {
            self.server.flush();
        }
    }
}

/// Tells the others that a writer has ended, also by a panic.
struct Ended<'l>(&'l AtomicUsize);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(0, SeqCst);
        }
    }
}

#[test]
fn everything_at_once() {
    let server = Server::fresh();
    let load = Load { server: &server, num_acknowledged: AtomicU64::new(0), num_writing: AtomicUsize::new(WRITERS as usize) };
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let load = &load;
            scope.spawn(move || {
                let _ended = Ended(&load.num_writing);
                load.write(writer);
            });
        }
        for task in [Load::search, Load::read_shared, Load::flush] {
            let load = &load;
            scope.spawn(move || task(load));
        }
    });
    let total = WRITERS * REQUESTS * SPANS;
    assert_eq!((server.count("{ }"), server.span_ids(SHARED).len() as u64), (total, WRITERS * REQUESTS));
    server.flush();
    assert_eq!((server.count("{ }"), server.span_ids(SHARED).len() as u64), (total, WRITERS * REQUESTS));
}
