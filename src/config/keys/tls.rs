//! TLS of listeners: in the words of the Collector for receivers ("spec/ingest.md §1.2"), in those of Tempo's server for
//! the query API ("spec/config.md §5").

use super::receivers::has_invalid_keys;
use crate::config::schema::{Action, Key, Report, Table, Walk, When, mismatch};
use crate::config::yaml::{Node, Value};
use crate::runtime::tls::{PemSource, TlsSettings, TlsVersion};
use std::path::PathBuf;

/// Reads `tls` of a receiver.
pub(super) fn read_receiver(settings: &mut TlsSettings, node: &Node, report: &mut Report) {
    let unknown = has_invalid_keys;
    Walk { root: &RECEIVER, report, unknown }.section(settings, &RECEIVER, node, "tls");
}

/// Reads `http_tls_config` or `grpc_tls_config` of the query API's listeners.
pub(super) fn read_server(settings: &mut TlsSettings, node: &Node, report: &mut Report) {
    Walk::new(&SERVER, report).section(settings, &SERVER, node, "tls_config");
}

/// The keys of a receiver. Text goes before files, as in the Collector.
static RECEIVER: Table<TlsSettings> = Table::new(
    "configtls.ServerConfig",
    &[
        Key::text("cert_file", |settings, text| set_file(&mut settings.certificate, text)),
        Key::text("key_file", |settings, text| set_file(&mut settings.key, text)),
        Key::text("cert_pem", |settings, text| set_text(&mut settings.certificate, text)),
        Key::text("key_pem", |settings, text| set_text(&mut settings.key, text)),
        Key::text("client_ca_file", |settings, text| set_file(&mut settings.client_ca, text)),
        MIN_VERSION,
        Key::text("max_version", |settings, text| {
            settings.max_version = version(text)?;
            Ok(())
        }),
        Key::duration("reload_interval", |settings, interval| {
            settings.reload_interval = (!interval.is_zero()).then_some(interval);
        }),
        Key::new("cipher_suites", Action::Custom(read_cipher_suites)),
        Key::new("client_ca_file_reload", Action::Ignore)
            .note(When::Set, "has no effect: set reload_interval, which reads all files again"),
    ],
    // What only clients use, and what the library settles by itself.
    &["ca_file", "ca_pem", "curve_preferences", "include_system_ca_certs_pool"],
);

/// The keys of Tempo's server.
static SERVER: Table<TlsSettings> = Table::new(
    "server.TLSConfig",
    &[
        Key::text("cert_file", |settings, text| set_file(&mut settings.certificate, text)),
        Key::text("key_file", |settings, text| set_file(&mut settings.key, text)),
        Key::text("client_ca_file", |settings, text| set_file(&mut settings.client_ca, text)),
        Key::text("cert", |settings, text| set_text(&mut settings.certificate, text)),
        Key::text("key", |settings, text| set_text(&mut settings.key, text)),
        Key::text("client_ca", |settings, text| set_text(&mut settings.client_ca, text)),
        Key::text("client_auth_type", |settings, text| match text {
            // Whether clients are asked follows from the authority.
            "" | "NoClientCert" | "RequireAndVerifyClientCert" => Ok(()),
            "VerifyClientCertIfGiven" => {
                settings.client_certificate_optional = true;
                Ok(())
            }
            _ => Err(format!("{text} is not supported: NoClientCert, VerifyClientCertIfGiven and RequireAndVerifyClientCert are")),
        }),
    ],
    &[],
);

const MIN_VERSION: Key<TlsSettings> = Key::text("min_version", |settings, text| {
    settings.min_version = version(text)?.unwrap_or_default();
    Ok(())
});

fn set_file(slot: &mut Option<PemSource>, text: &str) -> Result<(), String> {
    if !text.is_empty() {
        *slot = Some(PemSource::File(PathBuf::from(text)));
    }
    Ok(())
}

fn set_text(slot: &mut Option<PemSource>, text: &str) -> Result<(), String> {
    if !text.is_empty() {
        *slot = Some(PemSource::Text(text.to_owned()));
    }
    Ok(())
}

fn version(text: &str) -> Result<Option<TlsVersion>, String> {
    match text {
        "" => Ok(None),
        // Go's library speaks the old ones when it is told to; ours never does.
        "1.0" | "1.1" | "1.2" => Ok(Some(TlsVersion::V1_2)),
        "1.3" => Ok(Some(TlsVersion::V1_3)),
        _ => Err(format!("unsupported TLS version: \"{text}\"")),
    }
}

fn read_cipher_suites(settings: &mut TlsSettings, node: &Node, report: &mut Report) {
    let Value::Seq(names) = &node.value else {
        if node.value != Value::Null {
            report.problems.push(mismatch(node, "[]string"));
        }
        return;
    };
    for name in names {
        match &name.value {
            Value::Scalar { text, .. } => settings.cipher_suites.push(text.clone()),
            _ => report.problems.push(mismatch(name, "string")),
        }
    }
}
