//! Names of what can be looked up on a span: attributes with their scope, and intrinsics (spec/traceql.md §5).

use std::fmt;

/// An attribute or an intrinsic.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Attribute {
    /// A field every span has by itself.
    Intrinsic(Intrinsic),
    /// A key that the sender chose.
    Scoped {
        /// Where to look.
        scope: Scope,
        /// The key, unquoted; may be empty.
        key: String,
    },
}

/// Where an attribute is looked up (§5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// `.k`: span first, then resource.
    None,
    /// `span.k`
    Span,
    /// `resource.k`
    Resource,
    /// `event.k`
    Event,
    /// `link.k`
    Link,
    /// `instrumentation.k`
    Instrumentation,
    /// `parent.k`: parses, not yet supported.
    Parent,
    /// `parent.span.k`: parses, not yet supported.
    ParentSpan,
    /// `parent.resource.k`: parses, not yet supported.
    ParentResource,
}

/// The fields of §5.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Intrinsic {
    /// `name`, `span:name`
    Name,
    /// `status`, `span:status`
    Status,
    /// `statusMessage`, `span:statusMessage`
    StatusMessage,
    /// `kind`, `span:kind`
    Kind,
    /// `duration`, `span:duration`
    Duration,
    /// `span:id`
    SpanId,
    /// `span:parentID`
    ParentSpanId,
    /// `span:childCount`
    ChildCount,
    /// `traceDuration`, `trace:duration`
    TraceDuration,
    /// `rootName`, `trace:rootName`
    RootName,
    /// `rootServiceName`, `trace:rootService`
    RootServiceName,
    /// `trace:id`
    TraceId,
    /// `event:name`
    EventName,
    /// `event:timeSinceStart`
    EventTimeSinceStart,
    /// `link:traceID`
    LinkTraceId,
    /// `link:spanID`
    LinkSpanId,
    /// `instrumentation:name`
    InstrumentationName,
    /// `instrumentation:version`
    InstrumentationVersion,
    /// `nestedSetLeft`
    NestedSetLeft,
    /// `nestedSetRight`
    NestedSetRight,
    /// `nestedSetParent`
    NestedSetParent,
    /// `parent`: parses, not yet supported.
    Parent,
}

/// Static types (§4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Type {
    /// Missing value.
    Nil,
    /// 64-bit integer.
    Int,
    /// Double.
    Float,
    /// Text.
    String,
    /// Truth value.
    Bool,
    /// Nanoseconds.
    Duration,
    /// Span status.
    Status,
    /// Span kind.
    Kind,
    /// Not known before evaluation: every attribute that is no intrinsic, and the two of the instrumentation scope.
    Attribute,
}

/// One row of the table of §5.2.
struct IntrinsicRow {
    intrinsic: Intrinsic,
    /// Name in labels, answers and canonical text.
    key: &'static str,
    /// The word that stands for it without a scope.
    word: Option<&'static str>,
    /// The scope before the colon and the word after it.
    scoped: Option<(&'static str, &'static str)>,
    static_type: Type,
}

const fn row(
    intrinsic: Intrinsic,
    key: &'static str,
    word: Option<&'static str>,
    scoped: Option<(&'static str, &'static str)>,
    static_type: Type,
) -> IntrinsicRow {
    IntrinsicRow { intrinsic, key, word, scoped, static_type }
}

