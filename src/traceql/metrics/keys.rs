//! The values of an attribute as small numbers: one code for each of the rows in question, and what the codes stand for. A
//! string is looked at once for each distinct value of a source, never for each span.

use super::values::{ValueTable, float_bits};
use crate::columns::value::ValueRef;
use crate::columns::view::{Column, ColumnId, SourceError, SpanSource, Strings, Values};
use crate::traceql::ast::{Attribute, Intrinsic, Kind, Scope, Status};
use crate::traceql::eval::result::AttributeReader;
use crate::traceql::eval::{EvalError, Scalar, TraceFacts, each_position, resource_value, scope_value};
use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// The code of rows without a value.
pub const NIL: u32 = 0;

/// The codes of the rows in question. Two codes may stand for the same value, which [`Keys::intern`] makes one.
pub struct Keys<'s> {
    /// For each of the rows, a code below `num_codes`.
    pub codes: Vec<u32>,
    /// What the codes from a number on stand for, ascending.
    segments: Vec<(u32, Segment<'s>)>,
    num_codes: u32,
}

/// What a run of codes stands for.
enum Segment<'s> {
    /// Entries of a dictionary of texts.
    Text(Strings<'s>),
    /// Entries of a dictionary of `AnyValue` messages.
    Any(Strings<'s>),
    /// Values.
    Scalars(Vec<Scalar>),
    /// Values by their numbers in a table.
    Table(ValueTable),
}

/// A source with what is known of its traces.
#[derive(Clone, Copy)]
pub struct Spans<'s> {
    /// The columns.
    pub source: &'s dyn SpanSource,
    /// The facts of its traces.
    pub traces: &'s dyn TraceFacts,
}

impl<'s> Keys<'s> {
    /// Reads the values of ascending rows.
    pub fn read(spans: Spans<'s>, attribute: &Attribute, rows: &[u32]) -> Result<Self, EvalError> {
        let mut keys = Keys { codes: vec![NIL; rows.len()], segments: Vec::new(), num_codes: 1 };
        match attribute {
            Attribute::Scoped { scope: Scope::Span, key } => keys.add_span(spans.source, key, rows)?,
            Attribute::Scoped { scope: Scope::Resource, key } => keys.add_resource(spans.source, key, rows)?,
            Attribute::Scoped { scope: Scope::None, key } => {
                keys.add_span(spans.source, key, rows)?;
                keys.add_resource(spans.source, key, rows)?;
            }
            Attribute::Scoped { scope: Scope::Instrumentation, key } => {
                let values = spans.source.scopes().iter().map(|origin| scope_value(origin, key)).collect();
                keys.add_numbered(spans.source, ColumnId::Scope, values, rows)?;
            }
            Attribute::Intrinsic(intrinsic) => keys.add_intrinsic(spans, *intrinsic, rows)?,
            Attribute::Scoped { .. } => keys.add_any(spans, attribute, rows)?,
        }
        Ok(keys)
    }

    /// Keys of given values: each code is its value's number plus 1, or [`NIL`].
    pub fn of_codes(codes: Vec<u32>, values: Vec<Scalar>) -> Self {
        let num_codes = 1 + values.len() as u32;
        Keys { codes, segments: vec![(1, Segment::Scalars(values))], num_codes }
    }

    /// Number of codes, that of nil included.
    pub fn num_codes(&self) -> usize {
        self.num_codes as usize
    }

    /// The number of a code's value in a table.
    pub fn intern(&self, code: u32, table: &mut ValueTable) -> u32 {
        let Some((first, segment)) = self.segments.iter().rev().find(|(first, _)| *first <= code) else {
            return table.intern(&Scalar::Nil);
        };
        let at = code - first;
        match segment {
            Segment::Text(strings) => table.intern_text(strings.get(at)),
            Segment::Any(strings) => table.intern(&Scalar::from(ValueRef::Any(strings.get(at)))),
            Segment::Scalars(values) => table.intern(&values[at as usize]),
            Segment::Table(values) => table.intern_from(values, at),
        }
    }

    fn push(&mut self, segment: Segment<'s>) -> u32 {
        let first = self.num_codes;
        self.num_codes += match &segment {
            Segment::Text(strings) | Segment::Any(strings) => strings.len() as u32,
            Segment::Scalars(values) => values.len() as u32,
            Segment::Table(values) => values.len() as u32,
        };
        self.segments.push((first, segment));
        first
    }

    /// Sets the codes of rows that have none yet and have a value in the column.
    fn fill(&mut self, rows: &[u32], column: &Column<'_>, code: impl Fn(usize) -> u32) {
        let codes = &mut self.codes;
        each_position(rows, column, |index, at| {
            if codes[index] == NIL {
                codes[index] = code(at);
            }
        });
    }

