//! What tenants set themselves, on top of what the operator's file says for them.

use super::storage::env;
use crate::api::UserOverrides;
use crate::config::{Backend, Config, UserOverridesConfig, effective, with_user_overrides};
use crate::model::TenantId;
use crate::overrides::EVERYONE_ELSE;
use crate::store::documents::Documents;
use crate::store::{Bucket, StoreError};
use crate::telemetry::registry::{Behaviour, Reading};
use anyhow::Context;
use parking_lot::Mutex;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokio::sync::watch;

/// Takes the settings of every tenant that differs, and tells whether that changes anything.
pub(super) type Sink = Box<dyn Fn(BTreeMap<String, Config>) -> bool + Send + Sync>;

/// The settings of tenants, layer by layer.
pub(super) struct Layers {
    base: Config,
    sink: Sink,
    held: Mutex<Held>,
    users: Option<Users>,
}

/// What each layer says.
#[derive(Default)]
struct Held {
    /// Of the operator's file.
    entries: BTreeMap<String, Config>,
    /// Of tenants themselves.
    documents: BTreeMap<TenantId, Value>,
}

/// What tenants set, where they may.
struct Users {
    settings: UserOverridesConfig,
    documents: Arc<Documents>,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    lists: AtomicU64,
    reloads_failed: AtomicU64,
    /// Documents read, and those that could not be, by tenant.
    fetched: Mutex<BTreeMap<TenantId, (u64, u64)>>,
}

impl Layers {
    /// Only the defaults so far.
    pub(super) fn new(config: &Config, sink: Sink) -> anyhow::Result<Arc<Self>> {
        let users = config.overrides.by_users.clone().map(Users::open).transpose().context("overrides.user_configurable_overrides")?;
        Ok(Arc::new(Layers { base: config.clone(), sink, held: Mutex::default(), users }))
    }

    /// The configuration without any entry.
    pub(super) fn base(&self) -> &Config {
        &self.base
    }

    /// Puts the entries of the operator's file in the place of those before. True if that changes anything.
    pub(super) fn set_entries(&self, entries: BTreeMap<String, Config>) -> bool {
        let mut held = self.held.lock();
        held.entries = entries;
        (self.sink)(self.joined(&held))
    }

    fn set_documents(&self, documents: BTreeMap<TenantId, Value>) {
        let mut held = self.held.lock();
        if held.documents != documents {
            held.documents = documents;
            self.apply(&held);
        }
    }

    fn set_document(&self, tenant: &TenantId, document: Option<Value>) {
        let mut held = self.held.lock();
        match document {
            Some(document) => drop(held.documents.insert(tenant.clone(), document)),
            None => drop(held.documents.remove(tenant)),
        }
        self.apply(&held);
    }

    fn apply(&self, held: &Held) {
        (self.sink)(self.joined(held));
        tracing::info!(tenants = held.documents.len(), "limits that tenants set themselves have changed");
    }

    /// The settings of every tenant that differs.
    fn joined(&self, held: &Held) -> BTreeMap<String, Config> {
        let mut joined = held.entries.clone();
        for (tenant, document) in &held.documents {
            match with_user_overrides(self.entry(held, tenant), document) {
                Ok(config) => drop(joined.insert(tenant.to_string(), config)),
                // It was written by somebody else, or before an update.
                Err(error) => tracing::warn!(%tenant, error, "limits that a tenant has set make no sense and are not used"),
            }
        }
        joined
    }

    /// What the operator says for a tenant.
    fn entry<'c>(&'c self, held: &'c Held, tenant: &TenantId) -> &'c Config {
        held.entries.get(tenant.as_str()).or_else(|| held.entries.get(EVERYONE_ELSE)).unwrap_or(&self.base)
    }

