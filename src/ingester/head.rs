//! The recent spans of one tenant.
//!
//! A request goes whole into one of a few active chunks, so that connections seldom wait for each other. An active chunk
//! that is large enough is sealed: from then on nobody changes it, and queries read it without a lock. A query seals what
//! is active, so that it sees everything that was acknowledged before it; small sealed chunks are joined now and then.

use super::instruments::Received;
use super::unseen::{ACTIVE_ROWS, SeeRows, Unseen};
use super::wal::Receipt;
use crate::block::reader::Block;
use crate::columns::wire::Malformed;
use crate::columns::{Chunk, copy, decode};
use crate::model::{TraceId, UnixNanos};
use crate::store::BlockList;
use parking_lot::{Mutex, RwLock};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// An active chunk with this many rows is sealed: a little before its vectors would double to hold more than 64 Ki rows.
const SEAL_ROWS: usize = 62 * 1024;
/// A sealed chunk with fewer rows is small.
const SMALL_ROWS: usize = SEAL_ROWS / 4;
/// With more small chunks than this they are joined.
const MAX_SMALL: usize = 8;
/// An active chunk with this much memory is sealed, however few its rows.
const SEAL_BYTES: usize = 24 << 20;

/// A chunk that nobody changes any more, and the WAL records that its rows came from.
#[derive(Clone)]
pub struct Sealed {
    /// The rows.
    pub chunk: Arc<Chunk>,
    /// The records; a row's record is among them.
    pub records: Arc<Vec<Receipt>>,
    /// When its first row arrived, milliseconds since the epoch.
    pub created_millis: u64,
    /// How often its rows were left behind by a cut.
    pub carried: u32,
    bytes: usize,
}

impl Sealed {
    /// Seals a chunk.
    pub fn new(chunk: Chunk, records: Vec<Receipt>, created_millis: u64, carried: u32) -> Self {
        let bytes = chunk.memory();
        Sealed { chunk: Arc::new(chunk), records: Arc::new(records), created_millis, carried, bytes }
    }
}

#[derive(Default)]
struct Active {
    chunk: Chunk,
    records: Vec<Receipt>,
    created_millis: u64,
    bytes: usize,
    /// Tells the chunk from others, once it has been seen.
    serial: Option<u64>,
    /// Rows that were given out by [`Head::visit_new`].
    num_seen: usize,
}

/// What a query sees: no span twice, none missing that was acknowledged before.
#[derive(Clone)]
pub struct HeadSnapshot {
    /// Sealed chunks.
    pub chunks: Vec<Arc<Chunk>>,
    /// Blocks.
    pub blocks: Arc<Vec<Arc<Block>>>,
}

/// The recent spans of one tenant, and the blocks that they turn into.
pub struct Head {
    active: Box<[Mutex<Active>]>,
    /// For what is replayed: nobody makes metrics of it, so its rows are not mixed with new ones.
    replayed: Mutex<Active>,
    next_active: AtomicUsize,
    active_bytes: AtomicUsize,
    /// Locked after an active chunk where both are needed. Blocks are added under this lock, together with the removal
    /// of the chunks that they replace.
    sealed: RwLock<Vec<Sealed>>,
    sealed_bytes: AtomicUsize,
    blocks: Arc<BlockList>,
    received: Received,
    unseen: Unseen,
    /// Held by the one flush that may run.
    pub(super) flushing: tokio::sync::Mutex<()>,
}

/// Milliseconds since the epoch.
pub(super) fn now_millis() -> u64 {
    UnixNanos::now().0 / 1_000_000
}

impl Head {
    /// An empty head in front of the tenant's blocks.
    pub fn new(blocks: Arc<BlockList>) -> Self {
        let num_active = std::thread::available_parallelism().map_or(1, |cores| cores.get()).min(8);
        Head {
            active: (0..num_active).map(|_| Mutex::default()).collect(),
            replayed: Mutex::default(),
            next_active: AtomicUsize::new(0),
            active_bytes: AtomicUsize::new(0),
            sealed: RwLock::default(),
            sealed_bytes: AtomicUsize::new(0),
            blocks,
            received: Received::default(),
            unseen: Unseen::default(),
            flushing: tokio::sync::Mutex::default(),
        }
    }

