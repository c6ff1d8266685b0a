//! `/api/overrides`: a tenant reads and writes some of its limits itself (spec/query-api.md §9, spec/operations.md §3.4).

use super::tenant::tenant_of;
use super::{ApiError, ApiState, ErrorKind};
use crate::model::TenantId;
use crate::store::StoreError;
use crate::store::documents::{Document, Documents, Seen, WriteError};
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, ETAG, HeaderMap, IF_MATCH};
use http::{HeaderValue, Method, StatusCode};
use http_body_util::{BodyExt, Limited};
use serde_json::Value;
use std::sync::Arc;

/// Longest document.
const MAX_BODY_BYTES: usize = 1 << 20;

/// Whether a tenant may have a document; the flag tells that it may hide what the operator has said.
pub type Check = Box<dyn Fn(&TenantId, &Value, bool) -> Result<(), String> + Send + Sync>;

/// What holds for a tenant, in the form of a document.
pub type Effective = Box<dyn Fn(&TenantId) -> Value + Send + Sync>;

/// Told of a document that was written, or deleted.
pub type Changed = Box<dyn Fn(&TenantId, Option<Value>) + Send + Sync>;

/// What tenants set themselves.
pub struct UserOverrides {
    /// Where it is kept.
    pub documents: Arc<Documents>,
    /// Asked before a document is written.
    pub check: Check,
    /// What holds for a tenant, in the form of a document.
    pub effective: Effective,
    /// Told of a document that was written, or deleted.
    pub changed: Changed,
}

/// Why there is no limit to be shown, or none was written.
enum Refusal {
    Api(ApiError),
    /// Nobody has set any.
    NoneStored,
    /// `If-Match` is missing.
    Unconditional,
    OtherVersion,
    TooLarge,
    Method,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let text = |status: StatusCode, text: &'static str| (status, [(CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response();
        match self {
            Refusal::Api(error) => error.into_response(),
            Refusal::NoneStored => StatusCode::NOT_FOUND.into_response(),
            Refusal::Unconditional => text(StatusCode::PRECONDITION_REQUIRED, "must specify If-Match header"),
            Refusal::OtherVersion => text(StatusCode::PRECONDITION_FAILED, "the version does not match: the limits were changed meanwhile"),
            Refusal::TooLarge => text(StatusCode::PAYLOAD_TOO_LARGE, "http: request body too large\n"),
            Refusal::Method => StatusCode::METHOD_NOT_ALLOWED.into_response(),
        }
    }
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Refusal::Api(error)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "limits set by a tenant could not be read or written");
        Refusal::Api(ApiError::new(ErrorKind::Internal, error.to_string()))
    }
}

impl From<WriteError> for Refusal {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::OtherVersion => Refusal::OtherVersion,
            WriteError::Store(error) => error.into(),
        }
    }
}

/// All methods of the path; there is no such path unless tenants may set limits.
pub(super) async fn overrides(State(state): State<Arc<ApiState>>, request: Request) -> Response {
    let Some(users) = &state.user_overrides else { return super::http::no_such_page() };
    let tenant = match tenant_of(request.headers(), state.config.multitenancy_enabled) {
        Ok(tenant) => tenant,
        Err(error) => return ApiError::from(error).into_response(),
    };
    let answer = match *request.method() {
        Method::GET => users.show(&tenant, param(&request, "scope").as_deref().unwrap_or_default()).await,
        Method::POST => users.post(&tenant, request).await,
        Method::PATCH => users.patch(&tenant, request).await,
        Method::DELETE => users.delete(&tenant, request.headers()).await,
        _ => Err(Refusal::Method),
    };
    answer.unwrap_or_else(Refusal::into_response)
}

impl UserOverrides {
    async fn show(&self, tenant: &TenantId, scope: &str) -> Result<Response, Refusal> {
        if !matches!(scope, "" | "api" | "merged") {
            return Err(ApiError::invalid(format!("unknown scope \"{scope}\", valid options are api and merged")).into());
        }
        let document = self.documents.read(tenant).await?.ok_or(Refusal::NoneStored)?;
        let stored = parsed(&document.bytes)?;
        let shown = if scope == "merged" { merged((self.effective)(tenant), stored) } else { stored };
        Ok(answer(&shown, &document.version))
    }

