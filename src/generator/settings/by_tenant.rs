//! The settings that hold for each tenant at this moment.

use super::Settings;
use crate::model::TenantId;
use crate::overrides::EVERYONE_ELSE;
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The settings of all tenants, swapped as a whole when the operator's file has changed.
pub struct TenantSettings {
    defaults: Arc<Settings>,
    tenants: RwLock<BTreeMap<String, Arc<Settings>>>,
}

impl TenantSettings {
    /// Everybody has the defaults.
    pub fn new(defaults: Settings) -> Self {
        TenantSettings { defaults: Arc::new(defaults), tenants: RwLock::default() }
    }

    /// The settings of a tenant: of its own entry, else of the entry for everyone else, else the defaults. The same
    /// allocation as long as nothing has changed.
    pub fn of(&self, tenant: &TenantId) -> Arc<Settings> {
        let tenants = self.tenants.read();
        let own = tenants.get(tenant.as_str()).or_else(|| tenants.get(EVERYONE_ELSE));
        Arc::clone(own.unwrap_or(&self.defaults))
    }

    /// Puts new entries, each whole, in the place of all there are. True if that changes anything.
    pub fn replace(&self, entries: BTreeMap<String, Settings>) -> bool {
        let mut tenants = self.tenants.write();
        let keep = |(name, settings): (String, Settings)| {
            let known = tenants.get(&name).or(Some(&self.defaults)).filter(|known| ***known == settings);
            let kept = known.map_or_else(|| Arc::new(settings), Arc::clone);
            (name, kept)
        };
        let entries: BTreeMap<String, Arc<Settings>> = entries.into_iter().map(keep).collect();
        let is_changed = *tenants != entries;
        *tenants = entries;
        is_changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn every(seconds: u64) -> Settings {
        Settings { collection_interval: Duration::from_secs(seconds), ..Settings::default() }
    }

    #[test]
    fn entries_that_are_equal_stay_what_they_are() {
        let settings = TenantSettings::new(every(1));
        let of = |name: &str| settings.of(&TenantId::parse(name).expect("legal"));
        let before = of("a");
        assert!(settings.replace(BTreeMap::from([("a".to_owned(), every(1)), ("*".to_owned(), every(3))])));
        assert!(Arc::ptr_eq(&before, &of("a")), "an entry that says nothing new");
        assert_eq!(of("b").collection_interval, Duration::from_secs(3));
        let other = of("b");
        assert!(!settings.replace(BTreeMap::from([("a".to_owned(), every(1)), ("*".to_owned(), every(3))])));
        assert!(Arc::ptr_eq(&other, &of("b")));
        assert!(settings.replace(BTreeMap::new()));
        assert!(Arc::ptr_eq(&before, &of("b")));
    }
}
