//! Ids as types: a trace id is never mistaken for text, a tenant name is checked once.

use std::fmt;
use std::sync::Arc;

/// The 16 bytes that name a trace. Shorter ids of old senders are padded with zero bytes on the left.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TraceId(pub [u8; 16]);

/// Why a text is not a trace id; the messages are those of spec/query-api.md §3.1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TraceIdError {
    /// A character that is not a hex digit, with its position counted from 1.
    #[error("trace IDs can only contain hex characters: invalid character '{character}' at position {position}")]
    NotHex {
        /// The first offending character.
        character: char,
        /// Its position in the text, counted from 1.
        position: usize,
    },
    /// More than 32 digits.
    #[error("trace IDs can't be larger than 128 bits")]
    TooLong,
}

impl TraceId {
    /// Reads up to 32 hex digits in any case; fewer are padded on the left.
    pub fn parse(text: &str) -> Result<Self, TraceIdError> {
        if let Some((at, character)) = text.chars().enumerate().find(|(_, c)| !c.is_ascii_hexdigit()) {
            return Err(TraceIdError::NotHex { character, position: at + 1 });
        }
        if text.len() > 32 {
            return Err(TraceIdError::TooLong);
        }
        let number = text.bytes().fold(0u128, |n, digit| n << 4 | u128::from(hex_value(digit)));
        Ok(TraceId(number.to_be_bytes()))
    }

    /// The id in `bytes`, if there are 16 of them.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(TraceId)
    }

    /// True for the id that OTLP calls invalid: all bytes zero.
    pub fn is_zero(&self) -> bool {
        self.0 == [0; 16]
    }

    /// Lower-case hex without leading zeros, as search answers print ids (spec/query-api.md §4.3).
    pub fn to_short_hex(self) -> String {
        format!("{:x}", u128::from_be_bytes(self.0))
    }
}

/// The 8 bytes that name a span within its trace, read as a big-endian number; 0 means "none".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SpanId(pub u64);

impl SpanId {
    /// The id in `bytes`, if there are 8 of them.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(|b| SpanId(u64::from_be_bytes(b)))
    }

    /// The bytes as they travel on the wire.
    pub fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit.wrapping_sub(b'A') + 10,
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A tenant's name, checked by the rules of spec/query-api.md §1.3; cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantId(Arc<str>);

/// Why a text is not a tenant name; the messages are those of spec/query-api.md §1.3.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TenantIdError {
    /// No name at all.
    #[error("no org id")]
    Missing,
    /// A character outside letters, digits and `! - _ . * ' ( )`.
    #[error("tenant ID '{id}' contains unsupported character '{character}'")]
    Character {
        /// The whole name as given.
        id: String,
        /// The first offending character.
        character: char,
    },
    /// More than 150 bytes.
    #[error("tenant ID is too long: max 150 characters")]
    TooLong,
    /// A name that a file system would read as a directory of its own.
    #[error("tenant ID is '.' or '..'")]
    Dots,
}

impl TenantId {
    /// The only tenant when `multitenancy_enabled` is off.
    pub const SINGLE: &'static str = "single-tenant";
    const MAX_BYTES: usize = 150;

    /// Checks a name that came from outside.
    pub fn parse(text: &str) -> Result<Self, TenantIdError> {
        if text.is_empty() {
            return Err(TenantIdError::Missing);
        }
        let allowed = |c: &char| c.is_ascii_alphanumeric() || "!-_.*'()".contains(*c);
        if let Some(character) = text.chars().find(|c| !allowed(c)) {
            return Err(TenantIdError::Character { id: text.to_string(), character });
        }
        if text.len() > Self::MAX_BYTES {
            return Err(TenantIdError::TooLong);
        }
        if text == "." || text == ".." {
            return Err(TenantIdError::Dots);
        }
        Ok(TenantId(text.into()))
    }

    /// The tenant of a server without multi-tenancy.
    pub fn single() -> Self {
        TenantId(Self::SINGLE.into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names a block; random, so that no two writers can choose the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockId(uuid::Uuid);

impl BlockId {
    /// A new random id (UUID version 4).
    pub fn random() -> Self {
        BlockId(uuid::Uuid::new_v4())
    }

    /// Reads the hyphenated form that `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        uuid::Uuid::try_parse(text).ok().map(BlockId)
    }
}

impl fmt::Display for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn short_trace_ids_are_padded_on_the_left() {
        let id = TraceId::parse("0123456789ABCDE0").expect("hex");
        assert_eq!(id.to_string(), "00000000000000000123456789abcde0");
        assert_eq!(id.to_short_hex(), "123456789abcde0");
        assert_eq!(TraceId::parse("1"), TraceId::parse("0001"));
    }

    #[test]
    fn bad_trace_ids_say_where() {
        let error = TraceId::parse("12x4").expect_err("x is no hex digit");
        assert_eq!(error.to_string(), "trace IDs can only contain hex characters: invalid character 'x' at position 3");
        assert_eq!(TraceId::parse(&"1".repeat(33)), Err(TraceIdError::TooLong));
    }

    #[test]
    fn tenant_names_follow_the_rules() {
        assert!(TenantId::parse("team-a_1.*'()!").is_ok());
        assert_eq!(TenantId::parse("a/b").expect_err("slash").to_string(), "tenant ID 'a/b' contains unsupported character '/'");
        assert_eq!(TenantId::parse(".."), Err(TenantIdError::Dots));
        assert_eq!(TenantId::parse(&"a".repeat(151)), Err(TenantIdError::TooLong));
        assert_eq!(TenantId::parse(""), Err(TenantIdError::Missing));
    }

    proptest! {
        #[test]
        fn trace_ids_print_and_parse(bytes: [u8; 16]) {
            let id = TraceId(bytes);
            prop_assert_eq!(TraceId::parse(&id.to_string()), Ok(id));
            prop_assert_eq!(TraceId::parse(&id.to_short_hex()), Ok(id));
        }
    }
}
