//! The file with the limits of single tenants ("spec/config.md §11"): `overrides:`, and below it an entry for each tenant, and one
//! named `*` for everyone else.
//!
//! An entry is read on top of the server's own settings, so that it changes only what it names; Tempo sets everything that an
//! entry does not name to zero. Both forms of keys are known.

use super::draft::{Draft, check_generator};
use super::env;
use super::keys::{ROOT, TENANT, TENANT_FLAT};
use super::schema::{Report, Walk, join, mismatch};
use super::yaml::{self, Entry, Node, Problem, Value};
use super::{Config, ConfigError};
use crate::model::TenantId;
use crate::overrides::EVERYONE_ELSE;
use std::collections::BTreeMap;
use std::path::Path;

/// Reads the file. Each entry becomes the settings as they would be if they held for that tenant only.
///
/// `env` looks up variables if `base` says that they are expanded.
///
/// # Errors
/// As of the configuration file. Nothing of a file that has an error is used.
pub fn load_tenants(path: &Path, base: &Config, env: &dyn Fn(&str) -> Option<String>) -> Result<BTreeMap<String, Config>, ConfigError> {
    let path = path.display().to_string();
    let text = std::fs::read_to_string(&path).map_err(|source| ConfigError::Read { path: path.clone(), source })?;
    let text = match base.overrides.expand_env {
        true => env::expand(&text, env).map_err(|message| ConfigError::Expand { path: path.clone(), message })?,
        false => text,
    };
    let syntax = |problem: Problem| ConfigError::Syntax { path: path.clone(), line: problem.line, message: problem.message };
    let document = yaml::parse(&text).map_err(syntax)?;
    let mut reader = Reader { base, problems: document.problems, tenants: BTreeMap::new() };
    reader.root(&document.root);
    let Reader { mut problems, tenants, .. } = reader;
    if problems.is_empty() {
        return Ok(tenants);
    }
    problems.sort();
    problems.dedup();
    Err(ConfigError::Keys { path, problems })
}

struct Reader<'b> {
    base: &'b Config,
    problems: Vec<Problem>,
    tenants: BTreeMap<String, Config>,
}

