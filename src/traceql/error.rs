//! Errors of the language front end: what is wrong, where, and in which query text.

use std::fmt;
use std::ops::Range;

/// Why a query text is refused. The texts are the interface: clients see them (spec/traceql.md §3.3 and §13.2).
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ErrorKind {
    /// A token that does not fit where it stands.
    #[error("syntax error: unexpected {found}{}", expecting_text(.expecting))]
    UnexpectedToken {
        /// The name of the token; `$end` for the end of the text.
        found: String,
        /// What would fit; empty when that is too much to tell.
        expecting: Vec<&'static str>,
    },
    /// A word where a value or attribute is needed, such as a bare attribute name.
    #[error("unknown identifier: {0}")]
    UnknownIdentifier(String),
    /// A character that starts no token.
    #[error("syntax error: unexpected character {0:?}")]
    UnexpectedCharacter(char),
    /// A string without its end quote.
    #[error("syntax error: string literal not terminated")]
    UnterminatedString,
    /// A backslash pair that is no escape.
    #[error("syntax error: invalid escape sequence in string literal")]
    InvalidEscape,
    /// `/*` without `*/`.
    #[error("syntax error: comment not terminated")]
    UnterminatedComment,
    /// A number in a form the language does not have, or too large.
    #[error("syntax error: invalid number literal {0}")]
    InvalidNumber(String),
    /// A scope or dot that no name follows.
    #[error("syntax error: missing attribute name")]
    MissingAttributeName,
    /// A quoted part of an attribute name without its end quote, or with an escape other than `\"` and `\\`.
    #[error("syntax error: invalid quoting in attribute name")]
    InvalidAttributeQuoting,
    /// An integer division by zero among the constants of a scalar or of metrics math.
    #[error("syntax error: division by zero in constant expression")]
    ConstantDivisionByZero,
    /// Something that reads well but is not one attribute name.
    #[error("syntax error: not an attribute name")]
    NotAnAttribute,
    /// Expressions within expressions beyond the limit.
    #[error("syntax error: expression is nested too deeply")]
    NestedTooDeeply,

    /// Operand types that cannot be combined.
    #[error("binary operations must operate on the same type: {0}")]
    TypeMismatch(String),
    /// An operator that one of its operands' types does not have.
    #[error("illegal operation for the given types: {0}")]
    IllegalBinary(String),
    /// `!` on no bool, `-` on no number.
    #[error("illegal operation for the given type: {0}")]
    IllegalUnary(String),
    /// A regular expression that is no string literal.
    #[error("invalid type for =~ or !~: {0}")]
    RegexNotLiteral(String),
    /// A regular expression that does not compile.
    #[error("invalid regex: `{0}`")]
    InvalidRegex(String),
    /// A filter that cannot be true or false.
    #[error("span filter field expressions must resolve to a boolean: {0}")]
    FilterNotBoolean(String),
    /// An aggregate of something that is no number.
    #[error("aggregate field expressions must resolve to a number type: {0}")]
    AggregateNotNumber(String),
    /// An aggregate of a constant.
    #[error("aggregate field expressions must reference the span: {0}")]
    AggregateWithoutSpan(String),
    /// `by` of a constant.
    #[error("grouping field expressions must reference the span: {0}")]
    GroupingWithoutSpan(String),
    /// `= nil` on something that always has a value: an intrinsic or `resource.service.name`.
    #[error("{name}=nil is not valid because {} cannot be nil", if *.intrinsic { "intrinsics" } else { .name.as_str() })]
    NeverNil {
        /// The attribute's canonical text.
        name: String,
        /// Whether it is an intrinsic.
        intrinsic: bool,
    },
    /// A quantile outside 0…1.
    #[error("quantile must be between 0 and 1: {0}")]
    QuantileOutOfRange(f64),
    /// `topk(0)`, `bottomk(0)`.
    #[error("limit must be greater than 0")]
    ZeroLimit,
    /// The number of values of a `compare`.
    #[error("compare() top number of values must be an integer between 1 and 1000")]
    CompareTopN,
    /// A bound of a `compare` window.
    #[error("compare() timestamps must be positive integer unix nanoseconds")]
    CompareTimestamps,
    /// An empty `compare` window.
    #[error("compare() end timestamp must be greater than start timestamp")]
    CompareWindow,
    /// A `compare` that is not the last thing of its query.
    #[error("`compare()` cannot be used with second stage functions")]
    CompareNotLast,

    /// The parent scope.
    #[error("parent not yet supported")]
    ParentScope,
    /// The parent intrinsic.
    #[error("intrinsic (parent) not yet supported")]
    ParentIntrinsic,
    /// A scalar filter that does not begin with an aggregate. The `%v` is part of the text (§13.2).
    #[error("scalar filter lhs of type (%v) not yet supported")]
    ScalarFilterLeft,
    /// A scalar filter that does not end in a constant. The `%v` is part of the text (§13.2).
    #[error("scalar filter rhs of type (%v) not yet supported")]
    ScalarFilterRight,
    /// More labels than a metrics function can carry.
    #[error("metrics group by {0} values not yet supported")]
    TooManyGroups(usize),
}

