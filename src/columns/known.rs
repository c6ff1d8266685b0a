//! What is known of the columns of many spans without reading them.

use super::value::ValueKind;
use super::view::{Column, ColumnId};

/// What has the values of a column.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Holder {
    /// Spans.
    Span,
    /// Resources of spans.
    Resource,
    /// Instrumentation scopes of spans.
    Instrumentation,
    /// Events of spans.
    Event,
    /// Links of spans.
    Link,
}

/// Texts of which it is known that some bytes are in none of them.
pub trait Parts {
    /// False if certainly none of the texts contains these bytes.
    fn may_hold(&self, part: &[u8]) -> bool;
}

/// Texts of which it is known that others are not among them.
pub trait TextSet: Parts {
    /// False if the text is certainly not among them.
    fn may_contain(&self, text: &[u8]) -> bool;
}

/// What is known of a column.
pub enum Known<'c> {
    /// Nothing: it may have any values, or none.
    Nothing,
    /// No row has a value.
    Absent,
    /// All its distinct values, each once and without their rows.
    Values(&'c Column<'static>),
    /// Its integers, or unsigned numbers below 2^63, lie between these, both included.
    Ints(i64, i64),
    /// Its doubles lie between these, both included; none is NaN.
    Doubles(f64, f64),
    /// Its texts are among these.
    Texts(&'c dyn TextSet),
}

/// Names and values of columns, told without reading the data.
pub trait Catalogue {
    /// Whether there is any such holder.
    fn has(&self, holder: Holder) -> bool;

    /// What is known of a column of a holder. Of scopes [`ColumnId::Name`] is the name.
    fn column(&self, holder: Holder, id: ColumnId<'_>) -> Known<'_>;

    /// What is known of an attribute's values of one kind.
    fn attribute(&self, holder: Holder, key: &str, kind: ValueKind) -> Known<'_> {
        self.column(holder, ColumnId::Attribute { key, kind })
    }
}
