//! Writes JSON text piece by piece. Commas are set here, so callers only say what comes next; nothing is kept but the
//! text, so an answer of any size is written once and never copied.

use std::fmt::{Display, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::model::gofmt::push_json_float;

/// A JSON text in the making, in the dialect of spec/query-api.md §2.
///
/// The `*_member` functions with a value leave the member out when the value is the zero of its type; the others always
/// write. That the brackets match is the caller's duty; the closures of [`JsonWriter::object`] and
/// [`JsonWriter::array`] see to it.
#[derive(Debug, Default)]
pub struct JsonWriter {
    text: String,
    /// A value has just ended, so that another one needs a comma in front of it.
    after_value: bool,
}

impl JsonWriter {
    /// The finished text.
    pub fn finish(self) -> String {
        self.text
    }

    /// An object whose members `members` writes.
    pub fn object(&mut self, members: impl FnOnce(&mut Self)) {
        self.bracketed('{', '}', members);
    }

    /// An array whose elements `elements` writes.
    pub fn array(&mut self, elements: impl FnOnce(&mut Self)) {
        self.bracketed('[', ']', elements);
    }

    fn bracketed(&mut self, open: char, close: char, content: impl FnOnce(&mut Self)) {
        self.separate();
        self.text.push(open);
        self.after_value = false;
        content(self);
        self.text.push(close);
        self.after_value = true;
    }

    /// The name of the member whose value is written next.
    pub fn key(&mut self, name: &str) {
        self.string(name);
        self.text.push(':');
        self.after_value = false;
    }

    /// `null`.
    pub fn null(&mut self) {
        self.display("null");
    }

    /// `true` or `false`.
    pub fn bool(&mut self, value: bool) {
        self.display(value);
    }

    /// An integer without quotes: those of up to 32 bits, and in the LLM forms all of them.
    pub fn number(&mut self, value: impl Into<i128>) {
        self.display(value.into());
    }

    /// An integer of 64 bits, in quotes because readers lose digits otherwise.
    pub fn quoted(&mut self, value: impl Into<i128>) {
        let value: i128 = value.into();
        self.separate();
        let _ = write!(self.text, "\"{value}\"");
        self.after_value = true;
    }

    /// A float; what JSON has no number for becomes a text.
    pub fn float(&mut self, value: f64) {
        self.separate();
        push_json_float(&mut self.text, value);
        self.after_value = true;
    }

    /// A text with quotes and escapes.
    pub fn string(&mut self, value: &str) {
        self.separate();
        self.text.push('"');
        push_escaped(&mut self.text, value);
        self.text.push('"');
        self.after_value = true;
    }

    /// Bytes as base64 with padding.
    pub fn base64(&mut self, value: &[u8]) {
        self.separate();
        self.text.push('"');
        STANDARD.encode_string(value, &mut self.text);
        self.text.push('"');
        self.after_value = true;
    }

    /// Bytes as lower-case hex, as only the LLM forms have them.
    pub fn hex(&mut self, value: &[u8]) {
        self.separate();
        self.text.push('"');
        for byte in value {
            let _ = write!(self.text, "{byte:02x}");
        }
        self.text.push('"');
        self.after_value = true;
    }

    /// A text member, left out when empty.
    pub fn string_member(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.key(name);
            self.string(value);
        }
    }

    /// A member of bytes as base64, left out when empty.
    pub fn base64_member(&mut self, name: &str, value: &[u8]) {
        if !value.is_empty() {
            self.key(name);
            self.base64(value);
        }
    }

    /// An integer member without quotes, left out when 0.
    pub fn number_member(&mut self, name: &str, value: impl Into<i128>) {
        let value = value.into();
        if value != 0 {
            self.key(name);
            self.number(value);
        }
    }

    /// An integer member of 64 bits in quotes, left out when 0.
    pub fn quoted_member(&mut self, name: &str, value: impl Into<i128>) {
        let value = value.into();
        if value != 0 {
            self.key(name);
            self.quoted(value);
        }
    }

    /// A float member, left out when 0.
    pub fn float_member(&mut self, name: &str, value: f64) {
        if value != 0.0 {
            self.key(name);
            self.float(value);
        }
    }

    /// An enum member: its name, or its number when that has no name; left out when 0.
    pub fn enum_member(&mut self, name: &str, number: i32, word: Option<&str>) {
        if number != 0 {
            self.key(name);
            self.enum_value(number, word);
        }
    }

    /// The name of an enum value, or its number when that has no name.
    pub fn enum_value(&mut self, number: i32, word: Option<&str>) {
        match word {
            Some(word) => self.string(word),
            None => self.number(number),
        }
    }

    /// A member with an array, left out when there are no elements.
    pub fn list_member<T>(&mut self, name: &str, items: &[T], write: impl FnMut(&mut Self, &T)) {
        if !items.is_empty() {
            self.full_list_member(name, items, write);
        }
    }

    /// A member with an array that is written as `[]` when there are no elements.
    pub fn full_list_member<T>(&mut self, name: &str, items: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.key(name);
        self.array(|w| {
            for item in items {
                write(w, item);
            }
        });
    }

    /// Writes `value`, whose text must be JSON already.
    fn display(&mut self, value: impl Display) {
        self.separate();
        let _ = write!(self.text, "{value}");
        self.after_value = true;
    }

    fn separate(&mut self) {
        if self.after_value {
            self.text.push(',');
        }
    }
}

