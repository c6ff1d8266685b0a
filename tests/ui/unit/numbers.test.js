import assert from "node:assert/strict";
import { test } from "node:test";
import { bytes, count, duration, moment, percent, rate } from "../../../ui/model/format.js";
import { fromParams, resolve, stepFor, toSeconds } from "../../../ui/model/range.js";
import { format, parse } from "../../../ui/model/location.js";
import { huesOf } from "../../../ui/model/colours.js";
import { parse as parseMetrics, perSecond, sum, sumBy } from "../../../ui/model/metrics_text.js";
import { discarded, figures, limitsHit } from "../../../ui/model/server_status.js";
import { curves, quantileKey, shares, table } from "../../../ui/model/red.js";
import { edgesOfGenerator, edgesOfSpans, generatorQueries, nodesOf, spansOfCall } from "../../../ui/model/service_graph.js";
import { layersOf, place } from "../../../ui/model/graph_layout.js";

test("durations and numbers are short", () => {
  const durations = [[0, "0"], [5, "5 ns"], [1240, "1.24 µs"], [999999, "1000 µs"], [12.4e6, "12.4 ms"], [2.5e9, "2.5 s"], [125e9, "2 m 5 s"], [3600e9, "1 h"], [72 * 3600e9, "3 d"], [-2e6, "−2 ms"], [NaN, "–"]];
  for (const [nanos, text] of durations) assert.equal(duration(nanos), text);
  assert.deepEqual([count(1234), count(1.2e6), rate(0.123456), rate(0), percent(0.0001), percent(0.123), bytes(1536)], ["1,234", "1.2 M", "0.123", "0", "< 0.1 %", "12.3 %", "1.5 KiB"]);
  assert.equal(moment(Date.parse("2026-01-02T03:04:05"), Date.parse("2026-01-02T09:00:00")), "03:04:05");
  assert.equal(moment(Date.parse("2026-01-02T03:04:05"), Date.parse("2026-01-03T09:00:00")), "2026-01-02 03:04:05");
});

test("ranges come from links and make whole seconds", () => {
  assert.deepEqual(fromParams({}), { last: "1h" });
  assert.deepEqual(fromParams({ last: "nonsense" }), { last: "1h" });
  assert.deepEqual(fromParams({ from: "1000", to: "2500" }), { from: 1000, to: 2500 });
  assert.deepEqual(fromParams({ from: "5", to: "4", last: "5m" }), { last: "5m" });
  assert.deepEqual(resolve({ last: "5m" }, 600e3), { from: 300e3, to: 600e3 });
  assert.deepEqual(toSeconds({ from: 1500, to: 1600 }), { start: 1, end: 2 });
  assert.deepEqual([stepFor({ from: 0, to: 3600e3 }, 120), stepFor({ from: 0, to: 1000 }, 120), stepFor({ from: 0, to: 7 * 86400e3 }, 120)], [30, 1, 7200]);
});

test("a link holds every character of its parameters", () => {
  const params = { q: '{ name = "a&b#c?d%" }', last: "1h" };
  assert.deepEqual(parse(format("search", undefined, params)), { view: "search", argument: undefined, params });
  assert.deepEqual(parse(format("trace", "ab/c", { span: undefined })), { view: "trace", argument: "ab/c", params: {} });
  assert.equal(parse("").view, "search");
  assert.equal(parse("#/trace/%zz").argument, "%zz");
});

test("services shown together have different hues, and keep theirs", () => {
  const names = Array.from({ length: 9 }, (_, at) => `service-${at}`);
  assert.equal(new Set(huesOf(names).values()).size, 9);
  assert.deepEqual(huesOf(["b", "a", "a"]), huesOf(["a", "b"]));
  assert.equal(huesOf([...names, "one-more"]).size, 10);
});

const METRICS = `# HELP a b
a_total{tenant="x",reason="rate \\"limited\\""} 5.0
a_total{tenant="y",reason="late"} 7
b{} 1.5e3
tempo_discarded_spans_total{reason="rate_limited",tenant="x"} 3
tempo_discarded_spans_total{reason="rate_limited",tenant="y"} 4
x_registry_series_limited_total{} 2
# EOF
`;

test("metrics are read", () => {
  const samples = parseMetrics(METRICS);
  assert.deepEqual([sum(samples, "a_total"), sum(samples, "a_total", ({ tenant }) => tenant === "y"), sum(samples, "b"), sum(samples, "none")], [12, 7, 1500, undefined]);
  assert.deepEqual(sumBy(samples, "a_total", "reason"), [["late", 7], ['rate "limited"', 5]]);
  assert.equal(perSecond({ at: 0, samples: parseMetrics("a_total{} 2") }, { at: 5000, samples }, "a_total"), 2);
  assert.equal(perSecond({ at: 0, samples: parseMetrics("a_total{} 100") }, { at: 4000, samples }, "a_total"), 3, "after a restart");
  const now = { at: 5000, samples };
  assert.deepEqual([discarded(now), limitsHit(now)], [[["rate_limited", 7]], [["x_registry_series_limited_total", 2]]]);
  assert.deepEqual(figures(now, undefined).find(({ title }) => title === "Ingest").lines, [{ label: "Discarded since start", value: "7", isBad: false }]);
});

