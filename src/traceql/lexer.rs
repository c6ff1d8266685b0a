//! Query text to tokens with their byte spans (spec/traceql.md §2).
//!
//! The scanner has two modes. *Normal mode* knows whitespace, comments, words, numbers, strings and operators. Directly after a
//! dot or a scope with a dot (`span.`), *attribute mode* reads one attribute name, in which nearly every character is literal.
//! Both are one pass: an attribute is one token. A text that cannot be scanned on ends in [`TokenKind::Invalid`], so that the
//! parser reports whatever is wrong first.

mod name;
mod number;
mod text;

use std::ops::Range;

use super::attribute::{Attribute, Scope};
use super::error::ErrorKind;

/// A token and the bytes of the query text it was read from.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) span: Range<usize>,
}

/// What was read.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum TokenKind {
    /// The end of the text.
    End,
    /// Text that is no token; always the last one.
    Invalid(ErrorKind),
    /// A string literal, without quotes and escapes.
    Str(String),
    /// An integer literal.
    Int(i64),
    /// A float literal.
    Float(f64),
    /// A duration literal in nanoseconds.
    Duration(i64),
    /// One of [`RESERVED_WORDS`].
    Word(&'static str),
    /// Any other identifier.
    Identifier(String),
    /// An attribute with its scope, such as `span.http.route`.
    Attribute(Attribute),
    /// A scope with its colon, such as `span:`; holds the scope's name.
    ScopeColon(&'static str),
    /// One of [`SYMBOLS`].
    Symbol(&'static str),
}

/// Words that cannot be identifiers (§2.6).
#[rustfmt::skip]
const RESERVED_WORDS: &[&str] = &[
    "true", "false", "nil", "ok", "error", "unset", "unspecified", "internal", "server", "client", "producer", "consumer",
    "duration", "childCount", "name", "status", "statusMessage", "kind", "rootName", "rootServiceName", "rootService",
    "traceDuration", "nestedSetLeft", "nestedSetRight", "nestedSetParent", "id", "traceID", "spanID", "parentID",
    "timeSinceStart", "version", "parent",
    "count", "avg", "max", "min", "sum", "by", "coalesce", "select",
    "rate", "count_over_time", "min_over_time", "max_over_time", "avg_over_time", "sum_over_time", "quantile_over_time",
    "histogram_over_time", "compare", "topk", "bottomk", "with",
];

/// Operators and marks, longer ones before their beginnings (§2.2).
#[rustfmt::skip]
const SYMBOLS: &[&str] = &[
    "!>>", "!<<", "&>>", "&<<",
    "&&", "||", "!=", "=~", "!~", "<=", ">=", "<<", ">>", "!>", "!<", "&>", "&<", "&~",
    "=", "<", ">", "~", "!", "|", "+", "-", "*", "/", "%", "^", "{", "}", "(", ")", ",",
];

/// Scopes that open attribute mode when a dot follows without a gap.
const DOT_SCOPES: &[(&str, Scope)] = &[
    ("span", Scope::Span),
    ("resource", Scope::Resource),
    ("event", Scope::Event),
    ("link", Scope::Link),
    ("instrumentation", Scope::Instrumentation),
    ("parent", Scope::Parent),
];

/// Scopes of intrinsics, followed by a colon without a gap.
const COLON_SCOPES: &[&str] = &["span", "trace", "event", "link", "instrumentation"];

/// Splits the whole text. The last token is [`TokenKind::End`] or [`TokenKind::Invalid`], and neither occurs before.
pub(super) fn tokenize(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut lexer = Lexer { text, at: 0 };
    loop {
        let token = lexer.next_token();
        let is_last = matches!(token.kind, TokenKind::End | TokenKind::Invalid(_));
        tokens.push(token);
        if is_last {
            return tokens;
        }
    }
}

struct Lexer<'text> {
    text: &'text str,
    /// Byte offset of the next character.
    at: usize,
}

impl<'text> Lexer<'text> {
    fn next_token(&mut self) -> Token {
        if let Err(invalid) = self.skip_blanks_and_comments() {
            return invalid;
        }
        let start = self.at;
        let kind = self.scan().unwrap_or_else(TokenKind::Invalid);
        Token { kind, span: start..self.at }
    }

    fn skip_blanks_and_comments(&mut self) -> Result<(), Token> {
        loop {
            let rest = self.rest().trim_start_matches([' ', '\t', '\r', '\n']);
            self.at = self.text.len() - rest.len();
            let length = if rest.starts_with("//") {
                rest.find('\n').unwrap_or(rest.len())
            } else if let Some(comment) = rest.strip_prefix("/*") {
                let Some(end) = comment.find("*/") else {
                    let kind = TokenKind::Invalid(ErrorKind::UnterminatedComment);
                    let span = self.at..self.text.len();
                    return Err(Token { kind, span });
                };
                end + "/**/".len()
            } else {
                return Ok(());
            };
            self.at += length;
        }
    }

    /// Reads one token; leaves the position behind it, also behind an invalid one.
    fn scan(&mut self) -> Result<TokenKind, ErrorKind> {
        let rest = self.rest();
        let mut characters = rest.chars();
        let Some(first) = characters.next() else {
            return Ok(TokenKind::End);
        };
        let second_is_digit = characters.next().is_some_and(|second| second.is_ascii_digit());
        match first {
            '0'..='9' => self.number(),
            '.' if second_is_digit => self.number(),
            '.' => self.attribute(Scope::None, ".".len()),
            '"' => self.consume(text::quoted(rest)).map(TokenKind::Str),
            '`' => self.consume(text::raw(rest)).map(TokenKind::Str),
            _ if starts_identifier(first) => self.word(),
            _ => self.symbol(first),
        }
    }

    fn number(&mut self) -> Result<TokenKind, ErrorKind> {
        let scanned = number::scan(self.rest());
        self.consume(scanned)
    }

    /// A word, or the scope of what follows it.
    fn word(&mut self) -> Result<TokenKind, ErrorKind> {
        let rest = self.rest();
        let length = rest.find(|character| !continues_identifier(character)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(length);
        if after.starts_with('.')
            && let Some((name, scope)) = DOT_SCOPES.iter().find(|(name, _)| *name == word)
        {
            return self.attribute(*scope, name.len() + ".".len());
        }
        if after.starts_with(':')
            && let Some(scope) = COLON_SCOPES.iter().find(|name| **name == word)
        {
            self.at += scope.len() + ":".len();
            return Ok(TokenKind::ScopeColon(scope));
        }
        self.at += length;
        Ok(match RESERVED_WORDS.iter().find(|reserved| **reserved == word) {
            Some(reserved) => TokenKind::Word(reserved),
            None => TokenKind::Identifier(word.to_owned()),
        })
    }

    /// Attribute mode: one name after an opener of the given length.
    fn attribute(&mut self, mut scope: Scope, opener_length: usize) -> Result<TokenKind, ErrorKind> {
        self.at += opener_length;
        if scope == Scope::Parent {
            for (inner, parent_scope) in [("span.", Scope::ParentSpan), ("resource.", Scope::ParentResource)] {
                if self.rest().starts_with(inner) {
                    self.at += inner.len();
                    scope = parent_scope;
                    break;
                }
            }
        }
        let scanned = name::scan(self.rest());
        let key = self.consume(scanned)?;
        Ok(TokenKind::Attribute(Attribute::Scoped { scope, key }))
    }

    fn symbol(&mut self, first: char) -> Result<TokenKind, ErrorKind> {
        match SYMBOLS.iter().find(|symbol| self.rest().starts_with(**symbol)) {
            Some(symbol) => {
                self.at += symbol.len();
                Ok(TokenKind::Symbol(symbol))
            }
            None => {
                self.at += first.len_utf8();
                Err(ErrorKind::UnexpectedCharacter(first))
            }
        }
    }

    /// Moves behind what a scanner has read, or to the end when it could not.
    fn consume<T>(&mut self, scanned: Scanned<T>) -> Result<T, ErrorKind> {
        match scanned {
            Ok((value, length)) => {
                self.at += length;
                Ok(value)
            }
            Err(kind) => {
                self.at = self.text.len();
                Err(kind)
            }
        }
    }

    fn rest(&self) -> &'text str {
        &self.text[self.at..]
    }
}

/// A value and the number of bytes it was read from.
type Scanned<T> = Result<(T, usize), ErrorKind>;

fn starts_identifier(character: char) -> bool {
    character == '_' || character.is_alphabetic()
}

fn continues_identifier(character: char) -> bool {
    character == '_' || character.is_alphanumeric()
}

#[cfg(test)]
mod tests;
