//! The file as protobuf messages (docs/block-format.md has them as text). Unknown fields are skipped.

use bytes::Bytes;
use prost::Message;

/// The version that this code writes; a file with a higher one is not used.
pub(super) const VERSION: u32 = 1;

/// The whole file.
#[derive(Clone, PartialEq, Message)]
pub(super) struct CatalogueMessage {
    /// [`VERSION`].
    #[prost(uint32, tag = "1")]
    pub version: u32,
    /// Each holder that the block has, once.
    #[prost(message, repeated, tag = "2")]
    pub holders: Vec<HolderMessage>,
    /// A [`SpanCountsMessage`], decoded when somebody asks; empty if there is none.
    #[prost(bytes = "bytes", tag = "3")]
    pub span_counts: Bytes,
}

/// Numbers of spans by service, name, kind, status, time and duration. Lists that belong together have the same length.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SpanCountsMessage {
    /// Width of a bin of time. Bin `n` has the moments after `n` times the width until `n + 1` times the width, since the epoch.
    #[prost(uint64, tag = "1")]
    pub bin_seconds: u64,
    /// Names of services, each once.
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub services: Vec<Vec<u8>>,
    /// Names of spans, each once.
    #[prost(bytes = "vec", repeated, tag = "3")]
    pub names: Vec<Vec<u8>>,
    /// Of each combination: position of the service,
    #[prost(uint32, repeated, tag = "4")]
    pub combination_services: Vec<u32>,
    /// of the name,
    #[prost(uint32, repeated, tag = "5")]
    pub combination_names: Vec<u32>,
    /// OTLP's kind,
    #[prost(sint32, repeated, tag = "6")]
    pub combination_kinds: Vec<i32>,
    /// OTLP's status code,
    #[prost(sint32, repeated, tag = "7")]
    pub combination_statuses: Vec<i32>,
    /// and number of cells.
    #[prost(uint32, repeated, tag = "8")]
    pub combination_cells: Vec<u32>,
    /// The least bin.
    #[prost(uint64, tag = "9")]
    pub first_bin: u64,
    /// Of each cell, those of a combination after each other: bin minus that of the cell before, or minus the least bin,
    #[prost(uint64, repeated, tag = "10")]
    pub bin_steps: Vec<u64>,
    /// least exponent,
    #[prost(uint32, repeated, tag = "11")]
    pub first_exponents: Vec<u32>,
    /// number of exponents from it on,
    #[prost(uint32, repeated, tag = "12")]
    pub num_exponents: Vec<u32>,
    /// start of the sample, nanoseconds after those of the bin begin,
    #[prost(uint64, repeated, tag = "13")]
    pub sample_starts: Vec<u64>,
    /// its duration, nanoseconds modulo 2^64,
    #[prost(uint64, repeated, tag = "14")]
    pub sample_durations: Vec<u64>,
    /// and the ordinal of its trace.
    #[prost(uint32, repeated, tag = "15")]
    pub sample_traces: Vec<u32>,
    /// Number of spans for each exponent of each cell: their duration in nanoseconds is above half of two to its power, but not above
    /// that; of exponent 0 it is 0 or 1, of exponent 63 it may be more.
    #[prost(uint32, repeated, tag = "16")]
    pub counts: Vec<u32>,
}

/// Spans, resources, instrumentation scopes, events or links.
#[derive(Clone, PartialEq, Message)]
pub(super) struct HolderMessage {
    /// 1 span, 2 resource, 3 instrumentation, 4 event, 5 link.
    #[prost(uint32, tag = "1")]
    pub holder: u32,
    /// There may be attributes that are not listed.
    #[prost(bool, tag = "2")]
    pub is_open: bool,
    /// A [`ColumnMessage`] for each column. They are decoded one by one, because empty ones would take a hundred times their bytes.
    #[prost(bytes = "bytes", repeated, tag = "3")]
    pub columns: Vec<Bytes>,
    /// Keys of attributes of which nothing but the key is known; a column of the same key and kind tells more.
    #[prost(string, repeated, tag = "4")]
    pub bare_keys: Vec<String>,
}

/// One column.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ColumnMessage {
    /// The key of an attribute, or the word for an intrinsic.
    #[prost(string, tag = "1")]
    pub key: String,
    /// 0 for an intrinsic, else the kind of the attribute's values: 1 string, 2 int, 3 double, 4 bool, 5 any.
    #[prost(uint32, tag = "2")]
    pub kind: u32,
    /// Number of rows with a value.
    #[prost(uint64, tag = "3")]
    pub num_values: u64,
    /// All distinct values are listed.
    #[prost(bool, tag = "4")]
    pub is_complete: bool,
    /// How often each listed value occurs.
    #[prost(uint64, repeated, tag = "5")]
    pub counts: Vec<u64>,
    /// Length of each listed text or `AnyValue`.
    #[prost(uint32, repeated, tag = "6")]
    pub lengths: Vec<u32>,
    /// Listed texts or `AnyValue`s one after the other.
    #[prost(bytes = "vec", tag = "7")]
    pub bytes: Vec<u8>,
    /// Listed integers; bools as 0 and 1.
    #[prost(sint64, repeated, tag = "8")]
    pub ints: Vec<i64>,
    /// Listed doubles by bit pattern.
    #[prost(fixed64, repeated, tag = "9")]
    pub doubles: Vec<u64>,
    /// Least and greatest integer.
    #[prost(message, optional, tag = "10")]
    pub int_bounds: Option<IntBounds>,
    /// Least and greatest double, if none is NaN.
    #[prost(message, optional, tag = "11")]
    pub double_bounds: Option<DoubleBounds>,
    /// A split-block Bloom filter over the texts, as Parquet has them: the bitset.
    #[prost(bytes = "vec", tag = "12")]
    pub filter: Vec<u8>,
    /// Trigrams of the texts: bit `n` (of byte `n / 8`, from the least) is set if there are three bytes whose number (little-endian)
    /// times 0x9e3779b1 has `n` as the upper 13 of its lower 32 bits.
    #[prost(bytes = "vec", tag = "13")]
    pub trigrams: Vec<u8>,
}

/// Least and greatest integer.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct IntBounds {
    #[prost(sint64, tag = "1")]
    pub min: i64,
    #[prost(sint64, tag = "2")]
    pub max: i64,
}

/// Least and greatest double.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct DoubleBounds {
    #[prost(double, tag = "1")]
    pub min: f64,
    #[prost(double, tag = "2")]
    pub max: f64,
}
