//! How long a query may take, and whether anybody still waits for it.

use super::QueryError;
use super::progress::Progress;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Handed to everything that works for one query; asked now and then. The default one has no end.
#[derive(Clone, Debug, Default)]
pub struct Budget {
    deadline: Option<(Instant, Duration)>,
    is_abandoned: Arc<AtomicBool>,
    /// Where the query tells how far it has come.
    pub progress: Progress,
}

impl Budget {
    /// A query that begins now and may take this long.
    pub fn starting_now(timeout: Duration) -> Self {
        let deadline = Instant::now().checked_add(timeout).map(|end| (end, timeout));
        Budget { deadline, ..Budget::default() }
    }

    /// Marks the query as abandoned when the guard is dropped.
    pub fn abandoned_on_drop(&self) -> AbandonedOnDrop {
        AbandonedOnDrop(Arc::clone(&self.is_abandoned))
    }

    /// An error if the time is over or nobody waits for the answer.
    pub fn check(&self) -> Result<(), QueryError> {
        if self.is_abandoned.load(Relaxed) {
            return Err(QueryError::Abandoned);
        }
        match self.deadline {
            Some((end, timeout)) if Instant::now() >= end => Err(QueryError::TimedOut(timeout)),
            _ => Ok(()),
        }
    }
}

/// See [`Budget::abandoned_on_drop`].
pub struct AbandonedOnDrop(Arc<AtomicBool>);

impl Drop for AbandonedOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_ends_a_query() {
        assert!(Budget::default().check().is_ok());
        assert!(Budget::starting_now(Duration::from_secs(3600)).check().is_ok());
        assert!(matches!(Budget::starting_now(Duration::ZERO).check(), Err(QueryError::TimedOut(_))));
    }

    #[test]
    fn a_client_that_leaves_ends_its_query() {
        let budget = Budget::default();
        let guard = budget.abandoned_on_drop();
        let elsewhere = budget.clone();
        assert!(elsewhere.check().is_ok());
        drop(guard);
        assert!(matches!(elsewhere.check(), Err(QueryError::Abandoned)));
    }
}
