//! Expressions to values, for all moments of a query at once.

use super::ast::{Aggregation, Call, Expr, Grouping, Operator, Selector};
use super::functions::{bucket_quantile, increase, without_resets};
use super::past::Past;
use super::select::{Labels, Moments, visit};
use super::{LOOKBACK_MILLIS, MAX_POINTS, PromqlError};
use std::collections::{BTreeMap, BTreeSet};

const NAME: &str = "__name__";

/// A series of an answer: a value for each moment that has one.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// What it is of.
    pub labels: Labels,
    /// By position of the moment.
    pub values: Vec<Option<f64>>,
}

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// A number, the same at all moments.
    Number(f64),
    /// Series.
    Series(Vec<Sample>),
}

/// Answers a query from the past of a tenant, which has to have what [`Expr::selectors`] name.
///
/// # Errors
/// A query that makes no sense, and one that is too large.
pub fn evaluate(past: &Past, expr: &Expr, moments: Moments) -> Result<Outcome, PromqlError> {
    Evaluation { past, moments, num_moments: moments.len() }.expr(expr)
}

struct Evaluation<'t> {
    past: &'t Past,
    moments: Moments,
    num_moments: usize,
}

impl Evaluation<'_> {
    fn expr(&self, expr: &Expr) -> Result<Outcome, PromqlError> {
        match expr {
            Expr::Number(number) => Ok(Outcome::Number(*number)),
            Expr::Selector(selector) => self.instant(selector).map(Outcome::Series),
            Expr::Call(Call::Rate(selector, range)) => self.growth(selector, *range, *range as f64 / 1000.0).map(Outcome::Series),
            Expr::Call(Call::Increase(selector, range)) => self.growth(selector, *range, 1.0).map(Outcome::Series),
            Expr::Call(Call::HistogramQuantile(quantile, of)) => {
                let series = self.series(of, "histogram_quantile")?;
                Ok(Outcome::Series(self.quantiles(*quantile, &series)))
            }
            Expr::Aggregate { how, grouping, of } => {
                let series = self.series(of, "an aggregation")?;
                Ok(Outcome::Series(self.aggregate(*how, grouping, series)))
            }
            Expr::Binary { operator, left, right } => binary(*operator, self.expr(left)?, self.expr(right)?),
        }
    }

    fn series(&self, expr: &Expr, what: &str) -> Result<Vec<Sample>, PromqlError> {
        match self.expr(expr)? {
            Outcome::Series(series) => Ok(series),
            Outcome::Number(_) => Err(PromqlError::Invalid(format!("{what} needs series, and got a number"))),
        }
    }

    /// Collects what `value` says of the samples of each series at each moment.
    fn collect(
        &self,
        selector: &Selector,
        reach: i64,
        mut value: impl FnMut(&[(i64, f64)]) -> Vec<Option<f64>>,
    ) -> Result<Vec<Sample>, PromqlError> {
        let mut found = Vec::new();
        let window = (self.moments.start - reach + 1, self.moments.end);
        visit(self.past, selector, window, |labels, samples| {
            let values = value(samples);
            if values.iter().any(Option::is_some) {
                found.push(Sample { labels, values });
            }
            if found.len() * self.num_moments > MAX_POINTS { Err(PromqlError::TooLarge) } else { Ok(()) }
        })?;
        Ok(found)
    }

    /// The last sample before each moment.
    fn instant(&self, selector: &Selector) -> Result<Vec<Sample>, PromqlError> {
        self.collect(selector, LOOKBACK_MILLIS, |samples| {
            let at = |moment: i64| {
                let last = samples.partition_point(|(time, _)| *time <= moment).checked_sub(1)?;
                let (time, value) = samples[last];
                (time > moment - LOOKBACK_MILLIS).then_some(value)
            };
            self.moments.iter().map(at).collect()
        })
    }

    fn growth(&self, selector: &Selector, range: i64, divisor: f64) -> Result<Vec<Sample>, PromqlError> {
        let mut series = self.collect(selector, range, |samples| {
            let grown = without_resets(samples);
            self.moments.iter().map(|moment| increase(samples, &grown, moment, range).map(|growth| growth / divisor)).collect()
        })?;
        series.iter_mut().for_each(|one| drop(one.labels.remove(NAME)));
        Ok(series)
    }

    fn quantiles(&self, quantile: f64, series: &[Sample]) -> Vec<Sample> {
        let mut groups: BTreeMap<Labels, Vec<(f64, &Sample)>> = BTreeMap::new();
        for one in series {
            let mut labels = one.labels.clone();
            labels.remove(NAME);
            let bound = labels.remove("le").and_then(|le| le.parse::<f64>().ok());
            if let Some(bound) = bound {
                groups.entry(labels).or_default().push((bound, one));
            }
        }
        let of_group = |(labels, buckets): (Labels, Vec<(f64, &Sample)>)| {
            let at = |moment: usize| {
                let known: Vec<(f64, f64)> = buckets.iter().filter_map(|(bound, series)| Some((*bound, series.values[moment]?))).collect();
                (!known.is_empty()).then(|| bucket_quantile(quantile, known))
            };
            Sample { labels, values: (0..self.num_moments).map(at).collect() }
        };
        groups.into_iter().map(of_group).collect()
    }

    fn aggregate(&self, how: Aggregation, grouping: &Grouping, series: Vec<Sample>) -> Vec<Sample> {
        let mut groups: BTreeMap<Labels, Vec<Sample>> = BTreeMap::new();
        for one in series {
            groups.entry(group_of(&one.labels, grouping)).or_default().push(one);
        }
        match how {
            Aggregation::TopK(num) => groups.into_values().flat_map(|members| self.largest(num, members)).collect(),
            _ => groups.into_iter().map(|(labels, members)| self.joined(how, labels, &members)).collect(),
        }
    }

    fn joined(&self, how: Aggregation, labels: Labels, members: &[Sample]) -> Sample {
        let at = |moment: usize| {
            let values: Vec<f64> = members.iter().filter_map(|member| member.values[moment]).collect();
            let sum = || values.iter().sum::<f64>();
            let num = values.len() as f64;
            (!values.is_empty()).then(|| match how {
                Aggregation::Sum => sum(),
                Aggregation::Avg => sum() / num,
                Aggregation::Min => values.iter().copied().fold(f64::NAN, f64::min),
                Aggregation::Max => values.iter().copied().fold(f64::NAN, f64::max),
                Aggregation::Count => num,
                Aggregation::Group | Aggregation::TopK(_) => 1.0,
            })
        };
        Sample { labels, values: (0..self.num_moments).map(at).collect() }
    }

    /// At each moment the largest few; in an answer for one moment the largest comes first.
    fn largest(&self, num: usize, mut members: Vec<Sample>) -> Vec<Sample> {
        for moment in 0..self.num_moments {
            let mut order: Vec<usize> = (0..members.len()).filter(|at| members[*at].values[moment].is_some()).collect();
            let value = |at: &usize| members[*at].values[moment].unwrap_or(f64::NEG_INFINITY);
            order.sort_by(|one, other| value(other).total_cmp(&value(one)));
            for at in order.into_iter().skip(num) {
                members[at].values[moment] = None;
            }
        }
        members.retain(|member| member.values.iter().any(Option::is_some));
        if self.num_moments == 1 {
            let value = |member: &Sample| member.values[0].unwrap_or(f64::NEG_INFINITY);
            members.sort_by(|one, other| value(other).total_cmp(&value(one)));
        }
        members
    }
}

