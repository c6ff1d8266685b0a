//! Whose spans take how much: bytes received by tenant and by attributes that the operator names (cost attribution,
//! spec/operations.md §5).
//!
//! Counted is what was stored. Of each batch of a resource, a span has its own bytes and an equal share of the others.

use super::{Push, PushFuture, PushTarget};
use crate::columns::wire::{Malformed, Reader};
use crate::model::TenantId;
use crate::overrides::{CostAttribution, Overrides};
use crate::runtime::offload::offload;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a span without the attribute has.
const MISSING: &str = "__missing__";
/// What all labels are once there are too many combinations.
const OVERFLOW: &str = "__overflow__";
/// Tenants that are tracked; a sender may invent any number of them.
const MAX_TENANTS: usize = 10_000;

/// Bounds of the tracker (`distributor.usage.cost_attribution`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageConfig {
    /// Most combinations of labels of a tenant that has no bound of its own; default 10000.
    pub max_cardinality: usize,
    /// A combination without bytes for this long is forgotten; default 15 min.
    pub stale_duration: Duration,
}

impl Default for UsageConfig {
    fn default() -> Self {
        UsageConfig { max_cardinality: 10_000, stale_duration: Duration::from_secs(900) }
    }
}

/// The counts of all tenants.
pub struct Usage {
    config: UsageConfig,
    overrides: Arc<Overrides>,
    tenants: Mutex<BTreeMap<TenantId, Counts>>,
}

/// The counts of one tenant.
#[derive(Default)]
struct Counts {
    attribution: CostAttribution,
    labels: Vec<String>,
    by_values: HashMap<Vec<String>, Count>,
}

struct Count {
    bytes: u64,
    last: Instant,
}

impl Usage {
    /// Nothing yet; tenants' dimensions are looked up in `overrides`.
    pub fn new(config: UsageConfig, overrides: Arc<Overrides>) -> Self {
        Usage { config, overrides, tenants: Mutex::default() }
    }

    /// Counts the spans of an `ExportTraceServiceRequest`, if its tenant has dimensions.
    ///
    /// # Errors
    /// [`Malformed`] if it is none; what came before counts.
    pub fn count(&self, tenant: &TenantId, request: &[u8]) -> Result<(), Malformed> {
        let attribution = self.overrides.limits_for(tenant).cost_attribution.clone();
        if attribution.dimensions.is_empty() {
            return Ok(());
        }
        let dimensions = Dimensions::of(&attribution);
        let mut counted: HashMap<Vec<String>, u64> = HashMap::new();
        let mut reader = Reader::new(request);
        while let Some((number, field)) = reader.next_field()? {
            if number == 1 {
                dimensions.count_batch(field.bytes(1)?, &mut counted)?;
            }
        }
        let mut tenants = self.tenants.lock();
        if tenants.len() < MAX_TENANTS || tenants.contains_key(tenant) {
            tenants.entry(tenant.clone()).or_default().add(&attribution, dimensions.labels(), counted, self.config, Instant::now());
        }
        Ok(())
    }

    /// The text of `/usage_metrics`, in Prometheus' format.
    pub fn text(&self) -> String {
        const NAME: &str = "tempo_usage_tracker_bytes_received_total";
        let mut out = format!("# HELP {NAME} Bytes of spans received, by the labels of the tracker\n# TYPE {NAME} counter\n");
        let now = Instant::now();
        for (tenant, counts) in self.tenants.lock().iter_mut() {
            counts.forget_stale(self.config.stale_duration, now);
            let mut lines: Vec<_> = counts.by_values.iter().collect();
            lines.sort_unstable_by_key(|(values, _)| *values);
            for (values, count) in lines {
                // Writing to a string cannot fail.
                let _ = write!(out, "{NAME}{{tenant=\"{tenant}\",tracker=\"cost-attribution\"");
                for (label, value) in counts.labels.iter().zip(values) {
                    let _ = write!(out, ",{label}=\"{}\"", escaped(value));
                }
                let _ = writeln!(out, "}} {}", count.bytes);
            }
        }
        out
    }
}

impl Counts {
    fn add(
        &mut self,
        attribution: &CostAttribution,
        labels: Vec<String>,
        counted: HashMap<Vec<String>, u64>,
        config: UsageConfig,
        now: Instant,
    ) {
        if self.attribution != *attribution {
            *self = Counts { attribution: attribution.clone(), labels, by_values: HashMap::new() };
        }
        let most = self.attribution.max_cardinality.unwrap_or(config.max_cardinality);
        if self.by_values.len() >= most {
            self.forget_stale(config.stale_duration, now);
        }
        for (values, bytes) in counted {
            let is_over = self.by_values.len() >= most && !self.by_values.contains_key(&values);
            let values = if is_over { vec![OVERFLOW.to_string(); values.len()] } else { values };
            let count = self.by_values.entry(values).or_insert(Count { bytes: 0, last: now });
            (count.bytes, count.last) = (count.bytes + bytes, now);
        }
    }

