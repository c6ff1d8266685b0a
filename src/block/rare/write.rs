//! Writing a table of rare attributes.

use super::listed::RARE_METADATA;
use super::{KEY, POSITION, ROW, RareCell, RareEntry, RareGroup, RareList, Stream, ValueLeaf};
use crate::block::catalogue::{ColumnCollector, ColumnName, MAX_FILTERS};
use crate::block::choice::Chosen;
use crate::block::dictionary_chunk::Entries;
use crate::block::meta::FileMeta;
use crate::block::output::BlockSink;
use crate::block::parquet::MAX_ROWS;
use crate::block::recode::{CodeSpace, Recoder, i32_codes};
use crate::block::table::{Cells, Coding, Leaf, LeafType, RowGroup, TableWriter};
use crate::columns::value::ValueRef;
use bytes::Bytes;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use std::ops::Range;

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
    /// What the catalogue will say of each attribute.
    collectors: Vec<ColumnCollector>,
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
        Ok(Some(RareWriter {
            table: TableWriter::new(sink, file, &columns, Vec::new())?,
            list: RareList::new(rare.iter().map(entry).collect()),
            leaf_of,
            leaves,
            collectors: rare.iter().map(|attribute| ColumnCollector::new(name(attribute), num_spans)).collect(),
        }))
    }

    /// The same with the trigrams of texts collected, too: for a block that stays.
    pub fn with_trigrams(mut self) -> Self {
        self.collectors = self.collectors.into_iter().map(ColumnCollector::with_trigrams).collect();
        self
    }

    /// Writes the attributes of the next row group, whose first row has this number.
    pub fn write(&mut self, group: RareGroup<'_>, first_row: usize) -> Result<(), ParquetError> {
        let RareGroup { mut cells, streams, space } = group;
        if cells.len() > MAX_ROWS {
            return Err(ParquetError::General("a row group has more rare attributes than a reader takes".into()));
        }
        cells.sort_unstable_by_key(|cell| u64::from(cell.entry) << 32 | u64::from(cell.row));
        let ranges = self.count(&cells);
        if cells.is_empty() {
            return Ok(());
        }
        let values = Resolved { streams: &streams, space: &space };
        self.collect(&cells, &ranges, &values);
        let mut out = self.table.row_group()?;
        write_keys(&self.list.entries, &ranges, &mut out)?;
        out.column(Cells::I32(&cells.iter().map(|cell| (first_row as u32 + cell.row) as i32).collect::<Vec<_>>()), None)?;
        let (codes, entries) = i32_codes(&cells.iter().map(|cell| cell.position as i32).collect::<Vec<_>>());
        out.column(Cells::Coded(&codes, &entries), None)?;
        for leaf in &self.leaves {
            let of_leaf = |cell: &&RareCell| self.leaf_of[cell.entry as usize] == *leaf;
            let levels: Vec<i16> = cells.iter().map(|cell| i16::from(of_leaf(&cell))).collect();
            values.write(*leaf, cells.iter().filter(of_leaf), &levels, &mut out)?;
        }
        out.finish()
    }

    /// Notes how many cells each attribute has, and returns where they are.
    fn count(&mut self, cells: &[RareCell]) -> Vec<Range<usize>> {
        let mut counts = vec![0u32; self.list.entries.len()];
        cells.iter().for_each(|cell| counts[cell.entry as usize] += 1);
        let mut next = 0;
        let range = |count: &u32| {
            let first = next;
            next += *count as usize;
            first..next
        };
        let ranges = counts.iter().map(range).collect();
        self.list.counts.push(counts);
        ranges
    }

    fn collect(&mut self, cells: &[RareCell], ranges: &[Range<usize>], values: &Resolved<'_>) {
        let mut num_filters = self.collectors.iter().filter(|collector| collector.has_filter()).count();
        for (collector, range) in self.collectors.iter_mut().zip(ranges).filter(|(_, range)| !range.is_empty()) {
            let had_filter = collector.has_filter();
            collector.add_values(cells[range.clone()].iter().map(|cell| values.value(cell)), num_filters < MAX_FILTERS);
            num_filters += usize::from(collector.has_filter() && !had_filter);
        }
        let mut listed_bytes = 0;
        for collector in &mut self.collectors {
            listed_bytes += collector.listed_bytes();
            if listed_bytes > MAX_LISTED_BYTES {
                collector.stop_collecting();
            }
        }
    }

    /// Ends the file; tells what `meta.json` has to list, and what was collected for the catalogue.
    pub fn finish(mut self) -> Result<(FileMeta, Vec<ColumnCollector>), ParquetError> {
        // Lists of numbers and texts always serialise.
        self.table.add_metadata(RARE_METADATA, serde_json::to_string(&self.list).unwrap_or_default());
        Ok((self.table.finish()?, self.collectors))
    }
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

