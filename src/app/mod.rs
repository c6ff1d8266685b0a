//! Builds the stages, joins them, starts and stops them in order.
//!
//! Start: listeners are bound first, so that a port in use is told before any data is touched; then the data directory
//! is locked, the block list read, the log looked at and opened; then requests are served, while what is in the log is loaded. Stop: `/ready` says so, receivers
//! end, then queries, then the log is closed. What is acknowledged is in the log, so a stop needs no flush.

mod adapters;
pub mod allocator;
mod banner;
mod data_dir;
pub mod doctor;
mod generating;
pub mod health;
mod listeners;
mod metrics;
mod overrides;
mod query_metrics;
mod receivers;
pub mod self_tracing;
mod settings;
mod shutdown;
pub mod storage;
mod tokens;
mod user_overrides;

use crate::api::{ApiState, BuildInfo, ConfigPages, FlushError, Readiness, StatusPages, grpc_router, http_router, needs};
use crate::compactor::Compactor;
use crate::config::{Config, ShownConfig};
use crate::distributor::limited::Limited;
use crate::distributor::usage::{Tracked, Usage};
use crate::distributor::{Distributor, PushTarget};
use crate::frontend::Frontend;
use crate::generator::Generator;
use crate::ingester::Ingester;
use crate::ingester::wal::{Replay, ReplayReport};
use crate::model::TenantId;
use crate::runtime::failpoints::Failpoints;
use crate::runtime::memory::{Memory, default_limit_bytes};
use crate::runtime::serve::tokens::guarded;
use crate::runtime::serve::{ServeOptions, serve};
use crate::store::spool::Mover;
use crate::store::{BlockLists, Store, poll};
use crate::telemetry::process;
use crate::telemetry::registry::{Durations, Metrics};
use adapters::{InProcessRecent, InProcessTarget};
use anyhow::Context;
use data_dir::DataDirLock;
use listeners::Listeners;
use overrides::Tenants;
use regex::RegexSet;
use settings::{api_config, compactor_config, frontend_config, ingester_config, surroundings};
use shutdown::{Deadline, ended, finish, flush_on_shutdown, stopped};
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokens::Access;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use user_overrides::Layers;

/// A server that is ready to run: its listeners are bound and its data is loaded.
pub struct App {
    config: Config,
    listeners: Listeners,
    ingester: Arc<Ingester>,
    distributor: Distributor,
    store: Store,
    blocks: Arc<BlockLists>,
    compactor: Arc<Compactor>,
    generator: Arc<Generator>,
    /// What the last process left in the log, to be read while this one serves.
    replay: Replay,
    tenants: Tenants,
    layers: Arc<Layers>,
    access: Access,
    usage: Option<Arc<Usage>>,
    /// Told by `/shutdown`.
    shutdown: Arc<Notify>,
    readiness: watch::Sender<Readiness>,
    memory: Memory,
    wal_dir: PathBuf,
    /// Held for the life of the process.
    _lock: DataDirLock,
}

impl App {
    /// Binds, locks, reads the list of blocks and opens the log. The process dies where `failpoints` say.
    pub async fn start(config: Config, failpoints: Failpoints) -> anyhow::Result<Self> {
        let (tenants, layers) = overrides::start(&config).await?;
        let access = Access::start(&config)?;
        let listeners = Listeners::bind(&config).await?;
        let wal_dir = data_dir::wal_dir(&config.storage)?;
        let lock = DataDirLock::take(&wal_dir)?;
        let memory = Memory::new(config.memory_limit_bytes.unwrap_or_else(default_limit_bytes));
        let store = storage::open(&config, &wal_dir, &memory).await?.with_failpoints(failpoints.clone());
        let blocks = Arc::new(BlockLists::default());
        let num_blocks = blocks.load(&store).await.context("could not read the list of blocks")?;
        let settings = ingester_config(&config, wal_dir.clone(), &memory, failpoints);
        let (ingester, replay) =
            Ingester::open(settings, store.clone(), Arc::clone(&blocks)).await.context("could not replay the write-ahead log")?;
        log_start(num_blocks, replay.bytes_left(), replay.report());
        let target = Arc::new(InProcessTarget(Arc::clone(&ingester)));
        let usage = config.distributor.usage.map(|settings| Arc::new(Usage::new(settings, Arc::clone(&tenants.limits))));
        let target: Arc<dyn PushTarget> = match &usage {
            Some(usage) => Arc::new(Tracked::new(target, Arc::clone(usage))),
            None => target,
        };
        let limited = Limited::new(target, Arc::clone(&tenants.limits), config.distributor.retry_after);
        let distributor = Distributor::new(Arc::new(limited))
            .with_logs(config.distributor.span_logs)
            .with_counting(config.distributor.span_counting)
            .with_limits(Arc::clone(&tenants.limits), config.ingester.max_trace_idle, config.ingester.max_block_duration);
        let compactor = Compactor::new(
            compactor_config(&config),
            store.clone(),
            Arc::clone(&blocks),
            surroundings(&tenants.limits, &ingester, &memory),
        );
        let generator = generating::generator(&config, &tenants.generator, &ingester, &wal_dir)?;
        let (readiness, _) = watch::channel(Readiness::Starting);
        Ok(App {
            config,
            listeners,
            ingester,
            distributor,
            store,
            blocks,
            compactor,
            generator,
            replay,
            tenants,
            layers,
            access,
            usage,
            shutdown: Arc::default(),
            readiness,
            memory,
            wal_dir,
            _lock: lock,
        })
    }

