//! Blocks in a bucket, against an S3 server in this process that checks signatures (s3s over files).
//!
//! A target of its own, so that changes elsewhere do not wait for the S3 server to be linked.

// Shared with tests/it, which uses all of it.
#[allow(dead_code)]
#[path = "../it/support/mod.rs"]
mod support;

mod bucket;

mod damage;

mod life;

mod outage;

mod probe;

mod requests;

mod slow;
