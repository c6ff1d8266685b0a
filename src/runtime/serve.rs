//! Serving a router on a port: HTTP/1.1 and HTTP/2, told apart by their first bytes; with or without TLS.
//!
//! Ends in this order: no connection is accepted any more, idle connections close, requests under way are answered (up to
//! a deadline), what is left is cut. Nothing that goes wrong with one connection, nor the want of file descriptors, ends
//! the loop.

pub mod admission;
pub mod measured;
pub mod tokens;

use super::tls::Tls;
/// What is served: `app` passes routers on without naming their library.
pub use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use std::io::{Error, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How long the loop rests when the system is out of something.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// The first byte of a client that speaks TLS.
const TLS_HANDSHAKE: u8 = 0x16;

/// How connections are treated.
#[derive(Clone)]
pub struct ServeOptions {
    /// The listener's name in logs.
    pub name: &'static str,
    /// How TLS is spoken, if it is.
    pub tls: Option<Tls>,
    /// How long a client may take to say its first byte, for the handshake of TLS, and over HTTP/1.1 for a whole head; also how long an idle HTTP/1.1
    /// connection stays open. Default 60 s.
    pub header_read_timeout: Duration,
    /// Bytes that may be under way on one HTTP/2 stream; default 1 MiB, so that a message of a few MiB needs few round trips.
    pub stream_window_bytes: u32,
    /// Bytes that may be under way on one HTTP/2 connection; default 4 MiB. A client can make us hold so many.
    pub connection_window_bytes: u32,
    /// Largest HTTP/2 frame; default 256 KiB, where the protocol's 16 KiB would cut messages into many pieces.
    pub max_frame_bytes: u32,
    /// Requests at a time on one HTTP/2 connection; default 1000.
    pub max_concurrent_streams: u32,
    /// After this silence an HTTP/2 client is asked whether it is still there; default 60 s.
    pub keep_alive_interval: Duration,
    /// How long a shutdown waits for requests under way; default 30 s.
    pub graceful_timeout: Duration,
}

impl ServeOptions {
    /// The defaults, for the listener of that name.
    pub fn named(name: &'static str) -> Self {
        ServeOptions {
            name,
            tls: None,
            header_read_timeout: Duration::from_secs(60),
            stream_window_bytes: 1 << 20,
            connection_window_bytes: 4 << 20,
            max_frame_bytes: 256 << 10,
            max_concurrent_streams: 1000,
            keep_alive_interval: Duration::from_secs(60),
            graceful_timeout: Duration::from_secs(30),
        }
    }
}

/// Answers every connection to `listener` with `router` until `shutdown` resolves, and then until the requests under way
/// are answered or the deadline has passed. Dropping the future cuts every connection.
pub async fn serve(listener: TcpListener, router: Router, options: ServeOptions, shutdown: impl Future<Output = ()>) {
    let (stop, stopping) = watch::channel(());
    let mut connections = JoinSet::new();
    let server = Arc::new(Server { builder: builder(&options), router, options, was_spoken_tls_to: AtomicBool::new(false) });
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(connections.spawn(Arc::clone(&server).connection(stream, stopping.clone()))),
                Err(error) => server.after_failed_accept(&error).await,
            },
            // Nothing but the slot in the set is left of an ended connection.
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    stop.send_replace(());
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(server.options.graceful_timeout, drained).await.is_err() {
        let (listener, num_cut) = (server.options.name, connections.len());
        tracing::warn!(listener, num_cut, "requests still under way at the end of the shutdown are cut");
    }
    connections.shutdown().await;
}

struct Server {
    builder: Builder<TokioExecutor>,
    router: Router,
    options: ServeOptions,
    /// Whether a client that speaks TLS was told of, to a listener without.
    was_spoken_tls_to: AtomicBool,
}

impl Server {
    /// One connection from its first byte to its last. Told to stop, it takes no further request.
    async fn connection(self: Arc<Self>, stream: TcpStream, mut stopping: watch::Receiver<()>) {
        // Answers are small and awaited, so they must not wait for more to fill a packet. Without it they are only slower.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(listener = self.options.name, %error, "cannot set TCP_NODELAY");
        }
        // The protocol is told by the first bytes, and no timeout of the protocols runs before them.
        let mut first_byte = [0];
        tokio::select! {
            first = tokio::time::timeout(self.options.header_read_timeout, stream.peek(&mut first_byte)) => if first.is_err() { return },
            _ = stopping.changed() => return,
        }
        let Some(tls) = &self.options.tls else {
            if first_byte[0] == TLS_HANDSHAKE {
                self.tell_of_tls();
            }
            return self.requests(stream, stopping).await;
        };
        let handshake = tokio::time::timeout(self.options.header_read_timeout, tls.acceptor().accept(stream));
        let shaken = tokio::select! {
            shaken = handshake => shaken,
            _ = stopping.changed() => return,
        };
        match shaken {
            Ok(Ok(stream)) => self.requests(stream, stopping).await,
            Ok(Err(error)) => tracing::debug!(listener = self.options.name, %error, "no TLS connection"),
            Err(_) => tracing::debug!(listener = self.options.name, "no TLS connection in time"),
        }
    }

    /// The requests of a connection.
    async fn requests(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, mut stopping: watch::Receiver<()>) {
        let service = TowerToHyperService::new(self.router.clone());
        let mut connection = std::pin::pin!(self.builder.serve_connection(TokioIo::new(stream), service));
        let served = tokio::select! {
            served = &mut connection => served,
            _ = stopping.changed() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = served {
            // Clients go away all the time, and send what is no HTTP.
            tracing::debug!(listener = self.options.name, error, "connection ended early");
        }
    }

    /// Many SDKs speak TLS unless told otherwise, and say no more than that the connection broke.
    fn tell_of_tls(&self) {
        if !self.was_spoken_tls_to.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                listener = self.options.name,
                "a client speaks TLS to this port, which has none: tell the client not to (http:// or insecure), or give the port a certificate"
            );
        }
    }

    /// Rests where trying again at once would only spin.
    async fn after_failed_accept(&self, error: &Error) {
        let of_one_connection =
            matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused);
        if !of_one_connection {
            tracing::warn!(listener = self.options.name, %error, "cannot accept connections");
            tokio::time::sleep(ACCEPT_BACKOFF).await;
        }
    }
}

fn builder(options: &ServeOptions) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(options.header_read_timeout);
    builder
        .http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(options.stream_window_bytes)
        .initial_connection_window_size(options.connection_window_bytes)
        .max_frame_size(options.max_frame_bytes)
        .max_concurrent_streams(options.max_concurrent_streams)
        .keep_alive_interval(options.keep_alive_interval);
    builder
}

#[cfg(test)]
mod tests;
