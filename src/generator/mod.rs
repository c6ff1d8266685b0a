//! Spans become metrics: rates, errors and durations by service and name, and who calls whom.
//!
//! ```text
//! feed: new rows of the head's chunks ─ age ─ processors ─ series ┬ /metrics/generated, at any time
//!                                                                  └ collection, every 15 s ┬ history ─ /prometheus
//!                                                                                           └ queue on disk ─ remote write
//! ```
//!
//! One thread does all of it, behind the acknowledgement: it comes for new rows several times a second. A row is told apart by
//! codes of its chunk, never by text; labels are made once per chunk and combination. Where it cannot keep up, whole chunks
//! are left out, and counted; ingest never waits for it.
//!
//! **A restart** begins with empty series: what the log brings back was counted before, and is not counted again. Counters
//! start from 0, as Prometheus expects of a process that starts; edges that waited and the history are lost. Samples that wait
//! for remote write are on disk and are sent. **A late span**, one that ended more than `metrics_ingestion_time_range_slack`
//! ago (or will end that much later), is counted as discarded and nothing else: samples bear the time of collection, so it
//! would be counted at a time when it did not happen.
//!
//! - `span_metrics`, `service_graph` (with `edges`, `sides`, `graph_series`), `host_info`: the processors; `running`: those of a
//!   tenant, and what a change of its settings does to them;
//! - `attributes`, `filter`, `multiplier`, `sizes`, `span_names`: what they ask of spans;
//! - `series`, `labels`, `histogram`: what they count into, within the tenant's limit;
//! - `history`: the samples of the last hours; [`promql`]: the queries that are answered from them;
//! - [`exposition`]: the text that can be scraped; [`remote_write`]: samples on their way to a Prometheus.

mod attributes;
mod edges;
pub mod exposition;
mod feed;
mod filter;
mod graph_series;
mod histogram;
mod history;
mod host_info;
mod labels;
mod multiplier;
pub mod promql;
pub mod remote_write;
mod running;
mod series;
mod service_graph;
pub mod settings;
mod sides;
mod sizes;
mod span_metrics;
mod span_names;
mod tenant;

pub use feed::{NewRows, SpanFeed};
pub use filter::{Condition, Field, FilterPolicy, PolicyMatch, Wanted};
pub use labels::LabelSet;
pub use series::RegistryCounts;
pub use service_graph::GraphCounts;
pub use tenant::{Discards, Tenant, series_metadata};

use crate::columns::Chunk;
use crate::model::{TenantId, TraceId, UnixNanos};
use parking_lot::{Condvar, Mutex, RwLock};
use remote_write::RemoteWriter;
use settings::{GeneratorConfig, Settings, TenantSettings};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// How often the thread comes for new rows.
const ROUND: Duration = Duration::from_millis(200);

/// New rows of a chunk that are young enough.
struct Batch<'a> {
    chunk: &'a Chunk,
    /// From the first of `rows` to the last.
    range: Range<u32>,
    /// Those that count, ascending.
    rows: &'a [u32],
    now_millis: i64,
}

impl Batch<'_> {
    /// How long a span took; 0 if it ended before it started.
    #[inline]
    fn seconds(&self, row: u32) -> f64 {
        let is_ordered = self.chunk.end(row) > self.chunk.start[row as usize];
        if is_ordered { self.chunk.duration[row as usize] as f64 / 1e9 } else { 0.0 }
    }

    #[inline]
    fn trace(&self, row: u32) -> TraceId {
        self.chunk.traces.summaries()[self.chunk.trace[row as usize] as usize].id
    }
}

/// The generator of a process.
pub struct Generator {
    config: GeneratorConfig,
    settings: Arc<TenantSettings>,
    feed: Arc<dyn SpanFeed>,
    tenants: RwLock<BTreeMap<TenantId, Arc<Mutex<Tenant>>>>,
    remote: Option<RemoteWriter>,
    is_stopping: Mutex<bool>,
    stop: Condvar,
}

impl Generator {
    /// One that has seen nothing yet. Without `remote` samples are sent nowhere.
    pub fn new(config: GeneratorConfig, settings: Arc<TenantSettings>, feed: Arc<dyn SpanFeed>, remote: Option<RemoteWriter>) -> Arc<Self> {
        let (tenants, is_stopping, stop) = (RwLock::default(), Mutex::new(false), Condvar::new());
        Arc::new(Generator { config, settings, feed, tenants, remote, is_stopping, stop })
    }

    /// Starts the thread.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(self: &Arc<Self>) -> std::io::Result<JoinHandle<()>> {
        let generator = Arc::clone(self);
        std::thread::Builder::new().name("generator".to_owned()).spawn(move || generator.run())
    }

    fn run(&self) {
        let mut is_stopping = false;
        while !is_stopping {
            let mut stopping = self.is_stopping.lock();
            if !*stopping {
                self.stop.wait_for(&mut stopping, ROUND);
            }
            is_stopping = *stopping;
            drop(stopping);
            self.round(UnixNanos::now(), is_stopping);
        }
    }

    /// Ends the thread after what has come is counted and collected.
    pub fn stop(&self) {
        *self.is_stopping.lock() = true;
        self.stop.notify_all();
    }

    /// Counts what is new, and collects the series of tenants whose time has come, or of all.
    pub fn round(&self, now: UnixNanos, collects_all: bool) {
        let names = self.feed.tenants();
        let history_bytes = self.config.history_bytes / names.len().max(1);
        for name in names {
            let settings = self.settings.of(&name);
            let tenant = self.make(&name, &settings);
            let mut tenant = tenant.lock();
            tenant.reconfigure(&settings);
            self.feed.visit(&name, &mut |rows| tenant.consume(rows, now));
            tenant.note_missed(self.feed.num_missed(&name));
            if collects_all || tenant.is_due(now) {
                self.collect(&name, &mut tenant, now, history_bytes);
            }
        }
    }

    fn collect(&self, name: &TenantId, tenant: &mut Tenant, now: UnixNanos, history_bytes: usize) {
        tenant.collect(now, history_bytes);
        if let Some(remote) = &self.remote
            && !tenant.settings().disable_collection
        {
            remote.enqueue(name, tenant, now);
        }
        tenant.end_collection();
    }

    fn make(&self, name: &TenantId, settings: &Arc<Settings>) -> Arc<Mutex<Tenant>> {
        if let Some(tenant) = self.tenants.read().get(name) {
            return Arc::clone(tenant);
        }
        let make = || Arc::new(Mutex::new(Tenant::new(name.clone(), Arc::clone(settings))));
        Arc::clone(self.tenants.write().entry(name.clone()).or_insert_with(make))
    }

    /// A tenant that has sent something.
    pub fn tenant(&self, name: &TenantId) -> Option<Arc<Mutex<Tenant>>> {
        self.tenants.read().get(name).cloned()
    }

    /// All tenants that have sent something.
    pub fn tenants(&self) -> Vec<(TenantId, Arc<Mutex<Tenant>>)> {
        self.tenants.read().iter().map(|(name, tenant)| (name.clone(), Arc::clone(tenant))).collect()
    }

    /// Settings.
    pub fn config(&self) -> &GeneratorConfig {
        &self.config
    }

    /// Where samples are sent, if they are.
    pub fn remote(&self) -> Option<&RemoteWriter> {
        self.remote.as_ref()
    }
}

#[cfg(test)]
mod tests;
