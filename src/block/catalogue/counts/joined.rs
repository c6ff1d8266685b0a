//! Pairs of small numbers, numbered in the order in which they come.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// A table of pairs may have so many entries for each row that is looked up.
const TABLE_ENTRIES_PER_ROW: usize = 4;

/// A table of that size is always cheap enough.
const SMALL_TABLE: usize = 1 << 14;

const UNKNOWN: u32 = u32::MAX;

/// The numbers of pairs: in a table where one is small enough, else by hashing.
pub(super) struct Pairs {
    num_right: u64,
    table: Vec<u32>,
    hashed: HashMap<u64, u32, FixedState>,
    pairs: Vec<(u32, u32)>,
}

impl Pairs {
    /// Of numbers below `num_left` and `num_right`, for so many rows.
    pub fn new(num_left: usize, num_right: usize, num_rows: usize) -> Self {
        let size = num_left.saturating_mul(num_right);
        let is_small = size <= SMALL_TABLE.max(num_rows.saturating_mul(TABLE_ENTRIES_PER_ROW));
        let table = if is_small { vec![UNKNOWN; size] } else { Vec::new() };
        Pairs { num_right: num_right as u64, table, hashed: HashMap::default(), pairs: Vec::new() }
    }

    /// The number of a pair.
    #[inline]
    pub fn number(&mut self, left: u32, right: u32) -> u32 {
        let at = u64::from(left) * self.num_right + u64::from(right);
        let pairs = &mut self.pairs;
        let mut add = || {
            pairs.push((left, right));
            pairs.len() as u32 - 1
        };
        match self.table.get_mut(at as usize) {
            Some(number) => {
                if *number == UNKNOWN {
                    *number = add();
                }
                *number
            }
            None => *self.hashed.entry(at).or_insert_with(add),
        }
    }

    /// All pairs by number.
    pub fn pairs(&self) -> &[(u32, u32)] {
        &self.pairs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_numbered_as_they_come_in_a_table_and_by_hashing() {
        for (num_left, num_right) in [(10, 10), (1 << 20, 1 << 20)] {
            let mut pairs = Pairs::new(num_left, num_right, 4);
            let numbers: Vec<u32> =
                [(3, 4), (4, 3), (3, 4), (0, 0), (9, 9)].iter().map(|(left, right)| pairs.number(*left, *right)).collect();
            assert_eq!(numbers, [0, 1, 0, 2, 3]);
            assert_eq!(pairs.pairs(), [(3, 4), (4, 3), (0, 0), (9, 9)]);
        }
    }
}
