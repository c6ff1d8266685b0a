//! From the bytes of an OTLP request into the columns of a chunk.
//!
//! Nothing is built in between: each field goes to its column as it is met. Resources and scopes are looked up once per
//! message by their raw bytes, attribute columns are guessed from what came last time (see [`super::attributes`]).

use super::chunk::{Chunk, SpanFields};
use super::validate::LIBRARY_SPANS;
use super::wire::{Field, Malformed, Reader};
use crate::model::TraceId;

/// Says whether a trace's spans are taken; replay leaves out those that a block already holds.
pub type TraceFilter<'a> = dyn Fn(&TraceId) -> bool + 'a;

/// Appends the spans of an `ExportTraceServiceRequest`, or those whose trace `takes` accepts, and returns their number.
///
/// The request must have passed [`super::validate::validate`]; then this cannot fail. On an error the chunk may hold
/// fields of a row that it does not have, and must not be used further.
pub fn append(chunk: &mut Chunk, request: &[u8], now_millis: u64, takes: Option<&TraceFilter<'_>>) -> Result<usize, Malformed> {
    let before = chunk.num_rows();
    let mut reader = Reader::new(request);
    while let Some((number, field)) = reader.next_field()? {
        if number == 1 {
            Appender { chunk, now_millis, takes, resource: 0, scope: 0 }.resource_spans(field.bytes(1)?)?;
        }
    }
    Ok(chunk.num_rows() - before)
}

struct Appender<'a> {
    chunk: &'a mut Chunk,
    now_millis: u64,
    takes: Option<&'a TraceFilter<'a>>,
    resource: u32,
    scope: u32,
}

/// The parts of `ResourceSpans` and `ScopeSpans` that come before and after the list of spans.
fn frame(message: &[u8]) -> Result<(&[u8], &[u8], bool), Malformed> {
    let (mut origin, mut schema_url, mut has_list): (&[u8], &[u8], bool) = (&[], &[], false);
    let mut reader = Reader::new(message);
    while let Some((number, field)) = reader.next_field()? {
        match number {
            1 => origin = field.bytes(1)?,
            2 => has_list = true,
            3 => schema_url = field.bytes(3)?,
            _ => {}
        }
    }
    Ok((origin, schema_url, has_list))
}

