//! What a column holds, found out while it is written.
//!
//! Every column of a block passes through [`ColumnCollector::add`], row group by row group, whether the block is cut or
//! merged, so that what is collected is exact in both cases. Of a column with a dictionary only the dictionary is looked at;
//! values are counted while they are few.

use super::names::ColumnName;
use super::trigrams::Trigrams;
use crate::block::table::Cells;
use crate::columns::ValueKind;
use crate::columns::value::ValueRef;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use parquet::bloom_filter::Sbbf;

/// Most distinct values of a column that are listed.
pub(super) const MAX_VALUES: usize = 256;
/// Most bytes that the listed values of a column may have.
pub(super) const MAX_VALUE_BYTES: usize = 64 << 10;

/// A filter is not made if it would let more than this share of foreign texts pass.
pub(super) const MAX_FALSE_POSITIVES: f64 = 0.2;
/// A filter is made as small as it may be to let this share of foreign texts pass.
const FALSE_POSITIVES: f64 = 0.01;
/// With fewer bits for each text a filter lets more than [`MAX_FALSE_POSITIVES`] pass.
const BITS_PER_TEXT: usize = 5;
/// Sizes of a filter before it is made smaller.
const FILTER_BYTES: std::ops::RangeInclusive<usize> = 1 << 10..=1 << 19;
/// Most filters that a table has under construction, so that they take 8 MiB at most.
pub const MAX_FILTERS: usize = 16;

/// How a column's values are kept while they are few: by their bytes, numbers in little-endian form of 8 bytes.
pub(super) type CountedValues = HashMap<Box<[u8]>, u64, FixedState>;

/// What a column holds.
#[derive(Clone, Debug)]
pub struct ColumnCollector {
    /// Its name.
    pub(super) name: ColumnName,
    /// Number of rows with a value.
    pub(super) num_values: u64,
    /// The distinct values and how often each occurs; `None` if they are too many.
    pub(super) values: Option<CountedValues>,
    value_bytes: usize,
    /// Least and greatest integer.
    pub(super) ints: Option<(i64, i64)>,
    /// Least and greatest double.
    pub(super) doubles: Option<(f64, f64)>,
    /// Some double is NaN.
    pub(super) has_nan: bool,
    filter: Filter,
    filter_bytes: usize,
    /// Whether trigrams are wanted once the values are too many to be listed.
    wants_trigrams: bool,
    pub(super) trigrams: Option<Box<Trigrams>>,
}

/// The texts of a column of many.
#[derive(Clone)]
enum Filter {
    /// The values are few so far.
    NotYet,
    /// All texts so far.
    Of(Box<Sbbf>),
    /// There would be too many texts for a filter of the size allowed.
    Never,
}

impl std::fmt::Debug for Filter {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Filter::NotYet => "NotYet",
            Filter::Of(_) => "Of",
            Filter::Never => "Never",
        })
    }
}

impl ColumnCollector {
    /// Nothing yet of a column of a block with about that many spans.
    pub fn new(name: ColumnName, num_spans: usize) -> Self {
        ColumnCollector {
            name,
            num_values: 0,
            values: Some(CountedValues::default()),
            value_bytes: 0,
            ints: None,
            doubles: None,
            has_nan: false,
            filter: Filter::NotYet,
            filter_bytes: prev_power_of_two(num_spans / 4).clamp(*FILTER_BYTES.start(), *FILTER_BYTES.end()),
            wants_trigrams: false,
            trigrams: None,
        }
    }

    /// The same with the trigrams of texts, where these are too many to be listed: in blocks that stay, since they cost about a
    /// nanosecond a byte.
    pub fn with_trigrams(self) -> Self {
        let is_text = self.is_text();
        ColumnCollector { wants_trigrams: is_text, ..self }
    }

    /// Bytes of an attribute's key.
    pub(super) fn key_bytes(&self) -> usize {
        if let ColumnName::Attribute { key, .. } = &self.name { key.len() } else { 0 }
    }

    /// Bytes of the values that are listed so far.
    pub fn listed_bytes(&self) -> usize {
        if self.values.is_some() { self.value_bytes } else { 0 }
    }

