//! Small Parquet files of one column, in many shapes.

use super::super::{ColumnReader, FetchedRanges};
use bytes::Bytes;
use parquet::basic::{Compression, Encoding, Repetition, Type as PhysicalType, ZstdLevel};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::{ByteArray, FixedLenByteArray};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;
use proptest::prelude::*;
use std::ops::Range;
use std::sync::Arc;

/// The values of a column, one entry a row.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Values {
    Bool(Vec<Option<bool>>),
    Int32(Vec<Option<i32>>),
    Int64(Vec<Option<i64>>),
    Double(Vec<Option<f64>>),
    Bytes(Vec<Option<Vec<u8>>>),
    Fixed(Vec<Option<[u8; 5]>>),
}

/// How a file is written and opened.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub(super) values: Values,
    is_optional: bool,
    compression: Compression,
    encoding: Option<Encoding>,
    dictionary_bytes: usize,
    page_rows: usize,
    group_rows: usize,
    has_page_index: bool,
}

/// A file in memory.
pub(super) struct File {
    pub(super) bytes: Bytes,
    pub(super) metadata: Arc<ParquetMetaData>,
}

fn rows<T: Clone + std::fmt::Debug + 'static>(value: impl Strategy<Value = T> + Clone + 'static) -> BoxedStrategy<Vec<Option<T>>> {
    // A few distinct values, long runs and stretches of nulls, besides noise.
    let stretch = prop_oneof![
        2 => (value.clone(), 1usize..60).prop_map(|(value, len)| vec![Some(value); len]),
        2 => (1usize..60).prop_map(|len| vec![None; len]),
        3 => prop::collection::vec(value.clone().prop_map(Some), 1..60),
        2 => prop::collection::vec(prop::option::of(value.clone()), 1..60),
        1 => (prop::collection::vec(value, 1..5), 1usize..90).prop_map(|(few, len)| few.into_iter().map(Some).cycle().take(len).collect()),
    ];
    prop::collection::vec(stretch, 0..8).prop_map(|stretches| stretches.concat()).boxed()
}

fn values() -> impl Strategy<Value = Values> {
    let int64 = prop_oneof![any::<i64>(), -3i64..3, (0i64..1000).prop_map(|n| 1_700_000_000_000_000_000 + n)];
    let int32 = prop_oneof![any::<i32>(), -3i32..3];
    let text =
        prop_oneof![prop::collection::vec(any::<u8>(), 0..40), prop::sample::select(vec![vec![], b"GET".to_vec(), b"POST".to_vec()])];
    prop_oneof![
        rows(any::<bool>()).prop_map(Values::Bool),
        rows(int32).prop_map(Values::Int32),
        rows(int64).prop_map(Values::Int64),
        rows(prop_oneof![any::<f64>(), -3f64..3.0]).prop_map(Values::Double),
        rows(text).prop_map(Values::Bytes),
        rows(any::<[u8; 5]>()).prop_map(Values::Fixed),
    ]
}

pub(super) fn shapes() -> impl Strategy<Value = Shape> {
    let compression = prop_oneof![
        Just(Compression::UNCOMPRESSED),
        Just(Compression::LZ4_RAW),
        Just(Compression::ZSTD(ZstdLevel::try_new(1).expect("level"))),
    ];
    let dictionary_bytes = prop_oneof![Just(1usize << 20), 1usize..300];
    (values(), 0u8..3, compression, 0u8..4, dictionary_bytes, 1usize..100, 1usize..300, any::<bool>()).prop_map(
        |(mut values, nulls, compression, encoding, dictionary_bytes, page_rows, group_rows, has_page_index)| {
            match nulls {
                0 => values.drop_nulls(),
                1 => values.only_nulls_in(100..400),
                _ => {}
            }
            let is_optional = nulls > 0;
            let encoding = values.encoding(encoding);
            Shape { values, is_optional, compression, encoding, dictionary_bytes, page_rows, group_rows, has_page_index }
        },
    )
}

macro_rules! each {
    ($values:expr, $rows:ident => $body:expr) => {
        match $values {
            Values::Bool($rows) => $body,
            Values::Int32($rows) => $body,
            Values::Int64($rows) => $body,
            Values::Double($rows) => $body,
            Values::Bytes($rows) => $body,
            Values::Fixed($rows) => $body,
        }
    };
}

impl Values {
    pub(super) fn len(&self) -> usize {
        each!(self, rows => rows.len())
    }

    fn drop_nulls(&mut self) {
        each!(self, rows => rows.retain(Option::is_some))
    }

    fn only_nulls_in(&mut self, range: Range<usize>) {
        each!(self, rows => rows.iter_mut().enumerate().filter(|(row, _)| range.contains(row)).for_each(|(_, value)| *value = None))
    }

    pub(super) fn slice(&self, range: Range<usize>) -> Self {
        match self {
            Self::Bool(rows) => Self::Bool(rows[range].to_vec()),
            Self::Int32(rows) => Self::Int32(rows[range].to_vec()),
            Self::Int64(rows) => Self::Int64(rows[range].to_vec()),
            Self::Double(rows) => Self::Double(rows[range].to_vec()),
            Self::Bytes(rows) => Self::Bytes(rows[range].to_vec()),
            Self::Fixed(rows) => Self::Fixed(rows[range].to_vec()),
        }
    }

