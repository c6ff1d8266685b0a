//! Samples on their way to a Prometheus (spec/metrics-generator.md §9).
//!
//! A collection becomes requests (`message`, with other labels where a receiver's `relabel` rules say so), which are put into a queue on disk for each receiver (`queue`): bounded, oldest
//! dropped first, kept over a restart. One task a receiver sends them in order (`sender`): what fails for now is tried again with
//! growing pauses, tenant by tenant; what is refused for good is dropped and counted. Whatever the receiver does, the generator
//! only ever writes files.

mod message;
mod queue;
mod relabel;
mod sender;

use super::settings::{GeneratorConfig, RemoteWrite, TenantSettings, without_user};
use super::tenant::Tenant;
use crate::model::{TenantId, UnixNanos};
use queue::Queue;
use sender::Sender;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Why remote write cannot be prepared.
#[derive(Debug, thiserror::Error)]
pub enum RemoteWriteError {
    /// The queue's directory.
    #[error("could not use the directory {path} for samples: {source}")]
    Directory {
        /// The directory.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The client.
    #[error("metrics_generator.storage.remote_write: {url}: {message}")]
    Client {
        /// The receiver.
        url: String,
        /// What is wrong.
        message: String,
    },
}

/// What became of the samples for one receiver.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointCounts {
    /// The receiver, without secrets.
    pub url: String,
    /// Put into the queue.
    pub queued: u64,
    /// Taken by the receiver.
    pub sent: u64,
    /// Refused by it for good.
    pub refused: u64,
    /// Left out for want of room, or because the disk failed.
    pub dropped: u64,
    /// Sent again.
    pub retried: u64,
    /// Bytes that wait.
    pub queue_bytes: u64,
}

struct Endpoint {
    settings: RemoteWrite,
    queue: Arc<Queue>,
    sender: Arc<Sender>,
}

/// Sends samples to receivers.
pub struct RemoteWriter {
    endpoints: Vec<Endpoint>,
}

impl RemoteWriter {
    /// Opens the queues of all receivers below a directory; `None` if there is no receiver.
    ///
    /// # Errors
    /// A directory that cannot be used, and settings of which no client can be made.
    pub fn open(config: &GeneratorConfig, tenants: &Arc<TenantSettings>, directory: &Path) -> Result<Option<Self>, RemoteWriteError> {
        let open = |settings: &RemoteWrite| {
            let path = directory.join(queue::directory_name(&settings.url));
            let queue = Queue::open(&path).map_err(|source| RemoteWriteError::Directory { path: path.display().to_string(), source })?;
            let queue = Arc::new(queue);
            let client_error = |message| RemoteWriteError::Client { url: without_user(&settings.url), message };
            let sender = Sender::new(settings.clone(), config, Arc::clone(tenants), Arc::clone(&queue)).map_err(client_error)?;
            Ok(Endpoint { settings: settings.clone(), queue, sender: Arc::new(sender) })
        };
        let endpoints = config.remote_write.iter().map(open).collect::<Result<Vec<_>, _>>()?;
        Ok((!endpoints.is_empty()).then_some(RemoteWriter { endpoints }))
    }

    /// Starts the tasks that send; to be called within a runtime.
    pub fn start(&self) {
        for endpoint in &self.endpoints {
            tokio::spawn(Arc::clone(&endpoint.sender).run());
        }
    }

    /// Puts a sample of each series into the queues.
    pub(super) fn enqueue(&self, name: &TenantId, tenant: &Tenant, now: UnixNanos) {
        for endpoint in &self.endpoints {
            let put = |request: message::Request| endpoint.queue.push(name, request.num_samples, &request.body);
            message::requests(tenant, now, &endpoint.settings, put);
            endpoint.sender.wake();
        }
    }

    /// Waits until everything is sent, a receiver does not answer, or the time is over. What is left is sent after the next start.
    pub async fn stop(&self, deadline: Duration) {
        let end = Instant::now() + deadline;
        for endpoint in &self.endpoints {
            while !endpoint.queue.is_empty() && !endpoint.sender.is_failing() && Instant::now() < end {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            endpoint.sender.stop();
        }
    }

    /// What became of the samples.
    pub fn counts(&self) -> Vec<EndpointCounts> {
        self.endpoints.iter().map(|endpoint| endpoint.sender.counts()).collect()
    }
}
