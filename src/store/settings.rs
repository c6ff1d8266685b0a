//! What an operator says of the store: plain data, filled in by `config`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// A text that is never printed, as keys and passwords.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A text to be kept out of logs and status pages.
    pub fn new(text: impl Into<String>) -> Self {
        Secret(text.into())
    }

    /// The text, for the one who needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// True if nothing was given.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(if self.is_empty() { "\"\"" } else { "<secret>" })
    }
}

/// How failed requests are repeated. Only what may be repeated is: server errors, dropped connections, time-outs of reads.
#[derive(Clone, Debug, PartialEq)]
pub struct RetrySettings {
    /// Most attempts after the first (`retry_max_attempts`, `max_retries`).
    pub max_retries: usize,
    /// Pause before the second attempt; it doubles with every further one.
    pub initial_backoff: Duration,
    /// Longest pause.
    pub max_backoff: Duration,
}

impl RetrySettings {
    /// As Tempo does on S3 (spec/config.md §10.3), at most so many times.
    pub const fn at_most(max_retries: usize) -> Self {
        RetrySettings { max_retries, initial_backoff: Duration::from_millis(200), max_backoff: Duration::from_secs(1) }
    }
}

/// How a bucket is named in requests (`bucket_lookup_type`, spec/config.md §10.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BucketLookup {
    /// As the host's name on AWS and its like, in the path elsewhere.
    #[default]
    Auto,
    /// As part of the host's name.
    HostName,
    /// In the path, as MinIO wants it.
    Path,
}

/// Encryption that S3 is asked for (`sse`, spec/config.md §10.3).
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Encryption {
    /// Whatever the bucket does by itself.
    #[default]
    BucketDefault,
    /// Keys of S3 (`SSE-S3`).
    S3,
    /// A key of the key management service, or its default key if empty (`SSE-KMS`).
    Kms(String),
    /// A key that goes along with every request, 32 bytes (`SSE-C`).
    Customer(Secret),
}

/// `storage.trace.s3` (spec/config.md §10.3).
#[derive(Clone, Debug, PartialEq)]
pub struct S3Settings {
    /// The bucket; it must exist.
    pub bucket: String,
    /// Folder in the bucket under which everything lies; empty for none.
    pub prefix: String,
    /// `host[:port]` without scheme; empty for AWS.
    pub endpoint: String,
    /// Region; if empty it is taken from the endpoint or the environment, else `us-east-1`.
    pub region: String,
    /// Static key; if empty, the environment, the shared credentials file or the machine's role gives one.
    pub access_key: String,
    /// Secret of the static key.
    pub secret_key: Secret,
    /// Token of temporary keys.
    pub session_token: Secret,
    /// HTTP without TLS.
    pub insecure: bool,
    /// How the bucket is named; `forcepathstyle` means `Path`.
    pub lookup: BucketLookup,
    /// Bytes from which objects are sent in parts of this size; 0 for the default, at least 5 MiB.
    pub part_bytes: u64,
    /// Tags of every object.
    pub tags: BTreeMap<String, String>,
    /// Metadata of every object.
    pub metadata: BTreeMap<String, String>,
    /// Storage class of every object; empty for the bucket's.
    pub storage_class: String,
    /// Encryption at rest.
    pub encryption: Encryption,
    /// Certificates of authorities to trust, besides the system's (`tls_ca_path`).
    pub ca_path: Option<PathBuf>,
    /// Trust any certificate (`tls_insecure_skip_verify`).
    pub skip_verify: bool,
    /// Repetition of failed requests.
    pub retry: RetrySettings,
}

impl Default for S3Settings {
    fn default() -> Self {
        S3Settings {
            bucket: String::new(),
            prefix: String::new(),
            endpoint: String::new(),
            region: String::new(),
            access_key: String::new(),
            secret_key: Secret::default(),
            session_token: Secret::default(),
            insecure: false,
            lookup: BucketLookup::Auto,
            part_bytes: 0,
            tags: BTreeMap::new(),
            metadata: BTreeMap::new(),
            storage_class: String::new(),
            encryption: Encryption::BucketDefault,
            ca_path: None,
            skip_verify: false,
            retry: RetrySettings::at_most(10),
        }
    }
}

/// `storage.trace.gcs` (spec/config.md §10.4).
#[derive(Clone, Debug, PartialEq)]
pub struct GcsSettings {
    /// The bucket; it must exist.
    pub bucket: String,
    /// Folder in the bucket under which everything lies; empty for none.
    pub prefix: String,
    /// Another address than Google's, with or without scheme; empty for Google's.
    pub endpoint: String,
    /// HTTP and no authentication, for emulators.
    pub insecure: bool,
    /// `Cache-Control` of every object; empty for none.
    pub cache_control: String,
    /// Metadata of every object.
    pub metadata: BTreeMap<String, String>,
    /// Repetition of failed requests.
    pub retry: RetrySettings,
}

impl Default for GcsSettings {
    fn default() -> Self {
        GcsSettings {
            bucket: String::new(),
            prefix: String::new(),
            endpoint: String::new(),
            insecure: false,
            cache_control: String::new(),
            metadata: BTreeMap::new(),
            retry: RetrySettings::at_most(3),
        }
    }
}

/// `storage.trace.azure` (spec/config.md §10.5).
#[derive(Clone, Debug, PartialEq)]
pub struct AzureSettings {
    /// The storage account; if empty, `AZURE_STORAGE_ACCOUNT`.
    pub account: String,
    /// Its key; if empty, `AZURE_STORAGE_KEY`, then an identity.
    pub account_key: Secret,
    /// The container; it must exist.
    pub container: String,
    /// Folder in the container under which everything lies; empty for none.
    pub prefix: String,
    /// What follows the account in the host's name, `blob.core.windows.net` by default.
    pub endpoint_suffix: String,
    /// Authenticate as the machine's identity.
    pub use_managed_identity: bool,
    /// Authenticate with a token of the cluster (workload identity).
    pub use_federated_token: bool,
    /// Client id of a user-assigned identity; empty for the system's.
    pub user_assigned_id: String,
    /// Repetition of failed requests.
    pub retry: RetrySettings,
}

impl Default for AzureSettings {
    fn default() -> Self {
        AzureSettings {
            account: String::new(),
            account_key: Secret::default(),
            container: String::new(),
            prefix: String::new(),
            endpoint_suffix: "blob.core.windows.net".to_owned(),
            use_managed_identity: false,
            use_federated_token: false,
            user_assigned_id: String::new(),
            retry: RetrySettings::at_most(10),
        }
    }
}

/// A bucket, on any service.
#[derive(Clone, Debug, PartialEq)]
pub enum BucketSettings {
    /// S3 and what speaks its protocol.
    S3(S3Settings),
    /// Google Cloud Storage.
    Gcs(GcsSettings),
    /// Azure Blob Storage.
    Azure(AzureSettings),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_printed() {
        let settings = S3Settings { secret_key: Secret::new("hunter2"), ..S3Settings::default() };
        let printed = format!("{settings:#?}");
        assert!(printed.contains("secret_key: <secret>") && !printed.contains("hunter2"), "{printed}");
        assert_eq!(settings.secret_key.reveal(), "hunter2");
    }
}
