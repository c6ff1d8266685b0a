use super::super::test_support::{caller, state};
use super::*;

fn names(scope: &str, limit: u32) -> NamesQuery {
    NamesQuery::new(scope, TagFilter { limit, ..TagFilter::default() }).expect("a scope")
}

async fn intrinsics_of(scope: &str, limit: u32) -> usize {
    let state = state(ApiConfig::default());
    let response = names(scope, limit).version_2(&state, &caller()).await.expect("names");
    response.scopes.iter().map(|scope| scope.tags.len()).sum()
}

#[tokio::test]
async fn intrinsic_names_come_without_scope_or_with_their_own() {
    for (scope, limit, number) in
        [("", 0, 25), ("none", 0, 25), ("intrinsic", 0, 25), ("intrinsic", 3, 3), ("", 30, 25), ("span", 0, 0), ("trace", 0, 0)]
    {
        assert_eq!(intrinsics_of(scope, limit).await, number, "{scope} {limit}");
    }
    let state = state(ApiConfig::default());
    for (scope, number) in [("", 0), ("intrinsic", 25)] {
        let response = names(scope, 0).version_1(&state, &caller()).await.expect("names");
        assert_eq!(response.tag_names.len(), number);
    }
    assert!(NamesQuery::new("Span", TagFilter::default()).is_err());
    assert!(INTRINSIC_NAMES.is_sorted());
    for name in INTRINSIC_NAMES {
        assert!(matches!(traceql::parse_attribute(name), Ok(Attribute::Intrinsic(_))), "{name}");
    }
}

#[test]
fn bad_limits_are_ignored_for_names_only() {
    let params = Params::of(&"/x?limit=x&maxStaleValues=y&q=%7B".parse().expect("a URI"));
    let query = NamesQuery::of_params(&params, false).expect("ignored");
    assert_eq!((query.filter.limit, query.filter.query.as_str()), (0, ""));
    for (query, error) in [
        ("limit=x", "invalid limit: strconv.ParseUint: parsing \"x\": invalid syntax"),
        ("maxStaleValues=y", "invalid maxStaleValues: strconv.ParseUint: parsing \"y\": invalid syntax"),
        ("start=x", "error parsing date range: could not parse 'start' parameter: cannot parse \"x\" to a valid timestamp"),
    ] {
        let request = QueryRequest {
            params: Params::of(&format!("/x?{query}").parse().expect("a URI")),
            format: Format::Json,
            caller: Ok(caller()),
            config: ApiConfig::default(),
            argument: "a".to_string(),
        };
        assert_eq!(ValuesQuery::of_params(&request, true).expect_err("refused").to_string(), error);
    }
}

#[test]
fn bare_names_have_their_places() {
    let place = |tag: &str| ValuesQuery::new(tag, TagFilter::default()).expect("a name").bare_attribute().to_string();
    for (tag, attribute) in [
        ("name", "name"),
        ("root.service.name", "rootServiceName"),
        ("service.name", "resource.service.name"),
        ("http.url", "span.http.url"),
        ("foo/bar", ".foo/bar"),
    ] {
        assert_eq!(place(tag), attribute);
    }
}

#[tokio::test]
async fn some_values_are_always_the_same() {
    let state = state(ApiConfig::default());
    for (tag, values) in [
        ("status", "error ok unset"),
        ("span:kind", "client consumer internal producer server unspecified"),
        ("trace:id", ""),
        ("nestedSetLeft", ""),
        ("name", ""),
    ] {
        let query = ValuesQuery::new(tag, TagFilter::default()).expect("a name");
        let response = query.version_2(&state, &caller()).await.expect("values");
        let words: Vec<&str> = response.tag_values.iter().map(|value| value.value.as_str()).collect();
        assert_eq!(words.join(" "), values);
        assert!(response.tag_values.iter().all(|value| value.r#type == "keyword"));
    }
}

#[test]
fn alternatives_are_counted() {
    let check =
        |query: String| TagFilter { query, ..TagFilter::default() }.check(&ApiConfig::default()).map(|params| params.filter.is_some());
    let any_of = |number: usize| format!("({})", vec!["span.a=1"; number].join("||"));
    assert_eq!(check(format!("{{{}}}", any_of(100))), Ok(true));
    assert_eq!(check(format!("{{{} && {}}}", any_of(10), any_of(10))), Ok(true));
    let error = check(format!("{{{} && {}}}", any_of(10), any_of(11))).expect_err("110");
    let text = "maximum condition groups reached (limit: 100). Reduce the number of OR conditions in the query";
    assert_eq!(error.to_string(), text);
    assert_eq!(check("{} >> {}".to_string()), Ok(false));
}
