//! Tag names and tag values (spec/query-api.md §5).

use super::answer::{Answer, Format};
use super::http::QueryRequest;
use super::params::{Params, check_expression_size};
use super::times::{RangeArgs, RangeRules, unsigned};
use super::{ApiConfig, ApiError, ApiState, json};
use crate::frontend::{Caller, ScopeTags, TagParams};
use crate::model::UnixNanos;
use crate::proto::tempopb::{
    MetadataMetrics, SearchTagValuesResponse, SearchTagValuesV2Response, SearchTagsResponse, SearchTagsV2Response, SearchTagsV2Scope,
    TagValue,
};
use crate::runtime::offload::offload;
use crate::traceql;
use crate::traceql::ast::{Attribute, BinaryOp, FieldExpr, Intrinsic, Kind, Scope, Status};
use prost::Message;
use std::sync::Arc;

/// The scope of the names that every span has (spec/query-api.md §5.3).
const INTRINSIC_SCOPE: &str = "intrinsic";

/// The names of that scope, sorted.
const INTRINSIC_NAMES: [&str; 25] = [
    "duration",
    "event:name",
    "event:timeSinceStart",
    "instrumentation:name",
    "instrumentation:version",
    "kind",
    "link:spanID",
    "link:traceID",
    "name",
    "rootName",
    "rootServiceName",
    "span:duration",
    "span:id",
    "span:kind",
    "span:name",
    "span:parentID",
    "span:status",
    "span:statusMessage",
    "status",
    "statusMessage",
    "trace:duration",
    "trace:id",
    "trace:rootName",
    "trace:rootService",
    "traceDuration",
];

/// Names whose values version 1 looks for in one scope only (spec/query-api.md §5.5).
const RESOURCE_NAMES: [&str; 9] = [
    "service.name",
    "cluster",
    "namespace",
    "pod",
    "container",
    "k8s.namespace.name",
    "k8s.cluster.name",
    "k8s.pod.name",
    "k8s.container.name",
];
const SPAN_NAMES: [&str; 3] = ["http.method", "http.url", "http.status_code"];

/// `/api/search/tags`.
pub(super) async fn names_version_1(state: Arc<ApiState>, request: QueryRequest) -> Result<Answer, ApiError> {
    let query = NamesQuery::of_params(&request.params, false)?;
    let response = query.version_1(&state, &request.caller?).await?;
    Answer::of_message(request.format, response, json::search_tags).await
}

/// `/api/v2/search/tags`.
pub(super) async fn names_version_2(state: Arc<ApiState>, request: QueryRequest) -> Result<Answer, ApiError> {
    let query = NamesQuery::of_params(&request.params, true)?;
    let response = query.version_2(&state, &request.caller?).await?;
    Answer::of_message(request.format, response, json::search_tags_v2).await
}

/// `/api/search/tag/{tag}/values`.
pub(super) async fn values_version_1(state: Arc<ApiState>, request: QueryRequest) -> Result<Answer, ApiError> {
    let query = ValuesQuery::of_params(&request, false)?;
    let response = query.version_1(&state, &request.caller?).await?;
    Answer::of_message(request.format, response, json::search_tag_values).await
}

/// `/api/v2/search/tag/{tag}/values`.
pub(super) async fn values_version_2(state: Arc<ApiState>, request: QueryRequest) -> Result<Answer, ApiError> {
    let query = ValuesQuery::of_params(&request, true)?;
    let response = query.version_2(&state, &request.caller?).await?;
    match request.format {
        Format::Llm => Ok(offload(response.encoded_len(), move || Answer::llm(json::tag_values_llm(&response))).await?),
        format => Answer::of_message(format, response, json::search_tag_values_v2).await,
    }
}

/// What names and values have in common.
#[derive(Clone, Debug, Default)]
pub(super) struct TagFilter {
    /// TraceQL, read leniently; empty is none.
    pub(super) query: String,
    pub(super) range: RangeArgs,
    /// 0 for no limit.
    pub(super) limit: u32,
}

