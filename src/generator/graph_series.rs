//! The series of finished edges.

use super::labels::{LabelSet, beside, sanitised};
use super::series::{MetricId, MetricKind, Registry, Slot, seconds};
use super::settings::{Processors, ServiceGraphSettings};
use super::sides::Side;
use crate::model::TraceId;
use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::sync::Arc;

/// Pairs of sides whose slots are remembered; forgetting them costs time only.
const MAX_KNOWN: usize = 16_384;

const OWN: [&str; 4] = ["client", "server", "connection_type", "virtual_node"];

/// What kind of call an edge is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Connection {
    /// A plain call.
    #[default]
    Call,
    /// A message.
    Messaging,
    /// A query of a database.
    Database,
    /// One side has no instrumentation.
    VirtualNode,
}

/// Which side has no instrumentation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum VirtualNode {
    /// Neither.
    #[default]
    None,
    /// The client.
    Client,
    /// The server.
    Server,
}

/// An edge of which everything is known.
pub(super) struct Finished {
    pub(super) trace: TraceId,
    pub(super) client: Arc<Side>,
    pub(super) server: Arc<Side>,
    pub(super) connection: Connection,
    pub(super) virtual_node: VirtualNode,
    pub(super) is_client_last: bool,
    pub(super) client_seconds: f64,
    pub(super) server_seconds: f64,
    /// From the producer's end to the consumer's start; 0 for none.
    pub(super) messaging_seconds: f64,
    pub(super) failed: bool,
    pub(super) times: f64,
}

struct Metrics {
    total: Option<MetricId>,
    failed: Option<MetricId>,
    server: Option<MetricId>,
    client: Option<MetricId>,
    messaging: Option<MetricId>,
    info: Option<MetricId>,
}

struct Names {
    own: [Arc<str>; 4],
    /// Of each dimension: for the client, and for the server.
    dimensions: Vec<[Arc<str>; 2]>,
}

/// Slots of one pair of sides; those that few edges need are looked up when they do.
struct Slots {
    labels: Arc<LabelSet>,
    /// Held so that no other side gets its address.
    _sides: [Arc<Side>; 2],
    total: Slot,
    server: Slot,
    client: Slot,
    info: Slot,
    failed: Option<Slot>,
    messaging: Option<Slot>,
}

/// The addresses of the two sides, and what else labels say.
type Known = (usize, usize, Connection, VirtualNode, bool);

/// The metrics of service graphs.
pub(super) struct EdgeSeries {
    metrics: Metrics,
    names: Names,
    with_virtual_node: bool,
    with_prefix: bool,
    known: HashMap<Known, Slots, RandomState>,
    epoch: u64,
}

