//! What becomes of a series' labels on their way to one receiver.

use crate::generator::settings::{RelabelAction, RelabelRule, is_label};
use crate::proto::prometheus::Label;
use md5::{Digest, Md5};

/// Applies the rules in their order. False if the series is not to be sent. Labels stay in order of their names.
pub(super) fn relabel(labels: &mut Vec<Label>, rules: &[RelabelRule]) -> bool {
    rules.iter().all(|rule| apply(labels, rule))
}

fn apply(labels: &mut Vec<Label>, rule: &RelabelRule) -> bool {
    let text = || rule.source_labels.iter().map(|name| get(labels, name)).collect::<Vec<_>>().join(&rule.separator);
    let regex = rule.pattern.regex();
    match rule.action {
        RelabelAction::Keep => return regex.is_match(&text()),
        RelabelAction::Drop => return !regex.is_match(&text()),
        RelabelAction::KeepEqual => return get(labels, &rule.target_label) == text(),
        RelabelAction::DropEqual => return get(labels, &rule.target_label) != text(),
        RelabelAction::Replace => {
            if let Some((name, value)) = replaced(rule, &text()) {
                set(labels, name, value);
            }
        }
        RelabelAction::LowerCase => set(labels, rule.target_label.clone(), text().to_lowercase()),
        RelabelAction::UpperCase => set(labels, rule.target_label.clone(), text().to_uppercase()),
        RelabelAction::HashMod => set(labels, rule.target_label.clone(), share(&text(), rule.modulus).to_string()),
        RelabelAction::LabelDrop => labels.retain(|label| !regex.is_match(&label.name)),
        RelabelAction::LabelKeep => labels.retain(|label| regex.is_match(&label.name)),
        RelabelAction::LabelMap => {
            let copies: Vec<(String, String)> =
                labels.iter().filter_map(|label| Some((replaced_name(rule, &label.name)?, label.value.clone()))).collect();
            copies.into_iter().for_each(|(name, value)| set(labels, name, value));
        }
    }
    true
}

fn replaced(rule: &RelabelRule, text: &str) -> Option<(String, String)> {
    let captures = rule.pattern.regex().captures(text)?;
    let (mut name, mut value) = (String::new(), String::new());
    captures.expand(&rule.target_label, &mut name);
    captures.expand(&rule.replacement, &mut value);
    is_label(&name).then_some((name, value))
}

fn replaced_name(rule: &RelabelRule, name: &str) -> Option<String> {
    let mut new = String::new();
    rule.pattern.regex().captures(name)?.expand(&rule.replacement, &mut new);
    Some(new)
}

/// The share of a text, by the last half of its MD5, as Prometheus has it.
fn share(text: &str, modulus: u64) -> u64 {
    let sum = Md5::digest(text.as_bytes());
    let low = sum[8..].iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
    low % modulus.max(1)
}

fn get<'l>(labels: &'l [Label], name: &str) -> &'l str {
    labels.iter().find(|label| label.name == name).map_or("", |label| &label.value)
}

