//! The search of old clients: `tags`, `minDuration` and `maxDuration`, as TraceQL (spec/query-api.md §4.1, §4.2).

use super::filters::{all_of, binary, compare, query};
use crate::traceql::ast::{Attribute, BinaryOp, FieldExpr, Intrinsic, Query, Scope, Static, Status};
use std::collections::BTreeMap;

const NANOS_PER_MILLI: i64 = 1_000_000;

/// A search without a query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LegacySearch {
    /// All of them must hold.
    pub(super) tags: BTreeMap<String, String>,
    /// Shortest trace in milliseconds; 0 for no bound.
    pub(super) min_duration_ms: u32,
    /// Longest trace in milliseconds; 0 for no bound.
    pub(super) max_duration_ms: u32,
}

impl LegacySearch {
    /// The query that finds the same traces; `None` if every trace is asked for.
    ///
    /// All conditions must hold for one span. A tag is the exact text of a span or resource attribute, except for the names
    /// of `condition`.
    pub(super) fn to_query(&self) -> Option<Query> {
        let mut conditions: Vec<FieldExpr> = self.tags.iter().map(|(key, value)| condition(key, value)).collect();
        for (op, bound) in [(BinaryOp::Ge, self.min_duration_ms), (BinaryOp::Le, self.max_duration_ms)] {
            if bound > 0 {
                // The longest trace takes its whole last millisecond, as its duration is told in whole ones.
                let slack = if op == BinaryOp::Le { NANOS_PER_MILLI - 1 } else { 0 };
                let bound = Static::Duration(i64::from(bound) * NANOS_PER_MILLI + slack);
                conditions.push(compare(op, Attribute::Intrinsic(Intrinsic::TraceDuration), bound));
            }
        }
        all_of(conditions).map(query)
    }
}

fn condition(key: &str, value: &str) -> FieldExpr {
    match key {
        "service.name" => contains(Attribute::scoped(Scope::Resource, key), value),
        "name" => contains(Attribute::Intrinsic(Intrinsic::Name), value),
        "root.name" => contains(Attribute::Intrinsic(Intrinsic::RootName), value),
        "root.service.name" => contains(Attribute::Intrinsic(Intrinsic::RootServiceName), value),
        "status.code" => has_status(value),
        _ => {
            let equals = |scope| compare(BinaryOp::Eq, Attribute::scoped(scope, key), Static::Str(value.to_string()));
            binary(BinaryOp::Or, equals(Scope::Span), equals(Scope::Resource))
        }
    }
}

fn has_status(word: &str) -> FieldExpr {
    match [Status::Error, Status::Ok, Status::Unset].into_iter().find(|status| status.as_str() == word) {
        Some(status) => compare(BinaryOp::Eq, Attribute::Intrinsic(Intrinsic::Status), Static::Status(status)),
        // No span has another status.
        None => FieldExpr::Static(Static::Bool(false)),
    }
}

/// Regular expressions match whole texts, so the text may have anything around it.
fn contains(attribute: Attribute, part: &str) -> FieldExpr {
    compare(BinaryOp::Regex, attribute, Static::Str(format!(".*{}.*", regex::escape(part))))
}

