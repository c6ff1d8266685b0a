//! `meta.json`: printing, parsing, refusing.

use super::support::write;
use super::{nth_span, request_of};
use crate::block::meta::{BlockMeta, MetaError};
use crate::columns::tests::chunk_of;
use crate::model::{TraceId, UnixNanos};

fn sample_meta() -> BlockMeta {
    let runs = [request_of(vec![nth_span(0, 0), nth_span(1, 0)])];
    let mut meta = write(&[chunk_of(&runs)], 1).expect("there are spans").meta;
    meta.level = 2;
    meta.replaces = vec!["a".to_string()];
    meta.split = vec![TraceId([3; 16]).to_string()];
    meta
}

#[test]
fn meta_is_printed_and_parsed() {
    let meta = sample_meta();
    let parsed = BlockMeta::parse(&meta.to_json()).expect("our own");
    assert_eq!(format!("{parsed:?}"), format!("{meta:?}"));
    assert_eq!((parsed.num_spans, parsed.num_traces, parsed.row_groups.len()), (2, 2, 2));
    assert_eq!((parsed.tenant.as_str(), parsed.created_unix_nano), ("someone", 77));
    assert_eq!(parsed.range().start, UnixNanos(nth_span(0, 0).start_time_unix_nano));
    assert_eq!(parsed.range().end, UnixNanos(nth_span(1, 0).end_time_unix_nano));
}

fn changed(member: &str, value: serde_json::Value) -> Vec<u8> {
    let mut json: serde_json::Value = serde_json::from_slice(&sample_meta().to_json()).expect("JSON");
    json[member] = value;
    serde_json::to_vec(&json).expect("JSON")
}

#[test]
fn foreign_newer_and_damaged_meta_is_refused() {
    let refusal = |bytes: &[u8]| BlockMeta::parse(bytes).expect_err("not to be read");
    assert!(matches!(refusal(&changed("format", "vParquet5".into())), MetaError::Format(format) if format == "vParquet5"));
    assert!(matches!(refusal(br#"{"format":"vParquet4","blockID":"x","version":1}"#), MetaError::Format(format) if format == "vParquet4"));
    // As Tempo writes it: no member tells what it is.
    assert!(
        matches!(refusal(br#"{"blockID":"00000000-0000-0000-0000-000000000000","tenantID":"a"}"#), MetaError::Format(format) if format.is_empty())
    );
    assert!(matches!(refusal(&changed("version", 3.into())), MetaError::Version(3)));
    // A later version need not have the members of this one.
    assert!(matches!(refusal(br#"{"format":"conmoto","version":7,"what":"ever"}"#), MetaError::Version(7)));
    assert!(matches!(refusal(&changed("block_id", "no id".into())), MetaError::Member("block_id")));
    assert!(matches!(refusal(&changed("split", vec!["xyz"].into())), MetaError::Member("split")));
    assert!(matches!(refusal(&changed("num_spans", (-1).into())), MetaError::Json(_)));
    let json = sample_meta().to_json();
    assert!(matches!(refusal(&json[..json.len() - 1]), MetaError::Json(_)));
    assert!(matches!(refusal(b""), MetaError::Json(_)));
    assert!(BlockMeta::parse(&changed("a later member", 1.into())).is_ok());
}
