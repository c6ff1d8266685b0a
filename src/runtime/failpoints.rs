//! Places where a test has the process die.
//!
//! A test starts the real binary with `CONMOTO_FAILPOINT=<name>:<n>`; at the n-th time that the process comes by the place of
//! that name, it aborts: no destructor runs and no buffer is written, as with kill -9. With `<name>:<n>:<path>` it waits there
//! instead until a file of this path exists. The variable is read once, in
//! `main`, and handed down to every stage, so nothing is global and servers in one test process do not share anything.
//! Without the variable a failpoint is one look at an `Option`.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// How often a process that waits looks for the file.
const LOOK: Duration = Duration::from_millis(2);

/// Every place, for tests and for refusing a name that is misspelt. In the order in which a span comes by.
pub const NAMES: &[&str] = &[
    "wal.write",
    "wal.write.half",
    "wal.written",
    "wal.synced",
    "wal.rotate",
    "wal.rotated",
    "flush.cut",
    "flush.file",
    "flush.files",
    "flush.ledger",
    "flush.meta",
    "flush.swapped",
    "wal.settled",
    "replay.record",
    "replay.segment",
    "wal.drop.segment",
    "wal.drop.ledger",
    "wal.dropped",
    "upload.file",
    "upload.files",
    "upload.meta",
    "upload.kept",
    "compact.cut",
    "compact.files",
    "compact.meta",
    "compact.swapped",
    "retention.chosen",
    "delete.meta",
    "delete.files",
];

/// Where this process dies; by default nowhere. Cheap to clone; clones count together.
#[derive(Clone, Debug, Default)]
pub struct Failpoints(Option<Arc<Armed>>);

#[derive(Debug)]
struct Armed {
    name: String,
    /// How often the place may still be passed, plus one.
    left: AtomicU64,
    /// What the process waits for, instead of dying.
    awaited: Option<PathBuf>,
}

impl Failpoints {
    /// Reads `<name>`, `<name>:<n>` or `<name>:<n>:<path>`, n from 1 on.
    ///
    /// # Errors
    /// A sentence about a name that is not known, or a number that is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, times) = text.split_once(':').unwrap_or((text, "1"));
        if !NAMES.contains(&name) {
            return Err(format!("there is no failpoint {name}"));
        }
        let (times, awaited) = times.split_once(':').map_or((times, None), |(times, path)| (times, Some(PathBuf::from(path))));
        match times.parse::<u64>() {
            Ok(times) if times > 0 => {
                let (name, left) = (name.to_owned(), AtomicU64::new(times));
                Ok(Failpoints(Some(Arc::new(Armed { name, left, awaited }))))
            }
            _ => Err(format!("{times} is not how often failpoint {name} is passed")),
        }
    }

    /// The process dies here if it is told to, or waits.
    pub fn hit(&self, name: &'static str) {
        if !self.is_due(name) {
            return;
        }
        let Some(awaited) = self.0.as_ref().and_then(|armed| armed.awaited.as_ref()) else { self.die() };
        while !awaited.exists() {
            std::thread::sleep(LOOK);
        }
    }

    /// True if the process is to die here: the caller does a part of what it does, then calls [`die`](Self::die).
    pub fn is_due(&self, name: &'static str) -> bool {
        let Some(armed) = &self.0 else { return false };
        // Once it is zero it stays so: it has happened.
        armed.name == name && armed.left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)) == Ok(1)
    }

    /// Ends the process as a kill would.
    pub fn die(&self) -> ! {
        std::process::abort()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nth_time_is_due_and_only_that() {
        let failpoints = Failpoints::parse("wal.write:3").expect("a known name");
        let due: Vec<bool> = (0..6).map(|_| failpoints.clone().is_due("wal.write")).collect();
        assert_eq!(due, [false, false, true, false, false, false]);
        assert!(!Failpoints::parse("flush.meta").expect("a known name").is_due("wal.write"));
        assert!(!Failpoints::default().is_due("wal.write"));
    }

    #[test]
    fn a_place_may_be_held_instead() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let failpoints = Failpoints::parse(&format!("replay.record:1:{}", file.path().display())).expect("a known name");
        // The file is there, so this goes on; without it, or read as a number, the test would not end well.
        failpoints.hit("replay.record");
        assert!(!failpoints.is_due("replay.record"), "it was passed");
    }

    #[test]
    fn what_is_misspelt_is_refused() {
        for text in ["", "wal", "wal.write:", "wal.write:0", "wal.write:x"] {
            assert!(Failpoints::parse(text).is_err(), "{text}");
        }
    }
}
