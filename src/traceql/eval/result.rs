//! The attributes that a search answer shows for a span (spec/traceql.md §10.3).
//!
//! An answer shows what the query looked at. A condition with a literal shows a value only where it passed, so under `||` a span
//! lacks the attributes of the conditions that did not hold for it, and of an array only the passing elements are there; any other
//! use of an attribute shows the whole value.

use super::column::AttributeColumns;
use super::condition::Test;
use super::details::DetailValues;
use super::leaf::{Asks, Leaf};
use super::place::{Context, Place, SpanColumn, TraceFacts, TreeNumber};
use super::{EvalError, Scalar, compile};
use crate::columns::view::{Detail, SpanSource, Wanted};
use crate::traceql::ast::{
    Aggregate, Attribute, Body, FieldExpr, Intrinsic, Pipeline, Query, ScalarExpr, ScalarFilter, SpansetExpr, Stage,
};
use crate::traceql::duration::format_duration;

/// A value as it is shown to a client.
#[derive(Clone, Debug, PartialEq)]
pub enum ResultValue {
    /// A text; also durations as Go prints them, and the words of statuses and kinds.
    Str(String),
    /// A 64-bit integer.
    Int(i64),
    /// A double.
    Double(f64),
    /// A truth value.
    Bool(bool),
    /// At least two values of one type.
    Array(Vec<ResultValue>),
}

impl ResultValue {
    /// The value as it is shown; `None` for nil, which is not shown.
    pub fn of(value: &Scalar) -> Option<Self> {
        Some(match value {
            Scalar::Nil => return None,
            Scalar::Str(text) => ResultValue::Str(text.to_string()),
            Scalar::Int(int) => ResultValue::Int(*int),
            Scalar::Float(double) => ResultValue::Double(*double),
            Scalar::Bool(bit) => ResultValue::Bool(*bit),
            Scalar::Duration(nanos) => ResultValue::Str(format_duration(*nanos)),
            Scalar::Status(status) => ResultValue::Str(status.as_str().to_owned()),
            Scalar::Kind(kind) => ResultValue::Str(kind.as_str().to_owned()),
            Scalar::Array(elements) => ResultValue::Array(elements.iter().filter_map(ResultValue::of).collect()),
        })
    }
}

/// The attributes that an answer to the query shows, in order of first appearance, each once.
///
/// Not among them: what has a field of its own in the answer, or none at all (§10.3).
pub fn touched(query: &Query) -> Vec<Attribute> {
    uses_of(query).into_iter().map(|(attribute, _)| attribute.clone()).filter(is_listed).fold(Vec::new(), |mut list, attribute| {
        if !list.contains(&attribute) {
            list.push(attribute);
        }
        list
    })
}

/// Every attribute that a pipeline looks at, in order of first appearance, each once.
pub fn used(pipeline: &Pipeline) -> Vec<Attribute> {
    let mut uses = Vec::new();
    pipeline_uses(pipeline, &mut uses);
    uses.into_iter().fold(Vec::new(), |mut list, (attribute, _)| {
        if !list.contains(attribute) {
            list.push(attribute.clone());
        }
        list
    })
}

/// Whether the query looks at span names; only then an answer has them.
pub fn name_touched(query: &Query) -> bool {
    uses_of(query).iter().any(|(attribute, _)| is_name(attribute))
}

/// The value of one attribute on one span, whatever conditions a query has. For many spans use an [`AttributeReader`].
pub fn attribute_value(
    source: &dyn SpanSource,
    traces: &dyn TraceFacts,
    attribute: &Attribute,
    row: u32,
) -> Result<Option<ResultValue>, EvalError> {
    Ok(ResultValue::of(&AttributeReader::open(source, traces, attribute)?.value(row)))
}

/// The values of one attribute in one source; its columns are read once.
pub struct AttributeReader<'s> {
    columns: AttributeColumns<'s>,
}

impl<'s> AttributeReader<'s> {
    /// Reads the columns of an attribute.
    pub fn open(source: &'s dyn SpanSource, traces: &'s dyn TraceFacts, attribute: &Attribute) -> Result<Self, EvalError> {
        let columns = AttributeColumns::read(&Place::of(attribute)?, Context { source, traces }, Wanted::All)?;
        Ok(AttributeReader { columns })
    }

