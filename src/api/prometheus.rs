//! `/prometheus/api/v1/…`: as much of Prometheus' query API as Grafana needs for its service graph, over the metrics made from
//! a tenant's spans (spec/metrics-generator.md §13).

use super::ApiState;
use super::json::JsonWriter;
use super::tenant::{TenantError, tenant_of};
use super::times::instant;
use crate::generator::Tenant;
use crate::generator::promql::{
    Labels, Lookup, Moments, Outcome, Past, PromqlError, Sample, Selector, duration_millis, evaluate, label_names, label_values, parse,
    parse_selector, series_labels,
};
use crate::generator::series_metadata;
use crate::model::{TenantId, UnixNanos};
use crate::runtime::offload::offload;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::header::CONTENT_TYPE;
use http::{StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use parking_lot::Mutex;
use std::sync::Arc;

/// Longest body of a query that is posted as a form.
const MAX_FORM_BYTES: usize = 60_000;

/// Most moments of a query, as in Prometheus.
const MAX_MOMENTS: usize = 11_000;

/// What a client is refused with.
struct Refusal {
    status: StatusCode,
    kind: &'static str,
    message: String,
}

impl Refusal {
    fn bad(message: impl Into<String>) -> Self {
        Refusal { status: StatusCode::BAD_REQUEST, kind: "bad_data", message: message.into() }
    }
}

impl From<PromqlError> for Refusal {
    fn from(error: PromqlError) -> Self {
        Refusal::bad(error.to_string())
    }
}

impl From<TenantError> for Refusal {
    fn from(error: TenantError) -> Self {
        let status = if error == TenantError::Missing { StatusCode::UNAUTHORIZED } else { StatusCode::BAD_REQUEST };
        Refusal { status, kind: "bad_data", message: error.to_string() }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut writer = JsonWriter::default();
        writer.object(|w| {
            w.string_member("status", "error");
            w.string_member("errorType", self.kind);
            w.string_member("error", &self.message);
        });
        (self.status, [(CONTENT_TYPE, "application/json")], writer.finish()).into_response()
    }
}

/// The routes below a prefix.
pub(super) fn routes(prefix: &str) -> Router<Arc<ApiState>> {
    let prefix = format!("{prefix}/prometheus/api/v1");
    Router::new()
        .route(&format!("{prefix}/query"), any(query))
        .route(&format!("{prefix}/query_range"), any(query_range))
        .route(&format!("{prefix}/series"), any(series))
        .route(&format!("{prefix}/labels"), any(labels))
        .route(&format!("{prefix}/label/{{name}}/values"), any(values))
        .route(&format!("{prefix}/metadata"), any(metadata))
        .route(&format!("{prefix}/status/buildinfo"), any(build_info))
        .route(&format!("{prefix}/{{*rest}}"), any(unknown))
}

/// Parameters of the URL and of a form, and whose series are asked for.
struct Asked {
    params: Vec<(String, String)>,
    tenant: TenantId,
}

impl Asked {
    async fn of(state: &ApiState, request: Request) -> Result<Self, Refusal> {
        let (head, body) = request.into_parts();
        let tenant = tenant_of(&head.headers, state.config.multitenancy_enabled)?;
        let mut params = pairs(&head.uri);
        let is_form = head.headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/x-www-form-urlencoded"));
        if is_form {
            let body = Limited::new(body, MAX_FORM_BYTES).collect().await.map_err(|_| Refusal::bad("the form is too long or broken"))?;
            let form = format!("/?{}", String::from_utf8_lossy(&body.to_bytes()));
            params.extend(pairs(&form.parse().map_err(|_| Refusal::bad("the form is not percent-encoded"))?));
        }
        Ok(Asked { params, tenant })
    }

    fn get(&self, name: &str) -> Option<&str> {
        let value = self.params.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        value.filter(|value| !value.is_empty())
    }

    /// A moment in milliseconds.
    fn moment(&self, name: &str) -> Result<Option<i64>, Refusal> {
        let read = |text: &str| instant(text).map(millis).map_err(|error| Refusal::bad(format!("invalid parameter {name:?}: {error}")));
        self.get(name).map(read).transpose()
    }

    fn needed_moment(&self, name: &str) -> Result<i64, Refusal> {
        self.moment(name)?.ok_or_else(|| Refusal::bad(format!("invalid parameter {name:?}: it is missing")))
    }

    fn selectors(&self) -> Result<Vec<Selector>, Refusal> {
        let texts = self.params.iter().filter(|(name, _)| name == "match[]");
        texts.map(|(_, text)| parse_selector(text).map_err(Refusal::from)).collect()
    }
}

fn pairs(uri: &Uri) -> Vec<(String, String)> {
    Query::<Vec<(String, String)>>::try_from_uri(uri).map_or_else(|_| Vec::new(), |Query(pairs)| pairs)
}

fn millis(moment: UnixNanos) -> i64 {
    i64::try_from(moment.0 / 1_000_000).unwrap_or(i64::MAX)
}

/// A tenant whose series somebody computes with. Its lock is to be held for a short while only: counting waits for it.
type Locked = Arc<Mutex<Tenant>>;

/// Computes with a tenant's series, away from the event loop.
async fn with_tenant<T: Send + Default + 'static>(
    state: &ApiState,
    name: &TenantId,
    work: impl FnOnce(&Locked) -> Result<T, PromqlError> + Send + 'static,
) -> Result<T, Refusal> {
    let Some(tenant) = state.generator.tenant(name) else { return Ok(T::default()) };
    let done = offload(usize::MAX, move || work(&tenant)).await;
    let stopping = |error: crate::runtime::offload::Stopping| Refusal {
        status: StatusCode::SERVICE_UNAVAILABLE,
        kind: "unavailable",
        message: error.to_string(),
    };
    Ok(done.map_err(stopping)??)
}

