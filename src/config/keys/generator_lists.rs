//! Lists and maps of `metrics_generator`: buckets, dimensions, filter policies, receivers of remote write.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use regex::Regex;

use crate::columns;
use crate::config::draft::Draft;
use crate::config::scalar;
use crate::config::schema::{Action, Key, Report, Table, Walk, mismatch};
use crate::config::yaml::{Entry, Node, Problem, Value};
use crate::generator::settings::{Authorization, Credential, DimensionMapping, Processors, RemoteWrite};
use crate::generator::{Condition, Field, FilterPolicy, PolicyMatch, Wanted};

/// The elements of a list, null being none.
pub(super) fn list<'n>(node: &'n Node, wanted: &str, report: &mut Report) -> Option<&'n [Node]> {
    match &node.value {
        Value::Null => None,
        Value::Seq(nodes) => Some(nodes),
        _ => {
            report.problems.push(mismatch(node, wanted));
            None
        }
    }
}

fn entries<'n>(node: &'n Node, wanted: &str, report: &mut Report) -> Option<&'n [Entry]> {
    match &node.value {
        Value::Null => None,
        Value::Map(entries) => Some(entries),
        _ => {
            report.problems.push(mismatch(node, wanted));
            None
        }
    }
}

fn text<'n>(node: &'n Node, report: &mut Report) -> Option<&'n str> {
    match &node.value {
        Value::Scalar { text, .. } => Some(text),
        _ => {
            report.problems.push(mismatch(node, "string"));
            None
        }
    }
}

/// A list of texts, which replaces what was there.
pub(super) fn texts(into: &mut Vec<String>, node: &Node, report: &mut Report) {
    if let Some(nodes) = list(node, "[]string", report) {
        *into = nodes.iter().filter_map(|node| text(node, report).map(str::to_owned)).collect();
    }
}

/// A list of bounds; an empty one is no wish of its own.
pub(super) fn floats(into: &mut Vec<f64>, node: &Node, report: &mut Report) {
    let mut numbers = Vec::new();
    for node in list(node, "[]float64", report).unwrap_or_default() {
        match &node.value {
            Value::Scalar { text, .. } if scalar::float(text).is_some() => numbers.extend(scalar::float(text)),
            _ => report.problems.push(mismatch(node, "float64")),
        }
    }
    if !numbers.is_empty() {
        *into = numbers;
    }
}

/// A map of texts, which replaces what was there.
pub(super) fn label_map(into: &mut BTreeMap<String, String>, node: &Node, report: &mut Report) {
    if let Some(entries) = entries(node, "map[string]string", report) {
        let pair = |entry: &Entry| Some((entry.key.clone(), text(&entry.node, report)?.to_owned()));
        *into = entries.iter().filter_map(pair).collect();
    }
}

/// The processors that run; an empty list switches all off. Older files write a map with names as keys.
pub(super) fn processors(draft: &mut Draft, node: &Node, report: &mut Report) {
    let names: Vec<(&str, usize)> = match &node.value {
        Value::Null => return,
        Value::Seq(nodes) => nodes.iter().filter_map(|node| Some((text(node, report)?, node.line))).collect(),
        Value::Map(entries) => entries.iter().map(|entry| (entry.key.as_str(), entry.line)).collect(),
        Value::Scalar { .. } => return report.problems.push(mismatch(node, "[]string")),
    };
    for (name, line) in &names {
        if let Err(message) = Processors::named([*name]) {
            report.problems.push(Problem::new(*line, message));
        }
    }
    if names.iter().any(|(name, _)| *name == "local-blocks") {
        let told = "local-blocks has no effect: TraceQL metrics need no processor";
        report.remark(crate::config::schema::RemarkKind::Note, "overrides.defaults.metrics_generator.processors", told);
    }
    if let Ok(processors) = Processors::named(names.iter().map(|(name, _)| *name)) {
        draft.config.generator.defaults.processors = processors;
    }
}

static MAPPING: Table<DimensionMapping> = Table::new(
    "sharedconfig.DimensionMappings",
    &[
        Key::text("name", |mapping, text| {
            mapping.name = text.to_owned();
            Ok(())
        }),
        Key::new("source_labels", Action::Custom(|mapping, node, report| texts(&mut mapping.source_labels, node, report))),
        Key::text("join", |mapping, text| {
            mapping.join = text.to_owned();
            Ok(())
        }),
    ],
    &[],
);

/// `dimension_mappings`.
pub(super) fn mappings(into: &mut Vec<DimensionMapping>, node: &Node, report: &mut Report) {
    if let Some(nodes) = list(node, "[]sharedconfig.DimensionMappings", report) {
        let mut read = |node: &Node| {
            let mut mapping = DimensionMapping::default();
            Walk::new(&MAPPING, report).section(&mut mapping, &MAPPING, node, "dimension_mappings");
            mapping
        };
        *into = nodes.iter().map(&mut read).collect();
    }
}

