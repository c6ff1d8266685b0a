//! How long spans are as protobuf messages, from their columns (spec/metrics-generator.md §2.1).
//!
//! A sender may write the same span longer or shorter; this is the length of the one form that Tempo counts: every field
//! that is not zero once, and the status always, even if it is empty.

use crate::columns::attributes::AttributeTable;
use crate::columns::value::KeyValueRef;
use crate::columns::{Chunk, ColumnValues, Sparse};
use std::ops::Range;

/// Trace id, span id, start and end: a tag, a length where it has one, and the bytes.
const FIXED_BYTES: u32 = 18 + 10 + 9 + 9;
/// A tag and the length of an empty message.
#[cfg(test)]
const EMPTY_MESSAGE: u32 = 2;

/// The length of each span of a range of rows.
pub(super) fn of_spans(chunk: &Chunk, rows: &Range<u32>) -> Vec<u32> {
    let mut sizes: Vec<u32> = (rows.start as usize..rows.end as usize).map(|row| dense(chunk, row)).collect();
    add_attributes(&chunk.attributes, rows, &mut sizes);
    add_text(&chunk.trace_state.codes, rows, &mut sizes, |code| field(chunk.trace_state.dictionary.get(code).len()));
    add_statuses(chunk, rows, &mut sizes);
    add_counts(&chunk.dropped_attributes, rows, &mut sizes, 1);
    add_counts(&chunk.dropped_events, rows, &mut sizes, 1);
    add_counts(&chunk.dropped_links, rows, &mut sizes, 1);
    // Flags are fixed32 behind a tag of two bytes.
    add_text(&chunk.flags, rows, &mut sizes, |_| 6);
    add_events(chunk, rows, &mut sizes);
    add_links(chunk, rows, &mut sizes);
    sizes
}

fn dense(chunk: &Chunk, row: usize) -> u32 {
    let parent = if chunk.parent_id[row] == 0 { 0 } else { 10 };
    let name = chunk.names.get(chunk.name[row]).len();
    let kind = if chunk.kind[row] == 0 { 0 } else { 1 + varint(chunk.kind[row] as i64 as u64) };
    let unset = |nanos: u64| if nanos == 0 { 9 } else { 0 };
    let start = unset(chunk.start[row]) + unset(chunk.end(row as u32));
    FIXED_BYTES - start + parent + text(name) + kind
}

/// A field with a tag of one byte, its length and its bytes.
fn field(length: usize) -> u32 {
    1 + varint(length as u64) + length as u32
}

/// A field with text, which is not there if it is empty.
fn text(length: usize) -> u32 {
    if length == 0 { 0 } else { field(length) }
}

fn varint(value: u64) -> u32 {
    (64 - (value | 1).leading_zeros()).div_ceil(7)
}

/// The rows of a sparse column within a range, as positions of the column.
fn within(rows: &[u32], range: &Range<u32>) -> Range<usize> {
    let first = rows.partition_point(|row| *row < range.start);
    first..first + rows[first..].partition_point(|row| *row < range.end)
}

fn add_text(column: &Sparse<u32>, rows: &Range<u32>, sizes: &mut [u32], size: impl Fn(u32) -> u32) {
    for at in within(&column.rows, rows) {
        sizes[(column.rows[at] - rows.start) as usize] += size(column.values[at]);
    }
}

fn add_counts(column: &Sparse<u32>, rows: &Range<u32>, sizes: &mut [u32], tag: u32) {
    add_text(column, rows, sizes, |count| tag + varint(u64::from(count)));
}

fn add_statuses(chunk: &Chunk, rows: &Range<u32>, sizes: &mut [u32]) {
    let messages = &chunk.status_message;
    let mut lengths = vec![0; sizes.len()];
    add_text(&messages.codes, rows, &mut lengths, |code| field(messages.dictionary.get(code).len()));
    for (at, size) in sizes.iter_mut().enumerate() {
        let code = chunk.status[rows.start as usize + at];
        let code = if code == 0 { 0 } else { 1 + varint(code as i64 as u64) };
        *size += field((lengths[at] + code) as usize);
    }
}

