//! The S3 server, and servers of ours that keep their blocks there.

use crate::support::server::{DataDir, Server};
use crate::support::until;
use conmoto::store::settings::{BucketSettings, RetrySettings, S3Settings, Secret};
use conmoto::store::{Bucket, Store};
use hyper_util::rt::{TokioExecutor, TokioIo};
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::SimpleAuth;
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::S3ServiceBuilder;
use s3s::{S3Result, s3_error};
use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::task::{JoinHandle, JoinSet};

pub const BUCKET: &str = "traces";
pub const KEY: &str = "conmoto-key";
pub const SECRET: &str = "conmoto-secret";

/// A bucket in a directory, served over HTTP.
pub struct S3 {
    root: TempDir,
    pub address: SocketAddr,
    denied: Denied,
    max_skew_seconds: u32,
    pub runtime: Runtime,
    serving: Option<JoinHandle<()>>,
}

/// Operations that nobody may do, and the buckets that there are: the server below would make a missing one.
#[derive(Clone, Default)]
struct Denied(Arc<Mutex<HashSet<String>>>);

#[async_trait::async_trait]
impl S3Access for Denied {
    async fn check(&self, request: &mut S3AccessContext<'_>) -> S3Result<()> {
        let is_denied = self.0.lock().expect("nobody panics with it").contains(request.s3_op().name());
        if request.s3_path().get_bucket_name().is_some_and(|bucket| bucket != BUCKET) {
            return Err(s3_error!(NoSuchBucket));
        }
        if is_denied || request.credentials().is_none() { Err(s3_error!(AccessDenied)) } else { Ok(()) }
    }
}

impl S3 {
    /// A server with an empty bucket.
    pub fn start() -> Self {
        Self::with_skew(900)
    }

    /// One that refuses requests whose clock differs by more than so many seconds.
    pub fn with_skew(max_skew_seconds: u32) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        let root = TempDir::new().expect("a temporary directory");
        std::fs::create_dir(root.path().join(BUCKET)).expect("writable");
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut s3 = S3 { root, address, denied: Denied::default(), max_skew_seconds, runtime, serving: None };
        s3.resume();
        s3
    }

    /// Serves again, at the same address.
    pub fn resume(&mut self) {
        let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(self.root.path()).expect("a directory"));
        builder.set_auth(SimpleAuth::from_single(KEY, SECRET));
        builder.set_access(self.denied.clone());
        let mut config = S3Config::default();
        config.presigned_url_max_skew_time_secs = self.max_skew_seconds;
        builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
        let service = builder.build();
        let listener = until("port", || self.runtime.block_on(TcpListener::bind(self.address)).ok());
        self.address = listener.local_addr().expect("bound");
        self.serving = Some(self.runtime.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let service = service.clone();
                connections.spawn(async move {
                    let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    // A client that goes away is none of our business.
                    let _ = server.serve_connection(TokioIo::new(socket), service).await;
                });
            }
        }));
    }

    /// Is gone: nothing listens, open connections break.
    pub fn stop(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            // Its end drops listener and connections.
            let _ = self.runtime.block_on(serving);
        }
    }

    /// Refuses an operation from now on.
    pub fn deny(&self, operation: &str) {
        self.denied.0.lock().expect("nobody panics with it").insert(operation.to_owned());
    }

    /// Allows everything again.
    pub fn allow_all(&self) {
        self.denied.0.lock().expect("nobody panics with it").clear();
    }

    /// The directory of the bucket.
    pub fn objects(&self) -> PathBuf {
        self.root.path().join(BUCKET)
    }

    /// Folders of blocks with a `meta.json`.
    pub fn blocks(&self) -> Vec<PathBuf> {
        let mut blocks = Vec::new();
        collect(&self.objects(), &mut blocks);
        blocks.sort();
        blocks
    }

    /// Settings of a client that may do everything.
    pub fn settings(&self) -> S3Settings {
        S3Settings {
            bucket: BUCKET.to_owned(),
            endpoint: self.address.to_string(),
            access_key: KEY.to_owned(),
            secret_key: Secret::new(SECRET),
            insecure: true,
            retry: RetrySettings::at_most(0),
            ..S3Settings::default()
        }
    }

    /// A server of ours over this bucket.
    pub fn serve(&self, data: &DataDir) -> Server {
        Server::start_with(data, &self.config(data), &[])
    }

    /// Its configuration.
    pub fn config(&self, data: &DataDir) -> String {
        let s3 = format!(
            "backend: s3\n    blocklist_poll: 1s\n    s3:\n      bucket: {BUCKET}\n      prefix: a/b\n      endpoint: {}\n      access_key: {KEY}\n      \
             secret_key: {SECRET}\n      insecure: true\n      retry_max_attempts: 1\n      retry_backoff_initial: 10ms",
            self.address
        );
        let config = data.config();
        assert!(config.contains("backend: local"), "{config}");
        config.replace("backend: local", &s3)
    }
}

fn collect(folder: &Path, blocks: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("readable").path();
        if path.file_name().is_some_and(|name| name == "meta.json") {
            blocks.push(folder.to_path_buf());
        } else if path.is_dir() {
            collect(&path, blocks);
        }
    }
}

/// A store over the bucket of these settings, with blocks on their way in the directory.
pub fn store(settings: S3Settings, directory: &Path) -> Store {
    let bucket = Bucket::new(&BucketSettings::S3(settings), &|_| None).expect("complete settings");
    Store::remote_with(bucket, directory, 64 << 20).expect("writable")
}

/// Waits until no block is on its way any more.
pub fn wait_for_uploads(data: &DataDir, s3: &S3, num_blocks: usize) {
    until("upload", || (s3.blocks().len() >= num_blocks && spooled(data).is_empty()).then_some(()));
}

/// Files of blocks that are on their way.
pub fn spooled(data: &DataDir) -> Vec<PathBuf> {
    files(data, "wal/spool")
}

/// Files of blocks that are in the bucket and still here, too.
pub fn kept(data: &DataDir) -> Vec<PathBuf> {
    files(data, "wal/kept")
}

fn files(data: &DataDir, folder: &str) -> Vec<PathBuf> {
    let children = |path: &Path| std::fs::read_dir(path).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let blocks = children(&data.path().join(folder)).flat_map(|tenant| children(&tenant).collect::<Vec<_>>());
    blocks.flat_map(|block| children(&block).collect::<Vec<_>>()).collect()
}
