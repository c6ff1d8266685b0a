//! Spans to OTLP: who made them, and their fields (spec/ingest.md §5.6).

use super::model::{Form, Process, Reference, Span, Tag, keep_last_of_each_key};
use super::tags::{Meaning, take_meaning, take_text};
use crate::receiver::otlp_writer::{OtlpWriter, Value};
use bytes::Bytes;
use std::collections::BTreeMap;

/// What OpenTelemetry's exporters call a service without a name.
const NO_SERVICE_NAME: &[u8] = b"OTLPResourceNoServiceName";

/// Spans by scope: the bytes of an `InstrumentationScope`, and those of the fields `spans`.
type SpansByScope = BTreeMap<Vec<u8>, OtlpWriter>;

/// The OTLP request that batches become.
pub(super) struct Batches {
    form: Form,
    /// Finished `ResourceSpans`.
    request: OtlpWriter,
    /// Spans of the batch being read, whose process may come after them.
    spans: SpansByScope,
    /// Spans with a process of their own, by the bytes of their `Resource`.
    others: BTreeMap<Vec<u8>, SpansByScope>,
    scope: OtlpWriter,
}

impl Batches {
    pub(super) fn new(form: Form) -> Self {
        Batches {
            form,
            request: OtlpWriter::default(),
            spans: SpansByScope::default(),
            others: BTreeMap::default(),
            scope: OtlpWriter::default(),
        }
    }

    /// Adds a span of the process that [`made_by`](Self::made_by) tells.
    pub(super) fn add(&mut self, span: &mut Span<'_>) {
        add(&mut self.spans, &mut self.scope, span, self.form);
    }

    /// Adds a span of another process.
    pub(super) fn add_with_process(&mut self, span: &mut Span<'_>, process: &mut Process<'_>) {
        let spans = self.others.entry(resource(process)).or_default();
        add(spans, &mut self.scope, span, self.form);
    }

    /// Ends a batch.
    pub(super) fn made_by(&mut self, process: &mut Process<'_>) {
        let spans = std::mem::take(&mut self.spans);
        write_resource_spans(&mut self.request, &resource(process), &spans);
        for (resource, spans) in std::mem::take(&mut self.others) {
            write_resource_spans(&mut self.request, &resource, &spans);
        }
    }

    /// The bytes of an `ExportTraceServiceRequest`.
    pub(super) fn finish(self) -> Bytes {
        Bytes::from(self.request.finish())
    }
}

fn write_resource_spans(request: &mut OtlpWriter, resource: &[u8], spans: &SpansByScope) {
    if spans.is_empty() {
        return;
    }
    request.message(1, |resource_spans| {
        resource_spans.raw(1, resource);
        for (scope, spans) in spans {
            resource_spans.message(2, |scope_spans| {
                scope_spans.raw(1, scope);
                scope_spans.append(spans.as_bytes());
            });
        }
    });
}

/// The bytes of a `Resource`; nothing if nobody says who made the spans.
fn resource(process: &mut Process<'_>) -> Vec<u8> {
    let mut out = OtlpWriter::default();
    if process.service_name == NO_SERVICE_NAME {
        return Vec::new();
    }
    if !process.service_name.is_empty() {
        out.attribute(1, b"service.name", Value::Text(process.service_name));
    }
    let tags = &mut process.tags;
    keep_last_of_each_key(tags);
    if !tags.iter().any(|tag| tag.key == b"host.name") {
        tags.iter_mut().filter(|tag| tag.key == b"hostname").for_each(|tag| tag.key = b"host.name");
    }
    if let Some(version) = take_text(tags, b"jaeger.version") {
        out.attribute(1, b"opencensus.exporterversion", Value::Text(&[b"Jaeger-", version].concat()));
    }
    // The name of the process goes before a tag that says the same.
    let is_named = !process.service_name.is_empty();
    let rest = tags.iter().filter(|tag| !(tag.is_taken || is_named && tag.key == b"service.name"));
    rest.for_each(|tag| out.attribute(1, tag.key, tag.value));
    out.finish()
}

fn add(spans: &mut SpansByScope, scope: &mut OtlpWriter, span: &mut Span<'_>, form: Form) {
    if span.is_void() {
        return;
    }
    keep_last_of_each_key(&mut span.tags);
    let meaning = take_meaning(&mut span.tags, form);
    scope.clear();
    scope.bytes(1, meaning.scope_name);
    scope.bytes(2, meaning.scope_version);
    match spans.get_mut(scope.as_bytes()) {
        Some(out) => out.message(2, |out| write_span(out, span, &meaning)),
        None => spans.entry(scope.as_bytes().to_vec()).or_default().message(2, |out| write_span(out, span, &meaning)),
    }
}

fn write_span(out: &mut OtlpWriter, span: &mut Span<'_>, meaning: &Meaning<'_>) {
    let parent = parent(span);
    out.raw(1, &span.trace_id.to_be_bytes());
    out.raw(2, &span.id.to_be_bytes());
    out.bytes(3, meaning.trace_state);
    if let Some(parent) = parent {
        out.raw(4, &parent.to_be_bytes());
    }
    out.bytes(5, span.name);
    out.varint(6, (meaning.kind as i32).cast_unsigned().into());
    out.fixed64(7, span.start_nanos);
    out.fixed64(8, span.end_nanos);
    span.tags.iter().filter(|tag| !tag.is_taken).for_each(|tag| out.attribute(9, tag.key, tag.value));
    for log in &span.logs {
        let fields = &span.log_fields[log.fields.clone()];
        out.message(11, |event| write_event(event, log.time_nanos, fields));
    }
    for reference in span.references.iter().filter(|reference| !is_parent(reference, span.trace_id, parent)) {
        out.message(13, |link| write_link(link, reference));
    }
    out.status(meaning.status, meaning.message);
}

/// What the sender says, else the first span of the same trace that this one is a child of, else one that it follows.
fn parent(span: &Span<'_>) -> Option<u64> {
    if span.parent_id != 0 {
        return Some(span.parent_id);
    }
    let mut within = span.references.iter().filter(|reference| reference.trace_id == span.trace_id && reference.span_id != 0);
    let child_of = within.clone().find(|reference| reference.is_child_of);
    child_of.or_else(|| within.next()).map(|reference| reference.span_id)
}

/// Whether the parent says it all.
fn is_parent(reference: &Reference, trace_id: u128, parent: Option<u64>) -> bool {
    reference.is_child_of && reference.trace_id == trace_id && parent == Some(reference.span_id)
}

fn write_event(out: &mut OtlpWriter, time_nanos: u64, fields: &[Tag<'_>]) {
    let is_name = |tag: &&Tag<'_>| tag.key == b"event" && matches!(tag.value, Value::Text(_));
    out.fixed64(1, time_nanos);
    if let Some(Tag { value: Value::Text(name), .. }) = fields.iter().find(is_name) {
        out.bytes(2, name);
    }
    fields.iter().filter(|tag| !is_name(tag)).for_each(|tag| out.attribute(3, tag.key, tag.value));
}

fn write_link(out: &mut OtlpWriter, reference: &Reference) {
    let kind: &[u8] = if reference.is_child_of { b"child_of" } else { b"follows_from" };
    out.raw(1, &reference.trace_id.to_be_bytes());
    out.raw(2, &reference.span_id.to_be_bytes());
    out.attribute(4, b"opentracing.ref_type", Value::Text(kind));
}
