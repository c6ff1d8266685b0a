//! No tenant sees anything of another: every endpoint and every receiver, over head and blocks, with data from a seed.

use crate::support::data::{self, T0, With, request, service, span};
use crate::support::http::{send, with_query};
use crate::support::rng::Rng;
use crate::support::server::{DataDir, Server};
use crate::support::stock::{export, messages, of_tenant, querier, wait};
use conmoto::proto::tempopb as pb;
use proptest::prelude::*;
use prost::Message;

const TENANTS: [&str; 3] = ["anna", "bert", "carl"];

/// A trace id that every tenant uses, each with a span of its own.
const SHARED: u128 = 0xfeed_0000_0000_0000_0000_0000_0000_0001;

fn server() -> Server {
    let data = DataDir::new();
    let config = format!("multitenancy_enabled: true\n{}", data.config());
    Server::start_with(&data, &config, &[])
}

/// What only this tenant's data contain, wherever an answer may show it.
fn mark(tenant: &str) -> String {
    format!("mark-of-{tenant}")
}

/// Spans whose service, name, key and value all carry the tenant's mark.
fn spans(tenant: &str, trace: u128, id: u64) -> Vec<u8> {
    let mark = mark(tenant);
    let one = span(trace, id, &mark, id * 1_000_000).with(&format!("key-{mark}"), data::text(&mark)).with("common", data::text(&mark));
    request(vec![service(&mark, vec![one])])
}

fn send_in(server: &Server, tenant: &str, trace: u128, id: u64, way: u64) {
    let spans = spans(tenant, trace, id);
    let scope = ("X-Scope-OrgID", tenant);
    match way {
        0 => {
            let answer = send(server.otlp_http, "POST", "/v1/traces", &[("Content-Type", "application/x-protobuf"), scope], &spans);
            assert_eq!(answer.expect("an answer").status, 200);
        }
        1 => drop(wait(export(server.otlp_grpc, tenant, &spans)).expect("accepted")),
        _ => {
            let mark = mark(tenant);
            let body = format!(
                r#"[{{"traceId":"{trace:032x}","id":"{id:016x}","name":"{mark}","timestamp":{T0}000000,"duration":1000,
                "localEndpoint":{{"serviceName":"{mark}"}},"tags":{{"key-{mark}":"{mark}","common":"{mark}"}}}}]"#
            );
            let answer = send(server.zipkin, "POST", "/api/v2/spans", &[("Content-Type", "application/json"), scope], body.as_bytes());
            assert_eq!(answer.expect("an answer").status, 202);
        }
    }
}

/// Every path that shows data, and whether it must show the own mark.
fn paths(own_trace: u128) -> Vec<(String, bool)> {
    let range = [("start", T0.saturating_sub(60).to_string()), ("end", (T0 + 600).to_string())];
    let ranged = |path: &str, params: &[(&str, &str)]| {
        let range = range.iter().map(|(name, value)| (*name, value.as_str()));
        with_query(path, &params.iter().copied().chain(range).collect::<Vec<_>>())
    };
    let plain = |path: &str| path.to_string();
    vec![
        (format!("/api/traces/{own_trace:032x}"), true),
        (format!("/api/v2/traces/{own_trace:032x}"), true),
        (format!("/api/traces/{SHARED:032x}"), true),
        (format!("/api/v2/traces/{SHARED:032x}"), true),
        (plain("/api/search"), true),
        (ranged("/api/search", &[("q", "{ name != nil } | select(span.common, resource.service.name)"), ("limit", "1000")]), true),
        (ranged("/api/search", &[("tags", "service.name=mark")]), true),
        (plain("/api/search/tags"), true),
        (plain("/api/v2/search/tags"), true),
        (with_query("/api/v2/search/tags", &[("q", "{ span.common != nil }")]), true),
        (plain("/api/search/tag/service.name/values"), true),
        (plain("/api/search/tag/name/values"), true),
        (plain("/api/v2/search/tag/resource.service.name/values"), true),
        (with_query("/api/v2/search/tag/span.common/values", &[("q", "{ name != nil }")]), true),
        (ranged("/api/metrics/query_range", &[("q", "{} | rate() by (resource.service.name)")]), true),
        (ranged("/api/metrics/query", &[("q", "{} | count_over_time() by (span.common)")]), true),
        (ranged("/api/metrics/query_range", &[("q", "{} | compare({ status = error })")]), true),
        (plain("/jaeger/api/services"), true),
        (plain("/jaeger/api/traces"), true),
        (format!("/jaeger/api/traces/{SHARED:032x}"), true),
        (plain("/jaeger/api/dependencies"), false),
        (plain("/zipkin/api/v2/services"), true),
        (plain("/zipkin/api/v2/spans"), true),
        (with_query("/zipkin/api/v2/traces", &[("endTs", &format!("{}000", T0 + 600))]), true),
        (format!("/zipkin/api/v2/trace/{SHARED:032x}"), true),
        (plain("/zipkin/api/v2/dependencies"), false),
    ]
}

