//! Go-style flags ("spec/config.md §1"): `-x` and `--x` are the same, `-x=v` or `-x v`, booleans `-x` or `-x=false`.
//!
//! Most flags stand for a YAML key and are applied through that key's row, so that both accept the same values.

use std::path::PathBuf;

use super::draft::Draft;
use super::keys::ROOT;
use super::schema::{Action, Place, Report, Walk};
use super::yaml::Node;
use super::{ConfigError, scalar};

/// A flag that is known by name.
struct Flag {
    name: &'static str,
    act: Act,
    /// What stands in the usage text; empty for flags that are only accepted.
    help: &'static str,
}

/// What a flag does.
#[derive(Clone, Copy)]
enum Act {
    /// Keeps its text for [`Flags`].
    Text(fn(&mut Flags, String)),
    /// Keeps its truth for [`Flags`].
    Switch(fn(&mut Flags, bool)),
    /// Stands for the YAML key at this path.
    Key(&'static str),
}

/// Prefixes below which every YAML key of the table is a flag, with `-` or `_` between words.
const KEY_PREFIXES: [&str; 9] = [
    "storage.trace.",
    "ingester.",
    "compactor.",
    "live-store.",
    "backend-worker.",
    "backend-scheduler.",
    "block-builder.",
    "ingest.",
    "metrics-generator.",
];

static FLAGS: &[Flag] = &[
    text("config.file", |flags, path| flags.config_file = Some(path), "Configuration file to load."),
    switch("config.expand-env", |flags, on| flags.expand_env = on, "Whether to expand ${VARIABLE} in the configuration file."),
    switch("config.verify", |flags, on| flags.verify = on, "Verify configuration and exit."),
    switch("version", |flags, on| flags.version = on, "Print this build's version information and exit."),
    switch("help", |flags, on| flags.help = on, "Print this text and exit."),
    switch("h", |flags, on| flags.help = on, ""),
    switch("health", |flags, on| flags.health = on, "Ask a running server whether it is ready, and exit 0 or 1."),
    text("health.url", |flags, url| flags.health_url = url, "What -health asks. (default \"http://localhost:3200/ready\")"),
    text(
        "data.dir",
        |flags, path| flags.data_dir = Some(PathBuf::from(path)),
        "Directory of blocks and WAL where no path is given otherwise. (default \"./conmoto-data\")",
    ),
    key("target", "target", "What to run. (default \"all\")"),
    key("multitenancy.enabled", "multitenancy_enabled", "Whether requests must name their tenant."),
    key("auth.enabled", "multitenancy_enabled", "Deprecated: use -multitenancy.enabled."),
    key("http-api-prefix", "http_api_prefix", "Prefix of the API's paths, as /tempo."),
    key("shutdown-delay", "shutdown_delay", "How long /ready answers 503 before the server stops. (default 0s)"),
    key("log.level", "server.log_level", "Least severe lines to log: debug, info, warn, error. (default info)"),
    key("server.http-listen-port", "server.http_listen_port", "Port of the HTTP API. (default 3200)"),
    key("server.grpc-listen-port", "server.grpc_listen_port", "Port of the gRPC query API. (default 9095)"),
    key("storage.trace.backend", "storage.trace.backend", "Where blocks are kept: local, s3, gcs, azure. (default local)"),
    key("storage.trace.local.path", "storage.trace.local.path", "Directory of the blocks. (default \"./conmoto-data/blocks\")"),
    key("storage.trace.wal.path", "storage.trace.wal.path", "Directory of the write-ahead log. (default \"./conmoto-data/wal\")"),
    key("storage.trace.blocklist_poll", "storage.trace.blocklist_poll", "Time between two readings of the block list. (default 5m0s)"),
    key("storage.trace.maintenance-cycle", "storage.trace.blocklist_poll", ""),
    key(
        "compactor.compaction.block-retention",
        "compactor.compaction.block_retention",
        "Age at which blocks are removed. (default 336h0m0s)",
    ),
    key("ingester.max-traces-per-user", "overrides.defaults.ingestion.max_traces_per_user", ""),
    key("ingester.max-global-traces-per-user", "overrides.defaults.ingestion.max_global_traces_per_user", ""),
    key(
        "ingester.max-bytes-per-trace",
        "overrides.defaults.global.max_bytes_per_trace",
        "Largest trace, 0 for no bound. (default 5000000)",
    ),
    key("distributor.log-received-spans.enabled", "distributor.log_received_spans.enabled", ""),
    switch("distributor.log-received-spans.include-attributes", |_, _| (), ""),
    switch("distributor.log-received-spans.filter-by-status-error", |_, _| (), ""),
    key("distributor.log-discarded-spans.enabled", "distributor.log_discarded_spans.enabled", ""),
    switch("distributor.log-discarded-spans.include-attributes", |_, _| (), ""),
    switch("distributor.log-discarded-spans.filter-by-status-error", |_, _| (), ""),
    key("distributor.rate-limit-strategy", "overrides.defaults.ingestion.rate_strategy", ""),
    key("distributor.ingestion-rate-limit-bytes", "overrides.defaults.ingestion.rate_limit_bytes", ""),
    key("distributor.ingestion-burst-size-bytes", "overrides.defaults.ingestion.burst_size_bytes", ""),
    key("querier.max-bytes-per-tag-values-query", "overrides.defaults.read.max_bytes_per_tag_values_query", ""),
    key("querier.max-blocks-per-tag-values-query", "overrides.defaults.read.max_blocks_per_tag_values_query", ""),
    key("querier.max-condition-groups-per-tag-query", "overrides.defaults.read.max_condition_groups_per_tag_query", ""),
    key("config.per-user-override-config", "overrides.per_tenant_override_config", ""),
    key("config.per-user-override-period", "overrides.per_tenant_override_period", ""),
    key("query-frontend.mcp-server.enabled", "query_frontend.mcp_server.enabled", ""),
    switch("config.enable-legacy-overrides", |_, _| (), ""),
    switch("reporting.enabled", |_, _| (), ""),
    switch("enable-go-runtime-metrics", |_, _| (), ""),
    switch("span-profiling", |_, _| (), ""),
    text("querier.frontend-address", |_, _| (), ""),
    text("mutex-profile-fraction", |_, _| (), ""),
    text("block-profile-threshold", |_, _| (), ""),
    text("mem-ballast-size-mbs", |_, _| (), ""),
    text("memberlist.host-port", |_, _| (), ""),
    text("memberlist.bind-port", |_, _| (), ""),
    text("memberlist.message-history-buffer-bytes", |_, _| (), ""),
    text("ingester.availability-zone", |_, _| (), ""),
];

const fn text(name: &'static str, set: fn(&mut Flags, String), help: &'static str) -> Flag {
    Flag { name, act: Act::Text(set), help }
}

const fn switch(name: &'static str, set: fn(&mut Flags, bool), help: &'static str) -> Flag {
    Flag { name, act: Act::Switch(set), help }
}

const fn key(name: &'static str, path: &'static str, help: &'static str) -> Flag {
    Flag { name, act: Act::Key(path), help }
}

/// What the command line says.
#[derive(Debug)]
pub(super) struct Flags {
    /// `-config.file`.
    pub config_file: Option<String>,
    /// `-config.expand-env`.
    pub expand_env: bool,
    /// `-config.verify`.
    pub verify: bool,
    /// `-version`.
    pub version: bool,
    /// `-help`.
    pub help: bool,
    /// `-health`.
    pub health: bool,
    /// `-health.url`.
    pub health_url: String,
    /// `-data.dir`.
    pub data_dir: Option<PathBuf>,
    /// The word before all flags.
    pub word: Option<Word>,
    /// Flags that stand for YAML keys, in the order of the command line.
    keys: Vec<KeyFlag>,
}

/// What a word before all flags asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// `demo`: data to look at.
    Demo,
    /// `doctor`: whether a start would work.
    Doctor,
}

