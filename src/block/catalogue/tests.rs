use super::collect::{ColumnCollector, MAX_VALUES};
use super::message::{CatalogueMessage, ColumnMessage, HolderMessage};
use super::{Catalogue, CatalogueWriter, ColumnName};
use crate::block::dictionary_chunk::Entries;
use crate::block::table::Cells;
use crate::columns::ValueKind;
use crate::columns::known::{Catalogue as _, Holder, Known};
use crate::columns::view::Values;
use parquet::bloom_filter::Sbbf;
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use prost::Message;
use std::collections::{BTreeMap, BTreeSet};

/// The same file without the lists of values, so that bounds and filters have to do.
pub(crate) fn without_lists(file: &[u8]) -> Vec<u8> {
    let mut message = CatalogueMessage::decode(file).expect("our own");
    for encoded in message.holders.iter_mut().flat_map(|holder| &mut holder.columns) {
        let mut column = ColumnMessage::decode(encoded.clone()).expect("our own");
        if column.kind == 1 && !column.lengths.is_empty() {
            let mut filter = Sbbf::new_with_num_of_bytes(1 << 10);
            let mut rest = &column.bytes[..];
            for length in &column.lengths {
                let (text, after) = rest.split_at(*length as usize);
                filter.insert(text);
                rest = after;
            }
            filter.write_bitset(&mut column.filter).expect("memory");
        }
        column.is_complete = false;
        *encoded = column.encode_to_vec().into();
    }
    message.encode_to_vec()
}

fn attribute(kind: ValueKind) -> ColumnName {
    ColumnName::Attribute { key: "k".to_string(), kind }
}

/// The file with one column of spans, read.
fn read_back(collector: ColumnCollector, num_spans: usize) -> Catalogue {
    let mut writer = CatalogueWriter::new(num_spans);
    writer.add_table(Holder::Span, vec![collector], &BTreeSet::new());
    Catalogue::decode(&writer.encode().into()).expect("our own").expect("of this version")
}

fn texts_of(known: &Known<'_>) -> Option<Vec<Vec<u8>>> {
    let Known::Values(column) = known else { return None };
    let Values::Text(codes, strings) = &column.values else { return None };
    Some(codes.iter().map(|code| strings.get(*code).to_vec()).collect())
}

/// A row group of texts: with a dictionary, or as they are.
fn add_texts(collector: &mut ColumnCollector, texts: &[Vec<u8>], is_coded: bool) {
    if !is_coded {
        return collector.add(&Cells::Bytes(texts.iter().map(|text| text.clone().into()).collect()), true);
    }
    let distinct: Vec<&Vec<u8>> = texts.iter().collect::<BTreeSet<_>>().into_iter().collect();
    let codes: Vec<u32> = texts.iter().map(|text| distinct.binary_search(&text).expect("one of them") as u32).collect();
    collector.add(&Cells::Coded(&codes, &Entries::strings(distinct.iter().map(|text| &text[..]))), true);
}

