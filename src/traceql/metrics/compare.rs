//! `compare`: how often each value of each attribute occurs in a selection of spans, and in the others (spec/traceql.md §11.7).
//!
//! Attributes of resources and scopes are counted once per resource and scope of a source. Counts are exact as long as all of them
//! together fit into the memory of the query; beyond that the attribute that takes most forgets its rarest values.

use super::buckets::Buckets;
use super::keys::{Keys, NIL, Spans};
use super::selected::Selected;
use super::series::{Label, LabelValue, Series};
use super::values::ValueTable;
use crate::columns::resources::Origin;
use crate::columns::view::{ColumnId, SourceError, Values};
use crate::traceql::ast::{Attribute, Compare, Intrinsic, Scope};
use crate::traceql::eval::{Bitmap, EvalError, Filter, OnFailure, Scalar};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;

/// Codes are counted in a table while it has at most so many entries for each counted row; else they are sorted.
const TABLE_ENTRIES_PER_ROW: usize = 8;

/// A table of that size is always cheap enough.
const SMALL_TABLE: usize = 1 << 14;

/// The intrinsics that are compared.
const INTRINSICS: [Intrinsic; 9] = [
    Intrinsic::Name,
    Intrinsic::Status,
    Intrinsic::StatusMessage,
    Intrinsic::Kind,
    Intrinsic::RootName,
    Intrinsic::RootServiceName,
    Intrinsic::ChildCount,
    Intrinsic::InstrumentationName,
    Intrinsic::InstrumentationVersion,
];

/// A side of the comparison with the values of its `__meta_type`.
const SIDES: [(&str, &str); 2] = [("baseline", "baseline_total"), ("selection", "selection_total")];

/// A `compare(…)`, compiled.
#[derive(Clone, Debug)]
pub struct Comparison {
    filter: Filter,
    window: Option<(u64, u64)>,
    top_n: usize,
}

/// A side and a bucket: `side * num_buckets + bucket`.
type Slot = u32;

/// What was counted so far.
#[derive(Clone, Debug)]
pub struct Counted {
    /// By the canonical text of the attribute.
    attributes: BTreeMap<String, Occurrences>,
    max_bytes: usize,
}

/// Occurrences of the values of one attribute.
#[derive(Clone, Debug, Default)]
struct Occurrences {
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

impl Comparison {
    /// Compiles a comparison that validation has accepted; fails as [`Filter::compile`] does.
    pub fn compile(compare: &Compare) -> Result<Self, EvalError> {
        let nanos = |at: i64| u64::try_from(at).unwrap_or(0);
        Ok(Comparison {
            filter: Filter::compile(&compare.selection)?.with(OnFailure::SkipSpan),
            window: compare.window.map(|window| (nanos(window.start_unix_nanos), nanos(window.end_unix_nanos))),
            top_n: usize::try_from(compare.top_n).unwrap_or(1),
        })
    }

    /// Adds what was counted elsewhere; both together may take `max_bytes`.
    pub fn merge(&self, counted: &mut Counted, other: Counted, max_bytes: usize) {
        counted.max_bytes = max_bytes;
        for (name, theirs) in other.attributes {
            counted.attributes.entry(name).or_default().merge(&theirs);
            counted.forget_rare_values(self.top_n);
        }
    }

    /// Counts the attributes of spans.
    pub fn observe(&self, spans: Spans<'_>, selected: &Selected, num_buckets: usize, counted: &mut Counted) -> Result<(), EvalError> {
        if selected.is_empty() {
            return Ok(());
        }
        let chosen = self.filter.select(spans.source, spans.traces)?;
        let slots = self.slots(spans, selected, &chosen, num_buckets)?;
        let tally = Tally { rows: selected.rows(), slots: &slots, num_slots: 2 * num_buckets, top_n: self.top_n };
        for key in spans.source.attribute_keys()? {
            tally.attribute(spans, &Attribute::Scoped { scope: Scope::Span, key }, counted)?;
        }
        for intrinsic in INTRINSICS {
            let attribute = Attribute::Intrinsic(intrinsic);
            match tally.attribute(spans, &attribute, counted) {
                Err(EvalError::Unsupported(_)) => {}
                result => result?,
            }
        }
        tally.origins(spans, ColumnId::Resource, Scope::Resource, spans.source.resources(), counted)?;
        tally.origins(spans, ColumnId::Scope, Scope::Instrumentation, spans.source.scopes(), counted)
    }

