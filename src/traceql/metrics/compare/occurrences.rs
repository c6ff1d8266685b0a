//! How often values occur: exact as long as all of them fit into the memory of the query; beyond that the attribute that takes
//! most forgets its rarest values.

use super::{SIDES, Slot};
use crate::traceql::ast::Attribute;
use crate::traceql::eval::Scalar;
use crate::traceql::metrics::series::{Label, LabelValue, Series};
use crate::traceql::metrics::values::ValueTable;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;

/// What was counted so far.
#[derive(Clone, Debug)]
pub struct Counted {
    /// By the canonical text of the attribute.
    attributes: BTreeMap<String, Occurrences>,
    max_bytes: usize,
}

/// Occurrences of the values of one attribute.
#[derive(Clone, Debug, Default)]
pub(super) struct Occurrences {
    values: ValueTable,
    /// The slot in which each value was first counted, and its count there. Of an id that is different on each span it is the only one.
    first: Vec<(Slot, u32)>,
    /// The counts in other slots, and those beyond 32 bits.
    others: HashMap<(u32, Slot), u64, FixedState>,
    /// Spans that have the attribute, by slot; exact whatever was forgotten.
    totals: Vec<u64>,
}

/// Bytes that a count in another slot takes, with the room that is left in the hash table.
const COUNT_BYTES: usize = 2 * size_of::<((u32, Slot), u64)>();

impl Counted {
    /// Nothing yet; what is counted may take about `max_bytes`.
    pub fn new(max_bytes: usize) -> Self {
        Counted { attributes: BTreeMap::new(), max_bytes }
    }

    /// Adds what was counted elsewhere; both together may take `max_bytes`.
    pub(super) fn merge(&mut self, other: Counted, max_bytes: usize, top_n: usize) {
        self.max_bytes = max_bytes;
        for (name, theirs) in other.attributes {
            match self.attributes.get_mut(&name) {
                Some(own) => own.merge(&theirs),
                None => _ = self.attributes.insert(name, theirs),
            }
            self.forget_rare_values(top_n);
        }
    }

    /// Forgets all but the most frequent values of each side.
    pub(super) fn keep_frequent(&mut self, top_n: usize, num_buckets: usize) {
        self.attributes.values_mut().for_each(|occurrences| occurrences.keep_frequent(top_n, num_buckets));
    }

    pub(super) fn finish(&self, top_n: usize, num_buckets: usize) -> Vec<Series> {
        let mut series = Vec::new();
        for (name, occurrences) in &self.attributes {
            for (side, meta_types) in SIDES.into_iter().enumerate() {
                occurrences.finish(side, name, meta_types, top_n, num_buckets, &mut series);
            }
        }
        series
    }

    /// Those of an attribute.
    pub(super) fn of(&mut self, attribute: &Attribute) -> &mut Occurrences {
        self.attributes.entry(attribute.canonical_text()).or_default()
    }

    /// Bytes that all counts take, about.
    pub fn num_bytes(&self) -> usize {
        self.attributes.values().map(Occurrences::num_bytes).sum()
    }

    /// Where all counts together take too much, the attribute that takes most loses its rarest values, again and again.
    pub(super) fn forget_rare_values(&mut self, top_n: usize) {
        let mut num_bytes = self.num_bytes();
        while num_bytes > self.max_bytes {
            let Some(largest) = self.attributes.values_mut().max_by_key(|occurrences| occurrences.num_bytes()) else { return };
            let before = largest.num_bytes();
            largest.forget_rare_values(top_n);
            let freed = before.saturating_sub(largest.num_bytes());
            if freed == 0 {
                return;
            }
            num_bytes -= freed;
        }
    }
}

impl Occurrences {
    /// The values, to be numbered.
    pub fn values(&mut self) -> &mut ValueTable {
        &mut self.values
    }

    fn num_bytes(&self) -> usize {
        self.values.num_bytes() + self.first.len() * size_of::<(Slot, u32)>() + self.others.len() * COUNT_BYTES
    }

    fn merge(&mut self, other: &Occurrences) {
        let numbers: Vec<u32> = (0..other.values.len() as u32).map(|value| self.values.intern_from(&other.values, value)).collect();
        other.each(|value, slot, count| self.add_to_value(numbers[value as usize], slot, count));
        other.totals.iter().enumerate().for_each(|(slot, count)| self.add_total(slot as Slot, *count));
    }

    /// Calls with every value, slot and part of its count.
    fn each(&self, mut found: impl FnMut(u32, Slot, u64)) {
        self.first.iter().enumerate().for_each(|(value, (slot, count))| found(value as u32, *slot, u64::from(*count)));
        self.others.iter().for_each(|((value, slot), count)| found(*value, *slot, *count));
    }

    fn count(&self, value: u32, slot: Slot) -> u64 {
        let first = self.first.get(value as usize).filter(|first| first.0 == slot).map_or(0, |first| u64::from(first.1));
        first + self.others.get(&(value, slot)).copied().unwrap_or(0)
    }

