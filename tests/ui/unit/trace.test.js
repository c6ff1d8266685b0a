import assert from "node:assert/strict";
import { test } from "node:test";
import { TraceStore } from "../../../ui/model/trace_store.js";
import { segmentsByRow } from "../../../ui/model/critical_path.js";
import { collapsedBelow, ticks, visibleRows, bar, window } from "../../../ui/model/waterfall.js";
import { flame, layout } from "../../../ui/model/flame.js";
import { statistics } from "../../../ui/model/statistics.js";
import { compare } from "../../../ui/model/compare.js";
import { answer, id } from "./encode.js";

const BASE = 1795239561764092954n;
const at = (nanos) => BASE + BigInt(nanos);
const open = (services, options) => new TraceStore(answer(services, options));
const names = (trace, rows = trace.name.keys()) => [...rows].map((row) => trace.names[trace.name[row]]);

// shop: root 0..100 with a 10..40, b 50..90 (which calls c 60..80 in another service); a is sent after b.
const SHOP = {
  shop: [
    { id: 3, parent: 1, name: "b", start: at(50), end: at(90) },
    { id: 2, parent: 1, name: "a", start: at(10), end: at(40) },
    { id: 1, name: "root", start: at(0), end: at(100), kind: 2 },
  ],
  db: [{ id: 4, parent: 3, name: "c", start: at(60), end: at(80), error: "no disk" }],
};

test("spans are put depth-first, children by start, with exact times", () => {
  const { trace } = open(SHOP);
  assert.deepEqual(names(trace), ["root", "a", "b", "c"]);
  assert.deepEqual([...trace.depth], [0, 1, 1, 2]);
  assert.deepEqual([...trace.parent], [-1, 0, 0, 2]);
  assert.deepEqual([...trace.subtree], [4, 1, 2, 1]);
  assert.deepEqual([...trace.start], [0, 10, 50, 60]);
  assert.deepEqual([trace.base, trace.duration], [String(BASE), 100]);
  assert.deepEqual(trace.services, ["db", "shop"]);
  assert.deepEqual([...trace.isError], [0, 0, 0, 1]);
});

test("self time is what no child covers; children that overlap count once and only inside their parent", () => {
  assert.deepEqual([...open(SHOP).trace.self], [30, 30, 20, 20]);
  const overlapping = open({ s: [{ id: 1, start: at(0), end: at(100) }, { id: 2, parent: 1, start: at(10), end: at(60) }, { id: 3, parent: 1, start: at(40), end: at(50) }, { id: 4, parent: 1, start: at(55), end: at(130) }] });
  assert.deepEqual([...overlapping.trace.self], [10, 50, 10, 75]);
});

test("the critical path goes back from the end over the children that were waited for", () => {
  const rows = segmentsByRow(open(SHOP).trace.critical);
  assert.deepEqual(rows.get(0), [[90, 100], [40, 50], [0, 10]]);
  assert.deepEqual([rows.get(1), rows.get(2), rows.get(3)], [[[10, 40]], [[80, 90], [50, 60]], [[60, 80]]]);
  // x ends while y runs already: nobody waited for it.
  const aside = open({ s: [{ id: 1, start: at(0), end: at(100) }, { id: 2, parent: 1, name: "x", start: at(5), end: at(60) }, { id: 3, parent: 1, name: "y", start: at(20), end: at(95) }] });
  const path = segmentsByRow(aside.trace.critical);
  assert.equal(path.has(1), false);
  assert.deepEqual([path.get(0), path.get(2)], [[[95, 100], [0, 20]], [[20, 95]]]);
});

test("the critical path covers the main root once, whatever the trace looks like", () => {
  let seed = 11;
  const random = (below) => (seed = (seed * 1103515245 + 12345) % 2147483648) % below;
  for (let round = 0; round < 60; round++) {
    const spans = [{ id: 1, start: at(0), end: at(1000) }];
    for (let number = 2; number < 40; number++) {
      const start = random(900);
      spans.push({ id: number, parent: 1 + random(number - 1), start: at(start), end: at(start + random(400)) });
    }
    const { trace } = open({ s: spans });
    const pieces = [];
    for (let i = 0; i < trace.critical.length; i += 3) pieces.push([trace.critical[i + 1], trace.critical[i + 2]]);
    pieces.sort((a, b) => a[0] - b[0]);
    for (let i = 1; i < pieces.length; i++) assert.equal(pieces[i][0], pieces[i - 1][1], "no gap and no overlap");
    assert.deepEqual([pieces[0][0], pieces.at(-1)[1]], [0, 1000]);
  }
});

test("orphans and circles are shown, each span once", () => {
  const { trace } = open({ s: [{ id: 1, parent: 99, name: "orphan", start: at(0), end: at(5) }, { id: 2, parent: 3, name: "x", start: at(1), end: at(2) }, { id: 3, parent: 2, name: "y", start: at(1), end: at(2) }] });
  assert.deepEqual(names(trace).sort(), ["orphan", "x", "y"]);
  assert.equal(trace.isOrphan[0], 1);
  assert.equal(trace.subtree.reduce((sum, size, row) => sum + (trace.parent[row] < 0 ? size : 0), 0), 3);
});

