//! An order: the longest of the shop's traces, and the work that it leaves behind in the queue.

use super::attributes::{double, int, text, texts};
use super::calls::{Endpoint, Outcome, Procedure, Statement};
use super::goods::{Product, choose_products, get_cart, get_product};
use super::recorder::{Failure, Recorded, Recorder, SpanRef};
use super::rng::Rng;
use super::services::Service;
use crate::proto::otlp::SpanKind;
use std::time::Duration;

const PLACE_ORDER: Endpoint = Endpoint { service: Service::Checkout, method: "POST", route: "/orders" };
const CHARGE: Procedure = Procedure { service: Service::Payment, rpc_service: "shop.payment.v1.Payment", method: "Charge" };

const INSERT_PAYMENT: Statement = Statement {
    operation: "INSERT",
    table: "payments",
    sql: "INSERT INTO payments (order_id, amount, state) VALUES ($1, $2, $3)",
    median: Duration::from_millis(4),
};
const INSERT_ORDER: Statement = Statement {
    operation: "INSERT",
    table: "orders",
    sql: "INSERT INTO orders (id, user_id, total, items) VALUES ($1, $2, $3, $4)",
    median: Duration::from_millis(6),
};
const INSERT_PARCEL: Statement = Statement {
    operation: "INSERT",
    table: "parcels",
    sql: "INSERT INTO parcels (order_id, carrier, weight) VALUES ($1, $2, $3)",
    median: Duration::from_millis(4),
};

/// Share of cards that the processor refuses.
const DECLINED_CARDS: f64 = 0.08;
/// Share of attempts that the processor does not answer in time.
const PROCESSOR_TIMEOUTS: f64 = 0.06;
/// How long payment waits for an answer.
const PROCESSOR_TIME_LIMIT: Duration = Duration::from_millis(1500);
/// How often payment asks the processor before it gives up.
const MAX_ATTEMPTS: i64 = 2;
/// Share of letters that the mail server refuses.
const REFUSED_LETTERS: f64 = 0.03;

const DECLINED: Failure = Failure {
    class: "shop.payment.CardDeclinedException",
    message: "card declined: insufficient_funds",
    stacktrace: concat!(
        "\tat shop.payment.CardProcessor.charge(CardProcessor.java:88)\n",
        "\tat shop.payment.PaymentService.charge(PaymentService.java:41)",
    ),
};
const TIMEOUT: Failure = Failure {
    class: "java.net.http.HttpTimeoutException",
    message: "request timed out",
    stacktrace: concat!(
        "\tat java.net.http/jdk.internal.net.http.HttpClientImpl.send(HttpClientImpl.java:950)\n",
        "\tat shop.payment.CardProcessor.charge(CardProcessor.java:71)",
    ),
};
const REFUSED_LETTER: Failure = Failure {
    class: "smtplib.SMTPRecipientsRefused",
    message: "(550, b'5.1.1 mailbox unavailable')",
    stacktrace: "  File \"/app/email/worker.py\", line 63, in send_confirmation\n    smtp.send_message(letter)",
};

/// What is ordered, and by whom.
struct Order<'a> {
    id: String,
    user: &'a str,
    products: &'static [Product],
    /// In euros.
    total: f64,
}

/// An order that is in the queue.
pub(super) struct Placed<'a> {
    order: Order<'a>,
    /// What its readers link to.
    message: SpanRef,
    /// When the queue had it.
    at: Duration,
}

/// The frontend passes a customer's order on to checkout; if all goes well, it ends up in the queue.
pub(super) fn place<'a>(trace: &mut Recorder<'_>, user: &'a str) -> (Outcome, Option<Placed<'a>>) {
    let products = choose_products(trace.rng());
    let total = products.iter().map(|product| product.price).sum();
    let order = Order { id: format!("o-{:08x}", trace.rng().next() >> 32), user, products, total };
    let mut message = None;
    let outcome = trace.http(PLACE_ORDER, "/orders", |trace| {
        let outcome = accept(trace, &order);
        if outcome == Outcome::Done {
            message = Some((trace.send_order(&order.id), trace.clock()));
            trace.spend(Duration::from_micros(300));
        }
        outcome
    });
    (outcome, message.map(|(message, at)| Placed { order, message, at }))
}

