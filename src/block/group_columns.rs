//! The columns of one row group of one of a block's tables: spans, events or links.

use super::parquet::{Decoded, DecodedValues};
use super::rare::RareColumns;
use super::reader::{Block, BlockError, Table};
use super::schema::{ORDER, RESIDUAL};
use crate::columns::source::attribute_column;
use crate::columns::value::{KeyValueRef, ValueRef};
use crate::columns::view::{Column, Condition, Rows, Strings, Values, Wanted};
use crate::columns::wire::{Reader, split_varint};
use crate::columns::{AttributeTable, ValueKind};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// A row group of a table. Rows are counted from its start.
pub(super) struct GroupColumns<'a> {
    pub(super) block: &'a Block,
    pub(super) table: &'a Table,
    pub(super) group: usize,
    /// Attributes that neither a column nor the table of rare ones holds, read when one is asked for.
    residual: OnceLock<AttributeTable>,
    /// Those in the table of rare ones, opened when one is asked for.
    rare: OnceLock<Option<RareColumns<'a>>>,
}

impl<'a> GroupColumns<'a> {
    pub(super) fn new(block: &'a Block, table: &'a Table, group: usize) -> Self {
        GroupColumns { block, table, group, residual: OnceLock::new(), rare: OnceLock::new() }
    }

    pub(super) fn num_rows(&self) -> usize {
        self.table.num_rows(self.group)
    }

    /// A column that need not be there.
    pub(super) fn decode(&self, leaf: &str, wanted: Wanted<'_>) -> Result<Option<Decoded>, BlockError> {
        match wanted {
            Wanted::Some(rows) if rows.len() < self.num_rows() / ROWS_OF_ONE_WANTED => {
                self.table.decode_some(self.block.files(), self.group, leaf, rows)
            }
            Wanted::All | Wanted::Some(_) => self.table.decode(self.block.files(), self.group, leaf),
        }
    }

    /// Whether so few rows are wanted that integers are decoded from the pages that hold them only.
    fn is_read_by_rows(&self, wanted: Wanted<'_>) -> bool {
        matches!(wanted, Wanted::Some(rows) if rows.len() < self.num_rows() / ROWS_OF_ONE_READ)
    }

