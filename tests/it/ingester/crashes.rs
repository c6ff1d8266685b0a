//! kill -9 at any moment, again and again, on one data directory.

use super::ledger::{Ledger, Sent, SpanKey};
use crate::support::data::{self, With, service, span};
use crate::support::rng::Rng;
use crate::support::server::{DataDir, Server};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

const ROUNDS: u64 = 6;
const WRITERS: u64 = 3;
/// A trace that every request adds to, so that it is in the head and in all blocks.
const LONG_TRACE: u128 = 0xfeed;

/// What a kill may leave behind, and the next start says of it.
const LEFT_BEHIND: &str = "unfinished record";

#[test]
fn nothing_acknowledged_is_lost_or_doubled() {
    let data = DataDir::new();
    let mut ledger = Ledger::default();
    for round in 0..ROUNDS {
        let mut server = Server::start(&data);
        server.expect_log(LEFT_BEHIND);
        ledger.check(&server);
        Round::new(&server, round).run(&mut ledger);
    }
    let mut server = Server::start(&data);
    server.expect_log(LEFT_BEHIND);
    ledger.check(&server);
    ledger.send_again(&server);
    ledger.check(&server);
    server.flush();
    ledger.check(&server);
    assert!(server.terminate().success());
    drop(server);
    ledger.check(&Server::start(&data));
    assert!(!data.blocks().is_empty(), "the rounds should have left blocks behind, merged or not");
    assert!(ledger.num_acknowledged() > 100);
}

/// Writers and a flusher at work until the server is killed.
struct Round<'s> {
    server: &'s Server,
    number: u64,
    num_acknowledged: AtomicUsize,
    num_flushes: AtomicUsize,
    is_over: AtomicBool,
}

impl<'s> Round<'s> {
    fn new(server: &'s Server, number: u64) -> Self {
        Round { server, number, num_acknowledged: AtomicUsize::new(0), num_flushes: AtomicUsize::new(0), is_over: AtomicBool::new(false) }
    }

    fn run(&self, ledger: &mut Ledger) {
        let ledger = Mutex::new(ledger);
        std::thread::scope(|scope| {
            for writer in 0..WRITERS {
                let ledger = &ledger;
                scope.spawn(move || self.write(writer, ledger));
            }
            scope.spawn(|| self.flush());
            let _kill = Kill(self);
            self.wait_for_some_moment();
        });
    }

    /// Sends until the server is gone.
    fn write(&self, writer: u64, ledger: &Mutex<&mut Ledger>) {
        for number in 0.. {
            let sent = self.request(writer, number);
            match self.server.try_push(&sent.request) {
                Ok(answer) => {
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    ledger.lock().expect("no panic").acknowledge(&sent);
                    self.num_acknowledged.fetch_add(1, SeqCst);
                }
                Err(_) => {
                    ledger.lock().expect("no panic").leave_open(sent);
                    return;
                }
            }
        }
    }

    /// A request: spans of a trace that eight requests of a writer add to, and one of the trace that all add to.
    fn request(&self, writer: u64, number: u64) -> Sent {
        let origin = ((self.number + 1) << 8 | writer) << 24;
        let trace = u128::from(origin | (number / 8)) << 32;
        let num_spans = 1 + Rng::seeded(origin | number).below(5);
        let mut keys: Vec<SpanKey> = (0..num_spans).map(|at| (trace, (origin | number) << 8 | at)).collect();
        keys.push((LONG_TRACE, (origin | number) << 8 | 0xff));
        let spans =
            keys.iter().map(|(trace, id)| span(*trace, *id, "work", number * data::MILLISECOND).with("writer", data::int(writer as i64)));
        let request = data::request(vec![service("crash", spans.collect())]);
        Sent { request, spans: keys }
    }

    /// Flushes now and then, or all the time.
    fn flush(&self) {
        let mut rng = Rng::seeded(self.number);
        while !self.is_over.load(SeqCst) {
            let num_awaited = self.num_acknowledged.load(SeqCst) + rng.below(12) as usize;
            while self.num_acknowledged.load(SeqCst) < num_awaited && !self.is_over.load(SeqCst) {
                std::thread::yield_now();
            }
            self.num_flushes.fetch_add(1, SeqCst);
            match self.server.try_flush() {
                Ok(answer) => assert_eq!(answer.status, 204, "{}", answer.text()),
                Err(_) => return,
            }
        }
    }

    /// In every second round the kill comes shortly after a flush has begun.
    fn wait_for_some_moment(&self) {
        let mut rng = Rng::seeded(!self.number);
        let num_requests = 20 + rng.below(60) as usize;
        crate::support::until("progress", || (self.num_acknowledged.load(SeqCst) >= num_requests).then_some(()));
        if self.number % 2 == 1 {
            let num_flushes = self.num_flushes.load(SeqCst) + 1;
            crate::support::until("flush", || (self.num_flushes.load(SeqCst) >= num_flushes).then_some(()));
        }
        std::thread::sleep(Duration::from_micros(rng.below(20_000)));
    }
}

/// Kills the server at its end, however that comes.
struct Kill<'r, 's>(&'r Round<'s>);

impl Drop for Kill<'_, '_> {
    fn drop(&mut self) {
        self.0.is_over.store(true, SeqCst);
        self.0.server.kill();
    }
}
