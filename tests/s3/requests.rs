//! How many requests answers cost.

use crate::bucket::{S3, wait_for_uploads};
use crate::support::data::{MILLISECOND, With, int, request, service, span, text};
use crate::support::server::{DataDir, Server};

const GETS: &str = "conmoto_bucket_requests_total";

fn gets(server: &Server) -> u64 {
    let text = server.get("/metrics").text();
    let line = text.lines().find(|line| line.starts_with(GETS) && line.contains("method=\"GET\"")).expect("counted");
    line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok()).expect("a number") as u64
}

/// Polls list the bucket, which would be counted with the lookups.
fn without_polls(s3: &S3, data: &DataDir) -> Server {
    let config = s3.config(data).replace("blocklist_poll: 1s", "blocklist_poll: 5m");
    Server::start_with(data, &config, &[])
}

#[test]
fn a_lookup_costs_few_requests() {
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
    let first = gets(&server) - opened;
    println!("{opened} GETs to open 5 blocks, {first} for the first lookup of a trace in 3 of them");
    assert!(first <= 2 + 3, "{first}");
    // Short files are read whole when the block is opened; of these small blocks everything but the spans.
    let before = gets(&server);
    assert_eq!(server.span_ids(u128::from(4u64) << 64 | 5 << 16 | 0xff).len(), 1);
    assert_eq!(server.span_ids(u128::from(2u64) << 64 | 5 << 16 | 0xff).len(), 1);
    let after = gets(&server);
    assert!(after - before <= 4, "block 4 for the first time, block 2 from memory: {}", after - before);
    let repeated = gets(&server);
    assert_eq!(server.span_ids(1u128).len(), 3);
    assert_eq!(server.count("{ span.n = 5 }"), 5);
    println!("{} GETs for the same again and a search", gets(&server) - repeated);
}
