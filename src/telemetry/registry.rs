//! `/metrics`: numbers that stages keep as plain atomics, collected when somebody asks.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, text};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::fmt;

/// What a number does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Only grows; its name ends in `_total` on the wire.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// One metric at one moment.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Name without `_total`.
    pub name: &'static str,
    /// What it means, in words.
    pub help: &'static str,
    /// Whether it only grows.
    pub behaviour: Behaviour,
    /// Values with their labels.
    pub values: Vec<(Vec<(&'static str, String)>, f64)>,
}

/// Reads all metrics of the server.
pub type Read = dyn Fn() -> Vec<Reading> + Send + Sync;

struct Readings(Box<Read>);

impl fmt::Debug for Readings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Readings")
    }
}

impl Collector for Readings {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        for reading in (self.0)() {
            let is_counter = reading.behaviour == Behaviour::Counter;
            let metric_type = if is_counter { ConstCounter::new(0.0).metric_type() } else { ConstGauge::new(0.0).metric_type() };
            let mut metric = encoder.encode_descriptor(reading.name, reading.help, None, metric_type)?;
            for (labels, value) in &reading.values {
                let labels = Labels(labels);
                let family = metric.encode_family(&labels)?;
                match is_counter {
                    true => ConstCounter::new(*value).encode(family)?,
                    false => ConstGauge::new(*value).encode(family)?,
                }
            }
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Labels<'a>(&'a [(&'static str, String)]);

impl EncodeLabelSet for Labels<'_> {
    fn encode(&self, encoder: &mut prometheus_client::encoding::LabelSetEncoder<'_>) -> Result<(), fmt::Error> {
        use prometheus_client::encoding::EncodeLabel;
        for (key, value) in self.0 {
            (*key, value.as_str()).encode(encoder.encode_label())?;
        }
        Ok(())
    }
}

/// Names and values of labels.
pub type LabelPairs = Vec<(&'static str, String)>;

/// How long something took, by labels; cheap to clone, all clones are one.
#[derive(Clone, Debug)]
pub struct Durations(Family<LabelPairs, Histogram, fn() -> Histogram>);

impl Default for Durations {
    fn default() -> Self {
        Durations(Family::new_with_constructor(histogram))
    }
}

/// The classic buckets of Tempo's request durations, seconds (spec/operations.md §6.1).
fn histogram() -> Histogram {
    Histogram::new([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0])
}

impl Durations {
    /// Counts one that took so many seconds. Labels must come from a bounded set.
    pub fn observe(&self, labels: LabelPairs, seconds: f64) {
        self.0.get_or_create(&labels).observe(seconds);
    }
}

/// The registry of the process.
pub struct Metrics {
    registry: Registry,
}

impl Metrics {
    /// A registry that calls `read` for every scrape.
    pub fn new(read: Box<Read>) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Readings(read)));
        Metrics { registry }
    }

    /// The same registry with durations, too.
    pub fn with(mut self, name: &'static str, help: &'static str, durations: &Durations) -> Self {
        self.registry.register(name, help, durations.0.clone());
        self
    }

    /// The text of `/metrics`, in OpenMetrics form.
    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail; names and labels are ours.
        let _ = text::encode(&mut out, &self.registry);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_and_gauges_are_written() {
        let read = || {
            let labels = vec![("tenant", "a\"b".to_string())];
            vec![
                Reading { name: "spans", help: "Spans", behaviour: Behaviour::Counter, values: vec![(labels, 3.0)] },
                Reading { name: "held", help: "Held", behaviour: Behaviour::Gauge, values: vec![(Vec::new(), 1.5)] },
            ]
        };
        let text = Metrics::new(Box::new(read)).text();
        assert!(text.contains("# TYPE spans counter\nspans_total{tenant=\"a\\\"b\"} 3.0\n"), "{text}");
        assert!(text.contains("# TYPE held gauge\nheld{} 1.5\n"), "{text}");
        assert!(text.ends_with("# EOF\n"), "{text}");
    }

    #[test]
    fn durations_are_written_with_their_buckets() {
        let durations = Durations::default();
        let metrics = Metrics::new(Box::new(Vec::new)).with("took_seconds", "Time", &durations);
        durations.observe(vec![("route", "a".to_string())], 0.2);
        durations.observe(vec![("route", "a".to_string())], 0.003);
        let text = metrics.text();
        for line in
            ["took_seconds_sum{route=\"a\"} 0.203", "took_seconds_bucket{le=\"0.1\",route=\"a\"} 1", "took_seconds_count{route=\"a\"} 2"]
        {
            assert!(text.contains(line), "{line}: {text}");
        }
    }
}
