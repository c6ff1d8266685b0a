//! Attributes as sparse typed columns that remember the order they came in.
//!
//! Each (key, kind of value) has a column of its own. Which columns a row fills, and in which order, is its *shape*: a
//! list of column ordinals. Senders repeat themselves, so thousands of rows share a few shapes, and the order that a
//! client sees again costs four bytes a row. What a column cannot hold (the second value of a repeated key, a key
//! without a value) goes to the residual as the bytes of its `KeyValue` message.

use super::dictionary::Dictionary;
use super::same::same;
use super::sparse::{Sparse, SparseText};
use super::value::{KeyValueRef, ValueKind, ValueRef, read_plain};
use super::wire::{Malformed, put_varint, split_varint};
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

/// The values of one (key, kind), in ascending row order.
pub struct AttributeColumn {
    key: Box<str>,
    /// Rows that have the attribute, ascending, each once.
    pub rows: Vec<u32>,
    /// The value of each of `rows`.
    pub values: ColumnValues,
}

/// Values of one kind.
pub enum ColumnValues {
    /// Text: codes into a dictionary of UTF-8.
    Str(Vec<u32>, Dictionary),
    /// 64-bit integers.
    Int(Vec<i64>),
    /// Doubles.
    Double(Vec<f64>),
    /// Booleans.
    Bool(Vec<bool>),
    /// Other values: codes into a dictionary of `AnyValue` messages.
    Any(Vec<u32>, Dictionary),
}

impl AttributeColumn {
    fn new(key: &str, kind: ValueKind) -> Self {
        let values = match kind {
            ValueKind::Str => ColumnValues::Str(Vec::new(), Dictionary::default()),
            ValueKind::Int => ColumnValues::Int(Vec::new()),
            ValueKind::Double => ColumnValues::Double(Vec::new()),
            ValueKind::Bool => ColumnValues::Bool(Vec::new()),
            ValueKind::Any => ColumnValues::Any(Vec::new(), Dictionary::default()),
        };
        AttributeColumn { key: key.into(), rows: Vec::new(), values }
    }

    /// The attribute's key, without scope.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The kind of all its values.
    pub fn kind(&self) -> ValueKind {
        match self.values {
            ColumnValues::Str(..) => ValueKind::Str,
            ColumnValues::Int(_) => ValueKind::Int,
            ColumnValues::Double(_) => ValueKind::Double,
            ColumnValues::Bool(_) => ValueKind::Bool,
            ColumnValues::Any(..) => ValueKind::Any,
        }
    }

    /// The row's value, if it has one.
    pub fn get(&self, row: u32) -> Option<ValueRef<'_>> {
        self.rows.binary_search(&row).ok().map(|at| self.value_at(at))
    }

    /// The value at a position of `rows`.
    pub fn value_at(&self, at: usize) -> ValueRef<'_> {
        match &self.values {
            ColumnValues::Str(codes, dictionary) => ValueRef::Str(dictionary.get(codes[at])),
            ColumnValues::Int(values) => ValueRef::Int(values[at]),
            ColumnValues::Double(values) => ValueRef::Double(values[at]),
            ColumnValues::Bool(values) => ValueRef::Bool(values[at]),
            ColumnValues::Any(codes, dictionary) => ValueRef::Any(dictionary.get(codes[at])),
        }
    }

    #[inline]
    fn push(&mut self, row: u32, value: ValueRef<'_>) {
        self.rows.push(row);
        match (&mut self.values, value) {
            (ColumnValues::Str(codes, dictionary), ValueRef::Str(text)) => {
                // Neighbouring spans often carry the same value: one comparison saves the hash.
                let code = match codes.last() {
                    Some(&last) if same(dictionary.get(last), text) => last,
                    _ => dictionary.intern_text(text),
                };
                codes.push(code);
            }
            (ColumnValues::Int(values), ValueRef::Int(int)) => values.push(int),
            (ColumnValues::Double(values), ValueRef::Double(double)) => values.push(double),
            (ColumnValues::Bool(values), ValueRef::Bool(bit)) => values.push(bit),
            (ColumnValues::Any(codes, dictionary), ValueRef::Any(message)) => codes.push(dictionary.intern_any_value(message)),
            _ => {
                // The caller looked the column up by the value's own kind.
                debug_assert!(false, "value of another kind");
                self.rows.pop();
            }
        }
    }

    fn memory(&self) -> usize {
        let values = match &self.values {
            ColumnValues::Str(codes, dictionary) | ColumnValues::Any(codes, dictionary) => 4 * codes.capacity() + dictionary.memory(),
            ColumnValues::Int(values) => 8 * values.capacity(),
            ColumnValues::Double(values) => 8 * values.capacity(),
            ColumnValues::Bool(values) => values.capacity(),
        };
        values + 4 * self.rows.capacity() + self.key.len() + size_of::<Self>()
    }
}

