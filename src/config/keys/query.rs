//! The read path: `querier` and `query_frontend` ("spec/config.md §8").

use super::{limit, size};
use crate::config::draft::Draft;
use crate::config::schema::{Action, Key, Report, Table, When, mismatch};
use crate::config::yaml::{Node, Problem, Value};

/// Runs jobs in Tempo; here nothing of it has a counterpart yet.
pub(super) static QUERIER: Table<Draft> = Table::new(
    "querier.Config",
    &[
        Key::section("search", &QUERIER_SEARCH),
        Key::section("trace_by_id", &QUERIER_TRACE_BY_ID),
        Key::section("metrics", &QUERIER_METRICS),
        Key::not_yet("search_external_endpoints"),
    ],
    &[
        "extra_query_delay",
        "frontend_worker",
        "max_concurrent_queries",
        "partition_ring",
        "query_relevant_ingesters",
        "query_timeout",
        "search_query_timeout",
        "secondary_ingester_ring",
        "shuffle_sharding_ingesters_*",
    ],
);

static QUERIER_SEARCH: Table<Draft> = Table::new(
    "querier.SearchConfig",
    &[
        Key::duration("query_timeout", |draft, timeout| draft.config.query.query_timeout = timeout),
        Key::not_yet("external_endpoints"),
        Key::not_yet("external_backend"),
    ],
    // The other keys of external search are rendered by every chart of its time, with their defaults.
    &["prefer_self", "google_cloud_run", "external_hedge_requests_at", "external_hedge_requests_up_to"],
);

static QUERIER_TRACE_BY_ID: Table<Draft> = Table::new(
    "querier.TraceByIDConfig",
    &[Key::duration("query_timeout", |draft, timeout| draft.config.query.trace_timeout = timeout), Key::not_yet("external")],
    &[],
);

static QUERIER_METRICS: Table<Draft> = Table::ignoring("querier.MetricsConfig", &["concurrent_blocks", "time_overlap_cutoff"]);

/// Bounds of the query API.
pub(super) static FRONTEND: Table<Draft> = Table::new(
    "frontend.Config",
    &[
        Key::count("max_query_expression_size_bytes", |draft, bytes| draft.config.query.max_query_expression_size_bytes = size(bytes)),
        Key::duration("query_end_cutoff", |draft, cutoff| draft.config.query.query_end_cutoff = cutoff),
        Key::count("max_outstanding_per_tenant", |draft, count| draft.config.query.max_outstanding_per_tenant = size(count)),
        Key::bool("multi_tenant_queries_enabled", |draft, on| draft.config.query.multi_tenant_queries_enabled = on),
        Key::section("search", &FRONTEND_SEARCH),
        Key::section("trace_by_id", &FRONTEND_TRACE_BY_ID),
        Key::section("metrics", &FRONTEND_METRICS),
        Key::section("mcp_server", &MCP_SERVER),
        Key::not_yet("log_query_request_headers"),
        Key::new("url_deny_list", Action::Custom(read_deny_list)),
        Key::duration("api_timeout", |draft, timeout| draft.config.query.api_timeout = timeout),
        Key::new("rf1_after", Action::Ignore).warning(When::Set, "is deprecated and ignored"),
    ],
    &[
        "address",
        "allowed_headers",
        "compress_responses",
        "downstream_url",
        "instance_interface_names",
        "log_queries_longer_than",
        "max_batch_size",
        "max_body_size",
        "max_grpc_streaming_packet_size",
        "max_retries",
        "port",
        "querier_forget_delay",
        "query_shards",
        "query_stats_enabled",
        "response_consumers",
        "scheduler_*",
        "skip_ast_transformations",
        "tolerate_failed_blocks",
        "weights",
    ],
);

/// A list of patterns.
fn read_deny_list(draft: &mut Draft, node: &Node, report: &mut Report) {
    let items = match &node.value {
        Value::Null => &[][..],
        Value::Seq(items) => items,
        _ => return report.problems.push(mismatch(node, "[]string")),
    };
    draft.config.query.url_deny_list.clear();
    for item in items {
        match &item.value {
            Value::Scalar { text, .. } => match regex::Regex::new(text) {
                Ok(_) => draft.config.query.url_deny_list.push(text.clone()),
                Err(error) => report.problems.push(Problem::new(item.line, format!("query_frontend.url_deny_list: {error}"))),
            },
            _ => report.problems.push(mismatch(item, "string")),
        }
    }
}

static FRONTEND_SEARCH: Table<Draft> = Table::new(
    "frontend.SearchConfig",
    &[
        Key::count("default_result_limit", |draft, count| draft.config.query.default_result_limit = size(count)),
        Key::count("max_result_limit", |draft, count| draft.config.query.max_result_limit = limit(count)),
        Key::duration("max_duration", |draft, range| draft.config.query.max_search_duration = (!range.is_zero()).then_some(range)),
        Key::count("default_spans_per_span_set", |draft, count| draft.config.query.default_spans_per_span_set = size(count)),
        Key::count("max_spans_per_span_set", |draft, count| draft.config.query.max_spans_per_span_set = limit(count)),
    ],
    &[
        "concurrent_jobs",
        "duration_slo",
        "ingester_shards",
        "metadata_slo",
        "most_recent_shards",
        "query_backend_after",
        "query_ingesters_until",
        "target_bytes_per_job",
        "throughput_bytes_slo",
        "timeout",
    ],
);

static FRONTEND_TRACE_BY_ID: Table<Draft> = Table::new(
    "frontend.TraceByIDConfig",
    &[Key::not_yet("external_enabled"), Key::not_yet("span_pruning_enabled"), Key::not_yet("span_pruning_enabled_by_default")],
    &[
        "blocks_per_shard",
        "concurrent_shards",
        "duration_slo",
        "hedge_requests_at",
        "hedge_requests_up_to",
        "query_shards",
        "throughput_bytes_slo",
        "tolerate_failed_blocks",
    ],
);

static FRONTEND_METRICS: Table<Draft> = Table::new(
    "frontend.MetricsConfig",
    &[
        Key::count("max_exemplars", |draft, most| draft.config.query.max_exemplars = size(most)),
        Key::count("max_response_series", |draft, most| draft.config.query.max_response_series = size(most)),
        Key::duration("max_duration", |draft, range| draft.config.query.max_metrics_duration = (!range.is_zero()).then_some(range)),
        Key::count("max_intervals", |draft, count| draft.config.query.max_metrics_intervals = count),
    ],
    &[
        "concurrent_jobs",
        "duration_slo",
        "interval",
        "query_backend_after",
        "streaming_shards",
        "target_bytes_per_job",
        "throughput_bytes_slo",
    ],
);

static MCP_SERVER: Table<Draft> = Table::new(
    "frontend.MCPServerConfig",
    &[Key::new("enabled", Action::Ignore).warning(When::Set, "the MCP server would pass data to an LLM; this server has none yet")],
    &[],
);
