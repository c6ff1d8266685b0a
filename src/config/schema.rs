//! Tables of keys, and the walk of a YAML tree along them.
//!
//! A [`Table`] names the keys of one section; a [`Key`] says what becomes of its value. The walk goes in the order of the
//! table and not of the file: where two keys set the same thing, as keys of different generations do, the later row wins.
//! What no row names is refused with its line, its dotted path and the nearest known key.

use std::time::Duration;

use super::scalar;
use super::yaml::{Entry, Node, Problem, Value};

/// The keys of one section of type `T`.
pub(super) struct Table<T: 'static> {
    /// What the section is called in error messages, as `server.Config`.
    pub type_name: &'static str,
    /// Called when the section stands in the file, also when it is empty, before its keys.
    pub entered: fn(&mut T),
    /// Keys with an effect, or with something to say.
    pub keys: &'static [Key<T>],
    /// Names that are accepted with whatever they hold, and have no effect; `x_*` stands for every key that starts so.
    pub ignored: &'static [&'static str],
}

/// One key: its name (`x_*` stands for every key that starts so), what becomes of its value, and what is said about it.
pub(super) struct Key<T: 'static> {
    pub name: &'static str,
    pub action: Action<T>,
    pub tell: Option<Tell>,
}

/// What becomes of a value. A null value sets nothing: it means the default.
pub(super) enum Action<T: 'static> {
    /// A boolean.
    Bool(fn(&mut T, bool)),
    /// A whole number from 0.
    Count(fn(&mut T, u64)),
    /// A port number.
    Port(fn(&mut T, u16)),
    /// A number.
    Float(fn(&mut T, f64) -> Result<(), String>),
    /// A duration.
    Duration(fn(&mut T, Duration)),
    /// A text, which the setter may refuse.
    Text(fn(&mut T, &str) -> Result<(), String>),
    /// A nested section.
    Section(&'static Table<T>),
    /// Another name of the key with this path from the root.
    Alias(&'static str),
    /// A value with rules of its own; called for null, too.
    Custom(fn(&mut T, &Node, &mut Report)),
    /// Whatever it holds, it has no effect.
    Ignore,
}

/// What a path leads to.
pub(super) struct Found<T: 'static> {
    pub action: Action<T>,
    tell: Option<Tell>,
}

/// Where a value stands, for messages: its dotted path, and the line of its key; line 0 is the command line.
#[derive(Clone, Copy)]
pub(super) struct Place<'p> {
    pub path: &'p str,
    pub line: usize,
}

/// A sentence for the operator, and when it is due.
#[derive(Clone, Copy)]
pub(super) struct Tell {
    kind: RemarkKind,
    when: When,
    text: &'static str,
}

/// When a sentence is due.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// The key holds something else than null, empty, zero or false.
    Set,
    /// The key holds zero.
    Zero,
    /// The key is there.
    Present,
}

/// Whether `-config.verify` fails for a remark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RemarkKind {
    /// One of Tempo's own warnings ("spec/config.md §16"): `-config.verify` exits 1.
    Warning,
    /// A note of ours: `-config.verify` does not mind.
    Note,
}

/// What a walk has to say: problems that stop the start, and remarks that do not.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub problems: Vec<Problem>,
    pub remarks: Vec<Remark>,
}

/// A sentence for the operator, about a key.
#[derive(Debug)]
pub(super) struct Remark {
    pub kind: RemarkKind,
    /// The key and its line; empty if the sentence names its keys itself.
    pub place: String,
    pub text: String,
}

impl Report {
    pub(super) fn remark(&mut self, kind: RemarkKind, place: impl Into<String>, text: impl Into<String>) {
        self.remarks.push(Remark { kind, place: place.into(), text: text.into() });
    }