const label = (key, value) => ({ key, value: { stringValue: value } });
const SERVICE = "resource.service.name";

test("services' rates, errors and durations become a table and curves", () => {
  const rows = table({
    rate: [{ labels: [label(SERVICE, "a")], value: 2 }, { labels: [label(SERVICE, "b")], value: 4 }, { labels: [label(SERVICE, "idle")] }],
    errors: [{ labels: [label(SERVICE, "a")], value: 1 }],
    duration: [{ labels: [label(SERVICE, "a"), { key: "p", value: { doubleValue: 0.95 } }], value: 0.2 }],
  });
  assert.deepEqual(rows.map(({ service, errorShare, quantiles }) => [service, errorShare, quantiles]), [["b", 0, {}], ["a", 0.5, { 0.95: 0.2 }]]);
  const { times, curves: found } = curves([{ labels: [label(SERVICE, "a"), { key: "p", value: { doubleValue: 0.5 } }], samples: [{ timestampMs: "2000" }, { timestampMs: "1000", value: 3 }] }], quantileKey);
  assert.deepEqual([times, [...found]], [[1, 2], [["a\n0.5", [3, 0]]]]);
  assert.deepEqual(shares([1, 0, 5], [4, 0, 2]), [0.25, null, 1]);
});

test("edges come from the generator or from spans", () => {
  const metric = { client: "a", server: "b" };
  const edges = edgesOfGenerator({ rate: [{ metric, value: [0, "2"] }, { metric: { client: "a", server: "db", connection_type: "database" }, value: [0, "1"] }, { metric: { client: "x", server: "y" }, value: [0, "0"] }], errors: [{ metric, value: [0, "0.5"] }], p95: [{ metric, value: [0, "0.3"] }] });
  assert.deepEqual(edges, [{ client: "a", server: "b", type: "", rate: 2, errors: 0.5, p95: 0.3 }, { client: "a", server: "db", type: "database", rate: 1, errors: 0, p95: NaN }]);
  assert.match(generatorQueries(60).p95, /^histogram_quantile\(0\.95, sum by \(le, client, server, connection_type\) \(rate\(traces_service_graph_request_server_seconds_bucket\[60s\]\)\)\)$/);
  const series = (value) => [{ labels: [label(SERVICE, "b")], value }];
  assert.deepEqual(edgesOfSpans("a", { rate: series(2), errors: [], p95: series(0.1) }), [{ client: "a", server: "b", type: "", rate: 2, errors: 0, p95: 0.1 }]);
  assert.equal(spansOfCall(edges[0], "status = error"), '{ resource.service.name = "a" } > { resource.service.name = "b" && status = error }');
  assert.match(spansOfCall(edges[1]), /^\{ resource\.service\.name = "a" && \(span\.peer\.service = "db" \|\| .* \|\| span\.db\.system\.name = "db"\) \}$/);
  assert.equal(spansOfCall({ client: "user", server: "a", type: "virtual_node" }), '{ resource.service.name = "a" && nestedSetParent < 0 }');
  assert.deepEqual(nodesOf(edges).map(({ name, in: into, out }) => [name, into, out]), [["a", 0, 3], ["b", 2, 0], ["db", 1, 0]]);
});

test("callers stand left of who they call, circles or not, and no two boxes overlap", () => {
  const edge = (client, server) => ({ client, server, rate: 1 });
  const edges = [edge("a", "b"), edge("b", "c"), edge("a", "c"), edge("c", "d"), edge("d", "b"), edge("a", "e"), edge("e", "e")];
  const layers = layersOf(["a", "b", "c", "d", "e"], edges);
  assert.deepEqual([layers.get("a"), layers.get("b") < layers.get("c"), layers.get("e")], [0, true, 1]);
  const { nodes, edges: drawn, width, height } = place(["a", "b", "c", "d", "e"].map((name) => ({ name })), edges);
  const overlaps = nodes.some((one) => nodes.some((other) => one !== other && Math.abs(one.x - other.x) < 168 && Math.abs(one.y - other.y) < 56));
  assert.equal(overlaps, false);
  assert.ok(nodes.every(({ x, y }) => x >= 0 && y >= 0 && x + 168 <= width && y + 56 <= height));
  assert.ok(drawn.every(({ path }) => /^M[\d.,-]+ C/.test(path.d)));
});
