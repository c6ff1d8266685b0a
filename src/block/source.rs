//! A row group of a block, seen as a source of columns; so are its events and its links.

use super::group_columns::{GroupColumns, decoded_rows, text_values};
use super::parquet::DecodedValues;
use super::reader::{Block, BlockError};
use super::schema::{detail, span};
use super::trace_table::TraceTable;
use crate::columns::ValueKind;
use crate::columns::resources::Origin;
use crate::columns::source::{since_start, trace_id_texts};
use crate::columns::view::{Column, ColumnId, Condition, Detail, Rows, SourceError, SpanSource, StartVisitor, StartsOf, Values, Wanted};
use crate::model::TraceId;
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::ops::Range;

/// One row group. Rows are counted from its start, traces by their ordinals from its first.
pub struct RowGroupSource<'a> {
    columns: GroupColumns<'a>,
    traces: &'a TraceTable,
    resources: &'a [Origin],
    scopes: &'a [Origin],
}

impl From<BlockError> for SourceError {
    fn from(error: BlockError) -> Self {
        SourceError(error.to_string())
    }
}

/// Where the spans of a row group stand in their trees. Rows are counted from the row group's first.
pub struct TreeColumns {
    /// Rows back to the parent, 0 for none.
    pub parent_offset: Vec<u32>,
    /// Rows of the subtree, the span included.
    pub subtree: Vec<u32>,
    /// Rows whose parent is not in the block, ascending.
    pub orphans: Vec<u32>,
}

impl<'a> RowGroupSource<'a> {
    /// A row group of `block`. Waits for the store the first time.
    pub fn open(block: &'a Block, group: usize) -> Result<Self, BlockError> {
        Ok(RowGroupSource {
            columns: GroupColumns::new(block, block.data()?, group),
            traces: block.traces()?,
            resources: block.resources()?.entries(),
            scopes: block.scopes()?.entries(),
        })
    }

    /// Where each span stands in the tree of its trace. Waits for the store.
    pub fn tree(&self) -> Result<TreeColumns, BlockError> {
        let GroupColumns { block, table, group, .. } = self.columns;
        let offsets = table.decode_dense(block.files(), group, span::PARENT_OFFSET)?.into_u32();
        let subtrees = table.decode_dense(block.files(), group, span::SUBTREE)?.into_u32();
        let parent_offset = offsets.ok_or_else(|| table.mistyped(span::PARENT_OFFSET))?;
        let subtree = subtrees.ok_or_else(|| table.mistyped(span::SUBTREE))?;
        check_tree(&parent_offset, &subtree).ok_or_else(|| table.mistyped(span::SUBTREE))?;
        let orphans = table.decode_required(block.files(), group, span::PARENT_SPAN_ID)?;
        Ok(TreeColumns { orphans: orphans.rows.unwrap_or_else(|| (0..subtree.len() as u32).collect()), parent_offset, subtree })
    }

    /// Number of children of each row, told without the rest of the trees; 0 in traces without a root. Waits for the store.
    pub fn children(&self) -> Result<Vec<i64>, BlockError> {
        let GroupColumns { block, table, group, .. } = self.columns;
        let mistyped = || table.mistyped(span::PARENT_OFFSET);
        let offsets = table.decode_dense(block.files(), group, span::PARENT_OFFSET)?.into_u32().ok_or_else(mistyped)?;
        let mut children = vec![0; offsets.len()];
        for (row, offset) in offsets.iter().enumerate().filter(|(_, offset)| **offset > 0) {
            children[row.checked_sub(*offset as usize).ok_or_else(mistyped)?] += 1;
        }
        let orphans = table.decode_required(block.files(), group, span::PARENT_SPAN_ID)?.rows;
        let is_orphan = |row: u32| orphans.as_ref().is_none_or(|orphans| orphans.binary_search(&row).is_ok());
        if orphans.as_ref().is_some_and(Vec::is_empty) {
            return Ok(children);
        }
        let first = self.traces.first_row_of(group);
        for trace in self.traces.traces_of(group) {
            let rows = self.traces.rows(trace);
            let mut rows = rows.start - first..(rows.end - first).min(offsets.len() as u32);
            // A trace without a root begins with an orphan.
            if !rows.is_empty() && is_orphan(rows.start) && rows.all(|row| offsets[row as usize] > 0 || is_orphan(row)) {
                let rows = self.traces.rows(trace);
                children[(rows.start - first) as usize..((rows.end - first) as usize).min(offsets.len())].fill(0);
            }
        }
        Ok(children)
    }

