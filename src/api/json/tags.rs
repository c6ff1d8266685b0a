//! Attribute names and values as JSON (spec/query-api.md §5). The lists are `[]` when empty.

use super::writer::JsonWriter;
use super::{counters_member, text};
use crate::proto::tempopb::{
    MetadataMetrics, SearchTagValuesResponse, SearchTagValuesV2Response, SearchTagsResponse, SearchTagsV2Response, SearchTagsV2Scope,
    TagValue,
};

/// The answer of `/api/search/tags`.
pub fn search_tags(response: &SearchTagsResponse) -> String {
    list_answer("tagNames", &response.tag_names, |w, name| w.string(name), response.metrics.as_ref())
}

/// The answer of `/api/v2/search/tags`.
pub fn search_tags_v2(response: &SearchTagsV2Response) -> String {
    list_answer("scopes", &response.scopes, scope, response.metrics.as_ref())
}

/// The answer of `/api/search/tag/{tag}/values`.
pub fn search_tag_values(response: &SearchTagValuesResponse) -> String {
    list_answer("tagValues", &response.tag_values, |w, value| w.string(value), response.metrics.as_ref())
}

/// The answer of `/api/v2/search/tag/{tag}/values`.
pub fn search_tag_values_v2(response: &SearchTagValuesV2Response) -> String {
    list_answer("tagValues", &response.tag_values, tag_value, response.metrics.as_ref())
}

fn list_answer<T>(name: &str, items: &[T], write: impl FnMut(&mut JsonWriter, &T), metrics: Option<&MetadataMetrics>) -> String {
    text(|w| {
        w.object(|w| {
            w.full_list_member(name, items, write);
            if let Some(metrics) = metrics {
                w.key("metrics");
                w.object(|w| metrics_members(w, metrics));
            }
        });
    })
}

fn scope(w: &mut JsonWriter, scope: &SearchTagsV2Scope) {
    w.object(|w| {
        w.string_member("name", &scope.name);
        w.list_member("tags", &scope.tags, |w, tag| w.string(tag));
    });
}

fn tag_value(w: &mut JsonWriter, value: &TagValue) {
    w.object(|w| {
        w.string_member("type", &value.r#type);
        w.string_member("value", &value.value);
    });
}

fn metrics_members(w: &mut JsonWriter, metrics: &MetadataMetrics) {
    w.quoted_member("inspectedBytes", metrics.inspected_bytes);
    w.number_member("totalJobs", metrics.total_jobs);
    w.number_member("completedJobs", metrics.completed_jobs);
    w.number_member("totalBlocks", metrics.total_blocks);
    w.quoted_member("totalBlockBytes", metrics.total_block_bytes);
    w.quoted_member("backendReads", metrics.backend_reads);
    w.quoted_member("backendBytes", metrics.backend_bytes);
    counters_member(w, &metrics.additional_metrics);
}