    /// Adds the spans of a logged request and returns their number.
    pub fn append(&self, request: &[u8], receipt: Receipt) -> Result<usize, Malformed> {
        self.append_to(&mut self.free_active(), request, receipt, None)
    }

    /// As [`append`](Self::append) for the spans whose trace `takes` accepts, of a request that an earlier process has logged.
    pub fn append_replayed(&self, request: &[u8], receipt: Receipt, takes: Option<&decode::TraceFilter<'_>>) -> Result<usize, Malformed> {
        let mut replayed = self.replayed.lock();
        let num_spans = self.append_to(&mut replayed, request, receipt, takes)?;
        replayed.num_seen = replayed.chunk.num_rows();
        Ok(num_spans)
    }

    fn append_to(
        &self,
        active: &mut Active,
        request: &[u8],
        receipt: Receipt,
        takes: Option<&decode::TraceFilter<'_>>,
    ) -> Result<usize, Malformed> {
        let now = now_millis();
        if active.chunk.num_rows() == 0 {
            active.created_millis = now;
        }
        let appended = decode::append(&mut active.chunk, request, now, takes);
        if appended.is_err() {
            active.chunk = whole_rows_of(&active.chunk)?;
        }
        let num_spans = appended?;
        if num_spans == 0 {
            return Ok(0);
        }
        active.records.push(receipt);
        self.measure(active);
        if active.chunk.num_rows() >= SEAL_ROWS || active.bytes >= SEAL_BYTES {
            self.seal(active);
        }
        Ok(num_spans)
    }

