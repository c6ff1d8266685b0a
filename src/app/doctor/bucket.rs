//! Whether the bucket can be used, each permission for itself.

use super::{Finding, clock};
use crate::app::storage;
use crate::config::Config;
use crate::store::probe;
use std::time::SystemTime;

/// Nothing for a local backend.
pub(super) async fn examine(config: &Config) -> Vec<Finding> {
    let bucket = match storage::bucket(config) {
        Ok(None) => return Vec::new(),
        Ok(Some(bucket)) => bucket,
        Err(error) => return vec![Finding::bad("bucket", error.to_string())],
    };
    let examined = probe::examine(&bucket).await;
    let here = SystemTime::now();
    let subject = format!("{}, with {}", examined.place, examined.place.credentials);
    let mut findings: Vec<Finding> = Vec::new();
    for (step, result) in &examined.steps {
        findings.push(match result {
            Ok(()) => Finding::good(&subject, format!("could {}", step.what())),
            Err(error) => Finding::bad(&subject, error.advice()),
        });
    }
    let is_answered = examined.clock.is_some() || examined.steps.iter().any(|(_, result)| result.is_ok());
    findings.extend(is_answered.then(|| clock::compare(here, examined.clock)));
    findings
}
