//! Merged blocks give back what their inputs hold.

use super::columns::{FIXED, KINDS, check_column, check_plain_leaves, keys, with_unique_ids};
use super::support::{Expected, Memory, chunks_of, expected, open, open_files, write};
use super::{attribute, check_meta, check_structure, check_trace, group_rows, nth_span, request_of, rows_of_group, runs};
use crate::block::merge::{MergeError, MergeInput, merge_in_groups};
use crate::block::meta::BlockMeta;
use crate::block::output::MemoryFiles;
use crate::block::reader::Block;
use crate::block::writer::NewBlock;
use crate::columns::Chunk;
use crate::columns::tests::requests::Sent;
use crate::columns::view::ColumnId;
use crate::model::{BlockId, TenantId, TraceId};
use crate::proto::otlp::{Event, Link, Value};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Requests by run, runs by block.
fn blocks_of_runs() -> impl Strategy<Value = Vec<Vec<Vec<Sent>>>> {
    vec(runs(), 1..4)
}

/// A block of each list of runs that has spans, in order of arrival.
pub(super) fn inputs(blocks: &[Vec<Vec<Sent>>], group_rows: usize) -> Vec<Arc<Block>> {
    let chunks: Vec<Vec<Chunk>> = blocks.iter().map(|runs| chunks_of(runs)).collect();
    let written = chunks.iter().filter_map(|chunks| write(chunks, group_rows)).zip(1..);
    let opened = written.map(|(mut new, created)| {
        new.meta.created_unix_nano = created;
        Arc::new(open(&new))
    });
    opened.collect()
}

fn try_merge(inputs: &[Arc<Block>], group_rows: usize) -> Result<NewBlock, MergeError> {
    let (sink, tenant) = (MemoryFiles::default(), TenantId::parse("someone").expect("legal"));
    let input = MergeInput { id: BlockId::random(), tenant: &tenant, inputs, sink: &sink, is_cancelled: &|| false };
    let merged = merge_in_groups(&input, group_rows)?;
    let mut new = NewBlock { meta: merged.meta, files: sink.take(), trace_ids: Vec::new(), num_duplicates: merged.num_duplicates };
    let opened = open(&new);
    new.trace_ids = (0..opened.meta().num_traces as u32).map(|ordinal| opened.trace_id(ordinal).expect("own files")).collect();
    Ok(new)
}

pub(super) fn merge(inputs: &[Arc<Block>], group_rows: usize) -> NewBlock {
    try_merge(inputs, group_rows).expect("own blocks can be merged")
}

/// What a block of all inputs has to hold: a trace's root is that of the first input that knows one.
fn expected_of(blocks: &[Vec<Vec<Sent>>]) -> BTreeMap<TraceId, Expected> {
    let mut all: BTreeMap<TraceId, Expected> = BTreeMap::new();
    for (id, piece) in blocks.iter().flat_map(|runs| expected(runs)) {
        let num_stored = piece.spans.len();
        let trace = all.entry(id).or_insert_with(|| Expected { num_sent: 0, spans: Default::default(), ..piece.clone() });
        trace.num_sent += num_stored;
        trace.start = trace.start.min(piece.start);
        trace.end = trace.end.max(piece.end);
        trace.root = trace.root.take().or(piece.root);
        trace.spans.extend(piece.spans);
    }
    all
}