    /// Adds spans that have a value.
    pub fn add(&mut self, value: u32, slot: Slot, count: u64) {
        self.add_to_value(value, slot, count);
        self.add_total(slot, count);
    }

    fn add_to_value(&mut self, value: u32, slot: Slot, count: u64) {
        // Values are numbered in the order in which they come.
        if self.first.len() <= value as usize {
            self.first.resize(value as usize + 1, (slot, 0));
        }
        let first = &mut self.first[value as usize];
        if first.1 == 0 {
            first.0 = slot;
        }
        match u32::try_from(u64::from(first.1) + count) {
            Ok(sum) if first.0 == slot => first.1 = sum,
            _ => *self.others.entry((value, slot)).or_default() += count,
        }
    }

    fn add_total(&mut self, slot: Slot, count: u64) {
        if self.totals.len() <= slot as usize {
            self.totals.resize(slot as usize + 1, 0);
        }
        self.totals[slot as usize] += count;
    }

    fn total(&self, slot: Slot) -> u64 {
        self.totals.get(slot as usize).copied().unwrap_or(0)
    }

    /// Sums over all slots of a side, by value.
    fn sums(&self, is_counted: impl Fn(Slot) -> bool) -> Vec<(u32, u64)> {
        let mut sums = vec![0; self.values.len()];
        self.each(|value, slot, count| sums[value as usize] += if is_counted(slot) { count } else { 0 });
        sums.into_iter().enumerate().filter(|(_, sum)| *sum > 0).map(|(value, sum)| (value as u32, sum)).collect()
    }

    /// The most frequent values in front; among equally frequent ones those that come first by type and text. Only so many are in
    /// order afterwards.
    fn by_frequency(&self, sums: &mut Vec<(u32, u64)>, count: usize) {
        let order = |left: u32, right: u32| self.values.order(left, right, value_order);
        if sums.len() > count && count > 0 {
            let bound = sums.select_nth_unstable_by_key(count - 1, |(_, sum)| Reverse(*sum)).1.1;
            // Only where frequencies are equal the values themselves are looked at.
            let mut tied: Vec<u32> = sums.iter().filter(|(_, sum)| *sum == bound).map(|(number, _)| *number).collect();
            sums.retain(|(_, sum)| *sum > bound);
            let lacking = count - sums.len();
            if tied.len() > lacking {
                tied.select_nth_unstable_by(lacking, |left, right| order(*left, *right));
                tied.truncate(lacking);
            }
            sums.extend(tied.into_iter().map(|number| (number, bound)));
        }
        sums.sort_unstable_by(|left, right| right.1.cmp(&left.1).then_with(|| order(left.0, right.0)));
    }

    /// Drops at least half of the values, the rarest; but never the `top_n` most frequent ones.
    fn forget_rare_values(&mut self, top_n: usize) {
        let mut sums = self.sums(|_| true);
        if sums.is_empty() {
            return;
        }
        let middle = sums.len() / 2;
        let bound = sums.select_nth_unstable_by_key(middle, |(_, sum)| *sum).1.1;
        let (mut kept, mut rare): (Vec<_>, Vec<_>) = sums.into_iter().partition(|(_, sum)| *sum > bound);
        if kept.len() < top_n {
            let lacking = (top_n - kept.len()).min(rare.len());
            self.by_frequency(&mut rare, lacking);
            kept.extend(rare.into_iter().take(lacking));
        }
        self.keep(kept.into_iter().map(|(value, _)| value).collect());
    }

    /// Forgets all but the most frequent values of each side.
    fn keep_frequent(&mut self, top_n: usize, num_buckets: usize) {
        let mut kept = Vec::new();
        for side in 0..SIDES.len() {
            let slots = slots_of(side, num_buckets);
            let mut sums = self.sums(|slot| slots.contains(&slot));
            self.by_frequency(&mut sums, top_n);
            kept.extend(sums.into_iter().take(top_n).map(|(value, _)| value));
        }
        self.keep(kept);
    }

    /// Forgets all values but these.
    fn keep(&mut self, mut kept: Vec<u32>) {
        // In the order of their numbers, which is that of the sources.
        kept.sort_unstable();
        kept.dedup();
        let mut less = Occurrences { totals: std::mem::take(&mut self.totals), ..Occurrences::default() };
        let mut numbers = vec![None; self.values.len()];
        for value in kept {
            numbers[value as usize] = Some(less.values.intern_from(&self.values, value));
        }
        self.each(|value, slot, count| numbers[value as usize].into_iter().for_each(|number| less.add_to_value(number, slot, count)));
        *self = less;
    }

    fn finish(
        &self,
        side: usize,
        name: &str,
        (of_values, of_totals): (&str, &str),
        top_n: usize,
        num_buckets: usize,
        out: &mut Vec<Series>,
    ) {
        let slots = slots_of(side, num_buckets);
        let mut sums = self.sums(|slot| slots.contains(&slot));
        self.by_frequency(&mut sums, top_n);
        sums.truncate(top_n);
        for (value, _) in sums {
            let samples = slots.clone().map(|slot| self.count(value, slot) as f64).collect();
            let value = LabelValue::of(&self.values.value(value)).unwrap_or_else(|| LabelValue::Str("nil".into()));
            let labels = vec![Label::text("__meta_type", of_values), Label { name: name.into(), value }];
            out.push(Series::new(labels, samples));
        }
        if slots.clone().any(|slot| self.total(slot) > 0) {
            let samples = slots.map(|slot| self.total(slot) as f64).collect();
            out.push(Series::new(vec![Label::text("__meta_type", of_totals), Label::text(name, "nil")], samples));
        }
    }
}

