//! The server's own traces, sent over OTLP when the environment asks for it (OpenTelemetry's variables, as Tempo reads them).
//!
//! Only the query API, queries, flushes and merges make spans. Receivers make none, so that a server which sends its traces to itself
//! does not answer each of them with another.

use crate::proto::otlp::{
    AnyValue, ExportTraceServiceRequest, InstrumentationScope, KeyValue, Resource, ResourceSpans, ScopeSpans, Span, Status, Value,
};
use crate::telemetry::spans::{FieldValue, FinishedSpan, FinishedSpans, SpanLayer, channel};
use prost::Message;
use reqwest::Client;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::watch;

/// How long a span waits for others to be sent with it.
const DELAY: Duration = Duration::from_secs(2);
/// Spans of one request at most.
const BATCH: usize = 512;
/// How long a request may take, a last one included.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where traces go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exporter {
    url: String,
    headers: HeaderMap,
    service: String,
}

/// Spans of this process on their way.
pub struct SelfTracing {
    exporter: Exporter,
    spans: FinishedSpans,
}

/// What the environment asks for: nothing, or a layer for the log and what sends; and what cannot be done of it.
pub fn from_env(env: &dyn Fn(&str) -> Option<String>) -> (Option<(SpanLayer, SelfTracing)>, Option<String>) {
    match Exporter::from_env(&|name| env(name).filter(|value| !value.trim().is_empty())) {
        Ok(None) => (None, None),
        Ok(Some(exporter)) => {
            let (layer, spans) = channel();
            (Some((layer, SelfTracing { exporter, spans })), None)
        }
        Err(problem) => (None, Some(problem)),
    }
}

impl Exporter {
    fn from_env(env: &dyn Fn(&str) -> Option<String>) -> Result<Option<Self>, String> {
        let of_traces = |name: &str| env(&format!("OTEL_EXPORTER_OTLP_TRACES_{name}"));
        let of_all = |name: &str| env(&format!("OTEL_EXPORTER_OTLP_{name}"));
        let endpoint = of_traces("ENDPOINT").or_else(|| Some(format!("{}/v1/traces", of_all("ENDPOINT")?.trim_end_matches('/'))));
        let is_disabled = env("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let url = match (env("OTEL_TRACES_EXPORTER").as_deref(), endpoint) {
            _ if is_disabled => return Ok(None),
            (Some("none"), _) | (None, None) => return Ok(None),
            (Some("otlp") | None, Some(url)) => url,
            (Some("otlp"), None) => "http://localhost:4318/v1/traces".to_owned(),
            (Some(other), _) => return Err(format!("OTEL_TRACES_EXPORTER={other}: own traces are sent over OTLP only (otlp)")),
        };
        match of_traces("PROTOCOL").or_else(|| of_all("PROTOCOL")).as_deref() {
            None | Some("http/protobuf") => {}
            Some(other) => {
                return Err(format!(
                    "OTEL_EXPORTER_OTLP_PROTOCOL={other}: own traces are sent as http/protobuf only, usually to port 4318"
                ));
            }
        }
        reqwest::Url::parse(&url).map_err(|error| format!("OTEL_EXPORTER_OTLP_ENDPOINT: {error}"))?;
        let headers = of_traces("HEADERS").or_else(|| of_all("HEADERS")).unwrap_or_default();
        let headers = pairs(&headers).map(header).collect::<Option<HeaderMap>>();
        let headers = headers.ok_or("OTEL_EXPORTER_OTLP_HEADERS: a header has illegal characters")?;
        Ok(Some(Exporter { url, headers, service: env("OTEL_SERVICE_NAME").unwrap_or_else(|| "conmoto".to_owned()) }))
    }
}

/// `a=b,c=d`.
fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split(',').filter_map(|pair| pair.split_once('=')).map(|(name, value)| (name.trim(), value.trim()))
}

/// A header whose value may have its characters percent-encoded. It is kept out of logs.
fn header((name, value): (&str, &str)) -> Option<(HeaderName, HeaderValue)> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((first, others)) = rest.split_first() {
        let decoded = (*first == b'%').then(|| u8::from_str_radix(std::str::from_utf8(others.get(..2)?).ok()?, 16).ok()).flatten();
        bytes.push(decoded.unwrap_or(*first));
        rest = if decoded.is_some() { &others[2..] } else { others };
    }
    let mut value = HeaderValue::from_bytes(&bytes).ok()?;
    value.set_sensitive(true);
    Some((HeaderName::from_bytes(name.as_bytes()).ok()?, value))
}

impl SelfTracing {
    /// Sends spans until told to stop, and then what is left.
    pub async fn run(mut self, mut stop: watch::Receiver<()>) {
        // An error means that there is a provider already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = match Client::builder().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none()).build() {
            Ok(client) => client,
            Err(error) => return tracing::error!(%error, "own traces cannot be sent"),
        };
        tracing::info!(url = without_credentials(&self.exporter.url), "own traces are sent over OTLP");
        let (mut has_failed, mut is_stopping) = (false, false);
        while !is_stopping {
            is_stopping = tokio::select! {
                _ = stop.changed() => true,
                () = tokio::time::sleep(DELAY) => false,
            };
            while let Some(batch) = self.batch() {
                let sent = self.exporter.send(&client, batch).await;
                if let Err(error) = &sent
                    && !has_failed
                {
                    tracing::warn!(error, "own traces could not be sent; this is said once");
                }
                has_failed |= sent.is_err();
            }
        }
        let num_lost = self.spans.num_lost.load(Relaxed);
        if num_lost > 0 {
            tracing::info!(spans = num_lost, "there was no room for some of the server's own spans");
        }
    }

    /// What waits, if anything does.
    fn batch(&mut self) -> Option<Vec<FinishedSpan>> {
        let batch: Vec<FinishedSpan> = std::iter::from_fn(|| self.spans.receiver.try_recv().ok()).take(BATCH).collect();
        (!batch.is_empty()).then_some(batch)
    }
}

