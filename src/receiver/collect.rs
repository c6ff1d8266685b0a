//! Reading request bodies, never beyond a limit.

use super::body::{BodyError, Encoding, decompress};
use crate::runtime::offload::{Stopping, offload};
use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::header::{HeaderMap, HeaderName};
use http_body::Body as _;
use http_body_util::BodyExt;
use std::time::Duration;

/// Room made up front on the word of the sender; a larger body grows into it.
const MAX_RESERVED_BYTES: usize = 4 << 20;

/// What a sender may still send, in limits and in time, after it has been refused for the size of its body.
const DISCARDED_LIMITS: usize = 4;
/// How long a sender may pause within a body (spec/query-api.md §1.1 has the same read timeout).
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
const DISCARD_TIMEOUT: Duration = Duration::from_secs(5);

/// How much larger than its compressed form a body is taken to be before it is known.
const TYPICAL_RATIO: usize = 8;

/// Why a body could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum CollectError {
    /// More than the limit.
    #[error("http: request body too large")]
    TooLarge,
    /// The sender has said nothing for too long.
    #[error("error reading request body: nothing came for {} s", IDLE_TIMEOUT.as_secs())]
    Stalled,
    /// The connection broke, or the body is not framed as its protocol demands.
    #[error("error reading request body: {0}")]
    Interrupted(axum::Error),
}

impl From<CollectError> for BodyError {
    fn from(error: CollectError) -> Self {
        match error {
            CollectError::TooLarge => BodyError::TooLarge,
            CollectError::Interrupted(error) => {
                let source = std::io::Error::new(std::io::ErrorKind::UnexpectedEof, error);
                BodyError::Broken { encoding: Encoding::Identity, source }
            }
            CollectError::Stalled => {
                let source = std::io::Error::new(std::io::ErrorKind::TimedOut, error);
                BodyError::Broken { encoding: Encoding::Identity, source }
            }
        }
    }
}

/// A body while it arrives. One that comes in a single piece is never copied.
pub(super) struct Collector {
    body: Body,
    limit: usize,
    pieces: Pieces,
}

enum Pieces {
    One(Bytes),
    Joined(BytesMut),
}

impl Collector {
    /// Starts to read a body of at most `limit` bytes.
    pub(super) fn new(body: Body, limit: usize) -> Self {
        Collector { body, limit, pieces: Pieces::One(Bytes::new()) }
    }

    /// What has arrived.
    pub(super) fn arrived(&self) -> &[u8] {
        match &self.pieces {
            Pieces::One(piece) => piece,
            Pieces::Joined(joined) => joined,
        }
    }

    /// Waits for the next piece; false at the end of the body.
    pub(super) async fn more(&mut self) -> Result<bool, CollectError> {
        loop {
            let next = tokio::time::timeout(IDLE_TIMEOUT, self.body.frame());
            let Some(frame) = next.await.map_err(|_| CollectError::Stalled)? else { return Ok(false) };
            let Ok(piece) = frame.map_err(CollectError::Interrupted)?.into_data() else { continue };
            if piece.len() > self.limit - self.arrived().len() {
                return Err(CollectError::TooLarge);
            }
            let remaining = self.body.size_hint().lower();
            self.append(piece, usize::try_from(remaining).unwrap_or(usize::MAX));
            return Ok(true);
        }
    }

    /// Makes room for a body that will be `total` bytes in all.
    pub(super) fn reserve(&mut self, total: usize) {
        let arrived = self.arrived().len();
        let Pieces::One(piece) = &self.pieces else { return };
        if total > arrived {
            let mut joined = BytesMut::with_capacity(total.min(MAX_RESERVED_BYTES).max(arrived));
            joined.extend_from_slice(piece);
            self.pieces = Pieces::Joined(joined);
        }
    }

