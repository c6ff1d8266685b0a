//! Files that are not as they were written, and reading all that can be read of them.

use super::columns::{FIXED, Remainder, column_len};
use super::support::{open, open_files, write};
use super::{attribute, nth_span, request_of};
use crate::block::meta::BlockMeta;
use crate::block::reader::{Block, BlockError};
use crate::block::schema;
use crate::block::source::RowGroupSource;
use crate::block::writer::NewBlock;
use crate::columns::tests::chunk_of;
use crate::columns::tests::requests::{Random, sent};
use crate::columns::view::{ColumnId, Detail, SourceError, SpanSource};
use crate::columns::{ValueKind, export};
use crate::proto::otlp::{Event, Value};
use bytes::Bytes;
use parquet::file::metadata::ParquetMetaDataReader;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use prost::Message;
use std::collections::HashMap;
use std::sync::OnceLock;

/// Reads everything there is, stopping at the first error of each part.
fn use_all(block: &Block) -> Result<(), BlockError> {
    let mut result = Ok(());
    let mut note = |part: Result<(), BlockError>| {
        if result.is_ok() {
            result = part;
        }
    };
    for ordinal in 0..block.meta().num_traces.min(50) as u32 {
        note(use_trace(block, ordinal));
    }
    for group in 0..block.row_groups().len() {
        note(use_group(block, group));
    }
    note(use_details(block));
    note(block.catalogue().map(drop));
    result
}

/// Every trace, as OTLP: in bytes, since a NaN is not equal to itself.
fn traces_of(block: &Block) -> Result<Vec<Vec<Vec<u8>>>, BlockError> {
    let trace = |ordinal| {
        let chunk = block.read_trace(ordinal)?;
        Ok(export::export(&chunk, 0..chunk.num_rows() as u32).iter().map(Message::encode_to_vec).collect())
    };
    (0..block.meta().num_traces as u32).map(trace).collect()
}

fn use_trace(block: &Block, ordinal: u32) -> Result<(), BlockError> {
    block.find(&block.trace_id(ordinal)?)?;
    let chunk = block.read_trace(ordinal)?;
    export::export(&chunk, 0..chunk.num_rows() as u32);
    let traces = block.traces()?;
    traces.root_name(ordinal);
    traces.service_counts(ordinal).for_each(drop);
    Ok(())
}

fn use_group(block: &Block, group: usize) -> Result<(), BlockError> {
    let source = RowGroupSource::open(block, group)?;
    let entries = block.data()?.attributes().iter();
    let listed = entries.map(|entry| (entry.key.as_str(), ValueKind::from_name(&entry.kind).unwrap_or(ValueKind::Any)));
    let ids = listed.chain([("key 7", ValueKind::Int), ("a", ValueKind::Bool)]).map(|(key, kind)| ColumnId::Attribute { key, kind });
    let mut result = Ok(());
    for id in ids.chain(FIXED) {
        let column = source.column(id).map(|column| column.map(|column| column_len(&column)));
        let selected = source.select(id, &Remainder(2));
        let few = source.column_of(id, &[1]).map(drop);
        if let (Err(error), _, _) | (_, Err(error), _) | (_, _, Err(error)) = (column, selected, few) {
            result = Err(BlockError::Damaged { file: String::new(), reason: error.to_string() });
        }
    }
    source.attribute_kinds("a");
    result
}

fn use_details(block: &Block) -> Result<(), BlockError> {
    let failed = |error: SourceError| BlockError::Damaged { file: String::new(), reason: error.to_string() };
    for (of, table) in [(Detail::Event, block.events()?), (Detail::Link, block.links()?)] {
        let keys = table.map(|table| table.attributes().iter().map(|entry| entry.key.as_str()).collect::<Vec<_>>()).unwrap_or_default();
        for group in 0..block.row_groups().len() {
            let spans = RowGroupSource::open(block, group)?;
            spans.tree()?;
            let Some(source) = spans.details(of).map_err(failed)? else { continue };
            for id in [ColumnId::Span, ColumnId::Name, ColumnId::SinceStart, ColumnId::LinkedTrace, ColumnId::SpanId] {
                source.column(id).map_err(failed)?;
            }
            for key in &keys {
                for kind in source.attribute_kinds(key) {
                    let id = ColumnId::Attribute { key, kind };
                    source.column(id).map_err(failed)?;
                    source.entries(id).map_err(failed)?;
                    source.select(id, &Remainder(2)).map_err(failed)?;
                }
            }
        }
    }
    Ok(())
}

