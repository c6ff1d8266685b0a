//! Too many names.

use super::{scrape, span_now, started};
use crate::support::data::{request, service};
use crate::support::until;
use conmoto::proto::otlp::SpanKind;

/// Distinct names of spans, in requests of this many.
const NUM_NAMES: u64 = 20_000;
const AT_ONCE: u64 = 2_000;

#[test]
fn an_explosion_of_names_holds_the_limit_and_is_told() {
    let limit = "overrides: {defaults: {metrics_generator: {max_active_series: 1000, processors: [span-metrics]}}}\n";
    let mut server = started("", limit);
    server.expect_log("metrics from spans are not complete");
    for first in (0..NUM_NAMES).step_by(AT_ONCE as usize) {
        let spans = (first..first + AT_ONCE).map(|id| span_now(1, id + 1, &format!("GET /user/{id}"), SpanKind::Server));
        server.push(&request(vec![service("shop", spans.collect())]));
    }
    let calls = |server: &_| {
        let of_calls = scrape(server, &[]).into_iter().filter(|(key, _)| key["__name__"] == "traces_spanmetrics_calls_total");
        of_calls.collect::<Vec<_>>()
    };
    until("all spans", || (calls(&server).iter().map(|(_, value)| *value).sum::<f64>() == NUM_NAMES as f64).then_some(()));
    let overflow: Vec<f64> = calls(&server)
        .iter()
        .filter(|(key, _)| key.get("metric_overflow").is_some_and(|is| is == "true"))
        .map(|(_, value)| *value)
        .collect();
    assert!(overflow.len() == 1 && overflow[0] > 0.9 * NUM_NAMES as f64, "{overflow:?}");
    // The limit, and one series for what is over it of each metric.
    let series = server.metric("tempo_metrics_generator_registry_active_series");
    assert!(series <= 1000.0 + 19.0, "{series}");
    assert!(server.metric("tempo_metrics_generator_registry_series_limited_total") > 0.0);
    until("a line in the log", || server.log().contains("metrics from spans are not complete").then_some(()));
}
