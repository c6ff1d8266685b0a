//! A bucket that sends a byte a second: queries that need it fail in bounded time, the others do not notice.

use crate::bucket::{S3, wait_for_uploads};
use crate::support::data::{shop, span};
use crate::support::server::{DataDir, Server};
use crate::support::until;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

/// Passes bytes on between clients and a server, from some moment on one a second.
#[derive(Clone, Default)]
struct Proxy {
    is_slow: Arc<AtomicBool>,
    /// Bytes that were passed on slowly.
    dripped: Arc<AtomicU64>,
}

impl Proxy {
    fn listen(&self, behind: SocketAddr) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let proxy = self.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(behind) else { continue };
                let pair = |one: &TcpStream, other: &TcpStream| (one.try_clone().expect("open"), other.try_clone().expect("open"));
                let ((mut from, mut to), proxy) = (pair(&client, &server), proxy.clone());
                std::thread::spawn(move || std::io::copy(&mut from, &mut to).map(|_| to.shutdown(Shutdown::Write)));
                let (from, to) = pair(&server, &client);
                std::thread::spawn(move || proxy.answer(from, to));
            }
        });
        address
    }

    fn answer(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = [0; 16 << 10];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            let mut bytes = &buffer[..length];
            while let [first, rest @ ..] = bytes
                && self.is_slow.load(SeqCst)
            {
                if to.write_all(&[*first]).is_err() {
                    return;
                }
                self.dripped.fetch_add(1, SeqCst);
                bytes = rest;
                std::thread::sleep(Duration::from_secs(1));
            }
            if to.write_all(bytes).is_err() {
                return;
            }
        }
        // A client that has gone is none of our business.
        let _ = to.shutdown(Shutdown::Both);
    }
}

#[test]
fn queries_of_a_bucket_that_drips_fail_and_others_live_on() {
    let (s3, data) = (S3::start(), DataDir::new());
    let server = s3.serve(&data);
    server.push(&shop(vec![span(1, 1, "in the bucket", 0)]));
    server.flush();
    wait_for_uploads(&data, &s3, 1);
    drop(server);

    let (proxy, elsewhere) = (Proxy::default(), DataDir::new());
    let address = proxy.listen(s3.address);
    let config = s3.config(&elsewhere).replace(&s3.address.to_string(), &address.to_string());
    let config = config.replace("backend: s3", "backend: s3\n    block_cache_bytes: 0").replace("blocklist_poll: 1s", "blocklist_poll: 1h");
    let mut server = Server::start_with(&elsewhere, &config, &[]);
    server.expect_log("query failed");
    server.expect_log("complete_block_timeout is shorter");
    server.push(&shop(vec![span(2, 2, "in the head", 0)]));
    proxy.is_slow.store(true, SeqCst);
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| server.get("/api/search?q=%7Bname%3D%22in%20the%20bucket%22%7D"));
        until("a slow answer", || (proxy.dripped.load(SeqCst) > 0).then_some(()));
        assert_eq!(server.span_ids(2u128).len(), 1, "a trace of the head");
        server.push(&shop(vec![span(3, 3, "in the head", 0)]));
        assert_eq!(server.span_ids(3u128).len(), 1);
        assert!(!slow.is_finished(), "the others did not wait for it");
        let answer = slow.join().expect("an answer");
        assert_eq!(answer.status, 500);
        assert!(answer.text().contains("bytes have not come within"), "{}", answer.text());
    });
    proxy.is_slow.store(false, SeqCst);
    assert_eq!(server.count("{}"), 3, "the bucket is as good as before");
}
