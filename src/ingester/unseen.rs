//! Rows that whoever makes metrics of spans has not seen yet.
//!
//! Each row is given out once: those of sealed chunks from a queue, those of active chunks in place, a few at a time. The queue
//! holds chunks that queries hold as well until they are cut; what a reader that is too slow keeps alive longer is bounded,
//! and beyond that whole chunks are left out.

use crate::columns::Chunk;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// Most bytes of chunks that wait.
const MAX_BYTES: usize = 48 << 20;

/// Rows that a reader gets at once of a sealed chunk.
const SEALED_ROWS: u32 = 8192;

/// Rows that a reader gets at once of an active chunk, which is locked meanwhile.
pub(super) const ACTIVE_ROWS: usize = 1024;

/// Sees new rows: the chunk, its serial number, the rows, and whether nothing more of the chunk will come.
pub type SeeRows<'a> = dyn FnMut(&Chunk, u64, Range<u32>, bool) + 'a;

/// What waits of one head.
#[derive(Default)]
pub(super) struct Unseen {
    /// Without a reader nothing is kept.
    is_on: AtomicBool,
    next_serial: AtomicU64,
    num_missed: AtomicU64,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    chunks: VecDeque<Waiting>,
    bytes: usize,
}

struct Waiting {
    chunk: Arc<Chunk>,
    serial: u64,
    num_seen: usize,
    bytes: usize,
}

impl Unseen {
    /// From now on there is a reader.
    pub(super) fn switch_on(&self) {
        self.is_on.store(true, Relaxed);
    }

    /// The number of a new chunk.
    pub(super) fn serial(&self) -> u64 {
        self.next_serial.fetch_add(1, Relaxed)
    }

    /// Rows that were left out.
    pub(super) fn num_missed(&self) -> u64 {
        self.num_missed.load(Relaxed)
    }

    /// A chunk was sealed of which a reader has seen some rows.
    pub(super) fn sealed(&self, chunk: &Arc<Chunk>, serial: u64, num_seen: usize, bytes: usize) {
        if !self.is_on.load(Relaxed) {
            return;
        }
        let mut queue = self.queue.lock();
        if queue.bytes + bytes > MAX_BYTES {
            self.num_missed.fetch_add((chunk.num_rows() - num_seen) as u64, Relaxed);
            return;
        }
        queue.bytes += bytes;
        queue.chunks.push_back(Waiting { chunk: Arc::clone(chunk), serial, num_seen, bytes });
    }

    /// Gives out the rows of sealed chunks.
    pub(super) fn visit(&self, see: &mut SeeRows<'_>) {
        loop {
            let mut queue = self.queue.lock();
            let Some(waiting) = queue.chunks.pop_front() else { return };
            queue.bytes -= waiting.bytes;
            drop(queue);
            let end = waiting.chunk.num_rows() as u32;
            let mut start = waiting.num_seen as u32;
            loop {
                let stop = end.min(start.saturating_add(SEALED_ROWS));
                see(&waiting.chunk, waiting.serial, start..stop, stop == end);
                if stop == end {
                    break;
                }
                start = stop;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::chunk::SpanFields;

    fn chunk(num_rows: usize) -> Arc<Chunk> {
        let mut chunk = Chunk::default();
        (0..num_rows).for_each(|_| chunk.push_span(&SpanFields::default(), 0));
        Arc::new(chunk)
    }

    #[test]
    fn what_does_not_fit_is_left_out_and_counted() {
        let unseen = Unseen::default();
        unseen.sealed(&chunk(1), 0, 0, 1);
        unseen.switch_on();
        unseen.sealed(&chunk(10), 1, 4, MAX_BYTES);
        unseen.sealed(&chunk(5), 2, 2, 1);
        let mut seen = Vec::new();
        unseen.visit(&mut |_, serial, rows, is_last| seen.push((serial, rows, is_last)));
        assert_eq!((seen, unseen.num_missed()), (vec![(1, 4..10, true)], 3));
        unseen.sealed(&chunk(SEALED_ROWS as usize + 1), 3, 0, MAX_BYTES);
        let mut seen = Vec::new();
        unseen.visit(&mut |_, _, rows, is_last| seen.push((rows, is_last)));
        assert_eq!(seen, [(0..SEALED_ROWS, false), (SEALED_ROWS..SEALED_ROWS + 1, true)]);
    }
}
