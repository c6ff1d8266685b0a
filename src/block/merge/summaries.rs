//! `traces.parquet` of the output.

use super::MergeError;
use super::order::{OutputGroup, OutputTrace};
use crate::block::meta::FileMeta;
use crate::block::output::BlockSink;
use crate::block::schema::{SERVICES_METADATA, TRACES_FILE};
use crate::block::summaries::{ServiceCount, encode_services, trace_leaves};
use crate::block::table::{Cells, TableWriter};
use crate::columns::Dictionary;
use parquet::data_type::ByteArray;

/// The table of traces under construction.
pub(super) struct SummaryMerge {
    table: TableWriter,
    /// Service names of the output, in order of first use.
    services: Dictionary,
}

impl SummaryMerge {
    pub fn start(sink: &dyn BlockSink) -> Result<Self, MergeError> {
        let table = TableWriter::new(sink, TRACES_FILE, &trace_leaves(), Vec::new())?;
        Ok(SummaryMerge { table, services: Dictionary::default() })
    }

    pub fn write(&mut self, group: &OutputGroup) -> Result<(), MergeError> {
        let counts: Vec<ByteArray> = group.traces.iter().map(|trace| self.counts_of(trace).into()).collect();
        let i64s = |value: fn(&OutputTrace) -> u64| group.traces.iter().map(|trace| value(trace) as i64).collect::<Vec<_>>();
        let i32s = |value: fn(&OutputTrace) -> u32| group.traces.iter().map(|trace| value(trace) as i32).collect::<Vec<_>>();
        let levels: Vec<i16> = group.traces.iter().map(|trace| i16::from(trace.root.is_some())).collect();
        let roots = || group.traces.iter().filter_map(|trace| trace.root.as_ref());
        let mut out = self.table.row_group()?;
        out.column(Cells::I64(&i64s(|trace| trace.start)), None)?;
        out.column(Cells::I64(&i64s(|trace| trace.end)), None)?;
        out.column(Cells::I32(&i32s(|trace| trace.num_spans)), None)?;
        out.column(Cells::I32(&i32s(|trace| trace.num_events)), None)?;
        out.column(Cells::I32(&i32s(|trace| trace.num_links)), None)?;
        out.column(Cells::Bytes(roots().map(|(service, _)| service.as_str().into()).collect()), Some(&levels))?;
        out.column(Cells::Bytes(roots().map(|(_, name)| name.as_str().into()).collect()), Some(&levels))?;
        out.column(Cells::Bytes(counts), None)?;
        Ok(out.finish()?)
    }

    fn counts_of(&mut self, trace: &OutputTrace) -> Vec<u8> {
        let renumber =
            |(name, count): &(std::sync::Arc<str>, ServiceCount)| ServiceCount { service: self.services.intern(name.as_bytes()), ..*count };
        let mut counts: Vec<ServiceCount> = trace.services.iter().map(renumber).collect();
        // In one order, so that traces with the same services share an entry of the dictionary.
        counts.sort_unstable_by_key(|count| count.service);
        encode_services(&counts)
    }

    pub fn finish(mut self) -> Result<FileMeta, MergeError> {
        let names: Vec<&str> = (0..self.services.len() as u32).map(|code| self.services.text(code)).collect();
        // A list of texts always serialises.
        self.table.add_metadata(SERVICES_METADATA, serde_json::to_string(&names).unwrap_or_default());
        Ok(self.table.finish()?)
    }
}
