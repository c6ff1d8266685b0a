//! Compaction and retention: `compactor` up to 2.10, then `backend_scheduler` and `backend_worker` ("spec/config.md §9").

use crate::config::draft::Draft;
use crate::config::schema::{Action, Key, Table, When};

/// The leaf keys have the same names in three places; the number tells which of them sets a value.
macro_rules! leaves {
    ($generation:literal) => {
        [
            Key::duration("block_retention", |draft: &mut Draft, retention| draft.block_retention[$generation] = Some(retention)),
            Key::duration("compacted_block_retention", |draft, retention| draft.compacted_block_retention = Some(retention)),
            Key::duration("compaction_cycle", |draft, cycle| draft.compaction_cycle[$generation] = Some(cycle)),
            Key::duration("compaction_window", |draft, window| draft.compaction_window[$generation] = Some(window)),
            Key::count("max_block_bytes", |draft, bytes| draft.max_block_bytes[$generation] = Some(bytes)),
            Key::count("max_compaction_objects", |draft, traces| draft.max_compaction_objects[$generation] = Some(traces)),
            Key::new("retention_concurrency", Action::Ignore).warning(When::Zero, "0 is read as the default"),
        ]
    };
}

const IGNORED_LEAVES: &[&str] = &[
    "chunk_size_bytes",
    "flush_size_bytes",
    "iterator_buffer_size",
    "max_time_per_tenant",
    "v2_in_buffer_bytes",
    "v2_out_buffer_bytes",
    "v2_prefetch_traces_count",
];

static COMPACTOR_LEAVES: [Key<Draft>; 7] = leaves!(0);
static SCHEDULER_LEAVES: [Key<Draft>; 7] = leaves!(1);
static WORKER_LEAVES: [Key<Draft>; 7] = leaves!(2);

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
