//! A chunk, seen as a source of columns: nearly everything is borrowed.

use super::attributes::{AttributeColumn, AttributeTable, ColumnValues};
use super::chunk::{Chunk, Events, Links};
use super::resources::Origin;
use super::value::ValueKind;
use super::view::{Column, ColumnId, Detail, Rows, SourceError, SpanSource, Strings, Values};
use crate::model::TraceId;
use std::borrow::Cow;
use std::sync::Arc;

impl SpanSource for Chunk {
    fn num_rows(&self) -> usize {
        Chunk::num_rows(self)
    }

    fn column(&self, id: ColumnId<'_>) -> Result<Option<Column<'_>>, SourceError> {
        let dense = |values| Some(Column { rows: Rows::All, values });
        Ok(match id {
            ColumnId::Attribute { key, kind } => self.attributes.column(key, kind).map(attribute_column),
            ColumnId::Span | ColumnId::SinceStart | ColumnId::LinkedTrace => None,
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
        kinds_of(&self.attributes, key)
    }

    fn attribute_keys(&self) -> Result<Vec<String>, SourceError> {
        Ok(keys_of(&self.attributes))
    }

    fn resources(&self) -> &[Origin] {
        self.resources.entries()
    }

    fn scopes(&self) -> &[Origin] {
        self.scopes.entries()
    }

    fn details(&self, of: Detail) -> Result<Option<Box<dyn SpanSource + '_>>, SourceError> {
        Ok(match of {
            Detail::Event if !self.events.span.is_empty() => Some(Box::new(ChunkEvents { events: &self.events, start: &self.start })),
            Detail::Link if !self.links.span.is_empty() => Some(Box::new(ChunkLinks { links: &self.links })),
            Detail::Event | Detail::Link => None,
        })
    }
}

fn kinds_of(table: &AttributeTable, key: &str) -> Vec<ValueKind> {
    let kinds = [ValueKind::Str, ValueKind::Int, ValueKind::Double, ValueKind::Bool, ValueKind::Any];
    kinds.into_iter().filter(|kind| table.column(key, *kind).is_some()).collect()
}

fn keys_of(table: &AttributeTable) -> Vec<String> {
    let mut keys: Vec<String> = table.columns().iter().map(|column| column.key().to_owned()).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// The events of a chunk.
struct ChunkEvents<'a> {
    events: &'a Events,
    /// Starts of the spans.
    start: &'a [u64],
}

impl SpanSource for ChunkEvents<'_> {
    fn num_rows(&self) -> usize {
        self.events.span.len()
    }

    fn column(&self, id: ColumnId<'_>) -> Result<Option<Column<'_>>, SourceError> {
        let dense = |values| Some(Column { rows: Rows::All, values });
        Ok(match id {
            ColumnId::Attribute { key, kind } => self.events.attributes.column(key, kind).map(attribute_column),
            ColumnId::Name => dense(Values::Text(Cow::Borrowed(&self.events.name), Strings::Dictionary(&self.events.names))),
            ColumnId::Span => dense(Values::U32(Cow::Borrowed(&self.events.span))),
            ColumnId::SinceStart => dense(Values::U64(Cow::Owned(since_start(&self.events.time, &self.events.span, self.start)))),
            _ => None,
        })
    }

    fn attribute_kinds(&self, key: &str) -> Vec<ValueKind> {
        kinds_of(&self.events.attributes, key)
    }

    fn attribute_keys(&self) -> Result<Vec<String>, SourceError> {
        Ok(keys_of(&self.events.attributes))
    }

    fn resources(&self) -> &[Origin] {
        &[]
    }

    fn scopes(&self) -> &[Origin] {
        &[]
    }

    fn details(&self, _of: Detail) -> Result<Option<Box<dyn SpanSource + '_>>, SourceError> {
        Ok(None)
    }
}

/// Times of events as the time since the start of their spans, modulo 2^64. A span that is not there counts as started at 0.
pub fn since_start(times: &[u64], spans: &[u32], starts: &[u64]) -> Vec<u64> {
    let start = |span: u32| starts.get(span as usize).copied().unwrap_or(0);
    times.iter().zip(spans).map(|(time, span)| time.wrapping_sub(start(*span))).collect()
}

/// The links of a chunk.
struct ChunkLinks<'a> {
    links: &'a Links,
}

impl SpanSource for ChunkLinks<'_> {
    fn num_rows(&self) -> usize {
        self.links.span.len()
    }

    fn column(&self, id: ColumnId<'_>) -> Result<Option<Column<'_>>, SourceError> {
        let dense = |values| Some(Column { rows: Rows::All, values });
        Ok(match id {
            ColumnId::Attribute { key, kind } => self.links.attributes.column(key, kind).map(attribute_column),
            ColumnId::Span => dense(Values::U32(Cow::Borrowed(&self.links.span))),
            ColumnId::SpanId => dense(Values::U64(Cow::Borrowed(&self.links.span_id))),
            ColumnId::LinkedTrace => dense(trace_id_texts(&self.links.trace_id)),
            _ => None,
        })
    }

    fn attribute_kinds(&self, key: &str) -> Vec<ValueKind> {
        kinds_of(&self.links.attributes, key)
    }

    fn attribute_keys(&self) -> Result<Vec<String>, SourceError> {
        Ok(keys_of(&self.links.attributes))
    }

    fn resources(&self) -> &[Origin] {
        &[]
    }

    fn scopes(&self) -> &[Origin] {
        &[]
    }

    fn details(&self, _of: Detail) -> Result<Option<Box<dyn SpanSource + '_>>, SourceError> {
        Ok(None)
    }
}

/// Trace ids as texts without leading zeros, one each.
pub fn trace_id_texts(ids: &[TraceId]) -> Values<'static> {
    let (mut ends, mut bytes) = (Vec::with_capacity(ids.len()), Vec::with_capacity(32 * ids.len()));
    for id in ids {
        bytes.extend_from_slice(id.to_short_hex().as_bytes());
        ends.push(bytes.len() as u32);
    }
    Values::Text(Cow::Owned((0..ids.len() as u32).collect()), Strings::Shared(Arc::new((ends, bytes))))
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
