//! `conmoto doctor`: whether a start would work here, and what to change if not.
//!
//! Everything that a start needs is tried as a start would try it, with the same flags and file, and given back: ports are
//! bound (`listeners`), directories written to (`directories`), the bucket used (`bucket`), clocks and limits read (`clock`,
//! `limits`). Nothing is left behind, and unlike a start nothing ends at the first problem.

mod bucket;
mod clock;
mod directories;
mod limits;

use super::listeners::Listeners;
use crate::config::Loaded;
use std::fmt;

/// How one thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// As it should be.
    Good,
    /// A start would work; what is said should be looked at.
    Doubtful,
    /// A start, or the first flush after it, would fail.
    Bad,
}

/// What was found out about one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub subject: String,
    /// How it is.
    pub health: Health,
    /// What was seen, and what to do unless it is good.
    pub told: String,
}

impl Finding {
    fn new(health: Health, subject: impl Into<String>, told: impl Into<String>) -> Self {
        Finding { subject: subject.into(), health, told: told.into() }
    }

    fn good(subject: impl Into<String>, told: impl Into<String>) -> Self {
        Self::new(Health::Good, subject, told)
    }

    fn doubtful(subject: impl Into<String>, told: impl Into<String>) -> Self {
        Self::new(Health::Doubtful, subject, told)
    }

    fn bad(subject: impl Into<String>, told: impl Into<String>) -> Self {
        Self::new(Health::Bad, subject, told)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.health {
            Health::Good => "ok",
            Health::Doubtful => "warn",
            Health::Bad => "FAIL",
        };
        write!(out, "{mark:<5} {}: {}", self.subject, self.told)
    }
}

/// Looks at everything that a start needs. Takes up to a minute where a bucket does not answer.
pub async fn examine(loaded: &Loaded) -> Vec<Finding> {
    let mut findings = configuration(loaded);
    findings.extend(ports(loaded).await);
    findings.extend(directories::examine(&loaded.config.storage));
    findings.extend(bucket::examine(&loaded.config).await);
    findings.push(clock::examine().await);
    findings.push(limits::open_files());
    findings
}

/// True if nothing is in the way of a start.
pub fn would_start(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.health != Health::Bad)
}

/// One line a finding, and one that counts them.
pub fn report(findings: &[Finding]) -> String {
    let count = |health| findings.iter().filter(|finding| finding.health == health).count();
    let lines: String = findings.iter().map(|finding| format!("{finding}\n")).collect();
    let (good, doubtful, bad) = (count(Health::Good), count(Health::Doubtful), count(Health::Bad));
    format!("{lines}\n{good} ok, {doubtful} to look at, {bad} to repair\n")
}

fn configuration(loaded: &Loaded) -> Vec<Finding> {
    let receivers = loaded.config.receivers.not_served();
    let unserved = receivers.into_iter().map(|name| format!("the receiver {name} is configured but not served yet"));
    let remarks = loaded.warnings.iter().chain(&loaded.notes).cloned().chain(unserved);
    let remarks: Vec<Finding> = remarks.map(|remark| Finding::doubtful("configuration", remark)).collect();
    if remarks.is_empty() { vec![Finding::good("configuration", "every key is known and has its effect")] } else { remarks }
}

async fn ports(loaded: &Loaded) -> Vec<Finding> {
    let tried = Listeners::examine(&loaded.config).await;
    let finding = |(name, endpoint, result): (&str, crate::config::ListenAddress, anyhow::Result<()>)| {
        let subject = format!("port {endpoint} ({name})");
        match result {
            Ok(()) => Finding::good(subject, "free"),
            Err(error) => Finding::bad(subject, format!("{error:#}")),
        }
    };
    tried.into_iter().map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_bad_is_in_the_way() {
        let findings = [Finding::good("a", "x"), Finding::doubtful("b", "y")];
        assert!(would_start(&findings));
        assert_eq!(report(&findings), "ok    a: x\nwarn  b: y\n\n1 ok, 1 to look at, 0 to repair\n");
        assert!(!would_start(&[Finding::good("a", "x"), Finding::bad("c", "z")]));
    }
}