test("a chain of 100,000 spans needs no stack", () => {
  const columns = answer({ s: [{ id: 1, start: at(0), end: at(1) }] });
  const store = new TraceStore(columns);
  // Columns made longer by hand: writing such a trace as bytes takes longer than the test.
  const { spans } = store;
  const idText = (number) => String.fromCharCode(...id(number).match(/../g).map((pair) => parseInt(pair, 16)));
  for (let number = 2; number <= 100000; number++) {
    for (const name of ["from", "to", "resource", "scope", "name", "kind", "status", "startHigh", "startLow", "endHigh", "endLow", "numEvents", "numLinks"]) spans[name].push(spans[name][0]);
    spans.id.push(idText(number));
    spans.parentId.push(idText(number - 1));
  }
  return import("../../../ui/model/trace.js").then(({ arrange }) => {
    const trace = arrange(spans);
    assert.deepEqual([trace.count, trace.depth[99999], trace.subtree[0]], [100000, 99999, 100000]);
  });
});

test("details have every type of value, events and links", () => {
  const rich = { id: 1, name: "<script>", start: at(0), end: at(9), error: "bad", attributes: { s: "täxt", b: true, i: -9007199254740993n, f: 0.5, l: ["x", 2n], m: { k: "v" } },
    events: [{ time: at(4), name: "e", attributes: { k: "v" } }], links: [{ trace: "ab".repeat(16), span: "cd".repeat(8) }] };
  const store = open({ svc: [rich] });
  const span = store.details(0);
  assert.deepEqual(span.attributes.map(({ key, type, text }) => [key, type, text]), [["s", "string", "täxt"], ["b", "bool", "true"], ["i", "int", "-9007199254740993"], ["f", "float", "0.5"], ["l", "array", '["x", 2]'], ["m", "map", "{k: v}"]]);
  assert.deepEqual([span.status, span.statusMessage, span.id, span.traceId], ["error", "bad", id(1), "0".repeat(30) + "2a"]);
  assert.deepEqual([span.events[0].sinceStart, span.events[0].attributes[0].text, span.links[0].traceId], [4, "v", "ab".repeat(16)]);
  assert.deepEqual([span.resource[0].text, span.scope.name], ["svc", "library"]);
  assert.deepEqual([store.rowOf(id(1)), store.rowOf("5"), [...store.find("TÄXT")], [...store.find("nothing")]], [0, -1, [0], []]);
});

test("a part of a trace says so, an empty answer is an empty trace, and cut bytes are an error", () => {
  assert.deepEqual([open(SHOP, { partial: "too large" }).isPartial, open(SHOP, { partial: "too large" }).message], [true, "too large"]);
  assert.equal(new TraceStore(Uint8Array.from([0x0a, 0])).trace.count, 0);
  const whole = answer(SHOP);
  assert.throws(() => new TraceStore(whole.slice(0, whole.length - 5)), /cut off/);
});

test("collapsed rows hide what is below, matches keep their ancestors", () => {
  const { trace } = open(SHOP);
  assert.deepEqual([...visibleRows(trace, new Set([2]))], [0, 1, 2]);
  assert.deepEqual([...visibleRows(trace, collapsedBelow(trace, 0))], [0]);
  assert.deepEqual([...visibleRows(trace, new Set(), Uint8Array.from([0, 0, 0, 1]))], [0, 2, 3]);
});

test("only rows on screen are drawn, and bars stay inside", () => {
  assert.deepEqual(window(100000, 28, 28000, 560, 5), { first: 995, last: 1025 });
  assert.deepEqual(window(3, 28, 0, 560), { first: 0, last: 3 });
  assert.deepEqual(bar(25, 75, { from: 0, to: 100 }), { left: 25, width: 50, isInside: true });
  assert.equal(bar(0, 10, { from: 50, to: 100 }).isInside, false);
  assert.deepEqual(ticks({ from: 0, to: 100 }, 5), [0, 20, 40, 60, 80, 100]);
});

test("a flame graph merges equal paths and never outgrows its parent", () => {
  const { trace } = open({ s: [{ id: 1, name: "r", start: at(0), end: at(100) }, { id: 2, parent: 1, name: "q", start: at(0), end: at(60) }, { id: 3, parent: 1, name: "q", start: at(0), end: at(80) }] });
  const root = flame(trace);
  const [top] = root.children.values();
  const [merged] = top.children.values();
  assert.deepEqual([root.total, top.self, merged.count, merged.self], [160, 20, 2, 140]);
  const boxes = layout(root);
  assert.deepEqual(boxes.map(({ depth, left, width }) => [depth, left, width]), [[0, 0, 1], [1, 0, 1], [2, 0, 140 / 160]]);
});

test("statistics add up by service and name", () => {
  const rows = statistics(open(SHOP).trace, "service");
  const shop = rows.find(({ service }) => service === "shop");
  assert.deepEqual([shop.count, shop.self, shop.total, shop.max, shop.p95, shop.share], [3, 80, 170, 100, 100, 0.8]);
  assert.equal(statistics(open(SHOP).trace, "service and name").length, 4);
});

test("two traces are matched by their paths", () => {
  const other = { shop: [{ id: 7, name: "root", start: at(0), end: at(300) }, { id: 8, parent: 7, name: "a", start: at(10), end: at(40) }, { id: 9, parent: 7, name: "new", start: at(50), end: at(60) }] };
  const rows = compare(open(SHOP).trace, open(other).trace);
  assert.deepEqual(rows.map(({ name, depth, change }) => [name, depth, change]), [["root", 0, "slower"], ["a", 1, "same"], ["b", 1, "removed"], ["c", 2, "removed"], ["new", 1, "added"]]);
});
