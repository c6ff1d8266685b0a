//! One condition on one attribute, as the rows that fulfil it.

use super::EvalError;
use super::bitmap::Bitmap;
use super::condition::{AnyValue, Numbers, Test, TextTest, pick};
use super::details;
use super::place::{Context, Place, SpanColumn, TraceFact, TraceFacts, TreeNumber, resource_value, scope_value};
use super::scalar::Scalar;
use crate::columns::resources::Origin;
use crate::columns::value::ValueKind;
use crate::columns::view::{Column, ColumnId, Condition, Detail, Rows, Values};

/// A condition on one attribute.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    pub(super) place: Place,
    pub(super) asks: Asks,
}

/// What a condition asks of its attribute.
#[derive(Clone, Debug)]
pub(super) enum Asks {
    /// A value that passes.
    Passes(Test),
    /// No value (`= nil`).
    IsNil,
}

impl Leaf {
    /// `place != nil`.
    pub(super) fn present(place: Place) -> Self {
        Leaf { place, asks: Asks::Passes(Test::Present) }
    }

    /// A condition on events (or links) in the terms of their own source; `None` for one on anything else.
    pub(super) fn of_detail(&self, of: Detail) -> Option<Leaf> {
        match &self.place {
            Place::Detail(detail, inner) if *detail == of => Some(Leaf { place: Place::clone(inner), asks: self.asks.clone() }),
            _ => None,
        }
    }

    /// About how much work it is, relative to the other conditions of an expression.
    pub(super) fn cost(&self) -> u32 {
        let place = match &self.place {
            Place::Detail(..) => 4,
            Place::Tree(_) => 6,
            Place::Resource(_) | Place::Scope(_) | Place::ScopeName | Place::ScopeVersion => 1,
            Place::Column(_) => 2,
            Place::Span(_) | Place::Trace(_) => 3,
            Place::Unscoped(_) => 5,
        };
        match &self.asks {
            Asks::Passes(Test::Text(test) | Test::SpanId(test)) if test.is_regex() => place + 5,
            _ => place,
        }
    }

    /// The rows that fulfil the condition.
    pub(super) fn select(&self, context: Context<'_>) -> Result<Bitmap, EvalError> {
        match &self.asks {
            Asks::Passes(test) => passing(&self.place, test, context),
            Asks::IsNil => without_value(&self.place, context),
        }
    }
}

fn passing(place: &Place, test: &Test, context: Context<'_>) -> Result<Bitmap, EvalError> {
    match place {
        Place::Span(key) => span_attribute(key, test, context),
        Place::Resource(key) => resources(context, |origin| test.passes(&resource_value(origin, key))),
        Place::Scope(key) => scopes(context, |origin| test.passes(&scope_value(origin, key))),
        Place::ScopeName => scopes(context, |origin| test.passes(&Scalar::Str((&*origin.name).into()))),
        Place::ScopeVersion => scopes(context, |origin| test.passes(&Scalar::Str((&*origin.version).into()))),
        Place::Unscoped(key) => {
            // Having the key shadows the resource, also where the span's own value does not pass (§5.3).
            let mut rows = resources(context, |origin| test.passes(&resource_value(origin, key)))?;
            if !rows.is_empty() {
                rows.and_not_with(&span_attribute(key, &Test::Present, context)?);
            }
            rows.or_with(&span_attribute(key, test, context)?);
            Ok(rows)
        }
        Place::Column(column) => span_column(*column, test, context),
        Place::Trace(fact) => {
            let condition = TraceTest { fact: *fact, test, traces: context.traces };
            select(context, ColumnId::Trace, &condition)
        }
        Place::Tree(TreeNumber::Parent) if test.keeps_roots_only() => Ok(context.traces.roots()?),
        Place::Tree(number) => {
            let column = Column { rows: Rows::All, values: Values::Int(context.traces.tree(*number)?) };
            Ok(Bitmap::from_rows(context.source.num_rows(), &test.rows(&column)))
        }
        Place::Detail(of, inner) => details::spans_with(*of, context, |details| passing(inner, test, details)),
    }
}

/// §6.5: an unscoped key is nil where the span *or* the resource lacks it; there is no shadowing.
fn without_value(place: &Place, context: Context<'_>) -> Result<Bitmap, EvalError> {
    if place.is_never_nil() {
        return Ok(Bitmap::empty(context.source.num_rows()));
    }
    match place {
        Place::Unscoped(key) => {
            let mut rows = resources(context, |origin| resource_value(origin, key).is_nil())?;
            let mut span_lacks = span_attribute(key, &Test::Present, context)?;
            span_lacks.negate();
            rows.or_with(&span_lacks);
            Ok(rows)
        }
        Place::Detail(of, inner) => details::spans_with(*of, context, |details| without_value(inner, details)),
        _ => {
            let mut rows = passing(place, &Test::Present, context)?;
            rows.negate();
            Ok(rows)
        }
    }
}

