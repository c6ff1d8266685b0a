//! The direction of imports, read from the `crate::` paths and crate names in `src/` (docs/ARCHITECTURE.md, "What may
//! import what").
//!
//! Text is scanned, not parsed: comment lines are left out, everything else counts, unit tests included. `src/main.rs`
//! stands above all levels and is not looked at.

use std::fmt;
use std::path::{Path, PathBuf};

/// Folders of `src/` from the lowest level to the highest. A folder imports from levels below its own and from itself.
const LEVELS: &[&[&str]] = &[
    &["proto", "telemetry"],
    &["model", "runtime"],
    &["columns", "overrides"],
    &["traceql"],
    &["block"],
    &["store"],
    &["compactor", "generator", "ingester", "querier"],
    &["distributor", "frontend"],
    &["api", "receiver"],
    &["config", "demo"],
    &["app"],
];

/// Who may name a crate that belongs to few: folders, or single files by their path in `src/`.
const ONLY: &[(&str, &[&str])] = &[
    ("object_store", &["store"]),
    ("axum", &["receiver", "api", "runtime/serve.rs", "runtime/serve", "proto.rs", "proto"]),
    ("tonic", &["receiver", "api", "runtime/serve.rs", "runtime/serve", "proto.rs", "proto"]),
];

/// Crates that a folder must not name.
const NEVER: &[(&str, &[&str])] = &[("tokio", &["model", "columns", "traceql"]), ("object_store", &["model", "columns", "traceql"])];

/// Known violations: file in `src/`, and what it names. Each is to go; a new one needs a reason here.
const EXCEPTIONS: &[(&str, &str)] = &[];

/// A name that a file must not use.
#[derive(Debug, PartialEq, Eq)]
struct Violation {
    file: String,
    line: usize,
    named: String,
    reason: &'static str,
}

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "src/{}:{} names {}: {}", self.file, self.line, self.named, self.reason)
    }
}

#[test]
fn imports_go_down_only() {
    let found = violations_in_src();
    let new: Vec<String> = found.iter().filter(|violation| !is_exception(violation)).map(Violation::to_string).collect();
    assert!(new.is_empty(), "imports against the levels of docs/ARCHITECTURE.md:\n{}", new.join("\n"));
}

#[test]
fn exceptions_are_still_needed() {
    let found = violations_in_src();
    let is_needed = |exception: &&(&str, &str)| found.iter().any(|violation| matches(violation, exception));
    let gone: Vec<_> = EXCEPTIONS.iter().filter(|exception| !is_needed(exception)).collect();
    assert!(gone.is_empty(), "these exceptions have nothing to except any more, delete them: {gone:?}");
}

#[test]
fn every_folder_has_a_level() {
    let mut missing = Vec::new();
    for entry in std::fs::read_dir(src()).expect("src can be listed") {
        let name = entry.expect("src can be listed").file_name().to_string_lossy().into_owned();
        let module = name.trim_end_matches(".rs");
        if !["lib", "main"].contains(&module) && level_of(module).is_none() {
            missing.push(name);
        }
    }
    assert!(missing.is_empty(), "no level in LEVELS: {missing:?}");
}

#[test]
fn planted_violations_are_found() {
    let named = |file: &str, text: &str| -> Vec<(usize, String)> {
        violations_of(file, text).into_iter().map(|violation| (violation.line, violation.named)).collect()
    };
    let found = |line: usize, name: &str| vec![(line, name.to_string())];
    assert_eq!(named("block/reader.rs", "use std::fmt;\nuse crate::store::Store;\n"), found(2, "store"));
    assert_eq!(named("ingester/wal/mod.rs", "pub use crate::querier::Snapshot;"), found(1, "querier"));
    assert_eq!(named("model/ids.rs", "fn f() { crate::app::start() }"), found(1, "app"));
    assert_eq!(named("proto.rs", "use crate::model::TraceId;"), found(1, "model"));
    assert_eq!(named("columns/mod.rs", "use crate::nowhere::X;"), found(1, "nowhere"));
    assert_eq!(named("api/http.rs", "use crate::{model, app};"), found(1, "{"));
    assert_eq!(named("ingester/flush.rs", "use object_store::path::Path;"), found(1, "object_store"));
    assert_eq!(named("querier/mod.rs", "    axum::serve(listener);"), found(1, "axum"));
    assert_eq!(named("frontend/mod.rs", "use ::tonic::Status;"), found(1, "tonic"));
    assert_eq!(named("runtime/offload.rs", "use axum::Router;"), found(1, "axum"));
    assert_eq!(named("traceql/mod.rs", "use tokio::sync::Mutex;"), found(1, "tokio"));
    assert_eq!(named("columns/chunk.rs", "#[tokio::test]"), found(1, "tokio"));
}

