//! The files of `ui/`, as they are in the program. A test holds this list against the directory.

/// A file of the page.
pub(super) struct Asset {
    /// Path below `ui/`, with slashes.
    pub(super) path: &'static str,
    /// Its contents.
    pub(super) bytes: &'static [u8],
}

impl Asset {
    /// The media type by the name's ending.
    pub(super) fn content_type(&self) -> &'static str {
        match self.path.rsplit('.').next() {
            Some("js") => "text/javascript; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("svg") => "image/svg+xml",
            _ => "text/plain; charset=utf-8",
        }
    }
}

/// The start page, with names between `@` where `start_page` writes values.
pub(super) const INDEX: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/ui/index.html"));

macro_rules! assets {
    ($($path:literal),* $(,)?) => {
        &[$(Asset { path: $path, bytes: include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/ui/", $path)) }),*]
    };
}

/// Every file but the start page.
pub(super) const ASSETS: &[Asset] = assets![
    "api/client.js",
    "api/tags.js",
    "api/trace_client.js",
    "components/app.js",
    "components/header.js",
    "components/help.js",
    "components/html.js",
    "components/icon.js",
    "components/keys.js",
    "components/parts.js",
    "components/plot.js",
    "components/range_picker.js",
    "components/send_spans.js",
    "components/tenant.js",
    "icon.svg",
    "location.js",
    "main.js",
    "model/colours.js",
    "model/compare.js",
    "model/completion.js",
    "model/critical_path.js",
    "model/flame.js",
    "model/format.js",
    "model/found_trace.js",
    "model/graph_layout.js",
    "model/location.js",
    "model/metrics_text.js",
    "model/otlp.js",
    "model/protobuf.js",
    "model/query_error.js",
    "model/query_form.js",
    "model/range.js",
    "model/red.js",
    "model/search_slices.js",
    "model/self_time.js",
    "model/server_status.js",
    "model/service_graph.js",
    "model/statistics.js",
    "model/trace.js",
    "model/trace_store.js",
    "model/traceql_tokens.js",
    "model/waterfall.js",
    "settings.js",
    "styles/base.css",
    "styles/overview.css",
    "styles/search.css",
    "styles/trace.css",
    "theme.js",
    "vendor/LICENSE.htm",
    "vendor/LICENSE.preact",
    "vendor/LICENSE.uplot",
    "vendor/htm.js",
    "vendor/preact-hooks.js",
    "vendor/preact.js",
    "vendor/uplot.css",
    "vendor/uplot.js",
    "views/compare/index.js",
    "views/map/calls.js",
    "views/map/drawing.js",
    "views/map/index.js",
    "views/map/use_edges.js",
    "views/overview/index.js",
    "views/overview/services.js",
    "views/overview/use_red.js",
    "views/search/columns.js",
    "views/search/completion_list.js",
    "views/search/index.js",
    "views/search/metrics_result.js",
    "views/search/nothing_found.js",
    "views/search/query_editor.js",
    "views/search/query_form.js",
    "views/search/results.js",
    "views/search/scatter.js",
    "views/search/use_completion.js",
    "views/search/use_query_check.js",
    "views/search/use_search.js",
    "views/status/index.js",
    "views/status/use_status.js",
    "views/trace/axis.js",
    "views/trace/details.js",
    "views/trace/flame_graph.js",
    "views/trace/head.js",
    "views/trace/index.js",
    "views/trace/minimap.js",
    "views/trace/row.js",
    "views/trace/statistics.js",
    "views/trace/summary.js",
    "views/trace/toolbar.js",
    "views/trace/use_find.js",
    "views/trace/use_trace.js",
    "views/trace/waterfall.js",
    "worker/trace_worker.js",
];
