//! Which attributes there are, and which values they have.

use super::facts::{JoinedTraces, UnitFacts};
use super::unit::{UnitId, UnitSource, Units};
use super::{QueryError, Snapshot};
use crate::block::reader::{Block, Table};
use crate::columns::resources::Origin;
use crate::columns::view::{Column, ColumnId, Rows};
use crate::columns::{AttributeTable, Chunk};
use crate::model::{TimeRange, UnixNanos, gofmt};
use crate::proto::tempopb::TagValue;
use crate::traceql::ast::{Attribute, FieldExpr, Intrinsic, Scope};
use crate::traceql::eval::result::AttributeReader;
use crate::traceql::eval::{Bitmap, Filter, Scalar};
use std::collections::{BTreeMap, BTreeSet};

/// Which tag names or values are asked for.
#[derive(Clone, Debug, Default)]
pub struct TagParams {
    /// Only of spans that match; `None` means all.
    pub filter: Option<FieldExpr>,
    /// Only of data that overlaps it; `None` means all.
    pub range: Option<TimeRange>,
    /// Largest number of names per scope, or of values; 0 means no limit.
    pub limit: usize,
}

/// Names of one scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeTags {
    /// The scope's word: `resource`, `span`, `event`, `link`, `instrumentation`.
    pub scope: &'static str,
    /// Names without scope prefix, sorted.
    pub tags: Vec<String>,
}

type Names = BTreeMap<&'static str, BTreeSet<String>>;

