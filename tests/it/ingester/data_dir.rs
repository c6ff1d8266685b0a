//! One process at a time on a data directory.

use crate::support::data::{shop, span};
use crate::support::server::{DataDir, Server};

#[test]
fn a_second_process_is_refused() {
    let data = DataDir::new();
    let server = Server::start(&data);
    server.push(&shop(vec![span(1, 1, "before", 0)]));

    let second = data.spawn("second", &data.config(), &[]);
    assert_eq!(second.wait().code(), Some(1));
    let wal = data.path().join("wal");
    assert!(second.log().contains(&format!("another process uses the write-ahead log in {}", wal.display())), "{}", second.log());
    assert!(!second.out().contains("query API"), "it must not look as if it were running");

    server.push(&shop(vec![span(2, 2, "after", 0)]));
    assert_eq!(server.count("{ }"), 2);
    // However the first one ends, the directory is free afterwards.
    server.kill();
    assert_eq!(Server::start(&data).count("{ }"), 2);
}
