//! A row group of a block, seen as a source of columns.

use super::parquet::{Decoded, DecodedValues};
use super::reader::{Block, BlockError, Table};
use super::schema::{RESIDUAL, span};
use super::trace_table::TraceTable;
use crate::columns::ValueKind;
use crate::columns::resources::Origin;
use crate::columns::source::attribute_column;
use crate::columns::value::{KeyValueRef, ValueRef};
use crate::columns::view::{Column, ColumnId, Condition, Rows, SourceError, SpanSource, Strings, Values};
use crate::columns::wire::Reader;
use crate::columns::{AttributeColumn, AttributeTable, ColumnValues};
use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

/// One row group. Rows are counted from its start, traces by their ordinals from its first.
pub struct RowGroupSource<'a> {
    block: &'a Block,
    traces: &'a TraceTable,
    resources: &'a [Origin],
    scopes: &'a [Origin],
    group: usize,
    /// Attributes without a column of their own, read when one is asked for.
    residual: OnceLock<AttributeTable>,
}

impl From<BlockError> for SourceError {
    fn from(error: BlockError) -> Self {
        SourceError(error.to_string())
    }
}

impl<'a> RowGroupSource<'a> {
    /// A row group of `block`. Waits for the store the first time.
    pub fn open(block: &'a Block, group: usize) -> Result<Self, BlockError> {
        Ok(RowGroupSource {
            block,
            traces: block.traces()?,
            resources: block.resources()?.entries(),
            scopes: block.scopes()?.entries(),
            group,
            residual: OnceLock::new(),
        })
    }

    fn decode(&self, leaf: &str) -> Result<Option<Decoded>, BlockError> {
        self.block.data().decode(self.block.files(), self.group, leaf)
    }

    fn dense(&self, leaf: &str, convert: fn(DecodedValues) -> Option<Values<'static>>) -> Result<Option<Column<'static>>, BlockError> {
        let table = self.block.data();
        let decoded = table.decode_dense(self.block.files(), self.group, leaf)?;
        let values = convert(decoded).ok_or_else(|| table.mistyped(leaf))?;
        Ok(Some(Column { rows: Rows::All, values }))
    }

    fn attribute_leaf(&self, key: &str, kind: ValueKind) -> Option<&str> {
        let entries = self.block.data().attributes();
        entries.iter().find(|entry| entry.key == key && entry.kind == kind.name()).map(|entry| entry.leaf.as_str())
    }

    fn attribute(&self, key: &str, kind: ValueKind) -> Result<Option<Column<'_>>, BlockError> {
        let Some(leaf) = self.attribute_leaf(key, kind) else {
            return Ok(self.residual()?.column(key, kind).map(attribute_column));
        };
        let Some(decoded) = self.decode(leaf)? else { return Ok(None) };
        decoded_column(decoded, kind).map(Some).ok_or_else(|| self.block.data().mistyped(leaf))
    }

    /// The residual attributes as columns; empty if the file has none.
    fn residual(&self) -> Result<&AttributeTable, BlockError> {
        if let Some(table) = self.residual.get() {
            return Ok(table);
        }
        let table = self.decode(RESIDUAL)?.map(residual_table).unwrap_or_default();
        Ok(self.residual.get_or_init(|| table))
    }

