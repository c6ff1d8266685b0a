//! A process that dies while old blocks are deleted.

use crate::campaign::{Death, died_by_itself};
use crate::support::data::{shop, span};
use crate::support::server::{DataDir, Server};
use crate::support::until;
use crate::tally::Tally;

const OLD_BLOCKS: u64 = 3;
/// Spans of one request, which become one block.
const SPANS: u64 = 20;

fn config(data: &DataDir, retention: &str) -> String {
    format!(
        "{}compactor:\n  compaction:\n    compaction_cycle: 300ms\n    block_retention: {retention}\n\
         overrides:\n  defaults:\n    compaction:\n      compaction_disabled: true\n",
        data.config()
    )
}

/// Old spans are gone or there, each block whole; recent ones are there.
fn check(server: &Server) -> u64 {
    let mut num_left = 0;
    for block in 1..=OLD_BLOCKS {
        let found = server.span_ids(u128::from(block)).len() as u64;
        assert!(found == 0 || found == SPANS, "{found} spans of a deleted block");
        num_left += found;
    }
    assert_eq!(server.span_ids(0xfeed_u128).len(), 1, "a span that is not in any block");
    assert_eq!(server.count("{ }"), num_left + 1);
    num_left
}

/// Blocks get old, and the process dies at the failpoint while it deletes them.
pub fn run(name: &'static str, times: u64, tally: &mut Tally) {
    let data = DataDir::new();
    let server = Server::start_with(&data, &config(&data, "336h"), &[]);
    for block in 1..=OLD_BLOCKS {
        server.push(&shop((1..=SPANS).map(|id| span(u128::from(block), id, "old", id)).collect()));
        server.flush();
    }
    server.kill();
    drop(server);
    let server = Server::start_with(&data, &config(&data, "336h"), &[]);
    server.push(&shop(vec![span(0xfeed, 1, "recent", 1)]));
    assert_eq!(check(&server), OLD_BLOCKS * SPANS);
    server.kill();
    drop(server);

    let failpoint = format!("{name}:{}", if name == "retention.chosen" { 1 } else { times });
    let process = data.spawn_with("conmoto", &config(&data, "1s"), &[], &[("CONMOTO_FAILPOINT", &failpoint)]);
    until("death", || process.ended());
    tally.note_death(Death::At { name, times }, died_by_itself(&process));
    let server = Server::start_with(&data, &config(&data, "336h"), &[]);
    check(&server);
    server.kill();
    drop(server);
    let server = Server::start_with(&data, &config(&data, "1s"), &[]);
    until("end of the old blocks", || (server.count("{ }") == 1).then_some(()));
    until("end of their files", || data.blocks().is_empty().then_some(()));
    assert_eq!(check(&server), 0);
}
