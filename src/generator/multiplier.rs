//! How many spans a span stands for (spec/metrics-generator.md §7).

use super::attributes;
use super::settings::MultiplierSettings;
use crate::columns::value::ValueRef;
use crate::columns::{Chunk, Value};
use crate::model::TraceId;

/// Thresholds have at most 14 hex digits, as random values have exactly.
const MAX_DIGITS: usize = 14;
/// 2^56.
const RANGE: f64 = 72_057_594_037_927_936.0;

/// The number of spans that a row stands for; 1 unless it says otherwise.
pub(super) fn of_row(settings: &MultiplierSettings, chunk: &Chunk, row: u32) -> f64 {
    if settings.from_trace_state
        && let Some(state) = chunk.trace_state.get(row)
        && let Some(multiplier) = from_trace_state(&String::from_utf8_lossy(state), trace_of(chunk, row))
    {
        return multiplier;
    }
    if settings.key.is_empty() {
        return 1.0;
    }
    let of_span = attributes::of_span(chunk, &settings.key, row).and_then(|value| match value.0 {
        ValueRef::Double(ratio) => Some(ratio),
        _ => None,
    });
    let resource = &chunk.resources.entries()[chunk.resource[row as usize] as usize];
    let ratio = of_span.or_else(|| match resource.attribute(&settings.key) {
        Some(Value::Double(ratio)) => Some(*ratio),
        _ => None,
    });
    ratio.filter(|ratio| *ratio > 0.0 && ratio.is_finite()).map_or(1.0, f64::recip)
}

fn trace_of(chunk: &Chunk, row: u32) -> TraceId {
    chunk.traces.summaries()[chunk.trace[row as usize] as usize].id
}

/// What the member `ot` of a W3C trace state says. With a threshold the multiplier is a whole number: its fraction is rounded
/// up or down by the trace's random value, so that all spans of a trace agree.
fn from_trace_state(state: &str, trace: TraceId) -> Option<f64> {
    let ot = state.split(',').find_map(|member| member.trim().strip_prefix("ot="))?;
    let part = |name: &str| ot.split(';').find_map(|part| part.strip_prefix(name)).filter(|digits| !digits.is_empty());
    let threshold = part("th:").and_then(digits)?;
    let multiplier = 1.0 / (1.0 - threshold);
    let Some(random) = part("rv:") else { return Some(multiplier) };
    let random = if random.len() == MAX_DIGITS { digits(random)? } else { random_of(trace) };
    // Within the sampled part of the range, the random value is even again.
    let position = ((random - threshold) / (1.0 - threshold)).clamp(0.0, 1.0);
    let whole = multiplier.floor();
    Some(if position < multiplier - whole { whole + 1.0 } else { whole })
}

/// Hex digits after the point, as a part of 1.
fn digits(text: &str) -> Option<f64> {
    if text.len() > MAX_DIGITS || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let number = u64::from_str_radix(&format!("{text:0<MAX_DIGITS$}"), 16).ok()?;
    // 56 bits; the last few do not matter.
    Some(number as f64 / RANGE).filter(|part| *part < 1.0)
}

/// The lowest 56 bits of a trace id, which W3C wants to be random.
fn random_of(trace: TraceId) -> f64 {
    let low = u128::from_be_bytes(trace.0) as u64 & 0x00ff_ffff_ffff_ffff;
    low as f64 / RANGE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_shares_that_were_dropped() {
        for (state, multiplier) in [
            ("ot=th:8", Some(2.0)),
            ("vendor=x, ot=th:c", Some(4.0)),
            ("ot=th:0", Some(1.0)),
            ("ot=p:8", None),
            ("ot=th:", None),
            ("ot=th:xyz", None),
            ("ot=th:ffffffffffffff0", None),
            ("", None),
        ] {
            assert_eq!(from_trace_state(state, TraceId::default()), multiplier, "{state}");
        }
    }

    #[test]
    fn fractions_are_rounded_by_the_random_value() {
        // One of 1.5 is kept: a threshold of 1/3.
        let with = |random: &str| from_trace_state(&format!("ot=th:55555555555555;rv:{random}"), TraceId::default());
        assert_eq!(with("60000000000000"), Some(2.0));
        assert_eq!(with("f0000000000000"), Some(1.0));
    }
}