static POLICY: Table<FilterPolicy> = Table::new(
    "filterconfig.FilterPolicy",
    &[
        Key::new("include", Action::Custom(|policy, node, report| policy.include = policy_match(node, report))),
        Key::new("include_any", Action::Custom(|policy, node, report| policy.include_any = policy_match(node, report))),
        Key::new("exclude", Action::Custom(|policy, node, report| policy.exclude = policy_match(node, report))),
    ],
    &[],
);

/// `filter_policies`.
pub(super) fn filter_policies(into: &mut Vec<FilterPolicy>, node: &Node, report: &mut Report) {
    if let Some(nodes) = list(node, "[]filterconfig.FilterPolicy", report) {
        let mut read = |node: &Node| {
            let mut policy = FilterPolicy::default();
            Walk::new(&POLICY, report).section(&mut policy, &POLICY, node, "filter_policies");
            policy
        };
        *into = nodes.iter().map(&mut read).collect();
    }
}

fn policy_match(node: &Node, report: &mut Report) -> Option<PolicyMatch> {
    let mut is_regex = false;
    let mut conditions: &[Node] = &[];
    for entry in entries(node, "filterconfig.PolicyMatch", report)? {
        match entry.key.as_str() {
            "match_type" => match text(&entry.node, report)? {
                "strict" | "" => {}
                "regex" => is_regex = true,
                other => report.problems.push(Problem::new(entry.line, format!("match_type {other} is none of strict and regex"))),
            },
            "attributes" => conditions = list(&entry.node, "[]filterconfig.MatchPolicyAttribute", report)?,
            other => report.problems.push(Problem::new(entry.line, format!("field {other} not found in type filterconfig.PolicyMatch"))),
        }
    }
    Some(PolicyMatch(conditions.iter().filter_map(|node| condition(node, is_regex, report)).collect()))
}

fn condition(node: &Node, is_regex: bool, report: &mut Report) -> Option<Condition> {
    let (mut field, mut value) = (None, None);
    for entry in entries(node, "filterconfig.MatchPolicyAttribute", report)? {
        match entry.key.as_str() {
            "key" => match Field::parse(text(&entry.node, report)?) {
                Ok(known) => field = Some(known),
                Err(message) => report.problems.push(Problem::new(entry.line, message)),
            },
            "value" => value = wanted(&entry.node, is_regex, report),
            other => {
                let message = format!("field {other} not found in type filterconfig.MatchPolicyAttribute");
                report.problems.push(Problem::new(entry.line, message));
            }
        }
    }
    match (field, value) {
        (Some(field), Some(wanted)) => Some(Condition { field, wanted }),
        _ => {
            report.problems.push(Problem::new(node.line, "an attribute of a filter needs a key and a value"));
            None
        }
    }
}

fn wanted(node: &Node, is_regex: bool, report: &mut Report) -> Option<Wanted> {
    let Value::Scalar { text, quoted } = &node.value else {
        report.problems.push(mismatch(node, "interface {}"));
        return None;
    };
    let as_text = || columns::Value::Str(text.as_str().into());
    if is_regex {
        return match Regex::new(text) {
            Ok(pattern) => Some(Wanted::Like(Arc::new(pattern))),
            Err(error) => {
                report.problems.push(Problem::new(node.line, format!("bad regular expression: {error}")));
                None
            }
        };
    }
    let value = match text.parse::<i64>() {
        _ if *quoted => as_text(),
        Ok(int) => columns::Value::Int(int),
        Err(_) => match (text.as_str(), scalar::float(text)) {
            ("true" | "false", _) => columns::Value::Bool(text == "true"),
            (_, Some(number)) => columns::Value::Double(number),
            _ => as_text(),
        },
    };
    Some(Wanted::Exactly(value))
}

/// A receiver while its keys are read.
#[derive(Default)]
struct Receiver {
    settings: RemoteWrite,
    user: String,
    password: Option<Credential>,
    scheme: Option<String>,
    credentials: Option<Credential>,
}

/// Settings without which samples would go elsewhere, or be sent by somebody else: they must not be left out silently.
const fn refused(name: &'static str) -> Key<Receiver> {
    Key::new(
        name,
        Action::Custom(|_, node, report| {
            if !node.is_trivial() {
                report.problems.push(Problem::new(
                    node.line,
                    "a key of remote_write that is not supported: sigv4, azuread, oauth2, google_iam, a proxy, or client certificates",
                ));
            }
        }),
    )
}

