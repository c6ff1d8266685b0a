//! The server's metrics: Tempo's names where the meaning is the same, our own otherwise.

use crate::compactor::instruments::{CompactorInstruments, Waiting};
use crate::distributor::{AttributeScope, DiscardReason, Distributor, Origin, Passage};
use crate::ingester::Ingester;
use crate::runtime::memory::{Memory, Use};
use crate::store::{BlockLists, Store};
use crate::telemetry::process;
use crate::telemetry::registry::{Behaviour, Reading};

/// All metrics at this moment.
pub(super) fn readings(
    ingester: &Ingester,
    store: &Store,
    blocks: &BlockLists,
    compactor: &CompactorInstruments,
    memory: &Memory,
) -> Vec<Reading> {
    let mut readings = vec![build_info()];
    readings.extend(tenants(ingester, blocks));
    readings.extend(ingest(ingester));
    readings.extend(log(ingester));
    readings.extend(bucket(store));
    readings.extend(compaction(compactor));
    readings.extend(budget(memory));
    readings
}

/// What the distributor counts: spans by receiver, spans that were refused, attributes that were cut.
pub(super) fn distribution(distributor: &Distributor) -> Vec<Reading> {
    let discarded = |(tenant, reason, count): (String, DiscardReason, u64)| {
        (vec![("reason", reason.as_str().to_string()), ("tenant", tenant)], count as f64)
    };
    let truncated = |(tenant, scope, count): (String, AttributeScope, u64)| {
        (vec![("scope", scope.as_str().to_string()), ("tenant", tenant)], count as f64)
    };
    let counter = |name, help, values| Reading { name, help, behaviour: Behaviour::Counter, values };
    let ingress = |(tenant, (), bytes): (String, (), u64)| (vec![("tenant", tenant)], bytes as f64);
    let received = |([tenant, name, service], count): ([String; 3], u64)| {
        (vec![("tenant", tenant), ("name", name), ("service", service)], count as f64)
    };
    vec![
        counter(
            "tempo_distributor_ingress_bytes",
            "Bytes that came in, before any limit",
            distributor.ingress_bytes().counts().into_iter().map(ingress).collect(),
        ),
        counter(
            "tempo_distributor_debug_spans_received",
            "Spans that came in, where they are counted by name",
            distributor.received_spans().counts().into_iter().map(received).collect(),
        ),
        counter(
            "tempo_discarded_spans",
            "Spans that were not stored",
            distributor.discards().counts().into_iter().map(discarded).collect(),
        ),
        counter(
            "tempo_distributor_attributes_truncated",
            "Keys and values of attributes that were cut",
            distributor.truncated().counts().into_iter().map(truncated).collect(),
        ),
        passages(distributor, "tempo_receiver_accepted_spans", "Spans stored, by receiver", |passage| passage.accepted),
        passages(distributor, "tempo_receiver_refused_spans", "Spans not stored, by receiver", |passage| passage.refused),
    ]
}

fn passages(distributor: &Distributor, name: &'static str, help: &'static str, number: fn(&Passage) -> u64) -> Reading {
    let labels = |origin: Origin| vec![("receiver", origin.receiver.to_string()), ("transport", origin.transport.to_string())];
    let counts = distributor.passages().counts().into_iter();
    let values = counts.map(|(origin, passage)| (labels(origin), number(&passage) as f64)).collect();
    // They only grow, but Tempo's names lack the `_total` that a counter must have in this format.
    Reading { name, help, behaviour: Behaviour::Gauge, values }
}

fn budget(memory: &Memory) -> Vec<Reading> {
    let held = |(of, name): &(Use, &str)| (vec![("use", name.to_string())], memory.held_bytes(*of) as f64);
    let gauge = |name, help, values| Reading { name, help, behaviour: Behaviour::Gauge, values };
    vec![
        gauge("conmoto_memory_limit_bytes", "Bytes that all uses may hold together", vec![(Vec::new(), memory.limit_bytes() as f64)]),
        gauge("conmoto_memory_held_bytes", "Bytes that a use holds, about", Use::ALL.iter().map(held).collect()),
        counter("conmoto_memory_refused_requests", "Requests refused for want of memory", memory.num_refused()),
    ]
}

/// For a profile of memory: what each use is counted with, and the rest of what is resident.
pub(super) fn memory_held(memory: &Memory) -> crate::api::MemoryHeld {
    let memory = memory.clone();
    std::sync::Arc::new(move || {
        let mut held: Vec<(String, u64)> =
            Use::ALL.iter().map(|(of, name)| (format!("counted.{name}"), memory.held_bytes(*of))).filter(|(_, bytes)| *bytes > 0).collect();
        let counted: u64 = held.iter().map(|(_, bytes)| bytes).sum();
        held.push(("not_counted".to_string(), process::resident_bytes().unwrap_or(0).saturating_sub(counted)));
        held
    })
}

