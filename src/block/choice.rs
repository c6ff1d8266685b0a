//! Which attributes of a table get columns of their own.

use crate::columns::{AttributeTable, ValueKind};
use std::collections::{BTreeSet, HashMap};

/// Largest number of attribute columns a table gets, most-filled first; the rest is residual (shared/design.md §3).
pub const MAX_ATTRIBUTE_COLUMNS: usize = 300;

/// Above this share of distinct values strings are stored plain (shared/design.md §3).
const MOSTLY_UNIQUE: f64 = 0.6;

/// A chosen attribute column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Key without scope.
    pub key: String,
    /// Kind of its values.
    pub kind: ValueKind,
    /// True if values mostly differ, so that a dictionary would only cost.
    pub mostly_unique: bool,
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
    /// True if some attribute goes to the residual.
    pub has_residual: bool,
    /// Keys of residual attributes, sorted.
    pub residual_keys: BTreeSet<String>,
    by_key: HashMap<(String, ValueKind), u32>,
}

impl AttributeChoice {
    /// Chooses the columns that most rows fill; `residual_keys` are keys of attributes that no column can hold.
    pub fn of(counts: &AttributeCounts, residual_keys: impl Iterator<Item = String>) -> Self {
        let mut ranked: Vec<_> = counts.0.iter().collect();
        ranked.sort_by(|(a, (rows_a, _)), (b, (rows_b, _))| rows_b.cmp(rows_a).then(a.cmp(b)));
        let mut residual_keys: BTreeSet<String> = residual_keys.collect();
        residual_keys.extend(ranked.iter().skip(MAX_ATTRIBUTE_COLUMNS).map(|((key, _), _)| key.clone()));
        ranked.truncate(MAX_ATTRIBUTE_COLUMNS);
        // The kind that fills most rows comes first: it gets the leaf name without the kind.
        ranked.sort_by(|((a, kind_a), (rows_a, _)), ((b, kind_b), (rows_b, _))| (a, rows_b, kind_a).cmp(&(b, rows_a, kind_b)));
        let chosen = ranked.iter().map(|((key, kind), (rows, distinct))| Chosen {
            key: key.clone(),
            kind: *kind,
            mostly_unique: *distinct as f64 > MOSTLY_UNIQUE * *rows as f64,
        });
        let by_key = ranked.iter().zip(0..).map(|((column, _), at)| ((*column).clone(), at)).collect();
        AttributeChoice { chosen: chosen.collect(), has_residual: !residual_keys.is_empty(), residual_keys, by_key }
    }

    /// The ordinal of a key and kind, if it has a column.
    pub fn ordinal(&self, key: &str, kind: ValueKind) -> Option<u32> {
        self.by_key.get(&(key.to_string(), kind)).copied()
    }

    /// The ordinal of each column of a table in memory.
    pub fn ordinals_of(&self, table: &AttributeTable) -> Vec<Option<u32>> {
        table.columns().iter().map(|column| self.ordinal(column.key(), column.kind())).collect()
    }
}
