//! Moving values from the rows of chunks to the rows of a block.

use super::choice::{AttributeChoice, AttributeCounts, Place};
use super::dictionary_chunk::Entries;
use super::hybrid::bit_width;
use super::recode::{CodeSpace, Recoder, number_codes};
use super::table::Cells;
use crate::columns::value::KeyValueRef;
use crate::columns::wire::{put_bytes, put_varint};
use crate::columns::{AttributeColumn, AttributeTable, ColumnValues, Dictionary, SparseText, ValueKind};
use bytes::Bytes;
use parquet::data_type::ByteArray;

/// Stands for a row that does not go into the block.
pub const NOT_TAKEN: u32 = u32::MAX;

/// For each source, the block row of each of its rows.
pub type RowMap = Vec<Vec<u32>>;

/// Which attributes get columns, and where each source's columns went.
pub struct AttributePlan<'a> {
    tables: Vec<&'a AttributeTable>,
    /// The columns of the file.
    pub choice: AttributeChoice,
    /// For each source and each of its columns, where its values go.
    places: Vec<Vec<Option<Place>>>,
}

impl<'a> AttributePlan<'a> {
    /// Chooses columns for the attributes of these tables, of which `num_rows` rows are taken.
    pub fn new(tables: Vec<&'a AttributeTable>, num_rows: usize) -> Self {
        let mut counts = AttributeCounts::default();
        for column in tables.iter().flat_map(|table| table.columns()) {
            counts.add(column.key(), column.kind(), column.rows.len(), num_distinct(column));
        }
        let residual_keys = tables.iter().flat_map(|table| table.residual().1.iter()).filter_map(residual_key).map(str::to_string);
        let mut choice = AttributeChoice::of(&counts, num_rows, residual_keys);
        choice.has_residual |= tables.iter().any(|table| !table.residual().0.is_empty());
        let places = tables.iter().map(|table| choice.places_of(table)).collect();
        AttributePlan { tables, choice, places }
    }

    /// The tables, each with the places of its columns.
    pub fn sources(&self) -> impl Iterator<Item = (&'a AttributeTable, &[Option<Place>])> {
        self.tables.iter().copied().zip(self.places.iter().map(Vec::as_slice))
    }

    /// The source columns that make up a chosen column, each with the number of its source.
    fn parts(&self, chosen: usize) -> impl Iterator<Item = (usize, &'a AttributeColumn)> {
        self.tables.iter().enumerate().flat_map(move |(source, table)| {
            let is_part = move |at: usize| self.places[source][at] == Some(Place::Column(chosen as u32));
            table.columns().iter().enumerate().filter(move |(at, _)| is_part(*at)).map(move |(_, column)| (source, column))
        })
    }
}

fn num_distinct(column: &AttributeColumn) -> usize {
    match &column.values {
        ColumnValues::Str(_, dictionary) | ColumnValues::Any(_, dictionary) => dictionary.len(),
        _ => 0,
    }
}

/// A dictionary's strings as the Parquet writer takes them, sharing one buffer.
pub fn byte_arrays(dictionary: &Dictionary) -> Vec<ByteArray> {
    let (ends, bytes) = dictionary.parts();
    let bytes = Bytes::copy_from_slice(bytes);
    let mut start = 0;
    ends.iter()
        .map(|&end| {
            let value = bytes.slice(start..end as usize);
            start = end as usize;
            value.into()
        })
        .collect()
}

/// Scratch for one column of one row group, reused from column to column.
#[derive(Default)]
pub struct Scatter {
    /// For each row of the group, the position of its value in one of the staging vectors.
    positions: Vec<u32>,
    levels: Vec<i16>,
    ints: Vec<i64>,
    doubles: Vec<f64>,
    bools: Vec<bool>,
    numbers: Vec<i32>,
    codes: Vec<u32>,
    recoder: Recoder,
}

const NO_VALUE: u32 = u32::MAX;

/// Integers of no more different values have a dictionary in any case: conditions are asked of that first.
const FEW_INTS: usize = 1024;

