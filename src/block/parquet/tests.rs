//! Files written by the `parquet` crate, read back.

mod damaged;
mod round_trip;
mod written;
