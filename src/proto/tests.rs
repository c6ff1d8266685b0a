//! Our messages against recorded bytes (tests/conformance/wire.jsonl.gz): nothing that was sent may be unknown to us.

use super::tempopb::*;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use prost::Message;
use std::fmt::Debug;
use std::fs::File;
use std::io::{BufRead, BufReader};

/// A recorded request and its answer.
pub(crate) struct Exchange {
    fields: serde_json::Value,
}

impl Exchange {
    pub(crate) fn field(&self, name: &str) -> &str {
        self.fields[name].as_str().unwrap_or_default()
    }

    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        STANDARD.decode(self.field(name)).expect("recorded as base64")
    }

    /// The messages of a gRPC answer.
    pub(crate) fn messages(&self) -> Vec<Vec<u8>> {
        let messages = self.fields["messages"].as_array().into_iter().flatten();
        messages.map(|message| STANDARD.decode(message.as_str().expect("text")).expect("recorded as base64")).collect()
    }
}

pub(crate) fn exchanges() -> Vec<Exchange> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance/wire.jsonl.gz");
    let lines = BufReader::new(GzDecoder::new(File::open(path).expect("the recording is there"))).lines();
    lines.map(|line| Exchange { fields: serde_json::from_str(&line.expect("gzip")).expect("JSON") }).collect()
}

pub(crate) fn exchange(id: &str) -> Exchange {
    exchanges().into_iter().find(|exchange| exchange.field("id") == id).expect("recorded")
}

/// Decodes and encodes again. Fields travel in the order of their numbers on both sides, so bytes can be compared;
/// only the entries of maps may come in any order, which leaves the length.
fn assert_nothing_is_lost<M: Message + Default + PartialEq + Debug>(id: &str, bytes: &[u8]) {
    let message = M::decode(bytes).expect(id);
    let again = message.encode_to_vec();
    assert_eq!(again.len(), bytes.len(), "{id}: {message:?}");
    assert_eq!(M::decode(again.as_slice()).expect(id), message, "{id}");
    let sorted = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        bytes.sort_unstable();
        bytes
    };
    assert_eq!(sorted(&again), sorted(bytes), "{id}");
}

fn check_grpc<Q, A>(exchange: &Exchange)
where
    Q: Message + Default + PartialEq + Debug,
    A: Message + Default + PartialEq + Debug,
{
    assert_nothing_is_lost::<Q>(exchange.field("id"), &exchange.bytes("request"));
    for message in exchange.messages() {
        assert_nothing_is_lost::<A>(exchange.field("id"), &message);
    }
}

fn check_http(exchange: &Exchange) {
    let (id, body) = (exchange.field("id"), exchange.bytes("body"));
    match exchange.field("path") {
        "/api/search" => assert_nothing_is_lost::<SearchResponse>(id, &body),
        "/api/search/tags" => assert_nothing_is_lost::<SearchTagsResponse>(id, &body),
        "/api/v2/search/tags" => assert_nothing_is_lost::<SearchTagsV2Response>(id, &body),
        path if path.starts_with("/api/search/tag/") => assert_nothing_is_lost::<SearchTagValuesResponse>(id, &body),
        path if path.starts_with("/api/v2/search/tag/") => assert_nothing_is_lost::<SearchTagValuesV2Response>(id, &body),
        path if path.starts_with("/api/traces/") => assert_nothing_is_lost::<Trace>(id, &body),
        path if path.starts_with("/api/v2/traces/") => assert_nothing_is_lost::<TraceByIdResponse>(id, &body),
        path => panic!("{id}: unexpected path {path}"),
    }
}

#[test]
fn recorded_messages_decode_and_encode_to_the_same_content() {
    let mut num_checked = 0;
    for exchange in exchanges() {
        match exchange.field("method") {
            "Search" => check_grpc::<SearchRequest, SearchResponse>(&exchange),
            "SearchTags" => check_grpc::<SearchTagsRequest, SearchTagsResponse>(&exchange),
            "SearchTagsV2" => check_grpc::<SearchTagsRequest, SearchTagsV2Response>(&exchange),
            "SearchTagValues" => check_grpc::<SearchTagValuesRequest, SearchTagValuesResponse>(&exchange),
            "SearchTagValuesV2" => check_grpc::<SearchTagValuesRequest, SearchTagValuesV2Response>(&exchange),
            "MetricsQueryRange" => check_grpc::<QueryRangeRequest, QueryRangeResponse>(&exchange),
            "MetricsQueryInstant" => check_grpc::<QueryInstantRequest, QueryInstantResponse>(&exchange),
            _ if exchange.field("content_type") == "application/protobuf" => check_http(&exchange),
            _ => continue,
        }
        num_checked += 1;
    }
    assert_eq!(num_checked, 31);
}
