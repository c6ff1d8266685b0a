//! Tokens to the syntax tree (spec/traceql.md §3), by hand-written precedence climbing over [`super::operators::PRECEDENCE`].
//!
//! - `fields`: expressions on one span;
//! - `pipeline`: stages, and the whole query as a sequence of them;
//! - `operand`: what can stand between operators outside of braces, and how two of them combine;
//! - `metrics`: metrics functions, second stages, hints.
//!
//! Here is only what they share: the token cursor and the two limits on nesting.

mod fields;
mod metrics;
mod operand;
mod pipeline;

use super::MAX_DEPTH;
use super::ast::{Attribute, Intrinsic, Query, Static};
use super::error::{Error, ErrorKind};
use super::lexer::{Token, TokenKind, tokenize};
use super::operators::Operator;

/// Parse calls that may be open at once, each counted with the weight of what it parses. The canonical text of a tree has a
/// parenthesis for every operation, and an operand in parentheses on the right costs two calls; twice the depth therefore lets
/// every printed tree be read back.
const MAX_OPEN_CALLS: usize = 2 * MAX_DEPTH + 20;

/// What a node of a field expression adds to the depth of its tree, and a call that parses it to the open calls.
const FIELD_WEIGHT: usize = 1;

/// The same for operations between spansets, scalars and metrics queries, whose parse functions need about thrice the stack.
const OPERATION_WEIGHT: usize = 3;

/// Parses a whole query.
pub(super) fn parse_query(text: &str) -> Result<Query, Error> {
    Parser::new(text).query()
}

/// Parses a text that is one attribute and nothing else (spec/query-api.md §5.6).
///
/// It is read as if it stood between braces, also for the columns of the messages, because that is what clients know.
pub(super) fn parse_attribute(text: &str) -> Result<Attribute, Error> {
    Parser::new(&format!("{{{text}}}")).sole_attribute()
}

/// A part of the tree, and how many nodes lie on its longest path, by their weight.
#[derive(Debug)]
struct Built<T> {
    tree: T,
    depth: usize,
}

impl<T> Built<T> {
    fn leaf(tree: T) -> Self {
        Self { tree, depth: 1 }
    }

    fn map<U>(self, change: impl FnOnce(T) -> U) -> Built<U> {
        Built { tree: change(self.tree), depth: self.depth }
    }
}

struct Parser<'text> {
    text: &'text str,
    /// Ends in [`TokenKind::End`] or [`TokenKind::Invalid`], which is never passed.
    tokens: Vec<Token>,
    next: usize,
    open_calls: usize,
}

impl<'text> Parser<'text> {
    fn new(text: &'text str) -> Self {
        Self { text, tokens: tokenize(text), next: 0, open_calls: 0 }
    }

    /// Runs a parse function that can contain itself.
    fn nested<T>(&mut self, weight: usize, parse: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        if self.open_calls + weight > MAX_OPEN_CALLS {
            return Err(self.error(ErrorKind::NestedTooDeeply));
        }
        self.open_calls += weight;
        let parsed = parse(self);
        self.open_calls -= weight;
        parsed
    }

    /// A node above others, if the tree stays within [`MAX_DEPTH`].
    fn node<T>(&self, tree: T, depth_below: usize) -> Result<Built<T>, Error> {
        self.weighed(tree, depth_below + FIELD_WEIGHT)
    }

    /// The same for an operation between spansets, scalars or metrics queries, and for their parentheses.
    fn operation_node<T>(&self, tree: T, depth_below: usize) -> Result<Built<T>, Error> {
        self.weighed(tree, depth_below + OPERATION_WEIGHT)
    }

    fn weighed<T>(&self, tree: T, depth: usize) -> Result<Built<T>, Error> {
        if depth > MAX_DEPTH {
            return Err(self.error(ErrorKind::NestedTooDeeply));
        }
        Ok(Built { tree, depth })
    }

    fn peek(&self) -> &TokenKind {
        &self.tokens[self.next].kind
    }

    /// Moves behind the next token; the last one is never passed.
    fn advance(&mut self) {
        self.next = (self.next + 1).min(self.tokens.len() - 1);
    }

    fn at_symbol(&self, symbol: &str) -> bool {
        matches!(self.peek(), TokenKind::Symbol(next) if *next == symbol)
    }

    fn eat_symbol(&mut self, symbol: &str) -> bool {
        let found = self.at_symbol(symbol);
        if found {
            self.advance();
        }
        found
    }

