//! The attributes of a row group of the output.
//!
//! An input whose attribute columns all have one in the output is *direct*: its columns are copied, and only the ordinals in
//! the order of attributes change. Of any other the rows are read back into a table in memory, so that values move between
//! columns and residual as the output needs it. That is dear, and seldom: it takes more attributes than a block has columns.

use super::gather::{TextForm, boolean, double, gather, gather_dense, int64, part_values, write_doubles, write_ints, write_texts};
use super::rows::{PartBytes, TableRows};
use super::{MergeError, TableOf, of_block};
use crate::block::choice::{AttributeChoice, AttributeCounts};
use crate::block::find_trace::RowReader;
use crate::block::gather::{residual_of, stored_order};
use crate::block::parquet::{Decoded, DecodedValues};
use crate::block::reader::{Block, BlockError, Table};
use crate::block::schema::{AttributeEntry, ORDER, RESIDUAL, RESIDUAL_KEYS_METADATA};
use crate::block::spans::write_coded;
use crate::block::table::{Cells, RowGroup};
use crate::columns::value::{KeyValueRef, ValueRef};
use crate::columns::wire::{Reader, put_varint, split_varint};
use crate::columns::{AttributeTable, ColumnValues, Dictionary, ValueKind};
use std::collections::HashSet;
use std::sync::Arc;

/// Chooses the attribute columns of a table of the output.
pub(super) fn choose(inputs: &[Arc<Block>], table: TableOf) -> Result<AttributeChoice, MergeError> {
    let mut counts = AttributeCounts::default();
    let mut keys = Vec::new();
    let mut has_residual = false;
    for block in inputs {
        let Some(table) = table(block).map_err(of_block(block))? else { continue };
        count(block, table, &mut counts).map_err(of_block(block))?;
        keys.extend(residual_keys(table));
        has_residual |= table.leaf_names().any(|leaf| leaf == RESIDUAL);
    }
    let mut choice = AttributeChoice::of(&counts, keys.into_iter());
    choice.has_residual |= has_residual;
    Ok(choice)
}

fn residual_keys(table: &Table) -> Vec<String> {
    serde_json::from_str(table.metadata_entry(RESIDUAL_KEYS_METADATA).unwrap_or("[]")).unwrap_or_default()
}

fn kind_of(table: &Table, entry: &AttributeEntry) -> Result<ValueKind, BlockError> {
    ValueKind::from_name(&entry.kind).ok_or_else(|| table.mistyped(&entry.leaf))
}

/// Counts from the footer, and of residual attributes by reading them.
fn count(block: &Block, table: &Table, counts: &mut AttributeCounts) -> Result<(), BlockError> {
    let mut columns = HashSet::new();
    for entry in table.attributes() {
        let kind = kind_of(table, entry)?;
        columns.insert((entry.key.as_str(), kind));
        for group in 0..table.num_row_groups() {
            let Some(column) = table.column(group, &entry.leaf)? else { continue };
            let rows = column.num_rows() - column.null_count().unwrap_or(0);
            // What was stored without a dictionary differed mostly.
            let distinct = if column.bytes_of_dictionary().is_empty() { rows } else { 0 };
            counts.add(&entry.key, kind, rows, distinct);
        }
    }
    for group in 0..table.num_row_groups() {
        let Some(decoded) = table.decode(block.files(), group, RESIDUAL)? else { continue };
        count_residual(decoded, &columns, counts);
    }
    Ok(())
}

fn count_residual(decoded: Decoded, columns: &HashSet<(&str, ValueKind)>, counts: &mut AttributeCounts) {
    let DecodedValues::Codes(codes, strings) = decoded.values else { return };
    let (ends, bytes) = &*strings;
    for code in codes {
        let start = if code == 0 { 0 } else { ends[code as usize - 1] as usize };
        let mut reader = Reader::new(&bytes[start..ends[code as usize] as usize]);
        let mut seen = HashSet::new();
        while let Ok(Some((1, field))) = reader.next_field() {
            let Some((key, kind)) = field.bytes(1).ok().and_then(key_and_kind) else { continue };
            // Of a repeated key the first value goes to a column.
            if !columns.contains(&(key, kind)) && seen.insert((key, kind)) {
                counts.add(key, kind, 1, 0);
            }
        }
    }
}

