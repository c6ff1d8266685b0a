//! Attributes as texts, and as small numbers per chunk, so that text is looked at once for each distinct value.

use crate::columns::value::{KeyValueRef, ValueRef};
use crate::columns::wire::{Field, Reader};
use crate::columns::{AttributeColumn, Chunk, ColumnValues, Value, ValueKind};
use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::fmt::Write;
use std::ops::Range;
use std::sync::Arc;

/// Every kind of column that a key may have.
const KINDS: [ValueKind; 5] = [ValueKind::Str, ValueKind::Int, ValueKind::Double, ValueKind::Bool, ValueKind::Any];

/// Arrays and maps in arrays and maps are written no deeper than they can be received.
const MAX_DEPTH: usize = crate::columns::value::MAX_DEPTH;

/// The value of a span's attribute.
pub(super) struct SpanValue<'a>(pub ValueRef<'a>);

/// The value of a span's attribute, if it has it.
pub(super) fn of_span<'a>(chunk: &'a Chunk, key: &str, row: u32) -> Option<SpanValue<'a>> {
    KINDS.into_iter().find_map(|kind| chunk.attributes.column(key, kind)?.get(row)).map(SpanValue)
}

/// The text of a value (spec/metrics-generator.md §5, "value rendering").
pub(super) fn text_of(value: ValueRef<'_>) -> String {
    let mut out = String::new();
    push_text(&mut out, value, 0);
    out
}

/// The text of a stored value.
pub(super) fn text_of_value(value: &Value) -> String {
    text_of(value.as_ref())
}

fn push_text(out: &mut String, value: ValueRef<'_>, depth: usize) {
    // Writing to a string cannot fail.
    let _ = match value {
        ValueRef::Str(text) => write!(out, "{}", String::from_utf8_lossy(text)),
        ValueRef::Int(int) => write!(out, "{int}"),
        // Rust never writes an exponent here.
        ValueRef::Double(double) if double.is_finite() => write!(out, "{double}"),
        ValueRef::Double(double) => write!(out, "{}", crate::model::gofmt::float_g(double)),
        ValueRef::Bool(bit) => write!(out, "{bit}"),
        ValueRef::Any(message) => return push_nested(out, message, depth),
    };
}

/// An array or a list of keys and values; bytes and the empty value have no text.
fn push_nested(out: &mut String, message: &[u8], depth: usize) {
    let mut reader = Reader::new(message);
    while let Ok(Some((number, field))) = reader.next_field() {
        let (Field::Bytes(list), true) = (field, depth < MAX_DEPTH) else { continue };
        match number {
            5 => {
                out.push('[');
                elements(list, |element| ValueRef::read(element).into_iter().for_each(|value| push_text(out, value, depth + 1)));
                out.push(']');
            }
            6 => {
                out.push('{');
                elements(list, |element| push_pair(out, element, depth));
                out.push('}');
            }
            _ => {}
        }
    }
}

fn push_pair(out: &mut String, message: &[u8], depth: usize) {
    let Ok(pair) = KeyValueRef::read(message) else { return };
    out.push_str(&String::from_utf8_lossy(pair.key));
    out.push(':');
    if let Some(Ok(value)) = pair.value.map(ValueRef::read) {
        push_text(out, value, depth + 1);
    }
}

/// The elements of an `ArrayValue` or `KeyValueList`.
fn elements(list: &[u8], mut visit: impl FnMut(&[u8])) {
    let mut reader = Reader::new(list);
    while let Ok(Some((number, field))) = reader.next_field() {
        if let (1, Field::Bytes(element)) = (number, field) {
            visit(element);
        }
    }
}

/// Stands for a span without the attribute.
pub(super) const ABSENT: u32 = 0;

/// The texts of attribute values of one chunk, numbered from 1.
#[derive(Default)]
pub(super) struct Texts {
    by_text: HashMap<Arc<str>, u32, RandomState>,
    list: Vec<Arc<str>>,
}

impl Texts {
    /// The number of a text.
    pub(super) fn intern(&mut self, text: &str) -> u32 {
        if let Some(code) = self.by_text.get(text) {
            return *code;
        }
        let text: Arc<str> = text.into();
        self.list.push(Arc::clone(&text));
        let code = self.list.len() as u32;
        self.by_text.insert(text, code);
        code
    }

    /// The text of a number; nothing for [`ABSENT`].
    pub(super) fn get(&self, code: u32) -> Option<&Arc<str>> {
        self.list.get((code as usize).wrapping_sub(1))
    }
}

