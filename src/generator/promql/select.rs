//! Series of a tenant as Prometheus would know them, with their samples.

use super::PromqlError;
use super::ast::{Matcher, Selector};
use super::past::{Member, Past, accepts_name};
use crate::generator::exposition::bound_text;
use crate::generator::history::Timeline;
use crate::generator::series::MetricKind;
use std::collections::{BTreeMap, BTreeSet};

/// Names and values in order of the names, the metric's name among them.
pub type Labels = BTreeMap<String, String>;

/// The moments that a query asks for, Unix milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moments {
    /// The first.
    pub start: i64,
    /// None is later.
    pub end: i64,
    /// From one to the next.
    pub step: i64,
}

impl Moments {
    /// One moment.
    pub fn one(moment: i64) -> Self {
        Moments { start: moment, end: moment, step: 1 }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = i64> + use<> {
        let (start, step) = (self.start, self.step.max(1));
        (0..self.len() as i64).map(move |at| start + at * step)
    }

    /// Their number.
    pub fn len(&self) -> usize {
        usize::try_from((self.end - self.start).max(-1).div_euclid(self.step.max(1)) + 1).unwrap_or(0)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Which series somebody asks about, and when they must have had a sample.
pub struct Lookup<'q> {
    /// Any of these; none accepts all.
    pub selectors: &'q [Selector],
    /// The first moment, Unix milliseconds.
    pub start: i64,
    /// The last.
    pub end: i64,
}

/// What a log tells under one name.
struct Part<'s> {
    suffix: &'s str,
    bucket: Option<usize>,
    le: Option<String>,
}

/// Calls `visit` with each series that a selector accepts and its samples within `start..=end`.
pub(super) fn visit(
    past: &Past,
    selector: &Selector,
    (start, end): (i64, i64),
    mut visit: impl FnMut(Labels, &[(i64, f64)]) -> Result<(), PromqlError>,
) -> Result<(), PromqlError> {
    for member in &past.members {
        let accepted: Vec<(Part<'_>, Labels)> = parts(&member.kind)
            .into_iter()
            .filter(|part| accepts_name(selector, &member.name, part.suffix))
            .map(|part| (labels(member, &part, &past.external), part))
            .filter(|(labels, _)| accepts(selector, labels))
            .map(|(labels, part)| (part, labels))
            .collect();
        if accepted.is_empty() {
            continue;
        }
        let read = read(member, &past.timeline, (start, end));
        let mut samples = Vec::new();
        for (part, labels) in accepted {
            samples.clear();
            samples.extend(read.iter().map(|(time, values)| (*time, part.value(values))));
            if !samples.is_empty() {
                visit(labels, &samples)?;
            }
        }
    }
    Ok(())
}

fn parts(kind: &MetricKind) -> Vec<Part<'static>> {
    let MetricKind::Histogram(bounds) = kind else { return vec![Part { suffix: "", bucket: None, le: None }] };
    let bounds = bounds.iter().map(|bound| Some(*bound)).chain([None]);
    let bucket = |(at, bound)| Part { suffix: "_bucket", bucket: Some(at), le: Some(bound_text(bound)) };
    let mut parts: Vec<Part<'static>> = bounds.enumerate().map(bucket).collect();
    parts.extend(["_sum", "_count"].map(|suffix| Part { suffix, bucket: None, le: None }));
    parts
}

impl Part<'_> {
    fn value(&self, values: &[f64]) -> f64 {
        let buckets = values.split_last();
        match (self.suffix, self.bucket, buckets) {
            ("_bucket", Some(at), _) => values.iter().take(at + 1).sum(),
            ("_count", _, Some((_, buckets))) => buckets.iter().sum(),
            ("_sum", _, Some((sum, _))) => *sum,
            _ => values.first().copied().unwrap_or_default(),
        }
    }
}

fn labels(member: &Member, part: &Part<'_>, external: &[(String, String)]) -> Labels {
    let mut labels: Labels = external.iter().cloned().collect();
    labels.extend(member.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
    labels.extend(part.le.iter().map(|le| ("le".to_owned(), le.clone())));
    labels.insert("__name__".to_owned(), format!("{}{}", member.name, part.suffix));
    labels
}

fn accepts(selector: &Selector, labels: &Labels) -> bool {
    let value = |matcher: &Matcher| labels.get(&matcher.label).map_or("", String::as_str).to_owned();
    selector.0.iter().all(|matcher| matcher.accepts(&value(matcher)))
}

/// Times and values of all logs.
fn read(member: &Member, timeline: &Timeline, (start, end): (i64, i64)) -> Vec<(i64, Vec<f64>)> {
    let num_values = match &member.kind {
        MetricKind::Histogram(bounds) => bounds.len() + 2,
        MetricKind::Counter | MetricKind::Info => 1,
    };
    let sum_at = (num_values > 1).then_some(num_values - 1);
    let mut samples: Vec<(i64, Vec<f64>)> = Vec::new();
    for log in &member.logs {
        if let Some((zero, _)) = log.zero.filter(|(zero, _)| (start..=end).contains(zero))
            && samples.last().is_none_or(|(time, _)| *time < zero)
        {
            samples.push((zero, vec![0.0; num_values]));
        }
        log.read(timeline.within(start, end), sum_at, |tick, values| {
            if let Some(time) = timeline.time(tick) {
                samples.push((time, values.to_vec()));
            }
        });
    }
    samples
}

/// The labels of all series that are asked about.
pub fn series_labels(past: &Past, lookup: &Lookup<'_>) -> Vec<Labels> {
    let ticks = past.timeline.within(lookup.start, lookup.end);
    let mut found = Vec::new();
    for member in &past.members {
        let mut has_sample = false;
        member.logs.iter().for_each(|log| has_sample |= log.has_any(&ticks));
        if !has_sample {
            continue;
        }
        let all = parts(&member.kind).into_iter().map(|part| labels(member, &part, &past.external));
        found.extend(all.filter(|labels| lookup.selectors.is_empty() || lookup.selectors.iter().any(|one| accepts(one, labels))));
    }
    found
}

/// The names of their labels.
pub fn label_names(past: &Past, lookup: &Lookup<'_>) -> BTreeSet<String> {
    series_labels(past, lookup).into_iter().flat_map(BTreeMap::into_keys).collect()
}

/// The values of one of their labels.
pub fn label_values(past: &Past, lookup: &Lookup<'_>, label: &str) -> BTreeSet<String> {
    series_labels(past, lookup).into_iter().filter_map(|mut labels| labels.remove(label)).collect()
}
