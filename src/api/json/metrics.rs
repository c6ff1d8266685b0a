//! Answers to TraceQL metrics queries as JSON (spec/query-api.md §6.4, §6.5). A value of 0 is left out; readers know.

use super::search::search_metrics_member;
use super::writer::JsonWriter;
use super::{key_values_member, partial_members, text};
use crate::proto::tempopb::{Exemplar, InstantSeries, QueryInstantResponse, QueryRangeResponse, Sample, TimeSeries};

/// The answer of `/api/metrics/query_range`; `series` is `[]` when there are none.
pub fn query_range(response: &QueryRangeResponse) -> String {
    text(|w| {
        w.object(|w| {
            w.full_list_member("series", &response.series, time_series);
            search_metrics_member(w, response.metrics.as_ref());
            partial_members(w, response.status, &response.message);
        });
    })
}

/// The answer of `/api/metrics/query`; `series` is absent when there are none, unlike that of [`query_range`].
pub fn query_instant(response: &QueryInstantResponse) -> String {
    text(|w| {
        w.object(|w| {
            w.list_member("series", &response.series, instant_series);
            search_metrics_member(w, response.metrics.as_ref());
            partial_members(w, response.status, &response.message);
        });
    })
}

fn time_series(w: &mut JsonWriter, series: &TimeSeries) {
    w.object(|w| {
        key_values_member(w, "labels", &series.labels);
        w.full_list_member("samples", &series.samples, sample);
        w.list_member("exemplars", &series.exemplars, exemplar);
    });
}

fn sample(w: &mut JsonWriter, sample: &Sample) {
    w.object(|w| {
        w.quoted_member("timestampMs", sample.timestamp_ms);
        w.float_member("value", sample.value);
    });
}

fn exemplar(w: &mut JsonWriter, exemplar: &Exemplar) {
    w.object(|w| {
        key_values_member(w, "labels", &exemplar.labels);
        w.float_member("value", exemplar.value);
        w.quoted_member("timestampMs", exemplar.timestamp_ms);
    });
}

fn instant_series(w: &mut JsonWriter, series: &InstantSeries) {
    w.object(|w| {
        key_values_member(w, "labels", &series.labels);
        w.float_member("value", series.value);
    });
}