    /// As [`open`](Self::open) for some ascending rows; of others nothing is known.
    pub fn open_for(
        source: &'s dyn SpanSource,
        traces: &'s dyn TraceFacts,
        attribute: &Attribute,
        rows: &[u32],
    ) -> Result<Self, EvalError> {
        let columns = AttributeColumns::read(&Place::of(attribute)?, Context { source, traces }, Wanted::Some(rows))?;
        Ok(AttributeReader { columns })
    }

    /// The value of a row, nil if it has none.
    pub fn value(&self, row: u32) -> Scalar {
        self.columns.value(row)
    }

    /// The values of ascending rows.
    pub fn values(&self, rows: &[u32]) -> Vec<Scalar> {
        self.columns.values(rows)
    }
}

/// What an answer shows of spans, compiled once per query.
#[derive(Clone, Debug)]
pub struct Answer {
    attributes: Vec<Shown>,
    name: Option<Shown>,
    /// What an event has to fulfil for its attributes to be shown; links likewise.
    details: [(Detail, Vec<Leaf>); 2],
}

/// One attribute of an answer; an unscoped one counts as two, and the same attribute is shown once however it is written.
#[derive(Clone, Debug)]
struct Shown {
    key: String,
    place: Place,
    /// Whether every value is shown, because the query uses the attribute without a condition.
    is_whole: bool,
    /// The conditions of which a value has to pass one to be shown otherwise.
    asks: Vec<Asks>,
}

/// Attributes that the first implementation keeps in columns of their own by default (§5.3). Where such an attribute is used
/// without a condition, its answers show the text "nil" on spans without it (recorded: `select(span.http.url)`), and so do ours.
const SPAN_COLUMNS: [&str; 10] = [
    "http.request.method",
    "http.response.status_code",
    "url.path",
    "url.route",
    "server.address",
    "server.port",
    "http.method",
    "http.url",
    "http.route",
    "http.status_code",
];

/// As [`SPAN_COLUMNS`], of resources.
const RESOURCE_COLUMNS: [&str; 4] = ["k8s.cluster.name", "k8s.namespace.name", "k8s.pod.name", "k8s.container.name"];

impl Answer {
    /// Finds what the answer to a query shows; fails on attributes that are not supported.
    pub fn compile(query: &Query) -> Result<Self, EvalError> {
        let mut attributes: Vec<Shown> = Vec::new();
        for (attribute, usage) in uses_of(query) {
            if is_listed(attribute) || is_name(attribute) {
                Shown::add(&mut attributes, attribute, &usage)?;
            }
        }
        if has_operators(query) {
            // An operator between spansets needs the numbers of every span, so they are there to be shown (recorded).
            attributes.iter_mut().filter(|shown| is_nested_set(&shown.place)).for_each(|shown| shown.is_whole = true);
        }
        let name = attributes.iter().position(|shown| shown.place == Place::Column(SpanColumn::Name));
        let conditions = |of| compile::same_detail_conditions(query, of);
        let details = [(Detail::Event, conditions(Detail::Event)?), (Detail::Link, conditions(Detail::Link)?)];
        Ok(Answer { name: name.map(|at| attributes.remove(at)), attributes, details })
    }

    /// Reads the columns that the answer needs from one source, for some ascending rows.
    pub fn reader<'s>(
        &'s self,
        source: &'s dyn SpanSource,
        traces: &'s dyn TraceFacts,
        rows: &[u32],
    ) -> Result<AnswerReader<'s>, EvalError> {
        let read = |shown: &Shown| self.read(shown, Context { source, traces }, rows);
        let attributes = self.attributes.iter().map(read).collect::<Result<_, _>>()?;
        Ok(AnswerReader { answer: self, attributes, names: self.name.as_ref().map(read).transpose()? })
    }

    fn read<'s>(&self, shown: &Shown, context: Context<'s>, rows: &[u32]) -> Result<ShownValues<'s>, EvalError> {
        if let Place::Detail(of, inner) = &shown.place {
            let conditions = self.details.iter().find(|(detail, _)| detail == of).map_or(&[][..], |(_, conditions)| conditions);
            return Ok(ShownValues::Details(DetailValues::read(*of, inner, conditions, context)?));
        }
        Ok(ShownValues::Span(AttributeColumns::read(&shown.place, context, Wanted::Some(rows))?))
    }
}

/// The values of one attribute of an answer.
enum ShownValues<'s> {
    /// One for each span.
    Span(AttributeColumns<'s>),
    /// Those of all events or links of a span; the last one that may be shown is (spec/traceql.md §5.4).
    Details(DetailValues),
}

