//! Traces with pieces in several inputs: found through the indexes, joined in memory, a batch at a time.

use super::{MergeError, of_block};
use crate::block::find_trace::TracePlace;
use crate::block::index::TraceIndex;
use crate::block::output::FilesInMemory;
use crate::block::reader::Block;
use crate::block::trace_table::GroupTraces;
use crate::block::writer::{BlockInput, write_in_groups};
use crate::columns::Chunk;
use crate::model::{BlockId, TenantId, TraceId, UnixNanos};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::ops::Range;
use std::sync::Arc;

/// A batch of joined traces ends at the first trace at or after this many spans. A trace with more is a batch of its own.
const BATCH_SPANS: u64 = 64 * 1024;

/// Pieces of a trace that are nearer than this many rows are read together with what lies between them: decoding that costs
/// less than another start, since a column is decoded by pages.
const NEAR_ROWS: u32 = 4 * 1024;

/// Most rows that are read together, to bound memory.
const MOST_ROWS: u32 = 64 * 1024;

/// Where a piece of a trace is.
#[derive(Clone, Copy)]
struct Piece {
    input: u32,
    ordinal: u32,
}

/// A trace with several pieces.
struct SharedTrace {
    pieces: Range<usize>,
    start: u64,
    num_spans: u64,
}

/// Traces that are in more than one input.
pub(super) struct SharedTraces {
    inputs: Vec<Arc<Block>>,
    pieces: Vec<Piece>,
    /// By start.
    traces: Vec<SharedTrace>,
    /// For each input the ordinals of pieces, ascending.
    skipped: Vec<Vec<u32>>,
    next: usize,
    num_duplicates: usize,
}

impl SharedTraces {
    /// Compares the indexes of all inputs.
    pub fn find(inputs: &[Arc<Block>]) -> Result<Self, MergeError> {
        let mut shared = SharedTraces {
            inputs: inputs.to_vec(),
            pieces: Vec::new(),
            traces: Vec::new(),
            skipped: vec![Vec::new(); inputs.len()],
            next: 0,
            num_duplicates: 0,
        };
        let mut last: Option<(TraceId, Piece)> = None;
        let mut is_open = false;
        let indexes = inputs.iter().map(|block| block.index().map(TraceIndex::sorted).map_err(of_block(block)));
        for (id, input, ordinal) in in_id_order(indexes.collect::<Result<_, _>>()?) {
            let piece = Piece { input: input as u32, ordinal };
            match last {
                Some((other, first)) if other == id => {
                    if !is_open {
                        shared.start_trace(first);
                        is_open = true;
                    }
                    shared.add_piece(piece);
                }
                _ => is_open = false,
            }
            last = Some((id, piece));
        }
        shared.skipped.iter_mut().for_each(|ordinals| ordinals.sort_unstable());
        shared.measure()?;
        Ok(shared)
    }

    fn start_trace(&mut self, first: Piece) {
        let at = self.pieces.len();
        self.traces.push(SharedTrace { pieces: at..at, start: u64::MAX, num_spans: 0 });
        self.add_piece(first);
    }

    fn add_piece(&mut self, piece: Piece) {
        self.pieces.push(piece);
        self.skipped[piece.input as usize].push(piece.ordinal);
        if let Some(trace) = self.traces.last_mut() {
            trace.pieces.end = self.pieces.len();
        }
    }

    /// Finds start and size of each trace, and sorts by start.
    fn measure(&mut self) -> Result<(), MergeError> {
        let mut owner = HashMap::new();
        for (at, trace) in self.traces.iter().enumerate() {
            for piece in &self.pieces[trace.pieces.clone()] {
                owner.insert((piece.input, piece.ordinal), at);
            }
        }
        for (input, block) in self.inputs.iter().enumerate() {
            let mut ordinals = self.skipped[input].as_slice();
            for group in 0..block.row_groups().len() {
                let Some(&next) = ordinals.first() else { break };
                if next >= last_ordinal(block, group) {
                    continue;
                }
                let traces = block.group_traces(group).map_err(of_block(block))?;
                let within = ordinals.partition_point(|&ordinal| ordinal < traces.ordinals().end);
                for &ordinal in &ordinals[..within] {
                    let local = ordinal - traces.ordinals().start;
                    let trace = &mut self.traces[owner[&(input as u32, ordinal)]];
                    trace.start = trace.start.min(traces.table().start(local));
                    trace.num_spans += traces.table().rows(local).len() as u64;
                }
                ordinals = &ordinals[within..];
            }
        }
        let pieces = &self.pieces;
        self.traces.sort_by_key(|trace| (trace.start, pieces[trace.pieces.start].input, pieces[trace.pieces.start].ordinal));
        Ok(())
    }

    /// Number of blocks that are merged.
    pub fn num_inputs(&self) -> usize {
        self.inputs.len()
    }

    /// Number of such traces.
    pub fn len(&self) -> usize {
        self.traces.len()
    }

    /// Number of traces of all inputs, each once.
    pub fn num_traces(&self) -> usize {
        let all: usize = self.inputs.iter().map(|block| block.meta().num_traces as usize).sum();
        all - self.pieces.len() + self.traces.len()
    }

    /// Ordinals of an input whose traces come from batches, ascending.
    pub fn skipped(&self, input: usize) -> &[u32] {
        &self.skipped[input]
    }

    /// Identical spans that were left out so far.
    pub fn num_duplicates(&self) -> usize {
        self.num_duplicates
    }