    /// Reads all documents. What is held stays if one of them cannot be read.
    pub(super) async fn load_documents(&self) -> Result<(), StoreError> {
        let Some(users) = &self.users else { return Ok(()) };
        let loaded = users.load().await;
        match loaded {
            Ok(documents) => self.set_documents(documents),
            Err(error) => {
                users.counts.reloads_failed.fetch_add(1, Relaxed);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Reads the documents again and again until told to stop.
    pub(super) async fn run(self: Arc<Self>, mut stop: watch::Receiver<()>) {
        let Some(users) = &self.users else { return };
        let mut has_failed = false;
        loop {
            tokio::select! {
                _ = stop.changed() => return,
                () = tokio::time::sleep(users.settings.poll) => {}
            }
            let loaded = self.load_documents().await;
            if let Err(error) = &loaded
                && !has_failed
            {
                tracing::error!(%error, "the limits that tenants set cannot be read; those that hold go on to hold");
            }
            has_failed = loaded.is_err();
        }
    }

    /// For the query API, where tenants may set limits.
    pub(super) fn api(self: &Arc<Self>) -> Option<UserOverrides> {
        let users = self.users.as_ref()?;
        let (checked, shown, changed) = (Arc::clone(self), Arc::clone(self), Arc::clone(self));
        Some(UserOverrides {
            documents: Arc::clone(&users.documents),
            check: Box::new(move |tenant, document, may_hide| checked.check(tenant, document, may_hide)),
            effective: Box::new(move |tenant| effective(shown.entry(&shown.held.lock(), tenant))),
            changed: Box::new(move |tenant, document| changed.set_document(tenant, document)),
        })
    }

    fn check(&self, tenant: &TenantId, document: &Value, may_hide: bool) -> Result<(), String> {
        let held = self.held.lock();
        let entry = self.entry(&held, tenant);
        with_user_overrides(entry, document)?;
        let is_checked = !may_hide && self.users.as_ref().is_some_and(|users| users.settings.refuses_conflicts);
        match is_checked.then(|| hidden(&effective(&self.base), &effective(entry), document, "")).flatten() {
            Some(path) => Err(format!("{path} is set for this tenant by the operator (per_tenant_override_config)")),
            None => Ok(()),
        }
    }

    /// What is told of them in `/metrics` (spec/operations.md §3.4).
    pub(super) fn readings(&self) -> Vec<Reading> {
        let Some(Users { counts, .. }) = &self.users else { return Vec::new() };
        let counter = |name, help, values| Reading { name, help, behaviour: Behaviour::Counter, values };
        let one = |count: &AtomicU64| vec![(Vec::new(), count.load(Relaxed) as f64)];
        let fetched = counts.fetched.lock();
        let by_tenant = |number: fn(&(u64, u64)) -> u64| {
            fetched.iter().map(|(tenant, counts)| (vec![("tenant", tenant.to_string())], number(counts) as f64)).collect()
        };
        vec![
            counter("tempo_overrides_user_configurable_overrides_list", "Listings of limits set by tenants", one(&counts.lists)),
            counter("tempo_overrides_user_configurable_overrides_reload_failed", "Reloads that failed", one(&counts.reloads_failed)),
            counter("tempo_overrides_user_configurable_overrides_fetch", "Limits read", by_tenant(|counts| counts.0)),
            counter(
                "tempo_overrides_user_configurable_overrides_fetch_failed",
                "Limits that could not be read",
                by_tenant(|counts| counts.1),
            ),
        ]
    }
}

impl Users {
    fn open(settings: UserOverridesConfig) -> anyhow::Result<Self> {
        let documents = match (settings.storage.backend, settings.storage.bucket()) {
            (Backend::Local, _) | (_, None) => Documents::local(&settings.storage.local_path)?,
            (_, Some(bucket)) => Documents::remote(Bucket::new(&bucket, &env)?),
        };
        Ok(Users { settings, documents: Arc::new(documents), counts: Counts::default() })
    }

    async fn load(&self) -> Result<BTreeMap<TenantId, Value>, StoreError> {
        self.counts.lists.fetch_add(1, Relaxed);
        let mut documents = BTreeMap::new();
        for tenant in self.documents.tenants().await? {
            let read = self.documents.read(&tenant).await;
            {
                let mut fetched = self.counts.fetched.lock();
                let counts = fetched.entry(tenant.clone()).or_default();
                (counts.0, counts.1) = (counts.0 + 1, counts.1 + u64::from(read.is_err()));
            }
            if let Some(document) = read? {
                // What is no JSON is told of when it is used.
                documents.insert(tenant, serde_json::from_slice(&document.bytes).unwrap_or(Value::Null));
            }
        }
        Ok(documents)
    }
}

/// A path that the document sets and in which the operator's entry differs from the defaults.
fn hidden(defaults: &Value, entry: &Value, document: &Value, at: &str) -> Option<String> {
    match (entry, document) {
        (Value::Object(entry), Value::Object(members)) => members.iter().find_map(|(name, value)| {
            let path = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
            hidden(defaults.get(name).unwrap_or(&Value::Null), entry.get(name)?, value, &path)
        }),
        (entry, _) => (entry != defaults).then(|| at.to_owned()),
    }
}