    /// Lists no values from now on and makes neither filter nor trigrams, so that it takes no memory.
    pub fn stop_collecting(&mut self) {
        (self.values, self.filter, self.wants_trigrams, self.trigrams) = (None, Filter::Never, false, None);
    }

    fn is_text(&self) -> bool {
        matches!(self.name, ColumnName::Name | ColumnName::StatusMessage | ColumnName::Attribute { kind: ValueKind::Str, .. })
    }

    /// Whether it has a filter under construction.
    pub fn has_filter(&self) -> bool {
        matches!(self.filter, Filter::Of(_))
    }

    /// Adds the values of a row group; a filter is only started if it may be.
    pub fn add(&mut self, cells: &Cells<'_>, may_filter: bool) {
        if !may_filter && !self.has_filter() {
            self.filter = Filter::Never;
        }
        match cells {
            Cells::I32(values) => values.iter().for_each(|value| self.add_int(i64::from(*value), 1)),
            Cells::I64(values) => values.iter().for_each(|value| self.add_int(*value, 1)),
            Cells::F64(values) => values.iter().for_each(|value| self.add_double(*value, 1)),
            Cells::Bool(values) => {
                let num_true = values.iter().filter(|bit| **bit).count() as u64;
                [(0, values.len() as u64 - num_true), (1, num_true)].into_iter().for_each(|(bit, count)| self.add_int(bit, count));
            }
            Cells::Bytes(values) => {
                self.expect_texts(values.len());
                values.iter().for_each(|value| self.add_text(value.data(), 1));
            }
            Cells::Coded(codes, entries) => {
                self.expect_texts(entries.num as usize);
                if entries.num as usize > MAX_VALUES {
                    self.stop_listing();
                }
                let counts = counts_of(codes, entries.num as usize, self.values.is_some());
                self.num_values += codes.len() as u64 - counts.iter().sum::<u64>();
                self.add_entries(&entries.plain, &counts);
            }
        }
    }

