//! One Parquet file of an opened block: its footer in memory, its columns read on demand.

use super::meta::{BlockMeta, FileMeta};
use super::parquet::{ColumnReader, Decoded, DecodedValues, FetchedRanges, ReadError};
use super::parts::Weighed;
use super::rare::{RARE_METADATA, RareList};
use super::reader::{BlockError, Damage, MAX_PART_BYTES, RangeRead, damaged, listed};
use super::schema::{ATTRIBUTES_METADATA, AttributeEntry, META_FILE, RESIDUAL_KEYS_METADATA};
use foldhash::fast::RandomState;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// One Parquet file of a block: its footer, and where its columns are.
pub struct Table {
    file: String,
    metadata: Arc<ParquetMetaData>,
    leaves: HashMap<String, usize, RandomState>,
    attributes: Vec<AttributeEntry>,
    residual_keys: Vec<String>,
    rare: RareList,
    damage: Arc<Damage>,
}

impl Table {
    pub(super) fn open(meta: &BlockMeta, files: &dyn RangeRead, file: &str, damage: &Arc<Damage>) -> Result<Self, BlockError> {
        let metadata = read_footer(files, listed(meta, file)?, damage)?;
        let schema = metadata.file_metadata().schema_descr();
        let leaves = (0..schema.num_columns()).map(|leaf| (schema.column(leaf).name().to_string(), leaf)).collect();
        let listed = metadata_entry(&metadata, ATTRIBUTES_METADATA).unwrap_or("[]");
        let attributes = serde_json::from_str(listed).map_err(|error| damaged(file, error))?;
        let listed = metadata_entry(&metadata, RESIDUAL_KEYS_METADATA).unwrap_or("[]");
        let residual_keys = serde_json::from_str(listed).map_err(|error| damaged(file, error))?;
        let num_rows: Vec<usize> = metadata.row_groups().iter().map(|group| group.num_rows().max(0) as usize).collect();
        let rare = metadata_entry(&metadata, RARE_METADATA).map(|listed| RareList::parse(listed, &num_rows));
        let rare = rare.transpose().map_err(|error| damaged(file, error))?.unwrap_or_default();
        Ok(Table { file: file.to_string(), metadata, leaves, attributes, residual_keys, rare, damage: Arc::clone(damage) })
    }

    /// Of a table of rare attributes: which there are.
    pub fn rare_list(&self) -> &RareList {
        &self.rare
    }

    /// The footer.
    pub(super) fn metadata(&self) -> &ParquetMetaData {
        &self.metadata
    }

    /// The file's name.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The names of its columns.
    pub fn leaf_names(&self) -> impl Iterator<Item = &str> {
        self.leaves.keys().map(String::as_str)
    }

    /// Attribute columns; a column's position is its ordinal in the order of attributes.
    pub fn attributes(&self) -> &[AttributeEntry] {
        &self.attributes
    }

    /// Keys of attributes of which some values have no column of their own.
    pub fn residual_keys(&self) -> &[String] {
        &self.residual_keys
    }

    /// Number of row groups.
    pub fn num_row_groups(&self) -> usize {
        self.metadata.num_row_groups()
    }

    /// Number of rows of a row group.
    pub fn num_rows(&self, group: usize) -> usize {
        self.metadata.row_groups().get(group).map_or(0, |group| group.num_rows().max(0) as usize)
    }

    /// A text entry of the file's metadata.
    pub fn metadata_entry(&self, key: &str) -> Option<&str> {
        metadata_entry(&self.metadata, key)
    }

    /// A reader for one column of one row group; `None` if the file has no such leaf.
    pub fn column(&self, group: usize, leaf: &str) -> Result<Option<ColumnReader>, BlockError> {
        let Some(&leaf) = self.leaves.get(leaf) else { return Ok(None) };
        ColumnReader::new(Arc::clone(&self.metadata), group, leaf).map(Some).map_err(|error| self.damage(&error))
    }

