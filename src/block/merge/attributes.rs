//! The attributes of a row group of the output.
//!
//! Values are copied column by column, whether they come from a column or from the table of rare attributes, and whichever
//! of the two they go to. The order of a row's attributes names columns by ordinals, and what has no column by its
//! position among such, so it is written anew: once for each distinct order, and for rows with a rare attribute that gets a column
//! ([`moved`](super::moved)).

use super::gather::{TextForm, boolean, double, gather, gather_dense, int64, part_values, write_doubles, write_ints, write_texts};
use super::moved::{PartRare, StoredOrders};
use super::rare::write_rare;
use super::rows::{PartBytes, TableRows};
use super::{MergeError, TableOf, num_spans, of_block};
use crate::block::catalogue::CatalogueWriter;
use crate::block::choice::{AttributeChoice, AttributeCounts, Chosen, Place};
use crate::block::meta::FileMeta;
use crate::block::output::BlockSink;
use crate::block::parquet::{Decoded, DecodedValues};
use crate::block::rare::RareWriter;
use crate::block::reader::{Block, BlockError, Table};
use crate::block::schema::{AttributeEntry, ORDER, RESIDUAL};
use crate::block::spans::write_coded;
use crate::block::table::{Cells, RowGroup, TableWriter};
use crate::columns::known::Holder;
use crate::columns::{Dictionary, ValueKind};
use std::sync::Arc;

/// Chooses the attribute columns of a table of the output.
pub(super) fn choose(inputs: &[Arc<Block>], table: TableOf) -> Result<AttributeChoice, MergeError> {
    let mut counts = AttributeCounts::default();
    let (mut keys, mut num_rows) = (Vec::new(), 0);
    for block in inputs {
        let Some(table) = table(block).map_err(of_block(block))? else { continue };
        count(block, table, &mut counts).map_err(of_block(block))?;
        keys.extend(table.residual_keys().iter().cloned());
        num_rows += (0..table.num_row_groups()).map(|group| table.num_rows(group)).sum::<usize>();
    }
    Ok(AttributeChoice::of(&counts, num_rows, keys.into_iter()))
}

/// Starts the table of the rare attributes of a table of the output, if there are any.
pub(super) fn start_rare(
    sink: &dyn BlockSink,
    file: &str,
    choice: &AttributeChoice,
    inputs: &[Arc<Block>],
) -> Result<Option<RareWriter>, MergeError> {
    Ok(RareWriter::start(sink, file, &choice.rare, num_spans(inputs))?.map(RareWriter::with_trigrams))
}

fn kind_of(table: &Table, entry: &AttributeEntry) -> Result<ValueKind, BlockError> {
    ValueKind::from_name(&entry.kind).ok_or_else(|| table.mistyped(&entry.leaf))
}

/// Ends a table and that of its rare attributes; tells the catalogue what they hold.
pub(super) fn finish_table(
    mut table: TableWriter,
    rare: Option<RareWriter>,
    choice: &AttributeChoice,
    holder: Holder,
    catalogue: &mut CatalogueWriter,
) -> Result<Vec<FileMeta>, MergeError> {
    let mut collected = table.take_collected();
    let mut files = Vec::new();
    if let Some((file, of_rare)) = rare.map(RareWriter::finish).transpose()? {
        files.push(file);
        collected.extend(of_rare);
    }
    catalogue.add_table(holder, collected, &choice.residual_keys);
    files.push(table.finish()?);
    Ok(files)
}

/// Counts from the footers.
fn count(block: &Block, table: &Table, counts: &mut AttributeCounts) -> Result<(), BlockError> {
    for entry in table.attributes() {
        let kind = kind_of(table, entry)?;
        for group in 0..table.num_row_groups() {
            let Some(column) = table.column(group, &entry.leaf)? else { continue };
            let rows = column.num_rows() - column.null_count().unwrap_or(0);
            // What was stored without a dictionary differed mostly.
            let distinct = if column.bytes_of_dictionary().is_empty() { rows } else { 0 };
            counts.add(&entry.key, kind, rows, distinct);
        }
    }
    let Some(rare) = block.rare_of(table)? else { return Ok(()) };
    let list = rare.rare_list();
    for (at, entry) in list.entries.iter().enumerate() {
        let kind = entry.kind().ok_or_else(|| rare.mistyped(&entry.key))?;
        let rows = list.counts.iter().filter_map(|counts| counts.get(at)).map(|count| *count as usize).sum();
        counts.add(&entry.key, kind, rows, if entry.unique { rows } else { 0 });
    }
    Ok(())
}

