//! `data.parquet` of the output.

use super::attributes::{choose, finish_table, start_rare, write_attributes};
use super::gather::{
    TextForm, decode_all, decode_dense, gather, gather_dense, int32, int64, part_values, write_dense_i32, write_dense_i64, write_numbers,
    write_optional_i32, write_texts,
};
use super::order::{Inputs, OutputGroup};
use super::rows::{PartBytes, TableRows, fetch_parts};
use super::{MergeError, MergedOrigins, num_spans, of_block};
use crate::block::catalogue::CatalogueWriter;
use crate::block::choice::AttributeChoice;
use crate::block::dictionary_chunk::Entries;
use crate::block::meta::FileMeta;
use crate::block::origins::{Origins, service_names};
use crate::block::output::BlockSink;
use crate::block::rare::RareWriter;
use crate::block::reader::Block;
use crate::block::recode::i32_codes;
use crate::block::schema::{DATA_FILE, RARE_FILE, push_attribute_leaves, span};
use crate::block::spans::{RareColumns, dense_leaves, write_coded};
use crate::block::table::{Cells, Leaf, RowGroup, TableWriter};
use crate::columns::known::Holder;
use std::sync::Arc;

/// The table of spans under construction.
pub(super) struct SpanMerge {
    table: TableWriter,
    rare: RareColumns,
    attributes: AttributeChoice,
    rare_attributes: Option<RareWriter>,
}

impl SpanMerge {
    pub fn start(sink: &dyn BlockSink, inputs: &[Arc<Block>]) -> Result<Self, MergeError> {
        let attributes = choose(inputs, |block| block.data().map(Some))?;
        let tables = inputs.iter().map(|block| block.data().map_err(of_block(block))).collect::<Result<Vec<_>, _>>()?;
        let rare = RareColumns::named(|leaf| tables.iter().any(|table| table.leaf_names().any(|name| name == leaf)));
        let mut leaves = dense_leaves();
        rare.push_leaves(&mut leaves);
        let metadata = push_attribute_leaves(&mut leaves, "span", &attributes);
        let leaves: Vec<Leaf> = leaves.into_iter().map(Leaf::packed).collect();
        let table =
            TableWriter::new(sink, DATA_FILE, &leaves, metadata)?.collecting(&leaves, num_spans(inputs)).with_trigrams().counting_spans();
        let rare_attributes = start_rare(sink, RARE_FILE, &attributes, inputs)?;
        Ok(SpanMerge { table, rare, attributes, rare_attributes })
    }

    pub fn write(&mut self, inputs: &Inputs, group: &OutputGroup, origins: &MergedOrigins) -> Result<(), MergeError> {
        let rows = &group.spans;
        // Trace ids and service names follow from indexes and resources.
        let is_needed = |leaf: &str| leaf != span::TRACE_ID && leaf != span::SERVICE_NAME;
        let parts = fetch_parts(inputs, rows, |block| block.data().map(Some), &is_needed)?;
        let mut out = self.table.row_group()?;
        write_trace_ids(group, &mut out)?;
        write_dense_i64(rows, &parts, span::SPAN_ID, &mut out)?;
        let orphans = part_values(&parts, span::PARENT_SPAN_ID, decode_all(&parts, span::PARENT_SPAN_ID)?, int64)?;
        let orphans = gather(rows, &orphans);
        out.column(Cells::I64(&orphans.values), Some(&orphans.levels))?;
        write_dense_i32(rows, &parts, span::PARENT_OFFSET, &mut out)?;
        write_dense_i32(rows, &parts, span::SUBTREE, &mut out)?;
        write_dense_i64(rows, &parts, span::START, &mut out)?;
        write_dense_i64(rows, &parts, span::DURATION, &mut out)?;
        write_texts(rows, &parts, span::NAME, decode_all(&parts, span::NAME)?, TextForm::Required, &mut out)?;
        write_numbers(rows, &parts, span::KIND, &mut out)?;
        write_numbers(rows, &parts, span::STATUS, &mut out)?;
        write_origin_ids(rows, &parts, origins, &mut out)?;
        for leaf in self.rare.texts() {
            write_texts(rows, &parts, leaf, decode_all(&parts, leaf)?, TextForm::Optional, &mut out)?;
        }
        for leaf in self.rare.numbers() {
            write_optional_i32(rows, &parts, leaf, &mut out)?;
        }
        let rare = self.rare_attributes.as_mut().map(|table| (table, group.first_row as usize));
        write_attributes(&self.attributes, rows, &parts, &mut out, rare)?;
        Ok(out.finish()?)
    }

    pub fn finish(mut self, catalogue: &mut CatalogueWriter) -> Result<Vec<FileMeta>, MergeError> {
        self.table.take_counted().into_iter().for_each(|counter| catalogue.add_span_counts(counter));
        finish_table(self.table, self.rare_attributes, &self.attributes, Holder::Span, catalogue)
    }
}

fn write_trace_ids(group: &OutputGroup, out: &mut RowGroup<'_>) -> Result<(), MergeError> {
    let mut codes = Vec::with_capacity(group.spans.num_rows);
    for (trace, code) in group.traces.iter().zip(0..) {
        codes.extend(std::iter::repeat_n(code, trace.num_spans as usize));
    }
    let entries = Entries::fixed(group.traces.iter().map(|trace| trace.id.0));
    Ok(out.column(Cells::Coded(&codes, &entries), None)?)
}

/// Service names, resources, scopes.
fn write_origin_ids(rows: &TableRows, parts: &[PartBytes<'_>], origins: &MergedOrigins, out: &mut RowGroup<'_>) -> Result<(), MergeError> {
    let resources = origin_ids(rows, parts, span::RESOURCE, &origins.resources)?;
    let (names, codes) = service_names(&origins.resources);
    write_coded(&[&names], resources.iter().map(|&id| codes[id as usize]), out)?;
    let scopes = origin_ids(rows, parts, span::SCOPE, &origins.scopes)?;
    for ids in [resources, scopes] {
        let (codes, entries) = i32_codes(&ids);
        out.column(Cells::Coded(&codes, &entries), None)?;
    }
    Ok(())
}

fn origin_ids(rows: &TableRows, parts: &[PartBytes<'_>], leaf: &str, origins: &Origins) -> Result<Vec<i32>, MergeError> {
    let mut values = decode_dense(parts, leaf, int32)?;
    for (part, values) in parts.iter().zip(&mut values) {
        let ids = origins.ids(part.input);
        for value in values {
            let id = usize::try_from(*value).ok().and_then(|entry| ids.get(entry));
            *value = *id.ok_or_else(|| part.mistyped(leaf))? as i32;
        }
    }
    Ok(gather_dense(rows, &values))
}
