//! Bloom filters over the trace ids of a block, in shards, so that a lookup loads about 100 KB at most.
//!
//! A shard file is what the `bloomfilter` crate writes (it carries its own size and keys). The shard of a trace is its
//! last four bytes as a big-endian number, modulo the number of shards: ids are random there, also those that senders
//! padded on the left.

use super::parts::Weighed;
use crate::model::TraceId;
use bloomfilter::Bloom;

/// Traces per shard: about 100 KB at 1 % false positives (spec/storage.md §3 has the same size).
const TRACES_PER_SHARD: usize = 80_000;
const FALSE_POSITIVES: f64 = 0.01;
/// Fixed, so that equal blocks are equal bytes. The halves are the keys of two hashes and must differ: with equal ones the
/// second hash adds nothing, and 3.6 % of foreign ids pass.
const SEED: &[u8; 32] = b"conmoto bloom filter of trace id";

/// The filters of one block.
pub struct TraceBloom {
    shards: Vec<Bloom<[u8; 16]>>,
}

/// A filter that cannot be built or read.
#[derive(Debug, Clone, thiserror::Error)]
#[error("bloom filter: {0}")]
pub struct BloomError(&'static str);

impl TraceBloom {
    /// The filters of these traces.
    pub fn build(ids: &[TraceId]) -> Result<Self, BloomError> {
        let mut bloom = TraceBloom::sized(ids.len())?;
        ids.iter().for_each(|id| bloom.insert(id));
        Ok(bloom)
    }

    /// Empty filters for that many traces.
    pub fn sized(num_traces: usize) -> Result<Self, BloomError> {
        let num_shards = num_traces.div_ceil(TRACES_PER_SHARD).max(1);
        let per_shard = num_traces.div_ceil(num_shards).max(1);
        let shard = || Bloom::new_for_fp_rate_with_seed(per_shard, FALSE_POSITIVES, SEED).map_err(BloomError);
        Ok(TraceBloom { shards: (0..num_shards).map(|_| shard()).collect::<Result<_, _>>()? })
    }

    /// Adds a trace.
    pub fn insert(&mut self, id: &TraceId) {
        let shard = self.shard_of(id);
        self.shards[shard].set(&id.0);
    }

    /// Reads the shard files, in order.
    pub fn decode(files: &[impl AsRef<[u8]>]) -> Result<Self, BloomError> {
        if files.is_empty() {
            return Err(BloomError("no shards"));
        }
        let shards = files.iter().map(|file| Bloom::from_slice(file.as_ref()).map_err(BloomError)).collect::<Result<_, _>>()?;
        Ok(TraceBloom { shards })
    }

    /// The bytes of the shard files, in order.
    pub fn encode(&self) -> Vec<Vec<u8>> {
        self.shards.iter().map(Bloom::to_bytes).collect()
    }

    fn shard_of(&self, id: &TraceId) -> usize {
        let [.., a, b, c, d] = id.0;
        u32::from_be_bytes([a, b, c, d]) as usize % self.shards.len()
    }

    /// False if the trace is certainly not in the block.
    pub fn may_contain(&self, id: &TraceId) -> bool {
        self.shards[self.shard_of(id)].check(&id.0)
    }
}

impl Weighed for TraceBloom {
    fn memory(&self) -> usize {
        self.shards.iter().map(|shard| shard.len() as usize / 8 + size_of_val(shard)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_and_few_others() {
        let ids: Vec<TraceId> =
            (0..100_000u128).map(|n| TraceId(n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_be_bytes())).collect();
        let built = TraceBloom::build(&ids[..90_000]).expect("legal size");
        let bloom = TraceBloom::decode(&built.encode()).expect("own bytes");
        assert!(ids[..90_000].iter().all(|id| bloom.may_contain(id)));
        let false_positives = ids[90_000..].iter().filter(|id| bloom.may_contain(id)).count();
        assert!(false_positives < 150, "{false_positives} of 10,000");
    }
}
