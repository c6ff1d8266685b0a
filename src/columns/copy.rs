//! Copying rows from one chunk to another: traces that a cut leaves behind, small chunks that are joined.

use super::attributes::AttributeTable;
use super::chunk::{Chunk, SpanFields};
use super::wire::Malformed;

/// Appends the rows of `from` whose trace `takes` accepts by its ordinal there; arrival times are kept.
///
/// # Errors
/// Only if a stored resource or scope cannot be read, which was read when it was stored.
pub fn copy_traces(from: &Chunk, takes: &dyn Fn(u32) -> bool, to: &mut Chunk) -> Result<(), Malformed> {
    for row in 0..from.num_rows() as u32 {
        if takes(from.trace[row as usize]) {
            copy_row(from, row, to)?;
        }
    }
    Ok(())
}

fn copy_row(from: &Chunk, row: u32, to: &mut Chunk) -> Result<(), Malformed> {
    let at = row as usize;
    let summary = &from.traces.summaries()[from.trace[at] as usize];
    let (message, schema_url) = from.resources.message(from.resource[at]);
    let resource = to.resources.intern(message, schema_url)?;
    let (message, schema_url) = from.scopes.message(from.scope[at]);
    let scope = to.scopes.intern(message, schema_url)?;
    let new_row = to.num_rows() as u32;
    copy_sparse(from, row, to, new_row);
    copy_attributes(&from.attributes, row, &mut to.attributes, new_row);
    copy_events(from, row, to, new_row);
    copy_links(from, row, to, new_row);
    let span = SpanFields {
        trace_id: summary.id,
        span_id: from.span_id[at],
        parent_id: from.parent_id[at],
        start: from.start[at],
        end: from.end(row),
        name: from.names.get(from.name[at]),
        kind: from.kind[at],
        status: from.status[at],
        resource,
        scope,
    };
    to.push_span(&span, summary.touched_millis);
    Ok(())
}

fn copy_sparse(from: &Chunk, row: u32, to: &mut Chunk, new_row: u32) {
    let numbers = [
        (&from.flags, &mut to.flags),
        (&from.dropped_attributes, &mut to.dropped_attributes),
        (&from.dropped_events, &mut to.dropped_events),
        (&from.dropped_links, &mut to.dropped_links),
    ];
    for (source, target) in numbers {
        if let Some(value) = source.get(row) {
            target.push(new_row, value);
        }
    }
    let texts = [(&from.status_message, &mut to.status_message), (&from.trace_state, &mut to.trace_state)];
    for (source, target) in texts {
        if let Some(value) = source.get(row) {
            target.push_bytes(new_row, value);
        }
    }
}

/// Copies the attributes of a row in their order; the row is not ended.
fn copy_attributes(from: &AttributeTable, row: u32, to: &mut AttributeTable, new_row: u32) {
    let mut residual = from.residual_of(row);
    for element in from.order_of(row) {
        match element {
            Some(ordinal) => {
                let column = &from.columns()[ordinal];
                if let Some(value) = column.get(row) {
                    to.add_value(new_row, column.key().as_bytes(), value);
                }
            }
            None => to.add_residual(new_row, residual.next().unwrap_or_default()),
        }
    }
}

fn copy_events(from: &Chunk, row: u32, to: &mut Chunk, new_row: u32) {
    for event in from.events.rows_of(row) {
        let new_event = to.events.span.len() as u32;
        copy_attributes(&from.events.attributes, event, &mut to.events.attributes, new_event);
        if let Some(count) = from.events.dropped_attributes.get(event) {
            to.events.dropped_attributes.push(new_event, count);
        }
        let name = to.events.names.intern(from.events.names.get(from.events.name[event as usize]));
        to.events.push(new_row, from.events.time[event as usize], name);
    }
}

fn copy_links(from: &Chunk, row: u32, to: &mut Chunk, new_row: u32) {
    for link in from.links.rows_of(row) {
        let new_link = to.links.span.len() as u32;
        copy_attributes(&from.links.attributes, link, &mut to.links.attributes, new_link);
        if let Some(state) = from.links.trace_state.get(link) {
            to.links.trace_state.push_bytes(new_link, state);
        }
        if let Some(flags) = from.links.flags.get(link) {
            to.links.flags.push(new_link, flags);
        }
        if let Some(count) = from.links.dropped_attributes.get(link) {
            to.links.dropped_attributes.push(new_link, count);
        }
        to.links.push(new_row, from.links.trace_id[link as usize], from.links.span_id[link as usize]);
    }
}
