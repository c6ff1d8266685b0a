#!/bin/sh
# Runs real clients against a server and reads back what they sent. Not part of `cargo test`: it installs packages from
# PyPI, npm and the Go module proxy into WORK (default /tmp/conmoto-clients).
#
#   tests/clients/run.sh path/to/conmoto        needs python3, node with npm, go, openssl
set -eu
server=$(realpath "$1")
here=$(realpath "$(dirname "$0")")
work=${WORK:-/tmp/conmoto-clients}
base=${BASE_PORT:-21100}
mkdir -p "$work/go" "$work/node"
cd "$work"

if [ ! -x new/bin/python ]; then
    python3 -m venv new
    new/bin/pip install -q opentelemetry-sdk opentelemetry-exporter-otlp-proto-grpc opentelemetry-exporter-otlp-proto-http \
        opentelemetry-exporter-zipkin-json py_zipkin
fi
# The versions of seed 000.
if [ ! -x old/bin/python ]; then
    python3 -m venv old
    old/bin/pip install -q setuptools opentelemetry-sdk==1.3.0 opentelemetry-exporter-jaeger-thrift==1.3.0 \
        opentelemetry-exporter-zipkin-json==1.3.0 py_zipkin==0.20.2 thriftpy2
fi
if [ ! -d node/node_modules ]; then
    (cd node && npm install --silent @opentelemetry/api @opentelemetry/resources @opentelemetry/sdk-trace-node \
        @opentelemetry/sdk-trace-base @opentelemetry/exporter-trace-otlp-grpc @opentelemetry/exporter-trace-otlp-http \
        @opentelemetry/exporter-zipkin)
fi
cp "$here/emit.js" node/
cp "$here/emit.go" go/main.go
if [ ! -x go/emit ] || [ "$here/emit.go" -nt go/emit ]; then
    (cd go && { [ -f go.mod ] || go mod init emit; } && go mod tidy && go build -o emit .)
fi
openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost,IP:127.0.0.1 2>/dev/null

rm -rf data
cat >server.yaml <<END
server: {http_listen_address: 127.0.0.1, http_listen_port: $base, grpc_listen_address: 127.0.0.1, grpc_listen_port: $((base + 1))}
distributor:
  receivers:
    otlp:
      protocols: {grpc: {endpoint: "127.0.0.1:$((base + 2))"}, http: {endpoint: "127.0.0.1:$((base + 3))"}}
    zipkin: {endpoint: "127.0.0.1:$((base + 4))"}
    jaeger:
      protocols: {thrift_http: {endpoint: "127.0.0.1:$((base + 5))"}, thrift_compact: {endpoint: "127.0.0.1:$((base + 6))"}}
    opencensus: {endpoint: "127.0.0.1:$((base + 7))"}
END
"$server" -config.file server.yaml -data.dir data >server.out 2>server.log &
pid=$!
# A second server for the one client that insists on TLS; it forwards nothing, so it is asked by itself.
cat >tls.yaml <<END
server: {http_listen_address: 127.0.0.1, http_listen_port: $((base + 10)), grpc_listen_address: 127.0.0.1, grpc_listen_port: $((base + 11))}
distributor:
  receivers:
    otlp:
      protocols: {grpc: {endpoint: "127.0.0.1:$((base + 12))", tls: {cert_file: cert.pem, key_file: key.pem}}}
END
"$server" -config.file tls.yaml -data.dir data/tls >tls.out 2>tls.log &
tls_pid=$!
trap 'kill $pid $tls_pid' EXIT
for port in $base $((base + 10)); do
    until python3 -c "import urllib.request; urllib.request.urlopen('http://127.0.0.1:$port/ready')" 2>/dev/null; do sleep 0.1; done
done

export OTLP_GRPC="127.0.0.1:$((base + 2))" OTLP_HTTP="http://127.0.0.1:$((base + 3))" ZIPKIN="http://127.0.0.1:$((base + 4))"
export JAEGER_HTTP="http://127.0.0.1:$((base + 5))" JAEGER_COMPACT="127.0.0.1:$((base + 6))" OPENCENSUS="127.0.0.1:$((base + 7))"
export OTLP_GRPC_TLS="localhost:$((base + 12))" CA_FILE="$work/cert.pem"
{
    for client in python-otlp-grpc python-otlp-http python-zipkin-json \
        py_zipkin-v1-json py_zipkin-v2-json py_zipkin-v2-proto; do
        new/bin/python "$here/emit.py" $client
    done
    for client in python-1.3-zipkin-json python-1.3-jaeger-udp python-1.3-jaeger-http py_zipkin-0.20-v1-thrift; do
        old/bin/python "$here/emit.py" $client
    done
    for client in node-otlp-grpc node-otlp-http-json node-zipkin; do node node/emit.js $client; done
    for client in go-otlp-grpc go-otlp-http go-zipkin go-jaeger-udp go-jaeger-http go-opencensus; do go/emit $client; done
} >sent.txt
new/bin/python "$here/emit.py" python-otlp-grpc-tls >sent-tls.txt
failed=0
python3 "$here/check.py" "http://127.0.0.1:$base" <sent.txt || failed=1
python3 "$here/check.py" "http://127.0.0.1:$((base + 10))" <sent-tls.txt || failed=1
exit $failed
