//! One program calls another: pairs of spans by OpenTelemetry's semantic conventions (HTTP, RPC, database, messaging).

use super::attributes::{int, text};
use super::recorder::{Failure, Recorder, SpanRef};
use super::services::Service;
use crate::proto::otlp::SpanKind;
use std::time::Duration;

/// How long a message is on its way inside the cluster.
const HOP: Duration = Duration::from_micros(350);

/// The topic that new orders are written to.
const ORDERS: &str = "orders";
/// Its number of partitions.
const NUM_PARTITIONS: usize = 6;

/// How a call went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// As it should.
    Done,
    /// The thing asked for is not there; nobody's fault.
    Missing,
    /// The card was refused; the customer's fault.
    Declined,
    /// Something that was needed did not answer.
    Unavailable,
}

impl Outcome {
    fn http_status(self) -> i64 {
        match self {
            Outcome::Done => 200,
            Outcome::Missing => 404,
            Outcome::Declined => 402,
            Outcome::Unavailable => 503,
        }
    }

    fn grpc_status(self) -> i64 {
        match self {
            Outcome::Done => 0,
            Outcome::Missing => 5,
            Outcome::Declined => 9,
            Outcome::Unavailable => 14,
        }
    }
}

/// One HTTP operation of a service.
#[derive(Clone, Copy, Debug)]
pub(super) struct Endpoint {
    /// Who serves it.
    pub(super) service: Service,
    /// The HTTP method.
    pub(super) method: &'static str,
    /// The path with placeholders.
    pub(super) route: &'static str,
}

/// One gRPC operation of a service.
#[derive(Clone, Copy, Debug)]
pub(super) struct Procedure {
    /// Who serves it.
    pub(super) service: Service,
    /// Full name of the gRPC service.
    pub(super) rpc_service: &'static str,
    /// Name of the procedure.
    pub(super) method: &'static str,
}

/// One SQL statement.
#[derive(Clone, Copy, Debug)]
pub(super) struct Statement {
    /// Its first word.
    pub(super) operation: &'static str,
    /// The table it works on.
    pub(super) table: &'static str,
    /// Its text, without values.
    pub(super) sql: &'static str,
    /// How long the database takes as a rule.
    pub(super) median: Duration,
}

/// How long the cache may take, as the message of [`CACHE_TIMEOUT`] says.
const CACHE_TIME_LIMIT: Duration = Duration::from_millis(250);

/// The cache that does not answer.
pub(super) const CACHE_TIMEOUT: Failure = Failure {
    class: "StackExchange.Redis.RedisTimeoutException",
    message: "Timeout awaiting response (outbound=0KiB, inbound=0KiB, 250ms elapsed, timeout is 250ms)",
    stacktrace: concat!(
        "   at StackExchange.Redis.ConnectionMultiplexer.ExecuteSyncImpl[T](Message message)\n",
        "   at Shop.Cart.CartStore.Load(String userId) in /src/CartStore.cs:line 57",
    ),
};