fn write_keys(entries: &[RareEntry], ranges: &[Range<usize>], out: &mut RowGroup<'_>) -> Result<(), ParquetError> {
    let mut keys: Vec<&str> = Vec::new();
    let mut codes = Vec::new();
    for (entry, range) in entries.iter().zip(ranges).filter(|(_, range)| !range.is_empty()) {
        // Attributes of several kinds with one key are neighbours.
        if keys.last() != Some(&entry.key.as_str()) {
            keys.push(&entry.key);
        }
        codes.resize(range.end, keys.len() as u32 - 1);
    }
    out.column(Cells::Coded(&codes, &Entries::strings(keys.iter().map(|key| key.as_bytes()))), None)
}

/// What cells refer to.
struct Resolved<'a> {
    streams: &'a [Stream<'a>],
    space: &'a CodeSpace<'a>,
}

impl<'a> Resolved<'a> {
    fn value(&self, cell: &RareCell) -> ValueRef<'a> {
        let at = cell.value as usize;
        match self.streams[cell.stream as usize] {
            Stream::Int(values) => ValueRef::Int(values[at]),
            Stream::Double(values) => ValueRef::Double(values[at]),
            Stream::Bool(values) => ValueRef::Bool(values[at]),
            Stream::Bytes(base, codes) => ValueRef::Any(self.space.get(base + codes[at])),
        }
    }

    /// Positions of strings in the space.
    fn positions<'c>(&self, cells: impl Iterator<Item = &'c RareCell>) -> impl Iterator<Item = u32> {
        cells.filter_map(|cell| match self.streams[cell.stream as usize] {
            Stream::Bytes(base, codes) => Some(base + codes[cell.value as usize]),
            _ => None,
        })
    }

    fn write<'c>(
        &self,
        leaf: ValueLeaf,
        cells: impl Iterator<Item = &'c RareCell>,
        levels: &[i16],
        out: &mut RowGroup<'_>,
    ) -> Result<(), ParquetError> {
        macro_rules! numbers {
            ($value:ident, $cells:ident) => {{
                let value = |cell: &RareCell| if let ValueRef::$value(value) = self.value(cell) { Some(value) } else { None };
                out.column(Cells::$cells(&cells.filter_map(value).collect::<Vec<_>>()), Some(levels))
            }};
        }
        match leaf {
            ValueLeaf::Int => numbers!(Int, I64),
            ValueLeaf::Double => numbers!(Double, F64),
            ValueLeaf::Bool => numbers!(Bool, Bool),
            ValueLeaf::Text | ValueLeaf::Any => {
                let mut recoder = Recoder::default();
                recoder.start(self.space);
                let codes: Vec<u32> = self.positions(cells).map(|position| recoder.code(self.space, position)).collect();
                out.column(Cells::Coded(&codes, &recoder.entries()), Some(levels))
            }
            ValueLeaf::UniqueText | ValueLeaf::UniqueAny => {
                out.column(Cells::Bytes(byte_arrays(self.positions(cells).map(|position| self.space.get(position)))), Some(levels))
            }
        }
    }
}

/// Copies of byte strings in one buffer.
fn byte_arrays<'a>(values: impl Iterator<Item = &'a [u8]>) -> Vec<ByteArray> {
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    for value in values {
        bytes.extend_from_slice(value);
        ends.push(bytes.len());
    }
    let bytes = Bytes::from(bytes);
    let mut start = 0;
    let slice = |end: usize| {
        let value = bytes.slice(start..end);
        start = end;
        value.into()
    };
    ends.into_iter().map(slice).collect()
}
