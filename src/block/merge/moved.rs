//! Attributes that a part has in the table of rare ones, or that the output has there.

use super::MergeError;
use super::rows::{PartBytes, TableRows};
use crate::block::choice::{AttributeChoice, Place};
use crate::block::gather::NOT_TAKEN;
use crate::block::parquet::{Decoded, DecodedValues, MAX_ROWS, StringTable};
use crate::block::rare::{RareCell, RareGroup, RareRead, RareRows, RareWriter, Stream};
use crate::block::recode::CodeSpace;
use crate::block::schema::ORDER;
use crate::columns::Dictionary;
use crate::columns::wire::{put_varint, split_varint};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where a value is.
#[derive(Clone, Copy)]
enum Source {
    /// Among the rare attributes of the part.
    Rare(RareRead),
    /// In a column of the part that the output has not: the column's number, and the value's position.
    Column(usize, u32),
}

/// Such attributes of one part.
pub(super) struct MovedAttributes {
    rare: RareRows,
    /// Columns of the input that the output has not.
    left_columns: BTreeMap<usize, Decoded>,
    /// For the rare attributes of the output: number, row within the part, position in the row.
    to_rare: Vec<(u32, u32, u32, Source)>,
    /// For columns of the output, by ordinal: rows within the part, ascending, and values.
    to_columns: BTreeMap<u32, Vec<(u32, RareRead)>>,
}

impl MovedAttributes {
    /// Finds out where the attributes of a part go: `places` has those of its columns, `stored` the orders of its rows. Also returns
    /// the orders in the output.
    pub fn of(
        part: &PartBytes<'_>,
        choice: &AttributeChoice,
        mut rare: RareRows,
        places: &[Place],
        stored: (&[u32], &(Vec<u32>, Vec<u8>)),
        orders: &mut Dictionary,
    ) -> Result<(Vec<u32>, Self), MergeError> {
        let rare_places = rare_places(part, choice)?;
        let mut left_columns = BTreeMap::new();
        for (at, _) in places.iter().enumerate().filter(|(_, place)| matches!(place, Place::Rare(_))) {
            let leaf = &part.table.attributes()[at].leaf;
            left_columns.insert(at, part.decode(leaf)?.ok_or_else(|| part.mistyped(leaf))?);
        }
        let mut moved = MovedAttributes { rare: RareRows::default(), left_columns, to_rare: Vec::new(), to_columns: BTreeMap::new() };
        let mut walk = Walk { places, rare_places: &rare_places, next_values: vec![0; places.len()] };
        let mut codes = Vec::with_capacity(stored.0.len());
        let (mut cells, mut order) = (rare.cells.as_slice(), Vec::new());
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
        // Only its values are needed from now on.
        rare.cells = Vec::new();
        moved.rare = rare;
        Ok((codes, moved))
    }

    /// Sends each attribute of a row where it goes; `None` if the order names what is not there.
    fn walk_row(&mut self, walk: &mut Walk<'_>, row: u32, mut stored: &[u8], cells: &[RareRead], order: &mut Vec<u8>) -> Option<()> {
        let mut cells = cells.iter().peekable();
        let (mut position, mut new_position) = (0, 0);
        while let Some((element, rest)) = split_varint(stored) {
            stored = rest;
            let (place, source) = match usize::try_from(element).ok()?.checked_sub(1) {
                Some(column) => {
                    let value = walk.next_values.get_mut(column)?;
                    *value += 1;
                    (Some(walk.places[column]), Some(Source::Column(column, *value - 1)))
                }
                None => {
                    let cell = cells.next_if(|cell| cell.position == position).copied();
                    position += 1;
                    match cell {
                        Some(cell) => (Some((*walk.rare_places.get(cell.entry as usize)?)?), Some(Source::Rare(cell))),
                        // A residual one.
                        None => (None, None),
                    }
                }
            };
            match (place, source) {
                (Some(Place::Column(ordinal)), Some(Source::Rare(cell))) => self.to_columns.entry(ordinal).or_default().push((row, cell)),
                (Some(Place::Rare(entry)), Some(source)) => self.to_rare.push((entry, row, new_position, source)),
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
        let (values, _) = self.rare.values_of(&cells.first()?.1)?;
        let at = |cell: &RareRead| self.rare.values_of(cell).map(|(_, at)| at);
        let taken = cells.iter().filter_map(|(_, cell)| at(cell));
        let values = match values {
            DecodedValues::Int64(values) => DecodedValues::Int64(taken.map(|at| values[at]).collect()),
            DecodedValues::Double(values) => DecodedValues::Double(taken.map(|at| values[at]).collect()),
            DecodedValues::Bool(values) => DecodedValues::Bool(taken.map(|at| values[at]).collect()),
            DecodedValues::Codes(codes, strings) => DecodedValues::Codes(taken.map(|at| codes[at]).collect(), Arc::clone(strings)),
            _ => return None,
        };
        Some(Decoded { rows: Some(cells.iter().map(|(row, _)| *row).collect()), values })
    }

    /// The values that a source is among, and its position there.
    fn values_of(&self, source: &Source) -> Option<(&DecodedValues, usize)> {
        match source {
            Source::Rare(cell) => self.rare.values_of(cell),
            Source::Column(column, at) => Some((&self.left_columns.get(column)?.values, *at as usize)),
        }
    }
}

/// What is the same for all rows of a part.
struct Walk<'p> {
    places: &'p [Place],
    rare_places: &'p [Option<Place>],
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
        let maps = row_maps(rows);
        // Streams by the address of their values, which live as long as the parts.
        let mut known: BTreeMap<*const DecodedValues, u32> = BTreeMap::new();
        let mut num_strings = 0;
        for ((part, moved), map) in parts.iter().zip(moved).zip(&maps) {
            let Some(moved) = moved else { continue };
            for (entry, row, position, source) in &moved.to_rare {
                let new_row = map[*row as usize];
                if new_row == NOT_TAKEN {
                    continue;
                }
                let (values, value) = moved.values_of(source).ok_or_else(|| part.mistyped(ORDER))?;
                if value >= values.len() {
                    return Err(part.mistyped(ORDER));
                }
                let stream = match known.get(&std::ptr::from_ref(values)) {
                    Some(stream) => *stream,
                    None => {
                        let stream = merge.add_stream(values, &mut num_strings).ok_or_else(|| part.mistyped(ORDER))?;
                        known.insert(std::ptr::from_ref(values), stream);
                        stream
                    }
                };
                merge.cells.push(RareCell { entry: *entry, row: new_row, position: *position, stream, value: value as u32 });
            }
        }
        if merge.cells.len() > MAX_ROWS {
            return Err(MergeError::TooLarge("a row group has more attributes than a table can have"));
        }
        Ok(merge)
    }

    fn add_stream(&mut self, values: &'a DecodedValues, num_strings: &mut u32) -> Option<u32> {
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
        Some(self.streams.len() as u32 - 1)
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