    fn parents(&self) -> Result<Option<Column<'static>>, BlockError> {
        let table = self.block.data();
        let files = self.block.files();
        let ids = table.decode_dense(files, self.group, span::SPAN_ID)?.into_u64();
        let offsets = table.decode_dense(files, self.group, span::PARENT_OFFSET)?.into_u32();
        let (Some(ids), Some(offsets)) = (ids, offsets) else { return Err(table.mistyped(span::SPAN_ID)) };
        let parent = |(row, offset): (usize, &u32)| match *offset {
            0 => 0,
            offset => row.checked_sub(offset as usize).and_then(|parent| ids.get(parent)).copied().unwrap_or(0),
        };
        let mut parents: Vec<u64> = offsets.iter().enumerate().map(parent).collect();
        let orphans = table.decode_required(files, self.group, span::PARENT_SPAN_ID)?;
        let rows = orphans.rows.unwrap_or_else(|| (0..parents.len() as u32).collect());
        for (row, parent) in rows.into_iter().zip(orphans.values.into_u64().unwrap_or_default()) {
            parents[row as usize] = parent;
        }
        Ok(Some(Column { rows: Rows::All, values: Values::U64(Cow::Owned(parents)) }))
    }

    /// The trace of each row, counted from the row group's first.
    fn trace_ordinals(&self) -> Column<'static> {
        let mut ordinals = Vec::with_capacity(self.num_rows());
        for (ordinal, trace) in self.traces.traces_of(self.group).enumerate() {
            ordinals.resize(ordinals.len() + self.traces.rows(trace).len(), ordinal as u32);
        }
        Column { rows: Rows::All, values: Values::U32(Cow::Owned(ordinals)) }
    }

    /// Rows of a text column that pass, from its dictionary alone where that suffices.
    fn select_text(&self, leaf: &str, condition: &dyn Condition) -> Result<Vec<u32>, BlockError> {
        let table = self.block.data();
        let Some(column) = table.column(self.group, leaf)? else { return Ok(Vec::new()) };
        if column.is_all_null() {
            return Ok(Vec::new());
        }
        let damage = |error| table.damage(&error);
        if column.is_fully_dictionary_coded() {
            let fetched = table.fetch(self.block.files(), column.bytes_of_dictionary())?;
            let dictionary = column.dictionary(&fetched).map_err(damage)?;
            if dictionary.is_some_and(|dictionary| !dictionary.strings().any(|text| condition.text(text))) {
                return Ok(Vec::new());
            }
        }
        let fetched = table.fetch(self.block.files(), column.bytes_of_all())?;
        column.select_strings(&fetched, 0..column.num_rows(), |text| condition.text(text)).map_err(damage)
    }

    fn select_attribute(&self, key: &str, kind: ValueKind, condition: &dyn Condition) -> Result<Vec<u32>, BlockError> {
        let Some(leaf) = self.attribute_leaf(key, kind) else {
            return Ok(self.residual()?.column(key, kind).map(|column| condition.rows(&attribute_column(column))).unwrap_or_default());
        };
        match kind {
            ValueKind::Str | ValueKind::Any => return self.select_text(leaf, condition),
            ValueKind::Int => {
                let column = self.block.data().column(self.group, leaf)?;
                let bounds = column.and_then(|column| column.int_bounds());
                if bounds.is_some_and(|(min, max)| !condition.may_pass_int(min, max)) {
                    return Ok(Vec::new());
                }
            }
            ValueKind::Double | ValueKind::Bool => {}
        }
        Ok(self.attribute(key, kind)?.map(|column| condition.rows(&column)).unwrap_or_default())
    }
}

impl SpanSource for RowGroupSource<'_> {
    fn num_rows(&self) -> usize {
        self.block.data().num_rows(self.group)
    }

    fn column(&self, id: ColumnId<'_>) -> Result<Option<Column<'_>>, SourceError> {
        let u64s = |values: DecodedValues| values.into_u64().map(|values| Values::U64(Cow::Owned(values)));
        let u32s = |values: DecodedValues| values.into_u32().map(|values| Values::U32(Cow::Owned(values)));
        let column = match id {
            ColumnId::Attribute { key, kind } => self.attribute(key, kind)?,
            ColumnId::Name => self.dense(span::NAME, |values| attribute_values(values, ValueKind::Str))?,
            ColumnId::Kind => self.dense(span::KIND, enum_values)?,
            ColumnId::Status => self.dense(span::STATUS, enum_values)?,
            ColumnId::StatusMessage => optional_text(self.block.data(), self.decode(span::STATUS_MESSAGE)?)?,
            ColumnId::Start => self.dense(span::START, u64s)?,
            ColumnId::Duration => self.dense(span::DURATION, u64s)?,
            ColumnId::SpanId => self.dense(span::SPAN_ID, u64s)?,
            ColumnId::ParentId => self.parents()?,
            ColumnId::Resource => self.dense(span::RESOURCE, u32s)?,
            ColumnId::Scope => self.dense(span::SCOPE, u32s)?,
            ColumnId::Trace => Some(self.trace_ordinals()),
        };
        Ok(column)
    }

    fn attribute_kinds(&self, key: &str) -> Vec<ValueKind> {
        let kinds = [ValueKind::Str, ValueKind::Int, ValueKind::Double, ValueKind::Bool, ValueKind::Any];
        let has = |kind: &ValueKind| {
            // A residual that cannot be read fails the query when the column is asked for.
            self.attribute_leaf(key, *kind).is_some() || self.residual().map_or(true, |residual| residual.column(key, *kind).is_some())
        };
        kinds.into_iter().filter(has).collect()
    }

    fn attribute_keys(&self) -> Result<Vec<String>, SourceError> {
        let mut keys: Vec<String> = self.block.data().attributes().iter().map(|entry| entry.key.clone()).collect();
        keys.extend(self.residual()?.columns().iter().map(|column| column.key().to_owned()));
        keys.sort_unstable();
        keys.dedup();
        Ok(keys)
    }

    fn select(&self, id: ColumnId<'_>, condition: &dyn Condition) -> Result<Vec<u32>, SourceError> {
        match id {
            ColumnId::Attribute { key, kind } => Ok(self.select_attribute(key, kind, condition)?),
            ColumnId::Name => Ok(self.select_text(span::NAME, condition)?),
            ColumnId::StatusMessage => Ok(self.select_text(span::STATUS_MESSAGE, condition)?),
            _ => Ok(self.column(id)?.map(|column| condition.rows(&column)).unwrap_or_default()),
        }
    }

    fn resources(&self) -> &[Origin] {
        self.resources
    }

    fn scopes(&self) -> &[Origin] {
        self.scopes
    }
}

