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
mod settings;
mod shutdown;
pub mod storage;

use crate::api::{ApiState, BuildInfo, FlushError, Readiness, StatusPages, grpc_router, http_router};
use crate::compactor::Compactor;
use crate::config::Config;
use crate::distributor::Distributor;
use crate::distributor::limited::Limited;
use crate::frontend::Frontend;
use crate::generator::Generator;
use crate::ingester::Ingester;
use crate::ingester::wal::{Replay, ReplayReport};
use crate::model::TenantId;
use crate::overrides::Overrides;
use crate::runtime::failpoints::Failpoints;
use crate::runtime::memory::{Memory, default_limit_bytes};
use crate::runtime::serve::{ServeOptions, serve};
use crate::store::spool::Mover;
use crate::store::{BlockLists, Store, poll};
use crate::telemetry::process;
use crate::telemetry::registry::{Durations, Metrics};
use adapters::{InProcessRecent, InProcessTarget};
use anyhow::Context;
use data_dir::DataDirLock;
use listeners::Listeners;
use regex::RegexSet;
use settings::{api_config, compactor_config, frontend_config, ingester_config, surroundings};
use shutdown::{Deadline, ended, finish, flush_on_shutdown, stopped};
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, JoinSet};

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
    overrides: Arc<Overrides>,
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
        let overrides = overrides::start(&config)?;
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
        let limited = Limited::new(target, Arc::clone(&overrides), config.distributor.retry_after);
        let distributor = Distributor::new(Arc::new(limited))
            .with_logs(config.distributor.span_logs)
            .with_max_attribute_bytes(config.distributor.max_attribute_bytes);
        let compactor =
            Compactor::new(compactor_config(&config), store.clone(), Arc::clone(&blocks), surroundings(&overrides, &ingester, &memory));
        let generator = generating::generator(&config, &ingester, &wal_dir)?;
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
            overrides,
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
        let App { config, listeners, ingester, distributor, store, blocks, compactor, generator, overrides, readiness, memory, .. } = self;
        let stop_flusher = watch::channel(()).0;
        let flusher = tokio::spawn(Arc::clone(&ingester).run(stop_flusher.subscribe()));
        let (stop_loading, loading) = start_loading(&ingester, self.replay).await;
        let (asked_to_stop, generating) = (self.shutdown, generating::start(&generator)?);
        let graceful_timeout = config.server.graceful_shutdown_timeout;
        let (stop_receivers, stop_api) = (watch::channel(()).0, watch::channel(()).0);
        let Listeners { http, grpc, receivers, udp_receivers } = listeners;
        let receivers = receivers::start(&config, &distributor, &memory, receivers, udp_receivers, &stop_receivers);
        let mut api = JoinSet::new();
        for (bound, router) in [(http, http_router(Arc::clone(&state))), (grpc, grpc_router(state))] {
            let options = ServeOptions { tls: bound.tls, graceful_timeout, ..ServeOptions::named(bound.name) };
            api.spawn(serve(bound.listener, router, options, stopped(&stop_api)));
        }
        let stop_compactor = watch::channel(()).0;
        let mover = Mover::new(store.clone(), Arc::clone(&blocks), config.ingester.complete_block_timeout);
        let moving = tokio::spawn(mover.clone().run(stop_flusher.subscribe()));
        tokio::spawn(poll::run(blocks, store, config.storage.blocklist_poll, stop_flusher.subscribe()));
        tokio::spawn(overrides::run(overrides, config.clone(), stop_flusher.subscribe()));
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
        let frontend = Arc::new(Frontend::new(recent, frontend_config(&self.config)).with_memory(self.memory.clone()));
        let (asked, overrides, memory) = (Arc::clone(&frontend), Arc::clone(&self.overrides), self.memory.clone());
        let readings = move || {
            compactor.measure();
            let mut readings = metrics::readings(&ingester, &store, &blocks, compactor.instruments(), &memory);
            readings.extend(metrics::distribution(&distributor));
            readings.extend(generating::readings(&generator));
            readings.extend(query_metrics::readings(&asked, &overrides));
            readings.extend(process::readings());
            readings
        };
        let durations = Durations::default();
        let metrics = Metrics::new(Box::new(readings)).with("tempo_request_duration_seconds", "Time until an answer begins", &durations);
        let services = self.readiness.subscribe();
        Ok(ApiState {
            config: api_config(&self.config),
            overrides: Arc::clone(&self.overrides),
            frontend,
            durations,
            // Each pattern was looked at when the configuration was read; together they may still be too large.
            denied_urls: RegexSet::new(&self.config.query.url_deny_list).context("query_frontend.url_deny_list")?,
            shutdown: Arc::clone(&self.shutdown),
            generator: Arc::clone(&self.generator),
            readiness: self.readiness.subscribe(),
            flush: flush(Arc::clone(&self.ingester)),
            metrics_text: Arc::new(move || metrics.text()),
            status: StatusPages {
                build: BuildInfo::default(),
                config: format!("{:#?}\n", self.config),
                services: Arc::new(move || vec![("all".to_string(), format!("{:?}", *services.borrow()))]),
            },
        })
    }
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
