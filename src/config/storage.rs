//! The `storage.trace` section: where blocks and the write-ahead log are.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::ConfigError;
use crate::store::settings::{AzureSettings, BucketSettings, Encryption, GcsSettings, S3Settings, Secret};

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
    /// When what was written to the log becomes durable, default before it is acknowledged (`wal.fsync`, a key of our own).
    pub wal_fsync: WalFsync,
    /// Longest time between acknowledgement and fsync with [`WalFsync::Interval`], default 1 s (`wal.fsync_interval`, a key of
    /// our own).
    pub wal_fsync_interval: Duration,
    /// Size in bytes at which a segment of the log is closed, default 64 MiB, 64 KiB to 1 GiB (`wal.segment_bytes`, a key of our
    /// own).
    pub wal_segment_bytes: u64,
    /// Time between two readings of the block list, default 5 min ("spec/config.md §10.1").
    pub blocklist_poll: Duration,
    /// Share of trace ids, above 0 and below 1, that a bloom filter lets pass in error; default 0.01
    /// (`block.bloom_filter_false_positive`, "spec/config.md §10.2").
    pub bloom_false_positive: f64,
    /// Bytes of files of a bucket that are kept in memory; `None` (default) lets the server choose (`block_cache_bytes`, a key
    /// of our own).
    pub block_cache_bytes: Option<u64>,
    /// Bytes of footers, indexes, filters and summaries of blocks that are kept in memory; `None` (default) lets the server
    /// choose (`block_index_cache_bytes`, a key of our own).
    pub block_index_cache_bytes: Option<u64>,
    /// The bucket of the backend `s3`.
    pub s3: S3Settings,
    /// The bucket of the backend `gcs`.
    pub gcs: GcsSettings,
    /// The container of the backend `azure`.
    pub azure: AzureSettings,
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
            wal_fsync: WalFsync::Group,
            wal_fsync_interval: Duration::from_secs(1),
            wal_segment_bytes: 64 << 20,
            blocklist_poll: Duration::from_secs(300),
            bloom_false_positive: 0.01,
            block_cache_bytes: None,
            block_index_cache_bytes: None,
            s3: S3Settings::default(),
            gcs: GcsSettings::default(),
            azure: AzureSettings::default(),
        }
    }

    /// The bucket that holds the blocks; `None` if they are in a directory.
    pub fn bucket(&self) -> Option<BucketSettings> {
        match self.backend {
            Backend::Local => None,
            Backend::S3 => Some(BucketSettings::S3(self.s3.clone())),
            Backend::Gcs => Some(BucketSettings::Gcs(self.gcs.clone())),
            Backend::Azure => Some(BucketSettings::Azure(self.azure.clone())),
        }
    }

    /// A bucket must have a name.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let (name, key) = match self.backend {
            Backend::Local => return Ok(()),
            Backend::S3 => (&self.s3.bucket, "s3.bucket"),
            Backend::Gcs => (&self.gcs.bucket, "gcs.bucket_name"),
            Backend::Azure => (&self.azure.container, "azure.container_name"),
        };
        if name.is_empty() {
            let backend = self.backend.as_str();
            return Err(ConfigError::Invalid(format!("storage.trace.backend is {backend}, but storage.trace.{key} is not set")));
        }
        Ok(())
    }
}

/// When written records become durable (docs/durability.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalFsync {
    /// Before they are acknowledged, one fdatasync for all that wait.
    Group,
    /// A short time after they were acknowledged.
    Interval,
    /// When the system pleases.
    None,
}

impl WalFsync {
    /// The mode of that name.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "" | "group" => Ok(WalFsync::Group),
            "interval" => Ok(WalFsync::Interval),
            "none" => Ok(WalFsync::None),
            _ => Err(format!("must be group, interval or none, found {text}")),
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

/// `storage.trace.s3.sse` while it is collected.
#[derive(Debug, Default)]
pub(super) struct SseDraft {
    /// `type`, one of the known ones or empty.
    pub kind: String,
    /// `kms_key_id`.
    pub kms_key_id: String,
    /// `encryption_key`.
    pub encryption_key: Secret,
}

impl SseDraft {
    /// What all keys together mean.
    pub(super) fn finish(self) -> Encryption {
        match self.kind.as_str() {
            "SSE-S3" => Encryption::S3,
            "SSE-KMS" => Encryption::Kms(self.kms_key_id),
            "SSE-C" => Encryption::Customer(self.encryption_key),
            _ => Encryption::BucketDefault,
        }
    }
}
