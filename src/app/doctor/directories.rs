//! Whether the directories can be written to, durably, and for how long.

use super::Finding;
use crate::app::data_dir::DataDirLock;
use crate::config::{Backend, StorageConfig};
use crate::runtime::directories::create_durably;
use anyhow::Context;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A head, the log of it and the block of it need about this much at once.
const LEAST_BYTES: u64 = 512 << 20;
/// A busy server fills this in less than an hour.
const ENOUGH_BYTES: u64 = 4 << 30;
/// Every acknowledgement waits for one.
const SLOW_SYNC: Duration = Duration::from_millis(50);
const NUM_SYNCS: usize = 5;

/// The directory of the log, and that of the blocks unless they are in a bucket.
pub(super) fn examine(storage: &StorageConfig) -> Vec<Finding> {
    let mut findings = log(storage);
    if storage.backend == Backend::Local {
        findings.extend(directory("blocks", &storage.local_path, "storage.trace.local.path"));
    }
    findings
}

/// The log is where a start would put it.
fn log(storage: &StorageConfig) -> Vec<Finding> {
    const KEY: &str = "storage.trace.wal.path";
    let (wanted, subject) = (&storage.wal_path, "write-ahead log");
    if let Some(fallback) = &storage.wal_path_fallback
        && let Err(error) = Made::make(wanted)
    {
        let told = format!("{} cannot be made ({error}), so {} is used; set {KEY}", wanted.display(), fallback.display());
        return [vec![Finding::doubtful(subject, told)], directory(subject, fallback, KEY)].concat();
    }
    directory(subject, wanted, KEY)
}

fn directory(what: &str, path: &Path, key: &str) -> Vec<Finding> {
    let subject = format!("{what}, {}", path.display());
    let tried = Made::make(path).and_then(|made| syncs(path).map(|slowest| (made, slowest)));
    let (_made, slowest) = match tried {
        Ok(tried) => tried,
        Err(error) => return vec![Finding::bad(subject, format!("{error}: {}", advice(&error, key)))],
    };
    let mut findings = vec![synced(&subject, slowest)];
    // Only where there is one: the lock of a start would be left behind.
    if path.join("lock").exists()
        && let Err(error) = DataDirLock::take(path)
    {
        findings.push(Finding::bad(&subject, format!("{error:#}: stop it, or set {key} to another directory")));
    }
    match space(path) {
        Ok((free, is_memory)) => {
            findings.push(room(&subject, free, key));
            findings.extend(is_memory.then(|| {
                Finding::doubtful(&subject, format!("it is in memory (tmpfs) and gone after a restart of the machine; set {key} to a disk"))
            }));
        }
        Err(error) => findings.push(Finding::doubtful(subject, format!("the free space is not known: {error}"))),
    }
    findings
}

fn synced(subject: &str, slowest: Duration) -> Finding {
    let told = format!("writable; fsync took up to {:.1} ms", slowest.as_secs_f64() * 1e3);
    if slowest <= SLOW_SYNC {
        return Finding::good(subject, told);
    }
    Finding::doubtful(subject, format!("{told}, and every sender waits for one: use a faster disk"))
}

fn room(subject: &str, free: u64, key: &str) -> Finding {
    let told = format!("{:.1} GiB free", free as f64 / f64::from(1 << 30));
    match free {
        ENOUGH_BYTES.. => Finding::good(subject, told),
        LEAST_BYTES.. => Finding::doubtful(subject, format!("{told} are soon full: make room, or set {key} to a larger disk")),
        _ => Finding::bad(subject, format!("{told} are too few: make room, or set {key} to a larger disk")),
    }
}

fn advice(error: &io::Error, key: &str) -> String {
    let user = rustix::process::geteuid().as_raw();
    match error.kind() {
        ErrorKind::PermissionDenied => {
            format!("user {user} may not write there; give it the directory (`chown -R {user}`), or set {key} to another")
        }
        ErrorKind::ReadOnlyFilesystem => format!("the file system is mounted read-only; mount it for writing, or set {key} to another"),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => format!("make room, or set {key} to a larger disk"),
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => format!("a part of the path is a file; set {key} to a directory"),
        _ => format!("the directory is set by {key}"),
    }
}