impl EdgeSeries {
    /// Adds the metrics.
    pub(super) fn new(settings: &ServiceGraphSettings, parts: Processors, registry: &mut Registry) -> Self {
        let histogram = MetricKind::Histogram(settings.buckets.clone().into());
        let mut add = |wanted: bool, name: &str, help: &'static str, kind: &MetricKind| {
            let name = format!("traces_service_graph_{name}");
            wanted.then(|| registry.metric(name, help, kind.clone()))
        };
        let metrics = Metrics {
            total: add(parts.graph_requests, "request_total", "Calls between two services", &MetricKind::Counter),
            failed: add(parts.graph_requests, "request_failed_total", "Calls that failed on either side", &MetricKind::Counter),
            server: add(parts.graph_latency, "request_server_seconds", "Seconds that calls took on the server", &histogram),
            client: add(parts.graph_latency, "request_client_seconds", "Seconds that calls took on the client", &histogram),
            messaging: add(
                parts.graph_latency && settings.messaging_latency,
                "request_messaging_system_seconds",
                "Seconds between producer and consumer",
                &histogram,
            ),
            info: add(parts.graph_connections, "connection_info", "Services that call each other", &MetricKind::Info),
        };
        let name = |key: &String, prefix: &str| match settings.client_server_prefix {
            true => format!("{prefix}_{}", sanitised(key)).into(),
            false => beside(key, &OWN),
        };
        let dimensions = settings.dimensions.iter().map(|key| [name(key, "client"), name(key, "server")]).collect();
        EdgeSeries {
            metrics,
            names: Names { own: OWN.map(Into::into), dimensions },
            with_virtual_node: settings.virtual_node_label,
            with_prefix: settings.client_server_prefix,
            known: HashMap::default(),
            epoch: registry.epoch(),
        }
    }

    /// Counts an edge.
    pub(super) fn count(&mut self, edge: &Finished, registry: &mut Registry, now_millis: i64) {
        if self.epoch != registry.epoch() || self.known.len() >= MAX_KNOWN {
            self.epoch = registry.epoch();
            self.known.clear();
        }
        let address = |side: &Arc<Side>| Arc::as_ptr(side) as usize;
        let key = (address(&edge.client), address(&edge.server), edge.connection, edge.virtual_node, edge.is_client_last);
        let slots = match self.known.entry(key) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(new) => {
                let labels = labels(&self.names, edge, self.with_virtual_node, self.with_prefix, registry);
                new.insert(slots(&self.metrics, labels, edge, registry, now_millis))
            }
        };
        let (metrics, times) = (&self.metrics, edge.times);
        if let Some(total) = metrics.total {
            registry.count(total, slots.total, times, now_millis);
        }
        if let Some(failed) = metrics.failed.filter(|_| edge.failed) {
            let slot = *slots.failed.get_or_insert_with(|| registry.slot(failed, &slots.labels, now_millis));
            registry.count(failed, slot, times, now_millis);
        }
        if let (Some(server), Some(client)) = (metrics.server, metrics.client) {
            registry.observe(server, slots.server, seconds(edge.server_seconds, edge.trace), times, now_millis);
            registry.observe(client, slots.client, seconds(edge.client_seconds, edge.trace), times, now_millis);
        }
        let is_message = edge.connection == Connection::Messaging && edge.messaging_seconds > 0.0;
        if let Some(messaging) = metrics.messaging.filter(|_| is_message) {
            let slot = *slots.messaging.get_or_insert_with(|| registry.slot(messaging, &slots.labels, now_millis));
            registry.observe(messaging, slot, seconds(edge.messaging_seconds, edge.trace), times, now_millis);
        }
        if let Some(info) = metrics.info {
            registry.touch(info, slots.info, now_millis);
        }
    }
}

fn slots(metrics: &Metrics, labels: Arc<LabelSet>, edge: &Finished, registry: &mut Registry, now_millis: i64) -> Slots {
    let mut slot = |metric: Option<MetricId>| metric.map_or(0, |metric| registry.slot(metric, &labels, now_millis));
    Slots {
        total: slot(metrics.total),
        server: slot(metrics.server),
        client: slot(metrics.client),
        info: slot(metrics.info),
        failed: None,
        messaging: None,
        _sides: [Arc::clone(&edge.client), Arc::clone(&edge.server)],
        labels,
    }
}

fn labels(names: &Names, edge: &Finished, with_virtual_node: bool, with_prefix: bool, registry: &mut Registry) -> Arc<LabelSet> {
    let [client, server, connection, virtual_node] = &names.own;
    let connection_type = match edge.connection {
        Connection::Call => "",
        Connection::Messaging => "messaging_system",
        Connection::Database => "database",
        Connection::VirtualNode => "virtual_node",
    };
    let which = match edge.virtual_node {
        VirtualNode::Client if with_virtual_node => "client",
        VirtualNode::Server if with_virtual_node => "server",
        _ => "",
    };
    let own = [(client, &*edge.client.service), (server, &*edge.server.service), (connection, connection_type), (virtual_node, which)];
    let mut pairs: Vec<(Arc<str>, &str)> = Vec::new();
    let mut sides = [(0, &edge.client), (1, &edge.server)];
    if !edge.is_client_last {
        // Without prefixes both sides write one label, and what came last holds.
        sides.reverse();
    }
    for (which, side) in sides.iter().rev() {
        let values = names.dimensions.iter().zip(&side.dimensions).filter(|(_, value)| with_prefix || !value.is_empty());
        pairs.extend(values.map(|(names, value)| (Arc::clone(&names[*which]), &**value)));
    }
    pairs.extend(own.map(|(name, value)| (Arc::clone(name), value)));
    let set = registry.rules().set(pairs);
    registry.limited(set)
}
