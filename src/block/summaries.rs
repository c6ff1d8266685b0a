//! `traces.parquet`: what a search answer says of a whole trace, so that many searches never open the spans.

use super::arrange::ArrangedTrace;
use super::meta::FileMeta;
use super::output::BlockSink;
use super::plan::Plan;
use super::schema::{SERVICES_METADATA, TRACES_FILE, trace};
use super::table::{Cells, Coding, Leaf, LeafType, TableWriter};
use crate::columns::Dictionary;
use crate::columns::wire::{put_varint, split_varint};
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;

/// Spans and errors of one service in a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ServiceCount {
    /// Position of the service's name in the block's list.
    pub service: u32,
    /// Number of spans.
    pub spans: u32,
    /// Number of spans with status error.
    pub errors: u32,
}

/// The bytes that say these counts: three varints each.
pub fn encode_services(counts: &[ServiceCount]) -> Vec<u8> {
    let mut out = Vec::with_capacity(3 * counts.len());
    for count in counts {
        put_varint(&mut out, u64::from(count.service));
        put_varint(&mut out, u64::from(count.spans));
        put_varint(&mut out, u64::from(count.errors));
    }
    out
}

/// The reverse of [`encode_services`]; stops at bytes that make no sense.
pub fn decode_services(mut bytes: &[u8]) -> Vec<ServiceCount> {
    let mut counts = Vec::new();
    let next = |bytes: &mut &[u8]| -> Option<u32> {
        let (value, rest) = split_varint(bytes)?;
        *bytes = rest;
        u32::try_from(value).ok()
    };
    while let (Some(service), Some(spans), Some(errors)) = (next(&mut bytes), next(&mut bytes), next(&mut bytes)) {
        counts.push(ServiceCount { service, spans, errors });
    }
    counts
}

const STATUS_ERROR: i32 = 2;

/// The leaves of `traces.parquet`.
pub(super) fn trace_leaves() -> [Leaf; 8] {
    [
        Leaf::required(trace::START, LeafType::Timestamp, Coding::Delta),
        Leaf::required(trace::END, LeafType::Timestamp, Coding::Delta),
        Leaf::required(trace::SPANS, LeafType::I32, Coding::PlainZstd),
        Leaf::required(trace::EVENTS, LeafType::I32, Coding::DictionaryLz4),
        Leaf::required(trace::LINKS, LeafType::I32, Coding::DictionaryLz4),
        Leaf::optional(trace::ROOT_SERVICE, LeafType::Text, Coding::DictionaryLz4),
        Leaf::optional(trace::ROOT_NAME, LeafType::Text, Coding::DictionaryLz4),
        Leaf::required(trace::SERVICES, LeafType::Bytes, Coding::DictionaryLz4),
    ]
}

/// Writes `traces.parquet`; `counts` has the events and links of each trace.
pub(super) fn write_traces(plan: &Plan<'_>, counts: &[(u32, u32)], sink: &dyn BlockSink) -> Result<FileMeta, ParquetError> {
    let mut services = Services::new(plan);
    let stats: Vec<ByteArray> = plan.arrangement.traces.iter().map(|trace| services.of_trace(plan, trace).into()).collect();
    let listed: Vec<&str> = (0..services.names.len() as u32).map(|code| services.names.text(code)).collect();
    let listed = serde_json::to_string(&listed).unwrap_or_default();
    let mut table = TableWriter::new(sink, TRACES_FILE, &trace_leaves(), vec![(SERVICES_METADATA, listed)])?;
    for ordinals in &plan.arrangement.row_groups {
        let traces = &plan.arrangement.traces[ordinals.clone()];
        let counts = &counts[ordinals.clone()];
        let mut out = table.row_group()?;
        out.column(Cells::I64(&traces.iter().map(|trace| trace.start as i64).collect::<Vec<_>>()), None)?;
        out.column(Cells::I64(&traces.iter().map(|trace| trace.end as i64).collect::<Vec<_>>()), None)?;
        out.column(Cells::I32(&traces.iter().map(|trace| trace.num_rows as i32).collect::<Vec<_>>()), None)?;
        out.column(Cells::I32(&counts.iter().map(|(events, _)| *events as i32).collect::<Vec<_>>()), None)?;
        out.column(Cells::I32(&counts.iter().map(|(_, links)| *links as i32).collect::<Vec<_>>()), None)?;
        let levels: Vec<i16> = traces.iter().map(|trace| i16::from(trace.root.is_some())).collect();
        let roots = || traces.iter().filter_map(|trace| trace.root).map(|root| (plan.sources[root.source as usize], root.row));
        out.column(Cells::Bytes(roots().map(|(chunk, row)| chunk.service_name(row).into()).collect()), Some(&levels))?;
        let name = |chunk: &crate::columns::Chunk, row: u32| chunk.names.get(chunk.name[row as usize]).to_vec().into();
        out.column(Cells::Bytes(roots().map(|(chunk, row)| name(chunk, row)).collect()), Some(&levels))?;
        out.column(Cells::Bytes(stats[ordinals.clone()].to_vec()), None)?;
        out.finish()?;
    }
    table.finish()
}

/// Counts services trace by trace.
struct Services {
    names: Dictionary,
    /// For each source and resource, the code of its service name.
    codes: Vec<Vec<u32>>,
    counts: Vec<ServiceCount>,
}

impl Services {
    fn new(plan: &Plan<'_>) -> Self {
        let mut names = Dictionary::default();
        let codes = plan
            .sources
            .iter()
            .map(|chunk| chunk.resources.entries().iter().map(|resource| names.intern(resource.service_name().as_bytes())).collect())
            .collect();
        Services { names, codes, counts: Vec::new() }
    }

    fn of_trace(&mut self, plan: &Plan<'_>, trace: &ArrangedTrace) -> Vec<u8> {
        self.counts.clear();
        for origin in &plan.arrangement.rows[trace.first_row as usize..(trace.first_row + trace.num_rows) as usize] {
            let chunk = plan.sources[origin.source as usize];
            let service = self.codes[origin.source as usize][chunk.resource[origin.row as usize] as usize];
            let at = self.counts.iter().position(|count| count.service == service).unwrap_or_else(|| {
                self.counts.push(ServiceCount { service, ..ServiceCount::default() });
                self.counts.len() - 1
            });
            self.counts[at].spans += 1;
            self.counts[at].errors += u32::from(chunk.status[origin.row as usize] == STATUS_ERROR);
        }
        // In name order, so that traces with the same services share an entry of the dictionary.
        self.counts.sort_unstable_by_key(|count| count.service);
        encode_services(&self.counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn counts_round_trip(counts: Vec<(u32, u32, u32)>) {
            let counts: Vec<ServiceCount> =
                counts.into_iter().map(|(service, spans, errors)| ServiceCount { service, spans, errors }).collect();
            prop_assert_eq!(decode_services(&encode_services(&counts)), counts);
        }
    }
}
