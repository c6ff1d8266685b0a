//! The file, read.

use super::counts::SpanCounts;
use super::message::{CatalogueMessage, ColumnMessage, HolderMessage, SpanCountsMessage, VERSION};
use super::names::ColumnName;
use super::trigrams::Trigrams;
use super::write::{holder_number, kind_number};
use crate::columns::ValueKind;
use crate::columns::known::{Catalogue as View, Holder, Known, Parts, TextSet};
use crate::columns::view::{Column, ColumnId, Rows, Strings, Values};
use bytes::Bytes;
use parquet::bloom_filter::Sbbf;
use prost::Message;
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

const HOLDERS: [Holder; 5] = [Holder::Span, Holder::Resource, Holder::Instrumentation, Holder::Event, Holder::Link];
const KINDS: [ValueKind; 5] = [ValueKind::Str, ValueKind::Int, ValueKind::Double, ValueKind::Bool, ValueKind::Any];

/// Longer than any file that is written: what is read of it takes up to about 16 times its bytes.
const MAX_FILE_BYTES: usize = 8 << 20;
/// More columns than any file has.
const MAX_COLUMNS: usize = 1 << 16;

/// Bytes of a block of a filter.
const FILTER_BLOCK_BYTES: usize = 32;

/// The file makes no sense.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CatalogueError {
    /// It is no such message.
    #[error(transparent)]
    Protobuf(#[from] prost::DecodeError),
    /// It is larger than any that is written.
    #[error("it is too large")]
    TooLarge,
    /// The counts of spans do not fit each other.
    #[error("counts of spans: {0}")]
    Counts(&'static str),
    /// Its parts do not fit each other.
    #[error("column {key}: {reason}")]
    Column {
        /// The column's key.
        key: String,
        /// What is wrong.
        reason: &'static str,
    },
}

/// What a block's catalogue says.
#[derive(Default)]
pub struct Catalogue {
    holders: HashMap<Holder, HolderColumns>,
    /// As in the file.
    span_counts: Box<[u8]>,
}

/// The columns of a holder.
#[derive(Default)]
struct HolderColumns {
    is_open: bool,
    attributes: HashMap<String, Vec<(ValueKind, Facts)>>,
    intrinsics: Vec<(ColumnName, Facts)>,
    bare_keys: BTreeSet<String>,
}

/// What is known of a column.
enum Facts {
    Nothing,
    Absent,
    Values(Column<'static>),
    Ints(i64, i64),
    Doubles(f64, f64),
    Texts(TextFilter),
}

struct TextFilter {
    filter: Option<Sbbf>,
    trigrams: Option<Trigrams>,
}

impl TextFilter {
    fn read(message: &ColumnMessage) -> Result<Option<Self>, &'static str> {
        if !message.filter.len().is_multiple_of(FILTER_BLOCK_BYTES) {
            return Err("its filter is cut off");
        }
        let filter = (!message.filter.is_empty()).then(|| Sbbf::new(&message.filter));
        let trigrams = match message.trigrams.is_empty() {
            true => None,
            false => Some(Trigrams::from_bytes(&message.trigrams).ok_or("its trigrams are cut off")?),
        };
        Ok((filter.is_some() || trigrams.is_some()).then_some(TextFilter { filter, trigrams }))
    }
}

impl TextSet for TextFilter {
    fn may_contain(&self, text: &[u8]) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.check(text)) && self.may_hold(text)
    }
}

impl Parts for TextFilter {
    fn may_hold(&self, part: &[u8]) -> bool {
        self.trigrams.as_ref().is_none_or(|trigrams| trigrams.may_hold(part))
    }
}

