//! Metrics of queries and limits, under Tempo's names.

use crate::frontend::Frontend;
use crate::overrides::Overrides;
use crate::telemetry::registry::{Behaviour, Reading};

/// All of them at this moment.
pub(super) fn readings(frontend: &Frontend, overrides: &Overrides) -> Vec<Reading> {
    let queries = frontend.instruments().queries().into_iter();
    let queries = queries.map(|((tenant, operation, result), count)| {
        (vec![("tenant", tenant), ("op", operation.as_str().to_string()), ("result", result.to_string())], count as f64)
    });
    let limit = |name: &str| ("limit_name", name.to_string());
    let defaults = overrides.defaults().numbers().into_iter().map(|(name, value)| (vec![limit(name)], value));
    let entries = overrides.entries();
    let of_tenants = entries.iter().flat_map(|(tenant, limits)| {
        limits.numbers().into_iter().map(move |(name, value)| (vec![limit(name), ("user", tenant.clone())], value))
    });
    let gauge = |name, help, values| Reading { name, help, behaviour: Behaviour::Gauge, values };
    vec![
        Reading {
            name: "tempo_query_frontend_queries",
            help: "Queries that were answered, refused or left by their client",
            behaviour: Behaviour::Counter,
            values: queries.collect(),
        },
        gauge("conmoto_query_queue_length", "Queries that wait for their turn", vec![(Vec::new(), frontend.num_waiting() as f64)]),
        gauge("tempo_limits_defaults", "Limits of tenants without an entry; 0 is none", defaults.collect()),
        gauge("tempo_limits_overrides", "Limits of tenants with an entry; 0 is none", of_tenants.collect()),
        gauge(
            "tempo_runtime_config_last_reload_successful",
            "Whether the limits of tenants could be read the last time",
            vec![(Vec::new(), f64::from(u8::from(overrides.last_reload_succeeded())))],
        ),
    ]
}
