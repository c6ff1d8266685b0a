//! The files of a block.

use crate::Target;
use crate::decoders::requests;
use bytes::Bytes;
use conmoto::block::output::FilesInMemory;
use conmoto::block::reader::{Block, BlockError};
use conmoto::block::schema::META_FILE;
use conmoto::block::source::RowGroupSource;
use conmoto::block::{BlockInput, BlockMeta, NewBlock, write_block};
use conmoto::columns::view::{ColumnId, SpanSource};
use conmoto::columns::{Chunk, decode, export};
use conmoto::model::{BlockId, TenantId, UnixNanos};
use prost::Message;
use std::sync::Arc;

fn written() -> NewBlock {
    let mut chunk = Chunk::default();
    for request in requests() {
        decode::append(&mut chunk, &request, 0, None).expect("recorded requests are well formed");
    }
    let (tenant, sources) = (TenantId::single(), [&chunk]);
    let input = BlockInput { id: BlockId::random(), tenant: &tenant, sources: &sources, takes: &|_| true, created: UnixNanos(0) };
    write_block(&input).expect("memory").expect("there are spans")
}

/// Everything there is: traces as OTLP, summaries, the catalogue's keys, some columns.
fn contents(meta: &BlockMeta, files: Vec<(String, Bytes)>) -> Result<Vec<Vec<u8>>, BlockError> {
    let block = Block::open(BlockId::random(), meta.clone(), Arc::new(FilesInMemory(files)))?;
    let mut contents = Vec::new();
    for ordinal in 0..block.meta().num_traces.min(64) as u32 {
        let id = block.trace_id(ordinal)?;
        contents.push(format!("{:?}", block.find(&id)?).into_bytes());
        let chunk = block.read_trace(ordinal)?;
        contents.extend(export::export(&chunk, 0..chunk.num_rows() as u32).iter().map(Message::encode_to_vec));
        let traces = block.traces()?;
        contents
            .push(format!("{:?} {:?} {:?}", traces.start(ordinal), traces.root_name(ordinal), traces.root_service(ordinal)).into_bytes());
    }
    block.catalogue()?;
    for group in 0..block.row_groups().len() {
        let source = RowGroupSource::open(&block, group)?;
        source.tree()?;
        for id in [ColumnId::Name, ColumnId::Kind, ColumnId::Status, ColumnId::Duration, ColumnId::Start] {
            // Its error is kept by the block.
            let _ = source.column(id);
        }
    }
    Ok(contents)
}

/// Number of the file, then its bytes.
fn seeds(files: &[(String, Bytes)]) -> Vec<Vec<u8>> {
    files.iter().enumerate().map(|(at, (_, bytes))| [&[at as u8][..], bytes].concat()).collect()
}

fn replaced(block: &NewBlock, input: &[u8]) -> Option<(String, Vec<(String, Bytes)>)> {
    let (at, bytes) = input.split_first()?;
    let mut files = block.files.clone();
    let index = usize::from(*at) % files.len();
    let (name, file) = &mut files[index];
    *file = Bytes::copy_from_slice(bytes);
    Some((name.clone(), files))
}

pub fn targets() -> Vec<Target> {
    let block = Arc::new(written());
    let expected = contents(&block.meta, block.files.clone()).expect("own files");
    let as_written = {
        let block = Arc::clone(&block);
        move |input: &[u8]| {
            let Some((_, files)) = replaced(&block, input) else { return false };
            let Ok(found) = contents(&block.meta, files) else { return false };
            // Damage that is not noticed must not matter.
            assert!(found == expected, "damage is served as truth");
            true
        }
    };
    let mended = {
        let block = Arc::clone(&block);
        move |input: &[u8]| {
            let Some((name, files)) = replaced(&block, input) else { return false };
            let mut meta = block.meta.clone();
            mend(&mut meta, &name, &files);
            contents(&meta, files).is_ok()
        }
    };
    let meta = {
        let block = Arc::clone(&block);
        move |input: &[u8]| {
            let Ok(meta) = BlockMeta::parse(input) else { return false };
            // Its numbers may be anything.
            let _ = contents(&meta, block.files.clone());
            true
        }
    };
    assert!(block.files.iter().all(|(name, _)| name != META_FILE));
    vec![
        Target { name: "block file", seeds: seeds(&block.files), run: Box::new(as_written) },
        Target { name: "block mended file", seeds: seeds(&block.files), run: Box::new(mended) },
        Target { name: "block meta.json", seeds: vec![block.meta.to_json()], run: Box::new(meta) },
    ]
}

/// Has `meta.json` say of the file what it is now, so that its bytes are looked at.
fn mend(meta: &mut BlockMeta, name: &str, files: &[(String, Bytes)]) {
    let Some((_, bytes)) = files.iter().find(|(file, _)| file == name) else { return };
    for file in meta.files.iter_mut().filter(|file| file.name == name) {
        (file.bytes, file.crc32c) = (bytes.len() as u64, crc32c::crc32c(bytes));
        if let Some(footer) = &mut file.footer {
            let start = bytes.len().saturating_sub(footer.bytes as usize);
            (footer.bytes, footer.crc32c) = ((bytes.len() - start) as u64, crc32c::crc32c(&bytes[start..]));
        }
    }
}
