use super::*;
use ::thrift::protocol::{
    TBinaryOutputProtocol, TCompactOutputProtocol, TFieldIdentifier, TListIdentifier, TMapIdentifier, TOutputProtocol, TSetIdentifier,
    TStructIdentifier, TType,
};
use proptest::prelude::*;

/// Any value that thrift can write, as far as types matter to skipping.
#[derive(Debug, Clone)]
enum Any {
    Bool(bool),
    Byte(i8),
    I16(i16),
    I32(i32),
    I64(i64),
    Double(f64),
    Bytes(Vec<u8>),
    Struct(Vec<(i16, Any)>),
    Bools(Vec<bool>),
    Texts(Vec<Vec<u8>>),
    Numbers(Vec<(i32, i64)>),
}

fn any_value() -> impl Strategy<Value = Any> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Any::Bool),
        any::<i8>().prop_map(Any::Byte),
        any::<i16>().prop_map(Any::I16),
        any::<i32>().prop_map(Any::I32),
        any::<i64>().prop_map(Any::I64),
        any::<f64>().prop_map(Any::Double),
        any::<Vec<u8>>().prop_map(Any::Bytes),
        prop::collection::vec(any::<bool>(), 0..20).prop_map(Any::Bools),
        prop::collection::vec(any::<Vec<u8>>(), 0..20).prop_map(Any::Texts),
        prop::collection::vec(any::<(i32, i64)>(), 0..20).prop_map(Any::Numbers),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| prop::collection::vec((1i16..2000, inner), 0..6).prop_map(Any::Struct))
}

fn kind_of(value: &Any) -> TType {
    match value {
        Any::Bool(_) => TType::Bool,
        Any::Byte(_) => TType::I08,
        Any::I16(_) => TType::I16,
        Any::I32(_) => TType::I32,
        Any::I64(_) => TType::I64,
        Any::Double(_) => TType::Double,
        Any::Bytes(_) => TType::String,
        Any::Struct(_) => TType::Struct,
        Any::Bools(_) => TType::List,
        Any::Texts(_) => TType::Set,
        Any::Numbers(_) => TType::Map,
    }
}

fn write(out: &mut dyn TOutputProtocol, value: &Any) -> ::thrift::Result<()> {
    let size = |length: usize| i32::try_from(length).expect("short");
    match value {
        Any::Bool(flag) => out.write_bool(*flag),
        Any::Byte(number) => out.write_i8(*number),
        Any::I16(number) => out.write_i16(*number),
        Any::I32(number) => out.write_i32(*number),
        Any::I64(number) => out.write_i64(*number),
        Any::Double(number) => out.write_double(*number),
        Any::Bytes(bytes) => out.write_bytes(bytes),
        Any::Struct(fields) => {
            out.write_struct_begin(&TStructIdentifier::new(""))?;
            for (id, value) in fields {
                out.write_field_begin(&TFieldIdentifier::new("", kind_of(value), *id))?;
                write(out, value)?;
            }
            out.write_field_stop()?;
            out.write_struct_end()
        }
        Any::Bools(flags) => {
            out.write_list_begin(&TListIdentifier::new(TType::Bool, size(flags.len())))?;
            flags.iter().try_for_each(|flag| out.write_bool(*flag))
        }
        Any::Texts(texts) => {
            out.write_set_begin(&TSetIdentifier::new(TType::String, size(texts.len())))?;
            texts.iter().try_for_each(|text| out.write_bytes(text))
        }
        Any::Numbers(numbers) => {
            out.write_map_begin(&TMapIdentifier::new(TType::I32, TType::I64, size(numbers.len())))?;
            numbers.iter().try_for_each(|(key, value)| out.write_i32(*key).and_then(|()| out.write_i64(*value)))
        }
    }
}

/// A struct with a value in field 1 and a number in field 2.
fn framed(value: &Any) -> Any {
    Any::Struct(vec![(1, value.clone()), (2, Any::I64(77))])
}

/// Passes over the first field and reads the second.
fn number_behind<'a>(mut reader: impl Reader<'a>) -> Result<i64, ThriftError> {
    let mut fields = Fields::default();
    let (id, kind) = reader.field(&mut fields)?.expect("a first field");
    assert_eq!(id, 1);
    reader.skip(kind)?;
    assert_eq!(reader.field(&mut fields)?, Some((2, Kind::I64)));
    let number = reader.i64()?;
    assert_eq!(reader.field(&mut fields)?, None);
    Ok(number)
}

