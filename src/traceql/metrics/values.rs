//! Distinct values, numbered in the order in which they come.

use crate::traceql::eval::Scalar;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::cmp::Ordering;
use std::hash::{BuildHasher, Hash, Hasher};

const SEED: u64 = 0x6d65_7472_6963_7321;

/// Stands for a value that is in no table, because there was no room for it.
pub const NO_VALUE: u32 = u32::MAX;

/// Distinct values; 5 and "5" are two. All arrays are one value, the text `nil` (spec/traceql.md §11.5). Texts lie one after the
/// other, so that a million of them is not a million allocations.
#[derive(Clone, Debug, Default)]
pub struct ValueTable {
    entries: Vec<Entry>,
    texts: Vec<u8>,
    others: Vec<Scalar>,
    /// A part of the hash of each value with its number, so that growing does not look at values again.
    ids: HashTable<(u32, u32)>,
    is_closed: bool,
}

/// Where a value is.
#[derive(Clone, Copy, Debug)]
enum Entry {
    /// In `texts`, which is UTF-8 there.
    Text { start: usize, len: u32 },
    /// An integer as it is.
    Int(i64),
    /// In `others`.
    Other(u32),
}

/// Bytes that a value takes besides its text: where it is, and its entry in the hash table with the room that is left there.
const VALUE_BYTES: usize = size_of::<Entry>() + 2 * size_of::<(u32, u32)>();

impl ValueTable {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// A value by its number.
    pub fn value(&self, number: u32) -> Scalar {
        match self.entries[number as usize] {
            Entry::Text { start, len } => Scalar::text(&self.texts[start..start + len as usize]),
            Entry::Int(int) => Scalar::Int(int),
            Entry::Other(at) => self.others[at as usize].clone(),
        }
    }

    /// Orders values by type, then texts by their bytes and others as `order` does.
    pub fn order(&self, left: u32, right: u32, order: impl FnOnce(&Scalar, &Scalar) -> Ordering) -> Ordering {
        match (self.entries[left as usize], self.entries[right as usize]) {
            (Entry::Text { start, len }, Entry::Text { start: other_start, len: other_len }) => {
                self.texts[start..start + len as usize].cmp(&self.texts[other_start..other_start + other_len as usize])
            }
            (Entry::Int(left), Entry::Int(right)) => left.cmp(&right),
            (Entry::Text { .. }, _) => Ordering::Less,
            (_, Entry::Text { .. }) => Ordering::Greater,
            _ => order(&self.value(left), &self.value(right)),
        }
    }

    /// About the bytes that all values take.
    pub fn num_bytes(&self) -> usize {
        self.entries.len() * VALUE_BYTES + self.others.len() * size_of::<Scalar>() + self.texts.len()
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
            Scalar::Str(text) => self.intern_text(text.as_bytes()),
            Scalar::Array(_) => self.intern_text(b"nil"),
            Scalar::Int(int) => self.intern_int(*int),
            value => {
                let hash = hash_of(value);
                let (entries, others) = (&self.entries, &self.others);
                let is_it = |id: u32| matches!(entries[id as usize], Entry::Other(at) if is_same(&others[at as usize], value));
                if let Some(id) = find(&self.ids, hash, is_it) {
                    return id;
                }
                self.add(hash, |table| {
                    table.others.push(value.clone());
                    Entry::Other(table.others.len() as u32 - 1)
                })
            }
        }
    }

    /// The number of a value of another table.
    pub fn intern_from(&mut self, other: &ValueTable, number: u32) -> u32 {
        match other.entries[number as usize] {
            Entry::Text { start, len } => self.intern_text(&other.texts[start..start + len as usize]),
            Entry::Int(int) => self.intern_int(int),
            Entry::Other(at) => self.intern(&other.others[at as usize]),
        }
    }

    /// The number of a text from stored bytes.
    pub fn intern_text(&mut self, bytes: &[u8]) -> u32 {
        let hash = hash_of_text(bytes);
        let (entries, texts) = (&self.entries, &self.texts);
        let is_it = |id: u32| match entries[id as usize] {
            Entry::Text { start, len } => len as usize == bytes.len() && texts[start..start + len as usize] == *bytes,
            Entry::Int(_) | Entry::Other(_) => false,
        };
        if let Some(id) = find(&self.ids, hash, is_it) {
            return id;
        }
        match (std::str::from_utf8(bytes), u32::try_from(bytes.len())) {
            (Ok(_), Ok(len)) => self.add(hash, |table| {
                table.texts.extend_from_slice(bytes);
                Entry::Text { start: table.texts.len() - bytes.len(), len }
            }),
            // Longer than any page of a block.
            (Ok(_), Err(_)) => NO_VALUE,
            (Err(_), _) => self.intern_text(String::from_utf8_lossy(bytes).as_bytes()),
        }
    }

    /// The number of an integer.
    pub fn intern_int(&mut self, int: i64) -> u32 {
        let hash = FixedState::with_seed(SEED).hash_one(int);
        let entries = &self.entries;
        match find(&self.ids, hash, |id| matches!(entries[id as usize], Entry::Int(other) if other == int)) {
            Some(id) => id,
            None => self.add(hash, |_| Entry::Int(int)),
        }
    }

    fn add(&mut self, hash: u64, entry: impl FnOnce(&mut Self) -> Entry) -> u32 {
        if self.is_closed {
            return NO_VALUE;
        }
        let id = self.entries.len() as u32;
        let entry = entry(self);
        self.entries.push(entry);
        self.ids.insert_unique(spread(hash as u32), (hash as u32, id), |(hash, _)| spread(*hash));
        id
    }
}

fn find(ids: &HashTable<(u32, u32)>, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
    ids.find(spread(hash as u32), |(other, id)| *other == hash as u32 && is_it(*id)).map(|(_, id)| *id)
}

/// The hash table looks at the lowest and the highest bits of a hash.
fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
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

fn hash_of_text(text: &[u8]) -> u64 {
    FixedState::with_seed(SEED).hash_one(text)
}

fn hash_of(value: &Scalar) -> u64 {
    let mut hasher = FixedState::with_seed(SEED).build_hasher();
    std::mem::discriminant(value).hash(&mut hasher);
    match value {
        Scalar::Duration(nanos) => nanos.hash(&mut hasher),
        Scalar::Float(double) => float_bits(*double).hash(&mut hasher),
        Scalar::Bool(bit) => bit.hash(&mut hasher),
        Scalar::Status(status) => status.otlp_code().hash(&mut hasher),
        Scalar::Kind(kind) => kind.otlp_kind().hash(&mut hasher),
        Scalar::Nil | Scalar::Str(_) | Scalar::Array(_) | Scalar::Int(_) => {}
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
        assert_eq!((table.value(0), table.value(2)), (Scalar::Nil, text("5")));
        let mut other = ValueTable::default();
        assert_eq!([4, 2, 4].map(|number| other.intern_from(&table, number)), [0, 1, 0]);
        assert_eq!((table.intern_text(b"\xff"), table.intern_text("\u{fffd}".as_bytes())), (9, 9));
    }
}