static RECEIVER: Table<Receiver> = Table::new(
    "config.RemoteWriteConfig",
    &[
        Key::text("url", |receiver, text| {
            receiver.settings.url = text.to_owned();
            Ok(())
        }),
        Key::text("name", |receiver, text| {
            receiver.settings.name = text.to_owned();
            Ok(())
        }),
        Key::new("headers", Action::Custom(|receiver, node, report| label_map(&mut receiver.settings.headers, node, report))),
        Key::duration("remote_timeout", |receiver, timeout| set_if_given(&mut receiver.settings.timeout, timeout)),
        Key::section("basic_auth", &BASIC_AUTH),
        Key::section("authorization", &AUTHORIZATION),
        Key::text("bearer_token", |receiver, text| {
            receiver.credentials = (!text.is_empty()).then(|| Credential::Text(text.to_owned()));
            Ok(())
        }),
        Key::text("bearer_token_file", |receiver, text| {
            receiver.credentials = file(text).or(receiver.credentials.take());
            Ok(())
        }),
        Key::section("tls_config", &TLS),
        Key::section("queue_config", &QUEUE),
        Key::new(
            "write_relabel_configs",
            Action::Custom(|receiver, node, report| super::relabel::rules(&mut receiver.settings.relabel, node, report)),
        ),
        refused("sigv4"),
        refused("azuread"),
        refused("oauth2"),
        refused("google_iam"),
        refused("proxy_url"),
        Key::text("protobuf_message", |_, text| match text {
            "" | "prometheus.WriteRequest" => Ok(()),
            _ => Err("only prometheus.WriteRequest is supported".to_owned()),
        }),
    ],
    &[
        "enable_http2",
        "follow_redirects",
        "metadata_config",
        "no_proxy",
        "proxy_connect_header",
        "proxy_from_environment",
        "round_robin_dns",
        "send_exemplars",
        "send_native_histograms",
        "http_headers",
    ],
);

static BASIC_AUTH: Table<Receiver> = Table::new(
    "config.BasicAuth",
    &[
        Key::text("username", |receiver, text| {
            receiver.user = text.to_owned();
            Ok(())
        }),
        Key::text("password", |receiver, text| {
            receiver.password = Some(Credential::Text(text.to_owned()));
            Ok(())
        }),
        Key::text("password_file", |receiver, text| {
            receiver.password = file(text).or(receiver.password.take());
            Ok(())
        }),
    ],
    &[],
);

static AUTHORIZATION: Table<Receiver> = Table::new(
    "config.Authorization",
    &[
        Key::text("type", |receiver, text| {
            receiver.scheme = Some(text.to_owned()).filter(|scheme| !scheme.is_empty());
            Ok(())
        }),
        Key::text("credentials", |receiver, text| {
            receiver.credentials = Some(Credential::Text(text.to_owned()));
            Ok(())
        }),
        Key::text("credentials_file", |receiver, text| {
            receiver.credentials = file(text).or(receiver.credentials.take());
            Ok(())
        }),
    ],
    &[],
);

static TLS: Table<Receiver> = Table::new(
    "config.TLSConfig",
    &[
        Key::text("ca_file", |receiver, text| {
            receiver.settings.ca_file = (!text.is_empty()).then(|| PathBuf::from(text));
            Ok(())
        }),
        Key::bool("insecure_skip_verify", |receiver, on| receiver.settings.skip_verify = on),
        refused("cert_file"),
        refused("key_file"),
        refused("server_name"),
    ],
    &["min_version", "max_version"],
);

static QUEUE: Table<Receiver> = Table::new(
    "config.QueueConfig",
    &[
        Key::count("max_samples_per_send", |receiver, most| {
            if most > 0 {
                receiver.settings.max_samples_per_send = super::size(most);
            }
        }),
        Key::duration("min_backoff", |receiver, pause| set_if_given(&mut receiver.settings.min_backoff, pause)),
        Key::duration("max_backoff", |receiver, pause| set_if_given(&mut receiver.settings.max_backoff, pause)),
    ],
    &["batch_send_deadline", "capacity", "max_shards", "min_shards", "retry_on_http_429", "sample_age_limit"],
);

fn set_if_given(into: &mut Duration, given: Duration) {
    if !given.is_zero() {
        *into = given;
    }
}

fn file(path: &str) -> Option<Credential> {
    (!path.is_empty()).then(|| Credential::File(PathBuf::from(path)))
}

/// `storage.remote_write`.
pub(super) fn remote_writes(into: &mut Vec<RemoteWrite>, node: &Node, report: &mut Report) {
    let Some(nodes) = list(node, "[]config.RemoteWriteConfig", report) else { return };
    into.clear();
    for node in nodes {
        let mut receiver = Receiver::default();
        Walk::new(&RECEIVER, report).section(&mut receiver, &RECEIVER, node, "metrics_generator.storage.remote_write");
        if receiver.settings.url.is_empty() {
            report.problems.push(Problem::new(node.line, "url for remote_write is empty"));
        }
        let Receiver { mut settings, user, password, scheme, credentials } = receiver;
        settings.authorization = match (password, credentials) {
            (None, None) if user.is_empty() => Authorization::None,
            (password, None) => Authorization::Basic { user, password: password.unwrap_or(Credential::Text(String::new())) },
            (_, Some(credentials)) => Authorization::Scheme { scheme: scheme.unwrap_or_else(|| "Bearer".to_owned()), credentials },
        };
        into.push(settings);
    }
}