/// The attributes of all rows of a table (spans, events or links).
#[derive(Default)]
pub struct AttributeTable {
    columns: Vec<AttributeColumn>,
    by_key: HashTable<u32>,
    /// For each column, and at 0 for the start of a row, the column that came next the last time.
    follows: Vec<u32>,
    shapes: Dictionary,
    /// Each row's shape.
    shape: Vec<u32>,
    /// `KeyValue` messages that no column holds; a row may have several.
    residual: SparseText,
    /// The shape of the row under construction.
    current: Vec<u8>,
    previous: usize,
}

/// In a shape, stands for the row's next residual attribute; other elements are column ordinals plus one.
const RESIDUAL: u64 = 0;

fn hash_of(key: &[u8], kind: ValueKind) -> u64 {
    FixedState::with_seed(kind as u64).hash_one(key)
}

impl AttributeTable {
    /// Adds an attribute to the row under construction, from the bytes of its `KeyValue` message.
    #[inline]
    pub fn add(&mut self, row: u32, message: &[u8]) -> Result<(), Malformed> {
        if let Some((key, value)) = read_plain(message) {
            self.add_value(row, key, value);
            return Ok(());
        }
        let parts = KeyValueRef::read(message)?;
        match parts.value {
            Some(value) => self.add_value(row, parts.key, ValueRef::read(value)?),
            None => self.add_residual(row, message),
        }
        Ok(())
    }

    /// Adds an attribute to the row under construction.
    #[inline]
    pub fn add_value(&mut self, row: u32, key: &[u8], value: ValueRef<'_>) {
        let ordinal = self.column_for(key, value.kind());
        let column = &mut self.columns[ordinal];
        if column.rows.last() == Some(&row) {
            let mut message = Vec::new();
            let mut any = Vec::new();
            value.write(&mut any);
            super::wire::put_bytes(&mut message, 1, key);
            super::wire::put_bytes(&mut message, 2, &any);
            return self.add_residual(row, &message);
        }
        column.push(row, value);
        put_varint(&mut self.current, ordinal as u64 + 1);
        self.previous = ordinal + 1;
    }

    /// Adds a `KeyValue` message that no column holds to the row under construction.
    pub fn add_residual(&mut self, row: u32, message: &[u8]) {
        let code = self.residual.dictionary.intern_key_value(message);
        self.residual.codes.push_another(row, code);
        put_varint(&mut self.current, RESIDUAL);
    }

    /// Ends the row under construction; every row is ended, also one without attributes.
    #[inline]
    pub fn end_row(&mut self) {
        let shape = match self.shape.last() {
            Some(&last) if same(self.shapes.get(last), &self.current) => last,
            _ => self.shapes.intern(&self.current),
        };
        self.shape.push(shape);
        self.current.clear();
        self.previous = 0;
    }

    #[inline]
    fn column_for(&mut self, key: &[u8], kind: ValueKind) -> usize {
        if let Some(&guess) = self.follows.get(self.previous) {
            let column = &self.columns[guess as usize];
            if same(column.key.as_bytes(), key) && column.kind() == kind {
                return guess as usize;
            }
        }
        self.look_up(key, kind)
    }

    fn look_up(&mut self, key: &[u8], kind: ValueKind) -> usize {
        let hash = hash_of(key, kind);
        let columns = &self.columns;
        let same = |&at: &u32| same(columns[at as usize].key.as_bytes(), key) && columns[at as usize].kind() == kind;
        let ordinal = match self.by_key.find(hash, same) {
            Some(&at) => at as usize,
            None => {
                let text = String::from_utf8_lossy(key);
                if text.as_bytes() != key {
                    return self.look_up(text.as_bytes(), kind);
                }
                self.columns.push(AttributeColumn::new(&text, kind));
                let at = self.columns.len() as u32 - 1;
                let columns = &self.columns;
                self.by_key.insert_unique(hash, at, |&other| {
                    let column = &columns[other as usize];
                    hash_of(column.key.as_bytes(), column.kind())
                });
                at as usize
            }
        };
        // One more entry than columns: position 0 is the start of a row.
        self.follows.resize(self.columns.len() + 1, ordinal as u32);
        self.follows[self.previous] = ordinal as u32;
        ordinal
    }

    /// All columns, in order of first appearance; a column's position is its ordinal.
    pub fn columns(&self) -> &[AttributeColumn] {
        &self.columns
    }

    /// The columns alone.
    pub fn into_columns(self) -> Vec<AttributeColumn> {
        self.columns
    }

    /// The column of a key and kind.
    pub fn column(&self, key: &str, kind: ValueKind) -> Option<&AttributeColumn> {
        let same = |&at: &u32| {
            let column = &self.columns[at as usize];
            &*column.key == key && column.kind() == kind
        };
        self.by_key.find(hash_of(key.as_bytes(), kind), same).map(|&at| &self.columns[at as usize])
    }

