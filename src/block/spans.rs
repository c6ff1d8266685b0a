//! `data.parquet`: one row a span.

use super::arrange::SourceRow;
use super::catalogue::{CatalogueWriter, ColumnName};
use super::dictionary_chunk::Entries;
use super::gather::{AttributePlan, OrderWriter, Scatter, attribute_cells, sparse_cells, sparse_text_cells};
use super::meta::FileMeta;
use super::origins::service_names;
use super::output::BlockSink;
use super::plan::Plan;
use super::rare::RareOfChunks;
use super::recode::{CodeSpace, Recoder, i32_codes};
use super::schema::{DATA_FILE, RARE_FILE, push_attribute_leaves, span};
use super::table::{Cells, Coding, Leaf, LeafType, RowGroup, TableWriter};
use crate::columns::known::Holder;
use crate::columns::{Chunk, Dictionary, Sparse, SparseText};
use parquet::errors::ParquetError;

/// A rare number column: its leaf and where chunks keep it.
type RareNumber = (&'static str, fn(&Chunk) -> &Sparse<u32>);
/// A rare text column: its leaf and where chunks keep it.
type RareText = (&'static str, fn(&Chunk) -> &SparseText);

const RARE_TEXTS: [RareText; 2] = [(span::STATUS_MESSAGE, |chunk| &chunk.status_message), (span::TRACE_STATE, |chunk| &chunk.trace_state)];
const RARE_NUMBERS: [RareNumber; 4] = [
    (span::FLAGS, |chunk| &chunk.flags),
    (span::DROPPED_ATTRIBUTES, |chunk| &chunk.dropped_attributes),
    (span::DROPPED_EVENTS, |chunk| &chunk.dropped_events),
    (span::DROPPED_LINKS, |chunk| &chunk.dropped_links),
];

/// Writes `data.parquet` and, if there are rare attributes, the table of these.
pub(super) fn write_spans(plan: &Plan<'_>, sink: &dyn BlockSink, catalogue: &mut CatalogueWriter) -> Result<Vec<FileMeta>, ParquetError> {
    let attributes = AttributePlan::new(plan.sources.iter().map(|chunk| &chunk.attributes).collect(), plan.num_spans());
    let rare = RareColumns::of(plan.sources);
    let mut leaves = dense_leaves();
    rare.push_leaves(&mut leaves);
    let metadata = push_attribute_leaves(&mut leaves, "span", &attributes.choice);
    let mut table = TableWriter::new(sink, DATA_FILE, &leaves, metadata)?.collecting(&leaves, plan.num_spans()).counting_spans();
    let mut writer = SpanWriter {
        plan,
        services: service_names(plan.resources),
        order: OrderWriter::new(&attributes),
        attributes: &attributes,
        scratch: Scatter::default(),
    };
    let groups: Vec<_> = (0..plan.num_groups()).map(|group| plan.rows_of(group)).collect();
    let mut rare_attributes = RareOfChunks::start(sink, RARE_FILE, &attributes, plan.row_map, groups, plan.num_spans())?;
    for group in 0..plan.num_groups() {
        rare_attributes.write_next()?;
        let mut out = table.row_group()?;
        writer.dense(group, &mut out)?;
        writer.rare(&rare, group, &mut out)?;
        writer.attributes(group, &mut out)?;
        out.finish()?;
    }
    let mut collected = table.take_collected();
    let rare_file = rare_attributes.finish(&mut collected)?;
    catalogue.add_table(Holder::Span, collected, &attributes.choice.residual_keys);
    table.take_counted().into_iter().for_each(|counter| catalogue.add_span_counts(counter));
    Ok(rare_file.into_iter().chain([table.finish()?]).collect())
}

/// The leaves that every span has a value in, and that of orphans' parents.
pub(super) fn dense_leaves() -> Vec<Leaf> {
    vec![
        Leaf::required(span::TRACE_ID, LeafType::TraceId, Coding::Dictionary),
        Leaf::required(span::SPAN_ID, LeafType::U64, Coding::Plain),
        Leaf::optional(span::PARENT_SPAN_ID, LeafType::U64, Coding::Plain),
        Leaf::required(span::PARENT_OFFSET, LeafType::I32, Coding::PlainZstd),
        Leaf::required(span::SUBTREE, LeafType::I32, Coding::PlainZstd),
        Leaf::required(span::START, LeafType::Timestamp, Coding::Delta).with_page_statistics(),
        Leaf::required(span::DURATION, LeafType::U64, Coding::Delta).with_page_statistics().catalogued(ColumnName::Duration),
        Leaf::required(span::NAME, LeafType::Text, Coding::DictionaryLz4).catalogued(ColumnName::Name),
        Leaf::required(span::KIND, LeafType::I32, Coding::DictionaryLz4).catalogued(ColumnName::Kind),
        Leaf::required(span::STATUS, LeafType::I32, Coding::DictionaryLz4).catalogued(ColumnName::Status),
        Leaf::required(span::SERVICE_NAME, LeafType::Text, Coding::DictionaryLz4),
        Leaf::required(span::RESOURCE, LeafType::I32, Coding::DictionaryLz4),
        Leaf::required(span::SCOPE, LeafType::I32, Coding::DictionaryLz4),
    ]
}

/// The rare columns that some span has a value in.
pub(super) struct RareColumns {
    texts: Vec<RareText>,
    numbers: Vec<RareNumber>,
}

impl RareColumns {
    fn of(sources: &[&Chunk]) -> Self {
        let has_text = |column: &RareText| sources.iter().any(|chunk| !column.1(chunk).codes.is_empty());
        let has_number = |column: &RareNumber| sources.iter().any(|chunk| !column.1(chunk).is_empty());
        RareColumns {
            texts: RARE_TEXTS.into_iter().filter(has_text).collect(),
            numbers: RARE_NUMBERS.into_iter().filter(has_number).collect(),
        }
    }

    /// Those whose leaf is there.
    pub fn named(is_there: impl Fn(&str) -> bool) -> Self {
        RareColumns {
            texts: RARE_TEXTS.into_iter().filter(|(leaf, _)| is_there(leaf)).collect(),
            numbers: RARE_NUMBERS.into_iter().filter(|(leaf, _)| is_there(leaf)).collect(),
        }
    }

    /// The leaves of texts, in the order of the file.
    pub fn texts(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.texts.iter().map(|(leaf, _)| *leaf)
    }

    /// The leaves of numbers, which follow those of texts.
    pub fn numbers(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.numbers.iter().map(|(leaf, _)| *leaf)
    }

    /// Adds the leaves, in the order of the file.
    pub fn push_leaves(&self, leaves: &mut Vec<Leaf>) {
        leaves.extend(self.texts().map(|name| match Leaf::optional(name, LeafType::Text, Coding::DictionaryLz4) {
            leaf if name == span::STATUS_MESSAGE => leaf.catalogued(ColumnName::StatusMessage),
            leaf => leaf,
        }));
        leaves.extend(self.numbers.iter().map(|(name, _)| Leaf::optional(name, LeafType::I32, Coding::DictionaryLz4)));
    }
}

struct SpanWriter<'a> {
    plan: &'a Plan<'a>,
    /// Distinct service names, and the code of each resource of the block.
    services: (Dictionary, Vec<u32>),
    order: OrderWriter<'a, 'a>,
    attributes: &'a AttributePlan<'a>,
    scratch: Scatter,
}

impl SpanWriter<'_> {
    /// Values of a row group's rows, in order.
    fn each<T>(&self, group: usize, value: impl Fn(&Chunk, usize) -> T) -> Vec<T> {
        let sources = self.plan.sources;
        self.plan.source_rows(group).iter().map(|at| value(sources[at.source as usize], at.row as usize)).collect()
    }

    fn dense(&mut self, group: usize, out: &mut RowGroup<'_>) -> Result<(), ParquetError> {
        let rows = self.plan.rows_of(group);
        self.trace_ids(group, out)?;
        out.column(Cells::I64(&self.each(group, |chunk, row| chunk.span_id[row] as i64)), None)?;
        let (orphans, levels) = self.orphan_parents(group);
        out.column(Cells::I64(&orphans), Some(&levels))?;
        let arrangement = self.plan.arrangement;
        out.column(Cells::I32(&as_i32(&arrangement.parent_offset[rows.clone()])), None)?;
        out.column(Cells::I32(&as_i32(&arrangement.subtree[rows])), None)?;
        out.column(Cells::I64(&self.each(group, |chunk, row| chunk.start[row] as i64)), None)?;
        out.column(Cells::I64(&self.each(group, |chunk, row| chunk.duration[row] as i64)), None)?;
        let names: Vec<&Dictionary> = self.plan.sources.iter().map(|chunk| &chunk.names).collect();
        let space = CodeSpace::new(names.clone());
        let rows = self.plan.source_rows(group).iter();
        let name = |at: &SourceRow| space.base(at.source as usize) + self.plan.sources[at.source as usize].name[at.row as usize];
        write_coded(&names, rows.map(name), out)?;
        write_numbers(&self.each(group, |chunk, row| chunk.kind[row]), out)?;
        write_numbers(&self.each(group, |chunk, row| chunk.status[row]), out)?;
        self.origins(group, out)
    }

    fn trace_ids(&self, group: usize, out: &mut RowGroup<'_>) -> Result<(), ParquetError> {
        let traces = &self.plan.arrangement.traces[self.plan.arrangement.row_groups[group].clone()];
        let mut codes = Vec::with_capacity(self.plan.rows_of(group).len());
        for (code, trace) in traces.iter().enumerate() {
            codes.extend(std::iter::repeat_n(code as u32, trace.num_rows as usize));
        }
        out.column(Cells::Coded(&codes, &Entries::fixed(traces.iter().map(|trace| trace.id.0))), None)
    }

    fn orphan_parents(&self, group: usize) -> (Vec<i64>, Vec<i16>) {
        let offsets = &self.plan.arrangement.parent_offset[self.plan.rows_of(group)];
        let parents = self.each(group, |chunk, row| chunk.parent_id[row]);
        let is_orphan = |(offset, parent): (&u32, &u64)| *offset == 0 && *parent != 0;
        let levels: Vec<i16> = offsets.iter().zip(&parents).map(|pair| i16::from(is_orphan(pair))).collect();
        let values = parents.iter().zip(&levels).filter(|(_, level)| **level == 1).map(|(parent, _)| *parent as i64).collect();
        (values, levels)
    }

    fn origins(&self, group: usize, out: &mut RowGroup<'_>) -> Result<(), ParquetError> {
        let (sources, rows) = (self.plan.sources, self.plan.source_rows(group));
        let ids = |origins: &super::origins::Origins, of: fn(&Chunk) -> &[u32]| -> Vec<i32> {
            rows.iter().map(|at| origins.id(at.source, of(sources[at.source as usize])[at.row as usize]) as i32).collect()
        };
        let resources = ids(self.plan.resources, |chunk| &chunk.resource);
        let (names, codes) = &self.services;
        write_coded(&[names], resources.iter().map(|&id| codes[id as usize]), out)?;
        write_numbers(&resources, out)?;
        write_numbers(&ids(self.plan.scopes, |chunk| &chunk.scope), out)
    }

    fn rare(&mut self, rare: &RareColumns, group: usize, out: &mut RowGroup<'_>) -> Result<(), ParquetError> {
        let (sources, map) = (self.plan.sources, self.plan.row_map);
        for (_, column) in &rare.texts {
            let parts: Vec<_> = sources.iter().map(|chunk| column(chunk)).collect();
            sparse_text_cells(&parts, map, self.plan.rows_of(group), &mut self.scratch, |cells, levels| out.column(cells, Some(levels)))?;
        }
        for (_, column) in &rare.numbers {
            let parts: Vec<_> = sources.iter().map(|chunk| column(chunk)).collect();
            sparse_cells(&parts, map, self.plan.rows_of(group), &mut self.scratch, |cells, levels| out.column(cells, Some(levels)))?;
        }
        Ok(())
    }

    fn attributes(&mut self, group: usize, out: &mut RowGroup<'_>) -> Result<(), ParquetError> {
        let rows = self.plan.source_rows(group).iter().map(|at| (at.source as usize, at.row));
        write_order(&mut self.order, self.attributes, rows, out)?;
        let window = self.plan.rows_of(group);
        for chosen in 0..self.attributes.choice.chosen.len() {
            attribute_cells(self.attributes, chosen, self.plan.row_map, window.clone(), &mut self.scratch, |cells, levels| {
                out.column(cells, Some(levels))
            })?;
        }
        Ok(())
    }
}