fn add_attributes(table: &AttributeTable, rows: &Range<u32>, sizes: &mut [u32]) {
    for column in table.columns() {
        let key = text(column.key().len());
        // The value is a message within the pair, which is a message within the span.
        let mut add =
            |at: usize, value: u32| sizes[(column.rows[at] - rows.start) as usize] += field((key + field(value as usize)) as usize);
        let range = within(&column.rows, rows);
        match &column.values {
            ColumnValues::Str(codes, dictionary) => range.for_each(|at| add(at, field(dictionary.get(codes[at]).len()))),
            ColumnValues::Int(values) => range.for_each(|at| add(at, 1 + varint(values[at] as u64))),
            ColumnValues::Double(_) => range.for_each(|at| add(at, 9)),
            ColumnValues::Bool(_) => range.for_each(|at| add(at, 2)),
            ColumnValues::Any(codes, dictionary) => range.for_each(|at| add(at, dictionary.get(codes[at]).len() as u32)),
        }
    }
    let (codes, dictionary) = table.residual();
    add_text(codes, rows, sizes, |code| field(pair(dictionary.get(code))));
}

/// The length of a `KeyValue` message, which may be stored in a longer form.
fn pair(message: &[u8]) -> usize {
    let Ok(parts) = KeyValueRef::read(message) else { return message.len() };
    (text(parts.key.len()) + parts.value.map_or(0, |value| field(value.len()))) as usize
}

fn add_events(chunk: &Chunk, rows: &Range<u32>, sizes: &mut [u32]) {
    let events = &chunk.events;
    let range = within(&events.span, rows);
    if range.is_empty() {
        return;
    }
    let event_rows = range.start as u32..range.end as u32;
    let mut lengths: Vec<u32> = range
        .clone()
        .map(|at| {
            let name = events.names.get(events.name[at]).len();
            (if events.time[at] == 0 { 0 } else { 9 }) + text(name)
        })
        .collect();
    add_attributes(&events.attributes, &event_rows, &mut lengths);
    add_counts(&events.dropped_attributes, &event_rows, &mut lengths, 1);
    for (at, length) in range.zip(lengths) {
        sizes[(events.span[at] - rows.start) as usize] += field(length as usize);
    }
}

fn add_links(chunk: &Chunk, rows: &Range<u32>, sizes: &mut [u32]) {
    let links = &chunk.links;
    let range = within(&links.span, rows);
    if range.is_empty() {
        return;
    }
    let link_rows = range.start as u32..range.end as u32;
    let ids = |at: usize| (if links.trace_id[at].is_zero() { 0 } else { 18 }) + if links.span_id[at] == 0 { 0 } else { 10 };
    let mut lengths: Vec<u32> = range.clone().map(ids).collect();
    add_attributes(&links.attributes, &link_rows, &mut lengths);
    add_text(&links.trace_state.codes, &link_rows, &mut lengths, |code| field(links.trace_state.dictionary.get(code).len()));
    add_counts(&links.dropped_attributes, &link_rows, &mut lengths, 1);
    add_text(&links.flags, &link_rows, &mut lengths, |_| 5);
    for (at, length) in range.zip(lengths) {
        sizes[(links.span[at] - rows.start) as usize] += field(length as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::export::export;
    use crate::columns::tests::chunk_of;
    use crate::columns::tests::requests::sent;
    use proptest::prelude::*;
    use prost::Message;

    proptest! {
        #[test]
        fn sizes_are_those_of_the_messages(request in sent()) {
            let chunk = chunk_of(&[request]);
            let num_rows = chunk.num_rows() as u32;
            let sizes = of_spans(&chunk, &(0..num_rows));
            for (row, size) in sizes.iter().enumerate() {
                let row = row as u32;
                let span = export(&chunk, row..row + 1).remove(0).scope_spans.remove(0).spans.remove(0);
                let missing = if span.status.is_none() { EMPTY_MESSAGE } else { 0 };
                prop_assert_eq!(*size, span.encoded_len() as u32 + missing, "{:?}", span);
                prop_assert_eq!(of_spans(&chunk, &(row..row + 1)), [*size]);
            }
        }
    }
}
