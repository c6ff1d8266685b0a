//! Blocks in object storage: every key in one file, every access through one client, and the list of what is there.
//!
//! ```text
//! local:   flush ─ data directory
//! bucket:  flush ─ spool (local disk) ─ upload ─ bucket ─ poll ─ block list
//! reads:   spool if the block is still there, else cache, else bucket
//! ```
//!
//! - [`settings`], `backend`, `credentials`, `requests`: from what the operator writes to a client;
//! - [`probe`] and `explain`: whether it works, and what to do if it does not;
//! - [`client`]: reading and writing objects; `files` and `cache`: reading the files of a block; `upload`: writing large ones;
//! - [`spool`]: blocks on their way to the bucket;
//! - [`blocklist`] and [`poll`]: which blocks there are;
//! - [`documents`]: what tenants set themselves, in a place of its own.

mod backend;
pub mod blocklist;
mod cache;
pub mod client;
mod credentials;
pub mod documents;
mod explain;
#[cfg(test)]
pub(crate) mod faulty;
mod files;
pub mod instruments;
mod local;
pub mod paths;
pub mod poll;
pub mod probe;
mod requests;
pub mod settings;
pub mod spool;
mod upload;

pub use backend::{BackendError, Bucket};
pub use blocklist::{BlockList, BlockLists};
pub use client::{DEFAULT_PART_BYTES, Store, StoreError};
pub use files::BlockFiles;
pub use upload::StoreSink;
