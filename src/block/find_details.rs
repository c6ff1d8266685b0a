//! The events and links of traces that are read back.

use super::find_trace::{RowReader, TracePlace};
use super::parquet::DecodedValues;
use super::reader::{Block, BlockError, Table};
use super::row_source::RowSource;
use super::schema::{RESIDUAL, detail};
use crate::columns::Chunk;
use crate::model::TraceId;
use std::ops::Range;

const DETAIL_LEAVES: [&str; 8] = [
    detail::SPAN_ROW,
    detail::TIME,
    detail::NAME,
    detail::SPAN_ID,
    detail::TRACE_STATE,
    detail::FLAGS,
    detail::DROPPED_ATTRIBUTES,
    RESIDUAL,
];

/// The events and links of a range of rows, with the next ones to be taken.
pub(super) struct Details<'a> {
    events: Option<RowReader<'a>>,
    links: Option<RowReader<'a>>,
    /// The linked traces, by row of `links`.
    linked_traces: Vec<TraceId>,
    first_span: u32,
    first_event: u32,
    first_link: u32,
    next_event: u32,
    next_link: u32,
}

impl<'a> Details<'a> {
    /// Reads those in these rows of their tables; `first_span` is the first row of the spans.
    pub fn read(
        source: &impl Fn(&'a Table, usize) -> RowSource<'a>,
        block: &'a Block,
        first_span: u32,
        event_rows: Range<u32>,
        link_rows: Range<u32>,
    ) -> Result<Self, BlockError> {
        let mut details = Details {
            events: None,
            links: None,
            linked_traces: Vec::new(),
            first_span,
            first_event: event_rows.start,
            first_link: link_rows.start,
            next_event: 0,
            next_link: 0,
        };
        if let (Some(table), false) = (block.events()?, event_rows.is_empty()) {
            let (group, rows) = locate(table, &event_rows)?;
            details.events = Some(RowReader::read(source(table, group), rows, &DETAIL_LEAVES)?);
        }
        if let (Some(table), false) = (block.links()?, link_rows.is_empty()) {
            let (group, rows) = locate(table, &link_rows)?;
            details.linked_traces = linked_traces(source(table, group), &rows)?;
            details.links = Some(RowReader::read(source(table, group), rows, &DETAIL_LEAVES)?);
        }
        Ok(details)
    }

    /// Passes over the events and links of traces before this one.
    pub fn skip_to(&mut self, place: &TracePlace) {
        self.next_event = place.events.start - self.first_event;
        self.next_link = place.links.start - self.first_link;
    }

    /// Moves the events and links of a span of the range to the chunk, where it will have `new_row`.
    pub fn add_to(&mut self, chunk: &mut Chunk, row: u32, new_row: u32) -> Result<(), BlockError> {
        if let Some(events) = &self.events {
            while is_of(events, self.next_event, self.first_span, row)? {
                add_event(events, self.next_event, new_row, chunk)?;
                self.next_event += 1;
            }
        }
        if let Some(links) = &self.links {
            while is_of(links, self.next_link, self.first_span, row)? {
                let linked = self.linked_traces.get(self.next_link as usize).copied().unwrap_or_default();
                add_link(links, self.next_link, new_row, linked, chunk)?;
                self.next_link += 1;
            }
        }
        Ok(())
    }
}

/// Whether the next detail row exists and belongs to this span of the trace.
fn is_of(details: &RowReader<'_>, next: u32, first_span: u32, row: u32) -> Result<bool, BlockError> {
    Ok((next as usize) < details.num_rows() && details.number(detail::SPAN_ROW, next)? as u32 == first_span + row)
}

fn add_event(events: &RowReader<'_>, row: u32, span: u32, chunk: &mut Chunk) -> Result<(), BlockError> {
    let new_row = chunk.events.span.len() as u32;
    events.add_attributes(row, new_row, &mut chunk.events.attributes)?;
    match events.number(detail::DROPPED_ATTRIBUTES, row)? {
        0 => {}
        count => chunk.events.dropped_attributes.push(new_row, count as u32),
    }
    let name = chunk.events.names.intern(events.text(detail::NAME, row)?.unwrap_or_default());
    chunk.events.push(span, events.number(detail::TIME, row)?, name);
    Ok(())
}

fn add_link(links: &RowReader<'_>, row: u32, span: u32, linked: TraceId, chunk: &mut Chunk) -> Result<(), BlockError> {
    let new_row = chunk.links.span.len() as u32;
    links.add_attributes(row, new_row, &mut chunk.links.attributes)?;
    if let Some(state) = links.text(detail::TRACE_STATE, row)? {
        chunk.links.trace_state.push_bytes(new_row, state);
    }
    let numbers = [(detail::FLAGS, &mut chunk.links.flags), (detail::DROPPED_ATTRIBUTES, &mut chunk.links.dropped_attributes)];
    for (leaf, column) in numbers {
        match links.number(leaf, row)? {
            0 => {}
            number => column.push(new_row, number as u32),
        }
    }
    chunk.links.push(span, linked, links.number(detail::SPAN_ID, row)?);
    Ok(())
}

fn linked_traces(source: RowSource<'_>, rows: &Range<usize>) -> Result<Vec<TraceId>, BlockError> {
    let table = source.table;
    let column = source.column(detail::TRACE_ID)?.ok_or_else(|| table.mistyped(detail::TRACE_ID))?;
    let mut decoded = source.decode(std::iter::once(&column), rows)?;
    match decoded.pop().map(|decoded| decoded.values) {
        Some(DecodedValues::Fixed(bytes, 16)) => Ok(bytes.chunks_exact(16).filter_map(TraceId::from_slice).collect()),
        _ => Err(table.mistyped(detail::TRACE_ID)),
    }
}

/// The row group of a range of detail rows, and the range within it.
fn locate(table: &Table, rows: &Range<u32>) -> Result<(usize, Range<usize>), BlockError> {
    let mut first = 0;
    for group in 0..table.num_row_groups() {
        let next = first + table.num_rows(group);
        if (rows.start as usize) < next {
            let range = rows.start as usize - first..rows.end as usize - first;
            return if rows.end as usize <= next { Ok((group, range)) } else { Err(table.mistyped(detail::SPAN_ROW)) };
        }
        first = next;
    }
    Err(table.mistyped(detail::SPAN_ROW))
}