/// The work of checkout, up to the queue.
fn accept(trace: &mut Recorder<'_>, order: &Order<'_>) -> Outcome {
    let ids: Vec<&str> = order.products.iter().map(|product| product.id).collect();
    trace.note([
        text("user.id", order.user),
        text("app.order.id", order.id.as_str()),
        double("app.order.total", order.total),
        int("app.order.items", ids.len() as i64),
        texts("app.order.products", &ids),
    ]);
    trace.spend(Duration::from_millis(1));
    let found = get_cart(trace, order.user);
    if found != Outcome::Done {
        return found;
    }
    price(trace, order);
    let paid = trace.grpc(CHARGE, |trace| charge(trace, order));
    if paid == Outcome::Done {
        trace.sql(&INSERT_ORDER, 1);
    }
    paid
}

/// Prices may have changed since the products were put into the cart.
fn price(trace: &mut Recorder<'_>, order: &Order<'_>) {
    trace.inside("price order", |trace| {
        for product in order.products {
            get_product(trace, product, true);
        }
    });
}

/// The work of payment: asks the card processor, once more if it does not answer in time.
fn charge(trace: &mut Recorder<'_>, order: &Order<'_>) -> Outcome {
    trace.note([double("app.payment.amount", order.total), text("app.payment.currency", "EUR")]);
    trace.spend(Duration::from_millis(2));
    let mut outcome = Outcome::Unavailable;
    for attempt in 0..MAX_ATTEMPTS {
        outcome = ask_processor(trace, attempt);
        if outcome != Outcome::Unavailable {
            break;
        }
    }
    match outcome {
        Outcome::Done => trace.sql(&INSERT_PAYMENT, 1),
        Outcome::Declined => trace.throw(DECLINED),
        Outcome::Missing | Outcome::Unavailable => trace.throw(TIMEOUT),
    }
    outcome
}

/// A call to a company outside, which sends no spans.
fn ask_processor(trace: &mut Recorder<'_>, attempt: i64) -> Outcome {
    trace.open(Service::Payment, SpanKind::Client, "POST");
    trace.note([
        text("http.request.method", "POST"),
        text("url.full", "https://api.cards.example/v1/charges"),
        text("server.address", "api.cards.example"),
        int("server.port", 443),
        text("peer.service", "card-processor"),
    ]);
    if attempt > 0 {
        trace.note([int("http.request.resend_count", attempt)]);
    }
    let outcome = if trace.rng().chance(PROCESSOR_TIMEOUTS) {
        trace.wait(PROCESSOR_TIME_LIMIT);
        trace.throw(TIMEOUT);
        Outcome::Unavailable
    } else {
        trace.spend(Duration::from_millis(90));
        let is_declined = trace.rng().chance(DECLINED_CARDS);
        let outcome = if is_declined { Outcome::Declined } else { Outcome::Done };
        trace.end_http(outcome, 400);
        outcome
    };
    trace.close();
    outcome
}

/// Shipping reads the order from the queue.
pub(super) fn ship(rng: &mut Rng, placed: &Placed<'_>) -> Vec<Recorded> {
    let Placed { order, message, at } = placed;
    let at = *at + rng.around(Duration::from_millis(15));
    let mut trace = Recorder::begin(rng, at, Service::Shipping, SpanKind::Consumer, "process orders");
    trace.receive_order(&order.id, *message);
    trace.note([text("app.order.id", order.id.as_str())]);
    trace.inside("plan parcel", |trace| trace.spend(Duration::from_millis(12)));
    trace.sql(&INSERT_PARCEL, 1);
    trace.finish()
}

/// Email reads the order from the queue.
pub(super) fn confirm(rng: &mut Rng, placed: &Placed<'_>) -> Vec<Recorded> {
    let Placed { order, message, at } = placed;
    let at = *at + rng.around(Duration::from_millis(40));
    let mut trace = Recorder::begin(rng, at, Service::Email, SpanKind::Consumer, "process orders");
    trace.receive_order(&order.id, *message);
    trace.note([text("app.order.id", order.id.as_str()), text("user.id", order.user)]);
    trace.inside("render letter", |trace| trace.spend(Duration::from_millis(8)));
    trace.open(Service::Email, SpanKind::Client, "send letter");
    trace.note([text("server.address", "smtp.example.com"), int("server.port", 587), text("peer.service", "mail-server")]);
    trace.spend(Duration::from_millis(120));
    let is_refused = trace.rng().chance(REFUSED_LETTERS);
    if is_refused {
        trace.throw(REFUSED_LETTER);
    }
    trace.close();
    if is_refused {
        trace.fail(REFUSED_LETTER.class, REFUSED_LETTER.message);
    }
    trace.finish()
}