    /// The remarks of one kind as lines for the log. Keys of which the same is to be said share a line.
    pub(super) fn lines(&self, kind: RemarkKind) -> Vec<String> {
        let mut by_text: Vec<(&str, Vec<&str>)> = Vec::new();
        for remark in self.remarks.iter().filter(|remark| remark.kind == kind) {
            match by_text.iter_mut().find(|(text, _)| *text == remark.text) {
                Some((_, places)) if places.contains(&remark.place.as_str()) => {}
                Some((_, places)) => places.push(&remark.place),
                None => by_text.push((&remark.text, vec![&remark.place])),
            }
        }
        let line = |(text, places): (&str, Vec<&str>)| match places.join(", ") {
            places if places.is_empty() => text.to_owned(),
            places => format!("{places}: {text}"),
        };
        by_text.into_iter().map(line).collect()
    }
}

impl<T> Clone for Action<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Action<T> {}

impl<T> Key<T> {
    pub(super) const fn new(name: &'static str, action: Action<T>) -> Self {
        Key { name, action, tell: None }
    }

    pub(super) const fn bool(name: &'static str, set: fn(&mut T, bool)) -> Self {
        Self::new(name, Action::Bool(set))
    }

    pub(super) const fn count(name: &'static str, set: fn(&mut T, u64)) -> Self {
        Self::new(name, Action::Count(set))
    }

    pub(super) const fn port(name: &'static str, set: fn(&mut T, u16)) -> Self {
        Self::new(name, Action::Port(set))
    }

    pub(super) const fn float(name: &'static str, set: fn(&mut T, f64) -> Result<(), String>) -> Self {
        Self::new(name, Action::Float(set))
    }

    pub(super) const fn duration(name: &'static str, set: fn(&mut T, Duration)) -> Self {
        Self::new(name, Action::Duration(set))
    }

    pub(super) const fn text(name: &'static str, set: fn(&mut T, &str) -> Result<(), String>) -> Self {
        Self::new(name, Action::Text(set))
    }

    pub(super) const fn section(name: &'static str, table: &'static Table<T>) -> Self {
        Self::new(name, Action::Section(table))
    }

    pub(super) const fn alias(name: &'static str, path: &'static str) -> Self {
        Self::new(name, Action::Alias(path))
    }

    /// A setting of Tempo that this server does not have yet: accepted, and said so when it is switched on.
    pub(super) const fn not_yet(name: &'static str) -> Self {
        Self::new(name, Action::Ignore).note(When::Set, "has no effect in this server yet")
    }

    /// The same key with a note of ours.
    pub(super) const fn note(self, when: When, text: &'static str) -> Self {
        Key { name: self.name, action: self.action, tell: Some(Tell { kind: RemarkKind::Note, when, text }) }
    }

    /// The same key with a warning of Tempo's ("spec/config.md §16").
    pub(super) const fn warning(self, when: When, text: &'static str) -> Self {
        Key { name: self.name, action: self.action, tell: Some(Tell { kind: RemarkKind::Warning, when, text }) }
    }
}

impl<T> Table<T> {
    /// A section that is only accepted.
    pub(super) const fn ignoring(type_name: &'static str, ignored: &'static [&'static str]) -> Self {
        Table { type_name, entered: |_| (), keys: &[], ignored }
    }

    /// A section with keys that have an effect.
    pub(super) const fn new(type_name: &'static str, keys: &'static [Key<T>], ignored: &'static [&'static str]) -> Self {
        Table { type_name, entered: |_| (), keys, ignored }
    }

    /// Row number of a key; exact names go before patterns.
    fn row(&self, name: &str) -> Option<usize> {
        let exact = self.keys.iter().position(|key| key.name == name);
        exact.or_else(|| self.keys.iter().position(|key| matches_pattern(key.name, name)))
    }

    fn is_ignored(&self, name: &str) -> bool {
        self.ignored.iter().any(|known| *known == name || matches_pattern(known, name))
    }

    /// What becomes of the value at a dotted path below this table; `None` if the path is not known.
    pub(super) fn find(&self, path: &str) -> Option<Found<T>> {
        let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
        let Some(row) = self.row(name) else {
            return self.is_ignored(name).then_some(Found { action: Action::Ignore, tell: None });
        };
        let Key { action, tell, .. } = self.keys[row];
        match (action, rest) {
            (Action::Section(table), Some(rest)) => table.find(rest),
            (Action::Ignore, _) | (_, None) => Some(Found { action, tell }),
            (_, Some(_)) => None,
        }
    }

