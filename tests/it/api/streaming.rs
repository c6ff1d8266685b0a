//! gRPC: the streaming query API on both ports.

use crate::support::data::{self, SECOND, T0, With, shop, span};
use crate::support::grpc::{self, SEARCH};
use crate::support::http::with_query;
use crate::support::server::Server;
use conmoto::proto::tempopb::{
    SearchRequest, SearchResponse, SearchTagValuesRequest, SearchTagValuesV2Response, SearchTagsRequest, SearchTagsV2Response,
};
use prost::Message;
use tonic::Code;

const NUM_TRACES: u128 = 30;

fn server() -> Server {
    let server = Server::fresh();
    for trace in 1..=NUM_TRACES {
        if trace == NUM_TRACES / 2 {
            server.flush();
        }
        let at = trace as u64 * SECOND;
        let spans = vec![span(trace, 1, "root", at).with("size", data::int(7)), span(trace, 2, "child", at).child_of(1)];
        server.push(&shop(spans));
    }
    server
}

/// All messages of a search as one.
fn search(server: &Server, address: std::net::SocketAddr, request: &SearchRequest) -> SearchResponse {
    let answer = grpc::call(address, SEARCH, None, &request.encode_to_vec());
    assert_eq!(answer.code, Code::Ok, "{} of {}", answer.message, server.api);
    assert!(!answer.messages.is_empty());
    let mut whole = SearchResponse::default();
    for message in answer.messages {
        let SearchResponse { traces, metrics } = SearchResponse::decode(message).expect("a message");
        whole.traces.extend(traces);
        whole.metrics = metrics;
    }
    whole
}

#[test]
fn searches_on_both_ports() {
    let server = server();
    let (start, end) = (T0 as u32, T0 as u32 + 3600);
    for (query, limit) in [("{ }", 0), ("{ span.size = 7 }", 5), ("{ }", 100), ("{ name = \"nobody\" }", 0)] {
        let request = SearchRequest { query: query.to_string(), limit, start, end, ..SearchRequest::default() };
        let limit = if limit == 0 { "20".to_string() } else { limit.to_string() };
        let params = [("q", query), ("limit", &*limit), ("start", &*start.to_string()), ("end", &*end.to_string())];
        let over_http = server.get_as(&with_query("/api/search", &params), "application/protobuf");
        let wanted = SearchResponse::decode(&over_http.body[..]).expect("a message").traces;
        for address in [server.api, server.grpc] {
            assert_eq!(search(&server, address, &request).traces, wanted, "{query}");
        }
        assert_eq!(wanted.is_empty(), query.contains("nobody"));
    }
}

#[test]
fn tags_and_values_on_both_ports() {
    let server = server();
    for address in [server.api, server.grpc] {
        let request = SearchTagsRequest { scope: "span".to_string(), ..SearchTagsRequest::default() };
        let answer = grpc::call(address, "/tempopb.StreamingQuerier/SearchTagsV2", None, &request.encode_to_vec());
        let scopes = SearchTagsV2Response::decode(answer.messages[0].clone()).expect("a message").scopes;
        assert_eq!((scopes.len(), &*scopes[0].name, &scopes[0].tags[..]), (1, "span", &["size".to_string()][..]));

        let request = SearchTagValuesRequest { tag_name: "span.size".to_string(), ..SearchTagValuesRequest::default() };
        let answer = grpc::call(address, "/tempopb.StreamingQuerier/SearchTagValuesV2", None, &request.encode_to_vec());
        let values = SearchTagValuesV2Response::decode(answer.messages[0].clone()).expect("a message").tag_values;
        assert_eq!((values.len(), &*values[0].r#type, &*values[0].value), (1, "int", "7"));
    }
}

#[test]
fn refusals_have_codes() {
    let server = server();
    let query = |query: &str| SearchRequest { query: query.to_string(), ..SearchRequest::default() }.encode_to_vec();
    for address in [server.api, server.grpc] {
        for (path, message, code) in [
            (SEARCH, query("{"), Code::InvalidArgument),
            (SEARCH, SearchRequest { limit: 300_000, ..SearchRequest::default() }.encode_to_vec(), Code::InvalidArgument),
            ("/tempopb.StreamingQuerier/Nothing", query("{ }"), Code::Unimplemented),
            ("/tempopb.Nothing/Search", query("{ }"), Code::Unimplemented),
        ] {
            assert_eq!(grpc::call(address, path, None, &message).code, code, "{path}");
        }
    }
}
