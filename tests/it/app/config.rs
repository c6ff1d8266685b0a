//! What an operator is told when the configuration does not work.

use crate::support::server::{DataDir, Server};
use std::net::TcpListener;

/// Ends with exit code 1 and every text in its output.
fn assert_refused(data: &DataDir, config: &str, texts: &[&str]) {
    let process = data.spawn("refused", config, &[]);
    assert_eq!(process.wait().code(), Some(1), "{config}\n{}", process.log());
    let log = process.log();
    for text in texts {
        assert!(log.contains(text), "no {text:?} in {log}");
    }
    assert!(!process.out().contains("query API"), "it must not look as if it were running");
}

#[test]
fn a_port_in_use_names_port_and_key() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("bound").port().to_string();
    let data = DataDir::new();
    for (line, key) in [
        ("  http_listen_port: 0", "server.http_listen_port"),
        ("  grpc_listen_port: 0", "server.grpc_listen_port"),
        ("        grpc:\n          endpoint: 127.0.0.1:0", "distributor.receivers.otlp.protocols.grpc.endpoint"),
        ("        http:\n          endpoint: 127.0.0.1:0", "distributor.receivers.otlp.protocols.http.endpoint"),
        ("    zipkin:\n      endpoint: 127.0.0.1:0", "distributor.receivers.zipkin.endpoint"),
    ] {
        let text = data.config();
        assert!(text.contains(line), "{line}");
        let config = text.replace(line, &line.replace(" 0", &format!(" {port}")).replace(":0", &format!(":{port}")));
        assert_refused(&data, &config, &[&format!("port {port} is in use"), key]);
    }
    // A server that cannot have its ports has not touched any data.
    assert!(!data.path().join("wal").exists() && !data.path().join("blocks").exists());
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_nearest_known_one() {
    let data = DataDir::new();
    let config = data.config();
    for (from, to, texts) in [
        ("http_listen_port", "http_listen_prot", ["line 3:", "server.http_listen_prot", "http_listen_port"]),
        ("storage:", "storrage:", ["line 28:", "storrage", "storage"]),
        ("    backend: local", "    bakend: local", ["line 30:", "storage.trace.bakend", "backend"]),
    ] {
        let wrong = config.replacen(from, to, 1);
        let line = wrong.lines().position(|line| line.contains(to.trim())).map_or(0, |at| at + 1);
        assert_eq!(texts[0], format!("line {line}:"), "{to}");
        assert_refused(&data, &wrong, &texts);
    }
    assert!(!data.path().join("wal").exists());
}

#[test]
fn a_wrong_flag_ends_with_exit_code_2() {
    let data = DataDir::new();
    let process = data.spawn("flag", &data.config(), &["-no.such.flag"]);
    assert_eq!(process.wait().code(), Some(2));
    assert!(process.log().contains("no.such.flag"), "{}", process.log());
}

#[test]
fn what_is_printed_at_start_is_true() {
    let data = DataDir::new();
    let server = Server::start(&data);
    let banner = server.banner();
    for text in [
        format!("url: http://{}", server.api),
        data.path().join("blocks").display().to_string(),
        data.path().join("wal").display().to_string(),
        "retention      336 h".to_string(),
        "type: tempo".to_string(),
    ] {
        assert!(banner.contains(&text), "no {text:?} in {banner}");
    }
}
