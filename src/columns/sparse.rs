//! Columns that few rows have a value in.

use super::dictionary::Dictionary;

/// (row, value) pairs in ascending row order.
#[derive(Clone, Debug)]
pub struct Sparse<T> {
    /// Rows that have a value, ascending.
    pub rows: Vec<u32>,
    /// The value of each of `rows`.
    pub values: Vec<T>,
}

impl<T> Default for Sparse<T> {
    fn default() -> Self {
        Sparse { rows: Vec::new(), values: Vec::new() }
    }
}

impl<T: Copy> Sparse<T> {
    /// Sets a row's value; rows come in ascending order. Of a field that a message repeats the last value counts.
    #[inline]
    pub fn push(&mut self, row: u32, value: T) {
        if self.rows.last() == Some(&row) {
            self.rows.pop();
            self.values.pop();
        }
        self.push_another(row, value);
    }

    /// Adds a value to a row that may have several.
    #[inline]
    pub fn push_another(&mut self, row: u32, value: T) {
        self.rows.push(row);
        self.values.push(value);
    }

    /// The row's value, if it has one.
    pub fn get(&self, row: u32) -> Option<T> {
        let at = self.rows.binary_search(&row).ok()?;
        Some(self.values[at])
    }

    /// Number of rows with a value.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// True if no row has a value.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// All pairs in ascending row order.
    pub fn iter(&self) -> impl Iterator<Item = (u32, T)> + '_ {
        self.rows.iter().copied().zip(self.values.iter().copied())
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        4 * self.rows.capacity() + size_of::<T>() * self.values.capacity()
    }
}

/// Sparse text or bytes, interned.
#[derive(Clone, Default)]
pub struct SparseText {
    /// The row and code of each value.
    pub codes: Sparse<u32>,
    /// What the codes stand for.
    pub dictionary: Dictionary,
}

impl SparseText {
    /// Adds text from outside for a row.
    pub fn push_text(&mut self, row: u32, value: &[u8]) {
        let code = self.dictionary.intern_text(value);
        self.codes.push(row, code);
    }

    /// Adds raw bytes for a row.
    pub fn push_bytes(&mut self, row: u32, value: &[u8]) {
        let code = self.dictionary.intern(value);
        self.codes.push(row, code);
    }

    /// The row's value, if it has one.
    pub fn get(&self, row: u32) -> Option<&[u8]> {
        self.codes.get(row).map(|code| self.dictionary.get(code))
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        self.codes.memory() + self.dictionary.memory()
    }
}
