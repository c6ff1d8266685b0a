//! Attributes that few rows have, of a table of spans, events or links: not a column each, but a table of their own, sorted by
//! attribute.
//!
//! A column costs in every row, whether filled or not; a row of this table costs only where there is a value. And as the rows of an
//! attribute follow each other, a query for it reads the pages with these rows and no others, as if it had a column. Who
//! needs all attributes of some rows (a trace by id, a merge) decodes the row numbers of a row group and finds the rest
//! from them.
//!
//! A value with its row is a **cell**. Nothing is kept for each of them but numbers in columns: where cells go is found once for a row
//! group ([`placed`]), then the columns of values are filled and written one after the other ([`fill`], [`write`]).

mod fill;
mod index;
mod listed;
mod of_chunks;
mod placed;
mod read;
mod runs;
mod write;

pub(super) use fill::{LeafFill, Stream};
pub(super) use index::RareIndex;
pub use listed::{RARE_METADATA, RareEntry, RareList};
pub(super) use of_chunks::RareOfChunks;
pub(super) use placed::{CellRun, Cells};
pub(super) use read::{RareColumns, RareRows};
pub(super) use runs::{RareRuns, StoredRun};
pub(super) use write::RareWriter;

use crate::columns::ValueKind;

/// The columns of the table that hold values. Which of them has the values of an attribute follows from its kind, and from
/// whether they mostly differ.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum ValueLeaf {
    Int,
    Double,
    Bool,
    Text,
    UniqueText,
    Any,
    UniqueAny,
}

impl ValueLeaf {
    /// All of them, in the order of the file.
    pub const ALL: [ValueLeaf; 7] =
        [ValueLeaf::Int, ValueLeaf::Double, ValueLeaf::Bool, ValueLeaf::Text, ValueLeaf::UniqueText, ValueLeaf::Any, ValueLeaf::UniqueAny];

    fn of(kind: ValueKind, mostly_unique: bool) -> Self {
        match (kind, mostly_unique) {
            (ValueKind::Int, _) => ValueLeaf::Int,
            (ValueKind::Double, _) => ValueLeaf::Double,
            (ValueKind::Bool, _) => ValueLeaf::Bool,
            (ValueKind::Str, false) => ValueLeaf::Text,
            (ValueKind::Str, true) => ValueLeaf::UniqueText,
            (ValueKind::Any, false) => ValueLeaf::Any,
            (ValueKind::Any, true) => ValueLeaf::UniqueAny,
        }
    }

    fn name(self) -> &'static str {
        match self {
            ValueLeaf::Int => "int",
            ValueLeaf::Double => "double",
            ValueLeaf::Bool => "bool",
            ValueLeaf::Text => "string",
            ValueLeaf::UniqueText => "string_unique",
            ValueLeaf::Any => "otlp",
            ValueLeaf::UniqueAny => "otlp_unique",
        }
    }
}

/// The attribute's key, without scope; for plain readers.
const KEY: &str = "key";
/// The row in the table that the attribute is of.
const ROW: &str = "row";
/// Which of the row's attributes without a column it is, from 0.
const POSITION: &str = "position";
