//! The distinct values of one attribute.

use crate::columns::resources::Origin;
use crate::columns::value::ValueRef;
use crate::columns::view::{Column, ColumnId, Detail, Rows, SpanSource, Values as Of};
use crate::model::gofmt;
use crate::proto::tempopb::TagValue;
use crate::querier::QueryError;
use crate::querier::budget::Charge;
use crate::querier::facts::{JoinedTraces, UnitFacts};
use crate::querier::unit::UnitId;
use crate::traceql::ast::{Attribute, Intrinsic, Scope};
use crate::traceql::eval::result::AttributeReader;
use crate::traceql::eval::{Bitmap, Scalar, TraceFacts};
use foldhash::fast::FixedState;
use hashbrown::HashSet;
use std::collections::BTreeMap;

/// What a value costs besides its text.
const VALUE_BYTES: usize = 40;

/// Distinct values by type and text.
#[derive(Default)]
pub(super) struct Values {
    by_type: BTreeMap<&'static str, HashSet<Box<str>, FixedState>>,
    num_bytes: usize,
    charge: Charge,
}

impl Values {
    /// None yet; what they take is counted there.
    pub(super) fn charged(charge: Charge) -> Self {
        Values { charge, ..Values::default() }
    }

    fn add_text(&mut self, r#type: &'static str, text: &str) {
        let known = self.by_type.entry(r#type).or_default();
        if !known.contains(text) {
            known.insert(text.into());
            self.num_bytes += text.len() + VALUE_BYTES;
        }
    }

    pub(super) fn add(&mut self, value: &Scalar) {
        match value {
            Scalar::Nil => {}
            Scalar::Str(text) => self.add_text("string", text),
            Scalar::Int(int) => self.add_text("int", &int.to_string()),
            Scalar::Float(double) => self.add_text("float", &gofmt::float_tag_value(*double)),
            Scalar::Bool(bit) => self.add_text("bool", &bit.to_string()),
            Scalar::Duration(nanos) => self.add_text("duration", &gofmt::duration(*nanos)),
            Scalar::Status(status) => self.add_text("keyword", status.as_str()),
            Scalar::Kind(kind) => self.add_text("keyword", kind.as_str()),
            Scalar::Array(elements) => elements.iter().for_each(|element| self.add(element)),
        }
    }

    /// Counts what they take by now.
    fn count_memory(&mut self) -> Result<(), QueryError> {
        self.charge.set(self.num_bytes)
    }

    /// The first `limit` values, by type and text.
    pub(super) fn into_sorted(self, limit: usize) -> Vec<TagValue> {
        let mut sorted = Vec::new();
        for (r#type, known) in self.by_type {
            let mut known: Vec<Box<str>> = known.into_iter().collect();
            known.sort_unstable();
            let value = |value: Box<str>| TagValue { r#type: r#type.to_string(), value: value.into() };
            sorted.extend(known.into_iter().take(limit - sorted.len()).map(value));
        }
        sorted
    }
}

/// The values of a unit, or of some of its rows.
pub(super) struct UnitValues<'u, 's> {
    source: &'u dyn SpanSource,
    facts: UnitFacts<'u, 's>,
    rows: Option<&'u Bitmap>,
}

impl<'u, 's> UnitValues<'u, 's> {
    /// Of all rows, or of `rows`.
    pub(super) fn of(joined: &'u JoinedTraces<'u, 's>, unit: UnitId, rows: Option<&'u Bitmap>) -> Result<Self, QueryError> {
        Ok(UnitValues { source: joined.units().source(unit)?.as_source(), facts: UnitFacts::of(joined, unit), rows })
    }

    /// Adds the values of an attribute.
    pub(super) fn collect(&self, tag: &Attribute, values: &mut Values) -> Result<(), QueryError> {
        match tag {
            Attribute::Scoped { scope: Scope::Resource, key } => {
                self.collect_origins(ColumnId::Resource, self.source.resources(), key, values)?;
            }
            Attribute::Scoped { scope: Scope::Instrumentation, key } => {
                self.collect_origins(ColumnId::Scope, self.source.scopes(), key, values)?;
            }
            Attribute::Scoped { scope: Scope::Span, key } => collect_attribute(self.source, key, self.rows, values)?,
            Attribute::Scoped { scope: Scope::Event, key } => self.collect_details(Detail::Event, Some(key), values)?,
            Attribute::Scoped { scope: Scope::Link, key } => self.collect_details(Detail::Link, Some(key), values)?,
            Attribute::Intrinsic(Intrinsic::EventName) => self.collect_details(Detail::Event, None, values)?,
            Attribute::Intrinsic(Intrinsic::Name) => collect_column(self.source, ColumnId::Name, self.rows, values)?,
            Attribute::Intrinsic(Intrinsic::RootName) => self.collect_traces(values, |ordinal| self.facts.root_name(ordinal))?,
            Attribute::Intrinsic(Intrinsic::RootServiceName) => {
                self.collect_traces(values, |ordinal| self.facts.root_service(ordinal))?;
            }
            _ => {
                let reader = AttributeReader::open(self.source, &self.facts, tag)?;
                let all = (0..self.source.num_rows() as u32).filter(|row| self.rows.is_none_or(|rows| rows.contains(*row)));
                all.for_each(|row| values.add(&reader.value(row)));
            }
        }
        values.count_memory()
    }

    fn collect_origins(&self, id: ColumnId<'_>, origins: &[Origin], key: &str, values: &mut Values) -> Result<(), QueryError> {
        let used = match self.rows {
            Some(rows) => Some(used_numbers(self.source.column(id)?, rows, origins.len())),
            None => None,
        };
        for (number, origin) in origins.iter().enumerate() {
            if used.as_ref().is_none_or(|used| used[number])
                && let Some(value) = origin.attribute(key)
            {
                values.add(&Scalar::from(value));
            }
        }
        Ok(())
    }

    fn collect_details(&self, of: Detail, key: Option<&str>, values: &mut Values) -> Result<(), QueryError> {
        let Some(source) = self.source.details(of)? else { return Ok(()) };
        let rows = match (self.rows, source.column(ColumnId::Span)?.map(|column| column.values)) {
            (Some(spans), Some(Of::U32(span_rows))) => {
                let wanted: Vec<u32> = (0..).zip(span_rows.iter()).filter(|(_, span)| spans.contains(**span)).map(|(row, _)| row).collect();
                Some(Bitmap::from_rows(source.num_rows(), &wanted))
            }
            _ => None,
        };
        match key {
            Some(key) => collect_attribute(&*source, key, rows.as_ref(), values),
            None => collect_column(&*source, ColumnId::Name, rows.as_ref(), values),
        }
    }

    fn collect_traces<'t>(&self, values: &mut Values, text: impl Fn(u32) -> &'t str) -> Result<(), QueryError> {
        let Some(Of::U32(ordinals)) = self.source.column(ColumnId::Trace)?.map(|column| column.values) else { return Ok(()) };
        let num_traces = ordinals.iter().max().map_or(0, |last| *last as usize + 1);
        let mut used = vec![self.rows.is_none(); num_traces];
        if let Some(rows) = self.rows {
            rows.iter().for_each(|row| used[ordinals[row as usize] as usize] = true);
        }
        // Without a root the text is empty, and is listed so.
        let texts = (0..num_traces as u32).filter(|ordinal| used[*ordinal as usize]).map(text);
        texts.for_each(|text| values.add_text("string", text));
        Ok(())
    }
}

fn used_numbers(column: Option<Column<'_>>, rows: &Bitmap, count: usize) -> Vec<bool> {
    let mut used = vec![false; count];
    if let Some(Of::U32(numbers)) = column.map(|column| column.values) {
        let numbers = rows.iter().map(|row| numbers[row as usize] as usize).filter(|number| *number < count);
        numbers.for_each(|number| used[number] = true);
    }
    used
}

fn collect_attribute(source: &dyn SpanSource, key: &str, rows: Option<&Bitmap>, values: &mut Values) -> Result<(), QueryError> {
    for kind in source.attribute_kinds(key) {
        collect_column(source, ColumnId::Attribute { key, kind }, rows, values)?;
    }
    Ok(())
}

fn collect_column(source: &dyn SpanSource, id: ColumnId<'_>, rows: Option<&Bitmap>, values: &mut Values) -> Result<(), QueryError> {
    let column = if rows.is_some() { source.column(id)? } else { source.entries(id)? };
    column.map_or(Ok(()), |column| add_column(&column, rows, values))
}

/// Adds the values of an attribute's column or of one of texts: all of them, or those of some rows.
pub(super) fn add_column(column: &Column<'_>, rows: Option<&Bitmap>, values: &mut Values) -> Result<(), QueryError> {
    let positions = || wanted_positions(column, rows);
    match &column.values {
        Of::Text(codes, strings) | Of::Any(codes, strings) => {
            let mut seen = vec![false; strings.len()];
            positions().for_each(|at| seen[codes[at] as usize] = true);
            let is_text = matches!(column.values, Of::Text(..));
            for code in (0..strings.len() as u32).filter(|code| seen[*code as usize]) {
                match strings.get(code) {
                    text if is_text => values.add_text("string", &String::from_utf8_lossy(text)),
                    message => values.add(&Scalar::from(ValueRef::Any(message))),
                }
            }
        }
        Of::Int(ints) => {
            let mut distinct: Vec<i64> = positions().map(|at| ints[at]).collect();
            distinct.sort_unstable();
            distinct.dedup();
            distinct.into_iter().for_each(|int| values.add(&Scalar::Int(int)));
        }
        Of::Double(doubles) => {
            let mut distinct: Vec<f64> = positions().map(|at| doubles[at]).collect();
            distinct.sort_unstable_by(f64::total_cmp);
            distinct.dedup_by_key(|double| double.to_bits());
            distinct.into_iter().for_each(|double| values.add(&Scalar::Float(double)));
        }
        Of::Bool(bits) => {
            [true, false].into_iter().filter(|bit| positions().any(|at| bits[at] == *bit)).for_each(|bit| values.add(&Scalar::Bool(bit)))
        }
        Of::Enum(_) | Of::U32(_) | Of::U64(_) => {}
    }
    values.count_memory()
}

/// Where the wanted rows stand among the column's values.
fn wanted_positions<'c>(column: &'c Column<'_>, rows: Option<&'c Bitmap>) -> Box<dyn Iterator<Item = usize> + 'c> {
    match (rows, &column.rows) {
        (None, _) => Box::new(0..column.len()),
        (Some(rows), Rows::All) => Box::new(rows.iter().map(|row| row as usize)),
        (Some(rows), Rows::Some(filled)) => Box::new(filled.iter().enumerate().filter(|(_, row)| rows.contains(**row)).map(|(at, _)| at)),
    }
}