impl Scatter {
    fn start(&mut self, num_rows: usize) {
        self.positions.clear();
        self.positions.resize(num_rows, NO_VALUE);
    }

    /// Fills levels from the positions and returns the values in row order.
    fn in_row_order<T: Clone>(&mut self, staged: &[T], out: &mut Vec<T>) {
        self.fill_levels();
        out.clear();
        out.extend(self.positions.iter().filter(|position| **position != NO_VALUE).map(|&position| staged[position as usize].clone()));
    }

    /// A loop of its own, as the compiler makes vector instructions of it.
    fn fill_levels(&mut self) {
        self.levels.clear();
        self.levels.extend(self.positions.iter().map(|&position| i16::from(position != NO_VALUE)));
    }

    /// Notes the values of one source that fall into the window; `stage` is told which value and says its position.
    fn note(&mut self, rows: &[u32], map: &[u32], window: &std::ops::Range<usize>, mut stage: impl FnMut(usize) -> u32) {
        let width = (window.end - window.start) as u32;
        for (at, &row) in rows.iter().enumerate() {
            // Rows that are not taken wrap to far beyond the window.
            let offset = map[row as usize].wrapping_sub(window.start as u32);
            if offset < width {
                self.positions[offset as usize] = stage(at);
            }
        }
    }
}

