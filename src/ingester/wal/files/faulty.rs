//! Files in memory that fail on command, or by a seed, and that lose power.
//!
//! What a power loss leaves: of the names, those that were synced and a prefix of the changes since; of a file, what was
//! synced and a part of what came after, perhaps as zeros. What a failed fdatasync did not write is never written.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind, IoSlice, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{WalFile, WalFiles};

/// The operations that can be told to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ingester::wal) enum Op {
    Create,
    Remove,
    Write,
    Sync,
    SetLen,
    SyncDir,
    Rename,
    Read,
}

#[derive(Clone, Default)]
struct Inode {
    data: Vec<u8>,
    durable: Vec<u8>,
    /// Bytes below this are durable or lost for good.
    clean: usize,
}

#[derive(Clone)]
enum Change {
    Link(PathBuf, usize),
    Unlink(PathBuf),
    Rename(PathBuf, PathBuf),
}

type Names = BTreeMap<PathBuf, usize>;

fn change(names: &mut Names, change: &Change) {
    match change {
        Change::Link(path, inode) => drop(names.insert(path.clone(), *inode)),
        Change::Unlink(path) => drop(names.remove(path)),
        Change::Rename(from, to) => {
            if let Some(inode) = names.remove(from) {
                names.insert(to.clone(), inode);
            }
        }
    }
}

#[derive(Default)]
struct State {
    random: u64,
    faults_per_mille: u64,
    script: VecDeque<(Op, ErrorKind)>,
    space_bytes: Option<usize>,
    inodes: Vec<Inode>,
    names: Names,
    durable_names: Names,
    changes: Vec<Change>,
    log: Vec<String>,
}

impl State {
    /// SplitMix64: any seed will do.
    fn draw(&mut self, below: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below.max(1)
    }

    fn may_fail(&mut self, op: Op) -> io::Result<()> {
        if self.script.front().is_some_and(|(next, _)| *next == op)
            && let Some((_, kind)) = self.script.pop_front()
        {
            return Err(kind.into());
        }
        if self.draw(1000) < self.faults_per_mille {
            let kind = if self.draw(2) == 0 { ErrorKind::StorageFull } else { ErrorKind::Other };
            return Err(kind.into());
        }
        Ok(())
    }

    fn change(&mut self, what: Change) {
        change(&mut self.names, &what);
        self.changes.push(what);
    }

    fn inode(&self, path: &Path) -> io::Result<usize> {
        self.names.get(path).copied().ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn after_power_loss(&mut self) -> State {
        let mut names = self.durable_names.clone();
        let survivors = self.draw(self.changes.len() as u64 + 1) as usize;
        for what in &self.changes[..survivors] {
            change(&mut names, what);
        }
        let mut inodes = Vec::new();
        for at in 0..self.inodes.len() {
            let Inode { data, durable, .. } = self.inodes[at].clone();
            let extra = data.len().saturating_sub(durable.len()) as u64;
            let reached = durable.len() + self.draw(extra + 1) as usize;
            let zeros_from = durable.len() + self.draw(2 * extra + 1) as usize;
            let mut left = data.get(..reached.max(durable.len())).map_or_else(|| durable.clone(), <[u8]>::to_vec);
            left[..durable.len()].copy_from_slice(&durable);
            let zeros_from = zeros_from.min(left.len());
            left[zeros_from..].fill(0);
            inodes.push(Inode { clean: left.len(), durable: left.clone(), data: left });
        }
        State { random: self.draw(u64::MAX), durable_names: names.clone(), names, inodes, ..State::default() }
    }
}

/// The file system; clones share it.
#[derive(Clone)]
pub(in crate::ingester::wal) struct FaultyFiles(Arc<Mutex<State>>);

impl FaultyFiles {
    pub(in crate::ingester::wal) fn new(seed: u64) -> Self {
        FaultyFiles(Arc::new(Mutex::new(State { random: seed, ..State::default() })))
    }

    /// From now on, so many of a thousand operations fail.
    pub(in crate::ingester::wal) fn set_faults_per_mille(&self, faults: u64) {
        self.0.lock().faults_per_mille = faults;
    }

    /// The next operations of these kinds fail, in this order.
    pub(in crate::ingester::wal) fn fail(&self, script: impl IntoIterator<Item = (Op, ErrorKind)>) {
        self.0.lock().script.extend(script);
    }

    /// Faults that were ordered and have not happened.
    pub(in crate::ingester::wal) fn faults_left(&self) -> usize {
        self.0.lock().script.len()
    }

    /// Limits what can still be written; beyond it writes stop short and then say that the disk is full.
    pub(in crate::ingester::wal) fn set_space_bytes(&self, bytes: Option<usize>) {
        self.0.lock().space_bytes = bytes;
    }

