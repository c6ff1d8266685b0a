//! Jaeger's batches, written by Apache's thrift library. Unit tests of the receiver use this file, too.

use thrift::protocol::{
    TBinaryOutputProtocol, TCompactOutputProtocol, TFieldIdentifier, TListIdentifier, TMessageIdentifier, TMessageType, TOutputProtocol,
    TStructIdentifier, TType,
};

/// The value of a tag; Jaeger's type numbers follow the order here.
#[derive(Clone, Debug, PartialEq)]
pub enum TagValue {
    Text(String),
    Double(f64),
    Bool(bool),
    Long(i64),
    Binary(Vec<u8>),
}

/// Keys and values.
pub type Tags = Vec<(String, TagValue)>;

/// A text tag.
pub fn text_tag(key: &str, value: &str) -> (String, TagValue) {
    (key.to_string(), TagValue::Text(value.to_string()))
}

/// A reference to another span: type number, low and high half of the trace id, span id.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reference(pub i32, pub i64, pub i64, pub i64);

/// A span; times in microseconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JaegerSpan {
    pub trace: (i64, i64),
    pub id: i64,
    pub parent: i64,
    pub name: String,
    pub references: Vec<Reference>,
    pub flags: i32,
    pub start: i64,
    pub duration: i64,
    pub tags: Tags,
    pub logs: Vec<(i64, Tags)>,
}

/// A batch of spans of one process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JaegerBatch {
    pub service: String,
    pub tags: Tags,
    pub spans: Vec<JaegerSpan>,
}

impl JaegerBatch {
    /// A bare struct in the binary format, as over HTTP.
    pub fn body(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(&mut TBinaryOutputProtocol::new(&mut bytes, true)).expect("memory");
        bytes
    }

    /// A datagram in the compact format.
    pub fn compact_packet(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write_message(&mut TCompactOutputProtocol::new(&mut bytes)).expect("memory");
        bytes
    }

    /// A datagram in the binary format, in its strict or its old form.
    pub fn binary_packet(&self, is_strict: bool) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write_message(&mut TBinaryOutputProtocol::new(&mut bytes, is_strict)).expect("memory");
        bytes
    }

    fn write_message(&self, out: &mut impl TOutputProtocol) -> thrift::Result<()> {
        out.write_message_begin(&TMessageIdentifier::new("emitBatch", TMessageType::OneWay, 7))?;
        structure(out, |out| {
            field(out, TType::Struct, 1)?;
            self.write(out)
        })?;
        out.write_message_end()?;
        out.flush()
    }

    fn write(&self, out: &mut impl TOutputProtocol) -> thrift::Result<()> {
        structure(out, |out| {
            field(out, TType::Struct, 1)?;
            structure(out, |out| {
                field(out, TType::String, 1)?;
                out.write_string(&self.service)?;
                tags(out, 2, &self.tags)
            })?;
            list(out, 2, &self.spans, |out, span| span.write(out))?;
            // What servers do not need: a number, and a struct of numbers.
            field(out, TType::I64, 3)?;
            out.write_i64(5)?;
            field(out, TType::Struct, 4)?;
            structure(out, |out| {
                field(out, TType::I64, 1)?;
                out.write_i64(0)
            })
        })
    }
}

impl JaegerSpan {
    fn write(&self, out: &mut impl TOutputProtocol) -> thrift::Result<()> {
        let longs = |out: &mut dyn TOutputProtocol, values: &[(i16, i64)]| {
            values.iter().try_for_each(|(id, value)| {
                out.write_field_begin(&TFieldIdentifier::new("", TType::I64, *id))?;
                out.write_i64(*value)
            })
        };
        structure(out, |out| {
            longs(out, &[(1, self.trace.0), (2, self.trace.1), (3, self.id), (4, self.parent)])?;
            field(out, TType::String, 5)?;
            out.write_string(&self.name)?;
            list(out, 6, &self.references, |out, Reference(kind, low, high, id)| {
                structure(out, |out| {
                    field(out, TType::I32, 1)?;
                    out.write_i32(*kind)?;
                    longs(out, &[(2, *low), (3, *high), (4, *id)])
                })
            })?;
            field(out, TType::I32, 7)?;
            out.write_i32(self.flags)?;
            longs(out, &[(8, self.start), (9, self.duration)])?;
            tags(out, 10, &self.tags)?;
            list(out, 11, &self.logs, |out, (time, fields)| {
                structure(out, |out| {
                    longs(out, &[(1, *time)])?;
                    tags(out, 2, fields)
                })
            })
        })
    }
}

fn structure<P: TOutputProtocol>(out: &mut P, fill: impl FnOnce(&mut P) -> thrift::Result<()>) -> thrift::Result<()> {
    out.write_struct_begin(&TStructIdentifier::new(""))?;
    fill(out)?;
    out.write_field_stop()?;
    out.write_struct_end()
}

fn field(out: &mut impl TOutputProtocol, kind: TType, id: i16) -> thrift::Result<()> {
    out.write_field_begin(&TFieldIdentifier::new("", kind, id))
}

fn list<P: TOutputProtocol, T>(
    out: &mut P,
    id: i16,
    items: &[T],
    mut write: impl FnMut(&mut P, &T) -> thrift::Result<()>,
) -> thrift::Result<()> {
    field(out, TType::List, id)?;
    out.write_list_begin(&TListIdentifier::new(TType::Struct, i32::try_from(items.len()).expect("short")))?;
    items.iter().try_for_each(|item| write(out, item))
}

fn tags(out: &mut impl TOutputProtocol, id: i16, tags: &Tags) -> thrift::Result<()> {
    list(out, id, tags, |out, (key, value)| {
        structure(out, |out| {
            field(out, TType::String, 1)?;
            out.write_string(key)?;
            field(out, TType::I32, 2)?;
            match value {
                TagValue::Text(text) => {
                    out.write_i32(0)?;
                    field(out, TType::String, 3)?;
                    out.write_string(text)
                }
                TagValue::Double(number) => {
                    out.write_i32(1)?;
                    field(out, TType::Double, 4)?;
                    out.write_double(*number)
                }
                TagValue::Bool(flag) => {
                    out.write_i32(2)?;
                    field(out, TType::Bool, 5)?;
                    out.write_bool(*flag)
                }
                TagValue::Long(number) => {
                    out.write_i32(3)?;
                    field(out, TType::I64, 6)?;
                    out.write_i64(*number)
                }
                TagValue::Binary(bytes) => {
                    out.write_i32(4)?;
                    field(out, TType::String, 7)?;
                    out.write_bytes(bytes)
                }
            }
        })
    })
}
