//! What a reader of columns sees, whether they lie in a chunk of the head or in a row group of a block.

use super::dictionary::Dictionary;
use super::resources::Origin;
use super::value::{ValueKind, ValueRef};
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

/// Names a column of spans.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ColumnId<'a> {
    /// A span attribute of one kind.
    Attribute {
        /// The key without scope.
        key: &'a str,
        /// The kind of its values; a key may have a column for each.
        kind: ValueKind,
    },
    /// Span name, every row: text.
    Name,
    /// Span kind, every row: `Int`, OTLP's number.
    Kind,
    /// Status code, every row: `Int`, OTLP's number.
    Status,
    /// Status message, rows where it is not empty: text.
    StatusMessage,
    /// Start, every row: `U64`, Unix nanoseconds.
    Start,
    /// End minus start, every row: `U64`, nanoseconds modulo 2^64.
    Duration,
    /// Span id, every row: `U64`, big-endian number.
    SpanId,
    /// Parent's span id, every row: `U64`, 0 for none.
    ParentId,
    /// Number of the resource, every row: `U32`.
    Resource,
    /// Number of the instrumentation scope, every row: `U32`.
    Scope,
    /// Ordinal of the trace within the source, every row: `U32`.
    Trace,
    /// Of a detail: the row of its span, every row, ascending: `U32`.
    Span,
    /// Of an event: its time minus the start of its span, every row: `U64`, nanoseconds modulo 2^64.
    SinceStart,
    /// Of a link: the linked trace as hex without leading zeros, every row: text.
    LinkedTrace,
}

/// What a span may have several of; each kind is a source of its own with a row for each of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Detail {
    /// Events: attributes, [`ColumnId::Name`], [`ColumnId::SinceStart`], [`ColumnId::Span`].
    Event,
    /// Links: attributes, [`ColumnId::LinkedTrace`], [`ColumnId::SpanId`] (of the linked span), [`ColumnId::Span`].
    Link,
}

/// Which rows the values of a column belong to.
#[derive(Clone, Debug)]
pub enum Rows<'a> {
    /// Value `i` belongs to row `i`.
    All,
    /// Value `i` belongs to row `rows[i]`; ascending, each row at most once.
    Some(Cow<'a, [u32]>),
}

/// Distinct byte strings; a code is a position. A plain (not dictionary-coded) column has one entry per value.
#[derive(Clone)]
pub enum Strings<'a> {
    /// Of a chunk.
    Dictionary(&'a Dictionary),
    /// Of a block: end of each string in the bytes.
    Shared(Arc<(Vec<u32>, Vec<u8>)>),
}

impl Strings<'_> {
    /// The bytes of a code.
    #[inline]
    pub fn get(&self, code: u32) -> &[u8] {
        match self {
            Strings::Dictionary(dictionary) => dictionary.get(code),
            Strings::Shared(shared) => {
                let (ends, bytes) = (&shared.0, &shared.1);
                let start = if code == 0 { 0 } else { ends[code as usize - 1] as usize };
                &bytes[start..ends[code as usize] as usize]
            }
        }
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        match self {
            Strings::Dictionary(dictionary) => dictionary.len(),
            Strings::Shared(shared) => shared.0.len(),
        }
    }

    /// True if there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The values of a column, one kind for all.
