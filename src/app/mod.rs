//! Builds the stages, joins them, starts and stops them in order.
//!
//! Start: listeners are bound first, so that a port in use is told before any data is touched; then the data directory
//! is locked, the block list read, the log replayed; only then requests are served. Stop: `/ready` says so, receivers
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
mod receivers;
pub mod storage;

use crate::api::{ApiConfig, ApiState, BuildInfo, FlushError, Readiness, StatusPages, grpc_router, http_router};
use crate::compactor::{Compactor, CompactorConfig, Surroundings};
use crate::config::Config;
use crate::distributor::Distributor;
use crate::frontend::{Frontend, MetricsLimits};
use crate::generator::Generator;
use crate::ingester::{Ingester, IngesterConfig, Recovered};
use crate::model::TenantId;
use crate::runtime::serve::{ServeOptions, serve};
use crate::store::spool::Mover;
use crate::store::{BlockLists, Store, poll};
use crate::telemetry::registry::Metrics;
use adapters::{InProcessRecent, InProcessTarget};
use anyhow::Context;
use data_dir::DataDirLock;
use listeners::Listeners;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

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
    recovered: Recovered,
    readiness: watch::Sender<Readiness>,
    wal_dir: PathBuf,
    /// Held for the life of the process.
    _lock: DataDirLock,
}

impl App {
    /// Binds, locks, loads and replays.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        let listeners = Listeners::bind(&config).await?;
        let wal_dir = data_dir::wal_dir(&config.storage)?;
        let lock = DataDirLock::take(&wal_dir)?;
        let store = storage::open(&config, &wal_dir).await?;
        let blocks = Arc::new(BlockLists::default());
        let num_blocks = blocks.load(&store).await.context("could not read the list of blocks")?;
        let settings = ingester_config(&config, wal_dir.clone());
        let (ingester, recovered) =
            Ingester::open(settings, store.clone(), Arc::clone(&blocks)).await.context("could not replay the write-ahead log")?;
        log_recovery(num_blocks, &recovered);
        let distributor = Distributor::new(Arc::new(InProcessTarget(Arc::clone(&ingester))))
            .with_logs(config.distributor.span_logs)
            .with_max_attribute_bytes(config.distributor.max_attribute_bytes);
        let compactor = Compactor::new(compactor_config(&config), store.clone(), Arc::clone(&blocks), surroundings(&config, &ingester));
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
            recovered,
            readiness,
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

    /// Spans that a start found in the log.
    pub fn recovered(&self) -> &Recovered {
        &self.recovered
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
        let state = Arc::new(self.api_state());
        let App { config, listeners, ingester, distributor, store, blocks, compactor, generator, readiness, .. } = self;
        let generating = generating::start(&generator)?;
        let (stop_receivers, stop_api) = (watch::channel(()).0, watch::channel(()).0);
        let Listeners { http, grpc, receivers, udp_receivers } = listeners;
        let receivers = receivers::start(&config, &distributor, receivers, udp_receivers, &stop_receivers);
        let mut api = JoinSet::new();
        for (bound, router) in [(http, http_router(Arc::clone(&state))), (grpc, grpc_router(state))] {
            let options = ServeOptions { tls: bound.tls, ..ServeOptions::named(bound.name) };
            api.spawn(serve(bound.listener, router, options, stopped(&stop_api)));
        }
        let (stop_flusher, stop_compactor) = (watch::channel(()).0, watch::channel(()).0);
        let flusher = tokio::spawn(Arc::clone(&ingester).run(stop_flusher.subscribe()));
        let mover = Mover::new(store.clone(), Arc::clone(&blocks), config.ingester.complete_block_timeout);
        let moving = tokio::spawn(mover.clone().run(stop_flusher.subscribe()));
        tokio::spawn(poll::run(blocks, store, config.storage.blocklist_poll, stop_flusher.subscribe()));
        let compacting = tokio::spawn(compactor.run(stop_compactor.subscribe()));
        readiness.send_replace(Readiness::Ready);
        tracing::info!("Conmoto started");

        shutdown.await;
        tracing::info!("shutting down");
        readiness.send_replace(Readiness::Stopping);
        tokio::time::sleep(config.shutdown_delay).await;
        drop(stop_receivers);
        drop(readiness);
        finish(receivers).await;
        generating.stop(&generator).await;
        drop(stop_api);
        finish(api).await;
        drop(stop_compactor);
        if compacting.await.is_err() {
            tracing::error!("the task that merges and deletes blocks had ended before");
        }
        drop(stop_flusher);
        if flusher.await.is_err() {
            tracing::error!("the task that writes blocks had ended before; the spans are in the log");
        }
        if moving.await.is_err() {
            tracing::error!("the task that moves blocks to the bucket had ended before; the blocks are on local disk");
        }
        if config.ingester.flush_all_on_shutdown {
            flush_on_shutdown(&ingester, &mover).await;
        }
        ingester.wal().close().await.context("could not close the write-ahead log")?;
        tracing::info!("Conmoto stopped");
        Ok(())
    }

