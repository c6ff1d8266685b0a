//! Jaeger's span as both wire forms are read into it. Texts are bytes: nothing says that they are UTF-8.

use crate::receiver::otlp_writer::Value;
use std::ops::Range;

/// How the spans came: Tempo takes a few tags from one form only (spec/ingest.md §5.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Tags with trace state and scope stay tags.
    Thrift,
    /// They become what they stand for.
    Proto,
}

/// A span. Absent numbers are 0 and absent texts empty.
#[derive(Debug, Default)]
pub(super) struct Span<'a> {
    pub(super) trace_id: u128,
    pub(super) id: u64,
    /// 0 if the sender did not say; then a reference may.
    pub(super) parent_id: u64,
    pub(super) name: &'a [u8],
    pub(super) start_nanos: u64,
    /// May be before the start.
    pub(super) end_nanos: u64,
    pub(super) references: Vec<Reference>,
    pub(super) tags: Vec<Tag<'a>>,
    pub(super) logs: Vec<Log>,
    /// Fields of all logs.
    pub(super) log_fields: Vec<Tag<'a>>,
    /// Whether anything but zeros and empty texts was said of it.
    pub(super) says_something: bool,
}

/// A key and its value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Tag<'a> {
    pub(super) key: &'a [u8],
    pub(super) value: Value<'a>,
    /// It became something else than an attribute.
    pub(super) is_taken: bool,
}

/// Another span that this one comes after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) is_child_of: bool,
    pub(super) trace_id: u128,
    pub(super) span_id: u64,
}

/// Something that happened during a span.
#[derive(Debug, Clone)]
pub(super) struct Log {
    pub(super) time_nanos: u64,
    /// Its fields in [`Span::log_fields`].
    pub(super) fields: Range<usize>,
}

/// Who made the spans.
#[derive(Debug, Default)]
pub(super) struct Process<'a> {
    pub(super) service_name: &'a [u8],
    pub(super) tags: Vec<Tag<'a>>,
}

impl Span<'_> {
    /// Forgets everything but the memory.
    pub(super) fn clear(&mut self) {
        let Span { references, tags, logs, log_fields, .. } = std::mem::take(self);
        *self = Span { references, tags, logs, log_fields, ..Span::default() };
        self.references.clear();
        self.tags.clear();
        self.logs.clear();
        self.log_fields.clear();
    }

    /// Whether it is the all-default span that some senders fill batches with.
    pub(super) fn is_void(&self) -> bool {
        let is_empty = self.tags.is_empty() && self.logs.is_empty() && self.references.is_empty();
        is_empty && !self.says_something && self.trace_id == 0 && self.id == 0 && self.parent_id == 0 && self.name.is_empty()
    }
}

/// Leaves the last of several tags with one key, as a map would.
pub(super) fn keep_last_of_each_key(tags: &mut Vec<Tag<'_>>) {
    /// Up to here comparing all is faster than hashing.
    const FEW: usize = 24;
    if tags.len() <= FEW {
        for at in (0..tags.len()).rev() {
            if tags[at + 1..].iter().any(|later| later.key == tags[at].key) {
                tags.remove(at);
            }
        }
        return;
    }
    let mut seen = hashbrown::HashSet::with_capacity_and_hasher(tags.len(), foldhash::fast::RandomState::default());
    tags.reverse();
    tags.retain(|tag| seen.insert(tag.key));
    tags.reverse();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_each_key_stays() {
        for num_others in [0, 100] {
            let others: Vec<String> = (0..num_others).map(|number| format!("other {number}")).collect();
            let tag = |key: &'static str, number| Tag { key: key.as_bytes(), value: Value::Int(number), is_taken: false };
            let mut tags = vec![tag("a", 1), tag("b", 2), tag("a", 3), tag("c", 4), tag("b", 5)];
            tags.extend(others.iter().map(|key| Tag { key: key.as_bytes(), value: Value::Int(0), is_taken: false }));
            keep_last_of_each_key(&mut tags);
            assert_eq!(tags[..3], [tag("a", 3), tag("c", 4), tag("b", 5)]);
            assert_eq!(tags.len(), 3 + num_others);
        }
    }
}
