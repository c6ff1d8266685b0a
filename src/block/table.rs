//! Writing one Parquet file: leaves with an encoding and codec each, row group by row group.

use super::catalogue::{ColumnCollector, ColumnName, CountedColumn, MAX_FILTERS, SpanCounter};
use super::checked_pages::CheckedPages;
use super::dictionary_chunk::{Coded, Entries, PAGE_ROWS, encode_chunk};
use super::meta::FileMeta;
use super::output::{BlockSink, Output};
use super::schema::ORDER;
use bytes::Bytes;
use parquet::basic::{Compression, Encoding, IntType, LogicalType, Repetition, TimeUnit, Type as Physical, ZstdLevel};
use parquet::column::writer::{ColumnCloseResult, ColumnWriter, get_column_writer};
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterPropertiesPtr};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{ColumnDescPtr, ColumnPath, Type};
use std::sync::Arc;

/// What a leaf holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LeafType {
    /// 32-bit integer.
    I32,
    /// 64-bit integer.
    I64,
    /// Unsigned 64-bit integer, as its bit pattern.
    U64,
    /// Unix nanoseconds.
    Timestamp,
    /// Double.
    F64,
    /// Boolean.
    Bool,
    /// UTF-8.
    Text,
    /// Any bytes.
    Bytes,
    /// 16 bytes.
    TraceId,
}

/// How a leaf is coded: the measured choices of shared/design.md §3.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Coding {
    /// Plain, uncompressed: ids.
    Plain,
    /// Plain, zstd 1: unique strings, offsets.
    PlainZstd,
    /// Delta, uncompressed: times and durations.
    Delta,
    /// Dictionary, uncompressed: what does not compress further.
    Dictionary,
    /// Dictionary, lz4: everything that repeats.
    DictionaryLz4,
    /// Dictionary, zstd 1: in blocks that stay ([`Leaf::packed`]).
    DictionaryZstd,
}

/// A column of the file.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// Its name; dots are part of it.
    pub name: String,
    /// What it holds.
    pub kind: LeafType,
    /// How it is coded.
    pub coding: Coding,
    /// Whether rows may lack a value.
    pub optional: bool,
    /// Whether pages carry min and max (times, durations, numbers); null counts are always written.
    pub page_statistics: bool,
    /// What the catalogue calls it, if it is to have it.
    pub catalogued: Option<ColumnName>,
}

impl Leaf {
    /// A leaf with a value in every row.
    pub fn required(name: &str, kind: LeafType, coding: Coding) -> Self {
        Leaf { name: name.to_string(), kind, coding, optional: false, page_statistics: false, catalogued: None }
    }

    /// A leaf that rows may lack.
    pub fn optional(name: &str, kind: LeafType, coding: Coding) -> Self {
        Leaf { optional: true, ..Leaf::required(name, kind, coding) }
    }

    /// The same with min and max for each page.
    pub fn with_page_statistics(self) -> Self {
        Leaf { page_statistics: true, ..self }
    }

    /// The same as a column of the catalogue.
    pub fn catalogued(self, name: ColumnName) -> Self {
        Leaf { catalogued: Some(name), ..self }
    }

    /// The same for a merged block, which is kept for long: attributes and trace ids take 1.6 bytes a span less with zstd and a
    /// little more time to read. What most queries scan, the intrinsics, stays as it is, as it would hardly be smaller.
    pub fn packed(self) -> Self {
        let is_attribute = matches!(self.catalogued, Some(ColumnName::Attribute { .. })) || self.name == ORDER;
        let coding = match self.coding {
            Coding::Dictionary => Coding::DictionaryZstd,
            Coding::DictionaryLz4 if is_attribute => Coding::DictionaryZstd,
            other => other,
        };
        Leaf { coding, ..self }
    }

