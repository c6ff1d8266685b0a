//! Distinct values, numbered in the order in which they come.

use crate::traceql::eval::Scalar;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

const SEED: u64 = 0x6d65_7472_6963_7321;

/// Stands for a value that is in no table, because there was no room for it.
pub const NO_VALUE: u32 = u32::MAX;

/// Distinct values; 5 and "5" are two. All arrays are one value, the text `nil` (spec/traceql.md §11.5).
#[derive(Clone, Debug, Default)]
pub struct ValueTable {
    values: Vec<Scalar>,
    /// The hash of each value with its number, so that growing does not look at values again.
    ids: HashTable<(u64, u32)>,
    num_text_bytes: usize,
    is_closed: bool,
}

/// Bytes that a value takes besides its text: the value, its entry in the hash table with the room that is left there, and the
/// counts and the rounding of its allocation.
const VALUE_BYTES: usize = size_of::<Scalar>() + 2 * size_of::<(u64, u32)>() + 32;

impl ValueTable {
    /// The values by number.
    pub fn values(&self) -> &[Scalar] {
        &self.values
    }

    /// About the bytes that all values take.
    pub fn num_bytes(&self) -> usize {
        self.values.len() * VALUE_BYTES + self.num_text_bytes
    }

    /// From now on values that are new have no number, but [`NO_VALUE`].
    pub fn close(&mut self) {
        self.is_closed = true;
    }

    /// Undoes [`close`](Self::close).
    pub fn open(&mut self) {
        self.is_closed = false;
    }

    /// The number of a value.
    pub fn intern(&mut self, value: &Scalar) -> u32 {
        match value {
            Scalar::Str(text) => self.find_or_add(hash_of_text(text), |other| is_text(other, text), || value.clone()),
            Scalar::Array(_) => self.intern_text(b"nil"),
            value => self.find_or_add(hash_of(value), |other| is_same(other, value), || value.clone()),
        }
    }

    /// The number of a text from stored bytes; allocates only if it is new.
    pub fn intern_text(&mut self, bytes: &[u8]) -> u32 {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.find_or_add(hash_of_text(text), |other| is_text(other, text), || Scalar::Str(Arc::from(text))),
            Err(_) => self.intern(&Scalar::text(bytes)),
        }
    }

    fn find_or_add(&mut self, hash: u64, is_it: impl Fn(&Scalar) -> bool, value: impl FnOnce() -> Scalar) -> u32 {
        let values = &self.values;
        if let Some((_, id)) = self.ids.find(hash, |(other, id)| *other == hash && is_it(&values[*id as usize])) {
            return *id;
        }
        if self.is_closed {
            return NO_VALUE;
        }
        let id = self.values.len() as u32;
        let value = value();
        if let Scalar::Str(text) = &value {
            self.num_text_bytes += text.len();
        }
        self.values.push(value);
        self.ids.insert_unique(hash, (hash, id), |(hash, _)| *hash);
        id
    }
}

fn is_text(value: &Scalar, text: &str) -> bool {
    matches!(value, Scalar::Str(other) if **other == *text)
}

/// Whether two values are one; two NaN are.
fn is_same(left: &Scalar, right: &Scalar) -> bool {
    match (left, right) {
        (Scalar::Float(left), Scalar::Float(right)) => float_bits(*left) == float_bits(*right),
        (left, right) => left == right,
    }
}

/// The bits of a double, the same for all that read the same.
pub fn float_bits(double: f64) -> u64 {
    if double.is_nan() { f64::NAN.to_bits() } else { (double + 0.0).to_bits() }
}

fn hash_of_text(text: &str) -> u64 {
    FixedState::with_seed(SEED).hash_one(text)
}

fn hash_of(value: &Scalar) -> u64 {
    let mut hasher = FixedState::with_seed(SEED).build_hasher();
    std::mem::discriminant(value).hash(&mut hasher);
    match value {
        Scalar::Int(int) | Scalar::Duration(int) => int.hash(&mut hasher),
        Scalar::Float(double) => float_bits(*double).hash(&mut hasher),
        Scalar::Bool(bit) => bit.hash(&mut hasher),
        Scalar::Status(status) => status.otlp_code().hash(&mut hasher),
        Scalar::Kind(kind) => kind.otlp_kind().hash(&mut hasher),
        Scalar::Nil | Scalar::Str(_) | Scalar::Array(_) => {}
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_told_apart_by_type() {
        let mut table = ValueTable::default();
        let text = |text: &str| Scalar::Str(text.into());
        let values = [Scalar::Nil, Scalar::Int(5), text("5"), Scalar::Float(5.0), Scalar::Float(f64::NAN), Scalar::Bool(true), text("nil")];
        let ids: Vec<u32> = values.iter().map(|value| table.intern(value)).collect();
        assert_eq!(ids, [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(values.iter().map(|value| table.intern(value)).collect::<Vec<_>>(), ids);
        assert_eq!((table.intern_text(b"5"), table.intern_text(b"6")), (2, 7));
        assert_eq!(table.intern(&Scalar::Array([Scalar::Int(1), Scalar::Int(2)].into())), 6);
        assert_eq!((table.intern(&Scalar::Float(0.0)), table.intern(&Scalar::Float(-0.0))), (8, 8));
        assert_eq!((table.intern_text(b"\xff"), table.intern_text("\u{fffd}".as_bytes())), (9, 9));
    }
}
