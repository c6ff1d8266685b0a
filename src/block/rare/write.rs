//! Writing a table of rare attributes.

use super::fill::{LeafFill, LeafValues};
use super::listed::RARE_METADATA;
use super::placed::{Cells as RareCells, Placed};
use super::{KEY, POSITION, ROW, RareEntry, RareList, ValueLeaf};
use crate::block::catalogue::{ColumnCollector, ColumnName, MAX_FILTERS};
use crate::block::choice::Chosen;
use crate::block::dictionary_chunk::Entries;
use crate::block::gather::NOT_TAKEN;
use crate::block::meta::FileMeta;
use crate::block::output::BlockSink;
use crate::block::parquet::MAX_ROWS;
use crate::block::recode::i32_codes;
use crate::block::table::{Cells, Coding, Leaf, LeafType, RowGroup, TableWriter};
use crate::columns::value::ValueRef;
use parquet::errors::ParquetError;

/// Most bytes of values that are listed for the catalogue, which has room for fewer: there may be many attributes.
const MAX_LISTED_BYTES: usize = 4 << 20;

/// A table of rare attributes under construction.
pub struct RareWriter {
    table: TableWriter,
    list: RareList,
    /// The column of each attribute's values.
    leaf_of: Vec<ValueLeaf>,
    /// The columns that there are.
    leaves: Vec<ValueLeaf>,
    collected: Collected,
}

impl RareWriter {
    /// Starts a table of these attributes in a block of about so many spans; `None` if there are none.
    pub fn start(sink: &dyn BlockSink, file: &str, rare: &[Chosen], num_spans: usize) -> Result<Option<Self>, ParquetError> {
        if rare.is_empty() {
            return Ok(None);
        }
        let leaf_of: Vec<ValueLeaf> = rare.iter().map(|attribute| ValueLeaf::of(attribute.kind, attribute.mostly_unique)).collect();
        let mut leaves = leaf_of.clone();
        leaves.sort_unstable();
        leaves.dedup();
        let mut columns = vec![
            Leaf::required(KEY, LeafType::Text, Coding::DictionaryZstd),
            Leaf::required(ROW, LeafType::I32, Coding::Delta),
            Leaf::required(POSITION, LeafType::I32, Coding::DictionaryZstd),
        ];
        columns.extend(leaves.iter().map(|leaf| value_leaf(*leaf)));
        let entry = |attribute: &Chosen| RareEntry {
            key: attribute.key.clone(),
            kind: attribute.kind.name().to_string(),
            unique: attribute.mostly_unique,
        };
        let name = |attribute: &Chosen| ColumnName::Attribute { key: attribute.key.clone(), kind: attribute.kind };
        let collectors = rare.iter().map(|attribute| ColumnCollector::new(name(attribute), num_spans)).collect();
        Ok(Some(RareWriter {
            table: TableWriter::new(sink, file, &columns, Vec::new())?,
            list: RareList::new(rare.iter().map(entry).collect()),
            leaf_of,
            leaves,
            collected: Collected { collectors, counts: Vec::new() },
        }))
    }

    /// The same with the trigrams of texts collected, too: for a block that stays.
    pub fn with_trigrams(mut self) -> Self {
        self.collected.collectors = self.collected.collectors.into_iter().map(ColumnCollector::with_trigrams).collect();
        self
    }