    /// Where the HTTP API listens.
    pub fn http_address(&self) -> SocketAddr {
        self.listeners.http.address
    }

    /// Where the gRPC API listens.
    pub fn grpc_address(&self) -> SocketAddr {
        self.listeners.grpc.address
    }

    /// What an operator sees first: addresses, directories, a data source for Grafana.
    pub fn banner(&self) -> String {
        banner::text(&self.config, &self.listeners, &self.wal_dir)
    }

    /// The way in for spans made inside the process.
    pub fn distributor(&self) -> Distributor {
        self.distributor.clone()
    }

    /// Serves until `shutdown` resolves, then stops in order.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
        let state = Arc::new(self.api_state()?);
        let App {
            config,
            listeners,
            ingester,
            distributor,
            store,
            blocks,
            compactor,
            generator,
            tenants,
            layers,
            access,
            readiness,
            memory,
            ..
        } = self;
        let stop_flusher = watch::channel(()).0;
        let flusher = tokio::spawn(Arc::clone(&ingester).run(stop_flusher.subscribe()));
        let (stop_loading, loading) = start_loading(&ingester, self.replay).await;
        let (asked_to_stop, generating) = (self.shutdown, generating::start(&generator, &config)?);
        let graceful_timeout = config.server.graceful_shutdown_timeout;
        let (stop_receivers, stop_api) = (watch::channel(()).0, watch::channel(()).0);
        let Listeners { http, grpc, receivers, udp_receivers } = listeners;
        let entrance = access.entrance(&memory, &state.durations);
        let receivers = receivers::start(&config, &distributor, &entrance, receivers, udp_receivers, &stop_receivers);
        let api = start_api(state, &access, [http, grpc], graceful_timeout, &stop_api);
        let stop_compactor = watch::channel(()).0;
        let mover = Mover::new(store.clone(), Arc::clone(&blocks), config.ingester.complete_block_timeout);
        let moving = tokio::spawn(mover.clone().run(stop_flusher.subscribe()));
        tokio::spawn(poll::run(blocks, store, config.storage.blocklist_poll, stop_flusher.subscribe()));
        tokio::spawn(overrides::run(tenants, Arc::clone(&layers), stop_flusher.subscribe()));
        tokio::spawn(layers.run(stop_flusher.subscribe()));
        tokio::spawn(access.run(config.clone(), stop_flusher.subscribe()));
        let compacting = tokio::spawn(compactor.run(stop_compactor.subscribe()));
        readiness.send_replace(Readiness::Ready);
        tracing::info!("Conmoto started");

        let flush_at_end = tokio::select! {
            () = shutdown => config.ingester.flush_all_on_shutdown,
            () = asked_to_stop.notified() => true,
        };
        tracing::info!("shutting down");
        readiness.send_replace(Readiness::Stopping);
        tokio::time::sleep(config.shutdown_delay).await;
        let deadline = Deadline::after(graceful_timeout);
        drop(stop_receivers);
        drop(readiness);
        drop(stop_loading);
        deadline.wait("the log of the last process", ended(loading, "the task that reads the log had ended before")).await;
        deadline.wait("requests with spans", finish(receivers)).await;
        deadline.wait("spans to be counted", generating.stop(&generator)).await;
        drop(stop_api);
        deadline.wait("queries", finish(api)).await;
        drop(stop_compactor);
        deadline.wait("merges of blocks", ended(compacting, "the task that merges and deletes blocks had ended before")).await;
        drop(stop_flusher);
        let lost = "the task that writes blocks had ended before; the spans are in the log";
        deadline.wait("a block that is written", ended(flusher, lost)).await;
        let lost = "the task that moves blocks to the bucket had ended before; the blocks are on local disk";
        deadline.wait("a block on its way to the bucket", ended(moving, lost)).await;
        if flush_at_end {
            deadline.wait("recent spans to be written as blocks", flush_on_shutdown(&ingester, &mover)).await;
        }
        // Nothing is acknowledged any more, so this is short; it is done whatever has been given up before.
        ingester.wal().close().await.context("could not close the write-ahead log")?;
        tracing::info!("Conmoto stopped");
        Ok(())
    }

    fn api_state(&self) -> anyhow::Result<ApiState> {
        let recent = Arc::new(InProcessRecent { ingester: Arc::clone(&self.ingester), blocks: Arc::clone(&self.blocks) });
        let (ingester, store, blocks) = (Arc::clone(&self.ingester), self.store.clone(), Arc::clone(&self.blocks));
        let (compactor, distributor, generator) = (Arc::clone(&self.compactor), self.distributor.clone(), Arc::clone(&self.generator));
        let frontend = Arc::new(Frontend::new(recent, frontend_config(&self.config, &self.memory)).with_memory(self.memory.clone()));
        let (asked, overrides, memory) = (Arc::clone(&frontend), Arc::clone(&self.tenants.limits), self.memory.clone());
        let layers = Arc::clone(&self.layers);
        let readings = move || {
            compactor.measure();
            let mut readings = metrics::readings(&ingester, &store, &blocks, compactor.instruments(), &memory);
            readings.extend(metrics::distribution(&distributor));
            readings.extend(generating::readings(&generator));
            readings.extend(query_metrics::readings(&asked, &overrides));
            readings.extend(layers.readings());
            readings.extend(process::readings());
            readings
        };
        let durations = Durations::default();
        let metrics = Metrics::new(Box::new(readings))
            .with("tempo_request_duration_seconds", "Time until an answer begins", &durations)
            .with("tempo_distributor_push_duration_seconds", "Time until spans are stored or refused", self.distributor.durations());
        let services = self.readiness.subscribe();
        Ok(ApiState {
            config: api_config(&self.config),
            overrides: Arc::clone(&self.tenants.limits),
            user_overrides: self.layers.api(),
            frontend,
            durations,
            // Each pattern was looked at when the configuration was read; together they may still be too large.
            denied_urls: RegexSet::new(&self.config.query.url_deny_list).context("query_frontend.url_deny_list")?,
            shutdown: Arc::clone(&self.shutdown),
            generator: Arc::clone(&self.generator),
            readiness: self.readiness.subscribe(),
            flush: flush(Arc::clone(&self.ingester)),
            metrics_text: Arc::new(move || metrics.text()),
            profiling: Semaphore::new(1),
            memory_held: metrics::memory_held(&self.memory),
            usage_text: self.usage.clone().map(|usage| -> crate::api::MetricsText { Arc::new(move || usage.text()) }),
            status: StatusPages {
                build: BuildInfo::default(),
                config: config_pages(&self.config),
                services: Arc::new(move || vec![("all".to_string(), format!("{:?}", *services.borrow()))]),
            },
        })
    }
}