/// The table of §5.2, in the order of [`Intrinsic`].
#[rustfmt::skip]
const INTRINSICS: &[IntrinsicRow] = &[
    row(Intrinsic::Name, "name", Some("name"), Some(("span", "name")), Type::String),
    row(Intrinsic::Status, "status", Some("status"), Some(("span", "status")), Type::Status),
    row(Intrinsic::StatusMessage, "statusMessage", Some("statusMessage"), Some(("span", "statusMessage")), Type::String),
    row(Intrinsic::Kind, "kind", Some("kind"), Some(("span", "kind")), Type::Kind),
    row(Intrinsic::Duration, "duration", Some("duration"), Some(("span", "duration")), Type::Duration),
    row(Intrinsic::SpanId, "span:id", None, Some(("span", "id")), Type::String),
    row(Intrinsic::ParentSpanId, "span:parentID", None, Some(("span", "parentID")), Type::String),
    row(Intrinsic::ChildCount, "span:childCount", None, Some(("span", "childCount")), Type::Int),
    row(Intrinsic::TraceDuration, "traceDuration", Some("traceDuration"), Some(("trace", "duration")), Type::Duration),
    row(Intrinsic::RootName, "rootName", Some("rootName"), Some(("trace", "rootName")), Type::String),
    row(Intrinsic::RootServiceName, "rootServiceName", Some("rootServiceName"), Some(("trace", "rootService")), Type::String),
    row(Intrinsic::TraceId, "trace:id", None, Some(("trace", "id")), Type::String),
    row(Intrinsic::EventName, "event:name", None, Some(("event", "name")), Type::String),
    row(Intrinsic::EventTimeSinceStart, "event:timeSinceStart", None, Some(("event", "timeSinceStart")), Type::Duration),
    row(Intrinsic::LinkTraceId, "link:traceID", None, Some(("link", "traceID")), Type::String),
    row(Intrinsic::LinkSpanId, "link:spanID", None, Some(("link", "spanID")), Type::String),
    row(Intrinsic::InstrumentationName, "instrumentation:name", None, Some(("instrumentation", "name")), Type::Attribute),
    row(Intrinsic::InstrumentationVersion, "instrumentation:version", None, Some(("instrumentation", "version")), Type::Attribute),
    row(Intrinsic::NestedSetLeft, "nestedSetLeft", Some("nestedSetLeft"), None, Type::Int),
    row(Intrinsic::NestedSetRight, "nestedSetRight", Some("nestedSetRight"), None, Type::Int),
    row(Intrinsic::NestedSetParent, "nestedSetParent", Some("nestedSetParent"), None, Type::Int),
    row(Intrinsic::Parent, "parent", Some("parent"), None, Type::Nil),
];

impl Intrinsic {
    /// Every intrinsic, in the order of §5.2.
    pub fn all() -> impl Iterator<Item = Self> {
        INTRINSICS.iter().map(|row| row.intrinsic)
    }

    /// The name used in labels, answers and canonical text.
    pub fn key(self) -> &'static str {
        self.row().key
    }

    /// The type known before evaluation.
    pub fn static_type(self) -> Type {
        self.row().static_type
    }

    /// The intrinsic that a word stands for when no scope is written, such as `traceDuration`.
    pub fn from_word(word: &str) -> Option<Self> {
        INTRINSICS.iter().find(|row| row.word == Some(word)).map(|row| row.intrinsic)
    }

    /// The intrinsic of a scoped form, such as `trace` and `rootService`.
    pub fn from_scoped(scope: &str, word: &str) -> Option<Self> {
        INTRINSICS.iter().find(|row| row.scoped == Some((scope, word))).map(|row| row.intrinsic)
    }

    fn row(self) -> &'static IntrinsicRow {
        // The table is in the order of the enum; a test compares every row.
        &INTRINSICS[self as usize]
    }
}

impl Scope {
    /// What is written before the key, with the dot.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::None => ".",
            Self::Span => "span.",
            Self::Resource => "resource.",
            Self::Event => "event.",
            Self::Link => "link.",
            Self::Instrumentation => "instrumentation.",
            Self::Parent => "parent.",
            Self::ParentSpan => "parent.span.",
            Self::ParentResource => "parent.resource.",
        }
    }

    /// Whether the scope is one of the `parent.` family.
    pub fn is_parent(self) -> bool {
        matches!(self, Self::Parent | Self::ParentSpan | Self::ParentResource)
    }
}

impl Attribute {
    /// An attribute with a scope.
    pub fn scoped(scope: Scope, key: impl Into<String>) -> Self {
        Self::Scoped { scope, key: key.into() }
    }