impl Catalogue {
    /// Reads the file; `None` if it is of a later version than this code knows.
    ///
    /// # Errors
    /// Damage, and a file that is larger than any of ours.
    pub fn decode(bytes: &Bytes) -> Result<Option<Self>, CatalogueError> {
        if bytes.len() > MAX_FILE_BYTES {
            return Err(CatalogueError::TooLarge);
        }
        let message = CatalogueMessage::decode(bytes.clone())?;
        if message.version > VERSION {
            return Ok(None);
        }
        if message.holders.iter().map(|holder| holder.columns.len()).sum::<usize>() > MAX_COLUMNS {
            return Err(CatalogueError::TooLarge);
        }
        let mut catalogue = Catalogue { span_counts: message.span_counts[..].into(), ..Catalogue::default() };
        for of_holder in message.holders {
            // One that this code does not know is one that nobody asks for.
            if let Some(holder) = HOLDERS.into_iter().find(|holder| holder_number(*holder) == of_holder.holder) {
                catalogue.holders.insert(holder, HolderColumns::read(of_holder)?);
            }
        }
        Ok(Some(catalogue))
    }

    /// How many spans there are of which kinds; `None` if it does not tell.
    ///
    /// # Errors
    /// Damage.
    pub fn span_counts(&self) -> Result<Option<SpanCounts>, CatalogueError> {
        if self.span_counts.is_empty() {
            return Ok(None);
        }
        SpanCounts::read(SpanCountsMessage::decode(&self.span_counts[..])?).map(Some).map_err(CatalogueError::Counts)
    }

    /// The keys of all attributes of a holder; `None` if it may have others.
    pub fn keys(&self, holder: Holder) -> Option<BTreeSet<&str>> {
        let Some(columns) = self.holders.get(&holder) else { return Some(BTreeSet::new()) };
        let keys = columns.attributes.keys().chain(&columns.bare_keys).map(String::as_str);
        (!columns.is_open).then(|| keys.collect())
    }

    /// All values of an attribute of any kind, as one column a kind; `None` if some of them are not listed.
    pub fn attribute_values(&self, holder: Holder, key: &str) -> Option<Vec<&Column<'static>>> {
        KINDS.into_iter().map(|kind| self.attribute(holder, key, kind)).filter_map(listed).collect()
    }

    /// All values of a column that is no attribute; `None` if some of them are not listed.
    pub fn intrinsic_values(&self, holder: Holder, id: ColumnId<'_>) -> Option<Vec<&Column<'static>>> {
        std::iter::once(self.column(holder, id)).filter_map(listed).collect()
    }
}

