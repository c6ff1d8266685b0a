//! What each path of the query API takes where requests need a token.

use super::ApiConfig;
use crate::runtime::serve::tokens::{Needs, NeedsOf, Scope};
use http::Method;
use std::sync::Arc;

/// Paths below `server.http_path_prefix` whose answers are about one tenant's spans.
const READ: [&str; 5] = ["/jaeger/", "/zipkin/", "/prometheus/", "/metrics/generated", "/tempopb.StreamingQuerier/"];
/// Paths that tell nothing of anybody: the page has no data of its own.
const OPEN: [&str; 3] = ["/ready", "/ui/", "/grpc.health.v1.Health/"];

/// What a request needs, by its method and path. What is not known needs most.
pub fn needs(config: &ApiConfig) -> NeedsOf {
    let (prefix, api) = (config.http_path_prefix.clone(), format!("{}/api/", config.http_api_prefix));
    Arc::new(move |method, path| match path.strip_prefix(prefix.as_str()) {
        Some("" | "/") => Needs::Nothing,
        Some(rest) => below_prefix(method, rest, &api),
        // Calls over gRPC have no prefix.
        None => below_prefix(method, path, &api),
    })
}

fn below_prefix(method: &Method, path: &str, api: &str) -> Needs {
    let is_it = |known: &&str| if known.ends_with('/') { path.starts_with(known) } else { path == *known };
    if OPEN.iter().any(is_it) {
        return Needs::Nothing;
    }
    if let Some(rest) = path.strip_prefix(api) {
        let writes = rest == "overrides" && !matches!(*method, Method::GET | Method::HEAD);
        return Needs::ForTenant(if writes { Scope::Admin } else { Scope::Read });
    }
    if READ.iter().any(is_it) { Needs::ForTenant(Scope::Read) } else { Needs::ForAll(Scope::Admin) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_needs_most() {
        let config = ApiConfig { http_path_prefix: "/x".to_string(), http_api_prefix: "/tempo".to_string(), ..ApiConfig::default() };
        let needs = needs(&config);
        let (read, admin) = (Needs::ForTenant(Scope::Read), Needs::ForAll(Scope::Admin));
        for (method, path, needed) in [
            ("GET", "/x/ready", Needs::Nothing),
            ("GET", "/x/", Needs::Nothing),
            ("GET", "/x", Needs::Nothing),
            ("GET", "/x/ui/1/page.js", Needs::Nothing),
            ("POST", "/grpc.health.v1.Health/Check", Needs::Nothing),
            ("GET", "/x/tempo/api/search", read),
            ("GET", "/x/tempo/api/overrides", read),
            ("PATCH", "/x/tempo/api/overrides", Needs::ForTenant(Scope::Admin)),
            ("POST", "/x/tempo/api/v2/traces/diff", read),
            ("GET", "/x/jaeger/api/services", read),
            ("GET", "/x/zipkin/api/v2/traces", read),
            ("GET", "/x/prometheus/api/v1/query", read),
            ("GET", "/x/metrics/generated", read),
            ("POST", "/tempopb.StreamingQuerier/Search", read),
            ("GET", "/x/metrics", admin),
            ("GET", "/x/usage_metrics", admin),
            ("GET", "/x/status/config", admin),
            ("POST", "/x/flush", admin),
            ("GET", "/x/debug/pprof/profile", admin),
            ("GET", "/x/readyish", admin),
            ("GET", "/ready/../flush", admin),
            ("GET", "/x/elsewhere", admin),
        ] {
            let method = Method::from_bytes(method.as_bytes()).expect("a method");
            assert_eq!(needs(&method, path), needed, "{method} {path}");
        }
    }
}
