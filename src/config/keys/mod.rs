//! The table of every key of Tempo 1.x, 2.x and 3.x, with what becomes of it here ("spec/config.md §4" to "§13").
//!
//! One file per group of sections. Rows stand in order of precedence: where keys of several generations set the same
//! thing, the newest stands last and wins.

mod buckets;
mod compaction;
mod generator;
mod generator_lists;
mod overrides;
mod query;
mod receivers;
mod relabel;
mod server;
mod storage;
mod tls;
mod write;

pub(super) use overrides::{DEFAULTS as TENANT, OVERRIDES as TENANT_FLAT};

use super::draft::Draft;
use super::schema::{Key, Table, When};

/// A size of the configuration as a number of things in memory.
fn size(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

/// A limit for which 0 means none.
fn limit(value: u64) -> Option<usize> {
    (value > 0).then(|| size(value))
}

/// The keys of the root ("spec/config.md §4").
pub(super) static ROOT: Table<Draft> = Table::new(
    "app.Config",
    &[
        Key::text("target", |draft, text| {
            draft.config.target = text.to_owned();
            Ok(())
        }),
        Key::alias("auth_enabled", "multitenancy_enabled"),
        Key::bool("multitenancy_enabled", |draft, on| draft.config.multitenancy_enabled = on),
        Key::text("http_api_prefix", |draft, text| {
            draft.config.http_api_prefix = text.to_owned();
            Ok(())
        }),
        Key::duration("shutdown_delay", |draft, delay| draft.config.shutdown_delay = delay),
        Key::bool("stream_over_http_enabled", |draft, on| draft.config.stream_over_http_enabled = on),
        Key::count("memory_limit_bytes", |draft, bytes| draft.config.memory_limit_bytes = (bytes > 0).then_some(bytes)),
        Key::count("query_memory_limit_bytes", |draft, bytes| draft.config.query_memory_limit_bytes = (bytes > 0).then_some(bytes)),
        Key::section("bearer_tokens", &BEARER_TOKENS),
        Key::section("server", &server::SERVER),
        Key::section("internal_server", &server::INTERNAL),
        Key::section("distributor", &write::DISTRIBUTOR),
        Key::section("ingester", &write::INGESTER),
        Key::section("live_store", &write::LIVE_STORE),
        Key::section("block_builder", &write::BLOCK_BUILDER),
        Key::section("ingest", &write::INGEST),
        Key::section("querier", &query::QUERIER),
        Key::section("query_frontend", &query::FRONTEND),
        Key::section("compactor", &compaction::COMPACTOR),
        Key::section("backend_scheduler", &compaction::SCHEDULER),
        Key::section("backend_worker", &compaction::WORKER),
        Key::section("metrics_generator", &generator::GENERATOR),
        Key::section("storage", &storage::STORAGE),
        Key::section("cache", &storage::CACHE),
        Key::section("overrides", &overrides::OVERRIDES),
        Key::section("usage_report", &USAGE_REPORT),
        Key::new("search_enabled", super::schema::Action::Ignore).note(When::Present, "has no effect: search is always on"),
        Key::bool("metrics_generator_enabled", |draft: &mut Draft, on| draft.generator_disabled = !on)
            .note(When::Present, "only false has an effect: no metrics are made from spans then"),
    ],
    &[
        "autocomplete_filtering_enabled",
        "backend_scheduler_client",
        "enable_go_runtime_metrics",
        "ingester_client",
        "live_store_client",
        "memberlist",
        "memory",
        "metrics_generator_client",
        "partition_ring_live_store",
        "span_profiling",
        "use_otel_tracer",
    ],
);

/// Tokens that requests must have: keys of our own.
static BEARER_TOKENS: Table<Draft> = Table::new(
    "conmoto.BearerTokens",
    &[
        Key::text("file", |draft, path| {
            draft.config.tokens.file = (!path.is_empty()).then(|| path.into());
            Ok(())
        }),
        Key::duration("reload_interval", |draft, interval| draft.config.tokens.reload_interval = interval),
    ],
    &[],
);

/// `usage_report`: this server never reports ("spec/config.md §13").
static USAGE_REPORT: Table<Draft> = Table::ignoring("usagestats.Config", &["reporting_enabled", "backoff"]);