fn check_all(new: &NewBlock, blocks: &[Vec<Vec<Sent>>], group_rows: usize) -> Result<(), TestCaseError> {
    let traces = expected_of(blocks);
    let block = open(new);
    check_meta(new, &block, &traces, group_rows)?;
    for (id, trace) in &traces {
        check_trace(&block, id, trace)?;
    }
    let table = block.traces().expect("own files");
    for group in 0..block.row_groups().len() {
        let rows = rows_of_group(&block, group);
        let first = table.first_row_of(group);
        for ordinal in table.traces_of(group) {
            let range = table.rows(ordinal);
            check_structure(&rows[(range.start - first) as usize..(range.end - first) as usize])?;
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(250))]

    #[test]
    fn a_merged_block_gives_back_the_traces_of_its_inputs(blocks in blocks_of_runs(), from in group_rows(), to in group_rows()) {
        let inputs = inputs(&blocks, from);
        if inputs.is_empty() {
            return Ok(());
        }
        let new = merge(&inputs, to);
        check_all(&new, &blocks, to)?;
        prop_assert_eq!(new.meta.level, 1);
        prop_assert_eq!(new.meta.created_unix_nano, inputs.len() as u64);
        let mut replaced: Vec<String> = inputs.iter().map(|block| block.id().to_string()).collect();
        replaced.sort();
        let mut listed = new.meta.replaces.clone();
        listed.sort();
        prop_assert_eq!(listed, replaced);
        // Merging what was merged changes nothing.
        let again = merge(&[Arc::new(open(&new))], to);
        prop_assert_eq!(again.num_duplicates, 0);
        let mut again = NewBlock { num_duplicates: new.num_duplicates, ..again };
        again.meta.replaces.clone_from(&new.meta.replaces);
        check_all(&again, &blocks, to)?;
    }

    #[test]
    fn columns_of_a_merged_block_are_those_of_the_chunks(blocks in vec(runs(), 2..4), from in group_rows(), to in group_rows()) {
        // Ids are told apart over all blocks.
        let lengths: Vec<usize> = blocks.iter().map(Vec::len).collect();
        let mut all = with_unique_ids(blocks.concat()).into_iter();
        let blocks: Vec<Vec<Vec<Sent>>> = lengths.into_iter().map(|length| all.by_ref().take(length).collect()).collect();
        let inputs = inputs(&blocks, from);
        if inputs.is_empty() {
            return Ok(());
        }
        let block = open(&merge(&inputs, to));
        let chunks = chunks_of(&blocks.concat());
        for id in FIXED {
            // A parent in another input is found now; ids that are shown are the same, and so is all else.
            check_column(&chunks, &block, id)?;
        }
        for key in &keys(&chunks) {
            for kind in KINDS {
                check_column(&chunks, &block, ColumnId::Attribute { key, kind })?;
            }
        }
        check_plain_leaves(&block, &expected_of(&blocks))?;
    }
}

/// Spans of which each has two of 300 keys from `first` on, one of them twice, and events and links with the same.
fn many_keys(first: u64, traces: std::ops::Range<u64>) -> Vec<Vec<Sent>> {
    let spans = traces.flat_map(|trace| (0..3).map(move |n| (trace, n))).map(|(trace, n)| {
        let mut span = nth_span(trace, n);
        for key in [first + trace % 300, first + (trace * 7 + n) % 300, first + trace % 300] {
            let value = match key % 4 {
                0 => Value::IntValue(trace as i64),
                1 => Value::DoubleValue(n as f64),
                2 => Value::StringValue(format!("value {n}")),
                _ => Value::BytesValue(vec![n as u8]),
            };
            span.attributes.push(attribute(format!("key {key}"), value));
        }
        span.events.push(Event { attributes: span.attributes.clone(), name: "copied".to_string(), ..Event::default() });
        span.links.push(Link { trace_id: vec![9; 16], attributes: span.attributes.clone(), ..Link::default() });
        span
    });
    vec![vec![request_of(spans.collect())]]
}

/// Adds an attribute of each kind to every span of so many; keys begin with `prefix`.
fn with_each_kind(mut runs: Vec<Vec<Sent>>, prefix: &str, of_one: usize) -> Vec<Vec<Sent>> {
    let sent = &mut runs[0][0];
    let spans = &mut sent.message.resource_spans[0].scope_spans[0].spans;
    for (n, span) in spans.iter_mut().enumerate().filter(|(n, _)| n % of_one == 0) {
        let values = [
            ("text", Value::StringValue(format!("text {}", n % 5))),
            ("unique", Value::StringValue(format!("text {n}"))),
            ("int", Value::IntValue(n as i64 - 100)),
            ("double", Value::DoubleValue(n as f64 / 3.0)),
            ("bool", Value::BoolValue(n % 3 == 0)),
            ("bytes", Value::BytesValue(vec![n as u8 % 7])),
            ("unique bytes", Value::BytesValue(n.to_be_bytes().to_vec())),
        ];
        let at = n % (span.attributes.len() + 1);
        span.attributes.splice(at..at, values.map(|(name, value)| attribute(format!("{prefix} {name}"), value)));
        span.events[0].attributes = span.attributes.clone();
        span.links[0].attributes = span.attributes.clone();
    }
    sent.bytes = prost::Message::encode_to_vec(&sent.message);
    runs
}