impl TagFilter {
    fn check(&self, config: &ApiConfig) -> Result<TagParams, ApiError> {
        check_expression_size(&self.query, config.max_query_expression_size_bytes)?;
        let filter = traceql::parse_tag_filter(&self.query);
        if let Some(max) = config.limits.max_condition_groups
            && filter.as_ref().is_some_and(|filter| num_condition_groups(filter) > max)
        {
            return Err(ApiError::invalid(format!(
                "maximum condition groups reached (limit: {max}). Reduce the number of OR conditions in the query"
            )));
        }
        let rules = RangeRules { now: UnixNanos::now(), cutoff: config.query_end_cutoff, max_duration: config.limits.max_search_duration };
        let range = self.range.rewritten(&rules)?;
        if let Some(range) = &range {
            RangeArgs::check_length(range, &rules)?;
        }
        Ok(TagParams { filter, range, limit: self.limit as usize })
    }
}

/// In how many ways a filter can be fulfilled: its alternatives, once every `||` is outermost.
fn num_condition_groups(filter: &FieldExpr) -> usize {
    match filter {
        FieldExpr::Binary { op: BinaryOp::Or, left, right } => num_condition_groups(left).saturating_add(num_condition_groups(right)),
        FieldExpr::Binary { op: BinaryOp::And, left, right } => num_condition_groups(left).saturating_mul(num_condition_groups(right)),
        _ => 1,
    }
}

/// Which names are asked for.
#[derive(Clone, Debug)]
pub(super) struct NamesQuery {
    /// `None` for all scopes.
    scope: Option<String>,
    filter: TagFilter,
}

impl NamesQuery {
    /// A query for the names of one scope, or of all.
    ///
    /// # Errors
    ///
    /// `invalid scope: X`.
    pub(super) fn new(scope: &str, filter: TagFilter) -> Result<Self, ApiError> {
        let scope = match scope {
            "" | "none" => None,
            "trace" | "resource" | "span" | "event" | "link" | "instrumentation" | INTRINSIC_SCOPE => Some(scope.to_string()),
            _ => return Err(ApiError::invalid(format!("invalid scope: {scope}"))),
        };
        Ok(NamesQuery { scope, filter })
    }

    /// Bad limits are ignored here; version 1 has no `q`.
    fn of_params(params: &Params, with_query: bool) -> Result<Self, ApiError> {
        let query = params.get("q").filter(|_| with_query).unwrap_or_default().to_string();
        let limit = params.get("limit").and_then(|text| unsigned(text).ok()).unwrap_or_default();
        let scope = params.get("scope").unwrap_or_default();
        // The scope is judged first.
        NamesQuery::new(scope, TagFilter::default())?;
        NamesQuery::new(scope, TagFilter { query, range: params.flexible_range()?, limit })
    }

    /// Judges filter and range.
    pub(super) fn check(&self, config: &ApiConfig) -> Result<(), ApiError> {
        self.filter.check(config).map(drop)
    }

    fn wants(&self, scope: &str) -> bool {
        self.scope.as_ref().is_none_or(|wanted| wanted == scope)
    }

    async fn stored(&self, state: &ApiState, caller: &Caller) -> Result<Vec<ScopeTags>, ApiError> {
        let params = self.filter.check(&state.config_for(&caller.tenants))?;
        // What every span has needs no search.
        if self.scope.as_deref() == Some(INTRINSIC_SCOPE) {
            return Ok(Vec::new());
        }
        let mut scopes = state.frontend.tag_names(caller, params).await?;
        scopes.retain(|scope| self.wants(scope.scope) && !scope.tags.is_empty());
        Ok(scopes)
    }

    /// One list; the intrinsic names only if they are asked for by their scope.
    pub(super) async fn version_1(self, state: &ApiState, caller: &Caller) -> Result<SearchTagsResponse, ApiError> {
        let mut tag_names: Vec<String> = self.stored(state, caller).await?.into_iter().flat_map(|scope| scope.tags).collect();
        if self.scope.as_deref() == Some(INTRINSIC_SCOPE) {
            tag_names.extend(self.intrinsic_names());
        }
        tag_names.sort_unstable();
        tag_names.dedup();
        Room::of(state, caller).truncate(&mut tag_names, String::len);
        Ok(SearchTagsResponse { tag_names, metrics: Some(MetadataMetrics::default()) })
    }

