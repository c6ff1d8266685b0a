//! placeholder
use s3s as _;
use s3s_fs as _;
#[test]
fn x() {}
