//! What was set so far, on the way to a [`Config`].
//!
//! Keys of several generations mean the same setting; the draft keeps them apart until the file, and then the flags, are
//! read whole, so that the newest generation wins inside each of them, and flags win over the file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::distributor::usage::UsageConfig;
use crate::generator::settings::{Processors, Settings, SpanMetricsSettings};

use super::schema::{RemarkKind, Report};
use super::storage::{Backend, DATA_DIR, SseDraft};
use super::{Config, ConfigError, IngesterConfig, Receivers, StorageConfig, UserOverridesConfig};

/// Where every released Tempo keeps its WAL when nothing else is said ("spec/config.md §10.1").
const TEMPO_WAL_PATH: &str = "/var/tempo/wal";

/// Values of `target` that run everything ("spec/config.md §1").
const WHOLE_TARGETS: [&str; 3] = ["all", "scalable-single-binary", "all-3.0"];

/// Values of `target` that run one part in Tempo.
const PART_TARGETS: [&str; 11] = [
    "distributor",
    "metrics-generator",
    "metrics-generator-no-local-blocks",
    "querier",
    "query-frontend",
    "block-builder",
    "backend-scheduler",
    "backend-worker",
    "live-store",
    "ingester",
    "compactor",
];

/// A key that `compactor`, `backend_scheduler` and `backend_worker` have: the last one that sets it wins.
pub(super) type Generations<T> = [Option<T>; 3];

/// Settings while they are collected.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// What needs no settling is written here at once.
    pub config: Config,
    /// Receivers that the file names; `None` if it names none.
    pub receivers: Option<Receivers>,
    /// `storage.trace.local.path`.
    pub local_path: Option<PathBuf>,
    /// `storage.trace.wal.path`.
    pub wal_path: Option<PathBuf>,
    /// `live_store.wal.path`, which goes before `storage.trace.wal.path`.
    pub live_store_wal_path: Option<PathBuf>,
    /// `-data.dir`.
    pub data_dir: Option<PathBuf>,
    /// `block_retention`.
    pub block_retention: Generations<Duration>,
    /// `compaction_window`.
    pub compaction_window: Generations<Duration>,
    /// `compaction_cycle`.
    pub compaction_cycle: Generations<Duration>,
    /// `max_block_bytes`.
    pub max_block_bytes: Generations<u64>,
    /// `max_compaction_objects`.
    pub max_compaction_objects: Generations<u64>,
    /// `compaction_window` of the overrides, which goes before the three; 0 is no wish of its own.
    pub override_window: Option<Duration>,
    /// `block_retention` of the overrides, which goes before the three; 0 is no wish of its own.
    pub override_retention: Option<Duration>,
    /// `compacted_block_retention`, for a warning only.
    pub compacted_block_retention: Option<Duration>,
    /// `compactor.disabled`.
    pub compactor_disabled: bool,
    /// `storage.trace.s3.sse`.
    pub sse: SseDraft,
    /// `distributor.usage.cost_attribution`, whether it is on or not.
    pub usage: UsageConfig,
    /// `distributor.usage.cost_attribution.enabled`.
    pub usage_enabled: bool,
    /// `overrides.user_configurable_overrides`.
    pub by_users: UserOverridesDraft,
    /// `metrics_generator_enabled: false`.
    pub generator_disabled: bool,
    /// A section `ingester` is there.
    pub has_ingester: bool,
    /// A section `live_store` is there.
    pub has_live_store: bool,
}

/// `overrides.user_configurable_overrides` while it is collected.
#[derive(Debug, Default)]
pub(super) struct UserOverridesDraft {
    pub enabled: bool,
    pub poll: Option<Duration>,
    /// `client.backend`, while `client` is read.
    pub backend: Option<Backend>,
    /// `client`, where it names a backend.
    pub storage: Option<StorageConfig>,
    pub refuses_conflicts: bool,
}

