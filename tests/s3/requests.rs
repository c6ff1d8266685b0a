//! How many requests answers cost.

use crate::bucket::{S3, wait_for_uploads};
use crate::support::data::{MILLISECOND, T0, With, int, request, service, span, text};
use crate::support::http::with_query;
use crate::support::rng::Rng;
use crate::support::server::{DataDir, Server};
use std::path::PathBuf;

const REQUESTS: &str = "conmoto_bucket_requests_total";

fn gets(server: &Server) -> u64 {
    requests(server, "GET")
}

fn requests(server: &Server, method: &str) -> u64 {
    let (text, method) = (server.get("/metrics").text(), format!("method=\"{method}\""));
    let line = text.lines().find(|line| line.starts_with(REQUESTS) && line.contains(&method)).expect("counted");
    line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok()).expect("a number") as u64
}

/// Polls list the bucket, which would be counted with the lookups.
fn without_polls(s3: &S3, data: &DataDir) -> Server {
    let config = s3.config(data).replace("blocklist_poll: 1s", "blocklist_poll: 5m");
    Server::start_with(data, &config, &[])
}

#[test]
fn small_blocks_are_in_memory_once_they_are_open() {
    let (s3, data) = (S3::start(), DataDir::new());
    let server = s3.serve(&data);
    // Trace 1 is in three blocks of five, all with a thousand others.
    for block in 0..5u64 {
        let spans = (0..1000u64).map(|number| {
            let trace = if number == 0 && block < 3 { 1 } else { u128::from(block) << 64 | u128::from(number) << 16 | 0xff };
            span(trace, block << 32 | number | 1 << 60, "work", number * MILLISECOND).with("n", int(number as i64)).with("key", text("x"))
        });
        server.push(&request(vec![service("shop", spans.collect())]));
        server.flush();
    }
    wait_for_uploads(&data, &s3, 5);
    drop(server);

    let server = without_polls(&s3, &DataDir::new());
    let opened = gets(&server);
    assert_eq!(server.trace(0xabcd_0000_0000_0000_0000_0000_u128), None);
    assert_eq!(gets(&server), opened, "a missing id is told by what is in memory");
    assert_eq!(server.span_ids(1u128).len(), 3);
    assert_eq!(server.count("{ span.n = 5 }"), 5);
    assert_eq!(gets(&server), opened, "short files are read whole when a block is opened");
}

/// Trace `number` of a block of many.
fn of_block(block: u64, number: u64) -> u128 {
    u128::from(block) << 64 | u128::from(number) << 16 | 0xff
}

/// A block of more than 4 MiB, in which trace 1 has one span.
fn push_large_block(server: &Server, block: u64) {
    let mut rng = Rng::seeded(block);
    for part in 0..40u64 {
        let spans = (0..1000u64).map(|at| {
            let number = part * 1000 + at;
            let trace = if number == 20_000 { 1 } else { of_block(block, number) };
            let noise: String = (0..20).map(|_| format!("{:016x}", rng.next())).collect();
            span(trace, block << 32 | number | 1 << 60, "work", number * MILLISECOND).with("noise", text(&noise))
        });
        server.push(&request(vec![service("shop", spans.collect())]));
    }
    server.flush();
}

#[test]
fn a_lookup_in_large_blocks_costs_few_requests() {
    let (s3, data) = (S3::start(), DataDir::new());
    let server = s3.serve(&data);
    (1..=2).for_each(|block| push_large_block(&server, block));
    wait_for_uploads(&data, &s3, 2);
    drop(server);
    let bytes = |block: &PathBuf| std::fs::metadata(block.join("data.parquet")).expect("written").len();
    assert!(s3.blocks().iter().all(|block| bytes(block) > 5 << 20), "{:?}", s3.blocks().iter().map(bytes).collect::<Vec<_>>());

    let server = without_polls(&s3, &DataDir::new());
    let cost = |trace: u128, num_spans: usize| {
        let before = gets(&server);
        assert_eq!(server.span_ids(trace).len(), num_spans);
        gets(&server) - before
    };
    let opened = gets(&server);
    let missing = cost(0xabcd_0000_0000_0000_0000_0000, 0);
    let (cold, warm, again) = (cost(1, 2), cost(of_block(1, 39_000), 1), cost(of_block(1, 39_000), 1));
    println!(
        "GETs: {opened} to open 2 blocks, {missing} for a missing id, {cold} for the first lookup of a trace in both, {warm} and {again} later"
    );
    assert_eq!(missing, 0);
    assert!(cold <= 2 + 2, "{cold}");
    assert!(warm <= 1 + 1, "{warm}");
    assert_eq!(again, 0);
}

#[test]
fn each_kind_of_query_costs_few_requests() {
    let (s3, data) = (S3::start(), DataDir::new());
    let server = s3.serve(&data);
    push_large_block(&server, 1);
    wait_for_uploads(&data, &s3, 1);
    let first = requests(&server, "PUT");
    push_large_block(&server, 2);
    wait_for_uploads(&data, &s3, 2);
    let per_block = requests(&server, "PUT") - first;
    println!("{per_block} writes for a flushed block of {} files", std::fs::read_dir(&s3.blocks()[0]).expect("there").count());
    assert!(per_block <= 10, "{per_block}");
    drop(server);

    let times = [("start", T0.to_string()), ("end", (T0 + 60).to_string()), ("step", "60s".to_string())];
    let search = |query: &'static str| ("/api/search", vec![("q", query.to_string()), ("limit", "20".to_string())]);
    let metrics = |query: &'static str| ("/api/metrics/query_range", [("q", query.to_string())].into_iter().chain(times.clone()).collect());
    let asked = [
        ("search by service", search(r#"{ resource.service.name = "shop" }"#), 4),
        ("search by a value that is not there", search(r#"{ span.noise = "none" }"#), 4),
        ("search by an attribute that is not there", search(r#"{ span.unknown = "none" }"#), 0),
        ("search by regex", search(r#"{ span.noise =~ "00.*" }"#), 4),
        ("search by duration", search("{ duration > 1m }"), 4),
        ("search by structure", search("{ } > { }"), 4),
        ("rate by service", metrics("{ } | rate() by (resource.service.name)"), 4),
        ("names of tags", ("/api/v2/search/tags", Vec::new()), 0),
        ("values of a tag", ("/api/v2/search/tag/resource.service.name/values", Vec::new()), 0),
    ];
    for (kind, (path, params), most) in asked {
        let server = without_polls(&s3, &DataDir::new());
        let params: Vec<(&str, &str)> = params.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let cost = || {
            let before = gets(&server);
            server.get_json(&with_query(path, &params));
            gets(&server) - before
        };
        let (cold, again) = (cost(), cost());
        println!("GETs over 2 blocks: {cold}, again {again}: {kind}");
        assert!(cold <= most && again <= cold, "{kind}: {cold}, {again}");
    }
}
