//! What single expressions keep of a few spans, the errors, and the values that answers show.

use super::super::result::{Answer, ResultValue, attribute_value, name_touched, touched};
use super::super::{EvalError, Expression, Filter, OnFailure, Scalar};
use super::{Facts, append, array, filter_of, key_value, request, text};
use crate::columns::Chunk;
use crate::proto::otlp::{AnyValue, InstrumentationScope, KeyValue, Span, Status, Value};
use crate::traceql::ast::{Attribute, FieldExpr, Intrinsic, Scope, Static};

fn int(value: i64) -> Value {
    Value::IntValue(value)
}

fn span(id: u64, parent: u64, name: &str, attributes: Vec<KeyValue>) -> Span {
    Span {
        trace_id: vec![if id < 16 { 1 } else { 2 }; 16],
        span_id: id.to_be_bytes().to_vec(),
        parent_span_id: if parent == 0 { Vec::new() } else { parent.to_be_bytes().to_vec() },
        name: name.to_owned(),
        kind: (id % 6) as i32,
        start_time_unix_nano: 1_000,
        end_time_unix_nano: 1_000 + id,
        attributes,
        status: (id == 1).then(|| Status { message: "broken".to_owned(), code: 2 }),
        ..Span::default()
    }
}

/// Rows 0 to 3 lie in one trace with a root, rows 4 and 5 in another without; each has a resource of its own.
fn shop() -> Chunk {
    let mut chunk = Chunk::default();
    let scope = InstrumentationScope {
        name: "lib".to_owned(),
        attributes: vec![key_value("flavor", text("auto"))],
        ..InstrumentationScope::default()
    };
    let first = vec![
        span(1, 0, "root", vec![key_value("n", int(1)), key_value("region", text("eu"))]),
        span(2, 1, "a", vec![key_value("n", Value::DoubleValue(1.0)), key_value("ports", array([int(80), int(8080)]))]),
        span(3, 1, "a", vec![key_value("n", text("1")), key_value("ports", array([int(80)])), key_value("hit", Value::BoolValue(true))]),
        span(4, 3, "b", vec![key_value("n", Value::BoolValue(true)), key_value("ports", array([]))]),
    ];
    let resource = vec![key_value("service.name", text("cart")), key_value("region", text("us"))];
    append(&mut chunk, &request(resource, scope, first));
    let second = vec![
        span(17, 99, "c", vec![key_value("flags", array([text("x"), text("y")])), key_value("mixed", array([text("x"), int(1)]))]),
        span(18, 17, "c", vec![key_value("flags", array([Value::BoolValue(true), Value::BoolValue(false)]))]),
    ];
    append(&mut chunk, &request(vec![key_value("service.name", int(5))], InstrumentationScope::default(), second));
    chunk
}

fn kept(chunk: &Chunk, query: &str) -> Result<Vec<u32>, EvalError> {
    Ok(Filter::compile(&filter_of(query))?.select(chunk, &Facts(chunk))?.to_rows())
}

fn check(cases: &[(&str, &[u32])]) {
    let chunk = shop();
    for (query, rows) in cases {
        match kept(&chunk, query) {
            Ok(found) => assert_eq!(found, *rows, "{query}"),
            Err(error) => panic!("{query}: {error}"),
        }
    }
}

