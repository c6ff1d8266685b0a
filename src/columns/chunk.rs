//! The chunk: spans, events, links, resources, scopes and traces of a run of requests.

use super::attributes::AttributeTable;
use super::dictionary::Dictionary;
use super::repeats::Repeats;
use super::resources::{OriginKind, OriginTable};
use super::same::same;
use super::sparse::{Sparse, SparseText};
use crate::model::TraceId;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

/// Stands for "no row" in row links.
pub const NO_ROW: u32 = u32::MAX;

/// Spans as columns: position `i` of every dense vector belongs to row `i`.
pub struct Chunk {
    /// Ordinal of the span's trace in `traces`.
    pub trace: Vec<u32>,
    /// The next row of the same trace, or [`NO_ROW`]: a trace's rows are a list from its summary's `first_row`.
    pub next_in_trace: Vec<u32>,
    /// Span ids as big-endian numbers.
    pub span_id: Vec<u64>,
    /// Parent ids, 0 for none.
    pub parent_id: Vec<u64>,
    /// Start, Unix nanoseconds.
    pub start: Vec<u64>,
    /// End minus start in nanoseconds, modulo 2^64: an end before the start wraps (spec/traceql.md §1).
    pub duration: Vec<u64>,
    /// Codes of the span names in `names`.
    pub name: Vec<u32>,
    /// Distinct span names.
    pub names: Dictionary,
    /// OTLP's `SpanKind` number as received.
    pub kind: Vec<i32>,
    /// OTLP's `StatusCode` number as received.
    pub status: Vec<i32>,
    /// Number of the span's resource in `resources`.
    pub resource: Vec<u32>,
    /// Number of the span's instrumentation scope in `scopes`.
    pub scope: Vec<u32>,
    /// Status messages that are not empty.
    pub status_message: SparseText,
    /// Trace states that are not empty.
    pub trace_state: SparseText,
    /// Flags other than 0.
    pub flags: Sparse<u32>,
    /// Counts of dropped attributes other than 0.
    pub dropped_attributes: Sparse<u32>,
    /// Counts of dropped events other than 0.
    pub dropped_events: Sparse<u32>,
    /// Counts of dropped links other than 0.
    pub dropped_links: Sparse<u32>,
    /// Span attributes.
    pub attributes: AttributeTable,
    /// Events of all spans.
    pub events: Events,
    /// Links of all spans.
    pub links: Links,
    /// Resources of all spans.
    pub resources: OriginTable,
    /// Instrumentation scopes of all spans.
    pub scopes: OriginTable,
    /// Traces of all spans.
    pub traces: TraceTable,
    /// What is known of spans that are there more than once.
    pub(super) repeats: Repeats,
}

/// Events, one row each; the events of a span are contiguous and in their order.
#[derive(Default)]
pub struct Events {
    /// Row of the span that the event belongs to, ascending.
    pub span: Vec<u32>,
    /// Unix nanoseconds.
    pub time: Vec<u64>,
    /// Codes of the event names in `names`.
    pub name: Vec<u32>,
    /// Distinct event names.
    pub names: Dictionary,
    /// Counts of dropped attributes other than 0.
    pub dropped_attributes: Sparse<u32>,
    /// Event attributes.
    pub attributes: AttributeTable,
}

/// Links, one row each; the links of a span are contiguous and in their order.
#[derive(Default)]
pub struct Links {
    /// Row of the span that the link belongs to, ascending.
    pub span: Vec<u32>,
    /// The linked trace; all zero if it was empty.
    pub trace_id: Vec<TraceId>,
    /// The linked span, 0 for none.
    pub span_id: Vec<u64>,
    /// Trace states that are not empty.
    pub trace_state: SparseText,
    /// Flags other than 0.
    pub flags: Sparse<u32>,
    /// Counts of dropped attributes other than 0.
    pub dropped_attributes: Sparse<u32>,
    /// Link attributes.
    pub attributes: AttributeTable,
}

/// What a chunk knows of a trace as a whole; of a trace with spans elsewhere too it is a part.
#[derive(Clone, Copy, Debug)]
pub struct TraceSummary {
    /// The trace.
    pub id: TraceId,
    /// Earliest span start, Unix nanoseconds.
    pub start: u64,
    /// Latest span end, Unix nanoseconds.
    pub end: u64,
    /// First row of the list through `next_in_trace`.
    pub first_row: u32,
    /// Last row of that list.
    pub last_row: u32,
    /// The last row that is a root (spec/traceql.md §1), or [`NO_ROW`].
    pub root_row: u32,
    /// Number of rows.
    pub num_spans: u32,
    /// When the first span arrived, milliseconds on the caller's clock; of rows that were copied, when the last one had.
    pub arrived_millis: u64,
    /// When the last span arrived.
    pub touched_millis: u64,
}

