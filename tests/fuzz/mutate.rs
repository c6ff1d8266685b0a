//! Inputs that are nearly right.

/// Makes one input.
pub struct Mutator(u64);

/// Numbers that lengths and counts go wrong at.
const EDGES: [u64; 10] = [0, 1, 0x7f, 0x80, 0xff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 1 << 63, u64::MAX];

impl Mutator {
    pub fn new(seed: u64, number: u64) -> Self {
        Mutator(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ number.wrapping_mul(0xd605_bbb5_8c8a_bc2d))
    }

    /// splitmix64.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound.max(1) as u64) as usize
    }

    /// One of the seeds with up to eight changes.
    pub fn mutated(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut input = seeds[self.below(seeds.len())].clone();
        for _ in 0..1 + self.below(8) {
            self.change(&mut input, seeds);
        }
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let at = self.below(input.len() + 1);
        let length = 1 + self.below(16);
        let end = (at + length).min(input.len());
        match self.below(9) {
            0 | 1 if at < input.len() => input[at] ^= 1 << self.below(8),
            2 if at < input.len() => input[at] = self.below(256) as u8,
            3 => drop(input.drain(at..end)),
            4 => {
                let copied = input[at..end].to_vec();
                let to = self.below(input.len() + 1);
                input.splice(to..to, copied);
            }
            5 => input.truncate(at),
            6 => {
                let edge = EDGES[self.below(EDGES.len())].to_le_bytes();
                let width = [1, 2, 4, 8][self.below(4)];
                let end = (at + width).min(input.len());
                input.splice(at..end, edge[..width].iter().copied());
            }
            7 => {
                let other = &seeds[self.below(seeds.len())];
                let from = self.below(other.len() + 1);
                let end = (from + 4 * length).min(other.len());
                let piece = other[from..end].to_vec();
                input.splice(at..at, piece);
            }
            _ => input.extend((0..length).map(|_| self.below(256) as u8)),
        }
    }
}
