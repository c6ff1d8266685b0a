//! Keys of the metrics generator.

use super::{good, load_text, seconds};
use crate::generator::settings::Processors;
use std::path::Path;

#[test]
fn keys_of_the_generator() {
    use crate::columns::Value;
    use crate::generator::settings::{Authorization, Credential, HistogramMode, Limiter};
    use crate::generator::{Field, Wanted};
    let config = good("generator.yaml").config;
    let generator = &config.generator;
    assert_eq!((generator.history_bytes, generator.add_org_id_header, generator.flush_deadline), (1 << 20, false, seconds(3)));
    assert_eq!(generator.storage_path.as_deref(), Some(Path::new("/tmp/generator")));
    let [one, two] = &generator.remote_write[..] else { panic!("two receivers") };
    assert_eq!((one.timeout, one.max_samples_per_send, one.min_backoff, one.max_backoff), (seconds(7), 9, seconds(1), seconds(2)));
    assert!(one.authorization == Authorization::Basic { user: "u".to_owned(), password: Credential::Text("p".to_owned()) });
    let token = Credential::Text("s3cr3t".to_owned());
    assert!(two.authorization == Authorization::Scheme { scheme: "Bearer".to_owned(), credentials: token } && two.skip_verify);
    let defaults = &generator.defaults;
    let wanted = Processors::named(["span-metrics-count", "service-graphs-latency", "host-info"]).expect("known");
    assert_eq!((defaults.processors, defaults.limiter, defaults.histograms), (wanted, Limiter::Entity, HistogramMode::Both));
    assert_eq!(
        (defaults.max_active_series, defaults.max_active_entities, defaults.max_cardinality_per_label),
        (Some(17), Some(3), Some(4))
    );
    assert_eq!(
        (defaults.collection_interval, defaults.stale_duration, defaults.time_range_slack),
        (seconds(20), seconds(300), seconds(7200))
    );
    let graphs = &defaults.service_graphs;
    assert_eq!(
        (graphs.wait, graphs.max_items, &graphs.buckets[..], &graphs.dimensions[..]),
        (seconds(4), 5, &[1.0, 2.0][..], &["b".to_owned()][..])
    );
    assert!(graphs.client_server_prefix && graphs.messaging_latency && graphs.virtual_node_label);
    let spans = &defaults.span_metrics;
    assert_eq!(
        (&spans.dimensions[..], &spans.mappings[0].source_labels[..]),
        (&["c".to_owned()][..], &["x".to_owned(), "y".to_owned()][..])
    );
    assert!(spans.target_info && !spans.instance_label && !spans.intrinsic.span_name && spans.intrinsic.status_message);
    let exclude = &spans.filters[0].exclude.as_ref().expect("given").0;
    assert_eq!(exclude[0].field, Field::Kind);
    assert_eq!(exclude[1].wanted, Wanted::Exactly(Value::Int(3)));
    assert_eq!(exclude[2].wanted, Wanted::Exactly(Value::Str("3".into())));
    let printed = format!("{config:?}");
    assert!(!["hidden", "user:word", "s3cr3t"].iter().any(|secret| printed.contains(secret)), "{printed}");
}

#[test]
fn rules_for_labels_are_read_and_checked() {
    use crate::generator::settings::{RelabelAction, SpanNameMode};
    let with =
        |rules: &str| format!("metrics_generator: {{storage: {{remote_write: [{{url: 'http://a', write_relabel_configs: {rules}}}]}}}}\n");
    let config = load_text(&with("[{source_labels: [a, b], regex: x.*, action: Drop}, {target_label: c, replacement: d}]"), &[])
        .expect("loads")
        .config;
    let rules = &config.generator.remote_write[0].relabel;
    assert_eq!((rules[0].action, &rules[0].source_labels[..]), (RelabelAction::Drop, &["a".to_owned(), "b".to_owned()][..]));
    assert!(rules[0].pattern.regex().is_match("xyz") && !rules[0].pattern.regex().is_match("axyz"), "a whole text has to match");
    assert_eq!((rules[1].action, rules[1].target_label.as_str(), rules[1].replacement.as_str()), (RelabelAction::Replace, "c", "d"));
    for (rules, message) in [
        ("[{action: remove}]", "unknown relabel action \"remove\""),
        ("[{action: replace}]", "requires 'target_label' value"),
        ("[{action: hashmod, target_label: a}]", "requires non-zero modulus"),
        ("[{regex: '('}]", "regex parse error"),
        ("[{source_label: [a]}]", "did you mean \"source_labels\"?"),
    ] {
        let error = load_text(&with(rules), &[]).expect_err(rules).to_string();
        assert!(error.contains(message), "{rules}: {error}");
    }
    let names = "overrides: {metrics_generator_span_name_sanitization: enabled}\n";
    assert_eq!(load_text(names, &[]).expect("loads").config.generator.defaults.span_names, SpanNameMode::Sanitised);
}

#[test]
fn the_generator_can_be_switched_off() {
    let none = Processors::default();
    for text in ["metrics_generator_enabled: false\n", "overrides: {defaults: {metrics_generator: {processors: []}}}\n"] {
        assert_eq!(load_text(text, &[]).expect("loads").config.generator.defaults.processors, none, "{text}");
    }
    let twice = "metrics_generator: {processor: {span_metrics: {dimensions: [a.b], dimension_mappings: [{name: a_b}]}}}\n";
    assert!(load_text(twice, &[]).expect_err("refused").to_string().contains("is used twice"));
}
