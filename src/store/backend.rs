//! Clients of S3, GCS and Azure, built from settings. Nothing is sent here.

use super::credentials::{self, S3Source};
use super::instruments::StoreInstruments;
use super::requests::CountingConnector;
use super::settings::{AzureSettings, BucketLookup, BucketSettings, Encryption, GcsSettings, RetrySettings, S3Settings};
use base64::Engine;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::prefix::PrefixStore;
use object_store::{Attribute, Attributes, BackoffConfig, Certificate, ClientOptions, ObjectStore, RetryConfig, TagSet};
use std::sync::Arc;
use std::time::Duration;

/// Looks up an environment variable.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Objects above this go to the bucket in parts of this size, so that a lost connection costs one part and no more than a few
/// parts are in memory. S3 allows 10,000 parts of at least 5 MiB.
const PART_BYTES: u64 = 8 << 20;
const LEAST_PART_BYTES: u64 = 5 << 20;
/// A request that takes longer is given up and repeated; a part should pass through 2 Mbit/s.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// After this long a request is not repeated any more; whoever asked decides what to do.
const RETRY_TIMEOUT: Duration = Duration::from_secs(60);

/// Why settings do not make a client.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The settings are incomplete or contradict each other.
    #[error("{0}")]
    Settings(String),
    /// A file that the settings name cannot be used.
    #[error("could not use {key} {path}: {reason}")]
    File {
        /// The key that names it.
        key: &'static str,
        /// The file.
        path: String,
        /// Why not.
        reason: String,
    },
    /// The client refuses the settings.
    #[error(transparent)]
    Client(#[from] object_store::Error),
}

/// What is sent along with every object.
#[derive(Clone, Debug, Default)]
pub(super) struct Labels {
    pub attributes: Attributes,
    pub tags: TagSet,
}

/// A client of a bucket, and what has to be known to use it.
pub struct Bucket {
    pub(super) objects: Arc<dyn ObjectStore>,
    pub(super) labels: Labels,
    pub(super) part_bytes: u64,
    pub(super) place: Place,
    pub(super) instruments: Arc<StoreInstruments>,
}

/// Where a bucket is, in an operator's words.
#[derive(Clone, Debug)]
pub struct Place {
    /// Which service.
    pub service: Service,
    /// Name of the bucket or container.
    pub bucket: String,
    /// The folder in it; empty for none.
    pub prefix: String,
    /// The address that is asked.
    pub endpoint: String,
    /// Region that requests are signed for; empty where there is none.
    pub region: String,
    /// Where the key is from.
    pub credentials: String,
}

/// A service that keeps objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// S3 and what speaks its protocol.
    S3,
    /// Google Cloud Storage.
    Gcs,
    /// Azure Blob Storage.
    Azure,
}

impl std::fmt::Display for Place {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Place { bucket, prefix, endpoint, .. } = self;
        match prefix.as_str() {
            "" => write!(out, "bucket {bucket} at {endpoint}"),
            prefix => write!(out, "bucket {bucket}/{prefix} at {endpoint}"),
        }
    }
}

impl Bucket {
    /// A client for these settings. Reads files that they name; sends nothing.
    ///
    /// # Errors
    /// Settings that cannot be served, with the key to change.
    pub fn new(settings: &BucketSettings, env: Env<'_>) -> Result<Self, BackendError> {
        // An error means that there is a provider already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        match settings {
            BucketSettings::S3(settings) => s3(settings, env),
            BucketSettings::Gcs(settings) => gcs(settings),
            BucketSettings::Azure(settings) => azure(settings, env),
        }
    }

    /// Where it is.
    pub fn place(&self) -> &Place {
        &self.place
    }
}

fn s3(settings: &S3Settings, env: Env<'_>) -> Result<Bucket, BackendError> {
    let region = region(settings, env);
    let address = address(settings, &region);
    let instruments = Arc::new(StoreInstruments::default());
    let source = credentials::s3(settings, env)?;
    let place = Place {
        service: Service::S3,
        bucket: settings.bucket.clone(),
        prefix: settings.prefix.trim_matches('/').to_owned(),
        endpoint: address.url.clone(),
        region: region.clone(),
        credentials: source.to_string(),
    };
    let options = client_options(settings.insecure, settings.skip_verify, settings.ca_path.as_deref())?;
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&settings.bucket)
        .with_region(region)
        .with_endpoint(address.endpoint)
        .with_virtual_hosted_style_request(address.is_host_name)
        .with_client_options(options)
        .with_retry(retry(&settings.retry))
        // Deleting many at once is a request of its own that not every service knows; blocks have few files.
        .with_disable_bulk_delete(true)
        .with_http_connector(CountingConnector::new(Arc::clone(&instruments)));
    builder = match source {
        S3Source::Key { id, secret, token, .. } => {
            let builder = builder.with_access_key_id(id).with_secret_access_key(secret.reveal());
            if token.is_empty() { builder } else { builder.with_token(token.reveal()) }
        }
        S3Source::Role(variables) => variables.into_iter().fold(builder, |builder, (key, value)| match key.parse::<AmazonS3ConfigKey>() {
            Ok(key) => builder.with_config(key, value),
            Err(_) => builder,
        }),
    };
    let client = encrypted(builder, &settings.encryption)?.build()?;
    let labels = labels(&settings.metadata, &settings.tags, [(Attribute::StorageClass, settings.storage_class.as_str())]);
    let part_bytes = if settings.part_bytes == 0 { PART_BYTES } else { settings.part_bytes.max(LEAST_PART_BYTES) };
    Ok(Bucket { objects: with_prefix(client, &place), labels, part_bytes, place, instruments })
}

