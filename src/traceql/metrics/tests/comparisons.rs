//! `compare` over the recorded data set, against counting decoded messages one by one.

use super::{Buckets, Chunk, LabelValue, Request, Series, UnixNanos, append, run};
use crate::proto::otlp::{AnyValue, ExportTraceServiceRequest, KeyValue, Value};
use prost::Message;
use std::collections::BTreeMap;

const START: u64 = 1_790_000_040;
const TOP_N: usize = 3;
/// A window that about half of the spans start in.
const WINDOW: (u64, u64) = ((START + 60) * super::SECOND, (START + 200) * super::SECOND);

/// Side, attribute and value, each as text.
type Key = (&'static str, String, String);

fn requests() -> Vec<Vec<u8>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance/dataset.bin");
    let bytes = std::fs::read(path).expect("the data are there");
    let mut rest = &bytes[..];
    let mut requests = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let (request, after) = after.split_at(u32::from_be_bytes(*length) as usize);
        requests.push(request.to_vec());
        rest = after;
    }
    requests
}

/// A value as a label shows it; `None` for what is no value. Lists are one value, the text nil.
fn shown(value: &AnyValue) -> Option<String> {
    match value.value.as_ref()? {
        Value::StringValue(text) => Some(format!("{:?}", LabelValue::Str(text.as_str().into()))),
        Value::IntValue(int) => Some(format!("{:?}", LabelValue::Int(*int))),
        Value::DoubleValue(double) => Some(format!("{:?}", LabelValue::Double(*double))),
        Value::BoolValue(bit) => Some(format!("{:?}", LabelValue::Bool(*bit))),
        Value::ArrayValue(list) if list.values.len() == 1 => shown(&list.values[0]),
        Value::ArrayValue(list) if !list.values.is_empty() => Some(format!("{:?}", LabelValue::Str("nil".into()))),
        _ => None,
    }
}

fn count(counts: &mut BTreeMap<Key, u64>, side: &'static str, prefix: &str, attributes: &[KeyValue]) {
    for (at, attribute) in attributes.iter().enumerate() {
        let is_first = attributes[..at].iter().all(|other| other.key != attribute.key);
        if let Some(value) = attribute.value.as_ref().and_then(shown).filter(|_| is_first) {
            *counts.entry((side, format!("{prefix}.{}", attribute.key), value)).or_default() += 1;
        }
    }
}

/// How often each value occurs on each side: selected are the errors that start in the window.
fn direct() -> BTreeMap<Key, u64> {
    let mut counts = BTreeMap::new();
    for request in requests() {
        let request = ExportTraceServiceRequest::decode(&request[..]).expect("well formed");
        for resource_spans in request.resource_spans {
            let resource = resource_spans.resource.unwrap_or_default();
            for span in resource_spans.scope_spans.iter().flat_map(|scope| &scope.spans) {
                let is_error = span.status.as_ref().is_some_and(|status| status.code == 2);
                let is_inside = WINDOW.0 < span.start_time_unix_nano && span.start_time_unix_nano <= WINDOW.1;
                let side = if is_error && is_inside { "selection" } else { "baseline" };
                count(&mut counts, side, "resource", &resource.attributes);
                count(&mut counts, side, "span", &span.attributes);
                let name = AnyValue { value: Some(Value::StringValue(span.name.clone())) };
                *counts.entry((side, "name".to_owned(), shown(&name).expect("a text"))).or_default() += 1;
            }
        }
    }
    counts
}

fn compared() -> Vec<Series> {
    let mut chunk = Chunk::default();
    requests().iter().for_each(|request| append(&mut chunk, request));
    let buckets =
        Buckets::of_instant(UnixNanos((START - 60) * super::SECOND), UnixNanos((START + 420) * super::SECOND)).expect("not empty");
    let query = format!("{{ }} | compare({{ status = error }}, {TOP_N}, {}, {})", WINDOW.0, WINDOW.1);
    run(&query, Request { buckets, exemplars: None, max_series: 0 }, &[chunk]).series
}

/// Type, attribute, value and count of a series.
fn parts(series: &Series) -> (String, String, String, u64) {
    let [kind, attribute] = &series.labels[..] else { panic!("two labels: {series:?}") };
    let LabelValue::Str(text) = &kind.value else { panic!("a text: {series:?}") };
    assert_eq!(&*kind.name, "__meta_type");
    (text.to_string(), attribute.name.to_string(), format!("{:?}", attribute.value), series.samples[0] as u64)
}

#[test]
fn counts_are_those_of_the_spans() {
    let counts = direct();
    let series: Vec<_> = compared().iter().map(parts).collect();
    let is_checked = |attribute: &str| attribute.starts_with("resource.") || attribute.starts_with("span.") || attribute == "name";
    let mut num_checked = 0;
    for (kind, attribute, value, found) in
        series.iter().filter(|(_, attribute, ..)| is_checked(attribute) && attribute != "span:childCount")
    {
        let of_attribute = |side: &str| {
            counts.iter().filter(|((of, name, _), _)| *of == side && name == attribute).map(|(_, count)| *count).collect::<Vec<_>>()
        };
        if let Some(side) = kind.strip_suffix("_total") {
            assert_eq!(*found, of_attribute(side).iter().sum::<u64>(), "{kind} {attribute}");
            assert_eq!(value, "Str(\"nil\")");
        } else {
            let side = if kind == "selection" { "selection" } else { "baseline" };
            assert_eq!(counts.get(&(side, attribute.clone(), value.clone())), Some(found), "{kind} {attribute} {value}");
            let larger = of_attribute(side).iter().filter(|count| *count > found).count();
            assert!(larger < TOP_N, "{kind} {attribute} {value}: {larger} values are more frequent");
        }
        num_checked += 1;
    }
    // Every attribute and side has its total and as many values as there are, up to the bound.
    let mut expected = 0;
    let mut names: Vec<(&str, &str)> = counts.keys().map(|(side, name, _)| (*side, &**name)).collect();
    names.dedup();
    for (side, name) in names {
        expected += 1 + counts.keys().filter(|(of, other, _)| *of == side && other == name).count().min(TOP_N);
    }
    assert_eq!(num_checked, expected);
    assert!(expected > 200, "the data set has many attributes");
}

#[test]
fn intrinsics_are_compared_too() {
    let series: Vec<_> = compared().iter().map(parts).collect();
    let values = |kind: &str, attribute: &str| series.iter().filter(|parts| parts.0 == kind && parts.1 == attribute).count();
    for attribute in ["status", "kind", "rootName", "rootServiceName", "statusMessage", "instrumentation:name", "instrumentation:version"] {
        assert!(values("baseline", attribute) > 0 && values("baseline_total", attribute) == 1, "{attribute}");
    }
    let errors = series.iter().find(|parts| parts.0 == "selection" && parts.1 == "status").expect("there are errors");
    assert_eq!(errors.2, "Str(\"error\")");
    for absent in ["duration", "trace:id", "traceDuration", "span:parentID", "nestedSetLeft"] {
        assert_eq!(values("baseline", absent), 0, "{absent}");
    }
}