impl Reader<'_> {
    fn root(&mut self, root: &Node) {
        for Entry { key, line, node } in self.entries(root).to_vec() {
            if key != "overrides" {
                self.problems.push(Problem::new(line, format!("field {key} not found in type overrides.perTenantOverrides")));
                continue;
            }
            for tenant in self.entries(&node).to_vec() {
                self.tenant(&tenant);
            }
        }
    }

    fn entries<'n>(&mut self, node: &'n Node) -> &'n [Entry] {
        match &node.value {
            Value::Null => &[],
            Value::Map(entries) => entries,
            _ => {
                self.problems.push(mismatch(node, "overrides.perTenantOverrides"));
                &[]
            }
        }
    }

    fn tenant(&mut self, Entry { key, line, node }: &Entry) {
        if key != EVERYONE_ELSE
            && let Err(error) = TenantId::parse(key)
        {
            return self.problems.push(Problem::new(*line, error.to_string()));
        }
        let entries = self.entries(node);
        let is_scoped = entries.iter().all(|entry| TENANT.find(&entry.key).is_some());
        let mut draft = Draft { config: self.base.clone(), ..Draft::default() };
        let mut report = Report::default();
        let table = if is_scoped { &TENANT } else { &TENANT_FLAT };
        Walk::new(&ROOT, &mut report).section(&mut draft, table, node, &join("overrides", key));
        draft.settle(&mut report);
        if let Err(message) = check_generator(&draft.config.generator.defaults) {
            report.problems.push(Problem::new(*line, format!("overrides.{key}: {message}")));
        }
        self.problems.extend(report.problems);
        self.tenants.insert(key.clone(), draft.config);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::settings::{HistogramMode, Processors};
    use std::time::Duration;

    fn load(text: &str) -> Result<BTreeMap<String, Config>, String> {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("overrides.yaml");
        std::fs::write(&path, text).expect("writable");
        let mut base = Config::default();
        base.ingestion.rate_limit_bytes = Some(7);
        base.overrides.expand_env = true;
        load_tenants(&path, &base, &|name| (name == "RATE").then(|| "9".to_string())).map_err(|error| error.to_string())
    }

    #[test]
    fn an_entry_changes_only_what_it_names() {
        let tenants = load(
            "overrides:\n  a:\n    ingestion: {burst_size_bytes: 8}\n    compaction: {block_retention: 2h}\n  \"*\":\n    \
             ingestion_rate_limit_bytes: ${RATE}\n  empty:\n",
        );
        let tenants = tenants.expect("a file");
        let ingestion = |name: &str| (tenants[name].ingestion.rate_limit_bytes, tenants[name].ingestion.burst_size_bytes);
        assert_eq!((ingestion("a"), ingestion("*"), ingestion("empty")), ((Some(7), Some(8)), (Some(9), None), (Some(7), None)));
        assert_eq!(tenants["a"].retention.block_retention, Some(Duration::from_secs(7200)));
        assert_eq!(tenants["*"].retention.block_retention, Some(Duration::from_secs(336 * 3600)));
        assert!(load("").expect("nothing").is_empty() && load("overrides:\n").expect("nothing").is_empty());
    }

    #[test]
    fn the_generator_of_a_tenant_is_told_by_both_forms_of_keys() {
        let tenants = load(
            "overrides:\n  scoped:\n    metrics_generator:\n      processors: [span-metrics-count]\n      max_active_series: 5\n      \
             generate_native_histograms: both\n      processor: {span_metrics: {dimensions: [x], filter_policies: [{exclude: {match_type: \
             strict, attributes: [{key: kind, value: SPAN_KIND_CLIENT}]}}]}}\n      remote_write_headers: {X-Key: secret}\n  flat:\n    \
             metrics_generator_processors: []\n    metrics_generator_collection_interval: 30s\n    \
             metrics_generator_processor_service_graphs_dimensions: [y]\n",
        );
        let tenants = tenants.expect("a file");
        let (scoped, flat) = (&tenants["scoped"].generator.defaults, &tenants["flat"].generator.defaults);
        assert_eq!(scoped.processors, Processors { span_count: true, ..Processors::default() });
        assert_eq!((scoped.max_active_series, scoped.histograms), (Some(5), HistogramMode::Both));
        assert_eq!((scoped.span_metrics.dimensions.as_slice(), scoped.span_metrics.filters.len()), (&["x".to_owned()][..], 1));
        assert_eq!(scoped.remote_write_headers.0["X-Key"], "secret");
        assert_eq!((flat.processors, flat.collection_interval), (Processors::default(), Duration::from_secs(30)));
        assert_eq!((flat.service_graphs.dimensions.as_slice(), &flat.span_metrics), (&["y".to_owned()][..], &Default::default()));
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (text, part) in [
            ("overrides: [", "yaml: line"),
            ("tenants: {}", "line 1: field tenants not found"),
            ("overrides: 5", "cannot unmarshal"),
            ("overrides:\n  a/b: {}", "line 2: tenant ID 'a/b' contains unsupported character '/'"),
            ("overrides:\n  a:\n    ingestion:\n      rate_limit_byte: 5", "did you mean \"rate_limit_bytes\"?"),
            ("overrides:\n  a:\n    ingestion:\n      rate_limit_bytes: many", "line 4: cannot unmarshal"),
            ("overrides:\n  a:\n    metrics_generator: {processors: [span-metric]}", "span-metric is no processor"),
            (
                "overrides:\n  a:\n    metrics_generator_processor_span_metrics_histogram_buckets: [2, 1]",
                "line 2: overrides.a: metrics_generator.processor.span_metrics.histogram_buckets: bounds must grow",
            ),
            (
                "overrides:\n  a:\n    metrics_generator: {processor: {span_metrics: {dimensions: [x.y], dimension_mappings: [{name: x_y}]}}}",
                "the label \"x_y\" is used twice",
            ),
        ] {
            let error = load(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
        assert!(load_tenants(Path::new("/nowhere"), &Config::default(), &|_| None).is_err());
    }
}
