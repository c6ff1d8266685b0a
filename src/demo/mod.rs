//! Traces to look at: `conmoto demo` runs the server and feeds it the traffic of a small shop.
//!
//! The parts, from the inside out:
//!
//! 1. `rng`: chance from a seed, for ids and durations.
//! 2. `services`: who takes part, and the resource that each sends.
//! 3. `attributes`: short spellings of OTLP attributes.
//! 4. `recorder`: one trace while it happens, with a clock of its own.
//! 5. `calls`: pairs of spans for HTTP, gRPC, SQL, Redis and Kafka, by OpenTelemetry's semantic conventions.
//! 6. `shop`, with `goods` and `orders`: what customers do; a visit makes one trace, an order makes two more behind the queue.
//! 7. `feed`: the last ten minutes at once, then a few traces a second.
//!
//! The spans take the way of every other span, as OTLP bytes through the [`Distributor`]; no other stage knows of them.

mod attributes;
mod calls;
mod feed;
mod goods;
mod orders;
mod recorder;
mod rng;
mod services;
mod shop;
#[cfg(test)]
mod tests;

use crate::distributor::Distributor;
use crate::model::{TenantId, UnixNanos};
use feed::Feed;
use rng::Rng;

/// Stores a shop's traces for `tenant`: some hundreds spread over the last ten minutes, then two to five a second with
/// the time of the clock.
///
/// Never returns; stop it by dropping it, which is safe at any moment. What cannot be stored is logged and tried again
/// until it can, and no new traces are made meanwhile.
pub async fn run(distributor: Distributor, tenant: TenantId) {
    let started = UnixNanos::now();
    let mut feed = Feed::new(distributor, tenant, Rng::seeded(started.0));
    feed.fill_past(started).await;
    feed.keep_up().await;
}
