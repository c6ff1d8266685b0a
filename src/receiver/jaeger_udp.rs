//! Jaeger's agent ports: a batch of spans in each datagram, in one of thrift's two formats (spec/ingest.md §5.3).
//!
//! Nothing is answered, so a datagram that cannot be stored is lost; it is counted, and said in the log at most once a
//! minute. Datagrams carry no tenant: a server with several tenants refuses all of them.
//!
//! Each datagram is pushed on its own and waits for the disk; meanwhile others are taken in, up to a number and up to a
//! sum of bytes. Beyond these, datagrams are dropped, as the system drops those that nobody reads.

use super::jaeger::{PacketError, decode_binary_packet, decode_compact_packet};
use super::tenant::{Tenancy, TenantError};
use crate::distributor::{Distributor, PushError};
use bytes::Bytes;
use http::HeaderMap;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Bytes of spans that may wait for the disk.
const MAX_WAITING_BYTES: usize = 16 << 20;

/// How long after one complaint the next one may follow.
const COMPLAINT_PERIOD: Duration = Duration::from_secs(60);

/// The format of the datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketFormat {
    /// Thrift's compact format (`thrift_compact`).
    Compact,
    /// Thrift's binary format (`thrift_binary`).
    Binary,
}

/// What the receiver needs.
#[derive(Clone)]
pub struct JaegerUdp {
    /// Where spans go.
    pub distributor: Distributor,
    /// Whether spans need a tenant, which they cannot have here.
    pub tenancy: Tenancy,
    /// How datagrams are read.
    pub format: PacketFormat,
    /// Largest datagram in bytes (`max_packet_size`); a larger one is cut by the system, and lost.
    pub max_packet_bytes: usize,
    /// Datagrams that may wait for the disk (`queue_size`).
    pub max_waiting: usize,
}

/// Why a datagram was lost.
#[derive(Debug, thiserror::Error)]
enum Loss {
    #[error(transparent)]
    Packet(#[from] PacketError),
    #[error(transparent)]
    Tenant(#[from] TenantError),
    #[error(transparent)]
    Push(#[from] PushError),
    #[error("too many datagrams wait to be stored")]
    Full,
}

/// Takes datagrams until `shutdown` resolves, then stores what it has.
pub async fn serve(socket: UdpSocket, receiver: JaegerUdp, shutdown: impl Future<Output = ()>) {
    let receiver = Arc::new(receiver);
    let complaints = Arc::new(Complaints::default());
    let room = Room { datagrams: Arc::new(Semaphore::new(receiver.max_waiting.clamp(1, Semaphore::MAX_PERMITS))), ..Room::default() };
    let mut pushes = JoinSet::new();
    let mut buffer = vec![0; receiver.max_packet_bytes];
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let received = tokio::select! {
            () = &mut shutdown => break,
            received = socket.recv(&mut buffer) => received,
            Some(_) = pushes.join_next() => continue,
        };
        match received {
            Ok(length) => take(&receiver, &room, &complaints, &buffer[..length], &mut pushes),
            Err(error) => {
                tracing::warn!(%error, "cannot receive datagrams");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    while pushes.join_next().await.is_some() {}
}

/// What may wait for the disk.
#[derive(Clone)]
struct Room {
    datagrams: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
}

impl Default for Room {
    fn default() -> Self {
        Room { datagrams: Arc::new(Semaphore::new(0)), bytes: Arc::new(Semaphore::new(MAX_WAITING_BYTES)) }
    }
}

/// Reads a datagram, which is short enough to be read here, and has its spans stored by a task of their own.
fn take(receiver: &Arc<JaegerUdp>, room: &Room, complaints: &Arc<Complaints>, packet: &[u8], pushes: &mut JoinSet<()>) {
    let request = match decode(receiver.format, packet) {
        Ok(request) => request,
        Err(error) => return complaints.add(&error.into()),
    };
    let num_bytes = u32::try_from(request.len()).unwrap_or(u32::MAX);
    let permits = Arc::clone(&room.datagrams).try_acquire_owned().ok().zip(Arc::clone(&room.bytes).try_acquire_many_owned(num_bytes).ok());
    let Some(permits) = permits else { return complaints.add(&Loss::Full) };
    let (receiver, complaints) = (Arc::clone(receiver), Arc::clone(complaints));
    pushes.spawn(async move {
        if let Err(loss) = push(&receiver, request).await {
            complaints.add(&loss);
        }
        drop(permits);
    });
}

fn decode(format: PacketFormat, packet: &[u8]) -> Result<Bytes, PacketError> {
    match format {
        PacketFormat::Compact => decode_compact_packet(packet),
        PacketFormat::Binary => decode_binary_packet(packet),
    }
}

async fn push(receiver: &JaegerUdp, request: Bytes) -> Result<(), Loss> {
    let tenant = receiver.tenancy.tenant_of(&HeaderMap::new())?;
    receiver.distributor.push(tenant, request).await?;
    Ok(())
}

/// What is said of lost datagrams: the first at once, the number of the others with the next that is said.
#[derive(Default)]
struct Complaints(Mutex<(Option<Instant>, u64)>);

impl Complaints {
    fn add(&self, loss: &Loss) {
        let mut state = self.0.lock();
        let (last, num_lost) = &mut *state;
        *num_lost += 1;
        if last.is_none_or(|last| last.elapsed() >= COMPLAINT_PERIOD) {
            tracing::warn!(datagrams = *num_lost, reason = %loss, "datagrams with Jaeger spans were lost");
            (*last, *num_lost) = (Some(Instant::now()), 0);
        }
    }
}

#[cfg(test)]
mod tests;
