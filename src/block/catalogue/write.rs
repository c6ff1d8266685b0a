//! From what was collected to the file, within its budget.

use super::collect::ColumnCollector;
use super::counts::SpanCounter;
use super::message::{CatalogueMessage, ColumnMessage, DoubleBounds, HolderMessage, IntBounds, SpanCountsMessage, VERSION};
use super::names::ColumnName;
use crate::block::meta::FileMeta;
use crate::block::output::BlockSink;
use crate::block::schema::CATALOGUE_FILE;
use crate::block::writer::write_whole;
use crate::columns::known::Holder;
use crate::columns::resources::Origin;
use crate::columns::{Value, ValueKind};
use bytes::Bytes;
use prost::Message;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Most bytes of listed values of a block: this many, or a share of [`VALUE_BYTES_PER_SPAN`] in a large block.
const MIN_VALUE_BYTES: usize = 64 << 10;
/// Most bytes of listed values, however large the block.
const MAX_VALUE_BYTES: usize = 1 << 20;
/// One byte of listed values for this many spans.
const SPANS_PER_VALUE_BYTE: usize = 10;
/// One byte of filters for this many spans.
const SPANS_PER_FILTER_BYTE: usize = 5;
/// Small blocks may have filters of that size in any case.
const MIN_FILTER_BYTES: usize = 16 << 10;
/// Most bytes of filters, however large the block.
const MAX_FILTER_BYTES: usize = 2 << 20;
/// Most bytes that the keys without columns may have; they are listed in the tables' own metadata, too.
const MAX_BARE_KEY_BYTES: usize = 64 << 10;

/// Keys longer than this are left out.
const MAX_KEY_BYTES: usize = 1 << 10;
/// Most columns that are told of a holder, those with most values first, and most bytes of their keys.
const MAX_COLUMNS: usize = 4096;
const MAX_COLUMN_KEY_BYTES: usize = 512 << 10;
/// Most columns that resources, or scopes, have.
const MAX_ORIGIN_COLUMNS: usize = 1000;

/// The catalogue of a block under construction.
pub struct CatalogueWriter {
    num_spans: usize,
    holders: BTreeMap<Holder, Collected>,
    span_counts: Option<SpanCountsMessage>,
}

/// What is known of a holder.
#[derive(Default)]
struct Collected {
    columns: Vec<ColumnCollector>,
    bare_keys: BTreeSet<String>,
    /// There are attributes that are in neither.
    is_open: bool,
}

impl CatalogueWriter {
    /// For a block with this many spans.
    pub fn new(num_spans: usize) -> Self {
        CatalogueWriter { num_spans, holders: BTreeMap::new(), span_counts: None }
    }

    /// Adds the columns of a table, and the keys of the attributes that have none.
    pub fn add_table(&mut self, holder: Holder, columns: Vec<ColumnCollector>, residual_keys: &BTreeSet<String>) {
        self.holders.insert(holder, Collected { columns, bare_keys: residual_keys.clone(), is_open: false });
    }

    /// Adds how many spans there are of which kinds.
    pub fn add_span_counts(&mut self, counter: SpanCounter) {
        self.span_counts = counter.finish(self.num_spans);
    }

    /// Adds resources or instrumentation scopes: of each the first attribute of a key, and of scopes the name.
    pub fn add_origins(&mut self, holder: Holder, origins: &[Origin]) {
        let mut columns: BTreeMap<ColumnName, ColumnCollector> = BTreeMap::new();
        let mut is_open = false;
        let mut column = |name: ColumnName, add: &dyn Fn(&mut ColumnCollector)| {
            if columns.len() == MAX_ORIGIN_COLUMNS && !columns.contains_key(&name) {
                is_open = true;
                return;
            }
            add(columns.entry(name.clone()).or_insert_with(|| ColumnCollector::new(name, self.num_spans)));
        };
        for origin in origins {
            if holder == Holder::Instrumentation {
                column(ColumnName::Name, &|column| column.add_text(origin.name.as_bytes(), 1));
            }
            let mut seen = HashSet::new();
            for (key, value) in origin.attributes.iter().filter(|(key, _)| seen.insert(&**key)) {
                let name = |kind| ColumnName::Attribute { key: key.to_string(), kind };
                match value {
                    Value::Str(text) => column(name(ValueKind::Str), &|column| column.add_text(text.as_bytes(), 1)),
                    Value::Int(int) => column(name(ValueKind::Int), &|column| column.add_int(*int, 1)),
                    Value::Double(double) => column(name(ValueKind::Double), &|column| column.add_double(*double, 1)),
                    Value::Bool(bit) => column(name(ValueKind::Bool), &|column| column.add_int(i64::from(*bit), 1)),
                    Value::Any(message) => column(name(ValueKind::Any), &|column| column.add_text(message, 1)),
                }
            }
        }
        self.holders.insert(holder, Collected { columns: columns.into_values().collect(), bare_keys: BTreeSet::new(), is_open });
    }

    /// Writes the file.
    pub fn write(self, sink: &dyn BlockSink) -> std::io::Result<FileMeta> {
        write_whole(sink, CATALOGUE_FILE, &self.encode())
    }

