use super::*;
use crate::runtime::serve::{Router, ServeOptions, serve};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// An authority, and certificates with their keys, all in PEM.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority");
        Authority { issuer }
    }

    fn pem(&self) -> String {
        self.issuer.pem()
    }

    fn certificate(&self) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        (params.signed_by(&key, &self.issuer).expect("signed").pem(), key.serialize_pem())
    }

    fn settings(&self) -> TlsSettings {
        let (certificate, key) = self.certificate();
        TlsSettings { certificate: Some(PemSource::Text(certificate)), key: Some(PemSource::Text(key)), ..TlsSettings::default() }
    }
}

fn provider_of_tests() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn client(authority: &Authority, versions: &[&'static SupportedProtocolVersion], own: Option<(String, String)>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    let source = PemSource::Text(authority.pem());
    certificates(&source, "").expect("PEM").into_iter().for_each(|root| roots.add(root).expect("an authority"));
    let builder = ClientConfig::builder_with_provider(provider_of_tests()).with_protocol_versions(versions).expect("known versions");
    let builder = builder.with_root_certificates(roots);
    match own {
        Some((certificate, key)) => builder
            .with_client_auth_cert(
                certificates(&PemSource::Text(certificate), "").expect("PEM"),
                private_key(&PemSource::Text(key)).expect("PEM"),
            )
            .expect("a pair"),
        None => builder.with_no_client_auth(),
    }
}

async fn listening(settings: &TlsSettings) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let options = ServeOptions { tls: Tls::load(settings).expect("good settings"), ..ServeOptions::named("test") };
    let router = Router::new().fallback(|| async { "secret" });
    tokio::spawn(serve(listener, router, options, std::future::pending()));
    address
}

/// The answer to a request, or that there was none.
async fn ask(address: SocketAddr, client: ClientConfig) -> Result<String, std::io::Error> {
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").expect("a name");
    let mut stream = tokio_rustls::TlsConnector::from(Arc::new(client)).connect(name, stream).await?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn is_answered(answer: Result<String, std::io::Error>) -> bool {
    answer.is_ok_and(|answer| answer.ends_with("secret"))
}

const BOTH: [&SupportedProtocolVersion; 2] = [&version::TLS12, &version::TLS13];

#[tokio::test]
async fn requests_are_answered_over_both_versions() {
    let authority = Authority::new();
    let address = listening(&authority.settings()).await;
    for versions in [&BOTH[..1], &BOTH[1..]] {
        assert!(is_answered(ask(address, client(&authority, versions, None)).await));
    }
    assert!(!is_answered(ask(address, client(&Authority::new(), &BOTH, None)).await), "of another authority");
    let newest = listening(&TlsSettings { min_version: TlsVersion::V1_3, ..authority.settings() }).await;
    assert!(!is_answered(ask(newest, client(&authority, &BOTH[..1], None)).await));
    assert!(is_answered(ask(newest, client(&authority, &BOTH, None)).await));
}

#[tokio::test]
async fn clients_are_asked_for_certificates() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let client_ca = Some(PemSource::Text(clients.pem()));
    let address = listening(&TlsSettings { client_ca: client_ca.clone(), ..authority.settings() }).await;
    for versions in [&BOTH[..1], &BOTH[1..]] {
        assert!(!is_answered(ask(address, client(&authority, versions, None)).await));
        assert!(!is_answered(ask(address, client(&authority, versions, Some(authority.certificate()))).await), "of another authority");
        assert!(is_answered(ask(address, client(&authority, versions, Some(clients.certificate()))).await));
    }
    let lenient = TlsSettings { client_ca, client_certificate_optional: true, ..authority.settings() };
    assert!(is_answered(ask(listening(&lenient).await, client(&authority, &BOTH, None)).await));
}

#[tokio::test]
async fn plaintext_is_not_answered() {
    let address = listening(&Authority::new().settings()).await;
    let mut stream = TcpStream::connect(address).await.expect("listening");
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("open");
    let mut answer = Vec::new();
    // The connection may be reset.
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!answer.windows(6).any(|bytes| bytes == b"secret"));
}

#[tokio::test]
async fn files_are_read_again() {
    let (first, second) = (Authority::new(), Authority::new());
    let directory = tempfile::tempdir().expect("a directory");
    let paths = ["cert.pem", "key.pem"].map(|name| directory.path().join(name));
    let write = |authority: &Authority| {
        let (certificate, key) = authority.certificate();
        std::fs::write(&paths[0], certificate).expect("writable");
        std::fs::write(&paths[1], key).expect("writable");
    };
    write(&first);
    let [certificate, key] = paths.clone().map(|path| Some(PemSource::File(path)));
    let settings = TlsSettings { certificate, key, reload_interval: Some(Duration::from_millis(1)), ..TlsSettings::default() };
    let address = listening(&settings).await;
    assert!(is_answered(ask(address, client(&first, &BOTH, None)).await));
    write(&second);
    while !is_answered(ask(address, client(&second, &BOTH, None)).await) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    // Nonsense in the files changes nothing.
    std::fs::write(&paths[0], "nonsense").expect("writable");
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(2)).await;
        assert!(is_answered(ask(address, client(&second, &BOTH, None)).await));
    }
}

#[test]
fn settings_that_cannot_be_used_are_told() {
    let authority = Authority::new();
    let good = authority.settings();
    let text = |text: &str| Some(PemSource::Text(text.to_owned()));
    for (settings, message) in [
        (TlsSettings { certificate: None, ..good.clone() }, "set cert_file"),
        (TlsSettings { key: None, ..good.clone() }, "set key_file"),
        (TlsSettings { certificate: Some(PemSource::File("/nowhere".into())), ..good.clone() }, "cannot read /nowhere"),
        (TlsSettings { certificate: text("x"), ..good.clone() }, "has no certificate in PEM"),
        (TlsSettings { key: text("x"), ..good.clone() }, "has no private key in PEM"),
        (TlsSettings { key: authority.settings().key, ..good.clone() }, "cannot use certificate and key"),
        (TlsSettings { client_ca: text("x"), ..good.clone() }, "has no certificate in PEM"),
        (
            TlsSettings { min_version: TlsVersion::V1_3, max_version: Some(TlsVersion::V1_2), ..good.clone() },
            "min_version is above max_version",
        ),
        (TlsSettings { cipher_suites: vec!["TLS_NULL".to_owned()], ..good.clone() }, "cipher suite TLS_NULL is not supported"),
    ] {
        let error = Tls::load(&settings).err().expect(message).to_string();
        assert!(error.contains(message), "{error}");
    }
    let one = vec!["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256".to_owned()];
    assert!(Tls::load(&TlsSettings { cipher_suites: one, ..good }).expect("a known suite").is_some());
    assert!(Tls::load(&TlsSettings::default()).expect("off").is_none());
}