impl Appender<'_> {
    fn resource_spans(&mut self, message: &[u8]) -> Result<(), Malformed> {
        let (resource, schema_url, has_scope_spans) = frame(message)?;
        self.resource = self.chunk.resources.intern(resource, schema_url)?;
        // The deprecated list counts only when the new one is empty (spec/ingest.md §2).
        let list = if has_scope_spans { 2 } else { LIBRARY_SPANS };
        let mut reader = Reader::new(message);
        while let Some((number, field)) = reader.next_field()? {
            if number == list {
                self.scope_spans(field.bytes(number)?)?;
            }
        }
        Ok(())
    }

    fn scope_spans(&mut self, message: &[u8]) -> Result<(), Malformed> {
        let (scope, schema_url, _) = frame(message)?;
        self.scope = self.chunk.scopes.intern(scope, schema_url)?;
        let mut reader = Reader::new(message);
        while let Some((number, field)) = reader.next_field()? {
            if number == 2 {
                self.span(field.bytes(2)?)?;
            }
        }
        Ok(())
    }

    fn span(&mut self, message: &[u8]) -> Result<(), Malformed> {
        let mut span = SpanFields { resource: self.resource, scope: self.scope, ..SpanFields::default() };
        let row = self.chunk.num_rows() as u32;
        if let Some(takes) = self.takes
            && !takes(&trace_id_of(message)?)
        {
            return Ok(());
        }
        let mut reader = Reader::new(message);
        while let Some((number, field)) = reader.next_field()? {
            match (number, field) {
                (1, Field::Bytes(id)) => span.trace_id = trace_id(id)?,
                (2, Field::Bytes(id)) => span.span_id = span_id(id)?,
                (4, Field::Bytes(id)) => span.parent_id = span_id(id)?,
                (5, Field::Bytes(name)) => span.name = name,
                (6, Field::Varint(kind)) => span.kind = kind as i32,
                (7, Field::Fixed64(start)) => span.start = start,
                (8, Field::Fixed64(end)) => span.end = end,
                (9, Field::Bytes(attribute)) => self.chunk.attributes.add(row, attribute)?,
                (11, Field::Bytes(event)) => self.event(row, event)?,
                (13, Field::Bytes(link)) => self.link(row, link)?,
                (15, Field::Bytes(status)) => span.status = self.status(row, status)?,
                _ => self.rare_field(row, number, field),
            }
        }
        self.chunk.push_span(&span, self.now_millis);
        Ok(())
    }

    fn rare_field(&mut self, row: u32, number: u32, field: Field<'_>) {
        match (number, field) {
            (3, Field::Bytes(state)) if !state.is_empty() => self.chunk.trace_state.push_text(row, state),
            (10, Field::Varint(count)) if count as u32 != 0 => self.chunk.dropped_attributes.push(row, count as u32),
            (12, Field::Varint(count)) if count as u32 != 0 => self.chunk.dropped_events.push(row, count as u32),
            (14, Field::Varint(count)) if count as u32 != 0 => self.chunk.dropped_links.push(row, count as u32),
            (16, Field::Fixed32(flags)) if flags != 0 => self.chunk.flags.push(row, flags),
            _ => {}
        }
    }

    fn status(&mut self, row: u32, message: &[u8]) -> Result<i32, Malformed> {
        let mut code = 0;
        let mut reader = Reader::new(message);
        while let Some((number, field)) = reader.next_field()? {
            match (number, field) {
                (2, Field::Bytes(text)) if !text.is_empty() => self.chunk.status_message.push_text(row, text),
                (3, Field::Varint(value)) => code = value as i32,
                _ => {}
            }
        }
        Ok(code)
    }

    fn event(&mut self, span: u32, message: &[u8]) -> Result<(), Malformed> {
        let events = &mut self.chunk.events;
        let row = events.span.len() as u32;
        let (mut time, mut name): (u64, &[u8]) = (0, &[]);
        let mut reader = Reader::new(message);
        while let Some((number, field)) = reader.next_field()? {
            match (number, field) {
                (1, Field::Fixed64(value)) => time = value,
                (2, Field::Bytes(text)) => name = text,
                (3, Field::Bytes(attribute)) => events.attributes.add(row, attribute)?,
                (4, Field::Varint(count)) if count as u32 != 0 => events.dropped_attributes.push(row, count as u32),
                _ => {}
            }
        }
        let name = events.names.intern_text(name);
        events.push(span, time, name);
        Ok(())
    }

    fn link(&mut self, span: u32, message: &[u8]) -> Result<(), Malformed> {
        let links = &mut self.chunk.links;
        let row = links.span.len() as u32;
        let (mut linked_trace, mut linked_span) = (TraceId::default(), 0);
        let mut reader = Reader::new(message);
        while let Some((number, field)) = reader.next_field()? {
            match (number, field) {
                (1, Field::Bytes(id)) => linked_trace = trace_id(id)?,
                (2, Field::Bytes(id)) => linked_span = span_id(id)?,
                (3, Field::Bytes(state)) if !state.is_empty() => links.trace_state.push_text(row, state),
                (4, Field::Bytes(attribute)) => links.attributes.add(row, attribute)?,
                (5, Field::Varint(count)) if count as u32 != 0 => links.dropped_attributes.push(row, count as u32),
                (6, Field::Fixed32(flags)) if flags != 0 => links.flags.push(row, flags),
                _ => {}
            }
        }
        links.push(span, linked_trace, linked_span);
        Ok(())
    }
}

fn trace_id_of(span: &[u8]) -> Result<TraceId, Malformed> {
    let mut id = TraceId::default();
    let mut reader = Reader::new(span);
    while let Some((number, field)) = reader.next_field()? {
        if number == 1 {
            id = trace_id(field.bytes(1)?)?;
        }
    }
    Ok(id)
}

/// All zero for an empty id.
fn trace_id(bytes: &[u8]) -> Result<TraceId, Malformed> {
    match TraceId::from_slice(bytes) {
        Some(id) => Ok(id),
        None if bytes.is_empty() => Ok(TraceId::default()),
        None => Err(Malformed::TraceIdLength),
    }
}

fn span_id(bytes: &[u8]) -> Result<u64, Malformed> {
    match <[u8; 8]>::try_from(bytes) {
        Ok(id) => Ok(u64::from_be_bytes(id)),
        Err(_) if bytes.is_empty() => Ok(0),
        Err(_) => Err(Malformed::SpanIdLength),
    }
}
