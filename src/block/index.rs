//! The trace index of a block: which ordinal a trace id has.
//!
//! | bytes | content |
//! |---|---|
//! | 8 | magic `CONMOIDX` |
//! | 4 | format version, little-endian |
//! | 4 | number of traces n, little-endian |
//! | (16 - p) n | trace ids, ascending, without their first p bytes; 256^p is at most n |
//! | | for each value of these p bytes the number of ids that begin with it, a varint; nothing if p is 0 |
//! | w n / 8 | the ordinal of each, w bits from the least; w bits hold n - 1 |
//!
//! Version 1 had p = 0 and w = 32. It is read with one request and kept: about 20 bytes a trace. An id is found by binary
//! search among those that begin as it does.

use super::parts::Weighed;
use crate::columns::wire::{put_varint, split_varint};
use crate::model::TraceId;
use bytes::Bytes;
use std::io::{self, Write};
use std::ops::Range;

mod packed;

use packed::{PackedWriter, bits_of, packed_at, packed_len};

const MAGIC: &[u8; 8] = b"CONMOIDX";
const VERSION: u32 = 2;
const HEADER: usize = 16;
const ID_BYTES: usize = 16;

/// More prefixes than 16 million would be more memory than they save.
const MAX_PREFIX_BYTES: usize = 3;

/// The bytes of an index file for the traces in ordinal order.
pub fn encode(ids: &[TraceId]) -> Vec<u8> {
    let mut sorted: Vec<(TraceId, u32)> = ids.iter().copied().zip(0..).collect();
    sorted.sort_unstable();
    let mut out = Vec::with_capacity(HEADER + 20 * ids.len());
    let written = write(&mut out, ids.len() as u32, sorted.iter().map(|(id, _)| *id), sorted.iter().map(|(_, ordinal)| *ordinal));
    debug_assert!(written.is_ok(), "memory takes all that is written");
    out
}

/// Writes an index file of that many traces: their ids, ascending, and their ordinals in the same order.
pub fn write(
    out: &mut impl Write,
    num_traces: u32,
    ids: impl Iterator<Item = TraceId>,
    ordinals: impl Iterator<Item = u32>,
) -> io::Result<()> {
    out.write_all(MAGIC)?;
    out.write_all(&VERSION.to_le_bytes())?;
    out.write_all(&num_traces.to_le_bytes())?;
    let layout = Layout::of(num_traces as usize);
    let mut counts = vec![0u64; layout.num_prefixes()];
    for id in ids {
        counts[prefix(&id, layout.prefix_bytes)] += 1;
        out.write_all(&id.0[layout.prefix_bytes..])?;
    }
    if layout.prefix_bytes > 0 {
        let mut varints = Vec::with_capacity(counts.len());
        counts.iter().for_each(|count| put_varint(&mut varints, *count));
        out.write_all(&varints)?;
    }
    let mut packed = PackedWriter::new(layout.ordinal_bits);
    for ordinal in ordinals {
        packed.push(ordinal, out)?;
    }
    packed.finish(out)
}

/// The first bytes of an id as a number.
fn prefix(id: &TraceId, num_bytes: usize) -> usize {
    id.0[..num_bytes].iter().fold(0, |prefix, byte| prefix << 8 | usize::from(*byte))
}

/// How the traces of an index are written.
#[derive(Clone, Copy)]
struct Layout {
    prefix_bytes: usize,
    ordinal_bits: usize,
}

impl Layout {
    /// Of an index of the present version.
    fn of(num_traces: usize) -> Self {
        let is_worth = |bytes: &usize| 1usize << (8 * bytes) <= num_traces;
        let prefix_bytes = (0..=MAX_PREFIX_BYTES).rev().find(is_worth).unwrap_or(0);
        Layout { prefix_bytes, ordinal_bits: bits_of(num_traces.saturating_sub(1)) }
    }

    /// Of one of an earlier version; `None` for a later one.
    fn of_version(version: u32, num_traces: usize) -> Option<Self> {
        match version {
            1 => Some(Layout { prefix_bytes: 0, ordinal_bits: 32 }),
            VERSION => Some(Self::of(num_traces)),
            _ => None,
        }
    }

    fn num_prefixes(&self) -> usize {
        1 << (8 * self.prefix_bytes)
    }

    /// Bytes that are written of an id.
    fn rest_bytes(&self) -> usize {
        ID_BYTES - self.prefix_bytes
    }
}

/// Why an index file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// Not an index file, or one of a later version.
    #[error("not a trace index of version {VERSION} or earlier")]
    Foreign,
    /// Length, order or ordinals do not fit.
    #[error("the trace index is damaged")]
    Damaged,
}

/// An index file in memory.
#[derive(Clone)]
pub struct TraceIndex {
    bytes: Bytes,
    len: usize,
    layout: Layout,
    /// Position in the sorted list of the first id of each prefix, and of the end.
    starts: Vec<u32>,
    /// Where the ordinals begin in the file.
    ordinals_at: usize,
    /// Position in the sorted list of each ordinal, packed as the ordinals are: the reverse of what the file says.
    position_of: Vec<u8>,
}

