//! The page of the server's own, as a browser gets it.

use crate::support::http::{Response, send};
use crate::support::server::Server;

fn get(server: &Server, path: &str, headers: &[(&str, &str)]) -> Response {
    send(server.api, "GET", path, headers, b"").expect("an answer")
}

#[test]
fn the_page_and_its_files_come_with_their_headers() {
    let server = Server::fresh();
    let page = get(&server, "/", &[("Accept", "text/html")]);
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    let policy = page.header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self';") && !policy.contains("unsafe"), "{policy}");
    let text = page.text();
    let main = text.split('"').find(|text| text.ends_with("/components/app.js")).expect("a script");
    let style = text.split('"').find(|text| text.ends_with("/base.css")).expect("a style");
    for (path, kind) in [(main, "text/javascript; charset=utf-8"), (style, "text/css; charset=utf-8")] {
        let path = format!("/{path}");
        let file = get(&server, &path, &[]);
        assert_eq!((file.status, file.header("content-type"), file.header("x-content-type-options")), (200, kind, "nosniff"), "{path}");
        let packed = get(&server, &path, &[("Accept-Encoding", "gzip, br")]);
        assert_eq!(packed.header("content-encoding"), "gzip", "{path}");
        assert!(packed.body.len() < file.body.len() / 2, "{path}");
        let known = get(&server, &path, &[("If-None-Match", file.header("etag"))]);
        assert_eq!((known.status, known.body.len()), (304, 0), "{path}");
    }
    assert_eq!(get(&server, "/", &[("If-None-Match", page.header("etag"))]).status, 304);
    assert_eq!(send(server.api, "POST", "/", &[], b"").expect("an answer").status, 405);
    assert!(server.terminate().success());
}