    fn to_type(&self) -> Result<Type, ParquetError> {
        let integer = |signed| Some(LogicalType::Integer(IntType { bit_width: 64, is_signed: signed }));
        let (physical, logical, length) = match self.kind {
            LeafType::I32 => (Physical::INT32, None, 0),
            LeafType::I64 => (Physical::INT64, None, 0),
            LeafType::U64 => (Physical::INT64, integer(false), 0),
            LeafType::Timestamp => (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::NANOS)), 0),
            LeafType::F64 => (Physical::DOUBLE, None, 0),
            LeafType::Bool => (Physical::BOOLEAN, None, 0),
            LeafType::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String), 0),
            LeafType::Bytes => (Physical::BYTE_ARRAY, None, 0),
            LeafType::TraceId => (Physical::FIXED_LEN_BYTE_ARRAY, None, 16),
        };
        let repetition = if self.optional { Repetition::OPTIONAL } else { Repetition::REQUIRED };
        Type::primitive_type_builder(&self.name, physical)
            .with_logical_type(logical)
            .with_length(length)
            .with_repetition(repetition)
            .build()
    }

    fn apply(&self, builder: WriterPropertiesBuilder) -> Result<WriterPropertiesBuilder, ParquetError> {
        let path = || ColumnPath::new(vec![self.name.clone()]);
        let zstd = Compression::ZSTD(ZstdLevel::try_new(1)?);
        let (encoding, codec) = match self.coding {
            Coding::Plain => (Some(Encoding::PLAIN), Compression::UNCOMPRESSED),
            Coding::PlainZstd => (Some(Encoding::PLAIN), zstd),
            Coding::Delta => (Some(Encoding::DELTA_BINARY_PACKED), Compression::UNCOMPRESSED),
            Coding::Dictionary => (None, Compression::UNCOMPRESSED),
            Coding::DictionaryLz4 => (None, Compression::LZ4_RAW),
            Coding::DictionaryZstd => (None, zstd),
        };
        let statistics = if self.page_statistics { EnabledStatistics::Page } else { EnabledStatistics::Chunk };
        let builder = builder
            .set_column_compression(path(), codec)
            .set_column_dictionary_enabled(path(), encoding.is_none())
            .set_column_statistics_enabled(path(), statistics);
        Ok(match encoding {
            Some(encoding) => builder.set_column_encoding(path(), encoding),
            None => builder,
        })
    }
}

/// Values of a leaf for one row group: those that are not null, in row order.
pub enum Cells<'a> {
    /// For `I32`.
    I32(&'a [i32]),
    /// For `I64`, `U64`, `Timestamp`.
    I64(&'a [i64]),
    /// For `F64`.
    F64(&'a [f64]),
    /// For `Bool`.
    Bool(&'a [bool]),
    /// For `Text`, `Bytes` and, with 16 bytes each, `TraceId`.
    Bytes(Vec<ByteArray>),
    /// For any leaf with a dictionary, where the codes are known.
    Coded(&'a [u32], &'a Entries),
}

/// A Parquet file under construction.
pub struct TableWriter {
    writer: SerializedFileWriter<Output>,
    columns: Vec<ColumnDescPtr>,
    properties: WriterPropertiesPtr,
    /// For each leaf, what the catalogue will say of it.
    collectors: Vec<Option<ColumnCollector>>,
    counter: Option<SpanCounter>,
}

impl TableWriter {
    /// Starts a file with these leaves.
    pub fn new(sink: &dyn BlockSink, file: &str, leaves: &[Leaf], metadata: Vec<(&str, String)>) -> Result<Self, ParquetError> {
        let fields = leaves.iter().map(|leaf| leaf.to_type().map(Arc::new)).collect::<Result<Vec<_>, _>>()?;
        let schema = Type::group_type_builder("conmoto").with_fields(fields).build()?;
        let mut builder = common_properties()
            .set_key_value_metadata(Some(metadata.into_iter().map(|(key, value)| KeyValue::new(key.to_string(), value)).collect()));
        for leaf in leaves {
            builder = leaf.apply(builder)?;
        }
        let properties = Arc::new(builder.build());
        let writer = SerializedFileWriter::new(Output::create(sink, file)?, Arc::new(schema), Arc::clone(&properties))?;
        let columns = writer.schema_descr().columns().to_vec();
        Ok(TableWriter { writer, columns, properties, collectors: vec![None; leaves.len()], counter: None })
    }

    /// Has the columns that the catalogue is to have collected, of a block with about that many spans.
    pub fn collecting(mut self, leaves: &[Leaf], num_spans: usize) -> Self {
        let collector = |leaf: &Leaf| leaf.catalogued.clone().map(|name| ColumnCollector::new(name, num_spans));
        self.collectors = leaves.iter().map(collector).collect();
        self
    }

    /// Has trigrams of texts collected, too: for a block that stays.
    pub fn with_trigrams(mut self) -> Self {
        let collectors = std::mem::take(&mut self.collectors);
        self.collectors = collectors.into_iter().map(|collector| collector.map(ColumnCollector::with_trigrams)).collect();
        self
    }

    /// Has spans counted for the catalogue.
    pub fn counting_spans(self) -> Self {
        TableWriter { counter: Some(SpanCounter::default()), ..self }
    }

    /// What was counted; to be called when all row groups are written.
    pub fn take_counted(&mut self) -> Option<SpanCounter> {
        self.counter.take()
    }

    /// What was collected; to be called when all row groups are written.
    pub fn take_collected(&mut self) -> Vec<ColumnCollector> {
        std::mem::take(&mut self.collectors).into_iter().flatten().collect()
    }

    /// Starts the next row group; its columns are written in the order of the leaves.
    pub fn row_group(&mut self) -> Result<RowGroup<'_>, ParquetError> {
        let num_filters = self.collectors.iter().flatten().filter(|collector| collector.has_filter()).count();
        let (columns, collectors) = (self.columns.iter(), self.collectors.iter_mut());
        Ok(RowGroup {
            writer: self.writer.next_row_group()?,
            columns,
            properties: &self.properties,
            collectors,
            num_filters,
            counter: self.counter.as_mut(),
        })
    }

    /// Adds a metadata entry that was not known at the start.
    pub fn add_metadata(&mut self, key: &str, value: String) {
        self.writer.append_key_value_metadata(KeyValue::new(key.to_string(), value));
    }

    /// Ends the file and tells what `meta.json` has to list.
    pub fn finish(mut self) -> Result<FileMeta, ParquetError> {
        // Page indexes and footer follow what was written so far.
        let footer = self.writer.bytes_written() as u64;
        self.writer.inner_mut().start_footer(footer);
        Ok(self.writer.into_inner()?.finish()?)
    }
}

/// A row group under construction.
pub struct RowGroup<'a> {
    writer: SerializedRowGroupWriter<'a, Output>,
    /// Leaves not yet written.
    columns: std::slice::Iter<'a, ColumnDescPtr>,
    properties: &'a WriterPropertiesPtr,
    /// Those of leaves not yet written.
    collectors: std::slice::IterMut<'a, Option<ColumnCollector>>,
    /// Filters that the collectors have under construction.
    num_filters: usize,
    counter: Option<&'a mut SpanCounter>,
}

impl RowGroup<'_> {
    /// Writes the next column; `levels` has one entry a row, 1 where there is a value, and is absent for required leaves.
    pub fn column(&mut self, cells: Cells<'_>, levels: Option<&[i16]>) -> Result<(), ParquetError> {
        let too_many = || ParquetError::General("more columns than leaves".into());
        let description = self.columns.next().ok_or_else(too_many)?;
        if let Some(Some(collector)) = self.collectors.next() {
            let had_filter = collector.has_filter();
            collector.add(&cells, self.num_filters < MAX_FILTERS);
            self.num_filters += usize::from(collector.has_filter() && !had_filter);
        }
        if let (Some(counter), Some(column)) = (&mut self.counter, CountedColumn::of_leaf(description.name())) {
            counter.add(column, &cells);
        }
        let (chunk, close) = match cells {
            Cells::Coded(codes, entries) => {
                let codec = self.properties.compression(description.path());
                encode_chunk(description, codec, &Coded { codes, entries, levels })?
            }
            cells => encode_values(description, self.properties, cells, levels)?,
        };
        self.writer.append_column(&chunk, close)
    }

    /// Ends the row group.
    pub fn finish(self) -> Result<(), ParquetError> {
        self.writer.close().map(drop)
    }
}

