//! Attributes that few rows have, of a table of spans, events or links: not a column each, but a table of their own, sorted by
//! attribute.
//!
//! A column costs in every row, whether filled or not; a row of this table costs only where there is a value. And as the rows of an
//! attribute follow each other, a query for it reads the pages with these rows and no others, as if it had a column. Who
//! needs all attributes of some rows (a trace by id, a merge) decodes the row numbers of a row group and finds the rest
//! from them.

mod index;
mod listed;
mod of_chunks;
mod read;
mod write;

pub(super) use index::RareIndex;
pub use listed::{RARE_METADATA, RareEntry, RareList};
pub(super) use of_chunks::RareOfChunks;
pub(super) use read::{RareColumns, RareRows};
pub(super) use write::RareWriter;

use super::recode::CodeSpace;
use crate::columns::ValueKind;

/// An attribute of a row.
#[derive(Clone, Copy)]
pub(super) struct RareCell {
    /// The number of the attribute.
    pub entry: u32,
    /// The row, counted from the row group's first.
    pub row: u32,
    /// Which of the row's attributes without a column it is, from 0.
    pub position: u32,
    /// The stream that has its value.
    pub stream: u32,
    /// The value's position there.
    pub value: u32,
}

/// Values that cells refer to, all of one kind.
#[derive(Clone, Copy)]
pub(super) enum Stream<'a> {
    Int(&'a [i64]),
    Double(&'a [f64]),
    Bool(&'a [bool]),
    /// Texts or `AnyValue` messages: the base of their dictionary in the group's [`CodeSpace`], and codes.
    Bytes(u32, &'a [u32]),
}

/// The attributes of one row group.
pub(super) struct RareGroup<'a> {
    /// In any order.
    pub cells: Vec<RareCell>,
    pub streams: Vec<Stream<'a>>,
    pub space: CodeSpace<'a>,
}

/// The columns of the table that hold values. Which of them has the values of an attribute follows from its kind, and from
/// whether they mostly differ.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum ValueLeaf {
    Int,
    Double,
    Bool,
    Text,
    UniqueText,
    Any,
    UniqueAny,
}

/// Number of such columns.
const NUM_LEAVES: usize = 7;

impl ValueLeaf {
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
