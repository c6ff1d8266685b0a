//! The spans of traces, read back into a chunk: only the pages that hold their rows, and only the attribute columns that
//! they fill.

use super::find_details::Details;
use super::group_columns::{decoded_column, decoded_rows};
use super::parquet::{ColumnReader, Decoded, DecodedValues};
use super::rare::{RareColumns, RareRows};
use super::reader::{Block, BlockError, Table};
use super::row_source::{Reuse, RowSource};
use super::schema::{ORDER, RESIDUAL, span};
use crate::columns::chunk::SpanFields;
use crate::columns::resources::OriginTable;
use crate::columns::value::ValueRef;
use crate::columns::view::{Column, Values};
use crate::columns::wire::{Reader, split_varint};
use crate::columns::{AttributeTable, Chunk, ValueKind};
use crate::model::TraceId;
use foldhash::fast::RandomState;
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

/// Where a trace lies: its rows in each table of the block.
pub(super) struct TracePlace {
    pub id: TraceId,
    pub rows: Range<u32>,
    pub events: Range<u32>,
    pub links: Range<u32>,
}

impl Block {
    /// All spans of a trace, by its ordinal in this block.
    pub fn read_trace(&self, trace: u32) -> Result<Chunk, BlockError> {
        let traces = self.traces()?;
        let group = traces.group_of(trace);
        let place =
            TracePlace { id: self.trace_id(trace)?, rows: traces.rows(trace), events: traces.events(trace), links: traces.links(trace) };
        let mut chunk = Chunk::default();
        self.append_places(group, traces.first_row_of(group), &[place], &mut chunk, Reuse::Likely)?;
        Ok(chunk)
    }

    /// Appends the spans of traces of one row group, given in the order of their rows. What lies between the first and the
    /// last is decoded, too, so they should be near each other. `first_row` is the row group's.
    pub(super) fn append_traces(&self, group: usize, first_row: u32, places: &[TracePlace], chunk: &mut Chunk) -> Result<(), BlockError> {
        self.append_places(group, first_row, places, chunk, Reuse::Unlikely)
    }

    fn append_places(
        &self,
        group: usize,
        first_row: u32,
        places: &[TracePlace],
        chunk: &mut Chunk,
        reuse: Reuse,
    ) -> Result<(), BlockError> {
        let (Some(first), Some(last)) = (places.first(), places.last()) else { return Ok(()) };
        let rows = first.rows.start..last.rows.end;
        let (mut resources, mut scopes) = (UsedOrigins::of(self.resources()?), UsedOrigins::of(self.scopes()?));
        let source = |table, group| RowSource { block: self, table, group, reuse };
        let spans = RowReader::read(source(self.data()?, group), within(&rows, first_row), &SPAN_LEAVES)?;
        let mut details = Details::read(&source, self, rows.start, first.events.start..last.events.end, first.links.start..last.links.end)?;
        for place in places {
            details.skip_to(place);
            for row in place.rows.start - rows.start..place.rows.end - rows.start {
                let new_row = chunk.num_rows() as u32;
                spans.add_attributes(row, new_row, &mut chunk.attributes)?;
                spans.add_rare(row, new_row, chunk)?;
                details.add_to(chunk, row, new_row)?;
                let fields = SpanFields {
                    trace_id: place.id,
                    name: spans.text(span::NAME, row)?.unwrap_or_default(),
                    resource: resources.id(&spans, span::RESOURCE, row, &mut chunk.resources)?,
                    scope: scopes.id(&spans, span::SCOPE, row, &mut chunk.scopes)?,
                    ..span_fields(&spans, row)?
                };
                chunk.push_span(&fields, 0);
            }
        }
        Ok(())
    }
}

/// A range of the block's rows, counted from a row group's first.
fn within(rows: &Range<u32>, first: u32) -> Range<usize> {
    rows.start.saturating_sub(first) as usize..rows.end.saturating_sub(first) as usize
}

/// The resources or scopes of a block, copied as the rows of a trace name them: a block may have thousands, a trace has few.
struct UsedOrigins<'a> {
    all: &'a OriginTable,
    /// The new number of each entry that was copied.
    copied: HashMap<u32, u32>,
}

impl<'a> UsedOrigins<'a> {
    fn of(all: &'a OriginTable) -> Self {
        UsedOrigins { all, copied: HashMap::new() }
    }

    /// The number in `to` of what a row names in `leaf`.
    fn id(&mut self, spans: &RowReader<'_>, leaf: &str, row: u32, to: &mut OriginTable) -> Result<u32, BlockError> {
        let entry = spans.number(leaf, row)? as u32;
        if let Some(&id) = self.copied.get(&entry) {
            return Ok(id);
        }
        if entry as usize >= self.all.len() {
            return Err(spans.table.mistyped(leaf));
        }
        let id = to.intern_from(self.all, entry);
        self.copied.insert(entry, id);
        Ok(id)
    }
}