impl Recorder<'_> {
    /// An HTTP call from the open span's service to an endpoint: the client's span around the server's, in which `serve`
    /// runs. 4xx is a failure to the client only, 5xx to both.
    pub(super) fn http(&mut self, to: Endpoint, path: &str, serve: impl FnOnce(&mut Self) -> Outcome) -> Outcome {
        let from = self.service();
        let (host, port) = (to.service.name(), 8080);
        self.open(from, SpanKind::Client, to.method);
        self.note([
            text("http.request.method", to.method),
            text("url.full", format!("http://{host}:{port}{path}")),
            text("server.address", host),
            int("server.port", port),
        ]);
        self.spend(HOP);
        self.open(to.service, SpanKind::Server, &format!("{} {}", to.method, to.route));
        self.note([
            text("http.request.method", to.method),
            text("http.route", to.route),
            text("url.path", path),
            text("url.scheme", "http"),
            text("server.address", host),
            text("network.protocol.version", "1.1"),
        ]);
        let outcome = serve(self);
        self.end_http(outcome, 500);
        self.close();
        self.spend(HOP);
        self.end_http(outcome, 400);
        self.close();
        outcome
    }

    /// Notes the answer's status; from `first_failure` on, the innermost open span has failed.
    pub(super) fn end_http(&mut self, outcome: Outcome, first_failure: i64) {
        let status = outcome.http_status();
        self.note([int("http.response.status_code", status)]);
        if status >= first_failure {
            self.fail(&status.to_string(), "");
        }
    }

    /// A gRPC call from the open span's service to a procedure: the client's span around the server's, in which `serve` runs.
    pub(super) fn grpc(&mut self, to: Procedure, serve: impl FnOnce(&mut Self) -> Outcome) -> Outcome {
        let from = self.service();
        let name = format!("{}/{}", to.rpc_service, to.method);
        let common = [text("rpc.system", "grpc"), text("rpc.service", to.rpc_service), text("rpc.method", to.method)];
        self.open(from, SpanKind::Client, &name);
        self.note(common.clone());
        self.note([text("server.address", to.service.name()), int("server.port", 50051)]);
        self.spend(HOP);
        self.open(to.service, SpanKind::Server, &name);
        self.note(common);
        let outcome = serve(self);
        // To a server, FAILED_PRECONDITION and NOT_FOUND are answers; what it threw itself has marked its own span.
        self.end_grpc(outcome, outcome == Outcome::Unavailable);
        self.close();
        self.spend(HOP);
        self.end_grpc(outcome, outcome != Outcome::Done);
        self.close();
        outcome
    }

    fn end_grpc(&mut self, outcome: Outcome, failed: bool) {
        let status = outcome.grpc_status();
        self.note([int("rpc.grpc.status_code", status)]);
        if failed {
            self.fail(&status.to_string(), "");
        }
    }

    /// A statement sent to the shop's database, which answers with `num_rows`.
    pub(super) fn sql(&mut self, statement: &Statement, num_rows: i64) {
        let from = self.service();
        self.open(from, SpanKind::Client, &format!("{} {}", statement.operation, statement.table));
        self.note([
            // The old and the stable name of the same thing: dashboards and Grafana's own views ask for either.
            text("db.system", "postgresql"),
            text("db.system.name", "postgresql"),
            text("db.namespace", "shop"),
            text("db.operation.name", statement.operation),
            text("db.collection.name", statement.table),
            text("db.query.text", statement.sql),
            int("db.response.returned_rows", num_rows),
            text("server.address", "postgres"),
            int("server.port", 5432),
        ]);
        self.spend(statement.median);
        self.close();
    }

    /// A command sent to the cache; with a `failure`, it waits for its time limit and fails.
    pub(super) fn cache(&mut self, command: &str, key: &str, failure: Option<Failure>) -> Outcome {
        let from = self.service();
        self.open(from, SpanKind::Client, command);
        self.note([
            text("db.system", "redis"),
            text("db.system.name", "redis"),
            text("db.namespace", "0"),
            text("db.operation.name", command),
            text("db.query.text", format!("{command} {key}")),
            text("server.address", "redis"),
            int("server.port", 6379),
        ]);
        let outcome = match failure {
            None => {
                self.spend(Duration::from_micros(450));
                Outcome::Done
            }
            Some(failure) => {
                self.wait(CACHE_TIME_LIMIT);
                self.throw(failure);
                Outcome::Unavailable
            }
        };
        self.close();
        outcome
    }

    /// Work inside the open span's service, worth a span of its own.
    pub(super) fn inside<T>(&mut self, name: &str, work: impl FnOnce(&mut Self) -> T) -> T {
        let service = self.service();
        self.open(service, SpanKind::Internal, name);
        let result = work(self);
        self.close();
        result
    }

    /// Writes an order to the queue; gives back what its readers link to.
    pub(super) fn send_order(&mut self, order: &str) -> SpanRef {
        let from = self.service();
        self.open(from, SpanKind::Producer, "send orders");
        self.note_order_message(order, "send");
        self.spend(Duration::from_millis(3));
        let sent = self.here();
        self.close();
        sent
    }

    /// Makes the open span that of a reader of the queue, for an order that was `sent`.
    pub(super) fn receive_order(&mut self, order: &str, sent: SpanRef) {
        let group = self.service().name();
        self.note_order_message(order, "process");
        self.note([text("messaging.consumer.group.name", group)]);
        self.link(sent);
    }

    fn note_order_message(&mut self, order: &str, operation: &str) {
        let partition = order.bytes().map(usize::from).sum::<usize>() % NUM_PARTITIONS;
        self.note([
            text("messaging.system", "kafka"),
            text("messaging.operation.name", operation),
            text("messaging.operation.type", operation),
            text("messaging.destination.name", ORDERS),
            text("messaging.destination.partition.id", partition.to_string()),
            text("messaging.kafka.message.key", order),
            text("server.address", "kafka"),
            int("server.port", 9092),
        ]);
    }
}
