//! Spans go into the bucket and come back.

use crate::bucket::{S3, kept, spooled, store, wait_for_uploads};
use crate::support::data::{MILLISECOND, With, int, request, service, shop, span, text};
use crate::support::rng::Rng;
use crate::support::server::{DataDir, Server};
use crate::support::until;
use bytes::Bytes;
use conmoto::model::{BlockId, TenantId};
use conmoto::store::paths;
use conmoto::store::settings::S3Settings;
use std::time::Duration;

/// A trace of three spans in two services.
fn trace(number: u64) -> Vec<u8> {
    let id = u128::from(number) << 64 | 7;
    let root = span(id, number * 10 + 1, "checkout", number * MILLISECOND).with("number", int(number as i64));
    let inner = span(id, number * 10 + 2, "pay", number * MILLISECOND).child_of(number * 10 + 1).with("card", text("visa"));
    let other = span(id, number * 10 + 3, "ship", number * MILLISECOND).child_of(number * 10 + 1);
    request(vec![service("shop", vec![root, inner]), service("post", vec![other])])
}

fn id(number: u64) -> u128 {
    u128::from(number) << 64 | 7
}

/// All traces are there, whole, in search and by id.
fn assert_all(server: &Server, numbers: std::ops::Range<u64>) {
    let wanted = numbers.end - numbers.start;
    assert_eq!(server.count("{}"), 3 * wanted);
    assert_eq!(server.count("{ span.card = \"visa\" }"), wanted);
    for number in numbers {
        assert_eq!(server.span_ids(id(number)).len(), 3, "trace {number}");
    }
    assert!(server.trace(0xdead_u128).is_none());
}

#[test]
fn blocks_go_to_the_bucket_and_are_read_from_there() {
    let (s3, data) = (S3::start(), DataDir::new());
    let server = s3.serve(&data);
    assert!(server.banner().contains("s3 bucket traces/a/b"), "{}", server.banner());
    for number in 0..6 {
        server.push(&trace(number));
        if number % 2 == 1 {
            server.flush();
        }
        assert_all(&server, 0..number + 1);
    }
    wait_for_uploads(&data, &s3, 3);
    assert_all(&server, 0..6);
    assert!(s3.blocks().iter().all(|block| block.starts_with(s3.objects().join("a/b/single-tenant"))), "{:?}", s3.blocks());
    server.push(&trace(6));
    assert!(server.terminate().success());
    drop(server);

    // What is in the bucket comes from there, what is not from the log.
    let server = s3.serve(&data);
    assert_all(&server, 0..7);
    server.flush();
    wait_for_uploads(&data, &s3, 4);
    assert!(server.terminate().success());
    drop(server);

    // Another machine has nothing but the bucket.
    let other = DataDir::new();
    let server = s3.serve(&other);
    assert_all(&server, 0..7);
    assert_eq!(server.metric("conmoto_unreadable_blocks"), 0.0);
    assert_eq!(server.metric("tempodb_blocklist_length"), 4.0);
}

#[test]
fn kill_at_any_moment_loses_and_doubles_nothing() {
    let (s3, data) = (S3::start(), DataDir::new());
    let mut rng = Rng::seeded(7);
    let mut num_sent = 0;
    for _ in 0..6 {
        let mut server = s3.serve(&data);
        server.expect_log("unfinished record");
        assert_all(&server, 0..num_sent);
        for _ in 0..5 {
            server.push(&trace(num_sent));
            num_sent += 1;
            if rng.below(2) == 0 {
                server.flush();
            }
        }
        // The mover looks every second: kills fall before, into and after moves.
        std::thread::sleep(Duration::from_millis(rng.below(1500)));
        server.kill();
    }
    let mut server = s3.serve(&data);
    server.expect_log("unfinished record");
    assert_all(&server, 0..num_sent);
    server.flush();
    until("empty spool", || spooled(&data).is_empty().then_some(()));
    assert_all(&server, 0..num_sent);
    let ids: std::collections::HashSet<_> = s3.blocks().iter().filter_map(|block| block.file_name().map(ToOwned::to_owned)).collect();
    assert_eq!(ids.len(), s3.blocks().len());
}

#[test]
fn a_second_reader_sees_blocks_after_a_poll() {
    let (s3, data) = (S3::start(), DataDir::new());
    let reader = s3.serve(&DataDir::new());
    let writer = s3.serve(&data);
    writer.push(&shop(vec![span(1, 1, "a", 0)]));
    writer.flush();
    until("block at the reader", || (reader.count("{}") == 1).then_some(()));
    // It was deleted elsewhere.
    wait_for_uploads(&data, &s3, 1);
    std::fs::remove_dir_all(&s3.blocks()[0]).expect("writable");
    until("end of the block", || (reader.metric("tempodb_blocklist_length") == 0.0).then_some(()));
    assert_eq!(reader.count("{}"), 0);
}

#[test]
fn moved_blocks_leave_local_disk_after_a_while() {
    let (s3, data) = (S3::start(), DataDir::new());
    let config = format!("{}live_store:\n  complete_block_timeout: 1s\n", s3.config(&data));
    let server = Server::start_with(&data, &config, &[]);
    server.push(&trace(0));
    server.flush();
    assert_all(&server, 0..1);
    wait_for_uploads(&data, &s3, 1);
    until("end of the copy", || kept(&data).is_empty().then_some(()));
    let before = server.metric("conmoto_block_cache_misses_total");
    assert_all(&server, 0..1);
    assert!(server.metric("conmoto_block_cache_misses_total") > before, "it is read from the bucket");
}

#[test]
fn large_objects_go_in_parts() {
    let s3 = S3::start();
    let spool = tempfile::tempdir().expect("a temporary directory");
    let bytes: Vec<u8> = (0..13_000_001u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let path = paths::file(&TenantId::single(), &BlockId::random(), "data.parquet");
    s3.runtime.block_on(async {
        let store = store(S3Settings { part_bytes: 5 << 20, ..s3.settings() }, spool.path());
        store.put(&path, Bytes::from(bytes.clone())).await.expect("written");
        let puts = store.instruments().expect("a bucket").puts.get();
        assert_eq!(puts, 5, "begin, three parts, end");
        assert_eq!(store.get(&path).await.expect("readable"), bytes);
    });
}
