//! Groups of spans by their keys: within a source by dense codes, over all sources by the values themselves.

use super::keys::{Keys, NIL};
use super::values::{NO_VALUE, ValueTable};
use crate::traceql::eval::Scalar;
use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashTable};
use std::hash::BuildHasher;

/// Stands for "in no group".
pub const NO_GROUP: u32 = u32::MAX;

/// Most keys of a group: five labels and a histogram bucket.
pub const MAX_KEYS: usize = 6;

/// Codes of two keys are joined through a table while it has at most so many entries a row; beyond that by hashing.
const TABLE_ENTRIES_PER_ROW: usize = 4;

/// A table of that size is always cheap enough.
const SMALL_TABLE: usize = 1 << 14;

/// The numbers of a group's values, one for each key.
type Tuple = [u32; MAX_KEYS];

/// The groups of all sources, numbered in the order in which they come.
#[derive(Clone, Debug)]
pub struct GroupTable {
    keys: Vec<ValueTable>,
    tuples: Vec<Tuple>,
    ids: HashTable<u32>,
    /// What is kept of a group elsewhere, in bytes.
    group_bytes: usize,
    max_bytes: usize,
    is_full: bool,
}

/// Bytes that a group takes here.
const TUPLE_BYTES: usize = size_of::<Tuple>() + 2 * size_of::<u32>();

/// The group of each of the rows in question.
pub enum GroupOf {
    /// One for all.
    All(u32),
    /// One for each row, or [`NO_GROUP`].
    Each(Vec<u32>),
}

impl GroupOf {
    /// The group of a row by its index.
    #[inline]
    pub fn get(&self, index: usize) -> u32 {
        match self {
            GroupOf::All(group) => *group,
            GroupOf::Each(groups) => groups[index],
        }
    }
}

impl GroupTable {
    /// No groups yet. With `group_bytes` for each group elsewhere, they take at most `max_bytes`, or one group; of groups beyond that
    /// nothing is kept.
    pub fn new(num_keys: usize, group_bytes: usize, max_bytes: usize) -> Self {
        let keys = vec![ValueTable::default(); num_keys.min(MAX_KEYS)];
        GroupTable { keys, tuples: Vec::new(), ids: HashTable::new(), group_bytes, max_bytes, is_full: false }
    }

    fn has_room(&self) -> bool {
        self.tuples.is_empty() || self.bytes_of(self.tuples.len() + 1) <= self.max_bytes
    }

    /// What so many groups take, here and elsewhere.
    fn bytes_of(&self, num_groups: usize) -> usize {
        let of_values: usize = self.keys.iter().map(ValueTable::num_bytes).sum();
        num_groups.saturating_mul(self.group_bytes + TUPLE_BYTES).saturating_add(of_values)
    }

    /// What the groups take, here and elsewhere.
    pub fn num_bytes(&self) -> usize {
        self.bytes_of(self.tuples.len())
    }

    /// Number of groups.
    pub fn len(&self) -> usize {
        self.tuples.len()
    }

    /// True if there is no group.
    pub fn is_empty(&self) -> bool {
        self.tuples.is_empty()
    }