impl UserOverridesDraft {
    /// Where nothing is said of the store, documents lie beside the directory of the blocks.
    fn finish(self, blocks: &StorageConfig) -> Result<Option<UserOverridesConfig>, ConfigError> {
        if !self.enabled {
            return Ok(None);
        }
        let invalid = |message: String| ConfigError::Invalid(format!("overrides.user_configurable_overrides.client: {message}"));
        let mut storage = self.storage.unwrap_or_else(|| StorageConfig { local_path: PathBuf::new(), ..blocks.clone() });
        match storage.backend {
            Backend::Local if storage.local_path.as_os_str().is_empty() => {
                storage.local_path = blocks.local_path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
            }
            Backend::Local => {}
            // The names of tenants' folders would be mixed with those of documents.
            _ if storage.bucket() == blocks.bucket() => {
                return Err(invalid("must name a bucket or prefix other than that of the blocks (storage.trace)".to_owned()));
            }
            _ => storage.check().map_err(|error| invalid(error.to_string()))?,
        }
        let poll = self.poll.unwrap_or(Duration::from_secs(60));
        Ok(Some(UserOverridesConfig { storage, poll, refuses_conflicts: self.refuses_conflicts }))
    }
}

impl Draft {
    /// A section `ingester`: from here on, the defaults of Tempo 2.10 hold.
    pub(super) fn enter_ingester(&mut self) {
        self.has_ingester = true;
        self.config.ingester = IngesterConfig::of_tempo_2();
    }

    /// To be called when the file is read, and again after the flags: of each setting with several keys, the newest
    /// generation wins.
    pub(super) fn settle(&mut self, report: &mut Report) {
        self.wal_path = self.live_store_wal_path.take().or(self.wal_path.take());
        if let Some(retention) = settled("block_retention", &mut self.block_retention, report) {
            self.config.retention.block_retention = (!retention.is_zero()).then_some(retention);
        }
        if let Some(retention) = self.override_retention.filter(|retention| !retention.is_zero()) {
            self.config.retention.block_retention = Some(retention);
        }
        self.settle_compaction(report);
    }

    /// 0 is read as the default of each of these keys.
    fn settle_compaction(&mut self, report: &mut Report) {
        let compaction = &mut self.config.compaction;
        let is_given = |given: &Duration| !given.is_zero();
        let window = settled("compaction_window", &mut self.compaction_window, report).filter(is_given);
        compaction.window = self.override_window.filter(is_given).or(window).unwrap_or(compaction.window);
        let cycle = settled("compaction_cycle", &mut self.compaction_cycle, report).filter(is_given);
        compaction.cycle = cycle.unwrap_or(compaction.cycle);
        let bytes = settled("max_block_bytes", &mut self.max_block_bytes, report).filter(|bytes| *bytes > 0);
        compaction.max_block_bytes = bytes.unwrap_or(compaction.max_block_bytes);
        let traces = settled("max_compaction_objects", &mut self.max_compaction_objects, report).filter(|traces| *traces > 0);
        compaction.max_block_traces = traces.unwrap_or(compaction.max_block_traces);
    }

    /// The configuration, after checks that need more than one key. `has_file` tells a configuration file from none.
    ///
    /// # Errors
    /// A target that this server does not run, and a path prefix that does not start with a slash.
    pub(super) fn finish(mut self, has_file: bool, report: &mut Report) -> Result<Config, ConfigError> {
        self.remark(report);
        self.settle_storage(has_file);
        self.config.storage.s3.encryption = std::mem::take(&mut self.sse).finish();
        self.config.storage.check()?;
        self.config.overrides.by_users = std::mem::take(&mut self.by_users).finish(&self.config.storage)?;
        self.config.distributor.usage = self.usage_enabled.then_some(self.usage);
        let mut config = self.config;
        if let Some(receivers) = self.receivers {
            config.receivers = receivers;
        }
        if self.compactor_disabled {
            config.retention.block_retention = None;
            config.compaction.enabled = false;
        }
        if self.generator_disabled {
            config.generator.defaults.processors = Processors::default();
        }
        sort_buckets(&mut config.generator.defaults);
        check_generator(&config.generator.defaults).map_err(ConfigError::Invalid)?;
        check_target(&config.target)?;
        config.http_api_prefix = path_prefix("http_api_prefix", &config.http_api_prefix)?;
        config.server.http_path_prefix = path_prefix("server.http_path_prefix", &config.server.http_path_prefix)?;
        Ok(config)
    }

