import assert from "node:assert/strict";
import { test } from "node:test";
import { attributeName, quote, tokenize, unquote } from "../../../ui/model/traceql_tokens.js";
import { EMPTY_FORM, isMetricsQuery, read, valueLiteral, withColumns, withCondition, write } from "../../../ui/model/query_form.js";
import { apply, choices, contextAt } from "../../../ui/model/completion.js";
import { locate } from "../../../ui/model/query_error.js";
import { Found, slices } from "../../../ui/model/search_slices.js";
import { columnValues, rowOf } from "../../../ui/model/found_trace.js";

const kinds = (text) => tokenize(text).filter(({ kind }) => kind !== "space").map(({ kind, text }) => `${kind}:${text}`);

test("tokens follow the language's lexical rules", () => {
  assert.deepEqual(kinds('{ .http.url//x = "a" && span."my key" >= 1.5s }'), ["bracket:{", "attribute:.http.url//x", "operator:=", 'string:"a"', "operator:&&", 'attribute:span."my key"', "operator:>=", "number:1.5s", "bracket:}"]);
  assert.deepEqual(kinds("{ span:duration > .5 } &>> {} | rate() // c"), ["bracket:{", "intrinsic:span:duration", "operator:>", "number:.5", "bracket:}", "operator:&>>", "bracket:{", "bracket:}", "operator:|", "function:rate", "bracket:(", "bracket:)", "comment:// c"]);
  assert.deepEqual(kinds("{ status = error && parent.resource.a }"), ["bracket:{", "intrinsic:status", "operator:=", "constant:error", "operator:&&", "attribute:parent.resource.a", "bracket:}"]);
});

test("every text is cut without gaps, also nonsense", () => {
  for (const text of ["", '{ name = "open', "`raw", "😀 { span. = } § \\", "{{{ &&& |||", "/* open"]) assert.equal(tokenize(text).map((token) => token.text).join(""), text);
});

test("quoting is undone by unquoting", () => {
  for (const text of ["", 'a"b', "back\\slash", "line\nbreak\ttab", "end\\", '\\"']) assert.equal(unquote(quote(text)), text);
  assert.equal(attributeName("span", "a b"), 'span."a b"');
  assert.equal(attributeName("span", "a-b.c"), "span.a-b.c");
});

const FORM = { service: 'ca"rt', name: "GET /", status: "error", minDuration: "100ms", maxDuration: "2s", attributes: [{ key: "span.http.status", operator: ">=", value: "500" }, { key: "kind", operator: "=", value: "server" }] };

test("a form becomes a query and is read back", () => {
  assert.equal(write(FORM), '{ resource.service.name = "ca\\"rt" && name = "GET /" && status = error && duration >= 100ms && duration <= 2s && span.http.status >= 500 && kind = server }');
  assert.deepEqual(read(write(FORM)), FORM);
  assert.equal(write(EMPTY_FORM), "{}");
  for (const text of ["", "{}", "{ }"]) assert.deepEqual(read(text), EMPTY_FORM, text);
});

test("what a form cannot say is not read into one", () => {
  for (const text of ["{ a", "{ status = error || name = \"x\" }", "{} >> {}", "{ } | rate()", "{ (status = error) }", "{ duration > 1s && }", "{ .a = .b }", "{ status error = }"]) assert.equal(read(text), undefined, text);
  // The second condition on a name stays a condition.
  assert.deepEqual(read('{ name = "a" && name = "b" }').attributes, [{ key: "name", operator: "=", value: '"b"' }]);
  assert.deepEqual(read("{ status != ok }").attributes, [{ key: "status", operator: "!=", value: "ok" }]);
});

test("typed values become literals", () => {
  for (const [typed, literal] of [["500", "500"], ["1.5s", "1.5s"], ["true", "true"], ["error", "error"], ["GET", '"GET"'], ['"500"', '"500"'], ["a b", '"a b"'], ["", ""], ["10.0.0.1", '"10.0.0.1"']]) assert.equal(valueLiteral(typed), literal, typed);
});

test("conditions and columns are added to a query", () => {
  assert.equal(withCondition("{}", "a = 1"), "{ a = 1 }");
  assert.equal(withCondition("{ status = error } | count() > 1", "kind = server"), "{ kind = server && status = error } | count() > 1");
  assert.equal(withColumns(" ", ["span.a", "resource.b"]), "{} | select(span.a, resource.b)");
  assert.deepEqual([isMetricsQuery("{} | rate()"), isMetricsQuery('{ name = "rate" }'), isMetricsQuery("{} | count() > 2")], [true, false, false]);
});

// The caret stands at the bar.
function context(marked) {
  const caret = marked.indexOf("¦");
  return contextAt(marked.replace("¦", ""), caret);
}