    /// The rows without a parent, neither here nor elsewhere, ascending. Waits for the store.
    pub fn roots(&self) -> Result<Vec<u32>, BlockError> {
        let GroupColumns { block, table, group, .. } = self.columns;
        let column = table.column(group, span::PARENT_OFFSET)?.ok_or_else(|| table.mistyped(span::PARENT_OFFSET))?;
        let (all, has_zero) = (0..column.num_rows(), |min: i64, max: i64| min <= 0 && max >= 0);
        let fetched = table.fetch(block.files(), column.bytes_of_int_selection(all.clone(), &has_zero))?;
        let starts = column.select_ints(&fetched, all, &has_zero, |offset| offset == 0).map_err(|error| table.damage(&error))?;
        let orphans = table.decode_required(block.files(), group, span::PARENT_SPAN_ID)?;
        let Some(orphans) = orphans.rows else { return Ok(Vec::new()) };
        // Both ascend, and most row groups have few orphans.
        let mut orphans = orphans.into_iter().peekable();
        let is_root = |row: &u32| {
            while orphans.next_if(|orphan| orphan < row).is_some() {}
            orphans.peek() != Some(row)
        };
        Ok(starts.into_iter().filter(is_root).collect())
    }

    /// Parents' ids: those of the rows that offsets lead to, and of orphans their own.
    fn parents(&self, wanted: Wanted<'_>) -> Result<Option<Column<'static>>, BlockError> {
        let GroupColumns { table, .. } = self.columns;
        let mistyped = |leaf| move || table.mistyped(leaf);
        let offsets = self.columns.dense(span::PARENT_OFFSET, wanted, u32_values)?;
        let Some(Column { rows, values: Values::U32(offsets) }) = offsets else { return Err(table.mistyped(span::PARENT_OFFSET)) };
        let row_of = |at: usize| match &rows {
            Rows::All => at as u32,
            Rows::Some(rows) => rows[at],
        };
        let parent_row = |(at, offset): (usize, &u32)| (*offset > 0).then(|| row_of(at).checked_sub(*offset)).flatten();
        let parent_rows: Vec<Option<u32>> = offsets.iter().enumerate().map(parent_row).collect();
        let mut read: Vec<u32> = parent_rows.iter().flatten().copied().collect();
        read.sort_unstable();
        read.dedup();
        let ids = self.columns.dense(span::SPAN_ID, Wanted::Some(&read), u64_values)?.ok_or_else(mistyped(span::SPAN_ID))?;
        let orphans = self.columns.decode(span::PARENT_SPAN_ID, wanted)?.and_then(|decoded| {
            let values = u64_values(decoded.values)?;
            Some(Column { rows: decoded_rows(decoded.rows), values })
        });
        let orphans = orphans.ok_or_else(mistyped(span::PARENT_SPAN_ID))?;
        let number = |column: &Column<'_>, row: u32| match (&column.values, column.position(row)) {
            (Values::U64(values), Some(at)) => values.get(at).copied().unwrap_or(0),
            _ => 0,
        };
        let parent = |(at, parent): (usize, &Option<u32>)| match parent {
            Some(parent) => number(&ids, *parent),
            None => number(&orphans, row_of(at)),
        };
        let parents = parent_rows.iter().enumerate().map(parent).collect();
        Ok(Some(Column { rows, values: Values::U64(Cow::Owned(parents)) }))
    }