fn group_of(labels: &Labels, grouping: &Grouping) -> Labels {
    let is_kept = |name: &str| match grouping {
        Grouping::By(kept) => kept.iter().any(|one| one == name),
        Grouping::Without(dropped) => name != NAME && !dropped.iter().any(|one| one == name),
    };
    labels.iter().filter(|(name, _)| is_kept(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn without_name(labels: &Labels) -> Labels {
    labels.iter().filter(|(name, _)| *name != NAME).map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn binary(operator: Operator, left: Outcome, right: Outcome) -> Result<Outcome, PromqlError> {
    let compute = |one: f64, other: f64| match operator {
        Operator::Add => one + other,
        Operator::Subtract => one - other,
        Operator::Multiply => one * other,
        Operator::Divide => one / other,
        Operator::Or => one,
    };
    Ok(match (left, right, operator) {
        (Outcome::Series(left), Outcome::Series(right), Operator::Or) => Outcome::Series(either(left, right)),
        (_, _, Operator::Or) => return Err(PromqlError::Invalid("or needs series on both sides".to_owned())),
        (Outcome::Number(one), Outcome::Number(other), _) => Outcome::Number(compute(one, other)),
        (Outcome::Series(series), Outcome::Number(number), _) => Outcome::Series(mapped(series, |value| compute(value, number))),
        (Outcome::Number(number), Outcome::Series(series), _) => Outcome::Series(mapped(series, |value| compute(number, value))),
        (Outcome::Series(left), Outcome::Series(right), _) => Outcome::Series(paired(&left, &right, compute)?),
    })
}

fn mapped(mut series: Vec<Sample>, compute: impl Fn(f64) -> f64) -> Vec<Sample> {
    for one in &mut series {
        one.labels.remove(NAME);
        one.values.iter_mut().flatten().for_each(|value| *value = compute(*value));
    }
    series
}

/// Series with the same labels on both sides.
fn paired(left: &[Sample], right: &[Sample], compute: impl Fn(f64, f64) -> f64) -> Result<Vec<Sample>, PromqlError> {
    let mut by_labels: BTreeMap<Labels, &Sample> = BTreeMap::new();
    let twice = || PromqlError::Invalid("several series on one side of an operator have the same labels".to_owned());
    for one in right {
        if by_labels.insert(without_name(&one.labels), one).is_some() {
            return Err(twice());
        }
    }
    let (mut pairs, mut used) = (Vec::new(), BTreeSet::new());
    for one in left {
        let labels = without_name(&one.labels);
        let Some(other) = by_labels.get(&labels) else { continue };
        if !used.insert(labels.clone()) {
            return Err(twice());
        }
        let values = one.values.iter().zip(&other.values).map(|(one, other)| Some(compute((*one)?, (*other)?))).collect();
        pairs.push(Sample { labels, values });
    }
    Ok(pairs)
}

/// All of the left, and of the right what the left has nothing with the same labels for at a moment.
fn either(mut left: Vec<Sample>, right: Vec<Sample>) -> Vec<Sample> {
    let mut by_labels: BTreeMap<Labels, Vec<usize>> = BTreeMap::new();
    for (at, one) in left.iter().enumerate() {
        by_labels.entry(without_name(&one.labels)).or_default().push(at);
    }
    let mut added = Vec::new();
    for mut one in right {
        if let Some(known) = by_labels.get(&without_name(&one.labels)) {
            for (moment, value) in one.values.iter_mut().enumerate() {
                if known.iter().any(|at| left[*at].values[moment].is_some()) {
                    *value = None;
                }
            }
        }
        if one.values.iter().any(Option::is_some) {
            added.push(one);
        }
    }
    left.append(&mut added);
    left
}