/// The three ways a query can be refused; over HTTP all are a 400 (§13.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// The text is not in the language.
    Syntax,
    /// The text parses but has no meaning.
    Invalid,
    /// The text has a meaning that nothing implements.
    Unsupported,
}

impl ErrorKind {
    /// Which of the three classes the error belongs to.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::UnexpectedToken { .. }
            | Self::UnknownIdentifier(_)
            | Self::UnexpectedCharacter(_)
            | Self::UnterminatedString
            | Self::InvalidEscape
            | Self::UnterminatedComment
            | Self::InvalidNumber(_)
            | Self::MissingAttributeName
            | Self::InvalidAttributeQuoting
            | Self::ConstantDivisionByZero
            | Self::NotAnAttribute
            | Self::NestedTooDeeply => ErrorClass::Syntax,
            Self::TypeMismatch(_)
            | Self::IllegalBinary(_)
            | Self::IllegalUnary(_)
            | Self::RegexNotLiteral(_)
            | Self::InvalidRegex(_)
            | Self::FilterNotBoolean(_)
            | Self::AggregateNotNumber(_)
            | Self::AggregateWithoutSpan(_)
            | Self::GroupingWithoutSpan(_)
            | Self::NeverNil { .. }
            | Self::QuantileOutOfRange(_)
            | Self::ZeroLimit
            | Self::CompareTopN
            | Self::CompareTimestamps
            | Self::CompareWindow
            | Self::CompareNotLast => ErrorClass::Invalid,
            Self::ParentScope | Self::ParentIntrinsic | Self::ScalarFilterLeft | Self::ScalarFilterRight | Self::TooManyGroups(_) => {
                ErrorClass::Unsupported
            }
        }
    }
}

/// A refused query. [`fmt::Display`] gives exactly the text that clients see, [`Error::drawing`] shows the place.
#[derive(Debug, Clone, PartialEq)]
pub struct Error(Box<Details>);

/// Boxed because results carrying the error are passed through deep recursion.
#[derive(Debug, Clone, PartialEq)]
struct Details {
    kind: ErrorKind,
    /// Bytes of the query text; only syntax errors have a place, since the tree keeps none.
    span: Option<Range<usize>>,
    query: String,
}

impl Error {
    /// A syntax error at a place of a query text.
    pub(super) fn at(kind: ErrorKind, span: Range<usize>, query: &str) -> Self {
        Self(Box::new(Details { kind, span: Some(span), query: query.to_owned() }))
    }

    /// A validation error; the query text is filled in by [`Error::with_query`].
    pub(super) fn invalid(kind: ErrorKind) -> Self {
        Self(Box::new(Details { kind, span: None, query: String::new() }))
    }

    /// The same error, knowing the text of its query.
    pub(super) fn with_query(mut self, query: &str) -> Self {
        query.clone_into(&mut self.0.query);
        self
    }

    /// What is wrong.
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// Which of the three classes the error belongs to.
    pub fn class(&self) -> ErrorClass {
        self.0.kind.class()
    }

    /// The bytes of the query text that do not fit; validation errors have no place.
    pub fn span(&self) -> Option<Range<usize>> {
        self.0.span.clone()
    }

    /// The query text; empty for an error of [`super::check()`], which sees only the tree.
    pub fn query(&self) -> &str {
        &self.0.query
    }

