//! Stock clients on one port: gRPC with prior knowledge of HTTP/2, and HTTP/1.1, at once.

use crate::support::data::{self, SECOND, T0, With, shop, span};
use crate::support::http::send;
use crate::support::server::Server;
use crate::support::stock::{messages, querier, wait};
use conmoto::proto::tempopb::{QueryInstantRequest, QueryRangeRequest, SearchRequest, SearchTagValuesRequest, SearchTagsRequest};

const ROUNDS: usize = 20;

fn server() -> Server {
    let server = Server::fresh();
    for trace in 1..=10u128 {
        server.push(&shop(vec![span(trace, 1, "root", trace as u64 * SECOND).with("size", data::int(7))]));
        if trace == 5 {
            server.flush();
        }
    }
    server
}

/// Every method once; each ends with the complete answer.
async fn ask_all(address: std::net::SocketAddr) {
    let mut client = querier(address).await;
    let (start, end) = (T0 as u32, T0 as u32 + 60);
    let query = "{ span.size = 7 }".to_string();
    let found = messages(client.search(SearchRequest { query: query.clone(), start, end, ..Default::default() }).await).await;
    assert_eq!(found.expect("found").last().expect("an answer").traces.len(), 10);
    let names = SearchTagsRequest { start, end, ..Default::default() };
    let found = messages(client.search_tags(names.clone()).await).await.expect("found");
    assert!(found.last().expect("an answer").tag_names.contains(&"size".to_string()));
    let found = messages(client.search_tags_v2(names).await).await.expect("found");
    assert!(found.last().expect("an answer").scopes.iter().any(|scope| scope.name == "span" && scope.tags == ["size"]));
    let values = |tag: &str| SearchTagValuesRequest { tag_name: tag.to_string(), start, end, ..Default::default() };
    let found = messages(client.search_tag_values(values("service.name")).await).await.expect("found");
    assert_eq!(found.last().expect("an answer").tag_values, ["shop"]);
    let found = messages(client.search_tag_values_v2(values("span.size")).await).await.expect("found");
    assert_eq!(found.last().expect("an answer").tag_values[0].value, "7");
    let (start, end) = (T0 * SECOND, (T0 + 60) * SECOND);
    let range = QueryRangeRequest { query: format!("{query} | count_over_time()"), start, end, step: 10 * SECOND, ..Default::default() };
    let found = messages(client.metrics_query_range(range).await).await.expect("found");
    let series = &found.last().expect("an answer").series;
    assert_eq!(series[0].samples.iter().map(|sample| sample.value).sum::<f64>(), 10.0);
    let instant = QueryInstantRequest { query: format!("{query} | count_over_time()"), start, end };
    let found = messages(client.metrics_query_instant(instant).await).await.expect("found");
    assert_eq!(found.last().expect("an answer").series[0].value, 10.0);
}

#[test]
fn grpc_and_http_1_share_a_port() {
    let server = server();
    std::thread::scope(|scope| {
        for address in [server.api, server.grpc] {
            scope.spawn(move || (0..ROUNDS / 4).for_each(|_| wait(ask_all(address))));
        }
        scope.spawn(|| (0..ROUNDS).for_each(|_| assert_eq!(server.search("{ span.size = 7 }").len(), 10)));
    });
}

/// An upgrade to HTTP/2 may be refused by going on in HTTP/1.1 (RFC 9113 §3.1 has done away with it); clients take that.
#[test]
fn who_offers_to_upgrade_is_answered() {
    let server = server();
    let headers = [("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABkAAQAAP__"), ("Accept", "application/json")];
    let answer = send(server.api, "GET", "/api/search?q=%7B%7D", &headers, b"").expect("an answer");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["traces"].as_array().map(Vec::len), Some(10));
}
