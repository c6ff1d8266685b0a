//! Writers and a flusher at work until the server is gone.

use crate::ledger::{Ledger, Sent, SpanKey};
use crate::support::data::{self, With, service, span};
use crate::support::rng::Rng;
use crate::support::server::Server;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

const WRITERS: u64 = 2;
/// Requests of a writer; then it rests, so that what is checked stays little.
const REQUESTS: u64 = 60;
/// A trace that every request adds to, so that it is in the head and in all blocks.
const LONG_TRACE: u128 = 0xfeed;

/// The load of one server.
pub struct Load<'s> {
    server: &'s Server,
    /// Different in every round of every campaign.
    number: u64,
    num_acknowledged: AtomicUsize,
    is_over: AtomicBool,
}

impl<'s> Load<'s> {
    pub fn new(server: &'s Server, number: u64) -> Self {
        Load { server, number, num_acknowledged: AtomicUsize::new(0), is_over: AtomicBool::new(false) }
    }

    /// Keeps the server busy until `wait` returns, then kills it if it still lives.
    pub fn run(&self, ledger: &mut Ledger, wait: impl FnOnce()) {
        let ledger = Mutex::new(ledger);
        std::thread::scope(|scope| {
            for writer in 0..WRITERS {
                let ledger = &ledger;
                scope.spawn(move || self.write(writer, ledger));
            }
            scope.spawn(|| self.flush());
            let _kill = Kill(self);
            wait();
        });
    }

    fn write(&self, writer: u64, ledger: &Mutex<&mut Ledger>) {
        for number in 0..REQUESTS {
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

    /// Spans of a trace that eight requests of a writer add to, and one of the trace that all add to; with noise, so that
    /// segments fill up.
    fn request(&self, writer: u64, number: u64) -> Sent {
        let origin = (((self.number & 0xffff) + 1) << 8 | writer) << 16;
        let trace = u128::from(self.number) << 64 | u128::from(origin | (number / 8) << 8 | 1);
        let mut rng = Rng::seeded(self.number << 20 | writer << 16 | number);
        let num_spans = 1 + rng.below(5);
        let mut keys: Vec<SpanKey> = (0..num_spans).map(|at| (trace, (origin | number) << 8 | at)).collect();
        keys.push((LONG_TRACE, (origin | number) << 8 | 0xff));
        let noise: String = (0..1 + rng.below(200)).map(|_| format!("{:016x}", rng.next())).collect();
        let spans = keys.iter().map(|(trace, id)| {
            span(*trace, *id, "work", number * data::MILLISECOND).with("writer", data::int(writer as i64)).with("noise", data::text(&noise))
        });
        let request = data::request(vec![service("crash", spans.collect())]);
        Sent { request, spans: keys }
    }

    /// Flushes now and then, or all the time.
    fn flush(&self) {
        let mut rng = Rng::seeded(self.number);
        while !self.is_over.load(SeqCst) {
            let num_awaited = self.num_acknowledged.load(SeqCst) + rng.below(20) as usize;
            for _ in 0..20 {
                if self.num_acknowledged.load(SeqCst) >= num_awaited || self.is_over.load(SeqCst) {
                    break;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            match self.server.try_flush() {
                Ok(answer) => assert_eq!(answer.status, 204, "{}", answer.text()),
                Err(_) => return,
            }
        }
    }
}

/// Kills the server at its end, however that comes.
struct Kill<'l, 's>(&'l Load<'s>);

impl Drop for Kill<'_, '_> {
    fn drop(&mut self) {
        self.0.is_over.store(true, SeqCst);
        self.0.server.kill();
    }
}
