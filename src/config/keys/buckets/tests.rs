use crate::config::{ConfigError, Loaded, load};
use crate::store::settings::{AzureSettings, BucketLookup, BucketSettings, Encryption, GcsSettings, RetrySettings, S3Settings, Secret};
use std::path::Path;
use std::time::Duration;

/// A file with these lines below `storage.trace`, and these words on the command line.
fn load_storage(lines: &str, words: &[&str]) -> Result<Loaded, ConfigError> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("tempo.yaml");
    let indented: String = lines.lines().map(|line| format!("    {line}\n")).collect();
    std::fs::write(&path, format!("storage:\n  trace:\n{indented}")).expect("writable");
    let mut args = vec![format!("-config.file={}", path.display())];
    args.extend(words.iter().map(|word| (*word).to_owned()));
    load(&args, &|_| None)
}

#[test]
fn keys_of_s3() {
    let lines = "backend: s3\nblock_cache_bytes: 1000000\ns3:\n  bucket: b\n  prefix: a/b\n  endpoint: minio:9000\n  region: eu-west-1\n  access_key: id\n  \
                 secret_key: geheim\n  session_token: token\n  insecure: true\n  forcepathstyle: true\n  bucket_lookup_type: 1\n  part_size: 6000000\n  \
                 tags: {team: x}\n  metadata: {k: 1}\n  storage_class: STANDARD_IA\n  sse:\n    type: SSE-KMS\n    kms_key_id: key\n  \
                 retry_max_attempts: 3\n  retry_backoff_initial: 1s\n  retry_backoff_max: 2s\n  tls_ca_path: /ca.pem\n  insecure_skip_verify: true\n  \
                 hedge_requests_up_to: 2\n  list_blocks_concurrency: 3\n  tls_min_version: VersionTLS12";
    let loaded = load_storage(lines, &[]).expect("good");
    assert_eq!((loaded.warnings, loaded.notes), (vec![], vec![]));
    let text = |key: &str, value: &str| [(key.to_owned(), value.to_owned())].into();
    let expected = S3Settings {
        bucket: "b".to_owned(),
        prefix: "a/b".to_owned(),
        endpoint: "minio:9000".to_owned(),
        region: "eu-west-1".to_owned(),
        access_key: "id".to_owned(),
        secret_key: Secret::new("geheim"),
        session_token: Secret::new("token"),
        insecure: true,
        lookup: BucketLookup::Path,
        part_bytes: 6_000_000,
        tags: text("team", "x"),
        metadata: text("k", "1"),
        storage_class: "STANDARD_IA".to_owned(),
        encryption: Encryption::Kms("key".to_owned()),
        ca_path: Some("/ca.pem".into()),
        skip_verify: true,
        retry: RetrySettings { max_retries: 3, initial_backoff: Duration::from_secs(1), max_backoff: Duration::from_secs(2) },
    };
    assert_eq!(loaded.config.storage.bucket(), Some(BucketSettings::S3(expected)));
    assert_eq!(loaded.config.storage.block_cache_bytes, Some(1_000_000));
    assert!(!format!("{:?}", loaded.config).contains("geheim"), "/status/config shows it");
    assert_eq!(loaded.config.storage.wal_path, Path::new("/var/tempo/wal"));
    assert_eq!(loaded.config.storage.wal_path_fallback.as_deref(), Some(Path::new("./conmoto-data/wal")));
    let flags = ["-storage.trace.s3.secret-key=other", "-storage.trace.s3.insecure=false", "-storage.trace.s3.sse.type=SSE-S3"];
    let s3 = load_storage(lines, &flags).expect("good").config.storage.s3;
    assert_eq!((s3.secret_key.reveal(), s3.insecure, s3.encryption), ("other", false, Encryption::S3));
}

#[test]
fn keys_of_gcs_and_azure() {
    let gcs = "backend: gcs\ngcs:\n  bucket_name: b\n  prefix: p\n  endpoint: gcs:4443\n  insecure: true\n  object_cache_control: no-cache\n  \
               object_metadata: {k: v}\n  max_retries: 5\n  chunk_buffer_size: 1\n";
    let expected = GcsSettings {
        bucket: "b".to_owned(),
        prefix: "p".to_owned(),
        endpoint: "gcs:4443".to_owned(),
        insecure: true,
        cache_control: "no-cache".to_owned(),
        metadata: [("k".to_owned(), "v".to_owned())].into(),
        retry: RetrySettings::at_most(5),
    };
    assert_eq!(load_storage(gcs, &[]).expect("good").config.storage.bucket(), Some(BucketSettings::Gcs(expected)));
    let new = "backend: azure\nazure:\n  storage_account_name: a\n  storage_account_key: k\n  container_name: c\n  endpoint_suffix: e.net\n  \
               use_managed_identity: true\n  user_assigned_id: u\n  max_buffers: 4\n";
    let old = new.replace('_', "-");
    let expected = AzureSettings {
        account: "a".to_owned(),
        account_key: Secret::new("k"),
        container: "c".to_owned(),
        endpoint_suffix: "e.net".to_owned(),
        use_managed_identity: true,
        user_assigned_id: "u".to_owned(),
        ..AzureSettings::default()
    };
    for lines in [new, &old] {
        let loaded = load_storage(lines, &[]).expect("good");
        assert_eq!(loaded.config.storage.bucket(), Some(BucketSettings::Azure(expected.clone())), "{lines}");
    }
}

#[test]
fn buckets_that_cannot_be_served_are_refused() {
    let s3 = "backend: s3\ns3:\n  bucket: b\n  ";
    for (lines, expected) in [
        ("backend: s3".to_owned(), "storage.trace.s3.bucket is not set"),
        ("backend: gcs".to_owned(), "storage.trace.gcs.bucket_name is not set"),
        ("backend: azure".to_owned(), "storage.trace.azure.container_name is not set"),
        (format!("{s3}endpoint: https://x"), "storage.trace.s3.endpoint: must be host[:port] without scheme"),
        (format!("{s3}tls_cert_path: /x"), "storage.trace.s3.tls_cert_path: is not supported"),
        (format!("{s3}tls_min_version: VersionTLS13"), "TLS 1.2 cannot be switched off"),
        (format!("{s3}sse: {{type: SSE-X}}"), "SSE-X is none of"),
        (format!("{s3}sse: {{kms_encryption_context: x}}"), "kms_encryption_context: is not supported"),
        (format!("{s3}tags: [a]"), "cannot unmarshal !!seq into map[string]string"),
    ] {
        let message = load_storage(&lines, &[]).expect_err(&lines).to_string();
        assert!(message.contains(expected), "{message}");
    }
    let ignored = load_storage(&format!("{s3}hedge_requests_at: 500ms\n  signature_v2: true\n  tls_cipher_suites: x"), &[]).expect("good");
    assert_eq!(ignored.notes.len(), 3, "{:?}", ignored.notes);
}
