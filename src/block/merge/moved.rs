//! Rare attributes of a part, and what changes between the table of these and columns.
//!
//! An attribute that is rare in input and output alike only gets another row. Where one moves from a column to the table of rare ones
//! or back, the orders of the rows that have it are written anew, and with them the positions of their rare attributes.

use super::MergeError;
use super::rows::PartBytes;
use crate::block::choice::{AttributeChoice, Place};
use crate::block::parquet::{Decoded, DecodedValues, StringTable};
use crate::block::rare::{RareRuns, StoredRun, ValueLeaf};
use crate::block::row_source::{Reuse, RowSource};
use crate::block::schema::ORDER;
use crate::columns::Dictionary;
use crate::columns::wire::{put_varint, split_varint};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The orders of a part's rows as they are: codes, and what these stand for.
pub(super) type StoredOrders = (Vec<u32>, StringTable);

/// The rare attributes of a part, and of its columns those that are rare in the output. Rows are counted from the part's first.
pub(super) struct PartRare<'a> {
    pub stored: RareRuns<'a>,
    /// For each of its runs, where it goes.
    pub places: Vec<Place>,
    /// For each of its cells, the position in the output.
    pub positions: Vec<u32>,
    /// What goes from the part's columns to the table of rare attributes.
    pub demoted: Vec<Demoted>,
    /// What goes to columns of the output, by ordinal.
    promoted: BTreeMap<u32, Decoded>,
}

/// A column of a part that is rare in the output.
pub(super) struct Demoted {
    /// The part's column.
    pub column: usize,
    /// The number of the rare attribute.
    pub entry: u32,
    /// The rows that have a value, ascending, with their positions.
    pub rows: Vec<u32>,
    pub positions: Vec<u32>,
}

impl<'a> PartRare<'a> {
    /// Finds out where the attributes of a part go: `columns` has the places of its columns, `orders` the orders of its rows. Also returns
    /// the codes of the orders in the output.
    pub fn of(
        part: &PartBytes<'a>,
        choice: &AttributeChoice,
        columns: &[Place],
        stored_orders: &StoredOrders,
        orders: &mut Dictionary,
    ) -> Result<(Vec<u32>, Self), MergeError> {
        let source = RowSource { block: part.block, table: part.table, group: part.group, reuse: Reuse::Unlikely };
        let stored = RareRuns::read(source, &part.rows).map_err(|error| part.failed(error))?;
        let positions = stored.positions().map_err(|error| part.failed(error))?;
        let places = places_of_runs(part, choice, &stored.runs)?;
        let (mut codes, mut numbering) = (Vec::with_capacity(stored_orders.0.len()), Renumbering::new(columns, stored_orders));
        let mut promoted = promoted_cells(&stored, &places, &positions).into_iter().peekable();
        let mut of_row = Vec::new();
        for (row, code) in stored_orders.0.iter().enumerate() {
            of_row.clear();
            while let Some(cell) = promoted.next_if(|cell| cell.row as usize == row) {
                of_row.push((cell.position, cell.ordinal));
            }
            codes.push(numbering.row(*code, &of_row, row as u32, orders).ok_or_else(|| part.mistyped(ORDER))?);
        }
        let Renumbering { maps, map_of_row, demoted, .. } = numbering;
        let mut rare = PartRare { stored, places, positions, demoted, promoted: BTreeMap::new() };
        for (position, row) in rare.positions.iter_mut().zip(&rare.stored.rows) {
            let (start, end) = map_of_row[*row as usize];
            let map = &maps[start as usize..end as usize];
            *position = *map.get(*position as usize).ok_or_else(|| part.mistyped(ORDER))?;
        }
        rare.read_promoted(part)?;
        Ok((codes, rare))
    }