    /// An active chunk that nobody writes to, or failing that the next one in turn.
    fn free_active(&self) -> parking_lot::MutexGuard<'_, Active> {
        let turn = self.next_active.fetch_add(1, Relaxed) % self.active.len();
        let (before, from) = self.active.split_at(turn);
        from.iter().chain(before).find_map(|active| active.try_lock()).unwrap_or_else(|| self.active[turn].lock())
    }

    /// Brings the count of active bytes up to date; a walk over some dozens of columns.
    fn measure(&self, active: &mut Active) {
        let bytes = active.chunk.memory();
        self.active_bytes.fetch_add(bytes, Relaxed);
        self.active_bytes.fetch_sub(active.bytes, Relaxed);
        active.bytes = bytes;
    }

    fn seal(&self, active: &mut Active) {
        if active.records.is_empty() {
            return;
        }
        let Active { chunk, records, created_millis, bytes, serial, num_seen } = std::mem::take(active);
        let part = Sealed::new(chunk, records, created_millis, 0);
        if serial.is_some() || num_seen < part.chunk.num_rows() {
            self.unseen.sealed(&part.chunk, serial.unwrap_or_else(|| self.unseen.serial()), num_seen, part.bytes);
        }
        let mut sealed = self.sealed.write();
        self.sealed_bytes.fetch_add(part.bytes, Relaxed);
        self.active_bytes.fetch_sub(bytes, Relaxed);
        sealed.push(part);
    }

    fn seal_all(&self) {
        self.all_active().for_each(|active| self.seal(&mut active.lock()));
    }

    fn all_active(&self) -> impl Iterator<Item = &Mutex<Active>> {
        self.active.iter().chain([&self.replayed])
    }

    /// Everything acknowledged so far, for a query.
    pub fn snapshot(&self) -> HeadSnapshot {
        self.seal_all();
        let sealed = self.sealed.read();
        HeadSnapshot { chunks: sealed.iter().map(|part| Arc::clone(&part.chunk)).collect(), blocks: self.blocks.snapshot() }
    }

    /// From now on new rows are kept for [`visit_new`](Self::visit_new); those that are there are not new.
    pub(super) fn watch(&self) {
        self.unseen.switch_on();
        for active in &self.active {
            let mut active = active.lock();
            active.num_seen = active.chunk.num_rows();
        }
    }

    /// Calls `see` with each row that has come since the last time, once. An active chunk is locked for a moment; who
    /// would write to it meanwhile takes another.
    pub fn visit_new(&self, see: &mut SeeRows<'_>) {
        self.unseen.visit(see);
        for active in &self.active {
            loop {
                let mut active = active.lock();
                let (from, num_rows) = (active.num_seen, active.chunk.num_rows());
                if from == num_rows {
                    break;
                }
                let to = num_rows.min(from + ACTIVE_ROWS);
                let serial = *active.serial.get_or_insert_with(|| self.unseen.serial());
                see(&active.chunk, serial, from as u32..to as u32, false);
                active.num_seen = to;
            }
        }
    }

    /// Rows that were left out because nobody came for them in time.
    pub fn num_unseen(&self) -> u64 {
        self.unseen.num_missed()
    }

    /// All sealed chunks, what was active included, for a cut.
    pub(super) fn seal_for_cut(&self) -> Vec<Sealed> {
        self.seal_all();
        self.sealed.read().clone()
    }

    /// Calls `visit` with the rows of a trace in each chunk that has any, and returns the blocks of the same moment. A row
    /// may be visited twice if it is sealed meanwhile; none is missed.
    pub fn visit_trace(&self, id: &TraceId, mut visit: impl FnMut(&Chunk, u32)) -> Arc<Vec<Arc<Block>>> {
        for active in self.all_active() {
            let active = active.lock();
            if let Some(trace) = active.chunk.traces.find(id) {
                visit(&active.chunk, trace);
            }
        }
        let (sealed, blocks) = {
            let sealed = self.sealed.read();
            (sealed.clone(), self.blocks.snapshot())
        };
        for part in &sealed {
            if let Some(trace) = part.chunk.traces.find(id) {
                visit(&part.chunk, trace);
            }
        }
        blocks
    }

    /// Replaces flushed chunks by what was left behind and the block, in one step for every query.
    pub(super) fn swap(&self, flushed: &[Sealed], left: Option<Sealed>, block: Option<Arc<Block>>) {
        let is_flushed = |part: &Sealed| flushed.iter().any(|other| Arc::ptr_eq(&other.chunk, &part.chunk));
        let mut sealed = self.sealed.write();
        sealed.retain(|part| !is_flushed(part));
        sealed.extend(left);
        self.sealed_bytes.store(sealed.iter().map(|part| part.bytes).sum(), Relaxed);
        if let Some(block) = block {
            self.blocks.add(block);
        }
    }

    /// Joins small chunks, of which queries make many. To be called while no flush runs.
    pub(super) fn join_small(&self) -> Result<(), Malformed> {
        let small: Vec<Sealed> = self.sealed.read().iter().filter(|part| part.chunk.num_rows() < SMALL_ROWS).cloned().collect();
        if small.len() <= MAX_SMALL {
            return Ok(());
        }
        let mut joined = Chunk::default();
        for part in &small {
            copy::copy_traces(&part.chunk, &|_| true, &mut joined)?;
        }
        let records = small.iter().flat_map(|part| part.records.iter().copied()).collect();
        let created = small.iter().map(|part| part.created_millis).min().unwrap_or(0);
        let carried = small.iter().map(|part| part.carried).max().unwrap_or(0);
        self.swap(&small, Some(Sealed::new(joined, records, created, carried)), None);
        Ok(())
    }

    /// Bytes of memory held, about.
    pub fn bytes(&self) -> usize {
        self.sealed_bytes.load(Relaxed) + self.active_bytes.load(Relaxed)
    }

    /// When the oldest row arrived, milliseconds since the epoch; `None` if there is none.
    pub(super) fn oldest_millis(&self) -> Option<u64> {
        let sealed = self.sealed.read().iter().map(|part| part.created_millis).min();
        let active = self.all_active().filter_map(|active| {
            let active = active.lock();
            (!active.records.is_empty()).then_some(active.created_millis)
        });
        active.chain(sealed).min()
    }

    /// What the tenant has sent since the start.
    pub fn received(&self) -> &Received {
        &self.received
    }

    /// The tenant's blocks.
    pub fn blocks(&self) -> &Arc<BlockList> {
        &self.blocks
    }
}