/// Somebody may have put a password into the URL.
fn without_credentials(url: &str) -> String {
    let Ok(mut url) = reqwest::Url::parse(url) else { return String::new() };
    // They fail for URLs that cannot have any.
    let _ = (url.set_username(""), url.set_password(None));
    url.set_query(None);
    url.to_string()
}

impl Exporter {
    async fn send(&self, client: &Client, batch: Vec<FinishedSpan>) -> Result<(), String> {
        let request = client.post(&self.url).headers(self.headers.clone()).header(CONTENT_TYPE, "application/x-protobuf");
        let answer = request.body(self.message(batch).encode_to_vec()).send().await.map_err(|error| error.without_url().to_string())?;
        if answer.status().is_success() { Ok(()) } else { Err(format!("the receiver answered {}", answer.status())) }
    }

    fn message(&self, batch: Vec<FinishedSpan>) -> ExportTraceServiceRequest {
        let attributes = vec![text("service.name", &self.service), text("service.version", env!("CARGO_PKG_VERSION"))];
        let scope = InstrumentationScope { name: "conmoto".to_owned(), ..InstrumentationScope::default() };
        let spans = batch.into_iter().map(span).collect();
        let resource_spans = vec![ResourceSpans {
            resource: Some(Resource { attributes, ..Resource::default() }),
            scope_spans: vec![ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() }],
            ..ResourceSpans::default()
        }];
        ExportTraceServiceRequest { resource_spans }
    }
}

fn span(finished: FinishedSpan) -> Span {
    let mut attributes: Vec<KeyValue> = finished.fields.into_iter().map(attribute).collect();
    attributes.sort_unstable_by(|one, other| one.key.cmp(&other.key));
    let parent_span_id = if finished.parent_id == 0 { Vec::new() } else { finished.parent_id.to_be_bytes().to_vec() };
    Span {
        trace_id: finished.trace_id.to_be_bytes().to_vec(),
        span_id: finished.span_id.to_be_bytes().to_vec(),
        parent_span_id,
        name: finished.name,
        // SERVER or INTERNAL, ERROR or unset.
        kind: if finished.is_server { 2 } else { 1 },
        start_time_unix_nano: finished.start,
        end_time_unix_nano: finished.end,
        attributes,
        status: Some(Status { code: if finished.is_error { 2 } else { 0 }, ..Status::default() }),
        ..Span::default()
    }
}

/// Names of fields have underscores where attributes have dots.
fn attribute((name, value): (&'static str, FieldValue)) -> KeyValue {
    let value = match value {
        FieldValue::Text(text) => Value::StringValue(text),
        FieldValue::Int(int) => Value::IntValue(int),
        FieldValue::Bool(bool) => Value::BoolValue(bool),
    };
    KeyValue { key: name.replace('_', "."), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn text(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(Value::StringValue(value.to_owned())) };
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exporter(variables: &[(&str, &str)]) -> Result<Option<Exporter>, String> {
        let find = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string());
        Exporter::from_env(&find)
    }

    #[test]
    fn the_environment_decides() {
        let url = |variables: &[(&str, &str)]| exporter(variables).expect("legal").map(|exporter| exporter.url);
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/");
        assert_eq!(url(&[]), None);
        assert_eq!(url(&[endpoint]).as_deref(), Some("http://collector:4318/v1/traces"));
        assert_eq!(url(&[endpoint, ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://x/y")]).as_deref(), Some("http://x/y"));
        assert_eq!(url(&[("OTEL_TRACES_EXPORTER", "otlp")]).as_deref(), Some("http://localhost:4318/v1/traces"));
        assert_eq!(url(&[endpoint, ("OTEL_TRACES_EXPORTER", "none")]), None);
        assert_eq!(url(&[endpoint, ("OTEL_SDK_DISABLED", "TRUE")]), None);
        for (name, value) in
            [("OTEL_TRACES_EXPORTER", "jaeger"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), ("OTEL_EXPORTER_OTLP_HEADERS", "a b=c")]
        {
            let error = exporter(&[endpoint, (name, value)]).expect_err(name);
            assert!(error.contains(name), "{error}");
        }
        assert!(exporter(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "collector")]).is_err());
    }

    #[test]
    fn headers_are_decoded_and_not_printed() {
        let headers = ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Bearer%20secret, x-scope-orgid=a%");
        let exporter = exporter(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a"), headers]).expect("legal").expect("on");
        assert_eq!(
            (&exporter.headers["authorization"], &exporter.headers["x-scope-orgid"]),
            (&HeaderValue::from_static("Bearer secret"), &HeaderValue::from_static("a%"))
        );
        assert!(!format!("{exporter:?}").contains("secret"));
        assert_eq!(without_credentials("http://u:p@h/x?token=y"), "http://h/x");
    }
}
