//! What the catalogues of blocks tell, so that no data is read.

use super::names::Names;
use super::values::{Values, add_column};
use crate::block::catalogue::Catalogue;
use crate::block::reader::Block;
use crate::columns::known::Holder;
use crate::columns::view::{Column, ColumnId, Values as Of};
use crate::querier::QueryError;
use crate::querier::unit::{UnitId, Units};
use crate::traceql::ast::{Attribute, Intrinsic, Kind, Scope, Status};
use crate::traceql::eval::Scalar;
use std::collections::{BTreeMap, BTreeSet};

/// Holders of attributes by the word of their scope.
const SCOPES: [(&str, Holder); 5] = [
    ("resource", Holder::Resource),
    ("instrumentation", Holder::Instrumentation),
    ("span", Holder::Span),
    ("event", Holder::Event),
    ("link", Holder::Link),
];

/// Adds the names of a block's attributes; false, and nothing added, if its catalogue does not have all of them.
pub(super) fn add_names(block: &Block, names: &mut Names) -> Result<bool, QueryError> {
    let Some(catalogue) = block.catalogue()? else { return Ok(false) };
    let all: Option<Vec<_>> = SCOPES.into_iter().map(|(scope, holder)| Some((scope, catalogue.keys(holder)?))).collect();
    let Some(all) = all else { return Ok(false) };
    for (scope, keys) in all {
        names.entry(scope).or_default().extend(keys.into_iter().map(str::to_string));
    }
    Ok(true)
}

/// Adds the values that catalogues list, and tells the units whose data need not be read for it: those of blocks that are asked
/// for whole and whose catalogue has all values of all `parts`.
pub(super) fn add_values(
    units: &Units<'_>,
    asked: &[UnitId],
    parts: &[Attribute],
    values: &mut Values,
) -> Result<BTreeSet<UnitId>, QueryError> {
    let mut by_block: BTreeMap<usize, BTreeSet<UnitId>> = BTreeMap::new();
    for unit in asked {
        if let UnitId::Group(block, _) = unit {
            by_block.entry(*block).or_default().insert(*unit);
        }
    }
    let mut told = BTreeSet::new();
    for (at, of_block) in by_block {
        let block = &units.snapshot().blocks[at];
        if of_block.len() == block.row_groups().len() && add_values_of(block, parts, values)? {
            told.extend(of_block);
        }
    }
    Ok(told)
}

fn add_values_of(block: &Block, parts: &[Attribute], values: &mut Values) -> Result<bool, QueryError> {
    let Some(catalogue) = block.catalogue()? else { return Ok(false) };
    let columns: Option<Vec<_>> = parts.iter().map(|part| listed(catalogue, part)).collect();
    let Some(columns) = columns else { return Ok(false) };
    for (part, column) in parts.iter().zip(columns).flat_map(|(part, columns)| columns.into_iter().map(move |column| (part, column))) {
        match &column.values {
            Of::Enum(numbers) => numbers.iter().for_each(|number| values.add(&word(part, *number))),
            _ => add_column(column, None, values)?,
        }
    }
    Ok(true)
}

/// All values of an attribute; `None` if the catalogue does not list them.
fn listed<'c>(catalogue: &'c Catalogue, attribute: &Attribute) -> Option<Vec<&'c Column<'static>>> {
    match attribute {
        Attribute::Scoped { scope, key } => {
            let holder = match scope {
                Scope::Span => Holder::Span,
                Scope::Resource => Holder::Resource,
                Scope::Instrumentation => Holder::Instrumentation,
                Scope::Event => Holder::Event,
                Scope::Link => Holder::Link,
                _ => return None,
            };
            catalogue.attribute_values(holder, key)
        }
        Attribute::Intrinsic(Intrinsic::Name) => catalogue.intrinsic_values(Holder::Span, ColumnId::Name),
        Attribute::Intrinsic(Intrinsic::Kind) => catalogue.intrinsic_values(Holder::Span, ColumnId::Kind),
        Attribute::Intrinsic(Intrinsic::Status) => catalogue.intrinsic_values(Holder::Span, ColumnId::Status),
        Attribute::Intrinsic(Intrinsic::EventName) => catalogue.intrinsic_values(Holder::Event, ColumnId::Name),
        _ => None,
    }
}

/// The word for OTLP's number of a kind or status.
fn word(attribute: &Attribute, number: i32) -> Scalar {
    match attribute {
        Attribute::Intrinsic(Intrinsic::Kind) => Scalar::Kind(Kind::from_otlp_kind(number)),
        Attribute::Intrinsic(Intrinsic::Status) => Scalar::Status(Status::from_otlp_code(number)),
        _ => Scalar::Nil,
    }
}
