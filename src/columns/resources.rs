//! Resources and instrumentation scopes, each stored once and named by a number.

use super::dictionary::Dictionary;
use super::mend::{Shape, mend};
use super::value::{KeyValueRef, Value, ValueRef};
use super::wire::{Malformed, Reader, put_varint, split_varint};

/// A resource or scope with its attributes parsed for queries.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// All attributes in the order in which they came; those without a value are left out.
    pub attributes: Vec<(Box<str>, Value)>,
    /// Of a scope: its name. Of a resource: empty.
    pub name: Box<str>,
    /// Of a scope: its version. Of a resource: empty.
    pub version: Box<str>,
}

impl Origin {
    /// The first attribute with this key.
    pub fn attribute(&self, key: &str) -> Option<&Value> {
        self.attributes.iter().find(|(other, _)| &**other == key).map(|(_, value)| value)
    }

    /// `service.name` as TraceQL reads it: empty when missing or no text (spec/traceql.md §1).
    pub fn service_name(&self) -> &str {
        match self.attribute("service.name") {
            Some(Value::Str(name)) => name,
            _ => "",
        }
    }
}

/// Which message a table holds; they number their fields differently.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OriginKind {
    /// `Resource`: attributes 1.
    Resource,
    /// `InstrumentationScope`: name 1, version 2, attributes 3.
    Scope,
}

/// Distinct resources, or distinct scopes, in order of first appearance.
pub struct OriginTable {
    kind: OriginKind,
    /// Schema URL's length, schema URL and message of each entry, as one byte string.
    keys: Dictionary,
    entries: Vec<Origin>,
    scratch: Vec<u8>,
}

impl OriginTable {
    /// An empty table.
    pub fn new(kind: OriginKind) -> Self {
        OriginTable { kind, keys: Dictionary::default(), entries: Vec::new(), scratch: Vec::new() }
    }

    /// The number of the resource or scope with exactly these bytes, which is added if it is new. Text that is not UTF-8
    /// is stored with replacement characters.
    pub fn intern(&mut self, message: &[u8], schema_url: &[u8]) -> Result<u32, Malformed> {
        if let Some(id) = self.find(message, schema_url) {
            return Ok(id);
        }
        let shape = match self.kind {
            OriginKind::Resource => Shape::Resource,
            OriginKind::Scope => Shape::Scope,
        };
        let (message, schema_url) = (mend(shape, message), mend(Shape::Text, schema_url));
        if let Some(id) = self.find(&message, &schema_url) {
            return Ok(id);
        }
        let origin = parse(self.kind, &message)?;
        self.entries.push(origin);
        Ok(self.keys.intern(&self.scratch))
    }

    /// The number of an entry of another table of the same kind, which is added if it is new.
    pub fn intern_from(&mut self, other: &OriginTable, entry: u32) -> u32 {
        let key = other.keys.get(entry);
        self.keys.find(key).unwrap_or_else(|| {
            self.entries.push(other.entries[entry as usize].clone());
            self.keys.intern(key)
        })
    }

    /// Looks an entry up and leaves its key in `scratch`.
    fn find(&mut self, message: &[u8], schema_url: &[u8]) -> Option<u32> {
        self.scratch.clear();
        put_varint(&mut self.scratch, schema_url.len() as u64);
        self.scratch.extend_from_slice(schema_url);
        self.scratch.extend_from_slice(message);
        self.keys.find(&self.scratch)
    }

    /// The message's bytes and the schema URL that came with it.
    pub fn message(&self, id: u32) -> (&[u8], &[u8]) {
        let key = self.keys.get(id);
        let Some((length, rest)) = split_varint(key) else { return (&[], &[]) };
        let (schema_url, message) = rest.split_at(rest.len().min(length as usize));
        (message, schema_url)
    }

    /// Which message the table holds.
    pub fn kind(&self) -> OriginKind {
        self.kind
    }

    /// All entries; an entry's position is its number.
    pub fn entries(&self) -> &[Origin] {
        &self.entries
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of memory held, about: attributes are counted as their message.
    pub fn memory(&self) -> usize {
        4 * self.keys.memory() + self.entries.capacity() * size_of::<Origin>()
    }
}

fn parse(kind: OriginKind, message: &[u8]) -> Result<Origin, Malformed> {
    let mut origin = Origin::default();
    let mut reader = Reader::new(message);
    while let Some((number, field)) = reader.next_field()? {
        match (kind, number) {
            (OriginKind::Resource, 1) | (OriginKind::Scope, 3) => {
                let parts = KeyValueRef::read(field.bytes(number)?)?;
                if let Some(value) = parts.value {
                    let key = String::from_utf8_lossy(parts.key).into();
                    origin.attributes.push((key, ValueRef::read(value)?.to_value()));
                }
            }
            (OriginKind::Scope, 1) => origin.name = String::from_utf8_lossy(field.bytes(1)?).into(),
            (OriginKind::Scope, 2) => origin.version = String::from_utf8_lossy(field.bytes(2)?).into(),
            _ => {}
        }
    }
    Ok(origin)
}
