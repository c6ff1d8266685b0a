//! `traces_service_graph_*`: which service calls which (spec/metrics-generator.md §3).
//!
//! The span of a client and that of the server it called make an edge. Each half looks for the other in the [`EdgeStore`]; when
//! both are there the edge is counted. What a half says of itself, its service and dimensions, is a [`Side`], made once per
//! resource of a chunk and shared between chunks.

use super::attributes::{ABSENT, KeyCodes, Texts};
use super::edges::{EdgeKey, EdgeStore, Put};
use super::filter::accepts;
use super::graph_series::{Connection, EdgeSeries, Finished, VirtualNode};
use super::series::Registry;
use super::settings::{Processors, ServiceGraphSettings};
use super::sides::{Side, SideChunk, Sides};
use super::{Batch, multiplier};
use crate::proto::otlp::SpanKind;
use std::sync::Arc;

/// The name of a client that nobody knows.
const USER: &str = "user";

/// Where the name of a database is found, the best first.
const DATABASE_PEERS: [&str; 3] = ["peer.service", "server.address", "network.peer.address"];
const DATABASE_PEER_PORT: &str = "network.peer.port";

/// What was seen of an edge.
#[derive(Default)]
struct Edge {
    client: Option<Arc<Side>>,
    server: Option<Arc<Side>>,
    peer: Option<Arc<Side>>,
    connection: Connection,
    client_seconds: f64,
    server_seconds: f64,
    client_end: u64,
    server_start: u64,
    failed: bool,
    is_client_last: bool,
    times: f64,
}

/// What the processor counts of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GraphCounts {
    /// Edges that wait.
    pub edges: usize,
    /// Edges of which only the client came.
    pub expired_clients: u64,
    /// Edges of which only the server came.
    pub expired_servers: u64,
    /// Spans for which there was no room.
    pub dropped_spans: u64,
    /// Edges left out because a filter left out their other side.
    pub dropped_edges: u64,
    /// Sides that were filtered out, and not remembered for want of room.
    pub marker_overflows: u64,
}

impl GraphCounts {
    /// Both together.
    pub(super) fn and(self, other: GraphCounts) -> GraphCounts {
        GraphCounts {
            edges: self.edges + other.edges,
            expired_clients: self.expired_clients + other.expired_clients,
            expired_servers: self.expired_servers + other.expired_servers,
            dropped_spans: self.dropped_spans + other.dropped_spans,
            dropped_edges: self.dropped_edges + other.dropped_edges,
            marker_overflows: self.marker_overflows + other.marker_overflows,
        }
    }
}

/// The processor.
pub(super) struct ServiceGraph {
    settings: ServiceGraphSettings,
    store: EdgeStore<Edge>,
    /// Sides that a filter left out.
    markers: EdgeStore<()>,
    sides: Sides,
    series: EdgeSeries,
    user: Arc<Side>,
    counts: GraphCounts,
}

/// What is known of one chunk.
#[derive(Default)]
pub(super) struct ServiceGraphChunk {
    sides: SideChunk,
    texts: Texts,
    peers: Vec<KeyCodes>,
    databases: Vec<KeyCodes>,
    named: Vec<KeyCodes>,
    by_text: Vec<Option<Arc<Side>>>,
}

/// The texts that spans of a batch have for their peers, by position in its range.
struct Peers {
    peer: Vec<u32>,
    database: Vec<u32>,
}

impl ServiceGraph {
    /// Adds its metrics.
    pub(super) fn new(settings: &ServiceGraphSettings, parts: Processors, registry: &mut Registry) -> Self {
        let wait = i64::try_from(settings.wait.as_millis()).unwrap_or(i64::MAX);
        let mut sides = Sides::new(settings.dimensions.clone());
        ServiceGraph {
            store: EdgeStore::new(settings.max_items, wait),
            markers: EdgeStore::new(settings.max_items, wait),
            user: sides.named(USER),
            sides,
            series: EdgeSeries::new(settings, parts, registry),
            counts: GraphCounts::default(),
            settings: settings.clone(),
        }
    }

    /// What there was, and what waits.
    pub(super) fn counts(&self) -> GraphCounts {
        GraphCounts { edges: self.store.len(), ..self.counts }
    }