/// Nothing where there are no values, `Some(None)` where they are not listed.
fn listed(known: Known<'_>) -> Option<Option<&Column<'static>>> {
    match known {
        Known::Absent => None,
        Known::Values(column) => Some(Some(column)),
        Known::Nothing | Known::Ints(..) | Known::Doubles(..) | Known::Texts(_) => Some(None),
    }
}

impl View for Catalogue {
    fn has(&self, holder: Holder) -> bool {
        self.holders.contains_key(&holder)
    }

    fn column(&self, holder: Holder, id: ColumnId<'_>) -> Known<'_> {
        let Some(columns) = self.holders.get(&holder) else { return Known::Absent };
        let found = match id {
            ColumnId::Attribute { key, kind } => {
                let of_key = columns.attributes.get(key).map_or(&[][..], Vec::as_slice);
                match of_key.iter().find(|(other, _)| *other == kind) {
                    None if columns.is_open || columns.bare_keys.contains(key) => return Known::Nothing,
                    None => return Known::Absent,
                    Some((_, facts)) => facts,
                }
            }
            _ => match columns.intrinsics.iter().find(|(name, _)| name.id() == id) {
                // A block in which no span has a status message has no such column.
                None if id == ColumnId::StatusMessage => return Known::Absent,
                None => return Known::Nothing,
                Some((_, facts)) => facts,
            },
        };
        match found {
            Facts::Nothing => Known::Nothing,
            Facts::Absent => Known::Absent,
            Facts::Values(column) => Known::Values(column),
            Facts::Ints(min, max) => Known::Ints(*min, *max),
            Facts::Doubles(min, max) => Known::Doubles(*min, *max),
            Facts::Texts(filter) => Known::Texts(filter),
        }
    }
}

impl HolderColumns {
    fn read(message: HolderMessage) -> Result<Self, CatalogueError> {
        let mut columns = HolderColumns { is_open: message.is_open, ..HolderColumns::default() };
        columns.bare_keys.extend(message.bare_keys);
        for column in message.columns {
            let mut column = ColumnMessage::decode(column)?;
            let key = std::mem::take(&mut column.key);
            if column.kind == 0 {
                let known = ColumnName::INTRINSICS.into_iter().find(|(_, word)| *word == key);
                if let Some((name, _)) = known {
                    let facts = Facts::read(&name, column).map_err(|reason| CatalogueError::Column { key, reason })?;
                    columns.intrinsics.push((name, facts));
                }
                continue;
            }
            match KINDS.into_iter().find(|kind| kind_number(*kind) == column.kind) {
                Some(kind) => {
                    let name = ColumnName::Attribute { key: key.clone(), kind };
                    let facts = Facts::read(&name, column).map_err(|reason| CatalogueError::Column { key: key.clone(), reason })?;
                    columns.attributes.entry(key).or_default().push((kind, facts));
                }
                // There is something of which this code does not know what it is.
                None => _ = columns.bare_keys.insert(key),
            }
        }
        Ok(columns)
    }
}

impl Facts {
    fn read(name: &ColumnName, message: ColumnMessage) -> Result<Self, &'static str> {
        if message.num_values == 0 {
            return Ok(Facts::Absent);
        }
        if message.is_complete {
            let column = Column { rows: Rows::All, values: listed_values(name, message)? };
            return if column.is_empty() { Err("its values are missing") } else { Ok(Facts::Values(column)) };
        }
        if let Some(filter) = TextFilter::read(&message)? {
            return Ok(Facts::Texts(filter));
        }
        Ok(match (message.int_bounds, message.double_bounds) {
            (Some(bounds), _) => Facts::Ints(bounds.min, bounds.max),
            (_, Some(bounds)) => Facts::Doubles(bounds.min, bounds.max),
            (None, None) => Facts::Nothing,
        })
    }
}

fn listed_values(name: &ColumnName, message: ColumnMessage) -> Result<Values<'static>, &'static str> {
    let ints = message.ints;
    Ok(match name {
        ColumnName::Attribute { kind: ValueKind::Int, .. } => Values::Int(Cow::Owned(ints)),
        ColumnName::Attribute { kind: ValueKind::Bool, .. } => Values::Bool(ints.into_iter().map(|bit| bit != 0).collect()),
        ColumnName::Attribute { kind: ValueKind::Double, .. } => Values::Double(message.doubles.into_iter().map(f64::from_bits).collect()),
        ColumnName::Duration => Values::U64(ints.into_iter().map(|nanos| nanos as u64).collect()),
        ColumnName::Kind | ColumnName::Status => {
            let numbers = ints.into_iter().map(i32::try_from).collect::<Result<Vec<_>, _>>();
            Values::Enum(Cow::Owned(numbers.map_err(|_| "a number is too large")?))
        }
        ColumnName::Name | ColumnName::StatusMessage | ColumnName::Attribute { kind: ValueKind::Str | ValueKind::Any, .. } => {
            let (codes, strings) = strings(&message.lengths, message.bytes)?;
            match name {
                ColumnName::Attribute { kind: ValueKind::Any, .. } => Values::Any(codes, strings),
                _ => Values::Text(codes, strings),
            }
        }
    })
}

/// The listed strings, each with a code.
fn strings(lengths: &[u32], bytes: Vec<u8>) -> Result<(Cow<'static, [u32]>, Strings<'static>), &'static str> {
    let mut end = 0u32;
    let mut ends = Vec::with_capacity(lengths.len());
    for length in lengths {
        end = end.checked_add(*length).ok_or("its texts are too long")?;
        ends.push(end);
    }
    if end as usize != bytes.len() {
        return Err("its texts do not fill their bytes");
    }
    Ok(((0..lengths.len() as u32).collect(), Strings::Shared(Arc::new((ends, bytes)))))
}
