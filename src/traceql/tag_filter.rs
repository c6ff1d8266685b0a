//! The lenient reading of the filter that tag endpoints take: a query that may still be typed (spec/traceql.md §15.1).

use super::ast::{Body, FieldExpr, Pipeline, Query, SpansetExpr, Stage, Static};
use super::compile;
use super::lexer::{Token, TokenKind, tokenize};
use super::operators::Operator;

/// The expression of the first filter of a query, if the query begins with a plain one.
///
/// A text that does not parse is repaired first: matchers without their value become `true`, missing closing braces are added.
/// `None` means no filter: nothing written, everything matches anyway, a structural expression first, or a text beyond repair.
/// Splitting the expression into condition groups, and their limit, is left to the caller.
pub fn parse_tag_filter(text: &str) -> Option<FieldExpr> {
    let query = compile(text).or_else(|_| compile(&repair(text))).ok()?;
    first_filter(query).filter(|filter| *filter != FieldExpr::Static(Static::Bool(true)))
}

fn first_filter(query: Query) -> Option<FieldExpr> {
    let pipeline: Pipeline = match query.body {
        Body::Pipeline(pipeline) => pipeline,
        Body::Metrics(metrics) => metrics.pipeline,
        Body::ScalarComparison(_) | Body::Math(_) => return None,
    };
    match pipeline.stages.into_iter().next() {
        Some(Stage::Spansets(SpansetExpr::Filter(filter))) => Some(filter),
        _ => None,
    }
}

/// The text with unfinished matchers replaced and open braces closed, up to its first `|`; from there on as it is.
fn repair(text: &str) -> String {
    let mut tokens = tokenize(text);
    let first_pipe = tokens.iter().position(|token| token.kind == TokenKind::Symbol("|"));
    let rest = first_pipe.map_or("", |pipe| &text[tokens[pipe].span.start..]);
    tokens.truncate(first_pipe.unwrap_or(tokens.len()));

    let mut repaired = String::new();
    let mut copied_to = 0;
    for matcher in unfinished_matchers(&tokens) {
        repaired.push_str(&text[copied_to..matcher.start]);
        repaired.push_str(" true ");
        copied_to = matcher.end;
    }
    repaired.push_str(&text[copied_to..text.len() - rest.len()]);
    let count = |symbol| tokens.iter().filter(|token| token.kind == TokenKind::Symbol(symbol)).count();
    repaired.push_str(&" }".repeat(count("{").saturating_sub(count("}"))));
    repaired.push(' ');
    repaired.push_str(rest);
    repaired
}

/// The places of an attribute and a comparison with nothing to compare with.
fn unfinished_matchers(tokens: &[Token]) -> Vec<std::ops::Range<usize>> {
    let mut found = Vec::new();
    for (at, operator) in tokens.iter().enumerate() {
        let before = attribute_start(&tokens[..at]);
        let after = tokens.get(at + 1);
        if let Some(start) = before
            && is_comparison(&operator.kind)
            && after.is_none_or(|token| ends_matcher(&token.kind))
        {
            found.push(start..operator.span.end);
        }
    }
    found
}

/// Where the attribute at the end of the tokens begins.
fn attribute_start(tokens: &[Token]) -> Option<usize> {
    match tokens {
        [.., scope, word] if matches!((&scope.kind, &word.kind), (TokenKind::ScopeColon(_), TokenKind::Word(_))) => Some(scope.span.start),
        [.., token] if matches!(token.kind, TokenKind::Attribute(_) | TokenKind::Word(_)) => Some(token.span.start),
        _ => None,
    }
}

fn is_comparison(kind: &TokenKind) -> bool {
    let TokenKind::Symbol(symbol) = kind else {
        return false;
    };
    let op = Operator::of(symbol).and_then(|row| row.field);
    op.is_some_and(|op| op.is_boolean() && !op.is_logical())
}

fn ends_matcher(kind: &TokenKind) -> bool {
    matches!(kind, TokenKind::Symbol("}" | ")" | "&&" | "||") | TokenKind::End)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<String> {
        parse_tag_filter(text).map(|filter| filter.to_string())
    }

    #[test]
    fn whole_queries() {
        assert_eq!(read("{ .a = 1 }").as_deref(), Some(".a = 1"));
        assert_eq!(read("{ .a = 1 } | rate() by (.b)").as_deref(), Some(".a = 1"));
        assert_eq!(read("({ .a = 1 }) | count() > 1").as_deref(), Some(".a = 1"));
        assert_eq!(read("{ .a }").as_deref(), Some(".a"));
    }

    #[test]
    fn unfinished_texts_are_repaired() {
        for (text, expected) in [
            ("{ .a = 1 && name =", "(.a = 1) && true"),
            ("{ .a = 1 && span:name = }", "(.a = 1) && true"),
            ("{ .a = 1", ".a = 1"),
            ("{ .a = 1 && resource.service.name=~", "(.a = 1) && true"),
            ("{ (.b> || .a = 1) && .c != } | select(name)", "(true || (.a = 1)) && true"),
            ("{ span.foo= && span.bar=\"x\"}", "true && (span.bar = `x`)"),
        ] {
            assert_eq!(read(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn no_filter() {
        for text in [
            "",
            "{}",
            "{ true }",
            "{",
            "{ name = }",
            "{ .a = 1 } >> { .b = 1 }",
            "({ .a = 1 } | rate()) * 2",
            "count() > 1",
            "{ name = 1 }",
            "{ .a = \"unfinished",
            "{ foo = 1 }",
            "nonsense",
            "}{ | ",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
