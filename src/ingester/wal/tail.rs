//! Cutting the torn end off the last segment.
//!
//! A crash leaves at most one unfinished round behind the last durable record. Its records were never acknowledged, so
//! they are cut off. What is cut is copied to `<segment>.wal.<offset>.corrupt` first if anything in it still looks like
//! the start of a record: either blocks of the lost round reached the disk out of order, or the disk damaged a record
//! that had been acknowledged and what follows it was, too. The two look the same; a few MiB are a cheap doubt.

use std::io::{self, IoSlice, Read};
use std::path::{Path, PathBuf};

use super::files::{WalFile, WalFiles, write_fully};
use super::frame::{HEADER_BYTES, Header, VERSION};
use super::segment;

const CHUNK_BYTES: usize = 1 << 20;

/// Cuts segment `number` at `offset`, durably. Gives back where the cut bytes were kept, if they were.
pub(super) fn cut(files: &dyn WalFiles, dir: &Path, number: u64, offset: u64) -> io::Result<Option<PathBuf>> {
    let path = segment::path(dir, number);
    let mut tail = open_at(files, &path, offset)?;
    // The first record is the bad one; its own header does not count.
    let kept = if holds_header(&mut tail, 1)? { Some(keep(files, dir, number, offset)?) } else { None };
    let mut file = files.open(&path)?;
    file.set_len(offset)?;
    file.sync_data()?;
    Ok(kept)
}

fn open_at(files: &dyn WalFiles, path: &Path, offset: u64) -> io::Result<Box<dyn WalFile>> {
    let mut file = files.open(path)?;
    io::copy(&mut file.by_ref().take(offset), &mut io::sink())?;
    Ok(file)
}

/// True if a record header starts anywhere in `input` from byte `from` on.
fn holds_header(input: &mut dyn Read, from: usize) -> io::Result<bool> {
    let mut window = Vec::with_capacity(CHUNK_BYTES + HEADER_BYTES);
    let mut start = from;
    while input.take(CHUNK_BYTES as u64).read_to_end(&mut window)? > 0 {
        let candidates = window.get(start..).unwrap_or_default().windows(HEADER_BYTES);
        if candidates.filter_map(|bytes| bytes.first_chunk()).any(is_header) {
            return Ok(true);
        }
        if window.len() >= start + HEADER_BYTES {
            window.drain(..window.len() - (HEADER_BYTES - 1));
            start = 0;
        }
    }
    Ok(false)
}

/// The version is looked at first: it spares nearly all checksums.
fn is_header(bytes: &[u8; HEADER_BYTES]) -> bool {
    bytes[24] == VERSION && Header::parse(bytes).is_ok()
}

fn keep(files: &dyn WalFiles, dir: &Path, number: u64, offset: u64) -> io::Result<PathBuf> {
    let copy_path = segment::tail_path(dir, number, offset);
    // From a start that crashed before it could cut.
    match files.remove(&copy_path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut tail = open_at(files, &segment::path(dir, number), offset)?;
    let mut copy = files.create(&copy_path)?;
    let mut chunk = Vec::with_capacity(CHUNK_BYTES);
    while tail.by_ref().take(CHUNK_BYTES as u64).read_to_end(&mut chunk)? > 0 {
        write_fully(copy.as_mut(), &mut [IoSlice::new(&chunk)])?;
        chunk.clear();
    }
    copy.sync_data()?;
    files.sync_dir(dir)?;
    Ok(copy_path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingester::wal::frame::Frame;
    use crate::model::TenantId;

    #[test]
    fn headers_are_found_across_chunks() {
        let mut frame = Frame::encode(&TenantId::single(), b"payload").expect("small");
        frame.seal(5);
        for at in [0, 1, 30, CHUNK_BYTES - HEADER_BYTES, CHUNK_BYTES - 3, CHUNK_BYTES, 2 * CHUNK_BYTES - 1] {
            let mut bytes = vec![VERSION; at];
            bytes.extend_from_slice(frame.as_bytes());
            assert_eq!(holds_header(&mut bytes.as_slice(), 1).expect("memory"), at > 0, "{at}");
            bytes.truncate(at + HEADER_BYTES - 1);
            assert!(!holds_header(&mut bytes.as_slice(), 1).expect("memory"), "{at}");
        }
    }
}