    /// The known key that is most like a misspelt one, if one is like it at all.
    pub(super) fn nearest(&self, name: &str) -> Option<&'static str> {
        let names = self.keys.iter().map(|key| key.name).chain(self.ignored.iter().copied());
        let rated = names.filter(|known| !known.ends_with('*')).map(|known| (edit_distance(name, known), known));
        rated.min().filter(|(distance, known)| *distance <= known.len().max(name.len()) / 3).map(|(_, known)| known)
    }
}

/// True if the pattern `x_*` covers the name.
fn matches_pattern(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').is_some_and(|prefix| name.starts_with(prefix) && name.len() > prefix.len())
}

/// Puts a tree into a target, along a table.
pub(super) struct Walk<'a, T: 'static> {
    /// Where the paths of aliases start.
    pub root: &'static Table<T>,
    pub report: &'a mut Report,
    /// The message about an unknown key, from its table, its dotted path and its name.
    pub unknown: fn(&Table<T>, &str, &str) -> String,
}

impl<'a, T> Walk<'a, T> {
    /// A walk that speaks of unknown keys as Go's YAML library does.
    pub(super) fn new(root: &'static Table<T>, report: &'a mut Report) -> Self {
        Walk { root, report, unknown: field_not_found }
    }

    /// Applies a section; `path` is its dotted path, empty for the root.
    pub(super) fn section(&mut self, target: &mut T, table: &Table<T>, node: &Node, path: &str) {
        let entries = match &node.value {
            Value::Null => &[][..],
            Value::Map(entries) => entries,
            _ => return self.mismatch(node, table.type_name),
        };
        (table.entered)(target);
        let mut known: Vec<(usize, &Entry)> = Vec::with_capacity(entries.len());
        for entry in entries {
            match table.row(&entry.key) {
                Some(row) => known.push((row, entry)),
                None if table.is_ignored(&entry.key) => {}
                None => {
                    let message = (self.unknown)(table, &join(path, &entry.key), &entry.key);
                    self.report.problems.push(Problem::new(entry.line, message));
                }
            }
        }
        known.sort_by_key(|(row, _)| *row);
        for (row, entry) in known {
            let Key { action, tell, .. } = table.keys[row];
            self.apply_found(target, Found { action, tell }, &entry.node, Place { path: &join(path, &entry.key), line: entry.line });
        }
    }

    /// Applies one value, and says what there is to say about it.
    pub(super) fn apply_found(&mut self, target: &mut T, found: Found<T>, node: &Node, place: Place<'_>) {
        self.tell(found.tell, node, place);
        match found.action {
            Action::Section(table) => self.section(target, table, node, place.path),
            Action::Custom(read) => read(target, node, self.report),
            Action::Alias(other) => match self.root.find(other) {
                // An alias of an alias would be a slip in the table; the test over all rows looks for it.
                Some(Found { action: Action::Alias(_), .. }) | None => {}
                Some(found) => self.apply_found(target, found, node, place),
            },
            Action::Ignore => {}
            _ if node.value == Value::Null => {}
            action => self.set(target, action, node, place),
        }
    }

    /// Hands a scalar to its setter.
    fn set(&mut self, target: &mut T, action: Action<T>, node: &Node, place: Place<'_>) {
        let Value::Scalar { text, .. } = &node.value else {
            return self.mismatch(node, type_of(action));
        };
        let done = match action {
            Action::Bool(set) => scalar::boolean(text).map(|value| set(target, value)).map(Ok),
            Action::Count(set) => scalar::count(text).map(|value| set(target, value)).map(Ok),
            Action::Port(set) => scalar::count(text).and_then(|port| u16::try_from(port).ok()).map(|port| set(target, port)).map(Ok),
            Action::Float(set) => scalar::float(text).map(|value| set(target, value)),
            Action::Duration(set) => scalar::duration(text).map(|value| set(target, value)).map(Ok),
            Action::Text(set) => Some(set(target, text)),
            Action::Section(_) | Action::Alias(_) | Action::Custom(_) | Action::Ignore => Some(Ok(())),
        };
        match done {
            Some(Ok(())) => {}
            Some(Err(message)) => self.report.problems.push(Problem::new(node.line, format!("{}: {message}", place.path))),
            None => self.mismatch(node, type_of(action)),
        }
        if matches!(action, Action::Duration(_)) && scalar::lacks_unit(text) {
            self.remark(RemarkKind::Note, place, &format!("{text} has no unit and is read as nanoseconds"));
        }
    }