    fn expect_symbol(&mut self, symbol: &'static str) -> Result<(), Error> {
        if self.eat_symbol(symbol) { Ok(()) } else { Err(self.unexpected(&[symbol])) }
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), TokenKind::Word(next) if *next == word);
        if found {
            self.advance();
        }
        found
    }

    /// The next token as a binary operator.
    fn peek_operator(&self) -> Option<&'static Operator> {
        match self.peek() {
            TokenKind::Symbol(symbol) => Operator::of(symbol),
            _ => None,
        }
    }

    fn attribute(&mut self) -> Result<Attribute, Error> {
        match self.peek().clone() {
            TokenKind::Attribute(attribute) => {
                self.advance();
                Ok(attribute)
            }
            TokenKind::ScopeColon(scope) => {
                self.advance();
                self.scoped_intrinsic(scope).map(Attribute::Intrinsic)
            }
            TokenKind::Word(word) => match Intrinsic::from_word(word) {
                Some(intrinsic) => {
                    self.advance();
                    Ok(Attribute::Intrinsic(intrinsic))
                }
                None => Err(self.unexpected(&["attribute"])),
            },
            TokenKind::Identifier(name) => Err(self.error(ErrorKind::UnknownIdentifier(name))),
            _ => Err(self.unexpected(&["attribute"])),
        }
    }

    /// The word after a scope with its colon.
    fn scoped_intrinsic(&mut self, scope: &str) -> Result<Intrinsic, Error> {
        let found = match self.peek() {
            TokenKind::Word(word) => Intrinsic::from_scoped(scope, word),
            _ => None,
        };
        let intrinsic = found.ok_or_else(|| self.unexpected(&[]))?;
        self.advance();
        Ok(intrinsic)
    }

    /// `a, b, c` up to and with the closing parenthesis; at least one.
    fn attributes(&mut self) -> Result<Vec<Attribute>, Error> {
        let mut attributes = vec![self.attribute()?];
        while self.eat_symbol(",") {
            attributes.push(self.attribute()?);
        }
        match self.expect_symbol(")") {
            Ok(()) => Ok(attributes),
            Err(_) => Err(self.unexpected(&[",", ")"])),
        }
    }

    /// A literal or constant word, without sign; `None` if the next token is neither.
    fn literal(&mut self) -> Option<Static> {
        let value = match self.peek() {
            TokenKind::Str(text) => Static::Str(text.clone()),
            TokenKind::Int(value) => Static::Int(*value),
            TokenKind::Float(value) => Static::Float(*value),
            TokenKind::Duration(nanos) => Static::Duration(*nanos),
            TokenKind::Word(word) => Static::from_word(word)?,
            TokenKind::Identifier(name) if name == "minInt" => Static::Int(i64::MIN),
            TokenKind::Identifier(name) if name == "maxInt" => Static::Int(i64::MAX),
            _ => return None,
        };
        self.advance();
        Some(value)
    }

    /// The next token as an integer literal.
    fn integer(&mut self) -> Result<i64, Error> {
        let TokenKind::Int(value) = *self.peek() else {
            return Err(self.unexpected(&["INTEGER"]));
        };
        self.advance();
        Ok(value)
    }

    /// An error at the next token; what made that token invalid goes first.
    fn error(&self, kind: ErrorKind) -> Error {
        let token = &self.tokens[self.next];
        let kind = match &token.kind {
            TokenKind::Invalid(invalid) => invalid.clone(),
            _ => kind,
        };
        Error::at(kind, token.span.clone(), self.text)
    }

    /// The next token does not fit.
    fn unexpected(&self, expecting: &[&'static str]) -> Error {
        self.error(ErrorKind::UnexpectedToken { found: token_name(self.peek()), expecting: expecting.to_vec() })
    }

    /// The token at a remembered place does not fit.
    fn unexpected_at(&self, place: usize) -> Error {
        let token = &self.tokens[place];
        let kind = ErrorKind::UnexpectedToken { found: token_name(&token.kind), expecting: Vec::new() };
        Error::at(kind, token.span.clone(), self.text)
    }
}

/// How a message calls a token.
fn token_name(kind: &TokenKind) -> String {
    let name = match kind {
        TokenKind::End => "$end",
        TokenKind::Invalid(_) => "invalid text",
        TokenKind::Str(_) => "STRING",
        TokenKind::Int(_) => "INTEGER",
        TokenKind::Float(_) => "FLOAT",
        TokenKind::Duration(_) => "DURATION",
        TokenKind::Identifier(_) => "IDENTIFIER",
        TokenKind::Attribute(_) => "attribute",
        TokenKind::ScopeColon(scope) => return format!("{scope}:"),
        TokenKind::Word(text) | TokenKind::Symbol(text) => text,
    };
    name.to_owned()
}

#[cfg(test)]
mod tests;