    /// Writes the attributes of the next row group, whose first row has this number. `fill` is called for one column of values after
    /// the other and fills it.
    pub fn write<E: From<ParquetError>>(
        &mut self,
        cells: RareCells,
        first_row: usize,
        mut fill: impl FnMut(&mut LeafFill<'_>, &RareCells) -> Result<(), E>,
    ) -> Result<(), E> {
        let RareCells { rows, positions, runs } = cells;
        let twice = || general("a row has a rare attribute twice");
        let mut placed = Placed::sort(rows, &runs, self.list.entries.len()).ok_or_else(twice)?;
        if placed.num_cells() > MAX_ROWS {
            return Err(general("a row group has more rare attributes than a reader takes").into());
        }
        let count = |entry| placed.of_entry(entry).len() as u32;
        self.list.counts.push((0..self.list.entries.len()).map(count).collect());
        if placed.num_cells() == 0 {
            return Ok(());
        }
        let mut out = self.table.row_group()?;
        write_keys(&self.list.entries, &placed, &mut out)?;
        let rows = std::mem::take(&mut placed.rows);
        out.column(Cells::I32(&rows.into_iter().map(|row| (first_row as u32 + row) as i32).collect::<Vec<_>>()), None)?;
        write_positions(positions, &placed, &mut out)?;
        let cells = RareCells { rows: Vec::new(), positions: Vec::new(), runs };
        for leaf in &self.leaves {
            let mut filling = LeafFill::new(*leaf, &self.leaf_of, &placed);
            if filling.num_cells() > 0 {
                fill(&mut filling, &cells)?;
            }
            let values = filling.finish().ok_or_else(|| general("a rare attribute has no value"))?;
            let is_of_leaf = |entry: &usize| self.leaf_of[*entry] == *leaf;
            let entries = || (0..self.leaf_of.len()).filter(is_of_leaf).map(|entry| (entry, placed.of_entry(entry)));
            let mut levels = vec![0; placed.num_cells()];
            entries().for_each(|(_, range)| levels[range].fill(1));
            self.collected.add(&values, entries().map(|(entry, range)| (entry, range.len())));
            write_values(values, &levels, &mut out)?;
        }
        self.collected.limit();
        Ok(out.finish()?)
    }

    /// Ends the file; tells what `meta.json` has to list, and what was collected for the catalogue.
    pub fn finish(mut self) -> Result<(FileMeta, Vec<ColumnCollector>), ParquetError> {
        // Lists of numbers and texts always serialise.
        self.table.add_metadata(RARE_METADATA, serde_json::to_string(&self.list).unwrap_or_default());
        Ok((self.table.finish()?, self.collected.collectors))
    }
}

fn general(reason: &str) -> ParquetError {
    ParquetError::General(reason.to_string())
}

fn value_leaf(leaf: ValueLeaf) -> Leaf {
    let (kind, coding) = match leaf {
        ValueLeaf::Int => (LeafType::I64, Coding::Delta),
        ValueLeaf::Double => (LeafType::F64, Coding::PlainZstd),
        ValueLeaf::Bool => (LeafType::Bool, Coding::Plain),
        ValueLeaf::Text => (LeafType::Text, Coding::DictionaryZstd),
        ValueLeaf::UniqueText => (LeafType::Text, Coding::PlainZstd),
        ValueLeaf::Any => (LeafType::Bytes, Coding::DictionaryZstd),
        ValueLeaf::UniqueAny => (LeafType::Bytes, Coding::PlainZstd),
    };
    Leaf::optional(leaf.name(), kind, coding)
}

fn write_keys(entries: &[RareEntry], placed: &Placed, out: &mut RowGroup<'_>) -> Result<(), ParquetError> {
    let mut keys: Vec<&str> = Vec::new();
    let mut codes = Vec::with_capacity(placed.num_cells());
    for (entry, range) in entries.iter().zip((0..entries.len()).map(|entry| placed.of_entry(entry))).filter(|(_, range)| !range.is_empty())
    {
        // Attributes of several kinds with one key are neighbours.
        if keys.last() != Some(&entry.key.as_str()) {
            keys.push(&entry.key);
        }
        codes.resize(range.end, keys.len() as u32 - 1);
    }
    out.column(Cells::Coded(&codes, &Entries::strings(keys.iter().map(|key| key.as_bytes()))), None)
}

/// Positions up to this are their own codes: a page then takes only the bits of the greatest in it.
const MAX_CODED_POSITION: u32 = 1023;

/// Writes the positions, which are given as the sources have them.
fn write_positions(positions: Vec<u32>, placed: &Placed, out: &mut RowGroup<'_>) -> Result<(), ParquetError> {
    let mut codes = vec![0; placed.num_cells()];
    for (position, place) in positions.iter().zip(&placed.places).filter(|(_, place)| **place != NOT_TAKEN) {
        codes[*place as usize] = *position;
    }
    let max = codes.iter().copied().max().unwrap_or(0);
    if max <= MAX_CODED_POSITION {
        return out.column(Cells::Coded(&codes, &Entries::fixed((0..=max).map(u32::to_le_bytes))), None);
    }
    let (codes, entries) = i32_codes(&codes.into_iter().map(|position| position as i32).collect::<Vec<_>>());
    out.column(Cells::Coded(&codes, &entries), None)
}

fn write_values(values: LeafValues, levels: &[i16], out: &mut RowGroup<'_>) -> Result<(), ParquetError> {
    match values {
        LeafValues::Int(values) => out.column(Cells::I64(&values), Some(levels)),
        LeafValues::Double(values) => out.column(Cells::F64(&values), Some(levels)),
        LeafValues::Bool(values) => out.column(Cells::Bool(&values), Some(levels)),
        LeafValues::Unique(values) => out.column(Cells::Bytes(values), Some(levels)),
        LeafValues::Coded(mut codes, recoder) => {
            let entries = recoder.in_order_of_use(&mut codes);
            out.column(Cells::Coded(&codes, &entries), Some(levels))
        }
    }
}

/// What the catalogue will say of each attribute.
struct Collected {
    collectors: Vec<ColumnCollector>,
    /// How often each code of a column occurs; all 0 between attributes.
    counts: Vec<u64>,
}

impl Collected {
    /// Adds the values of a column: `entries` are its attributes in order, each with the number of its values.
    fn add(&mut self, values: &LeafValues, entries: impl Iterator<Item = (usize, usize)>) {
        let mut num_filters = self.collectors.iter().filter(|collector| collector.has_filter()).count();
        let mut first = 0;
        for (entry, num_values) in entries.filter(|(_, num_values)| *num_values > 0) {
            let collector = &mut self.collectors[entry];
            let (had_filter, may_filter) = (collector.has_filter(), num_filters < MAX_FILTERS);
            let range = first..first + num_values;
            first = range.end;
            match values {
                LeafValues::Int(values) => collector.add_values(values[range].iter().map(|value| ValueRef::Int(*value)), may_filter),
                LeafValues::Double(values) => collector.add_values(values[range].iter().map(|value| ValueRef::Double(*value)), may_filter),
                LeafValues::Bool(values) => collector.add_values(values[range].iter().map(|value| ValueRef::Bool(*value)), may_filter),
                LeafValues::Unique(values) => {
                    collector.add_values(values[range].iter().map(|value| ValueRef::Any(value.data())), may_filter);
                }
                LeafValues::Coded(codes, recoder) => {
                    self.counts.resize(self.counts.len().max(recoder.num_codes()), 0);
                    let mut distinct = Vec::new();
                    for code in &codes[range] {
                        let count = &mut self.counts[*code as usize];
                        if *count == 0 {
                            distinct.push(*code);
                        }
                        *count += 1;
                    }
                    let counted = distinct.iter().map(|code| (recoder.string(*code), std::mem::take(&mut self.counts[*code as usize])));
                    collector.add_counted(counted, may_filter);
                }
            }
            num_filters += usize::from(collector.has_filter() && !had_filter);
        }
    }

    /// Sees to it that lists of values do not take too much memory.
    fn limit(&mut self) {
        let mut listed_bytes = 0;
        for collector in &mut self.collectors {
            listed_bytes += collector.listed_bytes();
            if listed_bytes > MAX_LISTED_BYTES {
                collector.stop_collecting();
            }
        }
    }
}