    /// What is left when the power goes now. This file system lives on as if nothing had happened.
    pub(in crate::ingester::wal) fn power_loss(&self) -> FaultyFiles {
        let after = self.0.lock().after_power_loss();
        FaultyFiles(Arc::new(Mutex::new(after)))
    }

    /// A copy in which everything that was written is durable.
    pub(in crate::ingester::wal) fn copy(&self) -> FaultyFiles {
        let state = self.0.lock();
        let settle = |inode: &Inode| Inode { data: inode.data.clone(), durable: inode.data.clone(), clean: inode.data.len() };
        let inodes = state.inodes.iter().map(settle).collect();
        let (names, durable_names) = (state.names.clone(), state.names.clone());
        FaultyFiles(Arc::new(Mutex::new(State { random: state.random, inodes, names, durable_names, ..State::default() })))
    }

    pub(in crate::ingester::wal) fn contents(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.0.lock();
        state.names.get(path).map(|inode| state.inodes[*inode].data.clone())
    }

    pub(in crate::ingester::wal) fn put(&self, path: &Path, data: Vec<u8>) {
        let mut state = self.0.lock();
        let inode = state.inodes.len();
        state.inodes.push(Inode { clean: data.len(), durable: data.clone(), data });
        state.names.insert(path.to_path_buf(), inode);
        state.durable_names.insert(path.to_path_buf(), inode);
    }

    pub(in crate::ingester::wal) fn names(&self) -> Vec<String> {
        let state = self.0.lock();
        state.names.keys().filter_map(|path| Some(path.file_name()?.to_str()?.to_string())).collect()
    }

    /// Takes the list of deletions and directory syncs so far, in their order.
    pub(in crate::ingester::wal) fn take_log(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().log)
    }
}

impl WalFiles for FaultyFiles {
    fn create_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn WalFile>> {
        let mut state = self.0.lock();
        state.may_fail(Op::Create)?;
        if state.names.contains_key(path) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let inode = state.inodes.len();
        state.inodes.push(Inode::default());
        state.change(Change::Link(path.to_path_buf(), inode));
        Ok(Box::new(FaultyFile { files: self.clone(), inode, read: 0 }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn WalFile>> {
        let inode = self.0.lock().inode(path)?;
        Ok(Box::new(FaultyFile { files: self.clone(), inode, read: 0 }))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.inode(path)?;
        state.may_fail(Op::Remove)?;
        state.log.push(format!("remove {}", path.file_name().unwrap_or_default().display()));
        state.change(Change::Unlink(path.to_path_buf()));
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.inode(from)?;
        state.may_fail(Op::Rename)?;
        state.change(Change::Rename(from.to_path_buf(), to.to_path_buf()));
        Ok(())
    }

    fn list(&self, _dir: &Path) -> io::Result<Vec<String>> {
        Ok(self.names())
    }

    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.may_fail(Op::SyncDir)?;
        state.log.push("sync".to_string());
        state.durable_names = state.names.clone();
        state.changes.clear();
        Ok(())
    }
}

struct FaultyFile {
    files: FaultyFiles,
    inode: usize,
    read: usize,
}

impl Read for FaultyFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.files.0.lock();
        state.may_fail(Op::Read)?;
        let read = (&state.inodes[self.inode].data[self.read..]).read(buffer)?;
        self.read += read;
        Ok(read)
    }
}

impl WalFile for FaultyFile {
    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut state = self.files.0.lock();
        state.may_fail(Op::Write)?;
        let all: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        let mut written = all.len();
        if state.faults_per_mille > 0 && state.draw(4) == 0 {
            written = 1 + state.draw(written as u64) as usize;
        }
        if let Some(space) = &mut state.space_bytes {
            written = written.min(*space);
            *space -= written;
        }
        if written == 0 {
            return Err(ErrorKind::StorageFull.into());
        }
        state.inodes[self.inode].data.extend_from_slice(&all[..written]);
        Ok(written)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        let mut state = self.files.0.lock();
        let outcome = state.may_fail(Op::Sync);
        let Inode { data, durable, clean } = &mut state.inodes[self.inode];
        if outcome.is_ok() {
            durable.truncate(data.len());
            durable.resize(data.len().min(*clean), 0);
            durable.extend_from_slice(&data[durable.len()..]);
        }
        *clean = data.len();
        outcome
    }

    fn set_len(&mut self, length: u64) -> io::Result<()> {
        let mut state = self.files.0.lock();
        state.may_fail(Op::SetLen)?;
        let Inode { data, clean, .. } = &mut state.inodes[self.inode];
        data.resize(length as usize, 0);
        *clean = (*clean).min(data.len());
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.files.0.lock().inodes[self.inode].data.len() as u64)
    }
}