/// Serves the query API on its two ports.
fn start_api(
    state: Arc<ApiState>,
    access: &Access,
    [http, grpc]: [listeners::Bound; 2],
    graceful_timeout: Duration,
    stop: &watch::Sender<()>,
) -> JoinSet<()> {
    let needs = needs(&state.config);
    let mut running = JoinSet::new();
    for (bound, router) in [(http, http_router(Arc::clone(&state))), (grpc, grpc_router(state))] {
        let options = ServeOptions { tls: bound.tls, graceful_timeout, ..ServeOptions::named(bound.name) };
        let router = guarded(router, access.guard(Arc::clone(&needs)));
        running.spawn(serve(bound.listener, router, options, stopped(stop)));
    }
    running
}

fn config_pages(config: &Config) -> ConfigPages {
    let ShownConfig { all, diff, defaults } = ShownConfig::of(config);
    ConfigPages { all, diff, defaults }
}

/// How long a start waits for the log to be loaded before it serves anyway.
const SHORT_LOG: Duration = Duration::from_millis(500);

/// Begins to read the log of the last process; what it gives ends that when it is dropped.
async fn start_loading(ingester: &Arc<Ingester>, replay: Replay) -> (watch::Sender<()>, JoinHandle<()>) {
    let stop = watch::channel(()).0;
    let loading = tokio::spawn(Arc::clone(ingester).load(replay, stop.subscribe()));
    // Mostly the log is read by then, and nobody gets a partial answer.
    let _ = tokio::time::timeout(SHORT_LOG, ingester.loaded()).await;
    (stop, loading)
}

fn flush(ingester: Arc<Ingester>) -> crate::api::Flush {
    Arc::new(move |tenant: Option<TenantId>| {
        let ingester = Arc::clone(&ingester);
        Box::pin(async move {
            // Who asks means everything that was acknowledged.
            ingester.loaded().await;
            let flushed = match tenant {
                Some(tenant) => ingester.flush(&tenant, crate::ingester::Taking::Everything).await,
                None => ingester.flush_all().await,
            };
            flushed.map_err(|error| FlushError(error.to_string()))
        })
    })
}

fn log_start(num_blocks: usize, log_bytes: u64, report: &ReplayReport) {
    tracing::info!(blocks = num_blocks, log_bytes, "data found");
    if let Some(cut) = &report.cut {
        match &cut.kept {
            None => tracing::warn!(
                segment = cut.segment,
                bytes = cut.bytes,
                "the log ended in an unfinished record, which was cut off; it was never acknowledged"
            ),
            Some(path) => tracing::error!(
                segment = cut.segment,
                bytes = cut.bytes,
                kept = %path.display(),
                "the log is damaged and was cut off there; what followed seems to hold records that may have been acknowledged, and is kept"
            ),
        }
    }
    for path in &report.quarantined {
        tracing::error!(path = %path.display(), "a file that does not belong into the log was set aside");
    }
    if report.set_aside > 0 {
        tracing::warn!(
            segments = report.set_aside,
            "damaged segments of the log lie there still; until they are removed and the server is started again, answers say that they are partial"
        );
    }
}
