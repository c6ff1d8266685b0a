// Traces that the tests store.

const string = (key, value) => ({ key, value: { stringValue: value } });
export const batch = (service, spans, more = []) => ({ resource: { attributes: [string("service.name", service), ...more] }, scopeSpans: [{ scope: { name: "test" }, spans }] });
export const spanId = (number) => number.toString(16).padStart(16, "0");

// A trace of so many spans over five services: ten levels, six children each where there is room.
export function largeTrace(traceId, count, endMillis = Date.now()) {
  const services = ["gateway", "orders", "inventory", "billing", "search"];
  const base = BigInt(endMillis - 10000) * 1000000n;
  const spans = services.map(() => []);
  const times = [];
  for (let number = 0; number < count; number++) {
    const parent = number === 0 ? -1 : Math.floor((number - 1) / 6);
    const place = (number - 1) % 6;
    const [from, to] = number === 0 ? [0, 8e9] : [times[parent][0] + ((times[parent][1] - times[parent][0]) * place) / 6.2, times[parent][0] + ((times[parent][1] - times[parent][0]) * (place + 0.9)) / 6.2];
    times.push([from, to]);
    spans[number % 5].push({
      traceId, spanId: spanId(number + 1), parentSpanId: parent < 0 ? undefined : spanId(parent + 1), name: `operation ${number % 40}`, kind: 1 + (number % 5),
      startTimeUnixNano: String(base + BigInt(Math.round(from))), endTimeUnixNano: String(base + BigInt(Math.round(to))),
      attributes: [string("http.route", `/route/${number % 11}`), { key: "number", value: { intValue: String(number) } }, string("user.id", `user-${number % 997}`)],
      status: number % 97 === 13 ? { code: 2, message: "out of stock" } : {},
    });
  }
  return services.map((service, at) => batch(service, spans[at]));
}

export async function pushInPieces(server, batches, size = 4000) {
  for (const { resource, scopeSpans: [{ scope, spans }] } of batches) {
    for (let at = 0; at < spans.length; at += size) await server.push([{ resource, scopeSpans: [{ scope, spans: spans.slice(at, at + size) }] }]);
  }
}

// A trace whose every text would be a script, if any part of the page took text for HTML.
export const EVIL = `<script>window.hacked = 1; alert("x")</script><img src=x onerror="window.hacked = 1">"'`;

export function evilTraces() {
  const now = BigInt(Date.now()) * 1000000n;
  const attributes = [string(EVIL, EVIL), string("http.route", EVIL)];
  const span = (id, parent, more) => ({
    traceId: "e".repeat(32), spanId: spanId(id), parentSpanId: parent, name: EVIL, kind: 2, startTimeUnixNano: String(now - 500000000n), endTimeUnixNano: String(now), attributes, traceState: "a=b",
    status: { code: 2, message: EVIL }, events: [{ name: EVIL, timeUnixNano: String(now), attributes: [string("exception.message", EVIL)] }], links: [{ traceId: "f".repeat(32), spanId: spanId(9), attributes }], ...more,
  });
  const other = { ...span(3, spanId(1)), name: `${EVIL} other` };
  return [batch(EVIL, [span(1), span(2, spanId(1))], [string(EVIL, EVIL)]), batch(`${EVIL} 2`, [other])];
}
