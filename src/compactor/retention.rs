//! Which blocks are too old.

use crate::block::BlockMeta;
use crate::model::UnixNanos;
use std::time::Duration;

/// Whether a block's time is over. It counts from the later of its newest span and the arrival of its newest spans, so that
/// spans of the past that arrive today are kept as long as others ("spec/storage.md §11.4", and the difference in
/// docs/compatibility.md). A span from the future keeps its block at most twice as long.
pub(super) fn is_expired(meta: &BlockMeta, retention: Duration, now: UnixNanos) -> bool {
    let retention = u64::try_from(retention.as_nanos()).unwrap_or(u64::MAX);
    let latest_believed = meta.created_unix_nano.saturating_add(retention);
    let from = meta.end_unix_nano.min(latest_believed).max(meta.created_unix_nano);
    from.saturating_add(retention) < now.0
}
