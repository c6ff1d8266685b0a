//! Blocks are merged and deleted, and nobody notices.

mod crashes;
mod merging;

use crate::support::server::{DataDir, Server};
use crate::support::until;

/// The usual configuration with a compactor that does not wait long.
fn eager(data: &DataDir, keys: &str) -> String {
    format!("{}compactor:\n  compaction:\n    compaction_cycle: 150ms\n{keys}", data.config())
}

/// Waits until no block waits to be merged, and old files are gone.
fn wait_for_rest(server: &Server) {
    until("end of compaction", || {
        let waiting = server.metric("conmoto_compaction_waiting_blocks") + server.metric("conmoto_compaction_remaining_blocks");
        let has_looked = server.get("/metrics").text().contains("conmoto_compaction_waiting_blocks{");
        (has_looked && waiting == 0.0).then_some(())
    });
}
