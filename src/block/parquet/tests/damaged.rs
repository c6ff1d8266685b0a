//! Damaged and forged files give errors or wrong values, never a panic or a huge allocation.

use super::super::layout::ChunkLayout;
use super::super::{ColumnReader, FetchedRanges};
use super::written::{File, shapes};
use bytes::Bytes;
use parquet::file::page_index::offset_index::PageLocation;
use proptest::prelude::*;

/// Everything that reads pages.
fn read_all(reader: &ColumnReader, fetched: &FetchedRanges) {
    let (rows, third) = (0..reader.num_rows(), reader.num_rows() / 3);
    for range in [rows.clone(), third..2 * third] {
        if let Ok(decoded) = reader.decode_rows(fetched, range.clone()) {
            assert!(decoded.values.len() <= range.len());
            assert!(decoded.rows.iter().flatten().all(|&row| (row as usize) < range.len()));
            if let super::super::DecodedValues::Codes(codes, table) = decoded.values {
                assert!(table.0.is_sorted() && table.0.last().is_none_or(|&end| end as usize == table.1.len()));
                assert!(codes.iter().all(|&code| (code as usize) < table.0.len()));
            }
        }
        let _ = reader.select_strings(fetched, range.clone(), &[], |string: &[u8]| string.len() > 2);
        let some: Vec<u32> = range.clone().step_by(3).map(|row| row as u32).collect();
        let _ = reader.decode_some(fetched, &some);
        let _ = reader.select_ints(fetched, range.clone(), &|_, _| true, |value| value > 2);
        let _ = reader.select_doubles(fetched, range.clone(), |value| value > 2.0);
        let _ = reader.select_bools(fetched, range, |value| value);
    }
}

fn read_damaged(file: &File, groups: usize, bytes: Vec<u8>) {
    let fetched = FetchedRanges::new(vec![(0, Bytes::from(bytes))]);
    for group in 0..groups {
        read_all(&file.reader(group), &fetched);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn changed_bytes_never_panic(shape in shapes(), changes in prop::collection::vec((any::<usize>(), any::<u8>()), 1..6)) {
        let file = shape.write();
        let mut bytes = file.bytes.to_vec();
        let data_len = file.metadata.row_groups().iter().flat_map(|group| group.columns()).map(|column| column.byte_range());
        let data_len = data_len.map(|(start, len)| start + len).max().unwrap_or(4) as usize;
        for (at, byte) in changes {
            bytes[at % data_len] = byte;
        }
        read_damaged(&file, shape.groups().len(), bytes);
    }

    #[test]
    fn cut_bytes_never_panic(shape in shapes(), len in any::<usize>()) {
        let file = shape.write();
        let bytes = file.bytes[..len % (file.bytes.len() + 1)].to_vec();
        read_damaged(&file, shape.groups().len(), bytes);
    }

    #[test]
    fn forged_footers_never_panic(
        shape in shapes(),
        offsets in prop::collection::vec(prop_oneof![any::<i64>(), -5i64..500], 4),
        has_dictionary: bool,
        num_rows in prop_oneof![0usize..400, Just(1 << 24)],
        locations in prop::collection::vec((-5i64..500, -5i32..500, -5i64..400), 0..4),
    ) {
        let file = shape.write();
        let Some(group) = file.metadata.row_groups().first() else { return Ok(()) };
        let column = group.column(0).clone().into_builder()
            .set_data_page_offset(offsets[0])
            .set_dictionary_page_offset(has_dictionary.then_some(offsets[1]))
            .set_total_compressed_size(offsets[2])
            .set_total_uncompressed_size(offsets[3])
            .build().expect("nothing is checked");
        let locations: Vec<_> = locations.into_iter()
            .map(|(offset, compressed_page_size, first_row_index)| PageLocation { offset, compressed_page_size, first_row_index })
            .collect();
        let _ = ChunkLayout::new(&column, Some(&locations), num_rows);
        let columns = vec![column];
        let group = group.clone().into_builder().set_column_metadata(columns).set_num_rows(num_rows as i64).build().expect("one column");
        let metadata = file.metadata.as_ref().clone().into_builder().set_row_groups(vec![group]).build();
        if let Ok(reader) = ColumnReader::new(metadata.into(), 0, 0) {
            read_all(&reader, &FetchedRanges::new(vec![(0, file.bytes.clone())]));
        }
    }
}
