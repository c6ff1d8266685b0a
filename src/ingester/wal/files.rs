//! The few file operations that the log needs, as a seam: tests put a file system below it that fails and loses power.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Read, Write};
use std::path::Path;

#[cfg(test)]
pub(super) mod faulty;

/// A directory's worth of files.
pub(super) trait WalFiles: Send + Sync {
    /// Makes `dir` and what is missing above it, durable in its parent.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;
    /// A new file for appending; one of that name must not exist.
    fn create(&self, path: &Path) -> io::Result<Box<dyn WalFile>>;
    /// An existing file, for reading from its start and for `set_len`.
    fn open(&self, path: &Path) -> io::Result<Box<dyn WalFile>>;
    /// Deletes a file; durable after `sync_dir`.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Renames a file, over another if need be; durable after `sync_dir`.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Names in `dir` in no order, without those that are not UTF-8, which are not ours. Empty if there is no such directory.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Makes creations, deletions and renames in `dir` durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// An open file. Writes go to its end, also after `set_len`.
pub(super) trait WalFile: Read + Send {
    /// Appends a part of `slices`, at least one byte unless the disk is full; may stop short like `write(2)`.
    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize>;
    /// fdatasync: contents and length are durable afterwards. After an error nobody knows what is.
    fn sync_data(&mut self) -> io::Result<()>;
    /// Cuts the file; durable after `sync_data`.
    fn set_len(&mut self, length: u64) -> io::Result<()>;
    /// Its length in bytes.
    fn length(&self) -> io::Result<u64>;
}

/// The operating system's files.
pub(super) struct Disk;

impl WalFiles for Disk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        crate::runtime::directories::create_durably(dir)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn WalFile>> {
        Ok(Box::new(OpenOptions::new().append(true).create_new(true).open(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn WalFile>> {
        Ok(Box::new(OpenOptions::new().read(true).append(true).open(path)?))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let entries = match std::fs::read_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let names = entries.map(|entry| Ok(entry?.file_name().into_string().ok()));
        names.filter_map(Result::transpose).collect()
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }
}

impl WalFile for File {
    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Write::write_vectored(self, slices)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        File::sync_data(self)
    }

    fn set_len(&mut self, length: u64) -> io::Result<()> {
        File::set_len(self, length)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

/// Writes all of `slices`, however often the file stops short. After an error a part of them may be in the file.
pub(super) fn write_fully(file: &mut dyn WalFile, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
    while !slices.is_empty() {
        match file.write_vectored(slices) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut slices, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Creates `path` with `bytes` in it so that file and name are durable.
pub(super) fn create_durably(files: &dyn WalFiles, dir: &Path, path: &Path, bytes: &[u8]) -> io::Result<Box<dyn WalFile>> {
    let mut file = files.create(path)?;
    write_fully(file.as_mut(), &mut [IoSlice::new(bytes)])?;
    file.sync_data()?;
    files.sync_dir(dir)?;
    Ok(file)
}