#[test]
fn what_is_allowed_is_not_found() {
    let allowed = [
        ("block/reader.rs", "use crate::columns::Chunk;\nuse crate::block::meta::BlockMeta;"),
        ("store/client.rs", "use object_store::path::Path;"),
        ("runtime/serve.rs", "use axum::Router;"),
        ("runtime/serve/tests.rs", "use axum::Router;"),
        ("proto.rs", "pub use opentelemetry_proto::tonic::trace::v1::Span; tonic::include_proto!(\"tempopb\");"),
        ("columns/mod.rs", "//! See [`crate::app`], which uses tokio::spawn.\n/// And crate::store.\n    // crate::api::x"),
        ("receiver/otlp_json/mod.rs", "pub(in crate::receiver) mod reader;"),
        ("columns/mod.rs", "use opentelemetry_tokio::x; let my_crate::model = 1;"),
    ];
    for (file, text) in allowed {
        assert_eq!(violations_of(file, text), [], "{file}");
    }
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn is_exception(violation: &Violation) -> bool {
    EXCEPTIONS.iter().any(|exception| matches(violation, exception))
}

fn matches(violation: &Violation, (file, named): &(&str, &str)) -> bool {
    violation.file == *file && violation.named == *named
}

fn level_of(folder: &str) -> Option<usize> {
    LEVELS.iter().position(|level| level.contains(&folder))
}

fn violations_in_src() -> Vec<Violation> {
    let mut files = Vec::new();
    collect_files(&src(), &mut files);
    files.sort();
    let mut found = Vec::new();
    for path in files {
        let text = std::fs::read_to_string(&path).expect("sources are UTF-8");
        let file = path.strip_prefix(src()).expect("below src").to_string_lossy().replace('\\', "/");
        if !["lib.rs", "main.rs"].contains(&file.as_str()) {
            found.extend(violations_of(&file, &text));
        }
    }
    found
}

fn collect_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder of sources can be listed") {
        let path = entry.expect("a folder of sources can be listed").path();
        if path.is_dir() {
            collect_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The violations of one file, given by its path in `src/`.
fn violations_of(file: &str, text: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
        let mut add =
            |named: &str, reason| found.push(Violation { file: file.to_string(), line: at + 1, named: named.to_string(), reason });
        for imported in modules_named(line) {
            if let Some(reason) = against_levels(folder_of(file), imported) {
                add(imported, reason);
            }
        }
        for krate in crates_named(line) {
            if let Some(reason) = against_crates(file, krate) {
                add(krate, reason);
            }
        }
    }
    found
}

fn folder_of(file: &str) -> &str {
    file.split('/').next().unwrap_or(file).trim_end_matches(".rs")
}

/// What follows each `crate::` of a line; `{` for a list.
fn modules_named(line: &str) -> impl Iterator<Item = &str> {
    paths(line, "crate").map(|rest| match rest.find(|character: char| !is_word(character)) {
        Some(0) => &rest[..1],
        Some(end) => &rest[..end],
        None => rest,
    })
}

/// The crates with rules that a line names.
fn crates_named(line: &str) -> impl Iterator<Item = &'static str> + '_ {
    let mut ruled: Vec<&'static str> = ONLY.iter().chain(NEVER).map(|(krate, _)| *krate).collect();
    ruled.sort_unstable();
    ruled.dedup();
    ruled.into_iter().filter(move |krate| paths(line, krate).next().is_some())
}

/// What follows each `root::` of a line, where `root` begins a path: no word and no `word::` stands before it.
fn paths<'l>(line: &'l str, root: &'l str) -> impl Iterator<Item = &'l str> {
    line.match_indices(root).filter_map(move |(at, _)| {
        let before = line[..at].strip_suffix("::").unwrap_or(&line[..at]);
        let begins = !before.ends_with(is_word);
        line[at + root.len()..].strip_prefix("::").filter(|_| begins)
    })
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn against_levels(importer: &str, imported: &str) -> Option<&'static str> {
    if importer == imported {
        return None;
    }
    if imported == "{" {
        return Some("write one `use` for each module, so that this test can read them");
    }
    match (level_of(importer), level_of(imported)) {
        (Some(above), Some(below)) if above > below => None,
        (Some(one), Some(other)) if one == other => Some("folders of one level do not import each other"),
        (Some(_), Some(_)) => Some("imports go down only"),
        _ => Some("a folder without a level in LEVELS"),
    }
}

fn against_crates(file: &str, krate: &str) -> Option<&'static str> {
    let is_in = |places: &[&str]| places.iter().any(|place| file == *place || file.starts_with(&format!("{place}/")));
    if ONLY.iter().any(|(ruled, places)| *ruled == krate && !is_in(places)) {
        return Some("this crate belongs to the folders in ONLY");
    }
    if NEVER.iter().any(|(ruled, places)| *ruled == krate && is_in(places)) {
        return Some("this folder is free of this crate, see NEVER");
    }
    None
}