fn key_and_kind(message: &[u8]) -> Option<(&str, ValueKind)> {
    let parts = KeyValueRef::read(message).ok()?;
    Some((std::str::from_utf8(parts.key).ok()?, ValueRef::read(parts.value?).ok()?.kind()))
}

/// How the attributes of an input's table fit into the output's.
struct Fit {
    is_direct: bool,
    /// For each attribute column of the input, the ordinal in the output.
    ordinals: Vec<Option<u32>>,
    /// For each attribute column of the output, the input's.
    columns: Vec<Option<usize>>,
}

impl Fit {
    fn of(table: &Table, choice: &AttributeChoice) -> Result<Self, BlockError> {
        let mut fit = Fit { is_direct: true, ordinals: Vec::new(), columns: vec![None; choice.chosen.len()] };
        for (at, entry) in table.attributes().iter().enumerate() {
            let ordinal = choice.ordinal(&entry.key, kind_of(table, entry)?);
            fit.is_direct &= ordinal.is_some();
            fit.ordinals.push(ordinal);
            if let Some(ordinal) = ordinal {
                fit.columns[ordinal as usize] = Some(at);
            }
        }
        // A key that has a column in the output must not stay in the residual: it is looked for in the column only.
        let residual: HashSet<String> = residual_keys(table).into_iter().collect();
        let promoted =
            |(column, chosen): (&Option<usize>, &crate::block::choice::Chosen)| column.is_none() && residual.contains(&chosen.key);
        fit.is_direct &= !fit.columns.iter().zip(&choice.chosen).any(promoted);
        Ok(fit)
    }
}

/// The attributes of a part.
enum PartAttributes {
    Direct(Fit),
    /// Read back, with the ordinal in the output of each column of the table.
    Rebuilt(Box<AttributeTable>, Vec<Option<u32>>),
}

impl PartAttributes {
    fn of(part: &PartBytes<'_>, choice: &AttributeChoice) -> Result<Self, BlockError> {
        let fit = Fit::of(part.table, choice)?;
        if fit.is_direct {
            return Ok(PartAttributes::Direct(fit));
        }
        let reader = RowReader::read(part.block, part.table, part.group, part.rows.clone(), &[RESIDUAL])?;
        let mut table = AttributeTable::default();
        for row in 0..reader.num_rows() as u32 {
            reader.add_attributes(row, row, &mut table)?;
            table.end_row();
        }
        let ordinals = choice.ordinals_of(&table);
        Ok(PartAttributes::Rebuilt(Box::new(table), ordinals))
    }
}

/// Writes the order of attributes, the residual if there is one, and all attribute columns.
pub(super) fn write_attributes(
    choice: &AttributeChoice,
    rows: &TableRows,
    parts: &[PartBytes<'_>],
    out: &mut RowGroup<'_>,
) -> Result<(), MergeError> {
    let of_part = |part: &PartBytes<'_>| PartAttributes::of(part, choice).map_err(|error| part.failed(error));
    let attributes = parts.iter().map(of_part).collect::<Result<Vec<_>, _>>()?;
    let mut orders = Dictionary::default();
    let mut residuals = Vec::new();
    let mut codes = Vec::new();
    for (part, attributes) in parts.iter().zip(&attributes) {
        let (of_part, residual) = match attributes {
            PartAttributes::Direct(fit) => (direct_orders(part, fit, &mut orders)?, part.decode(RESIDUAL)?),
            PartAttributes::Rebuilt(table, ordinals) => rebuilt_orders(table, ordinals, &mut orders),
        };
        codes.push(of_part);
        residuals.push(residual);
    }
    write_coded(&[&orders], gather_dense(rows, &codes).into_iter(), out)?;
    if choice.has_residual {
        write_texts(rows, parts, RESIDUAL, residuals, TextForm::OptionalPlain, out)?;
    }
    for ordinal in 0..choice.chosen.len() {
        write_column(choice, ordinal, rows, parts, &attributes, out)?;
    }
    Ok(())
}

/// The codes of the orders of a part whose columns have other ordinals now.
fn direct_orders(part: &PartBytes<'_>, fit: &Fit, orders: &mut Dictionary) -> Result<Vec<u32>, MergeError> {
    let decoded = part.decode(ORDER)?.filter(|decoded| decoded.rows.is_none()).ok_or_else(|| part.mistyped(ORDER))?;
    let DecodedValues::Codes(mut codes, strings) = decoded.values else { return Err(part.mistyped(ORDER)) };
    if codes.len() != part.rows.len() {
        return Err(part.mistyped(ORDER));
    }
    let (ends, bytes) = &*strings;
    let mut start = 0;
    let mut renumbered = Vec::with_capacity(ends.len());
    for &end in ends {
        let order = renumber(&bytes[start..end as usize], fit).ok_or_else(|| part.mistyped(ORDER))?;
        renumbered.push(orders.intern(&order));
        start = end as usize;
    }
    codes.iter_mut().for_each(|code| *code = renumbered[*code as usize]);
    Ok(codes)
}

fn renumber(mut order: &[u8], fit: &Fit) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(order.len());
    while let Some((element, rest)) = split_varint(order) {
        order = rest;
        let renumbered = match usize::try_from(element).ok()?.checked_sub(1) {
            None => 0,
            Some(ordinal) => u64::from((*fit.ordinals.get(ordinal)?)?) + 1,
        };
        put_varint(&mut out, renumbered);
    }
    order.is_empty().then_some(out)
}