/// Attribute names by scope, without the intrinsics. Waits for the store and computes.
pub fn tag_names(snapshot: &Snapshot, params: &TagParams) -> Result<Vec<ScopeTags>, QueryError> {
    let mut names = Names::new();
    match filter_of(params)? {
        None => all_names(snapshot, params, &mut names)?,
        Some(filter) => {
            visit_matches(snapshot, params, &filter, |units, unit, rows, _| matching_names(units, unit, rows, &mut names))?;
        }
    }
    let limit = if params.limit == 0 { usize::MAX } else { params.limit };
    let scope = |(scope, tags): (&'static str, BTreeSet<String>)| ScopeTags { scope, tags: tags.into_iter().take(limit).collect() };
    Ok(names.into_iter().filter(|(_, tags)| !tags.is_empty()).map(scope).collect())
}

/// Typed values of an attribute, sorted by type and text. Waits for the store and computes.
pub fn tag_values(snapshot: &Snapshot, tag: &Attribute, params: &TagParams) -> Result<Vec<TagValue>, QueryError> {
    let mut values = Values::default();
    match (tag, filter_of(params)?) {
        (Attribute::Scoped { scope: Scope::Event | Scope::Link, key }, None) => detail_values(snapshot, params, tag, key, &mut values)?,
        (_, None) => all_values(snapshot, params, tag, &mut values)?,
        (_, Some(filter)) => visit_matches(snapshot, params, &filter, |units, unit, rows, joined| {
            let facts = UnitFacts::of(joined, unit);
            let reader = AttributeReader::open(units.source(unit)?.as_source(), &facts, tag)?;
            rows.iter().for_each(|row| values.add(&reader.value(row)));
            Ok(())
        })?,
    }
    let limit = if params.limit == 0 { usize::MAX } else { params.limit };
    Ok(values.0.into_iter().take(limit).map(|(r#type, value)| TagValue { r#type: r#type.to_string(), value }).collect())
}

fn filter_of(params: &TagParams) -> Result<Option<Filter>, QueryError> {
    let filter = params.filter.as_ref().map(Filter::compile).transpose()?;
    Ok(filter.filter(|filter| filter.constant() != Some(true)))
}

fn range_of(params: &TagParams) -> TimeRange {
    params.range.unwrap_or(TimeRange::ALL)
}

/// Chunks and row groups that overlap the range.
fn units_in(units: &Units<'_>, params: &TagParams) -> Vec<UnitId> {
    let range = range_of(params);
    let overlaps = |unit: &UnitId| match unit {
        UnitId::Chunk(at) => chunk_range(&units.snapshot().chunks[*at]).is_some_and(|own| own.overlaps(&range)),
        UnitId::Group(..) => true,
    };
    units.chunk_ids().filter(overlaps).chain(units.groups_newest_first(&range)).collect()
}

fn chunk_range(chunk: &Chunk) -> Option<TimeRange> {
    let summaries = chunk.traces.summaries();
    let start = summaries.iter().map(|trace| trace.start).min()?;
    let end = summaries.iter().map(|trace| trace.end.max(trace.start)).max()?;
    Some(TimeRange { start: UnixNanos(start), end: UnixNanos(end) })
}

fn blocks_in<'s>(snapshot: &'s Snapshot, params: &TagParams) -> impl Iterator<Item = &'s Block> {
    let range = range_of(params);
    snapshot.blocks.iter().map(|block| &**block).filter(move |block| block.meta().range().overlaps(&range))
}

/// Calls `visit` with the matching rows of each unit that has any.
fn visit_matches(
    snapshot: &Snapshot,
    params: &TagParams,
    filter: &Filter,
    mut visit: impl FnMut(&Units<'_>, UnitId, &Bitmap, &JoinedTraces<'_, '_>) -> Result<(), QueryError>,
) -> Result<(), QueryError> {
    let units = Units::of(snapshot);
    let joined = JoinedTraces::of(&units);
    for unit in units_in(&units, params) {
        let rows = filter.select(units.source(unit)?.as_source(), &UnitFacts::of(&joined, unit))?;
        if !rows.is_empty() && rows.count() > 0 {
            visit(&units, unit, &rows, &joined)?;
        }
    }
    Ok(())
}

fn all_names(snapshot: &Snapshot, params: &TagParams, names: &mut Names) -> Result<(), QueryError> {
    let units = Units::of(snapshot);
    for unit in units_in(&units, params) {
        if let UnitSource::Chunk(chunk) = units.source(unit)? {
            add_origins(names, "resource", chunk.resources.entries());
            add_origins(names, "instrumentation", chunk.scopes.entries());
            for (scope, table) in attribute_tables(chunk) {
                let keys = table.columns().iter().filter(|column| !column.rows.is_empty()).map(|column| column.key().to_string());
                names.entry(scope).or_default().extend(keys);
            }
        }
    }
    for block in blocks_in(snapshot, params) {
        add_origins(names, "resource", block.resources()?.entries());
        add_origins(names, "instrumentation", block.scopes()?.entries());
        for (scope, table) in block_tables(block)? {
            let keys = table.attributes().iter().map(|entry| entry.key.clone());
            names.entry(scope).or_default().extend(keys.chain(table.residual_keys().iter().cloned()));
        }
    }
    Ok(())
}

fn attribute_tables(chunk: &Chunk) -> [(&'static str, &AttributeTable); 3] {
    [("span", &chunk.attributes), ("event", &chunk.events.attributes), ("link", &chunk.links.attributes)]
}

fn block_tables(block: &Block) -> Result<impl Iterator<Item = (&'static str, &Table)>, QueryError> {
    let tables = [("span", Some(block.data())), ("event", block.events()), ("link", block.links())];
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
    for key in span_keys(units, unit) {
        for kind in source.attribute_kinds(&key) {
            if source.column(ColumnId::Attribute { key: &key, kind })?.is_some_and(|column| any_row(&column, rows)) {
                names.entry("span").or_default().insert(key.clone());
            }
        }
    }
    Ok(())
}

fn span_keys(units: &Units<'_>, unit: UnitId) -> BTreeSet<String> {
    match unit {
        UnitId::Chunk(at) => units.snapshot().chunks[at].attributes.columns().iter().map(|column| column.key().to_string()).collect(),
        UnitId::Group(block, _) => {
            let table = units.snapshot().blocks[block].data();
            table.attributes().iter().map(|entry| entry.key.clone()).chain(table.residual_keys().iter().cloned()).collect()
        }
    }
}

fn used_numbers(column: Option<Column<'_>>, rows: &Bitmap) -> BTreeSet<u32> {
    match column.map(|column| column.values) {
        Some(crate::columns::view::Values::U32(numbers)) => rows.iter().map(|row| numbers[row as usize]).collect(),
        _ => BTreeSet::new(),
    }
}

fn any_row(column: &Column<'_>, rows: &Bitmap) -> bool {
    match &column.rows {
        Rows::All => rows.count() > 0,
        Rows::Some(filled) => filled.iter().any(|row| rows.contains(*row)),
    }
}

/// Distinct values by type and text.
#[derive(Default)]
struct Values(BTreeSet<(&'static str, String)>);

impl Values {
    fn add(&mut self, value: &Scalar) {
        let pair = match value {
            Scalar::Nil => return,
            Scalar::Str(text) => ("string", text.to_string()),
            Scalar::Int(int) => ("int", int.to_string()),
            Scalar::Float(double) => ("float", gofmt::float_tag_value(*double)),
            Scalar::Bool(bit) => ("bool", bit.to_string()),
            Scalar::Duration(nanos) => ("duration", gofmt::duration(*nanos)),
            Scalar::Status(status) => ("keyword", status.as_str().to_string()),
            Scalar::Kind(kind) => ("keyword", kind.as_str().to_string()),
            Scalar::Array(elements) => return elements.iter().for_each(|element| self.add(element)),
        };
        self.0.insert(pair);
    }
}

fn all_values(snapshot: &Snapshot, params: &TagParams, tag: &Attribute, values: &mut Values) -> Result<(), QueryError> {
    let units = Units::of(snapshot);
    let joined = JoinedTraces::of(&units);
    // An unscoped name stands for the union of its scopes (spec/query-api.md §5.6).
    let parts: Vec<Attribute> = match tag {
        Attribute::Scoped { scope: Scope::None, key } => [Scope::Span, Scope::Resource, Scope::Instrumentation]
            .into_iter()
            .map(|scope| Attribute::Scoped { scope, key: key.clone() })
            .collect(),
        other => vec![other.clone()],
    };
    for unit in units_in(&units, params) {
        for part in &parts {
            unit_values(&units, &joined, unit, part, values)?;
        }
    }
    Ok(())
}

fn unit_values(
    units: &Units<'_>,
    joined: &JoinedTraces<'_, '_>,
    unit: UnitId,
    tag: &Attribute,
    values: &mut Values,
) -> Result<(), QueryError> {
    let source = units.source(unit)?.as_source();
    let origins = match tag {
        Attribute::Scoped { scope: Scope::Resource, .. } => Some(source.resources()),
        Attribute::Scoped { scope: Scope::Instrumentation, .. } => Some(source.scopes()),
        _ => None,
    };
    match (tag, origins) {
        (Attribute::Scoped { key, .. }, Some(origins)) => {
            let found = origins.iter().filter_map(|origin| origin.attribute(key));
            found.for_each(|value| values.add(&Scalar::from(value)));
        }
        (Attribute::Scoped { scope: Scope::Span, key }, None) => {
            for kind in source.attribute_kinds(key) {
                if let Some(column) = source.column(ColumnId::Attribute { key, kind })? {
                    distinct(&column, values);
                }
            }
        }
        (Attribute::Intrinsic(Intrinsic::Name), None) => {
            if let Some(column) = source.column(ColumnId::Name)? {
                distinct(&column, values);
            }
        }
        _ => {
            let facts = UnitFacts::of(joined, unit);
            let reader = AttributeReader::open(source, &facts, tag)?;
            (0..source.num_rows() as u32).for_each(|row| values.add(&reader.value(row)));
        }
    }
    Ok(())
}

/// Adds the distinct values of a column: those of its codes, where it has codes.
fn distinct(column: &Column<'_>, values: &mut Values) {
    use crate::columns::view::Values as Of;
    match &column.values {
        Of::Text(codes, strings) | Of::Any(codes, strings) => {
            let mut seen = vec![false; strings.len()];
            codes.iter().for_each(|code| seen[*code as usize] = true);
            let is_text = matches!(column.values, Of::Text(..));
            for code in (0..strings.len() as u32).filter(|code| seen[*code as usize]) {
                let bytes = strings.get(code);
                values.add(&if is_text { Scalar::text(bytes) } else { Scalar::from(crate::columns::value::ValueRef::Any(bytes)) });
            }
        }
        Of::Int(ints) => ints.iter().collect::<BTreeSet<_>>().into_iter().for_each(|int| values.add(&Scalar::Int(*int))),
        Of::Double(doubles) => doubles.iter().for_each(|double| values.add(&Scalar::Float(*double))),
        Of::Bool(bits) => bits.iter().for_each(|bit| values.add(&Scalar::Bool(*bit))),
        Of::Enum(_) | Of::U32(_) | Of::U64(_) => {}
    }
}

/// Values of event and link attributes, which the evaluator does not know yet.
fn detail_values(snapshot: &Snapshot, params: &TagParams, tag: &Attribute, key: &str, values: &mut Values) -> Result<(), QueryError> {
    let is_event = matches!(tag, Attribute::Scoped { scope: Scope::Event, .. });
    let units = Units::of(snapshot);
    for unit in units_in(&units, params) {
        if let UnitSource::Chunk(chunk) = units.source(unit)? {
            let table = if is_event { &chunk.events.attributes } else { &chunk.links.attributes };
            let columns = table.columns().iter().filter(|column| column.key() == key);
            columns.for_each(|column| distinct(&crate::columns::source::attribute_column(column), values));
        }
    }
    for block in blocks_in(snapshot, params) {
        let table = if is_event { block.events() } else { block.links() };
        let Some(table) = table else { continue };
        for group in 0..table.num_row_groups() {
            for column in block.attribute_columns(table, group, key)? {
                distinct(&column, values);
            }
        }
    }
    Ok(())
}
