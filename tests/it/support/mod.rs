//! What the tests share: a server, clients, and spans to send.

pub mod client;
pub mod data;
pub mod grpc;
pub mod http;
pub mod jaeger;
pub mod opencensus;
pub mod rng;
pub mod server;
pub mod stock;

use std::time::{Duration, Instant};

/// How long anything may take; far longer than it does on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Asks until there is an answer.
///
/// # Panics
///
/// Panics if there is none within [`DEADLINE`].
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let asked_from = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(asked_from.elapsed() < DEADLINE, "no {what} within {DEADLINE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