test("the caret tells what may stand there", () => {
  const cases = [
    ["{ ¦ }", "attribute"], ["{ res¦ }", "attribute"], ["{ resource.service.name ¦ }", "comparison"], ["{ name = ¦ }", "value"], ['{ name = "a¦ }', "value"], ["{ status = error ¦}", "logic"],
    ["{ status = error && ¦}", "attribute"], ["{} | ¦", "stage"], ["{} | ra¦", "stage"], ["{} ¦", "between"], ["¦", "filter"], ["{} >> ¦", "filter"], ["{} | rate() by (¦)", "attribute"], ["{ a = 1 } // no¦", "none"],
  ];
  for (const [marked, kind] of cases) assert.equal(context(marked).kind, kind, marked);
  assert.equal(context("{ resource.service.name = ¦ }").attribute, "resource.service.name");
});

const SCOPES = [{ name: "span", tags: ["http.route", "a b"] }, { name: "intrinsic", tags: ["name"] }, { name: "resource", tags: ["service.name"] }];

test("choices are ranked and put into the text", () => {
  const texts = (marked, typed, known) => choices(context(marked), typed, known).map(({ text }) => text);
  assert.deepEqual(texts("{ serv¦ }", "serv", { scopes: SCOPES }).slice(0, 1), ["resource.service.name"]);
  assert.deepEqual(texts("{ .route¦ }", ".route", { scopes: SCOPES }), ["span.http.route"]);
  assert.ok(texts("{ ¦ }", "", { scopes: SCOPES }).includes('span."a b"'));
  const values = [{ type: "string", value: "cart" }, { type: "int", value: "5" }];
  assert.deepEqual(texts("{ .x = ¦ }", "", { values }), ['"cart"', "5"]);
  assert.deepEqual(texts('{ .x = "ca¦ }', '"ca', { values }), ['"cart"']);
  const typed = context("{ serv¦ }");
  assert.deepEqual(apply("{ serv }", typed, { text: "resource.service.name" }), { text: "{ resource.service.name }", caret: 23 });
});

test("errors are found at their place", () => {
  assert.deepEqual(locate("invalid TraceQL query: parse error at line 1, col 3: unknown identifier: foo", "{ foo = }"), { from: 2, to: 5, message: "unknown identifier: foo" });
  assert.deepEqual(locate("parse error at line 2, col 1: syntax error: unexpected }", "{ a =\n}"), { from: 6, to: 7, message: "unexpected }" });
  assert.equal(locate("parse error at line 9, col 99: x", "{").from, 1);
  assert.equal(locate("something else", "{"), undefined);
});

test("slices cover the range without gaps, newest first, shortest first", () => {
  for (const range of [{ start: 0, end: 3600 }, { start: 100, end: 101 }, { start: 5, end: 95 }, { start: 0, end: 7 * 86400 }, { start: 1000, end: 1000 + 60 * 86400 }]) {
    const cut = slices(range);
    assert.equal(cut[0].end, range.end);
    assert.equal(cut.at(-1).start, range.start);
    for (let i = 1; i < cut.length; i++) assert.equal(cut[i].end, cut[i - 1].start);
    assert.ok(cut.every(({ start, end }) => end > start && end - start <= 168 * 3600) && cut.length <= 14);
  }
});

const trace = (id, seconds) => ({ traceID: id, startTimeUnixNano: String(BigInt(seconds) * 1000000000n) });

test("a search ends when nothing older can enter", () => {
  const found = new Found(2);
  // 2 began before its slice: an older slice may have newer ones than that.
  found.add([trace("1", 95), trace("2", 50)], 90);
  assert.deepEqual([found.isComplete, found.newest().map(({ traceID }) => traceID)], [false, ["1", "2"]]);
  found.add([trace("3", 80), trace("2", 50)], 60);
  assert.deepEqual([found.isComplete, found.newest().map(({ traceID }) => traceID)], [true, ["1", "3"]]);
});

test("an answer becomes a row with columns", () => {
  const row = rowOf({ traceID: "2a", rootServiceName: "cart", rootTraceName: "GET", startTimeUnixNano: "1500000000", durationMs: 2, serviceStats: { cart: { spanCount: 3, errorCount: 1 }, db: { spanCount: 1 } },
    spanSets: [{ matched: 2, spans: [{ spanID: "1", durationNanos: "2500000", attributes: [{ key: "http.route", value: { stringValue: "/" } }] }, { spanID: "2", durationNanos: "5", attributes: [{ key: "http.route", value: { intValue: "7" } }, { key: "x", value: { stringValue: "nil" } }] }] }] });
  assert.deepEqual([row.numSpans, row.numErrors, row.durationNanos, row.start, row.matched], [4, 1, 2500000, 1500, 2]);
  assert.deepEqual([columnValues(row, "span.http.route"), columnValues(row, ".x")], [["/", "7"], []]);
});
