//! Zipkin's v2 span as both wire forms are read into it.

use std::borrow::Cow;
use std::net::IpAddr;

use crate::proto::otlp::SpanKind;

/// Key and text pairs in the order of their keys; of a repeated key the last one was kept.
///
/// Sorted, so that the many look-ups of the translation stay cheap whatever a request holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Tags<'a>(Vec<Tag<'a>>);

/// Key and text.
pub(super) type Tag<'a> = (Cow<'a, str>, Cow<'a, str>);

impl<'a> FromIterator<Tag<'a>> for Tags<'a> {
    fn from_iter<I: IntoIterator<Item = Tag<'a>>>(pairs: I) -> Self {
        Tags::new(pairs.into_iter().collect())
    }
}

impl<'a> Tags<'a> {
    pub(super) fn new(mut pairs: Vec<Tag<'a>>) -> Self {
        // Stable: the last of equal keys stays the last.
        pairs.sort_by(|(one, _), (other, _)| one.cmp(other));
        pairs.dedup_by(|later, earlier| {
            let is_repeated = later.0 == earlier.0;
            if is_repeated {
                std::mem::swap(later, earlier);
            }
            is_repeated
        });
        Tags(pairs)
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.find(key).map(|at| &*self.0[at].1)
    }

    pub(super) fn remove(&mut self, key: &str) -> Option<Cow<'a, str>> {
        self.find(key).map(|at| self.0.remove(at).1)
    }

    /// Takes out what `is_wanted`.
    pub(super) fn take(&mut self, mut is_wanted: impl FnMut(&str, &str) -> bool) -> Vec<Tag<'a>> {
        self.0.extract_if(.., |(key, text)| is_wanted(key, text)).collect()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, text)| (&**key, &**text))
    }

    fn find(&self, key: &str) -> Option<usize> {
        self.0.binary_search_by(|(known, _)| (**known).cmp(key)).ok()
    }
}

/// A v2 span. Absent numbers are 0 and absent texts empty, as in Zipkin's own protobuf form.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct ZipkinSpan<'a> {
    /// A shorter id fills the low bits; 0 if absent, which the distributor refuses.
    pub(super) trace_id: u128,
    pub(super) id: u64,
    /// 0 for a root.
    pub(super) parent_id: u64,
    pub(super) name: Cow<'a, str>,
    /// Unspecified unless one of Zipkin's four kinds.
    pub(super) kind: SpanKind,
    /// When the span started; 0 if unknown.
    pub(super) timestamp_micros: u64,
    pub(super) duration_micros: u64,
    pub(super) local_endpoint: Endpoint<'a>,
    pub(super) remote_endpoint: Endpoint<'a>,
    pub(super) annotations: Vec<Annotation<'a>>,
    pub(super) tags: Tags<'a>,
    /// Marks a span without a timestamp by an attribute; JSON spans are marked, protobuf spans are not.
    pub(super) mark_absent_start: bool,
}

/// A side of a call.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Endpoint<'a> {
    pub(super) service_name: Cow<'a, str>,
    /// What the sender wrote as its IPv4 address; nothing checks the family.
    pub(super) ipv4: Option<IpAddr>,
    /// What the sender wrote as its IPv6 address.
    pub(super) ipv6: Option<IpAddr>,
    /// 0 if unknown.
    pub(super) port: u16,
}

impl Endpoint<'_> {
    /// The same endpoint, for longer than the request.
    pub(super) fn into_owned(self) -> Endpoint<'static> {
        let Endpoint { service_name, ipv4, ipv6, port } = self;
        Endpoint { service_name: Cow::Owned(service_name.into_owned()), ipv4, ipv6, port }
    }
}

/// Something that happened during a span.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Annotation<'a> {
    pub(super) timestamp_micros: u64,
    pub(super) value: Cow<'a, str>,
}

/// Nanoseconds from microseconds; times beyond the year 2554 stop there.
pub(super) fn micros_to_nanos(micros: u64) -> u64 {
    micros.saturating_mul(1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn tags_are_a_sorted_map(pairs in proptest::collection::vec(("[a-d]{0,2}", "[x-z]{0,2}"), 0..12), sought in "[a-d]{0,2}") {
            let mut tags: Tags<'_> = pairs.iter().map(|(key, text)| (Cow::from(key), Cow::from(text))).collect();
            let mut map: BTreeMap<&str, &str> = pairs.iter().map(|(key, text)| (&**key, &**text)).collect();
            prop_assert_eq!(tags.iter().collect::<Vec<_>>(), map.iter().map(|(key, text)| (*key, *text)).collect::<Vec<_>>());
            prop_assert_eq!(tags.get(&sought), map.get(&*sought).copied());
            let removed = tags.remove(&sought);
            prop_assert_eq!(removed.as_deref(), map.remove(&*sought));
            prop_assert_eq!(tags.iter().collect::<Vec<_>>(), map.into_iter().collect::<Vec<_>>());
        }
    }
}
