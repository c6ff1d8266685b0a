//! Compaction and retention: `compactor` up to 2.10, then `backend_scheduler` and `backend_worker` ("spec/config.md §9").

use std::time::Duration;

use crate::config::draft::Draft;
use crate::config::schema::{Action, Key, Table, When};

/// The leaf keys have the same names in three places; which of them sets the retention is told by `set_retention`.
const fn leaves(set_retention: fn(&mut Draft, Duration)) -> [Key<Draft>; 3] {
    [
        Key::duration("block_retention", set_retention),
        Key::duration("compacted_block_retention", |draft, retention| draft.compacted_block_retention = Some(retention)),
        Key::new("retention_concurrency", Action::Ignore).warning(When::Zero, "0 is read as the default"),
    ]
}

const IGNORED_LEAVES: &[&str] = &[
    "chunk_size_bytes",
    "compaction_cycle",
    "compaction_window",
    "flush_size_bytes",
    "iterator_buffer_size",
    "max_block_bytes",
    "max_compaction_objects",
    "max_time_per_tenant",
    "v2_in_buffer_bytes",
    "v2_out_buffer_bytes",
    "v2_prefetch_traces_count",
];

static COMPACTOR_LEAVES: [Key<Draft>; 3] = leaves(|draft, retention| draft.block_retention[0] = Some(retention));
static SCHEDULER_LEAVES: [Key<Draft>; 3] = leaves(|draft, retention| draft.block_retention[1] = Some(retention));
static WORKER_LEAVES: [Key<Draft>; 3] = leaves(|draft, retention| draft.block_retention[2] = Some(retention));

static COMPACTOR_COMPACTION: Table<Draft> = Table::new("tempodb.CompactorConfig", &COMPACTOR_LEAVES, IGNORED_LEAVES);
static SCHEDULER_COMPACTION: Table<Draft> = Table::new("tempodb.CompactorConfig", &SCHEDULER_LEAVES, IGNORED_LEAVES);
static WORKER_COMPACTION: Table<Draft> = Table::new("tempodb.CompactorConfig", &WORKER_LEAVES, IGNORED_LEAVES);

/// Compaction and retention up to 2.10.
pub(super) static COMPACTOR: Table<Draft> = Table::new(
    "compactor.Config",
    &[Key::section("compaction", &COMPACTOR_COMPACTION), Key::bool("disabled", |draft, disabled| draft.compactor_disabled = disabled)],
    &["ring", "override_ring_key"],
);

/// Hands out compaction and retention in Tempo 3.
pub(super) static SCHEDULER: Table<Draft> = Table::new(
    "backendscheduler.Config",
    &[Key::section("provider", &PROVIDER)],
    &["backend_flush_interval", "job_timeout", "local_work_path", "maintenance_interval", "tenant_measurement_interval", "work"],
);

static PROVIDER: Table<Draft> =
    Table::new("provider.Config", &[Key::section("compaction", &PROVIDER_COMPACTION)], &["retention", "redaction"]);

static PROVIDER_COMPACTION: Table<Draft> = Table::new(
    "provider.CompactionConfig",
    &[Key::section("compaction", &SCHEDULER_COMPACTION)],
    &[
        "backoff",
        "max_compaction_level",
        "max_input_blocks",
        "max_jobs_per_tenant",
        "measure_interval",
        "min_cycle_interval",
        "min_input_blocks",
    ],
);

/// Does compaction and retention in Tempo 3.
pub(super) static WORKER: Table<Draft> = Table::new(
    "backendworker.Config",
    &[Key::section("compaction", &WORKER_COMPACTION)],
    &["backend_scheduler_addr", "backoff", "finish_on_shutdown_timeout", "override_ring_key", "ring"],
);
