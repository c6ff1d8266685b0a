//! Whether a bucket can be used, found out at start: a small object is written, read whole and in part, listed and deleted.
//! What fails is told with what to do about it, instead of by the first flush an hour later.

use super::backend::{Bucket, Place, Service};
use super::client::Store;
use super::explain::{Clocks, explain, told};
use super::instruments::StoreInstruments;
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
    /// All, in the order in which they are taken.
    const ALL: [Step; 5] = [Step::Put, Step::Get, Step::GetRange, Step::List, Step::Delete];

    /// What is tried, after "could not".
    pub fn what(self) -> &'static str {
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

impl ProbeError {
    /// The step and what to do about it, for one who knows which bucket is meant.
    pub fn advice(&self) -> String {
        match &self.fix {
            Some(fix) => format!("could not {}: {fix} ({})", self.step.what(), self.answer),
            None => format!("could not {}: {}", self.step.what(), self.answer),
        }
    }
}

impl fmt::Display for ProbeError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} cannot be used: {}", self.place, self.advice())
    }
}

impl std::error::Error for ProbeError {}

const CONTENT: &[u8] = b"Conmoto writes, reads, lists and deletes this object to see that it can.\n";

/// Tries everything that the server will do. A local store is not probed: its directory was made a moment ago.
pub async fn probe(store: &Store) -> Result<(), ProbeError> {
    let Some(remote) = store.remote() else { return Ok(()) };
    let path = test_object();
    for step in Step::ALL {
        if let Err(answer) = take(store.objects(), &path, step).await {
            // Best effort: it may be there although the write's answer said otherwise.
            let _ = store.objects().delete(&path).await;
            return Err(failure(&remote.place, &remote.instruments, step, &answer));
        }
    }
    Ok(())
}

/// What each step came to; those that had to be left out are missing.
#[derive(Debug)]
pub struct Examined {
    /// Where the bucket is.
    pub place: Place,
    /// The steps that were taken.
    pub steps: Vec<(Step, Result<(), ProbeError>)>,
    /// What the service's clock showed in its last answer, if it said.
    pub clock: Option<SystemTime>,
}

/// Tries everything, also after a step has failed: whoever corrects permissions wants to know all that are missing.
pub async fn examine(bucket: &Bucket) -> Examined {
    let (objects, path) = (&*bucket.objects, test_object());
    let mut steps: Vec<(Step, Result<(), ProbeError>)> = Vec::new();
    for step in Step::ALL {
        let is_written = steps.first().is_none_or(|(_, put)| put.is_ok());
        let is_answered = bucket.instruments.answered_at.lock().is_some();
        // Without the object the rest says nothing new, but for the list; without an answer that does not, either.
        if is_written || (step == Step::List && is_answered) {
            let taken = match take(objects, &path, step).await {
                Err(answer) if is_written || answer != NOT_LISTED => Err(failure(&bucket.place, &bucket.instruments, step, &answer)),
                _ => Ok(()),
            };
            steps.push((step, taken));
        }
    }
    Examined { place: bucket.place.clone(), steps, clock: *bucket.instruments.answered_at.lock() }
}

fn test_object() -> Path {
    Path::from(format!("conmoto-probe-{}", uuid::Uuid::new_v4().simple()))
}

const NOT_LISTED: &str = "the object that was just written is not in the list";

async fn take(objects: &dyn ObjectStore, path: &Path, step: Step) -> Result<(), String> {
    let told = |error: object_store::Error| told(&error);
    match step {
        Step::Put => objects.put(path, Bytes::from_static(CONTENT).into()).await.map(drop).map_err(told),
        Step::Get => expect(&objects.get(path).await.map_err(told)?.bytes().await.map_err(told)?, CONTENT),
        Step::GetRange => expect(&objects.get_range(path, 8..14).await.map_err(told)?, &CONTENT[8..14]),
        Step::List => {
            let listed = objects.list_with_delimiter(None).await.map_err(told)?;
            let is_listed = listed.objects.iter().any(|object| object.location == *path);
            if is_listed { Ok(()) } else { Err(NOT_LISTED.to_owned()) }
        }
        Step::Delete => objects.delete(path).await.map_err(told),
    }
}

fn expect(read: &[u8], written: &[u8]) -> Result<(), String> {
    if read == written { Ok(()) } else { Err(format!("{} bytes came back that were not written", read.len())) }
}

fn failure(place: &Place, instruments: &StoreInstruments, step: Step, answer: &str) -> ProbeError {
    let clocks = Clocks { here: SystemTime::now(), there: *instruments.answered_at.lock() };
    ProbeError { fix: explain(place, step, answer, clocks), answer: shortened(answer), step, place: Box::new(place.clone()) }
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
