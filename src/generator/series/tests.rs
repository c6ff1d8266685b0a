use super::*;

fn registry(settings: Settings) -> (Registry, MetricId, MetricId) {
    let mut registry = Registry::new(&settings);
    let calls = registry.metric("calls", "", MetricKind::Counter);
    let latency = registry.metric("latency", "", MetricKind::Histogram([0.1, 1.0].into()));
    (registry, calls, latency)
}

fn named(registry: &mut Registry, name: &str) -> Arc<LabelSet> {
    let set = registry.rules().set([("name".into(), name)]);
    registry.limited(set)
}

#[test]
fn what_is_over_the_limit_is_one_series() {
    let (mut registry, calls, latency) = registry(Settings { max_active_series: Some(12), ..Settings::default() });
    for name in 0..1000 {
        let labels = named(&mut registry, &name.to_string());
        let slot = registry.slot(calls, &labels, 1);
        registry.count(calls, slot, 1.0, 1);
        let slot = registry.slot(latency, &labels, 1);
        registry.observe(latency, slot, seconds(0.5, TraceId::default()), 1.0, 1);
    }
    let counts = registry.counts();
    // Two whole label sets of 6 series, and one overflow of each metric.
    assert_eq!((counts.active_series, counts.limited), (12 + 6, 998 * 2));
    let values: Vec<(String, f64)> =
        registry.metrics()[0].series().map(|series| (series.labels.get("metric_overflow").to_owned(), number(series))).collect();
    assert_eq!(values, [(String::new(), 1.0), (String::new(), 1.0), ("true".to_owned(), 998.0)]);
}

fn number(series: &Series) -> f64 {
    match &series.value {
        SeriesValue::Number(value) => *value,
        SeriesValue::Histogram(histogram) => histogram.count(),
    }
}

#[test]
fn entities_can_be_limited_instead() {
    let settings = Settings { limiter: Limiter::Entity, max_active_entities: Some(2), ..Settings::default() };
    let (mut registry, calls, latency) = registry(settings);
    for name in ["a", "b", "c", "a"] {
        let labels = named(&mut registry, name);
        registry.slot(calls, &labels, 1);
        registry.slot(latency, &labels, 1);
    }
    assert_eq!(registry.counts().limited, 2);
    assert_eq!(registry.metrics()[1].series().count(), 3);
}

#[test]
fn stale_series_make_room() {
    let (mut registry, calls, _) = registry(Settings { max_active_series: Some(2), ..Settings::default() });
    for (name, now) in [("a", 1), ("b", 10), ("c", 20)] {
        let labels = named(&mut registry, name);
        registry.slot(calls, &labels, now);
    }
    let mut gone = Vec::new();
    let epoch = registry.epoch();
    registry.sweep(10, |_, _, series| gone.push(series.labels.get("name").to_owned()));
    assert_eq!((gone, registry.counts().removed), (vec!["a".to_owned()], 1));
    assert_ne!(registry.epoch(), epoch);
    // The overflow takes the place of one of the two.
    registry.sweep(21, |_, _, _| ());
    assert_eq!((registry.counts().active_series, registry.counts().active_entities), (0, 0));
    let labels = named(&mut registry, "d");
    let slot = registry.slot(calls, &labels, 30);
    registry.count(calls, slot, 1.0, 30);
    assert_eq!(registry.metrics()[0].series().map(|series| series.labels.get("name")).collect::<Vec<_>>(), ["d"]);
}

#[test]
fn a_label_with_too_many_values_gets_one_more() {
    let (mut registry, ..) = registry(Settings { max_cardinality_per_label: Some(2), ..Settings::default() });
    let values: Vec<String> = ["a", "b", "c", "a"].iter().map(|name| named(&mut registry, name).get("name").to_owned()).collect();
    assert_eq!(values, ["a", "b", CARDINALITY_OVERFLOW, "a"]);
    assert_eq!(registry.counts().values_limited, 1);
}