/// Reads `a=b c="d e"`.
///
/// # Errors
///
/// `tag X has been set twice`, or what is wrong and where (spec/query-api.md §4.1, row 3).
pub(super) fn parse_tags(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut tags = BTreeMap::new();
    let mut reader = Reader { text, at: 0 };
    while let Some(key) = reader.key()? {
        let value = reader.value()?;
        if tags.insert(key.to_string(), value).is_some() {
            return Err(format!("tag {key} has been set twice"));
        }
    }
    Ok(tags)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    /// The characters from here on that belong together.
    fn take(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let rest = &self.text[self.at..];
        let taken = &rest[..rest.find(|character| !belongs(character)).unwrap_or(rest.len())];
        self.at += taken.len();
        taken
    }

    fn key(&mut self) -> Result<Option<&'a str>, String> {
        self.take(|character| character <= ' ');
        let key = self.take(is_bare);
        match self.text[self.at..].chars().next() {
            Some(unexpected @ '"') => Err(self.unexpected(unexpected)),
            Some(unexpected @ '=') if key.is_empty() => Err(self.unexpected(unexpected)),
            _ => Ok(Some(key).filter(|key| !key.is_empty())),
        }
    }

    /// What follows a key: nothing, or `=` and a value, bare or in quotes.
    fn value(&mut self) -> Result<String, String> {
        if self.take_one('=') {
            if self.take_one('"') {
                return self.quoted();
            }
            let value = self.take(is_bare).to_string();
            if let Some(unexpected @ ('=' | '"')) = self.text[self.at..].chars().next() {
                return Err(self.unexpected(unexpected));
            }
            return Ok(value);
        }
        Ok(String::new())
    }

    /// The rest of a quoted value, whose escapes are those of JSON.
    fn quoted(&mut self) -> Result<String, String> {
        let start = self.at - 1;
        loop {
            self.take(|character| !matches!(character, '"' | '\\'));
            if self.take_one('"') {
                let literal = &self.text[start..self.at];
                return serde_json::from_str(literal).map_err(|_| format!("invalid quoted value at pos {}", start + 1));
            }
            if !self.take_one('\\') {
                return Err(format!("unterminated quoted value at pos {}", self.at + 1));
            }
            self.at += self.text[self.at..].chars().next().map_or(0, char::len_utf8);
        }
    }

    fn take_one(&mut self, character: char) -> bool {
        let found = self.text[self.at..].starts_with(character);
        self.at += if found { character.len_utf8() } else { 0 };
        found
    }

    fn unexpected(&self, character: char) -> String {
        format!("unexpected '{character}' at pos {}", self.at + 1)
    }
}

fn is_bare(character: char) -> bool {
    character > ' ' && character != '=' && character != '"'
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traceql;

    fn query(tags: &str, min_duration_ms: u32, max_duration_ms: u32) -> Option<String> {
        let tags = parse_tags(tags).expect("well formed");
        let query = LegacySearch { tags, min_duration_ms, max_duration_ms }.to_query()?;
        traceql::check(&query).expect("a query that could have been written");
        Some(query.to_string())
    }

    #[test]
    fn tags_are_read() {
        let tags = |text| parse_tags(text).map(|tags| tags.into_iter().map(|(key, value)| format!("{key}:{value}")).collect::<Vec<_>>());
        assert_eq!(tags(" a=b  c=\"d \\\"e\\u0041\" f g=é/ü "), Ok(vec!["a:b".into(), "c:d \"eA".into(), "f:".into(), "g:é/ü".into()]));
        assert_eq!(tags(""), Ok(vec![]));
        for (text, error) in [
            ("a=1 a=2", "tag a has been set twice"),
            ("=b", "unexpected '=' at pos 1"),
            ("a=b=c", "unexpected '=' at pos 4"),
            ("a\"b", "unexpected '\"' at pos 2"),
            ("a=\"b", "unterminated quoted value at pos 5"),
            ("a=\"b\\", "unterminated quoted value at pos 6"),
            ("a=\"\\x\"", "invalid quoted value at pos 3"),
        ] {
            assert_eq!(tags(text), Err(error.to_string()), "{text}");
        }
    }

    #[test]
    fn searches_become_queries() {
        assert_eq!(query("", 0, 0), None);
        let text = query("a.b=c", 0, 0).expect("a query");
        assert_eq!(text, traceql::parse("{ span.a.b = \"c\" || resource.a.b = \"c\" }").expect("TraceQL").to_string());
        let text = query("service.name=a.b status.code=error", 5, 0).expect("a query");
        let same = "{ resource.service.name =~ `.*a\\.b.*` && (status = error && traceDuration >= 5ms) }";
        assert_eq!(text, traceql::parse(same).expect("TraceQL").to_string());
        assert!(query("status.code=Error", 0, 7).expect("a query").contains("false"));
    }

    #[test]
    fn many_tags_make_no_deep_tree() {
        let tags: String = (0..5000).map(|n| format!("k{n}=v ")).collect();
        let query = LegacySearch { tags: parse_tags(&tags).expect("well formed"), ..LegacySearch::default() }.to_query();
        assert!(traceql::check(&query.expect("a query")).is_ok());
    }
}
