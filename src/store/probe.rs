//! Whether a bucket can be used, found out at start: a small object is written, read whole and in part, listed and deleted.
//! What fails is told with what to do about it, instead of by the first flush an hour later.

use super::backend::{Place, Service};
use super::client::{Remote, Store};
use super::explain::{Clocks, explain, told};
use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use std::fmt;
use std::time::SystemTime;

/// One step of the probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Writing an object.
    Put,
    /// Reading it whole.
    Get,
    /// Reading a part of it.
    GetRange,
    /// Listing the folder it is in.
    List,
    /// Deleting it.
    Delete,
}

impl Step {
    fn what(self) -> &'static str {
        match self {
            Step::Put => "write a test object",
            Step::Get => "read the test object",
            Step::GetRange => "read a part of the test object",
            Step::List => "list the bucket",
            Step::Delete => "delete the test object",
        }
    }

    /// What the service calls the right to do it.
    pub(super) fn permission(self, service: Service) -> &'static str {
        match (service, self) {
            (Service::S3, Step::Put) => "s3:PutObject",
            (Service::S3, Step::Get | Step::GetRange) => "s3:GetObject",
            (Service::S3, Step::List) => "s3:ListBucket",
            (Service::S3, Step::Delete) => "s3:DeleteObject",
            (Service::Gcs, Step::Put) => "storage.objects.create",
            (Service::Gcs, Step::Get | Step::GetRange) => "storage.objects.get",
            (Service::Gcs, Step::List) => "storage.objects.list",
            (Service::Gcs, Step::Delete) => "storage.objects.delete",
            (Service::Azure, _) => "the role Storage Blob Data Contributor",
        }
    }
}

/// A bucket that cannot be used.
#[derive(Debug)]
pub struct ProbeError {
    /// Where the bucket is.
    pub place: Box<Place>,
    /// Which step failed.
    pub step: Step,
    /// What to do about it, if the answer is a known one.
    pub fix: Option<String>,
    /// The client's own words.
    pub answer: String,
}

impl fmt::Display for ProbeError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} cannot be used: could not {}: ", self.place, self.step.what())?;
        match &self.fix {
            Some(fix) => write!(out, "{fix} ({})", self.answer),
            None => out.write_str(&self.answer),
        }
    }
}

impl std::error::Error for ProbeError {}

const CONTENT: &[u8] = b"Conmoto writes, reads, lists and deletes this object to see that it can.\n";

/// Tries everything that the server will do. A local store is not probed: its directory was made a moment ago.
pub async fn probe(store: &Store) -> Result<(), ProbeError> {
    let Some(remote) = store.remote() else { return Ok(()) };
    let path = Path::from(format!("conmoto-probe-{}", uuid::Uuid::new_v4().simple()));
    let result = steps(store.objects(), &path).await;
    if result.is_err() {
        // Best effort: it may be there although the write's answer said otherwise.
        let _ = store.objects().delete(&path).await;
    }
    result.map_err(|(step, answer)| failure(remote, step, &answer))
}

async fn steps(objects: &dyn ObjectStore, path: &Path) -> Result<(), (Step, String)> {
    let failed = |step: Step| move |error: object_store::Error| (step, told(&error));
    objects.put(path, Bytes::from_static(CONTENT).into()).await.map_err(failed(Step::Put))?;
    let whole = objects.get(path).await.map_err(failed(Step::Get))?.bytes().await.map_err(failed(Step::Get))?;
    let part = objects.get_range(path, 8..14).await.map_err(failed(Step::GetRange))?;
    for (step, read, expected) in [(Step::Get, whole, CONTENT), (Step::GetRange, part, &CONTENT[8..14])] {
        if read != expected {
            return Err((step, format!("{} bytes came back that were not written", read.len())));
        }
    }
    let listed = objects.list_with_delimiter(None).await.map_err(failed(Step::List))?;
    if !listed.objects.iter().any(|object| object.location == *path) {
        return Err((Step::List, "the object that was just written is not in the list".to_owned()));
    }
    objects.delete(path).await.map_err(failed(Step::Delete))
}

fn failure(remote: &Remote, step: Step, answer: &str) -> ProbeError {
    let place = Box::new(remote.place.clone());
    let clocks = Clocks { here: SystemTime::now(), there: *remote.instruments.refused_at.lock() };
    ProbeError { fix: explain(&place, step, answer, clocks), answer: shortened(answer), step, place }
}

/// An answer on one line, without the whole of a page that some proxy sent.
fn shortened(answer: &str) -> String {
    const MOST: usize = 600;
    let line = answer.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