fn enum_values(values: DecodedValues) -> Option<Values<'static>> {
    match values {
        DecodedValues::Int32(values) => Some(Values::Enum(Cow::Owned(values))),
        _ => None,
    }
}

fn optional_text(table: &Table, decoded: Option<Decoded>) -> Result<Option<Column<'static>>, BlockError> {
    let Some(decoded) = decoded else { return Ok(None) };
    decoded_column(decoded, ValueKind::Str).map(Some).ok_or_else(|| table.mistyped(span::STATUS_MESSAGE))
}

impl Block {
    /// The attribute columns of a key in a row group of one of the block's tables, one for each kind of its values, residual
    /// ones included. Of a key that a row repeats the first value of a kind counts, as in a chunk.
    pub fn attribute_columns(&self, table: &Table, group: usize, key: &str) -> Result<Vec<Column<'static>>, BlockError> {
        let (mut columns, mut kinds) = (Vec::new(), Vec::new());
        for entry in table.attributes().iter().filter(|entry| entry.key == key) {
            let Some(decoded) = table.decode(self.files(), group, &entry.leaf)? else { continue };
            let kind = ValueKind::from_name(&entry.kind).ok_or_else(|| table.mistyped(&entry.leaf))?;
            columns.push(decoded_column(decoded, kind).ok_or_else(|| table.mistyped(&entry.leaf))?);
            kinds.push(kind);
        }
        let residual = table.decode(self.files(), group, RESIDUAL)?.map(residual_table).unwrap_or_default();
        let is_further_kind = |column: &AttributeColumn| column.key() == key && !kinds.contains(&column.kind());
        columns.extend(residual.into_columns().into_iter().filter(is_further_kind).map(owned_column));
        Ok(columns)
    }
}

fn owned_column(column: AttributeColumn) -> Column<'static> {
    let shared = |dictionary: &crate::columns::Dictionary| {
        let (ends, bytes) = dictionary.parts();
        Strings::Shared(Arc::new((ends.to_vec(), bytes.to_vec())))
    };
    let values = match column.values {
        ColumnValues::Str(codes, dictionary) => Values::Text(Cow::Owned(codes), shared(&dictionary)),
        ColumnValues::Any(codes, dictionary) => Values::Any(Cow::Owned(codes), shared(&dictionary)),
        ColumnValues::Int(values) => Values::Int(Cow::Owned(values)),
        ColumnValues::Double(values) => Values::Double(Cow::Owned(values)),
        ColumnValues::Bool(values) => Values::Bool(Cow::Owned(values)),
    };
    Column { rows: Rows::Some(Cow::Owned(column.rows)), values }
}

/// Which rows have a value, in the terms of a column.
pub(super) fn decoded_rows(rows: Option<Vec<u32>>) -> Rows<'static> {
    rows.map_or(Rows::All, |rows| Rows::Some(Cow::Owned(rows)))
}

/// What was decoded as a column of attributes of this kind; `None` if the types do not fit.
pub(super) fn decoded_column(decoded: Decoded, kind: ValueKind) -> Option<Column<'static>> {
    Some(Column { rows: decoded_rows(decoded.rows), values: attribute_values(decoded.values, kind)? })
}

/// Decoded values as those of an attribute of this kind; `None` if the types do not fit.
fn attribute_values(values: DecodedValues, kind: ValueKind) -> Option<Values<'static>> {
    Some(match (values, kind) {
        (DecodedValues::Codes(codes, strings), ValueKind::Str) => Values::Text(Cow::Owned(codes), Strings::Shared(strings)),
        (DecodedValues::Codes(codes, strings), ValueKind::Any) => Values::Any(Cow::Owned(codes), Strings::Shared(strings)),
        (DecodedValues::Int64(values), ValueKind::Int) => Values::Int(Cow::Owned(values)),
        (DecodedValues::Double(values), ValueKind::Double) => Values::Double(Cow::Owned(values)),
        (DecodedValues::Bool(values), ValueKind::Bool) => Values::Bool(Cow::Owned(values)),
        _ => return None,
    })
}

/// Builds columns from the residual messages of a row group. Of a repeated key the first value counts.
fn residual_table(decoded: Decoded) -> AttributeTable {
    let mut table = AttributeTable::default();
    let DecodedValues::Codes(codes, strings) = decoded.values else { return table };
    let strings = Strings::Shared(Arc::clone(&strings));
    for (at, code) in codes.iter().enumerate() {
        let row = decoded.rows.as_ref().map_or(at as u32, |rows| rows[at]);
        let mut reader = Reader::new(strings.get(*code));
        while let Ok(Some((1, field))) = reader.next_field() {
            let Some((key, value)) = field.bytes(1).ok().and_then(key_and_value) else { continue };
            table.add_value(row, key, value);
        }
        table.end_row();
    }
    table
}

fn key_and_value(message: &[u8]) -> Option<(&[u8], ValueRef<'_>)> {
    let parts = KeyValueRef::read(message).ok()?;
    Some((parts.key, ValueRef::read(parts.value?).ok()?))
}
