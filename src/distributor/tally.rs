//! Counts by tenant and a label of few values.

use crate::model::TenantId;
use parking_lot::Mutex;
use std::collections::BTreeMap;

/// Tenants that are counted by name. Names come from senders, so their number has to end somewhere.
const MAX_TENANTS: usize = 1000;

/// What the others are counted as.
const OTHER_TENANTS: &str = "other";

/// Numbers by tenant and label.
#[derive(Debug)]
pub struct Tally<L>(Mutex<BTreeMap<(String, L), u64>>);

impl<L> Default for Tally<L> {
    fn default() -> Self {
        Tally(Mutex::default())
    }
}

impl<L: Copy + Ord> Tally<L> {
    /// Adds to the number of a tenant.
    pub(super) fn add(&self, tenant: &TenantId, label: L, number: usize) {
        let mut counts = self.0.lock();
        let mut key = (tenant.to_string(), label);
        // Each tenant has a few labels, so this bounds tenants closely enough.
        if counts.len() >= MAX_TENANTS && !counts.contains_key(&key) {
            key.0 = OTHER_TENANTS.to_string();
        }
        *counts.entry(key).or_default() += number as u64;
    }

    /// All numbers, with tenant and label.
    pub fn counts(&self) -> Vec<(String, L, u64)> {
        self.0.lock().iter().map(|((tenant, label), count)| (tenant.clone(), *label, *count)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_tenants_is_bounded() {
        let tally = Tally::default();
        for number in 0..MAX_TENANTS + 5 {
            let tenant = TenantId::parse(&format!("tenant-{number}")).expect("a legal name");
            tally.add(&tenant, 'a', 2);
            tally.add(&TenantId::single(), 'b', 1);
        }
        let counts = tally.counts();
        assert_eq!(counts.len(), MAX_TENANTS + 1);
        assert!(counts.contains(&(TenantId::single().to_string(), 'b', MAX_TENANTS as u64 + 5)));
        assert!(counts.contains(&(OTHER_TENANTS.to_string(), 'a', 2 * 6)));
    }
}
