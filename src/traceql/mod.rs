//! TraceQL, the front end: query text becomes a checked syntax tree (spec/traceql.md).
//!
//! ```text
//! text → lexer → parser (folds constants) → ast → check → whoever plans and evaluates
//!                                            ↓
//!                                         printer: canonical text, which parses back to the same tree
//! ```
//!
//! - [`ast`]: the tree; its vocabulary is in `attribute` (scopes, intrinsics) and `statics` (constants);
//! - `operators`: the one precedence table; `types`: which operands and operators go together; `fold`: operations on constants;
//! - [`metrics`]: series over time from the spans that a pipeline keeps;
//! - `lexer`, `parser`, `check`, `printer`, `tag_filter`: the steps;
//! - `error`: every message of the language, and where in the text it belongs; `regex`, `duration`: two notations of their own.
//!
//! Pure code: no IO, no storage, no wire formats. No text makes it panic or overflow the stack: trees are at most [`MAX_DEPTH`]
//! deep. The size limit of query texts is the callers' business.

pub mod ast;
mod attribute;
mod check;
mod duration;
mod error;
pub mod eval;
mod fold;
mod lexer;
pub mod metrics;
mod operators;
mod parser;
mod pattern;
mod printer;
mod regex;
mod statics;
mod tag_filter;
mod types;

pub use duration::{format_duration, parse_duration};
pub use error::{Error, ErrorClass, ErrorKind};
pub use fold::{arithmetic, compare};
pub use pattern::Pattern;
pub use printer::format_float;
pub use regex::{InvalidPattern, compile_regex};
pub use tag_filter::parse_tag_filter;

use ast::{Attribute, Query};

/// The largest number of nodes on a path of a syntax tree, where an operation between spansets, scalars or metrics queries counts
/// as three. Trees of this depth can be walked recursively on a 2 MiB stack.
pub const MAX_DEPTH: usize = 200;

/// Parses a query: syntax only.
///
/// # Errors
/// Errors of class [`ErrorClass::Syntax`].
pub fn parse(text: &str) -> Result<Query, Error> {
    parser::parse_query(text)
}

/// Validates a parsed query: types and the rules of spec/traceql.md §13.2.
///
/// # Errors
/// The first violation, of class [`ErrorClass::Invalid`] or [`ErrorClass::Unsupported`].
pub fn check(query: &Query) -> Result<(), Error> {
    check::check_query(query).map_err(Error::invalid)
}

/// Parses and validates a query.
///
/// # Errors
/// Those of [`parse`] and [`check()`], all knowing the text.
pub fn compile(text: &str) -> Result<Query, Error> {
    let query = parse(text)?;
    check(&query).map_err(|error| error.with_query(text))?;
    Ok(query)
}

/// Parses a text that is one attribute or intrinsic, such as `span."my attr"` or `trace:rootName` (spec/query-api.md §5.6).
///
/// # Errors
/// Anything else, notably a bare attribute name without scope or dot. The places in the message count an opening brace that stands
/// before the text, as clients know it: `app.user.id` gives `parse error at line 1, col 2: unknown identifier: app`.
pub fn parse_attribute(text: &str) -> Result<Attribute, Error> {
    parser::parse_attribute(text)
}

#[cfg(test)]
mod tests;
