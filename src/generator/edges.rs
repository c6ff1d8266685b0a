//! Halves of edges that wait for their other half: bounded in number and in time (spec/metrics-generator.md §3.3).
//!
//! Edges lie in slots, linked in order of their coming, so that the oldest is found, and any one taken out, at once.

use crate::model::TraceId;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

/// A call: its trace, and the id of the span on the client's side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct EdgeKey {
    /// The trace.
    pub(super) trace: TraceId,
    /// The client's span; 0 for a server without one.
    pub(super) span: u64,
}

const NONE: u32 = u32::MAX;

struct Entry<E> {
    key: EdgeKey,
    expires_millis: i64,
    before: u32,
    after: u32,
    edge: Option<E>,
}

/// What waits.
pub(super) struct EdgeStore<E> {
    entries: Vec<Entry<E>>,
    by_key: HashTable<u32>,
    free: Vec<u32>,
    oldest: u32,
    newest: u32,
    max: usize,
    wait_millis: i64,
}

/// What became of a half.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Put {
    /// There is a first half already, or room for a new one.
    At(u32),
    /// There is no room.
    Full,
}

fn hash_of(key: &EdgeKey) -> u64 {
    FixedState::with_seed(0x6564_6765_7321).hash_one(key)
}

impl<E: Default> EdgeStore<E> {
    /// An empty one, for so many at once and for so long each.
    pub(super) fn new(max: usize, wait_millis: i64) -> Self {
        EdgeStore { entries: Vec::new(), by_key: HashTable::new(), free: Vec::new(), oldest: NONE, newest: NONE, max, wait_millis }
    }

    /// Number of edges that wait.
    pub(super) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Where an edge waits.
    pub(super) fn find(&self, key: &EdgeKey) -> Option<u32> {
        self.by_key.find(hash_of(key), |at| self.entries[*at as usize].key == *key).copied()
    }

    /// Finds an edge, or makes it.
    pub(super) fn put(&mut self, key: EdgeKey, now_millis: i64) -> Put {
        if let Some(at) = self.find(&key) {
            return Put::At(at);
        }
        if self.len() >= self.max {
            return Put::Full;
        }
        let entry =
            Entry { key, expires_millis: now_millis + self.wait_millis, before: self.newest, after: NONE, edge: Some(E::default()) };
        let at = match self.free.pop() {
            Some(at) => {
                self.entries[at as usize] = entry;
                at
            }
            None => {
                self.entries.push(entry);
                self.entries.len() as u32 - 1
            }
        };
        match self.newest {
            NONE => self.oldest = at,
            newest => self.entries[newest as usize].after = at,
        }
        self.newest = at;
        let entries = &self.entries;
        self.by_key.insert_unique(hash_of(&key), at, |other| hash_of(&entries[*other as usize].key));
        Put::At(at)
    }

    /// An edge that waits.
    pub(super) fn get_mut(&mut self, at: u32) -> Option<&mut E> {
        self.entries[at as usize].edge.as_mut()
    }

    /// Takes an edge out.
    pub(super) fn take(&mut self, at: u32) -> Option<(EdgeKey, E)> {
        let entry = &mut self.entries[at as usize];
        let edge = entry.edge.take()?;
        let (key, before, after) = (entry.key, entry.before, entry.after);
        match before {
            NONE => self.oldest = after,
            before => self.entries[before as usize].after = after,
        }
        match after {
            NONE => self.newest = before,
            after => self.entries[after as usize].before = before,
        }
        if let Ok(found) = self.by_key.find_entry(hash_of(&key), |other| *other == at) {
            found.remove();
        }
        self.free.push(at);
        Some((key, edge))
    }

    /// Takes out the oldest edge if it has waited long enough.
    pub(super) fn take_expired(&mut self, now_millis: i64) -> Option<(EdgeKey, E)> {
        let oldest = self.entries.get(self.oldest as usize).filter(|entry| entry.expires_millis <= now_millis)?;
        let at = self.find(&oldest.key)?;
        self.take(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn key(span: u64) -> EdgeKey {
        EdgeKey { trace: TraceId([1; 16]), span }
    }

    proptest! {
        /// The same as a plain map with the times of coming.
        #[test]
        fn edges_come_and_go(steps in proptest::collection::vec((0u64..20, 0u8..3, 0i64..3), 0..300)) {
            let mut store: EdgeStore<u64> = EdgeStore::new(8, 10);
            let mut model: BTreeMap<u64, (i64, usize)> = BTreeMap::new();
            let mut now = 0;
            for (at, (span, what, passed)) in steps.into_iter().enumerate() {
                now += passed;
                match what {
                    0 => match store.put(key(span), now) {
                        Put::Full => prop_assert!(model.len() == 8 && !model.contains_key(&span)),
                        Put::At(_) => drop(model.entry(span).or_insert((now, at))),
                    },
                    1 => {
                        let taken = store.find(&key(span)).and_then(|at| store.take(at));
                        prop_assert_eq!(taken.is_some(), model.remove(&span).is_some());
                    }
                    _ => {
                        while let Some((key, _)) = store.take_expired(now) {
                            let oldest = model.iter().min_by_key(|(_, (_, at))| *at).map(|(span, (since, _))| (*span, *since));
                            prop_assert_eq!(oldest.map(|(span, _)| span), Some(key.span));
                            prop_assert!(oldest.is_some_and(|(_, since)| since + 10 <= now));
                            model.remove(&key.span);
                        }
                        prop_assert!(model.values().all(|(since, _)| since + 10 > now));
                    }
                }
                prop_assert_eq!(store.len(), model.len());
            }
        }
    }
}
