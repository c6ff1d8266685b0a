//! What is decoded and selected is what was written.

use super::super::{ColumnReader, Decoded, DecodedValues, FetchedRanges, ReadErrorKind, SharedPage, SharedPages};
use super::written::{File, Shape, Values, shapes};
use parking_lot::Mutex;
use proptest::prelude::*;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// Decoded rows in the form of the written ones. Compares doubles by their bits.
fn rows_of(decoded: &Decoded, num_rows: usize) -> Values {
    fn spread<T: Clone>(decoded: &Decoded, num_rows: usize, values: Vec<T>) -> Vec<Option<T>> {
        let Some(rows) = &decoded.rows else {
            assert_eq!(values.len(), num_rows);
            return values.into_iter().map(Some).collect();
        };
        assert_eq!(rows.len(), values.len());
        assert!(rows.is_sorted_by(|a, b| a < b));
        let mut out = vec![None; num_rows];
        rows.iter().zip(values).for_each(|(&row, value)| out[row as usize] = Some(value));
        out
    }
    match &decoded.values {
        DecodedValues::Bool(values) => Values::Bool(spread(decoded, num_rows, values.clone())),
        DecodedValues::Int32(values) => Values::Int32(spread(decoded, num_rows, values.clone())),
        DecodedValues::Int64(values) => Values::Int64(spread(decoded, num_rows, values.clone())),
        DecodedValues::Double(values) => Values::Double(spread(decoded, num_rows, values.clone())),
        DecodedValues::Codes(codes, table) => {
            let start = |code: u32| code.checked_sub(1).map_or(0, |before| table.0[before as usize] as usize);
            let string = |&code: &u32| table.1[start(code)..table.0[code as usize] as usize].to_vec();
            Values::Bytes(spread(decoded, num_rows, codes.iter().map(string).collect()))
        }
        DecodedValues::Fixed(bytes, width) => {
            assert_eq!(*width, 5);
            Values::Fixed(spread(decoded, num_rows, bytes.as_chunks::<5>().0.to_vec()))
        }
    }
}

fn same(left: &Values, right: &Values) -> bool {
    match (left, right) {
        (Values::Double(left), Values::Double(right)) => {
            left.iter().map(|v| v.map(f64::to_bits)).eq(right.iter().map(|v| v.map(f64::to_bits)))
        }
        _ => left == right,
    }
}

fn part(len: usize, part: (usize, usize)) -> Range<usize> {
    let start = part.0 % (len + 1);
    start..start + part.1 % (len - start + 1)
}

/// Rows that pass a condition of the column's type, by the reader and by hand.
fn check_selection(file: &File, reader: &ColumnReader, rows: Range<usize>, values: &Values) {
    fn passing<T>(rows: &[Option<T>], passes: impl Fn(&T) -> bool) -> Vec<u32> {
        rows.iter().zip(0..).filter(|(value, _)| value.as_ref().is_some_and(&passes)).map(|(_, row)| row).collect()
    }
    let fetched = file.fetch(reader.bytes_of_rows(rows.clone()));
    let (found, expected) = match values {
        Values::Bool(values) => (reader.select_bools(&fetched, rows, |v| !v), passing(values, |v| !v)),
        Values::Double(values) => (reader.select_doubles(&fetched, rows, |v| v > 0.5), passing(values, |v| *v > 0.5)),
        Values::Bytes(values) => {
            let needle = values.iter().flatten().map(|v| &v[..v.len().min(2)]).next_back().unwrap_or_default();
            let holds = |v: &[u8]| v.len() > 1 && v.windows(needle.len().max(1)).any(|part| needle.is_empty() || part == needle);
            (reader.select_strings(&fetched, rows, needle, holds), passing(values, |v| holds(v)))
        }
        Values::Fixed(values) => (reader.select_strings(&fetched, rows, &[], |v| v[0] & 1 == 0), passing(values, |v| v[0] & 1 == 0)),
        Values::Int32(values) => (select_at_least(file, reader, rows, 1), passing(values, |v| *v >= 1)),
        Values::Int64(values) => (select_at_least(file, reader, rows, 1 << 40), passing(values, |v| *v >= 1 << 40)),
    };
    assert_eq!(found, Ok(expected));
}

