//! What every answer of a receiver over HTTP gets besides its content: headers that the operator wants, and leave for browsers to
//! send from other origins (CORS; spec/ingest.md §1.2).

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use http::header::CONNECTION;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

/// Headers that a browser may always send (what the Collector's library allows by default).
const COMMON_HEADERS: [&str; 4] = ["accept", "content-type", "origin", "x-requested-with"];

/// Settings of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeSettings {
    /// Origins whose pages may send, `*` standing for any text; none by default (`cors.allowed_origins`).
    pub allowed_origins: Vec<String>,
    /// Headers that they may send beside the common ones, `*` for any (`cors.allowed_headers`).
    pub allowed_headers: Vec<String>,
    /// Headers of answers that they may read (`cors.exposed_headers`).
    pub exposed_headers: Vec<String>,
    /// How long a browser may remember all this, in seconds; 0 (default) says nothing (`cors.max_age`).
    pub max_age_seconds: u64,
    /// Headers of every answer (`response_headers`).
    pub response_headers: BTreeMap<String, String>,
    /// Whether a connection serves several requests, default true (`keep_alives_enabled`).
    pub keep_alives: bool,
}

impl Default for EdgeSettings {
    fn default() -> Self {
        EdgeSettings {
            allowed_origins: Vec::new(),
            allowed_headers: Vec::new(),
            exposed_headers: Vec::new(),
            max_age_seconds: 0,
            response_headers: BTreeMap::new(),
            keep_alives: true,
        }
    }
}

impl EdgeSettings {
    /// Looks whether all names and values are legal.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check(&self) -> Result<(), String> {
        let names =
            self.allowed_headers.iter().filter(|name| *name != "*").chain(&self.exposed_headers).chain(self.response_headers.keys());
        for name in names {
            HeaderName::try_from(name).map_err(|_| format!("{name:?} is no name of a header"))?;
        }
        let bad = self.response_headers.iter().find(|(_, value)| HeaderValue::from_str(value).is_err());
        bad.map_or(Ok(()), |(name, _)| Err(format!("the header {name} has a value that no header can have")))
    }

    /// The same service with all this.
    pub fn around(&self, mut router: Router) -> Router {
        if !self.response_headers.is_empty() || !self.keep_alives {
            let (headers, keep_alives) = (Arc::new(self.headers()), self.keep_alives);
            router = router.layer(from_fn(move |request: Request, next: Next| {
                let headers = Arc::clone(&headers);
                async move {
                    let is_http_1 = request.version() < Version::HTTP_2;
                    let mut response = next.run(request).await;
                    headers.iter().for_each(|(name, value)| drop(response.headers_mut().insert(name, value.clone())));
                    if is_http_1 && !keep_alives {
                        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                    }
                    response
                }
            }));
        }
        if self.allowed_origins.is_empty() { router } else { router.layer(self.cors()) }
    }

    fn headers(&self) -> HeaderMap {
        let pair = |(name, value): (&String, &String)| Some((HeaderName::try_from(name).ok()?, HeaderValue::from_str(value).ok()?));
        self.response_headers.iter().filter_map(pair).collect()
    }

    fn cors(&self) -> CorsLayer {
        let origins = self.allowed_origins.clone();
        let is_allowed = move |origin: &HeaderValue| {
            let origin = String::from_utf8_lossy(origin.as_bytes()).to_ascii_lowercase();
            origins.iter().any(|pattern| matches(&pattern.to_ascii_lowercase(), &origin))
        };
        let names = |names: &[String]| names.iter().filter_map(|name| HeaderName::try_from(name).ok()).collect::<Vec<_>>();
        let headers = match self.allowed_headers.iter().any(|name| name == "*") {
            true => AllowHeaders::mirror_request(),
            false => {
                let common = COMMON_HEADERS.map(HeaderName::from_static);
                AllowHeaders::list(names(&self.allowed_headers).into_iter().chain(common))
            }
        };
        let cors = CorsLayer::new()
            .allow_origin(AllowOrigin::predicate(move |origin, _| is_allowed(origin)))
            .allow_methods([Method::GET, Method::POST, Method::HEAD])
            .allow_headers(headers)
            .expose_headers(names(&self.exposed_headers))
            .allow_credentials(true);
        if self.max_age_seconds > 0 { cors.max_age(Duration::from_secs(self.max_age_seconds)) } else { cors }
    }
}

/// A pattern has one `*` at most.
fn matches(pattern: &str, origin: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == origin,
        Some((before, after)) => origin.len() >= before.len() + after.len() && origin.starts_with(before) && origin.ends_with(after),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::routing::any;
    use http::Response;
    use tower::ServiceExt;

    async fn answer(settings: &EdgeSettings, method: &str, headers: &[(&str, &str)]) -> Response<Body> {
        let mut request = Request::builder().method(method).uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let router = settings.around(Router::new().route("/", any(|| async { "ok" })));
        router.oneshot(request.body(Body::empty()).expect("a request")).await.expect("an answer")
    }

    fn header<'r>(response: &'r Response<Body>, name: &str) -> &'r str {
        response.headers().get(name).map_or("", |value| value.to_str().expect("text"))
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[tokio::test]
    async fn browsers_of_allowed_origins_may_send() {
        let settings = EdgeSettings {
            allowed_origins: texts(&["https://a.test", "https://*.b.test"]),
            allowed_headers: texts(&["X-Scope-OrgID"]),
            max_age_seconds: 60,
            ..EdgeSettings::default()
        };
        settings.check().expect("legal");
        for (origin, allowed) in
            [("https://a.test", true), ("https://x.b.test", true), ("https://b.test", false), ("https://c.test", false), ("", false)]
        {
            let preflight =
                [("Origin", origin), ("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", "x-scope-orgid")];
            let answered = answer(&settings, "OPTIONS", &preflight).await;
            assert_eq!(header(&answered, "access-control-allow-origin"), if allowed { origin } else { "" });
            assert!(header(&answered, "access-control-allow-headers").contains("x-scope-orgid"));
            assert_eq!(header(&answered, "access-control-max-age"), "60");
            let answered = answer(&settings, "POST", &[("Origin", origin)]).await;
            assert_eq!(
                (answered.status().as_u16(), header(&answered, "access-control-allow-origin") == origin),
                (200, allowed || origin.is_empty())
            );
        }
        let none = answer(&EdgeSettings::default(), "POST", &[("Origin", "https://a.test")]).await;
        assert!(none.headers().keys().all(|name| !name.as_str().starts_with("access-control")));
    }

    #[tokio::test]
    async fn answers_have_the_headers_of_the_operator() {
        let headers = BTreeMap::from([("X-Frame-Options".to_owned(), "DENY".to_owned())]);
        let settings = EdgeSettings { response_headers: headers, keep_alives: false, ..EdgeSettings::default() };
        let answered = answer(&settings, "GET", &[]).await;
        assert_eq!((header(&answered, "x-frame-options"), header(&answered, "connection")), ("DENY", "close"));
    }

    #[test]
    fn illegal_headers_are_told() {
        let with = |name: &str, value: &str| EdgeSettings {
            response_headers: BTreeMap::from([(name.to_owned(), value.to_owned())]),
            ..EdgeSettings::default()
        };
        assert!(with("a b", "c").check().is_err() && with("a", "b\nc").check().is_err() && with("a", "b").check().is_ok());
        assert!(EdgeSettings { allowed_headers: texts(&["a b"]), ..EdgeSettings::default() }.check().is_err());
    }
}
