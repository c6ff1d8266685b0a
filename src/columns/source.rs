//! A chunk, seen as a source of columns: everything is borrowed.

use super::attributes::{AttributeColumn, ColumnValues};
use super::chunk::Chunk;
use super::resources::Origin;
use super::value::ValueKind;
use super::view::{Column, ColumnId, Rows, SourceError, SpanSource, Strings, Values};
use std::borrow::Cow;

impl SpanSource for Chunk {
    fn num_rows(&self) -> usize {
        Chunk::num_rows(self)
    }

    fn column(&self, id: ColumnId<'_>) -> Result<Option<Column<'_>>, SourceError> {
        let dense = |values| Some(Column { rows: Rows::All, values });
        Ok(match id {
            ColumnId::Attribute { key, kind } => self.attributes.column(key, kind).map(attribute_column),
            ColumnId::Name => dense(Values::Text(Cow::Borrowed(&self.name), Strings::Dictionary(&self.names))),
            ColumnId::Kind => dense(Values::Enum(Cow::Borrowed(&self.kind))),
            ColumnId::Status => dense(Values::Enum(Cow::Borrowed(&self.status))),
            ColumnId::StatusMessage => {
                let text = &self.status_message;
                let values = Values::Text(Cow::Borrowed(&text.codes.values), Strings::Dictionary(&text.dictionary));
                Some(Column { rows: Rows::Some(Cow::Borrowed(&text.codes.rows)), values })
            }
            ColumnId::Start => dense(Values::U64(Cow::Borrowed(&self.start))),
            ColumnId::Duration => dense(Values::U64(Cow::Borrowed(&self.duration))),
            ColumnId::SpanId => dense(Values::U64(Cow::Borrowed(&self.span_id))),
            ColumnId::ParentId => dense(Values::U64(Cow::Borrowed(&self.parent_id))),
            ColumnId::Resource => dense(Values::U32(Cow::Borrowed(&self.resource))),
            ColumnId::Scope => dense(Values::U32(Cow::Borrowed(&self.scope))),
            ColumnId::Trace => dense(Values::U32(Cow::Borrowed(&self.trace))),
        })
    }

    fn attribute_kinds(&self, key: &str) -> Vec<ValueKind> {
        let kinds = [ValueKind::Str, ValueKind::Int, ValueKind::Double, ValueKind::Bool, ValueKind::Any];
        kinds.into_iter().filter(|kind| self.attributes.column(key, *kind).is_some()).collect()
    }

    fn attribute_keys(&self) -> Result<Vec<String>, SourceError> {
        let mut keys: Vec<String> = self.attributes.columns().iter().map(|column| column.key().to_owned()).collect();
        keys.sort_unstable();
        keys.dedup();
        Ok(keys)
    }

    fn resources(&self) -> &[Origin] {
        self.resources.entries()
    }

    fn scopes(&self) -> &[Origin] {
        self.scopes.entries()
    }
}

/// An attribute column of a chunk, borrowed.
pub fn attribute_column(column: &AttributeColumn) -> Column<'_> {
    let values = match &column.values {
        ColumnValues::Str(codes, dictionary) => Values::Text(Cow::Borrowed(codes), Strings::Dictionary(dictionary)),
        ColumnValues::Any(codes, dictionary) => Values::Any(Cow::Borrowed(codes), Strings::Dictionary(dictionary)),
        ColumnValues::Int(values) => Values::Int(Cow::Borrowed(values)),
        ColumnValues::Double(values) => Values::Double(Cow::Borrowed(values)),
        ColumnValues::Bool(values) => Values::Bool(Cow::Borrowed(values)),
    };
    Column { rows: Rows::Some(Cow::Borrowed(&column.rows)), values }
}
