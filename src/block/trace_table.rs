//! The side tables of an opened block, held in memory.

use super::find_trace::TracePlace;
use super::meta::{BlockMeta, RowGroupMeta};
use super::parquet::{Decoded, DecodedValues, StringTable};
use super::parts::Weighed;
use super::reader::{Block, BlockError, RangeRead, Table};
use super::schema::{SERVICES_METADATA, origin, trace};
use super::summaries::{ServiceCount, decode_services};
use crate::columns::resources::{OriginKind, OriginTable};
use std::ops::Range;

/// Summaries of the traces of a block, by ordinal.
pub struct TraceTable {
    start: Vec<u64>,
    end: Vec<u64>,
    /// Number of spans before each trace, and of all at the end.
    first_row: Vec<u32>,
    first_event: Vec<u32>,
    first_link: Vec<u32>,
    root_service: Texts,
    root_name: Texts,
    service_counts: Texts,
    services: Vec<String>,
    /// Number of traces before each row group, and of all at the end.
    first_of_group: Vec<u32>,
}

/// Text of each trace, row group by row group.
#[derive(Default)]
struct Texts {
    /// First trace and texts of each row group.
    parts: Vec<(u32, StringTable)>,
    /// Code of each trace in the texts of its row group.
    codes: Vec<u32>,
}

/// The code of a trace without a text. No dictionary is that large.
const NO_TEXT: u32 = u32::MAX;

impl Texts {
    fn push(&mut self, decoded: Decoded, num_rows: usize) -> Option<()> {
        let DecodedValues::Codes(codes, table) = decoded.values else { return None };
        let first = self.codes.len();
        match decoded.rows {
            None => self.codes.extend_from_slice(&codes),
            Some(rows) => {
                self.codes.resize(first + num_rows, NO_TEXT);
                rows.iter().zip(&codes).for_each(|(row, code)| self.codes[first + *row as usize] = *code);
            }
        }
        self.parts.push((first as u32, table));
        Some(())
    }

    fn get(&self, trace: u32) -> Option<&[u8]> {
        let code = *self.codes.get(trace as usize).filter(|code| **code != NO_TEXT)?;
        let part = self.parts.partition_point(|(first, _)| *first <= trace).checked_sub(1)?;
        let (ends, bytes) = &*self.parts.get(part)?.1;
        let start = if code == 0 { 0 } else { *ends.get(code as usize - 1)? as usize };
        bytes.get(start..*ends.get(code as usize)? as usize)
    }

    fn memory(&self) -> usize {
        4 * self.codes.capacity() + self.parts.iter().map(|(_, table)| 4 * table.0.len() + table.1.len() + 64).sum::<usize>()
    }
}

impl Weighed for TraceTable {
    fn memory(&self) -> usize {
        let numbers =
            16 * self.start.capacity() + 4 * (self.first_row.capacity() + self.first_event.capacity() + self.first_link.capacity());
        let texts = [&self.root_service, &self.root_name, &self.service_counts].map(Texts::memory);
        numbers + texts.iter().sum::<usize>() + self.services.iter().map(|name| name.len() + 24).sum::<usize>()
    }
}

impl TraceTable {
    /// Reads `traces.parquet`.
    pub(super) fn load(table: &Table, files: &dyn RangeRead, meta: &BlockMeta) -> Result<Self, BlockError> {
        let mut loaded = TraceTable::empty(table);
        for (group, listed) in meta.row_groups.iter().enumerate() {
            loaded.load_group(table, files, group, listed)?;
        }
        Ok(loaded)
    }

    fn empty(table: &Table) -> Self {
        TraceTable {
            start: Vec::new(),
            end: Vec::new(),
            first_row: vec![0],
            first_event: vec![0],
            first_link: vec![0],
            root_service: Texts::default(),
            root_name: Texts::default(),
            service_counts: Texts::default(),
            services: serde_json::from_str(table.metadata_entry(SERVICES_METADATA).unwrap_or("[]")).unwrap_or_default(),
            first_of_group: vec![0],
        }
    }

