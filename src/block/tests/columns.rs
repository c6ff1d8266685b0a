//! Columns of row groups against those of the chunks they were written from.

use super::support::{Expected, chunks_of, expected, open, service_of, span_of, write};
use super::{group_rows, numbers, runs};
use crate::block::parquet::DecodedValues;
use crate::block::reader::Block;
use crate::block::schema::span;
use crate::block::source::RowGroupSource;
use crate::columns::tests::requests::{Sent, Told};
use crate::columns::value::ValueRef;
use crate::columns::view::{Column, ColumnId, Condition, Detail, Rows, SpanSource, Strings, Values};
use crate::columns::{Chunk, ValueKind};
use crate::model::TraceId;
use proptest::prelude::*;
use prost::Message;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Gives every span an id of its own; parents become spans of any trace.
pub(super) fn with_unique_ids(mut runs: Vec<Vec<Sent>>) -> Vec<Vec<Sent>> {
    let id = |n: u64| (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes().to_vec();
    let mut next = 0;
    for request in runs.iter_mut().flatten() {
        let groups = request.message.resource_spans.iter_mut().flat_map(|batch| &mut batch.scope_spans);
        for span in groups.flat_map(|group| &mut group.spans) {
            if let Ok(parent) = <[u8; 8]>::try_from(&span.parent_span_id[..]) {
                span.parent_span_id = id(u64::from_be_bytes(parent) % 16);
            }
            span.span_id = id(next);
            next += 1;
        }
        request.bytes = request.message.encode_to_vec();
    }
    runs
}

/// A value in a form that can be compared; doubles by their bits.
fn shown(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Double(double) => format!("{:x}", double.to_bits()),
        value => format!("{value:?}"),
    }
}

/// What a source says of each row, by span id: the column if it is one of values, else what its numbers stand for.
fn column_by_span(source: &dyn SpanSource, id: ColumnId<'_>, trace: &dyn Fn(u32) -> TraceId) -> BTreeMap<u64, String> {
    let span_ids = match source.column(ColumnId::SpanId).expect("own files").expect("every row has one").values {
        Values::U64(values) => values.into_owned(),
        _ => panic!("span ids are numbers"),
    };
    let column = source.column(id).expect("own files");
    let at = |row: u32| -> Option<String> {
        let column: &Column<'_> = column.as_ref()?;
        if let Some(value) = column.value(row) {
            return Some(shown(value));
        }
        let position = column.position(row)?;
        Some(match (&column.values, id) {
            (Values::U32(values), ColumnId::Resource) => format!("{:?}", source.resources()[values[position] as usize]),
            (Values::U32(values), ColumnId::Scope) => format!("{:?}", source.scopes()[values[position] as usize]),
            (Values::U32(values), _) => trace(values[position]).to_string(),
            (Values::U64(values), _) => values[position].to_string(),
            (Values::Enum(values), _) => values[position].to_string(),
            _ => panic!("a column of other values has none for a row it names"),
        })
    };
    (0..).zip(span_ids).filter_map(|(row, span_id)| Some((span_id, at(row)?))).collect()
}

pub(super) const FIXED: [ColumnId<'static>; 11] = [
    ColumnId::Name,
    ColumnId::Kind,
    ColumnId::Status,
    ColumnId::StatusMessage,
    ColumnId::Start,
    ColumnId::Duration,
    ColumnId::SpanId,
    ColumnId::ParentId,
    ColumnId::Resource,
    ColumnId::Scope,
    ColumnId::Trace,
];

pub(super) const KINDS: [ValueKind; 5] = [ValueKind::Str, ValueKind::Int, ValueKind::Double, ValueKind::Bool, ValueKind::Any];

/// A condition that any value can meet: the sum of the bytes that show it has some remainder.
pub(super) struct Remainder(pub(super) u32);

impl Remainder {
    fn passes(&self, shown: &str) -> bool {
        shown.bytes().fold(0u32, |sum, byte| sum.wrapping_add(u32::from(byte))) % 4 == self.0
    }
}

