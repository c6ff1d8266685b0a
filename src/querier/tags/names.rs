//! Attribute names by scope.

use super::{TagParams, blocks_in, told, units_in};
use crate::block::reader::{Block, Table};
use crate::columns::AttributeTable;
use crate::columns::Chunk;
use crate::columns::resources::Origin;
use crate::columns::view::{Column, ColumnId, Rows, Values};
use crate::querier::facts::JoinedTraces;
use crate::querier::unit::{UnitId, UnitSource, Units};
use crate::querier::{QueryError, Snapshot};
use crate::traceql::eval::{Bitmap, Filter};
use std::collections::{BTreeMap, BTreeSet};

/// Names by the word of their scope.
pub(super) type Names = BTreeMap<&'static str, BTreeSet<String>>;

/// The names that chunks and blocks in the range tell of themselves.
pub(super) fn all(snapshot: &Snapshot, params: &TagParams) -> Result<Names, QueryError> {
    let mut names = Names::new();
    let units = Units::of(snapshot);
    for unit in units_in(&units, params) {
        if let UnitSource::Chunk(chunk) = units.source(unit)? {
            add_origins(&mut names, "resource", chunk.resources.entries());
            add_origins(&mut names, "instrumentation", chunk.scopes.entries());
            for (scope, table) in attribute_tables(chunk) {
                let keys = table.columns().iter().filter(|column| !column.rows.is_empty()).map(|column| column.key().to_string());
                names.entry(scope).or_default().extend(keys);
            }
        }
    }
    let mut charge = snapshot.budget.charge();
    for block in blocks_in(snapshot, params) {
        snapshot.budget.check()?;
        charge.set(num_bytes(&names))?;
        if told::add_names(block, &mut names)? {
            continue;
        }
        add_origins(&mut names, "resource", block.resources()?.entries());
        add_origins(&mut names, "instrumentation", block.scopes()?.entries());
        for (scope, table) in block_tables(block)? {
            names.entry(scope).or_default().extend(block.attribute_keys(table)?);
        }
    }
    Ok(names)
}

/// What names take, about.
fn num_bytes(names: &Names) -> usize {
    const NAME_BYTES: usize = 64;
    names.values().map(|names| names.len() * NAME_BYTES).sum()
}

/// The names of what spans that a filter keeps have.
pub(super) fn matching(snapshot: &Snapshot, params: &TagParams, filter: &Filter) -> Result<Names, QueryError> {
    let mut names = Names::new();
    let units = Units::of(snapshot);
    let joined = JoinedTraces::of(&units);
    let mut charge = snapshot.budget.charge();
    for unit in units_in(&units, params) {
        units.check_budget()?;
        charge.set(num_bytes(&names))?;
        let rows = super::matching(&units, &joined, unit, filter)?;
        if !rows.is_empty() {
            matching_names(&units, unit, &rows, &mut names)?;
        }
    }
    Ok(names)
}

fn attribute_tables(chunk: &Chunk) -> [(&'static str, &AttributeTable); 3] {
    [("span", &chunk.attributes), ("event", &chunk.events.attributes), ("link", &chunk.links.attributes)]
}

fn block_tables(block: &Block) -> Result<impl Iterator<Item = (&'static str, &Table)>, QueryError> {
    let tables = [("span", Some(block.data()?)), ("event", block.events()?), ("link", block.links()?)];
    Ok(tables.into_iter().filter_map(|(scope, table)| table.map(|table| (scope, table))))
}

fn add_origins<'a>(names: &mut Names, scope: &'static str, origins: impl IntoIterator<Item = &'a Origin>) {
    let keys = origins.into_iter().flat_map(|origin| origin.attributes.iter().map(|(key, _)| key.to_string()));
    names.entry(scope).or_default().extend(keys);
}

/// Names of span and resource attributes of matching rows; events and links are not looked into.
fn matching_names(units: &Units<'_>, unit: UnitId, rows: &Bitmap, names: &mut Names) -> Result<(), QueryError> {
    let source = units.source(unit)?.as_source();
    for (scope, column, origins) in
        [("resource", ColumnId::Resource, source.resources()), ("instrumentation", ColumnId::Scope, source.scopes())]
    {
        let used = used_numbers(source.column(column)?, rows);
        add_origins(names, scope, origins.iter().enumerate().filter(|(id, _)| used.contains(&(*id as u32))).map(|(_, origin)| origin));
    }
    for key in span_keys(units, unit)? {
        for kind in source.attribute_kinds(&key) {
            if source.column(ColumnId::Attribute { key: &key, kind })?.is_some_and(|column| any_row(&column, rows)) {
                names.entry("span").or_default().insert(key.clone());
            }
        }
    }
    Ok(())
}

fn span_keys(units: &Units<'_>, unit: UnitId) -> Result<BTreeSet<String>, QueryError> {
    Ok(match unit {
        UnitId::Chunk(at) => units.snapshot().chunks[at].attributes.columns().iter().map(|column| column.key().to_string()).collect(),
        UnitId::Group(block, _) => {
            let block = &units.snapshot().blocks[block];
            block.attribute_keys(block.data()?)?.collect()
        }
    })
}

fn used_numbers(column: Option<Column<'_>>, rows: &Bitmap) -> BTreeSet<u32> {
    match column.map(|column| column.values) {
        Some(Values::U32(numbers)) => rows.iter().map(|row| numbers[row as usize]).collect(),
        _ => BTreeSet::new(),
    }
}

fn any_row(column: &Column<'_>, rows: &Bitmap) -> bool {
    match &column.rows {
        Rows::All => rows.count() > 0,
        Rows::Some(filled) => filled.iter().any(|row| rows.contains(*row)),
    }
}
