//! `storage.trace` and `cache` ("spec/config.md §10").

use std::path::PathBuf;

use crate::config::draft::Draft;
use crate::config::schema::{Action, Key, Table, When};
use crate::config::{Backend, WalFsync};

use super::buckets::{AZURE, GCS, S3};

const OWN_CACHE: &str = "has no effect: this process caches in its own memory";
const DEPRECATED: &str = "is deprecated and ignored";

/// What holds the blocks.
pub(super) static STORAGE: Table<Draft> = Table::new("storage.Config", &[Key::section("trace", &TRACE)], &[]);

static TRACE: Table<Draft> = Table::new(
    "tempodb.Config",
    &[
        Key::text("backend", |draft, text| {
            draft.config.storage.backend = Backend::parse(text)?;
            Ok(())
        }),
        Key::section("local", &LOCAL),
        Key::section("wal", &WAL),
        Key::section("block", &BLOCK),
        Key::section("pool", &POOL),
        Key::section("search", &SEARCH),
        Key::alias("maintenance_cycle", "storage.trace.blocklist_poll"),
        Key::duration("blocklist_poll", |draft, period| draft.config.storage.blocklist_poll = period),
        Key::new("blocklist_poll_concurrency", Action::Ignore).warning(When::Zero, "0 is read as the default"),
        Key::count("block_cache_bytes", |draft, bytes| draft.config.storage.block_cache_bytes = Some(bytes)),
        Key::count("block_index_cache_bytes", |draft, bytes| draft.config.storage.block_index_cache_bytes = Some(bytes)),
        Key::section("s3", &S3),
        Key::section("gcs", &GCS),
        Key::section("azure", &AZURE),
        Key::new("cache", Action::Ignore).warning(When::Set, DEPRECATED),
        Key::new("memcached", Action::Ignore).note(When::Set, OWN_CACHE),
        Key::new("redis", Action::Ignore).note(When::Set, OWN_CACHE),
    ],
    &[
        "background_cache",
        "blocklist_poll_*",
        "cache_max_block_age",
        "cache_min_compaction_level",
        "empty_tenant_deletion_age",
        "empty_tenant_deletion_enabled",
    ],
);

pub(super) static LOCAL: Table<Draft> = Table::new(
    "local.Config",
    &[Key::text("path", |draft, text| {
        draft.local_path = (!text.is_empty()).then(|| PathBuf::from(text));
        Ok(())
    })],
    &[],
);

static WAL: Table<Draft> = Table::new(
    "wal.Config",
    &[
        Key::text("path", |draft, text| {
            draft.wal_path = (!text.is_empty()).then(|| PathBuf::from(text));
            Ok(())
        }),
        Key::text("fsync", |draft, text| {
            draft.config.storage.wal_fsync = WalFsync::parse(text)?;
            Ok(())
        }),
        Key::duration("fsync_interval", |draft, interval| draft.config.storage.wal_fsync_interval = interval),
        Key::count("segment_bytes", |draft, bytes| draft.config.storage.wal_segment_bytes = bytes.clamp(64 << 10, 1 << 30)),
    ],
    &["ingestion_time_range_slack", "version", "v2_encoding", "search_encoding", "encoding", "blocksfilepath", "completedfilepath"],
);

static BLOCK: Table<Draft> = Table::new(
    "common.BlockConfig",
    &[
        Key::text("version", |_, text| match text {
            "" | "v2" | "vParquet" | "vParquet2" | "vParquet3" | "vParquet4" | "vParquet5" => Ok(()),
            _ => Err(format!("{text} is not a valid block version")),
        })
        .note(When::Set, "is accepted, but blocks are written in this server's own format"),
        Key::float("bloom_filter_false_positive", |draft, share| {
            if share <= 0.0 || share >= 1.0 {
                return Err("must be above 0 and below 1".to_owned());
            }
            draft.config.storage.bloom_false_positive = share;
            Ok(())
        }),
    ],
    &[
        "bloom_filter_shard_size_bytes",
        "encoding",
        "index_*",
        "parquet_dedicated_columns",
        "parquet_row_group_size_bytes",
        "row_group_size_bytes",
        "search_encoding",
        "search_page_size_bytes",
        "v2_*",
    ],
);

static POOL: Table<Draft> = Table::ignoring("pool.Config", &["max_workers", "queue_depth"]);

static SEARCH: Table<Draft> = Table::ignoring(
    "tempodb.SearchConfig",
    &["chunk_size_bytes", "prefetch_trace_count", "read_buffer_count", "read_buffer_size_bytes", "cache_control"],
);

/// Caches outside the process, from 2.4 on.
pub(super) static CACHE: Table<Draft> =
    Table::new("cache.Config", &[Key::new("caches", Action::Ignore).note(When::Set, OWN_CACHE)], &["background"]);
