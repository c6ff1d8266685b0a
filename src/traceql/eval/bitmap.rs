//! A set of rows as one bit each.

use std::ops::Range;

const BITS: usize = u64::BITS as usize;

/// Which of the rows `0..len` are in a set. Bits from `len` on are always 0.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Bitmap {
    words: Vec<u64>,
    len: usize,
}

impl Bitmap {
    /// No row of `len`.
    pub fn empty(len: usize) -> Self {
        Bitmap { words: vec![0; len.div_ceil(BITS)], len }
    }

    /// Every row of `len`.
    pub fn full(len: usize) -> Self {
        let mut bitmap = Bitmap { words: vec![u64::MAX; len.div_ceil(BITS)], len };
        bitmap.clear_tail();
        bitmap
    }

    /// The given rows, in any order; those from `len` on are left out.
    pub fn from_rows(len: usize, rows: &[u32]) -> Self {
        let mut bitmap = Bitmap::empty(len);
        for &row in rows {
            bitmap.insert(row);
        }
        bitmap
    }

    /// Number of rows that can be in the set.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if no row is in the set.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|&word| word == 0)
    }

    /// True if every row is in the set.
    pub fn is_full(&self) -> bool {
        self.count() == self.len
    }

    /// Number of rows in the set.
    pub fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether a row is in the set.
    #[inline]
    pub fn contains(&self, row: u32) -> bool {
        let row = row as usize;
        row < self.len && self.words[row / BITS] >> (row % BITS) & 1 == 1
    }

    /// Adds a row; nothing happens if it is not below `len`.
    #[inline]
    pub fn insert(&mut self, row: u32) {
        let row = row as usize;
        if row < self.len {
            self.words[row / BITS] |= 1 << (row % BITS);
        }
    }

    /// Adds the rows of a range, as far as they are below `len`.
    pub fn insert_range(&mut self, rows: Range<usize>) {
        let end = rows.end.min(self.len);
        if rows.start >= end {
            return;
        }
        let (first, last) = (rows.start / BITS, (end - 1) / BITS);
        let from_start = u64::MAX << (rows.start % BITS);
        let to_end = u64::MAX >> (BITS - 1 - (end - 1) % BITS);
        if first == last {
            self.words[first] |= from_start & to_end;
            return;
        }
        self.words[first] |= from_start;
        self.words[first + 1..last].fill(u64::MAX);
        self.words[last] |= to_end;
    }

    /// Whether some row of a range is in the set.
    pub fn any_in(&self, rows: Range<usize>) -> bool {
        self.iter_in(rows).next().is_some()
    }

    /// Number of rows of a range that are in the set.
    pub fn count_in(&self, rows: Range<usize>) -> usize {
        let end = rows.end.min(self.len);
        if rows.start >= end {
            return 0;
        }
        let last = (end - 1) / BITS;
        let word = |at: usize| self.masked_word(at, &(rows.start..end)).count_ones() as usize;
        (rows.start / BITS..=last).map(word).sum()
    }

    /// The rows of a range that are in the set, ascending.
    pub fn iter_in(&self, rows: Range<usize>) -> impl Iterator<Item = u32> + '_ {
        let range = rows.start..rows.end.min(self.len);
        let words = if range.is_empty() { 0..0 } else { range.start / BITS..(range.end - 1) / BITS + 1 };
        words.flat_map(move |at| Ones { word: self.masked_word(at, &range), base: (at * BITS) as u32 })
    }

    /// The rows in the set, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().enumerate().flat_map(|(at, &word)| Ones { word, base: (at * BITS) as u32 })
    }

    /// The rows in the set, ascending, as a list.
    pub fn to_rows(&self) -> Vec<u32> {
        let mut rows = Vec::with_capacity(self.count());
        rows.extend(self.iter());
        rows
    }

    /// Keeps the rows that are also in `other`, a set over as many rows.
    pub fn and_with(&mut self, other: &Bitmap) {
        self.combine(other, |mine, theirs| mine & theirs);
    }

    /// Adds the rows of `other`, a set over as many rows.
    pub fn or_with(&mut self, other: &Bitmap) {
        self.combine(other, |mine, theirs| mine | theirs);
    }

    /// Removes the rows of `other`, a set over as many rows.
    pub fn and_not_with(&mut self, other: &Bitmap) {
        self.combine(other, |mine, theirs| mine & !theirs);
    }

    /// Turns the set into its complement.
    pub fn negate(&mut self) {
        self.words.iter_mut().for_each(|word| *word = !*word);
        self.clear_tail();
    }

    fn combine(&mut self, other: &Bitmap, operation: impl Fn(u64, u64) -> u64) {
        debug_assert_eq!(self.len, other.len, "sets over different numbers of rows");
        for (mine, theirs) in self.words.iter_mut().zip(&other.words) {
            *mine = operation(*mine, *theirs);
        }
    }

    /// The word at a position without the bits outside of a range.
    #[inline]
    fn masked_word(&self, at: usize, range: &Range<usize>) -> u64 {
        let mut word = self.words[at];
        if at == range.start / BITS {
            word &= u64::MAX << (range.start % BITS);
        }
        if at == (range.end - 1) / BITS {
            word &= u64::MAX >> (BITS - 1 - (range.end - 1) % BITS);
        }
        word
    }

    fn clear_tail(&mut self) {
        if !self.len.is_multiple_of(BITS)
            && let Some(last) = self.words.last_mut()
        {
            *last &= (1 << (self.len % BITS)) - 1;
        }
    }
}

