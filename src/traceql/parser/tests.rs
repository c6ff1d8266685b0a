use crate::traceql::ast::{Body, FieldExpr};
use crate::traceql::{ErrorClass, check, compile, parse};

/// The canonical text of a query that parses.
fn canonical(text: &str) -> String {
    match parse(text) {
        Ok(query) => query.to_string(),
        Err(error) => panic!("{text}: {error}"),
    }
}

fn message(text: &str) -> String {
    match parse(text) {
        Ok(query) => format!("accepted: {query}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn precedence_of_field_operators() {
    for (text, expected) in [
        ("{ .a || .b && .c }", "{ (.a || .b) && .c }"),
        ("{ .a && .b || .c }", "{ (.a && .b) || .c }"),
        ("{ .a = 1 && .b = 2 || .c = 3 }", "{ ((.a = 1) && (.b = 2)) || (.c = 3) }"),
        ("{ 1 < .b < 3 }", "{ (1 < .b) < 3 }"),
        ("{ -.a * 2 = 1 }", "{ (-(.a * 2)) = 1 }"),
        ("{ -.a + 2 = 1 }", "{ ((-.a) + 2) = 1 }"),
        ("{ .a * -.b + 1 = 1 }", "{ ((.a * (-.b)) + 1) = 1 }"),
        ("{ !.a = .b }", "{ (!.a) = .b }"),
        ("{ !.a * .b }", "{ !(.a * .b) }"),
        ("{ !!.a }", "{ !(!.a) }"),
        ("{ .a ^ .b ^ .c }", "{ .a ^ (.b ^ .c) }"),
        ("{ .a - .b - .c }", "{ (.a - .b) - .c }"),
        ("{ .a + .b * .c ^ .d }", "{ .a + (.b * (.c ^ .d)) }"),
        ("{ (-5) * .a = 1 }", "{ ((-5) * .a) = 1 }"),
        ("{ .a * -5 = 1 }", "{ (.a * -5) = 1 }"),
    ] {
        assert_eq!(canonical(text), expected, "{text}");
        assert_eq!(canonical(expected), expected);
    }
}

#[test]
fn constants_are_folded() {
    for (text, expected) in [
        ("{ 10 - 4 - 3 = 3 }", "{ true }"),
        ("{ .a = -9223372036854775807 - 1 }", "{ .a = minInt }"),
        ("{ .a = maxInt }", "{ .a = 9223372036854775807 }"),
        ("{ 1s + 1s > .a }", "{ 2e+09 > .a }"),
        ("{ 1.0 / 0 > .a }", "{ (1.0 / 0.0) > .a }"),
        ("{ 1 / 0 = 1 }", "{ (1 / 0) = 1 }"),
        ("{ !false && !(1 = 1) }", "{ false }"),
        ("{ nil = nil || nil != nil }", "{ false }"),
        ("{ \"a\" =~ \"a|b\" }", "{ true }"),
        ("{ \"a\" = 1 }", "{ `a` = 1 }"),
        ("{ - -1s = .a }", "{ 1s = .a }"),
        ("{}", "{ true }"),
    ] {
        assert_eq!(canonical(text), expected, "{text}");
    }
}

#[test]
fn nil_stands_only_in_comparisons() {
    assert_eq!(canonical("{ nil != .a && .b = nil }"), "{ (.a != nil) && (.b = nil) }");
    assert_eq!(canonical("{ .a + .b = nil }"), "{ (.a + .b) = nil }");
    for text in ["{ nil }", "{ .a > nil }", "{ .a =~ nil }", "{ (nil) = .a }", "{ nil > 1 }"] {
        assert!(parse(text).is_err(), "{text}");
    }
}

#[test]
fn spansets_and_pipelines() {
    for (text, expected) in [
        ("{ .a } > { .b } > { .c }", "(({ .a }) > ({ .b })) > ({ .c })"),
        ("{ .a } || { .b } >> { .c }", "({ .a }) || (({ .b }) >> ({ .c }))"),
        ("({ .a })", "{ .a }"),
        ("(({ .a } | count() > 1))", "{ .a }|(count()) > 1"),
        ("({ .a } | count() > 1) && ({ .b })", "({ .a }|(count()) > 1) && ({ .b })"),
        ("({ .a } | by(.x)) && ({ .b }) > ({ .c } | by(.y))", "({ .a }|by(.x)) && ({ .b }) > ({ .c }|by(.y))"),
        ("by(.x) | coalesce() | select(.a, name)", "by(.x)|coalesce()|select(.a, name)"),
        ("count() > 2", "(count()) > 2"),
        ("{ } | max(.a + 1) >= -(2 + 3) * 2", "{ true }|(max(.a + 1)) >= -10"),
        ("{ } | count() + 1 > 2 | { .a }", "{ true }|((count()) + 1) > 2|{ .a }"),
        ("({ } | count()) > \"x\"", "({ true }|count()) > `x`"),
        ("({ } | count()) > ({ } | sum(.a))", "({ true }|count()) > ({ true }|sum(.a))"),
        ("{ } with(x=1) with(y=2, z=minInt)", "{ true } with(y=2,z=minInt)"),
    ] {
        assert_eq!(canonical(text), expected, "{text}");
        assert_eq!(canonical(expected), expected);
    }
}

#[test]
fn metrics_and_math() {
    for (text, expected) in [
        ("{ } | rate() by (span:name, .b) > 1 < 100 | topk(2)", "{ true }|rate()by(name,.b) > 1 < 100|topk(2)"),
        ("{ } | quantile_over_time(duration, .9, 1) by (.a)", "{ true }|quantile_over_time(duration,0.90000,1.00000)by(.a)"),
        ("{ } | quantile_over_time(duration, 0.1234567)", "{ true }|quantile_over_time(duration,0.1234567)"),
        ("{ } | compare({ .a })", "{ true }|compare({ .a },10)"),
        ("{ } | compare({ .a }, 5, 1, 2)", "{ true }|compare({ .a },5,1,2)"),
        ("{ } | compare({ .a }, 5, 0, 0)", "{ true }|compare({ .a },5)"),
        ("2 * ({ } | rate()) + 1 / 2 > 3", "(2 * ({ true }|rate())) + 0 > 3"),
        ("(({ } | rate() | topk(1)) - 1 / 2.0) * -1 | bottomk(1)", "(({ true }|rate()|topk(1)) - 0.5) * -1|bottomk(1)"),
        ("{ } | rate() > (10 * 2)", "{ true }|rate() > 20"),
    ] {
        assert_eq!(canonical(text), expected, "{text}");
        assert_eq!(canonical(expected), expected);
    }
}

/// The table of §3.3, and a few neighbours.
const SHAPES_THAT_DO_NOT_PARSE: &[&str] = &[
    "({.a} | {.b}) | count() > 1",
    "({.a} | count() > 0) && ({.b}) | rate()",
    "{.a} >> ({.b} | count() > 1)",
    "({.a}) >> ({.b} | count() > 1)",
    "(({.a})) >> ({.b} | count() > 1)",
    "({.a} | count() > 1) && {.b}",
    "({.a} | count() > 1) && ({.b}) > {.c}",
    "{.a} | count() > 1 && {.b}",
    "{.a} | count()",
    "{.a} | count())",
    "coalesce()",
    "(coalesce())",
    "{.a} | by(.x, .y)",
    "{.a} | select(1)",
    "{.a} | select(.a + 1)",
    "{.a} | select(.a,)",
    "rate()",
    "{.a} | rate() | {.b}",
    "{.a} | rate() | count() > 1",
    "{.a} | rate() + 1",
    "{.a} | sum_over_time(duration * 2)",
    "{.a} | rate() by (1)",
    "{.a} | rate() by ()",
    "{.a} | rate() by (name,)",
    "{.a} | quantile_over_time(duration)",
    "{.a} | quantile_over_time(duration, -0.5)",
    "{.a} | compare({.b}, 1, 2)",
    "{.a} | compare({.b}, 1, 2, 3, 4)",
    "{.a} | compare({.b}, 1.5)",
    "{.a} | compare({.b}) by (.x)",
    "{.a} | rate() | topk(1.5)",
    "{.a} | rate() | topk()",
    "{.a} | rate() | topk(-1)",
    "({.a} | rate()) > ({.b} | rate())",
    "({.a} | rate()) % 2",
    "({.a} | rate()) ^ 2",
    "-({.a} | rate())",
    "({.a} | rate()) * 1s",
    "(({.a} | rate()) > 5) * 2",
    "({.a} | rate()) + 1 / 0",
    "{.a} | count() > \"x\"",
    "{.a} | count() > 2 ^ 2",
    "{.a} | count() > maxInt",
    "{.a} | count() > 1s + 1s",
    "{.a} | count() > 1 / 0",
    "5 > 3",
    "2 * 3",
    "(2)",
    "with(a=1)",
    "{.a} with()",
    "{.a} with(a=-1)",
    "{.a} with(name=1)",
    "{.a} with(a=b)",
    "{.a} with(a=1) | rate()",
    "{.a} {.b}",
    "(({.a} | count())) > 1",
    "{.a} | ({.b} | count() > 1)",
    "{.a} > 5",
    "1 + {.a}",
    "",
    "// nothing",
    ")",
];

#[test]
fn shapes_that_do_not_parse() {
    for text in SHAPES_THAT_DO_NOT_PARSE {
        assert!(parse(text).is_err(), "{}", message(text));
    }
}

#[test]
fn messages_name_token_and_place() {
    for (text, expected) in [
        ("{ .a = }", "parse error at line 1, col 8: syntax error: unexpected }"),
        ("{ .a = 1", "parse error at line 1, col 9: syntax error: unexpected $end, expecting }"),
        ("{ foo = 1 }", "parse error at line 1, col 3: unknown identifier: foo"),
        ("{ } |\n by(1, 2)", "parse error at line 2, col 6: syntax error: unexpected ,, expecting )"),
        ("{ } | rate() | { }", "parse error at line 1, col 16: syntax error: unexpected {, expecting topk or bottomk"),
        ("{ } | count() > \"x\"", "parse error at line 1, col 17: syntax error: unexpected STRING"),
        ("{ .a = \"x }", "parse error at line 1, col 8: syntax error: string literal not terminated"),
        ("{ } }", "parse error at line 1, col 5: syntax error: unexpected }"),
    ] {
        assert_eq!(message(text), expected, "{text}");
    }
}

/// Less than the 2 MiB that servers give to their threads, since these have more on the stack than the parser.
const STACK_BYTES: usize = 1536 * 1024;

/// Everything that is done with a tree, on a small stack.
fn exercise(text: String) {
    let worker = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(move || match parse(&text) {
        Ok(query) => {
            let printed = query.to_string();
            assert_eq!(parse(&printed).as_ref(), Ok(&query.clone()));
            let _ = check(&query);
            drop(format!("{query:?}"));
        }
        Err(error) => assert_eq!(error.class(), ErrorClass::Syntax),
    });
    let outcome = worker.expect("a thread can be started").join();
    assert!(outcome.is_ok());
}

#[test]
fn no_nesting_overflows_the_stack() {
    for depth in [20, 90, 120, 190, 199, 200, 210, 400, 10_000] {
        for (open, middle, close) in [
            ("(", ".a", ")"),
            ("!(", ".a", ")"),
            ("!", ".a", ""),
            ("- ", ".a", ""),
            ("(.b && ", ".a", ")"),
            ("(.b * (.c ^ ", ".a", "))"),
            ("1 + (", ".a", ")"),
            (".a ^ ", ".a", ""),
            ("", ".a", " = 1"),
            ("", ".a", " && .b"),
            ("", ".a", " && .b || .c"),
            ("(nil = ", ".a", ")"),
            ("", ".a", " = nil"),
        ] {
            exercise(format!("{{ {}{middle}{} }}", open.repeat(depth), close.repeat(depth)));
        }
        for (open, middle, close) in [
            ("(", "{}", ")"),
            ("(", "{} | by(.a)", ")"),
            ("(", "{} | rate()", ")"),
            ("({} && ", "{}", ")"),
            ("", "{}", " && {}"),
            ("", "{}", " | {}"),
            ("- ", "1", ""),
            ("(", "1", ")"),
            ("1 + (", "({} | rate())", ")"),
            ("", "({} | rate())", " * 2"),
            ("1 + (", "count()", ") > 1"),
            ("({} | by(.a)) && ({} | by(.b)) > ", "({} | by(.c))", ""),
            ("(({} | by(.a)) && ", "({} | by(.c))", ")"),
        ] {
            exercise(format!("{}{middle}{}", open.repeat(depth), close.repeat(depth)));
        }
        exercise(format!("{{ name =~ `{}{}` }}", "(a".repeat(depth), ")".repeat(depth)));
    }
}

fn depth_of(expr: &FieldExpr) -> usize {
    match expr {
        FieldExpr::Binary { left, right, .. } => 1 + depth_of(left).max(depth_of(right)),
        _ => 1,
    }
}

#[test]
fn long_runs_of_comparisons_stay_shallow() {
    let alternatives: Vec<String> = (0..5_000).map(|number| format!("span.a = {number}")).collect();
    let text = format!("{{ {} }}", alternatives.join(" || "));
    let Ok(Body::Metrics(_)) = compile(&format!("{text} | rate()")).map(|query| query.body) else {
        panic!("long texts are queries too");
    };
    let expr = crate::traceql::parse_tag_filter(&text).expect("a plain filter");
    assert!(depth_of(&expr) < 100, "{}", depth_of(&expr));
    // The order of the operands is that of the text.
    let values: Vec<String> = expr.to_string().replace(['(', ')'], "").split(" || ").map(str::to_owned).collect();
    assert_eq!(values, alternatives);
}
