//! What follows a metrics function: `topk`, `bottomk` and comparisons (spec/traceql.md §11.8).

use super::series::Series;
use crate::traceql::ast::{CompareOp, SecondStage, Static};
use std::cmp::Ordering;

/// Applies stages from left to right.
pub fn apply(stages: &[SecondStage], series: Vec<Series>) -> Vec<Series> {
    stages.iter().fold(series, |series, stage| match stage {
        SecondStage::TopK(count) => ranked(series, *count, |left, right| right.total_cmp(&left), |order| order),
        SecondStage::BottomK(count) => ranked(series, *count, |left, right| left.total_cmp(&right), Ordering::reverse),
        SecondStage::Compare { op, value } => compared(series, *op, threshold(value)),
    })
}

/// Keeps per bucket the `count` best samples, if there are more series than that.
fn ranked(mut series: Vec<Series>, count: i64, order: fn(f64, f64) -> Ordering, tie: fn(Ordering) -> Ordering) -> Vec<Series> {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    if series.len() <= count {
        return series;
    }
    // In the order that decides ties, so that a stable sort by value does the rest.
    series.sort_by(|left, right| tie(left.tie_order(right)));
    let num_buckets = series.iter().map(|series| series.samples.len()).max().unwrap_or(0);
    let mut best: Vec<(f64, usize)> = Vec::with_capacity(series.len());
    for bucket in 0..num_buckets {
        best.clear();
        best.extend(series.iter().enumerate().map(|(at, series)| (series.samples[bucket], at)).filter(|(sample, _)| !sample.is_nan()));
        if best.len() > count {
            best.select_nth_unstable_by(count, |left, right| order(left.0, right.0).then(left.1.cmp(&right.1)));
            best[count..].iter().for_each(|(_, at)| series[*at].samples[bucket] = f64::NAN);
        }
    }
    series.retain(Series::has_samples);
    series
}

/// Keeps the samples and exemplars that compare so.
fn compared(mut series: Vec<Series>, op: CompareOp, threshold: f64) -> Vec<Series> {
    let holds = |value: f64| !value.is_nan() && holds(op, value, threshold);
    for series in &mut series {
        series.samples.iter_mut().filter(|sample| !holds(**sample)).for_each(|sample| *sample = f64::NAN);
        series.exemplars.retain(|exemplar| holds(exemplar.value));
    }
    series.retain(Series::has_samples);
    series
}

fn holds(op: CompareOp, value: f64, threshold: f64) -> bool {
    match op {
        CompareOp::Eq => value == threshold,
        CompareOp::Ne => value != threshold,
        CompareOp::Lt => value < threshold,
        CompareOp::Le => value <= threshold,
        CompareOp::Gt => value > threshold,
        CompareOp::Ge => value >= threshold,
    }
}

/// The number to compare with; a duration counts in seconds.
fn threshold(value: &Static) -> f64 {
    match value {
        Static::Duration(nanos) => *nanos as f64 / 1e9,
        value => value.as_f64().unwrap_or(f64::NAN),
    }
}

#[cfg(test)]
mod tests {
    use super::super::series::{Exemplar, Label};
    use super::*;

    const NONE: f64 = f64::NAN;

    fn series(name: &str, samples: &[f64]) -> Series {
        Series::new(vec![Label::text("a", name)], samples.to_vec())
    }

    /// Name and samples of what is left, missing ones as -1.
    fn left(stages: &[SecondStage], input: &[Series]) -> Vec<(String, Vec<f64>)> {
        let mut left = apply(stages, input.to_vec());
        super::super::series::sort(&mut left);
        let samples = |series: &Series| series.samples.iter().map(|sample| if sample.is_nan() { -1.0 } else { *sample }).collect();
        left.iter().map(|series| (format!("{:?}", series.labels[0].value), samples(series))).collect()
    }

    fn expected(series: &[(&str, &[f64])]) -> Vec<(String, Vec<f64>)> {
        series.iter().map(|(name, samples)| (format!("Str({name:?})"), samples.to_vec())).collect()
    }

    #[test]
    fn ranking_is_per_bucket() {
        let input = [series("a", &[1.0, 5.0, 2.0]), series("b", &[2.0, 5.0, NONE]), series("c", &[3.0, 5.0, NONE])];
        assert_eq!(left(&[SecondStage::TopK(1)], &input), expected(&[("a", &[-1.0, 5.0, 2.0]), ("c", &[3.0, -1.0, -1.0])]));
        assert_eq!(left(&[SecondStage::BottomK(1)], &input), expected(&[("a", &[1.0, -1.0, 2.0]), ("c", &[-1.0, 5.0, -1.0])]));
        assert_eq!(left(&[SecondStage::TopK(3)], &input).len(), 3);
        assert_eq!(
            left(&[SecondStage::TopK(2), SecondStage::BottomK(1)], &input),
            expected(&[("a", &[-1.0, -1.0, 2.0]), ("b", &[2.0, 5.0, -1.0]),])
        );
    }

    #[test]
    fn comparisons_drop_samples_exemplars_and_empty_series() {
        let mut first = series("a", &[0.0, 5.0]);
        first.exemplars = [1.0, 7.0, NONE].map(|value| Exemplar { labels: Vec::new(), value, unix_nanos: 0 }).to_vec();
        let input = [first, series("b", &[0.0, NONE])];
        let above = SecondStage::Compare { op: CompareOp::Gt, value: Static::Int(2) };
        assert_eq!(left(std::slice::from_ref(&above), &input), expected(&[("a", &[-1.0, 5.0])]));
        assert_eq!(apply(&[above], input.to_vec())[0].exemplars.len(), 1);
        let zero = SecondStage::Compare { op: CompareOp::Eq, value: Static::Float(0.0) };
        assert_eq!(left(&[zero], &input), expected(&[("a", &[0.0, -1.0]), ("b", &[0.0, -1.0])]));
        let second = SecondStage::Compare { op: CompareOp::Ge, value: Static::Duration(5_000_000_000) };
        assert_eq!(left(&[second], &input), expected(&[("a", &[-1.0, 5.0])]));
    }
}