    /// One of the encodings that the type may have; `None` for a dictionary.
    fn encoding(&self, choice: u8) -> Option<Encoding> {
        match (self, choice) {
            (Self::Bool(_), 0) => Some(Encoding::RLE),
            (Self::Bool(_), _) => Some(Encoding::PLAIN),
            (_, 0) => Some(Encoding::PLAIN),
            (Self::Int32(_) | Self::Int64(_), 1) => Some(Encoding::DELTA_BINARY_PACKED),
            _ => None,
        }
    }

    fn physical_type(&self) -> PhysicalType {
        match self {
            Self::Bool(_) => PhysicalType::BOOLEAN,
            Self::Int32(_) => PhysicalType::INT32,
            Self::Int64(_) => PhysicalType::INT64,
            Self::Double(_) => PhysicalType::DOUBLE,
            Self::Bytes(_) => PhysicalType::BYTE_ARRAY,
            Self::Fixed(_) => PhysicalType::FIXED_LEN_BYTE_ARRAY,
        }
    }

    fn write(&self, writer: &mut ColumnWriter<'_>, is_optional: bool) {
        let levels: Vec<i16> = each!(self, rows => rows.iter().map(|value| i16::from(value.is_some())).collect());
        let levels = is_optional.then_some(&levels[..]);
        let written = match (writer, self) {
            (ColumnWriter::BoolColumnWriter(writer), Self::Bool(rows)) => writer.write_batch(&present(rows, |v| *v), levels, None),
            (ColumnWriter::Int32ColumnWriter(writer), Self::Int32(rows)) => writer.write_batch(&present(rows, |v| *v), levels, None),
            (ColumnWriter::Int64ColumnWriter(writer), Self::Int64(rows)) => writer.write_batch(&present(rows, |v| *v), levels, None),
            (ColumnWriter::DoubleColumnWriter(writer), Self::Double(rows)) => writer.write_batch(&present(rows, |v| *v), levels, None),
            (ColumnWriter::ByteArrayColumnWriter(writer), Self::Bytes(rows)) => {
                writer.write_batch(&present(rows, |v| ByteArray::from(v.clone())), levels, None)
            }
            (ColumnWriter::FixedLenByteArrayColumnWriter(writer), Self::Fixed(rows)) => {
                let strings = present(rows, |v| FixedLenByteArray::from(v.to_vec()));
                writer.write_batch(&strings, levels, None)
            }
            _ => panic!("writer of another type"),
        };
        written.expect("writes to memory");
    }
}

fn present<T, U>(rows: &[Option<T>], convert: impl Fn(&T) -> U) -> Vec<U> {
    rows.iter().flatten().map(convert).collect()
}

impl Shape {
    /// An optional column in one row group, whose dictionary is full after some pages.
    pub(super) fn mixed(values: Values) -> Self {
        let (compression, encoding, has_page_index) = (Compression::LZ4_RAW, None, true);
        Self { values, is_optional: true, compression, encoding, dictionary_bytes: 200, page_rows: 50, group_rows: 1000, has_page_index }
    }

    /// Ranges of the file's rows that are row groups.
    pub(super) fn groups(&self) -> Vec<Range<usize>> {
        let len = self.values.len();
        (0..len).step_by(self.group_rows).map(|start| start..(start + self.group_rows).min(len)).collect()
    }

    pub(super) fn write(&self) -> File {
        let repetition = if self.is_optional { Repetition::OPTIONAL } else { Repetition::REQUIRED };
        let field = Type::primitive_type_builder("column", self.values.physical_type()).with_repetition(repetition).with_length(5);
        let fields = vec![Arc::new(field.build().expect("valid field"))];
        let schema = Arc::new(Type::group_type_builder("schema").with_fields(fields).build().expect("valid schema"));
        let properties = WriterProperties::builder()
            .set_compression(self.compression)
            .set_data_page_row_count_limit(self.page_rows)
            .set_write_batch_size(self.page_rows.min(17))
            .set_dictionary_page_size_limit(self.dictionary_bytes);
        let properties = match self.encoding {
            Some(encoding) => properties.set_dictionary_enabled(false).set_encoding(encoding),
            None => properties,
        };
        let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties.build())).expect("memory");
        for rows in self.groups() {
            let mut group = writer.next_row_group().expect("memory");
            let mut column = group.next_column().expect("memory").expect("one column");
            self.values.slice(rows).write(column.untyped(), self.is_optional);
            column.close().expect("memory");
            group.close().expect("memory");
        }
        let bytes = Bytes::from(writer.into_inner().expect("memory"));
        let policy = if self.has_page_index { PageIndexPolicy::Required } else { PageIndexPolicy::Skip };
        let metadata = ParquetMetaDataReader::new().with_page_index_policy(policy).parse_and_finish(&bytes).expect("just written");
        File { bytes, metadata: Arc::new(metadata) }
    }
}

impl File {
    pub(super) fn reader(&self, group: usize) -> ColumnReader {
        ColumnReader::new(Arc::clone(&self.metadata), group, 0).expect("sound file")
    }

    /// Only these ranges of the file.
    pub(super) fn fetch(&self, ranges: Vec<Range<u64>>) -> FetchedRanges {
        let part = |range: Range<u64>| (range.start, self.bytes.slice(range.start as usize..range.end as usize));
        FetchedRanges::new(ranges.into_iter().map(part).collect())
    }
}