/// Calls `write` with the cells and levels of a chosen attribute column for the rows of `window`.
pub fn attribute_cells<R>(
    plan: &AttributePlan<'_>,
    chosen: usize,
    map: &RowMap,
    window: std::ops::Range<usize>,
    scratch: &mut Scatter,
    write: impl FnOnce(Cells<'_>, &[i16]) -> R,
) -> R {
    scratch.start(window.len());
    match plan.choice.chosen[chosen].kind {
        ValueKind::Str | ValueKind::Any if plan.choice.chosen[chosen].mostly_unique => {
            let values = scattered_bytes(plan, chosen, map, &window, scratch);
            write(Cells::Bytes(values), &scratch.levels)
        }
        ValueKind::Str | ValueKind::Any => {
            let entries = scattered_codes(plan, chosen, map, &window, scratch);
            write(Cells::Coded(&scratch.codes, &entries), &scratch.levels)
        }
        ValueKind::Int => {
            let mut out = std::mem::take(&mut scratch.ints);
            scattered(plan, chosen, map, &window, scratch, int_values, &mut out);
            let result = match int_codes(&out) {
                Some((codes, entries)) => write(Cells::Coded(&codes, &entries), &scratch.levels),
                None => write(Cells::I64(&out), &scratch.levels),
            };
            scratch.ints = out;
            result
        }
        ValueKind::Double => {
            let mut out = std::mem::take(&mut scratch.doubles);
            scattered(plan, chosen, map, &window, scratch, double_values, &mut out);
            let result = match double_codes(&out) {
                Some((codes, entries)) => write(Cells::Coded(&codes, &entries), &scratch.levels),
                None => write(Cells::F64(&out), &scratch.levels),
            };
            scratch.doubles = out;
            result
        }
        ValueKind::Bool => {
            let mut out = std::mem::take(&mut scratch.bools);
            scattered(plan, chosen, map, &window, scratch, bool_values, &mut out);
            let result = write(Cells::Bool(&out), &scratch.levels);
            scratch.bools = out;
            result
        }
    }
}

/// Codes and dictionary of integers; `None` if they mostly differ, or are so near each other that differences take less.
pub fn int_codes(values: &[i64]) -> Option<(Vec<u32>, Entries)> {
    let (codes, distinct) = number_codes(values.iter().map(|&value| value as u64))?;
    if distinct.len() > FEW_INTS {
        let (min, max) = values.iter().fold((i64::MAX, i64::MIN), |(min, max), &value| (min.min(value), max.max(value)));
        // The difference of two may have either sign.
        let delta_bits = values.len() * (65 - max.wrapping_sub(min).leading_zeros() as usize);
        let dictionary_bits = distinct.len() * 64 + values.len() * usize::from(bit_width(distinct.len() as u32));
        if delta_bits < dictionary_bits {
            return None;
        }
    }
    let mut entries = Entries::fixed(distinct.iter().map(|pattern| pattern.to_le_bytes()));
    let values = || distinct.iter().map(|&pattern| pattern as i64);
    entries.int_bounds = values().min().zip(values().max());
    Some((codes, entries))
}

/// Codes and dictionary of doubles by bit pattern; `None` if they mostly differ.
pub fn double_codes(values: &[f64]) -> Option<(Vec<u32>, Entries)> {
    let (codes, distinct) = number_codes(values.iter().map(|value| value.to_bits()))?;
    Some((codes, Entries::fixed(distinct.iter().map(|pattern| pattern.to_le_bytes()))))
}

/// Puts the codes of a string column into the scratch and returns what they stand for.
fn scattered_codes(
    plan: &AttributePlan<'_>,
    chosen: usize,
    map: &RowMap,
    window: &std::ops::Range<usize>,
    scratch: &mut Scatter,
) -> Entries {
    let columns: Vec<_> = plan.parts(chosen).filter_map(|(source, column)| Some((source, column, string_values(column)?))).collect();
    let space = CodeSpace::new(columns.iter().map(|(_, _, (_, dictionary))| *dictionary).collect());
    for (at, (source, column, (codes, _))) in columns.iter().enumerate() {
        let base = space.base(at);
        scratch.note(&column.rows, &map[*source], window, |value| base + codes[value]);
    }
    scratch.fill_levels();
    scratch.recoder.start(&space);
    scratch.codes.clear();
    let Scatter { positions, codes, recoder, .. } = scratch;
    codes.extend(positions.iter().filter(|position| **position != NO_VALUE).map(|&position| recoder.code(&space, position)));
    recoder.entries()
}

fn string_values(column: &AttributeColumn) -> Option<(&[u32], &Dictionary)> {
    match &column.values {
        ColumnValues::Str(codes, dictionary) | ColumnValues::Any(codes, dictionary) => Some((codes, dictionary)),
        _ => None,
    }
}

fn int_values(column: &AttributeColumn) -> &[i64] {
    if let ColumnValues::Int(values) = &column.values { values } else { &[] }
}

fn double_values(column: &AttributeColumn) -> &[f64] {
    if let ColumnValues::Double(values) = &column.values { values } else { &[] }
}

fn bool_values(column: &AttributeColumn) -> &[bool] {
    if let ColumnValues::Bool(values) = &column.values { values } else { &[] }
}

fn scattered<T: Copy>(
    plan: &AttributePlan<'_>,
    chosen: usize,
    map: &RowMap,
    window: &std::ops::Range<usize>,
    scratch: &mut Scatter,
    values_of: fn(&AttributeColumn) -> &[T],
    out: &mut Vec<T>,
) {
    let mut staged: Vec<T> = Vec::new();
    for (source, column) in plan.parts(chosen) {
        let values = values_of(column);
        scratch.note(&column.rows, &map[source], window, |at| {
            staged.push(values[at]);
            staged.len() as u32 - 1
        });
    }
    scratch.in_row_order(&staged, out);
}

fn scattered_bytes(
    plan: &AttributePlan<'_>,
    chosen: usize,
    map: &RowMap,
    window: &std::ops::Range<usize>,
    scratch: &mut Scatter,
) -> Vec<ByteArray> {
    let mut staged: Vec<ByteArray> = Vec::new();
    for (source, column) in plan.parts(chosen) {
        let (ColumnValues::Str(codes, dictionary) | ColumnValues::Any(codes, dictionary)) = &column.values else { continue };
        let base = staged.len() as u32;
        staged.extend(byte_arrays(dictionary));
        scratch.note(&column.rows, &map[source], window, |at| base + codes[at]);
    }
    let mut out = Vec::new();
    scratch.in_row_order(&staged, &mut out);
    out
}

/// Calls `write` with the cells and levels of a sparse number column.
pub fn sparse_cells<R>(
    sources: &[&crate::columns::Sparse<u32>],
    map: &RowMap,
    window: std::ops::Range<usize>,
    scratch: &mut Scatter,
    write: impl FnOnce(Cells<'_>, &[i16]) -> R,
) -> R {
    scratch.start(window.len());
    let mut staged: Vec<i32> = Vec::new();
    for (source, sparse) in sources.iter().enumerate() {
        scratch.note(&sparse.rows, &map[source], &window, |at| {
            staged.push(sparse.values[at] as i32);
            staged.len() as u32 - 1
        });
    }
    let mut out = std::mem::take(&mut scratch.numbers);
    scratch.in_row_order(&staged, &mut out);
    let result = write(Cells::I32(&out), &scratch.levels);
    scratch.numbers = out;
    result
}

/// Calls `write` with the cells and levels of a sparse text column.
pub fn sparse_text_cells<R>(
    sources: &[&SparseText],
    map: &RowMap,
    window: std::ops::Range<usize>,
    scratch: &mut Scatter,
    write: impl FnOnce(Cells<'_>, &[i16]) -> R,
) -> R {
    scratch.start(window.len());
    let mut staged: Vec<ByteArray> = Vec::new();
    for (source, text) in sources.iter().enumerate() {
        let base = staged.len() as u32;
        staged.extend(byte_arrays(&text.dictionary));
        scratch.note(&text.codes.rows, &map[source], &window, |at| base + text.codes.values[at]);
    }
    let mut out = Vec::new();
    scratch.in_row_order(&staged, &mut out);
    write(Cells::Bytes(out), &scratch.levels)
}

/// The order of attributes and the residual attributes of rows, as the block stores them.
///
/// Order: for each attribute a varint, its column's ordinal in the file plus one, or 0 for the next without a column: the rare one
/// of that position, or else the next residual one. Residual: `KeyValue` messages, each as field 1 of a message, in order.
pub struct OrderWriter<'p, 'a> {
    plan: &'p AttributePlan<'a>,
    /// Per source and shape: the code of the stored order, and whether rows of the shape have residual attributes.
    known: Vec<Vec<Option<(u32, bool)>>>,
    orders: Dictionary,
}

impl<'p, 'a> OrderWriter<'p, 'a> {
    /// A writer for the plan's tables.
    pub fn new(plan: &'p AttributePlan<'a>) -> Self {
        let known = plan.tables.iter().map(|table| vec![None; table.num_shapes()]).collect();
        OrderWriter { plan, known, orders: Dictionary::default() }
    }

    /// The code of a row's stored order and, if it has any, its residual attributes.
    pub fn row(&mut self, source: usize, row: u32) -> (u32, Option<ByteArray>) {
        let table = self.plan.tables[source];
        let places = &self.plan.places[source];
        let (known, orders) = (&mut self.known[source][table.shape_of(row) as usize], &mut self.orders);
        let (order, has_residual) = *known.get_or_insert_with(|| {
            let (order, has_residual) = stored_order(table, places, row);
            (orders.intern(&order), has_residual)
        });
        (order, has_residual.then(|| residual_of(table, row)))
    }

    /// What the codes stand for.
    pub fn orders(&self) -> &Dictionary {
        &self.orders
    }
}

/// The stored order of a row's attributes, and whether it has residual ones.
fn stored_order(table: &AttributeTable, places: &[Option<Place>], row: u32) -> (Vec<u8>, bool) {
    let (mut bytes, mut has_residual) = (Vec::new(), false);
    for element in table.order_of(row) {
        has_residual |= element.is_none();
        let place = element.and_then(|column| places[column]);
        put_varint(&mut bytes, place.map_or(0, Place::in_order));
    }
    (bytes, has_residual)
}

/// The residual attributes of a row, as they are stored.
fn residual_of(table: &AttributeTable, row: u32) -> ByteArray {
    let mut bytes = Vec::new();
    table.residual_of(row).for_each(|message| put_bytes(&mut bytes, 1, message));
    ByteArray::from(bytes)
}

/// The key of a residual attribute.
pub fn residual_key(message: &[u8]) -> Option<&str> {
    KeyValueRef::read(message).ok().and_then(|parts| std::str::from_utf8(parts.key).ok())
}
