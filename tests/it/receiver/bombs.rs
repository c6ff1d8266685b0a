//! Requests that are small and mean to be large: each is refused, and the server's memory does not know of them.

use crate::support::data::{shop, span};
use crate::support::grpc::{self, EXPORT};
use crate::support::http::send;
use crate::support::jaeger::JaegerBatch;
use crate::support::opencensus;
use crate::support::server::Server;
use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;
use std::io::Write;
use std::net::{SocketAddr, UdpSocket};
use tonic::Code;

const MIB: usize = 1 << 20;
const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";
const THRIFT: &str = "application/x-thrift";

/// What the server may hold beyond what it held before: one body of 20 MiB at its limit, its copy, and what the decoders
/// and the allocator keep.
const MAX_GROWTH: usize = 120 * MIB;

/// Nesting that no stack holds.
const DEEP: usize = 100_000;

/// Compressed forms of 10 GiB, by their names: the first two as many frames, the third as a length alone.
fn inflating() -> Vec<(&'static str, Vec<u8>)> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    packer.write_all(&vec![b' '; 64 * MIB]).expect("memory");
    let chunk = packer.finish().expect("memory");
    // A frame of zstd: magic, no checks, a window of 128 KiB, then blocks that repeat one byte 128 Ki times.
    let block = [(128_usize << 10) << 3 | 0b010, (128_usize << 10) << 3 | 0b011].map(|header| {
        let bytes = (header as u32).to_le_bytes();
        [&bytes[..3], b" "].concat()
    });
    let mut zstd = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 7 << 3];
    (0..(10_usize << 30) / (128 << 10)).for_each(|_| zstd.extend_from_slice(&block[0]));
    zstd.extend_from_slice(&block[1]);
    // Lengths of snappy have 32 bits: 4 GiB - 1.
    let snappy = vec![0xff, 0xff, 0xff, 0xff, 0x0f, 0, b' '];
    vec![("gzip", chunk.repeat(160)), ("zstd", zstd), ("snappy", snappy)]
}

#[test]
fn bodies_that_inflate() {
    let server = Server::fresh();
    let before = server.peak_bytes();
    for (encoding, body) in inflating() {
        assert!(body.len() < 12 * MIB, "{encoding}: {}", body.len());
        for (address, path, content_type, status) in [
            (server.otlp_http, "/v1/traces", PROTOBUF, 400),
            (server.otlp_http, "/v1/traces", JSON, 400),
            (server.zipkin, "/api/v2/spans", JSON, 400),
            (server.zipkin, "/api/v2/spans", PROTOBUF, 400),
            (server.zipkin, "/api/v1/spans", JSON, 400),
            (server.zipkin, "/api/v1/spans", THRIFT, 400),
            (server.jaeger_http, "/api/traces", THRIFT, 500),
        ] {
            let headers = [("Content-Type", content_type), ("Content-Encoding", encoding)];
            let answer = send(address, "POST", path, &headers, &body).expect("an answer");
            assert_eq!(answer.status, status, "{encoding} {path} {content_type}: {}", answer.text());
        }
        // A message over gRPC has 4 MiB at most, packed or not.
        let body = &body[..body.len().min(3 * MIB)];
        let streams = [(server.otlp_grpc, EXPORT), (server.jaeger_grpc, POST_SPANS), (server.opencensus, OPENCENSUS)];
        for (address, path) in streams {
            let answer = grpc::call(address, path, Some(encoding), body);
            assert_eq!(answer.code, Code::ResourceExhausted, "{encoding} {path}: {}", answer.message);
        }
    }
    check_unharmed(&server, before);
}

const POST_SPANS: &str = "/jaeger.api_v2.CollectorService/PostSpans";
const OPENCENSUS: &str = "/opencensus.proto.agent.trace.v1.TraceService/Export";

/// A text of brackets.
fn nested(open: &str, close: &str) -> String {
    format!("{}{}", open.repeat(DEEP), close.repeat(DEEP))
}