    fn slots(&self, spans: Spans<'_>, selected: &Selected, chosen: &Bitmap, num_buckets: usize) -> Result<Vec<Slot>, EvalError> {
        let side = num_buckets as u32;
        let rows = selected.rows().iter().zip(&selected.buckets);
        let Some((start, end)) = self.window else {
            return Ok(rows.map(|(row, bucket)| u32::from(chosen.contains(*row)) * side + bucket).collect());
        };
        let starts = spans.source.column(ColumnId::Start)?.map(|column| column.values);
        let Some(Values::U64(starts)) = starts else { return Err(SourceError("the column of span starts is missing".to_owned()).into()) };
        let is_chosen = |row: u32| chosen.contains(row) && start < starts[row as usize] && starts[row as usize] <= end;
        Ok(rows.map(|(row, bucket)| u32::from(is_chosen(*row)) * side + bucket).collect())
    }

    /// The series of what was counted: the most frequent values of each attribute and side, and the totals.
    pub fn finish(&self, counted: &Counted, buckets: &Buckets) -> Vec<Series> {
        let mut series = Vec::new();
        for (name, occurrences) in &counted.attributes {
            for (side, (of_values, of_totals)) in SIDES.into_iter().enumerate() {
                occurrences.finish(side, name, (of_values, of_totals), self.top_n, buckets.len(), &mut series);
            }
        }
        series
    }
}

impl Counted {
    /// Nothing yet; what is counted may take about `max_bytes`.
    pub fn new(max_bytes: usize) -> Self {
        Counted { attributes: BTreeMap::new(), max_bytes }
    }

    fn of(&mut self, attribute: &Attribute) -> &mut Occurrences {
        self.attributes.entry(attribute.canonical_text()).or_default()
    }

