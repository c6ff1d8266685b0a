//! `conmoto doctor` says whether a start would work, and what to change if not.

use crate::support::server::{DataDir, Process, Server};
use std::net::{TcpListener, UdpSocket};

fn doctor(data: &DataDir, config: &str) -> Process {
    let process = data.spawn("doctor", config, &["doctor"]);
    process.wait();
    process
}

fn assert_found(process: &Process, code: i32, texts: &[&str]) {
    let out = process.out();
    assert_eq!(process.wait().code(), Some(code), "{out}\n{}", process.log());
    for text in texts {
        assert!(out.lines().any(|line| line.contains(text)), "no {text:?} in {out}");
    }
}

#[test]
fn where_a_start_works_all_is_ok_and_nothing_is_left_behind() {
    let data = DataDir::new();
    let process = doctor(&data, &data.config());
    let writable = |what: &str, path: std::path::PathBuf| format!("{what}, {}: writable; fsync took up to ", path.display());
    let expected = [
        "ok    configuration: every key is known and has its effect",
        "ok    port 127.0.0.1:0 (http): free",
        "ok    port 127.0.0.1:0 (otlp_grpc): free",
        "ok    port 127.0.0.1:0 (jaeger_thrift_compact): free",
        &writable("blocks", data.path().join("blocks")),
        &writable("write-ahead log", data.path().join("wal")),
        "GiB free",
        "clock: ",
        "open files: ",
        " 0 to repair",
    ];
    assert_found(&process, 0, &expected);
    assert!(!data.path().join("wal").exists() && !data.path().join("blocks").exists());
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let (tcp, udp) = (TcpListener::bind("127.0.0.1:0").expect("a free port"), UdpSocket::bind("127.0.0.1:0").expect("a free port"));
    let port = |address: std::io::Result<std::net::SocketAddr>| address.expect("bound").port();
    let (tcp_port, udp_port) = (port(tcp.local_addr()), port(udp.local_addr()));
    let data = DataDir::new();
    std::fs::write(data.path().join("blocks"), b"a file").expect("writable");
    let config = data
        .config()
        .replace("    zipkin:\n      endpoint: 127.0.0.1:0", &format!("    zipkin:\n      endpoint: 127.0.0.1:{tcp_port}"))
        .replace(
            "        thrift_binary:\n          endpoint: 127.0.0.1:0",
            &format!("        thrift_binary:\n          endpoint: 127.0.0.1:{udp_port}"),
        );
    let texts = [
        format!("FAIL  port 127.0.0.1:{tcp_port} (zipkin): could not listen"),
        "set distributor.receivers.zipkin.endpoint to another port".to_owned(),
        format!("FAIL  port 127.0.0.1:{udp_port} (jaeger_thrift_binary): could not listen"),
        format!("FAIL  blocks, {}: ", data.path().join("blocks").display()),
        "set storage.trace.local.path to a directory".to_owned(),
        " 3 to repair".to_owned(),
    ];
    assert_found(&doctor(&data, &config), 1, &texts.each_ref().map(String::as_str));
}

#[test]
fn the_same_port_twice_is_found() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("bound").port();
    let data = DataDir::new();
    let config = data.config().replace("_port: 0", &format!("_port: {free}"));
    let text = format!("FAIL  port 127.0.0.1:{free} (grpc): ");
    assert_found(&doctor(&data, &config), 1, &[&format!("ok    port 127.0.0.1:{free} (http)"), &text, "server.grpc_listen_port"]);
}

#[test]
fn a_running_server_keeps_its_log() {
    let server = Server::fresh();
    let process = doctor(&server.data, &server.data.config());
    assert_found(&process, 1, &["another process uses the write-ahead log", " 1 to repair"]);
    assert!(server.terminate().success());
}

#[test]
fn a_wrong_file_is_refused_as_by_a_start() {
    let data = DataDir::new();
    let process = doctor(&data, &data.config().replace("storage:", "storrage:"));
    assert_eq!(process.wait().code(), Some(1));
    assert!(process.log().contains("storrage"), "{}", process.log());
}
