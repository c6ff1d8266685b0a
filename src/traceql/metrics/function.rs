//! One metrics query: what it keeps while spans are observed, and the series that come of it.

use super::buckets::Buckets;
use super::cells::Cells;
use super::compare::{Comparison, Counted};
use super::exemplars::Exemplars;
use super::groups::{GroupOf, GroupTable};
use super::keys::{Keys, Spans};
use super::numbers;
use super::quantile::{Bin, quantile};
use super::second_stages;
use super::selected::Selected;
use super::series::{Label, Series, all_nil, group_labels, label_names};
use crate::traceql::ast::{Attribute, CountingOp, MetricsFunction, MetricsQuery, OverTimeOp, Pipeline, SecondStage};
use crate::traceql::eval::result::used;
use crate::traceql::eval::{Bitmap, EvalError, Scalar};
use std::collections::HashMap;
use std::sync::Arc;

/// A metrics query, compiled.
#[derive(Clone, Debug)]
pub struct Function {
    /// Decides which spans are observed.
    pub(super) pipeline: Pipeline,
    name: &'static str,
    pub(super) kind: Kind,
    pub(super) by: Vec<Attribute>,
    labels: Vec<Arc<str>>,
    stages: Vec<SecondStage>,
    pub(super) buckets: Buckets,
    num_exemplars: usize,
    /// What all its parts together may take.
    max_bytes: usize,
    /// Attributes that exemplars show.
    shown: Vec<Attribute>,
}

/// What is computed of the observed spans.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Count { is_rate: bool },
    OverTime(OverTimeOp, Attribute),
    Histogram(Attribute),
    Quantile(Attribute, Vec<f64>),
    Compare(Comparison),
}

/// What a query has observed so far.
#[derive(Clone, Debug)]
pub struct Observed {
    groups: GroupTable,
    cells: Cells,
    exemplars: Exemplars,
    compared: Counted,
}

impl Function {
    /// Compiles a query that validation has accepted, to be run within about `max_bytes` of memory besides what a source takes; fails as
    /// [`crate::traceql::eval::Filter::compile`] does.
    pub fn compile(query: &MetricsQuery, buckets: Buckets, num_exemplars: usize, max_bytes: usize) -> Result<Self, EvalError> {
        let by = query.function.group_by().to_vec();
        let kind = match &query.function {
            MetricsFunction::Counting { op, .. } => Kind::Count { is_rate: *op == CountingOp::Rate },
            MetricsFunction::OverTime { op: OverTimeOp::Histogram, attribute, .. } => Kind::Histogram(attribute.clone()),
            MetricsFunction::OverTime { op, attribute, .. } => Kind::OverTime(*op, attribute.clone()),
            MetricsFunction::Quantile { attribute, quantiles, .. } => Kind::Quantile(attribute.clone(), quantiles.clone()),
            MetricsFunction::Compare(compare) => Kind::Compare(Comparison::compile(compare)?),
        };
        let mut shown = used(&query.pipeline);
        for attribute in by.iter().chain(query.function.attribute()) {
            if !shown.contains(attribute) {
                shown.push(attribute.clone());
            }
        }
        Ok(Function {
            pipeline: query.pipeline.clone(),
            name: query.function.name(),
            kind,
            labels: label_names(&by),
            by,
            stages: query.second_stages.clone(),
            buckets,
            num_exemplars,
            max_bytes,
            shown,
        })
    }

    /// The stages that decide which spans are observed.
    pub fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// What it may take of memory besides what a source takes.
    pub fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// The state before any span was observed, one of `num_parts` that are merged in the end.
    pub fn start(&self, num_parts: usize) -> Observed {
        // Half is for the parts, half for what they are merged into.
        let max_bytes = self.max_bytes / 2 / num_parts.max(1);
        let cells = match &self.kind {
            Kind::OverTime(op, _) => Cells::over_time(*op),
            _ => Cells::counts(),
        };
        let has_bucket = matches!(self.kind, Kind::Histogram(_) | Kind::Quantile(..));
        let group_bytes = cells.cell_bytes().saturating_mul(self.buckets.len());
        Observed {
            groups: GroupTable::new(self.by.len() + usize::from(has_bucket), group_bytes, max_bytes),
            cells,
            exemplars: self.exemplars(),
            compared: Counted::new(max_bytes),
        }
    }

    /// None yet. Comparisons have none.
    pub(super) fn exemplars(&self) -> Exemplars {
        Exemplars::new(&self.buckets, if matches!(self.kind, Kind::Compare(_)) { 0 } else { self.num_exemplars })
    }

