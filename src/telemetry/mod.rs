//! What the server says of itself: logs and metrics.

pub mod logging;
pub mod process;
pub mod registry;
