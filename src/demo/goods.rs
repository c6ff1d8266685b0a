//! The catalogue and the cart, as pages and orders ask them.

use super::attributes::{boolean, double, int, text};
use super::calls::{CACHE_TIMEOUT, Endpoint, Outcome, Statement};
use super::recorder::Recorder;
use super::rng::Rng;
use super::services::Service;
use std::time::Duration;

const LIST_PRODUCTS: Endpoint = Endpoint { service: Service::Catalog, method: "GET", route: "/products" };
const GET_PRODUCT: Endpoint = Endpoint { service: Service::Catalog, method: "GET", route: "/products/{id}" };
const GET_CART: Endpoint = Endpoint { service: Service::Cart, method: "GET", route: "/carts/{user}" };
const ADD_TO_CART: Endpoint = Endpoint { service: Service::Cart, method: "POST", route: "/carts/{user}/items" };

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

/// Share of commands that the cache does not answer in time.
const CACHE_TIMEOUTS: f64 = 0.015;
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

/// One product.
pub(super) fn choose_product(rng: &mut Rng) -> &'static Product {
    rng.pick(&PRODUCTS)
}

/// One to three products, for an order.
pub(super) fn choose_products(rng: &mut Rng) -> &'static [Product] {
    let first = rng.below(PRODUCTS.len());
    let end = PRODUCTS.len().min(first + 1 + rng.below(3));
    &PRODUCTS[first..end]
}

/// Asks for the products of the first page.
pub(super) fn list_products(trace: &mut Recorder<'_>) -> Outcome {
    trace.http(LIST_PRODUCTS, "/products?limit=24", |trace| {
        trace.spend(Duration::from_micros(600));
        trace.sql(&SELECT_PRODUCTS, 24);
        trace.spend(Duration::from_millis(2));
        Outcome::Done
    })
}

/// Asks for a product, which may not exist.
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

/// Asks for a customer's cart.
pub(super) fn get_cart(trace: &mut Recorder<'_>, user: &str) -> Outcome {
    trace.http(GET_CART, &format!("/carts/{user}"), |trace| {
        trace.note([text("user.id", user)]);
        trace.spend(Duration::from_micros(500));
        ask_cache(trace, "HGETALL", user)
    })
}

/// Puts a product into a customer's cart.
pub(super) fn put_in_cart(trace: &mut Recorder<'_>, product: &Product, user: &str) -> Outcome {
    trace.http(ADD_TO_CART, &format!("/carts/{user}/items"), |trace| {
        trace.note([text("user.id", user), text("app.product.id", product.id), int("app.product.quantity", 1)]);
        trace.spend(Duration::from_micros(700));
        ask_cache(trace, "HSET", user)
    })
}

fn ask_cache(trace: &mut Recorder<'_>, command: &str, user: &str) -> Outcome {
    let failure = trace.rng().chance(CACHE_TIMEOUTS).then_some(CACHE_TIMEOUT);
    trace.cache(command, &format!("cart:{user}"), failure)
}
