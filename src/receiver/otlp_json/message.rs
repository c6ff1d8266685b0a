//! The messages of a trace export request, key by key.

use serde::de::MapAccess;

use super::reader::{Field, JsonObject};
use crate::proto::otlp::{
    EntityRef, Event, ExportTraceServiceRequest, InstrumentationScope, Link, Resource, ResourceSpans, ScopeSpans, Span, SpanKind, Status,
    StatusCode,
};

const TRACE_ID_BYTES: usize = 16;
const SPAN_ID_BYTES: usize = 8;

impl<'de> JsonObject<'de> for ExportTraceServiceRequest {
    fn read_field<A: MapAccess<'de>>(&mut self, key: &str, field: Field<'_, A>) -> Result<(), A::Error> {
        match key {
            "resourceSpans" | "resource_spans" => {
                let batches: Vec<ResourceSpansWithLibraries> = field.list()?;
                self.resource_spans = batches.into_iter().map(ResourceSpans::from).collect();
            }
            _ => field.skip()?,
        }
        Ok(())
    }
}

/// `ResourceSpans` with the field of 2021 that scopes were called libraries in.
#[derive(Default)]
struct ResourceSpansWithLibraries {
    message: ResourceSpans,
    library_spans: Vec<ScopeSpans>,
}

impl From<ResourceSpansWithLibraries> for ResourceSpans {
    /// The libraries count only where there are no scopes, as in protobuf (spec/ingest.md §2).
    fn from(batch: ResourceSpansWithLibraries) -> Self {
        let mut message = batch.message;
        if message.scope_spans.is_empty() {
            message.scope_spans = batch.library_spans;
        }
        message
    }
}

impl<'de> JsonObject<'de> for ResourceSpansWithLibraries {
    fn read_field<A: MapAccess<'de>>(&mut self, key: &str, field: Field<'_, A>) -> Result<(), A::Error> {
        match key {
            "resource" => self.message.resource = field.object()?,
            "scopeSpans" | "scope_spans" => self.message.scope_spans = field.list()?,
            "instrumentationLibrarySpans" | "instrumentation_library_spans" => self.library_spans = field.list()?,
            "schemaUrl" | "schema_url" => self.message.schema_url = field.text()?,
            _ => field.skip()?,
        }
        Ok(())
    }
}

impl<'de> JsonObject<'de> for Resource {
    fn read_field<A: MapAccess<'de>>(&mut self, key: &str, field: Field<'_, A>) -> Result<(), A::Error> {
        match key {
            "attributes" => self.attributes = field.list()?,
            "droppedAttributesCount" | "dropped_attributes_count" => self.dropped_attributes_count = field.integer()?,
            "entityRefs" | "entity_refs" => self.entity_refs = field.list()?,
            _ => field.skip()?,
        }
        Ok(())
    }
}

impl<'de> JsonObject<'de> for EntityRef {
    fn read_field<A: MapAccess<'de>>(&mut self, key: &str, field: Field<'_, A>) -> Result<(), A::Error> {
        match key {
            "schemaUrl" | "schema_url" => self.schema_url = field.text()?,
            "type" => self.r#type = field.text()?,
            "idKeys" | "id_keys" => self.id_keys = field.optional()?.unwrap_or_default(),
            "descriptionKeys" | "description_keys" => self.description_keys = field.optional()?.unwrap_or_default(),
            _ => field.skip()?,
        }
        Ok(())
    }
}

/// Also reads the older InstrumentationLibrarySpans, which differ only in the name of the scope.
impl<'de> JsonObject<'de> for ScopeSpans {
    fn read_field<A: MapAccess<'de>>(&mut self, key: &str, field: Field<'_, A>) -> Result<(), A::Error> {
        match key {
            "scope" | "instrumentationLibrary" | "instrumentation_library" => self.scope = field.object()?,
            "spans" => self.spans = field.list()?,
            "schemaUrl" | "schema_url" => self.schema_url = field.text()?,
            _ => field.skip()?,
        }
        Ok(())
    }
}