    /// The message, then the line of the query text with carets under the place, for logs and the web pages.
    pub fn drawing(&self) -> String {
        if self.0.query.is_empty() {
            return self.to_string();
        }
        let Some(span) = &self.0.span else {
            return format!("{self}\n  {}", self.0.query.replace('\n', "\n  "));
        };
        let place = Place::of(&self.0.query, span.start);
        let line = self.0.query.lines().nth(place.line - 1).unwrap_or_default();
        let skipped = place.column.saturating_sub(DRAWN_BEFORE + 1);
        let shown: String = line.chars().skip(skipped).take(DRAWN_BEFORE + DRAWN_AFTER).collect();
        let indent: String = shown.chars().take(place.column - 1 - skipped).map(blank_as_wide).collect();
        let marked = self.0.query.get(span.clone()).and_then(|text| text.lines().next()).unwrap_or_default();
        let carets = "^".repeat(marked.chars().count().clamp(1, DRAWN_AFTER));
        format!("{self}\n  {shown}\n  {indent}{carets}")
    }
}

/// Characters of a long line that a drawing shows before and from the place on.
const DRAWN_BEFORE: usize = 60;
const DRAWN_AFTER: usize = 60;

/// A tab stays a tab, so that carets stand below their text.
fn blank_as_wide(character: char) -> char {
    if character == '\t' { '\t' } else { ' ' }
}

/// A place for human eyes, both numbers counted from 1; columns count characters.
struct Place {
    line: usize,
    column: usize,
}

impl Place {
    fn of(text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Details { kind, span, query } = &*self.0;
        match span {
            None => kind.fmt(out),
            // Nothing was scanned, so there is no place to name.
            Some(_) if query.is_empty() => write!(out, "parse error : {kind}"),
            Some(span) => {
                let place = Place::of(query, span.start);
                write!(out, "parse error at line {}, col {}: {kind}", place.line, place.column)
            }
        }
    }
}

fn expecting_text(expecting: &[&str]) -> String {
    if expecting.is_empty() { String::new() } else { format!(", expecting {}", expecting.join(" or ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unexpected(found: &str, expecting: Vec<&'static str>) -> ErrorKind {
        ErrorKind::UnexpectedToken { found: found.to_owned(), expecting }
    }

    #[test]
    fn syntax_errors_name_their_place() {
        let error = Error::at(unexpected("}", vec!["STRING", "INTEGER"]), 10..11, "{ 1 &&\n\té}");
        assert_eq!(error.to_string(), "parse error at line 2, col 3: syntax error: unexpected }, expecting STRING or INTEGER");
        let end = Error::at(unexpected("$end", vec![]), 0..0, "");
        assert_eq!(end.to_string(), "parse error : syntax error: unexpected $end");
    }

    #[test]
    fn drawing_puts_carets_below_the_place() {
        let error = Error::at(ErrorKind::UnknownIdentifier("foo".to_owned()), 8..11, "{ 1 &&\n\tfoo }");
        assert_eq!(error.drawing(), "parse error at line 2, col 2: unknown identifier: foo\n  \tfoo }\n  \t^^^");
        let end = Error::at(unexpected("$end", vec![]), 1..1, "{");
        assert!(end.drawing().ends_with("\n  {\n   ^"));
    }

    #[test]
    fn drawing_of_a_long_line_shows_the_surroundings() {
        let query = format!("{{ {} ? }}", "x ".repeat(200));
        let error = Error::at(ErrorKind::UnexpectedCharacter('?'), 403..404, &query);
        let drawing = error.drawing();
        let lines: Vec<&str> = drawing.lines().collect();
        assert_eq!(lines[1].chars().nth(lines[2].len() - 1), Some('?'));
    }

    #[test]
    fn names_that_are_never_nil_differ_in_their_reason() {
        let text = |name: &str, intrinsic| ErrorKind::NeverNil { name: name.to_owned(), intrinsic }.to_string();
        assert_eq!(text("name", true), "name=nil is not valid because intrinsics cannot be nil");
        assert_eq!(
            text("resource.service.name", false),
            "resource.service.name=nil is not valid because resource.service.name cannot be nil"
        );
    }
}
