//! The immutable file format: spans of one tenant as columns, with all that finds them again.
//!
//! docs/block-format.md describes every file. This folder knows no tenant's policy and no bucket: it turns chunks into
//! files in memory ([`writer`]) and ranges of files back into columns. Row order and structure: [`arrange`].

pub mod arrange;
pub mod bloom;
pub mod catalogue;
mod checked_pages;
mod choice;
pub mod depth_first;
mod details;
mod dictionary_chunk;
mod find_details;
mod find_trace;
mod footer;
pub mod gather;
mod group_columns;
mod hybrid;
pub mod index;
pub mod merge;
pub mod meta;
mod origins;
pub mod output;
pub mod parquet;
pub mod parts;
mod plan;
mod rare;
pub mod reader;
mod recode;
mod row_source;
pub mod schema;
pub mod source;
mod spans;
pub mod summaries;
mod table;
pub mod trace_table;
pub mod writer;

pub use meta::BlockMeta;
pub use writer::{BlockInput, NewBlock, write_block};

#[cfg(test)]
mod tests;
