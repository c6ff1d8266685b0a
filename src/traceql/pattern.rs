//! A compiled regular expression with what makes it cheap to ask of many texts.
//!
//! Most patterns that people write are a literal with `.*` before or behind it; these need no automaton. Of any other the longest
//! text is known that every match contains, so that texts, and whole pages of them, are left out without a closer look.

use memchr::memmem::Finder;
use regex::bytes::Regex;
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind, Look};

/// A pattern that has to match a whole text.
#[derive(Clone, Debug)]
pub struct Pattern {
    form: Form,
    /// What every matching text contains; may be empty.
    required: Box<[u8]>,
}

#[derive(Clone, Debug)]
enum Form {
    /// The literal alone, or with anything before or behind it.
    Literal {
        finder: Box<Finder<'static>>,
        is_open_before: bool,
        is_open_behind: bool,
    },
    Other(Regex, Box<Finder<'static>>),
}

impl Pattern {
    /// Of a compiled expression and its source in the crate's syntax, `^` and `$` around it included.
    pub(super) fn new(regex: Regex, source: &str) -> Self {
        let parsed = ParserBuilder::new().utf8(false).build().parse(source);
        let parts = parsed.map(|hir| parts_of(&hir)).unwrap_or_default();
        let longest = parts.iter().filter_map(Part::literal).max_by_key(|literal| literal.len()).unwrap_or_default();
        let finder = Box::new(Finder::new(longest).into_owned());
        let form = match parts.as_slice() {
            [Part::Literal(_)] => Form::Literal { finder, is_open_before: false, is_open_behind: false },
            [Part::Anything, Part::Literal(_)] => Form::Literal { finder, is_open_before: true, is_open_behind: false },
            [Part::Literal(_), Part::Anything] => Form::Literal { finder, is_open_before: false, is_open_behind: true },
            [Part::Anything, Part::Literal(_), Part::Anything] => Form::Literal { finder, is_open_before: true, is_open_behind: true },
            _ => Form::Other(regex, finder),
        };
        Pattern { form, required: longest.into() }
    }

    /// Whether the pattern matches the whole text.
    #[inline]
    pub fn is_match(&self, text: &[u8]) -> bool {
        let literal = &*self.required;
        match &self.form {
            Form::Literal { finder, is_open_before: true, is_open_behind: true } => finder.find(text).is_some(),
            Form::Literal { is_open_before: true, is_open_behind: false, .. } => text.ends_with(literal),
            Form::Literal { is_open_before: false, is_open_behind: true, .. } => text.starts_with(literal),
            Form::Literal { .. } => text == literal,
            Form::Other(regex, finder) => (literal.is_empty() || finder.find(text).is_some()) && regex.is_match(text),
        }
    }

    /// Bytes that every matching text contains; may be none.
    pub fn required(&self) -> &[u8] {
        &self.required
    }
}

/// A part of a concatenation.
enum Part {
    Literal(Vec<u8>),
    /// `.*`, which also matches line breaks.
    Anything,
    Other,
}

impl Part {
    fn literal(&self) -> Option<&[u8]> {
        match self {
            Part::Literal(bytes) => Some(bytes),
            Part::Anything | Part::Other => None,
        }
    }
}

/// The parts between the anchors, neighbouring literals joined.
fn parts_of(hir: &Hir) -> Vec<Part> {
    let mut parts = Vec::new();
    collect(hir, &mut parts);
    parts
}

fn collect(hir: &Hir, parts: &mut Vec<Part>) {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(Look::Start | Look::End) => {}
        HirKind::Concat(items) => items.iter().for_each(|item| collect(item, parts)),
        HirKind::Capture(group) => collect(&group.sub, parts),
        HirKind::Literal(literal) => match parts.last_mut() {
            Some(Part::Literal(bytes)) => bytes.extend_from_slice(&literal.0),
            _ => parts.push(Part::Literal(literal.0.to_vec())),
        },
        HirKind::Repetition(repetition) if repetition.min == 0 && repetition.max.is_none() && is_any_char(&repetition.sub) => {
            parts.push(Part::Anything);
        }
        _ => parts.push(Part::Other),
    }
}

fn is_any_char(hir: &Hir) -> bool {
    let HirKind::Class(Class::Unicode(class)) = hir.kind() else { return false };
    matches!(class.ranges(), [range] if range.start() == '\0' && range.end() == char::MAX)
}

#[cfg(test)]
mod tests {
    use crate::traceql::compile_regex;
    use proptest::prelude::*;

    #[test]
    fn literals_are_found_in_patterns() {
        let required = |pattern| String::from_utf8_lossy(compile_regex(pattern).expect("a pattern").required()).into_owned();
        assert_eq!(required(".*no-such-path.*"), "no-such-path");
        assert_eq!(required("GET|POST"), "");
        assert_eq!(required("a(b)c+longer[xy]"), "longer");
        assert_eq!(required("(?i)abc"), "");
        assert_eq!(required("a.b?"), "a");
        assert_eq!(required(""), "");
    }

    #[test]
    fn a_literal_with_something_around_it_is_anchored_where_nothing_is() {
        let is_match = |pattern, text: &str| compile_regex(pattern).expect("a pattern").is_match(text.as_bytes());
        assert!(is_match(".*b.*", "a\nb\nc") && is_match("b", "b") && is_match("b.*", "bc") && is_match(".*b", "ab"));
        assert!(!is_match("b", "ab") && !is_match("b.*", "ab") && !is_match(".*b", "ba") && !is_match(".*b.*", "aa"));
        assert!(is_match("", "") && !is_match("", "a") && is_match(".*", "a"));
    }

    proptest! {
        /// The short ways agree with the automaton.
        #[test]
        fn a_pattern_matches_what_its_regex_matches(pattern in "(\\.\\*)?[ab.]{0,3}(\\.\\*|b\\+|a\\?|[ab]|\\|a)?", text in "[ab\\n]{0,5}") {
            let compiled = compile_regex(&pattern).expect("a pattern");
            let plain = regex::Regex::new(&format!("^(?s:{pattern})$")).expect("a pattern");
            prop_assert_eq!(compiled.is_match(text.as_bytes()), plain.is_match(&text), "{} {:?}", pattern, text);
            if plain.is_match(&text) {
                let required = compiled.required();
                prop_assert!(required.is_empty() || text.as_bytes().windows(required.len()).any(|window| window == required));
            }
        }
    }
}
