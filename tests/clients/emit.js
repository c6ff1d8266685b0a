// Emits the trace of emit.py with OpenTelemetry for Node: emit.js CLIENT.
const { NodeTracerProvider } = require('@opentelemetry/sdk-trace-node');
const { BatchSpanProcessor } = require('@opentelemetry/sdk-trace-base');
const { resourceFromAttributes } = require('@opentelemetry/resources');
const api = require('@opentelemetry/api');

const client = process.argv[2];
const env = process.env;
const exporters = {
  'node-otlp-grpc': () => new (require('@opentelemetry/exporter-trace-otlp-grpc').OTLPTraceExporter)({ url: 'http://' + env.OTLP_GRPC }),
  'node-otlp-http-json': () => new (require('@opentelemetry/exporter-trace-otlp-http').OTLPTraceExporter)({ url: env.OTLP_HTTP + '/v1/traces' }),
  'node-zipkin': () => new (require('@opentelemetry/exporter-zipkin').ZipkinExporter)({ url: env.ZIPKIN + '/api/v2/spans' }),
};
const provider = new NodeTracerProvider({
  resource: resourceFromAttributes({ 'service.name': client }),
  spanProcessors: [new BatchSpanProcessor(exporters[client]())],
});
const tracer = provider.getTracer('emit.js');
const attributes = { client, number: 7 };
const root = tracer.startSpan('parent', { kind: api.SpanKind.SERVER, attributes });
const child = tracer.startSpan('child', { kind: api.SpanKind.CLIENT, attributes }, api.trace.setSpan(api.context.active(), root));
child.addEvent('note');
child.setStatus({ code: api.SpanStatusCode.ERROR });
child.end();
root.end();
provider.shutdown().then(() => console.log(client, root.spanContext().traceId));
