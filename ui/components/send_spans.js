// What to do when the server has no spans yet: the exact commands.

import { html } from "./html.js";
import { Command } from "./parts.js";

const host = () => window.location.hostname || "localhost";

// A span of this very moment, or it would lie outside the range that is shown.
function curlCommand() {
  const now = BigInt(Date.now()) * 1000000n;
  const hex = (length) => Array.from(crypto.getRandomValues(new Uint8Array(length)), (byte) => byte.toString(16).padStart(2, "0")).join("");
  return `curl http://${host()}:4318/v1/traces -H 'Content-Type: application/json' -d '{"resourceSpans":[{
  "resource":{"attributes":[{"key":"service.name","value":{"stringValue":"curl"}}]},
  "scopeSpans":[{"spans":[{"traceId":"${hex(16)}","spanId":"${hex(8)}","name":"hello",
    "kind":2,"startTimeUnixNano":"${now - 120000000n}","endTimeUnixNano":"${now}"}]}]}]}'`;
}

const sdk = () => `export OTEL_SERVICE_NAME=my-service
export OTEL_TRACES_EXPORTER=otlp
export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf
export OTEL_EXPORTER_OTLP_ENDPOINT=http://${host()}:4318`;

const collector = () => `exporters:
  otlphttp:
    endpoint: http://${host()}:4318
service:
  pipelines:
    traces:
      exporters: [otlphttp]`;

export function SendSpans() {
  return html`
    <section class="empty" data-test="send-spans">
      <h1>No spans yet</h1>
      <p>The server is ready and has not received a span. Send it some; they can be searched as soon as they are acknowledged.</p>
      <h2>An application with an OpenTelemetry SDK</h2>
      <${Command} text=${sdk()} />
      <h2>An OpenTelemetry Collector</h2>
      <${Command} text=${collector()} />
      <h2>One span by hand</h2>
      <${Command} text=${curlCommand()} />
      <h2>Something to look at, without an application</h2>
      <${Command} text="conmoto demo" />
      <p class="muted">Ports are the defaults: 4318 for OTLP over HTTP, 4317 for OTLP over gRPC, 9411 for Zipkin. A configuration may name others; the server prints its own when it starts.</p>
    </section>
  `;
}