/// The block with one of its files damaged. If so listed, `meta.json` has the length and checksums of the damaged file, so
/// that only its parser can notice.
fn damaged(block: &NewBlock, file: usize, random: &mut Random, is_listed_so: bool) -> (BlockMeta, HashMap<String, Bytes>) {
    let (name, bytes) = &block.files[file];
    let bytes: Bytes = damage(bytes.to_vec(), random).into();
    let mut meta = block.meta.clone();
    if is_listed_so {
        for listed in meta.files.iter_mut().filter(|listed| listed.name == *name) {
            (listed.bytes, listed.crc32c) = (bytes.len() as u64, crc32c::crc32c(&bytes));
            if let Some(footer) = &mut listed.footer {
                footer.crc32c = crc32c::crc32c(&bytes[bytes.len().saturating_sub(footer.bytes as usize)..]);
            }
        }
    }
    let mut files: HashMap<String, Bytes> = block.files.iter().cloned().collect();
    files.insert(name.clone(), bytes);
    (meta, files)
}

fn damage(mut bytes: Vec<u8>, random: &mut Random) -> Vec<u8> {
    for _ in 0..1 + random.below(3) {
        if bytes.is_empty() {
            return bytes;
        }
        // The ends of files say most.
        let tail = bytes.len().min(2000);
        let at = if random.below(2) == 0 { random.below(bytes.len()) } else { bytes.len() - 1 - random.below(tail) };
        let until = (at + 1 + random.below(20)).min(bytes.len());
        match random.below(10) {
            0..6 => bytes[at] ^= 1 << random.below(8),
            6 | 7 => bytes[at] = random.below(256) as u8,
            8 => bytes[at..until].fill(if random.below(2) == 0 { 0 } else { 0xff }),
            _ => bytes.truncate(at),
        }
    }
    bytes
}

/// A `meta.json` with some of its digits replaced.
fn with_other_digits(mut json: Vec<u8>, random: &mut Random) -> Vec<u8> {
    let digits: Vec<usize> = (0..json.len()).filter(|at| json[*at].is_ascii_digit()).collect();
    for _ in 0..1 + random.below(4) {
        json[digits[random.below(digits.len())]] = b'0' + random.below(10) as u8;
    }
    json
}

/// Blocks for the tests of damage, with all kinds of files.
fn samples() -> &'static [NewBlock] {
    static SAMPLES: OnceLock<Vec<NewBlock>> = OnceLock::new();
    SAMPLES.get_or_init(|| {
        let mut runner = TestRunner::deterministic();
        let mut sample = || vec(sent(), 4..6).new_tree(&mut runner).expect("no filter is that strict").current();
        let small = (0..6).filter_map(|_| write(&[chunk_of(&sample()), chunk_of(&sample())], 6));
        // Pages and row groups in some number, and a residual.
        let many = |n: u64| {
            let mut span = nth_span(n / 40, n % 40);
            span.attributes = (0..4).map(|at| attribute(format!("key {}", (n + at) % 310), Value::IntValue((n % 9) as i64))).collect();
            span.events.push(Event { name: "e".to_string(), ..Event::default() });
            span
        };
        let large = write(&[chunk_of(&[request_of((0..2000).map(many).collect())])], 700);
        small.chain(large).collect()
    })
}