fn build_info() -> Reading {
    let labels = vec![("version", env!("CARGO_PKG_VERSION").to_string())];
    Reading { name: "tempo_build_info", help: "The version of the server", behaviour: Behaviour::Gauge, values: vec![(labels, 1.0)] }
}

fn tenants(ingester: &Ingester, blocks: &BlockLists) -> Vec<Reading> {
    let heads: Vec<_> =
        ingester.tenants().into_iter().filter_map(|tenant| Some((tenant.to_string(), ingester.existing_head(&tenant)?))).collect();
    let labels = |tenant: &String| vec![("tenant", tenant.clone())];
    let of_heads = |value: &dyn Fn(&crate::ingester::head::Head) -> u64| {
        heads.iter().map(|(tenant, head)| (labels(tenant), value(head) as f64)).collect()
    };
    let lists: Vec<_> = blocks.tenants().into_iter().map(|tenant| (tenant.to_string(), blocks.of(&tenant).snapshot())).collect();
    vec![
        Reading {
            name: "tempo_distributor_spans_received",
            help: "Spans received and acknowledged",
            behaviour: Behaviour::Counter,
            values: of_heads(&|head| head.received().spans.get()),
        },
        Reading {
            name: "tempo_distributor_bytes_received",
            help: "Bytes of requests received and acknowledged, as protobuf",
            behaviour: Behaviour::Counter,
            values: of_heads(&|head| head.received().bytes.get()),
        },
        Reading {
            name: "conmoto_head_bytes",
            help: "Memory of recent spans, about",
            behaviour: Behaviour::Gauge,
            values: of_heads(&|head| head.bytes() as u64),
        },
        Reading {
            name: "tempodb_blocklist_length",
            help: "Blocks",
            behaviour: Behaviour::Gauge,
            values: lists.iter().map(|(tenant, blocks)| (labels(tenant), blocks.len() as f64)).collect(),
        },
        Reading {
            name: "conmoto_unreadable_blocks",
            help: "Blocks that exist and cannot be read: answers may lack their spans",
            behaviour: Behaviour::Gauge,
            values: blocks
                .tenants()
                .iter()
                .map(|tenant| (labels(&tenant.to_string()), blocks.of(tenant).num_unreadable() as f64))
                .collect(),
        },
        Reading {
            name: "conmoto_block_bytes",
            help: "Bytes of all blocks",
            behaviour: Behaviour::Gauge,
            values: lists
                .iter()
                .map(|(tenant, blocks)| (labels(tenant), blocks.iter().map(|block| block.meta().total_bytes()).sum::<u64>() as f64))
                .collect(),
        },
    ]
}

fn counter(name: &'static str, help: &'static str, value: u64) -> Reading {
    Reading { name, help, behaviour: Behaviour::Counter, values: vec![(Vec::new(), value as f64)] }
}

fn gauge(name: &'static str, help: &'static str, value: u64) -> Reading {
    Reading { name, help, behaviour: Behaviour::Gauge, values: vec![(Vec::new(), value as f64)] }
}

fn ingest(ingester: &Ingester) -> Vec<Reading> {
    let counts = ingester.instruments();
    vec![
        counter("tempo_ingester_blocks_flushed", "Blocks written", counts.blocks.get()),
        counter("conmoto_block_spans", "Spans written to blocks", counts.block_spans.get()),
        counter("conmoto_block_written_bytes", "Bytes of blocks written", counts.block_bytes.get()),
        counter("conmoto_duplicate_spans", "Identical spans left out of blocks", counts.duplicates.get()),
        counter("tempo_ingester_failed_flushes", "Flushes that failed and are tried again", counts.flush_failures.get()),
    ]
}

