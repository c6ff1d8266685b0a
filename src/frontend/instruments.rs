//! Counts of queries, by tenant, kind and outcome.

use super::{Caller, QueryError};
use parking_lot::Mutex;
use std::collections::BTreeMap;

/// Combinations that are counted each for itself. A client may invent any number of tenants, so those beyond are counted together.
const MAX_KEYS: usize = 1000;

/// What the tenants beyond are called: no legal name of a tenant.
const OTHERS: &str = "<others>";

/// The kinds of queries that operators' dashboards tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// A trace by id.
    Traces,
    /// A search.
    Search,
    /// Tags and their values.
    Metadata,
    /// TraceQL metrics.
    Metrics,
}

impl Operation {
    /// The word of the label `op`.
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::Traces => "traces",
            Operation::Search => "search",
            Operation::Metadata => "metadata",
            Operation::Metrics => "metrics",
        }
    }
}

/// Tenant, kind and outcome of queries.
pub type Key = (String, Operation, &'static str);

/// The counts.
#[derive(Debug, Default)]
pub struct FrontendInstruments {
    queries: Mutex<BTreeMap<Key, u64>>,
}

impl FrontendInstruments {
    /// Counts a query that has ended.
    pub(super) fn count<T>(&self, caller: &Caller, operation: Operation, result: &Result<T, QueryError>) {
        let outcome = match result {
            Ok(_) => "completed",
            Err(QueryError::Abandoned) => "canceled",
            Err(_) => "failed",
        };
        let mut queries = self.queries.lock();
        let mut key = (caller.tenants.to_string(), operation, outcome);
        if queries.len() >= MAX_KEYS && !queries.contains_key(&key) {
            key.0 = OTHERS.to_string();
        }
        *queries.entry(key).or_default() += 1;
    }

    /// All counts at this moment.
    pub fn queries(&self) -> BTreeMap<Key, u64> {
        self.queries.lock().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frontend::Tenants;
    use crate::model::TenantId;

    #[test]
    fn any_number_of_names_takes_bounded_memory() {
        let counts = FrontendInstruments::default();
        for number in 0..2 * MAX_KEYS {
            let tenant = TenantId::parse(&format!("t{number}")).expect("legal");
            counts.count(&Caller::from(Tenants::from(tenant)), Operation::Search, &Ok(()));
        }
        let queries = counts.queries();
        assert_eq!(queries.len(), MAX_KEYS + 1);
        assert_eq!(queries[&(OTHERS.to_string(), Operation::Search, "completed")], MAX_KEYS as u64);
        assert_eq!(queries.values().sum::<u64>(), 2 * MAX_KEYS as u64);
    }
}
