//! What a query reads of a tenant: its series and their samples at one moment.
//!
//! It is taken in a short while under the tenant's lock, and shares finished samples with the tenant; whoever computes with it
//! holds up nobody.

use super::ast::Selector;
use crate::generator::history::{Log, Timeline};
use crate::generator::labels::LabelSet;
use crate::generator::series::MetricKind;
use crate::generator::tenant::{Retired, Tenant};
use std::collections::HashMap;
use std::sync::Arc;

/// Suffixes of the series of a histogram.
pub(super) const SUFFIXES: [&str; 3] = ["_bucket", "_sum", "_count"];

/// The series of a tenant with their samples, those that ended among them.
pub struct Past {
    pub(super) members: Vec<Member>,
    pub(super) timeline: Timeline,
    /// Labels that every series has besides its own.
    pub(super) external: Vec<(String, String)>,
}

/// A label set of a metric, with all its logs, oldest first.
pub(super) struct Member {
    pub(super) name: Arc<str>,
    pub(super) kind: MetricKind,
    pub(super) labels: Arc<LabelSet>,
    pub(super) logs: Vec<Log>,
}

impl Past {
    /// Of metrics whose name any of the selectors accepts; without selectors of all.
    pub fn of(tenant: &Tenant, selectors: &[&Selector]) -> Past {
        let (retired, timeline) = tenant.past();
        let is_asked = |name: &str, kind: &MetricKind| {
            selectors.is_empty()
                || selectors.iter().any(|selector| suffixes(kind).iter().any(|suffix| accepts_name(selector, name, suffix)))
        };
        let mut before: HashMap<(&str, &LabelSet), Vec<&Retired>> = HashMap::new();
        for one in retired.iter().filter(|one| is_asked(&one.metric, &one.kind)) {
            before.entry((&*one.metric, &*one.labels)).or_default().push(one);
        }
        let mut members = Vec::new();
        for metric in tenant.registry().metrics().iter().filter(|metric| is_asked(&metric.name, &metric.kind)) {
            for series in metric.series() {
                let earlier = before.remove(&(&*metric.name, &*series.labels)).unwrap_or_default();
                let logs = earlier.into_iter().map(|one| &one.log).chain([&series.log]).map(Log::to_read).collect();
                let (name, labels) = (Arc::clone(&metric.name), Arc::clone(&series.labels));
                members.push(Member { name, kind: metric.kind.clone(), labels, logs });
            }
        }
        // In order of their end, whatever the map says.
        let mut gone: Vec<Vec<&Retired>> = before.into_values().collect();
        gone.sort_unstable_by_key(|logs| std::ptr::from_ref(logs[0]));
        members.extend(gone.into_iter().map(|logs| {
            let first = logs[0];
            let (name, labels) = (Arc::clone(&first.metric), Arc::clone(&first.labels));
            Member { name, kind: first.kind.clone(), labels, logs: logs.into_iter().map(|one| one.log.to_read()).collect() }
        }));
        Past { members, timeline: timeline.clone(), external: tenant.external_labels() }
    }
}

/// What follows a metric's name in those of its series.
fn suffixes(kind: &MetricKind) -> &'static [&'static str] {
    match kind {
        MetricKind::Histogram(_) => &SUFFIXES,
        MetricKind::Counter | MetricKind::Info => &[""],
    }
}

/// Whether a selector says nothing against a name.
pub(super) fn accepts_name(selector: &Selector, name: &str, suffix: &str) -> bool {
    let mut conditions = selector.0.iter().filter(|matcher| matcher.label == "__name__").peekable();
    conditions.peek().is_none() || {
        let name = format!("{name}{suffix}");
        conditions.all(|matcher| matcher.accepts(&name))
    }
}
