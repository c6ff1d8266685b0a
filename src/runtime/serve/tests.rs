use super::*;
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;

struct Running {
    address: std::net::SocketAddr,
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<()>,
}

async fn run(router: Router, options: ServeOptions) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(serve(listener, router, options, async move { drop(stopped.await) }));
    Running { address, stop, task }
}

async fn get_root(connection: &mut TcpStream, extra: &str) -> String {
    let head = format!("GET / HTTP/1.1\r\nHost: x\r\n{extra}\r\n");
    connection.write_all(head.as_bytes()).await.expect("open");
    let mut answer = [0; 1024];
    let length = connection.read(&mut answer).await.expect("open");
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

#[tokio::test]
async fn requests_under_way_are_answered_before_the_end() {
    let (entered, mut entries) = tokio::sync::mpsc::channel(1);
    let slow = move || async move {
        entered.send(()).await.expect("the test waits");
        tokio::time::sleep(Duration::from_millis(100)).await;
        "done"
    };
    let running = run(Router::new().route("/", get(slow)), ServeOptions::named("test")).await;
    let mut idle = TcpStream::connect(running.address).await.expect("listening");
    let mut busy = TcpStream::connect(running.address).await.expect("listening");
    let request = tokio::spawn(async move { get_root(&mut busy, "").await });
    entries.recv().await.expect("the handler runs");
    running.stop.send(()).expect("running");
    let answer = request.await.expect("no panic");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("done"), "{answer}");
    running.task.await.expect("ends by itself");
    assert_eq!(idle.read(&mut [0; 1]).await.expect("closed in order"), 0);
    assert!(TcpStream::connect(running.address).await.is_err());
}

#[tokio::test]
async fn what_takes_too_long_is_cut() {
    let never = || async { std::future::pending::<&str>().await };
    let options = ServeOptions { graceful_timeout: Duration::from_millis(50), ..ServeOptions::named("test") };
    let running = run(Router::new().route("/", get(never)), options).await;
    let mut connection = TcpStream::connect(running.address).await.expect("listening");
    connection.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("open");
    tokio::time::sleep(Duration::from_millis(50)).await;
    running.stop.send(()).expect("running");
    running.task.await.expect("ends by itself");
}

#[tokio::test]
async fn silent_and_slow_clients_are_closed() {
    let options = ServeOptions { header_read_timeout: Duration::from_millis(50), ..ServeOptions::named("test") };
    let running = run(Router::new(), options).await;
    for opening in [&b""[..], b"GET / HT"] {
        let mut connection = TcpStream::connect(running.address).await.expect("listening");
        connection.write_all(opening).await.expect("open");
        let mut rest = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(5), connection.read_to_end(&mut rest)).await;
        assert!(read.is_ok(), "{opening:?} is closed");
    }
}

#[tokio::test]
async fn one_connection_takes_many_requests() {
    let running = run(Router::new().route("/", get(|| async { "x" })), ServeOptions::named("test")).await;
    let mut connection = TcpStream::connect(running.address).await.expect("listening");
    for _ in 0..3 {
        assert!(get_root(&mut connection, "").await.starts_with("HTTP/1.1 200"));
    }
}