/// Where requests go.
struct Address {
    /// For people: without the bucket.
    url: String,
    /// For the client: with the bucket if it is part of the host's name.
    endpoint: String,
    is_host_name: bool,
}

fn address(settings: &S3Settings, region: &str) -> Address {
    let scheme = if settings.insecure { "http" } else { "https" };
    let host = match settings.endpoint.trim_end_matches('/') {
        "" => format!("s3.{region}.amazonaws.com"),
        host => host.to_owned(),
    };
    let bucket = &settings.bucket;
    let is_host_name = match settings.lookup {
        BucketLookup::HostName => true,
        BucketLookup::Path => false,
        // A certificate for *.host does not cover a.b.host.
        BucketLookup::Auto => names_buckets_by_host(&host) && (settings.insecure || !bucket.contains('.')),
    };
    let endpoint = if is_host_name { format!("{scheme}://{bucket}.{host}") } else { format!("{scheme}://{host}") };
    Address { url: format!("{scheme}://{host}"), endpoint, is_host_name }
}

/// Services that want the bucket in the host's name; all others know it in the path.
fn names_buckets_by_host(host: &str) -> bool {
    [".amazonaws.com", ".amazonaws.com.cn", ".aliyuncs.com"].iter().any(|known| host.ends_with(known))
}

fn region(settings: &S3Settings, env: Env<'_>) -> String {
    let given = Some(settings.region.clone()).filter(|region| !region.is_empty());
    let of_endpoint = || region_of_endpoint(&settings.endpoint).map(str::to_owned);
    given.or_else(of_endpoint).or_else(|| env("AWS_REGION")).or_else(|| env("AWS_DEFAULT_REGION")).unwrap_or_else(|| "us-east-1".to_owned())
}

/// The region in `s3.eu-west-1.amazonaws.com` and its older and dual-stack forms.
fn region_of_endpoint(endpoint: &str) -> Option<&str> {
    let host = endpoint.strip_suffix(".amazonaws.com").or_else(|| endpoint.strip_suffix(".amazonaws.com.cn"))?;
    let rest = host.strip_prefix("s3.dualstack.").or_else(|| host.strip_prefix("s3.")).or_else(|| host.strip_prefix("s3-"))?;
    (!rest.is_empty() && !rest.contains('.')).then_some(rest)
}

fn encrypted(builder: AmazonS3Builder, encryption: &Encryption) -> Result<AmazonS3Builder, BackendError> {
    let asked_for = |builder: AmazonS3Builder, kind: &str| {
        let key = "aws_server_side_encryption".parse::<AmazonS3ConfigKey>()?;
        Ok::<_, object_store::Error>(builder.with_config(key, kind))
    };
    Ok(match encryption {
        Encryption::BucketDefault => builder,
        Encryption::S3 => asked_for(builder, "AES256")?,
        Encryption::Kms(key) if key.is_empty() => asked_for(builder, "aws:kms")?,
        Encryption::Kms(key) => builder.with_sse_kms_encryption(key),
        Encryption::Customer(key) if key.reveal().len() == 32 => {
            builder.with_ssec_encryption(base64::engine::general_purpose::STANDARD.encode(key.reveal()))
        }
        Encryption::Customer(_) => {
            return Err(BackendError::Settings("storage.trace.s3.sse.encryption_key must have 32 bytes".to_owned()));
        }
    })
}

fn gcs(settings: &GcsSettings) -> Result<Bucket, BackendError> {
    let scheme = if settings.insecure { "http" } else { "https" };
    let endpoint = match settings.endpoint.as_str() {
        "" => "https://storage.googleapis.com".to_owned(),
        url if url.contains("://") => url.trim_end_matches('/').to_owned(),
        host => format!("{scheme}://{host}"),
    };
    let place = Place {
        service: Service::Gcs,
        bucket: settings.bucket.clone(),
        prefix: settings.prefix.trim_matches('/').to_owned(),
        endpoint: endpoint.clone(),
        region: String::new(),
        credentials: if settings.insecure { "none (insecure)" } else { "Google's application default credentials" }.to_owned(),
    };
    let instruments = Arc::new(StoreInstruments::default());
    let mut builder = GoogleCloudStorageBuilder::new()
        .with_bucket_name(&settings.bucket)
        .with_skip_signature(settings.insecure)
        .with_client_options(client_options(endpoint.starts_with("http://"), false, None)?)
        .with_retry(retry(&settings.retry))
        .with_http_connector(CountingConnector::new(Arc::clone(&instruments)));
    if !settings.endpoint.is_empty() {
        builder = builder.with_base_url(&endpoint);
    }
    let labels = labels(&settings.metadata, &Default::default(), [(Attribute::CacheControl, settings.cache_control.as_str())]);
    Ok(Bucket { objects: with_prefix(builder.build()?, &place), labels, part_bytes: PART_BYTES, place, instruments })
}