proptest! {
    #[test]
    fn few_texts_are_listed_and_counted(groups in vec((vec(vec(any::<u8>(), 0..3), 0..40), any::<bool>()), 0..5)) {
        let mut collector = ColumnCollector::new(attribute(ValueKind::Str), 1000);
        let mut expected: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
        for (texts, is_coded) in &groups {
            add_texts(&mut collector, texts, *is_coded);
            texts.iter().for_each(|text| *expected.entry(text.clone()).or_default() += 1);
        }
        let counts: BTreeMap<Vec<u8>, u64> =
            collector.values.iter().flatten().map(|(text, count)| (text.to_vec(), *count)).collect();
        prop_assert_eq!(&counts, &expected);
        prop_assert_eq!(collector.num_values, expected.values().sum::<u64>());
        let catalogue = read_back(collector, 1000);
        let known = catalogue.attribute(Holder::Span, "k", ValueKind::Str);
        if expected.is_empty() {
            prop_assert!(matches!(known, Known::Absent));
        } else {
            prop_assert_eq!(texts_of(&known), Some(expected.into_keys().collect()));
        }
    }

    #[test]
    fn numbers_are_listed_or_bounded(values in btree_set(any::<i64>(), 1..2 * MAX_VALUES), is_coded: bool) {
        let values: Vec<i64> = values.into_iter().collect();
        let mut collector = ColumnCollector::new(attribute(ValueKind::Int), 1000);
        if is_coded {
            let codes: Vec<u32> = (0..values.len() as u32).collect();
            collector.add(&Cells::Coded(&codes, &Entries::fixed(values.iter().map(|value| value.to_le_bytes()))), true);
        } else {
            collector.add(&Cells::I64(&values), true);
        }
        let catalogue = read_back(collector, 1000);
        match catalogue.attribute(Holder::Span, "k", ValueKind::Int) {
            Known::Values(column) => {
                let Values::Int(ints) = &column.values else { return Err(TestCaseError::fail("no integers")) };
                let listed: BTreeSet<i64> = ints.iter().copied().collect();
                prop_assert_eq!(listed, values.iter().copied().collect());
                prop_assert!(values.len() <= MAX_VALUES);
            }
            Known::Ints(min, max) => {
                prop_assert_eq!(Some((min, max)), values.iter().copied().min().zip(values.iter().copied().max()));
                prop_assert!(values.len() > MAX_VALUES);
            }
            _ => prop_assert!(false, "something is known of it"),
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
        let _ = Catalogue::decode(&bytes.into());
    }

    #[test]
    fn a_damaged_file_is_read_or_refused(at: prop::sample::Index, with: u8, cut: prop::sample::Index, is_cut: bool) {
        let mut collector = ColumnCollector::new(attribute(ValueKind::Str), 1000);
        add_texts(&mut collector, &[b"a".to_vec(), b"bc".to_vec()], true);
        let mut filtered = ColumnCollector::new(attribute(ValueKind::Any), 1000);
        add_texts(&mut filtered, &[b"a".to_vec()], true);
        let mut ints = ColumnCollector::new(ColumnName::Kind, 1000);
        ints.add(&Cells::I32(&[1, 2, 3]), true);
        let mut writer = CatalogueWriter::new(1000);
        writer.add_table(Holder::Span, vec![collector, filtered, ints], &BTreeSet::from(["other".to_string()]));
        let mut bytes = without_lists(&writer.encode());
        let at = at.index(bytes.len());
        bytes[at] = with;
        if is_cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(Some(catalogue)) = Catalogue::decode(&bytes.into())
            && let Known::Texts(texts) = catalogue.attribute(Holder::Span, "k", ValueKind::Str)
        {
            texts.may_contain(b"a");
        }
    }
}

#[test]
fn many_texts_get_a_filter() {
    let num_spans = 40_000;
    let texts = |first: usize| -> Vec<Vec<u8>> { (first..first + 3000).map(|number| format!("order {number}").into_bytes()).collect() };
    let mut collector = ColumnCollector::new(attribute(ValueKind::Str), num_spans);
    add_texts(&mut collector, &texts(0), true);
    add_texts(&mut collector, &texts(3000), false);
    let catalogue = read_back(collector, num_spans);
    let Known::Texts(filter) = catalogue.attribute(Holder::Span, "k", ValueKind::Str) else { panic!("there is a filter") };
    assert!(texts(0).iter().chain(&texts(3000)).all(|text| filter.may_contain(text)));
    let num_wrong = texts(100_000).iter().filter(|text| filter.may_contain(text)).count();
    // 8 KiB for 6,000 texts are 11 bits each: about 1 % pass.
    assert!(num_wrong < 150, "{num_wrong} of 3000");
}

#[test]
fn too_many_texts_get_no_filter() {
    let texts: Vec<Vec<u8>> = (0..10_000).map(|number: u32| number.to_le_bytes().to_vec()).collect();
    for is_coded in [true, false] {
        let mut collector = ColumnCollector::new(attribute(ValueKind::Str), 10_000);
        add_texts(&mut collector, &texts, is_coded);
        assert!(!collector.has_filter());
        assert!(matches!(read_back(collector, 10_000).attribute(Holder::Span, "k", ValueKind::Str), Known::Nothing));
    }
}

#[test]
fn the_file_keeps_its_budget() {
    // 300 keys with 250 values of 100 bytes are 7.5 MB; 64 KiB of them are listed.
    let columns = (0..300).map(|number| {
        let mut collector = ColumnCollector::new(ColumnName::Attribute { key: format!("key {number}"), kind: ValueKind::Str }, 5000);
        let texts: Vec<Vec<u8>> = (0..250).map(|value| format!("{value:0100}").into_bytes()).collect();
        add_texts(&mut collector, &texts, true);
        collector
    });
    let mut writer = CatalogueWriter::new(5000);
    writer.add_table(Holder::Span, columns.collect(), &BTreeSet::new());
    let bytes = writer.encode();
    assert!(bytes.len() < 80 << 10, "{}", bytes.len());
    let catalogue = Catalogue::decode(&bytes.into()).expect("our own").expect("of this version");
    let is_listed = |key: &str| matches!(catalogue.attribute(Holder::Span, key, ValueKind::Str), Known::Values(_));
    assert_eq!(catalogue.keys(Holder::Span).map(|keys| keys.len()), Some(300));
    assert_eq!((0..300).filter(|number| is_listed(&format!("key {number}"))).count(), 2);
}

#[test]
fn keys_without_columns_are_known_by_name_only() {
    let mut writer = CatalogueWriter::new(10);
    writer.add_table(Holder::Span, Vec::new(), &BTreeSet::from(["bare".to_string()]));
    let catalogue = Catalogue::decode(&writer.encode().into()).expect("our own").expect("of this version");
    assert!(matches!(catalogue.attribute(Holder::Span, "bare", ValueKind::Str), Known::Nothing));
    assert!(matches!(catalogue.attribute(Holder::Span, "other", ValueKind::Str), Known::Absent));
    assert!(matches!(catalogue.attribute(Holder::Event, "bare", ValueKind::Str), Known::Absent));
    assert_eq!(catalogue.keys(Holder::Span), Some(BTreeSet::from(["bare"])));
    assert_eq!(catalogue.attribute_values(Holder::Span, "bare").map(|columns| columns.len()), None);
}

#[test]
fn a_later_version_is_not_used() {
    let later = CatalogueMessage { version: 2, ..CatalogueMessage::default() };
    assert!(Catalogue::decode(&later.encode_to_vec().into()).expect("a message").is_none());
}

#[test]
fn nan_has_no_bounds() {
    let values: Vec<f64> = (0..1000).map(f64::from).collect();
    for (has_nan, values) in [(false, values.clone()), (true, [values, vec![f64::NAN]].concat())] {
        let mut collector = ColumnCollector::new(attribute(ValueKind::Double), 1000);
        collector.add(&Cells::F64(&values), true);
        let catalogue = read_back(collector, 1000);
        let known = catalogue.attribute(Holder::Span, "k", ValueKind::Double);
        assert_eq!(has_nan, matches!(known, Known::Nothing));
        assert_eq!(!has_nan, matches!(known, Known::Doubles(0.0, 999.0)));
    }
}

#[test]
fn too_many_columns_are_refused() {
    let holder = HolderMessage { holder: 1, columns: vec![Default::default(); (1 << 16) + 1], ..HolderMessage::default() };
    let message = CatalogueMessage { version: 1, holders: vec![holder], ..CatalogueMessage::default() };
    assert_eq!(Catalogue::decode(&message.encode_to_vec().into()).err().map(|error| error.to_string()).as_deref(), Some("it is too large"));
}

#[test]
fn long_keys_are_left_open() {
    let key = "k".repeat(2000);
    let mut writer = CatalogueWriter::new(10);
    let mut collector = ColumnCollector::new(ColumnName::Attribute { key: key.clone(), kind: ValueKind::Str }, 10);
    add_texts(&mut collector, &[b"a".to_vec()], true);
    writer.add_table(Holder::Span, vec![collector], &BTreeSet::new());
    let catalogue = Catalogue::decode(&writer.encode().into()).expect("our own").expect("of this version");
    assert!(matches!(catalogue.attribute(Holder::Span, &key, ValueKind::Str), Known::Nothing));
    assert_eq!(catalogue.keys(Holder::Span), None);
}