/// Whether a character that begins with this byte may need an escape: U+2028 and U+2029 begin with 0xe2.
const MAY_NEED_ESCAPE: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = byte < 0x20 || matches!(byte as u8, b'"' | b'\\' | b'<' | b'>' | b'&' | 0xe2);
        byte += 1;
    }
    table
};

/// Appends `value` with JSON's escapes, and with those that keep it harmless inside HTML and JavaScript.
fn push_escaped(out: &mut String, value: &str) {
    // Most texts need none, and looking at all of their bytes takes less time than looking for the first that does.
    if !value.bytes().fold(false, |may_need, byte| may_need | MAY_NEED_ESCAPE[usize::from(byte)]) {
        return out.push_str(value);
    }
    let mut written = 0;
    for (at, character) in value.char_indices() {
        let escape = match character {
            '"' => "\\\"",
            '\\' => "\\\\",
            '\u{8}' => "\\b",
            '\t' => "\\t",
            '\n' => "\\n",
            '\u{c}' => "\\f",
            '\r' => "\\r",
            '<' => "\\u003c",
            '>' => "\\u003e",
            '&' => "\\u0026",
            '\u{2028}' => "\\u2028",
            '\u{2029}' => "\\u2029",
            '\0'..' ' => "",
            _ => continue,
        };
        out.push_str(&value[written..at]);
        match escape {
            "" => drop(write!(out, "\\u{:04x}", u32::from(character))),
            escape => out.push_str(escape),
        }
        written = at + character.len_utf8();
    }
    out.push_str(&value[written..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(text: &str) -> String {
        let mut out = String::new();
        push_escaped(&mut out, text);
        out
    }

    #[test]
    fn escapes() {
        assert_eq!(escaped("a\"b\\c/d"), r#"a\"b\\c/d"#);
        assert_eq!(escaped("<a href=\"x\">&"), r#"\u003ca href=\"x\"\u003e\u0026"#);
        assert_eq!(escaped("\u{0}\u{1f}\u{8}\u{c}\n\r\t\u{7f}"), "\\u0000\\u001f\\b\\f\\n\\r\\t\u{7f}");
        assert_eq!(escaped("µ\u{2028}\u{2029}日本"), "µ\\u2028\\u2029日本");
        assert_eq!(escaped(""), "");
    }

    #[test]
    fn commas_stand_between_values_only() {
        let mut w = JsonWriter::default();
        w.object(|w| {
            w.string_member("empty", "");
            w.full_list_member("list", &[1, 2], |w, n| w.number(*n));
            w.list_member("none", &[] as &[i32], |w, n| w.number(*n));
            w.key("inner");
            w.object(|_| ());
            w.quoted_member("big", u64::MAX);
            w.float_member("zero", 0.0);
            w.float_member("half", 0.5);
            w.base64_member("bytes", &[0, 42]);
            w.enum_member("kind", 99, None);
            w.key("none");
            w.null();
        });
        let expected = r#"{"list":[1,2],"inner":{},"big":"18446744073709551615","half":0.5,"bytes":"ACo=","kind":99,"none":null}"#;
        assert_eq!(w.finish(), expected);
    }
}
