//! The status of a span, hidden in its tags (spec/ingest.md §4.4 for v2, §4.6 for v1).

use super::model::Tags;
use super::v1_model::Tags as V1Tags;
use crate::proto::otlp::{Status, StatusCode};

/// Takes the status of a v2 span out of `tags`.
///
/// Any tag `error` means an error, whatever its value; only the value `true` says nothing more and is removed.
/// `otel.status_code` is always removed. Its case does not matter: Tempo leaves the status unset for the `OK` and `ERROR`
/// that OpenTelemetry's exporters send, and so loses what failed in Node.
pub(super) fn take_v2(tags: &mut Tags<'_>) -> Status {
    let mut status = Status::default();
    if let Some(code) = tags.remove("otel.status_code") {
        status.set_code(code_by_name(&code));
        status.message = tags.remove("otel.status_description").unwrap_or_default().into_owned();
    }
    if let Some(error) = tags.get("error") {
        status.set_code(StatusCode::Error);
        if error == "true" {
            tags.remove("error");
        }
    }
    status
}

fn code_by_name(name: &str) -> StatusCode {
    match name.to_ascii_uppercase().trim_start_matches("STATUS_CODE_") {
        "OK" => StatusCode::Ok,
        "ERROR" => StatusCode::Error,
        _ => StatusCode::Unset,
    }
}

/// Takes the status of a v1 span out of `tags`: of the four places that may hold it the first that does counts.
///
/// The HTTP tags are attributes in their own right and stay.
pub(super) fn take_v1(tags: &mut V1Tags) -> Status {
    if let Some(code) = integer(tags, "census.status_code") {
        let code = if code == 0 { StatusCode::Ok } else { StatusCode::Error };
        tags.remove("census.status_code");
        let message = tags.remove("census.status_description").or_else(|| tags.remove("opencensus.status_description"));
        return status(code, message);
    }
    if let Some(code) = integer(tags, "otel.status_code").and_then(|code| StatusCode::try_from(code).ok()) {
        tags.remove("otel.status_code");
        return status(code, tags.remove("otel.status_description"));
    }
    if tags.remove("error").is_some() {
        return status(StatusCode::Error, None);
    }
    if let Some(code) = integer(tags, "http.status_code") {
        // Tempo takes 399 for an error; so do we, to give the same answer.
        let code = if (100..399).contains(&code) { StatusCode::Unset } else { StatusCode::Error };
        return status(code, tags.get("http.status_message").cloned());
    }
    Status::default()
}

fn integer(tags: &V1Tags, key: &str) -> Option<i32> {
    tags.get(key)?.parse().ok()
}

fn status(code: StatusCode, message: Option<String>) -> Status {
    Status { code: code.into(), message: message.unwrap_or_default() }
}
