//! Files in `config/` and `tests/config/`, and the order of precedence.

mod generator;
mod receivers;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;
use crate::generator::settings::Processors;
use crate::runtime::tls::{PemSource, TlsSettings, TlsVersion};

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn words(text: &[&str]) -> Vec<String> {
    text.iter().map(|word| (*word).to_owned()).collect()
}

fn load_words(text: &[&str]) -> Result<Loaded, ConfigError> {
    load(&words(text), &|name| (name == "PORT").then(|| "4000".to_owned()))
}

fn load_file(path: &Path) -> Result<Loaded, ConfigError> {
    load(&["-config.file".to_owned(), path.display().to_string()], &|_| None)
}

fn good(name: &str) -> Loaded {
    load_file(&repository().join("tests/config/good").join(name)).expect(name)
}

/// Loads a text as a file of its own.
fn load_text(text: &str, flags: &[&str]) -> Result<Loaded, ConfigError> {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let name = format!("conmoto-config-{}-{}.yaml", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, text).expect("the temporary directory is writable");
    let file = format!("-config.file={}", path.display());
    let result = load_words(&[&[file.as_str()], flags].concat());
    std::fs::remove_file(&path).expect("the file was just written");
    result
}

fn files(directory: &str) -> BTreeSet<PathBuf> {
    let entries = std::fs::read_dir(repository().join(directory)).expect(directory);
    entries.map(|entry| entry.expect(directory).path()).filter(|path| path.extension().is_some_and(|end| end == "yaml")).collect()
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[test]
fn every_good_file_loads() {
    let files = files("tests/config/good");
    assert!(files.len() >= 10);
    for path in files {
        if let Err(error) = load_file(&path) {
            panic!("{}: {error}", path.display());
        }
    }
}

#[test]
fn every_bad_file_is_refused_with_its_message() {
    let files = files("tests/config/bad");
    assert!(files.len() >= 15);
    for path in files {
        let text = std::fs::read_to_string(&path).expect("listed a moment ago");
        let expected: Vec<&str> = text.lines().map_while(|line| line.strip_prefix("# expect: ")).collect();
        assert!(!expected.is_empty(), "{}: no expectation", path.display());
        let error = load_file(&path).expect_err(&path.display().to_string());
        assert_eq!(error.exit_code(), 1);
        let message = error.to_string();
        for line in &expected {
            assert!(message.contains(line.trim_end()), "{}: expected {line}\nfound {message}", path.display());
        }
        if let ConfigError::Keys { problems, .. } = &error {
            assert_eq!(problems.len(), expected.len(), "{}: {message}", path.display());
        }
    }
}

#[test]
fn the_message_has_the_shape_of_tempo() {
    let path = repository().join("tests/config/bad/misspelt-root.yaml");
    let message = load_file(&path).expect_err("misspelt").to_string();
    let start = format!("failed parsing config: failed to parse configFile {}: yaml: unmarshal errors:\n  line 2: ", path.display());
    assert_eq!(message, format!("{start}field stroage not found in type app.Config (did you mean \"storage\"?)"));
    let missing = load_words(&["-config.file=/nowhere/x.yaml"]).expect_err("missing").to_string();
    assert!(missing.starts_with("failed parsing config: failed to read configFile /nowhere/x.yaml: "), "{missing}");
}

#[test]
fn example_files_load_and_say_what_they_mean() {
    for name in ["minimal.yaml", "example.yaml", "s3.yaml"] {
        let path = repository().join("config").join(name).display().to_string();
        let loaded = load(&[format!("-config.file={path}"), "-config.expand-env".to_owned()], &|_| None).expect(name);
        assert_eq!((loaded.warnings, loaded.notes), (vec![], vec![]), "{name}");
    }
    let example = load_file(&repository().join("config/example.yaml")).expect("example.yaml").config;
    assert_eq!(example, Config::default(), "the example names the defaults");
}

#[test]
fn no_file_means_the_defaults() {
    let loaded = load_words(&[]).expect("no words");
    assert_eq!(loaded.config, Config::default());
    assert_eq!(loaded.command, Command::Run);
    let Config { server, receivers, storage, ingester, query, retention, .. } = loaded.config;
    assert_eq!(server.http_listener().to_string(), "0.0.0.0:3200");
    assert_eq!(server.grpc_listener().to_string(), "0.0.0.0:9095");
    assert_eq!(receivers.otlp_grpc.as_ref().map(|r| r.endpoint.to_string()).as_deref(), Some("0.0.0.0:4317"));
    assert_eq!(receivers.otlp_http.as_ref().map(|r| r.endpoint.to_string()).as_deref(), Some("0.0.0.0:4318"));
    assert_eq!(receivers.zipkin.as_ref().map(|r| r.http.max_body_bytes), Some(20_971_520));
    assert_eq!(receivers.otlp_grpc.as_ref().map(|r| r.max_message_bytes), Some(4_194_304));
    assert!(receivers.not_served().is_empty());
    assert_eq!(storage.local_path, Path::new("./conmoto-data/blocks"));
    assert_eq!(storage.wal_path, Path::new("./conmoto-data/wal"));
    assert_eq!(ingester.max_trace_idle, seconds(5));
    assert_eq!(query.max_search_duration, Some(seconds(168 * 3600)));
    assert_eq!(retention.block_retention, Some(seconds(336 * 3600)));
}

#[test]
fn an_empty_file_means_the_defaults() {
    for name in ["empty.yaml", "only-comment.yaml"] {
        assert_eq!(good(name).config, Config::default(), "{name}");
    }
}

#[test]
fn seed_000() {
    let config = good("seed-000.yaml").config;
    assert_eq!(config.server.http_listen_port, 3100);
    assert_eq!(config.receivers, Receivers { zipkin: Some(ZipkinReceiver::new(9411)), ..Receivers::none() });
    assert_eq!(config.storage.local_path, Path::new("/tmp/tempo/blocks"));
    assert_eq!(config.storage.wal_path, Path::new("/var/tempo/wal"));
    assert_eq!(config.storage.wal_path_fallback.as_deref(), Some(Path::new("/tmp/tempo/wal")));
}

#[test]
fn seed_001() {
    let loaded = good("seed-001-rendered.yaml");
    let config = loaded.config;
    assert_eq!(config.server.http_listen_port, 3100);
    assert_eq!(config.retention.block_retention, Some(seconds(24 * 3600)));
    assert_eq!(config.ingester.max_block_duration, seconds(1800), "an ingester section brings the defaults of 2.10");
    let receivers = &config.receivers;
    let udp = [&receivers.jaeger_thrift_compact, &receivers.jaeger_thrift_binary].map(|r| r.as_ref().map(|r| r.endpoint.port));
    assert_eq!(udp, [Some(6831), Some(6832)]);
    let grpc = [&receivers.jaeger_grpc, &receivers.opencensus].map(|r| r.as_ref().map(|r| r.endpoint.port));
    assert_eq!(grpc, [Some(14250), Some(55678)]);
    assert_eq!(receivers.jaeger_thrift_http.as_ref().map(|r| r.endpoint.port), Some(14268));
    assert_eq!(config.receivers.zipkin, None);
    assert_eq!(config.storage.wal_path_fallback, None);
    assert_eq!(loaded.warnings.len(), 1, "{:?}", loaded.warnings);
    assert!(loaded.warnings[0].contains("overrides.metrics_generator_processors (line 45): the flat form"), "{:?}", loaded.warnings);
    let generator = config.generator;
    assert_eq!(generator.defaults.processors, Processors::named(["service-graphs"]).expect("known"));
    assert_eq!(generator.remote_write[0].url, "http://prometheus.monitoring:9090/api/v1/write");
    assert!(loaded.notes.iter().any(|note| note.starts_with("metrics_generator.traces_storage (line")), "{:?}", loaded.notes);
}

#[test]
fn seed_002_has_nothing_to_remark() {
    let loaded = good("seed-002.yaml");
    assert_eq!((loaded.warnings, loaded.notes), (vec![], vec![]));
    let config = loaded.config;
    assert_eq!(config.ingester.max_block_duration, seconds(300));
    assert_eq!(config.ingester.max_block_bytes, 524_288_000);
    assert_eq!(config.retention.block_retention, Some(seconds(3600)));
    assert_eq!(config.receivers, Receivers { otlp_grpc: Some(GrpcReceiver::new(4317)), ..Receivers::none() });
    assert_eq!(config.storage.wal_path, Path::new("/tmp/tempo/wal"));
}

#[test]
fn seed_003() {
    let loaded = good("seed-003-rendered.yaml");
    let config = loaded.config;
    assert_eq!(config.storage.backend, Backend::S3);
    assert_eq!(config.ingester.max_block_bytes, 1_048_576_000);
    assert_eq!(config.receivers.otlp_http.map(|r| r.endpoint.port), Some(55681));
    assert_eq!(config.query.max_search_duration, None);
    assert!(loaded.warnings.iter().any(|warning| warning.starts_with("distributor.log_received_spans.enabled")));
    assert!(loaded.warnings.iter().any(|warning| warning.starts_with("storage.trace.cache ")));
}

#[test]
fn seed_004_has_its_dimensions() {
    let loaded = good("seed-004.yaml");
    assert_eq!(loaded.config.storage.local_path, Path::new("/tmp/tempo/traces"));
    assert_eq!(loaded.notes, [] as [&str; 0]);
    let defaults = loaded.config.generator.defaults;
    assert_eq!(defaults.span_metrics.dimensions, ["http.method", "http.status_code"]);
    assert_eq!(defaults.processors, Processors::named(["span-metrics", "service-graphs"]).expect("known"));
}

#[test]
fn generation_1() {
    let loaded = good("generation-1.yaml");
    let config = loaded.config;
    assert_eq!(config.retention.block_retention, Some(seconds(9 * 86_400)), "the overrides go before the compactor's 0");
    assert_eq!(config.query.max_search_duration, Some(seconds(36 * 3600)));
    assert_eq!(config.query.max_result_limit, None);
    assert_eq!(config.query.default_result_limit, 30);
    assert_eq!(config.query.max_bytes_per_trace, Some(50_000));
    assert_eq!(config.ingester.max_trace_idle, seconds(30));
    assert_eq!(config.ingester.max_block_bytes, 1 << 30);
    assert_eq!(config.storage.blocklist_poll, seconds(240));
    assert_eq!(config.storage.bloom_false_positive, 0.05);
    assert_eq!(config.storage.backend, Backend::Azure);
    assert_eq!(config.overrides.file.as_deref(), Some(Path::new("/conf/overrides.yaml")));
    for start in ["search_enabled", "metrics_generator_enabled", "storage.trace.block.version"] {
        assert!(loaded.notes.iter().any(|note| note.starts_with(start)), "{start}: {:?}", loaded.notes);
    }
}

#[test]
fn generation_2() {
    let config = good("generation-2.yaml").config;
    assert_eq!((config.http_api_prefix.as_str(), config.server.http_path_prefix.as_str()), ("/tempo", "/base"));
    assert!(config.multitenancy_enabled && !config.stream_over_http_enabled);
    assert_eq!(config.shutdown_delay, seconds(5));
    assert_eq!(config.server.http_listener().to_string(), "127.0.0.1:80");
    assert_eq!(config.server.grpc_listener().to_string(), "127.0.0.1:9096");
    assert_eq!((config.server.log_format, config.server.log_level), (LogFormat::Json, LogLevel::Debug));
    assert_eq!(config.server.graceful_shutdown_timeout, seconds(45));
    assert_eq!(
        config.receivers.otlp_grpc.map(|r| (r.endpoint.to_string(), r.max_message_bytes)),
        Some(("localhost:4317".into(), 64 << 20))
    );
    assert_eq!(config.receivers.otlp_http.map(|r| (r.endpoint.to_string(), r.max_body_bytes)), Some(("0.0.0.0:4318".into(), 1 << 20)));
    assert!(config.receivers.kafka);
    assert_eq!(config.distributor.max_attribute_bytes, Some(4096));
    assert_eq!(config.ingester.max_trace_live, seconds(20));
    assert!(config.ingester.flush_all_on_shutdown);
    assert_eq!(config.query.max_query_expression_size_bytes, 65_536);
    assert_eq!((config.query.default_spans_per_span_set, config.query.max_spans_per_span_set), (5, None));
    assert_eq!((config.query.max_exemplars, config.query.max_response_series), (50, 1000));
    assert_eq!(config.query.max_search_duration, Some(seconds(168 * 3600)), "0 in the overrides is no wish of its own");
    assert_eq!(config.retention.block_retention, Some(seconds(14 * 86_400)));
    assert_eq!(config.storage.wal_path, Path::new("/var/tempo/wal2"));
    assert_eq!((config.storage.blocklist_poll, config.storage.bloom_false_positive), (seconds(120), 0.02));
    assert_eq!(config.query.max_bytes_per_trace, Some(1_000_000));
}

#[test]
fn generation_3() {
    let config = good("generation-3.yaml").config;
    assert_eq!(config.receivers, Receivers::default(), "an empty map is the default set");
    assert_eq!(config.memory_limit_bytes, Some(268_435_456));
    assert_eq!((config.ingester.max_trace_idle, config.ingester.max_trace_live), (seconds(4), seconds(31)));
    assert_eq!((config.ingester.max_block_duration, config.ingester.flush_check_period), (seconds(30), seconds(6)));
    assert_eq!(config.storage.wal_path, Path::new("/var/tempo/live-store/traces"));
    assert_eq!(config.retention.block_retention, Some(seconds(360_000)));
    assert_eq!(config.query.query_end_cutoff, seconds(30));
    assert_eq!(config.query.max_spans_per_span_set, Some(50));
    assert_eq!(config.query.max_search_duration, Some(seconds(86_400)));
    assert_eq!(config.query.max_bytes_per_trace, None);
    assert_eq!(config.distributor.max_attribute_bytes, None);
}

#[test]
fn yaml_1_1_anchors_and_conflicts() {
    let loaded = good("dialect.yaml");
    let config = loaded.config;
    assert!(config.multitenancy_enabled);
    assert_eq!((config.server.http_listen_port, config.server.grpc_listen_port), (3200, 9095));
    assert_eq!(config.server.graceful_shutdown_timeout, Duration::from_millis(90_500));
    assert_eq!(config.retention.block_retention, Some(seconds(7 * 86_400)), "backend_worker goes before compactor");
    assert_eq!(config.storage.wal_path_fallback.as_deref(), Some(Path::new("wal")));
    assert_eq!(config.query.query_end_cutoff, seconds(1));
    assert!(loaded.notes.iter().any(|note| note.starts_with("block_retention differs")), "{:?}", loaded.notes);
    assert!(loaded.notes.iter().any(|note| note.contains("no unit")), "{:?}", loaded.notes);
}

#[test]
fn named_receivers_and_switched_off_protocols() {
    let loaded = good("receivers-named.yaml");
    let receivers = loaded.config.receivers;
    assert_eq!(receivers.otlp_grpc, Some(GrpcReceiver::new(4317)));
    let http = receivers.otlp_http.expect("it is named");
    assert_eq!(http.endpoint, ListenAddress { host: "::1".into(), port: 4318 });
    assert_eq!(http.tls.key, Some(PemSource::File("/key.pem".into())));
    assert!(http.tls.is_on() && !receivers.otlp_grpc.expect("it is named").tls.is_on());
    assert_eq!(
        loaded.notes,
        [
            "distributor.receivers.otlp/second.protocols.grpc (line 10): is not served, only the first listener of a protocol is",
            "distributor.receivers.jaeger (line 17): names no protocol, and listens on nothing",
        ]
    );
}

#[test]
fn flags_go_before_the_file() {
    let file = "server: {http_listen_port: 1000}\nbackend_worker: {compaction: {block_retention: 5h}}\nstorage: {trace: {local: {path: /a/b}}}\nlive_store: {wal: {path: /live}}";
    let flags =
        ["-server.http-listen-port=2000", "-compactor.compaction.block-retention", "6h", "--storage.trace.wal.path=/w", "-auth.enabled"];
    let config = load_text(file, &flags).expect("all good").config;
    assert_eq!(config.server.http_listen_port, 2000);
    assert_eq!(config.retention.block_retention, Some(seconds(6 * 3600)));
    assert_eq!(config.storage.wal_path, Path::new("/w"));
    assert_eq!(config.storage.local_path, Path::new("/a/b"));
    assert!(config.multitenancy_enabled);
}

#[test]
fn data_directory() {
    let config = load_words(&["-data.dir", "/data"]).expect("good").config;
    assert_eq!((config.storage.local_path, config.storage.wal_path), (PathBuf::from("/data/blocks"), PathBuf::from("/data/wal")));
    let file = "storage: {trace: {local: {path: /a/b}}}";
    let config = load_text(file, &["-data.dir=/data"]).expect("good").config;
    assert_eq!((config.storage.local_path, config.storage.wal_path), (PathBuf::from("/a/b"), PathBuf::from("/data/wal")));
    assert_eq!(config.storage.wal_path_fallback, None);
}

#[test]
fn variables_are_expanded_only_when_asked() {
    let file = "server: {http_listen_port: ${PORT}} # ${PORT:-x}\ntarget: ${TARGET:-all}";
    let loaded = load_text(file, &["-config.expand-env=true"]).expect("expanded");
    assert_eq!(loaded.config.server.http_listen_port, 4000);
    assert!(load_text("server: {http_listen_port: \"${PORT}\"}", &[]).is_err());
    let error = load_text("a: b\nc: ${D?}", &["-config.expand-env"]).expect_err("bad syntax").to_string();
    assert!(error.contains(": line 2: bad substitution: ${D?}"), "{error}");
}

#[test]
fn commands() {
    for (flags, command) in [
        (&["demo", "-data.dir=/d"][..], Command::Demo),
        (&["doctor", "-data.dir=/d"][..], Command::Doctor),
        (&["-config.verify"][..], Command::Verify),
        (&["-version", "-config.verify"][..], Command::Version),
        (&["-h"][..], Command::Help),
        (&["--health"][..], Command::Health { url: "http://localhost:3200/ready".into() }),
        (&["-health", "-health.url", "http://x/ready", "-config.file=/nowhere"][..], Command::Health { url: "http://x/ready".into() }),
    ] {
        assert_eq!(load_words(flags).expect("good words").command, command, "{flags:?}");
    }
    assert!(load_text("foo: 1", &["-version"]).is_err(), "a given file must be good");
}

#[test]
fn compactor_off_keeps_blocks() {
    let config = load_text("compactor: {disabled: true, compaction: {block_retention: 1h}}", &[]).expect("good").config;
    assert_eq!((config.retention.block_retention, config.compaction.enabled), (None, false));
}

#[test]
fn keys_of_compaction() {
    let text = "\
compactor: {compaction: {compaction_window: 4h, compaction_cycle: 5s, max_block_bytes: 1000, max_compaction_objects: 7}}
backend_scheduler: {provider: {compaction: {compaction: {compaction_window: 2h, max_block_bytes: 0}}}}
overrides: {defaults: {compaction: {compaction_window: 0, compaction_disabled: true}}}
";
    let loaded = load_text(text, &[]).expect("good");
    let wanted =
        CompactionConfig { enabled: false, window: seconds(7200), cycle: seconds(5), max_block_traces: 7, ..CompactionConfig::default() };
    assert_eq!(loaded.config.compaction, wanted);
    let notes = loaded.notes.iter().filter(|note| note.contains("differs between compactor, backend_scheduler and backend_worker"));
    assert_eq!(notes.count(), 2, "{:?}", loaded.notes);
    let config = load_text("overrides: {defaults: {compaction: {compaction_window: 30m}}}", &[]).expect("good").config;
    assert_eq!(config.compaction, CompactionConfig { window: seconds(1800), ..CompactionConfig::default() });
}

#[test]
fn a_file_that_is_no_text_is_refused() {
    let path = std::env::temp_dir().join(format!("conmoto-config-{}-bytes.yaml", std::process::id()));
    std::fs::write(&path, [0xff, 0xfe, 0x00]).expect("the temporary directory is writable");
    let error = load_file(&path).expect_err("not UTF-8");
    std::fs::remove_file(&path).expect("the file was just written");
    assert!(matches!(error, ConfigError::Read { .. }), "{error}");
}

#[test]
fn tls_of_every_listener() {
    let receiver = "cert_file: /c\n        key_pem: K\n        client_ca_file: /a\n        min_version: '1.3'\n        reload_interval: 1h\n        cipher_suites: [A, B]\n        ca_file: /x";
    let text = format!(
        "server:\n  http_tls_config: {{cert: C, key_file: /k, client_ca: A, client_auth_type: VerifyClientCertIfGiven}}\n  grpc_tls_config: {{}}\n  tls_min_version: VersionTLS13\ndistributor:\n  receivers:\n    zipkin:\n      parse_string_tags: true\n      tls:\n        {receiver}\n"
    );
    let config = load_text(&text, &[]).expect("good").config;
    let file = |path: &str| Some(PemSource::File(path.into()));
    let text = |text: &str| Some(PemSource::Text(text.into()));
    let zipkin = config.receivers.zipkin.expect("it is named");
    assert!(zipkin.parse_string_tags);
    let wanted = TlsSettings {
        certificate: file("/c"),
        key: text("K"),
        client_ca: file("/a"),
        min_version: TlsVersion::V1_3,
        reload_interval: Some(seconds(3600)),
        cipher_suites: vec!["A".into(), "B".into()],
        ..TlsSettings::default()
    };
    assert_eq!(zipkin.http.tls, wanted);
    let http = config.server.http_tls;
    assert_eq!((http.certificate, http.key, http.client_ca), (text("C"), file("/k"), text("A")));
    assert!(http.client_certificate_optional && http.min_version == TlsVersion::V1_3);
    assert!(!config.server.grpc_tls.is_on());
    let shown = format!("{:?}", zipkin.http.tls);
    assert!(!shown.contains('K'), "{shown}");
}

#[test]
fn tls_settings_that_make_no_sense() {
    for (keys, message) in [
        ("{cert: /x}", "has invalid keys: cert"),
        ("{min_version: '1.4'}", "unsupported TLS version: \"1.4\""),
        ("{cipher_suites: A}", "cannot unmarshal !!str `A` into []string"),
    ] {
        let text = format!("distributor:\n  receivers:\n    zipkin:\n      tls: {keys}\n");
        let error = load_text(&text, &[]).expect_err(keys).to_string();
        assert!(error.contains(message) && error.contains("line 4"), "{error}");
    }
    let error = load_text("server: {http_tls_config: {client_auth_type: RequireAnyClientCert}}", &[]).expect_err("unsupported").to_string();
    assert!(error.contains("RequireAnyClientCert is not supported"), "{error}");
}
