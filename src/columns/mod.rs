//! Spans as columns in memory.
//!
//! A [`Chunk`] holds some tens of thousands of spans, one row a span, in arrival order: dense vectors for what every
//! span has, sparse typed columns for attributes, side tables for events and links, resources and scopes once. The
//! ingester's head is a list of chunks, the block writer reads chunks, and spans read back from a block become a chunk
//! again, so that one evaluator and one encoder serve all three.
//!
//! Bytes of an OTLP request go straight into the columns ([`decode`]), without structs in between; [`validate`] walks
//! the same bytes beforehand, so that a request is refused whole before anything of it is stored. [`export`] is the way
//! back to OTLP messages.
//!
//! What comes back is what came in, with these exceptions: an all-zero parent id, and an all-zero id in a link, reads as
//! absent (as in the Collector's model), an absent resource, scope or status reads as an empty one, text that is not UTF-8
//! is stored with replacement characters, and unknown protobuf fields go, `key_strindex` (of profiles) with them.

pub mod attributes;
pub mod chunk;
pub mod copy;
pub mod counting;
pub mod decode;
pub mod dictionary;
pub mod export;
pub mod known;
pub mod mend;
mod repeats;
pub mod resources;
mod same;
pub mod source;
pub mod sparse;
pub mod validate;
pub mod value;
pub mod view;
pub mod wire;

pub use attributes::{AttributeColumn, AttributeTable, ColumnValues};
pub use chunk::Chunk;
pub use dictionary::Dictionary;
pub use sparse::{Sparse, SparseText};
pub use value::{Value, ValueKind};

#[cfg(test)]
pub(crate) mod tests;
