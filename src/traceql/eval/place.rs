//! Where the value of an attribute or intrinsic lies in a source.

use super::EvalError;
use super::bitmap::Bitmap;
use super::scalar::Scalar;
use crate::columns::resources::Origin;
use crate::columns::view::{ColumnId, Detail, SourceError, SpanSource};
use crate::traceql::ast::{Attribute, Intrinsic, Scope};
use std::borrow::Cow;

/// The [`TreeNumber::Parent`] of a root; no other span has a negative one.
const ROOT: i64 = -1;

/// What the evaluator needs to know of the traces of a source; a trace is named by its number in [`ColumnId::Trace`].
pub trait TraceFacts {
    /// Latest span end minus earliest span start in nanoseconds (spec/traceql.md §1).
    fn duration(&self, ordinal: u32) -> u64;
    /// The name of the root span, empty without one.
    fn root_name(&self, ordinal: u32) -> &str;
    /// The service name of the root span, empty without one.
    fn root_service(&self, ordinal: u32) -> &str;
    /// The trace's id.
    fn id(&self, ordinal: u32) -> crate::model::TraceId;
    /// A number of every span of the source that tells its place in the tree of its whole trace.
    fn tree(&self, number: TreeNumber) -> Result<Cow<'_, [i64]>, SourceError>;
    /// The spans of the source that are roots: those whose [`TreeNumber::Parent`] is -1. May cost much less than numbers.
    fn roots(&self) -> Result<Bitmap, SourceError> {
        let numbers = self.tree(TreeNumber::Parent)?;
        let roots: Vec<u32> = (0..numbers.len() as u32).filter(|row| numbers[*row as usize] == ROOT).collect();
        Ok(Bitmap::from_rows(numbers.len(), &roots))
    }
}

/// Numbers of the nested-set form of a trace's tree (spec/traceql.md §8.1); 0 for spans that hang on no root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TreeNumber {
    /// Counted up on the way down.
    Left,
    /// Counted up on the way back.
    Right,
    /// The parent's left number, -1 for roots.
    Parent,
    /// Number of direct children; also of spans that hang on no root, if the trace has one.
    Children,
}

/// The data that an expression is evaluated over.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) source: &'a dyn SpanSource,
    pub(super) traces: &'a dyn TraceFacts,
}

/// Where a value lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A span attribute.
    Span(String),
    /// A resource attribute.
    Resource(String),
    /// The span's attribute, or without it the resource's (§5.3).
    Unscoped(String),
    /// An attribute of the instrumentation scope.
    Scope(String),
    /// The name of the instrumentation scope.
    ScopeName,
    /// The version of the instrumentation scope.
    ScopeVersion,
    /// A column that every source has.
    Column(SpanColumn),
    /// A fact of the whole trace.
    Trace(TraceFact),
    /// A number of the trace's tree.
    Tree(TreeNumber),
    /// A place of the span's events or links, told in the terms of their source.
    Detail(Detail, Box<Place>),
}

/// The columns behind the intrinsics of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SpanColumn {
    Name,
    StatusMessage,
    Status,
    Kind,
    Duration,
    SpanId,
    ParentId,
    /// Of events.
    SinceStart,
    /// Of links.
    LinkedTrace,
}

/// The intrinsics of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TraceFact {
    Duration,
    RootName,
    RootService,
    Id,
}

/// The only resource attribute that always has a value (§1).
const SERVICE_NAME: &str = "service.name";

impl Place {
    /// The place of an attribute, unless it is one that this evaluator does not know yet.
    pub(super) fn of(attribute: &Attribute) -> Result<Self, EvalError> {
        match attribute {
            Attribute::Intrinsic(intrinsic) => Self::of_intrinsic(*intrinsic),
            Attribute::Scoped { scope, key } => match scope {
                Scope::None => Ok(Place::Unscoped(key.clone())),
                Scope::Span => Ok(Place::Span(key.clone())),
                Scope::Resource => Ok(Place::Resource(key.clone())),
                Scope::Instrumentation => Ok(Place::Scope(key.clone())),
                Scope::Event => Ok(Place::Detail(Detail::Event, Box::new(Place::Span(key.clone())))),
                Scope::Link => Ok(Place::Detail(Detail::Link, Box::new(Place::Span(key.clone())))),
                Scope::Parent | Scope::ParentSpan | Scope::ParentResource => Err(EvalError::Unsupported("parent attributes")),
            },
        }
    }