async fn query(State(state): State<Arc<ApiState>>, request: Request) -> Result<Response, Refusal> {
    let asked = Asked::of(&state, request).await?;
    let moment = asked.moment("time")?.unwrap_or_else(|| millis(UnixNanos::now()));
    let outcome = outcome(&state, &asked, Moments::one(moment)).await?;
    Ok(success(|w| match &outcome {
        Outcome::Number(number) => result(w, "scalar", |w| point(w, moment, *number)),
        Outcome::Series(series) => result(w, "vector", |w| {
            w.array(|w| {
                for one in series {
                    let Some(value) = one.values[0] else { continue };
                    w.object(|w| {
                        metric(w, &one.labels);
                        w.key("value");
                        point(w, moment, value);
                    });
                }
            });
        }),
    }))
}

async fn query_range(State(state): State<Arc<ApiState>>, request: Request) -> Result<Response, Refusal> {
    let asked = Asked::of(&state, request).await?;
    let (start, end) = (asked.needed_moment("start")?, asked.needed_moment("end")?);
    let step = asked.get("step").and_then(step_millis).filter(|step| *step > 0);
    let step = step.ok_or_else(|| Refusal::bad("invalid parameter \"step\": it must be a duration above zero"))?;
    if end < start {
        return Err(Refusal::bad("invalid parameter \"end\": end timestamp must not be before start time"));
    }
    let moments = Moments { start, end, step };
    if moments.len() > MAX_MOMENTS {
        return Err(Refusal::bad(
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
        ));
    }
    let series = match outcome(&state, &asked, moments).await? {
        Outcome::Series(series) => series,
        Outcome::Number(number) => vec![Sample { labels: Labels::new(), values: vec![Some(number); moments.len()] }],
    };
    Ok(success(|w| {
        result(w, "matrix", |w| {
            w.array(|w| {
                for one in series.iter().filter(|one| one.values.iter().any(Option::is_some)) {
                    w.object(|w| {
                        metric(w, &one.labels);
                        w.key("values");
                        w.array(|w| {
                            let points = moments.iter().zip(&one.values).filter_map(|(moment, value)| Some((moment, (*value)?)));
                            points.for_each(|(moment, value)| point(w, moment, value));
                        });
                    });
                }
            });
        });
    }))
}

/// Seconds as a number, or a duration.
fn step_millis(text: &str) -> Option<i64> {
    match text.parse::<f64>() {
        // The conversion saturates.
        #[allow(clippy::cast_possible_truncation)]
        Ok(seconds) if seconds.is_finite() => Some((seconds * 1000.0).round() as i64),
        _ => duration_millis(text),
    }
}

async fn outcome(state: &ApiState, asked: &Asked, moments: Moments) -> Result<Outcome, Refusal> {
    let expr = parse(asked.get("query").ok_or_else(|| Refusal::bad("invalid parameter \"query\": it is missing"))?)?;
    // A tenant that has sent nothing has an answer, too.
    let outcome = with_tenant(state, &asked.tenant, move |tenant| {
        let past = Past::of(&tenant.lock(), &expr.selectors());
        evaluate(&past, &expr, moments).map(Some)
    })
    .await?;
    match outcome {
        Some(outcome) => Ok(outcome),
        None => Ok(Outcome::Series(Vec::new())),
    }
}

fn past(tenant: &Locked, selectors: &[Selector]) -> Past {
    Past::of(&tenant.lock(), &selectors.iter().collect::<Vec<_>>())
}