impl ShownValues<'_> {
    fn of(&self, shown: &Shown, row: u32) -> Option<ResultValue> {
        match self {
            ShownValues::Span(columns) => shown.of(columns.value(row)),
            ShownValues::Details(values) => match values.of(row) {
                [] => shown.of(Scalar::Nil),
                values => values.iter().rev().find_map(|value| shown.of(value.clone())),
            },
        }
    }
}

/// What an answer shows of the spans of one source.
pub struct AnswerReader<'s> {
    answer: &'s Answer,
    attributes: Vec<ShownValues<'s>>,
    names: Option<ShownValues<'s>>,
}

impl AnswerReader<'_> {
    /// The attributes of a span with their response keys, in the order in which the query names them.
    pub fn attributes(&self, row: u32) -> Vec<(&str, ResultValue)> {
        let pairs = self.answer.attributes.iter().zip(&self.attributes);
        pairs.filter_map(|(shown, values)| Some((&*shown.key, values.of(shown, row)?))).collect()
    }

    /// The span's name, if the answer shows it.
    pub fn name(&self, row: u32) -> Option<String> {
        let (shown, names) = (self.answer.name.as_ref()?, self.names.as_ref()?);
        match names.of(shown, row) {
            Some(ResultValue::Str(name)) => Some(name),
            _ => None,
        }
    }
}

impl Shown {
    /// Adds what one use of an attribute shows.
    fn add(list: &mut Vec<Shown>, attribute: &Attribute, usage: &Usage<'_>) -> Result<(), EvalError> {
        let places = match Place::of(attribute)? {
            Place::Unscoped(key) => vec![Place::Span(key.clone()), Place::Resource(key)],
            place => vec![place],
        };
        for place in places {
            let at = list.iter().position(|shown| shown.place == place).unwrap_or_else(|| {
                list.push(Shown { key: attribute.response_key().to_owned(), place, is_whole: false, asks: Vec::new() });
                list.len() - 1
            });
            match usage {
                Usage::Condition(condition) => list[at].asks.extend(compile::asks_of(condition)?),
                Usage::Value => list[at].is_whole = true,
            }
        }
        Ok(())
    }

    /// What is shown where the attribute has this value.
    fn of(&self, value: Scalar) -> Option<ResultValue> {
        match &value {
            Scalar::Nil => self.shows_nil().then(|| ResultValue::Str("nil".to_owned())),
            _ if self.is_whole || self.asks.iter().any(|asks| matches!(asks, Asks::Passes(Test::Present))) => ResultValue::of(&value),
            Scalar::Array(elements) => {
                let passing = elements.iter().filter(|element| self.passes(element));
                let mut passing: Vec<ResultValue> = passing.filter_map(ResultValue::of).collect();
                if passing.len() > 1 { Some(ResultValue::Array(passing)) } else { passing.pop() }
            }
            _ => self.passes(&value).then(|| ResultValue::of(&value)).flatten(),
        }
    }

    fn passes(&self, value: &Scalar) -> bool {
        self.asks.iter().any(|asks| matches!(asks, Asks::Passes(test) if test.passes(value)))
    }

    /// Whether a missing value is shown as the text "nil": where `= nil` held (§6.5, §17 item 19), and see [`SPAN_COLUMNS`].
    fn shows_nil(&self) -> bool {
        let has_column = match &self.place {
            Place::Span(key) => SPAN_COLUMNS.contains(&key.as_str()),
            Place::Resource(key) => RESOURCE_COLUMNS.contains(&key.as_str()),
            _ => false,
        };
        (self.is_whole && has_column) || self.asks.iter().any(|asks| matches!(asks, Asks::IsNil))
    }
}

/// How a query uses an attribute.
enum Usage<'q> {
    /// As `attribute op literal`, `= nil` or `!= nil`.
    Condition(&'q FieldExpr),
    /// In any other way.
    Value,
}

type Uses<'q> = Vec<(&'q Attribute, Usage<'q>)>;

fn is_listed(attribute: &Attribute) -> bool {
    use Intrinsic::{Duration, Name, RootName, RootServiceName, SpanId, TraceDuration, TraceId};
    !matches!(attribute, Attribute::Intrinsic(Name | Duration | TraceDuration | RootName | RootServiceName | TraceId | SpanId))
}