    /// Directories: what is set stays, the rest lies under the data directory. One case is Tempo's: a file that names the
    /// blocks' directory, or a bucket, but no WAL gets Tempo's WAL directory or, where that cannot be made, one beside the
    /// blocks or in the data directory.
    fn settle_storage(&mut self, has_file: bool) {
        let defaults = StorageConfig::in_directory(self.data_dir.as_deref().unwrap_or(Path::new(DATA_DIR)));
        let storage = &mut self.config.storage;
        let beside_blocks = match storage.backend {
            Backend::Local => self.local_path.as_deref().and_then(Path::parent).map(|parent| parent.join("wal")),
            Backend::S3 | Backend::Gcs | Backend::Azure => Some(defaults.wal_path.clone()),
        };
        match (self.wal_path.take(), beside_blocks) {
            (Some(path), _) => storage.wal_path = path,
            (None, Some(fallback)) if has_file && self.data_dir.is_none() => {
                storage.wal_path = PathBuf::from(TEMPO_WAL_PATH);
                storage.wal_path_fallback = Some(fallback);
            }
            (None, _) => storage.wal_path = defaults.wal_path,
        }
        storage.local_path = self.local_path.take().unwrap_or(defaults.local_path);
    }

    /// Remarks that need more than one key ("spec/config.md §16", "§17").
    fn remark(&self, report: &mut Report) {
        let mut add = |kind, text: &str| report.remark(kind, "", text);
        if self.has_ingester && self.has_live_store {
            add(RemarkKind::Note, "ingester and live_store are both given: where both set a value, live_store is used");
        }
        let poll = self.config.storage.blocklist_poll;
        if self.config.ingester.complete_block_timeout < poll {
            add(
                RemarkKind::Warning,
                "complete_block_timeout is shorter than storage.trace.blocklist_poll: traces may be missing between flush and poll",
            );
        }
        if self.compacted_block_retention.is_some_and(|retention| retention < poll) {
            add(
                RemarkKind::Warning,
                "compacted_block_retention is shorter than storage.trace.blocklist_poll: readers may miss a removed block",
            );
        }
    }
}

/// What the last section that has the key says, with a note if others say something else.
fn settled<T: Copy + PartialEq>(key: &str, given: &mut Generations<T>, report: &mut Report) -> Option<T> {
    let given: Vec<T> = given.iter_mut().filter_map(Option::take).collect();
    let last = *given.last()?;
    if given.iter().any(|one| *one != last) {
        let text = format!("{key} differs between compactor, backend_scheduler and backend_worker: the last of these that sets it is used");
        report.remark(RemarkKind::Note, "", &text);
    }
    Some(last)
}

/// The bounds of all tenants are put in order, as Tempo does; those of single tenants have to be ("spec/metrics-generator.md §10").
fn sort_buckets(settings: &mut Settings) {
    for bounds in [&mut settings.span_metrics.buckets, &mut settings.service_graphs.buckets] {
        bounds.sort_by(f64::total_cmp);
        bounds.dedup();
    }
}

/// What the generator cannot do.
pub(super) fn check_generator(settings: &Settings) -> Result<(), String> {
    for (processor, bounds) in [("span_metrics", &settings.span_metrics.buckets), ("service_graphs", &settings.service_graphs.buckets)] {
        if !bounds.is_sorted_by(|one, next| one < next) {
            return Err(format!("metrics_generator.processor.{processor}.histogram_buckets: bounds must grow from one to the next"));
        }
    }
    check_mappings(&settings.span_metrics)
}

/// A joined label must not be that of something else ("spec/metrics-generator.md §2.2").
fn check_mappings(settings: &SpanMetricsSettings) -> Result<(), String> {
    let own = ["service", "span_name", "span_kind", "status_code", "status_message"];
    let sanitised = |name: &str| name.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
    let mut taken: Vec<String> = own.map(str::to_owned).into();
    taken.extend(settings.dimensions.iter().map(|name| sanitised(name)));
    for mapping in &settings.mappings {
        let name = sanitised(&mapping.name);
        if name.is_empty() || taken.contains(&name) {
            let message =
                format!("metrics_generator.processor.span_metrics.dimension_mappings: the label {name:?} is used twice, or empty");
            return Err(message);
        }
        taken.push(name);
    }
    Ok(())
}

/// Passes the targets that mean everything.
fn check_target(target: &str) -> Result<(), ConfigError> {
    if WHOLE_TARGETS.contains(&target) {
        return Ok(());
    }
    let reason = if PART_TARGETS.contains(&target) { "only target=all is supported" } else { "unrecognised module name" };
    Err(ConfigError::Invalid(format!("target: {reason}: {target}")))
}

/// A prefix of paths, without final slash.
fn path_prefix(key: &str, text: &str) -> Result<String, ConfigError> {
    let trimmed = text.trim_end_matches('/');
    if trimmed.is_empty() || trimmed.starts_with('/') {
        return Ok(trimmed.to_owned());
    }
    Err(ConfigError::Invalid(format!("{key} must start with /, found {text}")))
}
