//! Who asks.

use crate::model::TenantId;
use crate::querier::budget::Allowance;
use crate::querier::progress::Progress;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// The tenants whose data a query sees: one, or for `a|b` several; each once, in the order of their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenants(Vec<TenantId>);

impl Tenants {
    /// Of some tenants; `None` if there are none.
    pub fn of(mut tenants: Vec<TenantId>) -> Option<Self> {
        tenants.sort();
        tenants.dedup();
        (!tenants.is_empty()).then_some(Tenants(tenants))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &TenantId> {
        self.0.iter()
    }

    /// The only one, if there is one only.
    pub fn single(&self) -> Option<&TenantId> {
        match self.0.as_slice() {
            [tenant] => Some(tenant),
            _ => None,
        }
    }
}

impl From<TenantId> for Tenants {
    fn from(tenant: TenantId) -> Self {
        Tenants(vec![tenant])
    }
}

impl fmt::Display for Tenants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, tenant) in self.0.iter().enumerate() {
            f.write_str(if at == 0 { "" } else { "|" })?;
            fmt::Display::fmt(tenant, f)?;
        }
        Ok(())
    }
}

/// Whose data one query may see, and where it tells how far it has come.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Whose data.
    pub tenants: Tenants,
    /// Read by who shows it.
    pub progress: Progress,
    /// What its queries may hold together, once the first has begun. Clones share it; it is given back with the last of them, so
    /// that an answer counts while it is written.
    allowance: Arc<OnceLock<Allowance>>,
}

impl Caller {
    /// What it may hold; `grant` is asked the first time.
    pub(super) fn allowance(&self, grant: impl FnOnce() -> Allowance) -> Allowance {
        self.allowance.get_or_init(grant).clone()
    }
}

impl From<Tenants> for Caller {
    fn from(tenants: Tenants) -> Self {
        Caller { tenants, progress: Progress::default(), allowance: Arc::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tenant_once_in_order() {
        let named = |names: &[&str]| Tenants::of(names.iter().map(|name| TenantId::parse(name).expect("legal")).collect());
        let several = named(&["b", "a", "b"]).expect("two");
        assert_eq!((several.to_string(), several.single()), ("a|b".to_string(), None));
        let one = named(&["a", "a"]).expect("one");
        assert_eq!((one.to_string(), one.single().map(TenantId::as_str)), ("a".to_string(), Some("a")));
        assert_eq!(named(&[]), None);
    }
}
