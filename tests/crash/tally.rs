//! What happened, for the report.

use crate::campaign::Death;
use std::collections::BTreeMap;
use std::fmt;

/// Deaths by their kind, and checks that passed: one that fails ends the run.
#[derive(Default)]
pub struct Tally {
    random: u64,
    /// By failpoint: reached, and killed at another moment because it was not.
    at: BTreeMap<&'static str, (u64, u64)>,
    checks: u64,
    /// Spans that were looked for, over all checks.
    looked_for: u64,
}

impl Tally {
    pub fn note_death(&mut self, death: Death, was_reached: bool) {
        match death {
            Death::After { .. } => self.random += 1,
            Death::At { name, .. } => {
                let (reached, missed) = self.at.entry(name).or_default();
                *(if was_reached { reached } else { missed }) += 1;
            }
        }
    }

    pub fn note_check(&mut self, num_acknowledged: usize) {
        self.checks += 1;
        self.looked_for += num_acknowledged as u64;
    }

    pub fn num_kills(&self) -> u64 {
        self.random + self.at.values().map(|(reached, missed)| reached + missed).sum::<u64>()
    }

    pub fn num_reached(&self) -> u64 {
        self.at.values().map(|(reached, _)| reached).sum()
    }

    pub fn add(&mut self, other: &Tally) {
        self.random += other.random;
        self.checks += other.checks;
        self.looked_for += other.looked_for;
        for (name, (reached, missed)) in &other.at {
            let sum = self.at.entry(name).or_default();
            sum.0 += reached;
            sum.1 += missed;
        }
    }

    /// A suite that kills nothing, or looks for nothing, proves nothing.
    pub fn assert_that_something_happened(&self, num_kills: usize) {
        println!("{self}");
        assert!(self.num_kills() >= num_kills as u64, "{self}");
        assert!(self.looked_for > 100 && self.checks > num_kills as u64 / 4, "{self}");
        assert!(self.num_reached() * 2 > num_kills as u64 / 2, "too few failpoints were reached:\n{self}");
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "{} kills, {} of them at random moments; by failpoint (reached / killed at another moment):",
            self.num_kills(),
            self.random
        )?;
        for (name, (reached, missed)) in &self.at {
            writeln!(out, "  {name:<18} {reached:>4} / {missed}")?;
        }
        writeln!(out, "{} checks, {} acknowledged spans looked for over all of them: 0 lost, 0 doubled", self.checks, self.looked_for)
    }
}
