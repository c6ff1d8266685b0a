//! Columns of a row group of the output, put together from decoded parts.

use super::MergeError;
use super::rows::{PartBytes, TableRows};
use crate::block::gather::{double_codes, int_codes};
use crate::block::parquet::{Decoded, DecodedValues, StringTable};
use crate::block::recode::{CodeSpace, Recoder, i32_codes};
use crate::block::table::{Cells, RowGroup};
use bytes::Bytes;
use parquet::data_type::ByteArray;
use std::sync::Arc;

/// Values of a part: which of its rows have one, and these.
pub(super) struct PartValues<T> {
    rows: Option<Vec<u32>>,
    values: Vec<T>,
}

impl<T> PartValues<T> {
    /// From what was decoded; `take` tells the type that the column must have.
    pub fn of(part: &PartBytes<'_>, leaf: &str, decoded: Decoded, take: fn(DecodedValues) -> Option<Vec<T>>) -> Result<Self, MergeError> {
        let Decoded { rows, values } = decoded;
        let values = take(values).ok_or_else(|| part.mistyped(leaf))?;
        let num_values = rows.as_ref().map_or(part.rows.len(), Vec::len);
        if values.len() == num_values { Ok(PartValues { rows, values }) } else { Err(part.mistyped(leaf)) }
    }
}

/// Values in the order of the output, and for each row whether it has one.
pub(super) struct Gathered<T> {
    pub levels: Vec<i16>,
    pub values: Vec<T>,
}

/// Puts the values of all parts in order; a part without the column has no value.
pub(super) fn gather<T: Copy>(rows: &TableRows, parts: &[Option<PartValues<T>>]) -> Gathered<T> {
    let mut out = Gathered { levels: Vec::with_capacity(rows.num_rows), values: Vec::new() };
    // Runs of a part ascend, so each part is passed through once.
    let mut next = vec![0; parts.len()];
    for run in &rows.runs {
        let within = rows.within(run);
        let first = out.levels.len();
        match &parts[run.part] {
            None => out.levels.resize(first + within.len(), 0),
            Some(PartValues { rows: None, values }) => {
                out.levels.resize(first + within.len(), 1);
                out.values.extend_from_slice(&values[within]);
            }
            Some(PartValues { rows: Some(present), values }) => {
                out.levels.resize(first + within.len(), 0);
                let next = &mut next[run.part];
                while present.get(*next).is_some_and(|&row| (row as usize) < within.start) {
                    *next += 1;
                }
                let from = *next;
                while let Some(&row) = present.get(*next).filter(|row| (**row as usize) < within.end) {
                    out.levels[first + row as usize - within.start] = 1;
                    *next += 1;
                }
                out.values.extend_from_slice(&values[from..*next]);
            }
        }
    }
    out
}

/// Puts values that every row has in order.
pub(super) fn gather_dense<T: Copy>(rows: &TableRows, parts: &[impl AsRef<[T]>]) -> Vec<T> {
    let mut out = Vec::with_capacity(rows.num_rows);
    for run in &rows.runs {
        out.extend_from_slice(&parts[run.part].as_ref()[rows.within(run)]);
    }
    out
}

/// Decodes a column that has a value in every row.
pub(super) fn decode_dense<T>(
    parts: &[PartBytes<'_>],
    leaf: &str,
    take: fn(DecodedValues) -> Option<Vec<T>>,
) -> Result<Vec<Vec<T>>, MergeError> {
    let decode = |part: &PartBytes<'_>| {
        let decoded = part.decode(leaf)?.ok_or_else(|| part.mistyped(leaf))?;
        let values = PartValues::of(part, leaf, decoded, take)?;
        if values.rows.is_none() { Ok(values.values) } else { Err(part.mistyped(leaf)) }
    };
    parts.iter().map(decode).collect()
}