/// The numbers of a row's span.
fn span_fields(spans: &RowReader<'_>, row: u32) -> Result<SpanFields<'static>, BlockError> {
    let number = |leaf: &str| spans.number(leaf, row);
    let start = number(span::START)?;
    let parent_offset = number(span::PARENT_OFFSET)? as u32;
    let parent_id = match parent_offset {
        0 => number(span::PARENT_SPAN_ID)?,
        offset => spans.number(span::SPAN_ID, row.checked_sub(offset).ok_or_else(|| spans.table.mistyped(span::PARENT_OFFSET))?)?,
    };
    Ok(SpanFields {
        span_id: number(span::SPAN_ID)?,
        parent_id,
        start,
        end: start.wrapping_add(number(span::DURATION)?),
        kind: number(span::KIND)? as i32,
        status: number(span::STATUS)? as i32,
        ..SpanFields::default()
    })
}

/// Decoded columns of a range of rows of a table.
pub(super) struct RowReader<'a> {
    table: &'a Table,
    num_rows: usize,
    columns: HashMap<&'a str, Column<'static>, RandomState>,
    /// Attribute columns by ordinal; those that no row of the range fills are not read.
    attributes: Vec<Option<Column<'static>>>,
    rare: RareRows,
    /// The keys of rare attributes by number.
    rare_keys: Vec<&'a str>,
}

const SPAN_LEAVES: [&str; 17] = [
    span::SPAN_ID,
    span::PARENT_SPAN_ID,
    span::PARENT_OFFSET,
    span::START,
    span::DURATION,
    span::NAME,
    span::KIND,
    span::STATUS,
    span::RESOURCE,
    span::SCOPE,
    span::STATUS_MESSAGE,
    span::TRACE_STATE,
    span::FLAGS,
    span::DROPPED_ATTRIBUTES,
    span::DROPPED_EVENTS,
    span::DROPPED_LINKS,
    RESIDUAL,
];

