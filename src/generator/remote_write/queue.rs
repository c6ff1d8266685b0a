//! Requests that wait for one receiver, a file each: `<tenant>/<number>-<samples>.request`.
//!
//! A crash loses what the system had not written yet, and leaves at most a file that the receiver refuses. Samples are worth no
//! fsync: the spans they were made of are in the log.

use crate::model::TenantId;
use crate::runtime::directories::create_durably;
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::hash::BuildHasher;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Most bytes that wait for one receiver; beyond, the oldest are dropped.
const MAX_BYTES: u64 = 256 << 20;

const EXTENSION: &str = "request";

/// One request that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) tenant: TenantId,
    pub(super) number: u64,
    pub(super) num_samples: usize,
    bytes: u64,
}

#[derive(Default)]
struct State {
    tenants: BTreeMap<TenantId, VecDeque<Waiting>>,
    next: u64,
    bytes: u64,
}

/// Requests that wait for one receiver.
pub(super) struct Queue {
    directory: PathBuf,
    max_bytes: u64,
    state: Mutex<State>,
    queued: AtomicU64,
    dropped: AtomicU64,
}

/// Where the requests for a URL are kept.
pub(super) fn directory_name(url: &str) -> String {
    format!("remote-write-{:016x}", foldhash::fast::FixedState::with_seed(0).hash_one(url))
}

impl Queue {
    /// Opens a queue with what the last process left in it.
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        Self::with_room(directory, MAX_BYTES)
    }

    fn with_room(directory: &Path, max_bytes: u64) -> io::Result<Self> {
        create_durably(directory)?;
        let mut state = State::default();
        for tenant in std::fs::read_dir(directory)? {
            let tenant = tenant?;
            let Ok(name) = TenantId::parse(&tenant.file_name().to_string_lossy()) else { continue };
            let mut waiting = Vec::new();
            for file in std::fs::read_dir(tenant.path())? {
                let file = file?;
                let Some((number, num_samples)) = parts(&file.file_name().to_string_lossy()) else { continue };
                waiting.push(Waiting { tenant: name.clone(), number, num_samples, bytes: file.metadata()?.len() });
            }
            waiting.sort_by_key(|one| one.number);
            state.next = state.next.max(waiting.last().map_or(0, |one| one.number + 1));
            state.bytes += waiting.iter().map(|one| one.bytes).sum::<u64>();
            state.tenants.insert(name, waiting.into());
        }
        let (queued, dropped) = (AtomicU64::default(), AtomicU64::default());
        Ok(Queue { directory: directory.to_owned(), max_bytes, state: Mutex::new(state), queued, dropped })
    }

    /// Adds a request, if need be in the place of older ones. What the disk does not take is dropped.
    pub(super) fn push(&self, tenant: &TenantId, num_samples: usize, body: &[u8]) {
        let bytes = body.len() as u64;
        self.make_room(bytes);
        let number = {
            let mut state = self.state.lock();
            state.next += 1;
            state.next - 1
        };
        let waiting = Waiting { tenant: tenant.clone(), number, num_samples, bytes };
        if let Err(error) = self.write(&waiting, body) {
            tracing::error!(%error, directory = %self.directory.display(), "could not write samples to disk; they are lost");
            self.dropped.fetch_add(num_samples as u64, Relaxed);
            return;
        }
        self.queued.fetch_add(num_samples as u64, Relaxed);
        let mut state = self.state.lock();
        state.bytes += bytes;
        state.tenants.entry(tenant.clone()).or_default().push_back(waiting);
    }

    fn write(&self, waiting: &Waiting, body: &[u8]) -> io::Result<()> {
        let path = self.path(waiting);
        let unfinished = path.with_extension("unfinished");
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)?;
        }
        std::fs::write(&unfinished, body)?;
        std::fs::rename(unfinished, path)
    }

    fn make_room(&self, bytes: u64) {
        loop {
            let oldest = {
                let state = self.state.lock();
                if state.bytes + bytes <= self.max_bytes {
                    return;
                }
                state.tenants.values().filter_map(VecDeque::front).min_by_key(|waiting| waiting.number).cloned()
            };
            let Some(oldest) = oldest else { return };
            self.dropped.fetch_add(oldest.num_samples as u64, Relaxed);
            self.remove(&oldest);
        }
    }

    /// The oldest request of a tenant that `is_ready` accepts.
    pub(super) fn next(&self, is_ready: impl Fn(&TenantId) -> bool) -> Option<Waiting> {
        let state = self.state.lock();
        let fronts = state.tenants.iter().filter(|(tenant, _)| is_ready(tenant)).filter_map(|(_, waiting)| waiting.front());
        fronts.min_by_key(|waiting| waiting.number).cloned()
    }

    /// Reads a request.
    pub(super) fn read(&self, waiting: &Waiting) -> io::Result<Vec<u8>> {
        std::fs::read(self.path(waiting))
    }

    /// Removes a request that is not needed any more; it may be gone already.
    pub(super) fn remove(&self, waiting: &Waiting) {
        {
            let mut state = self.state.lock();
            let Some(of_tenant) = state.tenants.get_mut(&waiting.tenant) else { return };
            let before = of_tenant.len();
            of_tenant.retain(|other| other.number != waiting.number);
            if of_tenant.len() < before {
                state.bytes -= waiting.bytes;
            }
        }
        if let Err(error) = std::fs::remove_file(self.path(waiting))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::error!(%error, directory = %self.directory.display(), "could not delete samples that were sent");
        }
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.state.lock().tenants.values().all(VecDeque::is_empty)
    }

    /// Samples that were put in and that were dropped, and bytes that wait.
    pub(super) fn counts(&self) -> (u64, u64, u64) {
        (self.queued.load(Relaxed), self.dropped.load(Relaxed), self.state.lock().bytes)
    }

    fn path(&self, waiting: &Waiting) -> PathBuf {
        let name = format!("{:020}-{}.{EXTENSION}", waiting.number, waiting.num_samples);
        self.directory.join(waiting.tenant.as_str()).join(name)
    }
}

