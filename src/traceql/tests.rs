//! The recorded conformance queries as data, and texts that nobody would write.

use proptest::prelude::*;

use super::*;

/// Id, kind, status and text of every recorded query.
const CASES: &str = include_str!("../../tests/traceql/cases.tsv");

struct Case {
    id: &'static str,
    kind: &'static str,
    status: &'static str,
    query: &'static str,
}

fn cases() -> impl Iterator<Item = Case> {
    let lines = CASES.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| {
        let mut columns = line.splitn(4, '\t');
        let mut next = || columns.next().expect("a case has four columns");
        Case { id: next(), kind: next(), status: next(), query: next() }
    })
}

/// What the record demands, or `None` if it is fulfilled.
fn violation(case: &Case) -> Option<String> {
    let parsed = parse(case.query);
    let compiled = compile(case.query);
    let is_fulfilled = match (case.kind, case.status) {
        ("parse_error", _) => parsed.is_err(),
        ("validate_error", _) => parsed.is_ok() && compiled.is_err(),
        // Searches with status 500 fail only when they meet a span.
        (_, "200" | "500") => compiled.is_ok(),
        // No recorded query of the other kinds is refused by the endpoint itself.
        _ => compiled.is_err(),
    };
    (!is_fulfilled).then(|| format!("{} ({}): {} gave {compiled:?}", case.id, case.kind, case.query))
}

#[test]
fn recorded_queries_are_classified_as_recorded() {
    let violations: Vec<String> = cases().filter_map(|case| violation(&case)).collect();
    assert!(violations.is_empty(), "{}", violations.join("\n"));
    assert_eq!(cases().count(), 810);
}

#[test]
fn recorded_queries_survive_printing() {
    for case in cases() {
        if let Ok(query) = parse(case.query) {
            assert_eq!(parse(&query.to_string()).as_ref(), Ok(&query), "{}: {}", case.id, case.query);
        }
    }
}

#[test]
fn identifiers_of_the_tag_values_endpoint() {
    let message = |text: &str| parse_attribute(text).err().map(|error| error.to_string());
    assert_eq!(message("app.user.id").as_deref(), Some("parse error at line 1, col 2: unknown identifier: app"));
    for text in ["", "1", ".a = 1", ".a} | {.b", "span.", "resource:name", "id", "nil", "{.a}", ".a, .b", "(", "\"a\""] {
        assert!(message(text).is_some(), "{text}");
    }
    for (text, canonical) in [
        (".foo", ".foo"),
        ("span.\"my attr\"", "span.\"my attr\""),
        ("trace:rootService", "rootServiceName"),
        ("name", "name"),
        ("resource.service.name", "resource.service.name"),
        ("link.x", "link.x"),
    ] {
        let attribute = parse_attribute(text).map(|attribute| attribute.canonical_text());
        assert_eq!(attribute.as_deref(), Ok(canonical));
    }
}

#[test]
fn errors_know_their_query() {
    let error = compile("{ name = 1 }").expect_err("types differ");
    assert_eq!(error.query(), "{ name = 1 }");
    assert_eq!(error.class(), ErrorClass::Invalid);
    assert_eq!(error.drawing(), "binary operations must operate on the same type: name = 1\n  { name = 1 }");
    assert_eq!(compile("").expect_err("no query").to_string(), "parse error : syntax error: unexpected $end");
    assert_eq!(compile("{} | 1 < count()").expect_err("aggregate on the right").class(), ErrorClass::Unsupported);
}

/// Whatever the text: an answer, and for a query also a text that gives the same query.
fn assert_well_behaved(text: &str) {
    let _ = compile(text).map_err(|error| (error.to_string(), error.drawing()));
    let _ = parse_attribute(text);
    let _ = parse_tag_filter(text);
    if let Ok(query) = parse(text) {
        let printed = query.to_string();
        let again = parse(&printed);
        assert_eq!(format!("{:?}", again.ok()), format!("{:?}", Some(query)), "{text} printed as {printed}");
    }
}

/// Pieces of queries; soups of them get further than random characters.
const PIECES: &[&str] = &[
    "{",
    "}",
    "(",
    ")",
    "{",
    "}",
    "(",
    ")",
    "|",
    ",",
    ".a",
    "span.b",
    "parent.c",
    "resource.\"x y\"",
    "name",
    "duration",
    "status",
    "error",
    "span:id",
    "trace:",
    "nil",
    "true",
    "1",
    "0",
    "2.5",
    "10ms",
    "maxInt",
    "minInt",
    "\"s\"",
    "`(`",
    "'",
    "&&",
    "||",
    "=",
    "!=",
    "=~",
    "!~",
    "<",
    ">",
    ">=",
    "<<",
    "!>>",
    "&>",
    "&~",
    "~",
    "!",
    "+",
    "-",
    "*",
    "/",
    "%",
    "^",
    "count()",
    "max(.a)",
    "avg(duration)",
    "by(.a)",
    "select(.a)",
    "coalesce()",
    "rate()",
    "by",
    "quantile_over_time(.a, .9)",
    "compare({.a})",
    "topk(2)",
    "bottomk(1)",
    "with(x=1)",
    "//",
    "/*",
    "\n",
    "foo",
    "é",
    "\u{a0}",
    "({}|rate())",
    "({}|count())",
    "({}|count()>0)",
    "{} | ",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, max_shrink_time: 10_000, ..ProptestConfig::default() })]

    #[test]
    fn token_soup_is_answered(pieces in prop::collection::vec((prop::sample::select(PIECES), prop::bool::ANY), 0..20)) {
        let text: String = pieces.into_iter().map(|(piece, gap)| format!("{piece}{}", if gap { " " } else { "" })).collect();
        assert_well_behaved(&text);
        assert_well_behaved(&format!("{{ {text} }}"));
    }

    #[test]
    fn any_text_is_answered(text in any::<String>()) {
        assert_well_behaved(&text);
        assert_well_behaved(&format!("{{ {text} }}"));
    }
}