    fn add_span(&mut self, source: &'s dyn SpanSource, key: &str, rows: &[u32]) -> Result<(), EvalError> {
        let mut kinds = source.attribute_kinds(key);
        // The evaluator looks at them in the same order.
        kinds.sort_unstable();
        for kind in kinds {
            if let Some(column) = source.column_of(ColumnId::Attribute { key, kind }, rows)? {
                self.add_column(column, rows);
            }
        }
        Ok(())
    }

    fn add_column(&mut self, column: Column<'s>, rows: &[u32]) {
        match &column.values {
            Values::Text(codes, strings) => {
                let first = self.push(Segment::Text(strings.clone()));
                self.fill(rows, &column, |at| first + codes[at]);
            }
            Values::Any(codes, strings) => self.add_messages(&column, codes, strings, rows),
            Values::Int(values) => self.add_distinct(&column, rows, |at| values[at] as u64, |bits| Scalar::Int(bits as i64)),
            Values::Double(values) => {
                self.add_distinct(&column, rows, |at| float_bits(values[at]), |bits| Scalar::Float(f64::from_bits(bits)))
            }
            Values::Bool(values) => self.add_distinct(&column, rows, |at| u64::from(values[at]), |bits| Scalar::Bool(bits == 1)),
            Values::Enum(_) | Values::U32(_) | Values::U64(_) => {}
        }
    }

    /// Messages that read as nil leave the row without a value.
    fn add_messages(&mut self, column: &Column<'s>, codes: &[u32], strings: &Strings<'s>, rows: &[u32]) {
        let is_nil: Vec<bool> = (0..strings.len() as u32).map(|code| Scalar::from(ValueRef::Any(strings.get(code))).is_nil()).collect();
        let first = self.push(Segment::Any(strings.clone()));
        self.fill(rows, column, |at| if is_nil[codes[at] as usize] { NIL } else { first + codes[at] });
    }

    /// Numbers the distinct values among the rows in question.
    fn add_distinct(&mut self, column: &Column<'_>, rows: &[u32], bits: impl Fn(usize) -> u64, scalar: impl Fn(u64) -> Scalar) {
        let first = self.num_codes;
        let mut known: HashMap<u64, u32, FixedState> = HashMap::default();
        let (codes, mut values) = (&mut self.codes, Vec::new());
        each_position(rows, column, |index, at| {
            if codes[index] == NIL {
                codes[index] = *known.entry(bits(at)).or_insert_with(|| {
                    values.push(scalar(bits(at)));
                    first + values.len() as u32 - 1
                });
            }
        });
        self.push(Segment::Scalars(values));
    }

    fn add_resource(&mut self, source: &'s dyn SpanSource, key: &str, rows: &[u32]) -> Result<(), EvalError> {
        let values = source.resources().iter().map(|origin| resource_value(origin, key)).collect();
        self.add_numbered(source, ColumnId::Resource, values, rows)
    }

    /// Values of numbers that a column has for every row.
    fn add_numbered(&mut self, source: &'s dyn SpanSource, id: ColumnId<'_>, values: Vec<Scalar>, rows: &[u32]) -> Result<(), EvalError> {
        if values.iter().all(Scalar::is_nil) {
            return Ok(());
        }
        let Some(column) = source.column_of(id, rows)? else { return Ok(()) };
        let Values::U32(numbers) = &column.values else { return Err(mistyped(id)) };
        // One code for each distinct value, so that groups of several attributes stay few.
        let mut table = ValueTable::default();
        let first = self.num_codes;
        let code = |value: &Scalar| if value.is_nil() { NIL } else { first + table.intern(value) };
        let codes: Vec<u32> = values.iter().map(code).collect();
        self.fill(rows, &column, |at| codes.get(numbers[at] as usize).copied().unwrap_or(NIL));
        self.push(Segment::Table(table));
        Ok(())
    }

