use super::*;

fn kinds(text: &str) -> Vec<TokenKind> {
    tokenize(text).into_iter().map(|token| token.kind).collect()
}

/// The only token of a text.
fn single(text: &str) -> TokenKind {
    let mut kinds = kinds(text);
    assert_eq!(kinds.len(), 2, "{text}: {kinds:?}");
    kinds.swap_remove(0)
}

fn attribute(scope: Scope, key: &str) -> TokenKind {
    TokenKind::Attribute(Attribute::scoped(scope, key))
}

fn is_invalid(text: &str) -> bool {
    matches!(kinds(text).last(), Some(TokenKind::Invalid(_)))
}

#[test]
fn spans_are_byte_ranges() {
    let text = " {.größe=1 }";
    let shown: Vec<&str> = tokenize(text).iter().map(|token| &text[token.span.clone()]).collect();
    assert_eq!(shown, ["{", ".größe", "=", "1", "}", ""]);
}

#[test]
fn integers_are_decimal() {
    assert_eq!(single("010"), TokenKind::Int(10));
    assert_eq!(single("0"), TokenKind::Int(0));
    assert_eq!(single("9223372036854775807"), TokenKind::Int(i64::MAX));
    for text in ["08", "0x10", "0o7", "0b1", "1_000", "9223372036854775808", "1e", "1e+", "0xp1", "0x1.2.3p1", "1e999"] {
        assert!(is_invalid(text), "{text}: {:?}", kinds(text));
    }
}

#[test]
fn floats() {
    for (text, value) in [("1.5", 1.5), ("1.", 1.0), (".5", 0.5), ("1e3", 1000.0), ("1.2E-3", 0.0012), ("0x1p8", 256.0), ("0x.8p1", 1.0)] {
        assert_eq!(single(text), TokenKind::Float(value), "{text}");
    }
}

#[test]
fn durations_follow_their_number_without_a_gap() {
    assert_eq!(single("1d12h"), TokenKind::Duration(129_600_000_000_000));
    assert_eq!(single("1.5h"), TokenKind::Duration(5_400_000_000_000));
    assert_eq!(single("10µs"), TokenKind::Duration(10_000));
    assert_eq!(kinds("10 ms").len(), 3);
    assert_eq!(kinds("1.5d")[..2], [TokenKind::Float(1.5), TokenKind::Identifier("d".to_owned())]);
    assert_eq!(kinds("1d1us")[0], TokenKind::Int(1));
    assert_eq!(kinds("10s-5s").len(), 4);
}

#[test]
fn strings_have_escapes_of_go() {
    assert_eq!(single(r#""a\x2f\057\u00e9\U0001F600\"\\\n""#), TokenKind::Str("a//é😀\"\\\n".to_owned()));
    assert_eq!(single(r#""\xc3\xa9""#), TokenKind::Str("é".to_owned()));
    assert_eq!(single("`a\\d\n\"`"), TokenKind::Str("a\\d\n\"".to_owned()));
    for text in [r#""\d""#, r#""\'""#, r#""\x+1""#, r#""\400""#, r#""\ud800""#, r#""\u12"#, r#""open"#, "\"a\nb\"", "`open", "'a'", "\"\\"]
    {
        assert!(is_invalid(text), "{text}");
    }
}

#[test]
fn attribute_names_swallow_operators() {
    assert_eq!(single(".a*2"), attribute(Scope::None, "a*2"));
    assert_eq!(single(".http.url//x"), attribute(Scope::None, "http.url//x"));
    assert_eq!(single("span.5xx"), attribute(Scope::Span, "5xx"));
    assert_eq!(kinds(".a^2").len(), 4);
    assert_eq!(kinds(".a>2").len(), 4);
    assert_eq!(kinds(".a\u{a0}=2")[0], attribute(Scope::None, "a"));
}

#[test]
fn attribute_names_can_be_quoted_in_parts() {
    for text in [r#"span."http".route"#, r#"span.http."route""#, r#"span."http.route""#] {
        assert_eq!(single(text), attribute(Scope::Span, "http.route"), "{text}");
    }
}

#[test]
fn attribute_quotes_know_two_escapes() {
    assert_eq!(single(r#"."""#), attribute(Scope::None, ""));
    assert_eq!(single(r#"."a\"b\\c d""#), attribute(Scope::None, "a\"b\\c d"));
    for text in [r#"."a\n""#, r#"."a"#, r#"."a\"#, ". foo", "span. foo", "span.", "."] {
        assert!(is_invalid(text), "{text}");
    }
}

#[test]
fn scopes_nest_only_below_parent() {
    assert_eq!(single("parent.span.x"), attribute(Scope::ParentSpan, "x"));
    assert_eq!(single("parent.resource.x"), attribute(Scope::ParentResource, "x"));
    assert_eq!(single("parent.x"), attribute(Scope::Parent, "x"));
    assert_eq!(single("parent.\"span.x\""), attribute(Scope::Parent, "span.x"));
    assert_eq!(single("span.resource.foo"), attribute(Scope::Span, "resource.foo"));
    assert_eq!(single("resource.span.name"), attribute(Scope::Resource, "span.name"));
}

#[test]
fn colons_belong_to_their_scope() {
    assert_eq!(kinds("span: name")[..2], [TokenKind::ScopeColon("span"), TokenKind::Word("name")]);
    assert!(is_invalid("span :name"));
    assert!(is_invalid("resource:name"));
    assert!(is_invalid("parent:id"));
}

#[test]
fn symbols_are_greedy() {
    let symbols = |text: &str| -> Vec<String> {
        let tokens = tokenize(text);
        tokens[..tokens.len() - 1].iter().map(|token| text[token.span.clone()].to_owned()).collect()
    };
    assert_eq!(symbols("!>>&<<&&!~"), ["!>>", "&<<", "&&", "!~"]);
    assert_eq!(symbols("==="), ["=", "=", "="]);
    assert_eq!(symbols(">>>"), [">>", ">"]);
    assert_eq!(symbols("=>"), ["=", ">"]);
    assert!(is_invalid("& 1"));
    assert!(is_invalid("#"));
}

#[test]
fn comments_are_blank() {
    assert_eq!(kinds("{ // }\n } /* { */"), [TokenKind::Symbol("{"), TokenKind::Symbol("}"), TokenKind::End]);
    assert!(is_invalid("{ /* "));
    assert!(is_invalid("/*/"));
    assert_eq!(kinds("/**/").len(), 1);
}

#[test]
fn words_are_case_sensitive() {
    assert_eq!(single("error"), TokenKind::Word("error"));
    assert_eq!(single("Error"), TokenKind::Identifier("Error".to_owned()));
    assert_eq!(single("span"), TokenKind::Identifier("span".to_owned()));
    assert_eq!(kinds("name.x").len(), 3);
}
