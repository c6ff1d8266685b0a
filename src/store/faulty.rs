//! A bucket and a disk that fail, from a seed: the same seed and the same calls give the same faults.
//!
//! | Fault | What it stands for |
//! |---|---|
//! | refused | 500, 503, 429, a timeout, a full or read-only disk: nothing happened |
//! | answer lost | it happened, and the caller gets an error |
//! | twice | a PUT that a client repeated |
//! | cut short | a body that ends early, as a broken connection leaves it |
//! | stale | a list as it was before |

use super::backend::{Place, Service};
use super::cache::ChunkCache;
use super::client::{Remote, Store};
use super::instruments::StoreInstruments;
use async_trait::async_trait;
use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use tokio_stream::{Stream, StreamExt};

type Streamed<T> = Pin<Box<dyn Stream<Item = Result<T>> + Send>>;

/// When what fails; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    random: u64,
    per_mille: u64,
    /// What failed, and how, in order.
    log: Vec<String>,
}

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Refused,
    AnswerLost,
    Twice,
    CutShort,
    Stale,
}

impl Faults {
    pub(crate) fn seeded(seed: u64) -> Self {
        Faults(Arc::new(Mutex::new(State { random: seed, ..State::default() })))
    }

    /// From now on, so many of a thousand operations fail.
    pub(crate) fn set_per_mille(&self, per_mille: u64) {
        self.0.lock().per_mille = per_mille;
    }

    /// What has failed so far.
    pub(crate) fn log(&self) -> Vec<String> {
        self.0.lock().log.clone()
    }

    fn draw(&self, operation: &str, path: &Path, possible: &[Fault]) -> Option<Fault> {
        let mut state = self.0.lock();
        let mut number = |below: u64| {
            state.random = state.random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            (state.random >> 33) % below
        };
        let (is_faulty, which) = (number(1000), number(possible.len() as u64));
        let fault = (is_faulty < state.per_mille).then(|| possible[which as usize])?;
        state.log.push(format!("{operation} {} {fault:?}", path.filename().filter(|name| name.contains('.')).unwrap_or_default()));
        Some(fault)
    }
}

fn broken() -> Error {
    Error::Generic { store: "faulty", source: "503 Slow Down".into() }
}

/// A store below which operations fail.
#[derive(Debug)]
struct Faulty<T> {
    inner: T,
    faults: Faults,
    lists: Mutex<HashMap<Option<Path>, ListResult>>,
}

impl<T: std::fmt::Debug> std::fmt::Display for Faulty<T> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{self:?}")
    }
}

fn faulty<T: ObjectStore>(inner: T, faults: &Faults) -> Arc<dyn ObjectStore> {
    Arc::new(Faulty { inner, faults: faults.clone(), lists: Mutex::default() })
}

fn copy(list: &ListResult) -> ListResult {
    ListResult { common_prefixes: list.common_prefixes.clone(), objects: list.objects.clone(), extensions: list.extensions.clone() }
}

