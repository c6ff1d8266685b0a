#!/bin/sh
# A real Prometheus takes generated series by remote write, and scrapes them, too.
#
#   tests/clients/prometheus.sh path/to/conmoto
#
# Needs the program prometheus (Debian: apt-get install prometheus), curl and python3. PORT is the first of six free ports.
set -eu

conmoto=$(realpath "$1")
port=${PORT:-22400}
dir=$(mktemp -d)
pids=
trap 'for pid in $pids; do kill "$pid" 2>/dev/null && wait "$pid" || true; done; rm -rf "$dir"' EXIT

http=$port grpc=$((port + 1)) otlp=$((port + 2)) prometheus=$((port + 3))
cat > "$dir/conmoto.yaml" <<END
server: {http_listen_address: 127.0.0.1, http_listen_port: $http, grpc_listen_address: 127.0.0.1, grpc_listen_port: $grpc}
distributor: {receivers: {otlp: {protocols: {http: {endpoint: "127.0.0.1:$otlp"}}}}}
storage: {trace: {backend: local, local: {path: $dir/blocks}, wal: {path: $dir/wal}}}
metrics_generator:
  registry: {collection_interval: 1s}
  storage:
    remote_write:
      - url: http://127.0.0.1:$prometheus/api/v1/write
        write_relabel_configs:
          - {source_labels: [service], regex: (.+), target_label: app}
          - {regex: span_kind, action: labeldrop}
          - {source_labels: [__name__], regex: traces_spanmetrics_size_total, action: drop}
  processor: {service_graphs: {wait: 1s}}
overrides: {defaults: {metrics_generator: {generate_native_histograms: both}}}
END
cat > "$dir/prometheus.yml" <<END
scrape_configs:
  - job_name: conmoto
    scrape_interval: 1s
    metrics_path: /metrics/generated
    static_configs: [{targets: ["127.0.0.1:$http"]}]
END
"$conmoto" -config.file "$dir/conmoto.yaml" > "$dir/conmoto.out" 2> "$dir/conmoto.log" &
pids="$pids $!"
prometheus --config.file="$dir/prometheus.yml" --storage.tsdb.path="$dir/tsdb" --web.listen-address="127.0.0.1:$prometheus" \
  --web.enable-remote-write-receiver --enable-feature=exemplar-storage,native-histograms > "$dir/prometheus.log" 2>&1 &
pids="$pids $!"

until_ok() {
  for _ in $(seq 300); do
    if "$@" > /dev/null 2>&1; then return 0; fi
    sleep 0.1
  done
  echo "failed: $*"; tail -5 "$dir/conmoto.log" "$dir/prometheus.log"; exit 1
}
until_ok curl -fs "http://127.0.0.1:$http/ready"
until_ok curl -fs "http://127.0.0.1:$prometheus/-/ready"

now=$(date +%s)
curl -fsS "http://127.0.0.1:$otlp/v1/traces" -H 'Content-Type: application/json' -d '{"resourceSpans":[{
  "resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},
  "scopeSpans":[{"spans":[{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","name":"hello",
    "kind":2,"startTimeUnixNano":"'"$now"'000000000","endTimeUnixNano":"'"$now"'500000000"}]}]}]}' > /dev/null

# One series whose query returns at least so many results.
has() {
  curl -fsS "http://127.0.0.1:$prometheus/api/v1/query" --data-urlencode "query=$1" |
    python3 -c 'import json, sys; sys.exit(len(json.load(sys.stdin)["data"]["result"]) < 1)'
}
until_ok has 'traces_spanmetrics_calls_total{service="shop",__metrics_gen_instance!=""} == 1'
until_ok has 'traces_service_graph_request_total{client="user",server="shop",__metrics_gen_instance!=""} == 1'
until_ok has 'traces_spanmetrics_calls_total{app="shop",span_kind="",__metrics_gen_instance!=""} == 1'
until_ok has 'absent(traces_spanmetrics_size_total{__metrics_gen_instance!=""})'
until_ok has 'increase(traces_spanmetrics_calls_total{__metrics_gen_instance!=""}[5m]) > 0'
until_ok has 'histogram_count(traces_spanmetrics_latency{service="shop"}) == 1'
until_ok has 'traces_spanmetrics_latency_bucket{job="conmoto",service="shop",le="0.512"} == 1'
exemplars() {
  curl -fsS "http://127.0.0.1:$prometheus/api/v1/query_exemplars" --data-urlencode 'query=traces_spanmetrics_latency_bucket' \
    -d start=$((now - 600)) -d end=$((now + 600)) | grep -q 5b8efff798038103d269b633813fc60c
}
until_ok exemplars
if grep -E 'level=(warn|error)' "$dir/conmoto.log"; then echo "failed: the log above"; exit 1; fi
echo "ok: remote write, other labels by write_relabel_configs, its first increment, native histograms, exemplars and a scrape"