/// Writes a file and makes it durable, a few times; the longest that took.
fn syncs(directory: &Path) -> io::Result<Duration> {
    let path = directory.join(format!("conmoto-doctor-{}", std::process::id()));
    let result = write_and_sync(&path);
    // It may not have been made.
    let _ = std::fs::remove_file(&path);
    File::open(directory)?.sync_all()?;
    result
}

fn write_and_sync(path: &Path) -> io::Result<Duration> {
    const CONTENT: [u8; 4096] = [0x5a; 4096];
    let mut file = File::create_new(path)?;
    let mut slowest = Duration::ZERO;
    for _ in 0..NUM_SYNCS {
        file.write_all(&CONTENT)?;
        let started = Instant::now();
        file.sync_data()?;
        slowest = slowest.max(started.elapsed());
    }
    let mut read = Vec::new();
    File::open(path)?.read_to_end(&mut read)?;
    if read == CONTENT.repeat(NUM_SYNCS) { Ok(slowest) } else { Err(io::Error::other("what was written did not come back")) }
}

/// Free bytes for this user, and whether they are memory.
fn space(directory: &Path) -> anyhow::Result<(u64, bool)> {
    let space = rustix::fs::statvfs(directory).context("statvfs")?;
    Ok((space.f_bavail.saturating_mul(space.f_frsize), is_memory(directory)))
}

#[cfg(target_os = "linux")]
fn is_memory(directory: &Path) -> bool {
    const TMPFS: u64 = 0x0102_1994;
    rustix::fs::statfs(directory).is_ok_and(|system| u64::try_from(system.f_type) == Ok(TMPFS))
}

#[cfg(not(target_os = "linux"))]
fn is_memory(_: &Path) -> bool {
    false
}

/// A directory that is there while it is looked at; what had to be made for that is taken away again, since whoever asks
/// may be another user than the one that the server will run as.
struct Made {
    /// Deepest first.
    directories: Vec<PathBuf>,
}

impl Made {
    fn make(path: &Path) -> io::Result<Self> {
        let is_missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
        let made = Made { directories: path.ancestors().take_while(is_missing).map(Path::to_path_buf).collect() };
        create_durably(path).map(|()| made)
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for directory in &self.directories {
            // One that is no longer empty has become somebody's.
            let _ = std::fs::remove_dir(directory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Health;
    use super::*;

    #[test]
    fn nothing_is_left_behind() {
        let root = tempfile::tempdir().expect("a temporary directory");
        let deep = root.path().join("a/b");
        let findings = directory("blocks", &deep, "storage.trace.local.path");
        assert!(findings[0].told.starts_with("writable"), "{findings:?}");
        assert!(!root.path().join("a").exists());
        std::fs::create_dir(root.path().join("a")).expect("writable");
        directory("blocks", &deep, "storage.trace.local.path");
        assert!(root.path().join("a").exists() && !deep.exists());
    }

    #[test]
    fn a_file_in_the_way_names_the_key() {
        let root = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(root.path().join("a"), b"").expect("writable");
        for path in ["a", "a/b"] {
            let findings = directory("blocks", &root.path().join(path), "storage.trace.local.path");
            assert_eq!((findings.len(), findings[0].health), (1, Health::Bad), "{findings:?}");
            assert!(findings[0].told.contains("set storage.trace.local.path to a directory"), "{findings:?}");
        }
    }

    #[test]
    fn a_log_in_use_is_told() {
        let root = tempfile::tempdir().expect("a temporary directory");
        let lock = DataDirLock::take(root.path()).expect("nobody has it");
        let is_told = || {
            let findings = directory("write-ahead log", root.path(), "storage.trace.wal.path");
            findings.iter().any(|finding| finding.health == Health::Bad && finding.told.contains("another process uses"))
        };
        assert!(is_told());
        drop(lock);
        assert!(!is_told());
    }

    #[test]
    fn little_room_and_slow_disks_are_told() {
        for (free, health) in
            [(u64::MAX, Health::Good), (ENOUGH_BYTES - 1, Health::Doubtful), (LEAST_BYTES - 1, Health::Bad), (0, Health::Bad)]
        {
            assert_eq!(room("x", free, "key").health, health, "{free}");
        }
        assert_eq!(synced("x", SLOW_SYNC).health, Health::Good);
        assert_eq!(synced("x", 2 * SLOW_SYNC).health, Health::Doubtful);
    }
}
