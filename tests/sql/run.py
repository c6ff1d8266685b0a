"""Sends a few traces to a server, makes two blocks of them, and compares what docs/sql.md finds with what was sent: in these
blocks, and in the one that they are merged into, whose columns have other codecs."""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter, defaultdict

MILLI = 1_000_000
SERVER, CLIENT, ERROR = 2, 3, 2


def attribute(key, value):
    return {"key": key, "value": {"stringValue": value}}


def made_traces():
    """Spans as plain records: trace, id, parent, service, name, kind, start, duration in ms, failed, exceptions, linked trace."""
    start, spans = time.time_ns() - 60_000 * MILLI, []
    for n in range(1, 41):
        trace, base = f"{n:032x}", start + n * 10 * MILLI
        failed = n % 5 == 0
        linked = f"{n - 1:032x}" if n % 7 == 0 else None
        span = dict(trace=trace, failed=False, exceptions=[], linked=None)
        spans.append(span | dict(id=1, parent=0, service="shop", name="GET /cart", kind=SERVER, start=base, ms=100 + n, linked=linked))
        spans.append(span | dict(id=2, parent=1, service="shop", name="call", kind=CLIENT, start=base, ms=50 + n))
        thrown = ["Timeout", "Closed"] if failed else []
        spans.append(
            span | dict(id=3, parent=2, service="stock", name="Reserve", kind=SERVER, start=base, ms=40 + n, failed=failed, exceptions=thrown)
        )
    return spans


def otlp(spans):
    def message(span):
        end = span["start"] + span["ms"] * MILLI
        events = [
            {"timeUnixNano": str(end), "name": "exception", "attributes": [attribute("exception.type", kind)]} for kind in span["exceptions"]
        ]
        links = [{"traceId": span["linked"], "spanId": f"{1:016x}"}] if span["linked"] else []
        return {
            "traceId": span["trace"], "spanId": f"{span['id']:016x}", "name": span["name"], "kind": span["kind"],
            "parentSpanId": f"{span['parent']:016x}" if span["parent"] else "",
            "startTimeUnixNano": str(span["start"]), "endTimeUnixNano": str(end),
            "status": {"code": ERROR} if span["failed"] else {}, "events": events, "links": links,
        }

    services = sorted({span["service"] for span in spans})
    resource = lambda service: {
        "resource": {"attributes": [attribute("service.name", service)]},
        "scopeSpans": [{"spans": [message(span) for span in spans if span["service"] == service]}],
    }
    return json.dumps({"resourceSpans": [resource(service) for service in services]}).encode()


def expected(spans):
    """The answers of the five queries, from the records."""
    groups, calls, thrown, traces, links = defaultdict(list), Counter(), Counter(), defaultdict(list), []
    by_id = {(span["trace"], span["id"]): span for span in spans}
    for span in spans:
        traces[span["trace"]].append(span)
        if span["kind"] == SERVER:
            groups[span["service"], span["name"]].append(span)
        parent = by_id.get((span["trace"], span["parent"]))
        if parent and parent["service"] != span["service"]:
            calls[parent["service"], span["service"]] += 1
        for kind in span["exceptions"]:
            thrown[span["service"], kind] += 1
        if span["linked"]:
            links.append((span["trace"].upper(), span["service"], span["linked"].upper()))

    def rates(key):
        durations = sorted(span["ms"] for span in groups[key])
        return (*key, len(durations), sum(span["failed"] for span in groups[key]), float(durations[-(-95 * len(durations) // 100) - 1]))

    longest = sorted(traces, key=lambda trace: (-max(span["ms"] for span in traces[trace]), trace))[:3]
    slow = [(trace.upper(), "shop", "GET /cart", len(traces[trace]), float(max(span["ms"] for span in traces[trace]))) for trace in longest]
    counted = lambda counter: [(*key, counter[key]) for key in sorted(counter)]
    return [[rates(key) for key in sorted(groups)], counted(calls), counted(thrown), slow, sorted(links)]


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def post(url, body=b""):
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"}, method="POST")
    urllib.request.urlopen(request, timeout=60).read()


def metas(directory):
    found = []
    for folder, _, files in os.walk(f"{directory}/blocks"):
        if "meta.json" in files:
            with open(os.path.join(folder, "meta.json")) as meta:
                found.append(json.load(meta))
    return found


def wait_for_one_block(directory):
    for attempt in range(600):
        try:
            if [meta["level"] > 0 for meta in metas(directory)] == [True]:
                return
        except (OSError, ValueError):
            pass  # It is just being deleted.
        time.sleep(0.1)
    raise SystemExit("the blocks were not merged")


def make_blocks(binary, directory, spans, merged):
    api, grpc, receiver = free_port(), free_port(), free_port()
    config = os.path.join(directory, "conmoto.yaml")
    with open(config, "w") as out:
        out.write(
            f"server: {{http_listen_address: 127.0.0.1, http_listen_port: {api}, grpc_listen_address: 127.0.0.1, grpc_listen_port: {grpc}}}\n"
            f"distributor: {{receivers: {{otlp: {{protocols: {{http: {{endpoint: '127.0.0.1:{receiver}'}}}}}}}}}}\n"
            f"storage: {{trace: {{backend: local, local: {{path: {directory}/blocks}}, wal: {{path: {directory}/wal}}}}}}\n"
            + ("compactor: {compaction: {compaction_cycle: 150ms}}\n" if merged else "compactor: {disabled: true}\n")
        )
    with open(os.path.join(directory, "log"), "w") as log:
        server = subprocess.Popen([binary, "-config.file", config], stdout=log, stderr=log)
    try:
        for attempt in range(300):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{api}/ready", timeout=5).read()
                break
            except OSError:
                time.sleep(0.1)
        # Whole traces in each block.
        for half in (spans[: len(spans) // 2], spans[len(spans) // 2 :]):
            post(f"http://127.0.0.1:{receiver}/v1/traces", otlp(half))
            post(f"http://127.0.0.1:{api}/flush")
        if merged:
            wait_for_one_block(directory)
    finally:
        server.terminate()
        server.wait()


def main():
    import duckdb
    import polars

    failed = sum(run(duckdb, polars, merged) for merged in (False, True))
    sys.exit(1 if failed else 0)


def run(duckdb, polars, merged):
    """The number of queries that do not find what was sent."""
    with tempfile.TemporaryDirectory() as directory:
        spans = made_traces()
        make_blocks(sys.argv[1], directory, spans, merged)
        print(f"blocks: {len(metas(directory))}")
        page = open("docs/sql.md").read().replace("BLOCKS", f"{directory}/blocks")
        views, *queries = re.findall(r"```sql\n(.*?)```", page, re.S)
        database = duckdb.connect()
        database.execute(views)
        wanted, failed = expected(spans), 0
        assert len(queries) == len(wanted) == 5, "the page has five queries"
        for number, (query, want) in enumerate(zip(queries, wanted), 1):
            got = database.execute(query).fetchall()
            print(f"query {number}: {'as sent' if got == want else 'DIFFERS'}, {len(got)} rows")
            if got != want:
                failed += 1
                print(f"  wanted {want}\n  got    {got}")
        names = {"pl": polars}
        exec(re.search(r"```python\n(.*?)```", page, re.S).group(1), names)
        got, want = names["answer"].rows(), [row[:4] for row in wanted[0]]
        print(f"polars: {'as sent' if got == want else f'DIFFERS: wanted {want}, got {got}'}")
        return failed + (got != want)


main()