impl Word {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "demo" => Some(Word::Demo),
            "doctor" => Some(Word::Doctor),
            _ => None,
        }
    }
}

/// A flag that stands for a YAML key.
#[derive(Debug)]
struct KeyFlag {
    name: String,
    path: String,
    value: String,
}

impl Flags {
    /// Reads the words after the program's name.
    ///
    /// # Errors
    /// [`ConfigError::Flag`] for an unknown flag, a missing or wrong value, and a word that is no flag.
    pub(super) fn parse(args: &[String]) -> Result<Self, ConfigError> {
        let mut flags = Flags {
            config_file: None,
            expand_env: false,
            verify: false,
            version: false,
            help: false,
            health: false,
            health_url: "http://localhost:3200/ready".to_owned(),
            data_dir: None,
            word: None,
            keys: Vec::new(),
        };
        let mut rest = args;
        if let [first, tail @ ..] = rest
            && let Some(word) = Word::parse(first)
        {
            flags.word = Some(word);
            rest = tail;
        }
        while let [first, tail @ ..] = rest {
            rest = flags.read(first, tail)?;
        }
        // Wrong values are wrong whatever the file says.
        flags.apply(&mut Draft::default(), &mut Report::default())?;
        Ok(flags)
    }

    /// Reads one flag, and its value from the words after it if need be; gives back the words that are left.
    fn read<'a>(&mut self, word: &str, rest: &'a [String]) -> Result<&'a [String], ConfigError> {
        let stripped = word.strip_prefix("--").or_else(|| word.strip_prefix('-'));
        let Some(body) = stripped.filter(|_| word != "-" && word != "--") else {
            return Err(ConfigError::Flag(format!("unexpected argument: {word} (booleans are written -x=true)")));
        };
        if body.is_empty() || body.starts_with(['-', '=']) {
            return Err(ConfigError::Flag(format!("bad flag syntax: {word}")));
        }
        let (name, value) = body.split_once('=').map_or((body, None), |(name, value)| (name, Some(value)));
        match lookup(name) {
            None => Err(ConfigError::Flag(format!("flag provided but not defined: -{name}"))),
            Some(Resolved::Switch(set)) => {
                let text = value.unwrap_or("true");
                let on = scalar::boolean(text)
                    .ok_or_else(|| ConfigError::Flag(format!("invalid boolean value \"{text}\" for -{name}: parse error")))?;
                set(self, on);
                Ok(rest)
            }
            Some(Resolved::Text(set)) => {
                let (value, rest) = value_of(name, value, rest, Arity::One)?;
                set(self, value);
                Ok(rest)
            }
            Some(Resolved::Key(path, arity)) => {
                let (value, rest) = value_of(name, value, rest, arity)?;
                self.keys.push(KeyFlag { name: name.to_owned(), path, value });
                Ok(rest)
            }
        }
    }

    /// Puts the flags that stand for YAML keys into a draft.
    ///
    /// # Errors
    /// [`ConfigError::Flag`] for a value that the key does not accept.
    pub(super) fn apply(&self, draft: &mut Draft, report: &mut Report) -> Result<(), ConfigError> {
        draft.data_dir.clone_from(&self.data_dir);
        for flag in &self.keys {
            let Some(found) = ROOT.find(&flag.path) else { continue };
            let mut problems = Report::default();
            let path = format!("-{}", flag.name);
            Walk::new(&ROOT, &mut problems).apply_found(draft, found, &Node::plain(&flag.value), Place { path: &path, line: 0 });
            if let Some(problem) = problems.problems.first() {
                let message = format!("invalid value \"{}\" for flag {path}: {}", flag.value, problem.message);
                return Err(ConfigError::Flag(message));
            }
            report.remarks.append(&mut problems.remarks);
        }
        Ok(())
    }
}