impl<'de> JsonObject<'de> for InstrumentationScope {
    fn read_field<A: MapAccess<'de>>(&mut self, key: &str, field: Field<'_, A>) -> Result<(), A::Error> {
        match key {
            "name" => self.name = field.text()?,
            "version" => self.version = field.text()?,
            "attributes" => self.attributes = field.list()?,
            "droppedAttributesCount" | "dropped_attributes_count" => self.dropped_attributes_count = field.integer()?,
            _ => field.skip()?,
        }
        Ok(())
    }
}

impl<'de> JsonObject<'de> for Span {
    fn read_field<A: MapAccess<'de>>(&mut self, key: &str, field: Field<'_, A>) -> Result<(), A::Error> {
        match key {
            "traceId" | "trace_id" => self.trace_id = field.hex_id(TRACE_ID_BYTES)?,
            "spanId" | "span_id" => self.span_id = field.hex_id(SPAN_ID_BYTES)?,
            "traceState" | "trace_state" => self.trace_state = field.text()?,
            "parentSpanId" | "parent_span_id" => self.parent_span_id = field.hex_id(SPAN_ID_BYTES)?,
            "flags" => self.flags = field.integer()?,
            "name" => self.name = field.text()?,
            "kind" => self.kind = field.enumeration(|name| SpanKind::from_str_name(name).map(i32::from))?,
            "startTimeUnixNano" | "start_time_unix_nano" => self.start_time_unix_nano = field.integer()?,
            "endTimeUnixNano" | "end_time_unix_nano" => self.end_time_unix_nano = field.integer()?,
            "attributes" => self.attributes = field.list()?,
            "droppedAttributesCount" | "dropped_attributes_count" => self.dropped_attributes_count = field.integer()?,
            "events" => self.events = field.list()?,
            "droppedEventsCount" | "dropped_events_count" => self.dropped_events_count = field.integer()?,
            "links" => self.links = field.list()?,
            "droppedLinksCount" | "dropped_links_count" => self.dropped_links_count = field.integer()?,
            "status" => self.status = field.object()?,
            _ => field.skip()?,
        }
        Ok(())
    }
}

impl<'de> JsonObject<'de> for Event {
    fn read_field<A: MapAccess<'de>>(&mut self, key: &str, field: Field<'_, A>) -> Result<(), A::Error> {
        match key {
            "timeUnixNano" | "time_unix_nano" => self.time_unix_nano = field.integer()?,
            "name" => self.name = field.text()?,
            "attributes" => self.attributes = field.list()?,
            "droppedAttributesCount" | "dropped_attributes_count" => self.dropped_attributes_count = field.integer()?,
            _ => field.skip()?,
        }
        Ok(())
    }
}

impl<'de> JsonObject<'de> for Link {
    fn read_field<A: MapAccess<'de>>(&mut self, key: &str, field: Field<'_, A>) -> Result<(), A::Error> {
        match key {
            "traceId" | "trace_id" => self.trace_id = field.hex_id(TRACE_ID_BYTES)?,
            "spanId" | "span_id" => self.span_id = field.hex_id(SPAN_ID_BYTES)?,
            "traceState" | "trace_state" => self.trace_state = field.text()?,
            "attributes" => self.attributes = field.list()?,
            "droppedAttributesCount" | "dropped_attributes_count" => self.dropped_attributes_count = field.integer()?,
            "flags" => self.flags = field.integer()?,
            _ => field.skip()?,
        }
        Ok(())
    }
}

impl<'de> JsonObject<'de> for Status {
    fn read_field<A: MapAccess<'de>>(&mut self, key: &str, field: Field<'_, A>) -> Result<(), A::Error> {
        match key {
            "message" => self.message = field.text()?,
            "code" => self.code = field.enumeration(|name| StatusCode::from_str_name(name).map(i32::from))?,
            _ => field.skip()?,
        }
        Ok(())
    }
}
