//! Walks JSON objects key by key and reads the scalars of proto3 JSON, with the tolerance that senders need.
//!
//! A message implements [`JsonObject`]: one `match` from key to field. serde's derived code is not used because it
//! refuses a document in which both spellings of a key, or the same key twice, appear; here the last one wins.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A message that is filled from the keys of a JSON object.
pub(in crate::receiver) trait JsonObject<'de>: Default {
    /// Takes the value of `key`, or skips it when the message has no such field.
    ///
    /// # Errors
    ///
    /// Whatever reading the value yields.
    fn read_field<A: MapAccess<'de>>(&mut self, key: &str, field: Field<'_, A>) -> Result<(), A::Error>;
}

/// A [`JsonObject`] as serde reads it.
#[derive(Default)]
pub(in crate::receiver) struct Object<M>(pub(in crate::receiver) M);

impl<'de, M: JsonObject<'de>> Deserialize<'de> for Object<M> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData)).map(Object)
    }
}

struct ObjectVisitor<M>(PhantomData<M>);

impl<'de, M: JsonObject<'de>> Visitor<'de> for ObjectVisitor<M> {
    type Value = M;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<M, A::Error> {
        let mut message = M::default();
        while let Some(Text(key)) = map.next_key()? {
            message.read_field(&key, Field { map: &mut map })?;
        }
        Ok(message)
    }
}

/// The messages of a JSON array as serde reads them; nulls in it are left out.
pub(in crate::receiver) struct List<M>(pub(in crate::receiver) Vec<M>);

impl<'de, M: JsonObject<'de>> Deserialize<'de> for List<M> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ListVisitor(PhantomData)).map(List)
    }
}

struct ListVisitor<M>(PhantomData<M>);

impl<'de, M: JsonObject<'de>> Visitor<'de> for ListVisitor<M> {
    type Value = Vec<M>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of objects")
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut items: S) -> Result<Vec<M>, S::Error> {
        let mut messages = Vec::new();
        while let Some(item) = items.next_element::<Option<Object<M>>>()? {
            messages.extend(item.map(|object| object.0));
        }
        Ok(messages)
    }
}

/// A text that lies in the document, or a copy of it without its escapes.
#[derive(Default)]
pub(in crate::receiver) struct Text<'de>(pub(in crate::receiver) Cow<'de, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor).map(Text)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

/// The value that belongs to a key; it is read at most once. `null` reads as the empty value of the type.
pub(in crate::receiver) struct Field<'a, A> {
    map: &'a mut A,
}

impl<'de, A: MapAccess<'de>> Field<'_, A> {
    /// Passes over a value of any shape.
    pub(in crate::receiver) fn skip(self) -> Result<(), A::Error> {
        self.map.next_value::<IgnoredAny>().map(drop)
    }

    /// A value that knows how to read itself; `None` for null.
    pub(in crate::receiver) fn optional<T: Deserialize<'de>>(self) -> Result<Option<T>, A::Error> {
        self.map.next_value()
    }

    /// A text.
    pub(in crate::receiver) fn text(self) -> Result<String, A::Error> {
        Ok(self.optional()?.unwrap_or_default())
    }

    /// A text that is not copied unless it has escapes.
    pub(in crate::receiver) fn borrowed_text(self) -> Result<Cow<'de, str>, A::Error> {
        Ok(self.optional::<Text<'de>>()?.unwrap_or_default().0)
    }

    /// A nested message; `None` for null.
    pub(in crate::receiver) fn object<M: JsonObject<'de>>(self) -> Result<Option<M>, A::Error> {
        Ok(self.optional::<Object<M>>()?.map(|object| object.0))
    }

    /// The messages of an array; nulls in it are left out.
    pub(in crate::receiver) fn list<M: JsonObject<'de>>(self) -> Result<Vec<M>, A::Error> {
        Ok(self.optional::<List<M>>()?.map(|list| list.0).unwrap_or_default())
    }

    /// An integer of 64 or fewer bits, as a number or as text.
    pub(in crate::receiver) fn integer<T: TryFrom<i128>>(self) -> Result<T, A::Error> {
        let Integer(number) = self.optional()?.unwrap_or_default();
        T::try_from(number).map_err(|_| A::Error::custom(format!("integer out of range: {number}")))
    }

    /// An integer of 64 or fewer bits that must be a number.
    pub(in crate::receiver) fn number<T: TryFrom<i128>>(self) -> Result<T, A::Error> {
        let Number(number) = self.optional()?.unwrap_or_default();
        T::try_from(number).map_err(|_| A::Error::custom(format!("integer out of range: {number}")))
    }

    /// An enum value, as a number or by its full name; `by_name` knows the names.
    pub(in crate::receiver) fn enumeration(self, by_name: impl Fn(&str) -> Option<i32>) -> Result<i32, A::Error> {
        match self.optional()?.unwrap_or_default() {
            NumberOrText::Number(number) => {
                i32::try_from(number).map_err(|_| A::Error::custom(format!("enum value out of range: {number}")))
            }
            NumberOrText::Text(name) => {
                by_name(&name).or_else(|| name.parse().ok()).ok_or_else(|| A::Error::custom(format!("unknown enum value: {name:?}")))
            }
        }
    }

    /// An id of `num_bytes` bytes in hex digits of any case; an empty text is no id and yields no bytes.
    pub(in crate::receiver) fn hex_id(self, num_bytes: usize) -> Result<Vec<u8>, A::Error> {
        let text = self.text()?;
        if text.is_empty() {
            return Ok(Vec::new());
        }
        decode_hex(&text)
            .filter(|bytes| bytes.len() == num_bytes)
            .ok_or_else(|| A::Error::custom(format!("id length mismatch: want {} hex digits", 2 * num_bytes)))
    }
}