/// Single rows, decoded from the bytes that they need.
fn check_some(file: &File, reader: &ColumnReader, wanted: &[u32], all: &Values) {
    fn only<T: Clone>(all: &[Option<T>], wanted: &[u32]) -> Vec<Option<T>> {
        let kept = |(row, value): (u32, &Option<T>)| value.clone().filter(|_| wanted.contains(&row));
        (0..).zip(all).map(kept).collect()
    }
    let decoded = reader.decode_some(&file.fetch(reader.bytes_of_some(wanted)), wanted).expect("sound file");
    let (expected, len) = match all {
        Values::Bool(values) => (Values::Bool(only(values, wanted)), values.len()),
        Values::Int32(values) => (Values::Int32(only(values, wanted)), values.len()),
        Values::Int64(values) => (Values::Int64(only(values, wanted)), values.len()),
        Values::Double(values) => (Values::Double(only(values, wanted)), values.len()),
        Values::Bytes(values) => (Values::Bytes(only(values, wanted)), values.len()),
        Values::Fixed(values) => (Values::Fixed(only(values, wanted)), values.len()),
    };
    assert!(same(&rows_of(&decoded, len), &expected));
}

/// All pages that readers of one column chunk leave.
#[derive(Default)]
struct KeptPages(Mutex<HashMap<usize, Arc<SharedPage>>>);

impl SharedPages for KeptPages {
    fn get(&self, page: usize) -> Option<Arc<SharedPage>> {
        self.0.lock().get(&page).cloned()
    }

    fn put(&self, page: usize, shared: Arc<SharedPage>) {
        self.0.lock().insert(page, shared);
    }
}

/// A reader with the pages of another one, with its dictionary and without.
fn check_shared(file: &File, group: usize, rows: &Range<usize>, expected: &Values) {
    let kept = Arc::new(KeptPages::default());
    let reader = || file.reader(group).with_shared_pages(Arc::clone(&kept) as _);
    let check = |reader: &ColumnReader| {
        let decoded = reader.decode_rows(&file.fetch(reader.bytes_of_rows(rows.clone())), rows.clone()).expect("sound file");
        assert!(same(&rows_of(&decoded, rows.len()), expected));
    };
    let first = reader();
    check(&first);
    check(&reader());
    if let Some(dictionary) = first.decoded_dictionary() {
        let second = reader().with_dictionary(Arc::clone(dictionary));
        assert!(kept.0.lock().is_empty() || second.bytes_of_rows(rows.clone()).is_empty());
        check(&second);
    }
}

/// Selection by the entries of a dictionary of numbers.
fn check_entries(file: &File, reader: &ColumnReader, values: &Values) {
    let Values::Int64(values) = values else { return };
    if reader.is_all_null() {
        return;
    }
    let fetched = file.fetch(reader.bytes_of_all());
    let entries = reader.dictionary(&fetched).expect("sound file").and_then(DecodedValues::of_dictionary);
    if let (Some(DecodedValues::Int64(entries)), true) = (entries, reader.is_fully_dictionary_coded()) {
        let passes: Vec<bool> = entries.iter().map(|entry| entry % 2 == 0).collect();
        let expected: Vec<u32> =
            (0..).zip(values).filter(|(_, value)| value.is_some_and(|value| value % 2 == 0)).map(|(row, _)| row).collect();
        assert_eq!(reader.select_entries(&fetched, &passes), Ok(expected));
    }
}

/// Only with the bytes that pruning leaves.
fn select_at_least(file: &File, reader: &ColumnReader, rows: Range<usize>, least: i64) -> Result<Vec<u32>, super::super::ReadError> {
    let may_pass = |_: i64, max: i64| max >= least;
    let fetched = file.fetch(reader.bytes_of_int_selection(rows.clone(), &may_pass));
    reader.select_ints(&fetched, rows, &may_pass, |value| value >= least)
}

fn check_statistics(reader: &ColumnReader, values: &Values) {
    let (nulls, ints): (usize, Vec<i64>) = match values {
        Values::Int32(rows) => (rows.iter().filter(|v| v.is_none()).count(), rows.iter().flatten().map(|&v| v.into()).collect()),
        Values::Int64(rows) => (rows.iter().filter(|v| v.is_none()).count(), rows.iter().flatten().copied().collect()),
        Values::Bytes(rows) => (rows.iter().filter(|v| v.is_none()).count(), Vec::new()),
        _ => return,
    };
    assert_eq!(reader.null_count(), Some(nulls));
    assert_eq!(reader.int_bounds(), ints.iter().copied().min().zip(ints.iter().copied().max()));
    if ints.iter().all(|&int| int >= 0) {
        assert_eq!(reader.uint_bounds(), ints.iter().map(|&int| int as u64).min().zip(ints.iter().map(|&int| int as u64).max()));
    }
}