/// The ones of a word, lowest first.
struct Ones {
    word: u64,
    base: u32,
}

impl Iterator for Ones {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        if self.word == 0 {
            return None;
        }
        let bit = self.word.trailing_zeros();
        self.word &= self.word - 1;
        Some(self.base + bit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn sets() -> impl Strategy<Value = (usize, BTreeSet<u32>, BTreeSet<u32>)> {
        (0usize..200).prop_flat_map(|len| {
            let rows = || proptest::collection::btree_set(0..len.max(1) as u32, 0..len / 2 + 1);
            (Just(len), rows(), rows()).prop_map(|(len, a, b)| if len == 0 { (0, BTreeSet::new(), BTreeSet::new()) } else { (len, a, b) })
        })
    }

    fn bitmap(len: usize, rows: &BTreeSet<u32>) -> Bitmap {
        Bitmap::from_rows(len, &rows.iter().copied().collect::<Vec<_>>())
    }

    proptest! {
        #[test]
        fn operations_are_those_of_sets((len, a, b) in sets()) {
            let check = |operation: fn(&mut Bitmap, &Bitmap), expected: BTreeSet<u32>| {
                let mut result = bitmap(len, &a);
                operation(&mut result, &bitmap(len, &b));
                prop_assert_eq!(result.iter().collect::<BTreeSet<_>>(), expected.clone());
                prop_assert_eq!(result.count(), expected.len());
                prop_assert_eq!(result.is_empty(), expected.is_empty());
                prop_assert_eq!(result.is_full(), expected.len() == len);
                prop_assert_eq!(&result, &bitmap(len, &expected));
                Ok(())
            };
            check(Bitmap::and_with, &a & &b)?;
            check(Bitmap::or_with, &a | &b)?;
            check(Bitmap::and_not_with, &a - &b)?;
            check(|set, _| set.negate(), &(0..len as u32).collect::<BTreeSet<_>>() - &a)?;
        }

        #[test]
        fn rows_and_ranges((len, rows, _) in sets(), start in 0usize..220, size in 0usize..220) {
            let set = bitmap(len, &rows);
            let range = start..start + size;
            let inside: Vec<u32> = rows.iter().copied().filter(|&row| range.contains(&(row as usize))).collect();
            prop_assert_eq!(set.to_rows(), rows.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(set.iter_in(range.clone()).collect::<Vec<_>>(), inside.clone());
            prop_assert_eq!(set.count_in(range.clone()), inside.len());
            prop_assert_eq!(set.any_in(range.clone()), !inside.is_empty());
            prop_assert!((0..len as u32 + 3).all(|row| set.contains(row) == rows.contains(&row)));
            let mut more = set;
            more.insert_range(range.clone());
            let expected: BTreeSet<u32> = rows.iter().copied().chain(range.map(|row| row as u32).filter(|&row| (row as usize) < len)).collect();
            prop_assert_eq!(more.iter().collect::<BTreeSet<_>>(), expected);
        }
    }

    #[test]
    fn full_sets_end_at_their_length() {
        for len in [0, 1, 63, 64, 65, 128] {
            assert_eq!(Bitmap::full(len).count(), len);
            let mut rows = Bitmap::empty(len);
            rows.negate();
            assert_eq!(rows, Bitmap::full(len));
        }
    }
}
