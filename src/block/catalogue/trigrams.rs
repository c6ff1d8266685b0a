//! Which three bytes follow each other anywhere in the texts of a column: a text that is searched for by a part of it (`=~ ".*part.*"`)
//! cannot be there if three bytes of the part are not.

use crate::columns::known::Parts;

/// Bits of a set. URLs with numbers have 1,000 to 2,000 different trigrams, hex digits 4,096.
const BITS: usize = 1 << 13;

/// A set with more of its bits set lets nearly everything pass.
const MAX_BITS_SET: usize = BITS * 3 / 4;

/// A set of trigrams, by a hash.
#[derive(Clone, Debug)]
pub(super) struct Trigrams(Box<[u8]>);

impl Default for Trigrams {
    fn default() -> Self {
        Trigrams(vec![0; BITS / 8].into())
    }
}

impl Trigrams {
    /// Adds those of a text.
    pub fn add(&mut self, text: &[u8]) {
        for bit in bits_of(text) {
            self.0[bit / 8] |= 1 << (bit % 8);
        }
    }

    /// The bytes of the set, unless it would be of no use.
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        let num_set: usize = self.0.iter().map(|byte| byte.count_ones() as usize).sum();
        (num_set <= MAX_BITS_SET).then(|| self.0.to_vec())
    }

    /// From [`to_bytes`](Self::to_bytes); `None` for another number of bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        (bytes.len() == BITS / 8).then(|| Trigrams(bytes.into()))
    }
}

impl Parts for Trigrams {
    fn may_hold(&self, part: &[u8]) -> bool {
        bits_of(part).all(|bit| self.0[bit / 8] & 1 << (bit % 8) != 0)
    }
}

fn bits_of(text: &[u8]) -> impl Iterator<Item = usize> {
    text.windows(3).map(|three| {
        let number = u32::from_le_bytes([three[0], three[1], three[2], 0]);
        (number.wrapping_mul(0x9e37_79b1) >> (32 - BITS.trailing_zeros())) as usize
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parts_of_texts_are_never_denied(texts in proptest::collection::vec(".{0,40}", 1..20), which: prop::sample::Index, start: prop::sample::Index) {
            let mut set = Trigrams::default();
            texts.iter().for_each(|text| set.add(text.as_bytes()));
            let set = Trigrams::from_bytes(&set.to_bytes().expect("few texts")).expect("as it was written");
            let text = which.get(&texts).as_bytes();
            let start = if text.is_empty() { 0 } else { start.index(text.len()) };
            prop_assert!(set.may_hold(&text[start..]));
            prop_assert!(set.may_hold(&text[..start]));
        }
    }

    #[test]
    fn other_parts_mostly_are() {
        let mut set = Trigrams::default();
        (0..1000).for_each(|n| set.add(format!("https://shop.example/api/v1/orders/{n}").as_bytes()));
        assert!(!set.may_hold(b"no-such-path") && set.may_hold(b"orders/99") && set.may_hold(b"") && set.may_hold(b"zz"));
    }

    #[test]
    fn a_full_set_is_not_kept() {
        let mut set = Trigrams::default();
        (0..100_000u32).for_each(|n| set.add(&n.wrapping_mul(0x9e37_79b1).to_le_bytes()));
        assert!(set.to_bytes().is_none());
    }
}