fn as_i32(values: &[u32]) -> Vec<i32> {
    values.iter().map(|&value| value as i32).collect()
}

/// Writes a required column of strings that are given as positions in the joint space of these dictionaries.
pub(super) fn write_coded(
    dictionaries: &[&Dictionary],
    positions: impl Iterator<Item = u32>,
    out: &mut RowGroup<'_>,
) -> Result<(), ParquetError> {
    let space = CodeSpace::new(dictionaries.to_vec());
    let mut recoder = Recoder::default();
    recoder.start(&space);
    let codes: Vec<u32> = positions.map(|position| recoder.code(&space, position)).collect();
    out.column(Cells::Coded(&codes, &recoder.entries()), None)
}

/// Writes a required column of numbers of which few differ.
fn write_numbers(values: &[i32], out: &mut RowGroup<'_>) -> Result<(), ParquetError> {
    let (codes, entries) = i32_codes(values);
    out.column(Cells::Coded(&codes, &entries), None)
}

/// Writes the order column and, if there is one, the residual column for these (source, row) pairs.
pub(super) fn write_order(
    order: &mut OrderWriter<'_, '_>,
    attributes: &AttributePlan<'_>,
    rows: impl Iterator<Item = (usize, u32)>,
    out: &mut RowGroup<'_>,
) -> Result<(), ParquetError> {
    let (mut orders, mut residuals, mut levels) = (Vec::new(), Vec::new(), Vec::new());
    for (source, row) in rows {
        let (row_order, residual) = order.row(source, row);
        orders.push(row_order);
        levels.push(i16::from(residual.is_some()));
        residuals.extend(residual);
    }
    write_coded(&[order.orders()], orders.into_iter(), out)?;
    if attributes.choice.has_residual {
        out.column(Cells::Bytes(residuals), Some(&levels))?;
    }
    Ok(())
}
