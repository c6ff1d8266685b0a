//! What a tenant sets itself through `/api/overrides` ("spec/config.md §11.4"): a JSON document with a part of the keys of its entry
//! in the operator's file, read on top of that entry by the same table.

use super::Config;
use super::draft::Draft;
use super::keys::{ROOT, TENANT};
use super::schema::{Report, Walk};
use super::storage::StorageConfig;
use super::yaml;
use crate::generator::settings::{HistogramMode, Processors};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// How tenants set limits themselves.
#[derive(Clone, Debug, PartialEq)]
pub struct UserOverridesConfig {
    /// Where the documents are: `overrides/<tenant>/overrides.json` (`client`). Of it, the kind of store, its directory and its bucket count.
    pub storage: StorageConfig,
    /// How often they are read again, default 1 min (`poll_interval`).
    pub poll: Duration,
    /// Whether what the operator's file says for a tenant may not be overridden, default false
    /// (`api.check_for_conflicting_runtime_overrides`).
    pub refuses_conflicts: bool,
}

/// What a document may have, as paths to values that are judged by the table.
const MEMBERS: &[&str] = &[
    "forwarders",
    "cost_attribution.dimensions",
    "metrics_generator.processors",
    "metrics_generator.disable_collection",
    "metrics_generator.collection_interval",
    "metrics_generator.trace_id_label_name",
    "metrics_generator.ingestion_time_range_slack",
    "metrics_generator.generate_native_histograms",
    "metrics_generator.native_histogram_max_bucket_number",
    "metrics_generator.native_histogram_bucket_factor",
    "metrics_generator.native_histogram_min_reset_duration",
    "metrics_generator.span_name_sanitization",
    "metrics_generator.processor.service_graphs.dimensions",
    "metrics_generator.processor.service_graphs.enable_client_server_prefix",
    "metrics_generator.processor.service_graphs.enable_messaging_system_latency_histogram",
    "metrics_generator.processor.service_graphs.enable_virtual_node_label",
    "metrics_generator.processor.service_graphs.peer_attributes",
    "metrics_generator.processor.service_graphs.filter_policies",
    "metrics_generator.processor.service_graphs.histogram_buckets",
    "metrics_generator.processor.service_graphs.span_multiplier_key",
    "metrics_generator.processor.service_graphs.enable_tracestate_span_multiplier",
    "metrics_generator.processor.span_metrics.dimensions",
    "metrics_generator.processor.span_metrics.intrinsic_dimensions",
    "metrics_generator.processor.span_metrics.dimension_mappings",
    "metrics_generator.processor.span_metrics.enable_target_info",
    "metrics_generator.processor.span_metrics.filter_policies",
    "metrics_generator.processor.span_metrics.histogram_buckets",
    "metrics_generator.processor.span_metrics.target_info_excluded_dimensions",
    "metrics_generator.processor.span_metrics.enable_instance_label",
    "metrics_generator.processor.span_metrics.span_multiplier_key",
    "metrics_generator.processor.span_metrics.enable_tracestate_span_multiplier",
    "metrics_generator.processor.host_info.host_identifiers",
    "metrics_generator.processor.host_info.metric_name",
];

/// The settings of a tenant that has them from the operator as `base`, with a document of its own on top.
///
/// # Errors
/// What is wrong with the document, in words for its author.
pub fn with_user_overrides(base: &Config, document: &Value) -> Result<Config, String> {
    let Value::Object(members) = document else { return Err("the limits must be a JSON object".to_owned()) };
    check_members(members, "")?;
    // JSON is YAML; nulls mean the default there, too.
    let text = document.to_string();
    let tree = yaml::parse(&text).map_err(|problem| problem.message)?;
    let mut draft = Draft { config: base.clone(), ..Draft::default() };
    let mut report = Report { problems: tree.problems, ..Report::default() };
    Walk::new(&ROOT, &mut report).section(&mut draft, &TENANT, &tree.root, "");
    draft.settle(&mut report);
    match report.problems.into_iter().next() {
        Some(problem) => Err(problem.message),
        None => Ok(draft.config),
    }
}

fn check_members(members: &Map<String, Value>, at: &str) -> Result<(), String> {
    for (name, value) in members {
        let path = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
        if MEMBERS.contains(&path.as_str()) {
            continue;
        }
        let has_members = MEMBERS.iter().any(|known| known.strip_prefix(&path).is_some_and(|rest| rest.starts_with('.')));
        match value {
            Value::Object(inner) if has_members => check_members(inner, &path)?,
            Value::Null if has_members => {}
            _ if has_members => return Err(format!("{path} must be an object")),
            _ => return Err(format!("unknown field \"{path}\"")),
        }
    }
    Ok(())
}

/// What holds for a tenant, in the form of a document, without filter policies.
pub fn effective(config: &Config) -> Value {
    let settings = &config.generator.defaults;
    let duration = |duration: Duration| Value::from(crate::model::gofmt::duration(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)));
    let histograms = match settings.histograms {
        HistogramMode::Classic => "classic",
        HistogramMode::Native => "native",
        HistogramMode::Both => "both",
    };
    json!({"metrics_generator": {
        "processors": processor_names(&settings.processors),
        "disable_collection": settings.disable_collection,
        "collection_interval": duration(settings.collection_interval),
        "trace_id_label_name": settings.trace_id_label,
        "ingestion_time_range_slack": duration(settings.time_range_slack),
        "generate_native_histograms": histograms,
        "native_histogram_max_bucket_number": settings.native.max_buckets,
        "native_histogram_bucket_factor": settings.native.bucket_factor,
        "native_histogram_min_reset_duration": duration(settings.native.min_reset),
        "processor": {
            "service_graphs": service_graphs(config),
            "span_metrics": span_metrics(config),
            "host_info": {"host_identifiers": settings.host_info.host_identifiers, "metric_name": settings.host_info.metric_name},
        },
    }})
}

