"""Reads back what emit.* sent: check.py API, with lines "CLIENT TRACE_ID" on standard input. Exits 1 if anything differs."""
import base64
import json
import sys
import time
import urllib.parse
import urllib.request

api = sys.argv[1]
failures = 0


def get(path):
    for _ in range(100):
        try:
            return json.load(urllib.request.urlopen(urllib.request.Request(api + path, headers={"Accept": "application/json"})))
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            time.sleep(0.05)
    return {}


def value(attribute):
    return next(iter(attribute["value"].values()))


def problems(client, trace):
    spans = {}
    for batch in get("/api/traces/" + trace).get("batches", []):
        resource = {a["key"]: value(a) for a in batch["resource"].get("attributes", [])}
        for scope in batch["scopeSpans"]:
            for span in scope["spans"]:
                spans[span["name"]] = (resource, span, {a["key"]: value(a) for a in span.get("attributes", [])})
    if sorted(spans) != ["child", "parent"]:
        yield "spans are %s" % sorted(spans)
        return
    for name, kind in (("parent", "SPAN_KIND_SERVER"), ("child", "SPAN_KIND_CLIENT")):
        resource, span, attributes = spans[name]
        if resource.get("service.name") != client:
            yield "%s: service %s" % (name, resource)
        if span.get("kind") != kind:
            yield "%s: kind %s" % (name, span.get("kind"))
        if attributes.get("client") != client or str(attributes.get("number")) != "7":
            yield "%s: attributes %s" % (name, attributes)
        if base64.b64decode(span["traceId"]).hex() != trace:
            yield "%s: trace id %s" % (name, span["traceId"])
        if int(span["endTimeUnixNano"]) < int(span["startTimeUnixNano"]) or int(span["startTimeUnixNano"]) < 1.6e18:
            yield "%s: times %s %s" % (name, span["startTimeUnixNano"], span["endTimeUnixNano"])
    parent, child = spans["parent"][1], spans["child"][1]
    if child.get("parentSpanId") != parent["spanId"] or parent.get("parentSpanId"):
        yield "parents are %s and %s" % (child.get("parentSpanId"), parent.get("parentSpanId"))
    if child["status"].get("code") != "STATUS_CODE_ERROR" or parent["status"].get("code") == "STATUS_CODE_ERROR":
        yield "statuses are %s and %s" % (child["status"], parent["status"])
    events = [event.get("name") or [value(a) for a in event.get("attributes", [])] for event in child.get("events", [])]
    if not client.startswith("py_zipkin") and not any("note" in str(event) for event in events):
        yield "events are %s" % events
    query = '{ resource.service.name = "%s" && span.client = "%s" && kind = client && status = error }' % (client, client)
    found = get("/api/search?" + urllib.parse.urlencode({"q": query})).get("traces", [])
    if [t["traceID"].rjust(32, "0") for t in found] != [trace]:
        yield "search finds %s" % found


for line in sys.stdin:
    client, trace = line.split()
    wrong = list(problems(client, trace))
    failures += bool(wrong)
    print("%-26s %s" % (client, "; ".join(wrong) or "ok"))
print("%d failed" % failures)
sys.exit(failures != 0)