    /// Lists by scope.
    pub(super) async fn version_2(self, state: &ApiState, caller: &Caller) -> Result<SearchTagsV2Response, ApiError> {
        let stored = self.stored(state, caller).await?;
        let mut scopes = Vec::with_capacity(stored.len() + 1);
        if self.wants(INTRINSIC_SCOPE) {
            scopes.push(SearchTagsV2Scope { name: INTRINSIC_SCOPE.to_string(), tags: self.intrinsic_names().collect() });
        }
        let mut room = Room::of(state, caller);
        let stored = stored.into_iter().map(|mut scope| {
            room.truncate(&mut scope.tags, String::len);
            scope
        });
        scopes.extend(stored.map(|ScopeTags { scope, tags }| SearchTagsV2Scope { name: scope.to_string(), tags }));
        Ok(SearchTagsV2Response { scopes, metrics: Some(MetadataMetrics::default()) })
    }

    fn intrinsic_names(&self) -> impl Iterator<Item = String> {
        let limit = if self.filter.limit == 0 { usize::MAX } else { self.filter.limit as usize };
        INTRINSIC_NAMES.into_iter().take(limit).map(str::to_string)
    }
}

/// Which values are asked for.
#[derive(Clone, Debug)]
pub(super) struct ValuesQuery {
    /// A bare name for version 1, a TraceQL identifier for version 2.
    tag: String,
    filter: TagFilter,
}

impl ValuesQuery {
    /// A query for the values of a tag.
    ///
    /// # Errors
    ///
    /// `please provide a non-empty tagName`.
    pub(super) fn new(tag: &str, filter: TagFilter) -> Result<Self, ApiError> {
        if tag.is_empty() {
            return Err(ApiError::invalid("please provide a non-empty tagName"));
        }
        Ok(ValuesQuery { tag: tag.to_string(), filter })
    }

    /// Bad limits are refused here; version 1 has no `q`.
    fn of_params(request: &QueryRequest, with_query: bool) -> Result<Self, ApiError> {
        let params = &request.params;
        let query = params.get("q").filter(|_| with_query).unwrap_or_default().to_string();
        // The name is judged first.
        let named = ValuesQuery::new(&request.argument, TagFilter::default())?;
        let limit = params.read("limit", unsigned)?.unwrap_or_default();
        params.read("maxStaleValues", unsigned)?;
        Ok(ValuesQuery { filter: TagFilter { query, range: params.flexible_range()?, limit }, ..named })
    }

    /// Judges filter and range.
    pub(super) fn check(&self, config: &ApiConfig) -> Result<(), ApiError> {
        self.filter.check(config).map(drop)
    }

    /// Values of all types as text, sorted.
    pub(super) async fn version_1(self, state: &ApiState, caller: &Caller) -> Result<SearchTagValuesResponse, ApiError> {
        let params = self.filter.check(&state.config_for(&caller.tenants))?;
        let found = state.frontend.tag_values(caller, &self.bare_attribute(), params).await?;
        let mut tag_values: Vec<String> = found.into_iter().map(|value| value.value).collect();
        let always: &[&str] = match self.tag.as_str() {
            "status.code" => &["error", "ok", "unset"],
            "error" => &["true"],
            _ => &[],
        };
        tag_values.extend(always.iter().map(|value| (*value).to_string()));
        tag_values.sort_unstable();
        tag_values.dedup();
        Room::of(state, caller).truncate(&mut tag_values, String::len);
        if self.filter.limit > 0 {
            tag_values.truncate(self.filter.limit as usize);
        }
        Ok(SearchTagValuesResponse { tag_values, metrics: Some(MetadataMetrics::default()) })
    }

