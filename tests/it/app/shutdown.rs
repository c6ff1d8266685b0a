//! SIGTERM: an orderly end that loses nothing.

use crate::support::data::{shop, span};
use crate::support::server::{DataDir, Server};
use crate::support::until;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

#[test]
fn a_stop_loses_nothing() {
    let data = DataDir::new();
    let server = Server::start(&data);
    server.push(&shop(vec![span(1, 1, "in a block", 0)]));
    server.flush();
    server.push(&shop(vec![span(2, 2, "in the log", 0)]));
    assert_eq!(server.terminate().code(), Some(0));
    assert!(server.log().contains("Conmoto stopped"));
    drop(server);
    let server = Server::start(&data);
    assert_eq!((server.count("{ }"), server.span_ids(1).len(), server.span_ids(2).len()), (2, 1, 1));
    // An end without anything to do is as orderly.
    assert_eq!(server.terminate().code(), Some(0));
    drop(server);
    assert_eq!(Server::start(&data).count("{ }"), 2);
}

#[test]
fn everything_can_be_flushed_at_the_end() {
    let data = DataDir::new();
    let config = format!("{}ingester:\n  flush_all_on_shutdown: true\n", data.config());
    let server = Server::start_with(&data, &config, &[]);
    server.push(&shop(vec![span(1, 1, "a", 0)]));
    assert_eq!(server.terminate().code(), Some(0));
    assert_eq!(data.blocks().len(), 1);
    drop(server);
    assert_eq!(Server::start(&data).count("{ }"), 1);
}

/// What is acknowledged while the server is stopping is kept too.
#[test]
fn a_stop_under_load_loses_nothing() {
    let data = DataDir::new();
    let server = Server::start(&data);
    let num_acknowledged = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for writer in 1..=2_u64 {
            let (server, num_acknowledged) = (&server, &num_acknowledged);
            scope.spawn(move || {
                for number in 1..5000 {
                    let answer = server.try_push(&shop(vec![span(u128::from(writer), number, "s", number)]));
                    // The port is closed, or the server says that it is stopping.
                    if !answer.is_ok_and(|answer| answer.status == 200) {
                        return;
                    }
                    num_acknowledged.fetch_add(1, SeqCst);
                }
            });
        }
        until("progress", || (num_acknowledged.load(SeqCst) > 20).then_some(()));
        assert_eq!(server.terminate().code(), Some(0));
    });
    drop(server);
    let server = Server::start(&data);
    let (found, acknowledged) = (server.count("{ }"), num_acknowledged.load(SeqCst));
    // One request of each writer may have been stored without its answer arriving.
    assert!((acknowledged..=acknowledged + 2).contains(&found), "{found} found of {acknowledged} acknowledged");
}
