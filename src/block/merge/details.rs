//! `events.parquet` and `links.parquet` of the output.

use super::attributes::{choose, finish_table, start_rare, write_attributes};
use super::gather::{TextForm, decode_all, decode_dense, int32, write_dense_i64, write_optional_i32, write_texts};
use super::order::{Inputs, OutputGroup};
use super::rows::{PartBytes, TableRows, fetch_parts};
use super::{MergeError, TableOf, num_spans};
use crate::block::catalogue::CatalogueWriter;
use crate::block::choice::AttributeChoice;
use crate::block::details::{event_leaves, link_leaves};
use crate::block::meta::{FileMeta, RowGroupMeta};
use crate::block::output::BlockSink;
use crate::block::parquet::DecodedValues;
use crate::block::rare::RareWriter;
use crate::block::reader::Block;
use crate::block::schema::{EVENTS_FILE, LINKS_FILE, RARE_EVENT_FILE, RARE_LINK_FILE, detail, push_attribute_leaves};
use crate::block::table::{Cells, Leaf, RowGroup, TableWriter};
use crate::columns::known::Holder;
use parquet::data_type::ByteArray;
use std::ops::Range;
use std::sync::Arc;

type Columns = fn(&TableRows, &[PartBytes<'_>], &mut RowGroup<'_>) -> Result<(), MergeError>;

/// One of the two tables under construction.
pub(super) struct DetailMerge {
    table: TableWriter,
    attributes: AttributeChoice,
    rare_attributes: Option<RareWriter>,
    /// Rows written.
    num_rows: usize,
    of: TableOf,
    /// Writes the columns between span row and attributes.
    columns: Columns,
}

impl DetailMerge {
    /// The table of events, if any input has one.
    pub fn start_events(sink: &dyn BlockSink, inputs: &[Arc<Block>]) -> Result<Option<Self>, MergeError> {
        let has_rows = any_rows(inputs, |group| group.num_events);
        let start = || Self::start(sink, inputs, (EVENTS_FILE, RARE_EVENT_FILE), "event", event_leaves(), Block::events, write_events);
        has_rows.then(start).transpose()
    }

    /// The table of links, if any input has one.
    pub fn start_links(sink: &dyn BlockSink, inputs: &[Arc<Block>]) -> Result<Option<Self>, MergeError> {
        let has_rows = any_rows(inputs, |group| group.num_links);
        let start = || Self::start(sink, inputs, (LINKS_FILE, RARE_LINK_FILE), "link", link_leaves(), Block::links, write_links);
        has_rows.then(start).transpose()
    }

    fn start(
        sink: &dyn BlockSink,
        inputs: &[Arc<Block>],
        (file, rare_file): (&str, &str),
        prefix: &str,
        mut leaves: Vec<Leaf>,
        of: TableOf,
        columns: Columns,
    ) -> Result<Self, MergeError> {
        let attributes = choose(inputs, of)?;
        let metadata = push_attribute_leaves(&mut leaves, prefix, &attributes);
        let leaves: Vec<Leaf> = leaves.into_iter().map(Leaf::packed).collect();
        let table = TableWriter::new(sink, file, &leaves, metadata)?.collecting(&leaves, num_spans(inputs)).with_trigrams();
        let rare_attributes = start_rare(sink, rare_file, &attributes, inputs)?;
        Ok(DetailMerge { table, attributes, rare_attributes, num_rows: 0, of, columns })
    }

    /// Writes the rows of a row group of spans, if there are any.
    pub fn write(&mut self, inputs: &Inputs, rows: &TableRows, group: &OutputGroup) -> Result<(), MergeError> {
        if rows.num_rows == 0 {
            return Ok(());
        }
        let parts = fetch_parts(inputs, rows, self.of, &|_| true)?;
        let mut out = self.table.row_group()?;
        let first = i64::from(group.first_row);
        write_span_rows(rows, &parts, first..first + i64::from(group.num_spans()), &mut out)?;
        (self.columns)(rows, &parts, &mut out)?;
        let rare = self.rare_attributes.as_mut().map(|table| (table, self.num_rows));
        write_attributes(&self.attributes, rows, &parts, &mut out, rare)?;
        self.num_rows += rows.num_rows;
        Ok(out.finish()?)
    }

    pub fn finish(self, holder: Holder, catalogue: &mut CatalogueWriter) -> Result<Vec<FileMeta>, MergeError> {
        finish_table(self.table, self.rare_attributes, &self.attributes, holder, catalogue)
    }
}

fn any_rows(inputs: &[Arc<Block>], count: fn(&RowGroupMeta) -> u32) -> bool {
    inputs.iter().flat_map(|block| block.row_groups()).any(|group| count(group) > 0)
}

/// Rows of spans in the output; `group` has those of the row group.
fn write_span_rows(rows: &TableRows, parts: &[PartBytes<'_>], group: Range<i64>, out: &mut RowGroup<'_>) -> Result<(), MergeError> {
    let spans = decode_dense(parts, detail::SPAN_ROW, int32)?;
    let mut moved = Vec::with_capacity(rows.num_rows);
    for run in &rows.runs {
        for &span in &spans[run.part][rows.within(run)] {
            let row = i64::from(span as u32) + run.shift;
            if !group.contains(&row) {
                return Err(parts[run.part].mistyped(detail::SPAN_ROW));
            }
            moved.push(row as i32);
        }
    }
    Ok(out.column(Cells::I32(&moved), None)?)
}

fn write_events(rows: &TableRows, parts: &[PartBytes<'_>], out: &mut RowGroup<'_>) -> Result<(), MergeError> {
    write_dense_i64(rows, parts, detail::TIME, out)?;
    write_texts(rows, parts, detail::NAME, decode_all(parts, detail::NAME)?, TextForm::Required, out)?;
    write_optional_i32(rows, parts, detail::DROPPED_ATTRIBUTES, out)
}

fn write_links(rows: &TableRows, parts: &[PartBytes<'_>], out: &mut RowGroup<'_>) -> Result<(), MergeError> {
    write_linked_traces(rows, parts, out)?;
    write_dense_i64(rows, parts, detail::SPAN_ID, out)?;
    write_texts(rows, parts, detail::TRACE_STATE, decode_all(parts, detail::TRACE_STATE)?, TextForm::Optional, out)?;
    write_optional_i32(rows, parts, detail::FLAGS, out)?;
    write_optional_i32(rows, parts, detail::DROPPED_ATTRIBUTES, out)
}

fn write_linked_traces(rows: &TableRows, parts: &[PartBytes<'_>], out: &mut RowGroup<'_>) -> Result<(), MergeError> {
    let ids = decode_dense(parts, detail::TRACE_ID, |values| match values {
        DecodedValues::Fixed(bytes, 16) => Some(bytes.as_chunks::<16>().0.to_vec()),
        _ => None,
    })?;
    let mut cells = Vec::with_capacity(rows.num_rows);
    for run in &rows.runs {
        cells.extend(ids[run.part][rows.within(run)].iter().map(|id| ByteArray::from(id.to_vec())));
    }
    Ok(out.column(Cells::Bytes(cells), None)?)
}
