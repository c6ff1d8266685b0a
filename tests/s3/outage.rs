//! The bucket is gone and comes back.

use crate::bucket::{S3, spooled, wait_for_uploads};
use crate::support::data::{SECOND, T0, shop, span};
use crate::support::server::DataDir;
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

    s3.stop();
    server.expect_log("query failed");
    for number in 2..6 {
        server.push(&shop(vec![span(number, number as u64, "during", 3600 * SECOND)]));
        server.flush();
    }
    until("failed move", || (server.metric("conmoto_bucket_upload_failures_total") > 0.0).then_some(()));
    let (start, end) = ((T0 + 1800).to_string(), (T0 + 7200).to_string());
    let found = server.search_with(&[("q", "{ name = \"during\" }"), ("start", &start), ("end", &end)]);
    assert_eq!(found.len(), 4);
    assert_eq!(server.span_ids(3u128).len(), 1);
    // What needs a block that is only in the bucket is refused, rather than answered in part.
    let refused = server.get("/api/search?q=%7B%7D");
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
