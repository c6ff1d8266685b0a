//! Where the files of a new block go, and what `meta.json` says of each.

use super::meta::{FileMeta, FooterMeta};
use super::reader::{RangeRead, ReadFailure};
use bytes::Bytes;
use parking_lot::Mutex;
use std::io::{self, Write};
use std::ops::Range;
use std::sync::Arc;

/// Seam: takes the files of a block that is being written. Called from threads that may wait.
pub trait BlockSink: Send + Sync {
    /// Starts a file; several may be under construction at once.
    fn create(&self, file: &str) -> io::Result<Box<dyn SinkFile>>;
}

/// A file under construction; dropping it unfinished leaves no file.
pub trait SinkFile: Write + Send {
    /// Ends the file. It is durable afterwards, if its store is.
    fn finish(self: Box<Self>) -> io::Result<()>;
}

/// Keeps files in memory.
#[derive(Clone, Default)]
pub struct MemoryFiles(Arc<Mutex<Vec<(String, Bytes)>>>);

impl MemoryFiles {
    /// The files by name, in the order in which they were finished.
    pub fn take(&self) -> Vec<(String, Bytes)> {
        std::mem::take(&mut self.0.lock())
    }
}

impl BlockSink for MemoryFiles {
    fn create(&self, file: &str) -> io::Result<Box<dyn SinkFile>> {
        Ok(Box::new(MemoryFile { name: file.to_string(), bytes: Vec::new(), files: self.clone() }))
    }
}

/// Reads the files of a block that is in memory.
pub struct FilesInMemory(pub Vec<(String, Bytes)>);

impl RangeRead for FilesInMemory {
    fn read(&self, file: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, ReadFailure> {
        let (_, bytes) = self.0.iter().find(|(name, _)| name == file).ok_or_else(|| ReadFailure(format!("no file {file}")))?;
        let part = |range: &Range<u64>| {
            let fits = range.start <= range.end && range.end <= bytes.len() as u64;
            fits.then(|| bytes.slice(range.start as usize..range.end as usize)).ok_or_else(|| ReadFailure(format!("{file} is too short")))
        };
        ranges.iter().map(part).collect()
    }
}

struct MemoryFile {
    name: String,
    bytes: Vec<u8>,
    files: MemoryFiles,
}

impl Write for MemoryFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl SinkFile for MemoryFile {
    fn finish(self: Box<Self>) -> io::Result<()> {
        self.files.0.lock().push((self.name, self.bytes.into()));
        Ok(())
    }
}

/// A file of a block while it is written: counts its bytes and their checksums.
pub struct Output {
    name: String,
    file: Box<dyn SinkFile>,
    bytes: u64,
    crc32c: u32,
    /// Where the footer starts, and the checksum of what has come of it.
    footer: Option<(u64, u32)>,
}

impl Output {
    /// Starts a file.
    pub fn create(sink: &dyn BlockSink, name: &str) -> io::Result<Self> {
        Ok(Output { name: name.to_string(), file: sink.create(name)?, bytes: 0, crc32c: 0, footer: None })
    }

    /// Says that everything from this position on is the footer; nothing of it was written yet.
    pub fn start_footer(&mut self, position: u64) {
        self.footer = Some((position, 0));
    }

    /// Ends the file and tells what `meta.json` has to list.
    pub fn finish(self) -> io::Result<FileMeta> {
        self.file.finish()?;
        let footer = self.footer.map(|(start, crc32c)| FooterMeta { bytes: self.bytes - start, crc32c });
        Ok(FileMeta { name: self.name, bytes: self.bytes, crc32c: self.crc32c, footer })
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        let bytes = &bytes[..written];
        self.crc32c = crc32c::crc32c_append(self.crc32c, bytes);
        if let Some((start, crc32c)) = &mut self.footer {
            // Buffered writes may begin before the footer.
            let skipped = start.saturating_sub(self.bytes).min(written as u64) as usize;
            *crc32c = crc32c::crc32c_append(*crc32c, &bytes[skipped..]);
        }
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn checksums_are_those_of_the_whole_and_of_the_footer(parts: Vec<Vec<u8>>, footer_at: prop::sample::Index) {
            let whole = parts.concat();
            let start = footer_at.index(whole.len() + 1);
            let files = MemoryFiles::default();
            let mut output = Output::create(&files, "f").expect("memory");
            output.start_footer(start as u64);
            for part in &parts {
                output.write_all(part).expect("memory");
            }
            let meta = output.finish().expect("memory");
            let footer = FooterMeta { bytes: (whole.len() - start) as u64, crc32c: crc32c::crc32c(&whole[start..]) };
            prop_assert_eq!((meta.bytes, meta.crc32c, meta.footer), (whole.len() as u64, crc32c::crc32c(&whole), Some(footer)));
            prop_assert_eq!(files.take(), vec![("f".to_string(), Bytes::from(whole))]);
        }
    }
}
