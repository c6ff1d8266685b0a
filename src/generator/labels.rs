//! Label sets, made by the rules of spec/metrics-generator.md §5.

use super::settings::Settings;
use foldhash::fast::FixedState;
use std::hash::BuildHasher;
use std::sync::Arc;

/// The label of the one series that stands for all that are over the limit.
const OVERFLOW: (&str, &str) = ("metric_overflow", "true");

/// The value of a label that has too many values already.
pub(super) const CARDINALITY_OVERFLOW: &str = "__cardinality_overflow__";

/// Labels in order of their names, none of them empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LabelSet(Box<[(Arc<str>, Box<str>)]>);

impl LabelSet {
    /// Names and values, in order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The value of a label; empty if it is not there, which means the same.
    pub fn get(&self, name: &str) -> &str {
        self.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
    }

    /// Bytes of memory held, about.
    pub(super) fn memory(&self) -> usize {
        self.0.iter().map(|(_, value)| value.len() + 32).sum()
    }

    pub(super) fn hash(&self) -> u64 {
        FixedState::with_seed(0x006c_6162_656c_7321).hash_one(&self.0)
    }
}

/// Makes label sets of one tenant.
#[derive(Clone, Debug)]
pub(super) struct LabelRules {
    max_name: usize,
    max_value: usize,
    overflow_name: Arc<str>,
}

impl LabelRules {
    /// The rules that settings ask for.
    pub(super) fn new(settings: &Settings) -> Self {
        LabelRules {
            max_name: settings.max_label_name_length,
            max_value: settings.max_label_value_length,
            overflow_name: OVERFLOW.0.into(),
        }
    }

    /// A label set of pairs in any order; of pairs with one name the last counts, and an empty value is none.
    pub(super) fn set<'a>(&self, pairs: impl IntoIterator<Item = (Arc<str>, &'a str)>) -> LabelSet {
        let mut labels: Vec<(Arc<str>, Box<str>)> = Vec::new();
        for (name, value) in pairs {
            let name = if name.len() > self.max_name { cut(&name, self.max_name).into() } else { name };
            let value = cut(value, self.max_value).into();
            match labels.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => *known = value,
                None => labels.push((name, value)),
            }
        }
        labels.retain(|(_, value)| !value.is_empty());
        labels.sort_unstable();
        LabelSet(labels.into())
    }

    /// The set of the series that stands for those over the limit.
    pub(super) fn overflow(&self) -> LabelSet {
        LabelSet(Box::new([(Arc::clone(&self.overflow_name), OVERFLOW.1.into())]))
    }

    /// The same labels with other values.
    pub(super) fn with_values(labels: &LabelSet, value: impl Fn(&str, &str) -> Option<&'static str>) -> LabelSet {
        let changed = |(name, old): &(Arc<str>, Box<str>)| {
            let new = value(name, old).map_or_else(|| old.clone(), Into::into);
            (Arc::clone(name), new)
        };
        LabelSet(labels.0.iter().map(changed).collect())
    }
}

/// At most so many bytes, whole characters.
fn cut(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

/// A label name made of an attribute's: what Prometheus does not allow becomes `_`.
pub(super) fn sanitised(attribute: &str) -> String {
    let mut name: String = attribute.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if name.starts_with(|first: char| first.is_ascii_digit()) {
        name.insert(0, '_');
    }
    name
}

/// A label name of an attribute that must not be one of `reserved`.
pub(super) fn beside(attribute: &str, reserved: &[&str]) -> Arc<str> {
    let name = sanitised(attribute);
    if reserved.contains(&name.as_str()) { format!("__{name}").into() } else { name.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(max_name: usize, max_value: usize) -> LabelRules {
        let settings = Settings { max_label_name_length: max_name, max_label_value_length: max_value, ..Settings::default() };
        LabelRules::new(&settings)
    }

    #[test]
    fn names_are_sanitised() {
        for (attribute, name) in [("http.status_code", "http_status_code"), ("1st", "_1st"), ("käse", "k_se"), ("a", "a")] {
            assert_eq!(sanitised(attribute), name);
        }
        assert_eq!(&*beside("status.code", &["status_code"]), "__status_code");
        assert_eq!(&*beside("status", &["status_code"]), "status");
    }

    #[test]
    fn sets_are_sorted_and_bounded() {
        let set = rules(3, 2).set([("b".into(), "12é"), ("a".into(), "é2"), ("long".into(), "x"), ("c".into(), ""), ("b".into(), "zzz")]);
        let labels: Vec<_> = set.iter().collect();
        assert_eq!(labels, [("a", "é"), ("b", "zz"), ("lon", "x")]);
        assert_eq!((set.get("b"), set.get("c")), ("zz", ""));
    }
}
