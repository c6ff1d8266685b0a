//! Profiles, as `go tool pprof` reads them.

use crate::support::http::send;
use crate::support::server::{DataDir, Server};
use flate2::read::GzDecoder;
use std::io::Read;

fn unzipped(body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    GzDecoder::new(body).read_to_end(&mut bytes).expect("gzip");
    bytes
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn a_cpu_profile_shows_what_the_server_does_meanwhile() {
    let server = Server::fresh();
    let profile = std::thread::scope(|scope| {
        let profile = scope.spawn(|| server.get("/debug/pprof/profile?seconds=2"));
        // There is one at a time. The first has begun long before it is half over.
        std::thread::sleep(std::time::Duration::from_secs(1));
        let second = server.get("/debug/pprof/profile?seconds=0.01");
        assert!(
            second.status == 500 && second.text() == "Could not enable CPU profiling: cpu profiling already in use\n",
            "{}",
            second.text()
        );
        while !profile.is_finished() {
            assert_eq!(server.get("/metrics").status, 200);
        }
        profile.join().expect("answered")
    });
    assert_eq!((profile.status, profile.header("Content-Type")), (200, "application/octet-stream"), "{}", profile.text());
    let profile = unzipped(&profile.body);
    assert!(contains(&profile, "nanoseconds") && contains(&profile, "conmoto"), "it has names of functions");
}

#[test]
fn a_memory_profile_shows_what_is_counted() {
    let server = Server::fresh();
    let profile = unzipped(&server.get("/debug/pprof/heap").body);
    assert!(contains(&profile, "inuse_space") && contains(&profile, "counted.caches") && contains(&profile, "not_counted"));
}

#[test]
fn what_there_is_not_is_said() {
    let server = Server::start(&DataDir::new());
    assert!(server.get("/debug/pprof/").text().contains("profile?seconds=30"));
    for (name, status) in [("goroutine", 501), ("trace", 501), ("cmdline", 404), ("profile?seconds=100000", 400)] {
        assert_eq!(send(server.api, "GET", &format!("/debug/pprof/{name}"), &[], b"").expect("an answer").status, status, "{name}");
    }
}
