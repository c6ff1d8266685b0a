//! The trace index of a block: which ordinal a trace id has.
//!
//! | bytes | content |
//! |---|---|
//! | 8 | magic `CONMOIDX` |
//! | 4 | format version, little-endian |
//! | 4 | number of traces n, little-endian |
//! | 16 n | trace ids, ascending |
//! | 4 n | the ordinal of each, little-endian |
//!
//! It is read with one request and kept: 20 bytes a trace, found by binary search.

use crate::model::TraceId;
use bytes::Bytes;

const MAGIC: &[u8; 8] = b"CONMOIDX";
const VERSION: u32 = 1;
const HEADER: usize = 16;

/// The bytes of an index file for the traces in ordinal order.
pub fn encode(ids: &[TraceId]) -> Vec<u8> {
    let mut sorted: Vec<(TraceId, u32)> = ids.iter().copied().zip(0..).collect();
    sorted.sort_unstable();
    let mut out = Vec::with_capacity(HEADER + 20 * ids.len());
    out.extend_from_slice(&header(ids.len() as u32));
    sorted.iter().for_each(|(id, _)| out.extend_from_slice(&id.0));
    sorted.iter().for_each(|(_, ordinal)| out.extend_from_slice(&ordinal.to_le_bytes()));
    out
}

/// What an index file of that many traces begins with.
pub fn header(num_traces: u32) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    header[12..].copy_from_slice(&num_traces.to_le_bytes());
    header
}

/// Why an index file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// Not an index file, or one of a later version.
    #[error("not a trace index of version {VERSION}")]
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
    /// Position in the sorted list of each ordinal: the reverse of what the file says.
    position_of: Vec<u32>,
}

impl TraceIndex {
    /// Checks the bytes of an index file.
    pub fn decode(bytes: Bytes) -> Result<Self, IndexError> {
        let header: &[u8; HEADER] = bytes.first_chunk().ok_or(IndexError::Damaged)?;
        let word = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        if &header[..8] != MAGIC || word(8) != VERSION {
            return Err(IndexError::Foreign);
        }
        let len = word(12) as usize;
        if bytes.len() != HEADER + 20 * len {
            return Err(IndexError::Damaged);
        }
        let mut index = TraceIndex { bytes, len, position_of: vec![u32::MAX; len] };
        for position in 0..len {
            let ordinal = index.ordinal_at(position) as usize;
            let slot = index.position_of.get_mut(ordinal).ok_or(IndexError::Damaged)?;
            if *slot != u32::MAX {
                return Err(IndexError::Damaged);
            }
            *slot = position as u32;
        }
        if (1..len).any(|position| index.id_at(position - 1) >= index.id_at(position)) {
            return Err(IndexError::Damaged);
        }
        Ok(index)
    }

    fn id_at(&self, position: usize) -> TraceId {
        let start = HEADER + 16 * position;
        TraceId::from_slice(&self.bytes[start..start + 16]).unwrap_or_default()
    }

    fn ordinal_at(&self, position: usize) -> u32 {
        let start = HEADER + 16 * self.len + 4 * position;
        let bytes = &self.bytes[start..start + 4];
        u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
    }

    /// The ordinal of a trace, if it is in the block.
    pub fn find(&self, id: &TraceId) -> Option<u32> {
        let (mut low, mut high) = (0, self.len);
        while low < high {
            let middle = (low + high) / 2;
            match self.id_at(middle).cmp(id) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Some(self.ordinal_at(middle)),
            }
        }
        None
    }

    /// The trace of an ordinal.
    pub fn id_of(&self, ordinal: u32) -> TraceId {
        self.position_of.get(ordinal as usize).map(|&position| self.id_at(position as usize)).unwrap_or_default()
    }

    /// The traces in the order of their ids, each with its ordinal.
    pub fn sorted(&self) -> impl Iterator<Item = (TraceId, u32)> + '_ {
        (0..self.len).map(|position| (self.id_at(position), self.ordinal_at(position)))
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_trace_is_found(ids: std::collections::HashSet<[u8; 16]>, other: [u8; 16]) {
            let ids: Vec<TraceId> = ids.into_iter().map(TraceId).collect();
            let index = TraceIndex::decode(encode(&ids).into()).expect("well formed");
            for (ordinal, id) in ids.iter().enumerate() {
                prop_assert_eq!(index.find(id), Some(ordinal as u32));
                prop_assert_eq!(index.id_of(ordinal as u32), *id);
            }
            prop_assert_eq!(index.find(&TraceId(other)).is_some(), ids.contains(&TraceId(other)));
        }

        #[test]
        fn damage_is_refused_or_harmless(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), fake_header: bool) {
            if fake_header && bytes.len() >= 16 {
                bytes[..8].copy_from_slice(MAGIC);
                bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
                let len = (bytes.len() - HEADER) / 20;
                bytes[12..16].copy_from_slice(&(len as u32).to_le_bytes());
            }
            if let Ok(index) = TraceIndex::decode(bytes.into()) {
                index.find(&TraceId([7; 16]));
            }
        }
    }
}
