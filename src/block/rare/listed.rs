//! What the metadata of a table of rare attributes says: which there are, and where their rows begin.

use crate::block::parquet::MAX_ROWS;
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
    /// For each row group of the table that the attributes are of, where the rows of each attribute begin, and where the last end.
    #[serde(skip)]
    starts: Vec<Vec<u32>>,
    /// For each such row group, the one here.
    #[serde(skip)]
    own_groups: Vec<Option<usize>>,
}

impl RareList {
    /// For a table under construction.
    pub fn new(entries: Vec<RareEntry>) -> Self {
        RareList { entries, ..RareList::default() }
    }

    /// Reads the metadata entry of a table whose row groups have so many rows; an error says what does not fit.
    pub fn parse(json: &str, num_rows: &[usize]) -> Result<Self, String> {
        let mut list: RareList = serde_json::from_str(json).map_err(|error| error.to_string())?;
        let kinds = list.entries.iter().map(|entry| Some((&entry.key, entry.kind()?))).collect::<Option<Vec<_>>>();
        if !kinds.ok_or("a rare attribute is of no kind")?.is_sorted_by(|a, b| a < b) {
            return Err("rare attributes are not in order".to_string());
        }
        let mut next_group = 0;
        for counts in &list.counts {
            let starts = starts(counts).filter(|_| counts.len() == list.entries.len()).ok_or("rare attributes are not counted")?;
            let is_there = starts.last().is_some_and(|total| *total > 0);
            list.own_groups.push(is_there.then_some(next_group));
            if is_there && num_rows.get(next_group).copied() != starts.last().map(|total| *total as usize) {
                return Err("rare attributes are counted in another way".to_string());
            }
            next_group += usize::from(is_there);
            list.starts.push(starts);
        }
        if next_group == num_rows.len() { Ok(list) } else { Err("row groups of rare attributes are not counted".to_string()) }
    }

    /// Number of row groups of the table that the attributes are of.
    pub fn num_groups(&self) -> usize {
        self.counts.len()
    }

    /// The number of an attribute of the table.
    pub fn position(&self, key: &str, kind: ValueKind) -> Option<usize> {
        self.entries.binary_search_by(|entry| (entry.key.as_str(), entry.kind()).cmp(&(key, Some(kind)))).ok()
    }

    /// The number of an attribute that the row group has.
    pub fn find(&self, group: usize, key: &str, kind: ValueKind) -> Option<usize> {
        let entry = self.position(key, kind)?;
        (!self.rows(group, entry).is_empty()).then_some(entry)
    }

    /// The numbers of the attributes that the row group has.
    pub fn entries_of(&self, group: usize) -> impl Iterator<Item = usize> {
        let counts = self.counts.get(group).map_or(&[][..], Vec::as_slice);
        counts.iter().enumerate().filter(|(_, count)| **count > 0).map(|(entry, _)| entry)
    }

    /// The rows of an attribute in the row group that has those of `group`.
    pub fn rows(&self, group: usize, entry: usize) -> Range<usize> {
        match self.starts.get(group).and_then(|starts| starts.get(entry..entry + 2)) {
            Some([start, end]) => *start as usize..*end as usize,
            _ => 0..0,
        }
    }

    /// The row group here that has the attributes of `group`; `None` if there are none.
    pub fn own_group(&self, group: usize) -> Option<usize> {
        self.own_groups.get(group).copied().flatten()
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        let entries: usize = self.entries.iter().map(|entry| size_of_val(entry) + entry.key.len() + entry.kind.len()).sum();
        entries + self.counts.iter().map(|counts| 64 + 8 * counts.len()).sum::<usize>()
    }
}

/// Where the rows of each attribute begin, and where the last end; `None` if they are more than a row group can have.
fn starts(counts: &[u32]) -> Option<Vec<u32>> {
    let mut starts = vec![0u32];
    for count in counts {
        starts.push(starts[starts.len() - 1].checked_add(*count).filter(|end| *end as usize <= MAX_ROWS)?);
    }
    Some(starts)
}