    /// Observes the rows of a source that the pipeline keeps.
    pub fn observe(&self, spans: Spans<'_>, kept: &Bitmap, observed: &mut Observed) -> Result<(), EvalError> {
        let selected = Selected::of(spans, kept, &self.buckets, observed.wants_exemplars())?;
        if selected.is_empty() {
            return Ok(());
        }
        let mut keys = self.by.iter().map(|attribute| Keys::read(spans, attribute, selected.rows())).collect::<Result<Vec<_>, _>>()?;
        match &self.kind {
            Kind::Compare(comparison) => comparison.observe(spans, &selected, self.buckets.len(), &mut observed.compared),
            Kind::Count { .. } => {
                let groups = observed.add(&keys, &selected, &[], self.buckets.len(), false);
                observed.exemplars.observe(spans, &self.shown, &selected, &groups, |_| Some(f64::NAN))
            }
            Kind::OverTime(_, attribute) => {
                let values = numbers::read(spans, attribute, selected.rows())?;
                let groups = observed.add(&keys, &selected, &values, self.buckets.len(), false);
                let value = |index: usize| Some(values[index]).filter(|value| !value.is_nan());
                observed.exemplars.observe(spans, &self.shown, &selected, &groups, value)
            }
            Kind::Histogram(attribute) | Kind::Quantile(attribute, _) => {
                let values = numbers::whole(spans, attribute, selected.rows())?;
                keys.push(numbers::exponents(&values));
                let groups = observed.add(&keys, &selected, &[], self.buckets.len(), true);
                let is_quantile = matches!(self.kind, Kind::Quantile(..));
                let value = |index: usize| if is_quantile { numbers::shown(attribute, values[index] as f64) } else { f64::NAN };
                observed.exemplars.observe(spans, &self.shown, &selected, &groups, |index| Some(value(index)))
            }
        }
    }

    /// Whether every span counts in one series, which is there even without spans.
    fn has_one_series(&self) -> bool {
        self.by.is_empty() && matches!(self.kind, Kind::Count { .. })
    }

    /// The series of what was observed, after the query's own second stages. `has_data` says that there was something to look at.
    pub fn finish(&self, observed: Observed, has_data: bool) -> Vec<Series> {
        let series = match &self.kind {
            Kind::Compare(comparison) => comparison.finish(&observed.compared, &self.buckets),
            Kind::Quantile(attribute, shares) => self.quantiles(observed, attribute, shares),
            _ if observed.groups.is_empty() && self.has_one_series() && has_data => {
                vec![Series::new(self.labels_of(&mut std::iter::empty(), None), vec![0.0; self.buckets.len()])]
            }
            _ => self.grouped(observed),
        };
        second_stages::apply(&self.stages, series)
    }

    /// One series for each group.
    fn grouped(&self, observed: Observed) -> Vec<Series> {
        let Observed { groups, cells, exemplars, .. } = observed;
        let (per, is_mean) = match &self.kind {
            Kind::Count { is_rate: true } => (self.buckets.step_seconds(), false),
            Kind::OverTime(OverTimeOp::Avg, _) => (1.0, true),
            _ => (1.0, false),
        };
        let series = |group: usize| {
            let mut values = groups.values(group);
            let bucket = match &self.kind {
                Kind::Histogram(attribute) => groups.values(group).last().map(|exponent| bound_label(attribute, &exponent)),
                _ => None,
            };
            let mut samples = cells.samples(group, self.buckets.len(), per, is_mean);
            if !groups.is_single() && cells.are_emptied(group, self.buckets.len()) {
                samples.fill(f64::NAN);
            }
            Series::new(self.labels_of(&mut values, bucket), samples)
        };
        let mut series: Vec<Series> = (0..groups.len()).map(series).collect();
        exemplars.into_taken().into_iter().for_each(|taken| series[taken.group as usize].exemplars.push(taken.exemplar));
        series
    }

    /// One series for each group without its bucket, and share.
    fn quantiles(&self, observed: Observed, attribute: &Attribute, shares: &[f64]) -> Vec<Series> {
        let Observed { groups, cells, exemplars, .. } = observed;
        let num_buckets = self.buckets.len();
        let mut series = Vec::new();
        let mut series_of_group = vec![0; groups.len()];
        let mut totals = Vec::new();
        for members in by_prefix(&groups) {
            members.iter().for_each(|(_, group)| series_of_group[*group] = series.len());
            let bins = |counts: &dyn Fn(usize) -> u64| -> Vec<Bin> {
                members.iter().map(|(exponent, group)| (numbers::shown(attribute, (*exponent as f64).exp2()), counts(*group))).collect()
            };
            let in_bucket: Vec<Vec<Bin>> =
                (0..num_buckets).map(|bucket| bins(&|group| cells.counts_of(group, num_buckets)[bucket])).collect();
            let overall = bins(&|group| cells.counts_of(group, num_buckets).iter().sum());
            for share in shares {
                let label = Some(Label::double("p", *share));
                let labels = self.labels_of(&mut groups.values(members[0].1), label);
                let is_emptied = overall.iter().all(|(_, count)| *count == 0);
                let sample = |bins: &Vec<Bin>| if is_emptied { f64::NAN } else { quantile(*share, bins) };
                series.push(Series::new(labels, in_bucket.iter().map(sample).collect()));
                totals.push(quantile(*share, &overall));
            }
        }
        // Each exemplar goes to the share whose value over the whole range is nearest to its own (§11.10).
        for taken in exemplars.into_taken() {
            let first = series_of_group[taken.group as usize];
            let distance = |at: &usize| (totals[*at] - taken.exemplar.value).abs();
            let nearest = (first..first + shares.len()).min_by(|left, right| distance(left).total_cmp(&distance(right)));
            nearest.into_iter().for_each(|at| series[at].exemplars.push(taken.exemplar.clone()));
        }
        series
    }

