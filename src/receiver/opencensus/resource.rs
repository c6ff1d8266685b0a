//! Who made the spans: a node and a resource become one OTLP `Resource`.

use super::attributes::{Attributes, entry, timestamp};
use crate::columns::wire::{Malformed, Reader};
use crate::receiver::otlp_writer::{OtlpWriter, Value};
use crate::telemetry::logging::rfc3339;
use std::time::Duration;

/// What the node says besides its attributes.
#[derive(Default)]
struct Node<'a> {
    service: &'a [u8],
    host: &'a [u8],
    pid: u64,
    start_nanos: Option<u64>,
    language: u64,
    exporter_version: &'a [u8],
    library_version: &'a [u8],
}

/// The bytes of an OTLP `Resource`. The resource goes before the node where both speak of one key.
pub(super) fn write(node: &[u8], resource: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut attributes = Attributes::default();
    let node = read_node(node, &mut attributes)?;
    let started = node.start_nanos.map(start_time);
    let language = language(node.language);
    let texts: [(&[u8], &[u8]); 6] = [
        (b"service.name", node.service),
        (b"host.name", node.host),
        (b"opencensus.starttime", started.as_ref().map_or(b"", |text| text.as_bytes())),
        (b"telemetry.sdk.version", node.library_version),
        (b"opencensus.exporterversion", node.exporter_version),
        (b"telemetry.sdk.language", language.as_bytes()),
    ];
    for (key, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
        attributes.set(key, Value::Text(text));
    }
    if node.pid != 0 {
        attributes.set(b"process.pid", Value::Int(i64::from(node.pid as u32)));
    }
    read_resource(resource, &mut attributes)?;
    let mut out = OtlpWriter::default();
    attributes.write(&mut out, 1);
    Ok(out.finish())
}

/// A moment as Go writes it: without zeros at the end of the fraction.
fn start_time(nanos: u64) -> String {
    let text = rfc3339(Duration::from_nanos(nanos));
    format!("{}Z", text.trim_end_matches('Z').trim_end_matches('0').trim_end_matches('.'))
}

/// `Node { identifier = 1; library_info = 2; service_info = 3; map<string, string> attributes = 4 }`.
fn read_node<'a>(message: &'a [u8], attributes: &mut Attributes<'a>) -> Result<Node<'a>, Malformed> {
    let mut node = Node::default();
    let mut reader = Reader::new(message);
    while let Some((number, field)) = reader.next_field()? {
        match number {
            1 => read_identifier(field.bytes(1)?, &mut node)?,
            2 => read_library(field.bytes(2)?, &mut node)?,
            3 => node.service = entry(field.bytes(3)?)?.0,
            4 => {
                let (key, value) = entry(field.bytes(4)?)?;
                attributes.set(key, Value::Text(value));
            }
            _ => {}
        }
    }
    Ok(node)
}

/// `ProcessIdentifier { host_name = 1; pid = 2; start_timestamp = 3 }`.
fn read_identifier<'a>(message: &'a [u8], node: &mut Node<'a>) -> Result<(), Malformed> {
    let mut reader = Reader::new(message);
    while let Some((number, field)) = reader.next_field()? {
        match number {
            1 => node.host = field.bytes(1)?,
            2 => node.pid = field.varint(2)?,
            3 => node.start_nanos = Some(timestamp(field.bytes(3)?)?),
            _ => {}
        }
    }
    Ok(())
}

/// `LibraryInfo { language = 1; exporter_version = 2; core_library_version = 3 }`.
fn read_library<'a>(message: &'a [u8], node: &mut Node<'a>) -> Result<(), Malformed> {
    let mut reader = Reader::new(message);
    while let Some((number, field)) = reader.next_field()? {
        match number {
            1 => node.language = field.varint(1)?,
            2 => node.exporter_version = field.bytes(2)?,
            3 => node.library_version = field.bytes(3)?,
            _ => {}
        }
    }
    Ok(())
}

fn language(number: u64) -> &'static str {
    const NAMES: [&str; 11] = ["", "cpp", "dotnet", "erlang", "go", "java", "nodejs", "php", "python", "ruby", "webjs"];
    usize::try_from(number).ok().and_then(|number| NAMES.get(number)).copied().unwrap_or_default()
}

/// `Resource { string type = 1; map<string, string> labels = 2 }`.
fn read_resource<'a>(message: &'a [u8], attributes: &mut Attributes<'a>) -> Result<(), Malformed> {
    let mut reader = Reader::new(message);
    while let Some((number, field)) = reader.next_field()? {
        match number {
            1 => attributes.set(b"opencensus.resourcetype", Value::Text(field.bytes(1)?)),
            2 => {
                let (key, value) = entry(field.bytes(2)?)?;
                let key = if key == b"cloud.zone" { b"cloud.availability_zone" } else { key };
                attributes.set(key, Value::Text(value));
            }
            _ => {}
        }
    }
    Ok(())
}