/// Decodes a column that rows may lack.
pub(super) fn decode_all(parts: &[PartBytes<'_>], leaf: &str) -> Result<Vec<Option<Decoded>>, MergeError> {
    parts.iter().map(|part| part.decode(leaf)).collect()
}

pub(super) fn int32(values: DecodedValues) -> Option<Vec<i32>> {
    if let DecodedValues::Int32(values) = values { Some(values) } else { None }
}

pub(super) fn int64(values: DecodedValues) -> Option<Vec<i64>> {
    if let DecodedValues::Int64(values) = values { Some(values) } else { None }
}

pub(super) fn double(values: DecodedValues) -> Option<Vec<f64>> {
    if let DecodedValues::Double(values) = values { Some(values) } else { None }
}

pub(super) fn boolean(values: DecodedValues) -> Option<Vec<bool>> {
    if let DecodedValues::Bool(values) = values { Some(values) } else { None }
}

/// Values of an optional column, by part.
pub(super) fn part_values<T>(
    parts: &[PartBytes<'_>],
    leaf: &str,
    decoded: Vec<Option<Decoded>>,
    take: fn(DecodedValues) -> Option<Vec<T>>,
) -> Result<Vec<Option<PartValues<T>>>, MergeError> {
    let values = |(part, decoded): (&PartBytes<'_>, Option<Decoded>)| {
        decoded.filter(has_values).map(|decoded| PartValues::of(part, leaf, decoded, take)).transpose()
    };
    parts.iter().zip(decoded).map(values).collect()
}

/// A column without any value may have been decoded as any type.
fn has_values(decoded: &Decoded) -> bool {
    decoded.rows.as_ref().is_none_or(|rows| !rows.is_empty())
}

/// Writes a required column of 64-bit integers.
pub(super) fn write_dense_i64(rows: &TableRows, parts: &[PartBytes<'_>], leaf: &str, out: &mut RowGroup<'_>) -> Result<(), MergeError> {
    Ok(out.column(Cells::I64(&gather_dense(rows, &decode_dense(parts, leaf, int64)?)), None)?)
}

/// Writes a required column of 32-bit integers as they are.
pub(super) fn write_dense_i32(rows: &TableRows, parts: &[PartBytes<'_>], leaf: &str, out: &mut RowGroup<'_>) -> Result<(), MergeError> {
    Ok(out.column(Cells::I32(&gather_dense(rows, &decode_dense(parts, leaf, int32)?)), None)?)
}

/// Writes a required column of 32-bit integers of which few differ.
pub(super) fn write_numbers(rows: &TableRows, parts: &[PartBytes<'_>], leaf: &str, out: &mut RowGroup<'_>) -> Result<(), MergeError> {
    let (codes, entries) = i32_codes(&gather_dense(rows, &decode_dense(parts, leaf, int32)?));
    Ok(out.column(Cells::Coded(&codes, &entries), None)?)
}

/// Writes an optional column of 32-bit integers.
pub(super) fn write_optional_i32(rows: &TableRows, parts: &[PartBytes<'_>], leaf: &str, out: &mut RowGroup<'_>) -> Result<(), MergeError> {
    let gathered = gather(rows, &part_values(parts, leaf, decode_all(parts, leaf)?, int32)?);
    Ok(out.column(Cells::I32(&gathered.values), Some(&gathered.levels))?)
}

/// Writes an optional column of 64-bit integers, as a dictionary where that pays.
pub(super) fn write_ints(rows: &TableRows, values: &[Option<PartValues<i64>>], out: &mut RowGroup<'_>) -> Result<(), MergeError> {
    let Gathered { levels, values } = gather(rows, values);
    match int_codes(&values) {
        Some((codes, entries)) => out.column(Cells::Coded(&codes, &entries), Some(&levels))?,
        None => out.column(Cells::I64(&values), Some(&levels))?,
    }
    Ok(())
}

/// Writes an optional column of doubles, as a dictionary where that pays.
pub(super) fn write_doubles(rows: &TableRows, values: &[Option<PartValues<f64>>], out: &mut RowGroup<'_>) -> Result<(), MergeError> {
    let Gathered { levels, values } = gather(rows, values);
    match double_codes(&values) {
        Some((codes, entries)) => out.column(Cells::Coded(&codes, &entries), Some(&levels))?,
        None => out.column(Cells::F64(&values), Some(&levels))?,
    }
    Ok(())
}

/// How a column of strings is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum TextForm {
    /// As a dictionary; every row has a value.
    Required,
    /// As a dictionary; rows may lack a value.
    Optional,
    /// As they are; rows may lack a value.
    OptionalPlain,
}

/// Writes a column of strings.
pub(super) fn write_texts(
    rows: &TableRows,
    parts: &[PartBytes<'_>],
    leaf: &str,
    decoded: Vec<Option<Decoded>>,
    form: TextForm,
    out: &mut RowGroup<'_>,
) -> Result<(), MergeError> {
    let tables: Vec<StringTable> = decoded.iter().map(string_table).collect();
    let space = CodeSpace::of_strings(tables.iter().map(|table| (&table.0[..], &table.1[..])).collect());
    let mut values = part_values(parts, leaf, decoded, codes)?;
    for (part, values) in values.iter_mut().enumerate() {
        let base = space.base(part);
        values.iter_mut().flat_map(|values| &mut values.values).for_each(|code| *code += base);
    }
    if let (TextForm::Required, Some(part)) =
        (form, values.iter().position(|values| values.as_ref().is_none_or(|values| values.rows.is_some())))
    {
        return Err(parts[part].mistyped(leaf));
    }
    let Gathered { levels, values: positions } = gather(rows, &values);
    let levels = (form != TextForm::Required).then_some(&levels[..]);
    if form == TextForm::OptionalPlain {
        return Ok(out.column(Cells::Bytes(byte_arrays(&space, &tables, &positions)), levels)?);
    }
    let mut recoder = Recoder::default();
    recoder.start(&space);
    let codes: Vec<u32> = positions.into_iter().map(|position| recoder.code(&space, position)).collect();
    Ok(out.column(Cells::Coded(&codes, &recoder.entries()), levels)?)
}

fn codes(values: DecodedValues) -> Option<Vec<u32>> {
    if let DecodedValues::Codes(codes, _) = values { Some(codes) } else { None }
}

fn string_table(decoded: &Option<Decoded>) -> StringTable {
    match decoded {
        Some(Decoded { values: DecodedValues::Codes(_, table), .. }) => Arc::clone(table),
        _ => Arc::default(),
    }
}

/// A table's bytes as an owner of slices.
struct TableBytes(StringTable);

impl AsRef<[u8]> for TableBytes {
    fn as_ref(&self) -> &[u8] {
        &self.0.1
    }
}

/// The strings at these positions, sharing the memory of their tables.
fn byte_arrays(space: &CodeSpace<'_>, tables: &[StringTable], positions: &[u32]) -> Vec<ByteArray> {
    let bytes: Vec<Bytes> = tables.iter().map(|table| Bytes::from_owner(TableBytes(Arc::clone(table)))).collect();
    let slice = |&position: &u32| {
        let (table, range) = space.locate(position);
        bytes[table].slice(range).into()
    };
    positions.iter().map(slice).collect()
}
