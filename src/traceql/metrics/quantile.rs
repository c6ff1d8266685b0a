//! Quantiles of power-of-two histograms (spec/traceql.md §11.6).

/// A histogram bucket: its upper bound and number of values.
pub type Bin = (f64, u64);

/// The value below which a share of the values lies; `bins` by ascending bound, empty ones allowed. 0 if there is no value.
pub fn quantile(share: f64, bins: &[Bin]) -> f64 {
    let total: u64 = bins.iter().map(|(_, count)| count).sum();
    if total == 0 {
        return 0.0;
    }
    // Shares are between 0 and 1, so this is a count.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let wanted = ((share * total as f64).ceil() as u64).max(1);
    let (mut seen, mut below) = (0, None::<f64>);
    for (bound, count) in bins.iter().copied().filter(|(_, count)| *count > 0) {
        if seen + count > wanted {
            let part = (wanted - seen) as f64 / count as f64;
            let high = bound.log2();
            let low = below.map_or(high - 1.0, f64::log2);
            return (low + (high - low) * part).exp2();
        }
        seen += count;
        if seen == wanted {
            return bound;
        }
        below = Some(bound);
    }
    below.unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_spec() {
        let bins = [(0.004194304, 1), (0.008388608, 1), (0.016777216, 2), (0.134217728, 1)];
        for (share, value) in [
            (0.0, 0.004194304),
            (0.25, 0.008388608),
            (0.5, 0.011863283203031445),
            (0.75, 0.016777216),
            (0.9, 0.134217728),
            (1.0, 0.134217728),
        ] {
            assert!((quantile(share, &bins) - value).abs() < 1e-12, "{share}: {}", quantile(share, &bins));
        }
    }

    #[test]
    fn the_first_bin_begins_at_half_its_bound() {
        // Two of four values: half way between 2 and 4 by exponents.
        assert!((quantile(0.5, &[(4.0, 4)]) - 8f64.sqrt()).abs() < 1e-12);
        // An empty bin does not count as the one below.
        assert!((quantile(0.75, &[(4.0, 2), (8.0, 0), (64.0, 2)]) - 16.0).abs() < 1e-12);
        assert_eq!(quantile(0.5, &[]), 0.0);
    }
}
