//! Why a column could not be read.

use parquet::errors::ParquetError;

/// What a caller can act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadErrorKind {
    /// The bytes contradict the format or the footer: the block is damaged.
    CorruptPage,
    /// Bytes that the reader asked for, or should have been asked for, were not handed in: a fault of the caller.
    MissingBytes,
    /// A type, encoding or codec that blocks of this server never have.
    Unsupported,
    /// The caller asked for something that does not fit the column: another type, rows past the end.
    Misuse,
}

/// A column could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {text}", self.label())]
pub struct ReadError {
    kind: ReadErrorKind,
    text: String,
}

impl ReadError {
    /// What went wrong, for callers to match.
    pub fn kind(&self) -> ReadErrorKind {
        self.kind
    }

    #[cold]
    pub(super) fn corrupt(text: impl Into<String>) -> Self {
        Self { kind: ReadErrorKind::CorruptPage, text: text.into() }
    }

    #[cold]
    pub(super) fn missing(text: impl Into<String>) -> Self {
        Self { kind: ReadErrorKind::MissingBytes, text: text.into() }
    }

    #[cold]
    pub(super) fn unsupported(text: impl Into<String>) -> Self {
        Self { kind: ReadErrorKind::Unsupported, text: text.into() }
    }

    #[cold]
    pub(super) fn misuse(text: impl Into<String>) -> Self {
        Self { kind: ReadErrorKind::Misuse, text: text.into() }
    }

    fn label(&self) -> &'static str {
        match self.kind {
            ReadErrorKind::CorruptPage => "corrupt page",
            ReadErrorKind::MissingBytes => "bytes not fetched",
            ReadErrorKind::Unsupported => "unsupported column chunk",
            ReadErrorKind::Misuse => "wrong request",
        }
    }
}

impl From<ReadError> for ParquetError {
    fn from(error: ReadError) -> Self {
        ParquetError::External(Box::new(error))
    }
}
