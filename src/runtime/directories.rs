//! Directories that survive a power loss from the moment they are made.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// Makes `directory` and what is missing above it, private to the user (spec/config.md §15.6), each durable in its parent.
pub fn create_durably(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    let parent = directory.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        create_durably(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => File::open(parent.unwrap_or(Path::new(".")))?.sync_all(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_parents_are_made_and_existing_ones_left() {
        let root = tempfile::tempdir().expect("a temporary directory");
        let deep = root.path().join("a/b/c");
        create_durably(&deep).expect("writable");
        create_durably(&deep).expect("it is there");
        assert!(deep.is_dir());
        std::fs::write(root.path().join("file"), b"").expect("writable");
        assert!(create_durably(&root.path().join("file/x")).is_err());
    }
}
