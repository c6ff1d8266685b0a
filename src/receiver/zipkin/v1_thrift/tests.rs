use super::*;
use ::thrift::protocol::{TBinaryOutputProtocol, TFieldIdentifier, TListIdentifier, TOutputProtocol, TStructIdentifier, TType};

type Out<'a> = TBinaryOutputProtocol<&'a mut Vec<u8>>;

/// A field and what it holds.
enum Field<'f> {
    I64(i64),
    I32(i32),
    I16(i16),
    Bytes(&'f [u8]),
    Struct(&'f [(i16, Field<'f>)]),
    Structs(&'f [&'f [(i16, Field<'f>)]]),
}

fn write_struct(out: &mut Out<'_>, fields: &[(i16, Field<'_>)]) -> ::thrift::Result<()> {
    out.write_struct_begin(&TStructIdentifier::new(""))?;
    for (id, field) in fields {
        let mut begin = |kind| out.write_field_begin(&TFieldIdentifier::new("", kind, *id));
        match field {
            Field::I64(number) => begin(TType::I64).and_then(|()| out.write_i64(*number))?,
            Field::I32(number) => begin(TType::I32).and_then(|()| out.write_i32(*number))?,
            Field::I16(number) => begin(TType::I16).and_then(|()| out.write_i16(*number))?,
            Field::Bytes(bytes) => begin(TType::String).and_then(|()| out.write_bytes(bytes))?,
            Field::Struct(fields) => begin(TType::Struct).and_then(|()| write_struct(out, fields))?,
            Field::Structs(structs) => {
                begin(TType::List)?;
                write_list(out, structs)?;
            }
        }
    }
    out.write_field_stop()
}

fn write_list(out: &mut Out<'_>, structs: &[&[(i16, Field<'_>)]]) -> ::thrift::Result<()> {
    out.write_list_begin(&TListIdentifier::new(TType::Struct, i32::try_from(structs.len()).expect("short")))?;
    structs.iter().try_for_each(|fields| write_struct(out, fields))
}

fn list(spans: &[&[(i16, Field<'_>)]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_list(&mut TBinaryOutputProtocol::new(&mut bytes, true), spans).expect("memory");
    bytes
}

#[test]
fn every_field_has_its_place() {
    let endpoint = [(1, Field::I32(0x0a00_0001)), (2, Field::I16(-1)), (3, Field::Bytes(b"front")), (4, Field::Bytes(&[0; 16]))];
    let received = [(1, Field::I64(5)), (2, Field::Bytes(b"sr")), (3, Field::Struct(&endpoint))];
    let tag = [(1, Field::Bytes(b"k")), (2, Field::Bytes(b"v")), (3, Field::I32(6)), (4, Field::Struct(&endpoint))];
    let body = list(&[&[
        (1, Field::I64(-2)),
        (3, Field::Bytes(b"get")),
        (4, Field::I64(3)),
        (5, Field::I64(4)),
        (6, Field::Structs(&[&received])),
        (8, Field::Structs(&[&tag])),
        (9, Field::I64(0)),
        (10, Field::I64(50)),
        (11, Field::I64(60)),
        (12, Field::I64(1)),
        (99, Field::Struct(&endpoint)),
    ]]);
    let spans = parse(&body).expect("a list");
    let span = &spans[0];
    assert_eq!((span.trace_id, span.id, span.parent_id), (1 << 64 | u128::from(u64::MAX - 1), 3, 4));
    assert_eq!((span.name.as_str(), span.timestamp_micros, span.duration_micros), ("get", 50, 60));
    let expected = Endpoint {
        service_name: "front".into(),
        ipv4: Some(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1))),
        ipv6: Some(IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
        port: u16::MAX,
    };
    let seen = &span.annotations[0];
    assert_eq!((seen.timestamp_micros, seen.value.as_str(), seen.endpoint.as_ref()), (5, "sr", Some(&expected)));
    let tag = &span.binary_annotations[0];
    assert_eq!((tag.key.as_str(), tag.value.as_str(), tag.endpoint.as_ref()), ("k", "v", Some(&expected)));
}

#[test]
fn values_have_the_type_that_they_say() {
    for (kind, bytes, text, typed) in [
        (0, &b"\x01"[..], "true", Some(Value::BoolValue(true))),
        (1, b"\x01\x02", "AQI=", None),
        (2, b"\xff\xfe", "-2", Some(Value::IntValue(-2))),
        (3, b"\0\0\x01\0", "256", Some(Value::IntValue(256))),
        (4, b"\0\0\0\0\0\0\x01\0", "256", Some(Value::IntValue(256))),
        (5, b"\x3f\xf8\0\0\0\0\0\0", "1.5", Some(Value::DoubleValue(1.5))),
        (6, b"text", "text", None),
        (3, b"\x01", "AQ==", None),
    ] {
        assert_eq!(value(kind, bytes), (text.to_owned(), typed), "{kind}");
    }
}

#[test]
fn lists_without_ids_or_of_something_else_are_refused() {
    assert_eq!(parse(&list(&[])).map(|spans| spans.len()).ok(), Some(0));
    for bad in [list(&[&[(4, Field::I64(1))]]), list(&[&[(1, Field::I64(1))]]), b"\x0a\0\0\0\x01\0\0\0\0\0\0\0\0".to_vec(), vec![]] {
        assert!(parse(&bad).is_err(), "{bad:?}");
    }
    // Two thousand million spans.
    assert!(matches!(parse(b"\x0c\x7f\xff\xff\xff\0"), Err(DecodeError::Thrift(ThriftError::Truncated))));
}