    /// The next traces, joined, as a block in memory.
    pub fn next_batch(&mut self, group_rows: usize) -> Result<Option<Arc<Block>>, MergeError> {
        let batch = self.take_batch();
        if batch.is_empty() {
            return Ok(None);
        }
        let mut joined = Joined::default();
        let mut pieces: Vec<Piece> = self.traces[batch].iter().flat_map(|trace| &self.pieces[trace.pieces.clone()]).copied().collect();
        pieces.sort_unstable_by_key(|piece| (piece.input, piece.ordinal));
        for of_input in pieces.chunk_by(|a, b| a.input == b.input) {
            let block = &self.inputs[of_input[0].input as usize];
            joined.add(block, of_input).map_err(of_block(block))?;
        }
        joined.settle_roots();
        let tenant = TenantId::single();
        let id = BlockId::random();
        let input = BlockInput { id, tenant: &tenant, sources: &[&joined.chunk], takes: &|_| true, created: UnixNanos(0) };
        let Some(new) = write_in_groups(&input, group_rows)? else { return Ok(None) };
        self.num_duplicates += new.num_duplicates;
        let opened = Block::open(id, new.meta, Arc::new(FilesInMemory(new.files)));
        opened.map(|block| Some(Arc::new(block))).map_err(|source| MergeError::Input { block: id, source })
    }

    fn take_batch(&mut self) -> Range<usize> {
        let first = self.next;
        let mut num_spans = 0;
        while self.next < self.traces.len() && num_spans < BATCH_SPANS {
            num_spans += self.traces[self.next].num_spans;
            self.next += 1;
        }
        first..self.next
    }
}

/// The first ordinal after a row group.
fn last_ordinal(block: &Block, group: usize) -> u32 {
    block.row_groups()[..=group].iter().map(|group| group.num_traces).sum()
}

/// Pieces of traces, read back.
#[derive(Default)]
struct Joined {
    chunk: Chunk,
    /// Service and name of each trace's root, by the first piece that has one.
    roots: HashMap<TraceId, (String, String)>,
}

impl Joined {
    /// Reads pieces of one input, ascending by ordinal.
    fn add(&mut self, block: &Block, pieces: &[Piece]) -> Result<(), crate::block::reader::BlockError> {
        let mut pieces = pieces;
        for group in 0..block.row_groups().len() {
            let within = pieces.partition_point(|piece| piece.ordinal < last_ordinal(block, group));
            if within == 0 {
                continue;
            }
            let traces = block.group_traces(group)?;
            let places = pieces[..within].iter().map(|piece| traces.place(block, piece.ordinal)).collect::<Result<Vec<TracePlace>, _>>()?;
            self.note_roots(&traces, &pieces[..within], &places);
            let mut rest = &places[..];
            while let Some(first) = rest.first() {
                let near = near_each_other(rest, first.rows.start);
                block.append_traces(group, traces.first_row(), &rest[..near], &mut self.chunk)?;
                rest = &rest[near..];
            }
            pieces = &pieces[within..];
        }
        Ok(())
    }

    fn note_roots(&mut self, traces: &GroupTraces, pieces: &[Piece], places: &[TracePlace]) {
        for (piece, place) in pieces.iter().zip(places) {
            let local = piece.ordinal - traces.ordinals().start;
            let root = traces.table().root_service(local).zip(traces.table().root_name(local));
            if let Some((service, name)) = root {
                self.roots.entry(place.id).or_insert_with(|| (service.to_string(), name.to_string()));
            }
        }
    }

    /// Of several roots a block knows the one that counts by service and name only; rows do not tell which it was.
    fn settle_roots(&mut self) {
        for (id, (service, name)) in &self.roots {
            let Some(trace) = self.chunk.traces.find(id) else { continue };
            let chunk = &self.chunk;
            let is_it = |&row: &u32| {
                let at = row as usize;
                chunk.parent_id[at] == 0 && chunk.names.get(chunk.name[at]) == name.as_bytes() && chunk.service_name(row) == service
            };
            let root = chunk.rows_of(trace).filter(is_it).last();
            if let Some(row) = root {
                self.chunk.traces.summary_mut(trace).root_row = row;
            }
        }
    }
}

/// How many of the places are read together with the first.
fn near_each_other(places: &[TracePlace], start: u32) -> usize {
    let are_near = |pair: &[TracePlace]| pair[1].rows.start - pair[0].rows.end <= NEAR_ROWS && pair[1].rows.end - start <= MOST_ROWS;
    1 + places.windows(2).take_while(|pair| are_near(pair)).count()
}

/// Goes through several lists of (trace, number), each ascending, in the order of traces; says which list, too.
pub(super) fn in_id_order<'a, I>(mut lists: Vec<I>) -> impl Iterator<Item = (TraceId, usize, u32)> + 'a
where
    I: Iterator<Item = (TraceId, u32)> + 'a,
{
    let mut heads: BinaryHeap<Reverse<(TraceId, usize, u32)>> = BinaryHeap::new();
    for (list, ids) in lists.iter_mut().enumerate() {
        heads.extend(ids.next().map(|(id, number)| Reverse((id, list, number))));
    }
    std::iter::from_fn(move || {
        let mut head = heads.peek_mut()?;
        let Reverse((_, list, _)) = *head;
        match lists[list].next() {
            Some((id, number)) => Some(std::mem::replace(&mut *head, Reverse((id, list, number))).0),
            None => Some(std::collections::binary_heap::PeekMut::pop(head).0),
        }
    })
}