fn has_operators(query: &Query) -> bool {
    fn any(pipeline: &Pipeline) -> bool {
        pipeline.stages.iter().any(|stage| match stage {
            Stage::Spansets(SpansetExpr::Binary { .. }) => true,
            Stage::Spansets(SpansetExpr::Wrapped(inner)) => any(inner),
            _ => false,
        })
    }
    matches!(&query.body, Body::Pipeline(pipeline) if any(pipeline))
}

fn is_nested_set(place: &Place) -> bool {
    matches!(place, Place::Tree(TreeNumber::Left | TreeNumber::Right | TreeNumber::Parent))
}

fn is_name(attribute: &Attribute) -> bool {
    *attribute == Attribute::Intrinsic(Intrinsic::Name)
}

fn uses_of(query: &Query) -> Uses<'_> {
    let mut uses = Vec::new();
    match &query.body {
        Body::Pipeline(pipeline) => pipeline_uses(pipeline, &mut uses),
        // A metrics query at the search endpoint is answered by its spans (§10.5).
        Body::Metrics(metrics) => pipeline_uses(&metrics.pipeline, &mut uses),
        Body::ScalarComparison(_) | Body::Math(_) => {}
    }
    uses
}

fn pipeline_uses<'q>(pipeline: &'q Pipeline, uses: &mut Uses<'q>) {
    for stage in &pipeline.stages {
        match stage {
            Stage::Spansets(spansets) => spanset_uses(spansets, uses),
            Stage::ScalarFilter(ScalarFilter { left, right, .. }) => [left, right].into_iter().for_each(|side| scalar_uses(side, uses)),
            Stage::GroupBy(expression) => value_uses(expression, uses),
            Stage::Coalesce => {}
            Stage::Select(attributes) => uses.extend(attributes.iter().map(|attribute| (attribute, Usage::Value))),
        }
    }
}

fn spanset_uses<'q>(spansets: &'q SpansetExpr, uses: &mut Uses<'q>) {
    match spansets {
        SpansetExpr::Filter(expression) => filter_uses(expression, uses),
        SpansetExpr::Binary { left, right, .. } => {
            spanset_uses(left, uses);
            spanset_uses(right, uses);
        }
        SpansetExpr::Wrapped(pipeline) => pipeline_uses(pipeline, uses),
    }
}

fn scalar_uses<'q>(scalar: &'q ScalarExpr, uses: &mut Uses<'q>) {
    match scalar {
        ScalarExpr::Aggregate(Aggregate::Over { operand, .. }) => value_uses(operand, uses),
        ScalarExpr::Aggregate(Aggregate::Count) | ScalarExpr::Static(_) => {}
        ScalarExpr::Binary { left, right, .. } => {
            scalar_uses(left, uses);
            scalar_uses(right, uses);
        }
        ScalarExpr::Wrapped { pipeline, .. } => pipeline_uses(pipeline, uses),
    }
}

fn filter_uses<'q>(expression: &'q FieldExpr, uses: &mut Uses<'q>) {
    match expression {
        FieldExpr::Static(_) => {}
        FieldExpr::Attribute(attribute) => uses.push((attribute, Usage::Value)),
        FieldExpr::Unary { operand, .. } => filter_uses(operand, uses),
        FieldExpr::IsNil(operand) | FieldExpr::NotNil(operand) => match &**operand {
            FieldExpr::Attribute(attribute) => uses.push((attribute, Usage::Condition(expression))),
            other => filter_uses(other, uses),
        },
        FieldExpr::Binary { op, left, right } if op.is_boolean() => match (&**left, &**right) {
            (FieldExpr::Attribute(attribute), FieldExpr::Static(_)) | (FieldExpr::Static(_), FieldExpr::Attribute(attribute)) => {
                uses.push((attribute, if op.is_logical() { Usage::Value } else { Usage::Condition(expression) }));
            }
            (left, right) => {
                filter_uses(left, uses);
                filter_uses(right, uses);
            }
        },
        FieldExpr::Binary { left, right, .. } => {
            value_uses(left, uses);
            value_uses(right, uses);
        }
    }
}

fn value_uses<'q>(expression: &'q FieldExpr, uses: &mut Uses<'q>) {
    match expression {
        FieldExpr::Static(_) => {}
        FieldExpr::Attribute(attribute) => uses.push((attribute, Usage::Value)),
        FieldExpr::Unary { operand, .. } | FieldExpr::IsNil(operand) | FieldExpr::NotNil(operand) => value_uses(operand, uses),
        FieldExpr::Binary { left, right, .. } => {
            value_uses(left, uses);
            value_uses(right, uses);
        }
    }
}
