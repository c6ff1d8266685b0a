//! Names of spans without the parts that make each of them different (`span_name_sanitization`).
//!
//! A name is a row of words. A word that looks like an id is left out at once. The others are kept in a tree, as templates of log
//! lines are in DRAIN (He et al., 2017): behind the same words at most [`MAX_CHILDREN`] different ones follow, and all that come
//! later are left out, so that a number of names without bound becomes few templates. What stands for a word is `<_>`.

use super::settings::SpanNameMode;
use std::borrow::Cow;
use std::collections::HashMap;

/// Different words behind the same words.
const MAX_CHILDREN: usize = 100;

/// Words in the whole tree.
const MAX_WORDS: usize = 20_000;

/// Words of a name that are told apart; the rest of a longer one is one word that is left out.
const MAX_DEPTH: usize = 24;

/// Stands for what is left out.
const LEFT_OUT: &str = "<_>";

/// Ids are at least this long, unless they are numbers.
const MIN_ID_LENGTH: usize = 8;

/// No word of a language is as long as this and has a digit in it.
const LONG: usize = 20;

/// The templates of one tenant.
#[derive(Default)]
pub(super) struct SpanNames {
    mode: SpanNameMode,
    root: Words,
    num_words: usize,
}

#[derive(Default)]
struct Words {
    known: HashMap<Box<str>, Words>,
    others: Option<Box<Words>>,
}

impl SpanNames {
    /// Without any template yet.
    pub(super) fn new(mode: SpanNameMode) -> Self {
        SpanNames { mode, ..SpanNames::default() }
    }

    /// The name that a span is counted by, and whether its template is another than its name.
    pub(super) fn of<'n>(&mut self, name: &'n str) -> (Cow<'n, str>, bool) {
        if self.mode == SpanNameMode::AsItIs {
            return (Cow::Borrowed(name), false);
        }
        let template = self.template(name);
        let differs = template != name;
        match self.mode {
            SpanNameMode::Sanitised if differs => (Cow::Owned(template), true),
            _ => (Cow::Borrowed(name), differs),
        }
    }

    fn template(&mut self, name: &str) -> String {
        let mut template = String::with_capacity(name.len());
        let (mut node, mut rest) = (&mut self.root, name);
        for depth in 0.. {
            let (word, after) = rest.split_at(rest.find(is_between).unwrap_or(rest.len()));
            if !word.is_empty() {
                let is_full = node.known.len() >= MAX_CHILDREN || self.num_words >= MAX_WORDS;
                if depth >= MAX_DEPTH {
                    template.push_str(LEFT_OUT);
                    break;
                } else if is_id(word) || (is_full && !node.known.contains_key(word)) {
                    template.push_str(LEFT_OUT);
                    node = node.others.get_or_insert_default();
                } else {
                    template.push_str(word);
                    self.num_words += usize::from(!node.known.contains_key(word));
                    node = node.known.entry(word.into()).or_default();
                }
            }
            let Some(mark) = after.chars().next() else { break };
            template.push(mark);
            rest = &after[mark.len_utf8()..];
        }
        template
    }
}

/// What stands between words.
fn is_between(c: char) -> bool {
    c.is_whitespace() || "/:?&=,;|()[]{}\"'".contains(c)
}

/// Numbers, UUIDs, hex ids, and other long words with digits in them.
fn is_id(word: &str) -> bool {
    if !word.bytes().any(|byte| byte.is_ascii_digit()) {
        return false;
    }
    let is_number = word.bytes().all(|byte| byte.is_ascii_digit() || b"-._".contains(&byte));
    let is_hex = || word.len() >= MIN_ID_LENGTH && word.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    is_number || is_hex() || word.len() >= LONG
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn templates(names: &[&str]) -> Vec<String> {
        let mut known = SpanNames::new(SpanNameMode::Sanitised);
        names.iter().map(|name| known.of(name).0.into_owned()).collect()
    }

    #[test]
    fn ids_are_left_out_and_words_are_not() {
        for (name, template) in [
            ("GET /users/123/orders", "GET /users/<_>/orders"),
            ("GET /v1/items?id=550e8400-e29b-41d4-a716-446655440000", "GET /v1/items?id=<_>"),
            ("load 0123456789abcdef", "load <_>"),
            ("cart.CartService/GetItem", "cart.CartService/GetItem"),
            ("deadbeef", "deadbeef"),
            ("s3 PUT oauth2", "s3 PUT oauth2"),
            ("session xK29fjQ01mmZZpqR77aa", "session <_>"),
            ("", ""),
        ] {
            assert_eq!(templates(&[name]), [template], "{name}");
        }
    }

    #[test]
    fn words_without_end_become_one() {
        let name = |number: usize| format!("GET /users/u{}/cart", ["a", "b", "c"].map(|c| c.repeat(number)).concat());
        let names: Vec<String> = (1..=MAX_CHILDREN + 50).map(name).collect();
        let all = templates(&names.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(all[..MAX_CHILDREN], names[..MAX_CHILDREN]);
        assert!(all[MAX_CHILDREN..].iter().all(|template| template == "GET /users/<_>/cart"));
    }

    #[test]
    fn a_dry_run_only_tells() {
        let mut known = SpanNames::new(SpanNameMode::DryRun);
        assert_eq!(known.of("GET /users/123"), (Cow::Borrowed("GET /users/123"), true));
        assert_eq!(known.of("GET /users"), (Cow::Borrowed("GET /users"), false));
        assert_eq!(SpanNames::default().of("GET /users/123"), (Cow::Borrowed("GET /users/123"), false));
    }

    proptest! {
        #[test]
        fn the_tree_is_bounded_and_a_name_keeps_its_template(names in proptest::collection::vec("[a-c/ ]{0,40}", 1..50)) {
            let mut known = SpanNames::new(SpanNameMode::Sanitised);
            for name in &names {
                let template = known.of(name).0.into_owned();
                let again = known.of(name).0.into_owned();
                prop_assert_eq!(again, template);
            }
            prop_assert!(known.num_words <= names.iter().map(|name| name.len()).sum());
        }
    }
}
