//! `/status/overrides`: which limits hold for whom (spec/query-api.md §8).

use super::ApiState;
use super::answer::Format;
use crate::model::TenantId;
use crate::overrides::Limits;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap};
use serde_json::{Map, Value, json};
use std::fmt::Write;
use std::sync::Arc;
use std::time::SystemTime;

/// Tenants with an entry of their own.
pub(super) async fn all(State(state): State<Arc<ApiState>>, headers: HeaderMap) -> Response {
    let entries = state.overrides.entries();
    if wants_json(&headers) {
        let mut page = json!({"now": now()});
        if !entries.is_empty() {
            page["tenants"] = entries.iter().map(|(name, limits)| json!({"name": name, "limits": numbers(limits)})).collect();
        }
        return json_page(&page);
    }
    let mut page = "GET /status/overrides\n".to_string();
    add(&mut page, "defaults", state.overrides.defaults());
    entries.iter().for_each(|(name, limits)| add(&mut page, name, limits));
    text_page(page)
}

/// What holds for one tenant.
pub(super) async fn one(State(state): State<Arc<ApiState>>, Path(tenant): Path<String>, headers: HeaderMap) -> Response {
    let tenant = match TenantId::parse(&tenant) {
        Ok(tenant) => tenant,
        Err(error) => return (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    };
    let limits = state.overrides.limits_for(&tenant);
    if wants_json(&headers) {
        return json_page(&json!({"now": now(), "tenant": tenant.as_str(), "limits": numbers(&limits)}));
    }
    let mut page = format!("GET /status/overrides/{tenant}\n");
    add(&mut page, tenant.as_str(), &limits);
    text_page(page)
}

fn wants_json(headers: &HeaderMap) -> bool {
    headers.contains_key(ACCEPT) && Format::of(headers) == Format::Json && !accepts_pages(headers)
}

/// Browsers name HTML.
fn accepts_pages(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT).iter().any(|value| value.as_bytes().windows(4).any(|bytes| bytes == b"html"))
}

fn numbers(limits: &Limits) -> Value {
    let numbers = limits.numbers().into_iter().map(|(name, number)| (name.to_string(), number.into()));
    Value::Object(numbers.collect::<Map<_, _>>())
}

fn add(page: &mut String, name: &str, limits: &Limits) {
    // Writing to a string cannot fail.
    let _ = write!(page, "---\n{name}:\n{limits:#?}\n");
}

fn json_page(page: &Value) -> Response {
    ([(CONTENT_TYPE, "application/json")], page.to_string()).into_response()
}

fn text_page(page: String) -> Response {
    ([(CONTENT_TYPE, "text/plain; charset=utf-8")], page).into_response()
}

/// This moment as RFC 3339 in whole seconds.
fn now() -> String {
    let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (year, month, day) = super::times::date(seconds / 86_400);
    let (hours, minutes, seconds) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}Z")
}
