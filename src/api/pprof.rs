//! `/debug/pprof`: profiles for `go tool pprof` (spec/query-api.md §8).

use super::ApiState;
use super::params::Params;
use crate::runtime::offload::offload;
use crate::telemetry::profiling::{CpuProfile, memory_profile};
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a CPU profile lasts if nobody says, as in Go.
const DEFAULT_SECONDS: f64 = 30.0;
/// And at most.
const MAX_SECONDS: f64 = 600.0;

const INDEX: &str = "\
/debug/pprof/

profile?seconds=30  where the CPU is busy; go tool pprof -top http://…/debug/pprof/profile?seconds=10
heap                who holds memory, as the server counts it; there are no stacks
";

/// Said in a profile of memory.
const ESTIMATES: &str =
    "what the server counts against memory_limit_bytes (caches by what they may hold), and what else is resident; no sampled allocations";

/// Bytes by who holds them.
pub type MemoryHeld = Arc<dyn Fn() -> Vec<(String, u64)> + Send + Sync>;

/// `/debug/pprof/`.
pub(super) async fn index() -> Response {
    text(StatusCode::OK, INDEX.to_string())
}

/// One profile by its name.
pub(super) async fn profile(State(state): State<Arc<ApiState>>, Path(name): Path<String>, request: Request) -> Response {
    let seconds = Params::of(request.uri()).get("seconds").and_then(|text| text.parse::<f64>().ok());
    drop(request);
    match name.as_str() {
        "profile" => cpu(&state, seconds.filter(|seconds| *seconds > 0.0).unwrap_or(DEFAULT_SECONDS)).await,
        "heap" => file("heap", memory_profile(&(state.memory_held)(), ESTIMATES)),
        "allocs" | "block" | "goroutine" | "mutex" | "threadcreate" | "trace" => text(
            StatusCode::NOT_IMPLEMENTED,
            format!("{name}: this is no Go program, and has no such profile; there are profile and heap\n"),
        ),
        _ => super::http::no_such_page(),
    }
}

async fn cpu(state: &ApiState, seconds: f64) -> Response {
    if seconds > MAX_SECONDS {
        return text(StatusCode::BAD_REQUEST, format!("a profile lasts {MAX_SECONDS} seconds at most\n"));
    }
    let failed = |error: &dyn std::fmt::Display| text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n"));
    let Ok(_only) = state.profiling.try_acquire() else {
        return failed(&"Could not enable CPU profiling: cpu profiling already in use");
    };
    // The first time, this reads the symbols of the program.
    let profile = match offload(usize::MAX, CpuProfile::start).await {
        Ok(Ok(profile)) => profile,
        Ok(Err(error)) => return failed(&error),
        Err(error) => return failed(&error),
    };
    let begun = Instant::now();
    // A client that goes away ends its profile here.
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
    match offload(usize::MAX, move || profile.finish(begun.elapsed())).await {
        Ok(Ok(profile)) => file("profile", profile),
        Ok(Err(error)) => failed(&error),
        Err(error) => failed(&error),
    }
}

fn file(name: &str, profile: Vec<u8>) -> Response {
    let headers = [
        (CONTENT_TYPE, "application/octet-stream".to_string()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
        (X_CONTENT_TYPE_OPTIONS, "nosniff".to_string()),
    ];
    (headers, profile).into_response()
}

fn text(status: StatusCode, body: String) -> Response {
    (status, [(CONTENT_TYPE, "text/plain; charset=utf-8")], body).into_response()
}
