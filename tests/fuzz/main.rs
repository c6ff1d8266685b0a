//! Bytes that nobody wrote, into everything that reads bytes: decoders, the parser, the log, blocks.
//!
//! Inputs are good ones with mutations, and every one follows from a seed and its number, so that a failure can be repeated.
//! `cargo test --test fuzz` runs a few thousand. The long form, so many seconds a target:
//!
//! ```sh
//! CONMOTO_FUZZ_SECONDS=400 cargo test --test fuzz -- --ignored --nocapture
//! ```
//!
//! In debug on purpose: an overflow is a panic there. `CONMOTO_FUZZ_TARGET` names one target, `CONMOTO_FUZZ_SEED` another seed.

mod blocks;
mod decoders;
mod log;
mod mutate;

use mutate::Mutator;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// Reads an input; must not panic, whatever it is. True if it was accepted.
type Run = Box<dyn FnMut(&[u8]) -> bool>;

/// Something that reads bytes.
struct Target {
    name: &'static str,
    /// Good inputs.
    seeds: Vec<Vec<u8>>,
    run: Run,
}

fn targets() -> Vec<Target> {
    [decoders::targets(), log::targets(), blocks::targets()].into_iter().flatten().collect()
}

/// What came of a target.
#[derive(Default)]
struct Outcome {
    num_inputs: u64,
    num_accepted: u64,
    slowest: Duration,
    /// Numbers of the inputs that made it panic.
    panics: Vec<u64>,
}

const MOST_PANICS: usize = 5;

fn fuzz(target: &mut Target, seed: u64, mut goes_on: impl FnMut(u64) -> bool) -> Outcome {
    let mut outcome = Outcome::default();
    while goes_on(outcome.num_inputs) && outcome.panics.len() < MOST_PANICS {
        let number = outcome.num_inputs;
        let input = Mutator::new(seed, number).mutated(&target.seeds);
        let began = Instant::now();
        match catch_unwind(AssertUnwindSafe(|| (target.run)(&input))) {
            Ok(accepted) => outcome.num_accepted += u64::from(accepted),
            Err(_) => {
                println!("{}: input {number} of seed {seed} makes it panic: {}", target.name, hex(&input));
                outcome.panics.push(number);
            }
        }
        outcome.slowest = outcome.slowest.max(began.elapsed());
        outcome.num_inputs += 1;
    }
    outcome
}

fn hex(input: &[u8]) -> String {
    let text: String = input.iter().take(2000).map(|byte| format!("{byte:02x}")).collect();
    if input.len() > 2000 { format!("{text}… ({} bytes)", input.len()) } else { text }
}

#[test]
fn good_inputs_are_accepted() {
    for mut target in targets() {
        let seeds = target.seeds.clone();
        let num_accepted = seeds.iter().filter(|seed| (target.run)(seed)).count();
        // Some queries of the corpus are wrong on purpose.
        assert!(num_accepted * 2 > seeds.len() && !seeds.is_empty(), "{}: {num_accepted} of {}", target.name, seeds.len());
    }
}

#[test]
fn a_few_thousand_inputs_do_no_harm() {
    for mut target in targets() {
        let outcome = fuzz(&mut target, 1, |number| number < 100);
        assert!(outcome.panics.is_empty(), "{}: inputs {:?} of seed 1", target.name, outcome.panics);
    }
}

#[test]
#[ignore = "takes as long as it is told; the command is at the top of this file"]
fn for_a_long_time() {
    let number_in = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seconds = Duration::from_secs(number_in("CONMOTO_FUZZ_SECONDS").unwrap_or(10));
    let seed = number_in("CONMOTO_FUZZ_SEED").unwrap_or(20_261_121);
    let wanted = std::env::var("CONMOTO_FUZZ_TARGET").ok();
    let mut failed = Vec::new();
    for mut target in targets().into_iter().filter(|target| wanted.as_ref().is_none_or(|wanted| target.name == wanted)) {
        let began = Instant::now();
        let Outcome { num_inputs, num_accepted, slowest, panics } = fuzz(&mut target, seed, |_| began.elapsed() < seconds);
        let took = began.elapsed().as_secs_f64();
        println!(
            "{:<22} {num_inputs:>9} inputs in {took:>5.0} s, {num_accepted:>8} accepted, slowest {slowest:?}, {} panics",
            target.name,
            panics.len()
        );
        if !panics.is_empty() {
            failed.push((target.name, panics));
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}
