//! Computing away from the event loop.

/// Up to this size work on bytes is done where it is asked for: half a millisecond or less for every format there is.
const INLINE_BYTES: usize = 32 << 10;

/// The server stops, so the work was not done.
#[derive(Debug, thiserror::Error)]
#[error("server is shutting down")]
pub struct Stopping;

/// Does work that goes through `num_bytes`: here if they are few, else on a thread where computing is allowed.
///
/// If the caller goes away, work that has begun is finished and its result dropped.
///
/// # Errors
///
/// [`Stopping`] if the runtime ended before the work began.
pub async fn offload<T: Send + 'static>(num_bytes: usize, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Stopping> {
    if num_bytes <= INLINE_BYTES {
        return Ok(work());
    }
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => Ok(result),
        // A panic there is a panic here, so that it ends this connection's task and is reported like every other.
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(Stopping),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn large_work_is_done_elsewhere() {
        let here = std::thread::current().id();
        assert_eq!(offload(1, || std::thread::current().id()).await.expect("running"), here);
        assert_ne!(offload(INLINE_BYTES + 1, || std::thread::current().id()).await.expect("running"), here);
    }
}
