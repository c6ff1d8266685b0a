//! A line in the log for each span that comes in, or that is not stored: for debugging (spec/ingest.md §9.8).

use crate::model::TenantId;
use crate::proto::otlp::{AnyValue, ExportTraceServiceRequest, KeyValue, Resource, Span, Status, Value};
use crate::telemetry::logging::pairs;
use prost::Message;

/// Which spans are logged, and what of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpanLog {
    /// Whether any are; default false.
    pub enabled: bool,
    /// Whether name, duration, kind, status, service and attributes are told besides ids; default false.
    pub include_all_attributes: bool,
    /// Whether only spans with the status error are logged; default false.
    pub filter_by_status_error: bool,
}

impl SpanLog {
    /// Logs the spans of a request that came in.
    pub(super) fn received(self, request: &[u8]) {
        self.each(request, |ids, rest| {
            let [spanid, traceid] = ids;
            tracing::info!(spanid, traceid, pairs = rest, "received");
        });
    }

    /// Logs the spans of a request that were not stored.
    pub(super) fn discarded(self, tenant: &TenantId, request: &[u8]) {
        self.each(request, |ids, rest| {
            let [spanid, traceid] = ids;
            tracing::info!(spanid, traceid, %tenant, pairs = rest, "discarded");
        });
    }

    fn each(self, request: &[u8], log: impl Fn([String; 2], String)) {
        if !self.enabled {
            return;
        }
        // What cannot be decoded has no spans to tell of.
        let Ok(request) = ExportTraceServiceRequest::decode(request) else { return };
        for resource_spans in &request.resource_spans {
            let resource = resource_spans.resource.clone().unwrap_or_default();
            for span in resource_spans.scope_spans.iter().flat_map(|scope_spans| &scope_spans.spans) {
                if self.filter_by_status_error && !is_failed(span) {
                    continue;
                }
                let rest = if self.include_all_attributes { details(&resource, span) } else { Vec::new() };
                log([hex(&span.span_id), hex(&span.trace_id)], pairs(&rest));
            }
        }
    }
}

fn is_failed(span: &Span) -> bool {
    span.status.as_ref().is_some_and(|status| status.code() == crate::proto::otlp::StatusCode::Error)
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn details(resource: &Resource, span: &Span) -> Vec<(String, String)> {
    let duration = span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano);
    let status = span.status.as_ref().map(Status::code).unwrap_or_default();
    let service = resource.attributes.iter().find(|pair| pair.key == "service.name").map(text_of).unwrap_or_default();
    let mut details = vec![
        ("span_name".to_owned(), span.name.clone()),
        ("span_duration_seconds".to_owned(), (duration as f64 / 1e9).to_string()),
        ("span_kind".to_owned(), span.kind().as_str_name().to_owned()),
        ("span_status".to_owned(), status.as_str_name().to_owned()),
        ("span_service_name".to_owned(), service),
    ];
    let attributes = resource.attributes.iter().chain(&span.attributes);
    details.extend(attributes.map(|pair| (label(&pair.key), text_of(pair))));
    details
}

/// The name of an attribute's member in the line.
fn label(key: &str) -> String {
    let legal = key.chars().map(|character| if character.is_ascii_alphanumeric() { character } else { '_' });
    format!("span_{}", legal.collect::<String>())
}

fn text_of(pair: &KeyValue) -> String {
    match pair.value.as_ref().and_then(|any| any.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::BoolValue(flag)) => flag.to_string(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        Some(value) => format!("{:?}", AnyValue { value: Some(value.clone()) }),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::otlp::{ResourceSpans, ScopeSpans, SpanKind, StatusCode};
    use parking_lot::Mutex;

    fn request() -> Vec<u8> {
        let pair =
            |key: &str, value: Value| KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() };
        let text = |value: &str| Value::StringValue(value.to_owned());
        let failed = Span {
            trace_id: vec![0xab; 16],
            span_id: vec![1; 8],
            name: "op".to_owned(),
            kind: SpanKind::Server.into(),
            start_time_unix_nano: 5,
            end_time_unix_nano: 1_500_000_005,
            attributes: vec![pair("http.method", text("GET")), pair("n", Value::IntValue(7))],
            status: Some(Status { code: StatusCode::Error.into(), ..Status::default() }),
            ..Span::default()
        };
        let other = Span { trace_id: vec![2; 16], span_id: vec![3; 8], ..Span::default() };
        let scope_spans = vec![ScopeSpans { spans: vec![failed, other], ..ScopeSpans::default() }];
        let resource = Some(Resource { attributes: vec![pair("service.name", text("svc"))], ..Resource::default() });
        ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { resource, scope_spans, ..ResourceSpans::default() }] }
            .encode_to_vec()
    }

    fn logged(log: SpanLog) -> Vec<([String; 2], String)> {
        let lines = Mutex::new(Vec::new());
        log.each(&request(), |ids, rest| lines.lock().push((ids, rest)));
        lines.into_inner()
    }

    #[test]
    fn ids_alone_unless_more_is_asked_for() {
        assert_eq!(logged(SpanLog::default()), []);
        let lines = logged(SpanLog { enabled: true, ..SpanLog::default() });
        let expected = |span: &str, trace: &str| ([span.repeat(8), trace.repeat(16)], pairs(&[]));
        assert_eq!(lines, [expected("01", "ab"), expected("03", "02")]);
    }

    #[test]
    fn everything_of_failed_spans() {
        let lines = logged(SpanLog { enabled: true, include_all_attributes: true, filter_by_status_error: true });
        let expected = [
            ("span_name", "op"),
            ("span_duration_seconds", "1.5"),
            ("span_kind", "SPAN_KIND_SERVER"),
            ("span_status", "STATUS_CODE_ERROR"),
            ("span_service_name", "svc"),
            ("span_service_name", "svc"),
            ("span_http_method", "GET"),
            ("span_n", "7"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].1, pairs(&expected));
    }
}
