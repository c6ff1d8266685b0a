//! Blocks are merged and deleted, and nobody notices.

mod crashes;
mod long_trace;
mod merging;
mod read_back;

use crate::support::server::{DataDir, Server};
use crate::support::until;

/// The usual configuration with a compactor that does not wait long.
pub(crate) fn eager(data: &DataDir, keys: &str) -> String {
    format!("{}compactor:\n  compaction:\n    compaction_cycle: 150ms\n{keys}", data.config())
}

/// Waits until no block waits to be merged, and old files are gone.
pub(crate) fn wait_for_rest(server: &Server) {
    until("end of compaction", || {
        let has_looked = server.get("/metrics").text().contains("conmoto_compaction_waiting_blocks{");
        let is_at_rest =
            ["conmoto_compaction_waiting_blocks", "conmoto_compaction_remaining_blocks"].iter().all(|name| server.metric(name) == 0.0);
        (has_looked && is_at_rest).then_some(())
    });
}
