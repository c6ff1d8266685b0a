//! The server's own traces: what `own_span!` begins goes to whoever exports it.
//!
//! Without an exporter nothing listens, and a span costs a look at an atomic number. Log lines do not show spans.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

/// The target of spans that are exported.
pub const TARGET: &str = "conmoto::spans";

/// Spans that wait to be sent; more are lost.
const QUEUE: usize = 4096;

/// Begins a span of the server's own traces: a name, then fields as of `tracing`. A field `otel_name` takes the place of the name,
/// `traceparent` is the caller's, and `is_server` tells that it answers a request.
macro_rules! own_span {
    ($name:literal $($fields:tt)*) => {
        ::tracing::trace_span!(target: $crate::telemetry::spans::TARGET, $name $($fields)*)
    };
}

pub(crate) use own_span;

/// The value of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldValue {
    /// A text.
    Text(String),
    /// A whole number.
    Int(i64),
    /// Yes or no.
    Bool(bool),
}

/// A span that has ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FinishedSpan {
    /// Its trace.
    pub trace_id: u128,
    /// Itself.
    pub span_id: u64,
    /// Its parent, 0 for none.
    pub parent_id: u64,
    /// Its name.
    pub name: String,
    /// Whether it answers a request.
    pub is_server: bool,
    /// Whether what it stands for failed.
    pub is_error: bool,
    /// Start, Unix nanoseconds.
    pub start: u64,
    /// End, Unix nanoseconds.
    pub end: u64,
    /// What was recorded.
    pub fields: HashMap<&'static str, FieldValue>,
}

/// Takes spans from `tracing`.
pub struct SpanLayer {
    sender: mpsc::Sender<FinishedSpan>,
    num_lost: Arc<AtomicU64>,
}

/// Spans in the order of their ends.
pub struct FinishedSpans {
    /// Where they come.
    pub receiver: mpsc::Receiver<FinishedSpan>,
    /// Those that there was no room for.
    pub num_lost: Arc<AtomicU64>,
}

/// A layer for the process, and what comes out of it.
pub fn channel() -> (SpanLayer, FinishedSpans) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let num_lost = Arc::<AtomicU64>::default();
    (SpanLayer { sender, num_lost: Arc::clone(&num_lost) }, FinishedSpans { receiver, num_lost })
}

/// Whether it is a span of ours: for the filter of the layer.
pub fn is_own(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && metadata.target() == TARGET
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for SpanLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut begun = FinishedSpan { name: span.name().to_string(), start: now(), ..FinishedSpan::default() };
        let mut visitor = Visitor { span: &mut begun, remote: None };
        attributes.record(&mut visitor);
        let remote = visitor.remote;
        match span.parent().and_then(|parent| parent.extensions().get::<FinishedSpan>().map(|parent| (parent.trace_id, parent.span_id))) {
            Some((trace_id, parent_id)) => (begun.trace_id, begun.parent_id) = (trace_id, parent_id),
            None => (begun.trace_id, begun.parent_id) = remote.unwrap_or_else(|| (uuid::Uuid::new_v4().as_u128(), 0)),
        }
        begun.span_id = uuid::Uuid::new_v4().as_u64_pair().1;
        span.extensions_mut().insert(begun);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(begun) = span.extensions_mut().get_mut::<FinishedSpan>()
        {
            values.record(&mut Visitor { span: begun, remote: None });
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let finished = context.span(&id).and_then(|span| span.extensions_mut().remove::<FinishedSpan>());
        if let Some(finished) = finished
            && self.sender.try_send(FinishedSpan { end: now(), ..finished }).is_err()
        {
            self.num_lost.fetch_add(1, Relaxed);
        }
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

struct Visitor<'s> {
    span: &'s mut FinishedSpan,
    /// Trace and span of the caller.
    remote: Option<(u128, u64)>,
}

impl Visit for Visitor<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "otel_name" => self.span.name = value.to_string(),
            "traceparent" => self.remote = parent_of(value),
            name => drop(self.span.fields.insert(name, FieldValue::Text(value.to_string()))),
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        match field.name() {
            "is_server" => self.span.is_server = value,
            "is_error" => self.span.is_error = value,
            name => drop(self.span.fields.insert(name, FieldValue::Bool(value))),
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.span.fields.insert(field.name(), FieldValue::Int(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.record_i64(field, i64::try_from(value).unwrap_or(i64::MAX));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

/// Trace and span of `00-<trace>-<span>-<flags>` (W3C Trace Context); of later versions the same part.
fn parent_of(text: &str) -> Option<(u128, u64)> {
    let mut parts = text.split('-');
    let (version, trace, span) = (parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if (version.len(), trace.len(), span.len()) != (2, 32, 16) || ![version, trace, span].into_iter().all(is_hex) || version == "ff" {
        return None;
    }
    let (trace, span) = (u128::from_str_radix(trace, 16).ok()?, u64::from_str_radix(span, 16).ok()?);
    (trace != 0 && span != 0).then_some((trace, span))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::filter::filter_fn;
    use tracing_subscriber::prelude::*;

    #[test]
    fn spans_of_ours_are_taken_with_their_parents() {
        let (layer, mut finished) = channel();
        let subscriber = tracing_subscriber::registry().with(layer.with_filter(filter_fn(is_own)));
        tracing::subscriber::with_default(subscriber, || {
            let parent = "00-000000000000000000000000000000aa-00000000000000bb-01";
            let outer = own_span!("outer", otel_name = "GET /x", is_server = true, traceparent = parent, status = tracing::field::Empty);
            let _not_ours = tracing::info_span!("other").entered();
            {
                let _outer = outer.enter();
                let _inner = own_span!("inner", units = 3_u64, tenant = %"a").entered();
            }
            outer.record("status", 200);
            outer.record("is_error", false);
        });
        let inner = finished.receiver.try_recv().expect("the inner one ends first");
        let outer = finished.receiver.try_recv().expect("then the outer one");
        assert!(finished.receiver.try_recv().is_err());
        assert_eq!((outer.name.as_str(), outer.is_server, outer.trace_id, outer.parent_id), ("GET /x", true, 0xaa, 0xbb));
        assert_eq!(outer.fields, HashMap::from([("status", FieldValue::Int(200))]));
        assert_eq!((inner.name.as_str(), inner.trace_id, inner.parent_id), ("inner", 0xaa, outer.span_id));
        assert_eq!(inner.fields, HashMap::from([("units", FieldValue::Int(3)), ("tenant", FieldValue::Text("a".to_string()))]));
        assert!(outer.start <= inner.start && inner.start <= inner.end && inner.end <= outer.end);
    }

    #[test]
    fn what_is_no_parent_is_none() {
        let (trace, span) = ("0".repeat(31) + "1", "0".repeat(15) + "2");
        assert_eq!(parent_of(&format!("00-{trace}-{span}-01")), Some((1, 2)));
        assert_eq!(parent_of(&format!("01-{trace}-{span}-01-more")), Some((1, 2)));
        for text in [
            "",
            "00",
            "00-1-2-01",
            &format!("ff-{trace}-{span}-01"),
            &format!("00-{}-{span}-01", "0".repeat(32)),
            &format!("00-{trace}-+00000000000000a-01"),
        ] {
            assert_eq!(parent_of(text), None, "{text}");
        }
    }
}