    fn load_group(&mut self, table: &Table, files: &dyn RangeRead, group: usize, listed: &RowGroupMeta) -> Result<(), BlockError> {
        let num_rows = table.num_rows(group);
        let times = |leaf: &str| table.decode_dense(files, group, leaf)?.into_u64().ok_or_else(|| table.mistyped(leaf));
        self.start.extend(times(trace::START)?);
        self.end.extend(times(trace::END)?);
        for (leaf, sums) in
            [(trace::SPANS, &mut self.first_row), (trace::EVENTS, &mut self.first_event), (trace::LINKS, &mut self.first_link)]
        {
            let counts = table.decode_dense(files, group, leaf)?.into_u32().ok_or_else(|| table.mistyped(leaf))?;
            for count in counts {
                let next = sums.last().copied().unwrap_or(0).checked_add(count).ok_or_else(|| table.mistyped(leaf))?;
                sums.push(next);
            }
        }
        let texts = [
            (trace::ROOT_SERVICE, &mut self.root_service),
            (trace::ROOT_NAME, &mut self.root_name),
            (trace::SERVICES, &mut self.service_counts),
        ];
        for (leaf, texts) in texts {
            let decoded = table.decode_required(files, group, leaf)?;
            texts.push(decoded, num_rows).ok_or_else(|| table.mistyped(leaf))?;
        }
        let first = self.first_of_group.last().copied().unwrap_or(0) as usize;
        self.first_of_group.push(self.start.len() as u32);
        let sums = [(&self.first_row, listed.num_spans), (&self.first_event, listed.num_events), (&self.first_link, listed.num_links)];
        let is_listed = |(sums, listed): &(&Vec<u32>, u32)| sums.last().copied().unwrap_or(0) - sums[first] == *listed;
        if self.start.len() - first != listed.num_traces as usize || !sums.iter().all(is_listed) {
            return Err(table.mistyped(trace::SPANS));
        }
        Ok(())
    }

    /// Number of traces.
    pub fn len(&self) -> usize {
        self.start.len()
    }

    /// True if there is no trace.
    pub fn is_empty(&self) -> bool {
        self.start.is_empty()
    }

    /// Earliest span start of a trace, Unix nanoseconds.
    pub fn start(&self, trace: u32) -> u64 {
        self.start[trace as usize]
    }

    /// Latest span end of a trace, Unix nanoseconds.
    pub fn end(&self, trace: u32) -> u64 {
        self.end[trace as usize]
    }

    /// The rows of a trace in the block.
    pub fn rows(&self, trace: u32) -> Range<u32> {
        self.first_row[trace as usize]..self.first_row[trace as usize + 1]
    }

    /// The rows of a trace's events in the block's table of events.
    pub fn events(&self, trace: u32) -> Range<u32> {
        self.first_event[trace as usize]..self.first_event[trace as usize + 1]
    }

    /// The rows of a trace's links in the block's table of links.
    pub fn links(&self, trace: u32) -> Range<u32> {
        self.first_link[trace as usize]..self.first_link[trace as usize + 1]
    }

    /// The root span's service, if the trace has a root.
    pub fn root_service(&self, trace: u32) -> Option<&str> {
        self.root_service.get(trace).and_then(|text| std::str::from_utf8(text).ok())
    }

    /// The root span's name, if the trace has a root.
    pub fn root_name(&self, trace: u32) -> Option<&str> {
        self.root_name.get(trace).and_then(|text| std::str::from_utf8(text).ok())
    }

    /// Spans and errors of a trace, services by their position in [`services`](Self::services).
    pub fn counts(&self, trace: u32) -> Vec<ServiceCount> {
        decode_services(self.service_counts.get(trace).unwrap_or_default())
    }

    /// Names of the services of the block.
    pub fn services(&self) -> &[String] {
        &self.services
    }

    /// Spans and errors of a trace by service name.
    pub fn service_counts(&self, trace: u32) -> impl Iterator<Item = (&str, ServiceCount)> {
        self.counts(trace).into_iter().filter_map(|count| Some((self.services.get(count.service as usize)?.as_str(), count)))
    }