    /// Adds values of the column's kind, texts as the bytes they are; a filter is only started if it may be.
    pub fn add_values<'a>(&mut self, values: impl ExactSizeIterator<Item = ValueRef<'a>>, may_filter: bool) {
        if !may_filter && !self.has_filter() {
            self.filter = Filter::Never;
        }
        self.expect_texts(values.len());
        for value in values {
            match value {
                ValueRef::Int(int) => self.add_int(int, 1),
                ValueRef::Double(double) => self.add_double(double, 1),
                ValueRef::Bool(bit) => self.add_int(i64::from(bit), 1),
                ValueRef::Str(bytes) | ValueRef::Any(bytes) => self.add_text(bytes, 1),
            }
        }
    }

    /// As [`add_values`](Self::add_values) for distinct texts or `AnyValue` messages, each with how often it occurs.
    pub fn add_counted<'a>(&mut self, values: impl ExactSizeIterator<Item = (&'a [u8], u64)>, may_filter: bool) {
        if !may_filter && !self.has_filter() {
            self.filter = Filter::Never;
        }
        self.expect_texts(values.len());
        values.for_each(|(value, count)| self.add_text(value, count));
    }

    /// Adds the values of a dictionary page, each with how often it occurs.
    fn add_entries(&mut self, plain: &[u8], counts: &[u64]) {
        match self.name.entry_kind() {
            EntryKind::Bytes => {
                let mut rest = plain;
                for count in counts {
                    let Some((length, after)) = rest.split_first_chunk() else { return };
                    let Some((text, after)) = after.split_at_checked(u32::from_le_bytes(*length) as usize) else { return };
                    self.add_text(text, *count);
                    rest = after;
                }
            }
            EntryKind::Int32 => {
                let values = plain.as_chunks().0.iter().map(|bytes| i64::from(i32::from_le_bytes(*bytes)));
                values.zip(counts).for_each(|(value, count)| self.add_int(value, *count));
            }
            EntryKind::Int64 => {
                let values = plain.as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes));
                values.zip(counts).for_each(|(value, count)| self.add_int(value, *count));
            }
            EntryKind::Double => {
                let values = plain.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes));
                values.zip(counts).for_each(|(value, count)| self.add_double(value, *count));
            }
        }
    }

    /// Adds an integer or, as 0 and 1, a bool.
    pub fn add_int(&mut self, value: i64, count: u64) {
        let (min, max) = self.ints.unwrap_or((value, value));
        self.ints = Some((min.min(value), max.max(value)));
        self.count_value(&value.to_le_bytes(), count);
    }

    /// Adds a double.
    pub fn add_double(&mut self, value: f64, count: u64) {
        if value.is_nan() {
            self.has_nan = true;
        } else {
            let (min, max) = self.doubles.unwrap_or((value, value));
            self.doubles = Some((min.min(value), max.max(value)));
        }
        self.count_value(&value.to_le_bytes(), count);
    }

    /// Adds a text or the bytes of an `AnyValue`.
    pub fn add_text(&mut self, text: &[u8], count: u64) {
        self.count_value(text, count);
        if let Filter::Of(filter) = &mut self.filter {
            filter.insert(text);
        }
        if let Some(trigrams) = &mut self.trigrams {
            trigrams.add(text);
        }
    }

    fn count_value(&mut self, value: &[u8], count: u64) {
        self.num_values += count;
        let Some(values) = &mut self.values else { return };
        if count == 0 {
            return;
        }
        if let Some(known) = values.get_mut(value) {
            *known += count;
            return;
        }
        if values.len() < MAX_VALUES && self.value_bytes + value.len() <= MAX_VALUE_BYTES {
            values.insert(value.into(), count);
            self.value_bytes += value.len();
            return;
        }
        self.stop_listing();
    }

    /// The values have become too many to be listed: from now on texts go to a filter.
    fn stop_listing(&mut self) {
        let Some(values) = self.values.take() else { return };
        let is_text = self.is_text();
        if self.wants_trigrams {
            let trigrams = self.trigrams.insert(Box::default());
            values.keys().for_each(|text| trigrams.add(text));
        }
        self.filter = match self.filter {
            Filter::NotYet if is_text => {
                let mut filter = Sbbf::new_with_num_of_bytes(self.filter_bytes);
                values.keys().for_each(|text| filter.insert(&**text));
                Filter::Of(Box::new(filter))
            }
            _ => Filter::Never,
        };
    }

    /// Before a row group's texts are added: gives the filter up if these are too many for it, so that they cost nothing.
    fn expect_texts(&mut self, num_texts: usize) {
        let is_full = |filter: &Sbbf| filter.estimated_fpp() > MAX_FALSE_POSITIVES;
        if num_texts * BITS_PER_TEXT > self.filter_bytes * 8 || matches!(&self.filter, Filter::Of(filter) if is_full(filter)) {
            self.filter = Filter::Never;
        }
    }

    /// The filter over all texts, as small as it may be, unless it would be of no use.
    pub(super) fn take_filter(&mut self) -> Option<Sbbf> {
        let Filter::Of(mut filter) = std::mem::replace(&mut self.filter, Filter::Never) else { return None };
        filter.fold_to_target_fpp(FALSE_POSITIVES);
        (filter.estimated_fpp() <= MAX_FALSE_POSITIVES).then_some(*filter)
    }
}

/// The form of a dictionary's entries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum EntryKind {
    Bytes,
    Int32,
    Int64,
    Double,
}

fn prev_power_of_two(number: usize) -> usize {
    if number == 0 { 1 } else { 1 << number.ilog2() }
}

/// How often each code occurs; all 0 where nobody will ask, because the values are not listed.
fn counts_of(codes: &[u32], num_entries: usize, is_asked: bool) -> Vec<u64> {
    if !is_asked {
        return vec![0; num_entries];
    }
    // Two counters for each code, because neighbours are often equal and would wait for each other.
    let mut counts = vec![(0u64, 0u64); num_entries];
    let (pairs, rest) = codes.as_chunks::<2>();
    for [left, right] in pairs {
        counts[*left as usize].0 += 1;
        counts[*right as usize].1 += 1;
    }
    rest.iter().for_each(|code| counts[*code as usize].0 += 1);
    counts.into_iter().map(|(even, odd)| even + odd).collect()
}