    /// The trace of each row, counted from the row group's first.
    fn trace_ordinals(&self) -> Column<'static> {
        let mut ordinals = Vec::with_capacity(self.num_rows());
        for (ordinal, trace) in self.traces.traces_of(self.columns.group).enumerate() {
            ordinals.resize(ordinals.len() + self.traces.rows(trace).len(), ordinal as u32);
        }
        Column { rows: Rows::All, values: Values::U32(Cow::Owned(ordinals)) }
    }

    fn read(&self, id: ColumnId<'_>, wanted: Wanted<'_>) -> Result<Option<Column<'_>>, BlockError> {
        let dense = |leaf: &str, convert| self.columns.dense(leaf, wanted, convert);
        match id {
            ColumnId::Attribute { key, kind } => self.columns.attribute(key, kind, wanted),
            ColumnId::Name => dense(span::NAME, text_values),
            ColumnId::Kind => dense(span::KIND, enum_values),
            ColumnId::Status => dense(span::STATUS, enum_values),
            ColumnId::StatusMessage => self.columns.optional_text(span::STATUS_MESSAGE, wanted),
            ColumnId::Start => self.columns.integers(span::START, wanted, |bits| bits as u64, u64_values, owned_u64),
            ColumnId::Duration => self.columns.integers(span::DURATION, wanted, |bits| bits as u64, u64_values, owned_u64),
            ColumnId::SpanId => dense(span::SPAN_ID, u64_values),
            ColumnId::ParentId => self.parents(wanted),
            ColumnId::Resource => self.columns.integers(span::RESOURCE, wanted, |bits| bits as u32, u32_values, owned_u32),
            ColumnId::Scope => self.columns.integers(span::SCOPE, wanted, |bits| bits as u32, u32_values, owned_u32),
            ColumnId::Trace => Ok(Some(self.trace_ordinals())),
            ColumnId::Span | ColumnId::SinceStart | ColumnId::LinkedTrace => Ok(None),
        }
    }

    fn open_details(&self, of: Detail) -> Result<Option<DetailSource<'_, 'a>>, BlockError> {
        let (block, group): (&Block, usize) = (self.columns.block, self.columns.group);
        let table = match of {
            Detail::Event => block.events()?,
            Detail::Link => block.links()?,
        };
        let count = |group: &super::meta::RowGroupMeta| match of {
            Detail::Event => group.num_events,
            Detail::Link => group.num_links,
        };
        let groups = block.row_groups();
        let Some(table) = table.filter(|_| count(&groups[group]) > 0) else { return Ok(None) };
        // Only row groups that have such rows have a row group there.
        let own = groups[..group].iter().filter(|group| count(group) > 0).count();
        if table.num_rows(own) != count(&groups[group]) as usize {
            return Err(table.mistyped(detail::SPAN_ROW));
        }
        DetailSource::open(self, GroupColumns::new(block, table, own), of).map(Some)
    }
}

/// Parents and subtrees must lie inside the row group and inside each other, so that they can be followed without looking.
fn check_tree(parent_offset: &[u32], subtree: &[u32]) -> Option<()> {
    for (row, (&offset, &rows)) in parent_offset.iter().zip(subtree).enumerate() {
        let end = row.checked_add(rows as usize).filter(|end| rows > 0 && *end <= subtree.len())?;
        if offset > 0 {
            let parent = row.checked_sub(offset as usize)?;
            (end <= parent + subtree[parent] as usize).then_some(())?;
        }
    }
    (parent_offset.len() == subtree.len()).then_some(())
}

/// No span of a row group starts later, Unix nanoseconds; `None` where the file does not tell.
pub fn newest_span_start(block: &Block, group: usize) -> Result<Option<u64>, BlockError> {
    Ok(block.data()?.column(group, span::START)?.and_then(|column| column.uint_bounds()).map(|(_, max)| max))
}

fn u64_values(values: DecodedValues) -> Option<Values<'static>> {
    values.into_u64().map(|values| Values::U64(Cow::Owned(values)))
}

fn u32_values(values: DecodedValues) -> Option<Values<'static>> {
    values.into_u32().map(|values| Values::U32(Cow::Owned(values)))
}

fn owned_u64(values: Vec<u64>) -> Values<'static> {
    Values::U64(Cow::Owned(values))
}

fn owned_u32(values: Vec<u32>) -> Values<'static> {
    Values::U32(Cow::Owned(values))
}

fn enum_values(values: DecodedValues) -> Option<Values<'static>> {
    match values {
        DecodedValues::Int32(values) => Some(Values::Enum(Cow::Owned(values))),
        _ => None,
    }
}