/// What all columns of all tables have in common.
fn common_properties() -> WriterPropertiesBuilder {
    WriterProperties::builder()
        .set_created_by(concat!("conmoto ", env!("CARGO_PKG_VERSION")).to_string())
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_write_page_header_statistics(false)
        .set_max_row_group_row_count(None)
}

fn delta_properties() -> WriterProperties {
    common_properties()
        .set_dictionary_enabled(false)
        .set_encoding(Encoding::DELTA_BINARY_PACKED)
        .set_compression(Compression::UNCOMPRESSED)
        .set_statistics_enabled(EnabledStatistics::Page)
        .build()
}

/// A chunk of values, as the `parquet` crate encodes them.
fn encode_values(
    column: &ColumnDescPtr,
    properties: &WriterPropertiesPtr,
    cells: Cells<'_>,
    levels: Option<&[i16]>,
) -> Result<(Bytes, ColumnCloseResult), ParquetError> {
    let mut chunk = Vec::new();
    let pages = Box::new(CheckedPages::new(&mut chunk));
    // Integers for which a dictionary would not pay ([`super::gather::int_codes`]).
    let is_scattered = matches!(cells, Cells::I64(_)) && properties.dictionary_enabled(column.path());
    let properties = if is_scattered { Arc::new(delta_properties()) } else { Arc::clone(properties) };
    let mut writer = get_column_writer(Arc::clone(column), properties, pages);
    match (&mut writer, cells) {
        (ColumnWriter::Int32ColumnWriter(writer), Cells::I32(values)) => writer.write_batch(values, levels, None)?,
        (ColumnWriter::Int64ColumnWriter(writer), Cells::I64(values)) => writer.write_batch(values, levels, None)?,
        (ColumnWriter::DoubleColumnWriter(writer), Cells::F64(values)) => writer.write_batch(values, levels, None)?,
        (ColumnWriter::BoolColumnWriter(writer), Cells::Bool(values)) => writer.write_batch(values, levels, None)?,
        (ColumnWriter::ByteArrayColumnWriter(writer), Cells::Bytes(values)) => writer.write_batch(&values, levels, None)?,
        (ColumnWriter::FixedLenByteArrayColumnWriter(writer), Cells::Bytes(values)) => {
            let values: Vec<_> = values.into_iter().map(Into::into).collect();
            writer.write_batch(&values, levels, None)?
        }
        _ => return Err(ParquetError::General("cells do not fit the leaf".into())),
    };
    let close = writer.close()?;
    Ok((chunk.into(), close))
}