    /// Sees some rows; returns how many a filter left out.
    pub(super) fn process(&mut self, known: &mut ServiceGraphChunk, batch: &Batch<'_>, registry: &mut Registry) -> usize {
        self.expire(registry, batch.now_millis);
        let peers = self.peers(known, batch);
        let sides = self.sides.of_rows(&mut known.sides, batch);
        let mut num_filtered = 0;
        for (&row, side) in batch.rows.iter().zip(sides) {
            let at = row as usize;
            let span = match SpanKind::try_from(batch.chunk.kind[at]) {
                Ok(SpanKind::Client | SpanKind::Producer) => batch.chunk.span_id[at],
                Ok(SpanKind::Server | SpanKind::Consumer) => batch.chunk.parent_id[at],
                _ => continue,
            };
            let Some(side) = known.sides.get(side) else { continue };
            let key = EdgeKey { trace: batch.trace(row), span };
            if !self.settings.filters.is_empty() && !accepts(&self.settings.filters, batch.chunk, row) {
                num_filtered += 1;
                self.leave_out(key, batch.now_millis);
                continue;
            }
            let side = Arc::clone(side);
            self.half(known, key, (row, side), &peers, batch, registry);
        }
        num_filtered
    }

    /// One side of an edge.
    fn half(
        &mut self,
        known: &mut ServiceGraphChunk,
        key: EdgeKey,
        (row, side): (u32, Arc<Side>),
        peers: &Peers,
        batch: &Batch<'_>,
        registry: &mut Registry,
    ) {
        if self.markers.len() > 0
            && let Some(marker) = self.markers.find(&key)
        {
            self.markers.take(marker);
            self.counts.dropped_edges += 1;
            return;
        }
        let Some(at) = self.room(key, batch.now_millis, registry) else { return };
        let position = (row - batch.range.start) as usize;
        let mut named = |code: u32| known.side_of_text(code, &mut self.sides);
        let (peer, database) = (named(peers.peer[position]), named(peers.database[position]));
        let times = if self.settings.multiplier.is_off() { 1.0 } else { multiplier::of_row(&self.settings.multiplier, batch.chunk, row) };
        let Some(edge) = self.store.get_mut(at) else { return };
        edge.add(row, side, batch, times);
        edge.peer = peer.or(edge.peer.take());
        let is_client = matches!(SpanKind::try_from(batch.chunk.kind[row as usize]), Ok(SpanKind::Client | SpanKind::Producer));
        if let Some(database) = database.filter(|_| is_client) {
            (edge.server, edge.connection, edge.server_seconds) = (Some(database), Connection::Database, edge.client_seconds);
        }
        if edge.client.is_some()
            && edge.server.is_some()
            && let Some((key, edge)) = self.store.take(at)
        {
            self.finish(key, edge, VirtualNode::None, registry, batch.now_millis);
        }
    }

    /// Where an edge waits. If there is no room, expired ones go first.
    fn room(&mut self, key: EdgeKey, now_millis: i64, registry: &mut Registry) -> Option<u32> {
        match self.store.put(key, now_millis) {
            Put::At(at) => return Some(at),
            Put::Full => self.expire(registry, now_millis),
        }
        match self.store.put(key, now_millis) {
            Put::At(at) => Some(at),
            Put::Full => {
                self.counts.dropped_spans += 1;
                None
            }
        }
    }

    /// A filter leaves out one side: the other must not become a virtual node.
    fn leave_out(&mut self, key: EdgeKey, now_millis: i64) {
        if let Some(at) = self.store.find(&key) {
            self.store.take(at);
            self.counts.dropped_edges += 1;
            return;
        }
        while self.markers.take_expired(now_millis).is_some() {}
        if self.markers.put(key, now_millis) == Put::Full {
            self.counts.marker_overflows += 1;
        }
    }

    /// Ends the wait of edges that have waited long enough.
    pub(super) fn expire(&mut self, registry: &mut Registry, now_millis: i64) {
        while let Some((key, mut edge)) = self.store.take_expired(now_millis) {
            let virtual_node = match (&edge.client, &edge.server) {
                (None, Some(_)) if key.span == 0 => {
                    edge.client = Some(edge.peer.take().unwrap_or_else(|| Arc::clone(&self.user)));
                    VirtualNode::Client
                }
                (Some(_), None) if edge.peer.is_some() => {
                    edge.server = edge.peer.take();
                    VirtualNode::Server
                }
                (Some(_), _) => {
                    self.counts.expired_clients += 1;
                    continue;
                }
                (None, _) => {
                    self.counts.expired_servers += 1;
                    continue;
                }
            };
            edge.connection = Connection::VirtualNode;
            self.finish(key, edge, virtual_node, registry, now_millis);
        }
    }

