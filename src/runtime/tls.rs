//! TLS for listeners: certificates from files or from the configuration, clients asked for theirs, and certificates read
//! again while the server runs.

use parking_lot::Mutex;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion, version};
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_rustls::TlsAcceptor;

/// What a listener offers its clients, by ALPN.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// What is configured of one listener's TLS (spec/ingest.md §1.2; spec/config.md §5). By default there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// The server's certificate and those between it and a known authority, in PEM.
    pub certificate: Option<PemSource>,
    /// The key of the certificate, in PEM.
    pub key: Option<PemSource>,
    /// The authorities whose clients are let in, in PEM; with it, a client must have a certificate.
    pub client_ca: Option<PemSource>,
    /// Whether clients without a certificate are let in all the same.
    pub client_certificate_optional: bool,
    /// Oldest version; 1.2 unless the file says otherwise.
    pub min_version: TlsVersion,
    /// Newest version; 1.3 if `None`.
    pub max_version: Option<TlsVersion>,
    /// Names of the cipher suites for TLS 1.2; empty for all. Those of TLS 1.3 cannot be chosen.
    pub cipher_suites: Vec<String>,
    /// After this time files are read again; `None` for never.
    pub reload_interval: Option<Duration>,
}

/// Where PEM text is.
#[derive(Clone, PartialEq, Eq)]
pub enum PemSource {
    /// In a file.
    File(PathBuf),
    /// In the configuration itself.
    Text(String),
}

impl std::fmt::Debug for PemSource {
    /// The text may be a key, and this is shown on the status page.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            PemSource::File(path) => write!(formatter, "File({})", path.display()),
            PemSource::Text(_) => formatter.write_str("Text(…)"),
        }
    }
}

/// Versions that are spoken; older ones are not safe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2.
    #[default]
    V1_2,
    /// TLS 1.3.
    V1_3,
}

/// Why a listener cannot speak TLS; the text names the file or the setting.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct TlsError(String);

impl TlsSettings {
    /// True if the listener is to speak TLS.
    pub fn is_on(&self) -> bool {
        self.certificate.is_some() || self.key.is_some() || self.client_ca.is_some()
    }
}

/// TLS of a listener, ready to be spoken.
#[derive(Clone)]
pub struct Tls(Arc<Shared>);

struct Shared {
    settings: TlsSettings,
    current: Mutex<Current>,
}

struct Current {
    config: Arc<ServerConfig>,
    read_at: Instant,
}

impl Tls {
    /// Reads certificates and key; `None` if the settings ask for no TLS.
    ///
    /// # Errors
    ///
    /// [`TlsError`] for a file that cannot be read, PEM without what is looked for, a key that does not belong to the
    /// certificate, versions that exclude each other, and an unknown cipher suite.
    pub fn load(settings: &TlsSettings) -> Result<Option<Self>, TlsError> {
        if !settings.is_on() {
            return Ok(None);
        }
        let config = Arc::new(server_config(settings)?);
        let current = Mutex::new(Current { config, read_at: Instant::now() });
        Ok(Some(Tls(Arc::new(Shared { settings: settings.clone(), current }))))
    }

    /// What speaks TLS with the next client.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        let mut current = self.0.current.lock();
        if self.0.settings.reload_interval.is_some_and(|interval| current.read_at.elapsed() >= interval) {
            current.read_at = Instant::now();
            let shared = Arc::clone(&self.0);
            // Nobody waits for it: until it is done, clients get what there is.
            drop(tokio::task::spawn_blocking(move || shared.reload()));
        }
        TlsAcceptor::from(Arc::clone(&current.config))
    }
}

impl Shared {
    fn reload(&self) {
        match server_config(&self.settings) {
            Ok(config) => self.current.lock().config = Arc::new(config),
            Err(error) => tracing::warn!(%error, "cannot read certificates again; those read before stay in use"),
        }
    }
}

fn server_config(settings: &TlsSettings) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(provider(&settings.cipher_suites)?);
    let verifier = client_verifier(settings, &provider)?;
    let certificates = match &settings.certificate {
        Some(source) => certificates(source, "cert_file")?,
        None => return Err(TlsError("TLS needs a certificate: set cert_file".to_owned())),
    };
    let key = match &settings.key {
        Some(source) => private_key(source)?,
        None => return Err(TlsError("TLS needs the key of its certificate: set key_file".to_owned())),
    };
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions(settings)?)
        .map_err(|error| TlsError(format!("TLS settings exclude each other: {error}")))?;
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config =
        builder.with_single_cert(certificates, key).map_err(|error| TlsError(format!("cannot use certificate and key: {error}")))?;
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok(config)
}

fn versions(settings: &TlsSettings) -> Result<Vec<&'static SupportedProtocolVersion>, TlsError> {
    let max = settings.max_version.unwrap_or(TlsVersion::V1_3);
    let all = [(TlsVersion::V1_2, &version::TLS12), (TlsVersion::V1_3, &version::TLS13)];
    let wanted: Vec<_> =
        all.into_iter().filter(|(version, _)| (settings.min_version..=max).contains(version)).map(|(_, version)| version).collect();
    if wanted.is_empty() { Err(TlsError("min_version is above max_version".to_owned())) } else { Ok(wanted) }
}

/// ring with the cipher suites of TLS 1.3 and the named ones of TLS 1.2.
fn provider(names: &[String]) -> Result<CryptoProvider, TlsError> {
    let mut provider = ring::default_provider();
    if names.is_empty() {
        return Ok(provider);
    }
    let name_of = |suite: &rustls::SupportedCipherSuite| format!("{:?}", suite.suite());
    let known: Vec<String> = provider.cipher_suites.iter().filter(|suite| suite.tls13().is_none()).map(name_of).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(name)) {
        return Err(TlsError(format!("cipher suite {unknown} is not supported; these are: {}", known.join(", "))));
    }
    provider.cipher_suites.retain(|suite| suite.tls13().is_some() || names.contains(&name_of(suite)));
    Ok(provider)
}

fn client_verifier(settings: &TlsSettings, provider: &Arc<CryptoProvider>) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
    let Some(source) = &settings.client_ca else { return Ok(None) };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(source, "client_ca_file")? {
        roots.add(certificate).map_err(|error| TlsError(format!("{source}: no certificate of an authority: {error}")))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let builder = if settings.client_certificate_optional { builder.allow_unauthenticated() } else { builder };
    builder.build().map(Some).map_err(|error| TlsError(format!("{source}: {error}")))
}

impl Display for PemSource {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            PemSource::File(path) => write!(formatter, "{}", path.display()),
            PemSource::Text(_) => formatter.write_str("the PEM text in the configuration"),
        }
    }
}

impl PemSource {
    fn read(&self) -> Result<Vec<u8>, TlsError> {
        let read = |path: &Path| std::fs::read(path).map_err(|error| TlsError(format!("cannot read {}: {error}", path.display())));
        match self {
            PemSource::File(path) => read(path),
            PemSource::Text(text) => Ok(text.clone().into_bytes()),
        }
    }
}

fn certificates(source: &PemSource, key: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&source.read()?).collect();
    match read {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(TlsError(format!("{source} ({key}) has no certificate in PEM"))),
        Err(error) => Err(TlsError(format!("{source} ({key}) is no PEM: {error}"))),
    }
}

fn private_key(source: &PemSource) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&source.read()?)
        .map_err(|error| TlsError(format!("{source} (key_file) has no private key in PEM: {error}")))
}

#[cfg(test)]
mod tests;
