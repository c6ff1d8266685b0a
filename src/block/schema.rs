//! The files of a block and the leaves of its tables. docs/block-format.md describes each.

use super::catalogue::ColumnName;
use super::choice::{AttributeChoice, Chosen};
use super::table::{Coding, Leaf, LeafType};
use crate::columns::ValueKind;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// Spans, one row each.
pub const DATA_FILE: &str = "data.parquet";
/// Trace summaries, one row each, in the order of their spans.
pub const TRACES_FILE: &str = "traces.parquet";
/// Events, one row each, in the order of their spans; absent if there are none.
pub const EVENTS_FILE: &str = "events.parquet";
/// Links, one row each, in the order of their spans; absent if there are none.
pub const LINKS_FILE: &str = "links.parquet";
/// Attributes of spans that too few have for a column, one row each; absent if there are none.
pub const RARE_FILE: &str = "attributes.parquet";
/// The same of events.
pub const RARE_EVENT_FILE: &str = "event-attributes.parquet";
/// The same of links.
pub const RARE_LINK_FILE: &str = "link-attributes.parquet";
/// Resources, one row each; a row's position is its number.
pub const RESOURCES_FILE: &str = "resources.parquet";
/// Instrumentation scopes, one row each; a row's position is its number.
pub const SCOPES_FILE: &str = "scopes.parquet";
/// All Parquet files.
pub const TABLE_FILES: [&str; 9] =
    [DATA_FILE, EVENTS_FILE, LINKS_FILE, TRACES_FILE, RESOURCES_FILE, SCOPES_FILE, RARE_FILE, RARE_EVENT_FILE, RARE_LINK_FILE];
/// Trace ids, sorted, with their ordinals.
pub const INDEX_FILE: &str = "index";
/// Which columns and values there are; blocks of earlier versions lack it.
pub const CATALOGUE_FILE: &str = "catalogue";
/// Written last: a block without it does not exist.
pub const META_FILE: &str = "meta.json";

/// The file of a Bloom filter shard.
pub fn bloom_file(shard: usize) -> String {
    format!("bloom-{shard}")
}

/// Key of the Parquet metadata entry that lists the attribute columns as JSON.
pub const ATTRIBUTES_METADATA: &str = "conmoto.attributes";
/// Key of the Parquet metadata entry that lists the keys of residual attributes as JSON, where there are any.
pub const RESIDUAL_KEYS_METADATA: &str = "conmoto.residual_keys";
/// Key of the Parquet metadata entry of `traces.parquet` that lists the service names that statistics refer to.
pub const SERVICES_METADATA: &str = "conmoto.services";

/// Leaves of `data.parquet` by name; attribute columns follow, `span.` and the key.
pub mod span {
    /// Trace id, 16 bytes; for plain readers.
    pub const TRACE_ID: &str = "trace_id";
    /// Span id as a big-endian number.
    pub const SPAN_ID: &str = "span_id";
    /// Parent's span id, only where the parent is not in the block (orphans).
    pub const PARENT_SPAN_ID: &str = "parent_span_id";
    /// Rows back to the parent, 0 for none.
    pub const PARENT_OFFSET: &str = "parent_offset";
    /// Rows of the subtree, the span included.
    pub const SUBTREE: &str = "subtree";
    /// Start, Unix nanoseconds.
    pub const START: &str = "start_unix_nano";
    /// End minus start, nanoseconds.
    pub const DURATION: &str = "duration_nano";
    /// Span name.
    pub const NAME: &str = "name";
    /// OTLP's `SpanKind` number.
    pub const KIND: &str = "kind";
    /// OTLP's `StatusCode` number.
    pub const STATUS: &str = "status_code";
    /// Status message where it is not empty.
    pub const STATUS_MESSAGE: &str = "status_message";
    /// W3C trace state where it is not empty.
    pub const TRACE_STATE: &str = "trace_state";
    /// Flags other than 0.
    pub const FLAGS: &str = "flags";
    /// Count of dropped attributes other than 0.
    pub const DROPPED_ATTRIBUTES: &str = "dropped_attributes_count";
    /// Count of dropped events other than 0.
    pub const DROPPED_EVENTS: &str = "dropped_events_count";
    /// Count of dropped links other than 0.
    pub const DROPPED_LINKS: &str = "dropped_links_count";
    /// `service.name` of the resource; for plain readers.
    pub const SERVICE_NAME: &str = "service_name";
    /// Row of the resource in `resources.parquet`.
    pub const RESOURCE: &str = "resource_id";
    /// Row of the scope in `scopes.parquet`.
    pub const SCOPE: &str = "scope_id";
}

/// Leaves of `events.parquet` and `links.parquet`.
pub mod detail {
    /// Row of the span in `data.parquet`.
    pub const SPAN_ROW: &str = "span_row";
    /// Of an event: Unix nanoseconds.
    pub const TIME: &str = "time_unix_nano";
    /// Of an event: its name.
    pub const NAME: &str = "name";
    /// Of a link: the linked trace.
    pub const TRACE_ID: &str = "trace_id";
    /// Of a link: the linked span, 0 for none.
    pub const SPAN_ID: &str = "span_id";
    /// Of a link: trace state where it is not empty.
    pub const TRACE_STATE: &str = "trace_state";
    /// Of a link: flags other than 0.
    pub const FLAGS: &str = "flags";
    /// Count of dropped attributes other than 0.
    pub const DROPPED_ATTRIBUTES: &str = "dropped_attributes_count";
}

