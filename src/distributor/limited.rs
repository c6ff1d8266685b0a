//! What a tenant may send: bytes per second.
//!
//! A push over a limit is refused whole, with the time after which to try again; nothing that was acknowledged is dropped later.

use super::{Push, PushError, PushFuture, PushTarget};
use crate::model::TenantId;
use crate::overrides::{Limits, Overrides};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Tenants whose bucket is kept; those that were silent longest are forgotten, which is as if their bucket had filled up.
const MAX_BUCKETS: usize = 10_000;

/// Passes on what is within the limits.
pub struct Limited {
    target: Arc<dyn PushTarget>,
    overrides: Arc<Overrides>,
    retry_after: Duration,
    buckets: Mutex<HashMap<TenantId, Bucket>>,
}

impl Limited {
    /// In front of `target`. Senders are told to come again after `retry_after`; zero tells them nothing
    /// (`distributor.retry_after_on_resource_exhausted`).
    pub fn new(target: Arc<dyn PushTarget>, overrides: Arc<Overrides>, retry_after: Duration) -> Self {
        Limited { target, overrides, retry_after, buckets: Mutex::default() }
    }

    fn check(&self, push: &Push) -> Result<(), PushError> {
        let limits = self.overrides.limits_for(&push.tenant);
        let Some(rate) = Rate::of(&limits) else { return Ok(()) };
        let size = push.request.len() as u64;
        if self.take(&push.tenant, rate, size, Instant::now()) {
            return Ok(());
        }
        let retry_after = if limits.retry_info_enabled { self.retry_after } else { Duration::ZERO };
        Err(PushError::RateLimited { message: rate.refusal(&push.tenant, size), retry_after })
    }

    fn take(&self, tenant: &TenantId, rate: Rate, size: u64, now: Instant) -> bool {
        let mut buckets = self.buckets.lock();
        if buckets.len() >= MAX_BUCKETS && !buckets.contains_key(tenant) {
            let silent = buckets.iter().min_by_key(|(_, bucket)| bucket.at).map(|(tenant, _)| tenant.clone());
            silent.and_then(|tenant| buckets.remove(&tenant));
        }
        buckets.entry(tenant.clone()).or_insert(Bucket { bytes: rate.burst as f64, at: now }).take(rate, size, now)
    }
}

impl PushTarget for Limited {
    fn push(&self, push: Push) -> PushFuture<'_> {
        match self.check(&push) {
            Ok(()) => self.target.push(push),
            Err(refusal) => Box::pin(std::future::ready(Err(refusal))),
        }
    }
}

/// Bytes per second, and at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rate {
    per_second: u64,
    burst: u64,
}

impl Rate {
    fn of(limits: &Limits) -> Option<Self> {
        let per_second = limits.ingestion_rate_bytes?;
        Some(Rate { per_second, burst: limits.ingestion_burst_bytes.unwrap_or(per_second) })
    }

    /// The words that tools look for (spec/ingest.md §9).
    fn refusal(self, tenant: &TenantId, size: u64) -> String {
        let limit = format!("ingestion limit (local: {0} bytes/s, global: 0 bytes/s, burst: {1} bytes)", self.per_second, self.burst);
        if size > self.burst {
            return format!(
                "RATE_LIMITED: batch size ({size} bytes) exceeds {limit} while adding {size} bytes for user {tenant}. consider reducing \
                 batch size or increasing rate limit."
            );
        }
        let limit = limit.replacen("ingestion", "ingestion rate", 1);
        format!(
            "RATE_LIMITED: {limit} exceeded while adding {size} bytes for user {tenant}. consider increasing the limit or reducing \
             ingestion rate."
        )
    }
}

/// Bytes that may still come in.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    bytes: f64,
    at: Instant,
}

impl Bucket {
    /// Takes the bytes out if they are there. The bucket fills with time, up to the burst.
    fn take(&mut self, rate: Rate, size: u64, now: Instant) -> bool {
        let filled = now.saturating_duration_since(self.at).as_secs_f64() * rate.per_second as f64;
        self.bytes = (self.bytes + filled).min(rate.burst as f64);
        self.at = self.at.max(now);
        let fits = size as f64 <= self.bytes;
        if fits {
            self.bytes -= size as f64;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use std::collections::BTreeMap;

    struct Everything;

    impl PushTarget for Everything {
        fn push(&self, _: Push) -> PushFuture<'_> {
            Box::pin(std::future::ready(Ok(())))
        }
    }

    fn limited(limits: Limits) -> Limited {
        let overrides = Arc::new(Overrides::new(Limits::default()));
        overrides.replace(BTreeMap::from([("a".to_string(), limits)]));
        Limited::new(Arc::new(Everything), overrides, Duration::from_secs(5))
    }

    async fn push(limited: &Limited, tenant: &str, size: usize) -> Result<(), PushError> {
        let tenant = TenantId::parse(tenant).expect("legal");
        limited.push(Push { tenant, request: Bytes::from(vec![0; size]), num_spans: 1 }).await
    }

    #[test]
    fn a_bucket_fills_up_to_its_burst() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let rate = Rate { per_second: 10, burst: 30 };
        let mut bucket = Bucket { bytes: 30.0, at: start };
        for (at, size, fits) in
            [(0, 30, true), (0, 1, false), (1, 10, true), (1, 1, false), (100, 31, false), (100, 30, true), (50, 1, false)]
        {
            assert_eq!(bucket.take(rate, size, after(at)), fits, "{size} at {at}");
        }
    }

    #[tokio::test]
    async fn tenants_have_their_own_rates() {
        let limits =
            Limits { ingestion_rate_bytes: Some(100), ingestion_burst_bytes: Some(150), retry_info_enabled: true, ..Limits::default() };
        let limited = limited(limits);
        assert!(push(&limited, "b", 1_000_000).await.is_ok(), "the default has no limit");
        let Err(PushError::RateLimited { message, retry_after }) = push(&limited, "a", 151).await else { panic!("more than the burst") };
        assert_eq!(
            message,
            "RATE_LIMITED: batch size (151 bytes) exceeds ingestion limit (local: 100 bytes/s, global: 0 bytes/s, burst: 150 bytes) while \
             adding 151 bytes for user a. consider reducing batch size or increasing rate limit."
        );
        assert_eq!(retry_after, Duration::from_secs(5));
        assert!(push(&limited, "a", 150).await.is_ok());
        let Err(PushError::RateLimited { message, .. }) = push(&limited, "a", 149).await else { panic!("the bucket is empty") };
        assert!(
            message.starts_with("RATE_LIMITED: ingestion rate limit (local: 100 bytes/s, global: 0 bytes/s, burst: 150 bytes) exceeded")
        );
    }
}
