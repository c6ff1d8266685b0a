//! The settings in effect as YAML, for `/status/config` (spec/query-api.md §8).
//!
//! The sections belong to many stages, and each prints itself for debugging, with its secrets hidden. That text is read here, so
//! that no section has to know of YAML.

use super::Config;
use serde_json::{Map, Value};
use std::fmt::Write;

/// The settings in effect, those of them that are no defaults, and the defaults; each as YAML, without secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShownConfig {
    /// All settings.
    pub all: String,
    /// Those that differ from the defaults (`?mode=diff`).
    pub diff: String,
    /// The defaults (`?mode=defaults`).
    pub defaults: String,
}

impl ShownConfig {
    /// Of the settings in effect.
    pub fn of(config: &Config) -> Self {
        let (all, defaults) = (read(&format!("{config:?}")), read(&format!("{:?}", Config::default())));
        let changed = changed(&all, &defaults).unwrap_or_else(|| Value::Object(Map::new()));
        ShownConfig { all: yaml(&all), diff: yaml(&changed), defaults: yaml(&defaults) }
    }
}

/// The members that differ.
fn changed(value: &Value, default: &Value) -> Option<Value> {
    match (value, default) {
        (Value::Object(members), Value::Object(defaults)) => {
            let differs = |(name, value): (&String, &Value)| {
                let default = defaults.get(name).unwrap_or(&Value::Null);
                Some((name.clone(), changed(value, default)?))
            };
            let members: Map<String, Value> = members.iter().filter_map(differs).collect();
            (!members.is_empty()).then_some(Value::Object(members))
        }
        _ => (value != default).then(|| value.clone()),
    }
}

/// A value as [`std::fmt::Debug`] prints it: structs and maps as objects, lists, sets and tuples as lists, all else as text.
fn read(text: &str) -> Value {
    Reader { rest: text }.value()
}

struct Reader<'t> {
    rest: &'t str,
}

impl Reader<'_> {
    fn skip(&mut self, what: char) -> bool {
        self.rest = self.rest.trim_start();
        let rest = self.rest.strip_prefix(what);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn value(&mut self) -> Value {
        if self.skip('[') {
            return Value::Array(self.values(']'));
        }
        if self.skip('(') {
            return Value::Array(self.values(')'));
        }
        if self.skip('{') {
            return self.members();
        }
        let word = self.word();
        if self.skip('{') {
            return self.members();
        }
        if self.skip('(') {
            let mut values = self.values(')');
            // `Some(x)` and the like are their content.
            return if values.len() == 1 { values.remove(0) } else { Value::Array(values) };
        }
        scalar(word)
    }

    fn values(&mut self, end: char) -> Vec<Value> {
        let mut values = Vec::new();
        while !self.rest.is_empty() && !self.skip(end) {
            values.push(self.value());
            self.skip(',');
        }
        values
    }

    /// The inside of braces: members, or the elements of a set.
    fn members(&mut self) -> Value {
        let (mut members, mut elements) = (Map::new(), Vec::new());
        while !self.rest.is_empty() && !self.skip('}') {
            let name = self.value();
            if self.skip(':') {
                members.insert(name.as_str().map_or_else(|| name.to_string(), str::to_owned), self.value());
            } else {
                elements.push(name);
            }
            self.skip(',');
        }
        if elements.is_empty() { Value::Object(members) } else { Value::Array(elements) }
    }

    /// A text in quotes with them, or all up to the end of a value. At least one character, so that reading ends.
    fn word(&mut self) -> String {
        let mut is_quoted = self.rest.starts_with('"');
        let mut end = self.rest.len();
        let mut is_escaped = false;
        for (at, character) in self.rest.char_indices().skip(1) {
            match character {
                _ if is_escaped => is_escaped = false,
                '\\' if is_quoted => is_escaped = true,
                '"' if is_quoted => is_quoted = false,
                ',' | ':' | ' ' | '{' | '}' | '(' | ')' | '[' | ']' if !is_quoted => {
                    end = at;
                    break;
                }
                _ => {}
            }
        }
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word.to_owned()
    }
}