impl<'a> RowReader<'a> {
    /// Reads these leaves, and the attributes.
    pub fn read(source: RowSource<'a>, rows: Range<usize>, leaves: &[&'a str]) -> Result<Self, BlockError> {
        let table = source.table;
        let mut reader = RowReader {
            table,
            num_rows: rows.len(),
            columns: HashMap::default(),
            attributes: Vec::new(),
            rare: RareRows::default(),
            rare_keys: Vec::new(),
        };
        let wanted = std::iter::once(&ORDER).chain(leaves);
        let mut columns = Vec::new();
        for leaf in wanted {
            if let Some(column) = source.column(leaf)? {
                columns.push((*leaf, column));
            }
        }
        let decoded = source.decode(columns.iter().map(|(_, column)| column), &rows)?;
        for ((leaf, _), decoded) in columns.iter().zip(decoded) {
            let column = plain_column(decoded).ok_or_else(|| table.mistyped(leaf))?;
            reader.columns.insert(leaf, column);
        }
        if reader.read_attributes(source, &rows)? {
            reader.read_rare(source, &rows)?;
        }
        Ok(reader)
    }

    /// Reads the columns that the rows fill; whether some attribute has none.
    fn read_attributes(&mut self, source: RowSource<'_>, rows: &Range<usize>) -> Result<bool, BlockError> {
        let entries = self.table.attributes();
        self.attributes.resize_with(entries.len(), || None);
        let mut filled: Vec<(usize, ColumnReader)> = Vec::new();
        let (ordinals, has_bare) = self.filled_ordinals()?;
        for ordinal in ordinals {
            let entry = entries.get(ordinal).ok_or_else(|| self.table.mistyped(ORDER))?;
            let column = source.column(&entry.leaf)?.ok_or_else(|| self.table.mistyped(ORDER))?;
            filled.push((ordinal, column));
        }
        let decoded = source.decode(filled.iter().map(|(_, column)| column), rows)?;
        for ((ordinal, _), decoded) in filled.iter().zip(decoded) {
            let kind = ValueKind::from_name(&entries[*ordinal].kind);
            let column = kind.and_then(|kind| decoded_column(decoded, kind));
            self.attributes[*ordinal] = Some(column.ok_or_else(|| self.table.mistyped(ORDER))?);
        }
        Ok(has_bare)
    }

    fn read_rare(&mut self, source: RowSource<'a>, rows: &Range<usize>) -> Result<(), BlockError> {
        self.rare = RareRows::read(source, rows)?;
        self.rare_keys =
            RareColumns::open(source.block, self.table, source.group)?.map(|rare| rare.all_keys().collect()).unwrap_or_default();
        Ok(())
    }

    /// The ordinals that occur in the orders of the rows, and whether some attribute has no column.
    fn filled_ordinals(&self) -> Result<(BTreeSet<usize>, bool), BlockError> {
        let (mut ordinals, mut has_bare) = (BTreeSet::new(), false);
        for row in 0..self.num_rows as u32 {
            let mut order = self.text(ORDER, row)?.unwrap_or_default();
            while let Some((element, rest)) = split_varint(order) {
                has_bare |= element == 0;
                ordinals.extend(element.checked_sub(1).map(|ordinal| ordinal as usize));
                order = rest;
            }
        }
        Ok((ordinals, has_bare))
    }

    /// Number of rows of the range.
    pub fn num_rows(&self) -> usize {
        self.num_rows
    }

    /// A number of a row; 0 where there is none.
    pub fn number(&self, leaf: &str, row: u32) -> Result<u64, BlockError> {
        let Some(column) = self.columns.get(leaf) else { return Ok(0) };
        let Some(at) = column.position(row) else { return Ok(0) };
        match &column.values {
            Values::Enum(values) => Ok(values.get(at).map_or(0, |value| u64::from(*value as u32))),
            Values::Int(values) => Ok(values.get(at).map_or(0, |value| *value as u64)),
            _ => Err(self.table.mistyped(leaf)),
        }
    }

    /// A text of a row, if it has one.
    pub fn text(&self, leaf: &str, row: u32) -> Result<Option<&[u8]>, BlockError> {
        let Some(column) = self.columns.get(leaf) else { return Ok(None) };
        match (column.position(row), &column.values) {
            (None, _) => Ok(None),
            (Some(at), Values::Text(codes, strings)) => Ok(codes.get(at).map(|code| strings.get(*code))),
            _ => Err(self.table.mistyped(leaf)),
        }
    }

    /// Adds the attributes of a row in their order; the row is not ended.
    pub fn add_attributes(&self, row: u32, new_row: u32, to: &mut AttributeTable) -> Result<(), BlockError> {
        let mut residual = Reader::new(self.text(RESIDUAL, row)?.unwrap_or_default());
        let mut order = self.text(ORDER, row)?.unwrap_or_default();
        let mut rare = self.rare.of_row(row).iter().peekable();
        let mut position = 0;
        while let Some((element, rest)) = split_varint(order) {
            order = rest;
            if element == 0 {
                let cell = rare.next_if(|cell| cell.position == position);
                position += 1;
                if let Some(cell) = cell {
                    let value = self.rare.value(cell).zip(self.rare_keys.get(cell.entry as usize));
                    let (value, key) = value.ok_or_else(|| self.table.mistyped(ORDER))?;
                    to.add_value(new_row, key.as_bytes(), value);
                    continue;
                }
            }
            match element.checked_sub(1) {
                None => {
                    let next = residual.next_field().ok().flatten().and_then(|(_, field)| field.bytes(1).ok());
                    let message = next.ok_or_else(|| self.table.mistyped(RESIDUAL))?;
                    to.add(new_row, message).map_err(|_| self.table.mistyped(RESIDUAL))?;
                }
                Some(ordinal) => {
                    let value = self.attribute(ordinal as usize, row).ok_or_else(|| self.table.mistyped(ORDER))?;
                    to.add_value(new_row, self.table.attributes()[ordinal as usize].key.as_bytes(), value);
                }
            }
        }
        if rare.next().is_none() { Ok(()) } else { Err(self.table.mistyped(ORDER)) }
    }

    fn attribute(&self, ordinal: usize, row: u32) -> Option<ValueRef<'_>> {
        self.attributes.get(ordinal)?.as_ref()?.value(row)
    }

    fn add_rare(&self, row: u32, new_row: u32, chunk: &mut Chunk) -> Result<(), BlockError> {
        let texts = [(span::STATUS_MESSAGE, &mut chunk.status_message), (span::TRACE_STATE, &mut chunk.trace_state)];
        for (leaf, column) in texts {
            if let Some(text) = self.text(leaf, row)? {
                column.push_bytes(new_row, text);
            }
        }
        let numbers = [
            (span::FLAGS, &mut chunk.flags),
            (span::DROPPED_ATTRIBUTES, &mut chunk.dropped_attributes),
            (span::DROPPED_EVENTS, &mut chunk.dropped_events),
            (span::DROPPED_LINKS, &mut chunk.dropped_links),
        ];
        for (leaf, column) in numbers {
            match self.number(leaf, row)? {
                0 => {}
                number => column.push(new_row, number as u32),
            }
        }
        Ok(())
    }
}

/// A decoded column that is no attribute: text, or numbers as they are.
fn plain_column(decoded: Decoded) -> Option<Column<'static>> {
    let values = match decoded.values {
        DecodedValues::Int32(values) => Values::Enum(Cow::Owned(values)),
        DecodedValues::Int64(values) => Values::Int(Cow::Owned(values)),
        values => return decoded_column(Decoded { rows: decoded.rows, values }, ValueKind::Str),
    };
    Some(Column { rows: decoded_rows(decoded.rows), values })
}