    /// Full replacement.
    async fn post(&self, tenant: &TenantId, request: Request) -> Result<Response, Refusal> {
        let seen = seen(request.headers())?;
        let may_hide = may_hide(&request)?;
        let document = parsed(&body(request.into_body()).await?)?;
        (self.check)(tenant, &document, may_hide).map_err(ApiError::invalid)?;
        let version = self.documents.replace(tenant, &seen, written(&document)).await?;
        (self.changed)(tenant, Some(document));
        Ok(with_version(StatusCode::OK.into_response(), &version))
    }

    /// A merge patch (RFC 7396), whatever version is there.
    async fn patch(&self, tenant: &TenantId, request: Request) -> Result<Response, Refusal> {
        let may_hide = may_hide(&request)?;
        let patch = parsed(&body(request.into_body()).await?)?;
        let change = |before: Option<Document>| {
            let before = before.map_or(Ok(Value::Null), |document| parsed(&document.bytes))?;
            let document = merged(before, patch);
            (self.check)(tenant, &document, may_hide).map_err(ApiError::invalid)?;
            Ok::<_, Refusal>(written(&document))
        };
        let document = self.documents.change(tenant, change).await?;
        let limits = parsed(&document.bytes)?;
        (self.changed)(tenant, Some(limits.clone()));
        Ok(answer(&limits, &document.version))
    }

    async fn delete(&self, tenant: &TenantId, headers: &HeaderMap) -> Result<Response, Refusal> {
        let seen = seen(headers)?;
        if self.documents.read(tenant).await?.is_none() {
            return Err(Refusal::NoneStored);
        }
        self.documents.delete(tenant, &seen).await?;
        (self.changed)(tenant, None);
        Ok(StatusCode::OK.into_response())
    }
}

/// `If-Match`: `0` for nothing yet.
fn seen(headers: &HeaderMap) -> Result<Seen, Refusal> {
    let version = headers.get(IF_MATCH).and_then(|value| value.to_str().ok()).map(|text| text.trim().trim_matches('"'));
    match version {
        None | Some("") => Err(Refusal::Unconditional),
        Some("0") => Ok(Seen::None),
        Some(version) => Ok(Seen::Version(version.to_owned())),
    }
}

fn param(request: &Request, name: &str) -> Option<String> {
    super::params::Params::of(request.uri()).get(name).map(str::to_owned)
}

fn may_hide(request: &Request) -> Result<bool, ApiError> {
    match param(request, "skip-conflicting-overrides-check").as_deref() {
        None | Some("" | "0" | "f" | "F" | "false" | "False" | "FALSE") => Ok(false),
        Some("1" | "t" | "T" | "true" | "True" | "TRUE") => Ok(true),
        Some(other) => Err(ApiError::invalid(format!("invalid skip-conflicting-overrides-check: \"{other}\" is no boolean"))),
    }
}

async fn body(body: Body) -> Result<Bytes, Refusal> {
    match Limited::new(body, MAX_BODY_BYTES).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(Refusal::TooLarge),
        Err(error) => Err(ApiError::invalid(format!("the body could not be read: {error}")).into()),
    }
}

fn parsed(bytes: &[u8]) -> Result<Value, ApiError> {
    serde_json::from_slice(bytes).map_err(|error| ApiError::invalid(format!("the limits are no JSON: {error}")))
}

fn written(document: &Value) -> Bytes {
    document.to_string().into()
}

/// A JSON merge patch (RFC 7396).
fn merged(target: Value, patch: Value) -> Value {
    let Value::Object(patch) = patch else { return patch };
    let mut target = if let Value::Object(target) = target { target } else { serde_json::Map::new() };
    for (name, value) in patch {
        if value.is_null() {
            target.remove(&name);
        } else {
            let before = target.remove(&name).unwrap_or(Value::Null);
            target.insert(name, merged(before, value));
        }
    }
    Value::Object(target)
}

fn answer(limits: &Value, version: &str) -> Response {
    with_version(([(CONTENT_TYPE, "application/json")], limits.to_string()).into_response(), version)
}

fn with_version(mut response: Response, version: &str) -> Response {
    if let Ok(version) = HeaderValue::try_from(version) {
        response.headers_mut().insert(ETAG, version);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Of the examples of RFC 7396, appendix A.
    #[test]
    fn patches_are_merged() {
        for (target, patch, result) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": "foo"}), json!("bar"), json!("bar")),
            (json!([1, 2]), json!({"a": "b", "c": null}), json!({"a": "b"})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            assert_eq!(merged(target.clone(), patch.clone()), result, "{target} {patch}");
        }
    }
}
