"""Emits one known trace with a real client: emit.py CLIENT. Addresses come from the environment (see run.sh).

A trace is a root span "parent" of kind server, and in it "child" of kind client, each with the attributes client=CLIENT and
number=7 (text where the format has only text). The service is CLIENT.
"""
import os
import sys
import urllib.request

client = sys.argv[1]


def opentelemetry(exporter):
    from opentelemetry import trace
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": client}))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = provider.get_tracer("emit.py")
    attributes = {"client": client, "number": 7}
    with tracer.start_as_current_span("parent", kind=trace.SpanKind.SERVER, attributes=attributes) as root:
        with tracer.start_as_current_span("child", kind=trace.SpanKind.CLIENT, attributes=attributes) as child:
            child.add_event("note")
            child.set_status(trace.Status(trace.StatusCode.ERROR))
    provider.shutdown()
    return "%032x" % root.get_span_context().trace_id


def py_zipkin(encoding, path, content_type):
    from py_zipkin import Encoding, Kind
    from py_zipkin.util import ZipkinAttrs, generate_random_64bit_string
    from py_zipkin.zipkin import zipkin_client_span, zipkin_server_span

    def transport(body):
        body = body if isinstance(body, bytes) else body.encode()
        request = urllib.request.Request(os.environ["ZIPKIN"] + path, body, {"Content-Type": content_type})
        urllib.request.urlopen(request).read()

    trace_id = generate_random_64bit_string()
    attrs = ZipkinAttrs(trace_id, generate_random_64bit_string(), None, "0", True)
    tags = {"client": client, "number": "7"}
    shape = {"service_name": client, "binary_annotations": tags, "encoding": getattr(Encoding, encoding)}
    with zipkin_server_span(span_name="parent", zipkin_attrs=attrs, transport_handler=transport, **shape):
        with zipkin_client_span(service_name=client, span_name="child", binary_annotations=dict(tags, error="true")):
            pass
    return trace_id.rjust(32, "0")


def jaeger_udp():
    from opentelemetry.exporter.jaeger.thrift import JaegerExporter

    host, port = os.environ["JAEGER_COMPACT"].split(":")
    return JaegerExporter(agent_host_name=host, agent_port=int(port))


def jaeger_http():
    from opentelemetry.exporter.jaeger.thrift import JaegerExporter

    return JaegerExporter(collector_endpoint=os.environ["JAEGER_HTTP"] + "/api/traces?format=jaeger.thrift")


def otlp_grpc():
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter(endpoint=os.environ["OTLP_GRPC"], insecure=True)


def otlp_grpc_tls():
    import grpc
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    credentials = grpc.ssl_channel_credentials(open(os.environ["CA_FILE"], "rb").read())
    return OTLPSpanExporter(endpoint=os.environ["OTLP_GRPC_TLS"], credentials=credentials)


def otlp_http():
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter(endpoint=os.environ["OTLP_HTTP"] + "/v1/traces", compression=Compression.Gzip)


def zipkin_json():
    from opentelemetry.exporter.zipkin.json import ZipkinExporter

    return ZipkinExporter(endpoint=os.environ["ZIPKIN"] + "/api/v2/spans")


CLIENTS = {
    "python-otlp-grpc": lambda: opentelemetry(otlp_grpc()),
    "python-otlp-grpc-tls": lambda: opentelemetry(otlp_grpc_tls()),
    "python-otlp-http": lambda: opentelemetry(otlp_http()),
    "python-zipkin-json": lambda: opentelemetry(zipkin_json()),
    "python-1.3-zipkin-json": lambda: opentelemetry(zipkin_json()),
    "python-1.3-jaeger-udp": lambda: opentelemetry(jaeger_udp()),
    "python-1.3-jaeger-http": lambda: opentelemetry(jaeger_http()),
    # Version 1 has dropped thrift.
    "py_zipkin-0.20-v1-thrift": lambda: py_zipkin("V1_THRIFT", "/api/v1/spans", "application/x-thrift"),
    "py_zipkin-v1-json": lambda: py_zipkin("V1_JSON", "/api/v1/spans", "application/json"),
    "py_zipkin-v2-json": lambda: py_zipkin("V2_JSON", "/api/v2/spans", "application/json"),
    "py_zipkin-v2-proto": lambda: py_zipkin("V2_PROTO3", "/api/v2/spans", "application/x-protobuf"),
}

print(client, CLIENTS[client]())
