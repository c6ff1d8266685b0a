//! One span that carries a mark in every text of it, over every receiver that takes a tenant.

use crate::support::data::{self, SECOND, T0, With, request, service, span};
use crate::support::grpc;
use crate::support::http::send;
use crate::support::jaeger::{JaegerBatch, JaegerSpan, text_tag};
use crate::support::opencensus::{self, Attribute, AttributeValue, Attributes, Export, Node, Service, Time, cut};
use crate::support::server::Server;
use crate::support::stock::{export, wait};
use conmoto::columns::wire::{put_bytes, put_varint};
use prost::Message;
use std::collections::BTreeMap;

/// Number of ways.
pub const WAYS: u64 = 7;

/// The span of a tenant with its mark.
pub struct Marked<'m> {
    pub tenant: &'m str,
    pub mark: &'m str,
    pub trace: u128,
    pub id: u64,
}

impl Marked<'_> {
    /// Sends it by one of the [`WAYS`]; it is accepted.
    pub fn send(&self, server: &Server, way: u64) {
        match way {
            0 => self.post(server.otlp_http, "/v1/traces", "application/x-protobuf", &self.otlp(), 200),
            1 => drop(wait(export(server.otlp_grpc, self.tenant, &self.otlp())).expect("accepted")),
            2 => self.post(server.zipkin, "/api/v2/spans", "application/json", self.zipkin_json().as_bytes(), 202),
            3 => self.post(server.zipkin, "/api/v1/spans", "application/x-thrift", &self.zipkin_thrift(), 202),
            4 => self.post(server.jaeger_http, "/api/traces", "application/x-thrift", &self.jaeger_thrift(), 202),
            5 => self.call(server.jaeger_grpc, "/jaeger.api_v2.CollectorService/PostSpans", &self.jaeger_message()),
            _ => self.call(server.opencensus, "/opencensus.proto.agent.trace.v1.TraceService/Export", &self.opencensus()),
        }
    }

    fn post(&self, address: std::net::SocketAddr, path: &str, kind: &str, body: &[u8], status: u16) {
        let headers = [("Content-Type", kind), ("X-Scope-OrgID", self.tenant)];
        let answer = send(address, "POST", path, &headers, body).expect("an answer");
        assert_eq!(answer.status, status, "{path} {kind}: {}", answer.text());
    }

    fn call(&self, address: std::net::SocketAddr, path: &str, message: &[u8]) {
        let answer = grpc::call_with(address, path, &[("x-scope-orgid", self.tenant)], message);
        assert_eq!(answer.code, tonic::Code::Ok, "{path}: {}", answer.message);
    }

    fn key(&self) -> String {
        format!("key-{}", self.mark)
    }

    fn otlp(&self) -> Vec<u8> {
        let one = span(self.trace, self.id, self.mark, self.id * 1_000_000);
        let one = one.with(&self.key(), data::text(self.mark)).with("common", data::text(self.mark));
        request(vec![service(self.mark, vec![one])])
    }

    fn zipkin_json(&self) -> String {
        let Marked { mark, trace, id, .. } = self;
        format!(
            r#"[{{"traceId":"{trace:032x}","id":"{id:016x}","name":"{mark}","timestamp":{T0}000000,"duration":1000,
            "localEndpoint":{{"serviceName":"{mark}"}},"tags":{{"key-{mark}":"{mark}","common":"{mark}"}}}}]"#
        )
    }

    /// A list of one span in thrift's binary format (zipkinCore.thrift).
    fn zipkin_thrift(&self) -> Vec<u8> {
        let head = |kind: u8, id: i16| [vec![kind], id.to_be_bytes().to_vec()].concat();
        let long = |id: i16, value: u64| [head(10, id), value.to_be_bytes().to_vec()].concat();
        let text = |id: i16, value: &str| {
            let length = i32::try_from(value.len()).expect("short").to_be_bytes();
            [head(11, id), length.to_vec(), value.as_bytes().to_vec()].concat()
        };
        let host = [head(12, 4), text(3, self.mark), vec![0]].concat();
        let tag = |key: &str| [text(1, key), text(2, self.mark), head(8, 3), 6_i32.to_be_bytes().to_vec(), host.clone(), vec![0]].concat();
        let tags = [head(15, 8), vec![12], 2_i32.to_be_bytes().to_vec(), tag(&self.key()), tag("common")].concat();
        let (low, high) = (self.trace as u64, (self.trace >> 64) as u64);
        let span = [long(1, low), text(3, self.mark), long(4, self.id), tags, long(10, T0 * 1_000_000), long(11, 1000), long(12, high)];
        [vec![12], 1_i32.to_be_bytes().to_vec(), span.concat(), vec![0]].concat()
    }

    fn jaeger_thrift(&self) -> Vec<u8> {
        let tags = vec![text_tag(&self.key(), self.mark), text_tag("common", self.mark)];
        let start = i64::try_from(T0).expect("soon") * 1_000_000;
        let trace = ((self.trace as u64).cast_signed(), ((self.trace >> 64) as u64).cast_signed());
        let span = JaegerSpan {
            trace,
            id: self.id.cast_signed(),
            name: self.mark.to_string(),
            start,
            duration: 1000,
            tags,
            ..JaegerSpan::default()
        };
        JaegerBatch { service: self.mark.to_string(), tags: Vec::new(), spans: vec![span] }.body()
    }

    /// `PostSpansRequest { 1: Batch { 1: spans, 2: process } }`.
    fn jaeger_message(&self) -> Vec<u8> {
        let field = |number: u32, bytes: &[u8]| {
            let mut out = Vec::new();
            put_bytes(&mut out, number, bytes);
            out
        };
        let seconds = |number: u8, value: u64| {
            let mut out = vec![number << 3];
            put_varint(&mut out, value);
            out
        };
        let tag = |key: &str| field(8, &[field(1, key.as_bytes()), field(3, self.mark.as_bytes())].concat());
        let ids = [field(1, &self.trace.to_be_bytes()), field(2, &self.id.to_be_bytes()), field(3, self.mark.as_bytes())].concat();
        let times = [field(6, &seconds(1, T0)), field(7, &seconds(2, 1_000_000))].concat();
        let span = [ids, times, tag(&self.key()), tag("common")].concat();
        field(1, &[field(1, &span), field(2, &field(1, self.mark.as_bytes()))].concat())
    }

    fn opencensus(&self) -> Vec<u8> {
        let value = || Attribute { value: Some(AttributeValue::Text(cut(self.mark))) };
        let attribute_map = BTreeMap::from([(self.key(), value()), ("common".to_string(), value())]);
        let time = |nanos| Some(Time { seconds: i64::try_from(T0).expect("soon"), nanos });
        let span = opencensus::Span {
            trace_id: self.trace.to_be_bytes().to_vec(),
            span_id: self.id.to_be_bytes().to_vec(),
            name: Some(cut(self.mark)),
            start_time: time(0),
            end_time: time(i32::try_from(SECOND / 1000).expect("short")),
            attributes: Some(Attributes { attribute_map, ..Attributes::default() }),
            ..opencensus::Span::default()
        };
        let node = Node { service_info: Some(Service { name: self.mark.to_string() }), ..Node::default() };
        Export { node: Some(node), spans: vec![span], ..Export::default() }.encode_to_vec()
    }
}
