//! Scalars as YAML 1.1 and Go read them ("spec/config.md §3"): `yes`, `0o17`, `1_000_000`, `1.5e+09`, `1h30m`, `14d`.

use std::time::Duration;

/// Longest duration that Go can say; Tempo's own manifest prints it for "infinite".
const MAX_NANOS: u128 = i64::MAX as u128;

/// A YAML 1.1 boolean, also in the spellings of Go flags (`1`, `t`).
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "true" | "True" | "TRUE" | "t" | "T" | "1" => Some(true),
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "false" | "False" | "FALSE" | "f" | "F" | "0" => Some(false),
        _ => None,
    }
}

/// A whole number from 0: decimal with `_`, hexadecimal, octal (`0o17`, `017`), binary, or a float without fraction, as Helm
/// writes large numbers (`1.073741824e+09`).
pub(super) fn count(text: &str) -> Option<u64> {
    let digits = text.strip_prefix('+').unwrap_or(text).replace('_', "");
    let (radix, rest) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', b'0'..=b'7', ..] => (8, &digits[1..]),
        _ => (10, digits.as_str()),
    };
    if rest.starts_with(['+', '-']) {
        return None;
    }
    u64::from_str_radix(rest, radix).ok().or_else(|| whole(float(text)?))
}

/// A float without fraction that a `u64` holds exactly.
fn whole(number: f64) -> Option<u64> {
    // 2^53: above, a float no longer names one whole number.
    (number.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&number)).then_some(number as u64)
}

/// A finite decimal number.
pub(super) fn float(text: &str) -> Option<f64> {
    let text = text.replace('_', "");
    // Rust also reads `inf` and `nan` as numbers.
    if !text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first)) {
        return None;
    }
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// A duration of Go (`1h30m`, `1.5s`), with the days, weeks and years of Prometheus; a bare whole number is nanoseconds.
/// Negative durations are refused.
pub(super) fn duration(text: &str) -> Option<Duration> {
    if let Some(nanos) = count(text) {
        return from_nanos(u128::from(nanos));
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest.is_empty() {
        return None;
    }
    let mut nanos: u128 = 0;
    while !rest.is_empty() {
        let (part, after) = duration_part(rest)?;
        nanos = nanos.checked_add(part)?;
        rest = after;
    }
    from_nanos(nanos)
}

/// True for a duration written without unit, which is almost surely a slip.
pub(super) fn lacks_unit(text: &str) -> bool {
    count(text).is_some_and(|nanos| nanos != 0)
}

/// One number and unit at the start of a text: its nanoseconds, and what follows.
fn duration_part(text: &str) -> Option<(u128, &str)> {
    let number_end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, rest) = text.split_at(number_end);
    let unit_end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
    let (unit, after) = rest.split_at(unit_end);
    let unit_nanos = unit_nanos(unit)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let part = whole.checked_mul(unit_nanos)?.checked_add(fraction_nanos(fraction, unit_nanos)?)?;
    Some((part, after))
}

/// The nanoseconds of the digits after a decimal point; digits below any effect are dropped.
fn fraction_nanos(digits: &str, unit_nanos: u128) -> Option<u128> {
    let digits = digits.get(..digits.len().min(18))?;
    if digits.is_empty() {
        return Some(0);
    }
    let numerator: u128 = digits.parse().ok()?;
    Some(numerator * unit_nanos / 10u128.pow(u32::try_from(digits.len()).ok()?))
}

fn unit_nanos(unit: &str) -> Option<u128> {
    const SECOND: u128 = 1_000_000_000;
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1000,
        "ms" => 1_000_000,
        "s" => SECOND,
        "m" => 60 * SECOND,
        "h" => 3600 * SECOND,
        "d" => 86_400 * SECOND,
        "w" => 7 * 86_400 * SECOND,
        "y" => 365 * 86_400 * SECOND,
        _ => return None,
    })
}

fn from_nanos(nanos: u128) -> Option<Duration> {
    (nanos <= MAX_NANOS).then(|| u64::try_from(nanos).ok().map(Duration::from_nanos)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans() {
        for text in ["yes", "on", "true", "True", "Y", "1"] {
            assert_eq!(boolean(text), Some(true), "{text}");
        }
        for text in ["no", "Off", "false", "FALSE", "n", "0"] {
            assert_eq!(boolean(text), Some(false), "{text}");
        }
        assert_eq!(boolean("maybe"), None);
    }

    #[test]
    fn counts() {
        for (text, expected) in [
            ("0", Some(0)),
            ("3200", Some(3200)),
            ("1_000_000", Some(1_000_000)),
            ("0o17", Some(15)),
            ("017", Some(15)),
            ("0x10", Some(16)),
            ("0b11", Some(3)),
            ("1.073741824e+09", Some(1_073_741_824)),
            ("1e6", Some(1_000_000)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("-1", None),
            ("+-1", None),
            ("0x-1", None),
            ("1.5", None),
            ("", None),
            ("5MB", None),
            ("nan", None),
            ("inf", None),
            ("é", None),
        ] {
            assert_eq!(count(text), expected, "{text}");
        }
    }

    #[test]
    fn durations() {
        let day = 86_400_000_000_000;
        for (text, nanos) in [
            ("0", Some(0)),
            ("0s", Some(0)),
            ("1h30m", Some(5_400_000_000_000)),
            ("1.5s", Some(1_500_000_000)),
            (".5s", Some(500_000_000)),
            ("1.s", Some(1_000_000_000)),
            ("14d", Some(14 * day)),
            ("1w1d12h", Some(8 * day + day / 2)),
            ("1y", Some(365 * day)),
            ("100ms", Some(100_000_000)),
            ("3µs", Some(3000)),
            ("2562047h47m16.854775807s", Some(9_223_372_036_854_775_807)),
            ("30", Some(30)),
            ("2562048h", None),
            ("-5s", None),
            ("", None),
            ("5", Some(5)),
            ("s", None),
            (".s", None),
            ("1.2.3s", None),
            ("5x", None),
            ("1h30", None),
            ("99999999999999999999999999999999999999999999h", None),
            ("1.9999999999999999999999999999999999s", Some(1_999_999_999)),
        ] {
            assert_eq!(duration(text), nanos.map(Duration::from_nanos), "{text}");
        }
        assert!(lacks_unit("30") && !lacks_unit("0") && !lacks_unit("30s"));
    }
}
