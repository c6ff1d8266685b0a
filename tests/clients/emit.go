// Emits the trace of emit.py with OpenTelemetry and OpenCensus for Go: emit CLIENT.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"contrib.go.opencensus.io/exporter/ocagent"
	octrace "go.opencensus.io/trace"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/jaeger"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/exporters/zipkin"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
	api "go.opentelemetry.io/otel/trace"
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func exporter(ctx context.Context, client string) trace.SpanExporter {
	switch client {
	case "go-otlp-grpc":
		return must(otlptracegrpc.New(ctx, otlptracegrpc.WithEndpoint(os.Getenv("OTLP_GRPC")), otlptracegrpc.WithInsecure(), otlptracegrpc.WithCompressor("gzip")))
	case "go-otlp-http":
		return must(otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(os.Getenv("OTLP_HTTP")+"/v1/traces")))
	case "go-zipkin":
		return must(zipkin.New(os.Getenv("ZIPKIN") + "/api/v2/spans"))
	case "go-jaeger-udp":
		host, port, _ := strings.Cut(os.Getenv("JAEGER_COMPACT"), ":")
		return must(jaeger.New(jaeger.WithAgentEndpoint(jaeger.WithAgentHost(host), jaeger.WithAgentPort(port))))
	case "go-jaeger-http":
		return must(jaeger.New(jaeger.WithCollectorEndpoint(jaeger.WithEndpoint(os.Getenv("JAEGER_HTTP") + "/api/traces"))))
	}
	panic("unknown client " + client)
}

func openCensus(client string) string {
	exporter := must(ocagent.NewExporter(ocagent.WithInsecure(), ocagent.WithAddress(os.Getenv("OPENCENSUS")), ocagent.WithServiceName(client)))
	octrace.RegisterExporter(exporter)
	octrace.ApplyConfig(octrace.Config{DefaultSampler: octrace.AlwaysSample()})
	attributes := []octrace.Attribute{octrace.StringAttribute("client", client), octrace.Int64Attribute("number", 7)}
	ctx, root := octrace.StartSpan(context.Background(), "parent", octrace.WithSpanKind(octrace.SpanKindServer))
	root.AddAttributes(attributes...)
	_, child := octrace.StartSpan(ctx, "child", octrace.WithSpanKind(octrace.SpanKindClient))
	child.AddAttributes(attributes...)
	child.Annotate(nil, "note")
	child.SetStatus(octrace.Status{Code: 2, Message: ""})
	child.End()
	root.End()
	exporter.Flush()
	time.Sleep(500 * time.Millisecond)
	exporter.Stop()
	return root.SpanContext().TraceID.String()
}

func openTelemetry(client string) string {
	ctx := context.Background()
	service := resource.NewSchemaless(attribute.String("service.name", client))
	provider := trace.NewTracerProvider(trace.WithBatcher(exporter(ctx, client)), trace.WithResource(service))
	tracer := provider.Tracer("emit.go")
	attributes := api.WithAttributes(attribute.String("client", client), attribute.Int("number", 7))
	ctx, root := tracer.Start(ctx, "parent", api.WithSpanKind(api.SpanKindServer), attributes)
	_, child := tracer.Start(ctx, "child", api.WithSpanKind(api.SpanKindClient), attributes)
	child.AddEvent("note")
	child.SetStatus(codes.Error, "")
	child.End()
	root.End()
	if err := provider.Shutdown(ctx); err != nil {
		panic(err)
	}
	return root.SpanContext().TraceID().String()
}

func main() {
	client := os.Args[1]
	if client == "go-opencensus" {
		fmt.Println(client, openCensus(client))
	} else {
		fmt.Println(client, openTelemetry(client))
	}
}
