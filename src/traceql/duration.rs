//! Duration literals and their canonical text (spec/traceql.md §2.2 and §14).

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// Units of the first reading, largest first; each may be written once, in this order.
const CALENDAR_UNITS: [(&str, i64); 7] = [
    ("y", 365 * 86_400 * NANOS_PER_SECOND),
    ("w", 7 * 86_400 * NANOS_PER_SECOND),
    ("d", 86_400 * NANOS_PER_SECOND),
    ("h", 3_600 * NANOS_PER_SECOND),
    ("m", 60 * NANOS_PER_SECOND),
    ("s", NANOS_PER_SECOND),
    ("ms", 1_000_000),
];

/// Units of the second reading, in any order and number, with decimal fractions.
const CLOCK_UNITS: [(&str, i64); 7] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", NANOS_PER_SECOND),
    ("m", 60 * NANOS_PER_SECOND),
    ("h", 3_600 * NANOS_PER_SECOND),
];

/// Digits of a fraction that are looked at; more cannot change the nanoseconds.
const MAX_FRACTION_DIGITS: usize = 18;

/// Reads a duration literal without sign, first with calendar units (`1d12h`), else with clock units and fractions (`1.5h`).
///
/// `None` if neither fits or the nanoseconds do not fit 64 bits.
pub fn parse_duration(text: &str) -> Option<i64> {
    parse_calendar(text).or_else(|| parse_clock(text))
}

fn parse_calendar(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut units = CALENDAR_UNITS.iter();
    let mut total = 0_i64;
    while !rest.is_empty() {
        let (digits, after) = split_leading(rest, |character| character.is_ascii_digit());
        let (unit, after) = split_leading(after, char::is_alphabetic);
        // Searching onwards in the one iterator makes the order strict and a repetition impossible.
        let (_, nanos) = units.find(|(name, _)| *name == unit)?;
        total = total.checked_add(digits.parse::<i64>().ok()?.checked_mul(*nanos)?)?;
        rest = after;
    }
    (!text.is_empty()).then_some(total)
}

fn parse_clock(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut total = 0_i64;
    while !rest.is_empty() {
        let (whole, after) = split_leading(rest, |character| character.is_ascii_digit());
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after_dot) => split_leading(after_dot, |character| character.is_ascii_digit()),
            None => ("", after),
        };
        let (unit, after) = split_leading(after, char::is_alphabetic);
        let (_, nanos) = CLOCK_UNITS.iter().find(|(name, _)| *name == unit)?;
        total = total.checked_add(scaled(whole, fraction, *nanos)?)?;
        rest = after;
    }
    (!text.is_empty()).then_some(total)
}

/// `whole.fraction` times the unit; `None` without any digit or when too large.
fn scaled(whole: &str, fraction: &str, unit_nanos: i64) -> Option<i64> {
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole = if whole.is_empty() { 0 } else { whole.parse::<i64>().ok()? };
    let digits = &fraction[..fraction.len().min(MAX_FRACTION_DIGITS)];
    let numerator = if digits.is_empty() { 0 } else { digits.parse::<i128>().ok()? };
    let denominator = 10_i128.pow(u32::try_from(digits.len()).ok()?);
    let fraction_nanos = i64::try_from(numerator * i128::from(unit_nanos) / denominator).ok()?;
    whole.checked_mul(unit_nanos)?.checked_add(fraction_nanos)
}

fn split_leading(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|character| !belongs(character)).unwrap_or(text.len());
    text.split_at(end)
}

/// The text of a duration as in Go: `1h0m0s`, `1m30s`, `1.5s`, `250ms`, `700µs`, `0s` (§14).
pub fn format_duration(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let magnitude = nanos.unsigned_abs();
    let text = match magnitude {
        0 => "0s".to_owned(),
        1..1_000 => format!("{magnitude}ns"),
        1_000..1_000_000 => format!("{}µs", decimal(magnitude, 1_000)),
        1_000_000..1_000_000_000 => format!("{}ms", decimal(magnitude, 1_000_000)),
        _ => format_long(magnitude),
    };
    format!("{sign}{text}")
}

/// One second and more: hours and minutes whole, seconds with their fraction.
fn format_long(nanos: u64) -> String {
    const MINUTE: u64 = 60_000_000_000;
    let seconds = decimal(nanos % MINUTE, 1_000_000_000);
    let minutes = nanos / MINUTE;
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

/// `value / unit` without trailing zeros.
fn decimal(value: u64, unit: u64) -> String {
    let whole = value / unit;
    let rest = value % unit;
    if rest == 0 {
        return whole.to_string();
    }
    let digits = (unit + rest).to_string(); // the unit is a power of ten: a 1, then the fraction with its leading zeros
    format!("{whole}.{}", digits[1..].trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: i64 = NANOS_PER_SECOND;

    #[test]
    fn both_readings() {
        for (text, nanos) in [
            ("1d12h", 36 * 3600 * SECOND),
            ("1w", 7 * 86_400 * SECOND),
            ("2h30m", 9000 * SECOND),
            ("1y", 365 * 86_400 * SECOND),
            ("1.5h", 5400 * SECOND),
            ("30m1h", 5400 * SECOND),
            ("1s500ms", 1_500_000_000),
            (".5s", 500_000_000),
            ("1.s", SECOND),
            ("10µs", 10_000),
            ("10us", 10_000),
            ("0.3ns", 0),
            ("1h1h", 7200 * SECOND),
            ("9223372036854775807ns", i64::MAX),
        ] {
            assert_eq!(parse_duration(text), Some(nanos), "{text}");
        }
    }

    #[test]
    fn texts_that_fit_neither_reading() {
        for text in ["", "1.5d", "1d1us", "1q", "s", ".s", "1", "1.5", "1m1y1d", "400y", "9223372036854775808ns", "5m."] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn texts_are_those_of_go() {
        for (nanos, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_500, "1.5µs"),
            (700_000, "700µs"),
            (250_000_000, "250ms"),
            (SECOND, "1s"),
            (1_050_000_000, "1.05s"),
            (90 * SECOND, "1m30s"),
            (3600 * SECOND, "1h0m0s"),
            (-5 * SECOND, "-5s"),
            (i64::MIN, "-2562047h47m16.854775808s"),
        ] {
            assert_eq!(format_duration(nanos), text);
        }
    }

    proptest! {
        #[test]
        fn text_parses_back(nanos in 0..=i64::MAX) {
            prop_assert_eq!(parse_duration(&format_duration(nanos)), Some(nanos));
        }
    }
}
