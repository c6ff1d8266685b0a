//! YAML text to a tree whose nodes know their line.
//!
//! Only the events of the parser are used: the tree keeps scalars as text, because what `yes` or `017` means depends on the
//! key ("spec/config.md §3"). Anchors, aliases and merge keys are resolved here; a tree that aliases would blow up, or that
//! nests too deep, is refused, so that nothing after this module needs bounds of its own.

use std::collections::{HashMap, HashSet};

use granit_parser::{Event, Parser, ScalarStyle};

/// Most nodes of a tree, copies made for aliases included.
const MAX_NODES: usize = 200_000;
/// Deepest nesting of maps and lists.
const MAX_DEPTH: usize = 64;

/// Something wrong at a line of the file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Line, counted from 1.
    pub line: usize,
    /// What is wrong, without the line.
    pub message: String,
}

impl Problem {
    pub(super) fn new(line: usize, message: impl Into<String>) -> Self {
        Problem { line, message: message.into() }
    }
}

/// A value and the line where it starts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub line: usize,
    pub value: Value,
}

/// A value as written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// Text; `quoted` tells `"true"` from `true`.
    Scalar { text: String, quoted: bool },
    /// A list.
    Seq(Vec<Node>),
    /// A map in the order of the file; keys are unique.
    Map(Vec<Entry>),
}

/// A key of a map, its line, and its value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub key: String,
    pub line: usize,
    pub node: Node,
}

impl Node {
    /// A plain scalar that stands in no file, as for the value of a flag.
    pub(super) fn plain(text: &str) -> Self {
        Node { line: 0, value: Value::Scalar { text: text.to_owned(), quoted: false } }
    }

    /// True if nothing in here differs from "not set": null, empty, zero and false all the way down.
    pub(super) fn is_trivial(&self) -> bool {
        match &self.value {
            Value::Null => true,
            Value::Scalar { text, .. } => matches!(text.as_str(), "" | "0" | "0s" | "false" | "no" | "off"),
            Value::Seq(items) => items.iter().all(Node::is_trivial),
            Value::Map(entries) => entries.iter().all(|entry| entry.node.is_trivial()),
        }
    }
}

/// A parsed file: its tree, and keys that stand twice.
#[derive(Debug)]
pub(super) struct Document {
    pub root: Node,
    pub problems: Vec<Problem>,
}

/// Reads one document.
///
/// # Errors
/// The first place where the text is no YAML, exceeds the bounds of this module, or starts a second document.
pub(super) fn parse(text: &str) -> Result<Document, Problem> {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text.trim_start_matches('\u{feff}')) {
        let (event, span) = event.map_err(|error| Problem::new(error.marker().line(), error.info()))?;
        let line = span.start.line();
        match event {
            Event::Scalar(text, style, anchor, _) => builder.scalar(&text, style, line, anchor)?,
            Event::Alias(anchor) => builder.alias(anchor, line)?,
            Event::SequenceStart(_, anchor, _) => builder.open(line, anchor, Container::Seq(Vec::new()))?,
            Event::MappingStart(_, anchor, _) => builder.open(line, anchor, Container::Map(MapBuilder::default()))?,
            Event::SequenceEnd | Event::MappingEnd => builder.close()?,
            _ => {}
        }
    }
    let root = builder.root.unwrap_or(Node { line: 1, value: Value::Null });
    Ok(Document { root, problems: builder.problems })
}

/// The tree while it grows: open containers, and the values of anchors seen so far.
#[derive(Default)]
struct Builder {
    open: Vec<Frame>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    root: Option<Node>,
    problems: Vec<Problem>,
}

struct Frame {
    line: usize,
    anchor: usize,
    container: Container,
}

enum Container {
    Seq(Vec<Node>),
    Map(MapBuilder),
}

#[derive(Default)]
struct MapBuilder {
    entries: Vec<Entry>,
    seen: HashSet<String>,
    /// Values of `<<`: they fill what the map does not name itself, and so wait for its end.
    merged: Vec<Node>,
    /// The key that waits for its value.
    key: Option<(String, usize)>,
}