    /// Where all counts together take too much, the attribute that takes most loses its rarest values, again and again.
    fn forget_rare_values(&mut self, top_n: usize) {
        let mut num_bytes: usize = self.attributes.values().map(Occurrences::num_bytes).sum();
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
    fn num_bytes(&self) -> usize {
        self.values.num_bytes() + self.first.len() * size_of::<(Slot, u32)>() + self.others.len() * COUNT_BYTES
    }

    fn merge(&mut self, other: &Occurrences) {
        let numbers: Vec<u32> = other.values.values().iter().map(|value| self.values.intern(value)).collect();
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

    fn add(&mut self, value: u32, slot: Slot, count: u64) {
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
        let mut sums = vec![0; self.values.values().len()];
        self.each(|value, slot, count| sums[value as usize] += if is_counted(slot) { count } else { 0 });
        sums.into_iter().enumerate().filter(|(_, sum)| *sum > 0).map(|(value, sum)| (value as u32, sum)).collect()
    }

    /// The most frequent values in front; among equally frequent ones those that come first by type and text. Only so many are in
    /// order afterwards.
    fn by_frequency(&self, sums: &mut Vec<(u32, u64)>, count: usize) {
        let value = |number: u32| &self.values.values()[number as usize];
        if sums.len() > count && count > 0 {
            let bound = sums.select_nth_unstable_by_key(count - 1, |(_, sum)| Reverse(*sum)).1.1;
            // Only where frequencies are equal the values themselves are looked at.
            let mut tied: Vec<u32> = sums.iter().filter(|(_, sum)| *sum == bound).map(|(number, _)| *number).collect();
            sums.retain(|(_, sum)| *sum > bound);
            let lacking = count - sums.len();
            if tied.len() > lacking {
                tied.select_nth_unstable_by(lacking, |left, right| value_order(value(*left), value(*right)));
                tied.truncate(lacking);
            }
            sums.extend(tied.into_iter().map(|number| (number, bound)));
        }
        sums.sort_unstable_by(|left, right| right.1.cmp(&left.1).then_with(|| value_order(value(left.0), value(right.0))));
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
        // In the order of their numbers, which is that of the sources.
        kept.sort_unstable();
        let mut less = Occurrences { totals: std::mem::take(&mut self.totals), ..Occurrences::default() };
        let mut numbers = vec![None; self.values.values().len()];
        for (value, _) in kept {
            numbers[value as usize] = Some(less.values.intern(&self.values.values()[value as usize]));
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
        let slots = (side * num_buckets) as u32..((side + 1) * num_buckets) as u32;
        let mut sums = self.sums(|slot| slots.contains(&slot));
        self.by_frequency(&mut sums, top_n);
        sums.truncate(top_n);
        for (value, _) in sums {
            let samples = slots.clone().map(|slot| self.count(value, slot) as f64).collect();
            let value = LabelValue::of(&self.values.values()[value as usize]).unwrap_or_else(|| LabelValue::Str("nil".into()));
            let labels = vec![Label::text("__meta_type", of_values), Label { name: name.into(), value }];
            out.push(Series::new(labels, samples));
        }
        if slots.clone().any(|slot| self.total(slot) > 0) {
            let samples = slots.map(|slot| self.total(slot) as f64).collect();
            out.push(Series::new(vec![Label::text("__meta_type", of_totals), Label::text(name, "nil")], samples));
        }
    }
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

/// The rows of a source with the slot of each.
struct Tally<'t> {
    rows: &'t [u32],
    slots: &'t [Slot],
    num_slots: usize,
    top_n: usize,
}

impl Tally<'_> {
    fn attribute(&self, spans: Spans<'_>, attribute: &Attribute, counted: &mut Counted) -> Result<(), EvalError> {
        let keys = Keys::read(spans, attribute, self.rows)?;
        let mut numbers = vec![u32::MAX; keys.num_codes()];
        let occurrences = counted.of(attribute);
        self.count(&keys.codes, keys.num_codes(), |code, slot, count| {
            if code != NIL {
                let number = &mut numbers[code as usize];
                if *number == u32::MAX {
                    *number = keys.intern(code, &mut occurrences.values);
                }
                occurrences.add(*number, slot, count);
            }
        });
        counted.forget_rare_values(self.top_n);
        Ok(())
    }

    /// Attributes of resources or scopes.
    fn origins(
        &self,
        spans: Spans<'_>,
        id: ColumnId<'_>,
        scope: Scope,
        origins: &[Origin],
        counted: &mut Counted,
    ) -> Result<(), EvalError> {
        let Some(column) = spans.source.column(id)? else { return Ok(()) };
        let Values::U32(all) = &column.values else { return Ok(()) };
        let numbers: Vec<u32> =
            self.rows.iter().map(|row| all[*row as usize]).filter(|number| (*number as usize) < origins.len()).collect();
        if numbers.len() < self.rows.len() {
            return Ok(());
        }
        // By origin first, so that names and values are looked up once for each.
        let mut slots_of: Vec<Vec<(Slot, u64)>> = vec![Vec::new(); origins.len()];
        self.count(&numbers, origins.len(), |number, slot, count| slots_of[number as usize].push((slot, count)));
        for (origin, slots) in origins.iter().zip(slots_of).filter(|(_, slots)| !slots.is_empty()) {
            for (key, value) in values_of(origin, scope) {
                let occurrences = counted.of(&Attribute::Scoped { scope, key: key.to_owned() });
                let value = occurrences.values.intern(&value);
                slots.iter().for_each(|(slot, count)| occurrences.add(value, *slot, *count));
            }
        }
        Ok(())
    }

    /// Calls `found` with every code, slot and number of rows.
    fn count(&self, codes: &[u32], num_codes: usize, mut found: impl FnMut(u32, Slot, u64)) {
        let size = num_codes.saturating_mul(self.num_slots);
        let pairs = codes.iter().zip(self.slots);
        if size <= SMALL_TABLE.max(TABLE_ENTRIES_PER_ROW * codes.len()) {
            let mut table = vec![0u32; size];
            pairs.for_each(|(code, slot)| table[*code as usize * self.num_slots + *slot as usize] += 1);
            for (at, count) in table.into_iter().enumerate().filter(|(_, count)| *count > 0) {
                found((at / self.num_slots) as u32, (at % self.num_slots) as u32, u64::from(count));
            }
            return;
        }
        let mut sorted: Vec<(u32, u32)> = pairs.filter(|(code, _)| **code != NIL).map(|(code, slot)| (*code, *slot)).collect();
        sorted.sort_unstable();
        for run in sorted.chunk_by(|left, right| left == right) {
            found(run[0].0, run[0].1, run.len() as u64);
        }
    }
}

/// The first value of each key, as far as it is visible.
fn values_of(origin: &Origin, scope: Scope) -> impl Iterator<Item = (&str, Scalar)> {
    let is_first = |at: usize, key: &str| origin.attributes[..at].iter().all(|(other, _)| **other != *key);
    let pairs = origin.attributes.iter().enumerate().filter(move |(at, (key, _))| is_first(*at, key));
    pairs.filter_map(move |(_, (key, value))| {
        let is_service = scope == Scope::Resource && &**key == "service.name";
        let value = if is_service { Scalar::Str(origin.service_name().into()) } else { Scalar::from(value) };
        (!value.is_nil()).then_some((&**key, value))
    })
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
        assert_eq!(occurrences.values.values(), [0, 1, 7].map(Scalar::Int));
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
            sums.iter().take(count).map(|(number, _)| format!("{:?}", occurrences.values.values()[*number as usize])).collect()
        };
        assert_eq!(first(3), [r#"Str("c")"#, r#"Str("a")"#, r#"Str("b")"#]);
        assert_eq!(first(9).len(), 5);
    }
}
