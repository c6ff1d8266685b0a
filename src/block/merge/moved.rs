//! Attributes that a part has in the table of rare ones, or that the output has there.

use super::MergeError;
use super::rows::{PartBytes, TableRows};
use crate::block::choice::{AttributeChoice, Place};
use crate::block::gather::NOT_TAKEN;
use crate::block::parquet::{Decoded, DecodedValues, MAX_ROWS, StringTable};
use crate::block::rare::{RareCell, RareGroup, RareRows, RareWriter, Stream};
use crate::block::recode::CodeSpace;
use crate::block::schema::ORDER;
use crate::columns::Dictionary;
use crate::columns::wire::{put_varint, split_varint};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Such attributes of one part. Rows are counted from its first.
pub(super) struct MovedAttributes {
    /// Values: those of rare attributes of the part, then those of columns that the output has not.
    streams: Vec<DecodedValues>,
    /// For the rare attributes of the output.
    to_rare: Vec<RareCell>,
    /// For columns of the output, by ordinal, in the order of rows.
    to_columns: BTreeMap<u32, Vec<RareCell>>,
}

impl MovedAttributes {
    /// Finds out where the attributes of a part go: `places` has those of its columns, `stored` the orders of its rows. Also returns
    /// the orders in the output.
    pub fn of(
        part: &PartBytes<'_>,
        choice: &AttributeChoice,
        rare: RareRows,
        places: &[Place],
        stored: (&[u32], &(Vec<u32>, Vec<u8>)),
        orders: &mut Dictionary,
    ) -> Result<(Vec<u32>, Self), MergeError> {
        let rare_places = rare_places(part, choice)?;
        let RareRows { cells, mut streams, .. } = rare;
        let mut column_streams = vec![0; places.len()];
        for (at, _) in places.iter().enumerate().filter(|(_, place)| matches!(place, Place::Rare(_))) {
            let leaf = &part.table.attributes()[at].leaf;
            column_streams[at] = streams.len() as u32;
            streams.push(part.decode(leaf)?.ok_or_else(|| part.mistyped(leaf))?.values);
        }
        let mut moved = MovedAttributes { streams, to_rare: Vec::new(), to_columns: BTreeMap::new() };
        let mut walk = Walk { places, rare_places: &rare_places, column_streams, next_values: vec![0; places.len()] };
        let mut codes = Vec::with_capacity(stored.0.len());
        let (mut cells, mut order) = (cells.as_slice(), Vec::new());
        let (ends, bytes) = stored.1;
        for (row, &code) in stored.0.iter().enumerate() {
            let of_row = cells.iter().take_while(|cell| cell.row == row as u32).count();
            let (here, rest) = cells.split_at(of_row);
            cells = rest;
            let start = if code == 0 { 0 } else { ends[code as usize - 1] as usize };
            let stored = &bytes[start..ends[code as usize] as usize];
            order.clear();
            moved.walk_row(&mut walk, row as u32, stored, here, &mut order).ok_or_else(|| part.mistyped(ORDER))?;
            codes.push(orders.intern(&order));
        }
        Ok((codes, moved))
    }

    /// Sends each attribute of a row where it goes; `None` if the order names what is not there.
    fn walk_row(&mut self, walk: &mut Walk<'_>, row: u32, mut stored: &[u8], cells: &[RareCell], order: &mut Vec<u8>) -> Option<()> {
        let mut cells = cells.iter().peekable();
        let (mut position, mut new_position) = (0, 0);
        while let Some((element, rest)) = split_varint(stored) {
            stored = rest;
            let (place, cell) = match usize::try_from(element).ok()?.checked_sub(1) {
                Some(column) => {
                    let value = walk.next_values.get_mut(column)?;
                    *value += 1;
                    let cell = RareCell { entry: 0, row, position, stream: walk.column_streams[column], value: *value - 1 };
                    (Some(walk.places[column]), Some(cell))
                }
                None => {
                    let cell = cells.next_if(|cell| cell.position == position).copied();
                    position += 1;
                    match cell {
                        Some(cell) => (Some((*walk.rare_places.get(cell.entry as usize)?)?), Some(cell)),
                        // A residual one.
                        None => (None, None),
                    }
                }
            };
            match (place, cell) {
                (Some(Place::Column(ordinal)), Some(cell)) if element == 0 => self.to_columns.entry(ordinal).or_default().push(cell),
                (Some(Place::Rare(entry)), Some(cell)) => self.to_rare.push(RareCell { entry, position: new_position, ..cell }),
                _ => {}
            }
            let element = place.map_or(0, Place::in_order);
            new_position += u32::from(element == 0);
            put_varint(order, element);
        }
        (stored.is_empty() && cells.next().is_none()).then_some(())
    }