fn scalar(word: String) -> Value {
    match word.as_str() {
        "None" | "" => Value::Null,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        // A text in quotes is JSON, but for some escapes.
        quoted if quoted.starts_with('"') => serde_json::from_str(quoted).unwrap_or(Value::String(word)),
        number => match serde_json::from_str(number) {
            Ok(Value::Number(number)) => Value::Number(number),
            _ => Value::String(word),
        },
    }
}

fn yaml(value: &Value) -> String {
    let mut out = String::new();
    write_value(&mut out, value, 0);
    out
}

/// Objects and lists in blocks, what is in them in JSON, which is YAML.
fn write_value(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (name, value) in members {
                // Writing to a string cannot fail.
                let _ = write!(out, "{:indent$}{}:", "", key(name));
                write_nested(out, value, indent);
            }
        }
        other => {
            let _ = writeln!(out, "{:indent$}{other}", "");
        }
    }
}

fn write_nested(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            out.push('\n');
            write_value(out, value, indent + 2);
        }
        other => {
            let _ = writeln!(out, " {other}");
        }
    }
}

fn key(name: &str) -> String {
    let is_plain =
        name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
    if is_plain { name.to_owned() } else { Value::from(name).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::yaml as reader;
    use serde_json::json;
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::PathBuf;
    use std::time::Duration;

    #[derive(Debug)]
    #[expect(dead_code, reason = "only printed")]
    struct Section {
        text: String,
        path: Option<PathBuf>,
        nothing: Option<u8>,
        timeout: Duration,
        share: f64,
        list: Vec<(u8, &'static str)>,
        map: BTreeMap<&'static str, bool>,
        set: BTreeSet<&'static str>,
        choice: Choice,
        unit: (),
    }

    #[derive(Debug)]
    #[expect(dead_code, reason = "only printed")]
    enum Choice {
        Of { number: i64 },
    }

    #[test]
    fn what_is_printed_is_read() {
        let section = Section {
            text: "a \"b\", {c}: (d)\n\\".to_string(),
            path: Some("/x y/z".into()),
            nothing: None,
            timeout: Duration::from_millis(1500),
            share: 0.5,
            list: vec![(1, "a,b"), (2, "")],
            map: BTreeMap::from([("k:1", true)]),
            set: BTreeSet::from(["s"]),
            choice: Choice::Of { number: -7 },
            unit: (),
        };
        let expected = json!({"text": "a \"b\", {c}: (d)\n\\", "path": "/x y/z", "nothing": null, "timeout": "1.5s", "share": 0.5,
            "list": [[1, "a,b"], [2, ""]], "map": {"k:1": true}, "set": ["s"], "choice": {"number": -7}, "unit": []});
        assert_eq!(read(&format!("{section:?}")), expected);
        for text in ["", "x", "{", "[a, ", "\"", "(((", "}", ",,,", "a: b"] {
            read(text);
        }
    }

    #[test]
    fn only_what_differs_is_shown_as_different() {
        let mut config = Config::default();
        assert_eq!(ShownConfig::of(&config).diff, "{}\n");
        config.server.http_listen_port = 1;
        config.storage.s3.secret_key = crate::store::settings::Secret::new("hidden");
        let shown = ShownConfig::of(&config);
        assert_eq!(shown.diff, "server:\n  http_listen_port: 1\nstorage:\n  s3:\n    secret_key: \"<secret>\"\n");
        assert!(shown.all.contains("  http_listen_port: 1\n") && shown.defaults.contains("  http_listen_port: 3200\n"));
        assert!(!shown.all.contains("hidden"));
        assert!(reader::parse(&shown.all).is_ok_and(|document| document.problems.is_empty()), "it is YAML");
    }
}
