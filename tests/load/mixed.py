#!/usr/bin/env python3
"""64 queries at a time for a minute while spans arrive: no error is allowed, latencies are printed.

    conmoto -data.dir=/tmp/load &
    tests/load/mixed.py [--api http://127.0.0.1:3200] [--otlp http://127.0.0.1:4318] [--seconds 60] [--spans 20000] [--clients 64]

Needs nothing but Python 3. Spans are sent as OTLP protobuf: a batch is encoded once, and the bytes of its ids and times are
replaced for each request. Exits 1 if anything failed.
"""

import argparse
import collections
import http.client
import os
import random
import struct
import sys
import threading
import time
import urllib.parse

SPANS_PER_TRACE = 10
TRACES_PER_BATCH = 100
SERVICES = ["frontend", "cart", "checkout", "payment", "shipping"]


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number, payload):
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def text_attribute(key, value):
    return field(1, key.encode()) + field(2, field(1, value.encode()))


class Batch:
    """An ExportTraceServiceRequest whose ids and times can be changed in place."""

    def __init__(self):
        marks = {}
        groups = collections.defaultdict(bytes)
        for trace in range(TRACES_PER_BATCH):
            for at in range(SPANS_PER_TRACE):
                service = SERVICES[at % len(SERVICES)]
                groups[service] += field(2, self.span(trace, at))
        body = b""
        for service, spans in groups.items():
            resource = field(1, field(1, text_attribute("service.name", service)))
            body += field(1, resource + field(2, spans))
        self.body = bytearray(body)
        for trace in range(TRACES_PER_BATCH):
            marks[trace] = self.places(self.trace_mark(trace))
        self.traces = marks
        self.starts = self.places(b"STARTNAN")
        self.ends = self.places(b"ENDNANOS")

    @staticmethod
    def trace_mark(trace):
        return b"TRACE-MARK-%05d" % trace

    def span(self, trace, at):
        out = field(1, self.trace_mark(trace)) + field(2, struct.pack(">Q", at + 1))
        if at:
            out += field(4, struct.pack(">Q", (at + 1) // 2))
        out += field(5, b"operation-%d" % at) + varint(6 << 3) + varint(2 if at == 0 else 3)
        out += varint(7 << 3 | 1) + b"STARTNAN" + varint(8 << 3 | 1) + b"ENDNANOS"
        out += field(9, text_attribute("http.url", "/item/%d" % (trace % 50)))
        status = b"\x18\x02" if (trace + at) % 37 == 0 else b""
        return out + field(15, status)

    def places(self, mark):
        places, at = [], self.body.find(mark)
        while at >= 0:
            places.append(at)
            at = self.body.find(mark, at + len(mark))
        return places

    def renewed(self):
        """The bytes with new ids and the time of now; also an id of a trace in it."""
        now = time.time_ns()
        for places in self.traces.values():
            identity = os.urandom(16)
            for at in places:
                self.body[at : at + 16] = identity
        for at in self.starts:
            self.body[at : at + 8] = struct.pack("<Q", now)
        for at in self.ends:
            self.body[at : at + 8] = struct.pack("<Q", now + random.randrange(1_000_000, 900_000_000))
        return bytes(self.body), identity.hex()


class Load:
    def __init__(self, args):
        self.args = args
        self.end = time.time() + args.seconds
        self.lock = threading.Lock()
        self.latencies = collections.defaultdict(list)
        self.errors = collections.Counter()
        self.num_spans = 0
        self.known = collections.deque(maxlen=1000)

    def failed(self, what):
        with self.lock:
            self.errors[what] += 1

    def ask(self, connection, method, path, body=None, headers=None):
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()

    def send(self):
        batch = Batch()
        size = TRACES_PER_BATCH * SPANS_PER_TRACE
        connection = http.client.HTTPConnection(urllib.parse.urlsplit(self.args.otlp).netloc, timeout=60)
        due = time.time()
        while time.time() < self.end:
            body, identity = batch.renewed()
            try:
                status, answer = self.ask(connection, "POST", "/v1/traces", body, {"Content-Type": "application/x-protobuf"})
            except OSError as error:
                self.failed(f"push: {error}")
                connection.close()
                continue
            if status != 200:
                self.failed(f"push: {status} {answer[:80]!r}")
                continue
            with self.lock:
                self.num_spans += size
                self.known.append(identity)
            due += size / self.args.spans
            time.sleep(max(0.0, due - time.time()))

    def query(self):
        now = int(time.time())
        recent = {"start": now - 900, "end": now + 1}
        service = random.choice(SERVICES)
        with self.lock:
            identity = random.choice(self.known) if self.known else "1"
        return random.choice(
            [
                ("search", "/api/search", {"q": '{ resource.service.name = "%s" && status = error }' % service, **recent}),
                ("search all", "/api/search", {"q": "{}", "limit": 50, **recent}),
                ("search structure", "/api/search", {"q": '{ kind = server } >> { name = "operation-7" }', **recent}),
                ("tags", "/api/v2/search/tags", {}),
                ("values", "/api/v2/search/tag/resource.service.name/values", {"q": '{ name = "operation-3" }'}),
                ("rate", "/api/metrics/query_range", {"q": "{ status = error } | rate() by (resource.service.name)", "step": "15s", **recent}),
                ("quantile", "/api/metrics/query_range", {"q": "{} | quantile_over_time(duration, .9)", "step": "30s", **recent}),
                ("trace", f"/api/v2/traces/{identity}", {}),
                ("trace", f"/api/v2/traces/{identity}", {}),
            ]
        )

    def client(self):
        connection = http.client.HTTPConnection(urllib.parse.urlsplit(self.args.api).netloc, timeout=60)
        while time.time() < self.end:
            name, path, params = self.query()
            started = time.perf_counter()
            try:
                status, answer = self.ask(connection, "GET", path + ("?" + urllib.parse.urlencode(params) if params else ""))
            except OSError as error:
                self.failed(f"{name}: {error}")
                connection.close()
                continue
            took = time.perf_counter() - started
            if status != 200:
                self.failed(f"{name}: {status} {answer[:80]!r}")
            with self.lock:
                self.latencies[name].append(took)

    def run(self):
        threads = [threading.Thread(target=self.send)] + [threading.Thread(target=self.client) for _ in range(self.args.clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(f"{self.num_spans / self.args.seconds:.0f} spans/s sent, {sum(map(len, self.latencies.values()))} queries")
        for name, took in sorted(self.latencies.items()):
            took.sort()
            at = lambda share: took[min(len(took) - 1, int(share * len(took)))] * 1000
            print(f"  {name:18} {len(took):6} queries  p50 {at(0.5):8.1f} ms  p99 {at(0.99):8.1f} ms  max {took[-1] * 1000:8.1f} ms")
        for what, count in self.errors.most_common():
            print(f"  failed {count} times: {what}")
        return 1 if self.errors else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--api", default="http://127.0.0.1:3200")
    parser.add_argument("--otlp", default="http://127.0.0.1:4318")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--spans", type=float, default=20000, help="a second")
    parser.add_argument("--clients", type=int, default=64)
    return Load(parser.parse_args()).run()


if __name__ == "__main__":
    sys.exit(main())
