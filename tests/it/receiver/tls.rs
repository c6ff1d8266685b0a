//! TLS on the real server: receivers and the query API, with and without certificates of clients.

use crate::support::data::{self, shop, span};
use crate::support::http::{Response, parse};
use crate::support::server::{DataDir, Server};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{Error, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

/// Writes an authority, a certificate for localhost, and their keys; returns those of a client, too.
fn write_certificates(data: &DataDir) -> (String, (String, String)) {
    let mut params = CertificateParams::new(vec![]).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority");
    let issue = || {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["localhost".to_string()]).expect("a name");
        (params.signed_by(&key, &issuer).expect("signed").pem(), key.serialize_pem())
    };
    let (certificate, key) = issue();
    for (name, text) in [("ca.pem", issuer.pem()), ("cert.pem", certificate), ("key.pem", key)] {
        std::fs::write(data.path().join(name), text).expect("writable");
    }
    (issuer.pem(), issue())
}

fn client(authority: &str, own: Option<&(String, String)>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).expect("PEM")).expect("an authority");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("ring has them");
    let builder = builder.with_root_certificates(roots);
    let config = match own {
        Some((certificate, key)) => builder.with_client_auth_cert(
            vec![CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM")],
            PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("PEM"),
        ),
        None => Ok(builder.with_no_client_auth()),
    };
    Arc::new(config.expect("a pair"))
}

fn ask(address: SocketAddr, client: &Arc<ClientConfig>, head: &str, body: &[u8]) -> Result<Response, Error> {
    let name = ServerName::try_from("localhost").expect("a name");
    let connection = ClientConnection::new(Arc::clone(client), name).map_err(Error::other)?;
    let mut stream = StreamOwned::new(connection, TcpStream::connect(address)?);
    let head = format!("{head}\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    parse(&answer)
}

const POST: &str = "POST /v1/traces HTTP/1.1\r\nContent-Type: application/x-protobuf";

#[test]
fn spans_come_in_over_tls() {
    let data = DataDir::new();
    let (authority, own) = write_certificates(&data);
    let tls = "\n          tls: {cert_file: cert.pem, key_file: key.pem, client_ca_file: ca.pem}";
    let config =
        data.config().replacen("http:\n          endpoint: 127.0.0.1:0", &format!("http:\n          endpoint: 127.0.0.1:0{tls}"), 1);
    let server = Server::start_with(&data, &config, &[]);
    assert!(server.banner().contains("https://127.0.0.1:"), "{}", server.banner());
    let spans = shop(vec![span(1, 1, "secret", 0)]);
    assert!(ask(server.otlp_http, &client(&authority, None), POST, &spans).is_err(), "without a certificate");
    let answer = ask(server.otlp_http, &client(&authority, Some(&own)), POST, &spans).expect("an answer");
    assert_eq!(answer.status, 200);
    assert_eq!(server.count("{ name = \"secret\" }"), 1);
    assert!(server.try_push(&spans).is_err(), "plaintext");
}

#[test]
fn the_query_api_speaks_tls() {
    let data = DataDir::new();
    let (authority, _) = write_certificates(&data);
    let tls = "server:\n  http_tls_config: {cert_file: cert.pem, key_file: key.pem}\n";
    let server = Server::start_unready(&data, &data.config().replacen("server:\n", tls, 1));
    let client = client(&authority, None);
    let ready = || ask(server.api, &client, "GET /ready HTTP/1.1", b"").ok().filter(|answer| answer.status == 200);
    crate::support::until("readiness", ready);
    server.push(&shop(vec![span(1, 1, "open", 0)]));
    let answer = ask(server.api, &client, "GET /api/search?q=%7B%7D HTTP/1.1", b"").expect("an answer");
    assert!(answer.status == 200 && answer.text().contains("\"open\""), "{}", answer.text());
}

#[test]
fn a_client_that_speaks_tls_for_nothing_is_told_of() {
    let mut server = Server::fresh();
    server.expect_log("a client speaks TLS to this port, which has none");
    let data = DataDir::new();
    let (authority, _) = write_certificates(&data);
    for _ in 0..3 {
        assert!(ask(server.otlp_http, &client(&authority, None), POST, b"").is_err());
    }
    assert_eq!(server.log().matches("which has none").count(), 1);
    server.push(&shop(vec![data::span(1, 1, "plain", 0)]));
}

#[test]
fn a_certificate_that_is_not_there_stops_the_start() {
    let data = DataDir::new();
    let tls = "server:\n  grpc_tls_config: {cert_file: cert.pem, key_file: key.pem}\n";
    let process = data.spawn("no-certificate", &data.config().replacen("server:\n", tls, 1), &[]);
    assert!(!process.wait().success());
    assert!(process.log().contains("could not set up TLS (server.grpc_tls_config): cannot read cert.pem"), "{}", process.log());
}