    /// What a bare name of version 1 stands for.
    fn bare_attribute(&self) -> Attribute {
        match self.tag.as_str() {
            "name" => Attribute::Intrinsic(Intrinsic::Name),
            "root.name" | "rootName" => Attribute::Intrinsic(Intrinsic::RootName),
            "root.service.name" | "rootServiceName" => Attribute::Intrinsic(Intrinsic::RootServiceName),
            name if RESOURCE_NAMES.contains(&name) => Attribute::scoped(Scope::Resource, name),
            name if SPAN_NAMES.contains(&name) => Attribute::scoped(Scope::Span, name),
            name => Attribute::scoped(Scope::None, name),
        }
    }

    /// Typed values.
    pub(super) async fn version_2(self, state: &ApiState, caller: &Caller) -> Result<SearchTagValuesV2Response, ApiError> {
        let attribute = traceql::parse_attribute(&self.tag).map_err(|error| {
            ApiError::invalid(format!("please provide a valid tagName: failed to parse identifier {}: {error}", self.tag))
        })?;
        let params = self.filter.check(&state.config_for(&caller.tenants))?;
        let mut tag_values = match constant_values(&attribute) {
            Some(words) => words.into_iter().map(|word| TagValue { r#type: "keyword".to_string(), value: word.to_string() }).collect(),
            None => state.frontend.tag_values(caller, &attribute, params).await?,
        };
        if self.filter.limit > 0 {
            tag_values.truncate(self.filter.limit as usize);
        }
        Room::of(state, caller).truncate(&mut tag_values, |value| value.value.len());
        Ok(SearchTagValuesV2Response { tag_values, metrics: Some(MetadataMetrics::default()) })
    }
}

/// Bytes of names or values that an answer may still have (`read.max_bytes_per_tag_values_query`); no bound by default.
struct Room {
    bytes: usize,
}

impl Room {
    fn of(state: &ApiState, caller: &Caller) -> Self {
        let max = state.config_for(&caller.tenants).limits.max_bytes_per_tag_values;
        Room { bytes: max.map_or(usize::MAX, |max| usize::try_from(max).unwrap_or(usize::MAX)) }
    }

    /// Keeps what there is room for.
    fn truncate<T>(&mut self, items: &mut Vec<T>, num_bytes: impl Fn(&T) -> usize) {
        let fitting = items.iter().position(|item| match self.bytes.checked_sub(num_bytes(item)) {
            Some(left) => {
                self.bytes = left;
                false
            }
            None => true,
        });
        if let Some(fitting) = fitting {
            items.truncate(fitting);
            self.bytes = 0;
        }
    }
}

/// The values of intrinsics that are the same for all data: the words of enumerations, and nothing for what has too many
/// values to list.
fn constant_values(attribute: &Attribute) -> Option<Vec<&'static str>> {
    let Attribute::Intrinsic(intrinsic) = attribute else { return None };
    match intrinsic {
        Intrinsic::Status => Some([Status::Error, Status::Ok, Status::Unset].map(Status::as_str).to_vec()),
        Intrinsic::Kind => {
            let kinds = [Kind::Client, Kind::Consumer, Kind::Internal, Kind::Producer, Kind::Server, Kind::Unspecified];
            Some(kinds.map(Kind::as_str).to_vec())
        }
        Intrinsic::Name
        | Intrinsic::StatusMessage
        | Intrinsic::RootName
        | Intrinsic::RootServiceName
        | Intrinsic::EventName
        | Intrinsic::InstrumentationName
        | Intrinsic::InstrumentationVersion => None,
        Intrinsic::Duration
        | Intrinsic::SpanId
        | Intrinsic::ParentSpanId
        | Intrinsic::ChildCount
        | Intrinsic::TraceDuration
        | Intrinsic::TraceId
        | Intrinsic::EventTimeSinceStart
        | Intrinsic::LinkTraceId
        | Intrinsic::LinkSpanId
        | Intrinsic::NestedSetLeft
        | Intrinsic::NestedSetRight
        | Intrinsic::NestedSetParent
        | Intrinsic::Parent => Some(Vec::new()),
    }
}

#[cfg(test)]
mod tests;