    fn tell(&mut self, tell: Option<Tell>, node: &Node, place: Place<'_>) {
        let Some(tell) = tell else { return };
        let due = match tell.when {
            When::Present => true,
            When::Set => !node.is_trivial(),
            When::Zero => matches!(&node.value, Value::Scalar { text, .. } if scalar::count(text) == Some(0)),
        };
        if due {
            self.remark(tell.kind, place, tell.text);
        }
    }

    fn remark(&mut self, kind: RemarkKind, Place { path, line }: Place<'_>, text: &str) {
        let line = if line > 0 { format!(" (line {line})") } else { String::new() };
        self.report.remark(kind, format!("{path}{line}"), text);
    }

    fn mismatch(&mut self, node: &Node, wanted: &str) {
        self.report.problems.push(mismatch(node, wanted));
    }
}

/// The message about an unknown key in the words of Go's YAML library, with its path and the key that may be meant.
fn field_not_found<T>(table: &Table<T>, path: &str, key: &str) -> String {
    let place = (path != key).then(|| path.to_owned());
    let meant = table.nearest(key).map(|nearest| format!("did you mean \"{nearest}\"?"));
    let hints: Vec<String> = place.into_iter().chain(meant).collect();
    let hint = if hints.is_empty() { String::new() } else { format!(" ({})", hints.join("; ")) };
    format!("field {key} not found in type {}{hint}", table.type_name)
}

/// The problem of a value that is not of the wanted kind, in the words of Go's YAML library.
pub(super) fn mismatch(node: &Node, wanted: &str) -> Problem {
    let found = match &node.value {
        Value::Null => "!!null".to_owned(),
        Value::Seq(_) => "!!seq".to_owned(),
        Value::Map(_) => "!!map".to_owned(),
        Value::Scalar { text, quoted } => format!("{} `{}`", scalar_tag(text, *quoted), shortened(text)),
    };
    Problem::new(node.line, format!("cannot unmarshal {found} into {wanted}"))
}

/// At most ten characters: a long value may be a secret at the wrong place.
fn shortened(text: &str) -> String {
    if text.chars().count() <= 10 { text.to_owned() } else { text.chars().take(7).chain("...".chars()).collect() }
}

fn scalar_tag(text: &str, quoted: bool) -> &'static str {
    match text {
        _ if quoted => "!!str",
        "1" | "0" => "!!int",
        _ if scalar::boolean(text).is_some() => "!!bool",
        _ if text.strip_prefix('-').unwrap_or(text).parse::<u64>().is_ok() => "!!int",
        _ if scalar::float(text).is_some() => "!!float",
        _ => "!!str",
    }
}

fn type_of<T>(action: Action<T>) -> &'static str {
    match action {
        Action::Bool(_) => "bool",
        Action::Count(_) => "uint64",
        Action::Port(_) => "uint16",
        Action::Float(_) => "float64",
        Action::Duration(_) => "time.Duration",
        Action::Text(_) => "string",
        Action::Section(table) => table.type_name,
        Action::Alias(_) | Action::Custom(_) | Action::Ignore => "value",
    }
}

/// The dotted path of a key in a section.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// Insertions, deletions, replacements and swaps of neighbours that turn one text into the other.
fn edit_distance(left: &str, right: &str) -> usize {
    // A key longer than any known one is like none of them, and must not cost quadratic time.
    if left.len() > 100 {
        return usize::MAX;
    }
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in right.iter().enumerate() {
            let mut cost = (last[j] + usize::from(a != b)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == right[j - 1] && left[i - 1] == *b {
                cost = cost.min(before_last[j - 1] + 1);
            }
            row.push(cost);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests;
