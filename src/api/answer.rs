//! The form of an answer: what the client accepts, and compression (spec/query-api.md §1.4).

use super::ApiError;
use crate::runtime::offload::offload;
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::HeaderValue;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, VARY};
use prost::Message;
use std::io::Write;

/// Shorter answers are not worth compressing.
const MIN_COMPRESSED_BYTES: usize = 1024;

/// How much more costly than writing it compressing a byte is.
const COMPRESSION_COST: usize = 4;

/// The formats of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Also when nothing, or nothing known, is accepted.
    Json,
    Protobuf,
    /// For language models; most answers have no such form and are JSON then.
    Llm,
}

impl Format {
    /// The first of the known formats that `Accept` contains, anywhere in its text.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let accept = headers.get(ACCEPT).map(|value| String::from_utf8_lossy(value.as_bytes())).unwrap_or_default();
        if accept.contains("application/protobuf") {
            Format::Protobuf
        } else if accept.contains("application/json") {
            Format::Json
        } else if accept.contains("application/vnd.grafana.llm") {
            Format::Llm
        } else {
            Format::Json
        }
    }
}

/// A successful answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    content_type: &'static str,
    body: Vec<u8>,
}

impl Answer {
    /// JSON text.
    pub(super) fn json(text: String) -> Self {
        Answer { content_type: "application/json", body: text.into_bytes() }
    }

    /// An encoded message.
    pub(super) fn protobuf(bytes: Vec<u8>) -> Self {
        Answer { content_type: "application/protobuf", body: bytes }
    }

    /// JSON text for language models.
    pub(super) fn llm(text: String) -> Self {
        Answer { content_type: "application/vnd.grafana.llm+json", body: text.into_bytes() }
    }

    /// The same with another content type.
    pub(super) fn named(self, content_type: &'static str) -> Self {
        Answer { content_type, ..self }
    }

    /// A message as JSON or protobuf, written away from the event loop if it is large.
    pub(super) async fn of_message<M>(format: Format, message: M, json: fn(&M) -> String) -> Result<Self, ApiError>
    where
        M: Message + 'static,
    {
        // JSON is about twice as long, and the length of a message is cheap to know.
        let cost = message.encoded_len().saturating_mul(2);
        let write = move || match format {
            Format::Protobuf => Answer::protobuf(message.encode_to_vec()),
            Format::Json | Format::Llm => Answer::json(json(&message)),
        };
        Ok(offload(cost, write).await?)
    }

    /// The answer over HTTP, compressed if the client can read that.
    pub(super) async fn respond(self, accepts_gzip: bool) -> Result<Response, ApiError> {
        let Answer { content_type, body } = self;
        let compressed = accepts_gzip && body.len() >= MIN_COMPRESSED_BYTES;
        let body = if compressed { offload(body.len().saturating_mul(COMPRESSION_COST), move || gzip(&body)).await? } else { body };
        let mut response = ([(CONTENT_TYPE, content_type)], body).into_response();
        response.headers_mut().insert(VARY, HeaderValue::from_static("Accept-Encoding"));
        if compressed {
            response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        Ok(response)
    }
}

/// Whether `Accept-Encoding` has gzip, and not to say that it is unwelcome.
pub(super) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let codings = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    codings.into_iter().any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let refused = weight.split_once('=').is_some_and(|(_, quality)| quality.trim().parse() == Ok(0.0));
        name.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    // Writing to memory does not fail.
    let _ = encoder.write_all(body);
    encoder.finish().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;
    use http::HeaderName;
    use http_body_util::BodyExt;
    use std::io::Read;

    fn headers(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn accept_is_searched_in_a_fixed_order() {
        for (accept, format) in [
            ("", Format::Json),
            ("*/*", Format::Json),
            ("application/x-protobuf", Format::Json),
            ("application/json, application/protobuf;q=0.1", Format::Protobuf),
            ("application/vnd.grafana.llm", Format::Llm),
            ("application/vnd.grafana.llm, application/json", Format::Json),
        ] {
            assert_eq!(Format::of(&headers(ACCEPT, accept)), format, "{accept}");
        }
        assert_eq!(Format::of(&HeaderMap::new()), Format::Json);
    }

    #[test]
    fn gzip_is_accepted_by_name() {
        for (value, accepted) in
            [("gzip", true), ("deflate, GZIP;q=0.5", true), ("gzip;q=0", false), ("gzip; q=0.0", false), ("br", false), ("xgzip", false)]
        {
            assert_eq!(accepts_gzip(&headers(ACCEPT_ENCODING, value)), accepted, "{value}");
        }
    }

    #[tokio::test]
    async fn long_answers_are_compressed_for_those_who_can_read_it() {
        let long = "x".repeat(MIN_COMPRESSED_BYTES);
        for (text, accepts, compressed) in [(long.as_str(), true, true), (&long, false, false), ("short", true, false)] {
            let response = Answer::json(text.to_string()).respond(accepts).await.expect("running");
            assert_eq!(response.headers().get(CONTENT_ENCODING).is_some(), compressed);
            assert_eq!(response.headers()[VARY], "Accept-Encoding");
            let body = response.into_body().collect().await.expect("ours").to_bytes();
            let mut unpacked = String::new();
            if compressed {
                GzDecoder::new(&*body).read_to_string(&mut unpacked).expect("gzip");
            } else {
                unpacked = String::from_utf8(body.to_vec()).expect("ours");
            }
            assert_eq!(unpacked, text);
        }
    }
}