    /// Reads and decodes a column of a row group whole; `None` if the file has no such leaf.
    pub fn decode(&self, files: &dyn RangeRead, group: usize, leaf: &str) -> Result<Option<Decoded>, BlockError> {
        let Some(column) = self.column(group, leaf)? else { return Ok(None) };
        let fetched = self.fetch(files, column.bytes_of_all())?;
        column.decode_all(&fetched).map(Some).map_err(|error| self.damage(&error))
    }

    /// As [`decode`](Self::decode), only some ascending rows.
    pub fn decode_some(&self, files: &dyn RangeRead, group: usize, leaf: &str, rows: &[u32]) -> Result<Option<Decoded>, BlockError> {
        let Some(column) = self.column(group, leaf)? else { return Ok(None) };
        let fetched = self.fetch(files, column.bytes_of_some(rows))?;
        column.decode_some(&fetched, rows).map(Some).map_err(|error| self.damage(&error))
    }

    /// As [`decode`](Self::decode) for a column that every such file has.
    pub fn decode_required(&self, files: &dyn RangeRead, group: usize, leaf: &str) -> Result<Decoded, BlockError> {
        self.decode(files, group, leaf)?.ok_or_else(|| self.damage.error(&self.file, format!("column {leaf} is missing")))
    }

    /// As [`decode_required`](Self::decode_required) for a column that has a value in every row.
    pub fn decode_dense(&self, files: &dyn RangeRead, group: usize, leaf: &str) -> Result<DecodedValues, BlockError> {
        let decoded = self.decode_required(files, group, leaf)?;
        if decoded.rows.is_none() { Ok(decoded.values) } else { Err(self.mistyped(leaf)) }
    }

    /// Reads ranges of the file.
    pub fn fetch(&self, files: &dyn RangeRead, ranges: Vec<Range<u64>>) -> Result<FetchedRanges, BlockError> {
        if ranges.is_empty() {
            return Ok(FetchedRanges::new(Vec::new()));
        }
        let parts = files.read(&self.file, &ranges)?;
        Ok(FetchedRanges::new(ranges.iter().map(|range| range.start).zip(parts).collect()))
    }

    /// The error for bytes of this file that make no sense.
    pub fn damage(&self, error: &ReadError) -> BlockError {
        self.damage.error(&self.file, error)
    }

    /// The error for a column of another type than it should have.
    pub fn mistyped(&self, leaf: &str) -> BlockError {
        self.damage.error(&self.file, format!("column {leaf} has another type"))
    }
}

fn metadata_entry<'a>(metadata: &'a ParquetMetaData, key: &str) -> Option<&'a str> {
    let entries = metadata.file_metadata().key_value_metadata()?;
    entries.iter().find(|entry| entry.key == key)?.value.as_deref()
}

fn read_footer(files: &dyn RangeRead, listed: &FileMeta, damage: &Damage) -> Result<Arc<ParquetMetaData>, BlockError> {
    let file = &listed.name;
    let no_footer = || damaged(META_FILE, format!("the footer of {file} is not listed"));
    let footer = listed.footer.filter(|footer| footer.bytes <= listed.bytes.min(MAX_PART_BYTES)).ok_or_else(no_footer)?;
    let range = listed.bytes - footer.bytes..listed.bytes;
    let part = files.read(file, std::slice::from_ref(&range))?.pop().unwrap_or_default();
    if part.len() as u64 != footer.bytes || crc32c::crc32c(&part) != footer.crc32c {
        return Err(damage.error(file, "the checksum of its footer is wrong"));
    }
    let mut reader = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Optional);
    reader.try_parse_sized(&part, listed.bytes).map_err(|error| damage.error(file, error))?;
    reader.finish().map(Arc::new).map_err(|error| damage.error(file, error))
}

impl Weighed for Table {
    fn memory(&self) -> usize {
        let names: usize = self.leaves.keys().map(|name| name.len() + 64).sum();
        let attributes: usize = self.attributes.iter().map(|entry| size_of_val(entry) + entry.leaf.len() + entry.key.len()).sum();
        let keys: usize = self.residual_keys.iter().map(|key| key.len() + 24).sum();
        self.metadata.memory_size() + names + attributes + keys + self.rare.memory()
    }
}