fn check_dictionary(file: &File, reader: &ColumnReader, values: &Values) {
    let fetched = file.fetch(reader.bytes_of_dictionary());
    let dictionary = reader.dictionary(&fetched).expect("sound dictionary");
    if let (Some(dictionary), Values::Bytes(rows), true) = (dictionary, values, reader.is_fully_dictionary_coded()) {
        let entries: Vec<&[u8]> = dictionary.strings().collect();
        assert_eq!(entries.len(), dictionary.len());
        assert!(rows.iter().flatten().all(|string| entries.contains(&&string[..])));
    }
}

#[test]
fn codes_of_a_mixed_chunk_go_on_after_the_dictionary() {
    let strings: Vec<Option<Vec<u8>>> = (0..300).map(|row| (row % 5 > 0).then(|| format!("{}", row % 90).into_bytes())).collect();
    let shape = Shape::mixed(Values::Bytes(strings.clone()));
    let file = shape.write();
    let reader = file.reader(0);
    let fetched = file.fetch(reader.bytes_of_all());
    let dictionary_len = reader.dictionary(&fetched).expect("sound").map_or(0, |dictionary| dictionary.len());
    assert!(dictionary_len > 0 && !reader.is_fully_dictionary_coded());
    let decoded = reader.decode_all(&fetched).expect("sound");
    assert_eq!(rows_of(&decoded, 300), Values::Bytes(strings.clone()));
    let DecodedValues::Codes(codes, table) = decoded.values else { panic!("no strings") };
    let num_plain = codes.iter().filter(|&&code| code as usize >= dictionary_len).count();
    assert_eq!((table.0.len(), codes.last()), (dictionary_len + num_plain, Some(&(table.0.len() as u32 - 1))));

    // Only plain strings pass, then only coded ones.
    let table = |pass| vec![pass; dictionary_len];
    let plain = reader.select_codes(&fetched, 0..300, &table(false), &[], |_| true).expect("sound");
    let coded = reader.select_codes(&fetched, 0..300, &table(true), &[], |_| false).expect("sound");
    assert_eq!((plain.len(), coded.len()), (num_plain, 240 - num_plain));
    let short = reader.select_codes(&fetched, 0..300, &[], &[], |_| false).map_err(|error| error.kind());
    assert_eq!(short, Err(ReadErrorKind::Misuse));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn reads_what_was_written(shape in shapes(), parts in prop::collection::vec(any::<(usize, usize)>(), 3)) {
        let file = shape.write();
        for (group, rows) in shape.groups().into_iter().enumerate() {
            let values = shape.values.slice(rows.clone());
            let reader = file.reader(group);
            let all = reader.decode_all(&file.fetch(reader.bytes_of_all())).expect("sound file");
            prop_assert!(same(&rows_of(&all, rows.len()), &values));
            check_statistics(&reader, &values);
            check_dictionary(&file, &reader, &values);
            for part in parts.iter().map(|&numbers| part(rows.len(), numbers)) {
                let reader = file.reader(group);
                let decoded = reader.decode_rows(&file.fetch(reader.bytes_of_rows(part.clone())), part.clone()).expect("sound file");
                prop_assert!(same(&rows_of(&decoded, part.len()), &values.slice(part.clone())));
                check_selection(&file, &reader, part.clone(), &values.slice(part.clone()));
                check_shared(&file, group, &part, &values.slice(part.clone()));
                let some: Vec<u32> = part.step_by([1, 2, 5, 20, 40][rows.len() % 5]).map(|row| row as u32).collect();
                check_some(&file, &file.reader(group), &some, &rows_of(&all, rows.len()));
            }
            check_entries(&file, &file.reader(group), &values);
        }
    }

    #[test]
    fn bytes_that_were_not_fetched_are_an_error(shape in shapes()) {
        let file = shape.write();
        for group in 0..shape.groups().len() {
            let reader = file.reader(group);
            match reader.decode_all(&FetchedRanges::default()) {
                Ok(decoded) => prop_assert!(reader.is_all_null() && decoded.values.is_empty()),
                Err(error) => prop_assert_eq!(error.kind(), ReadErrorKind::MissingBytes),
            }
            let beyond = 0..reader.num_rows() + 1;
            let fetched = file.fetch(reader.bytes_of_all());
            prop_assert_eq!(reader.decode_rows(&fetched, beyond).map_err(|error| error.kind()), Err(ReadErrorKind::Misuse));
        }
    }
}
