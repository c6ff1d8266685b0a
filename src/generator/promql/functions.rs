//! What Prometheus' functions compute of samples.

/// How much a counter grew within `(end - range, end]`, extrapolated to the whole range as Prometheus does; nothing with fewer
/// than two samples. `grown` is the counter without its resets.
pub(super) fn increase(samples: &[(i64, f64)], grown: &[f64], end: i64, range: i64) -> Option<f64> {
    let first = samples.partition_point(|(time, _)| *time <= end - range);
    let last = samples.partition_point(|(time, _)| *time <= end).checked_sub(1).filter(|last| *last > first)?;
    let growth = grown[last] - grown[first];
    let (first_time, last_time) = (samples[first].0, samples[last].0);
    let sampled = seconds(last_time - first_time);
    let average = sampled / (last - first) as f64;
    // A gap at an edge that is not much longer than those between samples: the series goes on there.
    let edge = |gap: f64| if gap >= average * 1.1 { average / 2.0 } else { gap };
    let mut before = edge(seconds(first_time - (end - range)));
    if growth > 0.0 && samples[first].1 >= 0.0 {
        // A counter is never negative.
        before = before.min(sampled * samples[first].1 / growth);
    }
    let after = edge(seconds(end - last_time));
    Some(growth * (sampled + before + after) / sampled)
}

fn seconds(millis: i64) -> f64 {
    millis as f64 / 1000.0
}

/// The values of a counter as if it had never started anew.
pub(super) fn without_resets(samples: &[(i64, f64)]) -> Vec<f64> {
    let (mut lost, mut last) = (0.0, f64::NEG_INFINITY);
    let grown = samples.iter().map(|(_, value)| {
        if *value < last {
            lost += last;
        }
        last = *value;
        value + lost
    });
    grown.collect()
}

/// A quantile of cumulative buckets: upper bounds and counts. Linear within a bucket.
pub(super) fn bucket_quantile(quantile: f64, mut buckets: Vec<(f64, f64)>) -> f64 {
    if quantile.is_nan() {
        return f64::NAN;
    }
    if !(0.0..=1.0).contains(&quantile) {
        return if quantile < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut largest: f64 = 0.0;
    for (_, count) in &mut buckets {
        // Rates of buckets are rounded one by one, so that a wider one may seem smaller.
        largest = largest.max(*count);
        *count = largest;
    }
    let Some((bound, total)) = buckets.last().copied() else { return f64::NAN };
    if bound != f64::INFINITY || buckets.len() < 2 || total == 0.0 || total.is_nan() {
        return f64::NAN;
    }
    let rank = quantile * total;
    let at = buckets.partition_point(|(_, count)| *count < rank);
    if at >= buckets.len() - 1 {
        return buckets[buckets.len() - 2].0;
    }
    let (end, count) = buckets[at];
    if at == 0 && end <= 0.0 {
        return end;
    }
    let (start, below) = if at == 0 { (0.0, 0.0) } else { buckets[at - 1] };
    if count == below { start } else { start + (end - start) * (rank - below) / (count - below) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grown(samples: &[(i64, f64)], end: i64, range: i64) -> Option<f64> {
        increase(samples, &without_resets(samples), end, range)
    }

    #[test]
    fn growth_is_extrapolated_to_the_edges() {
        let samples: Vec<(i64, f64)> = (0..=4).map(|n| (n * 15_000, n as f64 * 10.0)).collect();
        // Whole: from the sample at 15 s to that at 60 s grew 30 in 45 s; 15 s before are within reach.
        assert_eq!(grown(&samples, 60_000, 60_000), Some(40.0));
        // Of two minutes half a step is added before, but no more than to where it was 0.
        assert_eq!(grown(&samples, 60_000, 120_000), Some(40.0));
        assert_eq!(grown(&samples[..1], 60_000, 120_000), None);
        assert_eq!(grown(&samples, 200_000, 60_000), None);
    }

    #[test]
    fn resets_do_not_lose_growth() {
        let samples = [(0, 5.0), (10_000, 10.0), (20_000, 2.0), (30_000, 4.0)];
        assert_eq!(without_resets(&samples), [5.0, 10.0, 12.0, 14.0]);
    }

    #[test]
    fn quantiles_are_linear_within_a_bucket() {
        let buckets = vec![(1.0, 2.0), (2.0, 6.0), (f64::INFINITY, 8.0)];
        for (quantile, value) in [(0.25, 1.0), (0.5, 1.5), (0.125, 0.5), (0.9, 2.0), (2.0, f64::INFINITY), (-1.0, f64::NEG_INFINITY)] {
            assert_eq!(bucket_quantile(quantile, buckets.clone()), value, "{quantile}");
        }
        assert!(bucket_quantile(0.5, vec![(1.0, 2.0)]).is_nan());
        assert!(bucket_quantile(0.5, vec![(1.0, 0.0), (f64::INFINITY, 0.0)]).is_nan());
    }
}