    fn forget_stale(&mut self, stale_duration: Duration, now: Instant) {
        self.by_values.retain(|_, count| now.saturating_duration_since(count.last) <= stale_duration);
    }
}

/// Where a dimension is looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    Resource,
    Span,
    /// In the resource, and in the span if it has it, too.
    Both,
}

/// A dimension: where it is, the name of the attribute, the name of the label.
struct Dimension<'a> {
    scope: Scope,
    key: &'a str,
    label: String,
}

/// The dimensions of a tenant, in the order of their labels.
struct Dimensions<'a>(Vec<Dimension<'a>>);

impl<'a> Dimensions<'a> {
    fn of(attribution: &'a CostAttribution) -> Self {
        let dimension = |(name, label): (&'a String, &'a String)| {
            let (scope, key) = match (name.strip_prefix("resource."), name.strip_prefix("span.")) {
                (Some(key), _) => (Scope::Resource, key),
                (_, Some(key)) => (Scope::Span, key),
                _ => (Scope::Both, name.as_str()),
            };
            Dimension { scope, key, label: sanitised(if label.is_empty() { key } else { label }) }
        };
        Dimensions(attribution.dimensions.iter().map(dimension).collect())
    }

    fn labels(&self) -> Vec<String> {
        self.0.iter().map(|dimension| dimension.label.clone()).collect()
    }

    /// Counts a `ResourceSpans`.
    fn count_batch(&self, batch: &[u8], counted: &mut HashMap<Vec<String>, u64>) -> Result<(), Malformed> {
        let mut of_resource = vec![MISSING.to_string(); self.0.len()];
        let mut spans: Vec<&[u8]> = Vec::new();
        let mut reader = Reader::new(batch);
        while let Some((number, field)) = reader.next_field()? {
            match number {
                1 => self.look(field.bytes(1)?, 1, Scope::Resource, &mut of_resource)?,
                2 => {
                    let mut scope = Reader::new(field.bytes(2)?);
                    while let Some((number, field)) = scope.next_field()? {
                        if number == 2 {
                            spans.push(field.bytes(2)?);
                        }
                    }
                }
                _ => {}
            }
        }
        let (num_spans, of_spans) = (spans.len() as u64, spans.iter().map(|span| span.len() as u64).sum::<u64>());
        let Some(share) = (batch.len() as u64).saturating_sub(of_spans).checked_div(num_spans) else { return Ok(()) };
        let mut rest = (batch.len() as u64).saturating_sub(of_spans) % num_spans;
        for span in spans {
            let mut values = of_resource.clone();
            self.look(span, 9, Scope::Span, &mut values)?;
            *counted.entry(values).or_default() += span.len() as u64 + share + std::mem::take(&mut rest);
        }
        Ok(())
    }

    /// Takes the values that the attributes of a message have, which are its field `attributes`.
    fn look(&self, message: &[u8], attributes: u32, scope: Scope, values: &mut [String]) -> Result<(), Malformed> {
        let mut reader = Reader::new(message);
        while let Some((number, field)) = reader.next_field()? {
            if number != attributes {
                continue;
            }
            let Some((key, text)) = text_attribute(field.bytes(number)?)? else { continue };
            for (dimension, value) in self.0.iter().zip(&mut *values) {
                if dimension.key.as_bytes() == key && (dimension.scope == scope || dimension.scope == Scope::Both) {
                    *value = String::from_utf8_lossy(text).into_owned();
                }
            }
        }
        Ok(())
    }
}

/// An attribute's key and its value.
type KeyAndText<'a> = (&'a [u8], &'a [u8]);

/// Key and value of a `KeyValue` whose value is a text.
fn text_attribute(message: &[u8]) -> Result<Option<KeyAndText<'_>>, Malformed> {
    let (mut key, mut text) = (&[][..], None);
    let mut reader = Reader::new(message);
    while let Some((number, field)) = reader.next_field()? {
        match number {
            1 => key = field.bytes(1)?,
            2 => {
                let mut value = Reader::new(field.bytes(2)?);
                while let Some((number, field)) = value.next_field()? {
                    text = if number == 1 { Some(field.bytes(1)?) } else { None };
                }
            }
            _ => {}
        }
    }
    Ok(text.map(|text| (key, text)))
}