    /// What goes to a column of the output, if anything does.
    pub fn column(&self, ordinal: usize) -> Option<Decoded> {
        let cells = self.to_columns.get(&(ordinal as u32))?;
        let taken = cells.iter().map(|cell| cell.value as usize);
        // All of one attribute, so of one stream, in which each has a value.
        let values = match self.streams.get(cells.first()?.stream as usize)? {
            DecodedValues::Int64(values) => DecodedValues::Int64(taken.map(|at| values[at]).collect()),
            DecodedValues::Double(values) => DecodedValues::Double(taken.map(|at| values[at]).collect()),
            DecodedValues::Bool(values) => DecodedValues::Bool(taken.map(|at| values[at]).collect()),
            DecodedValues::Codes(codes, strings) => DecodedValues::Codes(taken.map(|at| codes[at]).collect(), Arc::clone(strings)),
            _ => return None,
        };
        Some(Decoded { rows: Some(cells.iter().map(|cell| cell.row).collect()), values })
    }
}

/// What is the same for all rows of a part.
struct Walk<'p> {
    places: &'p [Place],
    rare_places: &'p [Option<Place>],
    /// For each column that the output has not, its stream.
    column_streams: Vec<u32>,
    /// For each column, the number of its values so far.
    next_values: Vec<u32>,
}

/// Where the rare attributes of the part's table go.
fn rare_places(part: &PartBytes<'_>, choice: &AttributeChoice) -> Result<Vec<Option<Place>>, MergeError> {
    let rare = part.block.rare_of(part.table).map_err(|error| part.failed(error))?;
    let entries = rare.map_or(&[][..], |rare| &rare.rare_list().entries);
    Ok(entries.iter().map(|entry| choice.place(&entry.key, entry.kind()?)).collect())
}

/// The rare attributes of a row group of the output.
pub(super) struct RareMerge<'a> {
    cells: Vec<RareCell>,
    streams: Vec<Stream<'a>>,
    strings: Vec<&'a StringTable>,
}

impl<'a> RareMerge<'a> {
    /// Puts those of all parts together.
    pub fn of(rows: &TableRows, parts: &[PartBytes<'_>], moved: &[Option<&'a MovedAttributes>]) -> Result<Self, MergeError> {
        let mut merge = RareMerge { cells: Vec::new(), streams: Vec::new(), strings: Vec::new() };
        let mut num_strings = 0;
        for ((part, moved), map) in parts.iter().zip(moved).zip(row_maps(rows)) {
            let Some(moved) = moved else { continue };
            let first_stream = merge.streams.len() as u32;
            for values in &moved.streams {
                merge.add_stream(values, &mut num_strings).ok_or_else(|| part.mistyped(ORDER))?;
            }
            for cell in moved.to_rare.iter().filter(|cell| map[cell.row as usize] != NOT_TAKEN) {
                if cell.value as usize >= moved.streams[cell.stream as usize].len() {
                    return Err(part.mistyped(ORDER));
                }
                merge.cells.push(RareCell { row: map[cell.row as usize], stream: first_stream + cell.stream, ..*cell });
            }
        }
        if merge.cells.len() > MAX_ROWS {
            return Err(MergeError::TooLarge("a row group has more attributes than a table can have"));
        }
        Ok(merge)
    }

    fn add_stream(&mut self, values: &'a DecodedValues, num_strings: &mut u32) -> Option<()> {
        self.streams.push(match values {
            DecodedValues::Int64(values) => Stream::Int(values),
            DecodedValues::Double(values) => Stream::Double(values),
            DecodedValues::Bool(values) => Stream::Bool(values),
            DecodedValues::Codes(codes, strings) => {
                let base = *num_strings;
                *num_strings += strings.0.len() as u32;
                self.strings.push(strings);
                Stream::Bytes(base, codes)
            }
            _ => return None,
        });
        Some(())
    }

    /// Writes them; `first_row` is the row group's first.
    pub fn write(self, table: &mut RareWriter, first_row: usize) -> Result<(), MergeError> {
        let space = CodeSpace::of_strings(self.strings.iter().map(|strings| (&strings.0[..], &strings.1[..])).collect());
        Ok(table.write(RareGroup { cells: self.cells, streams: self.streams, space }, first_row)?)
    }
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
