//! A small HTTP/1.1 client: one request, one connection, blocking.

use super::DEADLINE;
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{self, Error, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// A whole answer.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    /// A header's value, or nothing; names are compared without case.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }

    /// The media type, without its parameters.
    pub fn content_type(&self) -> &str {
        self.header("content-type").split(';').next().unwrap_or_default().trim()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("not JSON: {error}: {} {}", self.status, self.text()))
    }
}

/// Sends a request and reads the whole answer; an answer that is cut short is an error.
pub fn send(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> io::Result<Response> {
    let mut stream = TcpStream::connect_timeout(&address, DEADLINE)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.set_write_timeout(Some(DEADLINE))?;
    stream.set_nodelay(true)?;
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    for (name, value) in headers {
        // Writing to a string cannot fail.
        let _ = write!(head, "{name}: {value}\r\n");
    }
    if !body.is_empty() || matches!(method, "POST" | "PUT") {
        let _ = write!(head, "Content-Length: {}\r\n", body.len());
    }
    head.push_str("\r\n");
    let sent = stream.write_all(&[head.as_bytes(), body].concat());
    // A server that refuses a request may answer and close before it has read all of it.
    let mut received = Vec::new();
    let read = stream.read_to_end(&mut received);
    parse(&received).map_err(|error| sent.err().or(read.err()).unwrap_or(error))
}

/// The answer in these bytes.
pub fn parse(received: &[u8]) -> io::Result<Response> {
    let cut_short = || Error::from(ErrorKind::UnexpectedEof);
    let head_bytes = received.windows(4).position(|bytes| bytes == b"\r\n\r\n").ok_or_else(cut_short)?;
    let head = String::from_utf8_lossy(&received[..head_bytes]);
    let mut lines = head.split("\r\n");
    let status_line = lines.next().unwrap_or_default();
    let status = status_line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| Error::new(ErrorKind::InvalidData, format!("not a status line: {status_line}")))?;
    let headers = lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name.to_string(), value.trim().to_string()));
    let mut response = Response { status, headers: headers.collect(), body: Vec::new() };
    let body = &received[head_bytes + 4..];
    response.body = match (response.header("transfer-encoding"), response.header("content-length").parse::<usize>()) {
        ("chunked", _) => dechunk(body).ok_or_else(cut_short)?,
        (_, Ok(length)) => body.get(..length).ok_or_else(cut_short)?.to_vec(),
        _ => body.to_vec(),
    };
    Ok(response)
}

/// The body of a chunked answer; `None` if it is cut short.
fn dechunk(mut chunks: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line_bytes = chunks.windows(2).position(|bytes| bytes == b"\r\n")?;
        let size = std::str::from_utf8(&chunks[..line_bytes]).ok()?.split(';').next()?.trim();
        let size = usize::from_str_radix(size, 16).ok()?;
        chunks = &chunks[line_bytes + 2..];
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(chunks.get(..size)?);
        chunks = chunks.get(size + 2..)?;
    }
}

/// A path with a query string.
pub fn with_query(path: &str, params: &[(&str, &str)]) -> String {
    let mut out = path.to_string();
    for (at, (name, value)) in params.iter().enumerate() {
        out.push(if at == 0 { '?' } else { '&' });
        out.push_str(name);
        out.push('=');
        percent_encode(value, &mut out);
    }
    out
}

fn percent_encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
}