#[async_trait]
impl<T: ObjectStore> ObjectStore for Faulty<T> {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let fault = self.faults.draw("put", path, &[Fault::Refused, Fault::AnswerLost, Fault::Twice]);
        if fault == Some(Fault::Refused) {
            return Err(broken());
        }
        let done = self.inner.put_opts(path, payload.clone(), options.clone()).await?;
        match fault {
            Some(Fault::AnswerLost) => Err(broken()),
            Some(Fault::Twice) => self.inner.put_opts(path, payload, options).await,
            _ => Ok(done),
        }
    }

    async fn put_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        match self.faults.draw("start upload", path, &[Fault::Refused]) {
            Some(_) => Err(broken()),
            None => self.inner.put_multipart_opts(path, options).await,
        }
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let is_head = options.head;
        let fault = self.faults.draw("get", path, if is_head { &[Fault::Refused] } else { &[Fault::Refused, Fault::CutShort] });
        if fault == Some(Fault::Refused) {
            return Err(broken());
        }
        let result = self.inner.get_opts(path, options).await?;
        if fault.is_none() {
            return Ok(result);
        }
        let (meta, range, attributes, extensions) =
            (result.meta.clone(), result.range.clone(), result.attributes.clone(), result.extensions.clone());
        let bytes = result.bytes().await?;
        let pieces: [Result<Bytes>; 2] = [Ok(bytes.slice(..bytes.len() / 2)), Err(broken())];
        let payload = GetResultPayload::Stream(Box::pin(tokio_stream::iter(pieces)));
        Ok(GetResult { payload, meta, range, attributes, extensions })
    }

    fn delete_stream(&self, locations: Streamed<Path>) -> Streamed<Path> {
        let faults = self.faults.clone();
        let drawn = locations.map(move |path| {
            let path = path?;
            match faults.draw("delete", &path, &[Fault::Refused]) {
                Some(_) => Err(broken()),
                None => Ok(path),
            }
        });
        self.inner.delete_stream(Box::pin(drawn))
    }

    fn list(&self, prefix: Option<&Path>) -> Streamed<ObjectMeta> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let root = Path::default();
        let fault = self.faults.draw("list", prefix.unwrap_or(&root), &[Fault::Refused, Fault::Stale]);
        if fault == Some(Fault::Refused) {
            return Err(broken());
        }
        let list = self.inner.list_with_delimiter(prefix).await?;
        let before = self.lists.lock().insert(prefix.cloned(), copy(&list));
        Ok(if fault == Some(Fault::Stale) { before.unwrap_or(list) } else { list })
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// A bucket in memory that survives its clients.
#[derive(Clone, Debug, Default)]
pub(crate) struct BucketInMemory(Arc<InMemory>);

/// A store over the bucket and this directory, both of which fail as `faults` say. Nothing of the bucket is cached.
pub(crate) fn open(bucket: &BucketInMemory, directory: &std::path::Path, faults: &Faults) -> Store {
    let local = |name: &str| {
        let root = directory.join(name);
        let plain = Store::local(&root).expect("writable");
        let files = LocalFileSystem::new_with_prefix(&root).expect("just made");
        plain.over(faulty(files, faults))
    };
    let place = Place {
        service: Service::S3,
        bucket: "memory".to_owned(),
        prefix: String::new(),
        endpoint: String::new(),
        region: String::new(),
        credentials: String::new(),
    };
    let remote = Remote::new(local("spool"), local("kept"), ChunkCache::new(0), Arc::<StoreInstruments>::default(), place);
    local("unused").over(faulty(Arc::clone(&bucket.0), faults)).with_remote(remote)
}

#[tokio::test]
async fn what_fails_says_so_and_the_same_seed_fails_alike() {
    let run = async |seed: u64| {
        let (faults, path) = (Faults::seeded(seed), Path::from("a/b.c"));
        let store = faulty(InMemory::new(), &faults);
        faults.set_per_mille(300);
        let mut outcomes = Vec::new();
        for _ in 0..60 {
            outcomes.push(store.put(&path, Bytes::from_static(b"0123456789").into()).await.is_ok());
            let got = async { store.get(&path).await?.bytes().await }.await;
            // Short bytes never pass for the whole.
            outcomes.push(got.is_ok_and(|bytes| bytes.len() == 10));
            outcomes.push(store.list_with_delimiter(None).await.is_ok());
        }
        faults.set_per_mille(0);
        assert_eq!(store.get(&path).await.expect("no faults").bytes().await.expect("no faults").len(), 10);
        (outcomes, faults.log())
    };
    let (first, again, other) = (run(7).await, run(7).await, run(8).await);
    assert_eq!(first, again);
    assert_ne!(first.1, other.1);
    for fault in ["Refused", "AnswerLost", "Twice", "CutShort", "Stale"] {
        assert!(first.1.iter().any(|line| line.ends_with(fault)), "{fault}: {:?}", first.1);
    }
}
