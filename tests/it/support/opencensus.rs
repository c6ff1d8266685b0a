//! OpenCensus's messages, declared for prost. Unit tests of the receiver use this file, too.

use prost::{Message, Oneof};
use std::collections::BTreeMap;

#[derive(Clone, PartialEq, Message)]
pub struct Export {
    #[prost(message, optional, tag = "1")]
    pub node: Option<Node>,
    #[prost(message, repeated, tag = "2")]
    pub spans: Vec<Span>,
    #[prost(message, optional, tag = "3")]
    pub resource: Option<Resource>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Node {
    #[prost(message, optional, tag = "1")]
    pub identifier: Option<Identifier>,
    #[prost(message, optional, tag = "2")]
    pub library_info: Option<Library>,
    #[prost(message, optional, tag = "3")]
    pub service_info: Option<Service>,
    #[prost(btree_map = "string, string", tag = "4")]
    pub attributes: BTreeMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Identifier {
    #[prost(string, tag = "1")]
    pub host_name: String,
    #[prost(uint32, tag = "2")]
    pub pid: u32,
    #[prost(message, optional, tag = "3")]
    pub start_timestamp: Option<Time>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Library {
    #[prost(int32, tag = "1")]
    pub language: i32,
    #[prost(string, tag = "2")]
    pub exporter_version: String,
    #[prost(string, tag = "3")]
    pub core_library_version: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct Service {
    #[prost(string, tag = "1")]
    pub name: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct Resource {
    #[prost(string, tag = "1")]
    pub kind: String,
    #[prost(btree_map = "string, string", tag = "2")]
    pub labels: BTreeMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Time {
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

#[derive(Clone, PartialEq, Message)]
pub struct Cut {
    #[prost(string, tag = "1")]
    pub value: String,
    #[prost(int32, tag = "2")]
    pub truncated_byte_count: i32,
}

#[derive(Clone, PartialEq, Message)]
pub struct Span {
    #[prost(bytes = "vec", tag = "1")]
    pub trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub span_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    pub parent_span_id: Vec<u8>,
    #[prost(message, optional, tag = "4")]
    pub name: Option<Cut>,
    #[prost(message, optional, tag = "5")]
    pub start_time: Option<Time>,
    #[prost(message, optional, tag = "6")]
    pub end_time: Option<Time>,
    #[prost(message, optional, tag = "7")]
    pub attributes: Option<Attributes>,
    #[prost(message, optional, tag = "9")]
    pub time_events: Option<TimeEvents>,
    #[prost(message, optional, tag = "10")]
    pub links: Option<Links>,
    #[prost(message, optional, tag = "11")]
    pub status: Option<Status>,
    #[prost(message, optional, tag = "12")]
    pub same_process_as_parent_span: Option<BoolValue>,
    #[prost(message, optional, tag = "13")]
    pub child_span_count: Option<BoolValue>,
    #[prost(int32, tag = "14")]
    pub kind: i32,
    #[prost(message, optional, tag = "15")]
    pub tracestate: Option<Tracestate>,
    #[prost(message, optional, tag = "16")]
    pub resource: Option<Resource>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Attributes {
    #[prost(btree_map = "string, message", tag = "1")]
    pub attribute_map: BTreeMap<String, Attribute>,
    #[prost(int32, tag = "2")]
    pub dropped_attributes_count: i32,
}

#[derive(Clone, PartialEq, Message)]
pub struct Attribute {
    #[prost(oneof = "AttributeValue", tags = "1, 2, 3, 4")]
    pub value: Option<AttributeValue>,
}

#[derive(Clone, PartialEq, Oneof)]
pub enum AttributeValue {
    #[prost(message, tag = "1")]
    Text(Cut),
    #[prost(int64, tag = "2")]
    Int(i64),
    #[prost(bool, tag = "3")]
    Bool(bool),
    #[prost(double, tag = "4")]
    Double(f64),
}

#[derive(Clone, PartialEq, Message)]
pub struct TimeEvents {
    #[prost(message, repeated, tag = "1")]
    pub time_event: Vec<TimeEvent>,
    #[prost(int32, tag = "2")]
    pub dropped_annotations_count: i32,
    #[prost(int32, tag = "3")]
    pub dropped_message_events_count: i32,
}

#[derive(Clone, PartialEq, Message)]
pub struct TimeEvent {
    #[prost(message, optional, tag = "1")]
    pub time: Option<Time>,
    #[prost(oneof = "TimeEventValue", tags = "2, 3")]
    pub value: Option<TimeEventValue>,
}

#[derive(Clone, PartialEq, Oneof)]
pub enum TimeEventValue {
    #[prost(message, tag = "2")]
    Annotation(Annotation),
    #[prost(message, tag = "3")]
    Message(MessageEvent),
}

#[derive(Clone, PartialEq, Message)]
pub struct Annotation {
    #[prost(message, optional, tag = "1")]
    pub description: Option<Cut>,
    #[prost(message, optional, tag = "2")]
    pub attributes: Option<Attributes>,
}

#[derive(Clone, PartialEq, Message)]
pub struct MessageEvent {
    #[prost(int32, tag = "1")]
    pub kind: i32,
    #[prost(uint64, tag = "2")]
    pub id: u64,
    #[prost(uint64, tag = "3")]
    pub uncompressed_size: u64,
    #[prost(uint64, tag = "4")]
    pub compressed_size: u64,
}

#[derive(Clone, PartialEq, Message)]
pub struct Links {
    #[prost(message, repeated, tag = "1")]
    pub link: Vec<Link>,
    #[prost(int32, tag = "2")]
    pub dropped_links_count: i32,
}

#[derive(Clone, PartialEq, Message)]
pub struct Link {
    #[prost(bytes = "vec", tag = "1")]
    pub trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub span_id: Vec<u8>,
    #[prost(int32, tag = "3")]
    pub kind: i32,
    #[prost(message, optional, tag = "4")]
    pub attributes: Option<Attributes>,
    #[prost(message, optional, tag = "5")]
    pub tracestate: Option<Tracestate>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Status {
    #[prost(int32, tag = "1")]
    pub code: i32,
    #[prost(string, tag = "2")]
    pub message: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct BoolValue {
    #[prost(bool, tag = "1")]
    pub value: bool,
}

#[derive(Clone, PartialEq, Message)]
pub struct Tracestate {
    #[prost(message, repeated, tag = "1")]
    pub entries: Vec<Entry>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Entry {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(string, tag = "2")]
    pub value: String,
}

/// A text that was not cut.
pub fn cut(value: &str) -> Cut {
    Cut { value: value.to_owned(), truncated_byte_count: 0 }
}

/// A span whose ids are made of these bytes.
pub fn span(trace: u8, id: u8) -> Span {
    Span {
        trace_id: vec![trace; 16],
        span_id: vec![id; 8],
        name: Some(cut("op")),
        start_time: Some(Time { seconds: 5, nanos: 0 }),
        end_time: Some(Time { seconds: 7, nanos: 9 }),
        ..Span::default()
    }
}
