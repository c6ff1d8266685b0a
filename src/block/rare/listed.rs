//! What the metadata of a table of rare attributes says: which there are, and where their rows begin.

use crate::columns::ValueKind;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Key of the Parquet metadata entry that has a [`RareList`] as JSON.
pub const RARE_METADATA: &str = "conmoto.rare";

/// An attribute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RareEntry {
    /// Key without scope.
    pub key: String,
    /// Kind of the values, in the words of [`ValueKind::name`].
    pub kind: String,
    /// Whether the values mostly differ and lie in the column for such.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unique: bool,
}

impl RareEntry {
    /// The kind of its values; one that is not known is none that anybody asks for.
    pub fn kind(&self) -> Option<ValueKind> {
        ValueKind::from_name(&self.kind)
    }
}

/// All attributes of the table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RareList {
    /// The attributes by key and kind; a position is an attribute's number.
    pub entries: Vec<RareEntry>,
    /// For each row group of the table that the attributes are of, the number of rows of each attribute. A row group
    /// without any has no row group here.
    pub counts: Vec<Vec<u32>>,
}

impl RareList {
    /// The number of an attribute that the row group has.
    pub fn find(&self, group: usize, key: &str, kind: ValueKind) -> Option<usize> {
        self.entries_of(group).find(|&entry| self.entries[entry].key == key && self.entries[entry].kind == kind.name())
    }

    /// The numbers of the attributes that the row group has.
    pub fn entries_of(&self, group: usize) -> impl Iterator<Item = usize> {
        let counts = self.counts.get(group).map_or(&[][..], Vec::as_slice);
        counts.iter().zip(0..self.entries.len()).filter(|(count, _)| **count > 0).map(|(_, entry)| entry)
    }

    /// The rows of an attribute in the row group that has those of `group`.
    pub fn rows(&self, group: usize, entry: usize) -> Range<usize> {
        let counts = self.counts.get(group).map_or(&[][..], Vec::as_slice);
        let sum = |counts: &[u32]| counts.iter().map(|count| *count as usize).sum();
        let first: usize = sum(&counts[..entry.min(counts.len())]);
        first..first + counts.get(entry).map_or(0, |count| *count as usize)
    }

    /// The row group here that has the attributes of `group`; `None` if there are none.
    pub fn own_group(&self, group: usize) -> Option<usize> {
        let has_any = |counts: &Vec<u32>| counts.iter().any(|count| *count > 0);
        has_any(self.counts.get(group)?).then(|| self.counts[..group].iter().filter(|counts| has_any(counts)).count())
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        let entries: usize = self.entries.iter().map(|entry| size_of_val(entry) + entry.key.len() + entry.kind.len()).sum();
        entries + self.counts.iter().map(|counts| 24 + 4 * counts.len()).sum::<usize>()
    }

    /// Whether the counts are those of row groups with so many rows.
    pub fn fits(&self, num_rows: &[usize]) -> bool {
        let is_complete = self.counts.iter().all(|counts| counts.len() == self.entries.len());
        let totals = self.counts.iter().map(|counts| counts.iter().map(|count| *count as usize).sum::<usize>());
        is_complete && totals.filter(|total| *total > 0).eq(num_rows.iter().copied())
    }
}
