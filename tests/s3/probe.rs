//! What an operator is told when a bucket cannot be used.

use crate::bucket::{KEY, S3, store};
use crate::support::server::DataDir;
use conmoto::store::probe::{ProbeError, Step, probe};
use conmoto::store::settings::{S3Settings, Secret};
use std::net::TcpListener;

fn tried(s3: &S3, settings: S3Settings) -> Result<(), ProbeError> {
    let spool = tempfile::tempdir().expect("a temporary directory");
    s3.runtime.block_on(async { probe(&store(settings, spool.path())).await })
}

/// The message says all of it.
fn assert_told(s3: &S3, settings: S3Settings, texts: &[&str]) {
    let message = tried(s3, settings).expect_err("refused").to_string();
    assert!(texts.iter().all(|text| message.contains(text)), "{message}");
    assert!(!message.contains('\n'), "{message}");
}

#[test]
fn a_bucket_that_works_is_left_as_it_was() {
    let s3 = S3::start();
    for prefix in ["", "some/where"] {
        tried(&s3, S3Settings { prefix: prefix.to_owned(), ..s3.settings() }).expect("all is well");
    }
    let left: Vec<_> = walk(&s3.objects());
    assert!(left.is_empty(), "{left:?}");
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let paths = std::fs::read_dir(folder).expect("readable").map(|entry| entry.expect("readable").path());
    paths.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[test]
fn a_missing_right_is_named() {
    let s3 = S3::start();
    for (operation, step, permission) in [
        ("PutObject", Step::Put, "s3:PutObject on arn:aws:s3:::traces/*"),
        ("GetObject", Step::Get, "s3:GetObject on arn:aws:s3:::traces/*"),
        ("ListObjectsV2", Step::List, "s3:ListBucket on arn:aws:s3:::traces:"),
        ("DeleteObject", Step::Delete, "s3:DeleteObject on arn:aws:s3:::traces/*"),
    ] {
        s3.deny(operation);
        let error = tried(&s3, s3.settings()).expect_err("refused");
        assert_eq!(error.step, step);
        assert!(error.to_string().contains(permission), "{error}");
        s3.allow_all();
    }
}

#[test]
fn wrong_keys_and_buckets_are_told() {
    let s3 = S3::start();
    let wrong_secret = S3Settings { secret_key: Secret::new("guess"), ..s3.settings() };
    assert_told(&s3, wrong_secret, &["storage.trace.s3.secret_key", "SignatureDoesNotMatch"]);
    let wrong_key = S3Settings { access_key: "nobody".to_owned(), ..s3.settings() };
    assert_told(&s3, wrong_key, &["access key", "storage.trace.s3.access_key"]);
    let missing = S3Settings { bucket: "elsewhere".to_owned(), ..s3.settings() };
    assert_told(&s3, missing, &["there is no bucket elsewhere", "storage.trace.s3.bucket"]);
}

#[test]
fn wrong_addresses_are_told() {
    let s3 = S3::start();
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("bound");
    let nobody = S3Settings { endpoint: free.to_string(), ..s3.settings() };
    assert_told(&s3, nobody, &["nothing listens at http://127.0.0.1:", "storage.trace.s3.endpoint"]);
    let unknown = S3Settings { endpoint: "no-such-host.invalid:9000".to_owned(), ..s3.settings() };
    assert_told(&s3, unknown, &["cannot be resolved", "storage.trace.s3.endpoint"]);
    let tls = S3Settings { insecure: false, ..s3.settings() };
    assert_told(&s3, tls, &["does not speak TLS", "storage.trace.s3.insecure: true"]);
}

#[test]
fn clocks_that_differ_are_both_shown() {
    let s3 = S3::with_skew(0);
    // Both are the clock of this machine here, but the server allows no difference at all.
    assert_told(&s3, s3.settings(), &["the clocks differ too much: here it is ", " GMT, there it is ", " GMT: set the clock"]);
}

#[test]
fn a_start_is_refused_and_verify_agrees_where_it_can() {
    let s3 = S3::start();
    let data = DataDir::new();
    let config = s3.config(&data).replace(KEY, "nobody");
    let process = data.spawn("refused", &config, &[]);
    assert_eq!(process.wait().code(), Some(1), "{}", process.log());
    for text in ["bucket traces/a/b at http://127.0.0.1:", "storage.trace.s3.access_key"] {
        assert!(process.log().contains(text), "no {text:?} in {}", process.log());
    }
    assert!(!process.out().contains("query API"), "it must not look as if it were running");
    // Only what needs no network can be known without starting.
    let without_secret = s3.config(&data).replace("      secret_key: conmoto-secret\n", "");
    for args in [&[][..], &["-config.verify"]] {
        let process = data.spawn("half", &without_secret, args);
        assert_eq!(process.wait().code(), Some(1), "{}", process.log());
        assert!(process.log().contains("access_key and secret_key must be set both"), "{args:?} {}", process.log());
    }
}

#[test]
fn the_doctor_names_all_missing_permissions_at_once() {
    let s3 = S3::start();
    let data = DataDir::new();
    let diagnosed = || {
        let process = data.spawn("doctor", &s3.config(&data), &["doctor"]);
        (process.wait().code(), process.out())
    };
    let (code, out) = diagnosed();
    assert_eq!(code, Some(0), "{out}");
    for step in ["write a test object", "read the test object", "read a part of", "list the bucket", "delete the test object"] {
        assert!(out.lines().any(|line| line.starts_with("ok    bucket traces/a/b at ") && line.contains(step)), "no {step:?} in {out}");
    }
    // Nothing of it stays, here or there.
    assert!(!data.path().join("wal").exists());
    ["GetObject", "ListObjectsV2", "DeleteObject"].into_iter().for_each(|operation| s3.deny(operation));
    let (code, out) = diagnosed();
    assert_eq!(code, Some(1), "{out}");
    for permission in ["s3:GetObject on", "s3:ListBucket on", "s3:DeleteObject on"] {
        assert!(out.lines().any(|line| line.starts_with("FAIL") && line.contains(permission)), "no {permission:?} in {out}");
    }
    s3.deny("PutObject");
    let (_, out) = diagnosed();
    assert!(out.contains("s3:PutObject on") && out.contains("s3:ListBucket on") && !out.contains("s3:GetObject"), "{out}");
}