/// A name as Prometheus wants it.
fn sanitised(name: &str) -> String {
    let mut label = name.replace(|c: char| !c.is_ascii_alphanumeric() && c != '_', "_");
    if label.starts_with(|c: char| c.is_ascii_digit()) {
        label.insert(0, '_');
    }
    label
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Counts what a target has stored.
pub struct Tracked {
    target: Arc<dyn PushTarget>,
    usage: Arc<Usage>,
}

impl Tracked {
    /// In front of `target`.
    pub fn new(target: Arc<dyn PushTarget>, usage: Arc<Usage>) -> Self {
        Tracked { target, usage }
    }
}

impl PushTarget for Tracked {
    fn push(&self, push: Push) -> PushFuture<'_> {
        let (tenant, request, usage) = (push.tenant.clone(), push.request.clone(), Arc::clone(&self.usage));
        Box::pin(async move {
            self.target.push(push).await?;
            // It is stored by now, whatever becomes of the count; and it was found well formed before.
            let _ = offload(request.len(), move || usage.count(&tenant, &request)).await;
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overrides::Limits;
    use crate::proto::otlp::{AnyValue, ExportTraceServiceRequest, KeyValue, Resource, ResourceSpans, ScopeSpans, Span, Value};
    use prost::Message;

    fn text(key: &str, value: &str) -> KeyValue {
        let value = AnyValue { value: Some(Value::StringValue(value.to_string())) };
        KeyValue { key: key.to_string(), value: Some(value), ..KeyValue::default() }
    }

    fn batch(resource: Vec<KeyValue>, spans: Vec<Vec<KeyValue>>) -> ResourceSpans {
        let span = |attributes| Span { name: "a".to_string(), attributes, ..Span::default() };
        let scope = ScopeSpans { spans: spans.into_iter().map(span).collect(), ..ScopeSpans::default() };
        ResourceSpans {
            resource: Some(Resource { attributes: resource, ..Resource::default() }),
            scope_spans: vec![scope],
            ..ResourceSpans::default()
        }
    }

    fn usage(dimensions: &[(&str, &str)], max_cardinality: Option<usize>) -> Usage {
        let dimensions = dimensions.iter().map(|(name, label)| (name.to_string(), label.to_string())).collect();
        let cost_attribution = CostAttribution { dimensions: Arc::new(dimensions), max_cardinality };
        Usage::new(UsageConfig::default(), Arc::new(Overrides::new(Limits { cost_attribution, ..Limits::default() })))
    }

    fn count(usage: &Usage, batches: Vec<ResourceSpans>) {
        let request = ExportTraceServiceRequest { resource_spans: batches }.encode_to_vec();
        usage.count(&TenantId::single(), &request).expect("well formed");
    }

    /// Labels and bytes, line by line.
    fn lines(usage: &Usage) -> Vec<(String, u64)> {
        let text = usage.text();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let split = |line: &str| {
            let (labels, bytes) = line.rsplit_once(' ').expect("a value");
            let labels = labels.split_once("tracker=\"cost-attribution\"").expect("the tracker").1;
            (labels.to_string(), bytes.parse().expect("a number"))
        };
        lines.map(split).collect()
    }

    #[test]
    fn spans_share_what_is_not_theirs() {
        let usage = usage(&[("team", ""), ("span.http.route", "route"), ("resource.service.name", "")], None);
        let resource = || vec![text("service.name", "cart"), text("team", "a"), text("http.route", "not here")];
        let spans = vec![vec![], vec![text("team", "b\"c"), text("http.route", "/x"), text("service.name", "not here")]];
        let whole = batch(resource(), spans);
        let size = whole.encoded_len() as u64;
        let sizes: Vec<u64> = whole.scope_spans[0].spans.iter().map(|span| span.encoded_len() as u64).collect();
        count(&usage, vec![whole.clone()]);
        let share = (size - sizes.iter().sum::<u64>()) / 2;
        let found = lines(&usage);
        assert_eq!(found[0].0, ",service_name=\"cart\",route=\"/x\",team=\"b\\\"c\"}");
        assert_eq!(found[1].0, ",service_name=\"cart\",route=\"__missing__\",team=\"a\"}");
        assert_eq!(found.iter().map(|line| line.1).sum::<u64>(), size, "nothing is lost");
        assert!(found[0].1 - sizes[1] - share <= 1 && found[1].1 - sizes[0] - share <= 1, "{found:?}");
        count(&usage, vec![whole]);
        assert_eq!(lines(&usage).iter().map(|line| line.1).sum::<u64>(), 2 * size);
    }

    #[test]
    fn without_dimensions_a_tenant_is_not_tracked_and_with_too_many_values_they_are_one() {
        let untracked = usage(&[], None);
        count(&untracked, vec![batch(vec![text("team", "a")], vec![vec![]])]);
        assert_eq!(lines(&untracked), []);
        let few = usage(&[("team", "t")], Some(2));
        for team in ["a", "b", "c", "d", "a"] {
            count(&few, vec![batch(vec![text("team", team)], vec![vec![]])]);
        }
        let found: Vec<String> = lines(&few).into_iter().map(|line| line.0).collect();
        assert_eq!(found, [",t=\"__overflow__\"}", ",t=\"a\"}", ",t=\"b\"}"]);
    }

    #[test]
    fn what_is_silent_is_forgotten() {
        let usage = usage(&[("team", "")], None);
        count(&usage, vec![batch(vec![text("team", "a")], vec![vec![]])]);
        let later = Instant::now() + UsageConfig::default().stale_duration + Duration::from_secs(1);
        usage.tenants.lock().values_mut().for_each(|counts| counts.forget_stale(UsageConfig::default().stale_duration, later));
        assert_eq!(lines(&usage), []);
    }
}
