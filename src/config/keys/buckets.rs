//! `storage.trace.s3`, `gcs` and `azure` ("spec/config.md §10.3" to "§10.5").

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::config::draft::Draft;
use crate::config::schema::{Action, Key, Report, Table, When, mismatch};
use crate::config::yaml::{Node, Problem, Value};
use crate::store::settings::{BucketLookup, Secret};

const DEPRECATED: &str = "is deprecated and ignored";
const HEDGING: &str = "has no effect: requests are not sent twice";
const DUAL_STACK: &str = "has no effect: give an endpoint of the form s3.dualstack.<region>.amazonaws.com";
const SIGNATURE: &str = "has no effect: requests are signed with version 4, as every service of today takes them";
const CIPHERS: &str = "has no effect: the TLS library knows no weak ones";

/// A text that lands in a field.
macro_rules! text {
    ($name:literal, $($field:ident).+) => {
        Key::text($name, |draft, text| {
            draft.$($field).+ = text.to_owned();
            Ok(())
        })
    };
}

/// A text that is never printed.
macro_rules! secret {
    ($name:literal, $($field:ident).+) => {
        Key::text($name, |draft, text| {
            draft.$($field).+ = Secret::new(text);
            Ok(())
        })
    };
}

/// A setting that would change who can read the data, or whether it can be reached: it must not be left out silently.
const fn refused(name: &'static str) -> Key<Draft> {
    Key::text(name, |_, text| if text.is_empty() { Ok(()) } else { Err("is not supported".to_owned()) })
}

pub(super) static S3: Table<Draft> = Table::new(
    "s3.Config",
    &[
        text!("bucket", config.storage.s3.bucket),
        text!("prefix", config.storage.s3.prefix),
        Key::text("endpoint", |draft, text| {
            draft.config.storage.s3.endpoint = without_scheme(text)?;
            Ok(())
        }),
        text!("region", config.storage.s3.region),
        text!("access_key", config.storage.s3.access_key),
        secret!("secret_key", config.storage.s3.secret_key),
        secret!("session_token", config.storage.s3.session_token),
        Key::bool("insecure", |draft, on| draft.config.storage.s3.insecure = on),
        Key::count("bucket_lookup_type", |draft, kind| {
            draft.config.storage.s3.lookup = match kind {
                1 => BucketLookup::HostName,
                2 => BucketLookup::Path,
                _ => BucketLookup::Auto,
            }
        }),
        // The older key, which only ever asks for paths.
        Key::bool("forcepathstyle", |draft, on| {
            if on {
                draft.config.storage.s3.lookup = BucketLookup::Path;
            }
        }),
        Key::count("part_size", |draft, bytes| draft.config.storage.s3.part_bytes = bytes),
        Key::new("tags", Action::Custom(|draft, node, report| texts(&mut draft.config.storage.s3.tags, node, report))),
        Key::new("metadata", Action::Custom(|draft, node, report| texts(&mut draft.config.storage.s3.metadata, node, report))),
        text!("storage_class", config.storage.s3.storage_class),
        Key::section("sse", &SSE),
        Key::count("retry_max_attempts", |draft, most| draft.config.storage.s3.retry.max_retries = super::size(most)),
        Key::duration("retry_backoff_initial", |draft, pause| draft.config.storage.s3.retry.initial_backoff = pause),
        Key::duration("retry_backoff_max", |draft, pause| draft.config.storage.s3.retry.max_backoff = pause),
        Key::text("tls_ca_path", |draft, text| {
            draft.config.storage.s3.ca_path = (!text.is_empty()).then(|| PathBuf::from(text));
            Ok(())
        }),
        Key::alias("insecure_skip_verify", "storage.trace.s3.tls_insecure_skip_verify"),
        Key::bool("tls_insecure_skip_verify", |draft, on| draft.config.storage.s3.skip_verify = on),
        refused("tls_cert_path"),
        refused("tls_key_path"),
        refused("tls_server_name"),
        Key::text("tls_min_version", |_, text| match text {
            "" | "VersionTLS10" | "VersionTLS11" | "VersionTLS12" => Ok(()),
            "VersionTLS13" => Err("is not supported: TLS 1.2 cannot be switched off".to_owned()),
            _ => Err(format!("{text} is no version of TLS")),
        }),
        Key::new("tls_cipher_suites", Action::Ignore).note(When::Set, CIPHERS),
        Key::new("hedge_requests_at", Action::Ignore).note(When::Set, HEDGING),
        Key::new("enable_dual_stack", Action::Ignore).note(When::Set, DUAL_STACK),
        Key::new("signature_v2", Action::Ignore).note(When::Set, SIGNATURE),
        Key::new("native_aws_auth_enabled", Action::Ignore).warning(When::Present, DEPRECATED),
    ],
    &["checksum_type", "hedge_requests_up_to", "list_blocks_concurrency"],
);

