//! What is acknowledged survives.

mod crashes;
mod data_dir;
mod duplicates;
mod ledger;
mod torn_tail;
