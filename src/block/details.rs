//! `events.parquet` and `links.parquet`: one row each, in the order of their spans.
//!
//! A row group of spans that has events has one row group of events, so that both are read together; one without events
//! has none.

use super::catalogue::{CatalogueWriter, ColumnName};
use super::gather::{AttributePlan, NOT_TAKEN, OrderWriter, RowMap, Scatter, attribute_cells, sparse_cells, sparse_text_cells};
use super::meta::FileMeta;
use super::output::BlockSink;
use super::plan::Plan;
use super::rare::RareOfChunks;
use super::recode::CodeSpace;
use super::schema::{EVENTS_FILE, LINKS_FILE, RARE_EVENT_FILE, RARE_LINK_FILE, detail, push_attribute_leaves};
use super::spans::{write_coded, write_order};
use super::table::{Cells, Coding, Leaf, LeafType, RowGroup, TableWriter};
use crate::columns::known::Holder;
use crate::columns::{AttributeTable, Chunk, Dictionary, Sparse};
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use std::ops::Range;

/// The files written and, for each trace by ordinal, its numbers of events and links.
pub(super) struct Details {
    pub files: Vec<FileMeta>,
    pub counts: Vec<(u32, u32)>,
}

/// Writes the files that have rows.
pub(super) fn write_details(plan: &Plan<'_>, sink: &dyn BlockSink, catalogue: &mut CatalogueWriter) -> Result<Details, ParquetError> {
    let events = Placement::of(plan, |chunk| &chunk.events.span);
    let links = Placement::of(plan, |chunk| &chunk.links.span);
    let counts = events.per_trace.iter().copied().zip(links.per_trace.iter().copied()).collect();
    let mut files = Vec::new();
    if !events.rows.is_empty() {
        files.extend(write_events(plan, &events, sink, catalogue)?);
    }
    if !links.rows.is_empty() {
        files.extend(write_links(plan, &links, sink, catalogue)?);
    }
    Ok(Details { files, counts })
}

/// A detail row of the block: its source, its row there, and the block row of its span.
#[derive(Clone, Copy)]
struct DetailRow {
    source: u32,
    row: u32,
    span: u32,
}

/// Where the detail rows of the sources go.
struct Placement {
    rows: Vec<DetailRow>,
    map: RowMap,
    /// The rows of each row group of spans.
    groups: Vec<Range<usize>>,
    per_trace: Vec<u32>,
}

impl Placement {
    /// The place of each detail row, given the span of each in a source.
    fn of(plan: &Plan<'_>, spans_of: fn(&Chunk) -> &[u32]) -> Self {
        let mut rows = Vec::new();
        for ((source, chunk), map) in plan.sources.iter().enumerate().zip(plan.row_map) {
            let placed = spans_of(chunk).iter().enumerate().map(|(row, &span)| (row as u32, map[span as usize]));
            rows.extend(placed.filter(|(_, span)| *span != NOT_TAKEN).map(|(row, span)| DetailRow { source: source as u32, row, span }));
        }
        // A span is a row of one source, whose details follow each other there.
        rows.sort_unstable_by_key(|at| (at.span, at.row));
        let mut map: RowMap = plan.sources.iter().map(|chunk| vec![NOT_TAKEN; spans_of(chunk).len()]).collect();
        for (placed, at) in rows.iter().enumerate() {
            map[at.source as usize][at.row as usize] = placed as u32;
        }
        let up_to = |row: usize| rows.partition_point(|at| (at.span as usize) < row);
        let groups = (0..plan.num_groups()).map(|group| up_to(plan.rows_of(group).start)..up_to(plan.rows_of(group).end)).collect();
        let per_trace = per_trace(plan, &rows);
        Placement { rows, map, groups, per_trace }
    }

    /// Row groups that have rows.
    fn filled_groups(&self) -> impl Iterator<Item = &Range<usize>> {
        self.groups.iter().filter(|rows| !rows.is_empty())
    }
}