impl Builder {
    fn scalar(&mut self, text: &str, style: ScalarStyle, line: usize, anchor: usize) -> Result<(), Problem> {
        let quoted = !matches!(style, ScalarStyle::Plain);
        let is_null = !quoted && matches!(text, "" | "~" | "null" | "Null" | "NULL");
        let value = if is_null { Value::Null } else { Value::Scalar { text: text.to_owned(), quoted } };
        self.add(Node { line, value }, text, anchor)
    }

    fn alias(&mut self, anchor: usize, line: usize) -> Result<(), Problem> {
        // An anchor is known from its end on, so a value that contains itself is not found here.
        let Some(mut node) = self.anchors.get(&anchor).cloned() else {
            return Err(Problem::new(line, "an anchored value contains itself"));
        };
        self.spend(size(&node), line)?;
        node.line = line;
        let key = if let Value::Scalar { text, .. } = &node.value { text.clone() } else { String::new() };
        self.add(node, &key, 0)
    }

    fn open(&mut self, line: usize, anchor: usize, container: Container) -> Result<(), Problem> {
        if self.open.len() >= MAX_DEPTH {
            return Err(Problem::new(line, "exceeded max depth"));
        }
        self.open.push(Frame { line, anchor, container });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Problem> {
        let Some(frame) = self.open.pop() else { return Ok(()) };
        let value = match frame.container {
            Container::Seq(items) => Value::Seq(items),
            Container::Map(map) => Value::Map(self.merge(map)?),
        };
        self.add(Node { line: frame.line, value }, "", frame.anchor)
    }

    /// Puts a complete value where it belongs; `text` is what it is called if it turns out to be a key.
    fn add(&mut self, node: Node, text: &str, anchor: usize) -> Result<(), Problem> {
        self.spend(1, node.line)?;
        if anchor > 0 {
            self.spend(size(&node), node.line)?;
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|frame| &mut frame.container) {
            Some(Container::Seq(items)) => items.push(node),
            Some(Container::Map(map)) => match map.key.take() {
                None if matches!(node.value, Value::Seq(_) | Value::Map(_)) => {
                    return Err(Problem::new(node.line, "invalid map key: not a scalar"));
                }
                None => map.key = Some((text.to_owned(), node.line)),
                Some((key, _)) if key == "<<" => map.merged.push(node),
                Some((key, line)) => self.problems.extend(map.insert(key, line, node)),
            },
            None if self.root.is_none() => self.root = Some(node),
            None if node.value == Value::Null => {}
            None => {
                return Err(Problem::new(node.line, "a second document starts here; a configuration is one document"));
            }
        }
        Ok(())
    }

    /// The entries of a finished map, with those of `<<` that it does not name itself; the first of several sources wins.
    fn merge(&mut self, mut map: MapBuilder) -> Result<Vec<Entry>, Problem> {
        for source in std::mem::take(&mut map.merged) {
            let line = source.line;
            let maps = match source.value {
                Value::Seq(items) => items,
                value => vec![Node { line, value }],
            };
            for node in maps {
                let Value::Map(entries) = node.value else {
                    return Err(Problem::new(line, "map merge requires map or sequence of maps as the value"));
                };
                for entry in entries {
                    if map.seen.insert(entry.key.clone()) {
                        map.entries.push(entry);
                    }
                }
            }
        }
        Ok(map.entries)
    }

    fn spend(&mut self, nodes: usize, line: usize) -> Result<(), Problem> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES { Err(Problem::new(line, "document contains excessive aliasing or too many values")) } else { Ok(()) }
    }
}

impl MapBuilder {
    /// Adds an entry, or says that its key was there before.
    fn insert(&mut self, key: String, line: usize, node: Node) -> Option<Problem> {
        if !self.seen.insert(key.clone()) {
            return Some(Problem::new(line, format!("key \"{key}\" already set in map")));
        }
        self.entries.push(Entry { key, line, node });
        None
    }
}

/// Nodes of a tree.
fn size(node: &Node) -> usize {
    match &node.value {
        Value::Null | Value::Scalar { .. } => 1,
        Value::Seq(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Map(entries) => 1 + entries.iter().map(|entry| size(&entry.node)).sum::<usize>(),
    }
}

#[cfg(test)]
mod tests;