    fn add_intrinsic(&mut self, spans: Spans<'s>, intrinsic: Intrinsic, rows: &[u32]) -> Result<(), EvalError> {
        let source = spans.source;
        match intrinsic {
            Intrinsic::Name => source.column_of(ColumnId::Name, rows)?.into_iter().for_each(|column| self.add_column(column, rows)),
            Intrinsic::StatusMessage => {
                source.column_of(ColumnId::StatusMessage, rows)?.into_iter().for_each(|column| self.add_column(column, rows));
                let empty = self.push(Segment::Scalars(vec![Scalar::text(b"")]));
                self.codes.iter_mut().filter(|code| **code == NIL).for_each(|code| *code = empty);
            }
            Intrinsic::Status => self.add_enum(source, ColumnId::Status, |code| Scalar::Status(Status::from_otlp_code(code)), rows)?,
            Intrinsic::Kind => self.add_enum(source, ColumnId::Kind, |kind| Scalar::Kind(Kind::from_otlp_kind(kind)), rows)?,
            Intrinsic::InstrumentationName | Intrinsic::InstrumentationVersion => {
                let text = |origin: &crate::columns::resources::Origin| match intrinsic {
                    Intrinsic::InstrumentationName => Scalar::Str((&*origin.name).into()),
                    _ => Scalar::Str((&*origin.version).into()),
                };
                self.add_numbered(source, ColumnId::Scope, source.scopes().iter().map(text).collect(), rows)?;
            }
            Intrinsic::RootName => self.add_fact(spans, one_after_the_other(|ordinal| spans.traces.root_name(ordinal)), rows)?,
            Intrinsic::RootServiceName => self.add_fact(spans, one_after_the_other(|ordinal| spans.traces.root_service(ordinal)), rows)?,
            Intrinsic::TraceDuration => {
                self.add_fact(spans, |table, ordinal| table.intern(&Scalar::duration(spans.traces.duration(ordinal))), rows)?
            }
            other => self.add_any(spans, &Attribute::Intrinsic(other), rows)?,
        }
        Ok(())
    }

    /// OTLP's numbers are few, and all unknown ones mean the same.
    fn add_enum(
        &mut self,
        source: &'s dyn SpanSource,
        id: ColumnId<'_>,
        value: impl Fn(i32) -> Scalar,
        rows: &[u32],
    ) -> Result<(), EvalError> {
        const KNOWN: u32 = 8;
        let Some(column) = source.column_of(id, rows)? else { return Ok(()) };
        let Values::Enum(numbers) = &column.values else { return Err(mistyped(id)) };
        let values = (0..KNOWN as i32).chain([i32::MAX]).map(value).collect();
        let first = self.push(Segment::Scalars(values));
        self.fill(rows, &column, |at| first + u32::try_from(numbers[at]).map_or(KNOWN, |number| number.min(KNOWN)));
        Ok(())
    }

    /// A fact of the trace, asked for once a trace.
    fn add_fact(&mut self, spans: Spans<'s>, mut fact: impl FnMut(&mut ValueTable, u32) -> u32, rows: &[u32]) -> Result<(), EvalError> {
        let Some(column) = spans.source.column_of(ColumnId::Trace, rows)? else { return Ok(()) };
        let Values::U32(ordinals) = &column.values else { return Err(mistyped(ColumnId::Trace)) };
        let first = self.num_codes;
        let mut table = ValueTable::default();
        let mut known: Vec<u32> = Vec::new();
        let codes = &mut self.codes;
        each_position(rows, &column, |index, at| {
            let ordinal = ordinals[at] as usize;
            if known.len() <= ordinal {
                known.resize(ordinal + 1, NIL);
            }
            if known[ordinal] == NIL {
                known[ordinal] = first + fact(&mut table, ordinals[at]);
            }
            codes[index] = known[ordinal];
        });
        self.push(Segment::Table(table));
        Ok(())
    }

    /// Whatever the evaluator knows.
    fn add_any(&mut self, spans: Spans<'s>, attribute: &Attribute, rows: &[u32]) -> Result<(), EvalError> {
        let values = match AttributeReader::open_for(spans.source, spans.traces, attribute, rows) {
            Ok(reader) => reader.values(rows),
            // Attributes of the parent read as nil (§5.1).
            Err(EvalError::Unsupported(_)) if is_of_parent(attribute) => return Ok(()),
            Err(error) => return Err(error),
        };
        let first = self.num_codes;
        let mut table = ValueTable::default();
        for (code, value) in self.codes.iter_mut().zip(&values).filter(|(code, value)| **code == NIL && !value.is_nil()) {
            *code = first + table.intern(value);
        }
        self.push(Segment::Table(table));
        Ok(())
    }
}

/// Interns texts of which many are the same as the one before, at the same place in memory.
fn one_after_the_other<'t>(text_of: impl Fn(u32) -> &'t str) -> impl FnMut(&mut ValueTable, u32) -> u32 {
    let (mut last, mut number) = ("", None);
    move |table, ordinal| {
        let text = text_of(ordinal);
        if !std::ptr::eq(text, last) || number.is_none() {
            (last, number) = (text, Some(table.intern_text(text.as_bytes())));
        }
        number.unwrap_or_default()
    }
}

/// Whether an attribute is one of the parent span, which is in no source.
pub fn is_of_parent(attribute: &Attribute) -> bool {
    match attribute {
        Attribute::Intrinsic(intrinsic) => *intrinsic == Intrinsic::Parent,
        Attribute::Scoped { scope, .. } => scope.is_parent(),
    }
}

fn mistyped(id: ColumnId<'_>) -> EvalError {
    EvalError::Source(SourceError(format!("column {id:?} has another type")))
}
