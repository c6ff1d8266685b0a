//! The bucket is gone and comes back.

use crate::bucket::{S3, spooled, wait_for_uploads};
use crate::support::data::{shop, span};
use crate::support::server::{DataDir, Server};
use crate::support::until;

#[test]
fn spans_stay_on_local_disk_until_the_bucket_is_back() {
    let (mut s3, data) = (S3::start(), DataDir::new());
    let mut server = s3.serve(&data);
    server.expect_log("could not be moved to the bucket");
    server.expect_log("the block list could not be read");
    server.push(&shop(vec![span(1, 1, "before", 0)]));
    server.flush();
    wait_for_uploads(&data, &s3, 1);
    let elsewhere = DataDir::new();
    let uncached = s3.config(&elsewhere).replace("backend: s3", "backend: s3\n    block_cache_bytes: 0");
    let mut other = Server::start_with(&elsewhere, &uncached, &[]);

    s3.stop();
    for number in 2..6 {
        server.push(&shop(vec![span(number, number as u64, "during", 0)]));
        server.flush();
    }
    until("failed move", || (server.metric("conmoto_bucket_upload_failures_total") > 0.0).then_some(()));
    assert_eq!(server.count("{ name = \"during\" }"), 4);
    assert_eq!(server.count("{}"), 5, "what was moved a short time ago is still here");
    assert_eq!(server.span_ids(3u128).len(), 1);
    // What needs a block that is only in the bucket is refused, rather than answered in part.
    other.expect_log("query failed");
    other.expect_log("the block list could not be read");
    let refused = other.get("/api/search?q=%7B%7D");
    assert_eq!(refused.status, 500);
    assert!(refused.text().contains("Connection refused"), "{}", refused.text());
    assert!(spooled(&data).iter().filter(|file| file.ends_with("meta.json")).count() == 4, "{:?}", spooled(&data));
    server.push(&shop(vec![span(7, 7, "in the head", 0)]));

    s3.resume();
    wait_for_uploads(&data, &s3, 5);
    assert_eq!(server.count("{}"), 6);
    server.flush();
    wait_for_uploads(&data, &s3, 6);
    assert_eq!(s3.serve(&DataDir::new()).count("{}"), 6);
}

#[test]
fn what_was_spooled_when_the_process_died_is_served_and_moved_by_the_next_one() {
    let (s3, data) = (S3::start(), DataDir::new());
    let mut server = s3.serve(&data);
    server.expect_log("could not be moved to the bucket");
    s3.deny("PutObject");
    server.push(&shop(vec![span(1, 1, "a", 0)]));
    server.flush();
    until("failed move", || (server.metric("conmoto_bucket_upload_failures_total") > 0.0).then_some(()));
    server.kill();
    drop(server);
    assert!(!spooled(&data).is_empty() && s3.blocks().is_empty());
    // The log has let go of these spans, so they can only come from the spool.
    s3.allow_all();
    let server = s3.serve(&data);
    assert_eq!(server.count("{}"), 1);
    wait_for_uploads(&data, &s3, 1);
    assert_eq!(server.count("{}"), 1);
}
