//! Stopping in order, and in time.

use crate::ingester::Ingester;
use crate::store::spool::Mover;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

/// What takes longer is named in the log.
const WORTH_TELLING: Duration = Duration::from_secs(1);
/// A bucket that is gone must not hold up a shutdown for longer.
const MOVE_ON_SHUTDOWN: Duration = Duration::from_secs(20);

/// When the process is to be gone (`server.graceful_shutdown_timeout`).
pub(super) struct Deadline(Instant);

impl Deadline {
    /// So long from now.
    pub(super) fn after(timeout: Duration) -> Self {
        Deadline(Instant::now() + timeout)
    }

    /// Waits for a stage to end, as long as there is time; then it is dropped, and named.
    pub(super) async fn wait(&self, what: &'static str, stage: impl Future<Output = ()>) {
        let began = Instant::now();
        match tokio::time::timeout_at(self.0, stage).await {
            Ok(()) if began.elapsed() < WORTH_TELLING => {}
            Ok(()) => tracing::info!(what, seconds = began.elapsed().as_secs_f64(), "the shutdown waited"),
            Err(_) => tracing::warn!(what, "the shutdown waits no longer; what is acknowledged is in the log or in blocks"),
        }
    }
}

/// Waits for a task to end; one that panicked has ended, too, and `message` says so.
pub(super) async fn ended(task: JoinHandle<()>, message: &'static str) {
    if task.await.is_err() {
        tracing::error!("{message}");
    }
}

/// Waits for servers to end; one that panicked has ended, too.
pub(super) async fn finish(mut servers: JoinSet<()>) {
    while let Some(ended) = servers.join_next().await {
        if ended.is_err() {
            tracing::error!("a listener had ended before");
        }
    }
}

/// Leaves nothing behind on local disk, as far as that can be done.
pub(super) async fn flush_on_shutdown(ingester: &Arc<Ingester>, mover: &Mover) {
    if let Err(error) = ingester.flush_all().await {
        tracing::error!(%error, "could not flush on shutdown; the spans stay in the log");
    }
    match tokio::time::timeout(MOVE_ON_SHUTDOWN, mover.move_all()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "could not move blocks to the bucket on shutdown; they stay on local disk"),
        Err(_) => tracing::error!("could not move all blocks to the bucket in time on shutdown; they stay on local disk"),
    }
}

/// Resolves when the sender is dropped.
pub(super) fn stopped(sender: &watch::Sender<()>) -> impl Future<Output = ()> + use<> {
    let mut receiver = sender.subscribe();
    async move { while receiver.changed().await.is_ok() {} }
}
