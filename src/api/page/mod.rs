//! The page that the server brings with it: `/` and what it loads from `/ui/…` (docs/page.md).
//!
//! The files of `ui/` are in the program as they are in the source tree; there is no build step. [`assets`] lists them. Their
//! paths hold a version made of all their contents, so a browser may keep them for ever and never mixes two releases; only
//! `/` is asked for again, by its `ETag`.
//!
//! The page has no rights that another client lacks: it uses the public API from the same origin. What it shows was written
//! by strangers, so the policy in `Content-Security-Policy` allows no script but these files, and no connection elsewhere.

mod assets;
#[cfg(test)]
mod tests;

use super::answer::accepts_gzip;
use super::{ApiConfig, ApiState};
use assets::{ASSETS, Asset, INDEX};
use axum::Router;
use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, IF_NONE_MATCH, REFERRER_POLICY, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, StatusCode};
use std::io::Write;
use std::sync::{Arc, OnceLock};

/// No script or style that is not a file of ours, nothing from or to another origin, no frame around the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Files whose path has their version do not change.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// The start page names the version, so it is asked for every time.
const ASK_AGAIN: &str = "no-cache";

/// The page and its files, below `server.http_path_prefix`.
pub(super) fn routes(path_prefix: &str, config: &ApiConfig) -> Router<Arc<ApiState>> {
    let version = version();
    let index = Arc::new(File::new(start_page(config, &version).into_bytes(), "text/html; charset=utf-8"));
    let files: Arc<Vec<(&str, File)>> = Arc::new(ASSETS.iter().map(|asset| (asset.path, File::of(asset))).collect());
    let start = async move |headers: HeaderMap| index.respond(&headers, ASK_AGAIN);
    let file = async move |Path((asked, path)): Path<(String, String)>, headers: HeaderMap| {
        let found = files.iter().find(|(name, _)| asked == version && path == *name);
        found.map_or_else(not_found, |(_, file)| file.respond(&headers, FOR_EVER))
    };
    let router =
        Router::new().route(&format!("{path_prefix}/"), get(start)).route(&format!("{path_prefix}/ui/{{version}}/{{*path}}"), get(file));
    match path_prefix {
        "" => router,
        // The page's links are relative to `/prefix/`. The slash is added in the browser, so a proxy may have a prefix of its own.
        prefix => {
            let last = prefix.rsplit('/').next().unwrap_or_default();
            let slash = format!("{}/", last.replace("{{", "{").replace("}}", "}"));
            router.route(prefix, get(async move || Redirect::temporary(&slash)))
        }
    }
}

/// One number for the contents of all files, in hex.
fn version() -> String {
    let names_and_contents = ASSETS.iter().fold(crc32c::crc32c(INDEX), |sum, asset| {
        let sum = crc32c::crc32c_append(sum, asset.path.as_bytes());
        crc32c::crc32c_append(sum, asset.bytes)
    });
    format!("{names_and_contents:08x}")
}

/// `index.html` with what the page has to know before it can ask.
fn start_page(config: &ApiConfig, version: &str) -> String {
    String::from_utf8_lossy(INDEX)
        .replace("@VERSION@", version)
        .replace("@RELEASE@", env!("CARGO_PKG_VERSION"))
        .replace("@API_PREFIX@", &escaped(&config.http_api_prefix))
        .replace("@MULTITENANCY@", if config.multitenancy_enabled { "true" } else { "false" })
}

/// A text as the value of an HTML attribute.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;")
}

fn not_found() -> Response {
    let headers = [(CONTENT_TYPE, "text/plain; charset=utf-8"), (X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (StatusCode::NOT_FOUND, headers, "404 page not found\n").into_response()
}

/// A file as it is served.
struct File {
    bytes: axum::body::Bytes,
    content_type: &'static str,
    etag: String,
    /// Made when it is asked for first; empty if it would not be shorter.
    compressed: OnceLock<axum::body::Bytes>,
}

impl File {
    fn new(bytes: impl Into<axum::body::Bytes>, content_type: &'static str) -> Self {
        let bytes = bytes.into();
        // Weak: the same tag stands for the plain and the compressed form.
        let etag = format!("W/\"{:08x}-{:x}\"", crc32c::crc32c(&bytes), bytes.len());
        File { bytes, content_type, etag, compressed: OnceLock::new() }
    }

    fn of(asset: &Asset) -> Self {
        File::new(axum::body::Bytes::from_static(asset.bytes), asset.content_type())
    }

    fn respond(&self, headers: &HeaderMap, cache: &'static str) -> Response {
        let mut response = match is_known(headers, &self.etag) {
            true => StatusCode::NOT_MODIFIED.into_response(),
            false => self.body(accepts_gzip(headers)),
        };
        let fixed = [
            (CONTENT_SECURITY_POLICY, POLICY),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (REFERRER_POLICY, "no-referrer"),
            (VARY, "Accept-Encoding"),
            (CACHE_CONTROL, cache),
        ];
        response.headers_mut().extend(fixed.map(|(name, value)| (name, HeaderValue::from_static(value))));
        if let Ok(etag) = HeaderValue::try_from(&self.etag) {
            response.headers_mut().insert(ETAG, etag);
        }
        response
    }

    fn body(&self, accepts_gzip: bool) -> Response {
        let compressed = self.compressed.get_or_init(|| compressed(&self.bytes));
        if accepts_gzip && !compressed.is_empty() {
            return ([(CONTENT_TYPE, self.content_type), (CONTENT_ENCODING, "gzip")], compressed.clone()).into_response();
        }
        ([(CONTENT_TYPE, self.content_type)], self.bytes.clone()).into_response()
    }
}

/// Whether the client has this content already.
fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let tags = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    tags.map(str::trim).any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag.trim_start_matches("W/"))
}

fn compressed(bytes: &[u8]) -> axum::body::Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 2), Compression::best());
    // Writing to memory does not fail; if it did, the plain form is served.
    let written = encoder.write_all(bytes).and_then(|()| encoder.finish()).unwrap_or_default();
    if written.len() < bytes.len() { written.into() } else { axum::body::Bytes::new() }
}