impl SpanSource for RowGroupSource<'_> {
    fn num_rows(&self) -> usize {
        self.columns.num_rows()
    }

    fn column(&self, id: ColumnId<'_>) -> Result<Option<Column<'_>>, SourceError> {
        Ok(self.read(id, Wanted::All)?)
    }

    fn column_of(&self, id: ColumnId<'_>, rows: &[u32]) -> Result<Option<Column<'_>>, SourceError> {
        Ok(self.read(id, Wanted::Some(rows))?)
    }

    fn visit_starts(&self, visitor: &mut dyn StartVisitor) -> Result<(), SourceError> {
        // Both closures need the visitor, one after the other; and so it is with the pages that are not read.
        let (visitor, unread) = (RefCell::new(visitor), RefCell::new(VecDeque::new()));
        let keep = |rows: Range<usize>, bounds: Option<(i64, i64)>| {
            let Some((min, max)) = bounds.filter(|bounds| bounds.0 >= 0) else { return true };
            let part = StartsOf { rows, min: min as u64, max: max as u64 };
            let is_needed = visitor.borrow().needs(&part);
            if !is_needed {
                unread.borrow_mut().push_back(part);
            }
            is_needed
        };
        let tell_unread_before = |row: usize| {
            let mut unread = unread.borrow_mut();
            while let Some(part) = unread.front().filter(|part| part.rows.start < row).cloned() {
                visitor.borrow_mut().bounded(&part);
                unread.pop_front();
            }
        };
        self.columns.visit_integers(
            span::START,
            |bits| bits as u64,
            keep,
            |first_row, starts| {
                tell_unread_before(first_row);
                visitor.borrow_mut().starts(first_row, starts);
            },
        )?;
        tell_unread_before(self.num_rows());
        Ok(())
    }

    fn entries(&self, id: ColumnId<'_>) -> Result<Option<Column<'_>>, SourceError> {
        match id {
            ColumnId::Attribute { key, kind } => Ok(self.columns.attribute_entries(key, kind)?),
            ColumnId::Name => Ok(self.columns.entries(span::NAME, text_values)?),
            _ => self.column(id),
        }
    }

    fn attribute_kinds(&self, key: &str) -> Vec<ValueKind> {
        self.columns.attribute_kinds(key)
    }

    fn attribute_keys(&self) -> Result<Vec<String>, SourceError> {
        Ok(self.columns.attribute_keys()?)
    }

    fn attribute_keys_of(&self, rows: &[u32]) -> Result<Vec<String>, SourceError> {
        Ok(self.columns.attribute_keys_of(rows)?)
    }

    fn select(&self, id: ColumnId<'_>, condition: &dyn Condition) -> Result<Vec<u32>, SourceError> {
        match id {
            ColumnId::Attribute { key, kind } => Ok(self.columns.select_attribute(key, kind, condition)?),
            ColumnId::Name => Ok(self.columns.select_text(span::NAME, condition)?),
            ColumnId::StatusMessage => Ok(self.columns.select_text(span::STATUS_MESSAGE, condition)?),
            ColumnId::Kind => Ok(self.columns.select_numbers(span::KIND, condition, enum_values)?),
            ColumnId::Status => Ok(self.columns.select_numbers(span::STATUS, condition, enum_values)?),
            ColumnId::Duration => Ok(self.columns.select_numbers(span::DURATION, condition, u64_values)?),
            ColumnId::Resource => Ok(self.columns.select_numbers(span::RESOURCE, condition, u32_values)?),
            ColumnId::Scope => Ok(self.columns.select_numbers(span::SCOPE, condition, u32_values)?),
            _ => Ok(self.column(id)?.map(|column| condition.rows(&column)).unwrap_or_default()),
        }
    }

    fn resources(&self) -> &[Origin] {
        self.resources
    }

    fn scopes(&self) -> &[Origin] {
        self.scopes
    }

    fn details(&self, of: Detail) -> Result<Option<Box<dyn SpanSource + '_>>, SourceError> {
        Ok(self.open_details(of)?.map(|source| Box::new(source) as Box<dyn SpanSource>))
    }
}

/// The events or links of a row group of spans.
struct DetailSource<'s, 'a> {
    spans: &'s RowGroupSource<'a>,
    columns: GroupColumns<'a>,
    of: Detail,
    /// The row of each one's span, counted from the first of the row group of spans.
    span_rows: Vec<u32>,
}

impl<'s, 'a> DetailSource<'s, 'a> {
    fn open(spans: &'s RowGroupSource<'a>, columns: GroupColumns<'a>, of: Detail) -> Result<Self, BlockError> {
        let mistyped = || columns.table.mistyped(detail::SPAN_ROW);
        let decoded = columns.table.decode_dense(columns.block.files(), columns.group, detail::SPAN_ROW)?;
        let mut span_rows = decoded.into_u32().ok_or_else(mistyped)?;
        let first = spans.traces.first_row_of(spans.columns.group);
        let num_spans = spans.num_rows() as u32;
        for row in &mut span_rows {
            *row = row.checked_sub(first).filter(|row| *row < num_spans).ok_or_else(mistyped)?;
        }
        if span_rows.is_sorted() { Ok(DetailSource { spans, span_rows, columns, of }) } else { Err(mistyped()) }
    }

    fn since_start(&self) -> Result<Option<Column<'_>>, BlockError> {
        let times = self.columns.dense(detail::TIME, Wanted::All, u64_values)?.map(|column| column.values);
        let starts = self.spans.columns.dense(span::START, Wanted::All, u64_values)?.map(|column| column.values);
        let (Some(Values::U64(times)), Some(Values::U64(starts))) = (times, starts) else { return Ok(None) };
        let values = Values::U64(Cow::Owned(since_start(&times, &self.span_rows, &starts)));
        Ok(Some(Column { rows: Rows::All, values }))
    }

    fn linked_traces(&self) -> Result<Option<Column<'_>>, BlockError> {
        let Some(decoded) = self.columns.decode(detail::TRACE_ID, Wanted::All)? else { return Ok(None) };
        let DecodedValues::Fixed(bytes, 16) = decoded.values else { return Err(self.columns.table.mistyped(detail::TRACE_ID)) };
        let ids: Vec<TraceId> = bytes.chunks_exact(16).filter_map(TraceId::from_slice).collect();
        Ok(Some(Column { rows: Rows::All, values: trace_id_texts(&ids) }))
    }
}