/// A copy of a chunk that a failed append left with half a row. Validation keeps that from happening.
fn whole_rows_of(chunk: &Chunk) -> Result<Chunk, Malformed> {
    let mut whole = Chunk::default();
    copy::copy_traces(chunk, &|_| true, &mut whole)?;
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::otlp::{ExportTraceServiceRequest, ResourceSpans, ScopeSpans, Span};
    use prost::Message;

    fn request(trace: u8, span: u8) -> Vec<u8> {
        let span = Span { trace_id: vec![trace; 16], span_id: vec![span; 8], ..Span::default() };
        let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
        ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }] }.encode_to_vec()
    }

    fn receipt(sequence: u64) -> Receipt {
        Receipt { sequence, segment: 1 }
    }

    fn spans_of(head: &Head, trace: u8) -> usize {
        let mut num_spans = 0;
        head.visit_trace(&TraceId([trace; 16]), |chunk, trace| num_spans += chunk.rows_of(trace).count());
        num_spans
    }

    #[test]
    fn a_snapshot_has_what_was_appended_before_it_and_nothing_after() {
        let head = Head::new(Arc::default());
        head.append(&request(1, 1), receipt(1)).expect("well formed");
        let before = head.snapshot();
        head.append(&request(1, 2), receipt(2)).expect("well formed");
        let rows = |snapshot: &HeadSnapshot| snapshot.chunks.iter().map(|chunk| chunk.num_rows()).sum::<usize>();
        assert_eq!((rows(&before), rows(&head.snapshot())), (1, 2));
        assert_eq!(spans_of(&head, 1), 2);
    }

    #[test]
    fn each_row_is_seen_once_wherever_it_is() {
        let head = Head::new(Arc::default());
        head.append(&request(9, 9), receipt(0)).expect("well formed");
        head.watch();
        head.append_replayed(&request(8, 8), receipt(8), None).expect("well formed");
        let seen = |head: &Head| {
            let (mut spans, mut ended) = (Vec::new(), 0);
            head.visit_new(&mut |chunk, _, rows, is_last| {
                spans.extend(rows.map(|row| chunk.span_id[row as usize] as u8));
                ended += usize::from(is_last);
            });
            (spans, ended)
        };
        assert_eq!(seen(&head), (vec![], 0), "what was there before is not new, nor what is replayed");
        head.append(&request(1, 1), receipt(1)).expect("well formed");
        assert_eq!(seen(&head).0, [1]);
        head.append(&request(1, 2), receipt(2)).expect("well formed");
        head.snapshot();
        head.append(&request(1, 3), receipt(3)).expect("well formed");
        let (mut spans, ended) = seen(&head);
        spans.sort_unstable();
        assert_eq!(spans, [2, 3]);
        assert!(ended > 0);
        assert_eq!((seen(&head), head.num_unseen()), ((vec![], 0), 0));
    }

    #[test]
    fn small_chunks_are_joined_without_losing_rows_or_records() {
        let head = Head::new(Arc::default());
        for sequence in 0..40 {
            head.append(&request(sequence as u8 % 7, sequence as u8 + 1), receipt(sequence)).expect("well formed");
            head.snapshot();
        }
        assert_eq!(head.snapshot().chunks.len(), 40);
        head.join_small().expect("stored rows can be copied");
        let sealed = head.seal_for_cut();
        assert_eq!(sealed.len(), 1);
        let mut sequences: Vec<u64> = sealed[0].records.iter().map(|receipt| receipt.sequence).collect();
        sequences.sort_unstable();
        assert_eq!(sequences, (0..40).collect::<Vec<_>>());
        assert_eq!((0..7).map(|trace| spans_of(&head, trace)).sum::<usize>(), 40);
    }

    #[test]
    fn requests_whose_spans_are_all_skipped_leave_nothing_behind() {
        let head = Head::new(Arc::default());
        assert_eq!(head.append_replayed(&request(1, 1), receipt(1), Some(&|_| false)).expect("well formed"), 0);
        assert!(head.seal_for_cut().is_empty() && head.oldest_millis().is_none());
    }
}