    fn of_intrinsic(intrinsic: Intrinsic) -> Result<Self, EvalError> {
        Ok(match intrinsic {
            Intrinsic::Name => Place::Column(SpanColumn::Name),
            Intrinsic::Status => Place::Column(SpanColumn::Status),
            Intrinsic::StatusMessage => Place::Column(SpanColumn::StatusMessage),
            Intrinsic::Kind => Place::Column(SpanColumn::Kind),
            Intrinsic::Duration => Place::Column(SpanColumn::Duration),
            Intrinsic::SpanId => Place::Column(SpanColumn::SpanId),
            Intrinsic::ParentSpanId => Place::Column(SpanColumn::ParentId),
            Intrinsic::TraceDuration => Place::Trace(TraceFact::Duration),
            Intrinsic::RootName => Place::Trace(TraceFact::RootName),
            Intrinsic::RootServiceName => Place::Trace(TraceFact::RootService),
            Intrinsic::TraceId => Place::Trace(TraceFact::Id),
            Intrinsic::InstrumentationName => Place::ScopeName,
            Intrinsic::InstrumentationVersion => Place::ScopeVersion,
            Intrinsic::ChildCount => Place::Tree(TreeNumber::Children),
            Intrinsic::NestedSetLeft => Place::Tree(TreeNumber::Left),
            Intrinsic::NestedSetRight => Place::Tree(TreeNumber::Right),
            Intrinsic::NestedSetParent => Place::Tree(TreeNumber::Parent),
            Intrinsic::EventName => detail(Detail::Event, SpanColumn::Name),
            Intrinsic::EventTimeSinceStart => detail(Detail::Event, SpanColumn::SinceStart),
            Intrinsic::LinkTraceId => detail(Detail::Link, SpanColumn::LinkedTrace),
            Intrinsic::LinkSpanId => detail(Detail::Link, SpanColumn::SpanId),
            Intrinsic::Parent => return Err(EvalError::Unsupported("the parent intrinsic")),
        })
    }

    /// Whether every span has a value here (§5.2): intrinsics and `resource.service.name`.
    pub(super) fn is_never_nil(&self) -> bool {
        match self {
            Place::Resource(key) => key == SERVICE_NAME,
            Place::ScopeName | Place::ScopeVersion | Place::Column(_) | Place::Trace(_) | Place::Tree(_) => true,
            Place::Span(_) | Place::Unscoped(_) | Place::Scope(_) | Place::Detail(..) => false,
        }
    }
}

fn detail(of: Detail, column: SpanColumn) -> Place {
    Place::Detail(of, Box::new(Place::Column(column)))
}

impl SpanColumn {
    /// The column's name to the source.
    pub(super) fn id(self) -> ColumnId<'static> {
        match self {
            SpanColumn::Name => ColumnId::Name,
            SpanColumn::StatusMessage => ColumnId::StatusMessage,
            SpanColumn::Status => ColumnId::Status,
            SpanColumn::Kind => ColumnId::Kind,
            SpanColumn::Duration => ColumnId::Duration,
            SpanColumn::SpanId => ColumnId::SpanId,
            SpanColumn::ParentId => ColumnId::ParentId,
            SpanColumn::SinceStart => ColumnId::SinceStart,
            SpanColumn::LinkedTrace => ColumnId::LinkedTrace,
        }
    }

    /// The value of rows that the column leaves out.
    pub(super) fn missing(self) -> Scalar {
        match self {
            SpanColumn::Name | SpanColumn::StatusMessage => Scalar::text(b""),
            _ => Scalar::Nil,
        }
    }
}

impl TraceFact {
    /// The fact of one trace.
    pub(super) fn of(self, traces: &dyn TraceFacts, ordinal: u32) -> Scalar {
        match self {
            TraceFact::Duration => Scalar::duration(traces.duration(ordinal)),
            TraceFact::RootName => Scalar::Str(traces.root_name(ordinal).into()),
            TraceFact::RootService => Scalar::Str(traces.root_service(ordinal).into()),
            TraceFact::Id => Scalar::Str(traces.id(ordinal).to_short_hex().into()),
        }
    }
}

/// An attribute of a resource; `service.name` is a text whatever was sent (§1).
pub(in crate::traceql) fn resource_value(origin: &Origin, key: &str) -> Scalar {
    match key {
        SERVICE_NAME => Scalar::Str(origin.service_name().into()),
        _ => scope_value(origin, key),
    }
}

/// An attribute of an instrumentation scope.
pub(in crate::traceql) fn scope_value(origin: &Origin, key: &str) -> Scalar {
    origin.attribute(key).map(Scalar::from).unwrap_or_default()
}