/// All messages of all calls, as bytes.
async fn calls(server: &Server, tenant: &str) -> Vec<Vec<u8>> {
    let mut client = querier(server.grpc).await;
    let mut answers = Vec::new();
    let search = pb::SearchRequest { query: "{ } | select(span.common)".to_string(), ..Default::default() };
    answers.extend(messages(client.search(of_tenant(tenant, search)).await).await.expect("found").iter().map(Message::encode_to_vec));
    let names = pb::SearchTagsRequest::default;
    answers.extend(messages(client.search_tags(of_tenant(tenant, names())).await).await.expect("found").iter().map(Message::encode_to_vec));
    answers
        .extend(messages(client.search_tags_v2(of_tenant(tenant, names())).await).await.expect("found").iter().map(Message::encode_to_vec));
    let values = |tag: &str| pb::SearchTagValuesRequest { tag_name: tag.to_string(), ..Default::default() };
    let found = messages(client.search_tag_values(of_tenant(tenant, values("common"))).await).await.expect("found");
    answers.extend(found.iter().map(Message::encode_to_vec));
    let found = messages(client.search_tag_values_v2(of_tenant(tenant, values("span.common"))).await).await.expect("found");
    answers.extend(found.iter().map(Message::encode_to_vec));
    let (start, end) = ((T0 - 60) * data::SECOND, (T0 + 600) * data::SECOND);
    let range = pb::QueryRangeRequest { query: "{} | rate() by (span.common)".to_string(), start, end, ..Default::default() };
    let found = messages(client.metrics_query_range(of_tenant(tenant, range)).await).await.expect("found");
    answers.extend(found.iter().map(Message::encode_to_vec));
    let instant = pb::QueryInstantRequest { query: "{} | rate() by (span.common)".to_string(), start, end };
    let found = messages(client.metrics_query_instant(of_tenant(tenant, instant)).await).await.expect("found");
    answers.extend(found.iter().map(Message::encode_to_vec));
    answers
}

fn contains(body: &[u8], mark: &str) -> bool {
    body.windows(mark.len()).any(|bytes| bytes == mark.as_bytes())
}