/// The traces of a chunk with a map from their ids.
#[derive(Default)]
pub struct TraceTable {
    summaries: Vec<TraceSummary>,
    by_id: HashTable<u32>,
    last: u32,
}

fn hash_of(id: &TraceId) -> u64 {
    FixedState::with_seed(0x7472_6163_6573).hash_one(id.0)
}

impl TraceTable {
    /// The ordinal of a trace, which is added with an empty summary if it is new.
    #[inline]
    pub fn intern(&mut self, id: &TraceId) -> u32 {
        // Spans of a trace often follow each other within a request.
        if self.summaries.get(self.last as usize).is_some_and(|last| last.id == *id) {
            return self.last;
        }
        let summaries = &self.summaries;
        let hash = hash_of(id);
        let found = self.by_id.find(hash, |&at| summaries[at as usize].id == *id).copied();
        self.last = found.unwrap_or_else(|| self.add(hash, id));
        self.last
    }

    fn add(&mut self, hash: u64, id: &TraceId) -> u32 {
        let ordinal = self.summaries.len() as u32;
        self.summaries.push(TraceSummary {
            id: *id,
            start: u64::MAX,
            end: 0,
            first_row: NO_ROW,
            last_row: NO_ROW,
            root_row: NO_ROW,
            num_spans: 0,
            arrived_millis: u64::MAX,
            touched_millis: 0,
        });
        let summaries = &self.summaries;
        self.by_id.insert_unique(hash, ordinal, |&other| hash_of(&summaries[other as usize].id));
        ordinal
    }

    /// The ordinal of a trace, if it has spans here.
    pub fn find(&self, id: &TraceId) -> Option<u32> {
        self.by_id.find(hash_of(id), |&at| self.summaries[at as usize].id == *id).copied()
    }

    /// All traces; a trace's position is its ordinal.
    pub fn summaries(&self) -> &[TraceSummary] {
        &self.summaries
    }

    /// The summary of an ordinal, to be updated.
    #[inline]
    pub fn summary_mut(&mut self, ordinal: u32) -> &mut TraceSummary {
        &mut self.summaries[ordinal as usize]
    }

    fn memory(&self) -> usize {
        self.summaries.capacity() * size_of::<TraceSummary>() + 5 * self.by_id.capacity()
    }
}

impl Default for Chunk {
    fn default() -> Self {
        Chunk {
            trace: Vec::new(),
            next_in_trace: Vec::new(),
            span_id: Vec::new(),
            parent_id: Vec::new(),
            start: Vec::new(),
            duration: Vec::new(),
            name: Vec::new(),
            names: Dictionary::default(),
            kind: Vec::new(),
            status: Vec::new(),
            resource: Vec::new(),
            scope: Vec::new(),
            status_message: SparseText::default(),
            trace_state: SparseText::default(),
            flags: Sparse::default(),
            dropped_attributes: Sparse::default(),
            dropped_events: Sparse::default(),
            dropped_links: Sparse::default(),
            attributes: AttributeTable::default(),
            events: Events::default(),
            links: Links::default(),
            resources: OriginTable::new(OriginKind::Resource),
            scopes: OriginTable::new(OriginKind::Scope),
            traces: TraceTable::default(),
            repeats: Repeats::default(),
        }
    }
}

/// The dense fields of a span that [`Chunk::push_span`] adds in one go.
#[derive(Clone, Copy, Debug, Default)]
pub struct SpanFields<'a> {
    /// The trace.
    pub trace_id: TraceId,
    /// Span id as a big-endian number.
    pub span_id: u64,
    /// Parent id, 0 for none.
    pub parent_id: u64,
    /// Start, Unix nanoseconds.
    pub start: u64,
    /// End, Unix nanoseconds.
    pub end: u64,
    /// Span name, not yet checked to be UTF-8.
    pub name: &'a [u8],
    /// OTLP's `SpanKind` number.
    pub kind: i32,
    /// OTLP's `StatusCode` number.
    pub status: i32,
    /// Number of the resource in the chunk's table.
    pub resource: u32,
    /// Number of the scope in the chunk's table.
    pub scope: u32,
}

impl Chunk {
    /// Number of spans.
    pub fn num_rows(&self) -> usize {
        self.span_id.len()
    }

