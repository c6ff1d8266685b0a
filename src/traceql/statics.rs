//! Constants of a query: literals and what folding makes of them (spec/traceql.md §4).

use super::ast::Type;

/// A constant.
#[derive(Debug, Clone, PartialEq)]
pub enum Static {
    /// `nil`. The parser never puts it into a tree ([`super::ast::FieldExpr::IsNil`] stands for the comparison); it is here as the
    /// value of a missing attribute.
    Nil,
    /// A 64-bit integer.
    Int(i64),
    /// A double; not finite only as a result of folding.
    Float(f64),
    /// A text.
    Str(String),
    /// `true` or `false`.
    Bool(bool),
    /// A time span in nanoseconds.
    Duration(i64),
    /// A span status.
    Status(Status),
    /// A span kind.
    Kind(Kind),
}

/// The status of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// `error`: OTLP code 2.
    Error,
    /// `ok`: OTLP code 1.
    Ok,
    /// `unset`: OTLP code 0.
    Unset,
}

/// The kind of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `unspecified`: OTLP kind 0.
    Unspecified,
    /// `internal`: OTLP kind 1.
    Internal,
    /// `client`: OTLP kind 3.
    Client,
    /// `server`: OTLP kind 2.
    Server,
    /// `producer`: OTLP kind 4.
    Producer,
    /// `consumer`: OTLP kind 5.
    Consumer,
}

impl Static {
    /// The static type of the constant.
    pub fn static_type(&self) -> Type {
        match self {
            Self::Nil => Type::Nil,
            Self::Int(_) => Type::Int,
            Self::Float(_) => Type::Float,
            Self::Str(_) => Type::String,
            Self::Bool(_) => Type::Bool,
            Self::Duration(_) => Type::Duration,
            Self::Status(_) => Type::Status,
            Self::Kind(_) => Type::Kind,
        }
    }

    /// The constant that a word stands for: a truth value, a status or a kind.
    pub(super) fn from_word(word: &str) -> Option<Self> {
        match word {
            "true" => return Some(Self::Bool(true)),
            "false" => return Some(Self::Bool(false)),
            _ => {}
        }
        let status = Status::ALL.into_iter().find(|status| status.as_str() == word).map(Self::Status);
        status.or_else(|| Kind::ALL.into_iter().find(|kind| kind.as_str() == word).map(Self::Kind))
    }

    /// The number as a double (a duration in nanoseconds), or `None` for anything that is no number.
    #[allow(clippy::cast_precision_loss)] // the language compares mixed numbers as doubles (§6.2)
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Int(value) | Self::Duration(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            _ => None,
        }
    }
}

impl Status {
    /// Every status, in the language's internal order.
    pub const ALL: [Self; 3] = [Self::Error, Self::Ok, Self::Unset];

    /// The word of the language.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Ok => "ok",
            Self::Unset => "unset",
        }
    }

    /// The OTLP status code.
    pub fn otlp_code(self) -> i32 {
        match self {
            Self::Unset => 0,
            Self::Ok => 1,
            Self::Error => 2,
        }
    }

    /// The status of an OTLP code; unknown codes read as unset.
    pub fn from_otlp_code(code: i32) -> Self {
        match code {
            1 => Self::Ok,
            2 => Self::Error,
            _ => Self::Unset,
        }
    }
}

impl Kind {
    /// Every kind, in the order of §4.
    pub const ALL: [Self; 6] = [Self::Unspecified, Self::Internal, Self::Client, Self::Server, Self::Producer, Self::Consumer];

    /// The word of the language.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Internal => "internal",
            Self::Client => "client",
            Self::Server => "server",
            Self::Producer => "producer",
            Self::Consumer => "consumer",
        }
    }

    /// The OTLP span kind.
    pub fn otlp_kind(self) -> i32 {
        match self {
            Self::Unspecified => 0,
            Self::Internal => 1,
            Self::Server => 2,
            Self::Client => 3,
            Self::Producer => 4,
            Self::Consumer => 5,
        }
    }

    /// The kind of an OTLP number; unknown numbers read as unspecified.
    pub fn from_otlp_kind(kind: i32) -> Self {
        match kind {
            1 => Self::Internal,
            2 => Self::Server,
            3 => Self::Client,
            4 => Self::Producer,
            5 => Self::Consumer,
            _ => Self::Unspecified,
        }
    }
}