impl SpanSource for DetailSource<'_, '_> {
    fn num_rows(&self) -> usize {
        self.span_rows.len()
    }

    fn column(&self, id: ColumnId<'_>) -> Result<Option<Column<'_>>, SourceError> {
        Ok(match (id, self.of) {
            (ColumnId::Attribute { key, kind }, _) => self.columns.attribute(key, kind, Wanted::All)?,
            (ColumnId::Span, _) => Some(Column { rows: Rows::All, values: Values::U32(Cow::Borrowed(&self.span_rows)) }),
            (ColumnId::Name, Detail::Event) => self.columns.dense(detail::NAME, Wanted::All, text_values)?,
            (ColumnId::SinceStart, Detail::Event) => self.since_start()?,
            (ColumnId::SpanId, Detail::Link) => self.columns.dense(detail::SPAN_ID, Wanted::All, u64_values)?,
            (ColumnId::LinkedTrace, Detail::Link) => self.linked_traces()?,
            _ => None,
        })
    }

    fn entries(&self, id: ColumnId<'_>) -> Result<Option<Column<'_>>, SourceError> {
        match id {
            ColumnId::Attribute { key, kind } => Ok(self.columns.attribute_entries(key, kind)?),
            ColumnId::Name => Ok(self.columns.entries(detail::NAME, text_values)?),
            _ => self.column(id),
        }
    }

    fn attribute_kinds(&self, key: &str) -> Vec<ValueKind> {
        self.columns.attribute_kinds(key)
    }

    fn attribute_keys(&self) -> Result<Vec<String>, SourceError> {
        Ok(self.columns.attribute_keys()?)
    }

    fn select(&self, id: ColumnId<'_>, condition: &dyn Condition) -> Result<Vec<u32>, SourceError> {
        match id {
            ColumnId::Attribute { key, kind } => Ok(self.columns.select_attribute(key, kind, condition)?),
            ColumnId::Name => Ok(self.columns.select_text(detail::NAME, condition)?),
            _ => Ok(self.column(id)?.map(|column| condition.rows(&column)).unwrap_or_default()),
        }
    }

    fn resources(&self) -> &[Origin] {
        &[]
    }

    fn scopes(&self) -> &[Origin] {
        &[]
    }

    fn details(&self, _of: Detail) -> Result<Option<Box<dyn SpanSource + '_>>, SourceError> {
        Ok(None)
    }
}