impl Condition for Remainder {
    fn text(&self, value: &[u8]) -> bool {
        self.passes(&shown(ValueRef::Str(value)))
    }

    fn may_pass_int(&self, min: i64, max: i64) -> bool {
        min != max || self.passes(&shown(ValueRef::Int(min)))
    }

    fn rows(&self, column: &Column<'_>) -> Vec<u32> {
        let rows = match &column.rows {
            Rows::Some(rows) => rows.to_vec(),
            Rows::All => (0..column_len(column)).collect(),
        };
        // Messages are asked about as text, as a source does.
        let value = |row: u32| match column.value(row) {
            Some(ValueRef::Any(message)) => Some(ValueRef::Str(message)),
            value => value,
        };
        rows.into_iter().filter(|row| value(*row).is_some_and(|value| self.passes(&shown(value)))).collect()
    }
}

pub(super) fn column_len(column: &Column<'_>) -> u32 {
    let len = match &column.values {
        Values::Text(codes, _) | Values::Any(codes, _) => codes.len(),
        Values::Int(values) => values.len(),
        Values::Double(values) => values.len(),
        Values::Bool(values) => values.len(),
        Values::Enum(values) => values.len(),
        Values::U32(values) => values.len(),
        Values::U64(values) => values.len(),
    };
    len as u32
}

/// All keys of span attributes, and one that no span has.
pub(super) fn keys(chunks: &[Chunk]) -> BTreeSet<String> {
    let columns = chunks.iter().flat_map(|chunk| chunk.attributes.columns());
    columns.map(|column| column.key().to_string()).chain(["no such key".to_string()]).collect()
}

/// Compares a column of all row groups with that of all chunks, and what is selected from it.
pub(super) fn check_column(chunks: &[Chunk], block: &Block, id: ColumnId<'_>) -> Result<(), TestCaseError> {
    let mut wanted = BTreeMap::new();
    for chunk in chunks {
        let trace = |ordinal: u32| chunk.traces.summaries()[ordinal as usize].id;
        wanted.extend(column_by_span(chunk, id, &trace));
    }
    let (mut found, mut selected) = (BTreeMap::new(), BTreeSet::new());
    let condition = Remainder(1);
    for group in 0..block.row_groups().len() {
        let source = RowGroupSource::open(block, group).expect("own files");
        let first = block.traces().expect("own files").traces_of(group).start;
        found.extend(column_by_span(&source, id, &|ordinal| block.trace_id(first + ordinal).expect("own files")));
        let span_ids = numbers(&source, ColumnId::SpanId);
        let rows = source.select(id, &condition).expect("own files");
        prop_assert!(rows.is_sorted_by(|a, b| a < b));
        selected.extend(rows.into_iter().map(|row| span_ids[row as usize]));
        if let ColumnId::Attribute { key, kind } = id {
            let has_value = source.column(id).expect("own files").is_some_and(|column| column_len(&column) > 0);
            prop_assert!(!has_value || source.attribute_kinds(key).contains(&kind));
        }
    }
    prop_assert_eq!(&found, &wanted);
    let is_value = matches!(id, ColumnId::Attribute { .. } | ColumnId::Name | ColumnId::StatusMessage);
    let shown_as_text = |text: &str| if text.starts_with("Any(") { text.replacen("Any(", "Str(", 1) } else { text.to_string() };
    let passing = wanted.iter().filter(|(_, value)| is_value && condition.passes(&shown_as_text(value)));
    prop_assert_eq!(selected, passing.map(|(span_id, _)| *span_id).collect::<BTreeSet<_>>());
    Ok(())
}

