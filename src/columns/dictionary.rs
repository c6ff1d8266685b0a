//! Byte strings stored once and named by a small number.

use super::mend::{Shape, mend};
use super::same::same;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::borrow::Cow;
use std::hash::BuildHasher;

/// Distinct byte strings in order of first appearance; a string's code is its position.
///
/// All strings lie in one buffer. Codes stay valid for the dictionary's life. One dictionary holds at most 4 GiB: a chunk
/// is sealed long before that.
#[derive(Clone, Default)]
pub struct Dictionary {
    /// End of each string in `bytes`; string `i` starts where `i - 1` ended.
    ends: Vec<u32>,
    bytes: Vec<u8>,
    table: HashTable<u32>,
}

fn hash_of(value: &[u8]) -> u64 {
    // A fixed seed is enough: codes are assigned by order, never by hash, and a chunk's dictionary is small.
    FixedState::with_seed(0x636f_6e6d_6f74_6f21).hash_one(value)
}

impl Dictionary {
    /// The code of `value`, which is added if it is new.
    #[inline]
    pub fn intern(&mut self, value: &[u8]) -> u32 {
        let hash = hash_of(value);
        let (ends, bytes) = (&self.ends, &self.bytes);
        if let Some(code) = self.table.find(hash, |&code| same(slice(ends, bytes, code), value)) {
            return *code;
        }
        self.push(hash, value)
    }

    /// As [`intern`](Self::intern) for text from outside: what is not UTF-8 is stored with replacement characters.
    #[inline]
    pub fn intern_text(&mut self, value: &[u8]) -> u32 {
        self.intern_checked(value, Shape::Text)
    }

    /// As [`intern_text`](Self::intern_text) for the text within an `AnyValue` message.
    pub fn intern_any_value(&mut self, message: &[u8]) -> u32 {
        self.intern_checked(message, Shape::AnyValue)
    }

    /// As [`intern_text`](Self::intern_text) for the text within a `KeyValue` message.
    pub fn intern_key_value(&mut self, message: &[u8]) -> u32 {
        self.intern_checked(message, Shape::KeyValue)
    }

    /// Looks `value` up as it stands and checks it only when it is new.
    #[inline]
    fn intern_checked(&mut self, value: &[u8], shape: Shape) -> u32 {
        let hash = hash_of(value);
        let (ends, bytes) = (&self.ends, &self.bytes);
        if let Some(code) = self.table.find(hash, |&code| same(slice(ends, bytes, code), value)) {
            return *code;
        }
        match mend(shape, value) {
            Cow::Borrowed(_) => self.push(hash, value),
            Cow::Owned(mended) => self.intern(&mended),
        }
    }

    fn push(&mut self, hash: u64, value: &[u8]) -> u32 {
        let code = self.ends.len() as u32;
        self.bytes.extend_from_slice(value);
        self.ends.push(self.bytes.len() as u32);
        let (ends, bytes) = (&self.ends, &self.bytes);
        self.table.insert_unique(hash, code, |&other| hash_of(slice(ends, bytes, other)));
        code
    }

    /// The code of `value`, if it is there.
    pub fn find(&self, value: &[u8]) -> Option<u32> {
        let (ends, bytes) = (&self.ends, &self.bytes);
        self.table.find(hash_of(value), |&code| same(slice(ends, bytes, code), value)).copied()
    }

    /// The string of a code that this dictionary gave out.
    #[inline]
    pub fn get(&self, code: u32) -> &[u8] {
        slice(&self.ends, &self.bytes, code)
    }

    /// The string of a code as text; empty should it not be UTF-8, which only dictionaries of raw bytes hold.
    pub fn text(&self, code: u32) -> &str {
        std::str::from_utf8(self.get(code)).unwrap_or_default()
    }

    /// Number of distinct strings.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// True before the first string.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// All strings in code order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.ends.len() as u32).map(|code| self.get(code))
    }

    /// All bytes in one buffer, with the end of each string.
    pub fn parts(&self) -> (&[u32], &[u8]) {
        (&self.ends, &self.bytes)
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        self.bytes.capacity() + 4 * self.ends.capacity() + 5 * self.table.capacity()
    }
}

#[inline]
fn slice<'a>(ends: &[u32], bytes: &'a [u8], code: u32) -> &'a [u8] {
    let at = code as usize;
    let start = if at == 0 { 0 } else { ends[at - 1] as usize };
    &bytes[start..ends[at] as usize]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equal_strings_get_equal_codes(values: Vec<Vec<u8>>) {
            let mut dictionary = Dictionary::default();
            let codes: Vec<u32> = values.iter().map(|v| dictionary.intern(v)).collect();
            for (value, code) in values.iter().zip(&codes) {
                prop_assert_eq!(dictionary.get(*code), &value[..]);
                prop_assert_eq!(dictionary.find(value), Some(*code));
            }
            let distinct: std::collections::HashSet<_> = values.iter().collect();
            prop_assert_eq!(dictionary.len(), distinct.len());
        }
    }

    #[test]
    fn text_that_is_not_utf8_is_mended_once() {
        let mut dictionary = Dictionary::default();
        let code = dictionary.intern_text(b"a\xffb");
        assert_eq!(dictionary.text(code), "a\u{fffd}b");
        assert_eq!(dictionary.intern_text(b"a\xffb"), code);
    }
}