/// The codes of the orders of a table, and its residual attributes.
fn rebuilt_orders(table: &AttributeTable, ordinals: &[Option<u32>], orders: &mut Dictionary) -> (Vec<u32>, Option<Decoded>) {
    let mut known = vec![None; table.num_shapes()];
    let (mut codes, mut rows, mut ends, mut bytes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for row in 0..table.num_rows() as u32 {
        let (code, has_residual) = *known[table.shape_of(row) as usize].get_or_insert_with(|| {
            let (order, has_residual) = stored_order(table, ordinals, row);
            (orders.intern(&order), has_residual)
        });
        codes.push(code);
        if has_residual {
            rows.push(row);
            bytes.extend_from_slice(residual_of(table, ordinals, row).data());
            ends.push(bytes.len() as u32);
        }
    }
    let values = DecodedValues::Codes((0..ends.len() as u32).collect(), Arc::new((ends, bytes)));
    (codes, Some(Decoded { rows: Some(rows), values }))
}

fn write_column(
    choice: &AttributeChoice,
    ordinal: usize,
    rows: &TableRows,
    parts: &[PartBytes<'_>],
    attributes: &[PartAttributes],
    out: &mut RowGroup<'_>,
) -> Result<(), MergeError> {
    let chosen = &choice.chosen[ordinal];
    let decode = |(part, attributes): (&PartBytes<'_>, &PartAttributes)| match attributes {
        PartAttributes::Direct(fit) => match fit.columns[ordinal] {
            Some(column) => part.decode(&part.table.attributes()[column].leaf),
            None => Ok(None),
        },
        PartAttributes::Rebuilt(table, _) => Ok(table
            .column(&chosen.key, chosen.kind)
            .map(|column| Decoded { rows: Some(column.rows.clone()), values: decoded_values(&column.values) })),
    };
    let decoded = parts.iter().zip(attributes).map(decode).collect::<Result<Vec<_>, _>>()?;
    let key = &chosen.key;
    match chosen.kind {
        ValueKind::Str | ValueKind::Any => {
            let form = if chosen.mostly_unique { TextForm::OptionalPlain } else { TextForm::Optional };
            write_texts(rows, parts, key, decoded, form, out)
        }
        ValueKind::Int => write_ints(rows, &part_values(parts, key, decoded, int64)?, out),
        ValueKind::Double => write_doubles(rows, &part_values(parts, key, decoded, double)?, out),
        ValueKind::Bool => {
            let gathered = gather(rows, &part_values(parts, key, decoded, boolean)?);
            Ok(out.column(Cells::Bool(&gathered.values), Some(&gathered.levels))?)
        }
    }
}

fn decoded_values(values: &ColumnValues) -> DecodedValues {
    match values {
        ColumnValues::Str(codes, dictionary) | ColumnValues::Any(codes, dictionary) => {
            let (ends, bytes) = dictionary.parts();
            DecodedValues::Codes(codes.clone(), Arc::new((ends.to_vec(), bytes.to_vec())))
        }
        ColumnValues::Int(values) => DecodedValues::Int64(values.clone()),
        ColumnValues::Double(values) => DecodedValues::Double(values.clone()),
        ColumnValues::Bool(values) => DecodedValues::Bool(values.clone()),
    }
}