static SSE: Table<Draft> = Table::new(
    "s3.SSEConfig",
    &[
        Key::text("type", |draft, text| match text {
            "" | "SSE-S3" | "SSE-KMS" | "SSE-C" => {
                draft.sse.kind = text.to_owned();
                Ok(())
            }
            _ => Err(format!("{text} is none of SSE-S3, SSE-KMS and SSE-C")),
        }),
        text!("kms_key_id", sse.kms_key_id),
        refused("kms_encryption_context"),
        secret!("encryption_key", sse.encryption_key),
    ],
    &[],
);

pub(super) static GCS: Table<Draft> = Table::new(
    "gcs.Config",
    &[
        text!("bucket_name", config.storage.gcs.bucket),
        text!("prefix", config.storage.gcs.prefix),
        text!("endpoint", config.storage.gcs.endpoint),
        Key::bool("insecure", |draft, on| draft.config.storage.gcs.insecure = on),
        text!("object_cache_control", config.storage.gcs.cache_control),
        Key::new("object_metadata", Action::Custom(|draft, node, report| texts(&mut draft.config.storage.gcs.metadata, node, report))),
        Key::count("max_retries", |draft, most| draft.config.storage.gcs.retry.max_retries = super::size(most)),
        Key::new("hedge_requests_at", Action::Ignore).note(When::Set, HEDGING),
    ],
    &["chunk_buffer_size", "hedge_requests_up_to", "list_blocks_concurrency"],
);

pub(super) static AZURE: Table<Draft> = Table::new(
    "azure.Config",
    &[
        // Up to 1.5, the names had hyphens.
        Key::alias("storage-account-name", "storage.trace.azure.storage_account_name"),
        Key::alias("storage-account-key", "storage.trace.azure.storage_account_key"),
        Key::alias("container-name", "storage.trace.azure.container_name"),
        Key::alias("endpoint-suffix", "storage.trace.azure.endpoint_suffix"),
        Key::alias("use-managed-identity", "storage.trace.azure.use_managed_identity"),
        Key::alias("user-assigned-id", "storage.trace.azure.user_assigned_id"),
        text!("storage_account_name", config.storage.azure.account),
        secret!("storage_account_key", config.storage.azure.account_key),
        text!("container_name", config.storage.azure.container),
        text!("prefix", config.storage.azure.prefix),
        Key::text("endpoint_suffix", |draft, text| {
            if !text.is_empty() {
                draft.config.storage.azure.endpoint_suffix = without_scheme(text)?;
            }
            Ok(())
        }),
        Key::bool("use_managed_identity", |draft, on| draft.config.storage.azure.use_managed_identity = on),
        Key::bool("use_federated_token", |draft, on| draft.config.storage.azure.use_federated_token = on),
        text!("user_assigned_id", config.storage.azure.user_assigned_id),
        Key::new("hedge_requests_at", Action::Ignore).note(When::Set, HEDGING),
    ],
    &[
        "buffer_size",
        "hedge_requests_up_to",
        "max_buffers",
        "use_v2_sdk",
        "buffer-size",
        "hedge-requests-at",
        "hedge-requests-up-to",
        "max-buffers",
    ],
);

/// `host[:port]`, as Tempo wants it: whether it is TLS is told by `insecure`.
fn without_scheme(text: &str) -> Result<String, String> {
    if text.contains("://") { Err(format!("must be host[:port] without scheme, found {text}")) } else { Ok(text.to_owned()) }
}

/// A map of texts.
fn texts(into: &mut BTreeMap<String, String>, node: &Node, report: &mut Report) {
    let entries = match &node.value {
        Value::Null => return,
        Value::Map(entries) => entries,
        _ => return report.problems.push(mismatch(node, "map[string]string")),
    };
    for entry in entries {
        match &entry.node.value {
            Value::Scalar { text, .. } => drop(into.insert(entry.key.clone(), text.clone())),
            _ => report.problems.push(Problem::new(entry.line, format!("{} must be a text", entry.key))),
        }
    }
}

#[cfg(test)]
mod tests;