/// A flag that was found.
enum Resolved {
    Switch(fn(&mut Flags, bool)),
    Text(fn(&mut Flags, String)),
    Key(String, Arity),
}

/// Whether a flag takes its value from the next word.
enum Arity {
    /// A boolean: never.
    None,
    /// Always.
    One,
    /// The key has no effect and no type: unless that word looks like a flag.
    Maybe,
}

/// Finds a flag by name: in the table, or as a YAML key.
fn lookup(name: &str) -> Option<Resolved> {
    let path = match FLAGS.iter().find(|flag| flag.name == name).map(|flag| flag.act) {
        Some(Act::Switch(set)) => return Some(Resolved::Switch(set)),
        Some(Act::Text(set)) => return Some(Resolved::Text(set)),
        Some(Act::Key(path)) => path.to_owned(),
        None if KEY_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) => name.replace('-', "_"),
        None => return None,
    };
    let arity = match ROOT.find(&path)?.action {
        Action::Bool(_) => Arity::None,
        Action::Ignore => Arity::Maybe,
        Action::Section(_) | Action::Custom(_) => return None,
        _ => Arity::One,
    };
    Some(Resolved::Key(path, arity))
}

/// The value of a flag, and the words after it.
fn value_of<'a>(name: &str, value: Option<&str>, rest: &'a [String], arity: Arity) -> Result<(String, &'a [String]), ConfigError> {
    match (value, arity, rest) {
        (Some(value), _, _) => Ok((value.to_owned(), rest)),
        (None, Arity::None, _) => Ok(("true".to_owned(), rest)),
        (None, Arity::Maybe, [next, tail @ ..]) if !next.starts_with('-') => Ok((next.clone(), tail)),
        (None, Arity::Maybe, _) => Ok(("true".to_owned(), rest)),
        (None, Arity::One, [next, tail @ ..]) => Ok((next.clone(), tail)),
        (None, Arity::One, []) => Err(ConfigError::Flag(format!("flag needs an argument: -{name}"))),
    }
}

/// What the command line offers, for `-help` and after a wrong flag. Ends with a line break.
pub fn usage() -> String {
    let mut shown: Vec<&Flag> = FLAGS.iter().filter(|flag| !flag.help.is_empty()).collect();
    shown.sort_by_key(|flag| flag.name);
    let mut text = "Usage: conmoto [demo | doctor] [flags]\n".to_owned();
    for flag in shown {
        text.push_str(&format!("  -{}\n    \t{}\n", flag.name, flag.help));
    }
    text.push_str("Tempo's other flags are accepted; the keys below storage.trace, ingester, live-store and compactor are flags, too.\n");
    text
}

#[cfg(test)]
mod tests;