fn azure(settings: &AzureSettings, env: Env<'_>) -> Result<Bucket, BackendError> {
    let given = |text: &str, variable: &str| if text.is_empty() { env(variable).unwrap_or_default() } else { text.to_owned() };
    let account = given(&settings.account, "AZURE_STORAGE_ACCOUNT");
    if account.is_empty() {
        return Err(BackendError::Settings("storage.trace.azure.storage_account_name (or AZURE_STORAGE_ACCOUNT) is not set".to_owned()));
    }
    let key = given(settings.account_key.reveal(), "AZURE_STORAGE_KEY");
    let endpoint = format!("https://{account}.{}", settings.endpoint_suffix);
    let (kind, credentials) = match () {
        () if settings.use_federated_token => ("workload_identity", "the cluster's federated token"),
        () if settings.use_managed_identity || key.is_empty() => ("managed_identity", "the machine's managed identity"),
        () => ("access_key", "storage_account_key"),
    };
    let instruments = Arc::new(StoreInstruments::default());
    let mut builder = MicrosoftAzureBuilder::new()
        .with_account(&account)
        .with_container_name(&settings.container)
        .with_endpoint(endpoint.clone())
        .with_credential_type(kind)
        .with_client_options(client_options(false, false, None)?)
        .with_retry(retry(&settings.retry))
        .with_http_connector(CountingConnector::new(Arc::clone(&instruments)));
    if kind == "access_key" {
        builder = builder.with_access_key(key);
    }
    let identity = [
        (AzureConfigKey::ClientId, given(&settings.user_assigned_id, "AZURE_CLIENT_ID")),
        (AzureConfigKey::AuthorityId, given("", "AZURE_TENANT_ID")),
        (AzureConfigKey::FederatedTokenFile, given("", "AZURE_FEDERATED_TOKEN_FILE")),
    ];
    builder =
        identity.into_iter().filter(|(_, value)| !value.is_empty()).fold(builder, |builder, (key, value)| builder.with_config(key, value));
    let place = Place {
        service: Service::Azure,
        bucket: settings.container.clone(),
        prefix: settings.prefix.trim_matches('/').to_owned(),
        endpoint,
        region: String::new(),
        credentials: credentials.to_owned(),
    };
    Ok(Bucket { objects: with_prefix(builder.build()?, &place), labels: Labels::default(), part_bytes: PART_BYTES, place, instruments })
}

fn with_prefix(client: impl ObjectStore, place: &Place) -> Arc<dyn ObjectStore> {
    match place.prefix.as_str() {
        "" => Arc::new(client),
        prefix => Arc::new(PrefixStore::new(client, prefix)),
    }
}

fn client_options(is_plain: bool, skip_verify: bool, ca_path: Option<&std::path::Path>) -> Result<ClientOptions, BackendError> {
    // Without TLS the system's certificates are not needed, and a machine may have none.
    let mut options = ClientOptions::new()
        .with_allow_http(is_plain)
        .with_no_system_certificates(is_plain)
        .with_allow_invalid_certificates(skip_verify)
        .with_timeout(REQUEST_TIMEOUT);
    if let Some(path) = ca_path {
        let failed = |reason: String| BackendError::File { key: "storage.trace.s3.tls_ca_path", path: path.display().to_string(), reason };
        let pem = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
        let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| failed(error.to_string()))?;
        if certificates.is_empty() {
            return Err(failed("it holds no certificate in PEM".to_owned()));
        }
        options = certificates.into_iter().fold(options, ClientOptions::with_root_certificate);
    }
    Ok(options)
}

fn retry(settings: &RetrySettings) -> RetryConfig {
    let backoff = BackoffConfig { init_backoff: settings.initial_backoff, max_backoff: settings.max_backoff, base: 2.0 };
    RetryConfig { backoff, max_retries: settings.max_retries, retry_timeout: RETRY_TIMEOUT }
}

type Texts = std::collections::BTreeMap<String, String>;

fn labels<const N: usize>(metadata: &Texts, tags: &Texts, others: [(Attribute, &str); N]) -> Labels {
    let mut labels = Labels::default();
    for (key, value) in metadata {
        labels.attributes.insert(Attribute::Metadata(key.clone().into()), value.clone().into());
    }
    for (attribute, value) in others.into_iter().filter(|(_, value)| !value.is_empty()) {
        labels.attributes.insert(attribute, value.to_owned().into());
    }
    tags.iter().for_each(|(key, value)| labels.tags.push(key, value));
    labels
}

#[cfg(test)]
mod tests;