/// Of a bucket; nothing for a local store.
fn bucket(store: &Store) -> Vec<Reading> {
    let Some(counts) = store.instruments() else { return Vec::new() };
    let requests = [("GET", &counts.gets), ("HEAD", &counts.heads), ("PUT", &counts.puts), ("DELETE", &counts.deletes)];
    let by_method = |(method, count): (&str, &crate::store::instruments::Count)| (vec![("method", method.to_string())], count.get() as f64);
    vec![
        Reading {
            name: "conmoto_bucket_requests",
            help: "Requests sent to the bucket, repetitions included; PUT is all writes",
            behaviour: Behaviour::Counter,
            values: requests.into_iter().map(by_method).collect(),
        },
        counter(
            "conmoto_bucket_request_failures",
            "Requests without an answer, or with one of status 500 and above",
            counts.failures.get(),
        ),
        counter("conmoto_bucket_blocks_uploaded", "Blocks moved from local disk to the bucket", counts.uploads.get()),
        counter("conmoto_bucket_upload_failures", "Moves that failed and are tried again", counts.upload_failures.get()),
        counter("conmoto_block_cache_hits", "Reads of block files that were served from memory", counts.cache_hits.get()),
        counter("conmoto_block_cache_misses", "Reads of block files that needed a request", counts.cache_misses.get()),
        Reading {
            name: "conmoto_block_cache_bytes",
            help: "Bytes of block files in memory",
            behaviour: Behaviour::Gauge,
            values: vec![(Vec::new(), store.cached_bytes() as f64)],
        },
        counter("tempodb_blocklist_polls", "Readings of the block list", counts.polls.get()),
        counter("tempodb_blocklist_poll_errors", "Readings of the block list that failed", counts.poll_failures.get()),
    ]
}

fn log(ingester: &Ingester) -> Vec<Reading> {
    let counts = ingester.wal().instruments();
    vec![
        counter("conmoto_wal_appends", "Requests made durable", counts.appends.get()),
        counter("conmoto_wal_append_errors", "Requests that could not be made durable and were refused", counts.append_errors.get()),
        counter("conmoto_wal_raw_bytes", "Bytes of these requests", counts.append_raw_bytes.get()),
        counter("conmoto_wal_stored_bytes", "Bytes written for them", counts.append_stored_bytes.get()),
        counter("conmoto_wal_syncs", "fdatasync calls", counts.syncs.get()),
        counter("conmoto_wal_sync_nanoseconds", "Time spent in fdatasync", counts.sync_nanos.get()),
        counter("conmoto_wal_replayed_records", "Requests replayed since the start", counts.replayed_records.get()),
        counter("conmoto_wal_damaged_bytes", "Bytes of the log that could not be read", counts.damaged_bytes.get()),
        gauge("conmoto_wal_cut_bytes", "Bytes that the start cut off the end of the log", counts.cut_bytes.get()),
        gauge("conmoto_wal_damaged_segments", "Damaged segments of the log, those set aside included", counts.damaged_segments.get()),
        gauge("conmoto_wal_replay_waiting_bytes", "Bytes of the log that are not replayed yet", counts.replay_bytes_left.get()),
        gauge("conmoto_wal_loading", "1 while spans of before the start are being loaded", u64::from(ingester.is_loading())),
        Reading {
            name: "conmoto_wal_segments",
            help: "Segments of the log that exist",
            behaviour: Behaviour::Gauge,
            values: vec![(Vec::new(), counts.segments_held.get() as f64)],
        },
    ]
}

fn compaction(counts: &CompactorInstruments) -> Vec<Reading> {
    let waiting = counts.waiting();
    let by_tenant = |value: fn(&Waiting) -> u64| {
        waiting.iter().map(|(tenant, waiting)| (vec![("tenant", tenant.to_string())], value(waiting) as f64)).collect()
    };
    let gauge = |name, help, values| Reading { name, help, behaviour: Behaviour::Gauge, values };
    vec![
        gauge("conmoto_compaction_waiting_blocks", "Blocks that are merged or wait for it", by_tenant(|waiting| waiting.blocks)),
        gauge("conmoto_compaction_waiting_bytes", "Bytes of blocks that are merged or wait for it", by_tenant(|waiting| waiting.bytes)),
        gauge(
            "conmoto_compaction_remaining_blocks",
            "Blocks out of use whose files are not yet deleted",
            vec![(Vec::new(), counts.remains.load(std::sync::atomic::Ordering::Relaxed) as f64)],
        ),
        counter("conmoto_compactions", "Merges of blocks", counts.runs.get()),
        counter("conmoto_compaction_input_blocks", "Blocks that were merged", counts.input_blocks.get()),
        counter("conmoto_compaction_spans", "Spans written by merges", counts.spans.get()),
        counter("conmoto_compaction_written_bytes", "Bytes written by merges", counts.bytes.get()),
        counter("conmoto_compaction_joined_traces", "Traces whose pieces were joined by merges", counts.joined_traces.get()),
        counter("conmoto_compaction_duplicate_spans", "Identical spans left out by merges", counts.duplicates.get()),
        counter("tempodb_compaction_errors", "Merges that failed and are tried again", counts.failures.get()),
        counter("tempodb_retention_deleted", "Blocks deleted because of their age", counts.expired_blocks.get()),
    ]
}
