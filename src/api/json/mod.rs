//! Answers as JSON, in the dialect that the existing clients read (spec/query-api.md §2).
//!
//! It is not OTLP's own JSON: ids are base64, names of enum values are written out, integers of 64 bits are texts, and
//! what is zero is left out. Some readers are strict, so no member may be invented. The text is written straight from
//! the messages, in their order of declaration; no tree of JSON values is built on the way.
//!
//! `otlp` writes traces, `search`, `tags` and `metrics` the other answers, `llm` the forms meant for language models;
//! all of them use the commas and escapes of `writer`. Writing cannot fail.

mod llm;
mod metrics;
mod otlp;
mod search;
mod tags;
mod writer;

#[cfg(test)]
mod tests;

pub use llm::{tag_values_llm, trace_by_id_llm};
pub use metrics::{query_instant, query_range};
pub use otlp::{trace_by_id, trace_v1};
pub use search::search;
pub use tags::{search_tag_values, search_tag_values_v2, search_tags, search_tags_v2};
pub use writer::JsonWriter;

use std::collections::BTreeMap;

use crate::proto::otlp::KeyValue;
use crate::proto::tempopb::PartialStatus;

/// The text that `write` produces.
fn text(write: impl FnOnce(&mut JsonWriter)) -> String {
    let mut writer = JsonWriter::default();
    write(&mut writer);
    writer.finish()
}

/// The member `attributes` or `labels`.
fn key_values_member(w: &mut JsonWriter, name: &str, attributes: &[KeyValue]) {
    w.list_member(name, attributes, otlp::key_value);
}

/// The member `additionalMetrics`.
fn counters_member(w: &mut JsonWriter, counters: &BTreeMap<String, i64>) {
    if counters.is_empty() {
        return;
    }
    w.key("additionalMetrics");
    w.object(|w| {
        for (name, count) in counters {
            w.key(name);
            w.quoted(*count);
        }
    });
}

/// The members `status` and `message`, which say that something was left out.
fn partial_members(w: &mut JsonWriter, status: i32, message: &str) {
    w.enum_member("status", status, partial_word(status));
    w.string_member("message", message);
}

/// The name of a [`PartialStatus`], if there is such a number.
fn partial_word(status: i32) -> Option<&'static str> {
    PartialStatus::try_from(status).ok().map(|status| status.as_str_name())
}