/// The number of detail rows of each trace of the block.
fn per_trace(plan: &Plan<'_>, rows: &[DetailRow]) -> Vec<u32> {
    let mut rest = rows;
    let mut next = |end: u32| {
        let number = rest.iter().take_while(|at| at.span < end).count();
        rest = &rest[number..];
        number as u32
    };
    plan.arrangement.traces.iter().map(|trace| next(trace.first_row + trace.num_rows)).collect()
}

/// What both tables share: span rows, counts of dropped attributes, attributes.
struct DetailWriter<'a> {
    plan: &'a Plan<'a>,
    placement: &'a Placement,
    attributes: &'a AttributePlan<'a>,
    order: OrderWriter<'a, 'a>,
    scratch: Scatter,
}

impl<'a> DetailWriter<'a> {
    fn new(plan: &'a Plan<'a>, placement: &'a Placement, attributes: &'a AttributePlan<'a>) -> Self {
        DetailWriter { plan, placement, attributes, order: OrderWriter::new(attributes), scratch: Scatter::default() }
    }

    fn each<T>(&self, rows: &Range<usize>, value: impl Fn(&Chunk, usize) -> T) -> Vec<T> {
        let sources = self.plan.sources;
        self.placement.rows[rows.clone()].iter().map(|at| value(sources[at.source as usize], at.row as usize)).collect()
    }

    fn span_rows(&self, rows: &Range<usize>, out: &mut RowGroup<'_>) -> Result<(), ParquetError> {
        let spans: Vec<i32> = self.placement.rows[rows.clone()].iter().map(|at| at.span as i32).collect();
        out.column(Cells::I32(&spans), None)
    }

    fn numbers(&mut self, rows: &Range<usize>, column: fn(&Chunk) -> &Sparse<u32>, out: &mut RowGroup<'_>) -> Result<(), ParquetError> {
        let parts: Vec<_> = self.plan.sources.iter().map(|chunk| column(chunk)).collect();
        sparse_cells(&parts, &self.placement.map, rows.clone(), &mut self.scratch, |cells, levels| out.column(cells, Some(levels)))
    }

    fn attributes(&mut self, rows: &Range<usize>, out: &mut RowGroup<'_>) -> Result<(), ParquetError> {
        let origins = self.placement.rows[rows.clone()].iter().map(|at| (at.source as usize, at.row));
        write_order(&mut self.order, self.attributes, origins, out)?;
        for chosen in 0..self.attributes.choice.chosen.len() {
            attribute_cells(self.attributes, chosen, &self.placement.map, rows.clone(), &mut self.scratch, |cells, levels| {
                out.column(cells, Some(levels))
            })?;
        }
        Ok(())
    }
}

fn attribute_plan<'a>(plan: &Plan<'a>, num_rows: usize, table: fn(&Chunk) -> &AttributeTable) -> AttributePlan<'a> {
    AttributePlan::new(plan.sources.iter().map(|chunk| table(chunk)).collect(), num_rows)
}

/// The leaves of `events.parquet` before those of attributes.
pub(super) fn event_leaves() -> Vec<Leaf> {
    vec![
        Leaf::required(detail::SPAN_ROW, LeafType::I32, Coding::Delta),
        Leaf::required(detail::TIME, LeafType::Timestamp, Coding::Delta),
        Leaf::required(detail::NAME, LeafType::Text, Coding::DictionaryLz4).catalogued(ColumnName::Name),
        Leaf::optional(detail::DROPPED_ATTRIBUTES, LeafType::I32, Coding::DictionaryLz4),
    ]
}

/// The leaves of `links.parquet` before those of attributes.
pub(super) fn link_leaves() -> Vec<Leaf> {
    vec![
        Leaf::required(detail::SPAN_ROW, LeafType::I32, Coding::Delta),
        Leaf::required(detail::TRACE_ID, LeafType::TraceId, Coding::Plain),
        Leaf::required(detail::SPAN_ID, LeafType::U64, Coding::Plain),
        Leaf::optional(detail::TRACE_STATE, LeafType::Text, Coding::DictionaryLz4),
        Leaf::optional(detail::FLAGS, LeafType::I32, Coding::DictionaryLz4),
        Leaf::optional(detail::DROPPED_ATTRIBUTES, LeafType::I32, Coding::DictionaryLz4),
    ]
}

