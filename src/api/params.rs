//! The parameters of a request's URL (spec/query-api.md §1.1): the first value of a name counts, an empty one is none, and
//! unknown names do not matter.

use super::ApiError;
use super::times::{RangeArgs, instant};
use crate::model::UnixNanos;
use axum::extract::Query;
use http::Uri;

/// The parameters of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    /// Those of a URL; bytes outside UTF-8 are replaced.
    pub(super) fn of(uri: &Uri) -> Self {
        // A list of pairs takes whatever a query string can hold.
        Query::<Vec<(String, String)>>::try_from_uri(uri).map_or_else(|_| Params::default(), |Query(pairs)| Params(pairs))
    }

    /// The value of a parameter, if it is there and not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(known, _)| known == name)?;
        Some(value.as_str()).filter(|value| !value.is_empty())
    }

    /// All values of a parameter that are not empty.
    pub(super) fn all<'p>(&'p self, name: &'p str) -> impl Iterator<Item = &'p str> {
        self.0.iter().filter(move |(known, value)| known == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// The value of a parameter, read by `read`; its error becomes `invalid NAME: …`.
    pub(super) fn read<T>(&self, name: &str, read: impl FnOnce(&str) -> Result<T, String>) -> Result<Option<T>, ApiError> {
        let value = self.get(name).map(read).transpose();
        value.map_err(|error| ApiError::invalid(format!("invalid {name}: {error}")))
    }

    /// `start`, `end` and `since` of tags and tag values, in their flexible forms.
    pub(super) fn flexible_range(&self) -> Result<RangeArgs, ApiError> {
        let moment = |name: &str| -> Result<Option<UnixNanos>, ApiError> {
            let value = self.get(name).map(instant).transpose();
            value.map_err(|error| ApiError::invalid(format!("error parsing date range: could not parse '{name}' parameter: {error}")))
        };
        match self.get("since") {
            Some(since) => Ok(RangeArgs { since: Some(since.to_string()), ..RangeArgs::default() }),
            None => Ok(RangeArgs { since: None, start: moment("start")?, end: moment("end")? }),
        }
    }

    /// Refuses queries that are longer than the parser should be bothered with; every value of `q` and `query` counts.
    pub(super) fn check_expression_size(&self, max_bytes: usize) -> Result<(), ApiError> {
        let expressions = self.0.iter().filter(|(name, _)| name == "q" || name == "query");
        for (_, expression) in expressions {
            check_expression_size(expression, max_bytes)?;
        }
        Ok(())
    }
}

/// Refuses a query that is longer than the parser should be bothered with (spec/query-api.md §1.5).
pub(super) fn check_expression_size(expression: &str, max_bytes: usize) -> Result<(), ApiError> {
    if expression.len() <= max_bytes {
        return Ok(());
    }
    Err(ApiError::invalid(format!(
        "TraceQL expression exceeds the configured maximum size of {max_bytes} bytes, reduce the query expression size or contact your \
         system administrator"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::times::unsigned;

    fn params(query: &str) -> Params {
        Params::of(&format!("/x?{query}").parse().expect("a URI"))
    }

    #[test]
    fn the_first_value_counts_and_an_empty_one_is_none() {
        let params = params("a=1&a=2&b=&b=3&c=%7B%20%22x%22+%7D&d");
        assert_eq!((params.get("a"), params.get("b"), params.get("c")), (Some("1"), None, Some("{ \"x\" }")));
        assert_eq!((params.get("d"), params.get("e")), (None, None));
        assert_eq!(Params::of(&"/x".parse().expect("a URI")), Params::default());
        assert_eq!(self::params("a=%zz%ff").get("a"), Some("%zz\u{fffd}"));
    }

    #[test]
    fn errors_name_the_parameter() {
        assert_eq!(params("limit=7").read("limit", unsigned), Ok(Some(7)));
        assert_eq!(params("limit=").read("limit", unsigned), Ok(None));
        let error = params("limit=x").read("limit", unsigned).expect_err("no number");
        assert_eq!(error.to_string(), "invalid limit: strconv.ParseUint: parsing \"x\": invalid syntax");
    }

    #[test]
    fn every_expression_has_a_largest_size() {
        assert!(params("q=abc&query=abc").check_expression_size(3).is_ok());
        for query in ["q=abcd", "q=a&q=abcd", "query=abcd"] {
            let error = params(query).check_expression_size(3).expect_err("four bytes");
            assert!(error.to_string().starts_with("TraceQL expression exceeds the configured maximum size of 3 bytes, reduce"));
        }
    }

    #[test]
    fn flexible_ranges() {
        assert_eq!(params("start=1&end=2").flexible_range(), Ok(RangeArgs::of_seconds(1, 2)));
        assert_eq!(params("since=1h&start=x").flexible_range().map(|args| args.since), Ok(Some("1h".to_string())));
        let error = params("end=x").flexible_range().expect_err("no moment").to_string();
        assert!(error.starts_with("error parsing date range: could not parse 'end' parameter: "), "{error}");
    }
}
