//! Answers without what differs from run to run: times become relative to the start of the data, lists without an order
//! are sorted. A port of what the recording was made with, so that both sides are normalised alike.

use crate::support::client::flattened;
use regex::{Captures, Regex};
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

const NANOS: i64 = 1_000_000_000;

/// Members that hold a moment as text, Unix nanoseconds.
const TIMES: [&str; 3] = ["startTimeUnixNano", "endTimeUnixNano", "timeUnixNano"];

/// `http.url` of the data has the moment in milliseconds as `&t=`.
static URL_TIME: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"((?:&|\\u0026)t=)(\d{13})").expect("a pattern"));

/// Which members of an answer are lists with an order.
#[derive(Clone, Copy)]
enum Ordered {
    /// Points in time and values of an attribute.
    Some,
    /// None.
    None,
}

impl Ordered {
    fn of(kind: &str) -> Self {
        match kind {
            "search" | "metrics" | "instant" => Ordered::Some,
            _ => Ordered::None,
        }
    }

    fn has(self, member: &str) -> bool {
        matches!(self, Ordered::Some) && ["samples", "values"].contains(&member)
    }
}

/// An answer in the form of the recording; `t0` is the second at which the data start.
pub fn answer(kind: &str, t0: i64, status: u16, body: &[u8]) -> Value {
    if status != 200 {
        return json!({"status": status});
    }
    let mut text = String::from_utf8_lossy(body);
    if text.contains("t=1") {
        text = URL_TIME.replace_all(&text, |found: &Captures<'_>| relative_url(found, t0)).into_owned().into();
    }
    let Ok(body) = serde_json::from_str::<Value>(&text) else { return json!({"status": status, "text": text.trim()}) };
    let body = match kind {
        "search" => search(&body, t0),
        "metrics" | "instant" => metrics(&body, t0),
        "trace" => whole_trace(&relative(&body, t0)),
        _ => without_metrics(&body),
    };
    json!({"status": status, "body": sorted(&body, Ordered::of(kind))})
}

fn relative_url(found: &Captures<'_>, t0: i64) -> String {
    let millis: i64 = found[2].parse().expect("digits");
    format!("{}{}", &found[1], millis - t0 * 1000)
}

/// The recorded answer of a case, sorted as [`answer`] sorts.
pub fn recorded(case: &Value) -> Value {
    let mut wanted = Map::new();
    for member in ["status", "text"] {
        if let Some(value) = case.get(member) {
            wanted.insert(member.to_string(), value.clone());
        }
    }
    if let Some(body) = case.get("body") {
        wanted.insert("body".to_string(), sorted(body, Ordered::of(case["kind"].as_str().unwrap_or_default())));
    }
    Value::Object(wanted)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// A whole number, also when it is written as text; absent means 0.
fn whole(value: &Value) -> i64 {
    value.as_i64().or_else(|| value.as_str()?.parse().ok()).unwrap_or_default()
}

fn search(body: &Value, t0: i64) -> Value {
    let traces: Vec<Value> = list(&body["traces"]).iter().map(|trace| found_trace(trace, t0)).collect();
    json!({"traces": traces})
}

fn found_trace(trace: &Value, t0: i64) -> Value {
    let one = [trace["spanSet"].clone()];
    let sets = match list(&trace["spanSets"]) {
        [] if trace["spanSet"].is_object() => &one,
        sets => sets,
    };
    json!({
        "traceID": trace["traceID"],
        "rootServiceName": trace["rootServiceName"],
        "rootTraceName": trace["rootTraceName"],
        "start": whole(&trace["startTimeUnixNano"]) - t0 * NANOS,
        "durationMs": trace["durationMs"],
        "serviceStats": trace["serviceStats"],
        "spanSets": sets.iter().map(|set| span_set(set, t0)).collect::<Vec<_>>(),
    })
}

fn span_set(set: &Value, t0: i64) -> Value {
    let spans = list(&set["spans"]).iter().map(|span| {
        json!({
            "spanID": span["spanID"],
            "name": span["name"],
            "start": whole(&span["startTimeUnixNano"]) - t0 * NANOS,
            "durationNanos": span["durationNanos"],
            "attributes": attributes(&span["attributes"]),
        })
    });
    let spans: Vec<Value> = spans.collect();
    // Which spans are shown when more match than may be shown is not specified.
    let is_cut = set["matched"].as_u64().is_some_and(|matched| matched > spans.len() as u64);
    let shown = if is_cut { json!(spans.len()) } else { json!(spans) };
    json!({"matched": set["matched"], "attributes": attributes(&set["attributes"]), "spans": shown})
}

fn attributes(items: &Value) -> Value {
    list(items).iter().map(|item| json!({"key": item["key"], "value": item["value"]})).collect()
}

fn metrics(body: &Value, t0: i64) -> Value {
    let series = list(&body["series"]).iter().map(|series| {
        let mut out = json!({"labels": attributes(&series["labels"])});
        let samples = series.get("samples");
        if let Some(samples) = samples {
            // A sample's value is left out where it is 0.
            let point = |point: &Value| json!([whole(&point["timestampMs"]) - t0 * 1000, number(&point["value"])]);
            out["samples"] = list(samples).iter().map(point).collect();
        }
        if samples.is_none() || series.get("value").is_some() {
            out["value"] = number(&series["value"]);
        }
        out
    });
    json!({"series": series.collect::<Vec<_>>()})
}

/// A float of nine digits, so that the order of summation does not matter.
fn number(value: &Value) -> Value {
    match value {
        Value::Null => json!(0.0),
        Value::Number(number) => json!(format!("{:.8e}", number.as_f64().unwrap_or(f64::NAN)).parse::<f64>().ok()),
        other => other.clone(),
    }
}

fn relative(value: &Value, t0: i64) -> Value {
    match value {
        Value::Object(members) => {
            let member = |(key, value): (&String, &Value)| match whole(value) {
                moment if TIMES.contains(&key.as_str()) && moment != 0 => (key.clone(), json!((moment - t0 * NANOS).to_string())),
                _ => (key.clone(), relative(value, t0)),
            };
            Value::Object(members.iter().map(member).collect())
        }
        Value::Array(items) => items.iter().map(|item| relative(item, t0)).collect(),
        other => other.clone(),
    }
}

/// One entry per span, and the members around them.
fn whole_trace(body: &Value) -> Value {
    let mut spans = flattened(body);
    for entry in spans.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        entry.retain(|key, _| ["resource", "scope", "span"].contains(&key.as_str()));
    }
    let envelope: Vec<&String> = body.as_object().into_iter().flat_map(Map::keys).filter(|key| *key != "metrics").collect();
    without_metrics(&json!({"envelope": envelope, "spans": spans}))
}

/// What a query cost is not compared.
fn without_metrics(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members.iter().filter(|(key, _)| *key != "metrics");
            Value::Object(kept.map(|(key, value)| (key.clone(), without_metrics(value))).collect())
        }
        Value::Array(items) => items.iter().map(without_metrics).collect(),
        other => other.clone(),
    }
}

/// With every list sorted, apart from those that have an order.
fn sorted(value: &Value, ordered: Ordered) -> Value {
    match value {
        Value::Object(members) => {
            let member = |(key, value): (&String, &Value)| {
                let value = if ordered.has(key) { value.clone() } else { sorted(value, ordered) };
                (key.clone(), value)
            };
            Value::Object(members.iter().map(member).collect())
        }
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(|item| sorted(item, ordered)).collect();
            items.sort_by_cached_key(sort_key);
            Value::Array(items)
        }
        other => other.clone(),
    }
}

/// Every list sorted.
pub fn sorted_deep(value: &Value) -> Value {
    sorted(value, Ordered::None)
}

/// Traces and spans are sorted by id, so that a difference within one is shown as one, and because it is quick.
fn sort_key(value: &Value) -> String {
    match (&value["traceID"], &value["spanID"]) {
        (Value::String(id), _) => id.clone(),
        (_, Value::String(id)) => format!("{id} {} {}", value["start"], value["durationNanos"]),
        _ => value.to_string(),
    }
}