#[test]
fn texts_that_nest() {
    let server = Server::fresh();
    let before = server.peak_bytes();
    let value = nested(r#"{"arrayValue":{"values":["#, "]}}");
    let in_otlp = |value: &str| {
        let span = r#""traceId":"00000000000000000000000000000001","spanId":"0000000000000001""#;
        format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{{span},"attributes":[{{"key":"k","value":{value}}}]}}]}}]}}]}}"#)
    };
    let in_zipkin = |key: &str, value: &str| format!(r#"[{{"traceId":"1","id":"1","{key}":{value}}}]"#);
    let lists = nested("[", "]");
    for (address, path, body) in [
        (server.otlp_http, "/v1/traces", lists.clone()),
        (server.otlp_http, "/v1/traces", in_otlp(&value)),
        (server.otlp_http, "/v1/traces", in_otlp(&format!(r#"{{"stringValue":{lists}}}"#))),
        (server.zipkin, "/api/v2/spans", lists.clone()),
        (server.zipkin, "/api/v2/spans", in_zipkin("tags", &nested(r#"{"a":"#, "}"))),
        (server.zipkin, "/api/v2/spans", in_zipkin("annotations", &lists)),
        (server.zipkin, "/api/v2/spans", in_zipkin("unknown", &"[".repeat(DEEP))),
        (server.zipkin, "/api/v1/spans", in_zipkin("binaryAnnotations", &lists)),
    ] {
        let answer = send(address, "POST", path, &[("Content-Type", JSON)], body.as_bytes()).expect("an answer");
        assert_eq!(answer.status, 400, "{path} {}: {}", &body[..60], answer.text());
    }
    // An annotation that is packed JSON in a text: what nests too deep is the event's name.
    let packed = format!(r#"[{{"timestamp":5,"value":"name|{}|1"}}]"#, nested(r#"{\"a\":"#, "}"));
    let body = format!(r#"[{{"traceId":"99","id":"1","annotations":{packed}}}]"#);
    let answer = send(server.zipkin, "POST", "/", &[("Content-Type", JSON)], body.as_bytes()).expect("an answer");
    assert_eq!(answer.status, 202);
    assert_eq!(server.span_ids(0x99), ["0000000000000001"]);
    check_unharmed(&server, before);
}

#[test]
fn messages_that_nest() {
    let server = Server::fresh();
    let before = server.peak_bytes();
    // Values in lists in values: each level is a length, and larger ones take more bytes.
    let mut value = Vec::new();
    for _ in 0..20_000 {
        for tag in [0x0a, 0x2a] {
            let mut outer = vec![tag];
            conmoto::columns::wire::put_varint(&mut outer, value.len() as u64);
            outer.append(&mut value);
            value = outer;
        }
    }
    let wrap = |number: u8, inner: &[u8]| {
        let mut out = vec![number << 3 | 2];
        conmoto::columns::wire::put_varint(&mut out, inner.len() as u64);
        [&out[..], inner].concat()
    };
    let in_resource = wrap(1, &wrap(1, &wrap(1, &wrap(2, &value))));
    let answer = server.try_push(&in_resource).expect("an answer");
    assert_eq!(answer.status, 400, "{}", answer.text());
    // Thrift: structs in structs, in a field that nobody knows.
    let thrift = [&b"\x0c\0\x63"[..]; DEEP].concat();
    let in_list = [&b"\x0c\0\0\0\x01"[..], &thrift].concat();
    for (address, path, body) in [(server.jaeger_http, "/api/traces", &thrift), (server.zipkin, "/api/v1/spans", &in_list)] {
        let answer = send(address, "POST", path, &[("Content-Type", THRIFT)], body).expect("an answer");
        assert_eq!(answer.status, 400, "{path}: {}", answer.text());
    }
    check_unharmed(&server, before);
}

#[test]
fn lengths_that_lie() {
    let mut server = Server::fresh();
    server.expect_log("datagrams with Jaeger spans were lost");
    let before = server.peak_bytes();
    // 2 GiB - 1 of text, of tags, of spans, in thrift.
    let text = b"\x0c\0\x01\x0b\0\x01\x7f\xff\xff\xffabc";
    let spans = b"\x0f\0\x02\x0c\x7f\xff\xff\xff\x0a\0\x01\0\0\0\0\0\0\0\x01\0";
    for body in [&text[..], spans] {
        let answer = send(server.jaeger_http, "POST", "/api/traces", &[("Content-Type", THRIFT)], body).expect("an answer");
        assert_eq!(answer.status, 400, "{}", answer.text());
    }
    let list = b"\x0c\x7f\xff\xff\xff\x0a\0\x01\0\0\0\0\0\0\0\x01\0";
    let answer = send(server.zipkin, "POST", "/api/v1/spans", &[("Content-Type", THRIFT)], list).expect("an answer");
    assert_eq!(answer.status, 400, "{}", answer.text());
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let name = |message: &[u8]| message.windows(9).position(|bytes| bytes == b"emitBatch").expect("the method");
    let batch = JaegerBatch { service: "a service with a name".to_string(), ..JaegerBatch::default() };
    let (mut compact, mut binary) = (batch.compact_packet(), batch.binary_packet(true));
    let (in_compact, in_binary) = (name(&compact) - 1, name(&binary) - 4);
    compact.splice(in_compact..=in_compact, [0xff, 0xff, 0xff, 0xff, 0x07]);
    binary[in_binary..in_binary + 4].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff]);
    for (address, packet) in [(server.jaeger_compact, compact), (server.jaeger_binary, binary)] {
        socket.send_to(&packet, address).expect("a local address");
    }
    // The same in protobuf: of a message, and of a string in one.
    let protobuf = b"\x0a\xff\xff\xff\xff\x07";
    assert_eq!(server.try_push(protobuf).expect("an answer").status, 400);
    let answer = send(server.zipkin, "POST", "/", &[("Content-Type", PROTOBUF)], protobuf).expect("an answer");
    assert_eq!(answer.status, 400);
    for (address, path) in [(server.otlp_grpc, EXPORT), (server.jaeger_grpc, POST_SPANS), (server.opencensus, OPENCENSUS)] {
        assert_eq!(grpc::call(address, path, None, protobuf).code, Code::Internal, "{path}");
        // And as the length of a gRPC message of which nothing comes.
        let answer = grpc::call_with_frame(address, path, b"\0\x7f\xff\xff\xff");
        assert_eq!(answer.code, Code::ResourceExhausted, "{path}: {}", answer.message);
    }
    for (address, path) in [(server.otlp_http, "/v1/traces"), (server.zipkin, "/"), (server.jaeger_http, "/api/traces")] {
        check_announced(address, path);
    }
    check_unharmed(&server, before);
}

/// A body of 2 GiB, of which only the length comes.
fn check_announced(address: SocketAddr, path: &str) {
    use std::io::Read;
    let mut stream = std::net::TcpStream::connect(address).expect("listening");
    stream.set_read_timeout(Some(crate::support::DEADLINE)).expect("a socket");
    let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {PROTOBUF}\r\nContent-Length: 2147483648\r\n\r\nabc");
    stream.write_all(head.as_bytes()).expect("open");
    stream.shutdown(std::net::Shutdown::Write).expect("open");
    let mut answer = Vec::new();
    // The connection may be cut instead of answered.
    let _ = stream.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP/1.1 2"), "{path}: {}", String::from_utf8_lossy(&answer));
}

fn check_unharmed(server: &Server, before: usize) {
    let stored = server.search("{ traceDuration >= 0ns }").len();
    server.push(&shop(vec![span(7, 1, "good", 0)]));
    let node = opencensus::Export { node: Some(opencensus::Node::default()), ..opencensus::Export::default() };
    assert_eq!(grpc::stream(server.opencensus, OPENCENSUS, &[node.encode_to_vec()]).code, Code::Ok);
    assert_eq!(server.search("{ }").len(), stored + 1);
    let grown = server.peak_bytes().saturating_sub(before);
    assert!(grown < MAX_GROWTH, "the server grew by {} MiB", grown / MIB);
}