fn select(context: Context<'_>, id: ColumnId<'_>, condition: &dyn Condition) -> Result<Bitmap, EvalError> {
    let rows = context.source.select(id, condition)?;
    Ok(Bitmap::from_rows(context.source.num_rows(), &rows))
}

fn span_attribute(key: &str, test: &Test, context: Context<'_>) -> Result<Bitmap, EvalError> {
    let mut rows = Bitmap::empty(context.source.num_rows());
    let there = context.source.attribute_kinds(key);
    for &kind in test.kinds().iter().filter(|kind| there.contains(kind)) {
        let id = ColumnId::Attribute { key, kind };
        let found = match kind {
            ValueKind::Any => context.source.select(id, &AnyValue(test))?,
            _ => context.source.select(id, test)?,
        };
        found.into_iter().for_each(|row| rows.insert(row));
    }
    Ok(rows)
}

fn span_column(column: SpanColumn, test: &Test, context: Context<'_>) -> Result<Bitmap, EvalError> {
    if matches!(test, Test::Present) {
        return Ok(Bitmap::full(context.source.num_rows()));
    }
    let mut rows = select(context, column.id(), test)?;
    if test.passes(&column.missing()) {
        let mut absent = select(context, column.id(), &Test::Present)?;
        absent.negate();
        rows.or_with(&absent);
    }
    Ok(rows)
}

fn resources(context: Context<'_>, passes: impl Fn(&Origin) -> bool) -> Result<Bitmap, EvalError> {
    numbered(context, ColumnId::Resource, context.source.resources(), passes)
}

fn scopes(context: Context<'_>, passes: impl Fn(&Origin) -> bool) -> Result<Bitmap, EvalError> {
    numbered(context, ColumnId::Scope, context.source.scopes(), passes)
}

/// Asks the few resources or scopes first, and reads no column when all or none of them pass.
fn numbered(context: Context<'_>, id: ColumnId<'_>, origins: &[Origin], passes: impl Fn(&Origin) -> bool) -> Result<Bitmap, EvalError> {
    let passing: Vec<bool> = origins.iter().map(passes).collect();
    let num_rows = context.source.num_rows();
    if !passing.contains(&true) {
        return Ok(Bitmap::empty(num_rows));
    }
    if !passing.contains(&false) {
        return Ok(Bitmap::full(num_rows));
    }
    select(context, id, &Numbers(passing))
}

/// A condition on a fact of the trace, evaluated once per trace.
struct TraceTest<'a> {
    fact: TraceFact,
    test: &'a Test,
    traces: &'a dyn TraceFacts,
}

impl TraceTest<'_> {
    fn passes(&self, ordinal: u32) -> bool {
        match (self.fact, self.test) {
            (TraceFact::RootName, Test::Text(test)) => test.passes(self.traces.root_name(ordinal).as_bytes()),
            (TraceFact::RootService, Test::Text(test)) => test.passes(self.traces.root_service(ordinal).as_bytes()),
            (fact, test) => test.passes(&fact.of(self.traces, ordinal)),
        }
    }
}

impl Condition for TraceTest<'_> {
    fn text(&self, _value: &[u8]) -> bool {
        false
    }

    fn may_pass_int(&self, _min: i64, _max: i64) -> bool {
        true
    }

    fn rows(&self, column: &Column<'_>) -> Vec<u32> {
        let Values::U32(ordinals) = &column.values else { return Vec::new() };
        let num_traces = ordinals.iter().max().map_or(0, |&last| last as usize + 1);
        let mut passing: Vec<Option<bool>> = vec![None; num_traces];
        for &ordinal in ordinals.iter() {
            passing[ordinal as usize].get_or_insert_with(|| self.passes(ordinal));
        }
        pick(&column.rows, ordinals.len(), |at| passing[ordinals[at] as usize] == Some(true))
    }
}

/// A literal as it is compared with trace ids, which print without leading zeros (§5.2).
pub(super) fn without_leading_zeros(test: TextTest) -> TextTest {
    use super::condition::Compare;
    let strip = |list: Vec<Box<[u8]>>| -> Vec<Box<[u8]>> {
        let zeros = |text: &[u8]| text.iter().take_while(|&&digit| digit == b'0').count();
        list.into_iter().map(|text| text[zeros(&text)..].into()).collect()
    };
    match test {
        TextTest::Compare(Compare::In(list)) => TextTest::Compare(Compare::In(strip(list))),
        TextTest::Compare(Compare::NotIn(list)) => TextTest::Compare(Compare::NotIn(strip(list))),
        other => other,
    }
}