impl TraceIndex {
    /// Checks the bytes of an index file.
    pub fn decode(bytes: Bytes) -> Result<Self, IndexError> {
        let header: &[u8; HEADER] = bytes.first_chunk().ok_or(IndexError::Damaged)?;
        let word = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        if &header[..8] != MAGIC {
            return Err(IndexError::Foreign);
        }
        let len = word(12) as usize;
        let layout = Layout::of_version(word(8), len).ok_or(IndexError::Foreign)?;
        let counts_at = HEADER + layout.rest_bytes() * len;
        let (starts, ordinals_at) = starts(&bytes, counts_at, len, layout).ok_or(IndexError::Damaged)?;
        if bytes.len() != ordinals_at + packed_len(len, layout.ordinal_bits) {
            return Err(IndexError::Damaged);
        }
        let mut index = TraceIndex { bytes, len, layout, starts, ordinals_at, position_of: Vec::new() };
        index.check_order()?;
        index.position_of = index.positions()?;
        Ok(index)
    }

    /// Error: `Damaged` unless the ids ascend.
    fn check_order(&self) -> Result<(), IndexError> {
        let ascends = |range: &[u32]| {
            let mut rests = (range[0] as usize..range[1] as usize).map(|position| self.rest_at(position));
            let mut last = rests.next();
            rests.all(|rest| last.replace(rest).is_some_and(|before| before < rest))
        };
        if self.starts.windows(2).all(ascends) { Ok(()) } else { Err(IndexError::Damaged) }
    }

    /// The position of each ordinal. Error: `Damaged` unless each occurs once.
    fn positions(&self) -> Result<Vec<u8>, IndexError> {
        let mut position_of = vec![u32::MAX; self.len];
        for position in 0..self.len {
            let slot = position_of.get_mut(self.ordinal_at(position) as usize).ok_or(IndexError::Damaged)?;
            if std::mem::replace(slot, position as u32) != u32::MAX {
                return Err(IndexError::Damaged);
            }
        }
        let mut packed = Vec::with_capacity(packed_len(self.len, self.layout.ordinal_bits));
        let mut writer = PackedWriter::new(self.layout.ordinal_bits);
        let written = position_of.into_iter().try_for_each(|position| writer.push(position, &mut packed));
        written.and_then(|()| writer.finish(&mut packed)).map_err(|_| IndexError::Damaged)?;
        Ok(packed)
    }

    /// What is written of an id.
    fn rest_at(&self, position: usize) -> &[u8] {
        let num_bytes = self.layout.rest_bytes();
        let start = HEADER + num_bytes * position;
        &self.bytes[start..start + num_bytes]
    }

    fn ordinal_at(&self, position: usize) -> u32 {
        packed_at(&self.bytes[self.ordinals_at..], self.layout.ordinal_bits, position)
    }

    /// The positions of the ids with a prefix.
    fn with_prefix(&self, prefix: usize) -> Range<usize> {
        self.starts[prefix] as usize..self.starts[prefix + 1] as usize
    }

    fn id_of_parts(&self, prefix: usize, position: usize) -> TraceId {
        let mut id = [0; ID_BYTES];
        let (head, tail) = id.split_at_mut(self.layout.prefix_bytes);
        head.copy_from_slice(&(prefix as u64).to_be_bytes()[8 - self.layout.prefix_bytes..]);
        tail.copy_from_slice(self.rest_at(position));
        TraceId(id)
    }

    /// The ordinal of a trace, if it is in the block.
    pub fn find(&self, id: &TraceId) -> Option<u32> {
        let Range { start: mut low, end: mut high } = self.with_prefix(prefix(id, self.layout.prefix_bytes));
        let rest = &id.0[self.layout.prefix_bytes..];
        while low < high {
            let middle = (low + high) / 2;
            match self.rest_at(middle).cmp(rest) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Some(self.ordinal_at(middle)),
            }
        }
        None
    }

    /// The trace of an ordinal.
    pub fn id_of(&self, ordinal: u32) -> TraceId {
        if ordinal as usize >= self.len {
            return TraceId::default();
        }
        let position = packed_at(&self.position_of, self.layout.ordinal_bits, ordinal as usize);
        let prefix = self.starts.partition_point(|start| *start <= position).saturating_sub(1);
        self.id_of_parts(prefix, position as usize)
    }

    /// The traces in the order of their ids, each with its ordinal.
    pub fn sorted(&self) -> impl Iterator<Item = (TraceId, u32)> + '_ {
        let entry = move |prefix, position| (self.id_of_parts(prefix, position), self.ordinal_at(position));
        let of_prefix = move |prefix| self.with_prefix(prefix).map(move |position| entry(prefix, position));
        (0..self.layout.num_prefixes()).flat_map(of_prefix)
    }

    /// Number of traces.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if there is no trace.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Weighed for TraceIndex {
    fn memory(&self) -> usize {
        self.bytes.len() + 4 * self.starts.capacity() + self.position_of.capacity()
    }
}

