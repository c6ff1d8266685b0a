//! The rare attributes of a row group of the output, from all parts.

use super::MergeError;
use super::moved::PartRare;
use super::rows::{PartBytes, TableRows};
use crate::block::choice::Place;
use crate::block::gather::NOT_TAKEN;
use crate::block::parquet::{Decoded, DecodedValues, MAX_ROWS};
use crate::block::rare::{CellRun, Cells, LeafFill, RareWriter, Stream, ValueLeaf};
use crate::block::schema::ORDER;
use std::ops::Range;

/// Writes them; `first_row` is the row group's first.
pub(super) fn write_rare(
    rows: &TableRows,
    parts: &[PartBytes<'_>],
    mut rare: Vec<PartRare<'_>>,
    table: &mut RareWriter,
    first_row: usize,
) -> Result<(), MergeError> {
    let mut cells = Cells::default();
    let num_cells =
        rare.iter().map(|rare| rare.positions.len() + rare.demoted.iter().map(|demoted| demoted.rows.len()).sum::<usize>()).sum();
    cells.rows.reserve_exact(num_cells);
    cells.positions.reserve_exact(num_cells);
    // The runs of each part: first those of its table of rare attributes, then those of its columns.
    let mut runs_of: Vec<Range<usize>> = Vec::with_capacity(rare.len());
    for (rare, map) in rare.iter_mut().zip(row_maps(rows)) {
        let first = cells.runs.len();
        add_cells(rare, &map, &mut cells);
        runs_of.push(first..cells.runs.len());
    }
    if cells.rows.iter().filter(|row| **row != NOT_TAKEN).count() > MAX_ROWS {
        return Err(MergeError::TooLarge("a row group has more attributes than a table can have"));
    }
    table.write(cells, first_row, |fill: &mut LeafFill<'_>, cells: &Cells| {
        for ((part, rare), runs) in parts.iter().zip(&rare).zip(&runs_of) {
            let (stored, demoted) = cells.runs[runs.clone()].split_at(runs.len() - rare.demoted.len());
            fill_from_table(part, rare, stored, fill)?;
            fill_from_columns(part, rare, demoted, fill)?;
        }
        Ok(())
    })
}

/// Adds the cells of a part, as far as they are rare in the output; what is used up is taken.
fn add_cells(rare: &mut PartRare<'_>, map: &[u32], cells: &mut Cells) {
    let (rows, positions) = (std::mem::take(&mut rare.stored.rows), std::mem::take(&mut rare.positions));
    let to = |row: &u32| map[*row as usize];
    for (run, place) in rare.stored.runs.iter().zip(&rare.places) {
        let Place::Rare(entry) = *place else { continue };
        let first = cells.rows.len();
        cells.rows.extend(rows[run.cells.clone()].iter().map(to));
        cells.positions.extend_from_slice(&positions[run.cells.clone()]);
        cells.runs.push(CellRun { entry, cells: first..cells.rows.len() });
    }
    for demoted in &mut rare.demoted {
        let first = cells.rows.len();
        cells.rows.extend(demoted.rows.iter().map(to));
        cells.positions.append(&mut demoted.positions);
        cells.runs.push(CellRun { entry: demoted.entry, cells: first..cells.rows.len() });
    }
}

/// Fills a column from a part's table of rare attributes; `runs` has where its runs went that are still rare.
fn fill_from_table(part: &PartBytes<'_>, rare: &PartRare<'_>, runs: &[CellRun], fill: &mut LeafFill<'_>) -> Result<(), MergeError> {
    let stays = rare.stored.runs.iter().zip(&rare.places).filter(|(_, place)| matches!(place, Place::Rare(_)));
    let wanted: Vec<_> = stays.map(|(run, _)| run).zip(runs).filter(|(_, run)| fill.wants(run.entry)).collect();
    for leaf in ValueLeaf::ALL {
        let of_leaf = || wanted.iter().filter(move |(stored, _)| stored.leaf == leaf);
        let decoded = rare.stored.decode(leaf, of_leaf().map(|(stored, _)| *stored)).map_err(|error| part.failed(error))?;
        let Some(values) = decoded else { continue };
        let filled = stream(&values).and_then(|values| fill.fill(values, of_leaf().map(|(_, run)| *run), |_, nth| nth));
        filled.ok_or_else(|| part.mistyped(ORDER))?;
    }
    Ok(())
}

/// Fills a column from columns of a part; `runs` has where the values of those went that the output has not.
fn fill_from_columns(part: &PartBytes<'_>, rare: &PartRare<'_>, runs: &[CellRun], fill: &mut LeafFill<'_>) -> Result<(), MergeError> {
    for (demoted, run) in rare.demoted.iter().zip(runs) {
        if !fill.wants(run.entry) {
            continue;
        }
        let leaf = &part.table.attributes()[demoted.column].leaf;
        let Decoded { rows, values } = part.decode(leaf)?.ok_or_else(|| part.mistyped(leaf))?;
        // The orders must name it in just the rows that have a value.
        let is_as_named = match rows {
            Some(rows) => rows == demoted.rows,
            None => demoted.rows.len() == part.rows.len(),
        };
        if demoted.rows.is_empty() && is_as_named {
            continue;
        }
        let filled = stream(&values).filter(|_| is_as_named).and_then(|values| fill.fill(values, std::iter::once(run), |_, nth| nth));
        filled.ok_or_else(|| part.mistyped(leaf))?;
    }
    Ok(())
}

fn stream(values: &DecodedValues) -> Option<Stream<'_>> {
    Some(match values {
        DecodedValues::Int64(values) => Stream::Int(values),
        DecodedValues::Double(values) => Stream::Double(values),
        DecodedValues::Bool(values) => Stream::Bool(values),
        DecodedValues::Codes(codes, strings) => Stream::Bytes(codes, (&strings.0, &strings.1)),
        _ => return None,
    })
}

/// For each part, the row of the output of each of its rows.
fn row_maps(rows: &TableRows) -> Vec<Vec<u32>> {
    let mut maps: Vec<Vec<u32>> = rows.parts.iter().map(|part| vec![NOT_TAKEN; part.rows.len()]).collect();
    let mut next = 0;
    for run in &rows.runs {
        for row in rows.within(run) {
            maps[run.part][row] = next;
            next += 1;
        }
    }
    maps
}
