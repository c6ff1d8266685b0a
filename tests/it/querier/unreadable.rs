//! A disk that cannot read a block's file: the queries that need it fail and say so, the others go on, and nothing is taken for damage.

use crate::support::data::{shop, span};
use crate::support::server::{DataDir, Server};
use std::fs;
use std::os::unix::fs::symlink;

#[test]
fn an_error_of_the_disk_fails_what_needs_the_file_and_nothing_else() {
    let data = DataDir::new();
    let mut server = Server::start_with(&data, &format!("{}compactor:\n  disabled: true\n", data.config()), &[]);
    server.push(&shop(vec![span(1u128, 1, "a", 0)]));
    server.flush();
    let file = data.blocks()[0].join("data.parquet");
    server.push(&shop(vec![span(2u128, 2, "b", 0)]));
    server.flush();
    server.push(&shop(vec![span(3u128, 3, "c", 0)]));
    // Its first page is mapped nowhere, so that reading there is EIO.
    let aside = data.path().join("aside");
    fs::rename(&file, &aside).expect("writable");
    symlink("/proc/self/mem", &file).expect("writable");
    server.expect_log("query failed");

    let by_id = |trace: u32| server.get(&format!("/api/traces/{trace:032x}")).status;
    assert_eq!((by_id(1), by_id(2), by_id(3), by_id(4)), (500, 200, 200, 404));
    let search = server.get("/api/search?q=%7Bname%3D~%22.%22%7D");
    assert_eq!(search.status, 500, "an answer without the block would be a wrong one: {}", search.text());
    server.push(&shop(vec![span(4u128, 4, "d", 0)]));
    assert_eq!(by_id(4), 200);
    assert_eq!(server.metric("conmoto_unreadable_blocks"), 0.0, "the block may be as good as ever");

    fs::remove_file(&file).expect("writable");
    fs::rename(&aside, &file).expect("writable");
    assert_eq!((by_id(1), server.count("{ name =~ \".\" }")), (200, 4));
}
