//! Numbers of spans that came in by name and service, for debugging (`distributor.metric_received_spans`; spec/ingest.md §9.13).

use crate::model::TenantId;
use crate::proto::otlp::{ExportTraceServiceRequest, KeyValue, Resource, Value};
use parking_lot::Mutex;
use prost::Message;
use std::collections::BTreeMap;

/// Combinations that are told apart. Names come from senders, so their number has to end somewhere.
const MAX_SERIES: usize = 10_000;

/// What the others are counted as.
const OTHER: &str = "other";

/// Which spans are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpanCounting {
    /// Whether any are; default false (`metric_received_spans.enabled`).
    pub enabled: bool,
    /// Whether only spans without a parent are; default false (`metric_received_spans.root_only`).
    pub root_only: bool,
}

/// Tenant, name and service of spans.
pub type SpanLabels = [String; 3];

/// The numbers.
#[derive(Debug, Default)]
pub struct ReceivedSpans(Mutex<BTreeMap<SpanLabels, u64>>);

impl ReceivedSpans {
    /// Counts the spans of a request that came in.
    pub(super) fn count(&self, counting: SpanCounting, tenant: &TenantId, request: &[u8]) {
        if !counting.enabled {
            return;
        }
        // What cannot be decoded has no spans to count.
        let Ok(request) = ExportTraceServiceRequest::decode(request) else { return };
        let mut counts = self.0.lock();
        for resource_spans in &request.resource_spans {
            let service = resource_spans.resource.as_ref().map(service_of).unwrap_or_default();
            for span in resource_spans.scope_spans.iter().flat_map(|scope_spans| &scope_spans.spans) {
                let is_root = span.parent_span_id.iter().all(|byte| *byte == 0);
                if counting.root_only && !is_root {
                    continue;
                }
                let labels = [tenant.to_string(), span.name.clone(), service.clone()];
                let labels = if counts.len() < MAX_SERIES || counts.contains_key(&labels) { labels } else { [OTHER; 3].map(str::to_owned) };
                *counts.entry(labels).or_default() += 1;
            }
        }
    }

    /// All numbers, by tenant, name and service.
    pub fn counts(&self) -> Vec<(SpanLabels, u64)> {
        self.0.lock().iter().map(|(labels, count)| (labels.clone(), *count)).collect()
    }
}

fn service_of(resource: &Resource) -> String {
    let text = |pair: &KeyValue| match pair.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        _ => None,
    };
    resource.attributes.iter().find(|pair| pair.key == "service.name").and_then(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::otlp::{AnyValue, ResourceSpans, ScopeSpans, Span};

    fn request(names: &[(&str, bool)]) -> Vec<u8> {
        let value = Some(AnyValue { value: Some(Value::StringValue("shop".to_owned())) });
        let attributes = vec![KeyValue { key: "service.name".to_owned(), value, ..KeyValue::default() }];
        let span = |(name, is_root): &(&str, bool)| Span {
            name: (*name).to_owned(),
            parent_span_id: if *is_root { Vec::new() } else { vec![1; 8] },
            ..Span::default()
        };
        let scope_spans = vec![ScopeSpans { spans: names.iter().map(span).collect(), ..ScopeSpans::default() }];
        let resource = Some(Resource { attributes, ..Resource::default() });
        ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { resource, scope_spans, ..ResourceSpans::default() }] }
            .encode_to_vec()
    }

    fn counted(counting: SpanCounting) -> Vec<(String, u64)> {
        let received = ReceivedSpans::default();
        received.count(counting, &TenantId::single(), &request(&[("a", true), ("a", false), ("b", false)]));
        received.counts().into_iter().map(|([tenant, name, service], count)| (format!("{tenant} {name} {service}"), count)).collect()
    }

    #[test]
    fn spans_are_counted_by_name_and_service_where_that_is_asked_for() {
        assert_eq!(counted(SpanCounting::default()), []);
        let all = SpanCounting { enabled: true, root_only: false };
        assert_eq!(counted(all), [("single-tenant a shop".to_owned(), 2), ("single-tenant b shop".to_owned(), 1)]);
        assert_eq!(counted(SpanCounting { root_only: true, ..all }), [("single-tenant a shop".to_owned(), 1)]);
    }

    #[test]
    fn the_number_of_names_is_bounded() {
        let received = ReceivedSpans::default();
        let names: Vec<String> = (0..MAX_SERIES + 5).map(|number| number.to_string()).collect();
        let names: Vec<(&str, bool)> = names.iter().map(|name| (name.as_str(), true)).collect();
        received.count(SpanCounting { enabled: true, root_only: false }, &TenantId::single(), &request(&names));
        let counts = received.counts();
        assert_eq!(counts.len(), MAX_SERIES + 1);
        assert_eq!(counts.iter().find(|(labels, _)| labels[0] == OTHER).map(|(_, count)| *count), Some(5));
    }
}
