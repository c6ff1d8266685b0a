//! kill -9 while blocks are merged.

use super::{eager, wait_for_rest};
use crate::ingester::ledger::{Ledger, Sent, SpanKey};
use crate::support::data::{self, request, service, span};
use crate::support::rng::Rng;
use crate::support::server::{DataDir, Server};
use crate::support::until;
use std::time::Duration;

const ROUNDS: u64 = 6;
const FLUSHES: u64 = 8;

/// Spans of traces that other requests and rounds add to, too.
fn sent(number: u64) -> Sent {
    let spans: Vec<SpanKey> = (0..60).map(|at| (u128::from(number % 5 * 40 + at) + 1, number << 16 | at)).collect();
    let message = spans.iter().map(|(trace, id)| span(*trace, *id + 1, "work", number * data::MILLISECOND)).collect();
    Sent { request: request(vec![service("crash", message)]), spans: spans.iter().map(|(trace, id)| (*trace, *id + 1)).collect() }
}

#[test]
fn each_span_is_there_once_whenever_a_merge_dies() {
    let data = DataDir::new();
    let mut ledger = Ledger::default();
    for round in 0..ROUNDS {
        let server = Server::start_with(&data, &eager(&data, ""), &[]);
        ledger.check(&server);
        let merges = server.metric("conmoto_compactions_total");
        for number in 0..FLUSHES {
            let sent = sent(round * FLUSHES + number);
            server.push(&sent.request);
            ledger.acknowledge(&sent);
            server.flush();
        }
        // In half of the rounds the first merge is over, and its old blocks are being deleted.
        if round % 2 == 1 {
            until("merge", || (server.metric("conmoto_compactions_total") > merges).then_some(()));
        }
        std::thread::sleep(Duration::from_micros(Rng::seeded(round).below(250_000)));
        server.kill();
    }
    let server = Server::start_with(&data, &eager(&data, ""), &[]);
    ledger.check(&server);
    wait_for_rest(&server);
    ledger.check(&server);
    // A large block is not copied for a small one; beside these nothing is left.
    let num_blocks = data.blocks().len();
    assert!(num_blocks <= 2 && num_blocks as f64 == server.metric("tempodb_blocklist_length"), "{num_blocks} folders");
}
