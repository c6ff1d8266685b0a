//! The catalogue: which columns a block has, and which values, told without reading data.
//!
//! - `collect`: what a column holds, found out as it is written, by the flush and by the merge alike;
//! - `counts`: how many spans there are of each service, name, kind, status, time and duration;
//! - `write`: the file, within a budget; `message`: its form; [`names`]: what columns are called in it;
//! - [`Catalogue`]: the file read, as the evaluator asks it which blocks a filter need not be asked of.
//!
//! What a catalogue says is exact. Where it is not sure, it says nothing: then the data is read as if there were none.

mod collect;
mod counts;
mod message;
mod names;
mod read;
#[cfg(test)]
pub(crate) mod tests;
mod trigrams;
mod write;

pub use collect::{ColumnCollector, MAX_FILTERS};
pub use counts::{CountedColumn, SpanCounter, SpanCounts, SpanRows};
pub use names::ColumnName;
pub use read::{Catalogue, CatalogueError};
pub use write::CatalogueWriter;
