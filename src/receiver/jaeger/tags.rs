//! Tags that say what a span is rather than what happened: kind, status, trace state, scope (spec/ingest.md §5.6).

use super::model::{Form, Tag};
use crate::proto::otlp::{SpanKind, StatusCode};
use crate::receiver::otlp_writer::Value;

/// What the tags of a span say of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Meaning<'a> {
    pub(super) kind: SpanKind,
    pub(super) status: StatusCode,
    pub(super) message: &'a [u8],
    pub(super) trace_state: &'a [u8],
    pub(super) scope_name: &'a [u8],
    pub(super) scope_version: &'a [u8],
}

/// Finds out what the tags mean, and marks those that mean nothing beyond it.
pub(super) fn take_meaning<'a>(tags: &mut [Tag<'a>], form: Form) -> Meaning<'a> {
    let mut meaning = Meaning { kind: take_text(tags, b"span.kind").map(kind_by_name).unwrap_or_default(), ..Meaning::default() };
    (meaning.status, meaning.message) = take_status(tags, meaning.kind);
    if form == Form::Proto {
        meaning.trace_state = take_text(tags, b"w3c.tracestate").unwrap_or_default();
        let older = take_text(tags, b"otel.library.name");
        meaning.scope_name = take_text(tags, b"otel.scope.name").or(older).unwrap_or_default();
        let older = take_text(tags, b"otel.library.version");
        meaning.scope_version = take_text(tags, b"otel.scope.version").or(older).unwrap_or_default();
    }
    meaning
}

fn kind_by_name(name: &[u8]) -> SpanKind {
    match name {
        b"client" => SpanKind::Client,
        b"server" => SpanKind::Server,
        b"producer" => SpanKind::Producer,
        b"consumer" => SpanKind::Consumer,
        b"internal" => SpanKind::Internal,
        _ => SpanKind::Unspecified,
    }
}

/// Three tags may say it; the first that does decides: `error`, `otel.status_code`, `http.status_code`.
fn take_status<'a>(tags: &mut [Tag<'a>], kind: SpanKind) -> (StatusCode, &'a [u8]) {
    let failed = take(tags, b"error", |value| (value == Value::Bool(true)).then_some(())).is_some();
    let named = take(tags, b"otel.status_code", Some);
    if failed {
        let message = take_text(tags, b"otel.status_description").or_else(|| http_message(tags));
        return (StatusCode::Error, message.unwrap_or_default());
    }
    if let Some(named) = named {
        let code = match named {
            Value::Text(text) if text.eq_ignore_ascii_case(b"OK") => StatusCode::Ok,
            Value::Text(text) if text.eq_ignore_ascii_case(b"ERROR") => StatusCode::Error,
            _ => StatusCode::Unset,
        };
        return (code, take_text(tags, b"otel.status_description").unwrap_or_default());
    }
    match find(tags, b"http.status_code").and_then(|tag| whole_number(tag.value)) {
        Some(code) => (code_of_http(code, kind), http_message(tags).unwrap_or_default()),
        None => (StatusCode::Unset, &[]),
    }
}

/// Tempo takes 399 for an error; so do we, to give the same answer.
fn code_of_http(code: i64, kind: SpanKind) -> StatusCode {
    match code {
        100..=398 => StatusCode::Unset,
        400..=499 if kind == SpanKind::Server => StatusCode::Unset,
        _ => StatusCode::Error,
    }
}

fn http_message<'a>(tags: &[Tag<'a>]) -> Option<&'a [u8]> {
    find(tags, b"http.status_message").and_then(|tag| text_of(tag.value))
}

fn whole_number(value: Value<'_>) -> Option<i64> {
    match value {
        Value::Int(number) => Some(number),
        Value::Text(digits) => std::str::from_utf8(digits).ok()?.parse().ok(),
        _ => None,
    }
}

fn text_of(value: Value<'_>) -> Option<&[u8]> {
    match value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

fn find<'t, 'a>(tags: &'t [Tag<'a>], key: &[u8]) -> Option<&'t Tag<'a>> {
    tags.iter().find(|tag| tag.key == key)
}

/// What `read` makes of the tag with that key; the tag is marked if it makes anything of it.
fn take<'a, T>(tags: &mut [Tag<'a>], key: &[u8], read: impl FnOnce(Value<'a>) -> Option<T>) -> Option<T> {
    let tag = tags.iter_mut().find(|tag| tag.key == key)?;
    let read = read(tag.value)?;
    tag.is_taken = true;
    Some(read)
}

/// The text of the tag with that key, which is marked. A tag that is no text stays.
pub(super) fn take_text<'a>(tags: &mut [Tag<'a>], key: &[u8]) -> Option<&'a [u8]> {
    take(tags, key, text_of)
}