    fn read_promoted(&mut self, part: &PartBytes<'_>) -> Result<(), MergeError> {
        for leaf in ValueLeaf::ALL {
            let of_leaf = self.stored.runs.iter().zip(&self.places);
            let promoted: Vec<(&StoredRun, u32)> = of_leaf
                .filter_map(|(run, place)| if let Place::Column(ordinal) = place { Some((run, *ordinal)) } else { None })
                .filter(|(run, _)| run.leaf == leaf)
                .collect();
            let decoded = self.stored.decode(leaf, promoted.iter().map(|(run, _)| *run)).map_err(|error| part.failed(error))?;
            let Some(values) = decoded.map(only_used) else { continue };
            let mut first = 0;
            for (run, ordinal) in promoted {
                let values = slice(&values, first, run.cells.len()).ok_or_else(|| part.mistyped(ORDER))?;
                first += run.cells.len();
                self.promoted.insert(ordinal, Decoded { rows: Some(self.stored.rows[run.cells.clone()].to_vec()), values });
            }
        }
        Ok(())
    }

    /// What goes to a column of the output, once.
    pub fn take_column(&mut self, ordinal: usize) -> Option<Decoded> {
        self.promoted.remove(&(ordinal as u32))
    }
}

/// Where the runs of the part's rare attributes go.
fn places_of_runs(part: &PartBytes<'_>, choice: &AttributeChoice, runs: &[StoredRun]) -> Result<Vec<Place>, MergeError> {
    let rare = part.block.rare_of(part.table).map_err(|error| part.failed(error))?;
    let entries = rare.map_or(&[][..], |rare| &rare.rare_list().entries);
    let place = |run: &StoredRun| {
        let entry = entries.get(run.entry as usize)?;
        choice.place(&entry.key, entry.kind()?)
    };
    runs.iter().map(|run| place(run).ok_or_else(|| part.mistyped(ORDER))).collect()
}

/// A rare attribute of a row that has a column in the output.
struct PromotedCell {
    row: u32,
    position: u32,
    ordinal: u32,
}

/// Those of a part, by row and position.
fn promoted_cells(stored: &RareRuns<'_>, places: &[Place], positions: &[u32]) -> Vec<PromotedCell> {
    let mut cells = Vec::new();
    for (run, place) in stored.runs.iter().zip(places) {
        if let Place::Column(ordinal) = *place {
            cells.extend(run.cells.clone().map(|cell| PromotedCell { row: stored.rows[cell], position: positions[cell], ordinal }));
        }
    }
    cells.sort_unstable_by_key(|cell| u64::from(cell.row) << 32 | u64::from(cell.position));
    cells
}

/// Writes orders anew.
struct Renumbering<'p> {
    columns: &'p [Place],
    stored: &'p StoredOrders,
    /// For each stored order, that of rows nothing of which gets a column.
    known: Vec<Option<Renumbered>>,
    /// For each renumbered order, the new position of each position.
    maps: Vec<u32>,
    /// For each row, the part of these that it has.
    map_of_row: Vec<(u32, u32)>,
    demoted: Vec<Demoted>,
    /// For each column of the part, where it is among `demoted`.
    demoted_at: Vec<usize>,
}

#[derive(Clone)]
struct Renumbered {
    code: u32,
    map: (u32, u32),
    /// Positions of what has no column any more, with where it is among `demoted`.
    demoted: Vec<(usize, u32)>,
}

impl<'p> Renumbering<'p> {
    fn new(columns: &'p [Place], stored: &'p StoredOrders) -> Self {
        let (mut demoted, mut demoted_at) = (Vec::new(), Vec::new());
        for (column, place) in columns.iter().enumerate() {
            demoted_at.push(demoted.len());
            if let Place::Rare(entry) = *place {
                demoted.push(Demoted { column, entry, rows: Vec::new(), positions: Vec::new() });
            }
        }
        let (known, map_of_row) = (vec![None; stored.1.0.len()], Vec::with_capacity(stored.0.len()));
        Renumbering { columns, stored, known, maps: Vec::new(), map_of_row, demoted, demoted_at }
    }