/// A tenant, or several as `a|b`, sees its own marks and no others.
fn check(server: &Server, asked: &str, traces: &[u128; 3]) {
    let own: Vec<&str> = asked.split('|').collect();
    let first = TENANTS.iter().position(|tenant| *tenant == own[0]).expect("known");
    let mut bodies = Vec::new();
    for (path, shows_own) in paths(traces[first]) {
        for accept in ["application/json", "application/protobuf", "application/vnd.grafana.llm"] {
            let answer = send(server.api, "GET", &path, &[("X-Scope-OrgID", asked), ("Accept", accept)], b"").expect("an answer");
            assert_eq!(answer.status, 200, "{asked} {path}: {}", answer.text());
            bodies.push((path.clone(), shows_own, answer.body));
        }
    }
    bodies.extend(wait(calls(server, asked)).into_iter().map(|body| ("a call".to_string(), true, body)));
    for (path, shows_own, body) in bodies {
        for tenant in TENANTS {
            let seen = contains(&body, &mark(tenant));
            assert!(!seen || own.contains(&tenant), "{asked} sees {tenant} in {path}: {}", String::from_utf8_lossy(&body));
            // Traces by the id of one tenant show that tenant only.
            let expected = shows_own && own[0] == tenant;
            assert!(seen || !expected, "{asked} does not see {tenant} in {path}: {}", String::from_utf8_lossy(&body));
        }
    }
    // By the ids of others there is nothing.
    for other in (0..TENANTS.len()).filter(|other| !own.contains(&TENANTS[*other])) {
        let path = format!("/api/traces/{:032x}", traces[other]);
        assert_eq!(send(server.api, "GET", &path, &[("X-Scope-OrgID", asked)], b"").expect("an answer").status, 404);
    }
}

fn check_all(server: &Server, traces: &[u128; 3]) {
    for asked in ["anna", "bert", "carl", "anna|bert", "carl|bert"] {
        check(server, asked, traces);
    }
    for path in paths(SHARED) {
        let answer = send(server.api, "GET", &path.0, &[], b"").expect("an answer");
        assert_eq!((answer.status, answer.text()), (401, "no org id\n".to_string()), "{}", path.0);
    }
}

proptest! {
    // Each case starts a server and asks it some thousand times.
    #![proptest_config(ProptestConfig { cases: 3, max_shrink_iters: 0, ..ProptestConfig::default() })]

    #[test]
    fn no_tenant_sees_another(seed in any::<u64>()) {
        let server = server();
        let mut rng = Rng::seeded(seed);
        let mut traces = [0; 3];
        for (at, tenant) in TENANTS.iter().enumerate() {
            traces[at] = u128::from(rng.next()) << 64 | (at as u128 + 1);
            send_in(&server, tenant, traces[at], 1, rng.below(3));
            send_in(&server, tenant, SHARED, at as u64 + 1, rng.below(3));
            if rng.below(3) == 0 {
                server.flush();
            }
        }
        check_all(&server, &traces);
        server.flush();
        check_all(&server, &traces);
    }
}

/// A trace that two tenants have is one trace for who asks both, in head and blocks.
#[test]
fn several_tenants_are_asked_as_one() {
    let server = server();
    for flushed in [false, true] {
        for (at, tenant) in TENANTS.iter().enumerate() {
            send_in(&server, tenant, SHARED, at as u64 + 1, 0);
        }
        if flushed {
            server.flush();
        }
        let get = |tenant: &str, path: &str| send(server.api, "GET", path, &[("X-Scope-OrgID", tenant)], b"").expect("an answer").json();
        let found = get("anna|bert", "/api/search?q=%7B%7D");
        assert_eq!(found["traces"].as_array().map(Vec::len), Some(1), "{found}");
        assert_eq!(found["traces"][0]["spanSets"][0]["matched"], 2, "{found}");
        let both = with_query("/api/search", &[("q", "{ name = `mark-of-anna` } && { name = `mark-of-bert` }")]);
        assert_eq!(get("anna|bert", &both)["traces"].as_array().map(Vec::len), Some(1));
        assert_eq!(get("anna", &both)["traces"].as_array().map(Vec::len), Some(0));
    }
}

/// What is written belongs to one tenant.
#[test]
fn nobody_writes_to_several() {
    let server = server();
    let answer = send(
        server.otlp_http,
        "POST",
        "/v1/traces",
        &[("Content-Type", "application/x-protobuf"), ("X-Scope-OrgID", "anna|bert")],
        &spans("anna", 1, 1),
    );
    assert!(answer.expect("an answer").status >= 400);
}
