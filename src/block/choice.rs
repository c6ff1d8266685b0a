//! Which attributes of a table get columns of their own, and which go to the table of rare ones.

use crate::columns::{AttributeTable, ValueKind};
use std::collections::{BTreeSet, HashMap};

/// Largest number of attribute columns a table gets, most-filled first (shared/design.md §3).
pub const MAX_ATTRIBUTE_COLUMNS: usize = 300;

/// With no more attributes than this each gets a column: rare ones only pay where there are many. Blocks of unit tests have few
/// attributes and rows, and shall have rare ones among them.
const FEW_ATTRIBUTES: usize = if cfg!(test) { 4 } else { 128 };

/// Where attributes are many, one that fewer rows have than one in so many gets no column: it costs 1.2 ns a row to write and
/// 600 bytes a row group, and each combination of columns is an order of attributes of its own. (1.5 M spans with 800 keys:
/// 5.6 columns a span filled of 300, 88 bytes a span; with the rare ones apart 57.)
const ROWS_OF_ONE: usize = if cfg!(test) { 4 } else { 16 };

/// Above this share of distinct values strings are stored plain (shared/design.md §3).
const MOSTLY_UNIQUE: f64 = 0.6;

/// An attribute: all values of one kind of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Key without scope.
    pub key: String,
    /// Kind of its values.
    pub kind: ValueKind,
    /// True if values mostly differ, so that a dictionary would only cost.
    pub mostly_unique: bool,
}

/// Where an attribute is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the column of this ordinal.
    Column(u32),
    /// In the table of rare attributes, as the entry of this number.
    Rare(u32),
}

impl Place {
    /// How the order of attributes names it: a column by its ordinal plus one, what has no column as 0.
    pub fn in_order(self) -> u64 {
        match self {
            Place::Column(ordinal) => u64::from(ordinal) + 1,
            Place::Rare(_) => 0,
        }
    }
}

/// How many rows have each attribute, and how many of its values differ.
#[derive(Default)]
pub struct AttributeCounts(HashMap<(String, ValueKind), (usize, usize)>);

impl AttributeCounts {
    /// Counts rows with an attribute.
    pub fn add(&mut self, key: &str, kind: ValueKind, rows: usize, distinct: usize) {
        let counts = self.0.entry((key.to_string(), kind)).or_default();
        counts.0 += rows;
        counts.1 += distinct;
    }
}

/// The attribute columns of a table and what is left over.
pub struct AttributeChoice {
    /// Chosen columns; a column's position is its ordinal in the file.
    pub chosen: Vec<Chosen>,
    /// Attributes without a column, by key and kind; their positions are their numbers in the table of rare ones.
    pub rare: Vec<Chosen>,
    /// True if some attribute goes to the residual.
    pub has_residual: bool,
    /// Keys of residual attributes, sorted.
    pub residual_keys: BTreeSet<String>,
    places: HashMap<(String, ValueKind), Place>,
}

impl AttributeChoice {
    /// Chooses for a table of `num_rows` rows; `residual_keys` are keys of attributes that neither columns nor the table of rare
    /// ones can hold: repeated ones, and those without a value.
    pub fn of(counts: &AttributeCounts, num_rows: usize, residual_keys: impl Iterator<Item = String>) -> Self {
        let mut ranked: Vec<_> = counts.0.iter().collect();
        ranked.sort_by(|(a, (rows_a, _)), (b, (rows_b, _))| rows_b.cmp(rows_a).then(a.cmp(b)));
        let is_filled = |(_, (rows, _)): &(_, &(usize, usize))| ranked.len() <= FEW_ATTRIBUTES || rows * ROWS_OF_ONE >= num_rows;
        let num_columns = ranked.iter().take(MAX_ATTRIBUTE_COLUMNS).take_while(|attribute| is_filled(attribute)).count();
        let mut rare = ranked.split_off(num_columns);
        rare.sort_by_key(|(attribute, _)| *attribute);
        // The kind that fills most rows comes first: it gets the leaf name without the kind.
        ranked.sort_by(|((a, kind_a), (rows_a, _)), ((b, kind_b), (rows_b, _))| (a, rows_b, kind_a).cmp(&(b, rows_a, kind_b)));
        let columns = ranked.iter().zip(0..).map(|((attribute, _), at)| ((*attribute).clone(), Place::Column(at)));
        let places = columns.chain(rare.iter().zip(0..).map(|((attribute, _), at)| ((*attribute).clone(), Place::Rare(at)))).collect();
        let residual_keys: BTreeSet<String> = residual_keys.collect();
        AttributeChoice {
            chosen: ranked.into_iter().map(chosen).collect(),
            rare: rare.into_iter().map(chosen).collect(),
            has_residual: !residual_keys.is_empty(),
            residual_keys,
            places,
        }
    }

    /// Where an attribute goes; `None` if it was not counted.
    pub fn place(&self, key: &str, kind: ValueKind) -> Option<Place> {
        self.places.get(&(key.to_string(), kind)).copied()
    }

    /// Where each column of a table in memory goes.
    pub fn places_of(&self, table: &AttributeTable) -> Vec<Option<Place>> {
        table.columns().iter().map(|column| self.place(column.key(), column.kind())).collect()
    }
}

fn chosen(((key, kind), (rows, distinct)): (&(String, ValueKind), &(usize, usize))) -> Chosen {
    Chosen { key: key.clone(), kind: *kind, mostly_unique: *distinct as f64 > MOSTLY_UNIQUE * *rows as f64 }
}
