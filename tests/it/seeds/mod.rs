//! The documents of people who use such systems (the seeds): their configuration, what they send, and what they ask.
//!
//! Configurations are those of `tests/config/good`, as printed. Ports and directories are moved, for tests run side by
//! side: directories by flags, ports in the text. What their SDKs send was recorded from these SDKs
//! (the files beside this one; `tests/clients` runs the SDKs themselves), except where a test says otherwise.

mod seed_000;
mod seed_001;
mod seed_002;
mod seed_003;
mod seed_004;

use crate::support::server::{DataDir, Server};

/// A server with the configuration of a seed. `moved` are texts of it and what they are replaced by.
fn start(file: &str, moved: &[(&str, &str)]) -> Server {
    let path = format!("{}/tests/config/good/{file}", env!("CARGO_MANIFEST_DIR"));
    let mut config = std::fs::read_to_string(path).expect("the seed's configuration");
    for (from, to) in moved {
        assert!(config.contains(from), "no {from:?} in {file}");
        config = config.replace(from, to);
    }
    let data = DataDir::new();
    // The chart renders this file beside the configuration.
    let limits = data.path().join("overrides.yaml");
    std::fs::write(&limits, "overrides: {}\n").expect("writable");
    config = config.replace("/conf/overrides.yaml", &limits.display().to_string());
    let port = config.lines().find(|line| line.trim_start().starts_with("http_listen_port:")).expect("every seed has it").to_string();
    let indent = &port[..port.len() - port.trim_start().len()];
    let here = ["http_listen_address: 127.0.0.1", "http_listen_port: 0", "grpc_listen_address: 127.0.0.1", "grpc_listen_port: 0"];
    config = config.replacen(&port, &here.map(|key| format!("{indent}{key}")).join("\n"), 1);
    let directory = |key: &str, name: &str| format!("-storage.trace.{key}.path={}", data.path().join(name).display());
    let [local, wal] = [directory("local", "blocks"), directory("wal", "wal")];
    let mut server = Server::start_with(&data, &config, &[&local, &wal]);
    // What `main` says of the configuration: the tests of `config` look at it.
    server.expect_log(" target=conmoto msg=");
    server
}

/// Where every receiver of a test listens.
const ANY_PORT: &str = "127.0.0.1:0";