    /// The code of the next row's order; `promoted` are those of its rare attributes that get columns, by position. `None` if the order names what
    /// is not there.
    fn row(&mut self, code: u32, promoted: &[(u32, u32)], row: u32, orders: &mut Dictionary) -> Option<u32> {
        if !promoted.is_empty() {
            let renumbered = self.renumber(code, promoted, orders)?;
            return Some(self.note(&renumbered, row));
        }
        let renumbered = match self.known.get_mut(code as usize)?.take() {
            Some(known) => known,
            None => self.renumber(code, promoted, orders)?,
        };
        let new = self.note(&renumbered, row);
        self.known[code as usize] = Some(renumbered);
        Some(new)
    }

    fn note(&mut self, renumbered: &Renumbered, row: u32) -> u32 {
        self.map_of_row.push(renumbered.map);
        for (at, position) in &renumbered.demoted {
            self.demoted[*at].rows.push(row);
            self.demoted[*at].positions.push(*position);
        }
        renumbered.code
    }

    fn renumber(&mut self, code: u32, promoted: &[(u32, u32)], orders: &mut Dictionary) -> Option<Renumbered> {
        let (ends, bytes) = (&self.stored.1.0, &self.stored.1.1);
        let start = if code == 0 { 0 } else { ends[code as usize - 1] as usize };
        let mut stored = &bytes[start..ends[code as usize] as usize];
        let mut promoted = promoted.iter().peekable();
        let (mut order, mut demoted, mut new_position) = (Vec::with_capacity(stored.len()), Vec::new(), 0);
        let first = self.maps.len();
        while let Some((element, rest)) = split_varint(stored) {
            stored = rest;
            let place = match usize::try_from(element).ok()?.checked_sub(1) {
                Some(column) => {
                    let place = *self.columns.get(column)?;
                    if matches!(place, Place::Rare(_)) {
                        demoted.push((self.demoted_at[column], new_position));
                    }
                    place.in_order()
                }
                None => {
                    let ordinal = promoted.next_if(|(position, _)| *position as usize == self.maps.len() - first);
                    self.maps.push(new_position);
                    ordinal.map_or(0, |(_, ordinal)| Place::Column(*ordinal).in_order())
                }
            };
            new_position += u32::from(place == 0);
            put_varint(&mut order, place);
        }
        if !stored.is_empty() || promoted.next().is_some() {
            return None;
        }
        Some(Renumbered { code: orders.intern(&order), map: (first as u32, self.maps.len() as u32), demoted })
    }
}

/// The same with those strings only that values have: a dictionary is large, and few values of it go to columns.
fn only_used(values: DecodedValues) -> DecodedValues {
    let DecodedValues::Codes(mut codes, strings) = values else { return values };
    let mut known = vec![u32::MAX; strings.0.len()];
    let (mut ends, mut bytes) = (Vec::new(), Vec::new());
    for code in &mut codes {
        let at = *code as usize;
        if known[at] == u32::MAX {
            known[at] = ends.len() as u32;
            let start = if at == 0 { 0 } else { strings.0[at - 1] as usize };
            bytes.extend_from_slice(&strings.1[start..strings.0[at] as usize]);
            ends.push(bytes.len() as u32);
        }
        *code = known[at];
    }
    DecodedValues::Codes(codes, Arc::new((ends, bytes)))
}

/// Some values that follow each other.
fn slice(values: &DecodedValues, first: usize, num: usize) -> Option<DecodedValues> {
    let range = first..first + num;
    Some(match values {
        DecodedValues::Int64(values) => DecodedValues::Int64(values.get(range)?.to_vec()),
        DecodedValues::Double(values) => DecodedValues::Double(values.get(range)?.to_vec()),
        DecodedValues::Bool(values) => DecodedValues::Bool(values.get(range)?.to_vec()),
        DecodedValues::Codes(codes, strings) => DecodedValues::Codes(codes.get(range)?.to_vec(), Arc::clone(strings)),
        _ => return None,
    })
}