/// Number and samples of a file.
fn parts(name: &str) -> Option<(u64, usize)> {
    let (number, num_samples) = name.strip_suffix(EXTENSION)?.strip_suffix('.')?.split_once('-')?;
    Some((number.parse().ok()?, num_samples.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> TenantId {
        TenantId::parse(name).expect("legal")
    }

    fn take_all(queue: &Queue) -> Vec<(String, Vec<u8>)> {
        let mut taken = Vec::new();
        while let Some(waiting) = queue.next(|_| true) {
            taken.push((waiting.tenant.to_string(), queue.read(&waiting).expect("readable")));
            queue.remove(&waiting);
        }
        taken
    }

    #[test]
    fn what_waits_survives_in_order() {
        let directory = tempfile::tempdir().expect("a directory");
        let queue = Queue::open(directory.path()).expect("opens");
        for (name, body) in [("b", "1"), ("a", "2"), ("b", "3")] {
            queue.push(&tenant(name), 1, body.as_bytes());
        }
        let queue = Queue::open(directory.path()).expect("opens");
        assert_eq!(queue.counts(), (0, 0, 3));
        assert_eq!(queue.next(|name| name.as_str() == "a").map(|waiting| waiting.number), Some(1));
        queue.push(&tenant("a"), 1, b"4");
        let taken: Vec<(String, Vec<u8>)> = take_all(&queue);
        let wanted = [("b", "1"), ("a", "2"), ("b", "3"), ("a", "4")];
        assert_eq!(taken, wanted.map(|(name, body)| (name.to_owned(), body.as_bytes().to_vec())));
        assert!(queue.is_empty() && queue.counts().2 == 0);
    }

    #[test]
    fn the_oldest_go_when_there_is_no_room() {
        let directory = tempfile::tempdir().expect("a directory");
        let queue = Queue::with_room(directory.path(), 10).expect("opens");
        (0..5).for_each(|n| queue.push(&tenant("a"), 7, &[n; 4]));
        assert_eq!(queue.counts(), (35, 21, 8));
        assert_eq!(take_all(&queue).into_iter().map(|(_, body)| body[0]).collect::<Vec<_>>(), [3, 4]);
    }
}
