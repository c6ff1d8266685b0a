//! Numbers as text the way the first implementation of this API, written in Go, prints them. Clients compare and parse
//! these texts, so they are part of the interface.

use std::fmt::Write;

const MICROSECOND: u64 = 1_000;
const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;

/// A length of time: `0s`, `700µs`, `1.5s`, `1m2s`, `1h0m0s` (spec/query-api.md §4.3 "value types").
///
/// Units above the hour are not used, and zero digits at the end of a fraction are left out.
pub fn duration(nanos: i64) -> String {
    let size = nanos.unsigned_abs();
    let mut text = String::from(if nanos < 0 { "-" } else { "" });
    match size {
        0 => text.push_str("0s"),
        1..MICROSECOND => push_decimal(&mut text, size, 1, "ns"),
        MICROSECOND..MILLISECOND => push_decimal(&mut text, size, MICROSECOND, "µs"),
        MILLISECOND..SECOND => push_decimal(&mut text, size, MILLISECOND, "ms"),
        _ => push_clock(&mut text, size),
    }
    text
}

/// Hours, minutes and seconds; the smaller units are written even when they are 0, the larger ones only when they are not.
fn push_clock(text: &mut String, nanos: u64) {
    let minutes = nanos / (60 * SECOND);
    if minutes >= 60 {
        push_decimal(text, minutes / 60, 1, "h");
    }
    if minutes > 0 {
        push_decimal(text, minutes % 60, 1, "m");
    }
    push_decimal(text, nanos % (60 * SECOND), SECOND, "s");
}

/// `value / unit` as an exact decimal, then the name of the unit. `unit` is a power of ten.
fn push_decimal(text: &mut String, value: u64, unit: u64, name: &str) {
    push_display(text, value / unit);
    let mut rest = value % unit;
    let mut place = unit;
    if rest > 0 {
        text.push('.');
    }
    while rest > 0 {
        place /= 10;
        push_display(text, rest / place);
        rest %= place;
    }
    text.push_str(name);
}

/// A float in the shortest form that reads back as the same number, with an exponent where that is below -4 or above 5:
/// `0.5`, `100000`, `1e+06`, `1.5e-07` (spec/traceql.md, the texts of static values).
///
/// Infinities are `+Inf` and `-Inf`, not-a-number is `NaN`. The text of a tag's value is [`float_tag_value`].
pub fn float_g(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_string();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_string();
    }
    if value == 0.0 || (1e-4..1e6).contains(&value.abs()) {
        return value.to_string();
    }
    with_exponent(value, 2)
}

/// A float as the value of a tag: like [`float_g`], and `.0` is added where neither a point nor an exponent shows that
/// it is a float (spec/query-api.md §5.6).
pub fn float_tag_value(value: f64) -> String {
    let mut text = float_g(value);
    if value.is_finite() && !text.contains(['.', 'e']) {
        text.push_str(".0");
    }
    text
}

/// Appends a float as JSON: shortest digits, an exponent below 1e-6 and from 1e21 on, and the texts `"NaN"`,
/// `"Infinity"`, `"-Infinity"` for what JSON has no number for (spec/query-api.md §2).
pub fn push_json_float(out: &mut String, value: f64) {
    if value.is_nan() {
        out.push_str("\"NaN\"");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "\"Infinity\"" } else { "\"-Infinity\"" });
    } else if value == 0.0 || (1e-6..1e21).contains(&value.abs()) {
        push_display(out, value);
    } else {
        out.push_str(&with_exponent(value, 1));
    }
}

/// The shortest digits with an exponent, which has its sign and at least `width` digits.
fn with_exponent(value: f64, width: usize) -> String {
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |size| ('-', size));
    format!("{digits}e{sign}{exponent:0>width$}")
}

/// Appends `value`; writing to a `String` cannot fail.
fn push_display(out: &mut String, value: impl std::fmt::Display) {
    let _ = write!(out, "{value}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_go_prints_them() {
        let cases = [
            (0, "0s"),
            (1, "1ns"),
            (999, "999ns"),
            (1_000, "1µs"),
            (71_520, "71.52µs"),
            (700_000, "700µs"),
            (1_143_762, "1.143762ms"),
            (250_000_000, "250ms"),
            (1_000_000_000, "1s"),
            (1_050_000_000, "1.05s"),
            (10_368_259_743, "10.368259743s"),
            (60_000_000_000, "1m0s"),
            (62_000_000_000, "1m2s"),
            (3_600_000_000_000, "1h0m0s"),
            (604_800_000_000_001, "168h0m0.000000001s"),
            (-1_500_000_000, "-1.5s"),
            (i64::MAX, "2562047h47m16.854775807s"),
            (i64::MIN, "-2562047h47m16.854775808s"),
        ];
        for (nanos, text) in cases {
            assert_eq!(duration(nanos), text);
        }
    }

    #[test]
    fn floats_as_tag_values() {
        let cases = [
            (0.0, "0.0"),
            (0.5, "0.5"),
            (1.0, "1.0"),
            (-10.0, "-10.0"),
            (100.95, "100.95"),
            (100_000.0, "100000.0"),
            (999_999.5, "999999.5"),
            (1e6, "1e+06"),
            (1_234_567.0, "1.234567e+06"),
            (1e21, "1e+21"),
            (1e-300, "1e-300"),
            (0.0001, "0.0001"),
            (0.000_012_5, "1.25e-05"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ];
        for (value, text) in cases {
            assert_eq!(float_tag_value(value), text);
        }
        assert_eq!(float_g(1.0), "1");
    }

    #[test]
    fn floats_as_json() {
        let cases = [
            (0.0, "0"),
            (-0.0, "-0"),
            (3839.0, "3839"),
            (0.166_666_666_666_666_66, "0.16666666666666666"),
            (0.000_065_536, "0.000065536"),
            (0.000_001, "0.000001"),
            (0.000_000_15, "1.5e-7"),
            (1e-10, "1e-10"),
            (999_999_999_999_999_900_000.0, "999999999999999900000"),
            (1e21, "1e+21"),
            (-1.5e300, "-1.5e+300"),
            (f64::NAN, "\"NaN\""),
            (f64::INFINITY, "\"Infinity\""),
            (f64::NEG_INFINITY, "\"-Infinity\""),
        ];
        for (value, text) in cases {
            let mut out = String::new();
            push_json_float(&mut out, value);
            assert_eq!(out, text);
        }
    }
}