/// The leaves that only plain readers use.
pub(super) fn check_plain_leaves(block: &Block, traces: &BTreeMap<TraceId, Expected>) -> Result<(), TestCaseError> {
    let services: HashMap<Vec<u8>, String> =
        traces.values().flat_map(|trace| &trace.spans).map(|told| (span_of(told).span_id, service_of(told))).collect();
    for group in 0..block.row_groups().len() {
        let decode = |leaf: &str| block.data().expect("own files").decode_required(block.files(), group, leaf).expect("own files").values;
        let ids = decode(span::SPAN_ID).into_u64().expect("64-bit integers");
        let DecodedValues::Codes(codes, strings) = decode(span::SERVICE_NAME) else { panic!("service names are text") };
        let strings = Strings::Shared(strings);
        for (id, code) in ids.iter().zip(codes) {
            prop_assert_eq!(strings.get(code), services[&id.to_be_bytes()[..]].as_bytes());
        }
        let DecodedValues::Fixed(trace_ids, 16) = decode(span::TRACE_ID) else { panic!("trace ids have 16 bytes") };
        let table = block.traces().expect("own files");
        let of_rows =
            table.traces_of(group).flat_map(|ordinal| table.rows(ordinal).map(move |_| block.trace_id(ordinal).expect("own files").0));
        prop_assert_eq!(trace_ids, of_rows.flatten().collect::<Vec<u8>>());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn columns_are_those_of_the_chunks(runs in runs().prop_map(with_unique_ids), group_rows in group_rows()) {
        let chunks = chunks_of(&runs);
        let Some(written) = write(&chunks, group_rows) else { return Ok(()) };
        let block = open(&written);
        for id in FIXED {
            check_column(&chunks, &block, id)?;
        }
        for key in &keys(&chunks) {
            for kind in KINDS {
                check_column(&chunks, &block, ColumnId::Attribute { key, kind })?;
            }
        }
        check_plain_leaves(&block, &expected(&runs))?;
    }

    #[test]
    fn detail_attributes_are_those_of_the_chunks(runs in runs()) {
        let takes_all: Vec<Told> = expected(&runs).into_values().flat_map(|trace| trace.spans).collect();
        let Some(written) = write(&chunks_of(&runs), 4) else { return Ok(()) };
        let block = open(&written);
        for is_event in [true, false] {
            let table = if is_event { block.events().expect("own files") } else { block.links().expect("own files") };
            let lists = takes_all.iter().map(span_of).flat_map(|span| {
                let events = span.events.into_iter().map(|event| event.attributes);
                let links = span.links.into_iter().map(|link| link.attributes);
                if is_event { events.collect::<Vec<_>>() } else { links.collect() }
            });
            let mut wanted: BTreeMap<String, Vec<String>> = BTreeMap::new();
            let mut num_details = 0;
            for attributes in lists {
                num_details += 1;
                let mut seen = BTreeSet::new();
                for attribute in attributes {
                    let Some(message) = attribute.value.as_ref().map(Message::encode_to_vec) else { continue };
                    let value = ValueRef::read(&message).expect("prost wrote it");
                    // Of a repeated key the first value of each kind counts.
                    if seen.insert((attribute.key.clone(), value.kind())) {
                        wanted.entry(attribute.key).or_default().push(shown(value));
                    }
                }
            }
            prop_assert_eq!(table.is_some(), num_details > 0);
            let of = if is_event { Detail::Event } else { Detail::Link };
            for (key, mut values) in wanted {
                let mut found = Vec::new();
                for group in 0..block.row_groups().len() {
                    let spans = RowGroupSource::open(&block, group).expect("own files");
                    let Some(source) = spans.details(of).expect("own files") else { continue };
                    for kind in source.attribute_kinds(&key) {
                        let column = source.column(ColumnId::Attribute { key: &key, kind }).expect("own files");
                        let values = |column: &Column<'_>| (0..source.num_rows() as u32).filter_map(|row| column.value(row).map(shown)).collect::<Vec<_>>();
                        found.extend(column.iter().flat_map(values));
                    }
                }
                values.sort();
                found.sort();
                prop_assert_eq!(found, values);
            }
        }
    }
}
