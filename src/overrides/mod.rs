//! What each tenant may do: the limits that hold for it at this moment.
//!
//! The limits of a tenant are whole: whoever reads the operator's file (`config`) has put what an entry names on top of the
//! defaults, so that an entry changes only what it names. Here they are kept, and swapped as a whole when the file has changed.
//! A query or push asks once, so that it sees one version.

mod limits;

use crate::model::TenantId;
pub use limits::{CostAttribution, Limits, strictest};
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The entry of a file that holds for every tenant without one of its own.
pub const EVERYONE_ELSE: &str = "*";

/// Limits by tenant's name, and under [`EVERYONE_ELSE`].
pub type LimitsByTenant = BTreeMap<String, Limits>;

/// The limits of all tenants.
pub struct Overrides {
    defaults: Arc<Limits>,
    tenants: RwLock<BTreeMap<String, Arc<Limits>>>,
    last_reload_failed: AtomicBool,
}

impl Overrides {
    /// Everybody has the defaults.
    pub fn new(defaults: Limits) -> Self {
        Overrides { defaults: Arc::new(defaults), tenants: RwLock::default(), last_reload_failed: AtomicBool::new(false) }
    }

    /// The limits of a tenant: of its own entry, else of the entry for everyone else, else the defaults.
    pub fn limits_for(&self, tenant: &TenantId) -> Arc<Limits> {
        let tenants = self.tenants.read();
        let own = tenants.get(tenant.as_str()).or_else(|| tenants.get(EVERYONE_ELSE));
        Arc::clone(own.unwrap_or(&self.defaults))
    }

    /// The limits of a tenant without any entry.
    pub fn defaults(&self) -> &Limits {
        &self.defaults
    }

    /// All entries, by name.
    pub fn entries(&self) -> BTreeMap<String, Arc<Limits>> {
        self.tenants.read().clone()
    }

    /// Puts new entries in the place of all there are. True if that changes anything.
    pub fn replace(&self, entries: LimitsByTenant) -> bool {
        self.last_reload_failed.store(false, Relaxed);
        let entries: BTreeMap<String, Arc<Limits>> = entries.into_iter().map(|(name, limits)| (name, Arc::new(limits))).collect();
        let mut tenants = self.tenants.write();
        let is_changed = *tenants != entries;
        *tenants = entries;
        is_changed
    }

    /// What holds goes on to hold, because what was written instead cannot be read.
    pub fn keep(&self) {
        self.last_reload_failed.store(true, Relaxed);
    }

    /// Whether the last attempt to read the entries succeeded.
    pub fn last_reload_succeeded(&self) -> bool {
        !self.last_reload_failed.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(bytes: u64) -> Limits {
        Limits { ingestion_rate_bytes: Some(bytes), ..Limits::default() }
    }

    #[test]
    fn own_entry_then_everyone_elses_then_the_defaults() {
        let overrides = Overrides::new(rate(1));
        let of = |name: &str| overrides.limits_for(&TenantId::parse(name).expect("legal")).ingestion_rate_bytes;
        assert_eq!((of("a"), of("b")), (Some(1), Some(1)));
        assert!(overrides.replace(BTreeMap::from([("a".to_string(), rate(2))])));
        assert_eq!((of("a"), of("b")), (Some(2), Some(1)));
        let both = BTreeMap::from([("a".to_string(), rate(2)), (EVERYONE_ELSE.to_string(), rate(3))]);
        assert!(overrides.replace(both.clone()));
        assert!(!overrides.replace(both));
        assert_eq!((of("a"), of("b")), (Some(2), Some(3)));
        overrides.keep();
        assert!(!overrides.last_reload_succeeded() && of("a") == Some(2));
        assert!(overrides.replace(BTreeMap::new()) && overrides.last_reload_succeeded());
        assert_eq!(of("a"), Some(1));
    }
}
