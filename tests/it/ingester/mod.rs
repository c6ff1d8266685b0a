//! What is acknowledged survives.

mod crashes;
mod damage;
mod data_dir;
mod deleted_blocks;
mod duplicates;
pub mod ledger;
mod loading;
mod torn_tail;
