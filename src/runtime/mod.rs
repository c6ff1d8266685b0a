//! How work runs: listeners and their connections, and computing that must not hold up the event loop.

pub mod directories;
pub mod failpoints;
pub mod memory;
pub mod offload;
pub mod serve;
pub mod tls;
