//! The series of a tenant as text to be scraped: Prometheus' own format, or OpenMetrics with exemplars.

use super::histogram::Histogram;
use super::series::{Metric, MetricKind, Series, SeriesValue};
use super::tenant::Tenant;
use crate::model::gofmt::float_g;
use std::fmt::Write;

/// The two formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextFormat {
    /// `text/plain; version=0.0.4`.
    Prometheus,
    /// `application/openmetrics-text; version=1.0.0`.
    OpenMetrics,
}

/// All series of a tenant; none if it is told not to collect any.
pub fn text(tenant: &Tenant, format: TextFormat) -> String {
    let mut writer = Writer { out: String::new(), format, external: tenant.external_labels(), exemplar: &tenant.settings().trace_id_label };
    if !tenant.settings().disable_collection {
        tenant.registry().metrics().iter().for_each(|metric| writer.metric(metric));
    }
    writer.finish()
}

/// The text of a tenant that has sent nothing.
pub fn empty(format: TextFormat) -> String {
    Writer { out: String::new(), format, external: Vec::new(), exemplar: "" }.finish()
}

struct Writer<'a> {
    out: String,
    format: TextFormat,
    external: Vec<(String, String)>,
    exemplar: &'a str,
}

// Writing to a string cannot fail, so its results are dropped.
impl Writer<'_> {
    fn metric(&mut self, metric: &Metric) {
        let mut series = metric.series().peekable();
        if series.peek().is_none() {
            return;
        }
        let kind = match metric.kind {
            MetricKind::Counter => "counter",
            MetricKind::Info => "gauge",
            MetricKind::Histogram(_) => "histogram",
        };
        // OpenMetrics names a counter without the suffix that its samples have.
        let is_short = self.format == TextFormat::OpenMetrics && metric.kind == MetricKind::Counter;
        let family = if is_short { metric.name.strip_suffix("_total").unwrap_or(&metric.name) } else { &metric.name };
        let _ = writeln!(self.out, "# HELP {family} {}\n# TYPE {family} {kind}", metric.help);
        for one in series {
            match &one.value {
                SeriesValue::Number(value) => {
                    self.sample(&metric.name, "", one, None, *value);
                    self.out.push('\n');
                }
                SeriesValue::Histogram(histogram) => self.histogram(&metric.name, one, histogram),
            }
        }
    }

    fn histogram(&mut self, name: &str, series: &Series, histogram: &Histogram) {
        let bounds = histogram.bounds().iter().map(|bound| Some(*bound)).chain([None]);
        let mut cumulative = 0.0;
        for (bucket, bound) in bounds.enumerate() {
            cumulative += histogram.counts()[bucket];
            self.sample(name, "_bucket", series, Some(&bound_text(bound)), cumulative);
            if let (TextFormat::OpenMetrics, Some(exemplar)) = (self.format, histogram.exemplar(bucket)) {
                let _ = write!(self.out, " # {{{}=\"{}\"}} {}", self.exemplar, exemplar.trace, float_g(exemplar.value));
            }
            self.out.push('\n');
        }
        self.sample(name, "_sum", series, None, histogram.sum());
        self.out.push('\n');
        self.sample(name, "_count", series, None, cumulative);
        self.out.push('\n');
    }

    /// One sample without its line end.
    fn sample(&mut self, name: &str, suffix: &str, series: &Series, le: Option<&str>, value: f64) {
        let _ = write!(self.out, "{name}{suffix}{{");
        let external = self.external.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        // What a series says of itself goes before what is said of all.
        let external = external.filter(|(name, _)| series.labels.get(name).is_empty());
        let labels = series.labels.iter().chain(external).chain(le.map(|le| ("le", le)));
        for (at, (name, value)) in labels.enumerate() {
            let comma = if at > 0 { "," } else { "" };
            let _ = write!(self.out, "{comma}{name}=\"{}\"", escaped(value));
        }
        let _ = write!(self.out, "}} {}", float_g(value));
    }

    fn finish(mut self) -> String {
        if self.format == TextFormat::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
        self.out
    }
}

/// The text of a bucket's bound: a plain decimal (spec/metrics-generator.md §8).
pub(super) fn bound_text(bound: Option<f64>) -> String {
    bound.map_or_else(|| "+Inf".to_owned(), |bound| bound.to_string())
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
