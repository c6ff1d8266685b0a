//! Seed 004: a guide with one order, made by an SDK over OTLP gRPC, and the TraceQL queries of its troubleshooting part.

use super::{ANY_PORT, start};
use crate::support::data::{SECOND, With, shop, span, text};
use crate::support::grpc::{self, EXPORT};
use tonic::Code;

/// What the Python SDK makes of the guide's `process_order`, once with success and once with an exception. Of the guide's
/// attributes `user.id` and `http.status_code` were added, which its queries ask for.
const REQUEST: &[u8] = include_bytes!("seed-004-otlp.bin");

#[test]
fn the_order_and_the_queries() {
    let server = start("seed-004.yaml", &[("0.0.0.0:4317", ANY_PORT)]);
    let slow = shop(vec![span(7, 1, "slow", 0).lasting(2 * SECOND).with("user.id", text("somebody"))]);
    for message in [REQUEST, &slow] {
        let answer = grpc::call(server.otlp_grpc, EXPORT, None, message);
        assert_eq!(answer.code, Code::Ok, "{}", answer.message);
    }
    for stage in ["recent", "in a block"] {
        for (query, count) in [
            ("{ span.http.status_code = 500 }", 1),
            ("{ duration > 1s }", 1),
            ("{ span.http.status_code >= 500 }", 1),
            ("{ span.user.id = \"user123\" }", 2),
            ("{ name = \"process_order\" && span.order.amount = 99.99 && span.payment.status = \"success\" }", 1),
            ("{ status = error && event:name = \"exception\" && event.exception.type = \"ValueError\" }", 1),
        ] {
            assert_eq!(server.count(query), count, "{query}, {stage}");
        }
        server.flush();
    }
    let failed = server.search("{ span.order.id = \"bad\" }");
    assert_eq!(failed[0]["traceID"].as_str(), Some("e12b8a1b9caf92467c0ccb27fe2e9bb4"));
    assert_eq!(failed[0]["rootServiceName"].as_str(), Some("unknown_service:python"));
}
