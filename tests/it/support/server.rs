//! The real binary as a child process.

use super::http::{self, Response};
use super::until;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use tempfile::TempDir;

/// Log lines with one of these levels fail a test that does not expect them.
const BAD_LEVELS: [&str; 2] = ["level=warn ", "level=error "];

/// Listening everywhere on free ports, keeping everything in one directory.
const CONFIG: &str = "\
server:
  http_listen_address: 127.0.0.1
  http_listen_port: 0
  grpc_listen_address: 127.0.0.1
  grpc_listen_port: 0
distributor:
  receivers:
    otlp:
      protocols:
        grpc:
          endpoint: 127.0.0.1:0
        http:
          endpoint: 127.0.0.1:0
    zipkin:
      endpoint: 127.0.0.1:0
    jaeger:
      protocols:
        grpc:
          endpoint: 127.0.0.1:0
        thrift_http:
          endpoint: 127.0.0.1:0
        thrift_compact:
          endpoint: 127.0.0.1:0
        thrift_binary:
          endpoint: 127.0.0.1:0
    opencensus:
      endpoint: 127.0.0.1:0
storage:
  trace:
    backend: local
    local:
      path: DIR/blocks
    wal:
      path: DIR/wal
";

/// A directory that servers keep their data in, one after the other.
#[derive(Clone)]
pub struct DataDir(Arc<TempDir>);

impl DataDir {
    /// An empty one.
    pub fn new() -> Self {
        DataDir(Arc::new(TempDir::new().expect("a temporary directory")))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// The configuration that tests start from.
    pub fn config(&self) -> String {
        CONFIG.replace("DIR", &self.path().display().to_string())
    }

    /// The newest segment of the log.
    pub fn last_segment(&self) -> PathBuf {
        let entries = std::fs::read_dir(self.path().join("wal")).expect("a log");
        let paths = entries.map(|entry| entry.expect("readable").path());
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "wal")).max().expect("a segment")
    }

    /// Folders of blocks, of all tenants.
    pub fn blocks(&self) -> Vec<PathBuf> {
        let children = |path: &Path| std::fs::read_dir(path).into_iter().flatten().map(|entry| entry.expect("readable").path());
        children(&self.path().join("blocks")).flat_map(|tenant| children(&tenant).collect::<Vec<_>>()).collect()
    }

    /// A started process, whatever becomes of it.
    pub fn spawn(&self, name: &str, config: &str, args: &[&str]) -> Process {
        self.spawn_with(name, config, args, &[])
    }

    /// As [`spawn`](Self::spawn), with variables in its environment.
    pub fn spawn_with(&self, name: &str, config: &str, args: &[&str], variables: &[(&str, &str)]) -> Process {
        let file = |extension: &str| self.path().join(format!("{name}.{extension}"));
        std::fs::write(file("yaml"), config).expect("writable");
        let output = |extension| File::create(file(extension)).expect("writable");
        let mut command = Command::new(binary());
        command.args(args).arg("-config.file").arg(file("yaml")).current_dir(self.path()).envs(variables.iter().copied());
        command.stdin(Stdio::null()).stdout(output("out")).stderr(output("log"));
        let child = command.spawn().expect("the binary starts");
        Process { child: Mutex::new(child), out: file("out"), log: file("log") }
    }
}

fn has_ended(process: Process) -> Server {
    panic!("the server ended with {:?}:\n{}", process.ended(), process.log())
}

/// The server that is tested: that of this build, or another one for runs that last longer than the next build.
fn binary() -> PathBuf {
    std::env::var_os("CONMOTO_BINARY").map_or_else(|| env!("CARGO_BIN_EXE_conmoto").into(), PathBuf::from)
}

/// A child process with its output in files; killed when dropped.
pub struct Process {
    child: Mutex<Child>,
    out: PathBuf,
    log: PathBuf,
}

impl Process {
    /// What it printed.
    pub fn out(&self) -> String {
        std::fs::read_to_string(&self.out).expect("readable")
    }

