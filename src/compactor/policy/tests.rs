//! What is chosen, what it leads to, and what it costs.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::{HashMap, HashSet};

const HOUR: u64 = 3_600_000_000_000;
const SECOND: u64 = 1_000_000_000;
const MIB: u64 = 1 << 20;
/// A full hour.
const T0: u64 = 500_000 * HOUR;

fn policy() -> Policy {
    Policy { window: Duration::from_secs(3600), settle: Duration::from_secs(30), max_bytes: 100 << 30, max_traces: 6_000_000 }
}

fn block(bytes: u64, created: u64) -> Candidate {
    Candidate { id: BlockId::random(), bytes, traces: bytes / 300, spans: bytes / 27, end: created - SECOND, created }
}

fn merged(inputs: &[Candidate]) -> Candidate {
    let sum = |of: fn(&Candidate) -> u64| inputs.iter().map(of).sum();
    let max = |of: fn(&Candidate) -> u64| inputs.iter().map(of).max().expect("a job has inputs");
    Candidate {
        id: BlockId::random(),
        bytes: sum(|block| block.bytes),
        traces: sum(|block| block.traces),
        spans: sum(|block| block.spans),
        end: max(|block| block.end),
        created: max(|block| block.created),
    }
}

/// Does what is chosen until nothing is; returns the bytes that were written.
fn settle(policy: &Policy, blocks: &mut Vec<Candidate>, now: u64, is_quiet: bool) -> u64 {
    let mut written = 0;
    loop {
        let choice = policy.choose(blocks, UnixNanos(now), is_quiet);
        if choice.jobs.is_empty() {
            return written;
        }
        for job in choice.jobs {
            let inputs: Vec<Candidate> = blocks.extract_if(.., |block| job.contains(&block.id)).collect();
            let output = merged(&inputs);
            written += output.bytes;
            blocks.push(output);
        }
    }
}

fn candidates() -> impl Strategy<Value = Vec<Candidate>> {
    let one = (0u32..24, 1u64..5_000_000, 0..4 * HOUR, 0..20 * HOUR, any::<bool>()).prop_map(|(size, traces, created, age, is_odd)| {
        let created = T0 + created;
        // Some have spans from long ago, some from the future.
        let end = if is_odd { created + age } else { created - age };
        Candidate { id: BlockId::random(), bytes: 1000 << size, traces, spans: 12 * traces, end, created }
    });
    vec(one, 0..80)
}

proptest! {
    #[test]
    fn jobs_are_legal(blocks in candidates(), now in 0..8 * HOUR, is_quiet: bool, max_mib in 1u64..2000) {
        let policy = Policy { max_bytes: max_mib * MIB, ..policy() };
        let choice = policy.choose(&blocks, UnixNanos(T0 + now), is_quiet);
        let by_id: HashMap<BlockId, &Candidate> = blocks.iter().map(|block| (block.id, block)).collect();
        let mut seen = HashSet::new();
        for job in &choice.jobs {
            prop_assert!((2..=MAX_INPUTS).contains(&job.len()));
            prop_assert!(job.iter().all(|id| seen.insert(*id)), "a block is in two jobs");
            let inputs: Vec<&Candidate> = job.iter().map(|id| by_id[id]).collect();
            let windows: HashSet<u64> = inputs.iter().map(|block| block.end.min(block.created) / HOUR).collect();
            prop_assert_eq!(windows.len(), 1);
            let created = || inputs.iter().map(|block| block.created);
            prop_assert!(created().max().expect("inputs") - created().min().expect("inputs") <= 2 * HOUR);
            prop_assert!(inputs.iter().map(|block| block.bytes).sum::<u64>() <= policy.max_bytes);
            prop_assert!(inputs.iter().map(|block| block.traces).sum::<u64>() <= policy.max_traces);
        }
        prop_assert!(choice.waiting.blocks >= seen.len() as u64);
    }

    #[test]
    fn it_comes_to_rest_and_nothing_waits_then(blocks in candidates()) {
        let mut blocks = blocks;
        let traces: u64 = blocks.iter().map(|block| block.traces).sum();
        settle(&policy(), &mut blocks, T0 + 100 * HOUR, false);
        let choice = policy().choose(&blocks, UnixNanos(T0 + 100 * HOUR), false);
        prop_assert_eq!(choice, Choice::default());
        prop_assert_eq!(blocks.iter().map(|block| block.traces).sum::<u64>(), traces);
    }
}