#[test]
fn samples_have_all_files() {
    for name in [schema::DATA_FILE, schema::EVENTS_FILE, schema::LINKS_FILE, schema::TRACES_FILE, schema::INDEX_FILE, "bloom-0"] {
        assert!(samples().iter().any(|block| block.files.iter().any(|(file, _)| file == name)), "{name}");
    }
    for block in samples() {
        use_all(&open(block)).expect("nothing is damaged");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn damaged_files_are_refused_or_read(which: prop::sample::Index, file: prop::sample::Index, seed: u64, is_listed_so: bool) {
        let block = &samples()[which.index(samples().len())];
        let file = file.index(block.files.len());
        let (meta, files) = damaged(block, file, &mut Random(seed), is_listed_so);
        // Reading the rest may fail as well; all that is asked is that it comes back.
        let _ = open_files(meta, files).map(|block| use_all(&block));
    }

    /// A flipped bit is found, or it was in something that no reader looks at.
    #[test]
    fn a_flipped_bit_is_never_served(which: prop::sample::Index, file: prop::sample::Index, at: prop::sample::Index, bit in 0..8u32) {
        let block = &samples()[which.index(samples().len())];
        let (name, bytes) = &block.files[file.index(block.files.len())];
        let mut flipped = bytes.to_vec();
        flipped[at.index(bytes.len())] ^= 1 << bit;
        let mut files: HashMap<String, Bytes> = block.files.iter().cloned().collect();
        files.insert(name.clone(), flipped.into());
        if let Ok(read) = open_files(block.meta.clone(), files).and_then(|block| traces_of(&block)) {
            prop_assert!(read == traces_of(&open(block)).expect("nothing is damaged"), "{name}");
        }
    }

    #[test]
    fn damaged_meta_is_refused_or_used(which: prop::sample::Index, seed: u64) {
        let block = &samples()[which.index(samples().len())];
        let json = with_other_digits(block.meta.to_json(), &mut Random(seed));
        if let Ok(meta) = BlockMeta::parse(&json) {
            let _ = open_files(meta, block.files.iter().cloned().collect()).map(|block| use_all(&block));
        }
    }
}

#[test]
fn what_is_read_whole_is_checked_first() {
    // A flipped bit in the index would hide a trace, one in a footer mislead a query.
    let block = &samples()[0];
    for (name, bytes) in &block.files {
        let listed = block.meta.files.iter().find(|listed| listed.name == *name).expect("every file is listed");
        let at = match listed.footer {
            Some(footer) => bytes.len() - footer.bytes as usize,
            None => 0,
        };
        for at in [at, (at + bytes.len()) / 2, bytes.len() - 1] {
            let mut files: HashMap<String, Bytes> = block.files.iter().cloned().collect();
            let mut flipped = bytes.to_vec();
            flipped[at] ^= 1;
            files.insert(name.clone(), flipped.into());
            let result = open_files(block.meta.clone(), files).and_then(|block| use_all(&block));
            let reason = format!("{}", result.expect_err("damage is found"));
            assert!(reason.starts_with(&format!("{name} is damaged: ")) && reason.contains("checksum"), "{reason}");
        }
    }
}

#[test]
fn a_forged_offset_index_is_refused() {
    // A list of 2^31 - 1 page locations: the parser of the parquet crate makes room for them before it reads the first,
    // and the process would end there.
    let block = &samples()[0];
    let mut files: HashMap<String, Bytes> = block.files.iter().cloned().collect();
    let whole = files[schema::DATA_FILE].clone();
    let metadata = ParquetMetaDataReader::new().parse_and_finish(&whole).expect("own file");
    let at = metadata.row_group(0).column(0).offset_index_offset().expect("every column has one") as usize;
    let mut bytes = whole.to_vec();
    bytes[at..at + 7].copy_from_slice(b"\x19\xfc\xff\xff\xff\xff\x07");
    files.insert(schema::DATA_FILE.to_string(), bytes.into());
    let error = open_files(block.meta.clone(), files).err().expect("damage is found");
    assert_eq!(error.to_string(), "data.parquet is damaged: the checksum of its footer is wrong");
}