    fn finish(&mut self, key: EdgeKey, edge: Edge, virtual_node: VirtualNode, registry: &mut Registry, now_millis: i64) {
        let (Some(client), Some(server)) = (edge.client, edge.server) else { return };
        // Producers and consumers measure different clocks, so the gap may be negative, which says nothing.
        let gap_nanos = edge.server_start.saturating_sub(edge.client_end);
        let finished = Finished {
            trace: key.trace,
            client,
            server,
            connection: edge.connection,
            virtual_node,
            is_client_last: edge.is_client_last,
            client_seconds: edge.client_seconds,
            server_seconds: edge.server_seconds,
            messaging_seconds: gap_nanos as f64 / 1e9,
            failed: edge.failed,
            times: edge.times,
        };
        self.series.count(&finished, registry, now_millis);
    }

    /// What spans say of their peers.
    fn peers(&self, known: &mut ServiceGraphChunk, batch: &Batch<'_>) -> Peers {
        let settings = &self.settings;
        known.peers.resize_with(settings.peer_attributes.len(), KeyCodes::default);
        known.databases.resize_with(settings.database_attributes.len(), KeyCodes::default);
        known.named.resize_with(DATABASE_PEERS.len(), KeyCodes::default);
        let peer = first_of(&settings.peer_attributes, &mut known.peers, batch, &mut known.texts);
        let mut database = first_of(&settings.database_attributes, &mut known.databases, batch, &mut known.texts);
        // Few senders name a database in a resource.
        super::sides::fill_from_resources(&settings.database_attributes, batch, &mut known.texts, &mut database);
        if database.iter().any(|code| *code != ABSENT) {
            let named = first_of(&DATABASE_PEERS, &mut known.named, batch, &mut known.texts);
            for ((at, database), named) in database.iter_mut().enumerate().zip(named) {
                if *database != ABSENT && named != ABSENT {
                    *database = with_port(batch, batch.range.start + at as u32, named, &mut known.texts);
                }
            }
        }
        Peers { peer, database }
    }
}

/// The address of a peer, with its port if it is told.
fn with_port(batch: &Batch<'_>, row: u32, named: u32, texts: &mut Texts) -> u32 {
    let has = |key: &str| super::attributes::of_span(batch.chunk, key, row).is_some();
    if has(DATABASE_PEERS[0]) || has(DATABASE_PEERS[1]) {
        return named;
    }
    let Some(port) = super::attributes::of_span(batch.chunk, DATABASE_PEER_PORT, row) else { return named };
    let address = texts.get(named).map(|text| text.to_string()).unwrap_or_default();
    texts.intern(&format!("{address}:{}", super::attributes::text_of(port.0)))
}

/// The text of the first of some keys that each row has.
fn first_of<K: AsRef<str>>(keys: &[K], known: &mut [KeyCodes], batch: &Batch<'_>, texts: &mut Texts) -> Vec<u32> {
    let mut codes = vec![ABSENT; batch.range.len()];
    for (key, known) in keys.iter().zip(known) {
        known.visit(batch.chunk, key.as_ref(), &batch.range, texts, |at, code| {
            if codes[at] == ABSENT {
                codes[at] = code;
            }
        });
    }
    codes
}

impl ServiceGraphChunk {
    /// The node with a name; none for the empty one.
    fn side_of_text(&mut self, code: u32, sides: &mut Sides) -> Option<Arc<Side>> {
        let name = self.texts.get(code).filter(|name| !name.is_empty())?;
        let at = code as usize;
        if self.by_text.len() <= at {
            self.by_text.resize(at + 1, None);
        }
        Some(Arc::clone(self.by_text[at].get_or_insert_with(|| sides.named(name))))
    }
}

impl Edge {
    fn add(&mut self, row: u32, side: Arc<Side>, batch: &Batch<'_>, times: f64) {
        let at = row as usize;
        let kind = SpanKind::try_from(batch.chunk.kind[at]).unwrap_or_default();
        self.is_client_last = matches!(kind, SpanKind::Client | SpanKind::Producer);
        if self.is_client_last {
            (self.client, self.client_seconds, self.client_end) = (Some(side), batch.seconds(row), batch.chunk.end(row));
        } else {
            (self.server, self.server_seconds, self.server_start) = (Some(side), batch.seconds(row), batch.chunk.start[at]);
        }
        if matches!(kind, SpanKind::Producer | SpanKind::Consumer) {
            self.connection = Connection::Messaging;
        }
        self.failed |= batch.chunk.status[at] == crate::proto::otlp::StatusCode::Error as i32;
        self.times = times;
    }
}
