//! The crash suite: the real binary dies, again and again, at random moments and at every failpoint, with a ledger of what
//! it acknowledged kept here. After each start every acknowledged span is found exactly once by id, by search and by
//! `count_over_time()`, and a request that was not acknowledged is there whole or not at all.
//!
//! `cargo test --test crash` runs the short form. The long form, 1,000 kills (or `CONMOTO_KILLS`) in release:
//!
//! ```sh
//! cargo test --release --test crash -- --ignored --nocapture
//! ```

// Shared with tests/it and tests/s3, which use all of it.
#[allow(dead_code)]
#[path = "../s3/bucket.rs"]
mod bucket;
#[allow(dead_code)]
#[path = "../it/ingester/ledger.rs"]
mod ledger;
#[allow(dead_code)]
#[path = "../it/support/mod.rs"]
mod support;

mod campaign;

mod load;

mod overload;

mod restart;

mod retention;

mod tally;

use campaign::{Campaign, Death, Place};
use conmoto::runtime::failpoints;
use support::rng::Rng;
use tally::Tally;

/// Data directories that campaigns work on at the same time.
const CAMPAIGNS_AT_ONCE: usize = 2;
/// Kills of one directory, after which a new one is begun: what is checked after each start grows with every kill.
const KILLS_OF_A_CAMPAIGN: usize = 20;

/// How the process dies, one after the other: each failpoint of the place in turn, every third time at a random moment.
fn deaths(place: Place, seed: u64, num_kills: usize) -> Vec<Death> {
    let mut rng = Rng::seeded(seed);
    let names: Vec<&'static str> = failpoints::NAMES.iter().copied().filter(|name| place.has(name)).collect();
    let mut at = rng.below(names.len() as u64) as usize;
    let mut next = |number: usize| {
        if number % 3 == 2 {
            return Death::After { micros: rng.below(250_000) };
        }
        at += 1;
        let name = names[at % names.len()];
        // Records and files are many, the others few.
        let most = match name {
            "wal.write" | "wal.write.half" | "wal.written" | "wal.synced" => 40,
            "flush.file" | "upload.file" => 8,
            _ if name.starts_with("flush.") => 3,
            _ => 1,
        };
        Death::At { name, times: 1 + rng.below(most) }
    };
    (0..num_kills).map(&mut next).collect()
}

#[test]
fn nothing_acknowledged_is_lost_or_doubled_on_local_disk() {
    let mut tally = Tally::default();
    Campaign::new(Place::Local, 1).run(&deaths(Place::Local, 3, 12), &mut tally);
    tally.assert_that_something_happened(12);
}

#[test]
fn nothing_acknowledged_is_lost_or_doubled_with_a_bucket() {
    let mut tally = Tally::default();
    Campaign::new(Place::Bucket, 2).run(&deaths(Place::Bucket, 2, 4), &mut tally);
    tally.assert_that_something_happened(4);
}

#[test]
fn retention_takes_blocks_whole_and_nothing_else() {
    let mut tally = Tally::default();
    for name in ["retention.chosen", "delete.meta", "delete.files"] {
        retention::run(name, 1, &mut tally);
    }
    assert_eq!(tally.num_reached(), 3, "{tally}");
}

#[test]
fn an_overload_is_refused_and_does_no_harm() {
    let outcome = overload::run(std::time::Duration::from_secs(3), 64 << 20);
    assert!(outcome.acknowledged_requests > 0 && outcome.refused > 0, "{outcome}");
}

/// In release: `cargo test --release --test crash gigabyte -- --ignored --nocapture`.
#[test]
#[ignore = "takes a minute and 3 GB of disk"]
fn a_start_with_a_gigabyte_of_log() {
    let outcome = restart::run(1 << 30);
    println!("{outcome}");
    assert!(outcome.partial_answers > 0 && outcome.pushed_meanwhile > 0, "{outcome}");
    assert!(outcome.peak_bytes < 400 << 20, "{outcome}");
}

/// In release: `cargo test --release --test crash overload -- --ignored --nocapture`.
#[test]
#[ignore = "takes a minute and all cores"]
fn a_minute_of_overload_stays_within_the_budget() {
    let seconds: u64 = std::env::var("CONMOTO_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    let outcome = overload::run(std::time::Duration::from_secs(seconds), 256 << 20);
    println!("{outcome}");
    assert!(outcome.acknowledged_requests > 0 && outcome.refused > 0, "{outcome}");
    assert!(outcome.most_rss_bytes <= outcome.limit_bytes / 5 * 6, "{outcome}");
}

#[test]
#[ignore = "takes an hour; the command is at the top of this file"]
fn a_thousand_kills() {
    let num_kills: usize = std::env::var("CONMOTO_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(1000);
    let seed: u64 = std::env::var("CONMOTO_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_261_121);
    let started = std::time::Instant::now();
    let num_campaigns = num_kills.div_ceil(KILLS_OF_A_CAMPAIGN);
    let run = |first: usize| {
        let mut tally = Tally::default();
        for number in (first..num_campaigns).step_by(CAMPAIGNS_AT_ONCE) {
            let kills = KILLS_OF_A_CAMPAIGN.min(num_kills - number * KILLS_OF_A_CAMPAIGN);
            let (place, seed) = (if number % 5 == 4 { Place::Bucket } else { Place::Local }, seed + number as u64);
            Campaign::new(place, seed).run(&deaths(place, seed, kills), &mut tally);
            let name = ["retention.chosen", "delete.meta", "delete.files"][number % 3];
            retention::run(name, 1 + (number / 3 % 3) as u64, &mut tally);
            println!("campaign {number} of {num_campaigns} ({place:?}): {} kills so far in this thread", tally.num_kills());
        }
        tally
    };
    let mut all = Tally::default();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CAMPAIGNS_AT_ONCE).map(|first| scope.spawn(move || run(first))).collect();
        threads.into_iter().for_each(|thread| all.add(&thread.join().expect("no campaign fails")));
    });
    println!("{all}in {:.0} s, seed {seed}", started.elapsed().as_secs_f64());
    all.assert_that_something_happened(num_kills);
}
