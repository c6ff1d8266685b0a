use super::super::test_support::{FakeTarget, distributor};
use super::*;
use std::net::SocketAddr;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// `emitBatch` with one span, in both formats.
const COMPACT: &[u8] = b"\x82\x81\x01\x09emitBatch\x1c\x1c\0\x19\x1c\x16\x02\x26\x04\0\0\0";
const BINARY: &[u8] = b"\x80\x01\0\x04\0\0\0\x09emitBatch\0\0\0\0\x0c\0\x01\x0f\0\x02\x0c\0\0\0\x01\x0a\0\x01\0\0\0\0\0\0\0\x01\x0a\0\x03\0\0\0\0\0\0\0\x02\0\0\0";

struct Running {
    address: SocketAddr,
    target: Arc<FakeTarget>,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<()>,
}

async fn start(format: PacketFormat, tenancy: Tenancy) -> Running {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
    let address = socket.local_addr().expect("bound");
    let (distributor, target) = distributor(None);
    let receiver = JaegerUdp { distributor, tenancy, format, max_packet_bytes: 65_000, max_waiting: 10 };
    let (stop, stopped) = oneshot::channel::<()>();
    let ended = tokio::spawn(serve(socket, receiver, async { drop(stopped.await) }));
    Running { address, target, stop, ended }
}

/// Sends datagrams until one that is good has arrived; they arrive in order.
async fn sent(format: PacketFormat, tenancy: Tenancy, packets: &[&[u8]], num_pushed: usize) {
    let running = start(format, tenancy).await;
    let sender = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
    for packet in packets {
        sender.send_to(packet, running.address).await.expect("a local address");
    }
    while running.target.pushed.lock().len() < num_pushed {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    running.stop.send(()).expect("still running");
    running.ended.await.expect("no panic");
    assert_eq!(running.target.pushed.lock().len(), num_pushed);
}

#[tokio::test]
async fn good_datagrams_are_stored_and_others_lost() {
    sent(PacketFormat::Compact, Tenancy::Single, &[COMPACT, b"nope", b"", BINARY, COMPACT], 2).await;
    sent(PacketFormat::Binary, Tenancy::Single, &[COMPACT, &BINARY[..40], BINARY], 1).await;
}

#[tokio::test]
async fn datagrams_have_no_tenant() {
    let (distributor, target) = distributor(None);
    let format = PacketFormat::Compact;
    let receiver = JaegerUdp { distributor, tenancy: Tenancy::Header, format, max_packet_bytes: 65_000, max_waiting: 10 };
    let loss = push(&receiver, decode(format, COMPACT).expect("a batch")).await.expect_err("no tenant");
    assert_eq!((loss.to_string().as_str(), target.pushed.lock().len()), ("no org id", 0));
}

#[tokio::test]
async fn what_has_no_room_is_lost() {
    let (distributor, target) = distributor(None);
    let format = PacketFormat::Binary;
    let receiver = Arc::new(JaegerUdp { distributor, tenancy: Tenancy::Single, format, max_packet_bytes: 65_000, max_waiting: 2 });
    let room = Room { datagrams: Arc::new(Semaphore::new(2)), ..Room::default() };
    let complaints = Arc::new(Complaints::default());
    let mut pushes = JoinSet::new();
    // Nothing is awaited in between, so none of the tasks runs.
    (0..5).for_each(|_| take(&receiver, &room, &complaints, BINARY, &mut pushes));
    assert_eq!((pushes.len(), complaints.0.lock().1), (2, 2));
    while pushes.join_next().await.is_some() {}
    assert_eq!(target.pushed.lock().len(), 2);
    take(&receiver, &room, &complaints, BINARY, &mut pushes);
    assert_eq!(pushes.len(), 1);
}