/// An empty value removes a label.
fn set(labels: &mut Vec<Label>, name: String, value: String) {
    let place = labels.binary_search_by(|label| label.name.cmp(&name));
    match place {
        Ok(at) if value.is_empty() => drop(labels.remove(at)),
        Ok(at) => labels[at].value = value,
        Err(_) if value.is_empty() => {}
        Err(at) => labels.insert(at, Label { name, value }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::settings::Pattern;

    fn labels(pairs: &[(&str, &str)]) -> Vec<Label> {
        pairs.iter().map(|(name, value)| Label { name: (*name).to_owned(), value: (*value).to_owned() }).collect()
    }

    fn rule(action: &str, sources: &[&str], pattern: &str, target: &str, replacement: &str) -> RelabelRule {
        let rule = RelabelRule {
            action: RelabelAction::named(action).expect("known"),
            source_labels: sources.iter().map(|name| (*name).to_owned()).collect(),
            pattern: Pattern::parse(pattern).expect("legal"),
            target_label: target.to_owned(),
            replacement: replacement.to_owned(),
            modulus: if action == "hashmod" { 1000 } else { 0 },
            ..RelabelRule::default()
        };
        rule.check().expect("a good rule");
        rule
    }

    /// The labels of `a="foo", b="bar", c="baz"` after a rule.
    fn after(rule: &RelabelRule) -> Option<Vec<(String, String)>> {
        let mut labels = labels(&[("a", "foo"), ("b", "bar"), ("c", "baz")]);
        relabel(&mut labels, std::slice::from_ref(rule)).then(|| labels.into_iter().map(|label| (label.name, label.value)).collect())
    }

    fn text(rule: &RelabelRule) -> Option<String> {
        after(rule).map(|labels| labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn each_action_does_what_prometheus_documents() {
        for (rule, wanted) in [
            (rule("replace", &["a"], "f(.*)", "d", "ch${1}-ch${1}"), Some("a=foo b=bar c=baz d=choo-choo")),
            (rule("replace", &["a", "b"], "f(.*);(.*)r", "a", "b${1}${2}m"), Some("a=boobam b=bar c=baz")),
            (rule("replace", &["a"], "o", "d", "x"), Some("a=foo b=bar c=baz")),
            (rule("replace", &["a"], "(f)(o+)", "${2}", "$1"), Some("a=foo b=bar c=baz oo=f")),
            (rule("replace", &["a"], "foo", "b", ""), Some("a=foo c=baz")),
            (rule("replace", &[], "(.*)", "env", "prod"), Some("a=foo b=bar c=baz env=prod")),
            (rule("keep", &["a"], "foo|bar", "", "$1"), Some("a=foo b=bar c=baz")),
            (rule("keep", &["a"], "fo", "", "$1"), None),
            (rule("drop", &["a", "b"], "foo;bar", "", "$1"), None),
            (rule("drop", &["missing"], ".+", "", "$1"), Some("a=foo b=bar c=baz")),
            (rule("labelmap", &[], "(a|b)", "", "x_$1"), Some("a=foo b=bar c=baz x_a=foo x_b=bar")),
            (rule("labeldrop", &[], "a|c", "", "$1"), Some("b=bar")),
            (rule("labelkeep", &[], "a|c", "", "$1"), Some("a=foo c=baz")),
            (rule("uppercase", &["a"], "(.*)", "A", "$1"), Some("A=FOO a=foo b=bar c=baz")),
            (rule("lowercase", &["a"], "(.*)", "b", "$1"), Some("a=foo b=foo c=baz")),
            (rule("keepequal", &["a"], "(.*)", "b", "$1"), None),
            (rule("dropequal", &["a"], "(.*)", "b", "$1"), Some("a=foo b=bar c=baz")),
            (rule("hashmod", &["c"], "(.*)", "d", "$1"), Some("a=foo b=bar c=baz d=976")),
        ] {
            assert_eq!(text(&rule).as_deref(), wanted, "{rule:?}");
        }
    }

    #[test]
    fn rules_that_make_no_sense_are_refused() {
        let bad = |action: &str, change: fn(&mut RelabelRule)| {
            let mut rule = RelabelRule { action: RelabelAction::named(action).expect("known"), ..RelabelRule::default() };
            change(&mut rule);
            assert!(rule.check().is_err(), "{rule:?}");
        };
        bad("replace", |_| ());
        bad("replace", |rule| rule.target_label = "a-b".to_owned());
        bad("replace", |rule| rule.target_label = "$".to_owned());
        bad("replace", |rule| rule.target_label = "0${1}".to_owned());
        bad("hashmod", |rule| rule.target_label = "a".to_owned());
        bad("lowercase", |rule| rule.target_label = "${1}".to_owned());
        bad("labelmap", |rule| rule.replacement = "a b".to_owned());
        bad("labeldrop", |rule| rule.target_label = "a".to_owned());
        bad("keepequal", |rule| (rule.target_label, rule.modulus) = ("a".to_owned(), 1));
        assert_eq!(RelabelAction::named("delete"), None);
        assert!(Pattern::parse("(").is_err());
    }
}