fn lookup_range(asked: &Asked) -> Result<(i64, i64), Refusal> {
    Ok((asked.moment("start")?.unwrap_or(0), asked.moment("end")?.unwrap_or(i64::MAX)))
}

async fn series(State(state): State<Arc<ApiState>>, request: Request) -> Result<Response, Refusal> {
    let asked = Asked::of(&state, request).await?;
    let ((start, end), selectors) = (lookup_range(&asked)?, asked.selectors()?);
    if selectors.is_empty() {
        return Err(Refusal::bad("no match[] parameter provided"));
    }
    let look = move |tenant: &Locked| Ok(series_labels(&past(tenant, &selectors), &Lookup { selectors: &selectors, start, end }));
    let found = with_tenant(&state, &asked.tenant, look).await?;
    Ok(success(|w| {
        w.array(|w| {
            for labels in &found {
                w.object(|w| members(w, labels));
            }
        });
    }))
}

async fn labels(State(state): State<Arc<ApiState>>, request: Request) -> Result<Response, Refusal> {
    let asked = Asked::of(&state, request).await?;
    let ((start, end), selectors) = (lookup_range(&asked)?, asked.selectors()?);
    let look = move |tenant: &Locked| Ok(label_names(&past(tenant, &selectors), &Lookup { selectors: &selectors, start, end }));
    let names = with_tenant(&state, &asked.tenant, look).await?;
    Ok(success(|w| w.array(|w| names.iter().for_each(|name| w.string(name)))))
}

async fn values(State(state): State<Arc<ApiState>>, Path(label): Path<String>, request: Request) -> Result<Response, Refusal> {
    let asked = Asked::of(&state, request).await?;
    let ((start, end), selectors) = (lookup_range(&asked)?, asked.selectors()?);
    let look = move |tenant: &Locked| Ok(label_values(&past(tenant, &selectors), &Lookup { selectors: &selectors, start, end }, &label));
    let values = with_tenant(&state, &asked.tenant, look).await?;
    Ok(success(|w| w.array(|w| values.iter().for_each(|value| w.string(value)))))
}

/// What Grafana's editor shows beside a name.
async fn metadata(State(state): State<Arc<ApiState>>, request: Request) -> Result<Response, Refusal> {
    let asked = Asked::of(&state, request).await?;
    let metrics = with_tenant(&state, &asked.tenant, |tenant| Ok(series_metadata(&tenant.lock()))).await?;
    Ok(success(|w| {
        w.object(|w| {
            for (name, kind, help) in &metrics {
                w.key(name);
                w.array(|w| {
                    w.object(|w| {
                        w.string_member("type", kind);
                        w.string_member("help", help);
                        w.key("unit");
                        w.string("");
                    });
                });
            }
        });
    }))
}

async fn build_info(State(state): State<Arc<ApiState>>) -> Response {
    success(|w| {
        w.object(|w| {
            w.string_member("version", &state.status.build.version);
            w.key("revision");
            w.string(&state.status.build.revision);
        });
    })
}

async fn unknown(request: Request) -> Refusal {
    let message = format!("{} is not part of this server's query API for generated metrics", request.uri().path());
    Refusal { status: StatusCode::NOT_FOUND, kind: "not_found", message }
}

fn success(data: impl FnOnce(&mut JsonWriter)) -> Response {
    let mut writer = JsonWriter::default();
    writer.object(|w| {
        w.string_member("status", "success");
        w.key("data");
        data(w);
    });
    ([(CONTENT_TYPE, "application/json")], Body::from(writer.finish())).into_response()
}

fn result(w: &mut JsonWriter, kind: &str, content: impl FnOnce(&mut JsonWriter)) {
    w.object(|w| {
        w.string_member("resultType", kind);
        w.key("result");
        content(w);
    });
}

fn metric(w: &mut JsonWriter, labels: &Labels) {
    w.key("metric");
    w.object(|w| members(w, labels));
}

fn members(w: &mut JsonWriter, labels: &Labels) {
    for (name, value) in labels {
        w.key(name);
        w.string(value);
    }
}

/// A moment in seconds, and a value as text.
fn point(w: &mut JsonWriter, moment: i64, value: f64) {
    w.array(|w| {
        w.float(moment as f64 / 1000.0);
        w.string(&value_text(value));
    });
}

/// A plain decimal.
fn value_text(value: f64) -> String {
    if value == f64::INFINITY {
        return "+Inf".to_owned();
    }
    if value == f64::NEG_INFINITY { "-Inf".to_owned() } else { value.to_string() }
}