#[test]
fn the_literal_selects_the_kind_of_value() {
    check(&[
        ("{ span.n = 1 }", &[0]),
        ("{ span.n = 1.0 }", &[1]),
        (r#"{ span.n = "1" }"#, &[2]),
        ("{ span.n = true }", &[3]),
        ("{ span.n }", &[3]),
        ("{ span.n = 1s }", &[]),
        ("{ span.n != error }", &[]),
        ("{ span.n + 0 = 1 }", &[0, 1]),
        ("{ duration >= 3 && duration < 17.5 }", &[2, 3, 4]),
        ("{ span.n = nil }", &[4, 5]),
        ("{ span.n != nil && span.n != 2 }", &[0]),
    ]);
}

#[test]
fn lists_count_by_their_elements() {
    check(&[
        ("{ span.ports = 80 }", &[1, 2]),
        ("{ span.ports != 80 }", &[1]),
        ("{ span.ports != 80 && span.ports != 8080 }", &[]),
        ("{ span.ports = nil && span.n != nil }", &[0, 3]),
        (r#"{ span.flags !~ "x" }"#, &[4]),
        ("{ span.mixed != nil }", &[]),
        ("{ span.flags }", &[]),
        ("{ span.flags && true }", &[5]),
        ("{ span.ports > span.n }", &[1]),
        ("{ span.ports != span.n }", &[1]),
    ]);
}

#[test]
fn spans_shadow_resources() {
    check(&[
        (r#"{ .region = "us" }"#, &[1, 2, 3]),
        (r#"{ .region = "eu" }"#, &[0]),
        (r#"{ .region != "us" }"#, &[0]),
        ("{ .region = nil }", &[1, 2, 3, 4, 5]),
        ("{ .region != nil }", &[0, 1, 2, 3]),
        ("{ span.region != resource.region }", &[0]),
        ("{ .region != resource.region }", &[0]),
    ]);
}

#[test]
fn resources_scopes_and_traces() {
    check(&[
        (r#"{ resource.service.name = "cart" }"#, &[0, 1, 2, 3]),
        (r#"{ resource.service.name = "" }"#, &[4, 5]),
        ("{ resource.service.name = 5 }", &[]),
        (r#"{ resource.service.name =~ ".*" }"#, &[0, 1, 2, 3, 4, 5]),
        ("{ resource.region = nil }", &[4, 5]),
        (r#"{ instrumentation:name != "lib" }"#, &[4, 5]),
        (r#"{ instrumentation.flavor = "auto" }"#, &[0, 1, 2, 3]),
        (r#"{ rootName = "root" }"#, &[0, 1, 2, 3]),
        (r#"{ rootServiceName = "" }"#, &[4, 5]),
        ("{ traceDuration = 18ns }", &[4, 5]),
        ("{ duration = traceDuration }", &[3, 5]),
        (r#"{ trace:id = "02020202020202020202020202020202" }"#, &[4, 5]),
    ]);
}

#[test]
fn intrinsics_of_spans() {
    check(&[
        (r#"{ name = "a" || name = "b" }"#, &[1, 2, 3]),
        (r#"{ name !~ "a|b" && name !~ "c" }"#, &[0]),
        ("{ status = error }", &[0]),
        ("{ status != error && kind = client }", &[2]),
        (r#"{ statusMessage = "" }"#, &[1, 2, 3, 4, 5]),
        (r#"{ statusMessage != "" }"#, &[0]),
        (r#"{ span:id = "0000000000000011" }"#, &[4]),
        (r#"{ span:id != "11" }"#, &[0, 1, 2, 3, 4, 5]),
        (r#"{ span:parentID = "0000000000000000" }"#, &[0]),
        (r#"{ span:parentID =~ "0*1" }"#, &[1, 2]),
        ("{ status != nil }", &[0, 1, 2, 3, 4, 5]),
    ]);
}

#[test]
fn logic_and_negation() {
    check(&[
        (r#"{ !(span.n = 1) && name != "c" }"#, &[1, 2, 3]),
        ("{ span.hit || span.n = 1 }", &[0, 2]),
        ("{ !span.hit }", &[]),
        ("{ !span.hit && status = error }", &[]),
        ("{ (span.n = 1) = false && status = error }", &[]),
        ("{ -span.n = -1 && span.n < 5 }", &[0]),
        ("{ (name = \"a\") != (span.n = 1.0) }", &[]),
        ("{ 2 < duration }", &[]),
        ("{ 2 <= duration }", &[1]),
        ("{ 2ns = duration }", &[1]),
    ]);
}

#[test]
fn values_that_operators_cannot_work_on_fail_the_search() {
    let chunk = shop();
    for query in [
        "{ !span.n }",
        r#"{ !span.hit || name = "b" }"#,
        "{ -span.region = 1 }",
        "{ span.n / 0 = 1 }",
        "{ span.n % 0 = 1 }",
        r#"{ 1 / 0 = 1 && name = "b" }"#,
        "{ span.ports + 1 = 81 }",
        "{ span.ports = span.ports }",
        "{ span.flags && span.flags }",
    ] {
        let result = kept(&chunk, query);
        assert!(matches!(result, Err(EvalError::Runtime(_))), "{query}: {result:?}");
    }
    // No span is looked at.
    for query in [r#"{ 1 / 0 = 1 && name = "nope" }"#, r#"{ !span.hit && status = error }"#, "{ span.hit || true || !span.n }"] {
        assert!(kept(&chunk, query).is_ok(), "{query}");
    }
}

#[test]
fn constant_filters_need_no_data() {
    let constant = |query| Filter::compile(&filter_of(query)).ok().and_then(|filter| filter.constant());
    assert_eq!(constant("{ }"), Some(true));
    assert_eq!(constant("{ span.a = 1 && false }"), Some(false));
    assert_eq!(constant("{ !(span.a = 1s) }"), Some(true));
    assert_eq!(constant("{ span.a = 1 }"), None);
}

#[test]
fn an_empty_source_keeps_nothing() {
    let chunk = Chunk::default();
    for query in ["{ }", "{ 1 / 0 = 1 }", "{ .a = nil }", "{ duration > traceDuration }", r#"{ statusMessage = "" }"#] {
        assert_eq!(kept(&chunk, query).map_err(|error| error.to_string()), Ok(Vec::new()), "{query}");
    }
}

#[test]
fn expressions_with_a_value_compare_across_kinds() {
    let chunk = shop();
    let values = |query: &str| {
        let expression = Expression::compile(&filter_of(query)).expect("supported");
        expression.values(&chunk, &Facts(&chunk), &[0, 1, 4]).expect("no failure")
    };
    let bools = |bits: [bool; 3]| bits.map(Scalar::Bool).to_vec();
    assert_eq!(values("{ span.n = 1 }"), bools([true, true, false]));
    assert_eq!(values("{ 2 > span.n }"), bools([true, true, false]));
    assert_eq!(values("{ span.n = nil || status = error }"), bools([true, false, true]));
    assert_eq!(values("{ span.flags !~ \"x\" }"), bools([false, false, false]));
    let service = FieldExpr::Attribute(Attribute::scoped(Scope::Resource, "service.name"));
    let services = Expression::compile(&service).and_then(|e| e.values(&chunk, &Facts(&chunk), &[3, 5])).expect("supported");
    assert_eq!(services, [Scalar::Str("cart".into()), Scalar::Str("".into())]);
}

fn shown(query: &str, row: u32) -> Vec<(String, ResultValue)> {
    let (chunk, query) = (shop(), crate::traceql::compile(query).expect("valid query"));
    let answer = Answer::compile(&query).expect("supported");
    let facts = Facts(&chunk);
    let reader = answer.reader(&chunk, &facts, &[row]).expect("readable");
    let mut shown: Vec<(String, ResultValue)> = reader.attributes(row).into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    shown.extend(reader.name(row).map(|name| ("(name)".to_owned(), ResultValue::Str(name))));
    shown
}

fn shown_text(key: &str, value: &str) -> (String, ResultValue) {
    (key.to_owned(), ResultValue::Str(value.to_owned()))
}

#[test]
fn answers_show_what_passed() {
    let ports = |values: &[i64]| ("ports".to_owned(), ResultValue::Array(values.iter().map(|port| ResultValue::Int(*port)).collect()));
    assert_eq!(shown("{ span.ports > 100 }", 1), [("ports".to_owned(), ResultValue::Int(8080))]);
    assert_eq!(shown("{ span.ports > 100 } | select(span.ports)", 1), [ports(&[80, 8080])]);
    assert_eq!(shown("{ span.ports != nil }", 1), [ports(&[80, 8080])]);
    assert_eq!(shown(r#"{ name = "root" || status = error }"#, 0), [shown_text("status", "error"), shown_text("(name)", "root")]);
    assert_eq!(shown(r#"{ name = "root" || status = error }"#, 1), []);
    assert_eq!(shown(r#"{ .region =~ ".*" }"#, 0), [shown_text("region", "eu"), shown_text("region", "us")]);
    assert_eq!(shown("{ span.region = nil }", 1), [shown_text("region", "nil")]);
    assert_eq!(shown("{ } | select(span.http.url, span.db.url)", 1), [shown_text("http.url", "nil")]);
    assert_eq!(shown("{ duration > 1 } | select(kind, traceDuration)", 1), [shown_text("kind", "server")]);
}

#[test]
fn touched_attributes_come_in_order() {
    let query = crate::traceql::compile(
        r#"{ span.b = 1 && name = "x" && duration > 1s } >> { .a != nil || -span.c > 2 } | by(resource.d) | max(span.b * span.e) > 1 | select(kind)"#,
    )
    .expect("valid query");
    let names: Vec<String> = touched(&query).iter().map(Attribute::canonical_text).collect();
    assert_eq!(names, ["span.b", ".a", "span.c", "resource.d", "span.e", "kind"]);
    assert!(name_touched(&query));
}

#[test]
fn single_values() {
    let chunk = shop();
    let value = |attribute: &Attribute, row| attribute_value(&chunk, &Facts(&chunk), attribute, row).expect("readable");
    assert_eq!(value(&Attribute::scoped(Scope::None, "region"), 0), Some(ResultValue::Str("eu".to_owned())));
    assert_eq!(value(&Attribute::scoped(Scope::None, "region"), 4), None);
    assert_eq!(value(&Attribute::Intrinsic(Intrinsic::Duration), 1), Some(ResultValue::Str("2ns".to_owned())));
    assert_eq!(value(&Attribute::Intrinsic(Intrinsic::ParentSpanId), 3), Some(ResultValue::Str("0000000000000003".to_owned())));
}

#[test]
fn durations_that_wrapped_are_huge() {
    let mut chunk = Chunk::default();
    let backwards = Span { start_time_unix_nano: 2_000, end_time_unix_nano: 1_000, ..span(1, 0, "a", Vec::new()) };
    append(&mut chunk, &request(Vec::new(), InstrumentationScope::default(), vec![backwards]));
    for query in ["{ duration > 1000h }", "{ duration > 1.5 }", "{ duration > span:duration - 1s }", "{ duration != 0s }"] {
        assert_eq!(kept(&chunk, query).map_err(|error| error.to_string()), Ok(vec![0]), "{query}");
    }
}

#[test]
fn keys_without_a_value_are_absent() {
    let mut chunk = Chunk::default();
    let empty = KeyValue { key: "k".to_owned(), value: Some(AnyValue::default()), ..KeyValue::default() };
    let unset = KeyValue { key: "l".to_owned(), ..KeyValue::default() };
    append(&mut chunk, &request(Vec::new(), InstrumentationScope::default(), vec![span(1, 0, "a", vec![empty, unset])]));
    for query in ["{ span.k = nil }", "{ span.l = nil }", "{ !(span.k != nil) }"] {
        assert_eq!(kept(&chunk, query).map_err(|error| error.to_string()), Ok(vec![0]), "{query}");
    }
}

#[test]
fn a_pattern_that_is_no_regex_is_an_error() {
    let literal = FieldExpr::Static(Static::Str("(".to_owned()));
    let attribute = FieldExpr::Attribute(Attribute::scoped(Scope::Span, "a"));
    let expression = FieldExpr::Binary { op: crate::traceql::ast::BinaryOp::Regex, left: Box::new(attribute), right: Box::new(literal) };
    assert!(matches!(Filter::compile(&expression), Err(EvalError::Pattern(_))));
}

#[test]
fn spans_on_which_an_operator_fails_are_skipped_where_that_is_wanted() {
    let chunk = shop();
    let all = |query: &str| Filter::compile(&filter_of(query)).expect("supported");
    for (query, counterpart) in [
        // Only the span whose value is a bool can be negated.
        ("{ !span.n }", "{ span.n = false }"),
        ("{ !(!span.n) && span.n != nil }", "{ span.n = true }"),
        // Where an operand fails the other one does not count.
        ("{ !span.n || span.n = 1 }", "{ span.n = false }"),
    ] {
        let failed = all(query).select(&chunk, &Facts(&chunk));
        assert!(matches!(failed, Err(EvalError::Runtime(_))), "{query}: {failed:?}");
        let kept = all(query).with(OnFailure::SkipSpan).select(&chunk, &Facts(&chunk)).expect("readable").to_rows();
        assert_eq!(kept, all(counterpart).select(&chunk, &Facts(&chunk)).expect("readable").to_rows(), "{query}");
    }
}