/// Leaves of `traces.parquet`.
pub mod trace {
    /// Earliest span start, Unix nanoseconds.
    pub const START: &str = "start_unix_nano";
    /// Latest span end, Unix nanoseconds.
    pub const END: &str = "end_unix_nano";
    /// Number of spans.
    pub const SPANS: &str = "num_spans";
    /// Number of events.
    pub const EVENTS: &str = "num_events";
    /// Number of links.
    pub const LINKS: &str = "num_links";
    /// Service of the root span; absent without a root.
    pub const ROOT_SERVICE: &str = "root_service";
    /// Name of the root span; absent without a root.
    pub const ROOT_NAME: &str = "root_name";
    /// Per service of the trace three varints: position in the list of services, spans, spans with status error.
    pub const SERVICES: &str = "services";
}

/// Leaves of `resources.parquet` and `scopes.parquet`.
pub mod origin {
    /// Of a resource `service.name`, of a scope its name.
    pub const NAME: &str = "name";
    /// Schema URL.
    pub const SCHEMA_URL: &str = "schema_url";
    /// The OTLP `Resource` or `InstrumentationScope` message.
    pub const OTLP: &str = "otlp";
}

/// Leaf of the order of a row's attributes (see [`super::gather::OrderWriter`]).
pub const ORDER: &str = "attributes_order";
/// Leaf of the attributes that neither a column nor the table of rare ones can hold: repeated ones, and those without a value.
pub const RESIDUAL: &str = "attributes_residual";

/// An attribute column as `conmoto.attributes` lists it; its position in the list is the ordinal in `attributes_order`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttributeEntry {
    /// Leaf name.
    pub leaf: String,
    /// Key without scope.
    pub key: String,
    /// Kind of the values, in the words of [`ValueKind::name`].
    pub kind: String,
}

/// The attribute columns of a table, whose leaves start with `prefix` and a dot. Where a key has values of several kinds,
/// or a leaf name is taken, the kind is added to the name.
pub fn attribute_entries(prefix: &str, chosen: &[Chosen]) -> Vec<AttributeEntry> {
    let mut taken = HashSet::new();
    chosen
        .iter()
        .map(|column| {
            let plain = format!("{prefix}.{}", column.key);
            let mut leaf = plain.clone();
            while !taken.insert(leaf.clone()) {
                leaf = format!("{leaf}:{}", column.kind.name());
            }
            AttributeEntry { leaf, key: column.key.clone(), kind: column.kind.name().to_string() }
        })
        .collect()
}

/// The leaves of the attribute columns.
pub fn attribute_leaves(entries: &[AttributeEntry], chosen: &[Chosen]) -> Vec<Leaf> {
    entries.iter().zip(chosen).map(|(entry, column)| attribute_leaf(&entry.leaf, column)).collect()
}

fn attribute_leaf(name: &str, column: &Chosen) -> Leaf {
    let text_coding = if column.mostly_unique { Coding::PlainZstd } else { Coding::DictionaryLz4 };
    let leaf = match column.kind {
        ValueKind::Str => Leaf::optional(name, LeafType::Text, text_coding),
        ValueKind::Any => Leaf::optional(name, LeafType::Bytes, text_coding),
        ValueKind::Int => Leaf::optional(name, LeafType::I64, Coding::DictionaryLz4).with_page_statistics(),
        ValueKind::Double => Leaf::optional(name, LeafType::F64, Coding::DictionaryLz4),
        ValueKind::Bool => Leaf::optional(name, LeafType::Bool, Coding::Plain),
    };
    leaf.catalogued(ColumnName::Attribute { key: column.key.clone(), kind: column.kind })
}

/// Adds the leaves that every table with attributes ends with: order, residual if any, and the attribute columns. Returns
/// the metadata entries that describe them.
pub fn push_attribute_leaves(leaves: &mut Vec<Leaf>, prefix: &str, plan: &AttributeChoice) -> Vec<(&'static str, String)> {
    leaves.push(Leaf::required(ORDER, LeafType::Bytes, Coding::DictionaryLz4));
    if plan.has_residual {
        leaves.push(Leaf::optional(RESIDUAL, LeafType::Bytes, Coding::PlainZstd));
    }
    let entries = attribute_entries(prefix, &plan.chosen);
    leaves.extend(attribute_leaves(&entries, &plan.chosen));
    // Lists of texts always serialise.
    let mut metadata = vec![(ATTRIBUTES_METADATA, serde_json::to_string(&entries).unwrap_or_default())];
    if plan.has_residual {
        metadata.push((RESIDUAL_KEYS_METADATA, serde_json::to_string(&plan.residual_keys).unwrap_or_default()));
    }
    metadata
}
