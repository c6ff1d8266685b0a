//! The order of traces in the output.
//!
//! Every input is in the order of docs/block-format.md, so theirs is merged like sorted lists. A trace without a root does not
//! tell what it was ordered by; it stays behind the trace that it followed. Order is for compression and for searches that
//! read the newest first, nothing relies on it: an input in another order costs bytes, not answers.

use super::rows::TableRows;
use super::shared::SharedTraces;
use super::{MergeError, of_block};
use crate::block::meta::RowGroupMeta;
use crate::block::reader::Block;
use crate::block::summaries::ServiceCount;
use crate::block::trace_table::GroupTraces;
use crate::model::TraceId;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A trace of the output, and where it comes from.
pub(super) struct OutputTrace {
    pub id: TraceId,
    pub input: usize,
    /// Its ordinal there.
    pub ordinal: u32,
    pub start: u64,
    pub end: u64,
    pub num_spans: u32,
    pub num_events: u32,
    pub num_links: u32,
    /// Service and name of the root.
    pub root: Option<(String, String)>,
    /// Spans and errors by service name.
    pub services: Vec<(Arc<str>, ServiceCount)>,
}

/// A row group of the output.
#[derive(Default)]
pub(super) struct OutputGroup {
    pub traces: Vec<OutputTrace>,
    pub spans: TableRows,
    pub events: TableRows,
    pub links: TableRows,
    /// The group's first row in the output.
    pub first_row: u32,
}

impl OutputGroup {
    pub fn num_spans(&self) -> u32 {
        self.spans.num_rows as u32
    }

    pub fn meta(&self) -> RowGroupMeta {
        RowGroupMeta {
            num_spans: self.num_spans(),
            num_traces: self.traces.len() as u32,
            num_events: self.events.num_rows as u32,
            num_links: self.links.num_rows as u32,
            start_unix_nano: self.traces.iter().map(|trace| trace.start).min().unwrap_or(0),
            newest_start_unix_nano: self.traces.iter().map(|trace| trace.start).max().unwrap_or(0),
            end_unix_nano: self.traces.iter().map(|trace| trace.end).max().unwrap_or(0),
        }
    }
}

/// What traces are ordered by.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    minute: u64,
    service: String,
    name: String,
    start: u64,
}

/// Nanoseconds in the unit of the first ordering key.
const MINUTE: u64 = 60_000_000_000;

/// One input on its way through the merge.
struct Cursor {
    block: Arc<Block>,
    input: usize,
    /// Ordinals that come from elsewhere, ascending.
    skipped: std::vec::IntoIter<u32>,
    next_skipped: Option<u32>,
    group: usize,
    traces: GroupTraces,
    services: Vec<Arc<str>>,
    /// The next trace, within the row group.
    local: u32,
    key: Key,
    /// Row groups of events and of links that belong to the row group.
    event_group: usize,
    link_group: usize,
}

impl Cursor {
    /// At the first trace of a block; `None` if there is none.
    fn open(block: Arc<Block>, input: usize, skipped: Vec<u32>) -> Result<Option<Self>, MergeError> {
        if block.row_groups().is_empty() {
            return Ok(None);
        }
        let traces = block.group_traces(0).map_err(of_block(&block))?;
        let services = traces.table().services().iter().map(|name| Arc::from(name.as_str())).collect();
        let mut skipped = skipped.into_iter();
        let next_skipped = skipped.next();
        let mut cursor = Cursor {
            block,
            input,
            skipped,
            next_skipped,
            group: 0,
            traces,
            services,
            local: 0,
            key: Key::default(),
            event_group: 0,
            link_group: 0,
        };
        Ok(cursor.settle()?.then_some(cursor))
    }

    /// Goes to the next trace that is taken from here; false at the end.
    fn advance(&mut self) -> Result<bool, MergeError> {
        self.local += 1;
        self.settle()
    }

    fn settle(&mut self) -> Result<bool, MergeError> {
        loop {
            if self.traces.ordinals().start + self.local == self.traces.ordinals().end {
                if !self.next_group()? {
                    return Ok(false);
                }
                continue;
            }
            if self.next_skipped != Some(self.traces.ordinals().start + self.local) {
                break;
            }
            self.next_skipped = self.skipped.next();
            self.local += 1;
        }
        self.read_key();
        Ok(true)
    }

    fn next_group(&mut self) -> Result<bool, MergeError> {
        let groups = self.block.row_groups();
        self.event_group += usize::from(groups[self.group].num_events > 0);
        self.link_group += usize::from(groups[self.group].num_links > 0);
        self.group += 1;
        if self.group == groups.len() {
            return Ok(false);
        }
        self.traces = self.block.group_traces(self.group).map_err(of_block(&self.block))?;
        self.local = 0;
        Ok(true)
    }

