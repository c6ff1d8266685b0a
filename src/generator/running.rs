//! The processors of a tenant that run, and what a change of their settings does to them.
//!
//! A processor whose settings changed is made anew, and goes on with the series that it had: what has the same labels as
//! before is counted on, what has other labels begins at 0, and what nothing is counted into any more becomes stale. The same
//! becomes of the series of a processor that was switched off.

use super::host_info::{HostInfo, HostInfoChunk};
use super::series::Registry;
use super::service_graph::{GraphCounts, ServiceGraph, ServiceGraphChunk};
use super::settings::Settings;
use super::span_metrics::{SpanMetrics, SpanMetricsChunk};
use super::{Batch, Discards};

/// The processors that run.
#[derive(Default)]
pub(super) struct Running {
    span_metrics: Option<SpanMetrics>,
    service_graph: Option<ServiceGraph>,
    host_info: Option<HostInfo>,
    /// What service graphs counted that do not run any more.
    ended: GraphCounts,
    /// What span metrics counted that do not run any more.
    ended_renamed: u64,
}

/// What the processors know of a chunk.
#[derive(Default)]
pub(super) struct KnownChunk {
    pub(super) epoch: u64,
    span_metrics: SpanMetricsChunk,
    service_graph: ServiceGraphChunk,
    host_info: HostInfoChunk,
}

impl KnownChunk {
    /// Nothing, in a registry of this epoch.
    pub(super) fn in_epoch(epoch: u64) -> Self {
        KnownChunk { epoch, ..KnownChunk::default() }
    }
}

impl Running {
    /// Those that settings ask for.
    pub(super) fn new(settings: &Settings, registry: &mut Registry) -> Self {
        let mut running = Running::default();
        running.start_span_metrics(settings, registry);
        running.start_service_graph(settings, registry);
        running.start_host_info(settings, registry);
        running
    }

    /// Makes those anew whose settings differ.
    pub(super) fn change(&mut self, from: &Settings, to: &Settings, registry: &mut Registry) {
        let (old, new) = (from.processors, to.processors);
        if old.of_span_metrics() != new.of_span_metrics() || from.span_metrics != to.span_metrics || from.span_names != to.span_names {
            self.ended_renamed = self.num_renamed();
            self.start_span_metrics(to, registry);
        }
        if old.of_service_graphs() != new.of_service_graphs() || from.service_graphs != to.service_graphs {
            self.ended = self.graph_counts();
            self.ended.edges = 0;
            self.start_service_graph(to, registry);
        }
        if old.host_info != new.host_info || from.host_info != to.host_info {
            self.start_host_info(to, registry);
        }
    }

    fn start_span_metrics(&mut self, settings: &Settings, registry: &mut Registry) {
        self.span_metrics = settings.processors.span_metrics().then(|| SpanMetrics::new(settings, registry));
    }

    fn start_service_graph(&mut self, settings: &Settings, registry: &mut Registry) {
        let parts = settings.processors;
        self.service_graph = parts.service_graphs().then(|| ServiceGraph::new(&settings.service_graphs, parts, registry));
    }

    fn start_host_info(&mut self, settings: &Settings, registry: &mut Registry) {
        self.host_info = settings.processors.host_info.then(|| HostInfo::new(&settings.host_info, registry));
    }

    /// Counts some rows.
    pub(super) fn process(&mut self, known: &mut KnownChunk, batch: &Batch<'_>, registry: &mut Registry, discards: &mut Discards) {
        if let Some(processor) = &mut self.span_metrics {
            discards.span_metrics_filtered += processor.process(&mut known.span_metrics, batch, registry) as u64;
        }
        if let Some(processor) = &mut self.service_graph {
            discards.service_graphs_filtered += processor.process(&mut known.service_graph, batch, registry) as u64;
        }
        if let Some(processor) = &self.host_info {
            processor.process(&mut known.host_info, batch.chunk, batch.rows, registry, batch.now_millis);
        }
    }

    /// Ends the wait of edges.
    pub(super) fn expire(&mut self, registry: &mut Registry, now_millis: i64) {
        if let Some(graph) = &mut self.service_graph {
            graph.expire(registry, now_millis);
        }
    }

    /// Spans whose name was, or would have been, replaced.
    pub(super) fn num_renamed(&self) -> u64 {
        self.span_metrics.as_ref().map_or(0, SpanMetrics::num_renamed) + self.ended_renamed
    }

    /// What service graphs count of themselves, those before a change among them.
    pub(super) fn graph_counts(&self) -> GraphCounts {
        self.service_graph.as_ref().map(ServiceGraph::counts).unwrap_or_default().and(self.ended)
    }
}
