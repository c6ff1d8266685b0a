//! Moments and lengths of time as the parameters write them (spec/query-api.md §1.6). The texts of errors are Go's.

use super::ApiError;
use crate::model::{TimeRange, UnixNanos};
use crate::traceql::{format_duration, parse_duration};
use std::time::Duration;

const NANOS_PER_SECOND: i128 = 1_000_000_000;

/// Integers of more digits are nanoseconds, not seconds.
const MAX_SECONDS_DIGITS: usize = 10;

/// What is searched when a cutoff has moved the end before the start, in seconds.
const DEFAULT_WINDOW_SECONDS: u64 = 15 * 60;

/// Whole seconds, unsigned, 32 bits.
pub(super) fn strict_seconds(text: &str) -> Result<u32, String> {
    unsigned(text)
}

/// An unsigned decimal number of 32 bits.
pub(super) fn unsigned(text: &str) -> Result<u32, String> {
    if text.is_empty() || text.contains(|character: char| !character.is_ascii_digit()) {
        return Err(format!("strconv.ParseUint: parsing {text:?}: invalid syntax"));
    }
    text.parse().map_err(|_| format!("strconv.ParseUint: parsing {text:?}: value out of range"))
}

/// A signed decimal number of 64 bits.
pub(super) fn signed(text: &str) -> Result<i64, String> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || digits.contains(|character: char| !character.is_ascii_digit()) {
        return Err(format!("strconv.ParseInt: parsing {text:?}: invalid syntax"));
    }
    text.parse().map_err(|_| format!("strconv.ParseInt: parsing {text:?}: value out of range"))
}

/// A Go duration, `1m30s`, in nanoseconds.
pub(super) fn go_duration(text: &str) -> Result<i64, String> {
    let (sign, size) = match text.as_bytes().first() {
        Some(b'-') => (-1, &text[1..]),
        Some(b'+') => (1, &text[1..]),
        _ => (1, text),
    };
    if size == "0" {
        return Ok(0);
    }
    if let Some(unit) = ["y", "w", "d"].into_iter().find(|unit| size.contains(unit)) {
        return Err(format!("time: unknown unit {unit:?} in duration {text:?}"));
    }
    if size.ends_with(|last: char| last.is_ascii_digit()) {
        return Err(format!("time: missing unit in duration {text:?}"));
    }
    parse_duration(size).map(|nanos| sign * nanos).ok_or_else(|| format!("time: invalid duration {text:?}"))
}

/// A Prometheus duration, `1h30m` or `2d`, in nanoseconds.
pub(super) fn prometheus_duration(text: &str) -> Result<u64, String> {
    let nanos = if text == "0" { Some(0) } else { parse_duration(text) };
    nanos.and_then(|nanos| u64::try_from(nanos).ok()).ok_or_else(|| format!("not a valid duration string: {text:?}"))
}

/// A moment in any of the flexible forms; what lies before 1970 becomes 1970.
pub(super) fn instant(text: &str) -> Result<UnixNanos, String> {
    let float_seconds = || text.contains('.').then(|| text.parse::<f64>().ok()).flatten().filter(|seconds| seconds.is_finite());
    let nanos = if let Some(seconds) = float_seconds() {
        // Milliseconds are as fine as this form is read. The conversion saturates.
        #[allow(clippy::cast_possible_truncation)]
        let millis = (seconds * 1e3).round() as i64;
        i128::from(millis) * 1_000_000
    } else if let Ok(number) = text.parse::<i64>() {
        i128::from(number) * if text.len() <= MAX_SECONDS_DIGITS { NANOS_PER_SECOND } else { 1 }
    } else {
        rfc3339(text).ok_or_else(|| format!("cannot parse {text:?} to a valid timestamp"))?
    };
    Ok(UnixNanos(u64::try_from(nanos.max(0)).unwrap_or(u64::MAX)))
}

/// `2026-01-01T00:00:00.5+01:00` in nanoseconds since 1970.
fn rfc3339(text: &str) -> Option<i128> {
    let (date, rest) = text.split_at_checked(10)?;
    let rest = rest.strip_prefix(['T', 't'])?;
    let (clock, rest) = rest.split_at_checked(8)?;
    let [year, month, day] = three_numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = three_numbers(clock, ':', [2, 2, 2])?;
    if !(1..=12).contains(&month) || !(1..=days_in_month(year, month)).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (fraction_nanos, zone) = fraction(rest)?;
    let seconds = days_since_epoch(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - zone_seconds(zone)?;
    Some(i128::from(seconds) * NANOS_PER_SECOND + i128::from(fraction_nanos))
}

fn three_numbers(text: &str, separator: char, widths: [usize; 3]) -> Option<[i64; 3]> {
    let mut parts = text.split(separator);
    let mut numbers = [0; 3];
    for (number, width) in numbers.iter_mut().zip(widths) {
        let digits = parts.next().filter(|part| part.len() == width && part.bytes().all(|byte| byte.is_ascii_digit()))?;
        *number = digits.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

/// The digits after a point, as nanoseconds, and what follows them.
fn fraction(text: &str) -> Option<(i64, &str)> {
    let Some(rest) = text.strip_prefix('.') else { return Some((0, text)) };
    let end = rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len());
    let (digits, zone) = rest.split_at(end);
    let nanos = format!("{:0<9}", &digits[..digits.len().min(9)]).parse().ok()?;
    (!digits.is_empty()).then_some((nanos, zone))
}

fn zone_seconds(zone: &str) -> Option<i64> {
    if matches!(zone, "Z" | "z") {
        return Some(0);
    }
    let sign = match zone.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let [hours, minutes, _] = three_numbers(&format!("{}:00", &zone[1..]), ':', [2, 2, 2])?;
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 3600 + minutes * 60))
}