fn slots_of(side: usize, num_buckets: usize) -> std::ops::Range<Slot> {
    (side * num_buckets) as u32..((side + 1) * num_buckets) as u32
}

/// A total order of values, by type and text.
fn value_order(left: &Scalar, right: &Scalar) -> Ordering {
    match (left, right) {
        (Scalar::Str(left), Scalar::Str(right)) => left.cmp(right),
        (Scalar::Int(left), Scalar::Int(right)) | (Scalar::Duration(left), Scalar::Duration(right)) => left.cmp(right),
        (Scalar::Float(left), Scalar::Float(right)) => left.total_cmp(right),
        (Scalar::Bool(left), Scalar::Bool(right)) => left.cmp(right),
        (Scalar::Status(left), Scalar::Status(right)) => left.otlp_code().cmp(&right.otlp_code()),
        (Scalar::Kind(left), Scalar::Kind(right)) => left.otlp_kind().cmp(&right.otlp_kind()),
        (left, right) => type_rank(left).cmp(&type_rank(right)),
    }
}

fn type_rank(value: &Scalar) -> u8 {
    match value {
        Scalar::Str(_) => 0,
        Scalar::Int(_) => 1,
        Scalar::Float(_) => 2,
        Scalar::Bool(_) => 3,
        Scalar::Status(_) => 4,
        Scalar::Kind(_) => 5,
        Scalar::Duration(_) => 6,
        Scalar::Nil | Scalar::Array(_) => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_values_are_forgotten_when_there_are_too_many() {
        let mut occurrences = Occurrences::default();
        for value in 0..1000 {
            let number = occurrences.values.intern(&Scalar::Int(value));
            occurrences.add(number, 0, if value == 7 { 5 } else { 1 });
        }
        let few = Occurrences { totals: vec![3], ..Occurrences::default() };
        let attributes = BTreeMap::from([("span.few".to_owned(), few), ("span.many".to_owned(), occurrences)]);
        let mut counted = Counted { attributes, max_bytes: 5000 };
        counted.forget_rare_values(3);
        let occurrences = &counted.attributes["span.many"];
        // The frequent one, and of the others as many as have to stay.
        assert_eq!((0..3).map(|value| occurrences.values.value(value)).collect::<Vec<_>>(), [0, 1, 7].map(Scalar::Int));
        assert_eq!(occurrences.values.len(), 3);
        assert_eq!((occurrences.total(0), counted.attributes["span.few"].total(0)), (1004, 3));
        assert_eq!(occurrences.sums(|_| true).iter().map(|(_, sum)| sum).sum::<u64>(), 7);
    }

    #[test]
    fn counts_are_kept_by_value_and_slot() {
        let (mut left, mut right) = (Occurrences::default(), Occurrences::default());
        let numbers = ["a", "b"].map(|text| left.values.intern_text(text.as_bytes()));
        left.add(numbers[0], 3, u64::from(u32::MAX));
        left.add(numbers[0], 3, 7);
        left.add(numbers[0], 4, 1);
        left.add(numbers[1], 4, 2);
        let number = right.values.intern_text(b"b");
        right.add(number, 4, 5);
        right.add(number, 0, 1);
        left.merge(&right);
        let count = |value: usize, slot| left.count(numbers[value], slot);
        assert_eq!([count(0, 3), count(0, 4), count(0, 0)], [u64::from(u32::MAX) + 7, 1, 0]);
        assert_eq!([count(1, 4), count(1, 0), count(1, 3)], [7, 1, 0]);
        assert_eq!(left.sums(|slot| slot == 4), [(numbers[0], 1), (numbers[1], 7)]);
        assert_eq!((left.total(3), left.total(4)), (u64::from(u32::MAX) + 7, 8));
    }

    #[test]
    fn frequent_values_come_first_then_by_value() {
        let mut occurrences = Occurrences::default();
        for (text, count) in [("b", 2), ("d", 1), ("a", 2), ("c", 9), ("e", 2)] {
            let number = occurrences.values.intern_text(text.as_bytes());
            occurrences.add(number, 1, count);
        }
        let first = |count: usize| -> Vec<String> {
            let mut sums = occurrences.sums(|slot| slot == 1);
            occurrences.by_frequency(&mut sums, count);
            sums.iter().take(count).map(|(number, _)| format!("{:?}", occurrences.values.value(*number))).collect()
        };
        assert_eq!(first(3), [r#"Str("c")"#, r#"Str("a")"#, r#"Str("b")"#]);
        assert_eq!(first(9).len(), 5);
    }
}
