//! The end of the log after a crash: what was never acknowledged is cut off, and the server starts.

use crate::support::data::{shop, span};
use crate::support::rng::Rng;
use crate::support::server::{DataDir, Server};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

/// Bytes before the first record of a segment.
const FILE_HEADER_BYTES: usize = 16;

fn append(path: &Path, bytes: &[u8]) {
    let mut file = OpenOptions::new().append(true).open(path).expect("a segment");
    file.write_all(bytes).expect("writable");
}

fn cut(path: &Path, num_bytes: u64) {
    let file = OpenOptions::new().write(true).open(path).expect("a segment");
    let length = file.metadata().expect("readable").len();
    file.set_len(length - num_bytes).expect("writable");
}

/// The first record again, without its end.
fn half_a_record(path: &Path) -> Vec<u8> {
    let bytes = std::fs::read(path).expect("a segment");
    let records = &bytes[FILE_HEADER_BYTES..];
    records[..records.len() / 2 - 5].to_vec()
}

/// What a crash may leave at the end of the last segment, and whether the last request survives it.
type Damage = (&'static str, fn(&Path), bool);

const DAMAGES: [Damage; 6] = [
    ("a few bytes", |path| append(path, b"\x07"), true),
    ("zeros", |path| append(path, &[0; 4096]), true),
    ("garbage", |path| append(path, &garbage(5000)), true),
    ("half a record", |path| append(path, &half_a_record(path)), true),
    ("the end cut off", |path| cut(path, 1), false),
    ("the end overwritten", |path| (cut(path, 20), append(path, &garbage(20))).1, false),
];

fn garbage(num_bytes: usize) -> Vec<u8> {
    let mut rng = Rng::seeded(7);
    (0..num_bytes).map(|_| rng.next() as u8).collect()
}

#[test]
fn a_torn_tail_is_cut_off() {
    for (what, damage, survives) in DAMAGES {
        let data = DataDir::new();
        let server = Server::start(&data);
        server.push(&shop(vec![span(1, 1, "first", 0)]));
        server.push(&shop(vec![span(2, 2, "second", 0)]));
        server.kill();
        drop(server);
        damage(&data.last_segment());

        let mut server = Server::start(&data);
        server.expect_log("unfinished record");
        let names = |server: &Server| ["first", "second", "third"].map(|name| server.count(&format!("{{ name = \"{name}\" }}")));
        assert_eq!(names(&server), [1, u64::from(survives), 0], "{what}");
        assert!(server.log().contains("unfinished record"), "{what}: a cut must be told");
        server.push(&shop(vec![span(3, 3, "third", 0)]));
        server.kill();
        drop(server);

        // What was cut off does not come back, and nothing that came after is lost.
        let server = Server::start(&data);
        assert_eq!(names(&server), [1, u64::from(survives), 1], "{what}");
        server.flush();
        assert_eq!(names(&server), [1, u64::from(survives), 1], "{what}");
    }
}