#[derive(Clone)]
pub enum Values<'a> {
    /// Text (of attributes of kind `Str`, names and so on).
    Text(Cow<'a, [u32]>, Strings<'a>),
    /// `AnyValue` messages (of attributes of kind `Any`).
    Any(Cow<'a, [u32]>, Strings<'a>),
    /// Integers.
    Int(Cow<'a, [i64]>),
    /// Doubles.
    Double(Cow<'a, [f64]>),
    /// Booleans.
    Bool(Cow<'a, [bool]>),
    /// OTLP enum numbers (`Kind`, `Status`).
    Enum(Cow<'a, [i32]>),
    /// Row, resource, scope and trace numbers.
    U32(Cow<'a, [u32]>),
    /// Times and ids.
    U64(Cow<'a, [u64]>),
}

/// A column, read whole.
#[derive(Clone)]
pub struct Column<'a> {
    /// Which rows have a value.
    pub rows: Rows<'a>,
    /// The values, in row order.
    pub values: Values<'a>,
}

impl<'a> Column<'a> {
    /// The value of a row as an attribute value; `None` if it has none or the column is none of attribute values or text.
    pub fn value(&self, row: u32) -> Option<ValueRef<'_>> {
        let at = self.position(row)?;
        Some(match &self.values {
            Values::Text(codes, strings) => ValueRef::Str(strings.get(codes[at])),
            Values::Any(codes, strings) => ValueRef::Any(strings.get(codes[at])),
            Values::Int(values) => ValueRef::Int(values[at]),
            Values::Double(values) => ValueRef::Double(values[at]),
            Values::Bool(values) => ValueRef::Bool(values[at]),
            Values::Enum(_) | Values::U32(_) | Values::U64(_) => return None,
        })
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        match &self.values {
            Values::Text(codes, _) | Values::Any(codes, _) => codes.len(),
            Values::Int(values) => values.len(),
            Values::Double(values) => values.len(),
            Values::Bool(values) => values.len(),
            Values::Enum(values) => values.len(),
            Values::U32(values) => values.len(),
            Values::U64(values) => values.len(),
        }
    }

    /// True if there is no value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where the row's value stands among the values.
    pub fn position(&self, row: u32) -> Option<usize> {
        match &self.rows {
            Rows::All => Some(row as usize),
            Rows::Some(rows) => rows.binary_search(&row).ok(),
        }
    }
}

/// A condition on one column, told to a source so that it may answer from a dictionary or statistics before it reads data.
pub trait Condition {
    /// Whether a text (or the bytes of an `AnyValue`, for a column of kind `Any`) passes.
    fn text(&self, value: &[u8]) -> bool;
    /// Bytes that every text (or `AnyValue`) that passes contains, so that where they are not nothing passes; may be none.
    fn required(&self) -> &[u8] {
        &[]
    }
    /// Whether any integer between `min` and `max` (both included) may pass; `true` when unknown.
    fn may_pass_int(&self, min: i64, max: i64) -> bool;
    /// The rows of a column whose values pass, ascending.
    fn rows(&self, column: &Column<'_>) -> Vec<u32>;
}

/// Which rows of a source are asked for.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'r> {
    /// All of them.
    All,
    /// These, ascending.
    Some(&'r [u32]),
}

impl Wanted<'_> {
    /// The column, as far as it is wanted.
    pub fn column<'s>(self, source: &'s dyn SpanSource, id: ColumnId<'_>) -> Result<Option<Column<'s>>, SourceError> {
        match self {
            Wanted::All => source.column(id),
            Wanted::Some(rows) => source.column_of(id, rows),
        }
    }

    /// Number of rows, of `all`.
    pub fn count(self, all: usize) -> usize {
        match self {
            Wanted::All => all,
            Wanted::Some(rows) => rows.len(),
        }
    }
}

/// The data could not be read.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct SourceError(pub String);

/// What is known of the starts of some rows without reading them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartsOf {
    /// The rows.
    pub rows: Range<usize>,
    /// None of them starts earlier, Unix nanoseconds.
    pub min: u64,
    /// None of them starts later.
    pub max: u64,
}

/// Looks at the starts of all rows in order, a part at a time, and reads only the parts that it needs.
pub trait StartVisitor {
    /// Whether bounds do not suffice for some rows.
    fn needs(&self, part: &StartsOf) -> bool;
    /// Rows for which they suffice.
    fn bounded(&mut self, part: &StartsOf);
    /// The starts of all other rows, from `first_row` on.
    fn starts(&mut self, first_row: usize, starts: &[u64]);
}

/// A run of spans that is evaluated at once.
pub trait SpanSource {
    /// Number of spans.
    fn num_rows(&self) -> usize;

    /// A column, read whole; `None` if no row has a value.
    fn column(&self, id: ColumnId<'_>) -> Result<Option<Column<'_>>, SourceError>;

    /// As [`column`](Self::column) for some ascending rows; the values of others may be missing.
    fn column_of(&self, id: ColumnId<'_>, _rows: &[u32]) -> Result<Option<Column<'_>>, SourceError> {
        self.column(id)
    }

    /// Shows the starts of all rows to a visitor.
    fn visit_starts(&self, visitor: &mut dyn StartVisitor) -> Result<(), SourceError> {
        match self.column(ColumnId::Start)?.map(|column| column.values) {
            Some(Values::U64(starts)) => visitor.starts(0, &starts),
            _ => return Err(SourceError("the column of span starts is missing".to_owned())),
        }
        Ok(())
    }

    /// The values of a column, each at least once, in any order and without their rows.
    fn entries(&self, id: ColumnId<'_>) -> Result<Option<Column<'_>>, SourceError> {
        self.column(id)
    }

    /// The kinds that a span attribute has here.
    fn attribute_kinds(&self, key: &str) -> Vec<ValueKind>;

    /// The keys of all span attributes, each once.
    fn attribute_keys(&self) -> Result<Vec<String>, SourceError>;

    /// The keys of all attributes that some ascending rows have, each once; perhaps of others besides.
    fn attribute_keys_of(&self, _rows: &[u32]) -> Result<Vec<String>, SourceError> {
        self.attribute_keys()
    }

    /// The rows, ascending, whose value passes.
    fn select(&self, id: ColumnId<'_>, condition: &dyn Condition) -> Result<Vec<u32>, SourceError> {
        Ok(self.column(id)?.map(|column| condition.rows(&column)).unwrap_or_default())
    }

    /// Resources, named by the numbers in [`ColumnId::Resource`].
    fn resources(&self) -> &[Origin];

    /// Instrumentation scopes, named by the numbers in [`ColumnId::Scope`].
    fn scopes(&self) -> &[Origin];

    /// The events or links of all spans; `None` if there are none.
    fn details(&self, of: Detail) -> Result<Option<Box<dyn SpanSource + '_>>, SourceError>;
}