/// An hour of a busy server, and what follows it; returns the number of blocks at the end, and bytes written for each that came.
fn hour(bytes: u64, every: u64) -> (usize, f64) {
    let (mut blocks, mut came, mut written) = (Vec::new(), 0, 0);
    let policy = policy();
    for at in (every..HOUR).step_by(every as usize) {
        blocks.push(block(bytes, T0 + at));
        came += bytes;
        written += settle(&policy, &mut blocks, T0 + at, false);
    }
    // The next hour's blocks are in other windows; this one is over.
    written += settle(&policy, &mut blocks, T0 + HOUR + 60 * SECOND, false);
    written += settle(&policy, &mut blocks, T0 + 3 * HOUR, false);
    (blocks.len(), written as f64 / came as f64)
}

#[test]
fn a_busy_hour_ends_with_few_blocks_and_is_written_about_twice() {
    for (bytes, every) in [(15 * MIB, 55), (8 * MIB, 300), (2 * MIB, 10), (200 << 10, 60), (40 * MIB, 7)] {
        let (num_blocks, amplification) = hour(bytes, every * SECOND);
        // Of the largest hour a block has as many traces as it may.
        let num_full = bytes * 3600 / every / (300 * policy().max_traces);
        assert!(num_blocks as u64 <= 2 + 2 * num_full, "{num_blocks} blocks of {bytes} bytes every {every} s");
        assert!(amplification <= 3.0, "blocks of {bytes} bytes every {every} s are written {amplification} times");
    }
}

#[test]
fn leftovers_wait_while_more_is_to_come() {
    let blocks: Vec<Candidate> = (1..4).map(|n| block(10 * MIB, T0 + n * 300 * SECOND)).collect();
    let ready = |now: u64, is_quiet: bool| !policy().choose(&blocks, UnixNanos(now), is_quiet).jobs.is_empty();
    let newest = T0 + 900 * SECOND;
    assert!(!ready(newest + 600 * SECOND, false), "the tenant still sends");
    assert!(!ready(newest + 10 * SECOND, true), "another flush may follow");
    assert!(ready(newest + 31 * SECOND, true));
    assert!(ready(T0 + HOUR + 31 * SECOND, false), "the window is over");
    let waiting = policy().choose(&blocks, UnixNanos(newest), false).waiting;
    assert_eq!(waiting, Waiting { blocks: 3, bytes: 30 * MIB });
}

#[test]
fn a_large_block_is_not_copied_for_a_small_one() {
    let mut blocks = vec![block(1000 * MIB, T0 + SECOND), block(MIB, T0 + 2 * SECOND), block(MIB, T0 + 3 * SECOND)];
    settle(&policy(), &mut blocks, T0 + 10 * HOUR, true);
    blocks.sort_by_key(|block| block.bytes);
    assert_eq!(blocks.iter().map(|block| block.bytes).collect::<Vec<_>>(), [2 * MIB, 1000 * MIB]);
}

#[test]
fn spans_from_the_future_do_not_keep_blocks_apart() {
    let mut blocks: Vec<Candidate> = (1..5).map(|n| Candidate { end: u64::MAX - n * HOUR, ..block(MIB, T0 + n * SECOND) }).collect();
    settle(&policy(), &mut blocks, T0 + 10 * HOUR, true);
    assert_eq!(blocks.len(), 1);
}
