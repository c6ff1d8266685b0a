//! When visits happen, and how they get into the server.

use super::recorder::Recorded;
use super::rng::Rng;
use super::services::Origin;
use super::shop;
use crate::distributor::{Distributor, PushError};
use crate::model::{TenantId, UnixNanos};
use crate::proto::otlp::{ExportTraceServiceRequest, ResourceSpans, ScopeSpans, Span};
use bytes::Bytes;
use prost::Message;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// How far back the first traces go: enough for a page of results, and for a graph with some length.
const PAST: Duration = Duration::from_secs(600);
/// Visits in it, which make a good third more traces.
pub(super) const NUM_PAST_VISITS: u32 = 300;
/// Visits of one request of the past; making them takes a few hundred microseconds at most.
const VISITS_PER_REQUEST: u32 = 10;

/// Time between two arrivals of customers, who come alone or in twos.
const ARRIVALS: Duration = Duration::from_millis(400);
/// Share of arrivals in twos. With an order's three traces it makes about four traces a second.
const TWOS: f64 = 0.25;

/// Delay before a request is sent again that the server could not store.
const RETRY: Duration = Duration::from_secs(5);
/// The least delay where the server says how long it wants to be left alone.
const SHORTEST_RETRY: Duration = Duration::from_millis(10);

/// The stream of visits into one tenant.
pub(super) struct Feed {
    distributor: Distributor,
    tenant: TenantId,
    rng: Rng,
}

impl Feed {
    /// A stream that has not begun.
    pub(super) fn new(distributor: Distributor, tenant: TenantId, rng: Rng) -> Self {
        Feed { distributor, tenant, rng }
    }

    /// The visits of the time before `now`, oldest first.
    pub(super) async fn fill_past(&mut self, now: UnixNanos) {
        let spacing = PAST / NUM_PAST_VISITS;
        let mut spans = Vec::new();
        for visits_left in (0..NUM_PAST_VISITS).rev() {
            let ago = spacing * visits_left + spacing.mul_f64(self.rng.unit());
            let ago_nanos = u64::try_from(ago.as_nanos()).unwrap_or(u64::MAX);
            self.visit(UnixNanos(now.0.saturating_sub(ago_nanos)), &mut spans);
            if visits_left % VISITS_PER_REQUEST == 0 {
                self.store(std::mem::take(&mut spans)).await;
            }
        }
    }

    /// Visits at the pace of a small shop, for ever.
    pub(super) async fn keep_up(&mut self) {
        let mut arrivals = tokio::time::interval(ARRIVALS);
        // Who could not be served while the server was busy does not come all at once afterwards.
        arrivals.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            arrivals.tick().await;
            let now = UnixNanos::now();
            let mut spans = Vec::new();
            self.visit(now, &mut spans);
            if self.rng.chance(TWOS) {
                self.visit(now, &mut spans);
            }
            self.store(spans).await;
        }
    }

    /// One visit whose last span ends at `end`.
    fn visit(&mut self, end: UnixNanos, spans: &mut Vec<Recorded>) {
        spans.extend(shop::visit(&mut self.rng).ending_at(end));
    }

    /// Stores the spans, however long it takes.
    async fn store(&self, spans: Vec<Recorded>) {
        let request = Bytes::from(request_of(spans).encode_to_vec());
        loop {
            let Err(error) = self.distributor.push(self.tenant.clone(), request.clone()).await else { return };
            let delay = match &error {
                PushError::Refused(_) => {
                    tracing::error!(%error, "demo traces were refused and are dropped");
                    return;
                }
                PushError::Overloaded { retry_after, .. } | PushError::RateLimited { retry_after, .. } => {
                    (*retry_after).max(SHORTEST_RETRY)
                }
                PushError::Unavailable(_) => RETRY,
            };
            tracing::warn!(%error, ?delay, "demo traces were not stored, they are tried again");
            tokio::time::sleep(delay).await;
        }
    }
}

/// The spans as one request, by their origins.
pub(super) fn request_of(spans: Vec<Recorded>) -> ExportTraceServiceRequest {
    let mut by_origin: BTreeMap<Origin, Vec<Span>> = BTreeMap::new();
    for Recorded { origin, span } in spans {
        by_origin.entry(origin).or_default().push(span);
    }
    let resource_spans = by_origin.into_iter().map(|(origin, spans)| ResourceSpans {
        resource: Some(origin.resource()),
        scope_spans: vec![ScopeSpans { scope: Some(origin.scope()), spans, ..ScopeSpans::default() }],
        ..ResourceSpans::default()
    });
    ExportTraceServiceRequest { resource_spans: resource_spans.collect() }
}
