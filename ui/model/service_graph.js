// The edges of the service map: who calls whom, how often, with how many errors, how long the called one takes. They come
// from the metrics generator if it runs (spec/metrics-generator.md §3), else from structural queries, one set a service.

import { labelsOf } from "./red.js";
import { quote } from "./traceql_tokens.js";

// PromQL for the generator's series over a range in seconds.
export function generatorQueries(seconds) {
  const by = "client, server, connection_type";
  const rate = (metric, labels) => `sum by (${labels}) (rate(${metric}[${seconds}s]))`;
  return {
    rate: rate("traces_service_graph_request_total", by),
    errors: rate("traces_service_graph_request_failed_total", by),
    p95: `histogram_quantile(0.95, ${rate("traces_service_graph_request_server_seconds_bucket", `le, ${by}`)})`,
  };
}

// Edges of three answers of the Prometheus API (`data.result`).
export function edgesOfGenerator({ rate, errors, p95 }) {
  const edges = new Map();
  for (const { metric, value } of rate) {
    const number = Number(value[1]);
    if (number > 0) edges.set(keyOf(metric), { client: metric.client ?? "", server: metric.server ?? "", type: metric.connection_type ?? "", rate: number, errors: 0, p95: NaN });
  }
  const fill = (results, name) => {
    for (const { metric, value } of results) {
      const edge = edges.get(keyOf(metric));
      if (edge !== undefined) edge[name] = Number(value[1]);
    }
  };
  fill(errors, "errors");
  fill(p95, "p95");
  return [...edges.values()];
}

const keyOf = ({ client = "", server = "", connection_type = "" }) => `${client}\n${server}\n${connection_type}`;

// TraceQL for the calls that leave one service: spans of others whose parent is a span of this one.
export function spanQueries(service) {
  const calls = (more) => `{ resource.service.name = ${quote(service)} } > { resource.service.name != ${quote(service)}${more} }`;
  return {
    rate: `${calls("")} | rate() by (resource.service.name)`,
    errors: `${calls(" && status = error")} | rate() by (resource.service.name)`,
    p95: `${calls("")} | quantile_over_time(duration, .95) by (resource.service.name)`,
  };
}

// Edges of three answers of instant TraceQL metrics about one service.
export function edgesOfSpans(client, { rate, errors, p95 }) {
  const valueOf = (series) => new Map(series.map(({ labels = [], value = 0 }) => [labelsOf(labels)["resource.service.name"], value]));
  const [failed, slow] = [valueOf(errors), valueOf(p95)];
  const found = [...valueOf(rate)].filter(([server, value]) => value > 0 && server !== undefined && server !== "nil");
  return found.map(([server, value]) => ({ client, server, type: "", rate: value, errors: failed.get(server) ?? 0, p95: slow.get(server) ?? NaN }));
}

// Attributes by which the generator names a server that sends no spans itself (spec/metrics-generator.md §3.3).
const PEER_ATTRIBUTES = ["peer.service", "server.address", "network.peer.address", "db.namespace", "db.name", "db.system", "db.system.name"];

// The spans of a call: of the called one, or of the only one that sends spans. `more` is one more condition.
export function spansOfCall({ client, server, type }, more) {
  const also = more === undefined ? "" : ` && ${more}`;
  const of = (service) => `resource.service.name = ${quote(service)}`;
  if (type === "virtual_node" && client === "user") return `{ ${of(server)} && nestedSetParent < 0${also} }`;
  if (type === "virtual_node" || type === "database") {
    return `{ ${of(client)} && (${PEER_ATTRIBUTES.map((key) => `span.${key} = ${quote(server)}`).join(" || ")})${also} }`;
  }
  return `{ ${of(client)} } > { ${of(server)}${also} }`;
}

// Nodes with what comes in; who is called by nobody has what goes out.
export function nodesOf(edges) {
  const nodes = new Map();
  const nodeOf = (name, type) => {
    if (!nodes.has(name)) nodes.set(name, { name, type, in: 0, out: 0, errors: 0, p95: NaN });
    return nodes.get(name);
  };
  for (const edge of edges) {
    nodeOf(edge.client, edge.type === "virtual_node" && edge.client === "user" ? "user" : "").out += edge.rate;
    const server = nodeOf(edge.server, edge.type);
    server.in += edge.rate;
    server.errors += edge.errors;
    if (!(server.p95 >= edge.p95) && Number.isFinite(edge.p95)) server.p95 = edge.p95;
  }
  return [...nodes.values()];
}
