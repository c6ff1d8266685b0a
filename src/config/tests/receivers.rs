//! Keys of receivers.

use super::{load_text, seconds};

#[test]
fn listeners_of_receivers_are_told_more_than_their_port() {
    let with = |keys: &str| format!("distributor: {{receivers: {{otlp: {{protocols: {{{keys}}}}}}}}}\n");
    let http = "http: {cors: {allowed_origins: ['*'], allowed_headers: [A], exposed_headers: [B], max_age: 7}, response_headers: {C: d}, \
                keep_alives_enabled: false, read_header_timeout: 3s, traces_url_path: x/y}";
    let loaded = load_text(&with(http), &[]).expect("loads").config.receivers.otlp_http.expect("on");
    let edge = loaded.edge;
    assert_eq!((edge.allowed_origins.len(), edge.max_age_seconds, edge.keep_alives), (1, 7, false));
    assert_eq!(
        (edge.response_headers["C"].as_str(), loaded.traces_path.as_str(), loaded.read_header_timeout),
        ("d", "/x/y", Some(seconds(3)))
    );
    let grpc = "grpc: {max_concurrent_streams: 5, include_metadata: true, keepalive: {server_parameters: {time: 9s}, enforcement_policy: {min_time: 1s}}}";
    let loaded = load_text(&with(grpc), &[]).expect("loads").config.receivers.otlp_grpc.expect("on");
    assert_eq!((loaded.max_concurrent_streams, loaded.keep_alive_interval), (Some(5), Some(seconds(9))));
    for (keys, message) in [
        ("http: {auth: {authenticator: oidc}}", "authenticators of receivers are not supported"),
        ("grpc: {auth: {authenticator: oidc}}", "authenticators of receivers are not supported"),
        ("http: {cors: {allowed_origin: []}}", "has invalid keys: allowed_origin"),
        ("http: {response_headers: {'a b': c}}", "is no name of a header"),
        ("http: {traces_url_path: '/{x}'}", "is no path"),
    ] {
        let error = load_text(&with(keys), &[]).expect_err(keys).to_string();
        assert!(error.contains(message), "{keys}: {error}");
    }
}
