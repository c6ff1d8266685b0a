//! Blocks in object storage: every key in one file, every access through one client, and the list of what is there.

pub mod blocklist;
pub mod client;
pub mod paths;
mod upload;

pub use blocklist::{BlockList, BlockLists};
pub use client::{Store, StoreError};
pub use upload::StoreSink;
