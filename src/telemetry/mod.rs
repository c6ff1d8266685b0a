//! What the server says of itself: logs, metrics, profiles, traces.

pub mod logging;
pub mod process;
pub mod profiling;
pub mod registry;
pub mod spans;