/// Numbers for pairs of numbers, from 0 in order of their coming.
#[derive(Default)]
pub(super) struct Pairs {
    numbers: HashMap<u64, u32, RandomState>,
    last: (u64, u32),
}

impl Pairs {
    /// The number of a pair.
    #[inline]
    pub(super) fn number(&mut self, first: u32, second: u32) -> u32 {
        let pair = u64::from(first) << 32 | u64::from(second);
        if self.last.0 == pair && !self.numbers.is_empty() {
            return self.last.1;
        }
        let next = self.numbers.len() as u32;
        self.last = (pair, *self.numbers.entry(pair).or_insert(next));
        self.last.1
    }
}

/// What is known of one key's values in one chunk: the number of the text of each.
#[derive(Default)]
pub(super) struct KeyCodes {
    /// By code of the column's dictionary; [`ABSENT`] where it is not known yet.
    strings: Vec<u32>,
    others: HashMap<(ValueKind, u64), u32, RandomState>,
}

impl KeyCodes {
    /// Calls `set` with the position in `rows` and the number of the text of each row's value under `key`. A row with two values
    /// of different kinds is visited for each.
    pub(super) fn visit(&mut self, chunk: &Chunk, key: &str, rows: &Range<u32>, texts: &mut Texts, mut set: impl FnMut(usize, u32)) {
        for kind in KINDS {
            let Some(column) = chunk.attributes.column(key, kind) else { continue };
            let first = column.rows.partition_point(|row| *row < rows.start);
            for (at, row) in column.rows.iter().enumerate().skip(first).take_while(|(_, row)| **row < rows.end) {
                set((row - rows.start) as usize, self.code(column, at, texts));
            }
        }
    }

    fn code(&mut self, column: &AttributeColumn, at: usize, texts: &mut Texts) -> u32 {
        let bits = match &column.values {
            ColumnValues::Str(codes, dictionary) => {
                let code = codes[at] as usize;
                if self.strings.len() <= code {
                    self.strings.resize(dictionary.len().max(code + 1), ABSENT);
                }
                if self.strings[code] == ABSENT {
                    self.strings[code] = texts.intern(dictionary.text(codes[at]));
                }
                return self.strings[code];
            }
            ColumnValues::Int(values) => values[at] as u64,
            ColumnValues::Double(values) => values[at].to_bits(),
            ColumnValues::Bool(values) => u64::from(values[at]),
            ColumnValues::Any(codes, _) => u64::from(codes[at]),
        };
        *self.others.entry((column.kind(), bits)).or_insert_with(|| texts.intern(&text_of(column.value_at(at))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::wire::put_bytes;

    fn any(value: ValueRef<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        value.write(&mut out);
        out
    }

    #[test]
    fn values_are_written_as_labels_show_them() {
        for (value, text) in [
            (ValueRef::Str(b"a b"), "a b"),
            (ValueRef::Int(-3), "-3"),
            (ValueRef::Bool(true), "true"),
            (ValueRef::Double(0.5), "0.5"),
            (ValueRef::Double(1e21), "1000000000000000000000"),
            (ValueRef::Double(f64::INFINITY), "+Inf"),
        ] {
            assert_eq!(text_of(value), text);
        }
    }

    #[test]
    fn lists_are_written_without_separators() {
        let (mut array, mut list, mut pair, mut message) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        put_bytes(&mut array, 1, &any(ValueRef::Int(1)));
        put_bytes(&mut array, 1, &any(ValueRef::Str(b"x")));
        put_bytes(&mut message, 5, &array);
        assert_eq!(text_of(ValueRef::read(&message).expect("well formed")), "[1x]");
        put_bytes(&mut pair, 1, b"k");
        put_bytes(&mut pair, 2, &message);
        put_bytes(&mut list, 1, &pair);
        let mut map = Vec::new();
        put_bytes(&mut map, 6, &list);
        assert_eq!(text_of(ValueRef::read(&map).expect("well formed")), "{k:[1x]}");
        assert_eq!(text_of(ValueRef::Any(b"")), "");
    }

    #[test]
    fn equal_texts_have_one_number() {
        let mut texts = Texts::default();
        let (one, other) = (texts.intern("a"), texts.intern("b"));
        assert_eq!((texts.intern("a"), one == other), (one, false));
        assert_eq!((texts.get(one).map(|text| &**text), texts.get(ABSENT)), (Some("a"), None));
    }
}