    fn read_key(&mut self) {
        let table = self.traces.table();
        let start = table.start(self.local);
        let minute = start / MINUTE;
        let root = table.root_service(self.local).zip(table.root_name(self.local));
        match root {
            Some((service, name)) => {
                self.key.service.clear();
                self.key.service.push_str(service);
                self.key.name.clear();
                self.key.name.push_str(name);
            }
            None if self.key.minute != minute => {
                self.key.service.clear();
                self.key.name.clear();
            }
            None => {}
        }
        (self.key.minute, self.key.start) = (minute, start);
    }

    /// Adds the trace to a row group of the output.
    fn add_to(&self, group: &mut OutputGroup) -> Result<(), MergeError> {
        let (table, at) = (self.traces.table(), self.local);
        let (rows, events, links) = (table.rows(at), table.events(at), table.links(at));
        let root = table.root_service(at).zip(table.root_name(at));
        let named = |count: ServiceCount| Some((Arc::clone(self.services.get(count.service as usize)?), count));
        let ordinal = self.traces.ordinals().start + at;
        group.traces.push(OutputTrace {
            id: self.block.trace_id(ordinal).map_err(of_block(&self.block))?,
            input: self.input,
            ordinal,
            start: table.start(at),
            end: table.end(at),
            num_spans: rows.len() as u32,
            num_events: events.len() as u32,
            num_links: links.len() as u32,
            root: root.map(|(service, name)| (service.to_string(), name.to_string())),
            services: table.counts(at).into_iter().filter_map(named).collect(),
        });
        let shift = i64::from(group.first_row) + group.spans.num_rows as i64 - i64::from(self.traces.first_row() + rows.start);
        group.spans.push(self.input, self.group, rows, shift);
        group.events.push(self.input, self.event_group, events, shift);
        group.links.push(self.input, self.link_group, links, shift);
        Ok(())
    }
}

/// The blocks that are merged and batches of joined traces, by number.
pub(super) struct Inputs(BTreeMap<usize, Arc<Block>>);

impl Inputs {
    /// A block that a part names.
    pub fn get(&self, input: usize) -> &Arc<Block> {
        &self.0[&input]
    }
}

/// A merge in progress.
pub(super) struct Merging {
    inputs: Inputs,
    /// Number of inputs and batches so far.
    num_inputs: usize,
    cursors: Vec<Cursor>,
    shared: SharedTraces,
    group_rows: usize,
    next_row: u32,
}

impl Merging {
    pub fn new(inputs: Vec<Arc<Block>>, shared: SharedTraces, group_rows: usize) -> Result<Self, MergeError> {
        let mut cursors = Vec::new();
        for (input, block) in inputs.iter().enumerate() {
            cursors.extend(Cursor::open(Arc::clone(block), input, shared.skipped(input).to_vec())?);
        }
        let num_inputs = inputs.len();
        let inputs = Inputs(inputs.into_iter().enumerate().collect());
        Ok(Merging { inputs, num_inputs, cursors, shared, group_rows, next_row: 0 })
    }

    /// The inputs that the last row group came from.
    pub fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    /// Identical spans that were left out so far.
    pub fn num_duplicates(&self) -> usize {
        self.shared.num_duplicates()
    }

    /// The next row group; `None` at the end. `on_input` is told of blocks that come in later.
    pub fn next_group(&mut self, mut on_input: impl FnMut(&Block) -> Result<(), MergeError>) -> Result<Option<OutputGroup>, MergeError> {
        let mut group = OutputGroup { first_row: self.next_row, ..OutputGroup::default() };
        // What is used up and written is forgotten; of batches there may be many.
        let (inputs, cursors, num_blocks) = (&mut self.inputs, &self.cursors, self.shared.num_inputs());
        inputs.0.retain(|&input, _| input < num_blocks || cursors.iter().any(|cursor| cursor.input == input));
        while group.spans.num_rows < self.group_rows {
            self.open_batch(&mut on_input)?;
            let Some(least) = (0..self.cursors.len()).min_by(|&a, &b| self.cursors[a].key.cmp(&self.cursors[b].key)) else { break };
            self.cursors[least].add_to(&mut group)?;
            if !self.cursors[least].advance()? {
                self.cursors.remove(least);
            }
        }
        self.next_row += group.num_spans();
        Ok((!group.traces.is_empty()).then_some(group))
    }

    /// Sees to it that the next joined traces take part.
    fn open_batch(&mut self, on_input: &mut impl FnMut(&Block) -> Result<(), MergeError>) -> Result<(), MergeError> {
        let num_blocks = self.shared.num_inputs();
        if self.cursors.iter().any(|cursor| cursor.input >= num_blocks) {
            return Ok(());
        }
        let Some(batch) = self.shared.next_batch(self.group_rows)? else { return Ok(()) };
        on_input(&batch)?;
        let input = self.num_inputs;
        self.num_inputs += 1;
        self.inputs.0.insert(input, Arc::clone(&batch));
        self.cursors.extend(Cursor::open(batch, input, Vec::new())?);
        Ok(())
    }
}