#[test]
fn attributes_move_between_columns_and_the_table_of_rare_ones() {
    let blocks = vec![
        with_each_kind(many_keys(0, 0..100), "left", 1),
        with_each_kind(many_keys(200, 100..400), "got", 5),
        with_each_kind(many_keys(400, 400..1000), "got", 1),
    ];
    let inputs = inputs(&blocks, 500);
    let has_column = |block: &Block, key: &str| block.data().expect("own files").attributes().iter().any(|entry| entry.key == key);
    assert!(has_column(&inputs[0], "left int") && !has_column(&inputs[1], "got int") && has_column(&inputs[2], "got int"));
    assert!(inputs.iter().all(|block| !has_column(block, "key 1")));
    let new = merge(&inputs, 700);
    check_all(&new, &blocks, 700).expect("as it was sent");
    let chunks = chunks_of(&blocks.concat());
    let block = open(&new);
    assert!(!has_column(&block, "left int") && has_column(&block, "got int"));
    for key in ["left text", "left unique", "left int", "left double", "left bool", "left bytes", "got text", "got unique bytes", "key 401"]
    {
        for kind in KINDS {
            check_column(&chunks, &block, ColumnId::Attribute { key, kind }).expect("as it was sent");
        }
    }
    // Merged alone, the first block has its columns again.
    let alone = merge(&inputs[..1], 300);
    assert!(has_column(&open(&alone), "left int"));
    check_all(&alone, &blocks[..1], 300).expect("as it was sent");
}

#[test]
fn a_long_trace_in_pieces_among_others() {
    let piece = |from: u64, to: u64| request_of((from..to).map(|n| nth_span(5, n)).collect());
    let other = |trace: u64| request_of((0..20).map(|n| nth_span(trace, n)).collect());
    let others = |traces: std::ops::Range<u64>| traces.map(other).collect::<Vec<_>>();
    let blocks = vec![
        vec![others(0..5), vec![piece(0, 30_000)]],
        vec![vec![piece(29_000, 60_000)], others(6..9)],
        vec![vec![piece(60_000, 100_000)], others(3..12)],
    ];
    let new = merge(&inputs(&blocks, 4000), 8000);
    // Spans 29,000 to 30,000 came twice, and 20 of each trace from 3 to 8.
    assert_eq!(new.num_duplicates, 1000 + 6 * 20);
    check_meta(&new, &open(&new), &expected_of(&blocks), 8000).expect("as it was sent");
    let traces = expected_of(&blocks);
    for (id, trace) in &traces {
        check_trace(&open(&new), id, trace).expect("as it was sent");
    }
}

#[test]
fn a_damaged_input_ends_the_merge() {
    let blocks: Vec<Vec<Vec<Sent>>> = (0..2).map(|n| vec![vec![request_of(vec![nth_span(n, 0), nth_span(n, 1)])]]).collect();
    let chunks = chunks_of(&blocks[1]);
    let good = write(&chunks, 10).expect("there are spans");
    for (name, bytes) in good.files.iter().filter(|(name, _)| name.ends_with(".parquet")) {
        let footer = good.meta.files.iter().find(|file| file.name == *name).and_then(|file| file.footer).expect("listed");
        for at in [4, bytes.len() / 3, bytes.len() - footer.bytes as usize - 1] {
            let mut files: std::collections::HashMap<_, _> = good.files.iter().cloned().collect();
            let mut damaged = bytes.to_vec();
            damaged[at] ^= 0x10;
            files.insert(name.clone(), damaged.into());
            let meta = BlockMeta::parse(&good.meta.to_json()).expect("our own");
            let id = BlockId::parse(&meta.block_id);
            // Footers are checked when a block is opened.
            let Ok(block) = open_files(meta, files) else { continue };
            let mut all = inputs(&blocks[..1], 10);
            all.push(Arc::new(block));
            let error = try_merge(&all, 10).err().expect("damage is found");
            assert_eq!(error.bad_input(), id, "{name} at {at}: {error}");
        }
    }
}

#[test]
fn an_input_that_cannot_be_read_is_not_called_damaged() {
    let runs = [vec![request_of(vec![nth_span(0, 0)])]];
    let new = write(&chunks_of(&runs), 10).expect("there are spans");
    let files: std::collections::HashMap<_, _> = new.files.iter().cloned().collect();
    let meta = BlockMeta::parse(&new.meta.to_json()).expect("our own");
    let id = BlockId::parse(&meta.block_id).expect("our own");
    let block = Block::open_with(id, meta, &Memory(files), Arc::new(Memory(Default::default())), None).expect("our own");
    let error = try_merge(&[Arc::new(block)], 10).err().expect("there are no files");
    assert!(matches!(error, MergeError::Input { block, .. } if block == id) && error.bad_input().is_none(), "{error}");
}
