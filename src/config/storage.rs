//! The `storage.trace` section: where blocks and the write-ahead log are.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where a server without a configuration file keeps everything.
pub(super) const DATA_DIR: &str = "./conmoto-data";

/// Where blocks and the write-ahead log are ("spec/config.md §10").
#[derive(Clone, Debug, PartialEq)]
pub struct StorageConfig {
    /// What kind of store holds the blocks, default local ("spec/config.md §10.1").
    pub backend: Backend,
    /// Directory of the blocks for the local backend, made when missing; default `./conmoto-data/blocks`
    /// (`local.path`, "spec/config.md §10.1").
    pub local_path: PathBuf,
    /// Directory of the write-ahead log, made when missing; default `./conmoto-data/wal` without a file, `/var/tempo/wal`
    /// for a file that names `local.path` but no WAL (`wal.path`, "spec/config.md §10.1").
    pub wal_path: PathBuf,
    /// Where the WAL goes when `wal_path` cannot be made. Set only when `wal_path` is Tempo's default and nobody's wish;
    /// with `None`, a directory that cannot be written stops the start ("spec/config.md §10.1", → P).
    pub wal_path_fallback: Option<PathBuf>,
    /// Time between two readings of the block list, default 5 min ("spec/config.md §10.1").
    pub blocklist_poll: Duration,
    /// Share of trace ids, above 0 and below 1, that a bloom filter lets pass in error; default 0.01
    /// (`block.bloom_filter_false_positive`, "spec/config.md §10.2").
    pub bloom_false_positive: f64,
}

impl Default for StorageConfig {
    fn default() -> Self {
        StorageConfig::in_directory(Path::new(DATA_DIR))
    }
}

impl StorageConfig {
    /// The defaults, with blocks and WAL under one directory (`-data.dir`).
    pub fn in_directory(directory: &Path) -> Self {
        StorageConfig {
            backend: Backend::Local,
            local_path: directory.join("blocks"),
            wal_path: directory.join("wal"),
            wal_path_fallback: None,
            blocklist_poll: Duration::from_secs(300),
            bloom_false_positive: 0.01,
        }
    }
}

/// What kind of store holds the blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// A directory.
    Local,
    /// S3 and what speaks its protocol.
    S3,
    /// Google Cloud Storage.
    Gcs,
    /// Azure Blob Storage.
    Azure,
}

impl Backend {
    /// The backend of that name; the error is the one that Tempo logs ("spec/config.md §10.1").
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "local" => Ok(Backend::Local),
            "s3" => Ok(Backend::S3),
            "gcs" => Ok(Backend::Gcs),
            "azure" => Ok(Backend::Azure),
            _ => Err(format!("unknown backend {text}")),
        }
    }

    /// The name as it is written in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Backend::Local => "local",
            Backend::S3 => "s3",
            Backend::Gcs => "gcs",
            Backend::Azure => "azure",
        }
    }
}
