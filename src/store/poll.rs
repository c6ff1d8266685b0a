//! Reading the block list of a bucket again and again: other processes may write, compact and delete there.
//!
//! A local store needs none of it: this process is the only one that writes, and every change is in the list at once.

use super::blocklist::BlockLists;
use super::client::Store;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Polls a bucket until `stop` is dropped; returns at once for a local store. A reading that fails leaves the list as it is.
pub async fn run(lists: Arc<BlockLists>, store: Store, period: Duration, mut stop: watch::Receiver<()>) {
    let Some(remote) = store.remote() else { return };
    loop {
        tokio::select! {
            () = tokio::time::sleep(period) => {}
            _ = stop.changed() => return,
        }
        remote.instruments.polls.inc(1);
        if let Err(error) = lists.poll(&store).await {
            remote.instruments.poll_failures.inc(1);
            tracing::warn!(%error, "the block list could not be read; the blocks known so far are used");
        }
    }
}