fn write_events(
    plan: &Plan<'_>,
    placement: &Placement,
    sink: &dyn BlockSink,
    catalogue: &mut CatalogueWriter,
) -> Result<Vec<FileMeta>, ParquetError> {
    let attributes = attribute_plan(plan, placement.rows.len(), |chunk| &chunk.events.attributes);
    let mut leaves = event_leaves();
    let metadata = push_attribute_leaves(&mut leaves, "event", &attributes.choice);
    let mut table = TableWriter::new(sink, EVENTS_FILE, &leaves, metadata)?.collecting(&leaves, plan.num_spans());
    let names: Vec<&Dictionary> = plan.sources.iter().map(|chunk| &chunk.events.names).collect();
    let space = CodeSpace::new(names.clone());
    let groups = placement.filled_groups().cloned().collect();
    let mut rare = RareOfChunks::start(sink, RARE_EVENT_FILE, &attributes, &placement.map, groups, plan.num_spans())?;
    let mut writer = DetailWriter::new(plan, placement, &attributes);
    for rows in placement.filled_groups() {
        rare.write_next()?;
        let mut out = table.row_group()?;
        writer.span_rows(rows, &mut out)?;
        out.column(Cells::I64(&writer.each(rows, |chunk, row| chunk.events.time[row] as i64)), None)?;
        let name = |at: &DetailRow| space.base(at.source as usize) + plan.sources[at.source as usize].events.name[at.row as usize];
        write_coded(&names, placement.rows[rows.clone()].iter().map(name), &mut out)?;
        writer.numbers(rows, |chunk| &chunk.events.dropped_attributes, &mut out)?;
        writer.attributes(rows, &mut out)?;
        out.finish()?;
    }
    let mut collected = table.take_collected();
    let rare_file = rare.finish(&mut collected)?;
    catalogue.add_table(Holder::Event, collected, &attributes.choice.residual_keys);
    Ok(rare_file.into_iter().chain([table.finish()?]).collect())
}

fn write_links(
    plan: &Plan<'_>,
    placement: &Placement,
    sink: &dyn BlockSink,
    catalogue: &mut CatalogueWriter,
) -> Result<Vec<FileMeta>, ParquetError> {
    let attributes = attribute_plan(plan, placement.rows.len(), |chunk| &chunk.links.attributes);
    let mut leaves = link_leaves();
    let metadata = push_attribute_leaves(&mut leaves, "link", &attributes.choice);
    let mut table = TableWriter::new(sink, LINKS_FILE, &leaves, metadata)?.collecting(&leaves, plan.num_spans());
    let groups = placement.filled_groups().cloned().collect();
    let mut rare = RareOfChunks::start(sink, RARE_LINK_FILE, &attributes, &placement.map, groups, plan.num_spans())?;
    let mut writer = DetailWriter::new(plan, placement, &attributes);
    for rows in placement.filled_groups() {
        rare.write_next()?;
        let mut out = table.row_group()?;
        writer.span_rows(rows, &mut out)?;
        let ids = writer.each(rows, |chunk, row| ByteArray::from(chunk.links.trace_id[row].0.to_vec()));
        out.column(Cells::Bytes(ids), None)?;
        out.column(Cells::I64(&writer.each(rows, |chunk, row| chunk.links.span_id[row] as i64)), None)?;
        let states: Vec<_> = plan.sources.iter().map(|chunk| &chunk.links.trace_state).collect();
        sparse_text_cells(&states, &placement.map, rows.clone(), &mut writer.scratch, |cells, levels| out.column(cells, Some(levels)))?;
        writer.numbers(rows, |chunk| &chunk.links.flags, &mut out)?;
        writer.numbers(rows, |chunk| &chunk.links.dropped_attributes, &mut out)?;
        writer.attributes(rows, &mut out)?;
        out.finish()?;
    }
    let mut collected = table.take_collected();
    let rare_file = rare.finish(&mut collected)?;
    catalogue.add_table(Holder::Link, collected, &attributes.choice.residual_keys);
    Ok(rare_file.into_iter().chain([table.finish()?]).collect())
}
