//! What the shop's customers do, and what the shop does about it.

use super::attributes::{double, int, text, texts};
use super::calls::{Outcome, Procedure};
use super::goods::{Product, choose_product, get_cart, get_product, list_products, put_in_cart};
use super::orders;
use super::recorder::{Recorder, Visit};
use super::rng::Rng;
use super::services::Service;
use crate::proto::otlp::SpanKind;
use std::time::Duration;

const QUOTE: Procedure = Procedure { service: Service::Shipping, rpc_service: "shop.shipping.v1.Shipping", method: "Quote" };

/// Share of product pages that were asked for by an outdated link.
const DEAD_LINKS: f64 = 0.05;

const BROWSERS: [&str; 3] = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:148.0) Gecko/20100101 Firefox/148.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Safari/605.1.15",
    "Mozilla/5.0 (Linux; Android 16) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/146.0.0.0 Mobile Safari/537.36",
];

/// One request of one customer, with all that it causes.
pub(super) fn visit(rng: &mut Rng) -> Visit {
    let user = format!("user-{:03}", rng.below(250));
    let product = choose_product(rng);
    match rng.below(100) {
        0..35 => one_trace(rng, "GET", "/", "/", &user, |trace| home(trace, &user)),
        35..70 => {
            let path = format!("/product/{}", product.id);
            one_trace(rng, "GET", "/product/{id}", &path, &user, |trace| product_page(trace, product, &user))
        }
        70..85 => one_trace(rng, "POST", "/cart", "/cart", &user, |trace| add_to_cart(trace, product, &user)),
        _ => order(rng, &user),
    }
}

/// The frontend's root span for a customer's request.
fn arrive<'a>(rng: &'a mut Rng, method: &str, route: &str, path: &str, user: &str) -> Recorder<'a> {
    let client = format!("203.0.113.{}", 1 + rng.below(254));
    let browser = *rng.pick(&BROWSERS);
    let roles: &[&str] = if rng.chance(0.2) { &["customer", "wholesale"] } else { &["customer"] };
    let mut trace = Recorder::begin(rng, Duration::ZERO, Service::Frontend, SpanKind::Server, &format!("{method} {route}"));
    trace.note([
        text("http.request.method", method),
        text("http.route", route),
        text("url.path", path),
        text("url.scheme", "https"),
        text("server.address", "shop.example.com"),
        int("server.port", 443),
        text("client.address", client),
        text("user_agent.original", browser),
        text("network.protocol.version", "2"),
        text("user.id", user),
        texts("user.roles", roles),
    ]);
    trace
}

fn one_trace(rng: &mut Rng, method: &str, route: &str, path: &str, user: &str, serve: impl FnOnce(&mut Recorder<'_>) -> Outcome) -> Visit {
    let mut trace = arrive(rng, method, route, path, user);
    let outcome = serve(&mut trace);
    trace.end_http(outcome, 500);
    Visit { spans: trace.finish() }
}

/// A customer orders: the request's trace and, if it went well, one of shipping's and one of email's.
fn order(rng: &mut Rng, user: &str) -> Visit {
    let mut placed = None;
    let mut visit = one_trace(rng, "POST", "/checkout", "/checkout", user, |trace| {
        let (outcome, order) = orders::place(trace, user);
        placed = order;
        outcome
    });
    if let Some(order) = placed {
        visit.spans.extend(orders::ship(rng, &order));
        visit.spans.extend(orders::confirm(rng, &order));
    }
    visit
}

fn home(trace: &mut Recorder<'_>, user: &str) -> Outcome {
    let (listed, _) = trace.at_once(list_products, |trace| get_cart(trace, user));
    render(trace, "home");
    listed
}

fn product_page(trace: &mut Recorder<'_>, product: &Product, user: &str) -> Outcome {
    let is_dead_link = trace.rng().chance(DEAD_LINKS);
    let (found, _) = trace.at_once(|trace| get_product(trace, product, !is_dead_link), |trace| get_cart(trace, user));
    if found == Outcome::Done {
        // A parcel's price is nice to have: the page does without if there is none.
        trace.grpc(QUOTE, quote);
        render(trace, "product");
    }
    found
}

fn add_to_cart(trace: &mut Recorder<'_>, product: &Product, user: &str) -> Outcome {
    let found = get_product(trace, product, true);
    if found != Outcome::Done {
        return found;
    }
    put_in_cart(trace, product, user)
}

/// The work of shipping behind [`QUOTE`].
fn quote(trace: &mut Recorder<'_>) -> Outcome {
    let grams = 100 + 50 * trace.rng().below(60);
    trace.note([text("app.shipping.carrier", "parcel-post"), double("app.shipping.weight_kg", grams as f64 / 1000.0)]);
    trace.spend(Duration::from_millis(4));
    Outcome::Done
}

fn render(trace: &mut Recorder<'_>, template: &str) {
    trace.inside("render page", |trace| {
        trace.note([text("app.template", template)]);
        trace.spend(Duration::from_millis(6));
    });
}