    /// The bytes of the file.
    pub(super) fn encode(self) -> Vec<u8> {
        let (holders, mut columns): (Vec<_>, Vec<_>) = self.holders.into_iter().map(messages).unzip();
        let value_bytes = (self.num_spans / SPANS_PER_VALUE_BYTE).clamp(MIN_VALUE_BYTES, MAX_VALUE_BYTES);
        keep_smallest(&mut columns, value_bytes, listed_bytes, |column| {
            column.is_complete = false;
            (column.counts, column.lengths, column.bytes) = Default::default();
            (column.ints, column.doubles) = Default::default();
        });
        let filter_bytes = (self.num_spans / SPANS_PER_FILTER_BYTE).clamp(MIN_FILTER_BYTES, MAX_FILTER_BYTES);
        keep_smallest(&mut columns, filter_bytes, |column| column.filter.len(), |column| column.filter.clear());
        // Columns come with most values first, and this keeps the first of equal sizes.
        keep_smallest(&mut columns, filter_bytes, |column| column.trigrams.len(), |column| column.trigrams.clear());
        let encoded = |columns: Vec<ColumnMessage>| columns.iter().map(|column| column.encode_to_vec().into()).collect();
        let holders = holders.into_iter().zip(columns).map(|(holder, columns)| HolderMessage { columns: encoded(columns), ..holder });
        let span_counts = self.span_counts.map_or_else(Bytes::new, |counts| counts.encode_to_vec().into());
        CatalogueMessage { version: VERSION, holders: holders.collect(), span_counts }.encode_to_vec()
    }
}

/// About the bytes of a column's listed values.
fn listed_bytes(column: &ColumnMessage) -> usize {
    column.bytes.len() + 2 * column.counts.len() + column.lengths.len() + 4 * column.ints.len() + 8 * column.doubles.len()
}

/// Removes a part from the columns where it is largest, until all fit the budget.
fn keep_smallest(
    columns: &mut [Vec<ColumnMessage>],
    budget: usize,
    size: impl Fn(&ColumnMessage) -> usize,
    remove: impl Fn(&mut ColumnMessage),
) {
    let mut columns: Vec<&mut ColumnMessage> = columns.iter_mut().flatten().collect();
    columns.sort_by_key(|column| size(column));
    let mut used = 0;
    for column in columns {
        used += size(column);
        if used > budget {
            remove(column);
        }
    }
}

/// The number of a holder in the file.
pub(super) fn holder_number(holder: Holder) -> u32 {
    match holder {
        Holder::Span => 1,
        Holder::Resource => 2,
        Holder::Instrumentation => 3,
        Holder::Event => 4,
        Holder::Link => 5,
    }
}

/// The number of a kind of attribute values in the file.
pub(super) fn kind_number(kind: ValueKind) -> u32 {
    match kind {
        ValueKind::Str => 1,
        ValueKind::Int => 2,
        ValueKind::Double => 3,
        ValueKind::Bool => 4,
        ValueKind::Any => 5,
    }
}

/// What the file has of a holder, and of its columns.
fn messages((holder, collected): (Holder, Collected)) -> (HolderMessage, Vec<ColumnMessage>) {
    let num_bytes: usize = collected.bare_keys.iter().map(String::len).sum();
    let has_all_bare_keys = num_bytes <= MAX_BARE_KEY_BYTES;
    let num_columns = collected.columns.len();
    let columns: Vec<_> = most_filled(collected.columns).into_iter().map(column_message).collect();
    let message = HolderMessage {
        holder: holder_number(holder),
        is_open: collected.is_open || !has_all_bare_keys || columns.len() < num_columns,
        columns: Vec::new(),
        bare_keys: if has_all_bare_keys { collected.bare_keys.into_iter().collect() } else { Vec::new() },
    };
    (message, columns)
}

/// Those with most values of the columns whose keys are not too long, as many as may be.
fn most_filled(mut columns: Vec<ColumnCollector>) -> Vec<ColumnCollector> {
    columns.retain(|column| column.key_bytes() <= MAX_KEY_BYTES);
    columns.sort_by_key(|column| Reverse(column.num_values));
    columns.truncate(MAX_COLUMNS);
    let mut key_bytes = 0;
    columns.retain(|column| {
        key_bytes += column.key_bytes();
        key_bytes <= MAX_COLUMN_KEY_BYTES
    });
    columns
}

fn column_message(mut column: ColumnCollector) -> ColumnMessage {
    let filter = column.take_filter();
    let (key, kind) = match &column.name {
        ColumnName::Attribute { key, kind } => (key.clone(), kind_number(*kind)),
        name => (ColumnName::INTRINSICS.iter().find(|(other, _)| other == name).map_or("", |(_, word)| *word).to_string(), 0),
    };
    let mut message = ColumnMessage {
        key,
        kind,
        num_values: column.num_values,
        is_complete: column.values.is_some(),
        int_bounds: column.ints.map(|(min, max)| IntBounds { min, max }),
        double_bounds: column.doubles.filter(|_| !column.has_nan).map(|(min, max)| DoubleBounds { min, max }),
        ..ColumnMessage::default()
    };
    if let Some(filter) = filter {
        // A vector takes everything.
        let _ = filter.write_bitset(&mut message.filter);
    }
    message.trigrams = column.trigrams.as_ref().and_then(|trigrams| trigrams.to_bytes()).unwrap_or_default();
    list_values(&column, &mut message);
    message
}

fn list_values(column: &ColumnCollector, message: &mut ColumnMessage) {
    let mut values: Vec<_> = column.values.iter().flatten().collect();
    values.sort_unstable();
    let number = |value: &[u8]| value.try_into().map_or(0, i64::from_le_bytes);
    for (value, count) in values {
        message.counts.push(*count);
        match &column.name {
            ColumnName::Attribute { kind: ValueKind::Double, .. } => message.doubles.push(number(value) as u64),
            ColumnName::Attribute { kind: ValueKind::Int | ValueKind::Bool, .. }
            | ColumnName::Kind
            | ColumnName::Status
            | ColumnName::Duration => message.ints.push(number(value)),
            ColumnName::Attribute { .. } | ColumnName::Name | ColumnName::StatusMessage => {
                message.lengths.push(value.len() as u32);
                message.bytes.extend_from_slice(value);
            }
        }
    }
}
