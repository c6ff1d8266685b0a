//! The `-health` flag: the binary asks a running server whether it is ready, for containers without a shell.

use anyhow::{Context, bail};
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(5);

/// Whether `GET url` answers 200 within five seconds.
pub fn is_ready(url: &str) -> anyhow::Result<bool> {
    let Some(rest) = url.strip_prefix("http://") else { bail!("only http:// addresses can be asked: {url}") };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = if authority.contains(':') { authority.to_string() } else { format!("{authority}:80") };
    let addresses = host.to_socket_addrs().with_context(|| format!("could not resolve {host}"))?;
    // `localhost` may name an IPv6 address first while the server listens on IPv4 only.
    let mut stream = addresses
        .map(|address| TcpStream::connect_timeout(&address, TIMEOUT))
        .reduce(|tried, next| tried.or(next))
        .with_context(|| format!("{host} has no address"))?
        .with_context(|| format!("could not connect to {host}"))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    write!(stream, "GET /{path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n")?;
    let mut head = [0; 12];
    stream.read_exact(&mut head).context("the server closed the connection")?;
    Ok(&head == b"HTTP/1.1 200")
}