    fn api_state(&self) -> ApiState {
        let recent = Arc::new(InProcessRecent { ingester: Arc::clone(&self.ingester), blocks: Arc::clone(&self.blocks) });
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        let (ingester, store, blocks) = (Arc::clone(&self.ingester), self.store.clone(), Arc::clone(&self.blocks));
        let (compactor, distributor, generator) = (Arc::clone(&self.compactor), self.distributor.clone(), Arc::clone(&self.generator));
        let readings = move || {
            compactor.measure();
            let mut readings = metrics::readings(&ingester, &store, &blocks, compactor.instruments());
            readings.extend(metrics::distribution(&distributor));
            readings.extend(generating::readings(&generator));
            readings
        };
        let metrics = Metrics::new(Box::new(readings));
        let services = self.readiness.subscribe();
        ApiState {
            config: api_config(&self.config),
            frontend: Arc::new(
                Frontend::new(recent, cores, self.config.query.query_timeout).limiting_metrics(metrics_limits(&self.config)),
            ),
            generator: Arc::clone(&self.generator),
            readiness: self.readiness.subscribe(),
            flush: flush(Arc::clone(&self.ingester)),
            metrics_text: Arc::new(move || metrics.text()),
            status: StatusPages {
                build: BuildInfo::default(),
                config: format!("{:#?}\n", self.config),
                services: Arc::new(move || vec![("all".to_string(), format!("{:?}", *services.borrow()))]),
            },
        }
    }
}

/// Waits for servers to end; one that panicked has ended, too.
async fn finish(mut servers: JoinSet<()>) {
    while let Some(ended) = servers.join_next().await {
        if ended.is_err() {
            tracing::error!("a listener had ended before");
        }
    }
}

/// A bucket that is gone must not hold up a shutdown for longer.
const MOVE_ON_SHUTDOWN: Duration = Duration::from_secs(20);

/// Leaves nothing behind on local disk, as far as that can be done.
async fn flush_on_shutdown(ingester: &Arc<Ingester>, mover: &Mover) {
    if let Err(error) = ingester.flush_all().await {
        tracing::error!(%error, "could not flush on shutdown; the spans stay in the log");
    }
    match tokio::time::timeout(MOVE_ON_SHUTDOWN, mover.move_all()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "could not move blocks to the bucket on shutdown; they stay on local disk"),
        Err(_) => tracing::error!("could not move all blocks to the bucket in time on shutdown; they stay on local disk"),
    }
}

/// Resolves when the sender is dropped.
fn stopped(sender: &watch::Sender<()>) -> impl Future<Output = ()> + use<> {
    let mut receiver = sender.subscribe();
    async move { while receiver.changed().await.is_ok() {} }
}

fn flush(ingester: Arc<Ingester>) -> crate::api::Flush {
    Arc::new(move |tenant: Option<TenantId>| {
        let ingester = Arc::clone(&ingester);
        Box::pin(async move {
            let flushed = match tenant {
                Some(tenant) => ingester.flush(&tenant, crate::ingester::Taking::Everything).await,
                None => ingester.flush_all().await,
            };
            flushed.map_err(|error| FlushError(error.to_string()))
        })
    })
}

/// Memory that a head may hold where no budget is given: a quarter of the 300 MiB that the server means to need at full
/// load (shared/design.md §7); encoding a block and what arrives meanwhile take the rest.
const DEFAULT_HEAD_BYTES: u64 = 72 << 20;

fn ingester_config(config: &Config, wal_dir: PathBuf) -> IngesterConfig {
    let budget = config.memory_limit_bytes.map_or(DEFAULT_HEAD_BYTES, |bytes| bytes / 4);
    IngesterConfig {
        wal_dir,
        max_trace_idle: config.ingester.max_trace_idle,
        max_block_duration: config.ingester.max_block_duration,
        max_head_bytes: usize::try_from(config.ingester.max_block_bytes.min(budget)).unwrap_or(usize::MAX),
        check_period: config.ingester.flush_check_period,
    }
}

fn compactor_config(config: &Config) -> CompactorConfig {
    let compaction = &config.compaction;
    CompactorConfig {
        is_enabled: compaction.enabled,
        window: compaction.window,
        cycle: compaction.cycle,
        max_block_bytes: compaction.max_block_bytes,
        max_block_traces: compaction.max_block_traces,
        // Half of the cores stay for spans and queries whatever is merged.
        num_jobs: std::thread::available_parallelism().map_or(1, |cores| cores.get() / 2).max(1),
    }
}

/// Bounds of metrics queries.
fn metrics_limits(config: &Config) -> MetricsLimits {
    MetricsLimits { max_exemplars: config.query.max_exemplars, max_series: config.query.max_response_series }
}

fn surroundings(config: &Config, ingester: &Arc<Ingester>) -> Surroundings {
    let (ingester, retention) = (Arc::clone(ingester), config.retention.block_retention);
    Surroundings {
        is_quiet: Box::new(move |tenant| ingester.existing_head(tenant).is_none_or(|head| head.bytes() == 0)),
        retention: Box::new(move |_| retention),
    }
}

fn api_config(config: &Config) -> ApiConfig {
    let query = &config.query;
    ApiConfig {
        http_path_prefix: config.server.http_path_prefix.clone(),
        http_api_prefix: config.http_api_prefix.clone(),
        multitenancy_enabled: config.multitenancy_enabled,
        stream_over_http_enabled: config.stream_over_http_enabled,
        default_result_limit: query.default_result_limit,
        max_result_limit: query.max_result_limit,
        default_spans_per_span_set: query.default_spans_per_span_set,
        max_spans_per_span_set: query.max_spans_per_span_set,
        max_search_duration: query.max_search_duration,
        max_query_expression_size_bytes: query.max_query_expression_size_bytes,
        query_end_cutoff: query.query_end_cutoff,
        max_bytes_per_trace: query.max_bytes_per_trace,
        ..ApiConfig::default()
    }
}

fn log_recovery(num_blocks: usize, recovered: &Recovered) {
    let report = &recovered.report;
    tracing::info!(blocks = num_blocks, records = report.records, spans = recovered.num_spans, "data loaded");
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
    for damaged in &report.damaged {
        tracing::error!(segment = damaged.segment, bytes = damaged.lost_bytes, "a log segment is damaged; acknowledged spans may be lost");
    }
    for path in &report.quarantined {
        tracing::error!(path = %path.display(), "a file that does not belong into the log was set aside");
    }
}
