//! Files in the bucket that are not what they should be.

use crate::bucket::{S3, spooled, wait_for_uploads};
use crate::support::data::{shop, span};
use crate::support::server::DataDir;
use std::fs;
use std::path::Path;

/// What is done to one block each, by the name of a file.
const DAMAGES: [(&str, &str); 6] = [
    ("data.parquet", "truncate"),
    ("index", "flip"),
    ("bloom-0", "empty"),
    ("meta.json", "foreign"),
    ("traces.parquet", "delete"),
    ("meta.json", "empty"),
];

fn damage(file: &Path, how: &str) {
    let mut bytes = fs::read(file).expect("readable");
    match how {
        "truncate" => bytes.truncate(bytes.len() / 2),
        "flip" => {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x10;
        }
        "empty" => bytes.clear(),
        "foreign" => bytes = br#"{"format":"vParquet4","blockID":"b","tenantID":"single-tenant"}"#.to_vec(),
        _ => return fs::remove_file(file).expect("writable"),
    }
    fs::write(file, bytes).expect("writable");
}

#[test]
fn damaged_blocks_are_left_out_and_the_rest_is_served() {
    let (s3, data) = (S3::start(), DataDir::new());
    let server = s3.serve(&data);
    let num_blocks = DAMAGES.len() as u64 + 2;
    for number in 1..=num_blocks {
        server.push(&shop(vec![span(u128::from(number), number, "a", 0)]));
        server.flush();
    }
    wait_for_uploads(&data, &s3, num_blocks as usize);
    assert!(server.terminate().success());
    drop(server);
    let blocks = s3.blocks();
    for ((file, how), block) in DAMAGES.iter().zip(&blocks) {
        damage(&block.join(file), how);
    }
    // A folder that another program left, or is just writing.
    let foreign = blocks[0].with_file_name("11111111-2222-4333-8444-555555555555");
    fs::create_dir(&foreign).expect("writable");
    fs::write(foreign.join("meta.compacted.json"), b"{}").expect("writable");

    let mut server = s3.serve(&DataDir::new());
    server.expect_log("a block cannot be read and is left out of answers");
    assert_eq!(server.count("{}"), 2, "the undamaged ones");
    assert_eq!(server.metric("conmoto_unreadable_blocks"), DAMAGES.len() as f64);
    // A few polls later each is still told once.
    crate::support::until("polls", || (server.metric("tempodb_blocklist_polls_total") >= 3.0).then_some(()));
    let lines = server.log().lines().filter(|line| line.contains("left out of answers")).count();
    assert_eq!(lines, DAMAGES.len(), "{}", server.log());
    assert_eq!(server.count("{}"), 2);
    assert!(foreign.join("meta.compacted.json").exists(), "nothing is deleted");
    assert!(blocks.iter().all(|block| block.join("data.parquet").exists()));
}

#[test]
fn damaged_blocks_on_their_way_are_left_out_and_stay_where_they_are() {
    let (s3, data) = (S3::start(), DataDir::new());
    let mut server = s3.serve(&data);
    server.expect_log("could not be moved to the bucket");
    s3.deny("PutObject");
    let num_blocks = DAMAGES.len() as u64 + 2;
    for number in 1..=num_blocks {
        server.push(&shop(vec![span(u128::from(number), number, "a", 0)]));
        server.flush();
    }
    server.kill();
    drop(server);
    let metas = spooled(&data).into_iter().filter(|file| file.ends_with("meta.json"));
    let mut blocks: Vec<_> = metas.map(|file| file.parent().expect("a block").to_path_buf()).collect();
    blocks.sort();
    assert_eq!(blocks.len() as u64, num_blocks);
    for ((file, how), block) in DAMAGES.iter().zip(&blocks) {
        damage(&block.join(file), how);
    }

    s3.allow_all();
    let mut server = s3.serve(&data);
    server.expect_log("a block cannot be read and is left out of answers");
    assert_eq!(server.count("{}"), 2, "the undamaged ones");
    wait_until_moved(&s3, 2);
    assert_eq!(server.metric("conmoto_unreadable_blocks"), DAMAGES.len() as f64);
    assert!(!server.get("/api/search?q=%7B%7D").header("x-conmoto-partial").is_empty());
    assert!(blocks[..DAMAGES.len()].iter().all(|block| block.join("data.parquet").exists()), "nothing is deleted, nor moved");
    assert_eq!(s3.blocks().len(), 2);
}

fn wait_until_moved(s3: &S3, num_blocks: usize) {
    crate::support::until("upload", || (s3.blocks().len() >= num_blocks).then_some(()));
}
