//! What is acknowledged survives.

mod crashes;
mod data_dir;
mod duplicates;
pub mod ledger;
mod torn_tail;
