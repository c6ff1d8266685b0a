//! Under which names the catalogue has columns.

use super::collect::EntryKind;
use crate::columns::ValueKind;
use crate::columns::view::ColumnId;

/// The name of a column of a holder.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ColumnName {
    /// Attributes of one kind.
    Attribute {
        /// The key without scope.
        key: String,
        /// The kind of the values.
        kind: ValueKind,
    },
    /// Names of spans, scopes or events.
    Name,
    /// Span kinds, as OTLP's numbers.
    Kind,
    /// Status codes, as OTLP's numbers.
    Status,
    /// Status messages that are not empty.
    StatusMessage,
    /// Durations of spans, nanoseconds.
    Duration,
}

impl ColumnName {
    /// The columns that are no attributes, each with the word for it in the file.
    pub(super) const INTRINSICS: [(ColumnName, &'static str); 5] = [
        (ColumnName::Name, "name"),
        (ColumnName::Kind, "kind"),
        (ColumnName::Status, "status"),
        (ColumnName::StatusMessage, "statusMessage"),
        (ColumnName::Duration, "duration"),
    ];

    /// What the evaluator calls it.
    pub fn id(&self) -> ColumnId<'_> {
        match self {
            ColumnName::Attribute { key, kind } => ColumnId::Attribute { key, kind: *kind },
            ColumnName::Name => ColumnId::Name,
            ColumnName::Kind => ColumnId::Kind,
            ColumnName::Status => ColumnId::Status,
            ColumnName::StatusMessage => ColumnId::StatusMessage,
            ColumnName::Duration => ColumnId::Duration,
        }
    }

    /// The form of its values in a dictionary page.
    pub(super) fn entry_kind(&self) -> EntryKind {
        match self {
            ColumnName::Attribute { kind: ValueKind::Int | ValueKind::Bool, .. } | ColumnName::Duration => EntryKind::Int64,
            ColumnName::Attribute { kind: ValueKind::Double, .. } => EntryKind::Double,
            ColumnName::Kind | ColumnName::Status => EntryKind::Int32,
            ColumnName::Attribute { .. } | ColumnName::Name | ColumnName::StatusMessage => EntryKind::Bytes,
        }
    }
}
