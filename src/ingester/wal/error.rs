//! What can go wrong while the log is written; replay has its own errors in `replay.rs`.

use std::io;
use std::sync::Arc;

/// Why a record or a ledger was not accepted. Cheap to clone: one failed round answers all its waiters.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WalError {
    /// The file system refused. The record is not in the log (see the module doc for the one exception); the same call
    /// may succeed later, for example when the disk has space again.
    #[error("the write-ahead log could not {operation}: {source}")]
    Storage {
        /// What was tried, to be read after "could not".
        operation: &'static str,
        /// The answer of the file system.
        source: Arc<io::Error>,
    },
    /// The record or ledger is larger than the format allows; trying again is useless.
    #[error("{bytes} bytes are more than the {max_bytes} that the write-ahead log takes at once")]
    TooLarge {
        /// Size of what was offered.
        bytes: usize,
        /// Largest size that is taken.
        max_bytes: usize,
    },
    /// The log was closed, or its writer thread is gone. What was not acknowledged before may be in the log or not.
    #[error("the write-ahead log is closed")]
    Closed,
}

impl WalError {
    /// True if the caller should tell its client to come back later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, WalError::Storage { .. })
    }

    /// Turns an IO error into the answer for a failed `operation` (read after "could not").
    pub(super) fn storage(operation: &'static str) -> impl FnOnce(io::Error) -> WalError {
        move |source| WalError::Storage { operation, source: Arc::new(source) }
    }
}
