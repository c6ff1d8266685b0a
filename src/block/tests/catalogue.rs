//! What a catalogue says is what the data says.

use super::columns::KINDS;
use super::merge::{inputs, merge};
use super::runs;
use super::support::open;
use crate::block::arrange::ROW_GROUP_ROWS;
use crate::block::reader::{Block, Table};
use crate::block::source::RowGroupSource;
use crate::columns::known::{Catalogue, Holder, Known};
use crate::columns::value::ValueRef;
use crate::columns::view::{Column, ColumnId, Detail, SpanSource, Values};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// A value in a form that has an order.
type Printed = String;

fn printed(column: &Column<'_>) -> BTreeSet<Printed> {
    let numbers = |values: &Values<'_>| match values {
        Values::Enum(numbers) => numbers.iter().map(|number| number.to_string()).collect(),
        Values::U64(numbers) => numbers.iter().map(u64::to_string).collect(),
        _ => BTreeSet::new(),
    };
    match &column.values {
        values @ (Values::Enum(_) | Values::U64(_)) => numbers(values),
        Values::Text(codes, strings) | Values::Any(codes, strings) => {
            codes.iter().map(|code| format!("{:?}", strings.get(*code))).collect()
        }
        Values::Int(values) => values.iter().map(|value| format!("{:?}", ValueRef::Int(*value))).collect(),
        Values::Double(values) => values.iter().map(|value| value.to_bits().to_string()).collect(),
        Values::Bool(values) => values.iter().map(|value| value.to_string()).collect(),
        Values::U32(_) => BTreeSet::new(),
    }
}

fn keys(block: &Block, table: &Table) -> Vec<String> {
    block.attribute_keys(table).expect("own files").collect()
}

/// The row groups of a holder.
struct Sources<'s>(Vec<&'s dyn SpanSource>);

impl Sources<'_> {
    /// The distinct values of a column in all row groups.
    fn stored(&self, id: ColumnId<'_>) -> BTreeSet<Printed> {
        self.0.iter().flat_map(|source| source.column(id).expect("own files").iter().flat_map(printed).collect::<Vec<_>>()).collect()
    }
}

fn check_column(block: &Block, holder: Holder, sources: &Sources<'_>, id: ColumnId<'_>) -> Result<(), TestCaseError> {
    let catalogue = block.catalogue().expect("own files").expect("every block has one");
    let stored = sources.stored(id);
    match catalogue.column(holder, id) {
        Known::Nothing => {}
        Known::Absent => prop_assert_eq!(stored, BTreeSet::new()),
        Known::Values(column) => {
            prop_assert_eq!(printed(column), stored);
            prop_assert_eq!(printed(column).len(), column.len());
        }
        Known::Ints(..) | Known::Doubles(..) | Known::Texts(_) => prop_assert!(false, "these are few"),
    }
    Ok(())
}

/// Compares the catalogue of a small block with its data.
fn check_catalogue(block: &Block) -> Result<(), TestCaseError> {
    let catalogue = block.catalogue().expect("own files").expect("every block has one");
    let groups: Vec<_> = (0..block.row_groups().len()).map(|group| RowGroupSource::open(block, group).expect("own files")).collect();
    let details = |of| groups.iter().filter_map(|group| group.details(of).expect("own files")).collect::<Vec<_>>();
    let (events, links) = (details(Detail::Event), details(Detail::Link));
    let spans = Sources(groups.iter().map(|group| group as &dyn SpanSource).collect());
    let events = Sources(events.iter().map(|events| &**events).collect());
    let links = Sources(links.iter().map(|links| &**links).collect());
    for id in [ColumnId::Name, ColumnId::Kind, ColumnId::Status, ColumnId::StatusMessage, ColumnId::Duration] {
        check_column(block, Holder::Span, &spans, id)?;
    }
    check_column(block, Holder::Event, &events, ColumnId::Name)?;
    let (event_table, link_table) = (block.events().expect("own files"), block.links().expect("own files"));
    prop_assert_eq!(catalogue.has(Holder::Event), event_table.is_some());
    prop_assert_eq!(catalogue.has(Holder::Link), link_table.is_some());
    let tables = [
        (Holder::Span, spans, Some(block.data().expect("own files"))),
        (Holder::Event, events, event_table),
        (Holder::Link, links, link_table),
    ];
    for (holder, sources, table) in tables {
        let of_table: BTreeSet<String> = table.into_iter().flat_map(|table| keys(block, table)).collect();
        prop_assert_eq!(catalogue.keys(holder), Some(of_table.iter().map(String::as_str).collect()));
        for key in of_table.iter().map(String::as_str).chain(["no such key"]) {
            for kind in KINDS {
                check_column(block, holder, &sources, ColumnId::Attribute { key, kind })?;
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_catalogue_says_what_the_data_says(blocks in vec(runs(), 1..3), group_rows in prop_oneof![Just(4), Just(ROW_GROUP_ROWS)]) {
        let inputs = inputs(&blocks, group_rows);
        inputs.iter().try_for_each(|block| check_catalogue(block))?;
        if !inputs.is_empty() {
            check_catalogue(&open(&merge(&inputs, group_rows)))?;
        }
    }
}