    /// The residual attributes: `KeyValue` messages with the rows they belong to, a row as often as it has any.
    pub fn residual(&self) -> (&Sparse<u32>, &Dictionary) {
        (&self.residual.codes, &self.residual.dictionary)
    }

    /// The residual attributes of one row, in order.
    pub fn residual_of(&self, row: u32) -> impl Iterator<Item = &[u8]> {
        let codes = &self.residual.codes;
        let first = codes.rows.partition_point(|&other| other < row);
        let last = first + codes.rows[first..].iter().take_while(|&&other| other == row).count();
        codes.values[first..last].iter().map(|&code| self.residual.dictionary.get(code))
    }

    /// Whether any attribute of the row has this key and text.
    pub fn has_text(&self, row: u32, key: &str, text: &[u8]) -> bool {
        let is_it = |message: &[u8]| {
            let parts = KeyValueRef::read(message).ok().filter(|parts| parts.key == key.as_bytes());
            parts.and_then(|parts| ValueRef::read(parts.value?).ok()) == Some(ValueRef::Str(text))
        };
        self.column(key, ValueKind::Str).and_then(|column| column.get(row)) == Some(ValueRef::Str(text)) || self.residual_of(row).any(is_it)
    }

    /// The row's attributes in the order in which they came: column ordinals, or `None` for its next residual one.
    pub fn order_of(&self, row: u32) -> ShapeIter<'_> {
        ShapeIter { rest: self.shapes.get(self.shape[row as usize]) }
    }

    /// The code of a row's shape: rows with equal codes have equal orders.
    pub fn shape_of(&self, row: u32) -> u32 {
        self.shape[row as usize]
    }

    /// Number of distinct shapes; codes are below it.
    pub fn num_shapes(&self) -> usize {
        self.shapes.len()
    }

    /// Number of rows ended.
    pub fn num_rows(&self) -> usize {
        self.shape.len()
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        let columns: usize = self.columns.iter().map(AttributeColumn::memory).sum();
        columns + self.residual.memory() + self.shapes.memory() + 4 * self.shape.capacity()
    }
}

/// Elements of a row's shape.
pub struct ShapeIter<'a> {
    rest: &'a [u8],
}

impl Iterator for ShapeIter<'_> {
    type Item = Option<usize>;

    fn next(&mut self) -> Option<Self::Item> {
        let (element, rest) = split_varint(self.rest)?;
        self.rest = rest;
        Some((element != RESIDUAL).then(|| element as usize - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_value(key: &str, value: ValueRef<'_>) -> Vec<u8> {
        let (mut any, mut message) = (Vec::new(), Vec::new());
        value.write(&mut any);
        super::super::wire::put_bytes(&mut message, 1, key.as_bytes());
        super::super::wire::put_bytes(&mut message, 2, &any);
        message
    }

    #[test]
    fn order_kinds_and_duplicates_are_kept() {
        let mut table = AttributeTable::default();
        table.add(0, &key_value("a", ValueRef::Str(b"x"))).expect("well formed");
        table.add(0, &key_value("b", ValueRef::Int(1))).expect("well formed");
        table.end_row();
        table.add(1, &key_value("b", ValueRef::Int(2))).expect("well formed");
        table.add(1, &key_value("a", ValueRef::Int(3))).expect("well formed");
        table.add(1, &key_value("b", ValueRef::Int(4))).expect("well formed");
        table.add(1, b"\x0a\x01k").expect("well formed");
        table.end_row();
        assert_eq!(table.order_of(0).collect::<Vec<_>>(), [Some(0), Some(1)]);
        assert_eq!(table.order_of(1).collect::<Vec<_>>(), [Some(1), Some(2), None, None]);
        assert_eq!(table.residual_of(1).collect::<Vec<_>>(), [&key_value("b", ValueRef::Int(4))[..], b"\x0a\x01k"]);
        assert_eq!(table.residual_of(0).count(), 0);
        assert_eq!(table.column("b", ValueKind::Int).and_then(|c| c.get(1)), Some(ValueRef::Int(2)));
        assert_eq!(table.column("a", ValueKind::Int).and_then(|c| c.get(0)), None);
        assert!(table.column("a", ValueKind::Bool).is_none());
    }

    #[test]
    fn a_key_that_is_not_utf8_is_mended() {
        let mut table = AttributeTable::default();
        for row in 0..2 {
            table.add_value(row, b"k\xff", ValueRef::Bool(true));
            table.end_row();
        }
        assert_eq!(table.columns().len(), 1);
        assert_eq!(table.columns()[0].key(), "k\u{fffd}");
    }
}
