#!/bin/sh
# A disk that is full, for real: a small tmpfs below the data directory, filled, emptied, and full at a start. Needs root, and
# a built server: tests/crash/full-disk.sh target/release/conmoto
#
# Expected: requests are refused with 503 while there is no room, queries go on, ingest goes on by itself once there is
# room, nothing that was acknowledged is missing, and a start without any room is refused with the reason.
set -eu
server=$(realpath "$1")
base=$(mktemp -d)
disk=$base/disk
api=http://127.0.0.1:26902
mkdir "$disk"
mount -t tmpfs -o size=24m,nr_inodes=400 tmpfs "$disk"
pid=
cleanup() {
    [ -z "$pid" ] || kill -9 "$pid" 2>/dev/null || true
    sleep 0.2
    umount "$disk" && rm -rf "$base"
}
trap cleanup EXIT
trap "exit 1" INT TERM

cat > "$base/conmoto.yaml" <<YAML
server: {http_listen_address: 127.0.0.1, http_listen_port: 26902, grpc_listen_address: 127.0.0.1, grpc_listen_port: 26903}
distributor: {receivers: {otlp: {protocols: {http: {endpoint: 127.0.0.1:26901}}}}}
storage: {trace: {backend: local, local: {path: $disk/blocks}, wal: {path: $disk/wal, segment_bytes: 1048576}}}
YAML

start() {
    "$server" -config.file="$base/conmoto.yaml" > "$base/out" 2>> "$base/log" &
    pid=$!
    for _ in $(seq 300); do
        curl -sf "$api/ready" > /dev/null && return
        kill -0 "$pid" 2>/dev/null || return 1
        sleep 0.1
    done
    return 1
}
# push N: one span with the trace id N; prints the status.
push() {
    id=$(printf '%032x' "$1")
    noise=$(head -c 300000 /dev/urandom | base64 -w0)
    body='{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"disk"}}]},"scopeSpans":[{"spans":[{"traceId":"'$id'","spanId":"0000000000000001","name":"a","kind":1,"startTimeUnixNano":"'$(date +%s)'000000000","endTimeUnixNano":"'$(date +%s)'000000001","attributes":[{"key":"noise","value":{"stringValue":"'$noise'"}}]}]}]}]}'
    printf '%s' "$body" | curl -s -o "$base/answer" -w '%{http_code}' -H 'Content-Type: application/json' --data-binary @- http://127.0.0.1:26901/v1/traces
}
has() { curl -sf "$api/api/traces/$(printf '%032x' "$1")" > /dev/null; }
fail() { echo "FAILED: $1"; tail -5 "$base/log"; exit 1; }

start || fail "the first start"
stored=
number=0
status=200
while [ "$status" = 200 ] && [ "$number" -lt 2000 ]; do
    number=$((number + 1))
    status=$(push "$number")
    [ "$status" != 200 ] || stored="$stored $number"
done
[ "$status" = 503 ] || fail "a full disk is answered with $status: $(cat "$base/answer")"
echo "full after $number requests: $status $(tr -dc '[:print:]' < "$base/answer")"
has 1 || fail "a query while the disk is full"
mount -o remount,size=64m "$disk"
number=$((number + 1))
status=$(push "$number")
[ "$status" = 200 ] || fail "with room again: $status"
stored="$stored $number"
kill -9 "$pid"; wait "$pid" 2>/dev/null || true
start || fail "a start after a full disk"
for one in $stored; do has "$one" || fail "trace $one is lost"; done
echo "$(echo "$stored" | wc -w) acknowledged traces found after a full disk and kill -9"

# No inodes: nothing can be created, blocks neither.
made=0
while touch "$disk/filler-$made" 2>/dev/null; do made=$((made + 1)); done
flush=$(curl -s -o "$base/answer" -w '%{http_code}' -X POST "$api/flush")
[ "$flush" -ge 500 ] || fail "a flush without inodes is answered with $flush"
has 1 || fail "a query without inodes"
rm "$disk"/filler-*
flush=$(curl -s -o "$base/answer" -w '%{http_code}' -X POST "$api/flush")
[ "$flush" = 204 ] || fail "a flush with inodes again: $flush $(cat "$base/answer")"
for one in $stored; do has "$one" || fail "trace $one is lost without inodes"; done
echo "no inodes: flush refused, queries answered, all there afterwards"

kill -9 "$pid"; wait "$pid" 2>/dev/null || true
mount -o remount,ro "$disk"
if start; then fail "it starts on a disk that is read-only"; fi
tail -1 "$base/log"
mount -o remount,rw "$disk"
head -c 100M /dev/zero > "$disk/filler" 2>/dev/null || true
if start; then
    [ "$(push 9999)" = 503 ] || fail "a full disk takes spans"
    has 1 || fail "a query after a start on a full disk"
    kill -9 "$pid"; wait "$pid" 2>/dev/null || true
else
    tail -1 "$base/log"
fi
rm "$disk/filler"
start || fail "a start with room again"
for one in $stored; do has "$one" || fail "trace $one is lost at the end"; done
echo "full and read-only at a start: told, and all there afterwards"
