//! The counts of spans in a catalogue are those of the data, in every bin, and their samples are spans.

use super::merge::{inputs, merge};
use super::runs;
use super::support::{open, write};
use crate::block::arrange::ROW_GROUP_ROWS;
use crate::block::reader::Block;
use crate::block::source::RowGroupSource;
use crate::columns::counting::{duration_exponent, rank};
use crate::columns::view::{ColumnId, SpanSource, Values};
use crate::columns::{Chunk, decode};
use crate::model::TraceId;
use crate::proto::otlp::{ExportTraceServiceRequest, ResourceSpans, ScopeSpans, Span};
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message;
use std::collections::BTreeMap;

/// Service, name, kind and status.
type Combination = (String, Vec<u8>, i32, i32);

/// A span or a row that stands for spans.
struct Row {
    combination: Combination,
    start: u64,
    duration: u64,
    trace: u32,
}

fn rows(source: &dyn SpanSource) -> Vec<Row> {
    let values = |id| source.column(id).expect("own files").expect("every span has one").values;
    let numbers = |id| if let Values::U64(numbers) = values(id) { numbers.into_owned() } else { panic!("other numbers") };
    let small = |id| if let Values::U32(numbers) = values(id) { numbers.into_owned() } else { panic!("other numbers") };
    let words = |id| if let Values::Enum(words) = values(id) { words.into_owned() } else { panic!("no words") };
    let (starts, durations) = (numbers(ColumnId::Start), numbers(ColumnId::Duration));
    let (resources, traces) = (small(ColumnId::Resource), small(ColumnId::Trace));
    let (kinds, statuses) = (words(ColumnId::Kind), words(ColumnId::Status));
    let Values::Text(codes, names) = values(ColumnId::Name) else { panic!("no texts") };
    let row = |row: usize| {
        let service = source.resources()[resources[row] as usize].service_name().to_owned();
        let combination = (service, names.get(codes[row]).to_vec(), kinds[row], statuses[row]);
        Row { combination, start: starts[row], duration: durations[row], trace: traces[row] }
    };
    (0..source.num_rows()).map(row).collect()
}

/// Spans with the ids of their traces; those that start at 0 are in no bucket of any query.
fn stored(block: &Block) -> Vec<(Row, TraceId)> {
    let mut found = Vec::new();
    for group in 0..block.row_groups().len() {
        let first = block.traces().expect("own files").traces_of(group).start;
        let of_group = rows(&RowGroupSource::open(block, group).expect("own files"));
        let id = |row: &Row| block.trace_id(first + row.trace).expect("own files");
        found.extend(of_group.into_iter().filter(|row| row.start > 0).map(|row| (id(&row), row)).map(|(id, row)| (row, id)));
    }
    found
}

/// A trace for each span, all in one service.
fn chunk_with_starts(starts: impl Iterator<Item = u64>) -> Chunk {
    let span = |(number, start): (u64, u64)| Span {
        trace_id: [number.to_be_bytes(); 2].concat(),
        span_id: number.to_be_bytes().to_vec(),
        name: "a".to_owned(),
        start_time_unix_nano: start,
        end_time_unix_nano: start + number,
        ..Span::default()
    };
    let scope_spans = vec![ScopeSpans { spans: (1..).zip(starts).map(span).collect(), ..ScopeSpans::default() }];
    let request = ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }] };
    let mut chunk = Chunk::default();
    decode::append(&mut chunk, &request.encode_to_vec(), 1, None).expect("sound");
    chunk
}

fn check_counts(block: &Block) -> Result<(), TestCaseError> {
    let counts = block.span_counts().expect("own files").expect("few enough spans");
    let bin = |start: u64| (start - 1) / counts.bin_nanos();
    let (mut expected, mut without_durations) = (BTreeMap::new(), BTreeMap::new());
    let mut samples = BTreeMap::new();
    for (row, id) in stored(block) {
        let cell = (row.combination.clone(), bin(row.start));
        *expected.entry((cell.clone(), duration_exponent(row.duration))).or_insert(0) += 1;
        *without_durations.entry(cell.clone()).or_insert(0) += 1;
        let sample = (rank(row.start), id, row.duration);
        let least = samples.entry(cell).or_insert(sample);
        *least = sample.min(*least);
    }
    let counted = counts.counted(0, u64::MAX, true);
    let cells = rows(&counted).into_iter().zip(counted.weights());
    let found: Vec<_> = cells.map(|(row, count)| (((row.combination, bin(row.start)), duration_exponent(row.duration)), *count)).collect();
    prop_assert_eq!(found.len(), expected.len());
    prop_assert_eq!(found.into_iter().collect::<BTreeMap<_, _>>(), expected);
    let counted = counts.counted(0, u64::MAX, false);
    let found = rows(&counted).into_iter().zip(counted.weights()).map(|(row, count)| ((row.combination, bin(row.start)), *count));
    prop_assert_eq!(found.collect::<BTreeMap<_, _>>(), without_durations);
    let found = rows(&counts.samples(0, u64::MAX)).into_iter().map(|row| {
        let id = block.trace_id(row.trace).expect("own files");
        ((row.combination, bin(row.start)), (rank(row.start), id, row.duration))
    });
    prop_assert_eq!(found.collect::<BTreeMap<_, _>>(), samples);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn counts_are_those_of_the_spans(blocks in vec(runs(), 1..3), group_rows in prop_oneof![Just(4), Just(ROW_GROUP_ROWS)]) {
        let inputs = inputs(&blocks, group_rows);
        inputs.iter().try_for_each(|block| check_counts(block))?;
        if !inputs.is_empty() {
            check_counts(&open(&merge(&inputs, group_rows)))?;
        }
    }

    #[test]
    fn bins_are_as_coarse_as_they_have_to_be(num_spans in 1usize..4000, spread_seconds in prop_oneof![1u64..100, 100u64..400_000], seed: u64) {
        let start = |at: usize| 1_700_000_000_000_000_000 + rank(seed ^ at as u64) % (spread_seconds * 1_000_000_000);
        let chunk = chunk_with_starts((0..num_spans).map(start));
        let block = open(&write(&[chunk], ROW_GROUP_ROWS).expect("some spans"));
        match block.span_counts().expect("own files") {
            Some(_) => check_counts(&block)?,
            // Nearly every span has a minute of its own.
            None => prop_assert!(num_spans > 256 && spread_seconds > 256 * 60, "{} spans in {} s", num_spans, spread_seconds),
        }
    }
}

#[test]
fn a_range_has_the_bins_that_lie_in_it() {
    const SECOND: u64 = 1_000_000_000;
    let chunk = chunk_with_starts([10 * SECOND, 10 * SECOND + 1, 15 * SECOND, 20 * SECOND, 20 * SECOND + 1].into_iter());
    let block = open(&write(&[chunk], ROW_GROUP_ROWS).expect("some spans"));
    let counts = block.span_counts().expect("own files").expect("few spans");
    assert_eq!(counts.bin_nanos(), 5 * SECOND);
    let num = |after: u64, until: u64| counts.counted(after * SECOND, until * SECOND, false).weights().iter().sum::<u64>();
    assert_eq!([num(0, 100), num(5, 10), num(10, 15), num(15, 20), num(10, 20), num(20, 25)], [5, 1, 2, 1, 3, 1]);
    assert_eq!(counts.samples(10 * SECOND, 20 * SECOND).num_rows(), 2);
}
