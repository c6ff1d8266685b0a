//! What the shop's customers do, and what the shop does about it.

use super::attributes::{boolean, double, int, text, texts};
use super::calls::{CACHE_TIMEOUT, Endpoint, Outcome, Procedure, Statement};
use super::orders;
use super::recorder::{Recorder, Visit};
use super::rng::Rng;
use super::services::Service;
use crate::proto::otlp::SpanKind;
use std::time::Duration;

const LIST_PRODUCTS: Endpoint = Endpoint { service: Service::Catalog, method: "GET", route: "/products" };
const GET_PRODUCT: Endpoint = Endpoint { service: Service::Catalog, method: "GET", route: "/products/{id}" };
const GET_CART: Endpoint = Endpoint { service: Service::Cart, method: "GET", route: "/carts/{user}" };
const ADD_TO_CART: Endpoint = Endpoint { service: Service::Cart, method: "POST", route: "/carts/{user}/items" };
const QUOTE: Procedure = Procedure { service: Service::Shipping, rpc_service: "shop.shipping.v1.Shipping", method: "Quote" };

const SELECT_PRODUCTS: Statement = Statement {
    operation: "SELECT",
    table: "products",
    sql: "SELECT id, name, price FROM products WHERE active ORDER BY rank LIMIT $1",
    median: Duration::from_millis(9),
};
const SELECT_PRODUCT: Statement = Statement {
    operation: "SELECT",
    table: "products",
    sql: "SELECT id, name, price, stock FROM products WHERE id = $1",
    median: Duration::from_millis(2),
};

/// Share of visits in which the cache does not answer the cart.
const CACHE_TIMEOUTS: f64 = 0.015;
/// Share of product pages that were asked for by an outdated link.
const DEAD_LINKS: f64 = 0.05;
/// Share of catalogue reads that find the product in the catalogue's own memory.
const MEMORY_HITS: f64 = 0.6;

/// Something to buy.
pub(super) struct Product {
    /// Its number, as in `/products/{id}`.
    pub(super) id: &'static str,
    name: &'static str,
    /// In euros.
    pub(super) price: f64,
}

const PRODUCTS: [Product; 8] = [
    Product { id: "tea-sencha", name: "Sencha, 100 g", price: 11.9 },
    Product { id: "tea-assam", name: "Assam, 250 g", price: 14.5 },
    Product { id: "pot-cast-iron", name: "Cast iron pot", price: 64.0 },
    Product { id: "pot-glass", name: "Glass pot", price: 29.0 },
    Product { id: "cup-porcelain", name: "Porcelain cup", price: 12.0 },
    Product { id: "whisk-bamboo", name: "Bamboo whisk", price: 19.9 },
    Product { id: "kettle-gooseneck", name: "Gooseneck kettle", price: 89.0 },
    Product { id: "tin-round", name: "Round tin", price: 7.5 },
];

const BROWSERS: [&str; 3] = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:148.0) Gecko/20100101 Firefox/148.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Safari/605.1.15",
    "Mozilla/5.0 (Linux; Android 16) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/146.0.0.0 Mobile Safari/537.36",
];

/// One request of one customer, with all that it causes.
pub(super) fn visit(rng: &mut Rng) -> Visit {
    let user = format!("user-{:03}", rng.below(250));
    let product = rng.pick(&PRODUCTS);
    match rng.below(100) {
        0..35 => one_trace(rng, "GET", "/", "/", &user, |trace| home(trace, &user)),
        35..70 => {
            let path = format!("/product/{}", product.id);
            one_trace(rng, "GET", "/product/{id}", &path, &user, |trace| product_page(trace, product, &user))
        }
        70..85 => one_trace(rng, "POST", "/cart", "/cart", &user, |trace| add_to_cart(trace, product, &user)),
        _ => orders::order(rng, &user),
    }
}

/// Some products, for a cart.
pub(super) fn choose_products(rng: &mut Rng) -> &'static [Product] {
    let first = rng.below(PRODUCTS.len());
    let end = PRODUCTS.len().min(first + 1 + rng.below(3));
    &PRODUCTS[first..end]
}

/// The frontend's root span for a customer's request.
pub(super) fn arrive<'a>(rng: &'a mut Rng, method: &str, route: &str, path: &str, user: &str) -> Recorder<'a> {
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

fn one_trace(
    rng: &mut Rng,
    method: &str,
    route: &str,
    path: &str,
    user: &str,
    serve: impl FnOnce(&mut Recorder<'_>) -> Outcome,
) -> Visit {
    let mut trace = arrive(rng, method, route, path, user);
    let outcome = serve(&mut trace);
    trace.end_http(outcome, 500);
    Visit { spans: trace.finish() }
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
    let added = trace.http(ADD_TO_CART, &format!("/carts/{user}/items"), |trace| {
        trace.note([text("user.id", user), text("app.product.id", product.id), int("app.product.quantity", 1)]);
        trace.spend(Duration::from_micros(700));
        ask_cache(trace, "HSET", user)
    });
    found.and(added)
}

fn list_products(trace: &mut Recorder<'_>) -> Outcome {
    trace.http(LIST_PRODUCTS, "/products?limit=24", |trace| {
        trace.spend(Duration::from_micros(600));
        trace.sql(&SELECT_PRODUCTS, 24);
        trace.spend(Duration::from_millis(2));
        Outcome::Done
    })
}

/// The frontend, or checkout, asks for a product, which may not exist.
pub(super) fn get_product(trace: &mut Recorder<'_>, product: &Product, exists: bool) -> Outcome {
    trace.http(GET_PRODUCT, &format!("/products/{}", product.id), |trace| {
        let in_memory = exists && trace.rng().chance(MEMORY_HITS);
        trace.note([text("app.product.id", product.id), boolean("app.cache.hit", in_memory)]);
        trace.spend(Duration::from_micros(400));
        if !in_memory {
            trace.event("cache miss", vec![text("app.product.id", product.id)]);
            trace.sql(&SELECT_PRODUCT, i64::from(exists));
        }
        if !exists {
            return Outcome::Missing;
        }
        trace.note([text("app.product.name", product.name), double("app.product.price", product.price)]);
        Outcome::Done
    })
}

/// The frontend, or checkout, asks for a customer's cart.
pub(super) fn get_cart(trace: &mut Recorder<'_>, user: &str) -> Outcome {
    trace.http(GET_CART, &format!("/carts/{user}"), |trace| {
        trace.note([text("user.id", user)]);
        trace.spend(Duration::from_micros(500));
        ask_cache(trace, "HGETALL", user)
    })
}

/// The work of shipping behind [`QUOTE`].
fn quote(trace: &mut Recorder<'_>) -> Outcome {
    let grams = 100 + 50 * trace.rng().below(60);
    trace.note([text("app.shipping.carrier", "parcel-post"), double("app.shipping.weight_kg", grams as f64 / 1000.0)]);
    trace.spend(Duration::from_millis(4));
    Outcome::Done
}

fn ask_cache(trace: &mut Recorder<'_>, command: &str, user: &str) -> Outcome {
    let failure = trace.rng().chance(CACHE_TIMEOUTS).then_some(CACHE_TIMEOUT);
    trace.cache(command, &format!("cart:{user}"), failure)
}

fn render(trace: &mut Recorder<'_>, template: &str) {
    trace.inside("render page", |trace| {
        trace.note([text("app.template", template)]);
        trace.spend(Duration::from_millis(6));
    });
}