    /// The name of metrics labels, of `by(…)` keys and of logs (§14): `.k`, `span.k`, `span."a b"`, `rootServiceName`.
    pub fn canonical_text(&self) -> String {
        self.to_string()
    }

    /// The key of search answers: the name without its scope, for intrinsics their key (§10.3).
    pub fn response_key(&self) -> &str {
        match self {
            Self::Intrinsic(intrinsic) => intrinsic.key(),
            Self::Scoped { key, .. } => key,
        }
    }

    /// The type known before evaluation.
    pub fn static_type(&self) -> Type {
        match self {
            Self::Intrinsic(intrinsic) => intrinsic.static_type(),
            Self::Scoped { .. } => Type::Attribute,
        }
    }
}

impl Type {
    /// Whether values of the type are numbers: int, float, duration.
    pub fn is_number(self) -> bool {
        matches!(self, Self::Int | Self::Float | Self::Duration)
    }
}

/// Whether the character ends an attribute name that is not quoted (§2.3).
pub(super) fn ends_attribute_name(character: char) -> bool {
    character.is_whitespace() || "{}()=~!<>&|^,".contains(character)
}

impl fmt::Display for Intrinsic {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.key())
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Intrinsic(intrinsic) => intrinsic.fmt(out),
            Self::Scoped { scope, key } => {
                out.write_str(scope.prefix())?;
                if needs_quotes(*scope, key) { write_quoted(out, key) } else { out.write_str(key) }
            }
        }
    }
}

/// Whether the bare key would read as something else: as no or a shorter name, as a number after the dot, or as a second scope.
fn needs_quotes(scope: Scope, key: &str) -> bool {
    key.is_empty()
        || key.contains(|character| character == '"' || ends_attribute_name(character))
        || (scope == Scope::None && key.starts_with(|first: char| first.is_ascii_digit()))
        || (scope == Scope::Parent && (key.starts_with("span.") || key.starts_with("resource.")))
}

fn write_quoted(out: &mut fmt::Formatter<'_>, key: &str) -> fmt::Result {
    let escaped = key.replace('\\', "\\\\").replace('"', "\\\"");
    write!(out, "\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_rows_stand_in_the_order_of_the_enum() {
        for intrinsic in Intrinsic::all() {
            assert_eq!(intrinsic.row().intrinsic, intrinsic);
        }
        assert_eq!(Intrinsic::all().last(), Some(Intrinsic::Parent));
    }

    #[test]
    fn scoped_spellings_are_normalised() {
        assert_eq!(Intrinsic::from_scoped("trace", "rootService").map(Intrinsic::key), Some("rootServiceName"));
        assert_eq!(Intrinsic::from_scoped("span", "id").map(Intrinsic::key), Some("span:id"));
        assert_eq!(Intrinsic::from_scoped("resource", "name"), None);
        assert_eq!(Intrinsic::from_word("childCount"), None);
    }

    #[test]
    fn names_are_quoted_only_where_needed() {
        let text = |scope, key| Attribute::scoped(scope, key).canonical_text();
        assert_eq!(text(Scope::Resource, "service.name"), "resource.service.name");
        assert_eq!(text(Scope::Span, "a b"), "span.\"a b\"");
        assert_eq!(text(Scope::Span, "a\\b"), "span.a\\b");
        assert_eq!(text(Scope::Span, "say \"\\\""), "span.\"say \\\"\\\\\\\"\"");
        assert_eq!(text(Scope::None, "5xx"), ".\"5xx\"");
        assert_eq!(text(Scope::None, ""), ".\"\"");
        assert_eq!(text(Scope::Parent, "span.a"), "parent.\"span.a\"");
        assert_eq!(text(Scope::ParentSpan, "a"), "parent.span.a");
    }

    #[test]
    fn response_keys_have_no_scope() {
        assert_eq!(Attribute::scoped(Scope::Span, "region").response_key(), "region");
        assert_eq!(Attribute::Intrinsic(Intrinsic::ParentSpanId).response_key(), "span:parentID");
    }
}