    /// Adds a span's dense fields and ends its row of attributes; its sparse fields, events and links were added before.
    #[inline]
    pub fn push_span(&mut self, span: &SpanFields<'_>, now_millis: u64) {
        let row = self.span_id.len() as u32;
        self.repeats.forget();
        let ordinal = self.traces.intern(&span.trace_id);
        let summary = self.traces.summary_mut(ordinal);
        match summary.last_row {
            NO_ROW => summary.first_row = row,
            last => self.next_in_trace[last as usize] = row,
        }
        summary.last_row = row;
        summary.num_spans += 1;
        summary.start = summary.start.min(span.start);
        summary.end = summary.end.max(span.end);
        summary.arrived_millis = summary.arrived_millis.min(now_millis);
        summary.touched_millis = summary.touched_millis.max(now_millis);
        if span.parent_id == 0 && !self.links.say_child_of(row, &span.trace_id) {
            summary.root_row = row;
        }
        self.trace.push(ordinal);
        self.next_in_trace.push(NO_ROW);
        self.span_id.push(span.span_id);
        self.parent_id.push(span.parent_id);
        self.start.push(span.start);
        self.duration.push(span.end.wrapping_sub(span.start));
        let name = match self.name.last() {
            Some(&last) if same(self.names.get(last), span.name) => last,
            _ => self.names.intern_text(span.name),
        };
        self.name.push(name);
        self.kind.push(span.kind);
        self.status.push(span.status);
        self.resource.push(span.resource);
        self.scope.push(span.scope);
        self.attributes.end_row();
    }

    /// The rows of a trace in the order in which they came.
    pub fn rows_of(&self, trace: u32) -> impl Iterator<Item = u32> + '_ {
        let first = self.traces.summaries()[trace as usize].first_row;
        let existing = |row: u32| (row != NO_ROW).then_some(row);
        std::iter::successors(existing(first), move |&row| existing(self.next_in_trace[row as usize]))
    }

    /// The service name of a row, empty when missing.
    pub fn service_name(&self, row: u32) -> &str {
        self.resources.entries()[self.resource[row as usize] as usize].service_name()
    }

    /// End of a row's span, Unix nanoseconds.
    pub fn end(&self, row: u32) -> u64 {
        self.start[row as usize].wrapping_add(self.duration[row as usize])
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        let dense = self.span_id.capacity() * (8 * 4 + 4 * 7);
        let sparse = self.flags.memory() + self.dropped_attributes.memory() + self.dropped_events.memory() + self.dropped_links.memory();
        let text = self.names.memory() + self.status_message.memory() + self.trace_state.memory();
        let tables = self.attributes.memory() + self.events.memory() + self.links.memory();
        dense + sparse + text + tables + self.resources.memory() + self.scopes.memory() + self.traces.memory()
    }
}

impl Events {
    fn memory(&self) -> usize {
        self.span.capacity() * 16 + self.names.memory() + self.dropped_attributes.memory() + self.attributes.memory()
    }

    /// Adds an event's dense fields and ends its row of attributes; `name` is a code of `names`.
    pub fn push(&mut self, span: u32, time: u64, name: u32) {
        self.span.push(span);
        self.time.push(time);
        self.name.push(name);
        self.attributes.end_row();
    }

    /// The event rows of a span.
    pub fn rows_of(&self, span: u32) -> std::ops::Range<u32> {
        rows_of(&self.span, span)
    }
}

impl Links {
    fn memory(&self) -> usize {
        self.span.capacity() * 28
            + self.trace_state.memory()
            + self.flags.memory()
            + self.dropped_attributes.memory()
            + self.attributes.memory()
    }

    /// Adds a link's dense fields and ends its row of attributes.
    pub fn push(&mut self, span: u32, trace_id: TraceId, span_id: u64) {
        self.span.push(span);
        self.trace_id.push(trace_id);
        self.span_id.push(span_id);
        self.attributes.end_row();
    }

    /// The link rows of a span.
    pub fn rows_of(&self, span: u32) -> std::ops::Range<u32> {
        rows_of(&self.span, span)
    }

    /// Whether a link of the last span added says that it is the child of a span of `trace`, so that it is no root even
    /// without a parent id: the attribute by which OpenTracing bridges mark a parent (spec/traceql.md §1).
    fn say_child_of(&self, span: u32, trace: &TraceId) -> bool {
        let is_child_of =
            |row: u32| self.trace_id[row as usize] == *trace && self.attributes.has_text(row, "opentracing.ref_type", b"child_of");
        self.span.last() == Some(&span) && self.rows_of(span).any(is_child_of)
    }
}

fn rows_of(spans: &[u32], span: u32) -> std::ops::Range<u32> {
    let first = spans.partition_point(|&other| other < span);
    let length = spans[first..].partition_point(|&other| other == span);
    first as u32..(first + length) as u32
}