    fn append(&mut self, piece: Bytes, remaining: usize) {
        match &mut self.pieces {
            Pieces::One(first) if first.is_empty() => self.pieces = Pieces::One(piece),
            Pieces::One(first) => {
                let total = first.len().saturating_add(piece.len()).saturating_add(remaining).min(self.limit);
                self.reserve(total);
                if let Pieces::Joined(joined) = &mut self.pieces {
                    joined.extend_from_slice(&piece);
                }
            }
            Pieces::Joined(joined) => joined.extend_from_slice(&piece),
        }
    }

    /// The body as it has arrived.
    pub(super) fn finish(self) -> Bytes {
        match self.pieces {
            Pieces::One(piece) => piece,
            Pieces::Joined(joined) => joined.freeze(),
        }
    }

    /// Reads and drops what the sender still has to say, within reason: over HTTP/1.1 one that is cut off while it writes
    /// never reads the answer.
    async fn discard(mut self) {
        let mut budget = self.limit.saturating_mul(DISCARDED_LIMITS);
        let discarding = async {
            while let Some(Ok(frame)) = self.body.frame().await {
                budget = budget.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
                if budget == 0 {
                    return;
                }
            }
        };
        // Running out of time only means that the answer may go unread.
        let _ = tokio::time::timeout(DISCARD_TIMEOUT, discarding).await;
    }
}

/// The whole body of an HTTP request, at most `limit` bytes.
///
/// # Errors
///
/// [`CollectError`]; a body that says that it is too large is not read into memory at all.
pub(super) async fn collect(body: Body, limit: usize) -> Result<Bytes, CollectError> {
    let announced = body.size_hint().lower();
    let mut collector = Collector::new(body, limit);
    if announced > limit as u64 {
        collector.discard().await;
        return Err(CollectError::TooLarge);
    }
    loop {
        match collector.more().await {
            Ok(true) => {}
            Ok(false) => return Ok(collector.finish()),
            Err(CollectError::TooLarge) => {
                collector.discard().await;
                return Err(CollectError::TooLarge);
            }
            Err(error) => return Err(error),
        }
    }
}

/// Why a body could not be read and decompressed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// The sender is at fault.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The server is at fault.
    #[error(transparent)]
    Stopping(#[from] Stopping),
}

/// The whole body of an HTTP request in its meant form, at most `limit` bytes before and after decompression.
///
/// # Errors
///
/// As [`collect`] and [`decompress`] say.
pub(super) async fn read(body: Body, encoding: Encoding, limit: usize) -> Result<Bytes, ReadError> {
    let received = collect(body, limit).await.map_err(BodyError::from)?;
    if encoding == Encoding::Identity {
        return Ok(received);
    }
    let cost = received.len().saturating_mul(TYPICAL_RATIO);
    Ok(offload(cost, move || decompress(encoding, received, limit)).await??)
}

/// The first header of that name as text; bytes outside UTF-8 are replaced, so that they match no known name.
pub(super) fn header_text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::StreamBody;
    use std::convert::Infallible;

    fn in_pieces(pieces: &[&[u8]]) -> Body {
        let frames: Vec<_> =
            pieces.iter().map(|piece| Ok::<_, Infallible>(http_body::Frame::data(Bytes::copy_from_slice(piece)))).collect();
        Body::new(StreamBody::new(tokio_stream::iter(frames)))
    }

    #[tokio::test]
    async fn pieces_are_joined() {
        let cases: [&[&[u8]]; 4] = [&[], &[b"abc"], &[b"ab", b"", b"cd", b"ef"], &[b"", b"abcdef"]];
        for pieces in cases {
            assert_eq!(collect(in_pieces(pieces), 6).await.expect("within the limit"), pieces.concat());
        }
    }

    #[tokio::test]
    async fn the_limit_holds_while_reading() {
        let error = collect(in_pieces(&[b"abc", b"defg", b"h"]), 6).await.expect_err("seven bytes");
        assert!(matches!(error, CollectError::TooLarge));
        let error = collect(Body::from("announced"), 6).await.expect_err("nine bytes");
        assert_eq!(error.to_string(), "http: request body too large");
    }
}