    /// Whether there are no keys: then there is one group, which all spans are in.
    pub fn is_single(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether groups had to be left out.
    pub fn is_full(&self) -> bool {
        self.is_full
    }

    /// The values of a group, one for each key.
    pub fn values(&self, group: usize) -> impl Iterator<Item = Scalar> {
        self.keys.iter().zip(self.tuples[group]).map(|(key, id)| key.value(id))
    }

    /// What a group shares with all groups that differ in their last key only.
    pub fn prefix(&self, group: usize) -> &[u32] {
        &self.tuples[group][..self.keys.len().saturating_sub(1)]
    }

    /// The groups of rows with these keys. Where the last key is nil and `drops_nil` is set, the row is in no group.
    pub fn assign(&mut self, keys: &[Keys<'_>], num_rows: usize, drops_nil: bool) -> GroupOf {
        let Some(joined) = Joined::of(keys) else {
            return GroupOf::All(if num_rows == 0 { NO_GROUP } else { self.intern([0; MAX_KEYS]) });
        };
        let mut values: Vec<Vec<u32>> = keys.iter().map(|keys| vec![UNKNOWN; keys.num_codes()]).collect();
        let mut known = vec![UNKNOWN; joined.num_codes];
        let mut group_of = |code: u32| {
            let known = &mut known[code as usize];
            if *known == UNKNOWN {
                let codes = joined.split(code);
                let is_dropped = drops_nil && codes[keys.len() - 1] == NIL;
                *known = if is_dropped { NO_GROUP } else { self.intern_codes(keys, codes, &mut values) };
            }
            *known
        };
        GroupOf::Each(joined.codes().iter().map(|&code| group_of(code)).collect())
    }

    /// Adds the groups of another table with the same keys; gives the number here of each group there. Both together may take
    /// `max_bytes`.
    pub fn merge(&mut self, other: &GroupTable, max_bytes: usize) -> Vec<u32> {
        self.max_bytes = max_bytes;
        self.keys.iter_mut().for_each(ValueTable::open);
        self.is_full |= other.is_full;
        let number = |tuple: &Tuple| {
            let mut own = [0; MAX_KEYS];
            for (at, key) in other.keys.iter().enumerate() {
                own[at] = self.keys[at].intern_from(key, tuple[at]);
            }
            self.intern(own)
        };
        other.tuples.iter().map(number).collect()
    }

    fn intern_codes(&mut self, keys: &[Keys<'_>], codes: Tuple, values: &mut [Vec<u32>]) -> u32 {
        let mut tuple = [0; MAX_KEYS];
        for (at, keys) in keys.iter().enumerate() {
            let known = &mut values[at][codes[at] as usize];
            if *known == UNKNOWN {
                *known = keys.intern(codes[at], &mut self.keys[at]);
            }
            tuple[at] = *known;
        }
        self.intern(tuple)
    }

    fn intern(&mut self, tuple: Tuple) -> u32 {
        let hash = |tuple: &Tuple| FixedState::with_seed(0).hash_one(tuple);
        let tuples = &self.tuples;
        if let Some(id) = self.ids.find(hash(&tuple), |&id| tuples[id as usize] == tuple) {
            return *id;
        }
        if tuple.contains(&NO_VALUE) {
            return NO_GROUP;
        }
        if !self.has_room() {
            self.is_full = true;
            // Values of groups that are left out would take room too.
            self.keys.iter_mut().for_each(ValueTable::close);
            return NO_GROUP;
        }
        let id = tuples.len() as u32;
        self.tuples.push(tuple);
        let tuples = &self.tuples;
        self.ids.insert_unique(hash(&tuple), id, |&other| hash(&tuples[other as usize]));
        id
    }
}

/// Not looked up yet; not a group either.
const UNKNOWN: u32 = u32::MAX - 1;

/// The codes of several keys as one code for each row.
struct Joined<'k> {
    first: &'k [u32],
    /// The codes, if there are several keys.
    codes: Option<Vec<u32>>,
    num_codes: usize,
    steps: Vec<Step>,
}

/// How a joined code falls into the joined code of the keys before, and the code of one more key.
enum Step {
    /// Quotient and remainder.
    Radix(u32),
    /// By a list.
    Pairs(Vec<(u32, u32)>),
}

impl<'k> Joined<'k> {
    fn of(keys: &'k [Keys<'_>]) -> Option<Self> {
        let (first, rest) = keys.split_first()?;
        let mut joined = Joined { first: &first.codes, codes: None, num_codes: first.num_codes(), steps: Vec::new() };
        rest.iter().for_each(|keys| joined.join(keys));
        Some(joined)
    }

    fn codes(&self) -> &[u32] {
        self.codes.as_deref().unwrap_or(self.first)
    }

    fn join(&mut self, keys: &Keys<'_>) {
        let pairs = self.codes().iter().zip(&keys.codes);
        let radix = keys.num_codes();
        let product = self.num_codes.saturating_mul(radix);
        let (codes, step) = if product <= SMALL_TABLE.max(TABLE_ENTRIES_PER_ROW * keys.codes.len()) {
            (pairs.map(|(left, right)| left * radix as u32 + right).collect(), Step::Radix(radix as u32))
        } else {
            let mut known: HashMap<(u32, u32), u32, FixedState> = HashMap::default();
            let mut list = Vec::new();
            let code = |(left, right): (&u32, &u32)| {
                *known.entry((*left, *right)).or_insert_with(|| {
                    list.push((*left, *right));
                    list.len() as u32 - 1
                })
            };
            (pairs.map(code).collect(), Step::Pairs(list))
        };
        self.num_codes = match &step {
            Step::Radix(_) => product,
            Step::Pairs(list) => list.len(),
        };
        self.codes = Some(codes);
        self.steps.push(step);
    }

    /// The code of each key.
    fn split(&self, mut code: u32) -> Tuple {
        let mut tuple = [NIL; MAX_KEYS];
        for (at, step) in self.steps.iter().enumerate().rev() {
            let (rest, own) = match step {
                Step::Radix(radix) => (code / radix, code % radix),
                Step::Pairs(list) => list[code as usize],
            };
            tuple[at + 1] = own;
            code = rest;
        }
        tuple[0] = code;
        tuple
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn keys(codes: &[u32], num_values: u32) -> Keys<'static> {
        Keys::of_codes(codes.to_vec(), (0..num_values).map(|value| Scalar::Int(i64::from(value))).collect())
    }

    fn groups_of(table: &GroupTable, groups: &GroupOf, num_rows: usize) -> Vec<Vec<Scalar>> {
        (0..num_rows).map(|row| table.values(groups.get(row) as usize).collect()).collect()
    }

    fn value(code: u32) -> Scalar {
        if code == NIL { Scalar::Nil } else { Scalar::Int(i64::from(code) - 1) }
    }

    proptest! {
        #[test]
        fn rows_are_in_the_group_of_their_values(rows in vec([0u32..3, 0u32..30_000, 0u32..30_000], 1..40)) {
            let column = |at: usize, num_values| keys(&rows.iter().map(|row| row[at]).collect::<Vec<_>>(), num_values);
            let mut table = GroupTable::new(3, 0, usize::MAX);
            let groups = table.assign(&[column(0, 3), column(1, 30_000), column(2, 30_000)], rows.len(), false);
            let expected: Vec<Vec<Scalar>> = rows.iter().map(|row| row.iter().map(|code| value(*code)).collect()).collect();
            prop_assert_eq!(groups_of(&table, &groups, rows.len()), expected);
        }
    }

    #[test]
    fn groups_are_the_same_over_sources() {
        let mut table = GroupTable::new(1, 0, usize::MAX);
        let GroupOf::Each(first) = table.assign(&[keys(&[1, 0, 2, 1], 2)], 4, false) else { panic!("one for each row") };
        let swapped = Keys::of_codes(vec![1, 2, 0], vec![Scalar::Int(1), Scalar::Int(0)]);
        let GroupOf::Each(second) = table.assign(&[swapped], 3, false) else { panic!("one for each row") };
        assert_eq!((first, second, table.len()), (vec![0, 1, 2, 0], vec![2, 0, 1], 3));
        let mut other = GroupTable::new(1, 0, usize::MAX);
        other.assign(&[keys(&[2, 3], 3)], 2, false);
        assert_eq!((table.merge(&other, usize::MAX), table.len()), (vec![2, 3], 4));
    }

    #[test]
    fn groups_have_a_bound() {
        // There is room for two groups and a good deal more than their values, but not for three.
        let mut table = GroupTable::new(1, 1 << 20, (5 << 20) / 2);
        let GroupOf::Each(groups) = table.assign(&[keys(&[1, 2, 3, 1], 3)], 4, false) else { panic!("one for each row") };
        assert_eq!((groups, table.is_full()), (vec![0, 1, NO_GROUP, 0], true));
        // What is left out leaves no values behind.
        let num_bytes = table.keys[0].num_bytes();
        let GroupOf::Each(groups) = table.assign(&[keys(&[9, 1, 8], 9)], 3, false) else { panic!("one for each row") };
        assert_eq!((groups, table.keys[0].num_bytes()), (vec![NO_GROUP, 0, NO_GROUP], num_bytes));
    }

    #[test]
    fn rows_without_a_bucket_are_in_no_group() {
        let mut table = GroupTable::new(2, 0, usize::MAX);
        let keys = [keys(&[1, 1, 0], 1), keys(&[1, 0, 1], 1)];
        let GroupOf::Each(groups) = table.assign(&keys, 3, true) else { panic!("one for each row") };
        assert_eq!((groups, table.is_full()), (vec![0, NO_GROUP, 1], false));
    }

    #[test]
    fn without_keys_there_is_one_group() {
        let mut table = GroupTable::new(0, 0, usize::MAX);
        assert_eq!(table.assign(&[], 0, false).get(0), NO_GROUP);
        assert!(table.is_empty());
        assert_eq!(table.assign(&[], 5, false).get(4), 0);
        assert_eq!((table.len(), table.values(0).count()), (1, 0));
    }
}
