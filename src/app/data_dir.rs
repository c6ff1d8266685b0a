//! The directories that the server writes to.

use crate::config::StorageConfig;
use crate::runtime::directories::create_durably;
use anyhow::{Context, bail};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

/// Makes the directory of the log, or its fallback where no directory was asked for (spec/config.md §10.1).
pub(super) fn wal_dir(storage: &StorageConfig) -> anyhow::Result<PathBuf> {
    let wanted = &storage.wal_path;
    let Err(error) = create_durably(wanted) else { return Ok(wanted.clone()) };
    match &storage.wal_path_fallback {
        Some(fallback) => {
            create_durably(fallback).with_context(|| {
                format!("could not make a directory for the write-ahead log: neither {} nor {}", wanted.display(), fallback.display())
            })?;
            tracing::warn!(wanted = %wanted.display(), used = %fallback.display(), %error, "the default directory of the write-ahead log cannot be made; another is used");
            Ok(fallback.clone())
        }
        None => {
            bail!("could not make the directory of the write-ahead log {}: {error}; it is set by storage.trace.wal.path", wanted.display())
        }
    }
}

/// Keeps a second process away from the same log; given back when the process ends, however it ends.
pub(super) struct DataDirLock {
    _file: File,
}

impl DataDirLock {
    /// Takes the lock, or says who has it.
    pub fn take(wal_dir: &Path) -> anyhow::Result<Self> {
        // Inside, since a mounted directory's parent may not be writable; the log ignores names that are not its own.
        let path = wal_dir.join("lock");
        let file = File::create(&path).with_context(|| format!("could not make the lock file {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(DataDirLock { _file: file }),
            Err(TryLockError::WouldBlock) => {
                bail!("another process uses the write-ahead log in {}; two must not share one", wal_dir.display())
            }
            Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("could not lock {}", path.display())),
        }
    }
}