    /// The row group of a trace.
    pub fn group_of(&self, trace: u32) -> usize {
        self.first_of_group.partition_point(|&first| first <= trace).saturating_sub(1)
    }

    /// The traces of a row group.
    pub fn traces_of(&self, group: usize) -> Range<u32> {
        self.first_of_group[group]..self.first_of_group[group + 1]
    }

    /// The first row of a row group in the block.
    pub fn first_row_of(&self, group: usize) -> u32 {
        self.first_row[self.first_of_group[group] as usize]
    }
}

/// Summaries of the traces of one row group, for readers that go through a block once.
pub(super) struct GroupTraces {
    table: TraceTable,
    first_trace: u32,
    first_row: u32,
    first_event: u32,
    first_link: u32,
}

impl GroupTraces {
    /// Reads a row group of `traces.parquet`.
    pub fn load(table: &Table, files: &dyn RangeRead, meta: &BlockMeta, group: usize) -> Result<Self, BlockError> {
        let mut traces = TraceTable::empty(table);
        let before = &meta.row_groups[..group];
        // Sums beyond 32 bits would be row numbers that no block can have.
        let sum = |count: fn(&RowGroupMeta) -> u32| {
            let total = before.iter().try_fold(0u32, |sum, group| sum.checked_add(count(group)));
            total.ok_or_else(|| table.mistyped(trace::SPANS))
        };
        traces.load_group(table, files, group, &meta.row_groups[group])?;
        Ok(GroupTraces {
            table: traces,
            first_trace: sum(|group| group.num_traces)?,
            first_row: sum(|group| group.num_spans)?,
            first_event: sum(|group| group.num_events)?,
            first_link: sum(|group| group.num_links)?,
        })
    }

    /// The first row of the row group in the block.
    pub fn first_row(&self) -> u32 {
        self.first_row
    }

    /// The ordinals of its traces in the block.
    pub fn ordinals(&self) -> Range<u32> {
        self.first_trace..self.first_trace + self.table.len() as u32
    }

    /// The summaries; ordinals and rows there count from the row group's first.
    pub fn table(&self) -> &TraceTable {
        &self.table
    }

    /// Where a trace lies in the block.
    pub fn place(&self, block: &Block, ordinal: u32) -> Result<TracePlace, BlockError> {
        let trace = ordinal - self.first_trace;
        let moved = |rows: Range<u32>, by: u32| rows.start + by..rows.end + by;
        Ok(TracePlace {
            id: block.trace_id(ordinal)?,
            rows: moved(self.table.rows(trace), self.first_row),
            events: moved(self.table.events(trace), self.first_event),
            links: moved(self.table.links(trace), self.first_link),
        })
    }
}

/// Reads `resources.parquet` or `scopes.parquet`.
pub(super) fn load_origins(table: &Table, files: &dyn RangeRead, kind: OriginKind) -> Result<OriginTable, BlockError> {
    let mut origins = OriginTable::new(kind);
    for group in 0..table.num_row_groups() {
        let (mut messages, mut schema_urls) = (Texts::default(), Texts::default());
        let num_rows = table.num_rows(group);
        for (leaf, texts) in [(origin::OTLP, &mut messages), (origin::SCHEMA_URL, &mut schema_urls)] {
            texts.push(table.decode_required(files, group, leaf)?, num_rows).ok_or_else(|| table.mistyped(leaf))?;
        }
        for row in 0..num_rows as u32 {
            let (message, schema_url) = (messages.get(row).unwrap_or_default(), schema_urls.get(row).unwrap_or_default());
            let id = origins.intern(message, schema_url).map_err(|_| table.mistyped(origin::OTLP))?;
            // A repeated entry would shift the numbers of all that follow.
            if id as usize + 1 != origins.len() {
                return Err(table.mistyped(origin::OTLP));
            }
        }
    }
    Ok(origins)
}