/// The bytes that pairs of hex digits stand for; `None` when there is an odd number of digits or anything else.
pub(in crate::receiver) fn decode_hex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let digit = |character: u8| char::from(character).to_digit(16);
    let byte = |&[high, low]: &[u8; 2]| u8::try_from(digit(high)? << 4 | digit(low)?).ok();
    if rest.is_empty() { pairs.iter().map(byte).collect() } else { None }
}

/// An integer written as a JSON number; `1e3` and `5.0` count, fractions do not.
#[derive(Default)]
struct Number(i128);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match NumberOrText::deserialize(deserializer)? {
            NumberOrText::Number(number) => Ok(Number(number)),
            NumberOrText::Text(text) => Err(D::Error::custom(format!("want a number, got the text {text:?}"))),
        }
    }
}

/// An integer written as a JSON number or as decimal text.
#[derive(Default)]
struct Integer(i128);

impl<'de> Deserialize<'de> for Integer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match NumberOrText::deserialize(deserializer)? {
            NumberOrText::Number(number) => Ok(Integer(number)),
            NumberOrText::Text(text) => text.parse().map(Integer).map_err(|_| D::Error::custom(format!("not an integer: {text:?}"))),
        }
    }
}

/// What both forms of integers and enums are read from.
enum NumberOrText {
    Number(i128),
    Text(String),
}

impl Default for NumberOrText {
    fn default() -> Self {
        NumberOrText::Number(0)
    }
}

impl<'de> Deserialize<'de> for NumberOrText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberOrTextVisitor)
    }
}

struct NumberOrTextVisitor;

impl Visitor<'_> for NumberOrTextVisitor {
    type Value = NumberOrText;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an integer")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<NumberOrText, E> {
        Ok(NumberOrText::Number(number.into()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<NumberOrText, E> {
        Ok(NumberOrText::Number(number.into()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<NumberOrText, E> {
        if number.fract() != 0.0 {
            return Err(E::custom(format!("not an integer: {number}")));
        }
        // The cast saturates far outside 64 bits, where the range check of the field refuses it.
        Ok(NumberOrText::Number(number as i128))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<NumberOrText, E> {
        Ok(NumberOrText::Text(text.to_owned()))
    }
}

/// A floating point number: a JSON number, or text such as `"1.5"`, `"NaN"`, `"-Infinity"`.
pub(in crate::receiver) struct Double(pub(in crate::receiver) f64);

impl<'de> Deserialize<'de> for Double {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DoubleVisitor).map(Double)
    }
}

struct DoubleVisitor;

impl Visitor<'_> for DoubleVisitor {
    type Value = f64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<f64, E> {
        Ok(number as f64)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<f64, E> {
        Ok(number as f64)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<f64, E> {
        Ok(number)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<f64, E> {
        // Rust's own parser knows the three names of proto3 JSON, in any case.
        text.parse().map_err(|_| E::custom(format!("not a number: {text:?}")))
    }
}

/// A 64-bit integer as number or text, where `None` must be told from 0.
pub(in crate::receiver) struct SignedInteger(pub(in crate::receiver) i64);

impl<'de> Deserialize<'de> for SignedInteger {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Integer(number) = Integer::deserialize(deserializer)?;
        i64::try_from(number).map(SignedInteger).map_err(|_| D::Error::custom(format!("integer out of range: {number}")))
    }
}

/// Bytes in base64: the standard or the URL alphabet, with or without padding.
pub(in crate::receiver) struct Base64(pub(in crate::receiver) Vec<u8>);

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?.replace('-', "+").replace('_', "/");
        BASE64.decode(text).map(Base64).map_err(|error| D::Error::custom(format!("not base64: {error}")))
    }
}

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true).with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The body as JSON text that `serde_json` can read: what is not Unicode becomes U+FFFD.
///
/// That is bytes that are not UTF-8, and escapes of single surrogates, which JavaScript senders make when they cut a text
/// within a character. Losing one character is better than losing the request.
pub(in crate::receiver) fn repair_text(body: &[u8]) -> Cow<'_, str> {
    let mut text = String::from_utf8_lossy(body);
    let mut at = 0;
    while let Some(escape) = find_single_surrogate(&text, at) {
        // The replacement is as long as the escape, so what was found before stays where it was.
        text.to_mut().replace_range(escape..escape + ESCAPE_LENGTH, "\\ufffd");
        at = escape + ESCAPE_LENGTH;
    }
    text
}

/// The length of `\u0000` in bytes.
const ESCAPE_LENGTH: usize = 6;

/// The position of the first escape at or after `at` that is one half of a surrogate pair without the other.
fn find_single_surrogate(json: &str, mut at: usize) -> Option<usize> {
    const HIGH: std::ops::Range<u32> = 0xd800..0xdc00;
    const LOW: std::ops::Range<u32> = 0xdc00..0xe000;
    loop {
        at += memchr::memchr(b'\\', json.as_bytes().get(at..)?)?;
        match escaped_unit(json, at) {
            Some(unit) if HIGH.contains(&unit) => match escaped_unit(json, at + ESCAPE_LENGTH) {
                Some(next) if LOW.contains(&next) => at += 2 * ESCAPE_LENGTH,
                _ => return Some(at),
            },
            Some(unit) if LOW.contains(&unit) => return Some(at),
            // Steps over the escaped character too: in `\\u` the second backslash starts nothing.
            _ => at += 2,
        }
    }
}

/// The UTF-16 unit of the escape `\uXXXX` at `at`, if there is one.
fn escaped_unit(json: &str, at: usize) -> Option<u32> {
    let digits = json.get(at..at + ESCAPE_LENGTH)?.strip_prefix("\\u")?;
    u32::from_str_radix(digits, 16).ok()
}
