//! The recorded searches that are one filter: the traces found, the number of spans of each, and the attributes shown.

use super::super::result::{Answer, ResultValue};
use super::super::{EvalError, Filter};
use super::{Facts, append, single_filter};
use crate::columns::Chunk;
use crate::model::SpanId;
use crate::traceql::ast::Query;
use flate2::read::GzDecoder;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Read;

/// Recorded answers that are wrong by the language's own rules, with the item of spec/traceql.md §17 that says so (advice C).
const CORRECTED: [(&str, u8); 9] = [
    ("arith-033", 5),
    ("logic-010", 12),
    ("nil-029", 12),
    // A span without either attribute matches there, because both read as the text "nil".
    ("op-int-020", 19),
    ("quirk-pushdown-003", 13),
    ("quirk-pushdown-004", 13),
    ("quirk-pushdown-005", 12),
    ("quirk-pushdown-006", 12),
    ("quirk-pushdown-015", 5),
];

/// The first second of the recorded data; times in recorded texts are relative to it.
const START_SECONDS: u64 = 1_790_000_040;

fn file(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/conformance/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The recorded data set: each request with its length before it.
fn dataset() -> Chunk {
    let mut chunk = Chunk::default();
    let bytes = file("dataset.bin");
    let mut rest = &bytes[..];
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let (request, after) = after.split_at(u32::from_be_bytes(*length) as usize);
        append(&mut chunk, request);
        rest = after;
    }
    chunk
}

fn recorded_searches() -> Vec<Value> {
    let mut text = String::new();
    GzDecoder::new(&file("expected.jsonl.gz")[..]).read_to_string(&mut text).expect("text in gzip");
    let cases = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("one case a line"));
    cases.filter(|case| case["kind"] == "search").collect()
}

fn json_of(value: &ResultValue) -> Value {
    match value {
        ResultValue::Str(text) => json!({ "stringValue": with_relative_time(text) }),
        ResultValue::Int(int) => json!({ "intValue": int.to_string() }),
        // Whole numbers were recorded without a point.
        ResultValue::Double(double) if double.fract() == 0.0 => json!({ "doubleValue": *double as i64 }),
        ResultValue::Double(double) => json!({ "doubleValue": double }),
        ResultValue::Bool(bit) => json!({ "boolValue": bit }),
        ResultValue::Array(values) => json!({ "arrayValue": { "values": values.iter().map(json_of).collect::<Vec<_>>() } }),
    }
}

/// URLs of the data set end in the time in milliseconds.
fn with_relative_time(text: &str) -> String {
    match text.rsplit_once("&t=").map(|(url, time)| (url, time.parse::<u64>())) {
        Some((url, Ok(time))) => format!("{url}&t={}", time - START_SECONDS * 1000),
        _ => text.to_owned(),
    }
}

/// Attributes in an order of their own, so that two lists can be compared.
fn sorted(mut attributes: Vec<Value>) -> Value {
    attributes.sort_by_key(Value::to_string);
    Value::Array(attributes)
}

fn spans_of(chunk: &Chunk, query: &Query, rows: &[u32]) -> Result<Vec<Value>, EvalError> {
    let (answer, facts) = (Answer::compile(query)?, Facts(chunk));
    let reader = answer.reader(chunk, &facts)?;
    let span = |&row: &u32| {
        let attributes = reader.attributes(row).into_iter().map(|(key, value)| json!({ "key": key, "value": json_of(&value) }));
        let id = SpanId(chunk.span_id[row as usize]).to_string();
        json!({ "spanID": id, "name": reader.name(row), "attributes": sorted(attributes.collect()) })
    };
    let mut spans: Vec<Value> = rows.iter().map(span).collect();
    spans.sort_by_key(Value::to_string);
    Ok(spans)
}

/// The answer in the form of [`recorded`]; the error's text if there is none.
fn answered(chunk: &Chunk, query: &Query) -> Result<BTreeMap<String, Value>, EvalError> {
    let Some(expression) = single_filter(query) else { return Err(EvalError::Unsupported("several stages")) };
    let rows = Filter::compile(expression)?.select(chunk, &Facts(chunk))?;
    let mut by_trace: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for row in rows.iter() {
        by_trace.entry(chunk.trace[row as usize]).or_default().push(row);
    }
    let mut answer = BTreeMap::new();
    for (trace, rows) in by_trace {
        let spans = if rows.len() > 12 { Value::Null } else { Value::Array(spans_of(chunk, query, &rows)?) };
        let id = chunk.traces.summaries()[trace as usize].id.to_short_hex();
        answer.insert(id, json!({ "matched": rows.len(), "spans": spans }));
    }
    Ok(answer)
}

/// Trace id to number of spans and, if all are listed, the spans.
fn recorded(case: &Value) -> BTreeMap<String, Value> {
    let trace = |trace: &Value| {
        let set = &trace["spanSets"][0];
        let span = |span: &Value| {
            let attributes = span["attributes"].as_array().cloned().unwrap_or_default();
            json!({ "spanID": span["spanID"], "name": span["name"], "attributes": sorted(attributes) })
        };
        let spans = set["spans"].as_array().map(|spans| {
            let mut spans: Vec<Value> = spans.iter().map(span).collect();
            spans.sort_by_key(Value::to_string);
            spans
        });
        (trace["traceID"].as_str().unwrap_or_default().to_owned(), json!({ "matched": set["matched"], "spans": spans }))
    };
    case["body"]["traces"].as_array().into_iter().flatten().map(trace).collect()
}

/// What is wrong with the answer to a case; `None` if it is not one of this evaluator's.
fn differences(chunk: &Chunk, case: &Value) -> Option<Vec<String>> {
    let text = case["query"].as_str().unwrap_or_default();
    let query = crate::traceql::compile(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let answer = match answered(chunk, &query) {
        Err(EvalError::Unsupported(_)) => return None,
        Err(error) if case["status"] == 200 => return Some(vec![error.to_string()]),
        Err(_) => return Some(Vec::new()),
        Ok(_) if case["status"] != 200 => return Some(vec!["no error".to_owned()]),
        Ok(answer) => answer,
    };
    let expected = recorded(case);
    if answer.keys().ne(expected.keys()) {
        return Some(vec![format!("{} traces instead of {}", answer.len(), expected.len())]);
    }
    let pairs = answer.iter().zip(expected.values()).filter(|((_, ours), theirs)| ours != theirs);
    Some(pairs.map(|((id, ours), theirs)| format!("trace {id}: {ours}\n   instead of {theirs}")).collect())
}

#[test]
fn recorded_answers_are_ours() {
    let chunk = dataset();
    let (mut wrong, mut num_answered) = (Vec::new(), 0);
    for case in recorded_searches() {
        let Some(differences) = differences(&chunk, &case) else { continue };
        num_answered += 1;
        let id = case["id"].as_str().unwrap_or_default();
        let is_corrected = CORRECTED.iter().any(|(corrected, _)| *corrected == id);
        match differences.first() {
            Some(difference) if !is_corrected => wrong.push(format!("{id} {}: {difference}", case["query"])),
            None if is_corrected => wrong.push(format!("{id} {}: listed as corrected, but it is the same", case["query"])),
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "{} answers differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(num_answered > 250, "only {num_answered} of the recorded searches are answered");
}
