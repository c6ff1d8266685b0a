//! Counting the values of one attribute on the rows of one source, by dictionary codes.

use super::occurrences::{Counted, Occurrences};
use super::{ComparedRows, Slot};
use crate::columns::resources::Origin;
use crate::columns::view::{ColumnId, Values};
use crate::traceql::ast::{Attribute, Scope};
use crate::traceql::eval::{EvalError, Scalar, each_position};
use crate::traceql::metrics::keys::{Keys, NIL, Spans};

/// Codes are counted in a table while it has at most so many entries for each counted row; else each row is counted by itself.
const TABLE_ENTRIES_PER_ROW: usize = 8;

/// A table of that size is always cheap enough.
const SMALL_TABLE: usize = 1 << 14;

/// What is counted together.
pub(super) struct Tally<'t> {
    pub rows: &'t ComparedRows,
    pub num_slots: usize,
    pub top_n: usize,
}

impl Tally<'_> {
    /// The values of an attribute.
    pub fn attribute(&self, spans: Spans<'_>, attribute: &Attribute, counted: &mut Counted) -> Result<(), EvalError> {
        let keys = Keys::read(spans, attribute, &self.rows.rows)?;
        let mut numbers = vec![u32::MAX; keys.num_codes()];
        let occurrences = counted.of(attribute);
        self.count(&keys.codes, keys.num_codes(), |code, slot, count| {
            if code != NIL {
                let number = &mut numbers[code as usize];
                if *number == u32::MAX {
                    *number = keys.intern(code, occurrences.values());
                }
                occurrences.add(*number, slot, count);
            }
        });
        counted.forget_rare_values(self.top_n);
        Ok(())
    }

    /// The values of all attributes of resources or scopes: once for each of these.
    pub fn origins(
        &self,
        spans: Spans<'_>,
        id: ColumnId<'_>,
        scope: Scope,
        origins: &[Origin],
        counted: &mut Counted,
    ) -> Result<(), EvalError> {
        let rows = &self.rows.rows;
        let Some(column) = spans.source.column_of(id, rows)? else { return Ok(()) };
        let Values::U32(all) = &column.values else { return Ok(()) };
        // Rows of an origin that is not there, of which there are none, would be counted for one more.
        let mut numbers = vec![origins.len() as u32; rows.len()];
        each_position(rows, &column, |index, at| numbers[index] = all[at].min(origins.len() as u32));
        let mut slots_of: Vec<Vec<(Slot, u64)>> = vec![Vec::new(); origins.len() + 1];
        self.count(&numbers, origins.len() + 1, |number, slot, count| slots_of[number as usize].push((slot, count)));
        for (origin, slots) in origins.iter().zip(slots_of).filter(|(_, slots)| !slots.is_empty()) {
            for (key, value) in values_of(origin, scope) {
                let occurrences: &mut Occurrences = counted.of(&Attribute::Scoped { scope, key: key.to_owned() });
                let value = occurrences.values().intern(&value);
                slots.iter().for_each(|(slot, count)| occurrences.add(value, *slot, *count));
            }
        }
        Ok(())
    }

    /// Calls `found` with codes, slots and numbers of rows, which add up to all rows.
    fn count(&self, codes: &[u32], num_codes: usize, mut found: impl FnMut(u32, Slot, u64)) {
        let size = num_codes.saturating_mul(self.num_slots);
        let pairs = codes.iter().zip(&self.rows.slots);
        if size > SMALL_TABLE.max(TABLE_ENTRIES_PER_ROW * codes.len()) {
            return pairs.for_each(|(code, slot)| found(*code, *slot, 1));
        }
        let mut table = vec![0u32; size];
        pairs.for_each(|(code, slot)| table[*code as usize * self.num_slots + *slot as usize] += 1);
        for (code, slots) in table.chunks(self.num_slots.max(1)).enumerate() {
            for (slot, count) in slots.iter().enumerate().filter(|(_, count)| **count > 0) {
                found(code as u32, slot as Slot, u64::from(*count));
            }
        }
    }
}

/// The first value of each key, as far as it is visible.
fn values_of(origin: &Origin, scope: Scope) -> impl Iterator<Item = (&str, Scalar)> {
    let is_first = |at: usize, key: &str| origin.attributes[..at].iter().all(|(other, _)| **other != *key);
    let pairs = origin.attributes.iter().enumerate().filter(move |(at, (key, _))| is_first(*at, key));
    pairs.filter_map(move |(_, (key, value))| {
        let is_service = scope == Scope::Resource && &**key == "service.name";
        let value = if is_service { Scalar::Str(origin.service_name().into()) } else { Scalar::from(value) };
        (!value.is_nil()).then_some((&**key, value))
    })
}
