//! Ranges of a file on local disk, read on the thread that wants them.

use super::client::{StoreError, failure};
use bytes::Bytes;
use object_store::path::Path;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::ops::Range;

/// The bytes of each range of a file, which is the object at `path`; where the file ends within a range, those before its end.
///
/// Error: `OutOfFile` if a range begins after the end.
pub(super) fn read(file: &std::path::Path, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, StoreError> {
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => StoreError::NotFound(path.clone()),
        _ => failure("read", path, object_store::Error::Generic { store: "file system", source: error.into() }),
    };
    let file = File::open(file).map_err(failed)?;
    let num_bytes: u64 = ranges.iter().map(|range| range.end.saturating_sub(range.start)).sum();
    let size = file.metadata().map_err(failed)?.len();
    // Ranges come from files that may be damaged.
    let mut all = Vec::with_capacity(num_bytes.min(size.saturating_mul(ranges.len() as u64)) as usize);
    let mut ends = Vec::with_capacity(ranges.len());
    for range in ranges {
        if range.start >= size && range.start < range.end {
            return Err(StoreError::OutOfFile { path: path.clone(), range: range.clone(), bytes: size });
        }
        (&file).seek(SeekFrom::Start(range.start)).map_err(failed)?;
        (&file).take(range.end.saturating_sub(range.start)).read_to_end(&mut all).map_err(failed)?;
        ends.push(all.len());
    }
    let (all, mut start) = (Bytes::from(all), 0);
    let part = |end| all.slice(std::mem::replace(&mut start, end)..end);
    Ok(ends.into_iter().map(part).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_far_as_the_file_goes() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let (file, path) = (folder.path().join("data"), Path::from("data"));
        std::fs::write(&file, b"0123456789").expect("writable");
        let parts = read(&file, &path, &[2..5, 0..0, 4..9, 8..12, 12..12]).expect("readable");
        assert_eq!(parts, [&b"234"[..], b"", b"45678", b"89", b""]);
        assert!(matches!(read(&file, &path, &[0..1, 10..11]), Err(StoreError::OutOfFile { bytes: 10, .. })));
        assert!(matches!(read(&folder.path().join("none"), &path, &[]), Err(StoreError::NotFound(_))));
    }
}