/// The attributes of a part.
struct PartAttributes {
    /// For each attribute column of the output, the input's.
    columns: Vec<Option<usize>>,
    /// The codes of the orders of its rows, in the output.
    orders: Vec<u32>,
}

impl PartAttributes {
    fn of<'a>(part: &PartBytes<'a>, choice: &AttributeChoice, orders: &mut Dictionary) -> Result<(Self, PartRare<'a>), MergeError> {
        let mut columns = vec![None; choice.chosen.len()];
        let mut places = Vec::new();
        let rare = part.block.rare_of(part.table).map_err(|error| part.failed(error))?;
        for (at, entry) in part.table.attributes().iter().enumerate() {
            let kind = kind_of(part.table, entry).map_err(|error| part.failed(error))?;
            if rare.is_some_and(|table| table.rare_list().position(&entry.key, kind).is_some()) {
                return Err(part.mistyped(ORDER));
            }
            let place = choice.place(&entry.key, kind).ok_or_else(|| part.mistyped(&entry.leaf))?;
            if let Place::Column(ordinal) = place {
                columns[ordinal as usize] = Some(at);
            }
            places.push(place);
        }
        let (orders, rare) = PartRare::of(part, choice, &places, &stored_orders(part)?, orders)?;
        Ok((PartAttributes { columns, orders }, rare))
    }
}

fn stored_orders(part: &PartBytes<'_>) -> Result<StoredOrders, MergeError> {
    let decoded = part.decode(ORDER)?.filter(|decoded| decoded.rows.is_none()).ok_or_else(|| part.mistyped(ORDER))?;
    match decoded.values {
        DecodedValues::Codes(codes, strings) if codes.len() == part.rows.len() => Ok((codes, strings)),
        _ => Err(part.mistyped(ORDER)),
    }
}

/// Writes the order of attributes, the residual if there is one, all attribute columns, and the rare attributes.
pub(super) fn write_attributes(
    choice: &AttributeChoice,
    rows: &TableRows,
    parts: &[PartBytes<'_>],
    out: &mut RowGroup<'_>,
    rare: Option<(&mut RareWriter, usize)>,
) -> Result<(), MergeError> {
    let mut orders = Dictionary::default();
    let of_parts = parts.iter().map(|part| PartAttributes::of(part, choice, &mut orders)).collect::<Result<Vec<_>, _>>()?;
    let (attributes, mut rare_of_parts): (Vec<_>, Vec<_>) = of_parts.into_iter().unzip();
    let codes: Vec<&[u32]> = attributes.iter().map(|attributes| attributes.orders.as_slice()).collect();
    write_coded(&[&orders], gather_dense(rows, &codes).into_iter(), out)?;
    drop(orders);
    if choice.has_residual {
        let residuals = parts.iter().map(|part| part.decode(RESIDUAL)).collect::<Result<_, _>>()?;
        write_texts(rows, parts, RESIDUAL, residuals, TextForm::OptionalPlain, out)?;
    }
    for ordinal in 0..choice.chosen.len() {
        let decode = |((part, attributes), rare): ((&PartBytes<'_>, &PartAttributes), &mut PartRare<'_>)| match attributes.columns[ordinal]
        {
            Some(column) => part.decode(&part.table.attributes()[column].leaf),
            None => Ok(rare.take_column(ordinal)),
        };
        let decoded = parts.iter().zip(&attributes).zip(&mut rare_of_parts).map(decode).collect::<Result<Vec<_>, _>>()?;
        write_column(&choice.chosen[ordinal], rows, parts, decoded, out)?;
    }
    match rare {
        Some((table, first_row)) => write_rare(rows, parts, rare_of_parts, table, first_row),
        None => Ok(()),
    }
}

/// Writes a column of attributes from the parts' values.
fn write_column(
    chosen: &Chosen,
    rows: &TableRows,
    parts: &[PartBytes<'_>],
    decoded: Vec<Option<Decoded>>,
    out: &mut RowGroup<'_>,
) -> Result<(), MergeError> {
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
