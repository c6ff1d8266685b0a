//! Whether a block's files are what was written.

use crate::block::meta::FileMeta;
use crate::block::reader::{Block, BlockError};

/// Bytes read at once.
const PIECE_BYTES: u64 = 4 << 20;

/// Reads every file of a block once and compares checksums.
pub(super) fn verify(block: &Block) -> Result<(), BlockError> {
    // Indexes and filters were checked when the block was opened.
    block.meta().files.iter().filter(|file| file.name.ends_with(".parquet")).try_for_each(|file| verify_file(block, file))
}

fn verify_file(block: &Block, file: &FileMeta) -> Result<(), BlockError> {
    let damaged = |reason: &str| BlockError::Damaged { file: file.name.clone(), reason: reason.to_string() };
    let mut crc32c = 0;
    let mut from = 0;
    while from < file.bytes {
        let range = from..file.bytes.min(from + PIECE_BYTES);
        let piece = block.files().read(&file.name, std::slice::from_ref(&range))?.pop().unwrap_or_default();
        if piece.len() as u64 != range.end - range.start {
            return Err(damaged("it is too short"));
        }
        crc32c = crc32c::crc32c_append(crc32c, &piece);
        from = range.end;
    }
    if crc32c == file.crc32c { Ok(()) } else { Err(damaged("its checksum is wrong")) }
}
