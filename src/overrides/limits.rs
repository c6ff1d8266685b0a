//! The limits of one tenant.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What a tenant may do (spec/operations.md §3.2). The default has no limit at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of OTLP protobuf that may come in per second; `None` for no bound (`ingestion.rate_limit_bytes`).
    pub ingestion_rate_bytes: Option<u64>,
    /// Bytes that may come in at once; `None` for as many as in a second (`ingestion.burst_size_bytes`).
    pub ingestion_burst_bytes: Option<u64>,
    /// Whether a sender over the rate is told when to come again (`ingestion.retry_info_enabled`).
    pub retry_info_enabled: bool,
    /// Longest key or text of an attribute in bytes; `None` keeps them whole (`ingestion.max_attribute_bytes`).
    pub max_attribute_bytes: Option<usize>,
    /// Most bytes of spans and their resources of one trace that are taken in; `None` for no bound (`global.max_bytes_per_trace`, where it is set).
    pub max_ingested_bytes_per_trace: Option<u64>,
    /// Most traces that get spans at a time; `None` for no bound (`ingestion.max_traces_per_user`).
    pub max_live_traces: Option<u64>,
    /// How long a push takes at least, about; zero for no wish (`ingestion.artificial_delay`).
    pub artificial_delay: Duration,
    /// Largest trace in bytes that is given out whole; `None` for no bound (`global.max_bytes_per_trace`).
    pub max_bytes_per_trace: Option<u64>,
    /// Most bytes of names or values that an answer about tags has; `None` for no bound (`read.max_bytes_per_tag_values_query`).
    pub max_bytes_per_tag_values: Option<u64>,
    /// Largest number of alternatives in a filter of tags; `None` for no bound (`read.max_condition_groups_per_tag_query`).
    pub max_condition_groups: Option<usize>,
    /// Longest range of a search and of tags; `None` for no bound (`read.max_search_duration`).
    pub max_search_duration: Option<Duration>,
    /// Longest range of a metrics query; `None` for no bound (`read.max_metrics_duration`).
    pub max_metrics_duration: Option<Duration>,
    /// Whether searches write ids of traces with all their zeros (`read.left_pad_trace_ids`).
    pub left_pad_trace_ids: bool,
    /// Age at which blocks are deleted; `None` keeps them for ever (`compaction.block_retention`).
    pub block_retention: Option<Duration>,
    /// By what its bytes are told apart (`cost_attribution`).
    pub cost_attribution: CostAttribution,
}

/// By which attributes the bytes of a tenant are told apart (spec/operations.md §5).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CostAttribution {
    /// Attributes and the labels they become, empty for one like the attribute; none means that the tenant is not tracked.
    pub dimensions: Arc<BTreeMap<String, String>>,
    /// Most combinations; `None` for what holds for all.
    pub max_cardinality: Option<usize>,
}

impl Limits {
    /// The limits that are numbers, under the names of `tempo_limits_*` (spec/operations.md §3.3); 0 means none.
    pub fn numbers(&self) -> [(&'static str, f64); 6] {
        let number = |limit: Option<u64>| limit.unwrap_or_default() as f64;
        [
            ("ingestion_rate_limit_bytes", number(self.ingestion_rate_bytes)),
            ("ingestion_burst_size_bytes", number(self.ingestion_burst_bytes.or(self.ingestion_rate_bytes))),
            ("max_local_traces_per_user", number(self.max_live_traces)),
            ("max_bytes_per_trace", number(self.max_bytes_per_trace)),
            ("max_bytes_per_tag_values_query", number(self.max_bytes_per_tag_values)),
            ("block_retention", self.block_retention.map_or(0.0, |retention| retention.as_nanos() as f64)),
        ]
    }
}

/// The smaller of two bounds, of which `None` is none.
pub fn strictest<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

impl Limits {
    /// What holds for a query over two tenants: of each limit the stricter one.
    pub fn and(&self, other: &Limits) -> Limits {
        Limits {
            ingestion_rate_bytes: strictest(self.ingestion_rate_bytes, other.ingestion_rate_bytes),
            ingestion_burst_bytes: strictest(self.ingestion_burst_bytes, other.ingestion_burst_bytes),
            retry_info_enabled: self.retry_info_enabled && other.retry_info_enabled,
            max_attribute_bytes: strictest(self.max_attribute_bytes, other.max_attribute_bytes),
            max_ingested_bytes_per_trace: strictest(self.max_ingested_bytes_per_trace, other.max_ingested_bytes_per_trace),
            max_live_traces: strictest(self.max_live_traces, other.max_live_traces),
            artificial_delay: self.artificial_delay.max(other.artificial_delay),
            max_bytes_per_trace: strictest(self.max_bytes_per_trace, other.max_bytes_per_trace),
            max_bytes_per_tag_values: strictest(self.max_bytes_per_tag_values, other.max_bytes_per_tag_values),
            max_condition_groups: strictest(self.max_condition_groups, other.max_condition_groups),
            max_search_duration: strictest(self.max_search_duration, other.max_search_duration),
            max_metrics_duration: strictest(self.max_metrics_duration, other.max_metrics_duration),
            left_pad_trace_ids: self.left_pad_trace_ids || other.left_pad_trace_ids,
            block_retention: strictest(self.block_retention, other.block_retention),
            // It is about what is written, which belongs to one tenant.
            cost_attribution: self.cost_attribution.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stricter_limit_holds() {
        assert_eq!((strictest(None, Some(2)), strictest(Some(1), Some(2)), strictest::<u8>(None, None)), (Some(2), Some(1), None));
        let one = Limits { ingestion_rate_bytes: Some(5), left_pad_trace_ids: true, ..Limits::default() };
        let other = Limits { ingestion_rate_bytes: Some(3), max_bytes_per_trace: Some(9), ..Limits::default() };
        let both = one.and(&other);
        assert_eq!((both.ingestion_rate_bytes, both.max_bytes_per_trace, both.left_pad_trace_ids), (Some(3), Some(9), true));
        assert_eq!(both, other.and(&one));
    }
}