/// Where the ids of each prefix begin, and all end; and where the counts of them end in the file. `None` if they do not add up.
fn starts(bytes: &[u8], counts_at: usize, len: usize, layout: Layout) -> Option<(Vec<u32>, usize)> {
    if layout.prefix_bytes == 0 {
        return Some((vec![0, len as u32], counts_at));
    }
    let mut rest = bytes.get(counts_at..)?;
    let mut starts = Vec::with_capacity(layout.num_prefixes() + 1);
    let mut start = 0u32;
    for _ in 0..layout.num_prefixes() {
        starts.push(start);
        let (count, after) = split_varint(rest)?;
        (start, rest) = (start.checked_add(u32::try_from(count).ok()?)?, after);
    }
    starts.push(start);
    (start as usize == len).then_some((starts, bytes.len() - rest.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An index as builds up to version 0.1 wrote it.
    fn version_1(ids: &[TraceId]) -> Vec<u8> {
        let mut sorted: Vec<(TraceId, u32)> = ids.iter().copied().zip(0..).collect();
        sorted.sort_unstable();
        let mut out = [&MAGIC[..], &1u32.to_le_bytes(), &(ids.len() as u32).to_le_bytes()].concat();
        sorted.iter().for_each(|(id, _)| out.extend_from_slice(&id.0));
        sorted.iter().for_each(|(_, ordinal)| out.extend_from_slice(&ordinal.to_le_bytes()));
        out
    }

    /// Ids that begin alike, and others.
    fn ids() -> impl Strategy<Value = Vec<TraceId>> {
        let id = (prop::sample::select(vec![0u8, 1, 0xff]), any::<[u8; 15]>(), any::<bool>());
        let id = id.prop_map(|(first, rest, is_any)| {
            let mut id = [first; 16];
            id[if is_any { 0 } else { 1 }..15].copy_from_slice(&rest[if is_any { 0 } else { 1 }..]);
            id[15] = rest[14];
            TraceId(id)
        });
        prop::collection::hash_set(id, 0..700).prop_map(|ids| ids.into_iter().collect())
    }

    proptest! {
        #[test]
        fn every_trace_is_found(ids in ids(), other: [u8; 16], is_old: bool) {
            let bytes = if is_old { version_1(&ids) } else { encode(&ids) };
            let index = TraceIndex::decode(bytes.into()).expect("well formed");
            for (ordinal, id) in ids.iter().enumerate() {
                prop_assert_eq!(index.find(id), Some(ordinal as u32));
                prop_assert_eq!(index.id_of(ordinal as u32), *id);
            }
            prop_assert_eq!(index.find(&TraceId(other)).is_some(), ids.contains(&TraceId(other)));
            let mut sorted: Vec<(TraceId, u32)> = ids.iter().copied().zip(0..).collect();
            sorted.sort_unstable();
            prop_assert!(index.sorted().eq(sorted));
        }

        #[test]
        fn damage_is_refused_or_harmless(ids in ids(), at: prop::sample::Index, bit in 0u32..8, cut in 0usize..3) {
            let mut bytes = encode(&ids);
            let at = at.index(bytes.len());
            bytes[at] ^= 1u8 << bit;
            bytes.truncate(bytes.len() - cut);
            if let Ok(index) = TraceIndex::decode(bytes.into()) {
                prop_assert_eq!(index.sorted().count(), index.len());
                let ids = (0..index.len() as u32 + 1).map(|ordinal| index.id_of(ordinal));
                prop_assert_eq!(ids.count(), index.len() + 1);
                index.find(&TraceId([7; 16]));
            }
        }

        #[test]
        fn noise_is_refused_or_harmless(mut bytes in prop::collection::vec(any::<u8>(), 0..200), version in 1u32..3, len in 0u32..20) {
            if bytes.len() >= HEADER {
                bytes[..8].copy_from_slice(MAGIC);
                bytes[8..12].copy_from_slice(&version.to_le_bytes());
                bytes[12..16].copy_from_slice(&len.to_le_bytes());
            }
            if let Ok(index) = TraceIndex::decode(bytes.into()) {
                index.find(&TraceId([7; 16]));
            }
        }
    }

    #[test]
    fn later_versions_are_refused_by_name() {
        let mut bytes = encode(&[TraceId([7; 16])]);
        bytes[8] = 3;
        assert!(matches!(TraceIndex::decode(bytes.into()), Err(IndexError::Foreign)));
    }

    #[test]
    fn prefixes_of_two_bytes() {
        let id = |number: u64| TraceId((u128::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 64 | u128::from(number)).to_be_bytes());
        let ids: Vec<TraceId> = (0..70_000).map(id).collect();
        let bytes = encode(&ids);
        assert!(bytes.len() < 70_000 * 18, "{}", bytes.len());
        let index = TraceIndex::decode(bytes.into()).expect("well formed");
        assert!(ids.iter().zip(0..).all(|(id, ordinal)| index.find(id) == Some(ordinal) && index.id_of(ordinal) == *id));
        assert_eq!(index.find(&id(70_001)), None);
    }
}