    /// What it logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).expect("readable")
    }

    /// How it ended, if it has.
    pub fn ended(&self) -> Option<ExitStatus> {
        self.child().try_wait().expect("our child")
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child().id()
    }

    /// Waits for its end.
    pub fn wait(&self) -> ExitStatus {
        until("end of the process", || self.ended())
    }

    /// Asks it to stop.
    pub fn terminate(&self) {
        let status = Command::new("sh").arg("-c").arg(format!("kill -TERM {}", self.id())).status();
        assert!(status.expect("a shell").success(), "could not send SIGTERM");
    }

    /// kill -9.
    pub fn kill(&self) {
        self.child().kill().expect("our child");
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().expect("nobody panics with it")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        if let Ok(child) = self.child.get_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A server that is ready.
pub struct Server {
    pub process: Process,
    pub data: DataDir,
    pub api: SocketAddr,
    pub grpc: SocketAddr,
    pub otlp_grpc: SocketAddr,
    pub otlp_http: SocketAddr,
    pub zipkin: SocketAddr,
    pub jaeger_grpc: SocketAddr,
    pub jaeger_http: SocketAddr,
    pub jaeger_compact: SocketAddr,
    pub jaeger_binary: SocketAddr,
    pub opencensus: SocketAddr,
    /// Texts of which a bad log line must contain one.
    expected: Vec<&'static str>,
}

impl Server {
    /// One with no data.
    pub fn fresh() -> Self {
        Server::start(&DataDir::new())
    }

    /// One that goes on with what is in the directory.
    pub fn start(data: &DataDir) -> Self {
        Server::start_with(data, &data.config(), &[])
    }

    /// One with a configuration and arguments of its own.
    pub fn start_with(data: &DataDir, config: &str, args: &[&str]) -> Self {
        Server::of(data, data.spawn("conmoto", config, args)).unwrap_or_else(has_ended)
    }

    /// One that cannot be asked whether it is ready as others are.
    pub fn start_unready(data: &DataDir, config: &str) -> Self {
        Server::listening(data, data.spawn("conmoto", config, &[])).unwrap_or_else(has_ended)
    }

    /// One that is ready and may still be loading what is in the log, started with these variables.
    pub fn start_loading(data: &DataDir, config: &str, variables: &[(&str, &str)]) -> Self {
        let server = Server::listening(data, data.spawn_with("conmoto", config, &[], variables)).unwrap_or_else(has_ended);
        until("readiness", || (server.is_ready() || server.has_ended()).then_some(()));
        server
    }

    /// The server of a process, once it is ready and has loaded what is in the log; or the process, if it has ended before.
    pub fn of(data: &DataDir, process: Process) -> Result<Self, Process> {
        let server = Server::listening(data, process)?;
        until("readiness", || (server.has_loaded() || server.has_ended()).then_some(()));
        Ok(server)
    }

    /// The server of a process, once it has said where it listens.
    fn listening(data: &DataDir, process: Process) -> Result<Self, Process> {
        let banner = until("banner", || match process.ended() {
            Some(_) => Some(None),
            None => Some(process.out()).filter(|out| out.contains("Grafana data source")).map(Some),
        });
        let Some(banner) = banner else { return Err(process) };
        Ok(Server {
            api: address(&banner, "query API"),
            grpc: address(&banner, "gRPC API"),
            otlp_grpc: receiver_address(&banner, "OTLP gRPC"),
            otlp_http: receiver_address(&banner, "OTLP HTTP"),
            zipkin: receiver_address(&banner, "Zipkin"),
            jaeger_grpc: receiver_address(&banner, "Jaeger gRPC"),
            jaeger_http: receiver_address(&banner, "Jaeger HTTP"),
            jaeger_compact: receiver_address(&banner, "Jaeger compact"),
            jaeger_binary: receiver_address(&banner, "Jaeger binary"),
            opencensus: receiver_address(&banner, "OpenCensus"),
            data: data.clone(),
            process,
            expected: Vec::new(),
        })
    }

    /// Whether the process is gone.
    pub fn has_ended(&self) -> bool {
        self.process.ended().is_some()
    }

    fn is_ready(&self) -> bool {
        let answer: std::io::Result<Response> = http::send(self.api, "GET", "/ready", &[], b"");
        answer.is_ok_and(|answer| answer.status == 200)
    }

    /// Whether it is ready and answers are whole.
    pub fn has_loaded(&self) -> bool {
        let is_loaded = |answer: http::Response| match answer.status {
            // It asks for a token; a test with those starts with an empty log.
            401 => true,
            _ => answer.text().lines().any(|line| line == "conmoto_wal_loading{} 0.0"),
        };
        self.is_ready() && http::send(self.api, "GET", "/metrics", &[], b"").is_ok_and(is_loaded)
    }

    /// Warnings and errors with this text are what the test is about.
    pub fn expect_log(&mut self, text: &'static str) {
        self.expected.push(text);
    }

    /// The most memory that it has ever held, in bytes.
    pub fn peak_bytes(&self) -> usize {
        let path = format!("/proc/{}/status", self.process.child().id());
        let status = std::fs::read_to_string(path).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux tells it");
        line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") * 1024
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// What it printed at start.
    pub fn banner(&self) -> String {
        self.process.out()
    }

    /// kill -9, while others may be waiting for answers.
    pub fn kill(&self) {
        self.process.kill();
        self.process.wait();
    }

    /// Waits for its end.
    pub fn wait(&self) -> ExitStatus {
        self.process.wait()
    }

    /// Asks it to stop and waits for its end.
    pub fn terminate(&self) -> ExitStatus {
        self.process.terminate();
        self.process.wait()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let log = self.process.log();
        if std::thread::panicking() {
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("last lines of the server's log:\n{}", lines[lines.len().saturating_sub(20)..].join("\n"));
            return;
        }
        let is_bad =
            |line: &&str| BAD_LEVELS.iter().any(|level| line.contains(level)) && !self.expected.iter().any(|text| line.contains(text));
        let bad: Vec<&str> = log.lines().filter(is_bad).collect();
        assert!(bad.is_empty(), "the server logged what the test does not expect:\n{}", bad.join("\n"));
    }
}

/// The address of a receiver; one that is not served is nowhere.
fn receiver_address(banner: &str, what: &str) -> SocketAddr {
    match banner.lines().any(|line| line.trim_start().starts_with(what)) {
        true => address(banner, what),
        false => SocketAddr::from(([0, 0, 0, 0], 0)),
    }
}

/// The address in a line of the banner.
fn address(banner: &str, what: &str) -> SocketAddr {
    let line = banner.lines().find_map(|line| line.trim_start().strip_prefix(what)).unwrap_or_else(|| panic!("no {what} in {banner}"));
    let word = line.split_whitespace().next().unwrap_or_default();
    let host_and_port = word.trim_start_matches("http://").trim_start_matches("https://").split('/').next().unwrap_or_default();
    host_and_port.parse().unwrap_or_else(|error| panic!("{what}: {host_and_port}: {error}"))
}