proptest! {
    #[test]
    fn what_the_library_writes_is_passed_over(value in any_value()) {
        let (mut binary, mut compact) = (Vec::new(), Vec::new());
        write(&mut TBinaryOutputProtocol::new(&mut binary, true), &framed(&value)).expect("memory");
        write(&mut TCompactOutputProtocol::new(&mut compact), &framed(&value)).expect("memory");
        prop_assert_eq!(number_behind(Binary::new(&binary)), Ok(77));
        prop_assert_eq!(number_behind(Compact::new(&compact)), Ok(77));
    }

    #[test]
    fn numbers_and_bytes_are_read_as_written(short: i16, int: i32, long: i64, double: f64, bytes: Vec<u8>) {
        fn written(out: &mut dyn TOutputProtocol, short: i16, int: i32, long: i64, double: f64, bytes: &[u8]) -> ::thrift::Result<()> {
            out.write_i16(short)?;
            out.write_i32(int)?;
            out.write_i64(long)?;
            out.write_double(double)?;
            out.write_bytes(bytes)
        }
        fn read<'a>(mut reader: impl Reader<'a>) -> Result<(i16, i32, i64, u64, &'a [u8]), ThriftError> {
            Ok((reader.i16()?, reader.i32()?, reader.i64()?, reader.double()?.to_bits(), reader.bytes()?))
        }
        let (mut binary, mut compact) = (Vec::new(), Vec::new());
        written(&mut TBinaryOutputProtocol::new(&mut binary, true), short, int, long, double, &bytes).expect("memory");
        written(&mut TCompactOutputProtocol::new(&mut compact), short, int, long, double, &bytes).expect("memory");
        let expected = (short, int, long, double.to_bits(), &bytes[..]);
        prop_assert_eq!(read(Binary::new(&binary)), Ok(expected));
        prop_assert_eq!(read(Compact::new(&compact)), Ok(expected));
    }

    #[test]
    fn any_bytes_are_passed_over_or_refused(bytes: Vec<u8>) {
        for kind in [Kind::Struct, Kind::List, Kind::Map, Kind::Bytes] {
            let _ = Binary::new(&bytes).skip(kind);
            let _ = Compact::new(&bytes).skip(kind);
        }
        let _ = Binary::new(&bytes).message();
        let _ = Compact::new(&bytes).message();
    }
}

#[test]
fn lengths_are_bounded_by_what_is_left() {
    // 2 GiB - 1 of text, of elements, of entries.
    assert_eq!(Binary::new(b"\x7f\xff\xff\xffabc").bytes(), Err(ThriftError::Truncated));
    assert_eq!(Binary::new(b"\x0c\x7f\xff\xff\xff\0").list(), Err(ThriftError::Truncated));
    assert_eq!(Binary::new(b"\x0b\x0b\x7f\xff\xff\xff\0").map(), Err(ThriftError::Truncated));
    assert_eq!(Binary::new(b"\xff\xff\xff\xff").bytes(), Err(ThriftError::Negative));
    assert_eq!(Compact::new(b"\xff\xff\xff\xff\x07abc").bytes(), Err(ThriftError::Truncated));
    assert_eq!(Compact::new(b"\xfc\xff\xff\xff\xff\x07\0").list(), Err(ThriftError::Truncated));
    assert_eq!(Compact::new(b"\xff\xff\xff\xff\x07\x88\0").map(), Err(ThriftError::Truncated));
    assert_eq!(Compact::new(&[0xff; 11]).i64(), Err(ThriftError::Varint));
}

#[test]
fn nesting_is_bounded() {
    // Structs in structs, lists of lists, maps of maps, a hundred thousand deep.
    let binary = [&b"\x0c\0\x01"[..], b"\x0f\0\0\0\x01", b"\x0d\x0d\0\0\0\x01"].map(|level| level.repeat(100_000));
    let compact = [&b"\x1c"[..], b"\x19", b"\x01\xbb"].map(|level| level.repeat(100_000));
    for (kind, (binary, compact)) in [Kind::Struct, Kind::List, Kind::Map].into_iter().zip(binary.iter().zip(&compact)) {
        assert_eq!(Binary::new(binary).skip(kind), Err(ThriftError::Depth), "{kind:?}");
        assert_eq!(Compact::new(compact).skip(kind), Err(ThriftError::Depth), "{kind:?}");
    }
}

#[test]
fn unknown_types_and_versions_are_refused() {
    assert_eq!(Binary::new(b"nope").field(&mut Fields::default()), Err(ThriftError::Type(b'n')));
    assert_eq!(Compact::new(b"\x1f").field(&mut Fields::default()), Err(ThriftError::Type(15)));
    assert_eq!(Binary::new(b"\x80\x02\0\x01\0\0\0\0").message(), Err(ThriftError::Version));
    assert_eq!(Compact::new(b"\x82\x22\0\0").message(), Err(ThriftError::Version));
    assert_eq!(Compact::new(b"\x80\x21\0\0").message(), Err(ThriftError::Version));
}