    /// A column with a value in every row.
    pub(super) fn dense(
        &self,
        leaf: &str,
        wanted: Wanted<'_>,
        convert: fn(DecodedValues) -> Option<Values<'static>>,
    ) -> Result<Option<Column<'static>>, BlockError> {
        let decoded = self.decode(leaf, wanted)?.ok_or_else(|| self.table.mistyped(leaf))?;
        // All rows were read if all have a value and nobody asked for less.
        if decoded.rows.as_ref().is_some_and(|rows| wanted.count(self.num_rows()) != rows.len()) {
            return Err(self.table.mistyped(leaf));
        }
        let values = convert(decoded.values).ok_or_else(|| self.table.mistyped(leaf))?;
        Ok(Some(Column { rows: decoded_rows(decoded.rows), values }))
    }

    /// The integers of a column that has one in every row, all of them or a page at a time: see [`ColumnReader::visit_integers`].
    pub(super) fn visit_integers<T: Copy>(
        &self,
        leaf: &str,
        from: impl Fn(i64) -> T,
        keep: impl FnMut(Range<usize>, Option<(i64, i64)>) -> bool,
        visit: impl FnMut(usize, &[T]),
    ) -> Result<(), BlockError> {
        let column = self.table.column(self.group, leaf)?.ok_or_else(|| self.table.mistyped(leaf))?;
        let fetched = self.table.fetch(self.block.files(), column.bytes_of_all())?;
        column.visit_integers(&fetched, from, keep, visit).map_err(|error| self.table.damage(&error))
    }

    /// As [`dense`](Self::dense) for integers; those of all rows are decoded into their own type at once.
    pub(super) fn integers<T: Copy>(
        &self,
        leaf: &str,
        wanted: Wanted<'_>,
        from: impl Fn(i64) -> T,
        convert: fn(DecodedValues) -> Option<Values<'static>>,
        whole: impl Fn(Vec<T>) -> Values<'static>,
    ) -> Result<Option<Column<'static>>, BlockError> {
        if self.is_read_by_rows(wanted) {
            return self.dense(leaf, wanted, convert);
        }
        let mut all = Vec::with_capacity(self.num_rows());
        self.visit_integers(leaf, from, |_, _| true, |_, values| all.extend_from_slice(values))?;
        Ok(Some(Column { rows: Rows::All, values: whole(all) }))
    }

    /// A text column that need not be there.
    pub(super) fn optional_text(&self, leaf: &str, wanted: Wanted<'_>) -> Result<Option<Column<'static>>, BlockError> {
        let Some(decoded) = self.decode(leaf, wanted)? else { return Ok(None) };
        decoded_column(decoded, ValueKind::Str).map(Some).ok_or_else(|| self.table.mistyped(leaf))
    }

    fn attribute_leaf(&self, key: &str, kind: ValueKind) -> Option<&str> {
        let entries = self.table.attributes();
        entries.iter().find(|entry| entry.key == key && entry.kind == kind.name()).map(|entry| entry.leaf.as_str())
    }

    /// The attributes in the table of rare ones, if there are any.
    fn rare(&self) -> Result<Option<&RareColumns<'a>>, BlockError> {
        if let Some(rare) = self.rare.get() {
            return Ok(rare.as_ref());
        }
        let opened = RareColumns::open(self.block, self.table, self.group)?;
        Ok(self.rare.get_or_init(|| opened).as_ref())
    }

    /// A rare attribute of one kind, as if it had a column.
    fn rare_attribute(&self, key: &str, kind: ValueKind) -> Result<Option<Column<'static>>, BlockError> {
        let Some(rare) = self.rare()? else { return Ok(None) };
        let Some(entry) = rare.find(key, kind) else { return Ok(None) };
        decoded_column(rare.decode(entry)?, kind).map(Some).ok_or_else(|| self.table.mistyped(key))
    }

    /// An attribute without a column.
    fn bare_attribute(&self, key: &str, kind: ValueKind) -> Result<Option<Column<'_>>, BlockError> {
        match self.rare_attribute(key, kind)? {
            Some(column) => Ok(Some(column)),
            None => Ok(self.residual()?.column(key, kind).map(attribute_column)),
        }
    }

    /// The keys of rare attributes.
    fn rare_keys(&self) -> Result<impl Iterator<Item = String>, BlockError> {
        let rare = self.rare()?;
        Ok(rare.into_iter().flat_map(|rare| rare.keys().map(str::to_string).collect::<Vec<_>>()))
    }

    /// An attribute of one kind.
    pub(super) fn attribute(&self, key: &str, kind: ValueKind, wanted: Wanted<'_>) -> Result<Option<Column<'_>>, BlockError> {
        let Some(leaf) = self.attribute_leaf(key, kind) else { return self.bare_attribute(key, kind) };
        let Some(decoded) = self.decode(leaf, wanted)? else { return Ok(None) };
        decoded_column(decoded, kind).map(Some).ok_or_else(|| self.table.mistyped(leaf))
    }

    /// The values of an attribute of one kind, without their rows.
    pub(super) fn attribute_entries(&self, key: &str, kind: ValueKind) -> Result<Option<Column<'_>>, BlockError> {
        match self.attribute_leaf(key, kind) {
            Some(leaf) => self.entries(leaf, |values| attribute_values(values, kind)),
            None => self.attribute(key, kind, Wanted::All),
        }
    }

    /// The values of a column without their rows: those of the dictionary, if it has all of them.
    pub(super) fn entries(
        &self,
        leaf: &str,
        convert: impl Fn(DecodedValues) -> Option<Values<'static>>,
    ) -> Result<Option<Column<'static>>, BlockError> {
        let Some(column) = self.table.column(self.group, leaf)?.filter(|column| !column.is_all_null()) else { return Ok(None) };
        let damage = |error| self.table.damage(&error);
        let values = if column.is_fully_dictionary_coded() {
            let fetched = self.table.fetch(self.block.files(), column.bytes_of_dictionary())?;
            column.dictionary(&fetched).map_err(damage)?.and_then(DecodedValues::of_entries)
        } else {
            let fetched = self.table.fetch(self.block.files(), column.bytes_of_all())?;
            Some(column.decode_all(&fetched).map_err(damage)?.values)
        };
        let values = values.and_then(convert).ok_or_else(|| self.table.mistyped(leaf))?;
        Ok(Some(Column { rows: Rows::All, values }))
    }

    /// The kinds that an attribute has here.
    pub(super) fn attribute_kinds(&self, key: &str) -> Vec<ValueKind> {
        let kinds = [ValueKind::Str, ValueKind::Int, ValueKind::Double, ValueKind::Bool, ValueKind::Any];
        let has = |kind: &ValueKind| {
            // A residual that cannot be read fails the query when the column is asked for.
            let is_rare = || match self.rare() {
                Ok(rare) => rare.is_some_and(|rare| rare.find(key, *kind).is_some()),
                Err(_) => true,
            };
            self.attribute_leaf(key, *kind).is_some()
                || is_rare()
                || self.may_be_residual(key) && self.residual().map_or(true, |residual| residual.column(key, *kind).is_some())
        };
        kinds.into_iter().filter(has).collect()
    }

    /// The keys of all attributes, each once.
    pub(super) fn attribute_keys(&self) -> Result<Vec<String>, BlockError> {
        let mut keys: Vec<String> = self.table.attributes().iter().map(|entry| entry.key.clone()).collect();
        keys.extend(self.rare_keys()?);
        if !self.table.residual_keys().is_empty() {
            keys.extend(self.residual()?.columns().iter().map(|column| column.key().to_owned()));
        }
        keys.sort_unstable();
        keys.dedup();
        Ok(keys)
    }

    /// The keys of the attributes that these ascending rows have, each once; perhaps of others besides.
    pub(super) fn attribute_keys_of(&self, rows: &[u32]) -> Result<Vec<String>, BlockError> {
        let mistyped = || self.table.mistyped(ORDER);
        let Some(Decoded { values: DecodedValues::Codes(codes, orders), .. }) = self.decode(ORDER, Wanted::Some(rows))? else {
            return Err(mistyped());
        };
        let mut is_used = vec![false; orders.0.len()];
        if codes.len() == rows.len() {
            codes.iter().for_each(|code| is_used[*code as usize] = true);
        } else {
            rows.iter().for_each(|row| codes.get(*row as usize).into_iter().for_each(|code| is_used[*code as usize] = true));
        }
        let (mut ordinals, mut has_bare) = (BTreeSet::new(), false);
        let orders = Strings::Shared(orders);
        for code in (0..orders.len() as u32).filter(|code| is_used[*code as usize]) {
            let mut order = orders.get(code);
            while let Some((element, rest)) = split_varint(order) {
                has_bare |= element == 0;
                ordinals.extend(element.checked_sub(1));
                order = rest;
            }
        }
        let entry = |ordinal: u64| self.table.attributes().get(ordinal as usize).map(|entry| entry.key.clone()).ok_or_else(mistyped);
        let mut keys = ordinals.into_iter().map(entry).collect::<Result<Vec<_>, _>>()?;
        if has_bare {
            keys.extend(self.rare_keys()?);
            keys.extend(self.residual()?.columns().iter().map(|column| column.key().to_owned()));
        }
        keys.sort_unstable();
        keys.dedup();
        Ok(keys)
    }

    /// Whether the key is among those listed as residual ones: reading the residual for nothing is dear.
    fn may_be_residual(&self, key: &str) -> bool {
        self.table.residual_keys().iter().any(|residual| residual == key)
    }

    /// The residual attributes as columns; empty if the file has none.
    fn residual(&self) -> Result<&AttributeTable, BlockError> {
        if let Some(table) = self.residual.get() {
            return Ok(table);
        }
        let table = self.decode(RESIDUAL, Wanted::All)?.map(residual_table).unwrap_or_default();
        Ok(self.residual.get_or_init(|| table))
    }

    /// Rows of a text column that pass, from its dictionary alone where that suffices.
    pub(super) fn select_text(&self, leaf: &str, condition: &dyn Condition) -> Result<Vec<u32>, BlockError> {
        let Some(column) = self.table.column(self.group, leaf)? else { return Ok(Vec::new()) };
        if column.is_all_null() {
            return Ok(Vec::new());
        }
        let damage = |error| self.table.damage(&error);
        if column.is_fully_dictionary_coded() {
            let fetched = self.table.fetch(self.block.files(), column.bytes_of_dictionary())?;
            let dictionary = column.dictionary(&fetched).map_err(damage)?;
            let passes = |text: &[u8]| condition.text(text);
            if dictionary.is_some_and(|dictionary| !dictionary.may_hold(condition.required()) || !dictionary.strings().any(passes)) {
                return Ok(Vec::new());
            }
        }
        let fetched = self.table.fetch(self.block.files(), column.bytes_of_all())?;
        column.select_strings(&fetched, 0..column.num_rows(), condition.required(), |text| condition.text(text)).map_err(damage)
    }

    /// Rows of an attribute column that pass, from statistics alone where they suffice.
    pub(super) fn select_attribute(&self, key: &str, kind: ValueKind, condition: &dyn Condition) -> Result<Vec<u32>, BlockError> {
        let Some(leaf) = self.attribute_leaf(key, kind) else {
            return Ok(self.bare_attribute(key, kind)?.map(|column| condition.rows(&column)).unwrap_or_default());
        };
        match kind {
            ValueKind::Str | ValueKind::Any => self.select_text(leaf, condition),
            ValueKind::Int | ValueKind::Double | ValueKind::Bool => {
                self.select_numbers(leaf, condition, |values| attribute_values(values, kind))
            }
        }
    }

    /// Rows of a column of numbers that pass, by its entries where all of them are in a dictionary; `convert` gives decoded values
    /// their meaning.
    pub(super) fn select_numbers(
        &self,
        leaf: &str,
        condition: &dyn Condition,
        convert: impl Fn(DecodedValues) -> Option<Values<'static>>,
    ) -> Result<Vec<u32>, BlockError> {
        let Some(column) = self.table.column(self.group, leaf)? else { return Ok(Vec::new()) };
        if column.is_all_null() || column.int_bounds().is_some_and(|(min, max)| !condition.may_pass_int(min, max)) {
            return Ok(Vec::new());
        }
        let (mistyped, damage) = (|| self.table.mistyped(leaf), |error| self.table.damage(&error));
        if !column.is_fully_dictionary_coded() {
            let fetched = self.table.fetch(self.block.files(), column.bytes_of_all())?;
            let decoded = column.decode_all(&fetched).map_err(damage)?;
            let values = convert(decoded.values).ok_or_else(mistyped)?;
            return Ok(condition.rows(&Column { rows: decoded_rows(decoded.rows), values }));
        }
        let fetched = self.table.fetch(self.block.files(), column.bytes_of_dictionary())?;
        let entries = column.dictionary(&fetched).map_err(damage)?.and_then(DecodedValues::of_dictionary).ok_or_else(mistyped)?;
        let mut passes = vec![false; entries.len()];
        let values = convert(entries).ok_or_else(mistyped)?;
        condition.rows(&Column { rows: Rows::All, values }).into_iter().for_each(|entry| passes[entry as usize] = true);
        if !passes.contains(&true) {
            return Ok(Vec::new());
        }
        let fetched = self.table.fetch(self.block.files(), column.bytes_of_all())?;
        column.select_entries(&fetched, &passes).map_err(damage)
    }
}

/// If fewer rows than one in so many are wanted, the values of others are not decoded.
const ROWS_OF_ONE_WANTED: usize = 3;

/// Integers are decoded so fast that this pays only where pages are left out.
const ROWS_OF_ONE_READ: usize = 256;

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

/// Decoded values as texts; `None` if they are none.
pub(super) fn text_values(values: DecodedValues) -> Option<Values<'static>> {
    attribute_values(values, ValueKind::Str)
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