fn service_graphs(config: &Config) -> Value {
    let graphs = &config.generator.defaults.service_graphs;
    json!({
        "dimensions": graphs.dimensions,
        "enable_client_server_prefix": graphs.client_server_prefix,
        "enable_messaging_system_latency_histogram": graphs.messaging_latency,
        "enable_virtual_node_label": graphs.virtual_node_label,
        "peer_attributes": graphs.peer_attributes,
        "histogram_buckets": graphs.buckets,
        "span_multiplier_key": graphs.multiplier.key,
        "enable_tracestate_span_multiplier": graphs.multiplier.from_trace_state,
    })
}

fn span_metrics(config: &Config) -> Value {
    let metrics = &config.generator.defaults.span_metrics;
    let intrinsic = &metrics.intrinsic;
    let mapping = |mapping: &crate::generator::settings::DimensionMapping| json!({"name": mapping.name, "source_labels": mapping.source_labels, "join": mapping.join});
    json!({
        "dimensions": metrics.dimensions,
        "intrinsic_dimensions": {
            "service": intrinsic.service,
            "span_name": intrinsic.span_name,
            "span_kind": intrinsic.span_kind,
            "status_code": intrinsic.status_code,
            "status_message": intrinsic.status_message,
        },
        "dimension_mappings": metrics.mappings.iter().map(mapping).collect::<Vec<_>>(),
        "enable_target_info": metrics.target_info,
        "histogram_buckets": metrics.buckets,
        "target_info_excluded_dimensions": metrics.target_info_excluded,
        "enable_instance_label": metrics.instance_label,
        "span_multiplier_key": metrics.multiplier.key,
        "enable_tracestate_span_multiplier": metrics.multiplier.from_trace_state,
    })
}

/// The names of processors that run, whole ones by their own name.
fn processor_names(running: &Processors) -> Vec<&'static str> {
    let Processors { graph_requests, graph_latency, graph_connections, span_count, span_latency, span_size, host_info } = *running;
    let (graphs, spans) = (graph_requests && graph_latency, span_count && span_latency && span_size);
    let names = [
        (graphs, "service-graphs"),
        (graph_requests && !graphs, "service-graphs-request"),
        (graph_latency && !graphs, "service-graphs-latency"),
        (graph_connections, "service-graphs-connection-info"),
        (spans, "span-metrics"),
        (span_count && !spans, "span-metrics-count"),
        (span_latency && !spans, "span-metrics-latency"),
        (span_size && !spans, "span-metrics-size"),
        (host_info, "host-info"),
    ];
    names.into_iter().filter(|(runs, _)| *runs).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_changes_only_what_it_names() {
        let mut base = Config::default();
        base.generator.defaults.span_metrics.dimensions = vec!["kept".to_owned()];
        let document = json!({"metrics_generator": {"processors": ["span-metrics-count"], "collection_interval": "30s",
            "processor": {"span_metrics": {"enable_target_info": true, "intrinsic_dimensions": {"span_name": false}}, "host_info": null}}});
        let config = with_user_overrides(&base, &document).expect("legal");
        let settings = &config.generator.defaults;
        assert_eq!((settings.collection_interval, settings.span_metrics.target_info), (Duration::from_secs(30), true));
        assert_eq!((settings.span_metrics.intrinsic.span_name, settings.span_metrics.intrinsic.service), (false, true));
        assert_eq!(settings.span_metrics.dimensions, ["kept"]);
        let shown = effective(&config);
        assert_eq!(shown["metrics_generator"]["processors"], json!(["span-metrics-count"]));
        assert_eq!(shown["metrics_generator"]["collection_interval"], "30s");
        // What is shown is a document itself, and changes nothing.
        assert_eq!(with_user_overrides(&config, &shown).expect("legal"), config);
        assert_eq!(with_user_overrides(&base, &json!({})).expect("legal"), base);
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (document, part) in [
            (json!([]), "must be a JSON object"),
            (json!({"ingestion": {"rate_limit_bytes": 0}}), "unknown field \"ingestion\""),
            (json!({"metrics_generator": {"max_active_series": 0}}), "unknown field \"metrics_generator.max_active_series\""),
            (
                json!({"metrics_generator": {"processor": {"span_metrics": {"x": 1}}}}),
                "unknown field \"metrics_generator.processor.span_metrics.x\"",
            ),
            (json!({"metrics_generator": 1}), "metrics_generator must be an object"),
            (json!({"metrics_generator": {"processors": ["all"]}}), "all is no processor"),
            (json!({"metrics_generator": {"collection_interval": "soon"}}), "cannot unmarshal"),
            (json!({"metrics_generator": {"processor": {"span_metrics": {"filter_policies": [{"includes": {}}]}}}}), "includes"),
        ] {
            let error = with_user_overrides(&Config::default(), &document).expect_err("illegal");
            assert!(error.contains(part), "{document}: {error}");
        }
    }
}