fn days_in_month(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar, by counting years from March, so that the leap day is the last.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    const DAYS_BEFORE_EPOCH: i64 = 719_468; // from 0000-03-01
    let march_year = if month > 2 { year } else { year - 1 };
    let (era, year_of_era) = (march_year.div_euclid(400), march_year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - DAYS_BEFORE_EPOCH
}

/// Year, month and day of a day after 1970-01-01.
pub(super) fn date(days: u64) -> (i64, i64, i64) {
    let mut rest = i64::try_from(days).unwrap_or(i64::MAX / 2);
    // A year has at least 365 days, so this is the year or a later one.
    let mut year = 1970 + rest / 365;
    while days_since_epoch(year, 1, 1) > rest {
        year -= 1;
    }
    rest -= days_since_epoch(year, 1, 1);
    let mut month = 1;
    while rest >= days_in_month(year, month) {
        rest -= days_in_month(year, month);
        month += 1;
    }
    (year, month, rest + 1)
}

/// A length of time in Go's words: `168h0m0s`.
pub(super) fn go_text(duration: Duration) -> String {
    format_duration(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
}

/// The range parameters of search, tags and tag values, read but not judged yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RangeArgs {
    /// Length of a range that ends now, as text; excludes the other two.
    pub(super) since: Option<String>,
    /// First moment.
    pub(super) start: Option<UnixNanos>,
    /// Last moment.
    pub(super) end: Option<UnixNanos>,
}

/// What the ranges of a server may be, and when it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RangeRules {
    /// The moment of the request.
    pub(super) now: UnixNanos,
    /// Newest data that are left out.
    pub(super) cutoff: Duration,
    /// Longest range, if there is such a bound.
    pub(super) max_duration: Option<Duration>,
}

impl RangeArgs {
    /// The range of a gRPC request in seconds, where 0 stands for absent.
    pub(super) fn of_seconds(start: u32, end: u32) -> Self {
        let moment = |seconds: u32| (seconds > 0).then(|| UnixNanos::from_seconds(u64::from(seconds)));
        RangeArgs { since: None, start: moment(start), end: moment(end) }
    }

    /// The range to search; `None` when none was asked for and nothing is to be left out, so that all data count.
    ///
    /// # Errors
    ///
    /// `error parsing date range: …` (spec/query-api.md §1.6, range rewrite).
    pub(super) fn rewritten(&self, rules: &RangeRules) -> Result<Option<TimeRange>, ApiError> {
        let newest = UnixNanos(rules.now.0.saturating_sub(nanos(rules.cutoff)));
        if let Some(since) = &self.since {
            let length = prometheus_duration(since)
                .map_err(|error| ApiError::invalid(format!("error parsing date range: could not parse 'since' parameter: {error}")))?;
            return Ok(Some(TimeRange { start: UnixNanos(newest.0.saturating_sub(length)), end: newest }));
        }
        match (self.start, self.end) {
            (None, None) if rules.cutoff.is_zero() => Ok(None),
            (None, None) => Ok(Some(TimeRange { start: UnixNanos(0), end: newest })),
            (Some(start), Some(end)) if rules.cutoff.is_zero() || end <= newest => Ok(Some(TimeRange { start, end })),
            (Some(start), Some(_)) if start <= newest => Ok(Some(TimeRange { start, end: newest })),
            (Some(_), Some(_)) => {
                let start = UnixNanos(rules.now.0.saturating_sub(UnixNanos::from_seconds(DEFAULT_WINDOW_SECONDS).0));
                Ok(Some(TimeRange { start, end: newest }))
            }
            _ => Err(ApiError::invalid("error parsing date range: only one of start and end provided: must provide both or neither")),
        }
    }

    /// Refuses a range that is longer than allowed; what lies in the future does not count.
    pub(super) fn check_length(range: &TimeRange, rules: &RangeRules) -> Result<(), ApiError> {
        let Some(max) = rules.max_duration else { return Ok(()) };
        let asked_for = self::asked_for(range);
        let length = range.end.min(rules.now).0.saturating_sub(range.start.0);
        if asked_for && length > nanos(max) {
            return Err(ApiError::invalid(format!(
                "range specified by start and end exceeds {}. received start={} end={}",
                go_text(max),
                range.start.seconds(),
                range.end.seconds(),
            )));
        }
        Ok(())
    }
}

/// False for the range that stands for all data up to a cutoff.
fn asked_for(range: &TimeRange) -> bool {
    range.start > UnixNanos(0)
}

/// A length of time in nanoseconds, stopping at the largest.
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
