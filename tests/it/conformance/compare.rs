//! When two answers are the same, and where they first differ.

use serde_json::Value;
use std::collections::BTreeSet;

/// Floats may differ by so much of the larger one.
const TOLERANCE: f64 = 1e-6;

/// True if nobody can tell them apart but for the last digits of floats.
pub fn close(wanted: &Value, got: &Value) -> bool {
    match (wanted, got) {
        (Value::Number(wanted), Value::Number(got)) => {
            let (Some(wanted), Some(got)) = (wanted.as_f64(), got.as_f64()) else { return wanted == got };
            wanted == got || (wanted - got).abs() <= TOLERANCE * wanted.abs().max(got.abs())
        }
        (Value::Object(wanted), Value::Object(got)) => {
            wanted.len() == got.len() && wanted.iter().all(|(key, value)| got.get(key).is_some_and(|other| close(value, other)))
        }
        (Value::Array(wanted), Value::Array(got)) => {
            wanted.len() == got.len() && wanted.iter().zip(got).all(|(wanted, got)| close(wanted, got))
        }
        _ => wanted == got,
    }
}

/// The first place where they are not [`close`], for people.
pub fn first_difference(wanted: &Value, got: &Value) -> String {
    difference_at(wanted, got, "")
}

fn difference_at(wanted: &Value, got: &Value, place: &str) -> String {
    match (wanted, got) {
        (Value::Object(wanted), Value::Object(got)) => {
            let keys: BTreeSet<&String> = wanted.keys().chain(got.keys()).collect();
            for key in keys {
                let place = format!("{place}.{key}");
                match (wanted.get(key), got.get(key)) {
                    (Some(wanted), Some(got)) if close(wanted, got) => {}
                    (Some(wanted), Some(got)) => return difference_at(wanted, got, &place),
                    (Some(_), None) => return format!("{place}: missing"),
                    (None, _) => return format!("{place}: unexpected"),
                }
            }
            format!("{place}: no difference")
        }
        (Value::Array(wanted), Value::Array(got)) if wanted.len() == got.len() => {
            let differing = wanted.iter().zip(got).enumerate().find(|(_, (wanted, got))| !close(wanted, got));
            differing.map_or_else(
                || format!("{place}: no difference"),
                |(at, (wanted, got))| difference_at(wanted, got, &format!("{place}[{at}]")),
            )
        }
        (Value::Array(wanted), Value::Array(got)) => format!("{place}: {} expected, {} got", wanted.len(), got.len()),
        _ => format!("{place}: expected {}, got {}", shortened(wanted), shortened(got)),
    }
}

fn shortened(value: &Value) -> String {
    value.to_string().chars().take(160).collect()
}

#[test]
fn differences_are_found() {
    use serde_json::json;
    assert!(close(&json!({"a": [1.0, 2]}), &json!({"a": [1.000_000_1, 2]})));
    for (wanted, got, place) in [
        (json!({"a": [1, 2]}), json!({"a": [1, 3]}), ".a[1]: expected 2, got 3"),
        (json!({"a": 1}), json!({}), ".a: missing"),
        (json!({}), json!({"a": 1}), ".a: unexpected"),
        (json!([1]), json!([]), ": 1 expected, 0 got"),
        (json!("1"), json!(1), ": expected \"1\", got 1"),
    ] {
        assert!(!close(&wanted, &got));
        assert_eq!(first_difference(&wanted, &got), place);
    }
}