    /// The labels of a group: those of `by`, then one of the function's own.
    fn labels_of(&self, values: &mut dyn Iterator<Item = Scalar>, own: Option<Label>) -> Vec<Label> {
        let mut labels = group_labels(&self.labels, values);
        labels.extend(own);
        match (labels.is_empty(), self.by.is_empty()) {
            (false, _) => labels,
            (true, true) => vec![Label::text("__name__", self.name)],
            (true, false) => all_nil(&self.labels),
        }
    }
}

/// The label of a histogram's bucket.
fn bound_label(attribute: &Attribute, exponent: &Scalar) -> Label {
    Label::double("__bucket", numbers::shown(attribute, exponent_of(exponent).exp2()))
}

fn exponent_of(value: &Scalar) -> f64 {
    match value {
        Scalar::Int(exponent) => *exponent as f64,
        _ => 0.0,
    }
}

/// Groups that differ in their last key only: the exponent of a bucket, and the group; ascending.
fn by_prefix(groups: &GroupTable) -> Vec<Vec<(i64, usize)>> {
    let mut order: HashMap<Vec<u32>, usize> = HashMap::new();
    let mut members: Vec<Vec<(i64, usize)>> = Vec::new();
    for group in 0..groups.len() {
        let at = *order.entry(groups.prefix(group).to_vec()).or_insert(members.len());
        if at == members.len() {
            members.push(Vec::new());
        }
        let exponent = groups.values(group).last().map_or(0, |value| if let Scalar::Int(exponent) = value { exponent } else { 0 });
        members[at].push((exponent, group));
    }
    members.iter_mut().for_each(|members| members.sort_unstable());
    members
}

impl Observed {
    /// Observes rows with these keys and values.
    fn add(&mut self, keys: &[Keys<'_>], selected: &Selected, values: &[f64], num_buckets: usize, drops_nil: bool) -> GroupOf {
        let groups = self.groups.assign(keys, selected.len(), drops_nil);
        self.cells.grow(self.groups.len() * num_buckets);
        self.cells.observe(num_buckets, &groups, &selected.buckets, values);
        groups
    }

    /// As [`add`](Self::add) for rows that count as often as `weights` says, for each of the selected ones.
    pub(super) fn add_weighted(
        &mut self,
        keys: &[Keys<'_>],
        selected: &Selected,
        weights: impl Iterator<Item = u64>,
        num_buckets: usize,
        drops_nil: bool,
    ) -> GroupOf {
        let groups = self.groups.assign(keys, selected.len(), drops_nil);
        self.cells.grow(self.groups.len() * num_buckets);
        self.cells.observe_weighted(num_buckets, &groups, &selected.buckets, weights);
        groups
    }

    pub(super) fn wants_exemplars(&self) -> bool {
        self.exemplars.are_wanted()
    }

    pub(super) fn take_exemplars(
        &mut self,
        function: &Function,
        spans: Spans<'_>,
        selected: &Selected,
        groups: &GroupOf,
        value: &dyn Fn(usize) -> Option<f64>,
    ) -> Result<(), EvalError> {
        self.exemplars.observe(spans, &function.shown, selected, groups, value)
    }

    /// Adds what was observed elsewhere by the same query.
    pub fn merge(&mut self, other: Observed, function: &Function) {
        let groups = self.groups.merge(&other.groups, function.max_bytes / 2);
        let num_buckets = function.buckets.len();
        self.cells.grow(self.groups.len() * num_buckets);
        self.cells.merge(&other.cells, &groups, num_buckets);
        self.exemplars.merge(other.exemplars, &groups);
        if let Kind::Compare(comparison) = &function.kind {
            comparison.merge(&mut self.compared, other.compared, function.max_bytes / 2);
        }
    }

    /// Adds what a comparison has counted.
    pub fn add_counted(&mut self, function: &Function, counted: Counted) {
        if let Kind::Compare(comparison) = &function.kind {
            comparison.merge(&mut self.compared, counted, function.max_bytes);
        }
    }

    /// Bytes that groups, samples and counts take, about.
    pub fn num_bytes(&self) -> usize {
        self.groups.num_bytes() + self.compared.num_bytes()
    }

    /// Whether groups had to be left out.
    pub fn is_partial(&self) -> bool {
        self.groups.is_full()
    }
}
