use super::*;

const SECOND: u64 = 1_000_000_000;

#[test]
fn strict_numbers_have_the_words_of_go() {
    assert_eq!(strict_seconds("1700000000"), Ok(1_700_000_000));
    assert_eq!(strict_seconds("-1"), Err("strconv.ParseUint: parsing \"-1\": invalid syntax".to_string()));
    assert_eq!(strict_seconds("4294967296"), Err("strconv.ParseUint: parsing \"4294967296\": value out of range".to_string()));
    assert_eq!(signed("-5"), Ok(-5));
    assert_eq!(signed("1.5"), Err("strconv.ParseInt: parsing \"1.5\": invalid syntax".to_string()));
    assert!(signed("9223372036854775808").is_err_and(|error| error.ends_with("value out of range")));
}

#[test]
fn durations() {
    for (text, nanos) in
        [("100ms", 100_000_000), ("1.5s", 1_500_000_000), ("1m30s", 90_000_000_000), ("0", 0), ("0s", 0), ("-1s", -1_000_000_000)]
    {
        assert_eq!(go_duration(text), Ok(nanos), "{text}");
    }
    for (text, error) in [
        ("1d", "time: unknown unit \"d\" in duration \"1d\""),
        ("5", "time: missing unit in duration \"5\""),
        ("x", "time: invalid duration \"x\""),
        ("-", "time: invalid duration \"-\""),
    ] {
        assert_eq!(go_duration(text), Err(error.to_string()));
    }
    assert_eq!(prometheus_duration("1h30m"), Ok(5400 * SECOND));
    assert_eq!(prometheus_duration("1w"), Ok(7 * 86_400 * SECOND));
    for text in ["", "15", "-1h", "µ"] {
        assert!(prometheus_duration(text).is_err(), "{text}");
    }
}

#[test]
fn instants_have_four_forms() {
    for (text, nanos) in [
        ("1700000000", 1_700_000_000 * SECOND),
        ("1700000000.5", 1_700_000_000 * SECOND + SECOND / 2),
        ("1700000000000000001", 1_700_000_000_000_000_001),
        ("1700000000000", 1_700_000_000_000),
        ("1970-01-01T00:00:01Z", SECOND),
        ("2026-01-01T00:00:00Z", 1_767_225_600 * SECOND),
        ("2024-02-29T12:00:00.25+02:00", 1_709_200_800 * SECOND + SECOND / 4),
        ("2000-12-31T23:59:59.123456789123-00:30", 978_309_000 * SECOND - SECOND + 123_456_789),
        ("-5", 0),
        ("1e400.0", 0),
    ] {
        let found = instant(text);
        if text.starts_with("1e") { assert!(found.is_err()) } else { assert_eq!(found, Ok(UnixNanos(nanos)), "{text}") }
    }
    for text in [
        "",
        "x",
        "now",
        "2026-13-01T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "2026-01-01T00:00:00",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:00:00.Z",
        "2026-01-01T00:00:00+1:00",
        "éééééééééééééééééééé",
    ] {
        assert!(instant(text).is_err(), "{text}");
    }
}

fn rules(cutoff: u64) -> RangeRules {
    let now = UnixNanos::from_seconds(1_000_000);
    RangeRules { now, cutoff: Duration::from_secs(cutoff), max_duration: Some(Duration::from_secs(3600)) }
}

fn seconds(range: Option<TimeRange>) -> Option<(u64, u64)> {
    range.map(|range| (range.start.seconds(), range.end.seconds()))
}

fn rewritten(args: &RangeArgs, cutoff: u64) -> Result<Option<(u64, u64)>, String> {
    args.rewritten(&rules(cutoff)).map(seconds).map_err(|error| error.to_string())
}

#[test]
fn ranges_are_rewritten() {
    let since = |text: &str| RangeArgs { since: Some(text.to_string()), ..RangeArgs::of_seconds(5, 6) };
    assert_eq!(rewritten(&since("15m"), 0), Ok(Some((999_100, 1_000_000))));
    assert_eq!(
        rewritten(&since("x"), 0),
        Err("error parsing date range: could not parse 'since' parameter: not a valid duration string: \"x\"".to_string())
    );
    assert_eq!(rewritten(&RangeArgs::default(), 0), Ok(None));
    assert_eq!(rewritten(&RangeArgs::default(), 30), Ok(Some((0, 999_970))));
    assert_eq!(rewritten(&RangeArgs::of_seconds(5, 2_000_000), 0), Ok(Some((5, 2_000_000))));
    assert_eq!(rewritten(&RangeArgs::of_seconds(5, 2_000_000), 30), Ok(Some((5, 999_970))));
    assert_eq!(rewritten(&RangeArgs::of_seconds(1_000_000, 1_000_001), 30), Ok(Some((999_100, 999_970))));
    for one in [RangeArgs::of_seconds(5, 0), RangeArgs::of_seconds(0, 5)] {
        let text = "error parsing date range: only one of start and end provided: must provide both or neither";
        assert_eq!(rewritten(&one, 0), Err(text.to_string()));
    }
}

#[test]
fn long_ranges_are_refused() {
    let check = |start, end| {
        let range = TimeRange { start: UnixNanos::from_seconds(start), end: UnixNanos::from_seconds(end) };
        RangeArgs::check_length(&range, &rules(0)).map_err(|error| error.to_string())
    };
    assert_eq!(check(996_400, 1_000_000), Ok(()));
    assert_eq!(check(996_400, 4_000_000), Ok(()));
    let text = "range specified by start and end exceeds 1h0m0s. received start=996399 end=1000000";
    assert_eq!(check(996_399, 1_000_000), Err(text.to_string()));
    assert_eq!(RangeArgs::check_length(&TimeRange::ALL, &rules(0)), Ok(()));
}

#[test]
fn dates_of_days() {
    for (days, text) in [(0, (1970, 1, 1)), (59, (1970, 3, 1)), (789, (1972, 2, 29)), (20_778, (2026, 11, 21)), (20_818, (2026, 12, 31))] {
        assert_eq!(date(days), text);
        assert_eq!(days_since_epoch(text.0, text.1, text.2), days as i64);
    }
}
